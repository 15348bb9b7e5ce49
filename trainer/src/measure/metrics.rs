//! How good verdicts are, with intervals.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use xray_triage_core::decision::{Class, Outcome, Probabilities};

use crate::report::document::table;

const CLASSES: usize = Class::ALL.len();
/// Equal bins of confidence for the expected calibration error, as in Guo et al. 2017.
const CALIBRATION_BINS: usize = 15;
const BOOTSTRAP_RESAMPLES: usize = 2000;

/// A film's true class and what the device made of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Judged {
    #[serde(rename = "label")]
    pub truth: Class,
    pub outcome: Outcome,
    /// None where the film was refused before the network saw it.
    pub probabilities: Option<Probabilities>,
}

impl Judged {
    /// The most probable class; none if the film was refused.
    pub fn top(&self) -> Option<Class> {
        self.probabilities.map(|probabilities| probabilities.top())
    }

    /// Whether the most probable class is the true one; a refused film is wrong.
    pub fn is_right(&self) -> bool {
        self.top() == Some(self.truth)
    }
}

/// A figure with its bootstrap 95 % interval (percentile method, Efron and Tibshirani 1993), or the exact one where
/// resamples cannot differ ([`Estimate::of_share`]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// The value of `statistic` on the films, and its interval over resamples of them; none where the films have no
    /// value. Resamples without a value are left out. The seed is fixed: the same films give the same interval.
    pub fn of<T: Clone>(films: &[T], statistic: impl Fn(&[T]) -> Option<f64>) -> Option<Self> {
        let value = statistic(films)?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut resampled: Vec<f64> = (0..BOOTSTRAP_RESAMPLES)
            .filter_map(|_| {
                let drawn: Vec<T> = (0..films.len()).map(|_| films[rng.random_range(0..films.len())].clone()).collect();
                statistic(&drawn)
            })
            .collect();
        Some(Estimate::among(value, &mut resampled))
    }

    /// The mean outcome, 0..=1, of the films that have one, and its interval; none if no film has. Resamples of outcomes
    /// that are all 0 or all 1 do not differ, though other films might: these get the exact interval for a share (Clopper
    /// and Pearson 1934).
    pub fn of_share<T: Clone>(films: &[T], outcome: impl Fn(&T) -> Option<f64>) -> Option<Self> {
        let mean_outcome = |films: &[T]| mean(films.iter().filter_map(&outcome));
        let among = films.iter().filter_map(&outcome).count();
        // The share with which so many films are alike in one of 40 draws.
        let bound = 0.025f64.powf(1.0 / among as f64);
        match mean_outcome(films)? {
            0.0 => Some(Estimate { value: 0.0, low: 0.0, high: 1.0 - bound }),
            1.0 => Some(Estimate { value: 1.0, low: bound, high: 1.0 }),
            _ => Estimate::of(films, mean_outcome),
        }
    }

    /// `value` with the interval that 95 % of `drawn` lie in.
    fn among(value: f64, drawn: &mut [f64]) -> Self {
        drawn.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * drawn.len().saturating_sub(1) as f64;
            drawn.get(place.round() as usize).copied().unwrap_or(value)
        };
        Estimate { value, low: at(0.025), high: at(0.975) }
    }

    /// A share in percent with its interval, such as `70.3 (65.6-75.1)`.
    pub fn percent(&self) -> String {
        format!("{:.1} ({:.1}-{:.1})", 100.0 * self.value, 100.0 * self.low, 100.0 * self.high)
    }

    /// A figure between 0 and 1 with its interval, such as `0.703 (0.656-0.751)`.
    pub fn number(&self) -> String {
        format!("{:.3} ({:.3}-{:.3})", self.value, self.low, self.high)
    }
}

/// A share in percent with its interval, or a dash where there is none.
pub fn percent(share: Option<&Estimate>) -> String {
    share.map_or("-".into(), Estimate::percent)
}

/// The figures of one class, 0..=1; none where there is nothing to divide by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassMetrics {
    pub class: Class,
    pub films: usize,
    /// Sensitivity for the class.
    pub recall: Option<Estimate>,
    /// Share of the other classes' films that are not called this class.
    pub specificity: Option<Estimate>,
    pub precision: Option<Estimate>,
    /// Area under the curve, the class against the rest.
    pub auroc: Option<Estimate>,
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    pub films: usize,
    /// Mean probability of the most probable class, 0..=1.
    pub confidence: f64,
    /// Share of the films whose most probable class is the true one.
    pub accuracy: f64,
}

