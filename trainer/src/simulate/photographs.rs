//! Simulated photographs of training films, found and rectified by the device library as at inference, for training to
//! start views from.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::imageops::{self, FilterType};
use image::{GrayImage, ImageError, ImageFormat};
use rayon::prelude::*;
use xray_triage_core::atomic_file;
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::film::{self, Profile};
use xray_triage_core::gate;

use crate::data::dataset::LabelledPlate;
use crate::simulate::{self, Effects};

/// What is photographed of each film: the film and a screen.
const PROFILES: [Profile; 2] = [Profile::Film, Profile::Screen];
/// Longest side of a kept plate, pixels: more than a view of 256 pixels is taken from ([`crate::train::augment::base`]).
const KEPT_SIDE: u32 = 384;

#[derive(Debug, thiserror::Error)]
pub enum PhotographError {
    #[error("{path}: {source}; see that there is room and that it may be read and written, then start again")]
    Disk { path: PathBuf, source: io::Error },
    #[error("{path}: {source}; delete this file and start again")]
    Damaged { path: PathBuf, source: ImageError },
}

/// The plates of one photograph of each film on a light box and one of it on a screen, with mixed effects; without those
/// that the device refuses (film not found, or stopped by the quality gate).
///
/// A plate is kept in `folder` as IMAGE_ID-PROFILE.png and taken from there the next time; an empty file stands for one
/// that was refused. A photograph follows from the film and its id.
///
/// # Errors
/// A file cannot be written or read.
pub fn plates(films: &[LabelledPlate], folder: &Path) -> Result<Vec<Vec<GrayImage>>, PhotographError> {
    std::fs::create_dir_all(folder).map_err(|source| PhotographError::Disk { path: folder.into(), source })?;
    let done = AtomicUsize::new(0);
    let of_film = |film: &LabelledPlate| -> Result<Vec<GrayImage>, PhotographError> {
        let mut plates = Vec::new();
        for profile in PROFILES {
            let name = format!("{}-{}", film.film.image_id, profile.name());
            let path = folder.join(format!("{name}.png"));
            let make = || photographed(&film.plate, profile, &name);
            plates.extend(kept(&path, make)?);
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(100) {
            log::info!("photographs of {done} of {} films", films.len());
        }
        Ok(plates)
    };
    let plates: Vec<Vec<GrayImage>> = films.par_iter().map(of_film).collect::<Result<_, _>>()?;
    let (made, usable) = (films.len() * PROFILES.len(), plates.iter().map(Vec::len).sum::<usize>());
    log::info!("{usable} photographs to start views from; {} more were refused", made - usable);
    Ok(plates)
}

/// The plate in a file, or else the one made, which is then kept there.
fn kept(path: &Path, make: impl Fn() -> Option<GrayImage>) -> Result<Option<GrayImage>, PhotographError> {
    let disk = |source| PhotographError::Disk { path: path.into(), source };
    if path.exists() {
        let bytes = std::fs::read(path).map_err(disk)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let plate = image::load_from_memory(&bytes);
        let plate = plate.map_err(|source| PhotographError::Damaged { path: path.into(), source })?;
        return Ok(Some(plate.into_luma8()));
    }
    let plate = make();
    let mut bytes = Vec::new();
    if let Some(plate) = &plate {
        let written = plate.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
        written.map_err(|error| disk(io::Error::other(error)))?;
    }
    atomic_file::write(path, &bytes).map_err(disk)?;
    Ok(plate)
}

/// The plate of a photograph as the device sees it; `None` if it refuses it. The photograph's name decides all random
/// choices.
fn photographed(film: &GrayImage, profile: Profile, name: &str) -> Option<GrayImage> {
    let hash = sha256_hex(name.as_bytes());
    let seed = u64::from_str_radix(&hash[..16], 16).expect("a hash is written in hexadecimal digits");
    let photo = simulate::simulator(profile)?(film, &Effects::mixed(seed), seed).into_gray();
    let rectified = film::rectify(&photo, Some(profile));
    let refused = !rectified.outline.found || !gate::assess(&rectified.film, &rectified.outline).refusals().is_empty();
    (!refused).then(|| at_most(&rectified.film, KEPT_SIDE))
}

/// The picture with its longer side reduced to `side` pixels, if it is longer.
fn at_most(picture: &GrayImage, side: u32) -> GrayImage {
    let (width, height) = picture.dimensions();
    let scale = (f64::from(side) / f64::from(width.max(height))).min(1.0);
    let reduced = [width, height].map(|length| ((f64::from(length) * scale).round() as u32).max(1));
    imageops::resize(picture, reduced[0], reduced[1], FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    #[test]
    fn plates_and_refusals_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let plate = GrayImage::from_pixel(3, 2, Luma([77]));
        for (name, made) in [("a.png", Some(plate)), ("b.png", None)] {
            let path = folder.path().join(name);
            assert_eq!(kept(&path, || made.clone()).unwrap(), made);
            assert_eq!(kept(&path, || unreachable!("it is kept")).unwrap(), made);
        }
        let damaged = folder.path().join("c.png");
        std::fs::write(&damaged, "no picture").unwrap();
        let error = kept(&damaged, || None).unwrap_err().to_string();
        assert!(error.contains("c.png") && error.contains("delete this file"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_file_to_delete() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = plates(&[], &folder.path().join("file/photographs")).unwrap_err().to_string();
        assert!(error.contains("photographs: ") && !error.contains("delete"), "{error}");
    }

    #[test]
    fn a_large_plate_is_reduced_and_a_small_one_is_not() {
        let side = |width, height| at_most(&GrayImage::new(width, height), 384).dimensions();
        assert_eq!((side(1024, 768), side(200, 384)), ((384, 288), (200, 384)));
    }
}
