//! Random views of a film for training.
//!
//! The collections differ in border, framing, sharpness and gray range, and most films of a collection have the same
//! class. A network could tell the class by these differences; so each of them is varied (docs/design/training.md).

use image::{GrayImage, Luma};
use rand::Rng;

/// One random view of a picture, `side` x `side` pixels, and from where it was taken. Sampling is bilinear, so the picture
/// should be only a little larger than the view ([`base`]).
pub fn random_view(base: &GrayImage, side: u32, rng: &mut impl Rng) -> (GrayImage, Geometry) {
    let size = side as usize;
    let geometry = Geometry::random(rng);
    let outside = if rng.random_bool(0.7) { 0.0 } else { rng.random_range(0.0..1.0f32) };
    let mut gray = geometry.warp(base, size, outside);
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
    let view = GrayImage::from_fn(side, side, |x, y| {
        Luma([(gray[y as usize * size + x as usize].clamp(0.0, 1.0) * 255.0).round() as u8])
    });
    (view, geometry)
}

/// Mixes another picture, of any size, into `picture` with the weight `share`, 0..=1.
pub fn mix(picture: &mut GrayImage, other: &GrayImage, share: f32) {
    let (width, height) = picture.dimensions();
    let other = image::imageops::resize(other, width, height, image::imageops::FilterType::Triangle);
    for (gray, other) in picture.iter_mut().zip(other.iter()) {
        *gray = (f32::from(*gray) * (1.0 - share) + f32::from(*other) * share).round() as u8;
    }
}

/// The picture at the size [`random_view`] samples from: a fifth larger than the input, square.
pub fn base(picture: &GrayImage, size: u32) -> GrayImage {
    let side = size + size / 5;
    image::imageops::resize(picture, side, side, image::imageops::FilterType::Triangle)
}

/// Gives a picture the grays of another one, of any size, so that both have the same histogram: the darkest tenth of its
/// places gets the grays of the darkest tenth of the other's, and so on.
///
/// Some collections were histogram-equalised, and each scanner has grays of its own.
pub fn borrow_grays(picture: &mut GrayImage, other: &GrayImage) {
    let histogram = |picture: &GrayImage| {
        let mut counts = [0u64; 256];
        picture.iter().for_each(|gray| counts[usize::from(*gray)] += 1);
        counts
    };
    let (own, wanted) = (histogram(picture), histogram(other));
    let (own_places, wanted_places) = (own.iter().sum::<u64>(), wanted.iter().sum::<u64>());
    if own_places == 0 || wanted_places == 0 {
        return;
    }
    let (mut below, mut gray, mut upto) = (0, 0usize, wanted[0]);
    let new: [u8; 256] = std::array::from_fn(|own_gray| {
        // The middle of the places with this gray, in the order of grays, as a place of the other picture.
        let middle = below + own[own_gray] / 2;
        below += own[own_gray];
        while gray < 255 && upto * own_places <= middle * wanted_places {
            gray += 1;
            upto += wanted[gray];
        }
        gray as u8
    });
    picture.iter_mut().for_each(|gray| *gray = new[usize::from(*gray)]);
}

/// A picture as if it had been stored small: reduced to two fifths of each side or more, and enlarged again.
pub fn coarse(picture: &GrayImage, rng: &mut impl Rng) -> GrayImage {
    let (width, height) = picture.dimensions();
    let mut reduced = |side: u32| ((side as f32 * rng.random_range(0.4..1.0f32)) as u32).max(1);
    let filter = image::imageops::FilterType::Triangle;
    let small = image::imageops::resize(picture, reduced(width), reduced(height), filter);
    image::imageops::resize(&small, width, height, filter)
}

/// From where a view of a film is taken: rotation, zoom, stretch, shift, keystone and mirroring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Rotation, radians.
    angle: f32,
    /// The share of the film's side that the view shows, along its width and its height.
    shown: [f32; 2],
    /// How far the view's centre is from the film's, in film sides.
    shift: [f32; 2],
    /// The relative change of depth from edge to edge, along the width and the height.
    keystone: [f32; 2],
    mirrored: bool,
}

