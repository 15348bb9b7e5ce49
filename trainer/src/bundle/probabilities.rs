//! From logits on the validation split to a profile's scaling and operating points.

use nalgebra::{Matrix4, Vector4};
use serde::{Deserialize, Serialize};
use xray_triage_core::bundle::ProfileCalibration;
use xray_triage_core::decision::{self, Class, OperatingPoint, Outcome, Rule, Scaling};

use crate::measure::metrics::mean;

/// Share of the COVID-19 films that `screening` catches, see [`is_caught`].
const SCREENING_CAUGHT: f64 = 0.95;
/// Share of the other films that `confirm` does not call COVID-19.
const CONFIRM_SPECIFICITY: f64 = 0.975;
/// Share of the films, the least confident ones, that are referred at each operating point.
const REFERRED: f64 = 0.15;

/// A film's logits and its true class.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scored {
    pub logits: [f32; 3],
    pub truth: Class,
}

/// A scaling's biases for people, in the order of [`Class::ALL`].
pub fn shown_bias(scaling: &Scaling) -> String {
    scaling.bias.map(|bias| format!("{bias:.2}")).join(", ")
}

/// Fits a profile's calibration to `films`, which must hold COVID-19 films and others. `unfamiliar_above` is taken as it
/// is; see [`crate::bundle::ood::threshold`].
///
/// All operating points refer the same least confident 15 %; what the device then makes of the films
/// ([`decision::decide`]) sets their COVID-19 thresholds:
///
/// - `screening`: the highest one at which 95 % of the COVID-19 films are caught, but not above `balanced`. A film is
///   caught if it is called COVID-19 or referred to a reader: it is not sent home.
/// - `balanced`: the one with most right verdicts.
/// - `confirm`: the lowest one at which 97.5 % of the other films are not called COVID-19, but not below `balanced`.
pub fn fit(films: &[Scored], ood_above: f64) -> ProfileCalibration {
    let scaling = fit_scaling(films);
    let confidence = films.iter().map(|film| {
        let probabilities = decision::probabilities(&film.logits, &scaling);
        probabilities.of(probabilities.top())
    });
    let refer_below = rounded_down(quantile(confidence, REFERRED));
    let point = |covid19_at_least| OperatingPoint { covid19_at_least, refer_below };
    let share = |covid19_at_least: f64, is_covid19: bool, wanted: &dyn Fn(Outcome) -> bool| {
        let outcomes = outcomes(films, scaling, point(covid19_at_least));
        let of_class = outcomes.filter(|(truth, _)| (*truth == Class::Covid19) == is_covid19);
        mean(of_class.map(|(_, outcome)| f64::from(u8::from(wanted(outcome))))).unwrap_or(1.0)
    };
    let balanced = most_accurate_threshold(films, scaling, refer_below);
    // The higher the threshold, the fewer are called COVID-19.
    let thresholds: Vec<f64> = (0..=10_000).map(|step| f64::from(step) / 1e4).collect();
    let caught = thresholds.partition_point(|&at| share(at, true, &is_caught) >= SCREENING_CAUGHT);
    let screening = thresholds[caught.saturating_sub(1)].min(balanced);
    let is_specific = |at: f64| share(at, false, &|outcome| outcome != Outcome::Covid19) >= CONFIRM_SPECIFICITY;
    let confirm =
        thresholds.get(thresholds.partition_point(|&at| !is_specific(at))).copied().unwrap_or(1.0).max(balanced);
    let thresholds = [("screening", screening), ("balanced", balanced), ("confirm", confirm)];
    let operating_points = thresholds.map(|(name, threshold)| (name.to_string(), point(threshold))).into();
    ProfileCalibration { scaling, default_operating_point: "balanced".into(), ood_above, operating_points }
}

/// For which operating points `films` are too few, in a sentence each: of fewer than 20 films 95 % are all of them, and of
/// fewer than 40 so are 97.5 %.
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

/// Whether a COVID-19 film with this outcome is not sent home: it is called COVID-19, or referred to a reader.
fn is_caught(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Covid19 | Outcome::Refer)
}

/// Each film's true class and what the device makes of its logits.
fn outcomes(films: &[Scored], scaling: Scaling, point: OperatingPoint) -> impl Iterator<Item = (Class, Outcome)> {
    // What is unfamiliar is refused before a film comes to the rule.
    let rule = Rule { name: String::new(), scaling, ood_above: 1.0, point };
    films.iter().map(move |film| (film.truth, decision::decide(&film.logits, &rule).outcome))
}

/// Standard deviation of the normal prior on each class's bias, in logits: with few films it stays small, and of all
/// biases that give the same probabilities it takes those around zero.
const BIAS_PRIOR: f64 = 1.0;
/// Between these the reciprocal temperature is kept: where every film is right there is no highest one.
const SHARPNESS: std::ops::RangeInclusive<f64> = 0.05..=20.0;

