//! What a source has: films that may be taken, and films that are left out already.

use std::path::{Path, PathBuf};

use xray_triage_core::bundle::sha256_hex;

use crate::data::dataset::{Label, Row};
use crate::data::prepare::dropped::{Dropped, Reason};
use crate::data::prepare::error::PrepareError;

/// The column `protocol` of films that the paper would take.
pub(super) const SEED: &str = "seed";
/// The column `protocol` of all other films.
pub(super) const EXTRA: &str = "extra";

/// A film that may be taken. Its class is known, its picture is not read yet.
pub struct Candidate {
    /// The picture file.
    pub path: PathBuf,
    /// What the source says of the film. `split` is empty unless an imported manifest gives it.
    pub row: Row,
}

/// All films of a source.
#[derive(Default)]
pub struct Listing {
    /// The films that may be taken.
    pub candidates: Vec<Candidate>,
    /// The films that are left out.
    pub dropped: Vec<Dropped>,
}

impl Listing {
    /// Adds a film with what it shows, or with the reason and the detail why it has none.
    pub(super) fn add(&mut self, path: PathBuf, mut row: Row, label: Result<impl Into<Label>, (Reason, String)>) {
        match label {
            Ok(_) if !path.is_file() => {
                self.dropped.push(Dropped::new(&row, Reason::PictureMissing, path.display().to_string()));
            }
            Ok(label) => {
                row.label = label.into().text().into();
                self.candidates.push(Candidate { path, row });
            }
            Err((reason, detail)) => self.dropped.push(Dropped::new(&row, reason, detail)),
        }
    }
}

/// A hash that is short enough for a name: the first 12 hexadecimal digits of SHA-256.
pub(in crate::data::prepare) fn short_hash(text: &str) -> String {
    sha256_hex(text.as_bytes()).chars().take(12).collect()
}

/// The name of a folder, for a source that has no other name.
pub(super) fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    whole.file_name().map_or_else(|| "local".into(), |name| name.to_string_lossy().into_owned())
}

/// All files in a folder and in the folders below it, sorted by path, without hidden ones.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, PrepareError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let read = |source| PrepareError::Read { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let path = entry.path();
            match path.is_dir() {
                _ if entry.file_name().as_encoded_bytes().starts_with(b".") => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
