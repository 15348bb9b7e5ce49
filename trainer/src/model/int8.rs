//! What the int8 network's integers stand for: `real = scale * (integer - zero point)`.
//!
//! Activations are uint8 with one scale a tensor; weights are int8 with one scale an output channel and zero point 0, as
//! in ONNX's `QLinearConv`.

use std::collections::BTreeMap;

use super::architecture::Architecture;
use super::tensor_names::{self, Uint8Activation};

/// How many values a uint8 tensor can tell apart.
pub const LEVELS: usize = 256;

/// The largest integer of a weight; the smallest is its negative.
pub const WEIGHT_LIMIT: f32 = 127.0;

/// The lowest and the highest value of each activation, by the tensor's name in the exported graph; zero lies within.
pub type Ranges = BTreeMap<String, [f32; 2]>;

/// Why ranges do not fit a network.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// An activation of the network has no range.
    #[error("no range for tensor `{tensor}`: the ranges belong to another architecture; export the network again")]
    Missing {
        /// The activation's name in the exported graph.
        tensor: String,
    },
    /// A range cannot be that of the activation.
    #[error("range {range:?} of tensor `{tensor}` {problem}; export the network again")]
    Unusable {
        /// The activation's name in the exported graph.
        tensor: String,
        /// Its lowest and highest value.
        range: [f32; 2],
        /// What is wrong with the range.
        problem: &'static str,
    },
}

/// How a uint8 tensor stands for real values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uint8Scale {
    /// The step from one integer to the next, above zero.
    pub scale: f32,
    /// The integer that stands for zero.
    pub zero_point: u8,
}

impl Uint8Scale {
    /// Spreads the 256 integers over a range that holds zero. One integer stands for exactly zero, which paddings and
    /// ReLU need. A range of zero width is that of a tensor that is always zero; it gets scale 1.
    pub fn over([low, high]: [f32; 2]) -> Self {
        if low == high {
            return Uint8Scale { scale: 1.0, zero_point: 0 };
        }
        let scale = (high - low) / 255.0;
        Uint8Scale { scale, zero_point: (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8 }
    }

    /// The integer that stands for a real value. Values beyond the range saturate.
    pub fn integer(&self, value: f32) -> u8 {
        ((value / self.scale).round_ties_even() + f32::from(self.zero_point)).clamp(0.0, 255.0) as u8
    }

    /// The real value that a real value becomes by being held in uint8.
    pub fn rounded(&self, value: f32) -> f32 {
        f32::from(i16::from(self.integer(value)) - i16::from(self.zero_point)) * self.scale
    }
}

/// The scales of all activations that the int8 network holds in uint8.
#[derive(Clone, Debug, Default)]
pub struct ActivationScales(BTreeMap<String, Uint8Scale>);

impl ActivationScales {
    /// The scales that follow from ranges, which may come from a file.
    ///
    /// # Errors
    /// A range is missing, or cannot be that of its activation.
    pub fn new(architecture: &Architecture, ranges: &Ranges) -> Result<Self, RangeError> {
        let scale = |Uint8Activation { name, rectified }| -> Result<(String, Uint8Scale), RangeError> {
            let range = *ranges.get(&name).ok_or_else(|| RangeError::Missing { tensor: name.clone() })?;
            if let Some(problem) = problem(range, rectified) {
                return Err(RangeError::Unusable { tensor: name, range, problem });
            }
            Ok((name, Uint8Scale::over(range)))
        };
        let activations = tensor_names::uint8_activations(architecture);
        Ok(ActivationScales(activations.into_iter().map(scale).collect::<Result<_, _>>()?))
    }

    /// The scale of an activation, by its name in the exported graph.
    ///
    /// # Panics
    /// The architecture that the scales were made for has no such activation.
    pub fn of(&self, activation: &str) -> Uint8Scale {
        self.0[activation]
    }
}

/// What is wrong with a range, if anything is. A rectified activation is never below zero.
fn problem([low, high]: [f32; 2], rectified: bool) -> Option<&'static str> {
    if !(low.is_finite() && high.is_finite()) {
        Some("is not finite")
    } else if low > 0.0 || high < 0.0 {
        Some("does not hold zero")
    } else if rectified && low < 0.0 {
        Some("is below zero after a ReLU")
    } else if high > low && (high - low) / 255.0 < f32::MIN_POSITIVE {
        Some("is too narrow")
    } else if !(high - low).is_finite() {
        Some("is too wide")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::model::architecture::Attention;

    use super::*;

    #[test]
    fn zero_is_exact_and_ends_saturate() {
        for range in [[0.0, 6.0], [-1.3, 2.9], [-4.0, 0.0], [0.0, 0.0]] {
            let scale = Uint8Scale::over(range);
            assert_eq!(scale.rounded(0.0), 0.0, "{range:?}");
        }
        let scale = Uint8Scale::over([-1.0, 3.0]);
        assert!((scale.rounded(100.0) - 3.0).abs() <= scale.scale);
        assert!((scale.rounded(-100.0) + 1.0).abs() <= scale.scale);
        assert!((scale.rounded(1.234) - 1.234).abs() <= scale.scale / 2.0 + 1e-6);
    }

    #[test]
    fn a_damaged_range_is_refused() {
        assert_eq!(problem([0.0, 1.0], true), None);
        assert_eq!(problem([-1.0, 1.0], false), None);
        for (range, rectified, expected) in [
            ([f32::NAN, 1.0], false, "is not finite"),
            ([0.5, 1.0], false, "does not hold zero"),
            ([-1.0, 1.0], true, "is below zero after a ReLU"),
            ([0.0, f32::MIN_POSITIVE], true, "is too narrow"),
            ([f32::MIN, f32::MAX], false, "is too wide"),
        ] {
            assert_eq!(problem(range, rectified), Some(expected), "{range:?}");
        }
    }

    #[test]
    fn ranges_of_another_architecture_are_refused() {
        let architecture = Architecture::tiny(Attention::Se);
        let error = ActivationScales::new(&architecture, &Ranges::new()).unwrap_err();
        assert!(error.to_string().contains("denselayer1.relu1"), "{error}");
        let activations = tensor_names::uint8_activations(&architecture);
        let below_zero: Ranges = activations.into_iter().map(|activation| (activation.name, [-1.0, 1.0])).collect();
        let error = ActivationScales::new(&architecture, &below_zero).unwrap_err();
        assert!(error.to_string().contains("denselayer1.relu1` is below zero after a ReLU"), "{error}");
    }
}
