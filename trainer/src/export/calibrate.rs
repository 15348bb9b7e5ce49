//! Activation ranges from a sample of inputs.

use serde::{Deserialize, Serialize};

use super::quantize::Uint8Scale;
use super::session::Session;
use super::{ExportError, Ranges, graph};
use crate::architecture::Architecture;
use crate::state_dict::StateDict;

/// How a range is chosen from the values seen. Values outside the range saturate; the narrower it is, the finer the
/// rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Estimator {
    /// All values seen.
    MinMax,
    /// All but the 0.01 % most extreme of the values seen.
    Percentile,
    /// The range of least mean squared rounding and saturation error, among the full one shrunk by up to 80 %.
    #[default]
    Mse,
}

/// The share of values that [`Estimator::Percentile`] leaves out, at both ends together.
const LEFT_OUT: f64 = 1e-4;

/// Runs the float graph on every input and chooses a range for each tensor that the int8 graph holds in uint8.
///
/// Each input is `3 * size * size` values, channels first, as the device's preprocessing makes them. Hundreds of films
/// of the training split, spread over classes and sources, are usual.
pub fn calibrate(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    inputs: impl IntoIterator<Item = Vec<f32>>,
    estimator: Estimator,
) -> Result<Ranges, ExportError> {
    let mut graph = graph::float(architecture, state, size)?;
    for tensor in &graph.quantizable {
        graph.model.tap(tensor);
    }
    let session = Session::load(&graph.model.encode(), size)?;
    let mut histograms = vec![Histogram::default(); session.names().len()];
    for input in inputs {
        for (histogram, values) in histograms.iter_mut().zip(session.run(&input)?) {
            histogram.add(&values);
        }
    }
    if histograms.iter().all(|histogram| histogram.bins.is_empty()) {
        return Err(ExportError::NoCalibration);
    }
    let tensors = session.names().iter().zip(&histograms).filter(|(name, _)| graph.quantizable.contains(name));
    Ok(tensors.map(|(name, histogram)| (name.clone(), histogram.range(estimator))).collect())
}

/// Counts of values in equal bins over `-limit..=limit`. The limit is a power of two and doubles, two bins becoming
/// one, when a larger value comes.
#[derive(Clone, Default)]
struct Histogram {
    limit: f32,
    bins: Vec<u64>,
    low: f32,
    high: f32,
}

impl Histogram {
    const BINS: usize = 8192;

    /// Counts finite values.
    fn add(&mut self, values: &[f32]) {
        if self.bins.is_empty() {
            self.bins = vec![0; Self::BINS];
            self.limit = f32::MIN_POSITIVE;
        }
        for &value in values {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
        while self.limit < self.high.max(-self.low) {
            self.double();
        }
        for &value in values {
            // In double precision, so that no value rounds into the wrong half.
            let place = (f64::from(value) / f64::from(self.limit) + 1.0) * (Self::BINS / 2) as f64;
            self.bins[(place as usize).min(Self::BINS - 1)] += 1;
        }
    }

    fn double(&mut self) {
        let mut bins = vec![0; Self::BINS];
        for (index, count) in self.bins.iter().enumerate() {
            bins[Self::BINS / 4 + index / 2] += count;
        }
        self.bins = bins;
        self.limit *= 2.0;
    }

    /// The value at the lower edge of a bin.
    fn edge(&self, bin: usize) -> f32 {
        (bin as f32 / (Self::BINS / 2) as f32 - 1.0) * self.limit
    }

    /// The chosen range; it holds zero.
    fn range(&self, estimator: Estimator) -> [f32; 2] {
        match estimator {
            Estimator::MinMax => [self.low, self.high],
            Estimator::Percentile => self.percentile(),
            Estimator::Mse => self.least_error(),
        }
    }

    fn percentile(&self) -> [f32; 2] {
        let total: u64 = self.bins.iter().sum();
        // Half at either end, or all at the top of a rectified tensor.
        let ends = if self.low < 0.0 { 2.0 } else { 1.0 };
        let allowed = (total as f64 * LEFT_OUT / ends) as u64;
        let low = self.first_beyond(allowed, 0..Self::BINS).map_or(self.low, |bin| self.edge(bin));
        let high = self.first_beyond(allowed, (0..Self::BINS).rev()).map_or(self.high, |bin| self.edge(bin + 1));
        [low.clamp(self.low, 0.0), high.clamp(0.0, self.high)]
    }

    /// The bin in which the count, in the order given, first exceeds what is allowed to be left out.
    fn first_beyond(&self, allowed: u64, mut bins: impl Iterator<Item = usize>) -> Option<usize> {
        let mut left_out = 0;
        bins.find(|&bin| {
            left_out += self.bins[bin];
            left_out > allowed
        })
    }

    fn least_error(&self) -> [f32; 2] {
        let filled: Vec<(f32, f64)> = self
            .bins
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count > 0)
            .map(|(bin, &count)| ((self.edge(bin) + self.edge(bin + 1)) / 2.0, count as f64))
            .collect();
        let error = |range: &[f32; 2]| -> f64 {
            let scale = Uint8Scale::over(*range);
            filled.iter().map(|&(value, count)| count * f64::from(value - scale.rounded(value)).powi(2)).sum()
        };
        let shrunk = (20..=100).rev().map(|percent| percent as f32 / 100.0);
        let candidates = shrunk.map(|shrink| [self.low * shrink, self.high * shrink]);
        candidates.min_by(|a, b| error(a).total_cmp(&error(b))).expect("there are candidates")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(batches: &[&[f32]]) -> Histogram {
        let mut histogram = Histogram::default();
        for batch in batches {
            histogram.add(batch);
        }
        histogram
    }

    #[test]
    fn a_growing_histogram_is_that_of_the_whole() {
        let small: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) / 700.0).collect();
        let large = [-5.0, 37.25, 16.0];
        let grown = filled(&[&small, &large]);
        let whole = filled(&[&large, &small]);
        assert_eq!((grown.limit, &grown.bins), (whole.limit, &whole.bins));
        assert_eq!(grown.range(Estimator::MinMax), [-5.0, 37.25]);
    }

    #[test]
    fn small_values_are_resolved() {
        let values: Vec<f32> = (0..100_000).map(|i| i as f32 * 1e-9).collect();
        let histogram = filled(&[&[0.0], &values]);
        let [low, high] = histogram.range(Estimator::Percentile);
        assert!(low == 0.0 && (0.99e-4..1e-4).contains(&high), "{high}");
    }

    #[test]
    fn one_outlier_narrows_percentile_and_mse_but_not_min_max() {
        let mut values: Vec<f32> = (0..1_000_000).map(|i| i as f32 / 1e6).collect();
        values.push(1.9);
        let histogram = filled(&[&values]);
        assert_eq!(histogram.range(Estimator::MinMax), [0.0, 1.9]);
        let [low, high] = histogram.range(Estimator::Percentile);
        assert!(low == 0.0 && (0.999..1.001).contains(&high), "{high}");
        let [low, high] = histogram.range(Estimator::Mse);
        assert!(low == 0.0 && (0.95..1.1).contains(&high), "{high}");
    }

    #[test]
    fn a_signed_range_loses_both_tails() {
        let mut values: Vec<f32> = (0..200_000).map(|i| i as f32 / 100_000.0 - 1.0).collect();
        values.extend([-3.0, 3.5]);
        let [low, high] = filled(&[&values]).range(Estimator::Percentile);
        assert!((-1.001..-0.999).contains(&low) && (0.999..1.001).contains(&high), "{low} {high}");
    }
}
