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
use crate::teacher::Lesson;

/// The averaged weights with the best validation accuracy, in a run's folder.
pub const BEST_FILE: &str = "best.safetensors";
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
            balance_classes: false,
            mixed_precision: false,
            stages: vec![Stage { size: 224, epochs: 50 }],
            architecture: Architecture::densenet121(attention),
            initial_weights: None,
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
            balance_classes: false,
            mixed_precision: false,
            stages: vec![Stage { size: 128, epochs: 60 }, Stage { size: 224, epochs: 12 }],
            architecture: Architecture::densenet121(attention),
            initial_weights: None,
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
    /// What the teacher says of it; all films have it, or none.
    pub lesson: Option<Lesson>,
}

/// The films of a run.
pub struct Films<'a> {
    pub train: &'a [Example],
    /// What decides which weights are kept.
    pub val: &'a [LabelledPlate],
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
    let Films { train, val } = *films;
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
    let lesson = train.first().and_then(|example| example.lesson.as_ref()).filter(|_| config.learns_features());
    let projector = lesson.map(|lesson| {
        LinearConfig::new(config.architecture.feature_channels(), lesson.features.len()).init(&training_device)
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
                    if sender.send(batch(train, config, epoch, step)).is_err() {
                        return;
                    }
                }
            });
            let mut step_started = epoch_started;
            for batch in batches {
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
        state.average.save(&folder.join("averaged.safetensors"), Precision::Single)?;
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
    /// The teacher's features at places of the views, `[places, features]`, and which places of the batch's maps
    /// `[batch, cells, cells]` those are: all that show a part of the film. Empty without a teacher's map.
    map: Vec<f32>,
    map_places: Vec<i64>,
    /// Of each film with a lung mask, its place in the batch and how much of each cell of its activation map is lung,
    /// `[cells * cells]`.
    lungs: Vec<(usize, Vec<f32>)>,
}

fn batch(train: &[Example], config: &TrainConfig, epoch: usize, step: usize) -> Batch {
    let spec = InputSpec::imagenet(config.size(epoch));
    let order = order(train, config, epoch);
    let cells = spec.size as usize / config.architecture.stride();
    let mut batch = Batch::default();
    for &index in order.iter().skip(step * config.batch_size).take(config.batch_size) {
        let example = &train[index];
        let mut rng = rng(config.seed, epoch, index);
        let plate = seen_plate(example, config.photograph_share, &mut rng);
        let (view, geometry) = match config.augment {
            true => augment::random_view(&augment::base(plate, spec.size), spec.size, &mut rng),
            false => (plate.clone(), Geometry::IDENTITY),
        };
        let maps = example.lesson.as_ref().and_then(|lesson| lesson.maps.as_ref());
        if let Some(maps) = maps.filter(|_| config.map_weight > 0.0) {
            let first = batch.labels.len() * cells * cells;
            for (cell, place) in geometry.cell_centres(cells).enumerate() {
                if maps.add_at(place, geometry.is_mirrored(), &mut batch.map) {
                    batch.map_places.push((first + cell) as i64);
                }
            }
        }
        if let Some(lungs) = &example.lungs {
            batch.lungs.push((batch.labels.len(), geometry.coverage(lungs, cells)));
        }
        batch.input.extend(preprocess::tensor(&view, &spec));
        batch.target.extend(target_of(example, config));
        batch.labels.push(example.label);
        batch.features.extend(example.lesson.iter().flat_map(|lesson| &lesson.features));
    }
    batch
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

fn target_of(example: &Example, config: &TrainConfig) -> [f32; 3] {
    std::array::from_fn(|class| {
        let one_hot = if class == example.label as usize { 1.0 } else { 0.0 };
        let smoothed = one_hot * (1.0 - config.label_smoothing) + config.label_smoothing / CLASSES as f32;
        match &example.lesson {
            Some(lesson) => {
                smoothed * (1.0 - config.teacher_share) + lesson.probabilities[class] * config.teacher_share
            }
            None => smoothed,
        }
    })
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
        if !batch.map_places.is_empty() {
            let places = batch.map_places.len();
            let teacher = Tensor::<2>::from_data(TensorData::new(batch.map, [places, width]), device);
            let wanted = Tensor::<1, Int>::from_data(TensorData::new(batch.map_places, [places]), device);
            let student = at_places(output.features.clone()).select(0, wanted);
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
    use crate::teacher::FeatureMaps;
    use half::f16;

    #[test]
    fn balanced_epochs_have_every_class_equally_often() {
        let labels = [(Class::Covid19, 2), (Class::Pneumonia, 9), (Class::Normal, 4)];
        let train: Vec<Example> = labels
            .into_iter()
            .flat_map(|(label, count)| std::iter::repeat_n(label, count))
            .map(|label| Example { plate: GrayImage::new(1, 1), label, photographs: vec![], lungs: None, lesson: None })
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
            lesson: None,
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
    fn a_view_learns_the_teachers_map_where_it_shows_the_film() {
        let map = |first: f32| (0..4).map(move |place| f16::from_f32(first + place as f32));
        let example = |first| {
            let maps = FeatureMaps::new([1, 2, 2], map(first).collect(), map(100.0).collect());
            let lesson = Lesson { probabilities: [0.0, 0.0, 1.0], features: vec![0.0], maps: Some(maps.into()) };
            let plate = GrayImage::from_fn(64, 64, |x, _| image::Luma([x as u8]));
            Example { plate, label: Class::Normal, photographs: vec![], lungs: None, lesson: Some(lesson) }
        };
        let films = [example(0.0), example(10.0)];
        let architecture = Architecture::tiny(Attention::None);
        let stages = vec![Stage { size: 2 * architecture.stride() as u32, epochs: 1 }];
        let config =
            TrainConfig { architecture, stages, map_weight: 1.0, augment: false, ..TrainConfig::own(Attention::None) };
        let taught = batch(&films, &config, 0, 0);
        assert_eq!(taught.map_places, (0..8).collect::<Vec<i64>>());
        let (first, second) = taught.map.split_at(4);
        let mut seen = [first[0], second[0]];
        seen.sort_by(f32::total_cmp);
        assert_eq!(seen, [0.0, 10.0]);
        assert!(
            [first, second].iter().all(|map| map.windows(2).all(|pair| pair[1] == pair[0] + 1.0)),
            "{:?}",
            taught.map
        );

        let stages = vec![Stage { size: 4 * config.size(0), epochs: 1 }];
        let views = TrainConfig { augment: true, stages, ..config.clone() };
        let beyond = (0..20).any(|epoch| batch(&films, &views, epoch, 0).map_places.len() < 2 * 8 * 8);
        assert!(beyond, "places beyond the film teach nothing");
        assert!(batch(&films, &TrainConfig { map_weight: 0.0, ..config }, 0, 0).map.is_empty());
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
