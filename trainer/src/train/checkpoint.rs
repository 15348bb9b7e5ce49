//! All that a run needs to go on, in a folder that is never half there.
//!
//! A checkpoint is written beside the last one, put on the disk, and then renamed into its place. The one before stays
//! as `checkpoint.last`.

use std::path::Path;

use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use xray_triage_core::atomic_file;

use crate::model::state_dict::{Precision, StateDict};

use super::state::{Progress, RunState};
use super::{TrainConfig, TrainError};

/// The checkpoint's folder in a run's folder.
pub const FOLDER: &str = "checkpoint";
const STUDENT: &str = "student.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const AVERAGE: &str = "average.safetensors";
const PROGRESS: &str = "progress.json";

/// Writes a run's state as the checkpoint in `folder`.
///
/// # Errors
/// The checkpoint cannot be written. The one before stays.
pub fn save(state: &RunState, folder: &Path) -> Result<(), TrainError> {
    let next = folder.with_extension("next");
    let last = folder.with_extension("last");
    let io = |error| TrainError::Save { path: next.clone(), error };
    let failed = |reason: String| TrainError::Checkpoint { path: next.clone(), reason };
    if next.exists() {
        std::fs::remove_dir_all(&next).map_err(io)?;
    }
    std::fs::create_dir_all(&next).map_err(io)?;
    state.student.clone().save_file(next.join(STUDENT)).map_err(|error| failed(error.to_string()))?;
    state.optimizer.to_record().save(next.join(OPTIMIZER)).map_err(|error| failed(error.to_string()))?;
    state.average.save(&next.join(AVERAGE), Precision::Single)?;
    let text = serde_json::to_string_pretty(&state.progress).map_err(|error| failed(error.to_string()))?;
    std::fs::write(next.join(PROGRESS), text).map_err(io)?;
    sync(&next).map_err(io)?;
    if folder.exists() {
        if last.exists() {
            std::fs::remove_dir_all(&last).map_err(io)?;
        }
        std::fs::rename(folder, &last).map_err(io)?;
    }
    std::fs::rename(&next, folder).map_err(io)?;
    atomic_file::sync_folder(folder.parent().unwrap_or(Path::new("."))).map_err(io)
}

/// Reads the checkpoint in `folder`. If it cannot be read, the one before is read and takes its place. `fresh` is the
/// state of a new run with these settings.
///
/// # Errors
/// Neither checkpoint can be read, or a run cannot go on with these settings ([`check_settings`]).
pub fn load(folder: &Path, fresh: &RunState, config: &TrainConfig) -> Result<RunState, TrainError> {
    let last = folder.with_extension("last");
    match read(folder, fresh, config) {
        Err(TrainError::OtherSettings { path }) => Err(TrainError::OtherSettings { path }),
        Err(error) if last.exists() => {
            log::warn!("{error}; trying the checkpoint before, {}", last.display());
            let Ok(before) = read(&last, fresh, config) else {
                // The first error is the one to report.
                return Err(error);
            };
            let io = |error| TrainError::Save { path: last.clone(), error };
            std::fs::remove_dir_all(folder).map_err(io)?;
            std::fs::rename(&last, folder).map_err(io)?;
            Ok(before)
        }
        outcome => outcome,
    }
}

fn read(folder: &Path, fresh: &RunState, config: &TrainConfig) -> Result<RunState, TrainError> {
    let failed = |reason: String| TrainError::Checkpoint { path: folder.into(), reason };
    let mut progress = progress(folder)?;
    check_settings(folder, &progress, config)?;
    progress.config = config.clone();
    // From a file, Burn reads a tensor only when it is first needed, when the file may be gone. So the files are read here.
    let bytes = |name| {
        let path = folder.join(name);
        std::fs::read(&path).map(Bytes::from_bytes_vec).map_err(|error| TrainError::Read { path, error })
    };
    let student = ModuleRecord::from_bytes(bytes(STUDENT)?)
        .and_then(|record| fresh.student.clone().try_load_record(record))
        .map_err(|error| failed(error.to_string()))?;
    let record = OptimizerRecord::from_bytes(bytes(OPTIMIZER)?).map_err(|error| failed(error.to_string()))?;
    let optimizer = fresh.optimizer.clone().load_record(record);
    let average = StateDict::load(&folder.join(AVERAGE))?;
    Ok(RunState { student, optimizer, average, progress })
}

/// Checks whether a run can go on with `config`: with the settings that it has, or with another learning rate as long as
/// the run is not finished.
fn check_settings(folder: &Path, progress: &Progress, config: &TrainConfig) -> Result<(), TrainError> {
    if progress.config == *config {
        return Ok(());
    }
    let with_its_rate = TrainConfig { learning_rate: progress.config.learning_rate, ..config.clone() };
    if progress.config != with_its_rate || progress.epoch >= config.epochs() {
        return Err(TrainError::OtherSettings { path: folder.into() });
    }
    log::info!("learning rate {} from here on, {} before", config.learning_rate, progress.config.learning_rate);
    Ok(())
}

/// How far the run of the checkpoint in `folder` has come.
///
/// # Errors
/// [`TrainError::Read`] and [`TrainError::Checkpoint`].
pub fn progress(folder: &Path) -> Result<Progress, TrainError> {
    let path = folder.join(PROGRESS);
    let text = std::fs::read_to_string(&path).map_err(|error| TrainError::Read { path: path.clone(), error })?;
    serde_json::from_str(&text).map_err(|error| TrainError::Checkpoint { path, reason: error.to_string() })
}

/// Gives the last checkpoint its name back, if [`save`] was killed between its two renames.
pub fn recover(folder: &Path) -> Result<(), TrainError> {
    let last = folder.with_extension("last");
    if !folder.exists() && last.exists() {
        std::fs::rename(&last, folder).map_err(|error| TrainError::Save { path: last, error })?;
    }
    Ok(())
}

/// Puts a folder's files and their names on the disk.
fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        std::fs::File::open(entry?.path())?.sync_all()?;
    }
    atomic_file::sync_folder(folder)
}
