//! Simulated photographs of training films for training to start from. The films in them are found and rectified by the
//! judging library, as on the device.

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

use crate::data::dataset::LabelledFilm;

use super::{Effects, simulator};

/// The profiles of which each film gets a photograph: on a light box and on a screen.
const PROFILES: [Profile; 2] = [Profile::Film, Profile::Screen];
/// Longer side of a kept picture, pixels. Training samples a view of 256 pixels from 307 pixels, so no sharpness is lost.
const KEPT_SIDE: u32 = 384;

/// Why photographs cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PhotographError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}; see that there is room and that it may be read and written, then start again")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A film's `image_id` cannot be part of a file's name.
    #[error(
        "image_id `{image_id}`: photographs are kept in files named by it, so it must have no / or \\; give the film another"
    )]
    Name {
        /// The film's id.
        image_id: String,
    },
    /// A kept picture cannot be decoded.
    #[error("{path}: {source}; delete this file and start again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        source: ImageError,
    },
}

/// Photographs each film on a light box and on a screen, with mixed effects, and returns the rectified films of the
/// photographs of each film. Photographs that the device refuses are not among them: those in which it finds no film, or
/// which its quality gate stops.
///
/// A rectified film is kept in `folder` as IMAGE_ID-PROFILE.png and is read from there the next time. An empty file stands
/// for one that was refused. Film and `image_id` decide everything about a photograph.
///
/// # Errors
/// A file cannot be written or read, or an `image_id` leads out of `folder`.
pub fn rectified_films(films: &[LabelledFilm], folder: &Path) -> Result<Vec<Vec<GrayImage>>, PhotographError> {
    std::fs::create_dir_all(folder).map_err(|source| PhotographError::Disk { path: folder.into(), source })?;
    let done = AtomicUsize::new(0);
    let of_film = |film: &LabelledFilm| -> Result<Vec<GrayImage>, PhotographError> {
        let mut rectified = Vec::new();
        for profile in PROFILES {
            let name = format!("{}-{}", film.film.image_id, profile.name());
            if name.contains(['/', '\\', '\0']) {
                return Err(PhotographError::Name { image_id: film.film.image_id.clone() });
            }
            let path = folder.join(format!("{name}.png"));
            let make = || photographed(&film.picture, profile, &name);
            rectified.extend(kept(&path, make)?);
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(100) {
            log::info!("photographs of {done} of {} films", films.len());
        }
        Ok(rectified)
    };
    let rectified: Vec<Vec<GrayImage>> = films.par_iter().map(of_film).collect::<Result<_, _>>()?;
    let (made, usable) = (films.len() * PROFILES.len(), rectified.iter().map(Vec::len).sum::<usize>());
    log::info!("{usable} photographs to start views from; {} more were refused", made - usable);
    Ok(rectified)
}

/// Reads the picture in a file, or makes it and writes it there. An empty file stands for no picture.
fn kept(path: &Path, make: impl Fn() -> Option<GrayImage>) -> Result<Option<GrayImage>, PhotographError> {
    let disk = |source| PhotographError::Disk { path: path.into(), source };
    if path.exists() {
        let bytes = std::fs::read(path).map_err(disk)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let picture = image::load_from_memory(&bytes);
        let picture = picture.map_err(|source| PhotographError::Damaged { path: path.into(), source })?;
        return Ok(Some(picture.into_luma8()));
    }
    let picture = make();
    let mut bytes = Vec::new();
    if let Some(picture) = &picture {
        let written = picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
        written.map_err(|error| disk(io::Error::other(error)))?;
    }
    atomic_file::write(path, &bytes).map_err(disk)?;
    Ok(picture)
}

/// The rectified film of a photograph, or `None` if the device refuses the photograph. The photograph's name decides all
/// random choices.
fn photographed(film: &GrayImage, profile: Profile, name: &str) -> Option<GrayImage> {
    let hash = sha256_hex(name.as_bytes());
    let seed = u64::from_str_radix(&hash[..16], 16).expect("a hash is written in hexadecimal digits");
    let photo = simulator(profile)?(film, &Effects::mixed(seed), seed).into_gray();
    let rectified = film::rectify(&photo, Some(profile));
    let refused = !rectified.has_film() || !gate::assess(&rectified.film, &rectified.outline).refusals().is_empty();
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
    use image::Luma;
    use xray_triage_core::decision::Class;

    use crate::data::dataset::Film;

    use super::*;

    #[test]
    fn rectified_films_and_refusals_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let picture = GrayImage::from_pixel(3, 2, Luma([77]));
        for (name, made) in [("a.png", Some(picture)), ("b.png", None)] {
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
        let error = rectified_films(&[], &folder.path().join("file/photographs")).unwrap_err().to_string();
        assert!(error.contains("photographs: ") && !error.contains("delete"), "{error}");
    }

    #[test]
    fn an_id_that_leads_out_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let film = Film {
            image_id: "../outside".into(),
            path: PathBuf::new(),
            label: Class::Normal,
            label_source: None,
            reading: String::new(),
            review: String::new(),
            source: String::new(),
            patient_id: String::new(),
            view: String::new(),
            split: String::new(),
            protocol: String::new(),
        };
        let films = [LabelledFilm { film, picture: GrayImage::new(8, 8) }];
        let error = rectified_films(&films, &folder.path().join("photographs")).unwrap_err();
        assert!(matches!(error, PhotographError::Name { .. }), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_large_film_is_reduced_and_a_small_one_is_not() {
        let side = |width, height| at_most(&GrayImage::new(width, height), 384).dimensions();
        assert_eq!((side(1024, 768), side(200, 384)), ((384, 288), (200, 384)));
    }
}
