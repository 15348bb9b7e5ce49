//! The CSV tables that collections come with.

use std::path::Path;

use csv::StringRecord;
use serde::de::DeserializeOwned;

use crate::data::prepare::error::PrepareError;

/// Reads a table that has these columns. The case of column names does not matter. A letter that is not UTF-8 is
/// replaced.
pub fn read<T: DeserializeOwned>(path: &Path, columns: &[&str]) -> Result<Vec<T>, PrepareError> {
    let fault = |source| PrepareError::Table { path: path.into(), source };
    let reader = csv::ReaderBuilder::new().flexible(true).from_path(path);
    let mut reader = reader.map_err(fault)?;
    let names = StringRecord::from_byte_record_lossy(reader.byte_headers().map_err(fault)?.clone());
    let names: StringRecord = names.iter().map(|name| name.trim().to_lowercase()).collect();
    let missing: Vec<&str> =
        columns.iter().filter(|&&column| !names.iter().any(|name| name == column)).copied().collect();
    if !missing.is_empty() {
        return Err(PrepareError::Columns { path: path.into(), missing: missing.join(", ") });
    }
    let mut rows = Vec::new();
    for record in reader.byte_records() {
        let mut record = StringRecord::from_byte_record_lossy(record.map_err(fault)?);
        record.trim();
        // Rows are shorter than the header line where that ends with a comma.
        while record.len() < names.len() {
            record.push_field("");
        }
        rows.push(record.deserialize(Some(&names)).map_err(fault)?);
    }
    Ok(rows)
}
