//! The camera's sensor: photosites behind a mosaic of colours (B. Bayer, US patent 3971065, 1976), their noise and
//! saturation, and the picture that is made of them.

use image::{Rgb, RgbImage};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Electrons that saturate a photosite. The fewer they are, the more shot noise there is. At level 0 there is no noise.
pub const FULL_WELL: [f64; 5] = [f64::INFINITY, 9_000.0, 5_000.0, 2_500.0, 1_000.0];
/// Read noise, electrons.
const READ_NOISE: f64 = 6.0;

/// The colour that a photosite sees, 0 red to 2 blue. Rows of red and green alternate with rows of green and blue.
fn colour_at(x: usize, y: usize) -> usize {
    x % 2 + y % 2
}

/// The signals of all photosites, 0..=1, row by row. `light` gives what arrives at a column and row in a colour, where 1
/// saturates. `full_well` electrons saturate a photosite and decide the noise.
pub fn expose(
    width: usize,
    height: usize,
    full_well: f64,
    rng: &mut ChaCha8Rng,
    light: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f32> {
    let (mut sites, electron) = (Vec::with_capacity(width * height), 1.0 / full_well);
    for y in 0..height {
        for x in 0..width {
            let light = light(x, y, colour_at(x, y));
            let noise = (light * electron + (READ_NOISE * electron).powi(2)).sqrt();
            sites.push((light + noise * normal(rng)).clamp(0.0, 1.0) as f32);
        }
    }
    sites
}

/// The picture that the photosites' signals make. A colour that a photosite does not see is the mean of those around it
/// that do. Colours are coded by the sRGB curve.
pub fn develop(sites: &[f32], width: usize) -> RgbImage {
    let height = sites.len() / width;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let (x, y) = (x as usize, y as usize);
        let (mut sums, mut counts) = ([0.0; 3], [0.0; 3]);
        for y in y.saturating_sub(1)..(y + 2).min(height) {
            for x in x.saturating_sub(1)..(x + 2).min(width) {
                sums[colour_at(x, y)] += sites[y * width + x];
                counts[colour_at(x, y)] += 1.0;
            }
        }
        let own = colour_at(x, y);
        (sums[own], counts[own]) = (sites[y * width + x], 1.0);
        Rgb(std::array::from_fn(|c| (255.0 * srgb(sums[c] / counts[c])).round() as u8))
    })
}

/// The sRGB curve (IEC 61966-2-1), linear 0..=1 to encoded 0..=1.
fn srgb(linear: f32) -> f32 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// A random number of the standard normal distribution (G. Box, M. Muller, 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::f64::consts::TAU;

    #[test]
    fn the_noise_is_that_of_the_electrons() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sites = expose(200, 200, 1_000.0, &mut rng, |_, _, _| 0.25);
        let mean = sites.iter().sum::<f32>() / 40_000.0;
        let deviation = (sites.iter().map(|site| (site - mean).powi(2)).sum::<f32>() / 40_000.0).sqrt();
        let expected = (250f32 + 36.0).sqrt() / 1_000.0;
        assert!((mean - 0.25).abs() < 1e-3 && (deviation / expected - 1.0).abs() < 0.05, "{mean} {deviation}");
    }

    /// A grid of 0.9 cycles a pixel against the pixels: 0.1 cycles a pixel, and nothing of its own without a grid.
    #[test]
    fn a_grid_beats_against_the_photosites() {
        let beat = |depth: f64| {
            let grid = |x: usize, _: usize, _: usize| 0.3 * (1.0 + depth * (TAU * 0.9 * x as f64).cos());
            let sites = expose(200, 8, f64::INFINITY, &mut ChaCha8Rng::seed_from_u64(1), grid);
            let row: Vec<f64> = develop(&sites, 200).rows().nth(4).unwrap().map(|pixel| f64::from(pixel[1])).collect();
            // Amplitudes at 1 to 99 cycles a row.
            let amplitude = |cycles: usize| {
                let wave = |turn: f64| {
                    let at = |(x, gray): (usize, &f64)| gray * (TAU * (cycles as f64 * x as f64 / 200.0 + turn)).cos();
                    row.iter().enumerate().map(at).sum::<f64>() / 100.0
                };
                wave(0.0).hypot(wave(0.25))
            };
            let strongest = (1..100).max_by(|a, b| amplitude(*a).total_cmp(&amplitude(*b))).unwrap();
            (strongest, amplitude(strongest))
        };
        let (cycles, amplitude) = beat(0.2);
        assert!(cycles == 20 && amplitude > 5.0, "{amplitude} at {cycles} cycles in 200 pixels");
        assert!(beat(0.0).1 < 1e-6);
    }
}
