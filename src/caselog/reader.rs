//! Reading the case log, also while the box writes to it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use xray_triage_core::decision::Probabilities;
use xray_triage_core::{image_file, input_file};

use super::films::{self, FOLDER};
use super::row::{CaseRow, SCHEMA_VERSION, last_number, layout, newest_taken};
use super::{CaseId, CaseLogError, DATABASE_FILE, connect};

/// A case as it was kept. Names and codes stand as they were written, maybe by another version of this program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The case's number.
    pub id: CaseId,
    /// When the film was taken by the box's clock: UTC, RFC 3339.
    pub taken: String,
    /// Whether that clock cannot have been set: it was before this program's release, or before an earlier case.
    pub clock_unset: bool,
    /// The outcome: `covid19`, `pneumonia`, `normal`, `refer` or `refused`.
    pub outcome: String,
    /// The most probable class's label, if the network saw the film.
    pub top: Option<String>,
    /// The calibrated probabilities, if the network saw the film.
    pub probabilities: Option<Probabilities>,
    /// Codes that say why the film was refused or referred.
    pub reasons: Vec<String>,
    /// The capture profile's name.
    pub profile: Option<String>,
    /// The operating point's name.
    pub operating_point: Option<String>,
    /// The id of the model's bundle.
    pub model_id: String,
    /// SHA-256 of the model's network, 64 hexadecimal digits.
    pub model_sha256: String,
    /// Version of the program that judged.
    pub version: String,
    /// The film's file; `None` if there was no picture. For a refused film it is the whole photograph. JSON calls it
    /// `plate`.
    #[serde(rename = "plate")]
    pub film: Option<PathBuf>,
    /// The activation maps' file; `None` if the network did not run.
    pub cam: Option<PathBuf>,
    /// The whole record, as `--json` prints it.
    pub record: Value,
}

impl Case {
    /// The case of a row; paths begin with `folder`.
    fn from_row(folder: &Path, id: CaseId, row: CaseRow) -> Result<Case, CaseLogError> {
        let file = |name: Option<String>| name.map(|name| folder.join(name));
        let probabilities = match (row.covid19, row.pneumonia, row.normal) {
            (Some(covid19), Some(pneumonia), Some(normal)) => Some(Probabilities { covid19, pneumonia, normal }),
            _ => None,
        };
        Ok(Case {
            id,
            taken: row.taken,
            clock_unset: row.clock_unset,
            outcome: row.outcome,
            top: row.top,
            probabilities,
            reasons: json(folder, id, "reasons", &row.reasons)?,
            profile: row.profile,
            operating_point: row.operating_point,
            model_id: row.model_id,
            model_sha256: row.model_sha256,
            version: row.version,
            film: file(row.plate),
            cam: file(row.cam),
            record: json(folder, id, "record", &row.record)?,
        })
    }
}

/// A value that a column has as JSON.
fn json<T: DeserializeOwned>(folder: &Path, id: CaseId, column: &str, text: &str) -> Result<T, CaseLogError> {
    serde_json::from_str(text).map_err(|error| CaseLogError::Damaged {
        path: folder.join(DATABASE_FILE),
        detail: format!("case {id}: {column} cannot be read, {error}"),
    })
}

/// What [`CaseReader::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// How many cases the log has.
    pub cases: u64,
    /// What is wrong and with which file, a text for each problem; empty for a sound log.
    pub problems: Vec<String>,
    /// Files of a capture that was interrupted, or of a case that is being written now. They are no fault: when the box
    /// starts it removes such files or sets them aside.
    pub unfinished: Vec<PathBuf>,
}

/// The case log, open for reading.
#[derive(Debug)]
pub struct CaseReader {
    folder: PathBuf,
    database: Connection,
}

impl CaseReader {
    /// Opens the case log in `folder` and changes nothing in it.
    ///
    /// # Errors
    /// The folder has no case log, or the log is damaged, unreadable or written by a newer program.
    pub fn open(folder: &Path) -> Result<CaseReader, CaseLogError> {
        let path = folder.join(DATABASE_FILE);
        // A folder that may not be searched is told from one without a log by SQLite's error below.
        if matches!(path.try_exists(), Ok(false)) {
            return Err(CaseLogError::Missing(folder.into()));
        }
        let database = connect(folder, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match layout(&database).map_err(|error| CaseLogError::database(folder, error))? {
            // Made, but not yet filled by the box.
            0 => Err(CaseLogError::Missing(folder.into())),
            found if found > SCHEMA_VERSION => Err(CaseLogError::Newer { path, found }),
            _ => Ok(CaseReader { folder: folder.into(), database }),
        }
    }

    /// Every case, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn cases(&self) -> Result<Vec<Case>, CaseLogError> {
        self.select("ORDER BY id DESC", [])
    }

