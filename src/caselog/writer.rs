//! Writing the case log.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::Access;
use xray_triage_core::atomic_file;
use xray_triage_core::pipeline::Assessment;

use super::films::{self, FOLDER};
use super::recovery::{refuse_lone_write_ahead_log, tidy};
use super::row::{self, CaseRow, SCHEMA_VERSION};
use super::{CaseId, CaseLogError, DATABASE_FILE, clock_unset, connect, free_space};

/// The case log, open for writing.
#[derive(Debug)]
pub struct CaseLog {
    folder: PathBuf,
    pub(super) database: Connection,
    /// Device and inode of the database's file.
    file: (u64, u64),
}

impl CaseLog {
    /// Opens the case log in `folder`, makes it if there is none, and tidies up what an interrupted capture left.
    ///
    /// # Errors
    /// The folder or the database cannot be used. [`CaseLogError::Newer`] and [`CaseLogError::Damaged`] leave everything
    /// untouched.
    pub fn open(folder: &Path) -> Result<CaseLog, CaseLogError> {
        let films = folder.join(FOLDER);
        refuse_lone_write_ahead_log(folder)?;
        fs::create_dir_all(&films).map_err(|error| CaseLogError::file(folder, &films, error))?;
        let mut database = connect(folder, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        prepare(folder, &mut database)?;
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

    /// Keeps a case that was taken at `taken`: its row, and its film and activation maps as far as the assessment has
    /// them. When this returns the case is on the disk.
    ///
    /// # Errors
    /// The database or a file cannot be written. Nothing of the case is kept then, and the log can be used on.
    pub fn add(&mut self, assessment: &Assessment, taken: Timestamp) -> Result<CaseId, CaseLogError> {
        let folder = self.folder.clone();
        let (id, transaction) = self.write(assessment, taken)?;
        if let Err(error) = transaction.commit() {
            films::remove(&folder, id);
            return Err(CaseLogError::database(&folder, error));
        }
        Ok(id)
    }

    /// Does everything of [`CaseLog::add`] but the commit: the files are on the disk, the row is not.
    pub(super) fn write(
        &mut self,
        assessment: &Assessment,
        taken: Timestamp,
    ) -> Result<(CaseId, Transaction<'_>), CaseLogError> {
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

/// Inserts the case's row.
fn insert(database: &Connection, assessment: &Assessment, taken: Timestamp) -> rusqlite::Result<CaseId> {
    let id = row::next_number(database)?;
    let moment = format!("{taken:.3}");
    let unset = clock_unset(taken) || row::newest_taken(database)?.is_some_and(|newest| moment < newest);
    let row = CaseRow::new(id, assessment, moment, unset)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    row.insert(database, id)?;
    Ok(id)
}

/// Device and inode of the database's file in the folder.
fn identity(folder: &Path) -> io::Result<(u64, u64)> {
    let file = fs::metadata(folder.join(DATABASE_FILE))?;
    Ok((file.dev(), file.ino()))
}

/// Checks the layout before anything is written, makes it in a new database, and tidies up.
fn prepare(folder: &Path, database: &mut Connection) -> Result<(), CaseLogError> {
    let failed = |error| CaseLogError::database(folder, error);
    let found = row::layout(database).map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(CaseLogError::Newer { path: folder.join(DATABASE_FILE), found });
    }
    database.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    database.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    // Another program that writes cases holds the lock from its row's first byte to its commit, so none of its files is
    // taken for a leftover.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let new = row::layout(&transaction).map_err(failed)? == 0;
    if new {
        row::create_table(&transaction).map_err(failed)?;
    }
    tidy(folder, &transaction, new)?;
    transaction.commit().map_err(failed)
}
