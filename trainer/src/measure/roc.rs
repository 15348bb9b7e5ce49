//! The receiver operating characteristic (ROC) and the area under it (AUROC).

use xray_triage_core::decision::Class;

use super::estimate::mean;
use super::judgement::Judgement;

/// A point of a receiver operating characteristic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Share of the other films whose score is at least the threshold, 0..=1. This is 1 - specificity.
    pub false_positive_rate: f64,
    /// Share of the class's films whose score is at least the threshold, 0..=1. This is the sensitivity.
    pub true_positive_rate: f64,
}

/// The receiver operating characteristic of a class's probability: the films of the class against all others.
///
/// It runs from (0, 0) to (1, 1) and has a point for each value of the probability that occurs. Films that the network
/// did not see are left out. `None` if all films are of the class, or none is.
pub fn roc(films: &[Judgement], class: Class) -> Option<Vec<RocPoint>> {
    let mut scored = scored(films, class);
    let (positives, negatives) = counts(&scored)?;
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

/// The area under the curve of a class's probability: the films of the class against all others. `None` if all films
/// are of the class, or none is.
pub(super) fn auroc(films: &[Judgement], class: Class) -> Option<f64> {
    area_under_curve(scored(films, class))
}

/// The mean of the areas under the curve of the classes that have one.
pub(super) fn macro_auroc(films: &[Judgement]) -> Option<f64> {
    mean(Class::ALL.into_iter().filter_map(|class| auroc(films, class)))
}

/// The chance that a positive has a higher score than a negative, where equal scores count half (Hanley and McNeil
/// 1982, "The meaning and use of the area under a receiver operating characteristic (ROC) curve").
///
/// `scored` holds each film's score, and whether the film is a positive. `None` if all are positives, or none is.
pub fn area_under_curve(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    let (positives, negatives) = counts(&scored)?;
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

/// The class's probability of each film that the network saw, and whether the film is of the class.
fn scored(films: &[Judgement], class: Class) -> Vec<(f64, bool)> {
    films.iter().filter_map(|film| Some((film.probabilities?.of(class), film.truth == class))).collect()
}

/// How many positives and negatives there are. `None` if one of the two is missing.
fn counts(scored: &[(f64, bool)]) -> Option<(usize, usize)> {
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    let negatives = scored.len() - positives;
    (positives > 0 && negatives > 0).then_some((positives, negatives))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{judgement, refused};
    use super::*;

    #[test]
    fn the_roc_of_known_films_and_its_area() {
        let films = [
            judgement(Class::Covid19, [0.9, 0.1, 0.0]),
            judgement(Class::Normal, [0.6, 0.0, 0.4]),
            judgement(Class::Covid19, [0.6, 0.4, 0.0]),
            judgement(Class::Covid19, [0.3, 0.7, 0.0]),
            judgement(Class::Normal, [0.1, 0.0, 0.9]),
            refused(Class::Covid19),
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
    fn ties_count_half() {
        let films = [judgement(Class::Covid19, [0.4, 0.3, 0.3]), judgement(Class::Normal, [0.4, 0.3, 0.3])];
        assert_eq!(auroc(&films, Class::Covid19), Some(0.5));
    }
}
