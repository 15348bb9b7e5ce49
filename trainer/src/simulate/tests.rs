use clap::ValueEnum;
use image::Luma;
use rayon::prelude::*;
use xray_triage_core::film::Homography;

use super::*;

/// Two dark lungs with ribs in a light body before black air.
fn chest() -> GrayImage {
    GrayImage::from_fn(280, 344, |x, y| {
        let (x, y) = (f64::from(x) / 280.0 - 0.5, f64::from(y) / 344.0 - 0.5);
        let lung = ((x.abs() - 0.21) / 0.15).powi(2) + ((y + 0.05) / 0.33).powi(2) < 1.0;
        let rib = ((y + 0.4 * x * x) * 55.0).sin() > 0.6;
        Luma([match (x.abs() < 0.4, lung, rib) {
            (false, ..) => 8,
            (true, true, false) => 70,
            (true, true, true) => 105,
            (true, false, _) => 190,
        }])
    })
}

/// Pearson's correlation of the true rectified film's grays with the photograph's green at the places that the true
/// corners give.
fn agreement(photograph: &Photograph) -> f64 {
    let to_photo = Homography::from_unit_square(&photograph.corners.map(|p| p.map(f64::from))).unwrap();
    let (width, height) = photograph.rectified.dimensions();
    let pairs: Vec<[f64; 2]> = photograph
        .rectified
        .enumerate_pixels()
        .map(|(x, y, gray)| {
            let middle = [(f64::from(x) + 0.5) / f64::from(width), (f64::from(y) + 0.5) / f64::from(height)];
            let [x, y] = to_photo.apply(middle);
            [f64::from(gray[0]), f64::from(photograph.photo[(x as u32, y as u32)][1])]
        })
        .collect();
    let mean = [0, 1].map(|i| pairs.iter().map(|pair| pair[i]).sum::<f64>() / pairs.len() as f64);
    let product = |i: usize, j: usize| pairs.iter().map(|pair| (pair[i] - mean[i]) * (pair[j] - mean[j])).sum::<f64>();
    product(0, 1) / (product(0, 0) * product(1, 1)).sqrt()
}

#[test]
fn every_effect_is_seen() {
    let plain = film_on_lightbox(&chest(), &Effects::NONE, 3);
    assert!(agreement(&plain) > 0.95, "{}", agreement(&plain));
    Effect::value_variants().par_iter().for_each(|effect| {
        let worst = film_on_lightbox(&chest(), &Effects::NONE.with(*effect, WORST), 3);
        assert_eq!(worst.photo == plain.photo, *effect == Effect::Moire, "{effect:?}");
    });
}

#[test]
fn a_screen_has_moire_and_no_light_box() {
    let plain = screen(&chest(), &Effects::NONE, 3).photo;
    for effect in [Effect::Moire, Effect::Border, Effect::Panel, Effect::Clips] {
        let worst = screen(&chest(), &Effects::NONE.with(effect, WORST), 3).photo;
        assert_eq!(worst == plain, effect != Effect::Moire, "{effect:?}");
    }
}

#[test]
fn the_true_rectified_film_lies_within_the_true_corners() {
    for kind in [film_on_lightbox, screen] {
        for (level, inversion, least) in [(1, 0, 0.95), (1, 2, 0.95), (3, 0, 0.8)] {
            let photograph = kind(&chest(), &Effects::all(level).with(Effect::Inversion, inversion), 3);
            let agreement = agreement(&photograph);
            assert!(agreement > least, "level {level}, inversion {inversion}: {agreement}");
        }
    }
}

#[test]
fn a_negative_is_shown_as_one() {
    let film = chest();
    let rectified = screen(&film, &Effects::NONE.with(Effect::Inversion, 1), 1).rectified;
    assert!(film.pixels().zip(rectified.pixels()).all(|(film, rectified)| film[0] == 255 - rectified[0]));
    assert!(Effects::all(4).level(Effect::Inversion) == 0 && Effects::mixed(1).level(Effect::Inversion) == 0);
}

#[test]
fn a_seed_makes_the_same_photograph_again() {
    for kind in [film_on_lightbox, screen] {
        let [first, again, other] = [7, 7, 8].map(|seed| kind(&chest(), &Effects::mixed(seed), seed));
        assert!(first.photo == again.photo && first.corners == again.corners && first.rectified == again.rectified);
        assert!(first.photo != other.photo && first.corners != other.corners);
    }
}

#[test]
fn effects_are_read_by_name() {
    assert_eq!(Effect::at_level("lens-blur=3"), Ok((Effect::LensBlur, 3)));
    for wrong in ["glare", "glare=5", "glare=-1", "glow=2"] {
        assert!(Effect::at_level(wrong).is_err_and(|help| help.contains("white-balance")), "{wrong}");
    }
}
