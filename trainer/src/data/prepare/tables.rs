//! The CSV files of a data set.

use std::io;
use std::path::Path;

use serde::Serialize;
use xray_triage_core::atomic_file;

use super::error::PrepareError;

/// Writes rows with a header line, as a whole file or not at all.
pub fn write<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), PrepareError> {
    let table = || -> Result<Vec<u8>, io::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.serialize(row).map_err(io::Error::other)?;
        }
        writer.into_inner().map_err(|error| error.into_error())
    };
    let written = table().and_then(|bytes| atomic_file::write(path, &bytes));
    written.map_err(|source| PrepareError::Write { path: path.into(), source })
}
