use image::Luma;
use proptest::prelude::*;

use super::*;

/// The outline of a film that fills its frame.
fn whole(film: &GrayImage) -> Outline {
    let (width, height) = (film.width() as f32, film.height() as f32);
    Outline { found: true, corners: [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]] }
}

fn refusals(film: &GrayImage) -> Vec<Reason> {
    assess(film, &whole(film)).refusals()
}

/// Stripes of 4 pixels between two grays: sharp, and with the contrast of their difference.
fn stripes(side: u32, dark: u8, bright: u8) -> GrayImage {
    GrayImage::from_fn(side, side, |x, y| Luma([if (x / 4 + y / 4) % 2 == 0 { dark } else { bright }]))
}

proptest! {
    /// Every measure is a finite number in its documented range, whatever the film.
    #[test]
    fn measures_keep_their_ranges(width in 1..80u32, height in 1..80u32, content in proptest::collection::vec(any::<u8>(), 251)) {
        let film = GrayImage::from_fn(width, height, |x, y| Luma([content[(x as usize * 3 + y as usize * 11) % 251]]));
        let quality = assess(&film, &whole(&film));
        prop_assert_eq!(quality.shorter_side, width.min(height) as f32);
        for share in [quality.mean, quality.contrast, quality.clipped_white, quality.clipped_black] {
            prop_assert!((0.0..=1.0).contains(&share), "{quality:?}");
        }
        prop_assert!(quality.sharpness.is_finite() && quality.sharpness >= 0.0, "{quality:?}");
    }

    /// Contrast is measured, not judged by sharpness: scaling grays leaves the sharpness where it was.
    #[test]
    fn sharpness_does_not_depend_on_contrast(dark in 20..60u8, step in 60..90u8) {
        let (low, high) = (stripes(256, dark, dark + step), stripes(256, dark, dark + 2 * step));
        let (low, high) = (assess(&low, &whole(&low)), assess(&high, &whole(&high)));
        prop_assert!((low.sharpness - high.sharpness).abs() < 0.02, "{} and {}", low.sharpness, high.sharpness);
    }

    #[test]
    fn a_film_of_one_gray_has_no_contrast(gray in any::<u8>(), side in 160..300u32) {
        prop_assert!(refusals(&GrayImage::from_pixel(side, side, Luma([gray]))).contains(&Reason::NoContrast));
    }
}

#[test]
fn a_sharp_film_of_middle_grays_is_taken() {
    assert_eq!(refusals(&stripes(256, 60, 180)), []);
}

#[test]
fn each_limit_refuses_by_its_own_reason() {
    assert_eq!(refusals(&stripes(159, 60, 180)), [Reason::TooSmall]);
    assert_eq!(refusals(&stripes(256, 0, 36)), [Reason::TooDark]);
    assert_eq!(refusals(&stripes(256, 60, 255)), [Reason::Overexposed]);
    assert_eq!(refusals(&stripes(256, 120, 140)), [Reason::NoContrast]);
    let blurred = imageops::blur(&stripes(256, 60, 180), 1.5);
    let soft = GrayImage::from_fn(256, 256, |x, _| Luma([x as u8]));
    assert_eq!(refusals(&soft), [Reason::Blurred]);
    assert!(assess(&blurred, &whole(&blurred)).sharpness < assess(&stripes(256, 60, 180), &whole(&blurred)).sharpness);
}

#[test]
fn the_size_is_that_of_the_film_in_the_frame() {
    let film = stripes(256, 60, 180);
    let outline = Outline { found: true, corners: [[0.0, 0.0], [500.0, 0.0], [500.0, 120.0], [0.0, 120.0]] };
    assert_eq!(assess(&film, &outline).shorter_side, 120.0);
}
