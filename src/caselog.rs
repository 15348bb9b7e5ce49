//! The case log: what the box judged, kept so that no case that an operator has seen is lost.
//!
//! A folder with `cases.sqlite`, one row a case, and `films/` with each case's pictures: `000123.plate.png`, the film as
//! it was judged (for a refused film the whole photograph), 8-bit gray; and `000123.cam.json`, the class activation maps
//! where the network ran: for each class its rows of values in logit units, from which any heat map can be drawn again.
//!
//! **Durability.** [`CaseLog::record`] begins a transaction and inserts the row, which gives the case its number; writes
//! the files beside their places, each on the disk before it is renamed; puts the folder on the disk; and commits. The
//! journal is a write-ahead log with `synchronous = FULL`: a commit is one flush of one file, after which it survives a
//! loss of power, and readers never hold up the box. (A rollback journal would be durable only with `EXTRA`, three
//! flushes, and a reader could block a commit.) Power lost before the commit leaves files without a row.
//! [`CaseLog::open`] removes half written ones, sets whole ones aside in `aside/`, and skips their number.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use rustix::fs::Access;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use xray_triage_core::atomic_file;
use xray_triage_core::pipeline::Assessment;

mod films;
mod reader;

pub use reader::{Case, CaseReader, Findings};

use films::{FOLDER, Kind};

/// Where cases are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// The case log's folder.
    pub folder: PathBuf,
    /// Free space below which no capture is taken, megabytes (10^6 bytes).
    pub reserve_mb: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig { folder: "/var/lib/xray-triage".into(), reserve_mb: 64 }
    }
}

/// The database's file name in the case log's folder.
pub const DATABASE_FILE: &str = "cases.sqlite";
/// SQLite's write-ahead log, beside the database.
const WAL_FILE: &str = "cases.sqlite-wal";
/// The folder, within the case log's, of whole films that were found without a row.
const ASIDE: &str = "aside";
/// The layout this program writes; `user_version` in the database.
const SCHEMA_VERSION: i64 = 1;
/// A clock before this was not set: the date of this program's sources, which `build.rs` gives. The date of an older
/// program would not do: on a board without a clock chip systemd sets a clock that is behind to the day of its own build,
/// Debian 12's to one in May 2025.
const EARLIEST_CLOCK: Timestamp = match i64::from_str_radix(env!("EARLIEST_CLOCK"), 10) {
    Ok(seconds) => Timestamp::constant(seconds, 0),
    Err(_) => panic!("EARLIEST_CLOCK is not a number of seconds"),
};

/// AUTOINCREMENT: the number of a case that was kept is never given again, even if its row is deleted.
const SCHEMA: &str = "
    CREATE TABLE cases (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        taken TEXT NOT NULL,
        clock_unset INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        top TEXT,
        covid19 REAL,
        pneumonia REAL,
        normal REAL,
        reasons TEXT NOT NULL,
        profile TEXT,
        operating_point TEXT,
        model_id TEXT NOT NULL,
        model_sha256 TEXT NOT NULL,
        version TEXT NOT NULL,
        quality TEXT,
        plate TEXT,
        cam TEXT,
        record TEXT NOT NULL
    ) STRICT;
";

/// Whether a clock that says `now` cannot have been set: this program was not there yet.
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

/// A case's number, from 1 up in the order of recording. Shown with at least six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(i64);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl FromStr for CaseId {
    type Err = String;

    /// Digits, with or without the leading zeros.
    fn from_str(text: &str) -> Result<CaseId, String> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && number > 0 => Ok(CaseId(number)),
            _ => Err("a case's number is 1 or more, such as 123 or 000123".into()),
        }
    }
}

