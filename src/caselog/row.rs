//! The database's one table, `cases`: its columns, and what is asked of it.
//!
//! The columns are stated once, as the fields of [`CaseRow`]. The table, the statement that inserts a case and the one
//! that reads cases are made from them, and a case's values come from the typed fields of its record.

use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use xray_triage_core::decision::{Class, Outcome};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::record::Record;

use super::CaseId;
use super::films::{self, Kind};

/// The layout that this program writes; `user_version` in the database.
pub const SCHEMA_VERSION: i64 = 1;

/// A Rust type that a column can have.
trait ColumnType {
    /// The column's type in SQL.
    const SQL: &str;
}

impl ColumnType for String {
    const SQL: &str = "TEXT NOT NULL";
}

impl ColumnType for Option<String> {
    const SQL: &str = "TEXT";
}

impl ColumnType for bool {
    const SQL: &str = "INTEGER NOT NULL";
}

impl ColumnType for Option<f64> {
    const SQL: &str = "REAL";
}

/// Makes the struct of a row, and what SQL has to know of its fields.
macro_rules! row {
    ($(#[$about:meta])* struct $name:ident { $($(#[$doc:meta])* $column:ident: $type:ty,)* }) => {
        $(#[$about])*
        pub struct $name {
            $($(#[$doc])* pub $column: $type,)*
        }

        impl $name {
            /// Each column's name and SQL type, `id` not among them.
            const COLUMNS: &[(&str, &str)] = &[$((stringify!($column), <$type as ColumnType>::SQL)),*];

            /// The values, in the order of [`Self::COLUMNS`].
            fn values(&self) -> Vec<&dyn ToSql> {
                vec![$(&self.$column),*]
            }

            fn read(row: &Row) -> rusqlite::Result<$name> {
                Ok($name { $($column: row.get(stringify!($column))?),* })
            }
        }
    };
}

row! {
    /// A case's row, apart from its number.
    #[derive(Debug)]
    struct CaseRow {
        /// When the film was taken: UTC, RFC 3339 with milliseconds, so that moments are in the order of their texts.
        taken: String,
        /// Whether the clock cannot have been set then.
        clock_unset: bool,
        /// The outcome's name.
        outcome: String,
        /// The most probable class's label.
        top: Option<String>,
        /// The probability of COVID-19, 0..=1.
        covid19: Option<f64>,
        /// The probability of another pneumonia, 0..=1.
        pneumonia: Option<f64>,
        /// The probability of no finding, 0..=1.
        normal: Option<f64>,
        /// The reasons' codes: a JSON array.
        reasons: String,
        /// The capture profile's name.
        profile: Option<String>,
        /// The operating point's name.
        operating_point: Option<String>,
        /// The bundle's id.
        model_id: String,
        /// SHA-256 of the network.
        model_sha256: String,
        /// Version of the program that judged.
        version: String,
        /// The quality gate's measures: a JSON object.
        quality: Option<String>,
        /// The film's file, a path within the case log's folder.
        plate: Option<String>,
        /// The activation maps' file, a path within the case log's folder.
        cam: Option<String>,
        /// The whole record, as `--json` prints it.
        record: String,
    }
}

impl CaseRow {
    /// The row of a new case.
    ///
    /// # Errors
    /// The record cannot be written as JSON.
    pub fn new(id: CaseId, assessment: &Assessment, taken: String, clock_unset: bool) -> serde_json::Result<CaseRow> {
        let record: &Record = &assessment.record;
        Ok(CaseRow {
            taken,
            clock_unset,
            outcome: outcome_name(record.outcome).into(),
            top: record.top.map(|class| class.label().into()),
            covid19: record.probabilities.map(|probabilities| probabilities.of(Class::Covid19)),
            pneumonia: record.probabilities.map(|probabilities| probabilities.of(Class::Pneumonia)),
            normal: record.probabilities.map(|probabilities| probabilities.of(Class::Normal)),
            reasons: serde_json::to_string(&record.reasons)?,
            profile: record.profile.map(Profile::name).map(String::from),
            operating_point: record.operating_point.clone(),
            model_id: record.model.id.clone(),
            model_sha256: record.model.sha256.clone(),
            version: record.version.into(),
            quality: record.quality.as_ref().map(serde_json::to_string).transpose()?,
            plate: assessment.picture.as_ref().map(|_| films::name(id, Kind::Film)),
            cam: assessment.cam.as_ref().map(|_| films::name(id, Kind::Cam)),
            record: serde_json::to_string(record)?,
        })
    }

    /// Inserts the row under the number `id`.
    pub fn insert(&self, database: &Connection, id: CaseId) -> rusqlite::Result<()> {
        let places = ", ?".repeat(Self::COLUMNS.len());
        let mut statement = database.prepare(&format!("INSERT INTO cases (id, {}) VALUES (?{places})", names()))?;
        let values = self.values();
        statement.execute(rusqlite::params_from_iter(std::iter::once(&id.0 as &dyn ToSql).chain(values)))?;
        Ok(())
    }

    /// The rows that `which` asks for, a condition or an order in SQL, with their numbers.
    pub fn select(
        database: &Connection,
        which: &str,
        values: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<(CaseId, CaseRow)>> {
        let mut statement = database.prepare(&format!("SELECT id, {} FROM cases {which}", names()))?;
        let rows = statement.query_map(values, |row| Ok((CaseId(row.get("id")?), CaseRow::read(row)?)))?;
        rows.collect()
    }
}

/// The columns' names with commas between them.
fn names() -> String {
    let names: Vec<&str> = CaseRow::COLUMNS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// The outcome's name in records and in the database.
fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Covid19 => Class::Covid19.label(),
        Outcome::Pneumonia => Class::Pneumonia.label(),
        Outcome::Normal => Class::Normal.label(),
        Outcome::Refer => "refer",
        Outcome::Refused => "refused",
    }
}

/// Makes the table, and says which layout it has.
pub fn create_table(database: &Connection) -> rusqlite::Result<()> {
    let columns: String = CaseRow::COLUMNS.iter().map(|(name, sql)| format!(", {name} {sql}")).collect();
    // AUTOINCREMENT: the number of a case that was kept is never given again, even if its row is deleted.
    database.execute_batch(&format!("CREATE TABLE cases (id INTEGER PRIMARY KEY AUTOINCREMENT{columns}) STRICT"))?;
    database.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// The layout's version; 0 for a database without one.
pub fn layout(database: &Connection) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The highest number given to a case that was kept; 0 if none was.
pub fn last_number(database: &Connection) -> rusqlite::Result<i64> {
    let last = database.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'cases'", [], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(0))
}

/// The number of the next case. It holds as long as the transaction in which it was asked for.
pub fn next_number(database: &Connection) -> rusqlite::Result<CaseId> {
    let highest: Option<i64> = database.query_row("SELECT max(id) FROM cases", [], |row| row.get(0))?;
    let last = last_number(database)?.max(highest.unwrap_or(0));
    Ok(CaseId(last.saturating_add(1)))
}

/// Lets the numbers of new cases begin after this one.
pub fn number_after(database: &Connection, last: i64) -> rusqlite::Result<()> {
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'cases'", [])?;
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('cases', ?1)", [last])?;
    Ok(())
}

/// When the newest case was taken of those whose clock was set, as it stands in the column `taken`.
pub fn newest_taken(database: &Connection) -> rusqlite::Result<Option<String>> {
    let newest = "SELECT taken FROM cases WHERE NOT clock_unset ORDER BY id DESC LIMIT 1";
    database.query_row(newest, [], |row| row.get(0)).optional()
}
