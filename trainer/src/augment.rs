//! Random views of a film for training.
//!
//! The collections differ in border, framing, sharpness and gray range, and the collection nearly gives the class
//! away; each of these is varied so that none of them does. See docs/design/training.md.

use image::{GrayImage, Luma};
use rand::Rng;
use xray_triage::preprocess::{self, InputSpec};

/// One random view of a plate as the network's input, `3 * size * size` values. The plate should be little larger
/// than the input (see [`base`]): sampling is bilinear.
pub fn random_view(base: &GrayImage, spec: &InputSpec, rng: &mut impl Rng) -> Vec<f32> {
    let size = spec.size as usize;
    let mut gray = warp(base, size, rng);
    expose(&mut gray, rng);
    shade(&mut gray, size, rng);
    if rng.random_bool(0.4) {
        gray = soften(&gray, size, rng);
    }
    if rng.random_bool(0.4) {
        let noise = rng.random_range(0.0..0.05f32);
        for value in &mut gray {
            // The sum of two uniform values is close enough to a bell for sensor noise.
            *value += noise * (rng.random_range(-1.0..1.0f32) + rng.random_range(-1.0..1.0f32));
        }
    }
    if rng.random_bool(0.3) {
        border(&mut gray, size, rng);
    }
    if rng.random_bool(0.4) {
        cut_out(&mut gray, size, rng);
    }
    let view = GrayImage::from_fn(spec.size, spec.size, |x, y| {
        Luma([(gray[y as usize * size + x as usize].clamp(0.0, 1.0) * 255.0).round() as u8])
    });
    preprocess::tensor(&view, spec)
}

/// The plate at the size [`random_view`] samples from: a fifth larger than the input, square.
pub fn base(plate: &GrayImage, size: u32) -> GrayImage {
    let side = size + size / 5;
    image::imageops::resize(plate, side, side, image::imageops::FilterType::Triangle)
}

/// Random rotation, zoom, stretch, shift and mirroring, sampled from the base.
fn warp(base: &GrayImage, size: usize, rng: &mut impl Rng) -> Vec<f32> {
    let angle = rng.random_range(-12.0..12.0f32).to_radians();
    // Share of the base's side that the view shows.
    let shown = rng.random_range(0.72..1.08f32);
    let aspect = rng.random_range(0.9..1.1f32);
    let mirror = if rng.random_bool(0.5) { -1.0 } else { 1.0 };
    let slack = (1.0 - shown).abs() / 2.0 + 0.03;
    let shift = [rng.random_range(-slack..slack), rng.random_range(-slack..slack)];
    let keystone = [rng.random_range(-0.08..0.08f32), rng.random_range(-0.08..0.08f32)];
    let outside = if rng.random_bool(0.7) { 0.0 } else { rng.random_range(0.0..1.0f32) };
    let (sin, cos) = angle.sin_cos();
    let side = base.width() as f32;
    let mut view = Vec::with_capacity(size * size);
    for row in 0..size {
        for column in 0..size {
            let u = ((column as f32 + 0.5) / size as f32 - 0.5) * mirror;
            let v = (row as f32 + 0.5) / size as f32 - 0.5;
            let depth = 1.0 + keystone[0] * u + keystone[1] * v;
            let (u, v) = (u * shown * aspect / depth, v * shown / aspect / depth);
            let x = (0.5 + shift[0] + cos * u - sin * v) * side - 0.5;
            let y = (0.5 + shift[1] + sin * u + cos * v) * side - 0.5;
            view.push(sample(base, x, y, outside));
        }
    }
    view
}

/// Bilinear sample in 0..=1; `outside` beyond the picture.
fn sample(picture: &GrayImage, x: f32, y: f32, outside: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (x - left, y - top);
    let at = |dx: i32, dy: i32| {
        let (x, y) = (left as i32 + dx, top as i32 + dy);
        if x < 0 || y < 0 || x >= picture.width() as i32 || y >= picture.height() as i32 {
            outside
        } else {
            f32::from(picture.get_pixel(x as u32, y as u32).0[0]) / 255.0
        }
    };
    let upper = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
    let lower = at(0, 1) * (1.0 - fx) + at(1, 1) * fx;
    upper * (1.0 - fy) + lower * fy
}