/// The figures of a set of films. The most probable class counts as the answer, whatever the operating point; a
/// refused film counts as a wrong one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metrics {
    pub films: usize,
    pub refused: usize,
    pub accuracy: Estimate,
    pub classes: Vec<ClassMetrics>,
    pub macro_auroc: Option<Estimate>,
    /// Mean gap between confidence and accuracy over bins of confidence; none if all films were refused.
    pub expected_calibration_error: Option<f64>,
    /// What that error would be if the probabilities were right and chance alone decided which films are, see
    /// [`error_by_chance`]; none without films, and in records older than it.
    pub calibration_error_by_chance: Option<Estimate>,
    /// Equal bins of confidence from 0 to 1, empty ones included.
    pub reliability: Vec<ReliabilityBin>,
    /// Rows: the true class; columns: the most probable class, then refused.
    pub confusion: [[usize; CLASSES + 1]; CLASSES],
    /// Share of films that got one of the three classes at the operating point, neither referred nor refused.
    pub decided: f64,
    /// Accuracy among those.
    pub accuracy_of_decided: Option<f64>,
}

impl Metrics {
    /// The figures of `films`; none if there are no films.
    pub fn of(films: &[Judged]) -> Option<Self> {
        let mut confusion = [[0; CLASSES + 1]; CLASSES];
        for film in films {
            confusion[film.truth as usize][film.top().map_or(CLASSES, |class| class as usize)] += 1;
        }
        let classes = Class::ALL
            .into_iter()
            .map(|class| {
                let is = move |film: &Judged| film.truth == class;
                let called = move |film: &Judged| film.top() == Some(class);
                ClassMetrics {
                    class,
                    films: films.iter().filter(|film| is(film)).count(),
                    recall: Estimate::of_share(films, |film| outcome(is(film), called(film))),
                    specificity: Estimate::of_share(films, |film| outcome(!is(film), !called(film))),
                    precision: Estimate::of_share(films, |film| outcome(called(film), is(film))),
                    auroc: Estimate::of(films, |films| auroc(films, class)),
                }
            })
            .collect();
        let reliability = reliability(films);
        let decided = |film: &Judged| film.outcome.class().is_some();
        Some(Metrics {
            films: films.len(),
            refused: films.iter().filter(|film| film.probabilities.is_none()).count(),
            accuracy: Estimate::of_share(films, |film| outcome(true, film.is_right()))?,
            macro_auroc: Estimate::of(films, macro_auroc),
            expected_calibration_error: expected_calibration_error(&reliability),
            calibration_error_by_chance: error_by_chance(films),
            reliability,
            classes,
            confusion,
            decided: mean(films.iter().filter_map(|film| outcome(true, decided(film))))?,
            accuracy_of_decided: mean(
                films.iter().filter_map(|film| outcome(decided(film), film.outcome.class() == Some(film.truth))),
            ),
        })
    }

    /// The calibration error beside what chance alone would make of it, a sentence.
    pub fn calibration_error(&self) -> String {
        let Some(error) = self.expected_calibration_error else {
            return "No calibration error: all films were refused.".into();
        };
        let error = format!("Expected calibration error {error:.3}, over films that were not refused");
        match &self.calibration_error_by_chance {
            Some(chance) => {
                format!("{error}; were the probabilities right, so few films would still show {}.", chance.number())
            }
            None => format!("{error}."),
        }
    }

    /// Every figure of every class with its interval, a table in Markdown.
    pub fn classes_table(&self) -> String {
        let rows = self.classes.iter().map(|class| {
            vec![
                class.class.label().into(),
                class.films.to_string(),
                percent(class.recall.as_ref()),
                percent(class.specificity.as_ref()),
                percent(class.precision.as_ref()),
                class.auroc.as_ref().map_or("-".into(), Estimate::number),
            ]
        });
        table(&["class", "films", "recall, %", "specificity, %", "precision, %", "AUROC"], rows)
    }

