//! The pictures of a data set: read from their sources, scaled, and written under names of their own.

use std::collections::HashSet;
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{GrayImage, ImageError, ImageFormat};
use rayon::prelude::*;
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::image_file;

use crate::data::dataset::Row;

use super::dicom::{self, DicomFilm};
use super::dropped::{Dropped, Reason};
use super::duplicates::Fingerprint;
use super::error::PrepareError;
use super::finding::{self, UNKNOWN_VIEW};
use super::sources::{Candidate, short_hash};

/// The folder of the pictures in a data set.
pub const FOLDER: &str = "images";

/// DICOM modalities of radiographs: computed and digital radiography, digitized films, and pictures of pictures.
const RADIOGRAPHS: [&str; 6] = ["CR", "DX", "RG", "SC", "OT", ""];

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG.
    Jpeg {
        /// From 1 to 100, the best.
        quality: u8,
    },
    /// PNG, without loss.
    Png,
}

impl Encoding {
    fn ending(self) -> &'static str {
        match self {
            Encoding::Jpeg { .. } => "jpg",
            Encoding::Png => "png",
        }
    }

    fn encode(self, picture: &GrayImage) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        match self {
            Encoding::Jpeg { quality } => JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?,
            Encoding::Png => picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?,
        }
        Ok(bytes)
    }
}

/// The films whose pictures were written.
#[derive(Default)]
pub struct Taken {
    /// The films.
    pub rows: Vec<Row>,
    /// The fingerprint of each film's picture in its source.
    pub fingerprints: Vec<Fingerprint>,
    /// The films whose pictures cannot be used.
    pub dropped: Vec<Dropped>,
}

/// Gives each film a picture file and an `image_id` of its own, which is also a safe name for a file. Films of two sources
/// may have the same id.
pub fn name(candidates: &mut [Candidate], encoding: Encoding) {
    let mut taken = HashSet::new();
    for Candidate { row, .. } in candidates {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() || "_-.".contains(letter) { letter } else { '_' };
        let name: String = row.image_id.chars().map(letter).collect();
        let name = if name.is_empty() || name.starts_with('.') { format!("film{name}") } else { name };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        // On some disks, upper and lower case are the same name.
        let mut free = std::iter::once(name.clone()).chain(numbered).filter(|name| taken.insert(name.to_lowercase()));
        row.image_id = free.next().unwrap_or(name);
        row.file = Path::new(FOLDER).join(format!("{}.{}", row.image_id, encoding.ending()));
    }
}

/// Reads the picture of every film and writes it into the data set in the folder `out`, with its longer side at most
/// `longest_side` pixels.
///
/// # Errors
/// A picture cannot be written.
pub fn take_all(
    out: &Path,
    candidates: Vec<Candidate>,
    longest_side: u32,
    encoding: Encoding,
) -> Result<Taken, PrepareError> {
    let folder = out.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|source| PrepareError::Write { path: folder, source })?;
    let (films, done) = (candidates.len(), AtomicUsize::new(0));
    let take_and_count = |candidate: Candidate| {
        let film = take(out, candidate, longest_side, encoding);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(500) {
            log::info!("{done} of {films} pictures");
        }
        film
    };
    let films: Vec<_> = candidates.into_par_iter().map(take_and_count).collect::<Result<_, _>>()?;
    let mut taken = Taken::default();
    for film in films {
        match film {
            Ok((row, fingerprint)) => {
                taken.rows.push(row);
                taken.fingerprints.push(fingerprint);
            }
            Err(drop) => taken.dropped.push(drop),
        }
    }
    Ok(taken)
}

/// Removes the picture of a film that is left out after all.
///
/// # Errors
/// The file cannot be removed.
pub fn remove(out: &Path, row: &Row) -> Result<(), PrepareError> {
    let path = out.join(&row.file);
    std::fs::remove_file(&path).map_err(|source| PrepareError::Write { path, source })
}

/// Reads a film's picture and writes it scaled. The inner error says why the film is left out.
fn take(
    out: &Path,
    Candidate { path, mut row }: Candidate,
    longest_side: u32,
    encoding: Encoding,
) -> Result<Result<(Row, Fingerprint), Dropped>, PrepareError> {
    let picture = match read(&path, &mut row) {
        Ok(picture) => picture,
        Err((reason, detail)) => return Ok(Err(Dropped::new(&row, reason, detail))),
    };
    let fingerprint = Fingerprint::of(&picture);
    let scaled = scaled(&picture, longest_side);
    let file = out.join(&row.file);
    let write = |source| PrepareError::Write { path: file.clone(), source };
    let bytes = encoding.encode(&scaled).map_err(|error| write(io::Error::other(error)))?;
    // This need not be an atomic file: without a manifest the folder is no data set.
    std::fs::write(&file, &bytes).map_err(write)?;
    (row.orig_width, row.orig_height) = picture.dimensions();
    (row.width, row.height) = scaled.dimensions();
    row.sha256 = sha256_hex(&bytes);
    Ok(Ok((row, fingerprint)))
}

/// Reads a JPEG, PNG or DICOM picture. What a DICOM file says and the row does not is put into the row.
fn read(path: &Path, row: &mut Row) -> Result<GrayImage, (Reason, String)> {
    let unreadable = |error: &dyn std::error::Error| (Reason::PictureUnreadable, error.to_string());
    let bytes = image_file::load(path).map_err(|error| unreadable(&error))?;
    if !dicom::is_dicom(&bytes) {
        return image_file::decode(&bytes).map_err(|error| unreadable(&error));
    }
    let DicomFilm { picture, patient_id, modality, view, sex, age } =
        dicom::decode(&bytes).map_err(|error| unreadable(&error))?;
    if !RADIOGRAPHS.contains(&modality.as_str()) {
        return Err((Reason::NotRadiograph, modality));
    }
    if row.view.is_empty() || row.view == UNKNOWN_VIEW {
        row.view = if view.is_empty() { UNKNOWN_VIEW.into() } else { view };
    }
    if !finding::is_frontal(&row.view) {
        return Err((Reason::NotFrontal, row.view.clone()));
    }
    if row.patient_id.is_empty() && !patient_id.is_empty() {
        // A hospital's number for a patient must not come into a data set.
        row.patient_id = format!("{}_{}", row.source, short_hash(&patient_id));
    }
    if row.sex.is_empty() {
        row.sex = sex;
    }
    if row.age.is_empty() {
        row.age = finding::years(&age);
    }
    Ok(picture)
}

/// The picture with its longer side reduced to `longest` pixels, if it is longer.
fn scaled(picture: &GrayImage, longest: u32) -> GrayImage {
    let (width, height) = picture.dimensions();
    let side = width.max(height);
    if side <= longest {
        return picture.clone();
    }
    let shrunk = |pixels: u32| (f64::from(pixels) * f64::from(longest) / f64::from(side)).round().max(1.0) as u32;
    imageops::resize(picture, shrunk(width), shrunk(height), FilterType::CatmullRom)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn names_are_safe_and_unique() {
        let candidate =
            |id: &str| Candidate { path: PathBuf::new(), row: Row { image_id: id.into(), ..Row::default() } };
        let mut candidates = ["a/b", "A_b", "a_b", "é.1", ""].map(candidate);
        name(&mut candidates, Encoding::Png);
        let names = candidates.each_ref().map(|candidate| candidate.row.image_id.as_str());
        assert_eq!(names, ["a_b", "A_b-2", "a_b-3", "_.1", "film"]);
        assert_eq!(candidates[1].row.file, Path::new("images/A_b-2.png"));
    }
}
