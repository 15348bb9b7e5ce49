//! The settings that decide a run's outcome.

use serde::{Deserialize, Serialize};

use crate::data::dataset::LabelSource;
use crate::model::architecture::{Architecture, Attention, DEFAULT_SIZE};

use super::TrainError;

/// Some epochs at one input size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Side of the input, pixels; a multiple of 32.
    pub size: u32,
    /// Epochs at that size.
    pub epochs: usize,
}

impl std::str::FromStr for Stage {
    type Err = String;

    /// Reads `SIZE:EPOCHS`, for instance `128:40`.
    fn from_str(text: &str) -> Result<Self, String> {
        let help = || format!("`{text}` is no stage; write SIZE:EPOCHS, for instance 128:40");
        let (size, epochs) = text.split_once(':').ok_or_else(help)?;
        let stage = Stage { size: size.parse().map_err(|_| help())?, epochs: epochs.parse().map_err(|_| help())? };
        if stage.size == 0 || !stage.size.is_multiple_of(32) {
            return Err(format!("input size {}: it must be a multiple of 32, for instance 224", stage.size));
        }
        if stage.epochs == 0 {
            return Err(format!("`{text}` has no epoch; leave it out, or give 1 or more"));
        }
        Ok(stage)
    }
}

/// How the learning rate changes during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The rate falls to zero on half a cosine; over the first epoch it also rises linearly from zero (Loshchilov and
    /// Hutter 2017, "SGDR"; Goyal et al. 2017 for the warm-up).
    #[default]
    Cosine,
    /// The rate stays the same.
    Constant,
}

/// How much a film counts by where its label comes from, each 0 or more. A film of which nothing is known counts 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelWeights {
    /// Of [`LabelSource::Radiologists`].
    pub radiologists: f32,
    /// Of [`LabelSource::Clinical`].
    pub clinical: f32,
    /// Of [`LabelSource::ReportText`].
    pub report_text: f32,
    /// Of [`LabelSource::PatientTest`].
    pub patient_test: f32,
    /// Of [`LabelSource::Folder`].
    pub folder: f32,
}

impl LabelWeights {
    /// Every label counts whole.
    pub const EQUAL: LabelWeights =
        LabelWeights { radiologists: 1.0, clinical: 1.0, report_text: 1.0, patient_test: 1.0, folder: 1.0 };

    /// The weight of a film whose label comes from there.
    pub fn of(&self, source: Option<LabelSource>) -> f32 {
        match source {
            None => 1.0,
            Some(LabelSource::Radiologists) => self.radiologists,
            Some(LabelSource::Clinical) => self.clinical,
            Some(LabelSource::ReportText) => self.report_text,
            Some(LabelSource::PatientTest) => self.patient_test,
            Some(LabelSource::Folder) => self.folder,
        }
    }

    /// The same with another weight for labels from there.
    #[must_use]
    pub fn with(mut self, source: LabelSource, weight: f32) -> Self {
        *match source {
            LabelSource::Radiologists => &mut self.radiologists,
            LabelSource::Clinical => &mut self.clinical,
            LabelSource::ReportText => &mut self.report_text,
            LabelSource::PatientTest => &mut self.patient_test,
            LabelSource::Folder => &mut self.folder,
        } = weight;
        self
    }
}