    /// The confusion matrix, a table in Markdown.
    pub fn confusion_table(&self) -> String {
        let rows = Class::ALL.iter().zip(&self.confusion).map(|(class, counts)| {
            std::iter::once(class.label().into()).chain(counts.iter().map(ToString::to_string)).collect()
        });
        let [covid19, pneumonia, normal] = Class::ALL.map(Class::label);
        table(&["true class, films called", covid19, pneumonia, normal, "refused"], rows)
    }
}

/// The outcome of a film for [`Estimate::of_share`]: none if it is not `among` those that are shared.
pub fn outcome(among: bool, counted: bool) -> Option<f64> {
    among.then(|| f64::from(u8::from(counted)))
}

/// Of the class's probability, its films against the others.
fn auroc(films: &[Judged], class: Class) -> Option<f64> {
    area_under_curve(scored(films, class))
}

/// The class's probability of each film, and whether the film is of the class. Refused films are left out.
fn scored(films: &[Judged], class: Class) -> Vec<(f64, bool)> {
    films.iter().filter_map(|film| Some((film.probabilities?.of(class), film.truth == class))).collect()
}

/// A place of a receiver operating characteristic, both 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Share of the other films that score at least the threshold: 1 - specificity.
    pub false_positive_rate: f64,
    /// Share of the class's films that do: sensitivity.
    pub true_positive_rate: f64,
}

/// The receiver operating characteristic of a class's probability, its films against the others, from (0, 0) to (1, 1)
/// with a point for each value that occurs. Refused films are left out; none if there are only the ones or the others.
pub fn roc(films: &[Judged], class: Class) -> Option<Vec<RocPoint>> {
    let mut scored = scored(films, class);
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 }];
    let (mut found, mut false_alarms) = (0, 0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let of_class = tied.iter().filter(|(_, positive)| *positive).count();
        found += of_class;
        false_alarms += tied.len() - of_class;
        points.push(RocPoint {
            false_positive_rate: false_alarms as f64 / negatives as f64,
            true_positive_rate: found as f64 / positives as f64,
        });
    }
    Some(points)
}

/// The chance that a positive has a higher score than a negative, ties half (Hanley and McNeil 1982); none if there
/// are only the ones or the others.
pub fn area_under_curve(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut beaten) = (0.0, 0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let of_class = tied.iter().filter(|(_, positive)| *positive).count();
        let others = tied.len() - of_class;
        wins += of_class as f64 * (beaten as f64 + others as f64 / 2.0);
        beaten += others;
    }
    Some(wins / (positives * negatives) as f64)
}

/// Mean over the classes that both have films and are not all the films.
fn macro_auroc(films: &[Judged]) -> Option<f64> {
    mean(Class::ALL.into_iter().filter_map(|class| auroc(films, class)))
}

/// None if there are no values.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Refused films are left out.
fn reliability(films: &[Judged]) -> Vec<ReliabilityBin> {
    bins(films.iter().filter_map(|film| Some((confidence(film)?, film.is_right()))))
}

/// The probability of the most probable class.
fn confidence(film: &Judged) -> Option<f64> {
    film.probabilities.map(|probabilities| probabilities.of(probabilities.top()))
}