/// Random gamma, contrast and brightness.
fn expose(gray: &mut [f32], rng: &mut impl Rng) {
    let gamma = rng.random_range(-0.5..0.5f32).exp();
    let contrast = rng.random_range(0.7..1.35f32);
    let brightness = rng.random_range(-0.12..0.12f32);
    for value in gray {
        *value = (value.max(0.0).powf(gamma) - 0.5) * contrast + 0.5 + brightness;
    }
}

/// A linear illumination gradient, as an unevenly lit panel leaves.
fn shade(gray: &mut [f32], size: usize, rng: &mut impl Rng) {
    let slope = [rng.random_range(-0.25..0.25f32), rng.random_range(-0.25..0.25f32)];
    for (index, value) in gray.iter_mut().enumerate() {
        let u = (index % size) as f32 / size as f32 - 0.5;
        let v = (index / size) as f32 / size as f32 - 0.5;
        *value *= 1.0 + slope[0] * u + slope[1] * v;
    }
}

/// Blur or sharpening by a 3x3 box, up to three times.
fn soften(gray: &[f32], size: usize, rng: &mut impl Rng) -> Vec<f32> {
    // Positive blurs, negative sharpens.
    let amount = rng.random_range(-0.6..1.0f32);
    let rounds = if amount > 0.0 { rng.random_range(1..=3) } else { 1 };
    let mut gray = gray.to_vec();
    for _ in 0..rounds {
        let source = gray.clone();
        for row in 1..size - 1 {
            for column in 1..size - 1 {
                let mut sum = 0.0;
                for neighbour in [row - 1, row, row + 1] {
                    sum += source[neighbour * size + column - 1..=neighbour * size + column + 1].iter().sum::<f32>();
                }
                let centre = source[row * size + column];
                gray[row * size + column] = centre + amount * (sum / 9.0 - centre);
            }
        }
    }
    gray
}

/// A uniform frame on up to four sides, as scanners, screens and figures have.
fn border(gray: &mut [f32], size: usize, rng: &mut impl Rng) {
    let shade = if rng.random_bool(0.7) { rng.random_range(0.0..0.1f32) } else { rng.random_range(0.0..1.0f32) };
    let widths: [usize; 4] = std::array::from_fn(|_| rng.random_range(0..=size / 12));
    for row in 0..size {
        for column in 0..size {
            if row < widths[0] || column < widths[1] || row + widths[2] >= size || column + widths[3] >= size {
                gray[row * size + column] = shade;
            }
        }
    }
}

/// One to three rectangles of a single gray, as markers and stickers leave.
fn cut_out(gray: &mut [f32], size: usize, rng: &mut impl Rng) {
    for _ in 0..rng.random_range(1..=3) {
        let (width, height) = (rng.random_range(size / 16..=size / 4), rng.random_range(size / 16..=size / 4));
        let (left, top) = (rng.random_range(0..size - width), rng.random_range(0..size - height));
        let shade = rng.random_range(0.0..1.0f32);
        for row in top..top + height {
            gray[row * size + left..row * size + left + width].fill(shade);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn views_differ_by_seed_and_repeat_with_it() {
        let film = GrayImage::from_fn(96, 80, |x, y| Luma([(x * 2 + y / 2) as u8]));
        let spec = InputSpec::imagenet(64);
        let base = base(&film, spec.size);
        let view = |seed| random_view(&base, &spec, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(view(1), view(1));
        assert_ne!(view(1), view(2));
        for seed in 0..50 {
            let view = view(seed);
            assert_eq!(view.len(), 3 * 64 * 64);
            assert!(view.iter().all(|value| value.is_finite()), "seed {seed}");
        }
    }
}
