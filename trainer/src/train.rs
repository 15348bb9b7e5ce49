//! The training loop.
//!
//! A run lives in a folder: `metrics.csv` (one row an epoch), `best.safetensors` (the averaged weights with the best
//! validation accuracy), `averaged.safetensors` (those of the newest epoch) and `checkpoint/` (the settings and all
//! that `--resume` needs). Every random choice follows from the seed, the epoch and the position in it, so a resumed run
//! sees the same views as an unbroken one.

mod checkpoint;
mod pace;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use image::GrayImage;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xray_triage::preprocess::{self, InputSpec};
use xray_triage::triage::Class;
use xray_triage::whole;

use self::checkpoint::Checkpoint;
use self::pace::Pace;
use crate::architecture::{Architecture, Attention};
use crate::augment::{self, Geometry};
use crate::bundle::DEFAULT_SIZE;
use crate::dataset::LabelledPlate;
use crate::network::Network;
use crate::state_dict::{Precision, StateDict, StateDictError};
use crate::teacher::{Lesson, Teacher};

/// The averaged weights with the best validation accuracy, in a run's folder.
pub const BEST_FILE: &str = "best.safetensors";
/// The averaged weights of the newest epoch.
pub const NEWEST_FILE: &str = "averaged.safetensors";
const METRICS_FILE: &str = "metrics.csv";

const CLASSES: usize = Class::ALL.len();

/// Some epochs at one input size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Side of the input, pixels; a multiple of 32.
    pub size: u32,
    pub epochs: usize,
}

impl std::str::FromStr for Stage {
    type Err = String;

    /// `SIZE:EPOCHS`, for instance `128:40`.
    fn from_str(text: &str) -> Result<Self, String> {
        let help = || format!("`{text}` is no stage; write SIZE:EPOCHS, for instance 128:40");
        let (size, epochs) = text.split_once(':').ok_or_else(help)?;
        let stage = Stage { size: size.parse().map_err(|_| help())?, epochs: epochs.parse().map_err(|_| help())? };
        if stage.size == 0 || !stage.size.is_multiple_of(32) {
            return Err(format!("input size {}: it must be a multiple of 32, for instance 224", stage.size));
        }
        Ok(stage)
    }
}

/// The learning rate's course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// A linear warm-up over the first epoch, then a half cosine to zero.
    #[default]
    Cosine,
    Constant,
}

/// All that decides a run's outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    pub seed: u64,
    pub batch_size: usize,
    /// Peak learning rate of AdamW; without weight decay that is Adam.
    pub learning_rate: f64,
    #[serde(default)]
    pub schedule: Schedule,
    pub weight_decay: f32,
    /// Probability mass spread over all classes (Szegedy et al. 2016).
    pub label_smoothing: f32,
    /// Share of the teacher's probabilities in the target; the rest is the smoothed label.
    pub teacher_share: f32,
    /// Weight of the distance to the teacher's features in the loss, see [`feature_loss`].
    #[serde(default)]
    pub feature_weight: f32,
    /// Weight of the distance to the teacher's feature map, place by place, in the loss.
    #[serde(default)]
    pub map_weight: f32,
    /// Weight of the activation maps' part outside the lungs in the loss, see [`lung_loss`].
    #[serde(default)]
    pub lung_weight: f32,
    /// Decay per step of the average over the weights that is evaluated and kept.
    pub average_decay: f32,
    pub augment: bool,
    /// Chance that a view of a film that has photographs starts from one of them and not from the film, 0..=1.
    #[serde(default)]
    pub photograph_share: f32,
    /// Chance that a view is mixed with one of another film, 0..=1; the shares are drawn evenly (Zhang et al. 2018, "mixup").
    #[serde(default)]
    pub mixup: f32,
    /// Draw each class equally often, whatever its share of the films.
    #[serde(default)]
    pub balance_classes: bool,
    /// Convolutions and the maps between them in bfloat16, all else in single precision (Micikevicius et al. 2018,
    /// "Mixed precision training").
    #[serde(default)]
    pub mixed_precision: bool,
    pub stages: Vec<Stage>,
    pub architecture: Architecture,
    /// SHA-256 of the weights the run started from; `None` for random ones.
    pub initial_weights: Option<String>,
    /// SHA-256 of the teacher's file.
    #[serde(default)]
    pub teacher: Option<String>,
}

