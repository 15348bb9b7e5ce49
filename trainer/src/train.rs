//! Training a network.
//!
//! A run lives in a folder: `metrics.csv` (one row an epoch), `best.safetensors` (the averaged weights with the best
//! validation accuracy), `averaged.safetensors` (the averaged weights of the newest epoch) and `checkpoint/` (the settings
//! and all that `--resume` needs). Every random choice follows from the seed, the epoch and the position in it, so a
//! resumed run sees the same views as an unbroken one.

pub mod augment;
mod checkpoint;
mod epochs;
mod error;
mod example;
mod loss;
mod pace;
mod sampling;
mod settings;
mod state;
mod steps;
pub mod teacher;
mod views;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use xray_triage_core::decision::Class;
use xray_triage_core::preprocess::InputSpec;

pub use self::error::TrainError;
pub use self::example::Example;
pub use self::settings::{LabelWeights, Schedule, Stage, TrainConfig};
use crate::data::dataset::LabelledFilm;
use crate::model::backend;
use crate::model::fake_quantization::FakeQuantization;
use crate::model::network::Network;
use crate::model::state_dict::{Precision, StateDict};

use self::epochs::EpochMetrics;
use self::loss::validate;
use self::state::RunState;
use self::steps::{Clock, Steps, train_epoch};
use self::teacher::Teacher;

/// The averaged weights with the best validation accuracy, in a run's folder.
pub const BEST_FILE: &str = "best.safetensors";
/// The averaged weights of the newest epoch, in a run's folder.
pub const NEWEST_FILE: &str = "averaged.safetensors";

const CLASSES: usize = Class::ALL.len();

/// What a run works on, beside its settings.
pub struct RunInputs<'a> {
    /// The films to train on.
    pub train: &'a [Example],
    /// The films that decide which weights are kept.
    pub val: &'a [LabelledFilm],
    /// The teacher, which looks at the very view that the network is trained on (Beyer et al. 2022, "Knowledge
    /// distillation: a good teacher is patient and consistent").
    pub teacher: Option<&'a Teacher>,
    /// The weights that a new run starts from, as far as they fit ([`StateDict::adopt`]). Without them the run starts from
    /// random weights.
    pub initial: Option<&'a StateDict>,
    /// How old the newest checkpoint may become within an epoch. `None` for a checkpoint at the end of each epoch only.
    pub checkpoint_every: Option<Duration>,
    /// With fake quantization the network is trained and validated as its int8 export computes.
    pub fake_quantization: Option<&'a FakeQuantization>,
}

/// Why [`run`] came back.
#[derive(Debug, PartialEq)]
pub enum Ended {
    /// All epochs are done. The value is the best validation accuracy at the last input size, 0..=1.
    Finished(f64),
    /// `stop` was set, and the checkpoint is written.
    Stopped,
}

/// Trains a network in a folder, or goes on with the run there if `resume` is set and the folder holds a checkpoint.
/// `device` is without automatic differentiation. `stop` is looked at after every step.
///
/// # Errors
/// The settings, the inputs and the device do not go together, the folder has another run, a file cannot be written or
/// read, or a number is not finite. The folder's last complete checkpoint is left as it is.
pub fn run(
    folder: &Path,
    config: &TrainConfig,
    resume: bool,
    device: &Device,
    inputs: &RunInputs,
    stop: &AtomicBool,
) -> Result<Ended, TrainError> {
    check(config, inputs, device)?;
    std::fs::create_dir_all(folder).map_err(|error| TrainError::Save { path: folder.into(), error })?;
    let training_device = device.clone().autodiff();
    let checkpoint = folder.join(checkpoint::FOLDER);
    let mut state = RunState::new(config, inputs, &training_device)?;
    checkpoint::recover(&checkpoint)?;
    if checkpoint.exists() && !resume {
        return Err(TrainError::Checkpoint {
            path: checkpoint,
            reason: "a run is here already; go on with it by --resume, or give another --out".into(),
        });
    }
    if checkpoint.exists() {
        state = checkpoint::load(&checkpoint, &state, config)?;
        log::info!("resumed at epoch {}, step {}", state.progress.epoch + 1, state.progress.step);
    }
    let mut clock = Clock::start();
    while state.progress.epoch < config.epochs() {
        let epoch_started = Instant::now();
        loop {
            let steps = train_epoch(&mut state, inputs, &mut clock, &training_device, stop, inputs.checkpoint_every)?;
            if !state.is_finite() {
                return Err(not_finite("a weight", &state));
            }
            if steps == Steps::Done {
                break;
            }
            checkpoint::save(&state, &checkpoint)?;
            if steps == Steps::Stopped {
                return Ok(Ended::Stopped);
            }
        }
        let row = judge_epoch(&state, inputs, device, epoch_started)?;
        epochs::add(&folder.join(epochs::FILE), &row)?;
        keep_weights(&mut state, folder, row.val_accuracy)?;
        state.progress.start_epoch(state.progress.epoch + 1);
        checkpoint::save(&state, &checkpoint)?;
    }
    Ok(Ended::Finished(state.progress.best_accuracy))
}

