//! Why no data set can be made.

use std::io;
use std::path::PathBuf;

use crate::data::dataset::{DatasetError, READINGS};

/// Why [`prepare`](super::prepare()) stopped. A single film that cannot be used is no error: it is left out and listed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A collection's table is not there or is no CSV table.
    #[error("{path}: {source}; give the folder of the collection as it is distributed")]
    Table {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        source: csv::Error,
    },
    /// A collection's table lacks columns.
    #[error("{path}: no column {missing}; give the collection's own table, with its header line")]
    Columns {
        /// The table.
        path: PathBuf,
        /// The missing columns, with commas between them.
        missing: String,
    },
    /// A collection's folder has no table.
    #[error("{root}: no {table} in it; give the folder of the collection as it is distributed")]
    NoTable {
        /// The collection's folder.
        root: PathBuf,
        /// The table's usual name.
        table: &'static str,
    },
    /// A folder of films has no film in a class's folder.
    #[error(
        "{root}: no film in a folder covid19, pneumonia, normal; put the films of each class into a folder of its name, or \
         say which folder is which by --class FOLDER=LABEL"
    )]
    NoClassFolder {
        /// The folder.
        root: PathBuf,
    },
    /// RSNA's table of NIH films is not what it should be.
    #[error("{path}: not RSNA's table of NIH films ({source}); give it as it is distributed, or remove it")]
    RsnaOrigins {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A table of readings has the columns of neither kind.
    #[error("{path}: no table of readings; it needs the columns film and reading, or Image Index and Airspace opacity")]
    ReadingColumns {
        /// The table.
        path: PathBuf,
    },
    /// A table of readings has a reading that there is not.
    #[error("{path}, film {film}: no such reading, `{reading}`; there are {}", READINGS.join(", "))]
    UnknownReading {
        /// The table.
        path: PathBuf,
        /// The film.
        film: String,
        /// What stands there.
        reading: String,
    },
    /// Films of a table of readings were read differently, in the table or before.
    #[error(
        "{path}: readings disagree for {films} films, the first is {first}; keep the reading that holds, or take the \
         films out of the table"
    )]
    ReadingsDisagree {
        /// The table.
        path: PathBuf,
        /// How many films these are.
        films: usize,
        /// The first of them.
        first: String,
    },
    /// A file or folder of a source cannot be read.
    #[error("{path}: cannot be read ({source}); check the name and its permissions")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An imported manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] DatasetError),
    /// The folder for the data set has something in it.
    #[error("{out}: not an empty folder; name a new one, so that nothing of yours is overwritten")]
    Occupied {
        /// The folder.
        out: PathBuf,
    },
    /// A class has no film.
    #[error(
        "no film of class {label} is left, and no network can be trained without; add a source that has some, see \
         {list} for what was left out and why, or give --allow-missing-class for a set to evaluate on"
    )]
    EmptyClass {
        /// The class's label.
        label: &'static str,
        /// The list of films that were left out.
        list: PathBuf,
    },
    /// A file of the data set cannot be written.
    #[error(
        "{path}: cannot be written ({source}); free some space or name another folder, then start again in an empty \
         one: what is written so far is no data set"
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}
