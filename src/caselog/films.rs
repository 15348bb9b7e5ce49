//! The case log's files: each case's film and activation maps.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageFormat};
use xray_triage_core::atomic_file::{self, PART_ENDING};
use xray_triage_core::cam::Cam;
use xray_triage_core::decision::Class;

use super::CaseId;

/// The files' folder within the case log's.
pub const FOLDER: &str = "films";

/// What a case's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The rectified film, or the whole photograph of a refused film: an 8-bit gray PNG.
    Film,
    /// The class activation maps: a JSON object with each class's label for a key and its map's rows for a value.
    Cam,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Film, Kind::Cam];

    fn ending(self) -> &'static str {
        match self {
            Kind::Film => ".plate.png",
            Kind::Cam => ".cam.json",
        }
    }
}

/// The path of a case's file within the case log's folder.
pub fn name(id: CaseId, kind: Kind) -> String {
    format!("{FOLDER}/{id}{}", kind.ending())
}

/// Writes a case's files, as far as it has them; they are on the disk when this returns. The error names the file.
pub fn write(
    folder: &Path,
    id: CaseId,
    film: Option<&GrayImage>,
    cam: Option<&Cam>,
) -> Result<(), (PathBuf, io::Error)> {
    let store = |kind, bytes: io::Result<Vec<u8>>| {
        let path = folder.join(name(id, kind));
        bytes.and_then(|bytes| atomic_file::write(&path, &bytes)).map_err(|error| (path, error))
    };
    if let Some(film) = film {
        store(Kind::Film, png(film))?;
    }
    if let Some(cam) = cam {
        store(Kind::Cam, serde_json::to_vec(&rows(cam)).map_err(io::Error::from))?;
    }
    let films = folder.join(FOLDER);
    atomic_file::sync_folder(&films).map_err(|error| (films, error))
}

fn png(film: &GrayImage) -> io::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    film.write_to(&mut bytes, ImageFormat::Png).map_err(io::Error::other)?;
    Ok(bytes.into_inner())
}

/// Each class's map, row by row.
fn rows(cam: &Cam) -> BTreeMap<&'static str, Vec<&[f32]>> {
    Class::ALL.into_iter().map(|class| (class.label(), cam.map(class).chunks(cam.side()).collect())).collect()
}

/// Removes a case's files, as far as they are there.
pub fn remove(folder: &Path, id: CaseId) {
    for kind in Kind::ALL {
        let path = folder.join(name(id, kind));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // The next case writes over it, or the next opening sets it aside.
                log::warn!("{}: cannot be removed: {error}", path.display());
            }
            _ => {}
        }
    }
}

/// Moves a case's file into the folder `aside`, which is made if need be, and returns its new path.
pub fn set_aside(aside: &Path, path: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(aside)?;
    let place = aside.join(path.file_name().unwrap_or_default());
    fs::rename(path, &place)?;
    Ok(place)
}

/// A file in [`FOLDER`].
#[derive(Debug)]
pub struct CaseFile {
    /// Its path.
    pub path: PathBuf,
    /// The number of the case that the file's name says; `None` for a name that no case's file has.
    pub id: Option<CaseId>,
    /// Whether the file was not written to its end.
    pub partial: bool,
}

/// Every file in [`FOLDER`], in no order.
pub fn list(folder: &Path) -> io::Result<Vec<CaseFile>> {
    fs::read_dir(folder.join(FOLDER))?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let (whole, partial) = name.strip_suffix(PART_ENDING).map_or((&*name, false), |whole| (whole, true));
            let digits = Kind::ALL.into_iter().find_map(|kind| whole.strip_suffix(kind.ending()));
            let id = digits.and_then(|digits| digits.parse().ok().filter(|id: &CaseId| id.to_string() == digits));
            Ok(CaseFile { path: entry.path(), id, partial: partial && id.is_some() })
        })
        .collect()
}
