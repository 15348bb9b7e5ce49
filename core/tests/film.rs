//! The film path on stored films and photographs: finding, rectifying, gate. `films/README.md` says where they come
//! from.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, imageops};
use xray_triage_core::film::{Homography, Profile, rectify};
use xray_triage_core::gate::assess;
use xray_triage_core::image_file;
use xray_triage_core::reason::Reason;

const DIGITAL: [&str; 6] = [
    "nih_00001872_004",
    "nih_00002102_000",
    "nih_00002817_010",
    "nih_00003040_000",
    "nih_00005639_003",
    "nih_00008727_009",
];

fn stored(name: &str) -> GrayImage {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/films").join(format!("{name}.jpg"));
    image_file::read(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// Largest distance of a found corner from the true one, share of the frame's diagonal.
fn corner_error(frame: &GrayImage, found: &[[f32; 2]; 4], truth: &[[f32; 2]; 4]) -> f32 {
    let diagonal = (frame.width() as f32).hypot(frame.height() as f32);
    let distance = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] - b[0]).hypot(a[1] - b[1]);
    found.iter().zip(truth).map(distance).fold(0.0, f32::max) / diagonal
}

#[test]
fn digital_films_pass_untouched() {
    for name in DIGITAL {
        let frame = stored(name);
        for wanted in [None, Some(Profile::Digital)] {
            let result = rectify(&frame, wanted);
            assert!(!result.outline.found, "{name}: {:?}", result.outline);
            assert_eq!(result.profile, Profile::Digital);
            assert!(result.film == frame, "{name} was changed");
        }
    }
}

#[test]
fn digital_films_pass_the_gate_and_spoilt_ones_do_not() {
    let refusals = |film: &GrayImage| assess(film, &rectify(film, Some(Profile::Digital)).outline).refusals();
    for name in DIGITAL {
        let film = stored(name);
        assert_eq!(refusals(&film), [], "{name}");
        let map =
            |f: fn(u8) -> u8| GrayImage::from_fn(film.width(), film.height(), |x, y| Luma([f(film[(x, y)].0[0])]));
        assert_eq!(refusals(&imageops::blur(&film, 6.0)), [Reason::Blurred], "{name}");
        assert_eq!(refusals(&imageops::thumbnail(&film, 150, 150)), [Reason::TooSmall], "{name}");
        assert!(refusals(&map(|gray| gray / 16)).contains(&Reason::TooDark), "{name}");
        assert!(refusals(&map(|gray| gray.saturating_mul(4))).contains(&Reason::Overexposed), "{name}");
        assert!(refusals(&map(|gray| 120 + gray / 16)).contains(&Reason::NoContrast), "{name}");
    }
}
/// Stored photographs with the true corners that the simulation gave.
const PHOTOS: [(&str, Profile, [[f32; 2]; 4]); 3] = [
    ("film-photo-nih_00002102_000", Profile::Film, [[220.8, 451.6], [997.8, 383.5], [1042.0, 1175.3], [277.0, 1205.4]]),
    (
        "film-photo-nih_00008727_009",
        Profile::Film,
        [[342.9, 256.5], [1205.8, 156.3], [1355.8, 1041.1], [415.2, 1163.0]],
    ),
    (
        "screen-photo-nih_00001872_004",
        Profile::Screen,
        [[316.3, 156.9], [1172.6, 160.5], [1182.7, 998.7], [332.0, 1028.4]],
    ),
];

#[test]
fn photographs_are_recognised_and_their_corners_found() {
    for (name, profile, truth) in PHOTOS {
        let frame = stored(name);
        for wanted in [None, Some(profile)] {
            let result = rectify(&frame, wanted);
            assert!(result.outline.found && result.profile == profile, "{name}: {:?}", result.profile);
            let error = corner_error(&frame, &result.outline.corners, &truth);
            // Where a screen's picture is black at its rim, its side is the lit part's.
            let limit = if profile == Profile::Film { 0.005 } else { 0.04 };
            assert!(error < limit, "{name}: {error} of the diagonal");
            assert_eq!(assess(&result.film, &result.outline).refusals(), [], "{name}");
        }
        assert!(rectify(&frame, Some(Profile::Digital)).film == frame);
    }
}

