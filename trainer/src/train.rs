//! The training loop.
//!
//! A run lives in a folder: `metrics.csv` (one row an epoch), `best.safetensors` (the averaged weights with the best
//! validation accuracy), `averaged.safetensors` (those of the newest epoch) and `checkpoint/` (the settings and all
//! that `--resume` needs). Every random choice follows from the seed, the epoch and the position in it, so a resumed run
//! sees the same views as an unbroken one.

pub mod augment;
mod checkpoint;
mod epochs;
mod loss;
mod pace;
mod settings;
pub mod teacher;
mod views;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use xray_triage_core::decision::Class;
use xray_triage_core::preprocess::InputSpec;

use self::checkpoint::Checkpoint;
use self::epochs::EpochMetrics;
use self::loss::{forward, validate};
use self::pace::Pace;
pub use self::settings::{Schedule, Stage, TrainConfig};
pub use self::views::Example;
use crate::data::dataset::LabelledFilm;
use crate::model::backend;
use crate::model::fake_quantization::Rounding;
use crate::model::network::Network;
use crate::model::state_dict::{Precision, StateDict, StateDictError};
use crate::train::teacher::Teacher;

use self::views::{batch, order};

/// The averaged weights with the best validation accuracy, in a run's folder.
pub const BEST_FILE: &str = "best.safetensors";
/// The averaged weights of the newest epoch.
pub const NEWEST_FILE: &str = "averaged.safetensors";

const CLASSES: usize = Class::ALL.len();

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("{path}: {source}; the last complete checkpoint is untouched")]
    Save { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: no run is here; name the folder that `trainer train` wrote by --out")]
    NoRun { path: PathBuf },
    #[error("{path}: {reason}")]
    Checkpoint { path: PathBuf, reason: String },
    #[error(
        "{path}: the checkpoint was made with other settings; give the same ones (the learning rate of a run that is not \
         finished may differ), or another --out to start afresh"
    )]
    OtherSettings { path: PathBuf },
    #[error(transparent)]
    State(#[from] StateDictError),
    #[error("bfloat16: this backend has none, or not for an int8 network; leave out --mixed-precision")]
    Bfloat16,
    #[error("the teacher is of no use here: {reason}")]
    Teacher { reason: String },
    #[error(
        "epoch {epoch}, step {step}: {what} is not finite; the checkpoint before it is kept. Lower --learning-rate and \
         start again with --resume"
    )]
    NotFinite { what: &'static str, epoch: usize, step: usize },
}

/// Where a run stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    epoch: usize,
    /// Steps of the epoch that are done.
    step: usize,
    loss_sum: f64,
    /// Films of the epoch whose most probable class was the label.
    #[serde(default)]
    right: usize,
    best_accuracy: f64,
    config: TrainConfig,
}

impl Progress {
    fn start_epoch(&mut self, epoch: usize) {
        (self.epoch, self.step, self.loss_sum, self.right) = (epoch, 0, 0.0, 0);
    }
}

/// What a run works on, beside its settings.
pub struct Material<'a> {
    pub train: &'a [Example],
    /// What decides which weights are kept.
    pub val: &'a [LabelledFilm],
    /// It looks at the very view that the network is trained on (Beyer et al. 2022, "Knowledge distillation: a good teacher
    /// is patient and consistent").
    pub teacher: Option<&'a Teacher>,
    /// What a new run starts from, as far as it fits ([`StateDict::adopt`]); random weights without it.
    pub initial: Option<&'a StateDict>,
    /// With it the network is trained and validated as its int8 export computes.
    pub rounding: Option<&'a Rounding>,
}

/// Why [`run`] came back.
#[derive(Debug, PartialEq)]
pub enum Ended {
    /// All epochs are done; the best validation accuracy.
    Finished(f64),
    /// Stopped by `stop`, checkpoint written.
    Stopped,
}

/// What is optimised.
#[derive(Module, Debug)]
struct Student {
    network: Network,
    /// From the network's features, pooled or at a place, to the teacher's; of no use after training.
    projector: Option<Linear>,
}