/// The scaling of most probable truths (penalised maximum likelihood), by Newton's method: the loss is convex in the
/// reciprocal temperature and the biases.
fn fit_scaling(films: &[Scored]) -> Scaling {
    let scaling = |at: &Vector4<f64>| Scaling { temperature: 1.0 / at[0], bias: [at[1], at[2], at[3]] };
    let loss = |at: &Vector4<f64>| -> f64 {
        let scaling = scaling(at);
        let surprise = |film: &Scored| -decision::probabilities(&film.logits, &scaling).of(film.truth).max(1e-12).ln();
        films.iter().map(surprise).sum::<f64>() + at.fixed_rows::<3>(1).norm_squared() / (2.0 * BIAS_PRIOR.powi(2))
    };
    let mut at = Vector4::new(1.0, 0.0, 0.0, 0.0);
    for _ in 0..100 {
        let mut gradient = Vector4::zeros();
        let mut hessian = Matrix4::from_diagonal_element(1e-9);
        for place in 1..4 {
            gradient[place] = at[place] / BIAS_PRIOR.powi(2);
            hessian[(place, place)] += 1.0 / BIAS_PRIOR.powi(2);
        }
        for film in films {
            let probabilities = decision::probabilities(&film.logits, &scaling(&at));
            // How a class's scaled logit changes with each of the four.
            let slope = |class: Class| {
                let mut slope = Vector4::zeros();
                slope[0] = f64::from(film.logits[class as usize]);
                slope[1 + class as usize] = 1.0;
                slope
            };
            let expected: Vector4<f64> = Class::ALL.iter().map(|&class| slope(class) * probabilities.of(class)).sum();
            gradient += expected - slope(film.truth);
            for class in Class::ALL {
                hessian += slope(class) * slope(class).transpose() * probabilities.of(class);
            }
            hessian -= expected * expected.transpose();
        }
        let Some(step) = hessian.cholesky().map(|hessian| hessian.solve(&gradient)) else { break };
        // The full step, or as much of it as lowers the loss.
        let next = (0..30).map(|halvings| {
            let mut next = at - step * 0.5f64.powi(halvings);
            next[0] = next[0].clamp(*SHARPNESS.start(), *SHARPNESS.end());
            next
        });
        let before = loss(&at);
        match next.into_iter().find(|next| loss(next) < before - 1e-9) {
            Some(next) => at = next,
            None => break,
        }
    }
    let Scaling { temperature, bias } = scaling(&at);
    Scaling { temperature: rounded(temperature), bias: bias.map(rounded) }
}

/// Four decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The COVID-19 threshold, in steps of a percent from 10 to 90, with most right verdicts; the middle one where several have.
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

/// The value that `share` (0..=1) of the values lie below; 0 where there is none.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let index = (share * values.len() as f64).floor() as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Four decimals, down: a threshold that a film just reached must not rise above it.
fn rounded_down(value: f64) -> f64 {
    (value * 1e4).floor() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Films whose logits are the truth's, ten times too sure: one in ten is wrong.
    fn overconfident() -> Vec<Scored> {
        (0..300)
            .map(|index| {
                let truth = Class::ALL[index % 3];
                let said = if index % 10 == 0 { Class::ALL[(index + 1) % 3] } else { truth };
                let mut logits = [0.0; 3];
                logits[said as usize] = 20.0 + (index % 7) as f32;
                Scored { logits, truth }
            })
            .collect()
    }

    #[test]
    fn confidence_matches_accuracy() {
        let films = overconfident();
        let scaling = fit_scaling(&films);
        let confidence: f64 = films
            .iter()
            .map(|film| {
                let p = decision::probabilities(&film.logits, &scaling);
                p.of(p.top())
            })
            .sum::<f64>()
            / films.len() as f64;
        assert!((confidence - 0.9).abs() < 0.02, "{confidence} at {scaling:?}");
    }

    /// Logits from which one number was subtracted for COVID-19 get it back.
    #[test]
    fn a_class_that_is_called_too_seldom_gets_a_bias() {
        let mut films: Vec<Scored> = Vec::new();
        for index in 0..600u32 {
            // Logits that are the logarithms of the true shares.
            let shares = [[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]][index as usize % 3];
            let place = f64::from(index / 3) / 200.0;
            let truth = match place {
                place if place < shares[0] => Class::Covid19,
                place if place < shares[0] + shares[1] => Class::Pneumonia,
                _ => Class::Normal,
            };
            let mut logits = shares.map(|share: f64| share.ln() as f32);
            logits[0] -= 1.5;
            films.push(Scored { logits, truth });
        }
        let Scaling { temperature, bias } = fit_scaling(&films);
        assert!((temperature - 1.0).abs() < 0.05, "{temperature}");
        assert!((bias[0] - bias[1] - 1.5).abs() < 0.1 && (bias[2] - bias[1]).abs() < 0.1, "{bias:?}");
        assert!(bias.iter().sum::<f64>().abs() < 0.01, "{bias:?}");
    }

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

    /// Of the films at an operating point: shares of COVID-19 films caught, and of others not called so.
    fn shares(films: &[Scored], calibration: &ProfileCalibration, name: &str) -> (f64, f64) {
        let point = calibration.operating_points[name];
        let outcomes: Vec<_> = outcomes(films, calibration.scaling, point).collect();
        let share = |is_covid19: bool, wanted: &dyn Fn(Outcome) -> bool| {
            let of_class = outcomes.iter().filter(|(truth, _)| (*truth == Class::Covid19) == is_covid19);
            mean(of_class.map(|(_, outcome)| f64::from(u8::from(wanted(*outcome))))).unwrap()
        };
        (share(true, &is_caught), share(false, &|outcome| outcome != Outcome::Covid19))
    }

    #[test]
    fn screening_catches_its_share_and_confirm_keeps_its_specificity() {
        for films in [overconfident(), uncertain(4.0), uncertain(8.0), uncertain(12.0)] {
            let calibration = fit(&films, 1.0);
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
        let calibration = fit(&films, 1.0);
        let point = calibration.operating_points["screening"];
        let referred = decision::probabilities(&[0.0; 3], &calibration.scaling);
        assert!(
            referred.of(referred.top()) < point.refer_below && referred.covid19 < point.covid19_at_least,
            "{point:?}"
        );
    }
}
