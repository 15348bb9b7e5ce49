//! How much each quantized layer loses.

use serde::{Deserialize, Serialize};

use crate::model::architecture::Architecture;
use crate::model::state_dict::StateDict;

use super::session::Session;
use super::{ExportError, Ranges, graph};

/// What quantization does to the result of one convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// The convolution's name, torchvision's.
    pub layer: String,
    /// Signal-to-quantization-noise ratio in decibels: `10 log10(sum x^2 / sum (x - q)^2)` over all values of the result,
    /// x in float and q in int8, of all inputs. Infinite where nothing is lost.
    pub sqnr_db: f64,
}

/// The error of every quantized convolution, the worst first. Each is measured alone, the rest of the network in float:
/// the float network gives its input, and input, weights and result are rounded as in the int8 graph (after the ReLU
/// where one follows).
///
/// `ranges` is what the int8 graph is made with. Each input is `3 * size * size` values as for [`super::measure_ranges()`].
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
        // `logits` and `cam` come first.
        let pairs = outputs[outputs.len() - 2 * twins.len()..].as_chunks::<2>().0;
        for (powers, [float, int8]) in powers.iter_mut().zip(pairs) {
            powers.add(float, int8);
        }
        runs += 1;
    }
    if runs == 0 {
        return Err(ExportError::NoCalibration);
    }
    let mut errors: Vec<LayerError> = twins
        .into_iter()
        .zip(powers)
        .map(|(twin, powers)| LayerError { layer: twin.layer, sqnr_db: powers.ratio_db() })
        .collect();
    errors.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
    Ok(errors)
}

/// Sums of squares.
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
