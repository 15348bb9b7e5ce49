//! Fitting the operating points: the thresholds on the probabilities, on the validation split.

use xray_triage_core::bundle::ProfileCalibration;
use xray_triage_core::decision::{self, Class, OperatingPoint, Outcome, Rule, Scaling};

use super::probabilities::Scored;

/// Share of the COVID-19 films that `screening` catches ([`is_caught`]), 0..=1.
const SCREENING_CAUGHT: f64 = 0.95;
/// Share of the other films that `confirm` does not call COVID-19, 0..=1.
const CONFIRM_SPECIFICITY: f64 = 0.975;
/// Share of the films that are referred at each operating point, the least confident ones, 0..=1.
const REFERRED: f64 = 0.15;

/// Fits the operating points of a profile, and gives its whole calibration. `films` should hold COVID-19 films and others.
/// `scaling` and the out-of-distribution threshold `ood_above` are taken as they are.
///
/// All operating points refer the least confident 15 % of the films, and those of which COVID-19 is the most probable class
/// but below its threshold. The thresholds for COVID-19 are set by what the
/// device's own rule ([`decision::decide`]) makes of the films:
///
/// - `screening`: the highest threshold at which 95 % of the COVID-19 films are caught, but not above `balanced`. A film
///   is caught if it is called COVID-19 or referred to a reader: either way it is not sent home.
/// - `balanced`: the threshold with most right verdicts.
/// - `confirm`: the lowest threshold at which 97.5 % of the other films are not called COVID-19, but not below `balanced`.
pub fn calibration(films: &[Scored], scaling: Scaling, ood_above: f64) -> ProfileCalibration {
    let confidence = films.iter().map(|film| {
        let probabilities = decision::probabilities(&film.logits, &scaling);
        probabilities.of(probabilities.top())
    });
    let refer_below = rounded_down(quantile(confidence, REFERRED));
    let point = |covid19_at_least| OperatingPoint { covid19_at_least, refer_below };
    let share_at = |covid19_at_least: f64, is_covid19: bool, wanted: &dyn Fn(Outcome) -> bool| {
        share(films, scaling, point(covid19_at_least), is_covid19, wanted).unwrap_or(1.0)
    };
    let balanced = most_accurate_threshold(films, scaling, refer_below);
    // The higher the threshold, the fewer are called COVID-19.
    let thresholds: Vec<f64> = (0..=10_000).map(|step| f64::from(step) / 1e4).collect();
    let caught = thresholds.partition_point(|&at| share_at(at, true, &is_caught) >= SCREENING_CAUGHT);
    let screening = thresholds[caught.saturating_sub(1)].min(balanced);
    let is_specific = |at: f64| share_at(at, false, &|outcome| outcome != Outcome::Covid19) >= CONFIRM_SPECIFICITY;
    let confirm =
        thresholds.get(thresholds.partition_point(|&at| !is_specific(at))).copied().unwrap_or(1.0).max(balanced);
    let thresholds = [("screening", screening), ("balanced", balanced), ("confirm", confirm)];
    let operating_points = thresholds.map(|(name, threshold)| (name.to_string(), point(threshold))).into();
    ProfileCalibration { scaling, default_operating_point: "balanced".into(), ood_above, operating_points }
}

/// Says in a sentence each for which operating points `films` are too few: 95 % of fewer than 20 COVID-19 films are all of
/// them, and so are 97.5 % of fewer than 40 other films.
pub fn too_few(films: impl ExactSizeIterator<Item = Class>) -> Vec<String> {
    let all = films.len();
    let covid19 = films.filter(|truth| *truth == Class::Covid19).count();
    let complaint = |count: usize, what: &str, share: f64, point: &str| {
        let needed = (1.0 / (1.0 - share)).round() as usize;
        (count < needed).then(|| {
            format!(
                "{count} {what} are too few to tell {} % of them; do not rely on `{point}`, which wants {needed}",
                100.0 * share
            )
        })
    };
    let complaints = [
        complaint(covid19, "COVID-19 films", SCREENING_CAUGHT, "screening"),
        complaint(all - covid19, "other films", CONFIRM_SPECIFICITY, "confirm"),
    ];
    complaints.into_iter().flatten().collect()
}

/// Of the COVID-19 films, or of the others, the share whose outcome is wanted, 0..=1. `None` if there is no such film.
fn share(
    films: &[Scored],
    scaling: Scaling,
    point: OperatingPoint,
    is_covid19: bool,
    wanted: &dyn Fn(Outcome) -> bool,
) -> Option<f64> {
    let of_class: Vec<bool> = outcomes(films, scaling, point)
        .filter(|(truth, _)| (*truth == Class::Covid19) == is_covid19)
        .map(|(_, outcome)| wanted(outcome))
        .collect();
    let counted = of_class.iter().filter(|wanted| **wanted).count();
    (!of_class.is_empty()).then(|| counted as f64 / of_class.len() as f64)
}

/// Whether a COVID-19 film with this outcome is not sent home: it is called COVID-19, or referred to a reader.
fn is_caught(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Covid19 | Outcome::Refer)
}