    /// One case.
    ///
    /// # Errors
    /// [`CaseLogError::NoCase`], or the database cannot be read.
    pub fn case(&self, id: CaseId) -> Result<Case, CaseLogError> {
        self.select("WHERE id = ?1", [id.0])?.pop().ok_or(CaseLogError::NoCase(id))
    }

    fn select(&self, which: &str, values: impl rusqlite::Params) -> Result<Vec<Case>, CaseLogError> {
        let rows = CaseRow::select(&self.database, which, values)
            .map_err(|error| CaseLogError::database(&self.folder, error))?;
        rows.into_iter().map(|(id, row)| Case::from_row(&self.folder, id, row)).collect()
    }

    /// Checks the database, that each case's files are there and can be read, and that each file belongs to a case.
    ///
    /// # Errors
    /// The log cannot be read at all. What is wrong within it is not an error but one of the findings.
    pub fn check(&self) -> Result<Findings, CaseLogError> {
        self.check_newest(usize::MAX)
    }

    /// Checks as [`check`](CaseReader::check) does, but reads the files of the newest `read` cases only. The files of the
    /// others have to be there.
    ///
    /// # Errors
    /// The log cannot be read at all.
    pub fn check_newest(&self, read: usize) -> Result<Findings, CaseLogError> {
        let failed = |error| CaseLogError::database(&self.folder, error);
        let films = self.folder.join(FOLDER);
        // The files are listed before the rows: a file that gets its row meanwhile then has one.
        let files = films::list(&self.folder).map_err(|error| CaseLogError::file(&self.folder, &films, error))?;
        let mut findings = Findings { problems: self.database_problems().map_err(failed)?, ..Findings::default() };
        let last = last_number(&self.database).map_err(failed)?;
        let mut known = HashSet::new();
        for (newer, case) in self.cases()?.into_iter().enumerate() {
            findings.cases += 1;
            for path in case.film.iter().chain(&case.cam) {
                if let Err(problem) = if newer < read { readable(path) } else { present(path) } {
                    findings.problems.push(format!("case {}: {problem}", case.id));
                }
                known.insert(path.clone());
            }
        }
        for file in files {
            if file.partial || file.id.is_some_and(|id| id.0 == last + 1) {
                findings.unfinished.push(file.path);
            } else if !known.contains(&file.path) {
                findings.problems.push(format!("{}: belongs to no case", file.path.display()));
            }
        }
        findings.problems.sort();
        findings.unfinished.sort();
        Ok(findings)
    }

    /// SQLite's own check.
    fn database_problems(&self) -> rusqlite::Result<Vec<String>> {
        let path = self.folder.join(DATABASE_FILE);
        let mut statement = self.database.prepare("PRAGMA integrity_check")?;
        let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").map(|line| format!("{}: {line}", path.display())).collect())
    }

    /// When the newest case was taken of those whose clock was set: UTC, RFC 3339.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest(&self) -> Result<Option<String>, CaseLogError> {
        newest_taken(&self.database).map_err(|error| CaseLogError::database(&self.folder, error))
    }
}

/// Whether a case's file is there; the error says why not.
fn present(path: &Path) -> Result<(), String> {
    fs::metadata(path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether a case's file can be read as what it is; the error says why not.
fn readable(path: &Path) -> Result<(), String> {
    if path.extension().is_some_and(|extension| extension == "png") {
        return image_file::read(path).map(drop).map_err(|error| error.to_string());
    }
    let text = input_file::read(path, image_file::MAX_BYTES).map_err(|fault| format!("{}: {fault}", path.display()))?;
    let maps: serde_json::Result<Value> = serde_json::from_slice(&text);
    maps.map(drop).map_err(|error| format!("{}: {error}", path.display()))
}
