//! From the rectified film (an upright gray picture of the film alone) to the network's input tensor.
//!
//! The trainer calls the same functions, so what is trained is what runs.

use image::GrayImage;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

use crate::gray::percentile;

/// How a rectified film becomes the network's input. It is part of a bundle's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Side of the square input, pixels.
    pub size: u32,
    /// Percentiles of the film's gray (0..=100) that become black (0.0) and white (1.0). Film photographs, screens and
    /// scanners differ in exposure; the stretch removes what exposure alone changes.
    pub stretch_percentiles: [f32; 2],
    /// Per-channel mean of gray in 0..=1. ImageNet's for DenseNet-121.
    pub mean: [f32; 3],
    /// Per-channel standard deviation of gray in 0..=1.
    pub std: [f32; 3],
}

impl InputSpec {
    /// The network's usual input: `size` x `size` pixels, ImageNet mean and standard deviation (torchvision's
    /// published values), gray stretched between the 0.5th and the 99.5th percentile.
    pub fn imagenet(size: u32) -> Self {
        InputSpec { size, stretch_percentiles: [0.5, 99.5], mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }
}

/// Resizes a rectified film to `size` x `size` (aspect ratio not kept, antialiased triangle filter) and stretches its gray
/// range as `spec` says. Returns `size * size` values in 0..=1, row by row, black first.
///
/// A film of one single gray becomes all 0.
///
/// # Panics
/// If the film has no pixel. [`crate::image_file`] never returns such a picture.
pub fn unit_gray(film: &GrayImage, spec: &InputSpec) -> Vec<f32> {
    assert!(film.width() > 0 && film.height() > 0, "a film without pixels");
    let resized = imageops::resize(film, spec.size, spec.size, FilterType::Triangle);
    stretch(resized.as_raw(), spec.stretch_percentiles)
}

/// The network's input: `3 * size * size` values in channel, row, column order, normalised by mean and standard
/// deviation. `unit_gray` is what [`unit_gray`] returns.
pub fn normalise(unit_gray: &[f32], spec: &InputSpec) -> Vec<f32> {
    let mut tensor = Vec::with_capacity(3 * unit_gray.len());
    for (mean, std) in spec.mean.iter().zip(spec.std) {
        tensor.extend(unit_gray.iter().map(|gray| (gray - mean) / std));
    }
    tensor
}

/// The whole path from a rectified film to the input tensor, `[3, size, size]`.
pub fn tensor(film: &GrayImage, spec: &InputSpec) -> Vec<f32> {
    normalise(&unit_gray(film, spec), spec)
}

/// Maps the gray at the lower percentile to 0 and at the upper to 1, linear between, clipped outside.
fn stretch(pixels: &[u8], percentiles: [f32; 2]) -> Vec<f32> {
    let [low, high] = percentiles.map(|p| f32::from(percentile(pixels, p)));
    let range = (high - low).max(1.0);
    pixels.iter().map(|&gray| ((f32::from(gray) - low) / range).clamp(0.0, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    #[test]
    fn exposure_does_not_change_the_tensor() {
        let film = GrayImage::from_fn(64, 48, |x, y| Luma([(x + y) as u8]));
        let brighter = GrayImage::from_fn(64, 48, |x, y| Luma([(60 + (x + y)) as u8]));
        let spec = InputSpec::imagenet(32);
        assert_eq!(tensor(&film, &spec), tensor(&brighter, &spec));
    }

    #[test]
    fn channels_are_gray_replicated_and_normalised() {
        let film = GrayImage::from_fn(32, 32, |x, _| Luma([(x * 8) as u8]));
        let spec = InputSpec::imagenet(32);
        let gray = unit_gray(&film, &spec);
        let tensor = tensor(&film, &spec);
        assert_eq!(tensor.len(), 3 * 32 * 32);
        for channel in 0..3 {
            for (index, gray) in gray.iter().enumerate() {
                let expected = (gray - spec.mean[channel]) / spec.std[channel];
                assert_eq!(tensor[channel * 1024 + index], expected);
            }
        }
    }

    #[test]
    fn a_single_gray_gives_finite_values() {
        let tensor = tensor(&GrayImage::from_pixel(5, 9, Luma([128])), &InputSpec::imagenet(16));
        assert!(tensor.iter().all(|value| value.is_finite()));
    }
}