/// All settings that decide a run's outcome. A run's checkpoint and a bundle's manifest keep them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// All random choices follow from the seed.
    pub seed: u64,
    /// How many films a step trains on.
    pub batch_size: usize,
    /// The highest learning rate of AdamW (Loshchilov and Hutter 2019). Without weight decay, AdamW is Adam.
    pub learning_rate: f64,
    /// How the learning rate changes during the run.
    #[serde(default)]
    pub schedule: Schedule,
    /// The weight decay of AdamW.
    pub weight_decay: f32,
    /// How much of each label's probability is spread over all classes, 0..=1 (Szegedy et al. 2016).
    pub label_smoothing: f32,
    /// The share of the teacher's probabilities in the target, 0..=1. The rest is the smoothed label.
    pub teacher_share: f32,
    /// The weight, in the loss, of the distance to the teacher's features (`feature_loss` in `train/loss.rs`).
    #[serde(default)]
    pub feature_weight: f32,
    /// The weight, in the loss, of the distance to the teacher's feature map, place by place.
    #[serde(default)]
    pub map_weight: f32,
    /// The weight, in the loss, of the activation maps' part outside the lungs (`lung_loss` in `train/loss.rs`).
    #[serde(default)]
    pub lung_weight: f32,
    /// How much of the weights' average is kept at each step, 0..=1. The average is what is validated and kept.
    pub average_decay: f32,
    /// Whether the network is trained on random views, or on the films as they are.
    pub augment: bool,
    /// The chance that a view starts from one of the film's photographs, 0..=1. It matters for films that have some.
    #[serde(default)]
    pub photograph_share: f32,
    /// The chance that a view is mixed with one of another film, 0..=1. The shares of the two are drawn evenly (Zhang et al.
    /// 2018, "mixup").
    #[serde(default)]
    pub mixup: f32,
    /// Whether each class is drawn equally often, whatever its share of the films.
    #[serde(default)]
    pub balance_classes: bool,
    /// How a class's views and sources share the class's draws: as their films' weights together to this power, 0..=1. With 1
    /// every film of a weight is drawn alike, with 0 every view and source.
    #[serde(default = "one")]
    pub balance_exponent: f32,
    /// How often films are drawn by where their label comes from.
    #[serde(default = "equal_labels")]
    pub label_weights: LabelWeights,
    /// How many views an epoch has. `None` for as many as there are films.
    #[serde(default)]
    pub epoch_views: Option<usize>,
    /// The chance that a view has the histogram of another film, of any class, 0..=1.
    #[serde(default)]
    pub borrowed_grays: f32,
    /// The chance that a view is of a film that was stored small: reduced to as little as two fifths, and enlarged again,
    /// 0..=1.
    #[serde(default)]
    pub coarse: f32,
    /// Whether convolutions and the maps between them are in bfloat16, and all else in single precision (Micikevicius et
    /// al. 2018, "Mixed precision training").
    #[serde(default)]
    pub mixed_precision: bool,
    /// The input sizes in order, with the epochs at each.
    pub stages: Vec<Stage>,
    /// The network.
    pub architecture: Architecture,
    /// The SHA-256 of the file of weights that the run started from; `None` for random weights.
    pub initial_weights: Option<String>,
    /// The SHA-256 of the teacher's file; `None` without a teacher.
    #[serde(default)]
    pub teacher: Option<String>,
    /// The SHA-256 of the file of activation ranges for fake quantization; `None` where the network is trained in float.
    #[serde(default)]
    pub int8_ranges: Option<String>,
}

