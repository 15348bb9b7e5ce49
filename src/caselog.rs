//! The case log: what the box judged, kept so that no case that an operator has seen is lost.
//!
//! A case log is a folder with the database `cases.sqlite`, one row for each case, and the folder `films` with each case's
//! files. `000123.plate.png` is the film as it was judged, 8-bit gray; for a refused film it is the whole photograph.
//! `000123.cam.json` has the class activation maps, if the network ran: for each class its rows of values in logit units,
//! from which any heat map can be drawn again.
//!
//! **Durability.** [`CaseLog::add`] begins a transaction, inserts the row, writes the files, and commits. Each file is
//! written beside its place, put on the disk, and renamed; then the folder is put on the disk. The database's journal is a
//! write-ahead log with `synchronous = FULL`: a commit is one flush of one file, after which it survives a loss of power,
//! and readers never hold up the box. (A rollback journal would be durable only with `EXTRA`, which takes three flushes,
//! and a reader could block a commit.) Power lost before the commit leaves files without a row. [`CaseLog::open`] removes
//! half-written ones, sets whole ones aside in the folder `aside`, and skips their number.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize, Serializer};

mod error;
mod films;
mod reader;
mod recovery;
mod row;
mod writer;

pub use error::CaseLogError;
pub use reader::{Case, CaseReader, Findings};
pub use writer::CaseLog;

/// Where cases are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// The case log's folder.
    pub folder: PathBuf,
    /// The free space below which no film is taken, megabytes (10^6 bytes).
    pub reserve_mb: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig { folder: "/var/lib/xray-triage".into(), reserve_mb: 64 }
    }
}

/// The database's file name in the case log's folder.
pub const DATABASE_FILE: &str = "cases.sqlite";
/// The file name of SQLite's write-ahead log, which lies beside the database.
const WAL_FILE: &str = "cases.sqlite-wal";
/// A clock before this moment was not set. `build.rs` gives it: the date of the newest release in the changelog, or the
/// later `SOURCE_DATE_EPOCH`. A fixed date would not do, since systemd sets the clock of a board without a clock chip to
/// the day of its own build; Debian 12's is a day in May 2025.
const EARLIEST_CLOCK: Timestamp = match i64::from_str_radix(env!("EARLIEST_CLOCK"), 10) {
    Ok(seconds) => Timestamp::constant(seconds, 0),
    Err(_) => panic!("EARLIEST_CLOCK is not a number of seconds"),
};

/// Whether a clock that says `now` cannot have been set, because this program did not exist yet.
pub fn clock_unset(now: Timestamp) -> bool {
    now < EARLIEST_CLOCK
}

/// Bytes free for this user on the file system of `folder`.
///
/// # Errors
/// The system's, for example if there is no such folder.
pub fn free_space(folder: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(folder)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// A case's number. Numbers count up from 1 in the order in which cases are kept, and are shown with at least six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(i64);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// The text is not a case's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a case's number is 1 or more, such as 123 or 000123")]
pub struct NotACaseId;

impl FromStr for CaseId {
    type Err = NotACaseId;

    /// Reads digits, with or without leading zeros.
    fn from_str(text: &str) -> Result<CaseId, NotACaseId> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && number > 0 => Ok(CaseId(number)),
            _ => Err(NotACaseId),
        }
    }
}

impl Serialize for CaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Opens the database file in the folder.
fn connect(folder: &Path, flags: OpenFlags) -> Result<Connection, CaseLogError> {
    // Without SQLITE_OPEN_URI a question mark in the folder's name begins no query.
    Connection::open_with_flags(folder.join(DATABASE_FILE), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| CaseLogError::database(folder, error))
}

#[cfg(test)]
pub(crate) mod tests;