impl Serialize for CaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a case was not kept, or not found. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseLogError {
    /// There is not enough room. Nothing of the case was kept; once there is room again, later cases are.
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
        "{}: the case log has layout {found}, this program knows layout {SCHEMA_VERSION}. Install the newer program \
         again, or name another folder", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// The database is not readable as one. It is left as it is.
    #[error(
        "{}: the case log is damaged ({detail}). It was left as it is: copy its whole folder to a safe place, then move \
         it away and start again with an empty one", path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// There is no case log.
    #[error("{}: there is no case log here. Name its folder, or start the box once", .0.display())]
    Missing(PathBuf),
    /// There is no case of that number.
    #[error("there is no case {0}. See `xray-triage cases list`")]
    NoCase(CaseId),
    /// A file or folder cannot be read or written.
    #[error("{}: {source}. Check the folder's permissions and the card or disk it lies on", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other trouble with the database.
    #[error("{}: {source}. Check the folder's permissions and the card or disk it lies on", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
}

impl CaseLogError {
    fn database(folder: &Path, source: rusqlite::Error) -> CaseLogError {
        let path = folder.join(DATABASE_FILE);
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CaseLogError::Full { folder: folder.into(), detail: source.to_string() },
            // SQLite reports a shared memory file that cannot grow as any other I/O error.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if matches!(free_space(folder), Ok(0)) => {
                CaseLogError::Full { folder: folder.into(), detail: source.to_string() }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                CaseLogError::Damaged { path, detail: source.to_string() }
            }
            _ => CaseLogError::Database { path, source },
        }
    }

    fn file(folder: &Path, path: &Path, source: io::Error) -> CaseLogError {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                CaseLogError::Full { folder: folder.into(), detail: source.to_string() }
            }
            _ => CaseLogError::File { path: path.into(), source },
        }
    }
}

/// The case log, open for recording.
#[derive(Debug)]
pub struct CaseLog {
    folder: PathBuf,
    database: Connection,
    /// Device and inode of the database's file.
    file: (u64, u64),
}

impl CaseLog {
    /// Opens the case log in `folder`, makes it if there is none, and tidies up what an interrupted capture left.
    ///
    /// # Errors
    /// [`CaseLogError::Newer`] and [`CaseLogError::Damaged`] leave everything untouched.
    pub fn open(folder: &Path) -> Result<CaseLog, CaseLogError> {
        let films = folder.join(FOLDER);
        refuse_parted(folder)?;
        fs::create_dir_all(&films).map_err(|error| CaseLogError::file(folder, &films, error))?;
        let mut database = connect(folder, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        prepare(folder, &mut database).map_err(|error| match error {
            Unusable::Log(error) => error,
            Unusable::Database(error) => CaseLogError::database(folder, error),
        })?;
        // The names of `films` and of the database, which SQLite may just have made.
        atomic_file::sync_folder(folder).map_err(|error| CaseLogError::file(folder, folder, error))?;
        let file = identity(folder).map_err(|error| CaseLogError::file(folder, &folder.join(DATABASE_FILE), error))?;
        Ok(CaseLog { folder: folder.into(), database, file })
    }

    /// Whether the database that is open still lies in the folder, and `films` beside it. SQLite writes on into a file that
    /// was moved away or removed, without an error.
    pub fn in_place(&self) -> bool {
        self.folder.join(FOLDER).is_dir() && identity(&self.folder).is_ok_and(|file| file == self.file)
    }

    /// Whether there is room for another case: the folder may be written, and at least `reserve_mb` megabytes (10^6 bytes)
    /// are free.
    ///
    /// # Errors
    /// [`CaseLogError::Full`] if there is less; [`CaseLogError::File`] if the folder is gone, not permitted, or on a card
    /// that the kernel has made read-only after its errors.
    pub fn check_space(&self, reserve_mb: u64) -> Result<(), CaseLogError> {
        let unusable = |error| CaseLogError::file(&self.folder, &self.folder, error);
        rustix::fs::access(&self.folder, Access::WRITE_OK).map_err(|error| unusable(error.into()))?;
        let free = free_space(&self.folder).map_err(unusable)?;
        if free >= reserve_mb.saturating_mul(1_000_000) {
            return Ok(());
        }
        let detail = format!("{} MB are free, storage.reserve_mb asks for {reserve_mb}", free / 1_000_000);
        Err(CaseLogError::Full { folder: self.folder.clone(), detail })
    }

    /// Keeps a case: its row, the plate and the activation maps, as far as the assessment has them. When this returns
    /// the case is on the disk.
    ///
    /// # Errors
    /// Nothing of the case is kept then; the log can be used on.
    pub fn record(&mut self, assessment: &Assessment, taken: Timestamp) -> Result<CaseId, CaseLogError> {
        let folder = self.folder.clone();
        let (id, transaction) = self.write(assessment, taken)?;
        if let Err(error) = transaction.commit() {
            films::remove(&folder, id);
            return Err(CaseLogError::database(&folder, error));
        }
        Ok(id)
    }

    /// Everything of [`CaseLog::record`] but the commit: the files are on the disk, the row is not.
    fn write(&mut self, assessment: &Assessment, taken: Timestamp) -> Result<(CaseId, Transaction<'_>), CaseLogError> {
        let folder = &self.folder;
        let transaction = self
            .database
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| CaseLogError::database(folder, error))?;
        let id = insert(&transaction, assessment, taken).map_err(|error| CaseLogError::database(folder, error))?;
        let written = films::write(folder, id, assessment.picture.as_ref(), assessment.cam.as_ref());
        if let Err((path, error)) = written {
            films::remove(folder, id);
            // The transaction rolls back as it is dropped.
            return Err(CaseLogError::file(folder, &path, error));
        }
        Ok((id, transaction))
    }
}

