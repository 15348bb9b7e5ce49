//! The figures of a set of judged films.

use serde::{Deserialize, Serialize};
use xray_triage_core::decision::Class;

use crate::markdown::table;

use super::calibration_error::{ReliabilityBin, error_by_chance, expected_calibration_error, reliability};
use super::estimate::{Estimate, mean, outcome, percent};
use super::judgement::Judgement;
use super::roc::{auroc, macro_auroc};

const CLASSES: usize = Class::ALL.len();

/// The figures of one class, each 0..=1. A figure is `None` where there is nothing to divide by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub class: Class,
    /// How many films are of the class.
    pub films: usize,
    /// Share of the class's films that are called this class. Medicine calls it sensitivity.
    pub recall: Option<Estimate>,
    /// Share of the other films that are not called this class.
    pub specificity: Option<Estimate>,
    /// Share of the films called this class that are of the class.
    pub precision: Option<Estimate>,
    /// Area under the receiver operating characteristic, the class against the rest.
    pub auroc: Option<Estimate>,
}

/// The figures of a set of films.
///
/// The most probable class counts as the answer, whatever the operating point. A film that the network did not see
/// counts as a wrong answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// How many films there are.
    pub films: usize,
    /// How many of them were refused before the network saw them.
    pub refused: usize,
    /// Share of the films whose most probable class is the true one, 0..=1.
    pub accuracy: Estimate,
    /// The figures of each class, in the order of [`Class::ALL`].
    pub classes: Vec<ClassMetrics>,
    /// Mean AUROC of the classes that have one, 0..=1.
    pub macro_auroc: Option<Estimate>,
    /// Mean gap between confidence and accuracy over bins of confidence, 0..=1. `None` if all films were refused.
    pub expected_calibration_error: Option<f64>,
    /// What the calibration error would be if the probabilities were right and chance alone decided which films are.
    /// `None` if all films were refused, and in measurements older than this field.
    pub calibration_error_by_chance: Option<Estimate>,
    /// Equal bins of confidence from 0 to 1, empty ones included.
    pub reliability: Vec<ReliabilityBin>,
    /// Counts of films. Rows are the true class; columns are the most probable class, then refused.
    pub confusion: [[usize; CLASSES + 1]; CLASSES],
    /// Share of the films that got one of the three classes at the operating point, 0..=1. The others were referred or
    /// refused.
    pub decided: f64,
    /// Share of the decided films whose class is the true one, 0..=1.
    pub accuracy_of_decided: Option<f64>,
}

impl Metrics {
    /// Computes the figures of `films`, with intervals over patients. `None` if there are no films.
    pub fn of(films: &[Judgement]) -> Option<Self> {
        let patient = |film: &Judgement| film.patient;
        let mut confusion = [[0; CLASSES + 1]; CLASSES];
        for film in films {
            confusion[film.truth as usize][film.top().map_or(CLASSES, |class| class as usize)] += 1;
        }
        let classes = Class::ALL
            .into_iter()
            .map(|class| {
                let is = move |film: &Judgement| film.truth == class;
                let called = move |film: &Judgement| film.top() == Some(class);
                ClassMetrics {
                    class,
                    films: films.iter().filter(|film| is(film)).count(),
                    recall: Estimate::share_by_patient(films, patient, |film| outcome(is(film), called(film))),
                    specificity: Estimate::share_by_patient(films, patient, |film| outcome(!is(film), !called(film))),
                    precision: Estimate::share_by_patient(films, patient, |film| outcome(called(film), is(film))),
                    auroc: Estimate::by_patient(films, patient, |films| auroc(films, class)),
                }
            })
            .collect();
        let reliability = reliability(films);
        let decided = |film: &Judgement| film.outcome.class().is_some();
        Some(Metrics {
            films: films.len(),
            refused: films.iter().filter(|film| film.probabilities.is_none()).count(),
            accuracy: Estimate::share_by_patient(films, patient, |film| outcome(true, film.is_right()))?,
            macro_auroc: Estimate::by_patient(films, patient, macro_auroc),
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

    /// The calibration error in words, beside the error that chance alone would make.
    pub fn calibration_error(&self) -> String {
        let Some(error) = self.expected_calibration_error else {
            return "No calibration error: all films were refused.".into();
        };
        let error = format!("Expected calibration error {error:.3}, over the films that were not refused.");
        match &self.calibration_error_by_chance {
            Some(chance) => format!(
                "{error} If the probabilities were right, chance alone would give so few films an error of {}.",
                chance.number()
            ),
            None => error,
        }
    }

    /// The figures of every class with their intervals, as a table in Markdown.
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

    /// The confusion matrix, as a table in Markdown.
    pub fn confusion_table(&self) -> String {
        let rows = Class::ALL.iter().zip(&self.confusion).map(|(class, counts)| {
            std::iter::once(class.label().into()).chain(counts.iter().map(ToString::to_string)).collect()
        });
        let [covid19, pneumonia, normal] = Class::ALL.map(Class::label);
        table(&["true class, films called", covid19, pneumonia, normal, "refused"], rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{judgement, refused};
    use super::*;

    #[test]
    fn figures_of_four_films() {
        let films = [
            judgement(Class::Covid19, [0.8, 0.1, 0.1]),
            judgement(Class::Covid19, [0.2, 0.7, 0.1]),
            judgement(Class::Normal, [0.1, 0.2, 0.7]),
            refused(Class::Normal),
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
    fn refused_films_have_no_calibration_error() {
        let metrics = Metrics::of(&[refused(Class::Normal); 3]).unwrap();
        assert_eq!(metrics.expected_calibration_error, None);
        assert!(metrics.calibration_error().contains("all films were refused"));
        // A saved measurement has null there; older ones have a number.
        let mut saved = serde_json::to_value(&metrics).unwrap();
        assert!(saved["expected_calibration_error"].is_null());
        saved["expected_calibration_error"] = serde_json::json!(0.25);
        let read: Metrics = serde_json::from_value(saved).unwrap();
        assert_eq!(read.expected_calibration_error, Some(0.25));
    }

    #[test]
    fn the_calibration_error_stands_beside_that_of_chance() {
        let sentence = Metrics::of(&vec![judgement(Class::Covid19, [0.8, 0.2, 0.0]); 100]).unwrap().calibration_error();
        assert!(
            sentence.starts_with("Expected calibration error 0.200") && sentence.contains("an error of 0.03"),
            "{sentence}"
        );
    }
}
