//! The table `metrics.csv`: how a run went, epoch by epoch.

use std::path::Path;

use serde::Serialize;
use xray_triage_core::atomic_file;

use super::TrainError;

/// The table's file in a run's folder.
pub const FILE: &str = "metrics.csv";

/// One row of `metrics.csv`. All figures are finite.
#[derive(Clone, Debug, Serialize)]
pub struct EpochMetrics {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Side of the input, pixels.
    pub size: u32,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// The mean loss of the epoch's steps.
    pub train_loss: f64,
    /// The accuracy on the views trained on, while the weights changed, 0..=1.
    pub train_accuracy: f64,
    /// The mean cross-entropy on the validation films, nats.
    pub val_loss: f64,
    /// The accuracy on the validation films, 0..=1.
    pub val_accuracy: f64,
    /// How long the epoch took, with validation.
    pub seconds: f64,
}

/// Puts an epoch's row behind those of the epochs before it. Rows of the same and of later epochs are dropped: they are
/// of a run that was killed before its checkpoint was written.
///
/// # Errors
/// [`TrainError::Save`].
pub fn add(path: &Path, metrics: &EpochMetrics) -> Result<(), TrainError> {
    let io = |error| TrainError::Save { path: path.into(), error };
    let old = if path.exists() { std::fs::read_to_string(path).map_err(io)? } else { String::new() };
    let table = || -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(metrics)?;
        Ok(String::from_utf8(writer.into_inner()?)?)
    };
    let table = table().map_err(|error| io(std::io::Error::other(error)))?;
    let mut rows: Vec<&str> = table.lines().collect();
    let columns = |row: &str| row.split(',').count();
    let is_before = |row: &&str| {
        let epoch = row.split(',').next().and_then(|epoch| epoch.parse::<usize>().ok());
        epoch.is_some_and(|epoch| epoch < metrics.epoch) && columns(row) == columns(rows[0])
    };
    let before: Vec<&str> = old.lines().filter(is_before).collect();
    rows.splice(1..1, before);
    atomic_file::write(path, format!("{}\n", rows.join("\n")).as_bytes()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_epochs_that_are_trained_again_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let add = |epoch, val_loss| {
            let (train_loss, val_accuracy, seconds) = (1.0, 0.5, 3.0);
            let metrics = EpochMetrics {
                epoch,
                size: 32,
                learning_rate: 0.1,
                train_loss,
                train_accuracy: 0.5,
                val_loss,
                val_accuracy,
                seconds,
            };
            add(&path, &metrics).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let header = "epoch,size,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,seconds\n";
        let row = |epoch, val_loss| format!("{epoch},32,0.1,1.0,0.5,{val_loss},0.5,3.0\n");
        add(1, 0.75);
        assert_eq!(add(2, 0.5), [header.into(), row(1, "0.75"), row(2, "0.5")].concat());
        // The run was killed before the checkpoint of epoch 2, and in the middle of a row.
        std::fs::write(&path, add(2, 0.5) + "3,32,0.1").unwrap();
        assert_eq!(add(2, 0.25), [header.into(), row(1, "0.75"), row(2, "0.25")].concat());
        std::fs::write(&path, "").unwrap();
        assert_eq!(add(1, 0.25), [header.into(), row(1, "0.25")].concat());
    }
}
