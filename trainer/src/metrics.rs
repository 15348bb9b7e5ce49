//! How good verdicts are, with intervals.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use xray_triage::triage::{Class, Outcome, Probabilities};

const CLASSES: usize = Class::ALL.len();
/// Equal bins of confidence for the expected calibration error, as in Guo et al. 2017.
const CALIBRATION_BINS: usize = 15;
const BOOTSTRAP_RESAMPLES: usize = 2000;

/// A film's true class and what the device made of it.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    pub truth: Class,
    pub outcome: Outcome,
    /// None where the film was refused before the network saw it.
    pub probabilities: Option<Probabilities>,
}

impl Judged {
    fn top(&self) -> Option<Class> {
        self.probabilities.map(|probabilities| probabilities.top())
    }

    fn is_right(&self) -> bool {
        self.top() == Some(self.truth)
    }
}

/// A share in 0..=1 with its bootstrap 95 % interval (percentile method).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Share {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// The figures of one class, 0..=1; none where there is nothing to divide by.
#[derive(Clone, Debug, Serialize)]
pub struct ClassMetrics {
    pub class: Class,
    pub films: usize,
    /// Sensitivity for the class.
    pub recall: Option<f64>,
    pub precision: Option<f64>,
    /// Area under the curve, the class against the rest.
    pub auroc: Option<f64>,
}

/// The figures of a set of films. The most probable class counts as the answer, whatever the operating point; a
/// refused film counts as a wrong one.
#[derive(Clone, Debug, Serialize)]
pub struct Metrics {
    pub films: usize,
    pub refused: usize,
    pub accuracy: Share,
    pub classes: Vec<ClassMetrics>,
    pub macro_auroc: Option<f64>,
    /// Mean gap between confidence and accuracy over bins of confidence.
    pub expected_calibration_error: f64,
    /// Rows: the true class; columns: the most probable class, then refused.
    pub confusion: [[usize; CLASSES + 1]; CLASSES],
    /// Share of films that got one of the three classes at the operating point, neither referred nor refused.
    pub decided: f64,
    /// Accuracy among those.
    pub accuracy_of_decided: Option<f64>,
}