/// Device and inode of the database's file in the folder.
fn identity(folder: &Path) -> io::Result<(u64, u64)> {
    let file = fs::metadata(folder.join(DATABASE_FILE))?;
    Ok((file.dev(), file.ino()))
}

/// Refuses a folder from which the database alone was moved away, maybe just now. Its newest cases are in the write-ahead
/// log, which SQLite would remove beside a new database.
fn refuse_parted(folder: &Path) -> Result<(), CaseLogError> {
    let path = folder.join(DATABASE_FILE);
    let has_wal = fs::metadata(folder.join(WAL_FILE)).is_ok_and(|wal| wal.len() > 0);
    if has_wal && matches!(path.try_exists(), Ok(false)) {
        return Err(CaseLogError::Damaged { path, detail: format!("it is not there, but {WAL_FILE} is") });
    }
    Ok(())
}

/// Opens the database file itself.
fn connect(folder: &Path, flags: OpenFlags) -> Result<Connection, CaseLogError> {
    // No SQLITE_OPEN_URI: a folder's name is no query.
    Connection::open_with_flags(folder.join(DATABASE_FILE), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| CaseLogError::database(folder, error))
}

enum Unusable {
    Log(CaseLogError),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        Unusable::Database(error)
    }
}

/// Checks the layout before anything is written, makes it in a new database, and tidies up.
fn prepare(folder: &Path, database: &mut Connection) -> Result<(), Unusable> {
    let found = layout(database)?;
    if found > SCHEMA_VERSION {
        return Err(Unusable::Log(CaseLogError::Newer { path: folder.join(DATABASE_FILE), found }));
    }
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    // Another program that records holds the lock from its row's first byte to its commit, so none of its files is
    // taken for a leftover.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let new = layout(&transaction)? == 0;
    if new {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    tidy(folder, &transaction, new)?;
    transaction.commit()?;
    Ok(())
}

/// The layout's version; 0 for a database without one.
fn layout(database: &Connection) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The highest number given to a case that was kept; 0 without any.
fn last_number(database: &Connection) -> rusqlite::Result<i64> {
    let last = database.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'cases'", [], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(0))
}

/// When the newest case was taken, of those whose clock was set, as it stands in the database.
fn newest_taken(database: &Connection) -> rusqlite::Result<Option<String>> {
    let newest = "SELECT taken FROM cases WHERE NOT clock_unset ORDER BY id DESC LIMIT 1";
    database.query_row(newest, [], |row| row.get(0)).optional()
}

/// Lets the numbers of new cases begin after this one.
fn number_after(database: &Connection, last: i64) -> rusqlite::Result<()> {
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'cases'", [])?;
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('cases', ?1)", [last])?;
    Ok(())
}

/// Tidies up after an interrupted capture, whose files have the number that comes next: half written ones are removed,
/// whole ones set aside, and their number is skipped. They may also be of a case that an older copy of the database, put
/// back, lacks. Files of later numbers, or any in a new database, belong to a database that was lost: they stay, and new
/// cases get numbers after theirs.
fn tidy(folder: &Path, database: &Connection, new: bool) -> Result<(), Unusable> {
    let films = folder.join(FOLDER);
    let there = films::list(folder).map_err(|error| Unusable::Log(CaseLogError::file(folder, &films, error)))?;
    let last = last_number(database)?;
    let highest = there.iter().filter_map(|film| film.id).map(|id| id.0).max().unwrap_or(0);
    if highest > last + 1 || (new && highest > 0) {
        log::warn!(
            "{}: has films up to {}, but {DATABASE_FILE} has cases up to {} only. They stay, and the next case is {}. \
             Put the right {DATABASE_FILE} back if there is one",
            films.display(),
            CaseId(highest),
            CaseId(last),
            CaseId(highest + 1)
        );
        number_after(database, highest)?;
        return Ok(());
    }
    let mut set_aside = false;
    for film in &there {
        let failed = |error| Unusable::Log(CaseLogError::file(folder, &film.path, error));
        if film.partial {
            fs::remove_file(&film.path).map_err(failed)?;
            log::info!("removed {}, left by an interrupted capture", film.path.display());
        } else if film.id == Some(CaseId(last + 1)) {
            let place = films::set_aside(&folder.join(ASIDE), &film.path).map_err(failed)?;
            log::warn!("{}: belongs to no case. It is {} now", film.path.display(), place.display());
            set_aside = true;
        }
    }
    if set_aside {
        number_after(database, last + 1)?;
    }
    Ok(())
}

/// Inserts the case's row.
fn insert(database: &Connection, assessment: &Assessment, taken: Timestamp) -> rusqlite::Result<CaseId> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let record = serde_json::to_value(&assessment.record).map_err(json)?;
    let text = |value: &Value| value.as_str().map(String::from);
    let object = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let moment = format!("{taken:.3}");
    // Of one form and in UTC, moments are in the order of their texts.
    let unset = clock_unset(taken) || newest_taken(database)?.is_some_and(|newest| moment < newest);
    // The number is known once the row is there; the files' names follow.
    database.execute(
        "INSERT INTO cases (taken, clock_unset, outcome, top, covid19, pneumonia, normal, reasons, profile,
             operating_point, model_id, model_sha256, version, quality, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            moment,
            unset,
            text(&record["outcome"]),
            text(&record["top"]),
            record["probabilities"]["covid19"].as_f64(),
            record["probabilities"]["pneumonia"].as_f64(),
            record["probabilities"]["normal"].as_f64(),
            record["reasons"].to_string(),
            text(&record["profile"]),
            text(&record["operating_point"]),
            text(&record["model"]["id"]),
            text(&record["model"]["sha256"]),
            text(&record["version"]),
            object(&record["quality"]),
            record.to_string(),
        ],
    )?;
    let id = CaseId(database.last_insert_rowid());
    let plate = assessment.picture.as_ref().map(|_| films::name(id, Kind::Plate));
    let cam = assessment.cam.as_ref().map(|_| films::name(id, Kind::Cam));
    database.execute("UPDATE cases SET plate = ?2, cam = ?3 WHERE id = ?1", params![id.0, plate, cam])?;
    Ok(id)
}

#[cfg(test)]
pub(crate) mod tests;
