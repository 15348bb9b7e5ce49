//! The film sheet on a light box, or the film's picture on a screen: its size, its polarity and its gray values.

use image::{GrayImage, Luma};

use super::effects::{Choices, Effect, between};

/// Longer side of the film sheet, millimetres (35 cm x 43 cm sheets).
pub const LONG_MM: f64 = 430.0;

/// Largest departure of a negative's gamma from 1, as the exponent of e.
const NEGATIVE_GAMMA: [f64; 5] = [0.0, 0.0, 0.1, 0.2, 0.4];

/// The film in the polarity in which it is shown: as it is, or as a negative.
///
/// # Panics
/// If the film has no pixel.
pub fn polarized(film: &GrayImage, choices: &Choices) -> GrayImage {
    assert!(film.width() > 0 && film.height() > 0, "a film without pixels");
    if choices.effects.level(Effect::Inversion) == 0 {
        return film.clone();
    }
    let bend = choices.at(Effect::Inversion, &NEGATIVE_GAMMA);
    let gamma = between(&mut choices.of(Effect::Inversion), [-bend, bend]).exp();
    let negative: [u8; 256] =
        std::array::from_fn(|gray| (255.0 * (1.0 - gray as f64 / 255.0).powf(gamma)).round() as u8);
    GrayImage::from_fn(film.width(), film.height(), |x, y| Luma([negative[usize::from(film[(x, y)][0])]]))
}

/// Width and height of the sheet of a film, millimetres.
pub fn size_mm(film: &GrayImage) -> [f64; 2] {
    let (width, height) = (f64::from(film.width()), f64::from(film.height()));
    [width, height].map(|side| side * LONG_MM / width.max(height))
}

/// The radiance of each of the 256 gray values between black and white: black + (white - black) (gray / 255)^gamma.
pub fn radiances(white: f64, black: f64, gamma: f64) -> [f64; 256] {
    std::array::from_fn(|gray| black + (white - black) * (gray as f64 / 255.0).powf(gamma))
}

/// The radiance of the film at a place, bilinear between its pixels. `u` and `v` run over 0..=1 from the left and from the
/// top; `radiances` has one for each gray value.
pub fn lookup(film: &GrayImage, radiances: &[f64; 256], u: f64, v: f64) -> f64 {
    let clamp = |at: f64, length: u32| (at * f64::from(length) - 0.5).clamp(0.0, f64::from(length - 1));
    let (x, y) = (clamp(u, film.width()), clamp(v, film.height()));
    let (x0, y0) = (x as u32, y as u32);
    let (x1, y1) = ((x0 + 1).min(film.width() - 1), (y0 + 1).min(film.height() - 1));
    let (fx, fy) = (x - f64::from(x0), y - f64::from(y0));
    let value = |x: u32, y: u32| radiances[usize::from(film.get_pixel(x, y).0[0])];
    let above = value(x0, y0) * (1.0 - fx) + value(x1, y0) * fx;
    let below = value(x0, y1) * (1.0 - fx) + value(x1, y1) * fx;
    above * (1.0 - fy) + below * fy
}
