//! Activation ranges, from the values that activations take on a sample of inputs.

use serde::{Deserialize, Serialize};

use crate::model::architecture::Architecture;
use crate::model::int8::{LEVELS, Ranges, Uint8Scale};
use crate::model::state_dict::StateDict;
use crate::model::tensor_names;

use super::session::Session;
use super::{ExportError, graph};

/// How a range is chosen from the values seen. Values outside the range saturate; the narrower the range is, the finer are
/// the steps inside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Estimator {
    /// The range of all values seen.
    MinMax,
    /// The range of all values seen but the 0.01 % most extreme.
    Percentile,
    /// The range with the least mean squared error of rounding and saturation, among the full one shrunk by up to 80 %.
    #[default]
    Mse,
    /// The range whose 256 levels keep most of the values' distribution, by the least Kullback-Leibler divergence (Migacz
    /// 2017, "8-bit inference with TensorRT"), among the full one shrunk down to 256 bins of the histogram.
    Entropy,
}

/// The share of values that [`Estimator::Percentile`] leaves out, at both ends together.
const LEFT_OUT: f64 = 1e-4;

/// Runs the float graph on every input and chooses a range for each tensor that the int8 graph holds in uint8.
///
/// Each input is `3 * size * size` values, channels first, as the device's preprocessing makes them. Usual are hundreds of
/// films of the training split, spread over classes and collections.
///
/// # Errors
/// The state does not fit the architecture or the size, there is no input, or a value is not finite.
pub fn measure_ranges(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    inputs: impl IntoIterator<Item = Vec<f32>>,
    estimator: Estimator,
) -> Result<Ranges, ExportError> {
    let mut graph = graph::float(architecture, state, size)?;
    let activations = tensor_names::uint8_activations(architecture);
    for activation in &activations {
        graph.tap(&activation.name);
    }
    let session = Session::load(&graph.encode(), size)?;
    let mut histograms = vec![Histogram::default(); activations.len()];
    for input in inputs {
        // The graph's own outputs, logits and maps, come before the activations.
        let outputs = session.run(&input)?;
        for (histogram, values) in histograms.iter_mut().zip(&outputs[outputs.len() - activations.len()..]) {
            histogram.add(values);
        }
    }
    if histograms.iter().all(|histogram| histogram.bins.is_empty()) {
        return Err(ExportError::NoInputs);
    }
    let activations = activations.into_iter().zip(&histograms);
    Ok(activations.map(|(activation, histogram)| (activation.name, histogram.range(estimator))).collect())
}

/// Counts of values in equal bins over `-limit..=limit`. The limit is a power of two. When a larger value comes, the limit
/// doubles, and two bins become one.
#[derive(Clone, Default)]
struct Histogram {
    limit: f32,
    bins: Vec<u64>,
    /// How many values are exactly zero. The bin above zero counts them, too.
    zeros: u64,
    /// The lowest value, or zero if none is below it.
    low: f32,
    /// The highest value, or zero if none is above it.
    high: f32,
}

impl Histogram {
    const BINS: usize = 8192;

    /// Counts values, which must be finite.
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
            self.zeros += u64::from(value == 0.0);
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

    /// The value in the middle of a bin.
    fn centre(&self, bin: usize) -> f32 {
        (self.edge(bin) + self.edge(bin + 1)) / 2.0
    }

    /// The range that an estimator chooses; it holds zero.
    fn range(&self, estimator: Estimator) -> [f32; 2] {
        match estimator {
            Estimator::MinMax => [self.low, self.high],
            Estimator::Percentile => self.percentile(),
            Estimator::Mse => self.least_error(),
            Estimator::Entropy => self.least_divergence(),
        }
    }

    fn percentile(&self) -> [f32; 2] {
        let total: u64 = self.bins.iter().sum();
        // Half of them may be left out at either end, or all at the top of a rectified tensor.
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
            .map(|(bin, &count)| (self.centre(bin), count as f64))
            .collect();
        let error = |range: &[f32; 2]| -> f64 {
            let scale = Uint8Scale::over(*range);
            filled.iter().map(|&(value, count)| count * f64::from(value - scale.rounded(value)).powi(2)).sum()
        };
        self.shrunk(20).min_by(|a, b| error(a).total_cmp(&error(b))).expect("there are candidates")
    }

    /// The full range and the same shrunk in steps of 1 %, down to `least` percent.
    fn shrunk(&self, least: u8) -> impl Iterator<Item = [f32; 2]> {
        let (low, high) = (self.low, self.high);
        (least..=100).rev().map(|percent| f32::from(percent) / 100.0).map(move |shrink| [low * shrink, high * shrink])
    }