/// Of confidences, each with whether it was right.
fn bins(films: impl Iterator<Item = (f64, bool)>) -> Vec<ReliabilityBin> {
    let mut bins = vec![ReliabilityBin::default(); CALIBRATION_BINS];
    for (confidence, is_right) in films {
        let bin = &mut bins[((confidence * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1)];
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

/// The expected calibration error if each film is right with the probability of its most probable class: mean, and what 95 %
/// of the draws lie between. A gap in a bin has no sign, so the error of few films is never near nothing (Vaicenavicius et
/// al. 2019, "Evaluating model calibration in classification", who test calibration by such resampling). The seed is fixed.
fn error_by_chance(films: &[Judged]) -> Option<Estimate> {
    let confidences: Vec<f64> = films.iter().filter_map(confidence).collect();
    if confidences.is_empty() {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut errors: Vec<f64> = (0..BOOTSTRAP_RESAMPLES)
        .filter_map(|_| {
            let drawn = confidences.iter().map(|confidence| (*confidence, rng.random::<f64>() < *confidence));
            expected_calibration_error(&bins(drawn))
        })
        .collect();
    let mean = mean(errors.iter().copied())?;
    Some(Estimate::among(mean, &mut errors))
}

/// None if there are no films in the bins.
fn expected_calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let seen: usize = bins.iter().map(|bin| bin.films).sum();
    let gaps: f64 = bins.iter().map(|bin| bin.films as f64 * (bin.confidence - bin.accuracy).abs()).sum();
    (seen > 0).then(|| gaps / seen as f64)
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
        let metrics = Metrics::of(&films).unwrap();
        assert_eq!((metrics.films, metrics.refused), (4, 1));
        assert_eq!(metrics.accuracy.value, 0.5);
        assert!(metrics.accuracy.low < 0.5 && metrics.accuracy.high > 0.5);
        assert_eq!(metrics.confusion, [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]);
        let value = |estimate: Option<Estimate>| estimate.map(|estimate| estimate.value);
        let covid19 = &metrics.classes[0];
        assert_eq!((value(covid19.recall), value(covid19.precision)), (Some(0.5), Some(1.0)));
        assert_eq!((value(covid19.specificity), value(covid19.auroc)), (Some(1.0), Some(1.0)));
        let pneumonia = &metrics.classes[1];
        assert_eq!((value(pneumonia.recall), value(pneumonia.precision)), (None, Some(0.0)));
        assert_eq!(metrics.decided, 0.75);
        assert_eq!(metrics.accuracy_of_decided, Some(2.0 / 3.0));
    }

    #[test]
    fn no_films_have_no_figures() {
        assert!(Metrics::of(&[]).is_none());
    }

    #[test]
    fn an_interval_narrows_with_the_films() {
        let width = |films: usize| {
            let half: Vec<bool> = (0..films).map(|film| film % 2 == 0).collect();
            let share = |films: &[bool]| Some(films.iter().filter(|film| **film).count() as f64 / films.len() as f64);
            let estimate = Estimate::of(&half, share).unwrap();
            estimate.high - estimate.low
        };
        // A share's interval is about 3.92 sqrt(p (1 - p) / n) wide.
        assert!((width(100) - 0.196).abs() < 0.02, "{}", width(100));
        assert!((width(400) - 0.098).abs() < 0.01, "{}", width(400));
    }

    #[test]
    fn a_sure_and_right_network_is_calibrated() {
        let films = [judged(Class::Covid19, [1.0, 0.0, 0.0]), judged(Class::Normal, [0.0, 0.0, 1.0])];
        assert_eq!(expected_calibration_error(&reliability(&films)), Some(0.0));
        let films = [judged(Class::Covid19, [0.0, 0.0, 1.0]), judged(Class::Normal, [0.0, 0.0, 1.0])];
        assert_eq!(expected_calibration_error(&reliability(&films)), Some(0.5));
    }

    #[test]
    fn refused_films_have_no_calibration_error() {
        let refused = Judged { truth: Class::Normal, outcome: Outcome::Refused, probabilities: None };
        let metrics = Metrics::of(&[refused; 3]).unwrap();
        assert_eq!(metrics.expected_calibration_error, None);
        assert!(metrics.calibration_error().contains("all films were refused"));
        // As a record has it; older ones have a number.
        let mut record = serde_json::to_value(&metrics).unwrap();
        assert!(record["expected_calibration_error"].is_null());
        record["expected_calibration_error"] = serde_json::json!(0.25);
        let read: Metrics = serde_json::from_value(record).unwrap();
        assert_eq!(read.expected_calibration_error, Some(0.25));
    }

    #[test]
    fn a_share_of_all_or_of_none_has_an_exact_interval() {
        let share = |outcomes: &[f64]| Estimate::of_share(outcomes, |outcome| Some(*outcome)).unwrap();
        // Clopper and Pearson: the rule of three's sharper kin, 1 - 0.025^(1/n).
        for (films, bound) in [(1, 0.975), (3, 0.7076), (10, 0.3085), (100, 0.0362)] {
            let (none, all) = (share(&vec![0.0; films]), share(&vec![1.0; films]));
            assert_eq!((none.value, none.low, all.value, all.high), (0.0, 0.0, 1.0, 1.0));
            assert!((none.high - bound).abs() < 1e-4 && (1.0 - all.low - bound).abs() < 1e-4, "{none:?} {all:?}");
        }
        // Films without an outcome do not count.
        let one = Estimate::of_share(&[1.0, 2.0, 3.0], |film| (*film < 2.0).then_some(0.0)).unwrap();
        assert!((one.high - 0.975).abs() < 1e-9, "{one:?}");
        let half = share(&[0.0, 1.0, 0.0, 1.0]);
        assert_eq!(Some(half), Estimate::of(&[0.0, 1.0, 0.0, 1.0], |films| mean(films.iter().copied())));
        assert!(Estimate::of_share(&[1.0], |_| None).is_none());
    }

    #[test]
    fn the_roc_of_known_films_and_its_area() {
        let films = [
            judged(Class::Covid19, [0.9, 0.1, 0.0]),
            judged(Class::Normal, [0.6, 0.0, 0.4]),
            judged(Class::Covid19, [0.6, 0.4, 0.0]),
            judged(Class::Covid19, [0.3, 0.7, 0.0]),
            judged(Class::Normal, [0.1, 0.0, 0.9]),
            Judged { truth: Class::Covid19, outcome: Outcome::Refused, probabilities: None },
        ];
        let curve = roc(&films, Class::Covid19).unwrap();
        let third = 1.0 / 3.0;
        let points: Vec<(f64, f64)> =
            curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
        assert_eq!(points, [(0.0, 0.0), (0.0, third), (0.5, 2.0 * third), (0.5, 1.0), (1.0, 1.0)]);
        let area: f64 = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum();
        assert!((area - auroc(&films, Class::Covid19).unwrap()).abs() < 1e-12, "{area}");
        assert_eq!(roc(&films, Class::Pneumonia), None);
    }

    #[test]
    fn few_films_have_a_calibration_error_by_chance_alone() {
        let films = |count, confidence| vec![judged(Class::Covid19, [confidence, 1.0 - confidence, 0.0]); count];
        // One film at 0.8 is off by 0.2 or by 0.8: 0.8 * 0.2 + 0.2 * 0.8 on average.
        let one = error_by_chance(&films(1, 0.8)).unwrap();
        assert!((one.value - 0.32).abs() < 0.02, "{one:?}");
        assert!((one.low - 0.2).abs() < 1e-9 && (one.high - 0.8).abs() < 1e-9, "{one:?}");
        // A hundred films: the mean of a normal's absolute value, its deviation 0.04.
        let hundred = error_by_chance(&films(100, 0.8)).unwrap();
        assert!((hundred.value - 0.04 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.002, "{hundred:?}");
        assert!(error_by_chance(&films(100, 1.0)).unwrap().high < 1e-9);
        assert!(error_by_chance(&[]).is_none());
        let sentence = Metrics::of(&films(100, 0.8)).unwrap().calibration_error();
        assert!(
            sentence.starts_with("Expected calibration error 0.200") && sentence.contains("show 0.03"),
            "{sentence}"
        );
    }

    #[test]
    fn reliability_bins_of_known_films() {
        let films = [
            judged(Class::Covid19, [0.62, 0.3, 0.08]),
            judged(Class::Normal, [0.64, 0.3, 0.06]),
            judged(Class::Normal, [0.0, 0.0, 1.0]),
            Judged { truth: Class::Normal, outcome: Outcome::Refused, probabilities: None },
        ];
        let bins = reliability(&films);
        assert_eq!(bins.len(), CALIBRATION_BINS);
        assert_eq!((bins[9].films, bins[9].accuracy), (2, 0.5));
        assert!((bins[9].confidence - 0.63).abs() < 1e-12);
        assert_eq!(bins[14], ReliabilityBin { films: 1, confidence: 1.0, accuracy: 1.0 });
        assert_eq!(bins.iter().map(|bin| bin.films).sum::<usize>(), 3);
        assert!((expected_calibration_error(&bins).unwrap() - 2.0 * 0.13 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn ties_count_half() {
        let films = [judged(Class::Covid19, [0.4, 0.3, 0.3]), judged(Class::Normal, [0.4, 0.3, 0.3])];
        assert_eq!(auroc(&films, Class::Covid19), Some(0.5));
    }
}
