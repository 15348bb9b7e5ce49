use image::GrayImage;
use proptest::prelude::*;

use super::*;
use crate::film::scenes::{Scene, scenes};

/// A corner counts as found within this share of the frame's diagonal.
const TOLERANCE: f64 = 0.01;

fn found_within_tolerance(scene: &Scene, target: Target) -> Result<(), TestCaseError> {
    let plane = Plane::reduced(&scene.draw(), 1);
    for eager in [false, true] {
        let Some(quad) = find(&plane, target, eager) else {
            return Err(TestCaseError::fail(format!("nothing was found, eager {eager}")));
        };
        let diagonal = f64::from(scene.width).hypot(f64::from(scene.height));
        let error = scene.corner_error(&quad) / diagonal;
        prop_assert!(error < TOLERANCE, "eager {eager}: {error} of the diagonal");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_darker_film_on_a_bright_panel_is_found(scene in scenes(170.0..240.0f64, 40.0..110.0f64)) {
        found_within_tolerance(&scene, Target::Film)?;
    }

    /// The surround is brighter than 8 gray levels, for what is blacker counts as the padding of a digital film.
    #[test]
    fn a_lit_screen_in_a_dark_room_is_found(scene in scenes(14.0..30.0f64, 130.0..220.0f64)) {
        let eager_only = Plane::reduced(&scene.draw(), 1);
        let quad = find(&eager_only, Target::Screen, true);
        prop_assert!(quad.is_some(), "nothing was found");
        let diagonal = f64::from(scene.width).hypot(f64::from(scene.height));
        let error = scene.corner_error(&quad.unwrap()) / diagonal;
        prop_assert!(error < TOLERANCE, "{error} of the diagonal");
    }

    /// A film is never taken for a screen, nor a screen for a film.
    #[test]
    fn the_polarity_decides(film in scenes(170.0..240.0f64, 40.0..110.0f64), screen in scenes(14.0..30.0f64, 130.0..220.0f64)) {
        for (scene, other) in [(film, Target::Screen), (screen, Target::Film)] {
            prop_assert_eq!(find(&Plane::reduced(&scene.draw(), 1), other, false), None);
        }
    }

    /// Frames of any size and content give corners that are finite and near the frame, or nothing.
    #[test]
    fn any_frame_gives_a_sane_answer(
        width in 1..90u32,
        height in 1..90u32,
        content in proptest::collection::vec(any::<u8>(), 64),
        period in 1..64usize,
    ) {
        let frame = GrayImage::from_fn(width, height, |x, y| {
            image::Luma([content[(x as usize * 7 + y as usize * period) % content.len()]])
        });
        let plane = Plane::reduced(&frame, 1);
        for target in [Target::Film, Target::Screen] {
            for eager in [false, true] {
                if let Some(quad) = find(&plane, target, eager) {
                    prop_assert!(quad.iter().flatten().all(|value| value.is_finite()));
                    prop_assert!(lies_within(&plane, &quad));
                }
            }
        }
    }
}

#[test]
fn an_even_frame_has_nothing_to_find() {
    for gray in [0, 128, 255] {
        let plane = Plane::reduced(&GrayImage::from_pixel(200, 160, image::Luma([gray])), 1);
        for target in [Target::Film, Target::Screen] {
            assert_eq!(find(&plane, target, true), None);
        }
    }
}

#[test]
fn the_steepest_place_is_found_between_pixels() {
    // A ramp edge: dark up to 49.25, bright from 51.25 on, so that its middle is at 50.25.
    let frame = GrayImage::from_fn(100, 20, |x, _| {
        let share = (f64::from(x) + 0.5 - 49.25) / 2.0;
        image::Luma([(50.0 + 150.0 * share.clamp(0.0, 1.0)).round() as u8])
    });
    let plane = Plane::reduced(&frame, 1);
    for start in [48.0, 50.0, 52.0] {
        let shift = steepest(&plane, [start, 10.0], [1.0, 0.0], 1.0).unwrap();
        assert!((start + shift - 50.25).abs() < 0.3, "from {start}: {}", start + shift);
        assert_eq!(steepest(&plane, [start, 10.0], [1.0, 0.0], -1.0), None, "there is no fall");
    }
}

#[test]
fn the_tilt_of_a_quadrilateral_is_its_steepest_side() {
    assert_eq!(tilt(&[[0.0, 0.0], [100.0, 0.0], [100.0, 80.0], [0.0, 80.0]]), 0.0);
    assert!((tilt(&[[0.0, 0.0], [100.0, 5.0], [100.0, 80.0], [0.0, 80.0]]) - 0.05).abs() < 1e-12);
}
