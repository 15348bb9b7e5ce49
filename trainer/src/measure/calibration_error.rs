//! How far confidence is from accuracy: reliability bins and the expected calibration error.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, RESAMPLES, mean};
use super::judgement::Judgement;

/// Number of equal bins of confidence, as in Guo et al. 2017, "On calibration of modern neural networks".
const BINS: usize = 15;

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many films have a confidence within the bin.
    pub films: usize,
    /// Their mean confidence, 0..=1; 0 in an empty bin.
    pub confidence: f64,
    /// Share of them whose most probable class is the true one, 0..=1; 0 in an empty bin.
    pub accuracy: f64,
}

/// The reliability bins of the films that the network saw.
pub(super) fn reliability(films: &[Judgement]) -> Vec<ReliabilityBin> {
    bins(films.iter().filter_map(|film| Some((film.confidence()?, film.is_right()))))
}

/// Sorts confidences, each with whether the answer was right, into the bins.
fn bins(films: impl Iterator<Item = (f64, bool)>) -> Vec<ReliabilityBin> {
    let mut bins = vec![ReliabilityBin::default(); BINS];
    for (confidence, is_right) in films {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.films += 1;
        bin.confidence += confidence;
        bin.accuracy += f64::from(u8::from(is_right));
    }
    for bin in bins.iter_mut().filter(|bin| bin.films > 0) {
        bin.confidence /= bin.films as f64;
        bin.accuracy /= bin.films as f64;
    }
    bins
}

/// The mean gap between confidence and accuracy over the bins, each bin weighted by its films, 0..=1 (Guo et al. 2017).
/// `None` if the bins hold no film.
pub(super) fn expected_calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let seen: usize = bins.iter().map(|bin| bin.films).sum();
    let gaps: f64 = bins.iter().map(|bin| bin.films as f64 * (bin.confidence - bin.accuracy).abs()).sum();
    Some(gaps / seen as f64).filter(|error| error.is_finite())
}

/// What the expected calibration error would be if the probabilities were right: for each draw, each film is right with
/// the probability that is its confidence. The value is the mean over the draws, and 95 % of them lie in the interval.
///
/// A gap in a bin has no sign, so the error of few films is never near 0. Vaicenavicius et al. 2019, "Evaluating model
/// calibration in classification", test calibration by such resampling. The random seed is fixed. `None` if the network
/// saw no film.
pub(super) fn error_by_chance(films: &[Judgement]) -> Option<Estimate> {
    let confidences: Vec<f64> = films.iter().filter_map(Judgement::confidence).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut errors: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn = confidences.iter().map(|confidence| (*confidence, rng.random::<f64>() < *confidence));
            expected_calibration_error(&bins(drawn))
        })
        .collect();
    let mean = mean(errors.iter().copied())?;
    Some(Estimate::among(mean, &mut errors))
}

#[cfg(test)]
mod tests {
    use xray_triage_core::decision::Class;

    use super::super::tests::{judgement, refused};
    use super::*;

    #[test]
    fn a_sure_and_right_network_is_calibrated() {
        let films = [judgement(Class::Covid19, [1.0, 0.0, 0.0]), judgement(Class::Normal, [0.0, 0.0, 1.0])];
        assert_eq!(expected_calibration_error(&reliability(&films)), Some(0.0));
        let films = [judgement(Class::Covid19, [0.0, 0.0, 1.0]), judgement(Class::Normal, [0.0, 0.0, 1.0])];
        assert_eq!(expected_calibration_error(&reliability(&films)), Some(0.5));
    }

    #[test]
    fn few_films_have_a_calibration_error_by_chance_alone() {
        let films = |count, confidence| vec![judgement(Class::Covid19, [confidence, 1.0 - confidence, 0.0]); count];
        // One film at 0.8 is off by 0.2 or by 0.8: 0.8 * 0.2 + 0.2 * 0.8 on average.
        let one = error_by_chance(&films(1, 0.8)).unwrap();
        assert!((one.value - 0.32).abs() < 0.02, "{one:?}");
        assert!((one.low - 0.2).abs() < 1e-9 && (one.high - 0.8).abs() < 1e-9, "{one:?}");
        // A hundred films: the mean of a normal's absolute value, its deviation 0.04.
        let hundred = error_by_chance(&films(100, 0.8)).unwrap();
        assert!((hundred.value - 0.04 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.002, "{hundred:?}");
        assert!(error_by_chance(&films(100, 1.0)).unwrap().high < 1e-9);
        assert!(error_by_chance(&[]).is_none());
    }

    #[test]
    fn reliability_bins_of_known_films() {
        let films = [
            judgement(Class::Covid19, [0.62, 0.3, 0.08]),
            judgement(Class::Normal, [0.64, 0.3, 0.06]),
            judgement(Class::Normal, [0.0, 0.0, 1.0]),
            refused(Class::Normal),
        ];
        let bins = reliability(&films);
        assert_eq!(bins.len(), BINS);
        assert_eq!((bins[9].films, bins[9].accuracy), (2, 0.5));
        assert!((bins[9].confidence - 0.63).abs() < 1e-12);
        assert_eq!(bins[14], ReliabilityBin { films: 1, confidence: 1.0, accuracy: 1.0 });
        assert_eq!(bins.iter().map(|bin| bin.films).sum::<usize>(), 3);
        assert!((expected_calibration_error(&bins).unwrap() - 2.0 * 0.13 / 3.0).abs() < 1e-12);
    }
}