/// Whether settings, inputs and device go together.
fn check(config: &TrainConfig, inputs: &RunInputs, device: &Device) -> Result<(), TrainError> {
    config.check()?;
    for (count, purpose, split) in
        [(inputs.train.len(), "train on", "train"), (inputs.val.len(), "validate with", "val")]
    {
        if count == 0 {
            return Err(TrainError::NoFilms { purpose, split });
        }
    }
    if config.mixed_precision && (inputs.fake_quantization.is_some() || !backend::has_bfloat16(device)) {
        return Err(TrainError::Bfloat16);
    }
    if let Some(teacher) = inputs.teacher {
        let refused = |reason: &str| Err(TrainError::Teacher { reason: reason.into() });
        if config.teacher_share == 0.0 && !config.learns_features() {
            return refused("the settings learn nothing from it; give --teacher-share or --feature-weight");
        }
        if config.map_weight > 0.0 && !teacher.has_map() {
            return refused("its features are not the mean over a map; leave out --map-weight");
        }
    }
    Ok(())
}

fn not_finite(what: &'static str, state: &RunState) -> TrainError {
    TrainError::NotFinite { what, epoch: state.progress.epoch + 1, step: state.progress.step }
}

/// Validates the averaged weights after the last step of an epoch, and logs how the epoch went.
fn judge_epoch(
    state: &RunState,
    inputs: &RunInputs,
    device: &Device,
    epoch_started: Instant,
) -> Result<EpochMetrics, TrainError> {
    let progress = &state.progress;
    let config = &progress.config;
    let (epoch, size) = (progress.epoch, config.size(progress.epoch));
    let averaged = Network::new(&config.architecture, device).with_state(&state.average)?;
    let spec = InputSpec::imagenet(size);
    let (val_loss, val_accuracy) = validate(&averaged, inputs.val, &spec, inputs.fake_quantization, device);
    if !val_loss.is_finite() {
        return Err(not_finite("the validation loss", state));
    }
    let steps_per_epoch = config.steps_per_epoch(inputs.train.len());
    let row = EpochMetrics {
        epoch: epoch + 1,
        size,
        learning_rate: config.learning_rate((epoch + 1) * steps_per_epoch - 1, steps_per_epoch),
        train_loss: progress.loss_sum / steps_per_epoch as f64,
        train_accuracy: progress.right as f64 / config.views_per_epoch(inputs.train.len()) as f64,
        val_loss,
        val_accuracy,
        seconds: epoch_started.elapsed().as_secs_f64(),
    };
    log::info!(
        "epoch {} at {size} px: train loss {:.4}, accuracy {:.1} %, val loss {val_loss:.4}, accuracy {:.1} %, {:.0} s",
        row.epoch,
        row.train_loss,
        100.0 * row.train_accuracy,
        100.0 * val_accuracy,
        row.seconds
    );
    Ok(row)
}

/// Writes the averaged weights of an epoch, and writes them as the best ones if they are. The last input size is closest
/// to what runs on the device, so the best weights of one size give way to the first of the next.
fn keep_weights(state: &mut RunState, folder: &Path, val_accuracy: f64) -> Result<(), TrainError> {
    let RunState { average, progress, .. } = state;
    let config = &progress.config;
    let architecture = serde_json::to_string(&config.architecture).expect("an architecture is plain data");
    average.metadata.insert("architecture".into(), architecture);
    average.save(&folder.join(NEWEST_FILE), Precision::Single)?;
    let epoch = progress.epoch;
    let first_of_size = epoch == 0 || config.size(epoch - 1) != config.size(epoch);
    if val_accuracy >= progress.best_accuracy || first_of_size {
        progress.best_accuracy = val_accuracy;
        average.save(&folder.join(BEST_FILE), Precision::Single)?;
    }
    Ok(())
}

/// The settings of the run in a folder.
///
/// # Errors
/// [`TrainError::NoRun`], or the checkpoint cannot be read.
pub fn config_of(folder: &Path) -> Result<TrainConfig, TrainError> {
    let checkpoint = folder.join(checkpoint::FOLDER);
    if !checkpoint.exists() {
        return Err(TrainError::NoRun { path: folder.into() });
    }
    Ok(checkpoint::progress(&checkpoint)?.config)
}