    fn least_divergence(&self) -> [f32; 2] {
        // Every range meets zero exactly, so nothing of the distribution is lost there, and after a ReLU most values are
        // zero: they would outweigh all others.
        let mut bins = self.bins.clone();
        bins[Self::BINS / 2] -= self.zeros;
        let bin_width = self.limit / (Self::BINS / 2) as f32;
        let resolved = |[low, high]: &[f32; 2]| high - low >= LEVELS as f32 * bin_width;
        let divergence = |range: &[f32; 2]| {
            let scale = Uint8Scale::over(*range);
            let within: Vec<(u8, u64)> = (0..Self::BINS)
                .map(|bin| (self.centre(bin), bins[bin]))
                .filter(|(value, count)| *count > 0 && (range[0]..=range[1]).contains(value))
                .map(|(value, count)| (scale.integer(value), count))
                .collect();
            let below = (0..Self::BINS).filter(|&bin| self.centre(bin) < range[0]).map(|bin| bins[bin]).sum();
            let above = (0..Self::BINS).filter(|&bin| self.centre(bin) > range[1]).map(|bin| bins[bin]).sum();
            divergence(&within, below, above)
        };
        let candidates = self.shrunk(1).filter(resolved);
        candidates.min_by(|a, b| divergence(a).total_cmp(&divergence(b))).unwrap_or([self.low, self.high])
    }
}

/// How far the distribution of quantized values is from that of the values: the Kullback-Leibler divergence
/// `sum p ln(p / q)` of Migacz (2017), in nats. `within` has the level and the count of each bin that is not empty, in
/// rising order; `below` and `above` count the values beyond them, which saturate.
///
/// `p` is the histogram with the saturated values in its outermost bins. `q` is the histogram without them, with each
/// level's values spread evenly over the level's bins. Migacz puts saturated values into the outermost bin of the range,
/// empty or not; here they go into the outermost bin with values, because `q` is zero in the others. Without any bin the
/// divergence is infinite.
fn divergence(within: &[(u8, u64)], below: u64, above: u64) -> f64 {
    let kept: u64 = within.iter().map(|(_, count)| count).sum();
    let all = (kept + below + above) as f64;
    if kept == 0 {
        return f64::INFINITY;
    }
    let last = within.len() - 1;
    let mut bins = within.iter().enumerate().map(|(place, (_, count))| {
        let saturated = if place == 0 { below } else { 0 } + if place == last { above } else { 0 };
        (count + saturated) as f64 / all
    });
    let mut sum = 0.0;
    for level in within.chunk_by(|a, b| a.0 == b.0) {
        let count: u64 = level.iter().map(|(_, count)| count).sum();
        let q = count as f64 / kept as f64 / level.len() as f64;
        sum += bins.by_ref().take(level.len()).map(|p| p * (p / q).ln()).sum::<f64>();
    }
    sum
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

    /// `count` values that divide the exponential distribution of mean 1 into equal parts.
    fn exponential(count: usize) -> Vec<f32> {
        (0..count).map(|i| -(1.0 - (i as f64 + 0.5) / count as f64).ln() as f32).collect()
    }

    #[test]
    fn the_divergence_is_that_of_the_formula() {
        // Two bins share a level, a third has its own, two values lie beyond: p = 0.1, 0.3, 0.6 and q = 0.25, 0.25, 0.5.
        let expected = 0.1 * (0.1f64 / 0.25).ln() + 0.3 * (0.3f64 / 0.25).ln() + 0.6 * (0.6f64 / 0.5).ln();
        assert!((divergence(&[(0, 1), (0, 3), (1, 4)], 0, 2) - expected).abs() < 1e-12);
        assert_eq!(divergence(&[(0, 2), (0, 2), (1, 5)], 0, 0), 0.0);
        assert_eq!(divergence(&[], 1, 1), f64::INFINITY);
    }

    #[test]
    fn entropy_keeps_an_even_distribution_and_leaves_out_its_outlier() {
        let mut values: Vec<f32> = (0..200_000).map(|i| (i as f32 + 0.5) / 2e5).collect();
        let [low, high] = filled(&[&values]).range(Estimator::Entropy);
        assert!(low == 0.0 && high > 0.98, "{high}");
        values.push(1.9);
        let [low, high] = filled(&[&values]).range(Estimator::Entropy);
        assert!(low == 0.0 && (0.98..1.03).contains(&high), "{high}");
    }

    /// The expected numbers come from another implementation of the same rule, in Python.
    #[test]
    fn entropy_cuts_tails_by_their_weight() {
        let exponential = exponential(200_000);
        let [low, high] = filled(&[&exponential]).range(Estimator::Entropy);
        assert!(low == 0.0 && (high - 11.35).abs() < 0.2, "{high} of 12.9");
        let heavier: Vec<f32> = exponential.iter().map(|value| value * value).collect();
        let [low, high] = filled(&[&heavier]).range(Estimator::Entropy);
        assert!(low == 0.0 && (high - 46.6).abs() < 3.4, "{high} of 166.4");
    }

    #[test]
    fn zeros_do_not_move_the_entropy_range() {
        let values = exponential(50_000);
        let without = filled(&[&values]).range(Estimator::Entropy);
        let with = filled(&[&values, &[0.0; 500_000]]).range(Estimator::Entropy);
        assert_eq!(with, without);
    }

    #[test]
    fn entropy_of_nothing_but_zeros_is_the_full_range() {
        assert_eq!(filled(&[&[0.0; 10]]).range(Estimator::Entropy), [0.0, 0.0]);
    }
}
