//! Why a run cannot begin, go on or be read.

use std::path::PathBuf;

use crate::model::state_dict::StateDictError;

/// Why a run cannot begin, go on or be read.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file of the run cannot be written.
    #[error("{path}: {error}; the last complete checkpoint is untouched")]
    Save {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file of the run cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A folder has no run.
    #[error("{path}: no run is here; name the folder that `trainer train` wrote by --out")]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A checkpoint is damaged, or there is one already.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The checkpoint's folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A run cannot go on with these settings.
    #[error(
        "{path}: the checkpoint was made with other settings; give the same ones (the learning rate of a run that is not \
         finished may differ), or another --out to start afresh"
    )]
    OtherSettings {
        /// The checkpoint's folder.
        path: PathBuf,
    },
    /// A setting has a value that no run can have.
    #[error("the setting `{setting}` is {value}; give {wanted}")]
    Setting {
        /// The setting's name in [`TrainConfig`](super::TrainConfig).
        setting: &'static str,
        /// Its value.
        value: String,
        /// What values it may have.
        wanted: &'static str,
    },
    /// There are no films to train on or to validate with.
    #[error("there are no films to {purpose}; give a manifest with films of split `{split}`")]
    NoFilms {
        /// What the films are for.
        purpose: &'static str,
        /// The split that they come from.
        split: &'static str,
    },
    /// Weights do not fit the architecture, or a file of weights cannot be read or written.
    #[error(transparent)]
    State(#[from] StateDictError),
    /// Mixed precision is not possible here.
    #[error("bfloat16: this backend has none, or not for an int8 network; leave out --mixed-precision")]
    Bfloat16,
    /// The teacher does not fit the settings, or fails.
    #[error("the teacher is of no use here: {reason}")]
    Teacher {
        /// What is wrong.
        reason: String,
    },
    /// A number of the run became infinite or NaN.
    #[error(
        "epoch {epoch}, step {step}: {what} is not finite; the checkpoint before it is kept. Lower --learning-rate and \
         start again with --resume"
    )]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The step of the epoch, counted from 1.
        step: usize,
    },
}
