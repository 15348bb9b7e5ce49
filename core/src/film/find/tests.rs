use image::GrayImage;
use proptest::prelude::*;

use super::*;
use crate::film::scenes::{Scene, scenes};

/// A corner counts as found within this share of the frame's diagonal.
const TOLERANCE: f64 = 0.01;

fn found_within_tolerance(scene: &Scene, target: Target) -> Result<(), TestCaseError> {
    let plane = Plane::reduced(&scene.draw(), 1);
    for eager in [false, true] {
        let Some(found) = find(&plane, target, eager) else {
            return Err(TestCaseError::fail(format!("nothing was found, eager {eager}")));
        };
        let diagonal = f64::from(scene.width).hypot(f64::from(scene.height));
        let error = scene.corner_error(&found.corners) / diagonal;
        prop_assert!(error < TOLERANCE, "eager {eager}: {error} of the diagonal");
    }
    Ok(())
}

/// The larger of the differences between the slopes of opposite sides.
fn convergence([top_left, top_right, bottom_right, bottom_left]: &Quad) -> f64 {
    let slope = |a: &Point, b: &Point, along: usize| (b[1 - along] - a[1 - along]) / (b[along] - a[along]);
    let rows = slope(top_left, top_right, 0) - slope(bottom_left, bottom_right, 0);
    let columns = slope(top_left, bottom_left, 1) - slope(top_right, bottom_right, 1);
    rows.abs().max(columns.abs())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_darker_film_on_a_bright_panel_is_found(scene in scenes(170.0..240.0f64, 40.0..110.0f64)) {
        found_within_tolerance(&scene, Target::Film)?;
    }

    /// The surround is brighter than 8 gray levels, for what is blacker counts as the padding of a digital film. Sides that
    /// converge more than a photograph's count as the patient's outline.
    #[test]
    fn a_lit_screen_in_a_dark_room_is_found(scene in scenes(14.0..30.0f64, 130.0..220.0f64)) {
        prop_assume!(convergence(&scene.corners) < f64::from(MAX_SCREEN_CONVERGENCE) - 0.01);
        let eager_only = Plane::reduced(&scene.draw(), 1);
        let quad = find(&eager_only, Target::Screen, true);
        prop_assert!(quad.is_some(), "nothing was found");
        let diagonal = f64::from(scene.width).hypot(f64::from(scene.height));
        let error = scene.corner_error(&quad.unwrap().corners) / diagonal;
        prop_assert!(error < TOLERANCE, "{error} of the diagonal");
    }

    /// A film is never taken for a screen, nor a screen for a film.
    #[test]
    fn the_polarity_decides(film in scenes(170.0..240.0f64, 40.0..110.0f64), screen in scenes(14.0..30.0f64, 130.0..220.0f64)) {
        for (scene, other) in [(film, Target::Screen), (screen, Target::Film)] {
            prop_assert_eq!(find(&Plane::reduced(&scene.draw(), 1), other, false), None);
        }
    }

    /// A rail over one side, or a panel that ends with the film at one side or two.
    #[test]
    fn a_film_is_found_where_a_rail_or_housing_covers_its_edge(
        scene in scenes(170.0..240.0f64, 40.0..110.0f64),
        side in 0..4usize,
        second in proptest::option::of(1..3usize),
        reach in 0.0..12.0f64,
        gray in 10..60u8,
    ) {
        let mut sides = [false; 4];
        sides[side] = true;
        if let Some(further) = second {
            sides[(side + further) % 4] = true;
        }
        let (frame, scene) = scene.held(sides, reach, gray);
        let plane = Plane::reduced(&frame, 1);
        for eager in [false, true] {
            let Some(found) = find(&plane, Target::Film, eager) else {
                return Err(TestCaseError::fail(format!("nothing was found, eager {eager}, {sides:?}")));
            };
            prop_assert_eq!(found.rims, sides);
            prop_assert!(!found.several);
            let error = scene.corner_error(&found.corners) / f64::from(scene.width).hypot(f64::from(scene.height));
            prop_assert!(error < 2.0 * TOLERANCE, "eager {eager}: {error} of the diagonal");
        }
        prop_assert_eq!(find(&plane, Target::Screen, false), None, "the panel is no screen");
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
                if let Some(Found { corners: quad, .. }) = find(&plane, target, eager) {
                    prop_assert!(quad.iter().flatten().all(|value| value.is_finite()));
                    prop_assert!(lies_within(&plane, &quad));
                }
            }
        }
    }
}

#[test]
fn two_films_beside_each_other_are_noticed() {
    // Left to right and one above the other, on a panel of 220.
    for turned in [false, true] {
        let frame = GrayImage::from_fn(400, 400, |x, y| {
            let (x, y) = if turned { (y, x) } else { (x, y) };
            let is_film = (60..340).contains(&y) && ((20..190).contains(&x) || (215..380).contains(&x));
            image::Luma([if is_film { 60 + (x % 40 + y % 30) as u8 } else { 220 }])
        });
        assert!(find(&Plane::reduced(&frame, 1), Target::Film, true).is_some_and(|found| found.several), "{turned}");
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
