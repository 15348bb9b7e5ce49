//! Hints: what the operator could improve before pressing the button, found out from a frame of the preview.

use image::{GrayImage, imageops};
use xray_triage_core::film::{self, Profile, Rectified};
use xray_triage_core::gate;
use xray_triage_core::reason::Reason;

use crate::ui::status::Hint;

/// Longest side of the copy of the frame that is looked at, pixels. More would not help: the film is found on at most 480
/// pixels, and sharpness is measured on at most 256.
const SIDE: u32 = 640;

/// The first reason for which the quality gate would refuse a frame, if the operator can do something about it.
///
/// `profile` is the wanted capture profile. What the program would refuse as a frame without a film is a hint, too.
pub fn of(frame: &GrayImage, profile: Option<Profile>) -> Option<Hint> {
    let scale = f64::from(SIDE) / f64::from(frame.width().max(frame.height()));
    let small;
    let frame = if scale < 1.0 {
        let side = |length: u32| ((f64::from(length) * scale) as u32).max(1);
        small = imageops::thumbnail(frame, side(frame.width()), side(frame.height()));
        &small
    } else {
        frame
    };
    let rectified = film::rectify(frame, profile);
    let has_film = rectified.has_film();
    let Rectified { film, outline, profile, .. } = rectified;
    let hint = gate::assess(&film, &outline).refusals().into_iter().find_map(|reason| match reason {
        Reason::TooDark => Some(Hint::TooDark),
        Reason::Overexposed => Some(Hint::TooBright),
        Reason::Blurred => Some(Hint::Blurred),
        _ => None,
    });
    match hint {
        // A digital film that is burnt out has hardly more texture than a panel.
        Some(Hint::TooDark | Hint::TooBright) if profile == Profile::Digital => hint,
        _ if has_film => hint,
        _ => Some(Hint::NoFilm),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::Luma;
    use xray_triage_core::image_file;

    use super::*;

    #[test]
    fn a_good_photograph_of_a_film_needs_no_hint_and_an_empty_panel_does() {
        let film = image_file::read(Path::new("tests/films/film-photo-nih_00002102_000.jpg")).unwrap();
        assert_eq!(of(&film, Some(Profile::Film)), None);
        let panel = GrayImage::from_pixel(800, 600, Luma([250]));
        for profile in [None, Some(Profile::Film), Some(Profile::Screen)] {
            assert_eq!(of(&panel, profile), Some(Hint::NoFilm), "{profile:?}");
        }
    }

    #[test]
    fn dark_bright_and_blurred_frames_are_told_apart() {
        let film = image_file::read(Path::new("tests/films/nih_00002102_000.jpg")).unwrap();
        let dark = GrayImage::from_fn(film.width(), film.height(), |x, y| Luma([film.get_pixel(x, y)[0] / 20]));
        assert_eq!(of(&dark, Some(Profile::Digital)), Some(Hint::TooDark));
        let bright =
            GrayImage::from_fn(film.width(), film.height(), |x, y| Luma([film.get_pixel(x, y)[0].saturating_mul(4)]));
        assert_eq!(of(&bright, Some(Profile::Digital)), Some(Hint::TooBright));
        let blurred = imageops::blur(&film, 12.0);
        assert_eq!(of(&blurred, Some(Profile::Digital)), Some(Hint::Blurred));
    }
}