/// Trains, or goes on with a run if `resume` is set and the folder holds a checkpoint.
///
/// `stop` is looked at after every step.
pub fn run(
    folder: &Path,
    config: &TrainConfig,
    resume: bool,
    device: &Device,
    material: &Material,
    stop: &AtomicBool,
) -> Result<Ended, TrainError> {
    let Material { train, val, teacher, initial, rounding } = *material;
    if config.mixed_precision && (rounding.is_some() || !backend::has_bfloat16(device)) {
        return Err(TrainError::Bfloat16);
    }
    if let Some(teacher) = teacher {
        let refused = |reason: &str| Err(TrainError::Teacher { reason: reason.into() });
        if config.teacher_share == 0.0 && !config.learns_features() {
            return refused("the settings learn nothing from it; give --teacher-share or --feature-weight");
        }
        if config.map_weight > 0.0 && !teacher.has_map() {
            return refused("its features are not the mean over a map; leave out --map-weight");
        }
    }
    std::fs::create_dir_all(folder).map_err(|source| TrainError::Save { path: folder.into(), source })?;
    let training_device = device.clone().autodiff();
    training_device.seed(config.seed);
    let mut network = Network::new(&config.architecture, &training_device);
    if let Some(initial) = initial {
        let mut state = network.state();
        let adopted = state.adopt(initial)?;
        log::info!("initial weights: {adopted}");
        network = network.with_state(&state)?;
    }
    let projector = teacher.filter(|_| config.learns_features()).map(|teacher| {
        LinearConfig::new(config.architecture.feature_channels(), teacher.features()).init(&training_device)
    });
    let checkpoint = folder.join(checkpoint::FOLDER);
    let mut state = Checkpoint {
        average: network.state(),
        student: Student { network, projector },
        optimizer: AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(config.weight_decay).init(),
        progress: Progress { epoch: 0, step: 0, loss_sum: 0.0, right: 0, best_accuracy: 0.0, config: config.clone() },
    };
    checkpoint::recover(&checkpoint)?;
    if checkpoint.exists() && !resume {
        return Err(TrainError::Checkpoint {
            path: checkpoint,
            reason: "a run is here already; go on with it by --resume, or give another --out".into(),
        });
    }
    if checkpoint.exists() {
        state = Checkpoint::load(&checkpoint, &state.student, &state.optimizer, config)?;
        log::info!("resumed at epoch {}, step {}", state.progress.epoch + 1, state.progress.step);
    }
    let steps_per_epoch = train.len().div_ceil(config.batch_size);
    let (started, mut pace) = (Instant::now(), Pace::default());

    while state.progress.epoch < config.epochs() {
        let epoch_started = Instant::now();
        let epoch = state.progress.epoch;
        let size = config.size(epoch);
        let order = order(train, config, epoch);
        let stopped = std::thread::scope(|scope| -> Result<bool, TrainError> {
            let (sender, batches) = mpsc::sync_channel(2);
            let steps = order.chunks(config.batch_size).skip(state.progress.step);
            scope.spawn(move || {
                for films in steps {
                    if sender.send(batch(train, films, teacher, config, epoch)).is_err() {
                        return;
                    }
                }
            });
            let mut step_started = epoch_started;
            for batch in batches {
                let batch = batch?;
                let step = epoch * steps_per_epoch + state.progress.step;
                let rate = config.learning_rate(step, steps_per_epoch);
                let films = batch.labels.len();
                let (loss, right) = forward(&state.student, batch, config, size as usize, rounding, &training_device);
                let loss_value = f64::from(loss.clone().into_scalar::<f32>());
                if !loss_value.is_finite() {
                    return Err(TrainError::NotFinite {
                        what: "the loss",
                        epoch: epoch + 1,
                        step: state.progress.step + 1,
                    });
                }
                let gradients = GradientsParams::from_grads(loss.backward(), &state.student);
                state.student = state.optimizer.step(rate, state.student.clone(), gradients);
                // The average starts as a plain mean, so that the first weights do not linger in it.
                let decay = config.average_decay.min((1.0 + step as f32) / (10.0 + step as f32));
                blend(&mut state.average, &state.student.network.state(), decay);
                state.progress.loss_sum += loss_value;
                state.progress.right += right;
                state.progress.step += 1;
                pace.add(films, size, step_started.elapsed());
                step_started = Instant::now();
                report_step(&state.progress, train.len(), &pace, started);
                if stop.load(Ordering::Relaxed) {
                    return Ok(true);
                }
            }
            Ok(false)
        })?;
        let not_finite = |what| TrainError::NotFinite { what, epoch: epoch + 1, step: state.progress.step };
        if !all_finite(&state) {
            return Err(not_finite("a weight"));
        }
        if stopped {
            state.save(&checkpoint)?;
            return Ok(Ended::Stopped);
        }

        let averaged = Network::new(&config.architecture, device).with_state(&state.average)?;
        let (val_loss, val_accuracy) = validate(&averaged, val, &InputSpec::imagenet(size), rounding, device);
        if !val_loss.is_finite() {
            return Err(not_finite("the validation loss"));
        }
        let row = EpochMetrics {
            epoch: epoch + 1,
            size,
            learning_rate: config.learning_rate((epoch + 1) * steps_per_epoch - 1, steps_per_epoch),
            train_loss: state.progress.loss_sum / steps_per_epoch as f64,
            train_accuracy: state.progress.right as f64 / train.len() as f64,
            val_loss,
            val_accuracy,
            seconds: epoch_started.elapsed().as_secs_f64(),
        };
        epochs::add(&folder.join(epochs::FILE), &row)?;
        log::info!(
            "epoch {} at {size} px: train loss {:.4}, accuracy {:.1} %, val loss {val_loss:.4}, accuracy {:.1} %, {:.0} s",
            row.epoch,
            row.train_loss,
            100.0 * row.train_accuracy,
            100.0 * val_accuracy,
            row.seconds
        );
        // Later sizes come closer to what runs on the device: the best of the last size is what counts.
        let first_of_size = epoch == 0 || config.size(epoch - 1) != size;
        state.average.metadata.insert(
            "architecture".into(),
            serde_json::to_string(&config.architecture).expect("an architecture is plain data"),
        );
        state.average.save(&folder.join(NEWEST_FILE), Precision::Single)?;
        if val_accuracy >= state.progress.best_accuracy || first_of_size {
            state.progress.best_accuracy = val_accuracy;
            state.average.save(&folder.join(BEST_FILE), Precision::Single)?;
        }
        state.progress.start_epoch(epoch + 1);
        state.save(&checkpoint)?;
    }
    Ok(Ended::Finished(state.progress.best_accuracy))
}

