//! The int8 network's rounding in training, so that weights learn to live with it: quantization-aware training (Jacob et
//! al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference").
//!
//! What the exported network keeps in integers is rounded to the same values in floats. Rounding has no slope; the gradient
//! passes it as if it were not there (Bengio et al. 2013, "straight-through estimator"), and stops where a value saturates.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor};

use crate::export::{ExportError, Ranges, Uint8Scale, WEIGHT_LIMIT, check_range};
use crate::model::architecture::Architecture;

/// The scales of a network's uint8 tensors.
#[derive(Clone, Debug)]
pub struct Rounding {
    scales: BTreeMap<String, Uint8Scale>,
}

impl Rounding {
    /// Of the ranges that an export of a network of this architecture chose.
    ///
    /// # Errors
    /// A range is missing or no range of an activation: it belongs to another architecture.
    pub fn new(architecture: &Architecture, ranges: &Ranges) -> Result<Self, ExportError> {
        let scale = |(tensor, rectified): (String, bool)| -> Result<(String, Uint8Scale), ExportError> {
            let range = ranges.get(&tensor).ok_or_else(|| ExportError::MissingRange { tensor: tensor.clone() })?;
            let scale = Uint8Scale::over(check_range(&tensor, *range, rectified)?);
            Ok((tensor, scale))
        };
        Ok(Rounding { scales: tensors(architecture).into_iter().map(scale).collect::<Result<_, _>>()? })
    }

    /// The values of an activation, by its name in the exported graph, as the int8 network holds them. In single precision.
    pub fn activation(&self, tensor: &str, values: Tensor<4>) -> Tensor<4> {
        assert_eq!(values.dtype(), DType::F32, "bfloat16 does not tell the 256 values of {tensor} apart");
        let Uint8Scale { scale, zero_point } = self.scales[tensor];
        let [low, high] = [0, u8::MAX].map(|integer| (f32::from(integer) - f32::from(zero_point)) * scale);
        let values = values.clamp(low, high);
        straight_through(values.clone(), (values / scale).round() * scale)
    }
}

/// A convolution's weights `[outputs, inputs, height, width]` as the int8 network holds them, each output channel by its own
/// scale. That the norm behind it is folded into a channel's weights does not matter: it scales all of them alike.
pub fn weights(weights: Tensor<4>) -> Tensor<4> {
    let largest = weights.clone().detach().abs().max_dim(3).max_dim(2).max_dim(1);
    let scale = (largest / WEIGHT_LIMIT).clamp_min(f32::MIN_POSITIVE);
    straight_through(weights.clone(), (weights / scale.clone()).round() * scale)
}

/// `rounded` with the gradient of `values`.
fn straight_through(values: Tensor<4>, rounded: Tensor<4>) -> Tensor<4> {
    values.clone() + (rounded - values).detach()
}

/// The tensors that the int8 graph holds in uint8, by the names that `export/graph.rs` gives them, and whether they are
/// those of a ReLU.
fn tensors(architecture: &Architecture) -> Vec<(String, bool)> {
    let mut tensors = Vec::new();
    for (index, &layers) in architecture.blocks.iter().enumerate() {
        let block = index + 1;
        for layer in 1..=layers {
            let name = format!("features.denseblock{block}.denselayer{layer}");
            let of_layer = [("relu1", true), ("relu2", true), ("conv2", false)];
            tensors.extend(of_layer.map(|(tensor, rectified)| (format!("{name}.{tensor}"), rectified)));
        }
        if block < architecture.blocks.len() {
            let name = format!("features.transition{block}");
            tensors.extend([(format!("{name}.pool"), true), (format!("{name}.conv"), false)]);
        }
    }
    tensors
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use crate::model::architecture::Attention;
    use crate::model::backend::Backend;

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
        let ranges: Ranges = tensors(&architecture).into_iter().map(|(tensor, _)| (tensor, [0.0, 2.55])).collect();
        let rounding = Rounding::new(&architecture, &ranges).unwrap();
        let x = tensor(&[0.004, 0.006, 1.234, 3.0, -1.0], &device).require_grad();
        let rounded = rounding.activation("features.denseblock1.denselayer1.relu1", x.clone());
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

    #[test]
    fn ranges_of_another_architecture_are_refused() {
        let mut ranges = Ranges::new();
        let error = Rounding::new(&Architecture::tiny(Attention::Se), &ranges).unwrap_err();
        assert!(error.to_string().contains("denselayer1.relu1"), "{error}");
        ranges.extend(tensors(&Architecture::tiny(Attention::Se)).into_iter().map(|(tensor, _)| (tensor, [-1.0, 1.0])));
        let error = Rounding::new(&Architecture::tiny(Attention::Se), &ranges).unwrap_err();
        assert!(error.to_string().contains("below zero after a ReLU"), "{error}");
    }
}