impl Geometry {
    /// The whole film as it is.
    pub const IDENTITY: Geometry =
        Geometry { angle: 0.0, shown: [1.0; 2], shift: [0.0; 2], keystone: [0.0; 2], mirrored: false };

    fn random(rng: &mut impl Rng) -> Self {
        let angle = rng.random_range(-12.0..12.0f32).to_radians();
        let shown = rng.random_range(0.72..1.08f32);
        let aspect = rng.random_range(0.9..1.1f32);
        let mirrored = !rng.random_bool(0.5);
        let slack = (1.0 - shown).abs() / 2.0 + 0.03;
        let shift = [rng.random_range(-slack..slack), rng.random_range(-slack..slack)];
        let keystone = [rng.random_range(-0.08..0.08f32), rng.random_range(-0.08..0.08f32)];
        Geometry { angle, shown: [shown * aspect, shown / aspect], shift, keystone, mirrored }
    }

    /// The place of the film that a place of the view shows. Places run over 0..=1 from the upper left; the film's may lie
    /// beyond.
    fn place_on_film(&self, u: f32, v: f32) -> (f32, f32) {
        let (sin, cos) = self.angle.sin_cos();
        let u = (u - 0.5) * if self.mirrored { -1.0 } else { 1.0 };
        let v = v - 0.5;
        let depth = 1.0 + self.keystone[0] * u + self.keystone[1] * v;
        let (u, v) = (u * self.shown[0] / depth, v * self.shown[1] / depth);
        (0.5 + self.shift[0] + cos * u - sin * v, 0.5 + self.shift[1] + sin * u + cos * v)
    }

    /// The view of `base` as `size` x `size` grays in 0..=1, row by row. What lies beyond the film has the gray `outside`.
    fn warp(&self, base: &GrayImage, size: usize, outside: f32) -> Vec<f32> {
        let (width, height) = (base.width() as f32, base.height() as f32);
        let centre = |pixel: usize| (pixel as f32 + 0.5) / size as f32;
        (0..size * size)
            .map(|pixel| self.place_on_film(centre(pixel % size), centre(pixel / size)))
            .map(|(x, y)| sample(base, x * width - 0.5, y * height - 0.5, outside))
            .collect()
    }

    /// How much of each cell of a `cells` x `cells` grid over the view is white in a mask of the film (of any size), row
    /// by row, 0..=1. What lies beyond the film counts as black.
    pub fn coverage(&self, mask: &GrayImage, cells: usize) -> Vec<f32> {
        /// How many places are looked at along each side of a cell.
        const FINENESS: usize = 4;
        let fine = self.warp(mask, cells * FINENESS, 0.0);
        let mut coverage = vec![0.0; cells * cells];
        for (index, value) in fine.into_iter().enumerate() {
            let (row, column) = (index / (cells * FINENESS) / FINENESS, index % (cells * FINENESS) / FINENESS);
            coverage[row * cells + column] += value / (FINENESS * FINENESS) as f32;
        }
        coverage
    }
}

/// The gray at a place given in pixels, interpolated bilinearly, 0..=1; `outside` beyond the picture.
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

/// Changes gamma, contrast and brightness at random.
fn expose(gray: &mut [f32], rng: &mut impl Rng) {
    let gamma = rng.random_range(-0.5..0.5f32).exp();
    let contrast = rng.random_range(0.7..1.35f32);
    let brightness = rng.random_range(-0.12..0.12f32);
    for value in gray {
        *value = (value.max(0.0).powf(gamma) - 0.5) * contrast + 0.5 + brightness;
    }
}

