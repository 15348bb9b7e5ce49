//! Where a run stands: the weights being trained, their average, the optimizer and the progress.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::network::Network;
use crate::model::state_dict::StateDict;

use super::{RunInputs, TrainConfig, TrainError};

/// What is optimized.
#[derive(Module, Debug)]
pub struct Student {
    /// The network.
    pub network: Network,
    /// Maps the network's features, pooled or at a place, to the teacher's. It is of no use after training.
    pub projector: Option<Linear>,
}

/// How far a run has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// The epoch being trained, counted from 0.
    pub epoch: usize,
    /// How many steps of the epoch are done.
    pub step: usize,
    /// The sum of the losses of these steps.
    pub loss_sum: f64,
    /// For how many films of the epoch the most probable class was the label.
    #[serde(default)]
    pub right: usize,
    /// The best validation accuracy at the current input size, 0..=1.
    pub best_accuracy: f64,
    /// The run's settings.
    pub config: TrainConfig,
}

impl Progress {
    /// Begins an epoch.
    pub fn start_epoch(&mut self, epoch: usize) {
        (self.epoch, self.step, self.loss_sum, self.right) = (epoch, 0, 0.0, 0);
    }
}

/// All that changes in a run. A checkpoint holds the same.
pub struct RunState {
    /// The weights being trained.
    pub student: Student,
    /// AdamW with its moments.
    pub optimizer: ModuleOptimizer,
    /// The average of the network's weights, which is validated and kept.
    pub average: StateDict,
    /// How far the run has come.
    pub progress: Progress,
}

impl RunState {
    /// The state before the first step. `device` has automatic differentiation.
    ///
    /// # Errors
    /// [`TrainError::State`]: the initial weights are another architecture's.
    pub fn new(config: &TrainConfig, inputs: &RunInputs, device: &Device) -> Result<Self, TrainError> {
        device.seed(config.seed);
        let mut network = Network::new(&config.architecture, device);
        if let Some(initial) = inputs.initial {
            let mut state = network.state();
            let adopted = state.adopt(initial)?;
            log::info!("initial weights: {adopted}");
            network = network.with_state(&state)?;
        }
        let teacher = inputs.teacher.filter(|_| config.learns_features());
        let projector = teacher
            .map(|teacher| LinearConfig::new(config.architecture.feature_channels(), teacher.features()).init(device));
        Ok(RunState {
            average: network.state(),
            student: Student { network, projector },
            optimizer: AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(config.weight_decay).init(),
            progress: Progress {
                epoch: 0,
                step: 0,
                loss_sum: 0.0,
                right: 0,
                best_accuracy: 0.0,
                config: config.clone(),
            },
        })
    }

    /// Takes a step against the gradient of `loss`, and moves the average. `step` is the step of the run, counted from 0.
    pub fn descend(&mut self, loss: Tensor<1>, learning_rate: f64, step: usize) {
        let gradients = GradientsParams::from_grads(loss.backward(), &self.student);
        self.student = self.optimizer.step(learning_rate, self.student.clone(), gradients);
        // The average starts as a plain mean, so that the first weights do not linger in it.
        let decay = self.progress.config.average_decay.min((1.0 + step as f32) / (10.0 + step as f32));
        blend(&mut self.average, &self.student.network.state(), decay);
    }

    /// Whether all weights are finite. Of the network the average tells it, because what is not finite stays in it.
    pub fn is_finite(&self) -> bool {
        let mut network = self.average.parameters.values().flat_map(|parameter| &parameter.values);
        let projector = self.student.projector.iter().flat_map(|projector| {
            let weight = projector.weight.val().into_data().convert::<f32>();
            weight.try_into_vec::<f32>().expect("the data were just converted to f32")
        });
        network.all(|value| value.is_finite()) && projector.into_iter().all(f32::is_finite)
    }
}

/// Makes the average `decay * average + (1 - decay) * newest`, parameter by parameter.
fn blend(average: &mut StateDict, newest: &StateDict, decay: f32) {
    for (name, parameter) in &newest.parameters {
        if let Some(average) = average.parameters.get_mut(name) {
            for (mean, value) in average.values.iter_mut().zip(&parameter.values) {
                *mean = decay * *mean + (1.0 - decay) * value;
            }
        }
    }
}
