use image::{GrayImage, Luma};
use proptest::prelude::*;

use super::*;

/// A frame of 400 x 320 pixels with a film of gray 60 in its middle on a panel with a linear gradient.
fn lit_from_one_side(across: f64, down: f64) -> (Plane, Homography) {
    let film = Homography::from_unit_square(&[[100.0, 80.0], [300.0, 80.0], [300.0, 240.0], [100.0, 240.0]]).unwrap();
    let frame = GrayImage::from_fn(400, 320, |x, y| {
        if (100..300).contains(&x) && (80..240).contains(&y) {
            return Luma([60]);
        }
        let (u, v) = ((f64::from(x) + 0.5 - 200.0) / 200.0, (f64::from(y) + 0.5 - 160.0) / 160.0);
        Luma([(200.0 * (1.0 + across * u / 2.0 + down * v / 2.0)).round() as u8])
    });
    (Plane::reduced(&frame, 1), film)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_linear_gradient_is_measured(across in -0.25..0.25f64, down in -0.25..0.25f64) {
        let (plane, film) = lit_from_one_side(across, down);
        let light = PanelLight::measure(&plane, &film, [false; 4]);
        prop_assert_eq!(light.sides, 4);
        prop_assert!((light.mean - 200.0).abs() < 2.0, "mean {}", light.mean);
        prop_assert!(light.roughness < 0.01, "roughness {}", light.roughness);
        // The film covers the middle half of the frame, so its gradient is half of the frame's.
        for at in [[0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [1.0, 1.0]] {
            let truth = 1.0 + across * (at[0] - 0.5) / 2.0 + down * (at[1] - 0.5) / 2.0;
            let found = f64::from(light.relative(at));
            prop_assert!((found - truth).abs() < 0.02, "{found} instead of {truth} at {at:?}");
        }
    }

    #[test]
    fn light_stays_within_a_half_and_one_and_a_half(content in proptest::collection::vec(any::<u8>(), 256), u in -2.0..3.0f64, v in -2.0..3.0f64) {
        let frame = GrayImage::from_fn(64, 64, |x, y| Luma([content[(x as usize * 31 + y as usize * 17) % 256]]));
        let film = Homography::from_unit_square(&[[20.0, 20.0], [44.0, 20.0], [44.0, 44.0], [20.0, 44.0]]).unwrap();
        let light = PanelLight::measure(&Plane::reduced(&frame, 1), &film, [false; 4]).relative([u, v]);
        prop_assert!((0.5..=1.5).contains(&light), "{light}");
    }
}

#[test]
fn a_panel_that_is_not_seen_counts_as_even() {
    let film = Homography::from_unit_square(&[[0.0, 0.0], [64.0, 0.0], [64.0, 64.0], [0.0, 64.0]]).unwrap();
    let light = PanelLight::measure(&Plane::reduced(&GrayImage::from_pixel(64, 64, Luma([90])), 1), &film, [false; 4]);
    assert_eq!((light.sides, light.relative([0.2, 0.9])), (0, 1.0));
}

#[test]
fn least_squares_gives_back_the_polynomial() {
    let truth = [3.0, -1.0, 2.0, 0.5, -0.25, 1.5];
    let places = (0..5).flat_map(|i| (0..5).map(move |j| [f64::from(i) / 4.0, f64::from(j) / 4.0]));
    let samples: Vec<(Point, f64)> =
        places.map(|at| (at, truth.iter().zip(powers(at)).map(|(c, term)| c * term).sum())).collect();
    let found = least_squares(&samples, 6).unwrap();
    assert!(found.iter().zip(truth).all(|(found, truth)| (found - truth).abs() < 1e-9), "{found:?}");
    assert_eq!(least_squares(&samples[..2], 6), None, "two samples do not determine six coefficients");
    assert_eq!(least_squares(&samples, 0), None);
}
