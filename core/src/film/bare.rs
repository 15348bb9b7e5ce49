//! How much of a picture is bare light-box panel: bright, and without texture.

use image::GrayImage;

use super::plane::Plane;

/// Longest side of the copy that is looked at, pixels. The noise of single pixels is averaged away in it.
const SIDE: usize = 128;
/// A bright pixel has at least this share of the picture's bright level (98th percentile).
const BRIGHT: f32 = 0.5;
/// The most by which a panel's gray changes from one pixel of the copy to the next, as a share of it.
const CHANGE: f32 = 0.02;

/// Share of the bright part of a picture that has no texture, 0..=1. A light box without a film has little else, and a film
/// has texture wherever it is bright.
pub fn bare_share(picture: &GrayImage) -> f32 {
    let longest = picture.width().max(picture.height()) as usize;
    let plane = Plane::reduced(picture, longest.div_ceil(SIDE).max(1));
    let bright_level = BRIGHT * plane.percentile(98.0);
    let (mut bright, mut bare) = (0u32, 0u32);
    for y in 1..plane.height.saturating_sub(1) {
        for x in 1..plane.width.saturating_sub(1) {
            let gray = plane.values[y * plane.width + x];
            if gray >= bright_level {
                let [across, down] = plane.gradient(x, y);
                bright += 1;
                bare += u32::from(across.hypot(down) <= CHANGE * gray);
            }
        }
    }
    bare as f32 / bright.max(1) as f32
}

#[cfg(test)]
mod tests {
    use image::Luma;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// A panel between dark housings whose light falls off by up to a half is bare.
        #[test]
        fn a_panel_without_a_film_is_bare(fall in 0.0..0.5f64, housing in 0..60u8, begin in 20..120u32) {
            let picture = GrayImage::from_fn(600, 450, |x, y| {
                let (u, v) = (f64::from(x) / 600.0 - 0.4, f64::from(y) / 450.0 - 0.5);
                let light = 230.0 * (1.0 - fall * (u * u + v * v));
                Luma([if (begin..560).contains(&x) { light as u8 } else { housing }])
            });
            prop_assert!(bare_share(&picture) > 0.9, "{}", bare_share(&picture));
        }

        /// The share is one, whatever the picture.
        #[test]
        fn it_is_a_share(width in 0..200u32, height in 0..200u32, content in proptest::collection::vec(any::<u8>(), 97)) {
            let picture = GrayImage::from_fn(width, height, |x, y| Luma([content[(x * 5 + y * 13) as usize % 97]]));
            prop_assert!((0.0..=1.0).contains(&bare_share(&picture)));
        }
    }

    #[test]
    fn texture_is_not_bare() {
        let picture = GrayImage::from_fn(512, 512, |x, y| {
            let wave = (f64::from(x) / 20.0).sin() + (f64::from(y) / 24.0).cos();
            Luma([(150.0 + 30.0 * wave) as u8])
        });
        assert!(bare_share(&picture) < 0.3, "{}", bare_share(&picture));
    }
}