/// Lays a linear gradient of light over the view, as an unevenly lit panel does.
fn shade(gray: &mut [f32], size: usize, rng: &mut impl Rng) {
    let slope = [rng.random_range(-0.25..0.25f32), rng.random_range(-0.25..0.25f32)];
    for (index, value) in gray.iter_mut().enumerate() {
        let u = (index % size) as f32 / size as f32 - 0.5;
        let v = (index / size) as f32 / size as f32 - 0.5;
        *value *= 1.0 + slope[0] * u + slope[1] * v;
    }
}

/// The view blurred by a 3 x 3 box up to three times, or sharpened by it once.
fn soften(gray: &[f32], size: usize, rng: &mut impl Rng) -> Vec<f32> {
    // A positive amount blurs, a negative one sharpens.
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

/// Draws a frame of one gray on up to four sides, as scanners, screens and figures have.
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

/// Draws one to three rectangles of one gray each, as markers and stickers leave.
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
        let base = base(&film, 64);
        let view = |seed| random_view(&base, 64, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(view(1), view(1));
        assert_ne!(view(1), view(2));
        assert_eq!(view(1).0.dimensions(), (64, 64));
    }

    #[test]
    fn borrowed_grays_are_the_other_pictures_and_keep_their_order() {
        let mut picture = GrayImage::from_fn(64, 64, |x, y| Luma([(x + y) as u8]));
        let ramp = picture.clone();
        let other = GrayImage::from_fn(40, 10, |x, _| Luma([if x < 10 { 20 } else { 200 + x as u8 }]));
        borrow_grays(&mut picture, &other);
        let dark = picture.iter().filter(|gray| **gray == 20).count() as f32 / 4096.0;
        assert!((dark - 0.25).abs() < 0.02, "{dark}");
        assert!(picture.iter().all(|gray| *gray == 20 || (210..240).contains(gray)));
        let mut pairs: Vec<(u8, u8)> = ramp.iter().copied().zip(picture.iter().copied()).collect();
        pairs.sort_unstable();
        assert!(pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1));

        let mut same = ramp.clone();
        borrow_grays(&mut same, &ramp);
        assert_eq!(same, ramp);
    }

    #[test]
    fn a_coarse_picture_keeps_its_size_and_mean_and_loses_detail() {
        let picture = GrayImage::from_fn(90, 60, |x, _| Luma([if x % 2 == 0 { 50 } else { 150 }]));
        let coarse = coarse(&picture, &mut ChaCha8Rng::seed_from_u64(5));
        assert_eq!(coarse.dimensions(), (90, 60));
        let mean = |picture: &GrayImage| picture.iter().map(|gray| f32::from(*gray)).sum::<f32>() / 5400.0;
        assert!((mean(&coarse) - 100.0).abs() < 3.0, "{}", mean(&coarse));
        let range = |picture: &GrayImage| picture.iter().max().unwrap() - picture.iter().min().unwrap();
        assert!(range(&coarse) < range(&picture), "{}", range(&coarse));
    }

    /// The mask is white where the film is bright, so both are seen in the same cells.
    #[test]
    fn a_mask_moves_with_its_film() {
        let film = GrayImage::from_fn(120, 120, |x, y| Luma([if x < 40 && y < 60 { 255 } else { 0 }]));
        for seed in 0..20 {
            let geometry = Geometry::random(&mut ChaCha8Rng::seed_from_u64(seed));
            let view = geometry.warp(&film, 64, 0.0);
            let coverage = geometry.coverage(&film, 4);
            for (cell, covered) in coverage.into_iter().enumerate() {
                let (top, left) = (cell / 4 * 16, cell % 4 * 16);
                let bright: f32 = (top..top + 16).flat_map(|y| &view[y * 64 + left..y * 64 + left + 16]).sum();
                assert!((bright / 256.0 - covered).abs() < 0.1, "seed {seed}, cell {cell}: {covered}");
            }
        }
        let whole = Geometry::IDENTITY.coverage(&film, 3);
        assert!(whole[0] > 0.9 && whole[6] < 0.1 && whole[2] < 0.1, "{whole:?}");
    }
}
