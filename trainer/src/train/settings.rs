//! All that decides how a run ends.

use serde::{Deserialize, Serialize};

use crate::model::architecture::{Architecture, Attention, DEFAULT_SIZE};

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
        if stage.epochs == 0 {
            return Err(format!("`{text}` has no epoch; leave it out, or give 1 or more"));
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
    /// Weight of the distance to the teacher's features in the loss, see `feature_loss` in `train/loss.rs`.
    #[serde(default)]
    pub feature_weight: f32,
    /// Weight of the distance to the teacher's feature map, place by place, in the loss.
    #[serde(default)]
    pub map_weight: f32,
    /// Weight of the activation maps' part outside the lungs in the loss, see `lung_loss` in `train/loss.rs`.
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
    /// SHA-256 of the file with the ranges by which the network is trained as int8; `None` for float.
    #[serde(default)]
    pub int8_ranges: Option<String>,
}

impl TrainConfig {
    /// The settings of Zhang's paper: Adam at 2e-4 throughout, batch 32, 50 epochs at 224 pixels, cross-entropy with
    /// the labels alone, films without random views, the newest weights and not their average. It starts from ImageNet
    /// weights, which the caller must give.
    ///
    /// One step is ours: films go through the device's preprocessing, which stretches their gray range between two
    /// percentiles ([`InputSpec::imagenet`](xray_triage::preprocess::InputSpec::imagenet)).
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
            int8_ranges: None,
        }
    }

    /// Our own settings; see docs/reference/training-settings.md.
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
            int8_ranges: None,
        }
    }

    pub fn epochs(&self) -> usize {
        self.stages.iter().map(|stage| stage.epochs).sum()
    }

    /// The input size of an epoch.
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

    /// Cells of the activation map along each side, in an epoch.
    pub fn cells(&self, epoch: usize) -> usize {
        self.size(epoch) as usize / self.architecture.stride()
    }

    /// Whether anything is learned from the teacher's features.
    pub fn learns_features(&self) -> bool {
        self.feature_weight > 0.0 || self.map_weight > 0.0
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
}
