//! Convolutions of the exported graph. A batch norm after a convolution is folded into it, which changes nothing but
//! rounding.

use crate::model::state_dict::{StateDict, StateDictError};
use crate::model::tensor_names;

/// What every norm of the network adds to the variance: the default of torch's `BatchNorm2d`.
pub const EPSILON: f32 = 1e-5;

/// A convolution with a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The shape of the weights, `[out, in, height, width]`.
    pub shape: [usize; 4],
    /// The weights in row-major order.
    pub weights: Vec<f32>,
    /// The bias, one value an output channel.
    pub bias: Vec<f32>,
}

impl Convolution {
    /// Reads a convolution of the network. No convolution of the network has a bias.
    pub fn read(state: &StateDict, name: &str, shape: [usize; 4]) -> Result<Self, StateDictError> {
        let weights = state.get_shaped(&tensor_names::weight(name), &shape)?.values.clone();
        Ok(Convolution { shape, weights, bias: vec![0.0; shape[0]] })
    }

    /// Reads a linear layer as the 1 x 1 convolution that it is.
    pub fn read_linear(state: &StateDict, name: &str, outputs: usize, inputs: usize) -> Result<Self, StateDictError> {
        Ok(Convolution {
            shape: [outputs, inputs, 1, 1],
            weights: state.get_shaped(&tensor_names::weight(name), &[outputs, inputs])?.values.clone(),
            bias: state.get_shaped(&tensor_names::bias(name), &[outputs])?.values.clone(),
        })
    }

    /// The convolution and the batch norm after it as one convolution: `weight * (conv - mean) / sqrt(var + EPSILON) + bias`
    /// with the norm's weight, running mean, running variance and bias. It is computed in double precision.
    pub fn followed_by_norm(mut self, state: &StateDict, norm: &str) -> Result<Self, StateDictError> {
        let channels = self.shape[0];
        let [weight, bias, mean, variance] = tensor_names::norm_parameters(norm);
        let read = |name: &str| state.get_shaped(name, &[channels]);
        let (weight, bias, mean, variance) = (read(&weight)?, read(&bias)?, read(&mean)?, read(&variance)?);
        let length = self.weights.len() / channels;
        for (channel, weights) in self.weights.chunks_mut(length).enumerate() {
            let scale =
                f64::from(weight.values[channel]) / (f64::from(variance.values[channel]) + f64::from(EPSILON)).sqrt();
            for value in weights {
                *value = (f64::from(*value) * scale) as f32;
            }
            let centred = f64::from(self.bias[channel]) - f64::from(mean.values[channel]);
            self.bias[channel] = (centred * scale + f64::from(bias.values[channel])) as f32;
        }
        Ok(self)
    }

    /// The weights of one output channel.
    pub fn channel(&self, channel: usize) -> &[f32] {
        let length = self.weights.len() / self.shape[0];
        &self.weights[channel * length..][..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_norm_scales_and_shifts_its_channel() {
        let mut state = StateDict::default();
        state.insert("conv.weight", vec![2, 1, 1, 1], vec![3.0, -1.0]);
        state.insert("norm.weight", vec![2], vec![2.0, 1.0]);
        state.insert("norm.bias", vec![2], vec![0.5, -0.5]);
        state.insert("norm.running_mean", vec![2], vec![1.0, 0.0]);
        state.insert("norm.running_var", vec![2], vec![4.0 - EPSILON, 0.25 - EPSILON]);
        let folded = Convolution::read(&state, "conv", [2, 1, 1, 1]).unwrap().followed_by_norm(&state, "norm").unwrap();
        // 2 (3 x - 1) / 2 + 0.5 and (-x) / 0.5 - 0.5
        let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(close(folded.weights[0], 3.0) && close(folded.bias[0], -0.5), "{folded:?}");
        assert!(close(folded.weights[1], -2.0) && close(folded.bias[1], -0.5), "{folded:?}");
    }
}