impl Metrics {
    /// `films` must not be empty.
    pub fn of(films: &[Judged]) -> Self {
        let mut confusion = [[0; CLASSES + 1]; CLASSES];
        for film in films {
            confusion[film.truth as usize][film.top().map_or(CLASSES, |class| class as usize)] += 1;
        }
        let classes: Vec<ClassMetrics> = Class::ALL
            .into_iter()
            .map(|class| {
                let row = &confusion[class as usize];
                let count = row.iter().sum();
                let hits = row[class as usize];
                let called: usize = confusion.iter().map(|row| row[class as usize]).sum();
                ClassMetrics {
                    class,
                    films: count,
                    recall: ratio(hits, count),
                    precision: ratio(hits, called),
                    auroc: auroc(films, class),
                }
            })
            .collect();
        let aurocs: Vec<f64> = classes.iter().filter_map(|class| class.auroc).collect();
        let decided: Vec<&Judged> = films.iter().filter(|film| film.outcome.class().is_some()).collect();
        let decided_right = decided.iter().filter(|film| film.outcome.class() == Some(film.truth)).count();
        Metrics {
            films: films.len(),
            refused: films.iter().filter(|film| film.probabilities.is_none()).count(),
            accuracy: bootstrap(films),
            macro_auroc: (!aurocs.is_empty()).then(|| aurocs.iter().sum::<f64>() / aurocs.len() as f64),
            expected_calibration_error: expected_calibration_error(films),
            classes,
            confusion,
            decided: decided.len() as f64 / films.len() as f64,
            accuracy_of_decided: ratio(decided_right, decided.len()),
        }
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Accuracy with its interval; the seed is fixed, so the same films give the same interval.
fn bootstrap(films: &[Judged]) -> Share {
    let accuracy = |right: usize| right as f64 / films.len() as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut resampled: Vec<f64> = (0..BOOTSTRAP_RESAMPLES)
        .map(|_| accuracy((0..films.len()).filter(|_| films[rng.random_range(0..films.len())].is_right()).count()))
        .collect();
    resampled.sort_by(f64::total_cmp);
    let at = |share: f64| resampled[(share * (BOOTSTRAP_RESAMPLES - 1) as f64).round() as usize];
    Share { value: accuracy(films.iter().filter(|film| film.is_right()).count()), low: at(0.025), high: at(0.975) }
}

/// The chance that a film of the class gets a higher probability for it than a film of another class, ties half
/// (Hanley and McNeil 1982). Refused films are left out.
fn auroc(films: &[Judged], class: Class) -> Option<f64> {
    let scores = |wanted: bool| -> Vec<f64> {
        films
            .iter()
            .filter(|film| (film.truth == class) == wanted)
            .filter_map(|film| film.probabilities.map(|probabilities| probabilities.of(class)))
            .collect()
    };
    let (positives, negatives) = (scores(true), scores(false));
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let mut wins = 0.0;
    for positive in &positives {
        for negative in &negatives {
            wins += match positive.total_cmp(negative) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    Some(wins / (positives.len() * negatives.len()) as f64)
}

fn expected_calibration_error(films: &[Judged]) -> f64 {
    // Films, sum of confidences and right answers of each bin.
    let mut bins = [(0usize, 0.0, 0usize); CALIBRATION_BINS];
    for film in films {
        let Some(probabilities) = film.probabilities else { continue };
        let confidence = probabilities.of(probabilities.top());
        let bin = &mut bins[((confidence * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + confidence, bin.2 + usize::from(film.is_right()));
    }
    let seen: usize = bins.iter().map(|bin| bin.0).sum();
    bins.iter().map(|(_, confidence, right)| (confidence - *right as f64).abs()).sum::<f64>() / seen.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(truth: Class, probabilities: [f64; 3]) -> Judged {
        let [covid19, pneumonia, normal] = probabilities;
        let probabilities = Probabilities { covid19, pneumonia, normal };
        Judged { truth, outcome: probabilities.top().into(), probabilities: Some(probabilities) }
    }

    #[test]
    fn figures_of_four_films() {
        let films = [
            judged(Class::Covid19, [0.8, 0.1, 0.1]),
            judged(Class::Covid19, [0.2, 0.7, 0.1]),
            judged(Class::Normal, [0.1, 0.2, 0.7]),
            Judged { truth: Class::Normal, outcome: Outcome::Refused, probabilities: None },
        ];
        let metrics = Metrics::of(&films);
        assert_eq!((metrics.films, metrics.refused), (4, 1));
        assert_eq!(metrics.accuracy.value, 0.5);
        assert!(metrics.accuracy.low < 0.5 && metrics.accuracy.high > 0.5);
        assert_eq!(metrics.confusion, [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]);
        assert_eq!(metrics.classes[0].recall, Some(0.5));
        assert_eq!(metrics.classes[0].precision, Some(1.0));
        assert_eq!(metrics.classes[0].auroc, Some(1.0));
        assert_eq!((metrics.classes[1].recall, metrics.classes[1].precision), (None, Some(0.0)));
        assert_eq!(metrics.decided, 0.75);
        assert_eq!(metrics.accuracy_of_decided, Some(2.0 / 3.0));
    }

    #[test]
    fn a_sure_and_right_network_is_calibrated() {
        let films = [judged(Class::Covid19, [1.0, 0.0, 0.0]), judged(Class::Normal, [0.0, 0.0, 1.0])];
        assert_eq!(expected_calibration_error(&films), 0.0);
        let films = [judged(Class::Covid19, [0.0, 0.0, 1.0]), judged(Class::Normal, [0.0, 0.0, 1.0])];
        assert_eq!(expected_calibration_error(&films), 0.5);
    }

    #[test]
    fn ties_count_half() {
        let films = [judged(Class::Covid19, [0.4, 0.3, 0.3]), judged(Class::Normal, [0.4, 0.3, 0.3])];
        assert_eq!(auroc(&films, Class::Covid19), Some(0.5));
    }
}
