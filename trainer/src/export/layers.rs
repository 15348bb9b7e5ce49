//! How much each convolution of the int8 network loses.

use serde::{Deserialize, Serialize};

use crate::model::architecture::Architecture;
use crate::model::int8::Ranges;
use crate::model::state_dict::StateDict;

use super::session::Session;
use super::{ExportError, graph};

/// What quantization does to the result of one convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// The convolution's name ([`tensor_names`](crate::model::tensor_names)).
    pub layer: String,
    /// Signal-to-quantization-noise ratio in decibels: `10 log10(sum x^2 / sum (x - q)^2)` over all values of the result for
    /// all inputs, where `x` is the value in float and `q` in int8. It is infinite where nothing is lost, and never NaN.
    pub sqnr_db: f64,
}

/// The error of every quantized convolution, the worst first.
///
/// Each convolution is measured alone, with the rest of the network in float. The float network gives its input; input,
/// weights and result are rounded as in the int8 graph. Where a ReLU follows, the result is taken after it.
///
/// `ranges` are those that the int8 graph is made with. Inputs are as for [`measure_ranges`](super::measure_ranges).
///
/// # Errors
/// The state or the ranges do not fit the architecture or the size, there is no input, or a value is not finite.
pub fn layer_errors(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    inputs: impl IntoIterator<Item = Vec<f32>>,
    ranges: &Ranges,
) -> Result<Vec<LayerError>, ExportError> {
    let graph::TwinGraph { mut model, twins } = graph::twins(architecture, state, size, ranges)?;
    for twin in &twins {
        model.tap(&twin.float);
        model.tap(&twin.int8);
    }
    let session = Session::load(&model.encode(), size)?;
    let mut powers = vec![Powers::default(); twins.len()];
    let mut runs = 0;
    for input in inputs {
        let outputs = session.run(&input)?;
        // The graph's own outputs, logits and maps, come before the pairs.
        let pairs = outputs[outputs.len() - 2 * twins.len()..].as_chunks::<2>().0;
        for (powers, [float, int8]) in powers.iter_mut().zip(pairs) {
            powers.add(float, int8);
        }
        runs += 1;
    }
    if runs == 0 {
        return Err(ExportError::NoInputs);
    }
    let mut errors: Vec<LayerError> = twins
        .into_iter()
        .zip(powers)
        .map(|(twin, powers)| LayerError { layer: twin.layer, sqnr_db: powers.ratio_db() })
        .collect();
    errors.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
    Ok(errors)
}

/// The powers of a signal and of its quantization noise: sums of squares over the same values.
#[derive(Clone, Copy, Default)]
struct Powers {
    signal: f64,
    noise: f64,
}

impl Powers {
    fn add(&mut self, float: &[f32], int8: &[f32]) {
        for (&float, &int8) in float.iter().zip(int8) {
            self.signal += f64::from(float).powi(2);
            self.noise += f64::from(float - int8).powi(2);
        }
    }

    fn ratio_db(self) -> f64 {
        if self.noise == 0.0 {
            return f64::INFINITY;
        }
        10.0 * (self.signal / self.noise).log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_amplitude_is_twenty_decibels() {
        let mut powers = Powers::default();
        powers.add(&[3.0], &[3.3]);
        powers.add(&[-4.0], &[-3.6]);
        assert!((powers.ratio_db() - 20.0).abs() < 1e-4, "{}", powers.ratio_db());
        assert_eq!(Powers::default().ratio_db(), f64::INFINITY);
    }
}