impl TrainConfig {
    /// The settings of Zhang's paper: Adam at 2e-4 throughout, batches of 32, 50 epochs at 224 pixels, cross-entropy with
    /// the labels alone, films without random views, the newest weights and not their average. The paper's network starts
    /// from ImageNet weights, which the caller must give.
    ///
    /// One step is not the paper's: films go through the device's preprocessing, which stretches their gray range between
    /// two percentiles ([`InputSpec::imagenet`](xray_triage_core::preprocess::InputSpec::imagenet)).
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
            balance_exponent: 1.0,
            label_weights: LabelWeights::EQUAL,
            epoch_views: None,
            borrowed_grays: 0.0,
            coarse: 0.0,
            mixed_precision: false,
            stages: vec![Stage { size: 224, epochs: 50 }],
            architecture: Architecture::densenet121(attention),
            initial_weights: None,
            teacher: None,
            int8_ranges: None,
        }
    }

    /// This project's own settings (docs/reference/training-settings.md).
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
            balance_classes: true,
            balance_exponent: 0.5,
            label_weights: LabelWeights { folder: 0.7, report_text: 0.5, patient_test: 0.15, ..LabelWeights::EQUAL },
            epoch_views: None,
            borrowed_grays: 0.3,
            coarse: 0.3,
            mixed_precision: false,
            stages: vec![Stage { size: 128, epochs: 60 }, Stage { size: 224, epochs: 12 }],
            architecture: Architecture::densenet121(attention),
            initial_weights: None,
            teacher: None,
            int8_ranges: None,
        }
    }

    /// Epochs of all stages together.
    pub fn epochs(&self) -> usize {
        self.stages.iter().map(|stage| stage.epochs).sum()
    }

    /// Side of the input in an epoch, counted from 0, in pixels.
    pub fn size(&self, epoch: usize) -> u32 {
        let mut first = 0;
        for stage in &self.stages {
            first += stage.epochs;
            if epoch < first {
                return stage.size;
            }
        }
        self.stages.last().map_or(DEFAULT_SIZE, |stage| stage.size)
    }

    /// Cells along each side of the activation map in an epoch, counted from 0.
    pub fn cells(&self, epoch: usize) -> usize {
        self.size(epoch) as usize / self.architecture.stride()
    }

    /// Views of an epoch over so many films.
    pub fn views_per_epoch(&self, films: usize) -> usize {
        self.epoch_views.unwrap_or(films)
    }

    /// Steps of an epoch over so many films.
    pub fn steps_per_epoch(&self, films: usize) -> usize {
        self.views_per_epoch(films).div_ceil(self.batch_size)
    }

    /// Whether anything is learned from the teacher's features.
    pub fn learns_features(&self) -> bool {
        self.feature_weight > 0.0 || self.map_weight > 0.0
    }

    /// Checks that every number is one that a run can have.
    ///
    /// # Errors
    /// [`TrainError::Setting`].
    pub fn check(&self) -> Result<(), TrainError> {
        if self.batch_size == 0 {
            return Err(TrainError::Setting { setting: "batch_size", value: "0".into(), wanted: "1 or more" });
        }
        if self.epoch_views == Some(0) {
            return Err(TrainError::Setting { setting: "epoch_views", value: "0".into(), wanted: "1 or more" });
        }
        let positive = [
            ("learning_rate", self.learning_rate),
            ("weight_decay", self.weight_decay.into()),
            ("feature_weight", self.feature_weight.into()),
            ("map_weight", self.map_weight.into()),
            ("lung_weight", self.lung_weight.into()),
            ("label_weights.radiologists", self.label_weights.radiologists.into()),
            ("label_weights.clinical", self.label_weights.clinical.into()),
            ("label_weights.report_text", self.label_weights.report_text.into()),
            ("label_weights.patient_test", self.label_weights.patient_test.into()),
            ("label_weights.folder", self.label_weights.folder.into()),
        ];
        let shares = [
            ("label_smoothing", self.label_smoothing),
            ("teacher_share", self.teacher_share),
            ("average_decay", self.average_decay),
            ("photograph_share", self.photograph_share),
            ("mixup", self.mixup),
            ("balance_exponent", self.balance_exponent),
            ("borrowed_grays", self.borrowed_grays),
            ("coarse", self.coarse),
        ];
        let largest = |(setting, value)| (setting, value, f64::MAX, "a finite number of 0 or more");
        let share = |(setting, value): (_, f32)| (setting, value.into(), 1.0, "a number from 0 to 1");
        for (setting, value, highest, wanted) in positive.map(largest).into_iter().chain(shares.map(share)) {
            if !(0.0..=highest).contains(&value) {
                return Err(TrainError::Setting { setting, value: value.to_string(), wanted });
            }
        }
        Ok(())
    }

    /// The learning rate at a step of the run, counted from 0.
    pub fn learning_rate(&self, step: usize, steps_per_epoch: usize) -> f64 {
        if self.schedule == Schedule::Constant {
            return self.learning_rate;
        }
        let total = (self.epochs() * steps_per_epoch) as f64;
        let warm_up = (step as f64 + 1.0) / steps_per_epoch as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total).cos());
        self.learning_rate * cosine * warm_up.min(1.0)
    }
}

/// What a checkpoint from before there was such a setting means.
fn one() -> f32 {
    1.0
}

/// What a checkpoint from before there was such a setting means.
fn equal_labels() -> LabelWeights {
    LabelWeights::EQUAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_learning_rate_is_constant_and_ours_ends_at_nothing() {
        let (paper, own) = (TrainConfig::paper(Attention::Cbam), TrainConfig::own(Attention::Cbam));
        assert_eq!((paper.learning_rate(0, 10), paper.learning_rate(499, 10)), (2e-4, 2e-4));
        let last = own.epochs() * 10 - 1;
        assert!(own.learning_rate(0, 10) < own.learning_rate(10, 10));
        assert!(own.learning_rate(last, 10) < 1e-6 * own.learning_rate(10, 10) + 1e-8);
    }

    #[test]
    fn a_setting_that_is_no_number_is_refused_by_its_name() {
        let own = TrainConfig::own(Attention::Cbam);
        assert!(own.check().is_ok() && TrainConfig::paper(Attention::None).check().is_ok());
        for (setting, config) in [
            ("batch_size", TrainConfig { batch_size: 0, ..own.clone() }),
            ("learning_rate", TrainConfig { learning_rate: f64::NAN, ..own.clone() }),
            ("learning_rate", TrainConfig { learning_rate: f64::INFINITY, ..own.clone() }),
            ("weight_decay", TrainConfig { weight_decay: -1.0, ..own.clone() }),
            ("lung_weight", TrainConfig { lung_weight: f32::NAN, ..own.clone() }),
            ("mixup", TrainConfig { mixup: 1.5, ..own.clone() }),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(setting), "{setting}: {error}");
        }
    }
}
