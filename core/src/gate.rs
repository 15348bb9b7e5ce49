//! The quality gate: what is measured on a plate before the network sees it, and what is refused.
//!
//! The limits lie well outside what real films show. Measured on the 1,029 digital films of the training and
//! validation splits, sharpness on the 317 of the test split, too. Of these 1,346 films 3 are refused, all as too small
//! (156 and 157 pixels).

use image::GrayImage;
use image::imageops::{self, FilterType};
use serde::Serialize;

use crate::film::Outline;
use crate::gray::percentile;
use crate::reason::Reason;

/// Least shorter side, pixels. The network sees 224 or less.
const MIN_SIDE: f32 = 160.0;
/// Least mean gray. The darkest of the films has 0.18.
const MIN_MEAN: f32 = 0.08;
/// Most pixels at white. The worst of the films has 0.15.
const MAX_WHITE: f32 = 0.35;
/// Least contrast. The faintest of the films has 0.22.
const MIN_CONTRAST: f32 = 0.1;
/// Least sharpness. The softest of the films has 0.82. Blurred with a Gaussian at 640 pixels, 95 % of 79 validation films
/// come below the limit at a standard deviation of 3 pixels and all but a few (which have hard-edged letters or
/// frames) from 4 pixels on.
const MIN_SHARPNESS: f32 = 0.75;
/// Longest side of the copy on which sharpness is measured, pixels: about the network's input, so that detail counts
/// that the network can see, and noise of single pixels does not.
const SHARPNESS_SIDE: u32 = 256;

/// Measures of a plate.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    /// Shorter side of the film as photographed, pixels of the frame (of the plate, if that is smaller).
    pub shorter_side: f32,
    /// Mean gray, 0 black to 1 white.
    pub mean: f32,
    /// Distance of the 2nd and the 98th percentile of gray, 0..=1.
    pub contrast: f32,
    /// Share of pixels at white (254 and 255), 0..=1.
    pub clipped_white: f32,
    /// Share of pixels at black (0 and 1), 0..=1. Air beside the patient is black on good films: not judged.
    pub clipped_black: f32,
    /// Standard deviation of the Laplacian over that of the gradient, of the plate reduced to 256 pixels: how much of
    /// the detail is fine (the variance of the Laplacian of J. Pech-Pacheco et al., ICPR 2000, made independent of
    /// contrast). About 1.4 for a film in focus. Sensor noise passes for detail.
    pub sharpness: f32,
}

/// Measures a plate. `outline` tells how large the film was in the frame. The plate must have a pixel.
pub fn assess(film: &GrayImage, outline: &Outline) -> Quality {
    let pixels = film.as_raw();
    let share = |count: usize| count as f32 / pixels.len() as f32;
    let side = |a: usize, b: usize| {
        let ([ax, ay], [bx, by]) = (outline.corners[a], outline.corners[b]);
        (ax - bx).hypot(ay - by)
    };
    let sides = [side(0, 1), side(1, 2), side(2, 3), side(3, 0)];
    let shortest = sides.into_iter().fold(film.width().min(film.height()) as f32, f32::min);
    Quality {
        shorter_side: shortest,
        mean: pixels.iter().map(|&gray| f64::from(gray)).sum::<f64>() as f32 / 255.0 / pixels.len() as f32,
        contrast: f32::from(percentile(pixels, 98.0) - percentile(pixels, 2.0)) / 255.0,
        clipped_white: share(pixels.iter().filter(|&&gray| gray >= 254).count()),
        clipped_black: share(pixels.iter().filter(|&&gray| gray <= 1).count()),
        sharpness: sharpness(film),
    }
}

impl Quality {
    /// Every reason to refuse the plate; none if it may go to the network.
    pub fn refusals(&self) -> Vec<Reason> {
        let blank = self.contrast < MIN_CONTRAST;
        [
            (self.shorter_side < MIN_SIDE, Reason::TooSmall),
            (self.mean < MIN_MEAN, Reason::TooDark),
            (self.clipped_white > MAX_WHITE, Reason::Overexposed),
            (blank, Reason::NoContrast),
            // A blank plate has no detail to be sharp.
            (!blank && self.sharpness < MIN_SHARPNESS, Reason::Blurred),
        ]
        .into_iter()
        .filter_map(|(refused, reason)| refused.then_some(reason))
        .collect()
    }
}

/// See [`Quality::sharpness`]; 0 for a plate without any gradient, or of fewer than 3 x 3 pixels when it is reduced.
fn sharpness(film: &GrayImage) -> f32 {
    let scale = f64::from(SHARPNESS_SIDE) / f64::from(film.width().max(film.height()));
    let side = |length: u32| ((f64::from(length) * scale.min(1.0)).round() as u32).max(1);
    let (width, height) = (side(film.width()), side(film.height()));
    if width.min(height) < 3 {
        // Nothing could be measured, and to reduce such a strip takes 16 bytes for each pixel of its length.
        return 0.0;
    }
    let small = imageops::resize(film, width, height, FilterType::Triangle);
    let gray = |x: u32, y: u32| f64::from(small.get_pixel(x, y).0[0]);
    let (mut laplacian, mut gradient) = (0.0, 0.0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let (left, right, above, below) = (gray(x - 1, y), gray(x + 1, y), gray(x, y - 1), gray(x, y + 1));
            laplacian += (left + right + above + below - 4.0 * gray(x, y)).powi(2);
            gradient += (right - left).powi(2) / 4.0 + (below - above).powi(2) / 4.0;
        }
    }
    if gradient > 0.0 { (laplacian / gradient).sqrt() as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;