/// Each film's true class, and the outcome that the device's rule gives for its logits.
fn outcomes(films: &[Scored], scaling: Scaling, point: OperatingPoint) -> impl Iterator<Item = (Class, Outcome)> {
    // Out-of-distribution films are refused before a film comes to the rule.
    let rule = Rule { name: String::new(), scaling, ood_above: 1.0, point };
    films.iter().map(move |film| (film.truth, decision::decide(&film.logits, &rule).outcome))
}

/// The COVID-19 threshold with most right verdicts, in steps of 1 % from 10 to 90 %. Of several the middle one.
fn most_accurate_threshold(films: &[Scored], scaling: Scaling, refer_below: f64) -> f64 {
    let right = |covid19_at_least: f64| {
        let outcomes = outcomes(films, scaling, OperatingPoint { covid19_at_least, refer_below });
        outcomes.filter(|(truth, outcome)| outcome.class() == Some(*truth)).count()
    };
    let candidates: Vec<(f64, usize)> =
        (10..=90).map(|percent| f64::from(percent) / 100.0).map(|threshold| (threshold, right(threshold))).collect();
    let best = candidates.iter().map(|(_, right)| *right).max().unwrap_or(0);
    let winners: Vec<f64> = candidates.iter().filter(|(_, right)| *right == best).map(|(t, _)| *t).collect();
    winners[winners.len() / 2]
}

/// The value that a `share` (0..=1) of the values lie below. 0 if there are no values.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let index = (share * values.len() as f64).floor() as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// The value with four decimals, rounded down: a threshold that a film just reaches must not rise above the film.
fn rounded_down(value: f64) -> f64 {
    (value * 1e4).floor() / 1e4
}

#[cfg(test)]
mod tests {
    use super::super::probabilities;
    use super::super::probabilities::tests::overconfident;
    use super::*;

    /// Films of three classes of 100 whose logits are drawn around the truth's, the more of them wrong the wider.
    fn uncertain(spread: f32) -> Vec<Scored> {
        let mut noise = 1u32;
        let mut draw = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..300)
            .map(|index| {
                let truth = Class::ALL[index % 3];
                let mut logits = [0.0; 3].map(|_: f32| spread * draw());
                logits[truth as usize] += 2.0;
                Scored { logits, truth }
            })
            .collect()
    }

    fn calibrated(films: &[Scored]) -> ProfileCalibration {
        calibration(films, probabilities::fit(films), 1.0)
    }

    /// Of the films at an operating point: shares of COVID-19 films caught, and of others not called so.
    fn shares(films: &[Scored], calibration: &ProfileCalibration, name: &str) -> (f64, f64) {
        let point = calibration.operating_points[name];
        let share = |is_covid19, wanted: &dyn Fn(Outcome) -> bool| {
            share(films, calibration.scaling, point, is_covid19, wanted).unwrap()
        };
        (share(true, &is_caught), share(false, &|outcome| outcome != Outcome::Covid19))
    }

    #[test]
    fn screening_catches_its_share_and_confirm_keeps_its_specificity() {
        for films in [overconfident(), uncertain(4.0), uncertain(8.0), uncertain(12.0)] {
            let calibration = calibrated(&films);
            let points = &calibration.operating_points;
            let at = |name: &str| points[name].covid19_at_least;
            assert!(shares(&films, &calibration, "screening").0 >= SCREENING_CAUGHT);
            assert!(shares(&films, &calibration, "confirm").1 >= CONFIRM_SPECIFICITY);
            assert!(at("screening") <= at("balanced") && at("balanced") <= at("confirm"), "{points:?}");
            // None is stricter than it must be.
            let moved = |name: &str, by: f64| {
                let mut calibration = calibration.clone();
                calibration.operating_points.get_mut(name).unwrap().covid19_at_least += by;
                shares(&films, &calibration, name)
            };
            assert!(at("screening") == at("balanced") || moved("screening", 1e-4).0 < SCREENING_CAUGHT, "{points:?}");
            assert!(at("confirm") == at("balanced") || moved("confirm", -1e-4).1 < CONFIRM_SPECIFICITY, "{points:?}");
        }
    }

    #[test]
    fn too_few_films_for_an_operating_point_are_named() {
        let complaints = |covid19, others| {
            let classes = [vec![Class::Covid19; covid19], vec![Class::Normal; others]];
            too_few(classes.concat().into_iter())
        };
        assert_eq!(complaints(20, 40), Vec::<String>::new());
        let complaints = complaints(19, 39);
        assert_eq!(complaints.len(), 2);
        assert!(complaints[0].contains("19 COVID-19 films") && complaints[0].contains("screening"), "{complaints:?}");
        assert!(complaints[1].contains("39 other films") && complaints[1].contains("confirm"), "{complaints:?}");
    }

    /// A film that is referred needs no low threshold to be caught.
    #[test]
    fn a_referred_film_does_not_lower_the_screening_threshold() {
        let mut films = uncertain(0.5);
        // One film in ten of each class says nothing; all others are sure.
        films.iter_mut().step_by(10).for_each(|film| film.logits = [0.0; 3]);
        let calibration = calibrated(&films);
        let point = calibration.operating_points["screening"];
        let referred = decision::probabilities(&[0.0; 3], &calibration.scaling);
        assert!(
            referred.of(referred.top()) < point.refer_below && referred.covid19 < point.covid19_at_least,
            "{point:?}"
        );
    }
}