impl TrainConfig {
    /// The settings of Zhang's paper: Adam at 2e-4 throughout, batch 32, 50 epochs at 224 pixels, cross-entropy with
    /// the labels alone, films without random views, the newest weights and not their average. It starts from ImageNet
    /// weights, which the caller must give.
    ///
    /// One step is ours: films go through the device's preprocessing, which stretches their gray range between two
    /// percentiles ([`InputSpec::imagenet`]).
    pub fn paper(attention: Attention) -> Self {
        TrainConfig {
            seed: 1,
            batch_size: 32,
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            teacher_share: 0.0,
            feature_weight: 0.0,
            map_weight: 0.0,
            lung_weight: 0.0,
            average_decay: 0.0,
            augment: false,
            photograph_share: 0.0,
            mixup: 0.0,
            balance_classes: false,
            mixed_precision: false,
            stages: vec![Stage { size: 224, epochs: 50 }],
            architecture: Architecture::densenet121(attention),
            initial_weights: None,
            teacher: None,
        }
    }

    /// Our own settings; see docs/design/training.md.
    pub fn own(attention: Attention) -> Self {
        TrainConfig {
            seed: 1,
            batch_size: 32,
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            weight_decay: 2e-2,
            label_smoothing: 0.1,
            teacher_share: 0.5,
            feature_weight: 1.0,
            map_weight: 0.0,
            lung_weight: 0.1,
            average_decay: 0.98,
            augment: true,
            photograph_share: 0.0,
            mixup: 0.0,
            balance_classes: false,
            mixed_precision: false,
            stages: vec![Stage { size: 128, epochs: 60 }, Stage { size: 224, epochs: 12 }],
            architecture: Architecture::densenet121(attention),
            initial_weights: None,
            teacher: None,
        }
    }

    fn epochs(&self) -> usize {
        self.stages.iter().map(|stage| stage.epochs).sum()
    }

    /// The input size of an epoch.
    fn size(&self, epoch: usize) -> u32 {
        let mut first = 0;
        for stage in &self.stages {
            first += stage.epochs;
            if epoch < first {
                return stage.size;
            }
        }
        self.stages.last().map_or(DEFAULT_SIZE, |stage| stage.size)
    }

    /// Cells of the activation map along each side, in an epoch.
    fn cells(&self, epoch: usize) -> usize {
        self.size(epoch) as usize / self.architecture.stride()
    }

    fn learns_features(&self) -> bool {
        self.feature_weight > 0.0 || self.map_weight > 0.0
    }

    fn learning_rate(&self, step: usize, steps_per_epoch: usize) -> f64 {
        if self.schedule == Schedule::Constant {
            return self.learning_rate;
        }
        let total = (self.epochs() * steps_per_epoch) as f64;
        let warm_up = (step as f64 + 1.0) / steps_per_epoch as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total).cos());
        self.learning_rate * cosine * warm_up.min(1.0)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("{path}: {source}; the last complete checkpoint is untouched")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}")]
    Checkpoint { path: PathBuf, reason: String },
    #[error(
        "{path}: the checkpoint was made with other settings; give the same ones (the learning rate of a run that is not \
         finished may differ), or another --out to start afresh"
    )]
    OtherSettings { path: PathBuf },
    #[error(transparent)]
    State(#[from] StateDictError),
    #[error("the teacher is of no use here: {reason}")]
    Teacher { reason: String },
    #[error(
        "epoch {epoch}, step {step}: {what} is not finite; the checkpoint before it is kept. Lower --learning-rate and \
         start again with --resume"
    )]
    NotFinite { what: &'static str, epoch: usize, step: usize },
}