#[test]
fn the_rectified_film_is_the_one_that_was_photographed() {
    for (name, ..) in PHOTOS {
        let rectified = rectify(&stored(name), None).film;
        let (_, film) = name.split_once("-photo-").unwrap();
        let film = stored(film);
        // The simulation adds a border of up to 6 of 430 mm, clips and glare: compare at 32 x 32, without the rim.
        let [rectified, film] = [rectified, film].map(|picture| imageops::resize(&picture, 32, 32, imageops::Triangle));
        let pairs = (2..30).flat_map(|y| (2..30).map(move |x| (x, y)));
        let pairs: Vec<[f64; 2]> = pairs.map(|at| [f64::from(rectified[at].0[0]), f64::from(film[at].0[0])]).collect();
        let correlation = correlation(&pairs);
        assert!(correlation > 0.9, "{name}: correlation {correlation}");
    }
}

/// Pearson's correlation coefficient.
fn correlation(pairs: &[[f64; 2]]) -> f64 {
    let mean = [0, 1].map(|i| pairs.iter().map(|pair| pair[i]).sum::<f64>() / pairs.len() as f64);
    let moment = |i: usize, j: usize| pairs.iter().map(|p| (p[i] - mean[i]) * (p[j] - mean[j])).sum::<f64>();
    moment(0, 1) / (moment(0, 0) * moment(1, 1)).sqrt()
}

#[test]
fn what_the_panel_lights_unevenly_becomes_even() {
    // A tilted film that is a ramp from left to right, on a panel twice as bright in one corner as in the opposite one.
    let corners = [[151.0, 112.0], [643.0, 81.0], [668.0, 521.0], [128.0, 498.0]];
    let to_film = Homography::from_unit_square(&corners).unwrap().inverse();
    let frame = GrayImage::from_fn(800, 600, |x, y| {
        let at = [f64::from(x) + 0.5, f64::from(y) + 0.5];
        let [u, v] = to_film.apply(at);
        let light = 1.0 + 0.35 * ((at[0] - 400.0) / 400.0 + (at[1] - 300.0) / 300.0) / 2.0;
        let gray = match () {
            _ if (0.0..1.0).contains(&u) && (0.0..1.0).contains(&v) => (40.0 + 60.0 * u) * light,
            _ if (40..760).contains(&x) && (30..570).contains(&y) => 180.0 * light,
            _ => 12.0,
        };
        Luma([gray.round() as u8])
    });
    let result = rectify(&frame, None);
    assert!(result.outline.found);
    assert_eq!(result.profile, Profile::Film);
    assert!(corner_error(&frame, &result.outline.corners, &corners.map(|p| p.map(|v| v as f32))) < 0.002);
    let (width, height) = result.film.dimensions();
    assert!((f64::from(width) / f64::from(height) / (516.5 / 413.8) - 1.0).abs() < 0.02, "{width} x {height}");
    let middle = f32::from(result.film[(width / 2, height / 2)].0[0]) / 70.0;
    for (x, y, pixel) in result.film.enumerate_pixels() {
        if (8..width - 8).contains(&x) && (8..height - 8).contains(&y) {
            let expected = (40.0 + 60.0 * (x as f32 + 0.5) / width as f32) * middle;
            let found = f32::from(pixel.0[0]);
            assert!((found - expected).abs() < 4.0, "{found} instead of {expected} at {x}, {y}");
        }
    }
}

#[test]
fn frames_without_a_film_come_back_whole() {
    let mut seed = 1u32;
    let noise = GrayImage::from_fn(640, 480, |_, _| {
        // Linear congruential generator (Numerical Recipes).
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Luma([(seed >> 24) as u8])
    });
    let mut frames = vec![noise];
    for (width, height) in [(0, 0), (1, 1), (1, 3000), (3000, 1), (2, 2), (5, 481), (640, 480)] {
        for gray in [0, 128, 255] {
            frames.push(GrayImage::from_pixel(width, height, Luma([gray])));
        }
    }
    for frame in frames {
        for wanted in [None, Some(Profile::Film), Some(Profile::Screen), Some(Profile::Digital)] {
            let result = rectify(&frame, wanted);
            assert!(!result.outline.found && result.film == frame, "{} x {}", frame.width(), frame.height());
            assert_eq!(result.profile, wanted.unwrap_or(Profile::Digital));
            if frame.width() > 0 {
                let quality = assess(&result.film, &result.outline);
                let refusals = quality.refusals();
                let blank = frame.pixels().all(|p| p == &frame[(0, 0)]);
                assert_eq!(refusals.contains(&Reason::NoContrast), blank, "{quality:?}");
            }
        }
    }
}
