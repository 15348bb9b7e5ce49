//! What the lens and the hand make of one colour of a picture: Gaussian blur, a disc for defocus, a line for motion.

/// Blurs by a separable Gaussian, `sigma` in pixels. The border repeats. A `sigma` of 0 changes nothing.
pub fn blur(values: &mut [f32], width: usize, sigma: f64) {
    if sigma == 0.0 {
        return;
    }
    let reach = (3.0 * sigma).ceil() as isize;
    let weight = |i: isize| (-(i * i) as f64 / (2.0 * sigma * sigma)).exp();
    let row = Kernel::of((-reach..=reach).map(|i| ([i, 0], weight(i))));
    let column = Kernel::of((-reach..=reach).map(|i| ([0, i], weight(i))));
    row.apply(values, width);
    column.apply(values, width);
}

/// Neighbours of a pixel, as offsets in x and y, and their weights. The weights' sum is 1.
pub struct Kernel(Vec<([isize; 2], f32)>);

impl Kernel {
    /// A kernel of offsets in x and y, each there once, and weights of any sum.
    fn of(weights: impl Iterator<Item = ([isize; 2], f64)>) -> Self {
        let weights: Vec<_> = weights.filter(|(_, weight)| *weight > 0.0).collect();
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        Kernel(weights.into_iter().map(|(offset, weight)| (offset, (weight / sum) as f32)).collect())
    }

    /// The disc of a point of light out of focus, radius in pixels.
    pub fn disc(radius: f64) -> Self {
        Kernel::around(radius, |x, y| covered(radius - x.hypot(y)))
    }

    /// The straight line of a point of light in front of a moving camera. The length is in pixels, the direction in radians
    /// from the x axis to the y axis.
    pub fn line(length: f64, direction: f64) -> Self {
        let (sin, cos) = direction.sin_cos();
        Kernel::around(length / 2.0, |x, y| {
            let (along, across) = ((x * cos + y * sin).abs(), (x * sin - y * cos).abs());
            covered(length / 2.0 - along) * covered(0.5 - across)
        })
    }

    /// A shape that reaches so far from its middle, pixels. `share` says how much of the pixel at an offset it covers.
    fn around(reach: f64, share: impl Fn(f64, f64) -> f64) -> Self {
        let reach = reach.ceil() as isize;
        let offsets = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| [x, y]));
        Kernel::of(offsets.map(|[x, y]| ([x, y], share(x as f64, y as f64))))
    }

    /// Replaces each value by the weighted sum of its neighbours. The border repeats.
    pub fn apply(&self, values: &mut [f32], width: usize) {
        if let [([0, 0], _)] = self.0[..] {
            return;
        }
        let source = values.to_vec();
        let last_row = (source.len() / width) as isize - 1;
        for (row, target) in values.chunks_exact_mut(width).enumerate() {
            target.fill(0.0);
            for &([dx, dy], weight) in &self.0 {
                let from = (row as isize + dy).clamp(0, last_row) as usize;
                let line = &source[from * width..][..width];
                // Where the neighbour lies in the row; beyond it the row's first or last value repeats.
                let first = (-dx).clamp(0, width as isize) as usize;
                let end = (width as isize - dx).clamp(first as isize, width as isize) as usize;
                target[..first].iter_mut().for_each(|sum| *sum += weight * line[0]);
                target[end..].iter_mut().for_each(|sum| *sum += weight * line[width - 1]);
                let inner = &line[(first as isize + dx).clamp(0, width as isize) as usize..];
                target[first..end].iter_mut().zip(inner).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }
}

/// About how much of a pixel is covered (0..=1) if its middle lies this far inside an edge, pixels.
fn covered(inside: f64) -> f64 {
    (0.5 + inside).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard deviations along x and along y of what a kernel makes of one bright pixel.
    fn spread(kernel: &Kernel) -> [f64; 2] {
        let mut values = vec![0.0; 41 * 41];
        values[20 * 41 + 20] = 1.0;
        kernel.apply(&mut values, 41);
        assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        let variance = |square: fn(f64, f64) -> f64| {
            let at = |index: usize| square((index % 41) as f64 - 20.0, (index / 41) as f64 - 20.0);
            values.iter().enumerate().map(|(index, value)| f64::from(*value) * at(index)).sum::<f64>()
        };
        [variance(|x, _| x * x).sqrt(), variance(|_, y| y * y).sqrt()]
    }

    #[test]
    fn motion_blurs_along_its_direction_only() {
        let [along, across] = spread(&Kernel::line(12.0, 0.0));
        assert!((along - 12.0 / 12f64.sqrt()).abs() < 0.5 && across < 0.1, "{along} {across}");
        let [across, along] = spread(&Kernel::line(12.0, std::f64::consts::FRAC_PI_2));
        assert!((along - 12.0 / 12f64.sqrt()).abs() < 0.5 && across < 0.1, "{along} {across}");
    }

    #[test]
    fn defocus_blurs_to_all_sides_alike() {
        // Along each axis a disc's standard deviation is half its radius.
        let [x, y] = spread(&Kernel::disc(6.0));
        assert!((x - 3.0).abs() < 0.1 && (y - 3.0).abs() < 0.1, "{x} {y}");
    }

    #[test]
    fn an_even_picture_stays_even_to_its_border() {
        for kernel in [Kernel::line(9.0, 0.7), Kernel::disc(3.0), Kernel::disc(0.2)] {
            let mut values = vec![0.5; 30 * 8];
            kernel.apply(&mut values, 30);
            assert!(values.iter().all(|value| (value - 0.5).abs() < 1e-5));
        }
    }
}
