//! All that a run needs to go on, in a folder that is never half there.
//!
//! A checkpoint is written beside the last one, put on the disk, and then renamed into its place. The one before stays
//! as `checkpoint.last`.

use std::path::Path;

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use xray_triage_core::atomic_file;

use crate::model::state_dict::{Precision, StateDict};

use super::{Progress, Student, TrainConfig, TrainError};

/// The checkpoint's folder in a run's.
pub const FOLDER: &str = "checkpoint";
const STUDENT: &str = "student.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const AVERAGE: &str = "average.safetensors";
const PROGRESS: &str = "progress.json";

/// What a checkpoint holds.
pub struct Checkpoint {
    pub student: Student,
    pub optimizer: ModuleOptimizer,
    pub average: StateDict,
    pub progress: Progress,
}

impl Checkpoint {
    /// Writes it to `folder`.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        let next = folder.with_extension("next");
        let last = folder.with_extension("last");
        let io = |source| TrainError::Save { path: next.clone(), source };
        let failed = |reason: String| TrainError::Checkpoint { path: next.clone(), reason };
        if next.exists() {
            std::fs::remove_dir_all(&next).map_err(io)?;
        }
        std::fs::create_dir_all(&next).map_err(io)?;
        self.student.clone().save_file(next.join(STUDENT)).map_err(|error| failed(error.to_string()))?;
        self.optimizer.to_record().save(next.join(OPTIMIZER)).map_err(|error| failed(error.to_string()))?;
        self.average.save(&next.join(AVERAGE), Precision::Single)?;
        let text = serde_json::to_string_pretty(&self.progress).map_err(|error| failed(error.to_string()))?;
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

    /// Reads the one in `folder`, or where that cannot be read the one before, which then takes its place. `student` and
    /// `optimizer` are those of a new run with these settings.
    ///
    /// # Errors
    /// Neither can be read, or it was made with settings that a run cannot go on with, see [`check_settings`].
    pub fn load(
        folder: &Path,
        student: &Student,
        optimizer: &ModuleOptimizer,
        config: &TrainConfig,
    ) -> Result<Self, TrainError> {
        let last = folder.with_extension("last");
        match Self::read(folder, student, optimizer, config) {
            Err(TrainError::OtherSettings { path }) => Err(TrainError::OtherSettings { path }),
            Err(error) if last.exists() => {
                log::warn!("{error}; trying the checkpoint before, {}", last.display());
                let Ok(before) = Self::read(&last, student, optimizer, config) else {
                    // The first error is the one to report.
                    return Err(error);
                };
                let io = |source| TrainError::Save { path: last.clone(), source };
                std::fs::remove_dir_all(folder).map_err(io)?;
                std::fs::rename(&last, folder).map_err(io)?;
                Ok(before)
            }
            outcome => outcome,
        }
    }

    fn read(
        folder: &Path,
        student: &Student,
        optimizer: &ModuleOptimizer,
        config: &TrainConfig,
    ) -> Result<Self, TrainError> {
        let failed = |reason: String| TrainError::Checkpoint { path: folder.into(), reason };
        let mut progress = progress(folder)?;
        check_settings(folder, &progress, config)?;
        progress.config = config.clone();
        // From memory: of a record's file Burn reads a tensor when it is first needed, when the file may be gone.
        let bytes = |name| {
            let path = folder.join(name);
            std::fs::read(&path).map(Bytes::from_bytes_vec).map_err(|source| TrainError::Read { path, source })
        };
        let student = ModuleRecord::from_bytes(bytes(STUDENT)?)
            .and_then(|record| student.clone().try_load_record(record))
            .map_err(|error| failed(error.to_string()))?;
        let record = OptimizerRecord::from_bytes(bytes(OPTIMIZER)?).map_err(|error| failed(error.to_string()))?;
        let optimizer = optimizer.clone().load_record(record);
        let average = StateDict::load(&folder.join(AVERAGE))?;
        Ok(Checkpoint { student, optimizer, average, progress })
    }
}

/// Whether a run can go on with `config`: with the settings it has, or with another learning rate as long as it is not
/// finished.
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

/// Where the run of a checkpoint stands.
pub fn progress(folder: &Path) -> Result<Progress, TrainError> {
    let path = folder.join(PROGRESS);
    let text = std::fs::read_to_string(&path).map_err(|source| TrainError::Read { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|error| TrainError::Checkpoint { path, reason: error.to_string() })
}

/// A stop between the two renames of [`Checkpoint::save`] leaves the last checkpoint under its old name.
pub fn recover(folder: &Path) -> Result<(), TrainError> {
    let last = folder.with_extension("last");
    if !folder.exists() && last.exists() {
        std::fs::rename(&last, folder).map_err(|source| TrainError::Save { path: last, source })?;
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
