//! Tests that the device finds films in simulated photographs, and that the simulator's corners are true.

use std::path::Path;

use image::{GrayImage, Luma};
use trainer::simulate::{Effects, Mount, Photograph, film_on_lightbox, mounted_film, screen};
use xray_triage_core::film::{Profile, rectify};
use xray_triage_core::image_file;

/// Stored digital films, and one drawn film of another shape.
fn films() -> Vec<GrayImage> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/films");
    let mut films: Vec<GrayImage> = ["nih_00001872_004", "nih_00002817_010", "nih_00003040_000", "nih_00005639_003"]
        .iter()
        .map(|name| image_file::read(&folder.join(format!("{name}.jpg"))).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    films.push(drawn_chest());
    films
}

/// A drawn film of 350 x 430 pixels: two dark lungs with ribs in a light body before black air.
fn drawn_chest() -> GrayImage {
    GrayImage::from_fn(350, 430, |x, y| {
        let (x, y) = (f64::from(x) / 350.0 - 0.5, f64::from(y) / 430.0 - 0.5);
        let body = x.abs() < 0.44 - 0.15 * (-y - 0.3).max(0.0);
        let lung = ((x.abs() - 0.21) / 0.15).powi(2) + ((y + 0.05) / 0.33).powi(2) < 1.0;
        let rib = ((y + 0.4 * x * x) * 55.0).sin() > 0.6;
        Luma([match (body, lung, rib) {
            (false, ..) => 8,
            (true, true, false) => 70,
            (true, true, true) => 105,
            (true, false, _) => 190,
        }])
    })
}

/// Largest distance of a found corner from the true one, as a share of the diagonal. `None` if no film was found, or if the
/// photograph was taken for one of another profile.
fn corner_error(photograph: &Photograph, profile: Profile) -> Option<f32> {
    let result = rectify(&photograph.clone().into_gray(), None);
    (result.outline.found && result.profile == profile).then(|| photograph.corner_error(&result.outline.corners))
}

#[test]
fn films_on_a_light_box_are_found() {
    for level in 1..=3 {
        let films = films();
        let errors: Vec<_> = (0..15)
            .map(|seed| {
                let photograph =
                    film_on_lightbox(&films[seed as usize % films.len()], &Effects::all(level), 1_000 + seed);
                corner_error(&photograph, Profile::Film)
            })
            .collect();
        let good = errors.iter().filter(|error| error.is_some_and(|error| error <= 0.015)).count();
        assert!(good >= 14, "level {level}: {good} of 15 within 1.5 % of the diagonal: {errors:?}");
    }
}

#[test]
fn there_is_no_film_on_an_empty_light_box() {
    let mount = Mount { empty: true, ..Mount::default() };
    for seed in 0..12 {
        let photograph = mounted_film(&drawn_chest(), &Effects::all(1 + seed as u8 % 3), seed, &mount).into_gray();
        for wanted in [None, Some(Profile::Film), Some(Profile::Screen)] {
            assert!(!rectify(&photograph, wanted).has_film(), "seed {seed}, {wanted:?}");
        }
    }
}

#[test]
fn screens_are_never_taken_for_light_boxes() {
    for (seed, film) in films().iter().enumerate() {
        for level in 1..=3 {
            let photograph = screen(film, &Effects::all(level), seed as u64);
            assert_eq!(corner_error(&photograph, Profile::Film), None, "level {level}, film {seed}");
        }
    }
}

#[test]
fn the_true_corners_are_where_the_film_ends() {
    // A black film: just inside each corner it is dark, just outside the panel shines.
    let film = GrayImage::from_pixel(300, 300, Luma([0]));
    for seed in 0..5 {
        let Photograph { photo, corners, .. } = film_on_lightbox(&film, &Effects::all(1), seed);
        let middle = [0, 1].map(|i| corners.iter().map(|p| p[i]).sum::<f32>() / 4.0);
        let gray = |corner: [f32; 2], reach: f32| {
            let [x, y] = [0, 1].map(|i| (middle[i] + (corner[i] - middle[i]) * reach) as u32);
            photo[(x, y)].0[1]
        };
        // The upper corners may be under a clip.
        for corner in [corners[2], corners[3]] {
            assert!(gray(corner, 1.02) > 120, "seed {seed}: panel of {}", gray(corner, 1.02));
            assert!(gray(corner, 0.94) < 70, "seed {seed}: film of {}", gray(corner, 0.94));
        }
    }
}