/// One row of `metrics.csv`.
#[derive(Clone, Debug, Serialize)]
pub struct EpochMetrics {
    pub epoch: usize,
    pub size: u32,
    pub learning_rate: f64,
    pub train_loss: f64,
    /// On the views trained on, while the weights changed, 0..=1.
    pub train_accuracy: f64,
    pub val_loss: f64,
    pub val_accuracy: f64,
    pub seconds: f64,
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

/// A training film.
pub struct Example {
    pub plate: GrayImage,
    pub label: Class,
    /// Plates of photographs of it ([`crate::photographs`]); there need not be any.
    pub photographs: Vec<GrayImage>,
    /// White inside the lungs, of the plate's shape and any size.
    pub lungs: Option<GrayImage>,
}

/// The films of a run.
pub struct Films<'a> {
    pub train: &'a [Example],
    /// What decides which weights are kept.
    pub val: &'a [LabelledPlate],
    /// It looks at the very view that the network is trained on (Beyer et al. 2022, "Knowledge distillation: a good teacher
    /// is patient and consistent").
    pub teacher: Option<&'a Teacher>,
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
/// A new run starts from `initial`, as far as it fits ([`StateDict::adopt`]), or from random weights. `stop` is looked
/// at after every step.
pub fn run(
    folder: &Path,
    config: &TrainConfig,
    resume: bool,
    device: &Device,
    initial: Option<&StateDict>,
    films: &Films,
    stop: &AtomicBool,
) -> Result<Ended, TrainError> {
    let Films { train, val, teacher } = *films;
    if let Some(teacher) = teacher {
        let refused = |reason: &str| Err(TrainError::Teacher { reason: reason.into() });
        if config.teacher_share == 0.0 && !config.learns_features() {
            return refused("the settings learn nothing from it; give --teacher-share or --feature-weight");
        }
        if config.map_weight > 0.0 && !teacher.has_map() {
            return refused("its features are not the mean over a map; leave out --map-weight");
        }
    }
    std::fs::create_dir_all(folder).map_err(|source| TrainError::Io { path: folder.into(), source })?;
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
        let stopped = std::thread::scope(|scope| -> Result<bool, TrainError> {
            let (sender, batches) = mpsc::sync_channel(2);
            let first = state.progress.step;
            scope.spawn(move || {
                for step in first..steps_per_epoch {
                    if sender.send(batch(train, teacher, config, epoch, step)).is_err() {
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
                let (loss, right) = forward(&state.student, batch, config, size as usize, &training_device);
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
        let (val_loss, val_accuracy) = validate(&averaged, val, &InputSpec::imagenet(size), device);
        if !val_loss.is_finite() {
            return Err(not_finite("the validation loss"));
        }
        let metrics = EpochMetrics {
            epoch: epoch + 1,
            size,
            learning_rate: config.learning_rate((epoch + 1) * steps_per_epoch - 1, steps_per_epoch),
            train_loss: state.progress.loss_sum / steps_per_epoch as f64,
            train_accuracy: state.progress.right as f64 / train.len() as f64,
            val_loss,
            val_accuracy,
            seconds: epoch_started.elapsed().as_secs_f64(),
        };
        add_metrics(&folder.join(METRICS_FILE), &metrics)?;
        log::info!(
            "epoch {} at {size} px: train loss {:.4}, accuracy {:.1} %, val loss {val_loss:.4}, accuracy {:.1} %, {:.0} s",
            metrics.epoch,
            metrics.train_loss,
            100.0 * metrics.train_accuracy,
            100.0 * val_accuracy,
            metrics.seconds
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

/// The films of one step.
#[derive(Default)]
struct Batch {
    /// `[batch, 3, size, size]`
    input: Vec<f32>,
    /// Probabilities `[batch, classes]`.
    target: Vec<f32>,
    labels: Vec<Class>,
    /// The teacher's features `[batch, features]`; empty without a teacher.
    features: Vec<f32>,
    /// The teacher's features at the places of the network's last map, `[batch * cells * cells, features]`; empty where its
    /// map is not learned.
    map: Vec<f32>,
    /// Of each film with a lung mask, its place in the batch and how much of each cell of its activation map is lung,
    /// `[cells * cells]`.
    lungs: Vec<(usize, Vec<f32>)>,
}

/// A view of a film, as the network sees it, and what it is to learn from it.
struct View {
    /// `[3, size, size]`
    input: Vec<f32>,
    target: [f32; 3],
    label: Class,
    lesson: Option<Lesson>,
    /// How much of each cell of the activation map is lung, `[cells * cells]`.
    lungs: Option<Vec<f32>>,
}

/// # Errors
/// [`TrainError::Teacher`].
fn batch(
    train: &[Example],
    teacher: Option<&Teacher>,
    config: &TrainConfig,
    epoch: usize,
    step: usize,
) -> Result<Batch, TrainError> {
    let order = order(train, config, epoch);
    let films: Vec<usize> = order.into_iter().skip(step * config.batch_size).take(config.batch_size).collect();
    let views: Result<Vec<View>, TrainError> =
        films.into_par_iter().map(|film| view(train, film, teacher, config, epoch)).collect();
    let cells = config.cells(epoch);
    let mut batch = Batch::default();
    for view in views? {
        if let Some(coverage) = view.lungs {
            batch.lungs.push((batch.labels.len(), coverage));
        }
        batch.input.extend(view.input);
        batch.target.extend(view.target);
        batch.labels.push(view.label);
        if let Some(lesson) = view.lesson {
            if let Some(map) = lesson.map.filter(|_| config.map_weight > 0.0) {
                batch.map.extend(map.at_cells(cells));
            }
            batch.features.extend(lesson.features);
        }
    }
    Ok(batch)
}

/// The view of a film in an epoch; with the chance of `config.mixup` it is mixed with one of another film.
fn view(
    train: &[Example],
    film: usize,
    teacher: Option<&Teacher>,
    config: &TrainConfig,
    epoch: usize,
) -> Result<View, TrainError> {
    let spec = InputSpec::imagenet(config.size(epoch));
    let mut rng = rng(config.seed, epoch, film);
    // Fine enough for both.
    let side = teacher.map_or(spec.size, |teacher| teacher.side().max(spec.size));
    let take = |example: &Example, rng: &mut _| {
        let plate = seen_plate(example, config.photograph_share, rng);
        match config.augment {
            true => augment::random_view(&augment::base(plate, side), side, rng),
            false => (plate.clone(), Geometry::IDENTITY),
        }
    };
    let example = &train[film];
    let (mut picture, geometry) = take(example, &mut rng);
    let mut target = target_of(example.label, config);
    let (mut label, mut lungs) = (example.label, example.lungs.as_ref());
    // Without mixing nothing is drawn, so that views stay what they were.
    if config.mixup > 0.0 && rng.random_bool(config.mixup.into()) {
        let other = &train[rng.random_range(0..train.len())];
        let share = rng.random_range(0.0..1.0f32);
        let (other_picture, _) = take(other, &mut rng);
        augment::mix(&mut picture, &other_picture, share);
        target = mixed(target, target_of(other.label, config), share);
        label = if share > 0.5 { other.label } else { label };
        lungs = None;
    }
    let lesson = teacher.map(|teacher| teacher.teach(&picture)).transpose();
    let lesson = lesson.map_err(|error| TrainError::Teacher { reason: format!("it fails on a view, {error:#}") })?;
    if let Some(lesson) = &lesson {
        target = mixed(target, lesson.probabilities, config.teacher_share);
    }
    let lungs = lungs.map(|lungs| geometry.coverage(lungs, config.cells(epoch)));
    Ok(View { input: preprocess::tensor(&picture, &spec), target, label, lesson, lungs })
}

/// What a view starts from: the film, or with a chance of `photograph_share` one of its photographs.
fn seen_plate<'a>(example: &'a Example, photograph_share: f32, rng: &mut impl Rng) -> &'a GrayImage {
    // Without photographs nothing is drawn, so that views stay what they were.
    match example.photographs.len() {
        count if count > 0 && rng.random_bool(photograph_share.into()) => {
            &example.photographs[rng.random_range(0..count)]
        }
        _ => &example.plate,
    }
}

/// The films of an epoch by their place in `train`, as many as there are, in random order. With balanced classes every
/// class comes equally often: the films of the smaller ones more than once, some of the larger ones not at all.
fn order(train: &[Example], config: &TrainConfig, epoch: usize) -> Vec<usize> {
    let mut rng = rng(config.seed, epoch, usize::MAX);
    let mut order: Vec<usize> = (0..train.len()).collect();
    order.shuffle(&mut rng);
    if config.balance_classes {
        let of_class = |class: Class| order.iter().copied().filter(move |film| train[*film].label == class);
        let mut drawn: [_; CLASSES] = Class::ALL.map(|class| of_class(class).cycle());
        // A class without films gives none.
        let mut balanced: Vec<usize> =
            (0..train.len()).filter_map(|place| drawn[(place + epoch) % CLASSES].next()).collect();
        balanced.shuffle(&mut rng);
        return balanced;
    }
    order
}

fn rng(seed: u64, epoch: usize, index: usize) -> impl Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(index as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The label, smoothed.
fn target_of(label: Class, config: &TrainConfig) -> [f32; 3] {
    std::array::from_fn(|class| {
        let one_hot = if class == label as usize { 1.0 } else { 0.0 };
        one_hot * (1.0 - config.label_smoothing) + config.label_smoothing / CLASSES as f32
    })
}

/// `share` (0..=1) of other probabilities mixed into some.
fn mixed(probabilities: [f32; 3], other: [f32; 3], share: f32) -> [f32; 3] {
    std::array::from_fn(|class| probabilities[class] * (1.0 - share) + other[class] * share)
}

/// The loss of a batch, and how many films' most probable class is the label: mean cross-entropy against the target
/// probabilities, plus [`feature_loss`] (of the pooled features and place by place) and [`lung_loss`] by their weights.
fn forward(student: &Student, batch: Batch, config: &TrainConfig, size: usize, device: &Device) -> (Tensor<1>, usize) {
    let films = batch.labels.len();
    let input = Tensor::<4>::from_data(TensorData::new(batch.input, [films, 3, size, size]), device);
    let input = if config.mixed_precision { input.cast(FloatDType::BF16) } else { input };
    let target = Tensor::<2>::from_data(TensorData::new(batch.target, [films, CLASSES]), device);
    let output = student.network.forward(input);
    let log_probabilities = log_softmax(output.logits, 1);
    let scores = rows(log_probabilities.clone());
    let is_right = |(row, label): &(&[f32], &Class)| top(row) == Some(**label as usize);
    let right = scores.chunks_exact(CLASSES).zip(&batch.labels).filter(is_right).count();
    let mut loss = (target * log_probabilities).sum().neg() / films as f32;
    if let Some(projector) = &student.projector {
        let width = batch.features.len() / films;
        let teacher = Tensor::<2>::from_data(TensorData::new(batch.features, [films, width]), device);
        loss = loss + feature_loss(projector.forward(output.pooled), teacher) * config.feature_weight;
        if !batch.map.is_empty() {
            let student = at_places(output.features.clone());
            let teacher = Tensor::<2>::from_data(TensorData::new(batch.map, [student.dims()[0], width]), device);
            loss = loss + feature_loss(projector.forward(student), teacher) * config.map_weight;
        }
    }
    if config.lung_weight > 0.0 && !batch.lungs.is_empty() {
        let maps = student.network.cam(output.features);
        loss = loss + lung_loss(maps, &batch.labels, batch.lungs, device) * config.lung_weight;
    }
    (loss, right)
}

/// A map's features `[batch, channels, rows, columns]` place by place, `[batch * rows * columns, channels]`.
fn at_places(map: Tensor<4>) -> Tensor<2> {
    let [batch, channels, rows, columns] = map.dims();
    map.permute([0, 2, 3, 1]).reshape([batch * rows * columns, channels])
}

/// One minus the mean cosine between the student's and the teacher's features `[films or places, width]`, both less their
/// mean over all: 0 where they vary alike from one to the next, 1 where they have nothing to do with each other.
fn feature_loss(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let direction = |features: Tensor<2>| {
        let centred = features.clone() - features.mean_dim(0);
        let length = (centred.clone() * centred.clone()).sum_dim(1).sqrt();
        centred / (length + 1e-6)
    };
    let cosine = (direction(student) * direction(teacher)).sum_dim(1);
    cosine.mean().neg() + 1.0
}

/// Mean over the films with a lung mask of `-ln` of the share of their map that lies inside the lungs, where the map is the
/// softmax over all places of the activation map of the film's true class. The softmax takes no notice of how high a map
/// is as a whole, so that a film's evidence is moved and not taken away. `maps`: `[batch, classes, side, side]`; `lungs` as
/// in [`Batch`].
fn lung_loss(maps: Tensor<4>, labels: &[Class], lungs: Vec<(usize, Vec<f32>)>, device: &Device) -> Tensor<1> {
    let [films, classes, side, _] = maps.dims();
    let (masked, cells) = (lungs.len(), side * side);
    // Rows of `films * classes` maps.
    let wanted: Vec<i64> = lungs.iter().map(|(film, _)| (film * classes + labels[*film] as usize) as i64).collect();
    let coverage: Vec<f32> = lungs.into_iter().flat_map(|(_, coverage)| coverage).collect();
    let coverage = Tensor::<2>::from_data(TensorData::new(coverage, [masked, cells]), device);
    let wanted = Tensor::<1, Int>::from_data(TensorData::new(wanted, [masked]), device);
    let shares = softmax(maps.reshape([films * classes, cells]).select(0, wanted), 1);
    // The view of a film may show hardly any lung.
    let inside = (shares * coverage).sum_dim(1) + 1e-2;
    inside.log().mean().neg()
}

/// The most probable class by its number.
fn top(row: &[f32]) -> Option<usize> {
    (0..CLASSES).max_by(|a, b| row[*a].total_cmp(&row[*b]))
}

/// The values of `[films, classes]`, row by row.
fn rows(scores: Tensor<2>) -> Vec<f32> {
    scores.into_data().convert::<f32>().try_into_vec().expect("the data were just converted to f32")
}

/// Mean cross-entropy and accuracy (0..=1) over films as they are. `device` without autodiff.
pub fn validate(network: &Network, films: &[LabelledPlate], spec: &InputSpec, device: &Device) -> (f64, f64) {
    let (mut loss, mut correct) = (0.0, 0);
    for chunk in films.chunks(16) {
        let input: Vec<f32> = chunk.iter().flat_map(|film| preprocess::tensor(&film.plate, spec)).collect();
        let size = spec.size as usize;
        let input = Tensor::<4>::from_data(TensorData::new(input, [chunk.len(), 3, size, size]), device);
        let rows = rows(log_softmax(network.forward(input).logits, 1));
        for (film, row) in chunk.iter().zip(rows.chunks_exact(CLASSES)) {
            loss -= f64::from(row[film.film.label as usize]);
            correct += usize::from(top(row) == Some(film.film.label as usize));
        }
    }
    (loss / films.len() as f64, correct as f64 / films.len() as f64)
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

/// Puts an epoch's row behind those of the epochs before it. Rows of the same and later epochs are those of a run that was
/// killed before its checkpoint was written.
fn add_metrics(path: &Path, metrics: &EpochMetrics) -> Result<(), TrainError> {
    let io = |source| TrainError::Io { path: path.into(), source };
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
    whole::write(path, format!("{}\n", rows.join("\n")).as_bytes()).map_err(io)
}

/// The settings of the run in a folder.
pub fn config_of(folder: &Path) -> Result<TrainConfig, TrainError> {
    Ok(checkpoint::progress(&folder.join(checkpoint::FOLDER))?.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_epochs_have_every_class_equally_often() {
        let labels = [(Class::Covid19, 2), (Class::Pneumonia, 9), (Class::Normal, 4)];
        let train: Vec<Example> = labels
            .into_iter()
            .flat_map(|(label, count)| std::iter::repeat_n(label, count))
            .map(|label| Example { plate: GrayImage::new(1, 1), label, photographs: vec![], lungs: None })
            .collect();
        let count = |config: &TrainConfig| {
            let order = order(&train, config, 0);
            Class::ALL.map(|class| order.iter().filter(|film| train[**film].label == class).count())
        };
        let plain = TrainConfig::own(Attention::None);
        assert_eq!(count(&plain), [2, 9, 4]);
        assert_eq!(count(&TrainConfig { balance_classes: true, ..plain }), [5, 5, 5]);
    }

    #[test]
    fn views_start_from_photographs_as_often_as_asked() {
        let mut example = Example {
            plate: GrayImage::new(1, 1),
            label: Class::Normal,
            photographs: vec![GrayImage::new(2, 2), GrayImage::new(3, 3)],
            lungs: None,
        };
        let widths = |example: &Example, share| {
            let mut counts = [0; 3];
            for index in 0..1000 {
                counts[seen_plate(example, share, &mut rng(1, 0, index)).width() as usize - 1] += 1;
            }
            counts
        };
        assert!(
            widths(&example, 0.5)
                .iter()
                .zip([500, 250, 250])
                .all(|(count, expected): (&i32, _)| (count - expected).abs() < 60)
        );
        assert_eq!(widths(&example, 0.0), [1000, 0, 0]);
        example.photographs.clear();
        assert_eq!(widths(&example, 1.0), [1000, 0, 0]);
    }

    #[test]
    fn the_teacher_looks_at_the_very_view_and_mixed_films_have_mixed_targets() {
        let teacher = Teacher::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teacher.onnx")).unwrap();
        let film = |gray, label| {
            let plate = GrayImage::from_pixel(64, 64, image::Luma([gray]));
            Example { plate, label, photographs: vec![], lungs: Some(GrayImage::new(1, 1)) }
        };
        let films = [film(0, Class::Covid19), film(255, Class::Normal)];
        let labels_alone = TrainConfig {
            stages: vec![Stage { size: 64, epochs: 1 }],
            label_smoothing: 0.0,
            teacher_share: 0.0,
            augment: false,
            ..TrainConfig::own(Attention::None)
        };
        let look = |config: &TrainConfig, film, epoch| view(&films, film, Some(&teacher), config, epoch).unwrap();
        for (film, gray) in [(0, 0.0), (1, 1.0)] {
            let view = look(&labels_alone, film, 0);
            assert_eq!(view.lesson.unwrap().features, [gray; 3]);
            assert_eq!((view.target, view.lungs.is_some()), ([1.0 - gray, 0.0, gray], true));
        }
        // The teacher's features are the gray, which is the share of the white film.
        let mixed = TrainConfig { mixup: 1.0, ..labels_alone.clone() };
        let views: Vec<View> = (0..20).map(|epoch| look(&mixed, 0, epoch)).collect();
        for view in &views {
            let white = view.lesson.as_ref().unwrap().features[0];
            assert!((view.target[2] - white).abs() < 3e-3 && view.target[1] == 0.0, "{:?}, gray {white}", view.target);
            assert_eq!(view.label, if view.target[2] > 0.5 { Class::Normal } else { Class::Covid19 });
            assert!(view.lungs.is_none());
        }
        assert!(views.iter().any(|view| (0.2..0.8).contains(&view.target[2])), "none is mixed");

        let taught = TrainConfig { teacher_share: 1.0, ..labels_alone.clone() };
        let view = look(&taught, 1, 0);
        assert_eq!(view.target, view.lesson.unwrap().probabilities);
        let with_map = TrainConfig { map_weight: 1.0, ..labels_alone.clone() };
        let places = with_map.cells(0).pow(2);
        assert_eq!(batch(&films, Some(&teacher), &with_map, 0, 0).unwrap().map.len(), 2 * places * teacher.features());
        assert!(batch(&films, Some(&teacher), &labels_alone, 0, 0).unwrap().map.is_empty());
    }

    #[test]
    fn features_that_vary_alike_cost_nothing() {
        let device = crate::backend::Backend::preferred().device();
        let tensor = |values: [[f32; 2]; 3]| Tensor::<2>::from_floats(values, &device);
        let loss = |student, teacher| feature_loss(tensor(student), tensor(teacher)).into_scalar::<f32>();
        let teacher = [[1.0, 5.0], [2.0, 4.0], [6.0, 9.0]];
        assert!(loss(teacher.map(|row| row.map(|value| 3.0 * value + 7.0)), teacher).abs() < 1e-4);
        assert!((loss(teacher.map(|row| row.map(|value| -value)), teacher) - 2.0).abs() < 1e-4);
    }

    #[test]
    fn the_lung_loss_takes_the_true_classs_map_whatever_its_height() {
        let device = crate::backend::Backend::preferred().device();
        // Two films of three 2 x 2 maps; the second has a mask of its right half, and its label's map is the last.
        let loss = |height: f32| {
            let mut maps = vec![100.0; 24];
            maps[20..].copy_from_slice(&[3f32.ln(), 1f32.ln(), 4f32.ln(), 2f32.ln()].map(|value| value + height));
            let maps = Tensor::<4>::from_data(TensorData::new(maps, [2, 3, 2, 2]), &device);
            let lungs = vec![(1, vec![0.0, 1.0, 0.0, 1.0])];
            lung_loss(maps, &[Class::Covid19, Class::Normal], lungs, &device).into_scalar::<f32>()
        };
        assert!((loss(0.0) + (0.3f32 + 0.01).ln()).abs() < 1e-4, "{}", loss(0.0));
        assert!((loss(0.0) - loss(-7.0)).abs() < 1e-4);
    }

    #[test]
    fn the_papers_learning_rate_is_constant_and_ours_ends_at_nothing() {
        let (paper, own) = (TrainConfig::paper(Attention::Cbam), TrainConfig::own(Attention::Cbam));
        assert_eq!((paper.learning_rate(0, 10), paper.learning_rate(499, 10)), (2e-4, 2e-4));
        let last = own.epochs() * 10 - 1;
        assert!(own.learning_rate(0, 10) < own.learning_rate(10, 10));
        assert!(own.learning_rate(last, 10) < 1e-6 * own.learning_rate(10, 10) + 1e-8);
    }

    #[test]
    fn the_rows_of_epochs_that_are_trained_again_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS_FILE);
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
            add_metrics(&path, &metrics).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let header = "epoch,size,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,seconds\n";
        let row = |epoch, val_loss| format!("{epoch},32,0.1,1.0,0.5,{val_loss},0.5,3.0\n");
        add(1, 0.75);
        assert_eq!(add(2, 0.5), [header.into(), row(1, "0.75"), row(2, "0.5")].concat());
        // Killed before the checkpoint of epoch 2, and in the middle of a row.
        std::fs::write(&path, add(2, 0.5) + "3,32,0.1").unwrap();
        assert_eq!(add(2, 0.25), [header.into(), row(1, "0.75"), row(2, "0.25")].concat());
        std::fs::write(&path, "").unwrap();
        assert_eq!(add(1, 0.25), [header.into(), row(1, "0.25")].concat());
    }
}
