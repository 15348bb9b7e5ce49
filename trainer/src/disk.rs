//! Files and folders, with errors that name them.

use std::error::Error;
use std::path::{Path, PathBuf};

use xray_triage_core::atomic_file;

/// What went wrong with a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What went wrong. The message of a [`FileError`] has its message, so it is no source of its own.
    pub error: Box<dyn Error + Send + Sync>,
}

/// Adds a path to an error, for `map_err`.
pub fn at<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl Fn(E) -> FileError {
    move |error| FileError { path: path.into(), error: error.into() }
}

/// Makes a folder, and those that it lies in, unless they are there.
///
/// # Errors
/// The system does not let it.
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).map_err(at(folder))
}

/// Writes an atomic file ([`atomic_file::write`]).
///
/// # Errors
/// The system does not let it. Then the file is as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic_file::write(path, bytes).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_file_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file/below");
        let error = write(&path, b"text").unwrap_err();
        assert_eq!(error.to_string().matches(&path.display().to_string()).count(), 1, "{error}");
        assert!(error.source().is_none());
    }
}
