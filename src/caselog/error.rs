//! Why the case log cannot keep or find a case.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::{CaseId, DATABASE_FILE, free_space, row};

/// Why a case was not kept, or not found. The message says what was wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseLogError {
    /// There is not enough room. Nothing of the case was kept. Once there is room again, later cases are kept.
    #[error(
        "{}: no room for more cases ({detail}). Stop the box and move all that is in the folder to another disk, or put in \
         a larger card", folder.display()
    )]
    Full {
        /// The case log's folder.
        folder: PathBuf,
        /// What ran out.
        detail: String,
    },
    /// The database was written by a newer program.
    #[error(
        "{}: the case log has layout {found}, this program knows layout {}. Install the newer program again, or name \
         another folder", path.display(), row::SCHEMA_VERSION
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// The database, or a row in it, cannot be read as what it should be. It is left as it is.
    #[error(
        "{}: the case log is damaged ({detail}). It was left as it is: copy its whole folder to a safe place, then move \
         it away and start again with an empty one", path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder has no case log.
    #[error("{}: there is no case log here. Name its folder, or start the box once", .0.display())]
    Missing(PathBuf),
    /// The case log has no case of that number.
    #[error("there is no case {0}. See `xray-triage cases list`")]
    NoCase(CaseId),
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}. Check the folder's permissions and the card or disk it lies on", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The database cannot be read or written, for another reason than those above.
    #[error(
        "{}: {}. Check the folder's permissions and the card or disk it lies on",
        path.display(),
        without_path(cause, path)
    )]
    Database {
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        cause: rusqlite::Error,
    },
}

impl CaseLogError {
    /// The error that SQLite met in the case log of `folder`.
    pub(super) fn database(folder: &Path, cause: rusqlite::Error) -> CaseLogError {
        let path = folder.join(DATABASE_FILE);
        let detail = without_path(&cause, &path);
        match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CaseLogError::Full { folder: folder.into(), detail },
            // SQLite reports a shared memory file that cannot grow as any other I/O error.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if matches!(free_space(folder), Ok(0)) => {
                CaseLogError::Full { folder: folder.into(), detail }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CaseLogError::Damaged { path, detail },
            _ => CaseLogError::Database { path, cause },
        }
    }

    /// The error that the system met at `path`, which is `folder` or lies in it.
    pub(super) fn file(folder: &Path, path: &Path, cause: io::Error) -> CaseLogError {
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                CaseLogError::Full { folder: folder.into(), detail: cause.to_string() }
            }
            _ => CaseLogError::File { path: path.into(), cause },
        }
    }
}

/// SQLite's words without the database's path, which some of its errors end with and our messages begin with.
fn without_path(cause: &rusqlite::Error, path: &Path) -> String {
    let words = cause.to_string();
    match words.strip_suffix(&format!(": {}", path.display())) {
        Some(words) => words.to_string(),
        None => words,
    }
}