/// Whether all that was learnt is. The average tells it of the network: what is not finite stays in it.
fn all_finite(state: &Checkpoint) -> bool {
    let mut network = state.average.parameters.values().flat_map(|parameter| &parameter.values);
    let projector = state.student.projector.iter().flat_map(|projector| {
        let weight = projector.weight.val().into_data().convert::<f32>();
        weight.try_into_vec::<f32>().expect("the data were just converted to f32")
    });
    network.all(|value| value.is_finite()) && projector.into_iter().all(f32::is_finite)
}

/// `average = decay * average + (1 - decay) * newest`, parameter by parameter.
fn blend(average: &mut StateDict, newest: &StateDict, decay: f32) {
    for (name, parameter) in &newest.parameters {
        if let Some(average) = average.parameters.get_mut(name) {
            for (mean, value) in average.values.iter_mut().zip(&parameter.values) {
                *mean = decay * *mean + (1.0 - decay) * value;
            }
        }
    }
}

/// Every tenth step, and the last of the epoch.
fn report_step(progress: &Progress, films: usize, pace: &Pace, started: Instant) {
    let config = &progress.config;
    let steps_per_epoch = films.div_ceil(config.batch_size);
    if !progress.step.is_multiple_of(10) && progress.step != steps_per_epoch {
        return;
    }
    let films_done = (progress.step * config.batch_size).min(films);
    let here = pace::pixels(films - films_done, config.size(progress.epoch));
    let later = (progress.epoch + 1..config.epochs()).map(|epoch| pace::pixels(films, config.size(epoch)));
    let left: Duration = pace.left(here + later.sum::<f64>(), started.elapsed());
    log::info!(
        "epoch {}/{} step {}/{steps_per_epoch}: loss {:.4}, accuracy {:.1} %, {:.1} images/s, about {} min left",
        progress.epoch + 1,
        config.epochs(),
        progress.step,
        progress.loss_sum / progress.step as f64,
        100.0 * progress.right as f64 / films_done as f64,
        pace.films_per_second(),
        left.as_secs().div_ceil(60)
    );
}

/// The settings of the run in a folder.
pub fn config_of(folder: &Path) -> Result<TrainConfig, TrainError> {
    let checkpoint = folder.join(checkpoint::FOLDER);
    if !checkpoint.exists() {
        return Err(TrainError::NoRun { path: folder.into() });
    }
    Ok(checkpoint::progress(&checkpoint)?.config)
}
