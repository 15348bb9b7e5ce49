//! What is done on opening the case log about what an interrupted capture, or a lost database, left in the folder.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::films::{self, FOLDER};
use super::row::{last_number, number_after};
use super::{CaseId, CaseLogError, DATABASE_FILE, WAL_FILE};

/// The folder, within the case log's, of whole files that were found without a row.
const ASIDE: &str = "aside";

/// Refuses a folder from which the database alone was moved away, maybe just now. Its newest cases are in the write-ahead
/// log, which SQLite would remove beside a new database.
pub fn refuse_lone_write_ahead_log(folder: &Path) -> Result<(), CaseLogError> {
    let path = folder.join(DATABASE_FILE);
    let has_wal = fs::metadata(folder.join(WAL_FILE)).is_ok_and(|wal| wal.len() > 0);
    if has_wal && matches!(path.try_exists(), Ok(false)) {
        return Err(CaseLogError::Damaged { path, detail: format!("it is not there, but {WAL_FILE} is") });
    }
    Ok(())
}

/// Tidies up after an interrupted capture, whose files have the number that comes next. Half-written files are removed.
/// Whole ones are set aside, and their number is skipped; they may also be of a case that is missing in an older copy of
/// the database that was put back.
///
/// Files of later numbers, or any in a new database, belong to a database that was lost. They stay, and new cases get
/// numbers after theirs.
pub fn tidy(folder: &Path, database: &Connection, new: bool) -> Result<(), CaseLogError> {
    let database_failed = |error| CaseLogError::database(folder, error);
    let films = folder.join(FOLDER);
    let files = films::list(folder).map_err(|error| CaseLogError::file(folder, &films, error))?;
    let last = last_number(database).map_err(database_failed)?;
    let highest = files.iter().filter_map(|file| file.id).map(|id| id.0).max().unwrap_or(0);
    if highest > last + 1 || (new && highest > 0) {
        log::warn!(
            "{}: has films up to {}, but {DATABASE_FILE} has cases up to {} only. They stay, and the next case is {}. \
             Put the right {DATABASE_FILE} back if there is one",
            films.display(),
            CaseId(highest),
            CaseId(last),
            CaseId(highest + 1)
        );
        return number_after(database, highest).map_err(database_failed);
    }
    let mut set_aside = false;
    for file in &files {
        let failed = |error| CaseLogError::file(folder, &file.path, error);
        if file.partial {
            fs::remove_file(&file.path).map_err(failed)?;
            log::info!("removed {}, left by an interrupted capture", file.path.display());
        } else if file.id == Some(CaseId(last + 1)) {
            let place = films::set_aside(&folder.join(ASIDE), &file.path).map_err(failed)?;
            log::warn!("{}: belongs to no case. It is {} now", file.path.display(), place.display());
            set_aside = true;
        }
    }
    if set_aside {
        number_after(database, last + 1).map_err(database_failed)?;
    }
    Ok(())
}
