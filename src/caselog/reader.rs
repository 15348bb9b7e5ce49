//! Reading the case log, also while the box records.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Row};
use serde::Serialize;
use serde_json::Value;
use xray_triage_core::decision::Probabilities;
use xray_triage_core::image_file;

use super::films::{self, FOLDER};
use super::{CaseId, CaseLogError, DATABASE_FILE, SCHEMA_VERSION, connect, last_number, layout, newest_taken};

/// Columns in the order that [`case`] reads them in.
const COLUMNS: &str = "id, taken, clock_unset, outcome, top, covid19, pneumonia, normal, reasons, profile,
    operating_point, model_id, model_sha256, version, plate, cam, record";

/// A case as it was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Its number.
    pub id: CaseId,
    /// When it was taken by the box's clock: UTC, RFC 3339.
    pub taken: String,
    /// Whether that clock cannot have been set: it was before this program's release, or before an earlier case.
    pub clock_unset: bool,
    /// `covid19`, `pneumonia`, `normal`, `refer` or `refused`.
    pub outcome: String,
    /// The most probable class's label, if the network saw the film.
    pub top: Option<String>,
    /// Calibrated probabilities, if the network saw the film.
    pub probabilities: Option<Probabilities>,
    /// Codes that say why the film was refused or referred.
    pub reasons: Vec<String>,
    /// The capture profile.
    pub profile: Option<String>,
    /// The operating point.
    pub operating_point: Option<String>,
    /// The model's id.
    pub model_id: String,
    /// SHA-256 of the model's network.
    pub model_sha256: String,
    /// Version of the program that judged.
    pub version: String,
    /// The plate's file; none if there was no picture.
    pub plate: Option<PathBuf>,
    /// The activation maps' file; none if the network did not run.
    pub cam: Option<PathBuf>,
    /// The whole record, as `--json` prints it.
    pub record: Value,
}

/// What [`CaseReader::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// Cases in the log.
    pub cases: u64,
    /// What is wrong, with the file each; empty for a sound log.
    pub problems: Vec<String>,
    /// Files of a capture that was interrupted, or is being recorded now. They are no fault: the box removes leftovers, or
    /// sets them aside, when it starts.
    pub unfinished: Vec<PathBuf>,
}

/// The case log, open for reading.
#[derive(Debug)]
pub struct CaseReader {
    folder: PathBuf,
    database: Connection,
}

impl CaseReader {
    /// Opens the case log in `folder`; changes nothing in it.
    ///
    /// # Errors
    /// There is none, or it is damaged, unreadable or written by a newer program.
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
        self.select("ORDER BY id DESC", []).map_err(|error| CaseLogError::database(&self.folder, error))
    }

    /// One case.
    ///
    /// # Errors
    /// [`CaseLogError::NoCase`], or the database cannot be read.
    pub fn case(&self, id: CaseId) -> Result<Case, CaseLogError> {
        let mut found =
            self.select("WHERE id = ?1", [id.0]).map_err(|error| CaseLogError::database(&self.folder, error))?;
        found.pop().ok_or(CaseLogError::NoCase(id))
    }

    fn select(&self, which: &str, values: impl rusqlite::Params) -> rusqlite::Result<Vec<Case>> {
        let mut statement = self.database.prepare(&format!("SELECT {COLUMNS} FROM cases {which}"))?;
        let rows = statement.query_map(values, |row| case(&self.folder, row))?;
        rows.collect()
    }

    /// Looks through the database and every file: whether each row's are there and readable, and each file has a row.
    ///
    /// # Errors
    /// The log cannot be read at all. What is wrong within it is no error but among the findings.
    pub fn check(&self) -> Result<Findings, CaseLogError> {
        self.check_newest(usize::MAX)
    }

    /// As [`check`](CaseReader::check), but reads the files of so many of the newest cases only; those of the others have
    /// to be there.
    ///
    /// # Errors
    /// As [`check`](CaseReader::check).
    pub fn check_newest(&self, read: usize) -> Result<Findings, CaseLogError> {
        let failed = |error| CaseLogError::database(&self.folder, error);
        let films = self.folder.join(FOLDER);
        // First the files, then the rows: a file that gets its row meanwhile is none without.
        let there = films::list(&self.folder).map_err(|error| CaseLogError::file(&self.folder, &films, error))?;
        let mut findings = Findings { problems: self.database_problems().map_err(failed)?, ..Findings::default() };
        let last = last_number(&self.database).map_err(failed)?;
        let mut known = HashSet::new();
        for (newer, case) in self.cases()?.into_iter().enumerate() {
            findings.cases += 1;
            for path in case.plate.iter().chain(&case.cam) {
                if let Err(problem) = if newer < read { readable(path) } else { present(path) } {
                    findings.problems.push(format!("case {}: {problem}", case.id));
                }
                known.insert(path.clone());
            }
        }
        for file in there {
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

    /// When the newest case was taken, as [`Case::taken`], of those whose clock was set.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest(&self) -> Result<Option<String>, CaseLogError> {
        newest_taken(&self.database).map_err(|error| CaseLogError::database(&self.folder, error))
    }
}

/// Reads a row of [`COLUMNS`].
fn case(folder: &Path, row: &Row) -> rusqlite::Result<Case> {
    let json = |column: usize, text: String| {
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
        })
    };
    let file = |name: Option<String>| name.map(|name| folder.join(name));
    let probabilities: [Option<f64>; 3] = [row.get(5)?, row.get(6)?, row.get(7)?];
    let reasons: Value = json(8, row.get(8)?)?;
    Ok(Case {
        id: CaseId(row.get(0)?),
        taken: row.get(1)?,
        clock_unset: row.get(2)?,
        outcome: row.get(3)?,
        top: row.get(4)?,
        probabilities: match probabilities {
            [Some(covid19), Some(pneumonia), Some(normal)] => Some(Probabilities { covid19, pneumonia, normal }),
            _ => None,
        },
        reasons: reasons.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect(),
        profile: row.get(9)?,
        operating_point: row.get(10)?,
        model_id: row.get(11)?,
        model_sha256: row.get(12)?,
        version: row.get(13)?,
        plate: file(row.get(14)?),
        cam: file(row.get(15)?),
        record: json(16, row.get(16)?)?,
    })
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
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let maps: serde_json::Result<Value> = serde_json::from_slice(&text);
    maps.map(drop).map_err(|error| format!("{}: {error}", path.display()))
}
