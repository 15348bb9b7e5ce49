//! The disk, with errors that name the file.

use std::fmt::Display;
use std::path::Path;

use xray_triage_core::atomic_file;

/// An error with the path before it, for `map_err`.
pub fn at<E: Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

/// Makes a folder, and those that it lies in, unless they are there.
pub fn create_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(at(folder))
}

/// Writes a whole file or none ([`atomic_file::write`]).
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    atomic_file::write(path, bytes).map_err(at(path))
}
