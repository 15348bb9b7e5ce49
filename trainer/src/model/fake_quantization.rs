//! Fake quantization: in training, floats are rounded to the values that the int8 network would have, so that the weights
//! learn to live with it. This is quantization-aware training (Jacob et al. 2018, "Quantization and training of neural
//! networks for efficient integer-arithmetic-only inference").
//!
//! Rounding has no slope. The gradient passes it as if it were not there (Bengio et al. 2013, "straight-through
//! estimator"), and stops where a value saturates.

use burn::tensor::{DType, Tensor};

use super::architecture::Architecture;
use super::int8::{ActivationScales, RangeError, Ranges, Uint8Scale, WEIGHT_LIMIT};

/// Rounds a network's activations as its int8 export does.
#[derive(Clone, Debug)]
pub struct FakeQuantization {
    scales: ActivationScales,
}

impl FakeQuantization {
    /// Rounds by the ranges that an export of a network of this architecture chose.
    ///
    /// # Errors
    /// A range is missing or cannot be that of its activation: the ranges belong to another architecture.
    pub fn new(architecture: &Architecture, ranges: &Ranges) -> Result<Self, RangeError> {
        Ok(FakeQuantization { scales: ActivationScales::new(architecture, ranges)? })
    }

    /// The values of an activation as the int8 network holds them. `tensor` is its name in the exported graph
    /// ([`tensor_names`](super::tensor_names)).
    ///
    /// # Panics
    /// The values are not in single precision, or the architecture has no such activation in uint8.
    pub fn activation(&self, tensor: &str, values: Tensor<4>) -> Tensor<4> {
        assert_eq!(values.dtype(), DType::F32, "bfloat16 does not tell the 256 values of {tensor} apart");
        let Uint8Scale { scale, zero_point } = self.scales.of(tensor);
        let [low, high] = [0, u8::MAX].map(|integer| (f32::from(integer) - f32::from(zero_point)) * scale);
        let values = values.clamp(low, high);
        straight_through(values.clone(), (values / scale).round() * scale)
    }
}

/// A convolution's weights `[outputs, inputs, height, width]` as the int8 network holds them, each output channel with its
/// own scale. The export folds the norm behind a convolution into its weights; the rounding is the same, because the norm
/// scales all weights of a channel alike.
pub fn weights(weights: Tensor<4>) -> Tensor<4> {
    let largest = weights.clone().detach().abs().max_dim(3).max_dim(2).max_dim(1);
    let scale = (largest / WEIGHT_LIMIT).clamp_min(f32::MIN_POSITIVE);
    straight_through(weights.clone(), (weights / scale.clone()).round() * scale)
}

/// The values of `rounded` with the gradient of `values`.
fn straight_through(values: Tensor<4>, rounded: Tensor<4>) -> Tensor<4> {
    values.clone() + (rounded - values).detach()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use crate::model::architecture::Attention;
    use crate::model::backend::Backend;
    use crate::model::tensor_names;

    use super::*;

    fn tensor(values: &[f32], device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), device)
    }

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn the_gradient_passes_rounding_and_stops_where_a_value_saturates() {
        let device = Backend::preferred().device().autodiff();
        let architecture = Architecture::tiny(Attention::Cbam);
        let activations = tensor_names::uint8_activations(&architecture);
        let ranges: Ranges = activations.into_iter().map(|activation| (activation.name, [0.0, 2.55])).collect();
        let fake = FakeQuantization::new(&architecture, &ranges).unwrap();
        let x = tensor(&[0.004, 0.006, 1.234, 3.0, -1.0], &device).require_grad();
        let rounded = fake.activation(&tensor_names::dense_layer(1, 1).relu1, x.clone());
        for (found, expected) in values(rounded.clone()).into_iter().zip([0.0, 0.01, 1.23, 2.55, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        }
        let gradients = rounded.sum().backward();
        assert_eq!(values(Tensor::from_inner(x.grad(&gradients).unwrap())), [1.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn weights_keep_their_largest_and_their_zeros() {
        let device = Backend::preferred().device();
        let rounded = values(weights(tensor(&[-1.27, 0.004, 0.006, 0.0, 0.5], &device)));
        for (found, expected) in rounded.into_iter().zip([-1.27, 0.0, 0.01, 0.0, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        }
        assert_eq!(values(weights(tensor(&[0.0, 0.0], &device))), [0.0, 0.0]);
    }
}
