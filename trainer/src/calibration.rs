//! From logits on the validation split to a profile's scaling and operating points.

use std::collections::BTreeMap;

use nalgebra::{Matrix4, Vector4};
use serde::{Deserialize, Serialize};
use xray_triage::bundle::Calibration;
use xray_triage::triage::{self, Class, OperatingPoint, Probabilities, Scaling};

/// Sensitivity for COVID-19 that `screening` keeps on the validation films.
const SCREENING_SENSITIVITY: f64 = 0.95;
/// Specificity for COVID-19 that `confirm` keeps on the validation films.
const CONFIRM_SPECIFICITY: f64 = 0.975;
/// Share of the validation films, the least confident ones, that are referred.
const REFERRED: f64 = 0.15;

/// A film's logits and its true class.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scored {
    pub logits: [f32; 3],
    pub truth: Class,
}

/// Fits a profile's calibration to `films`, which must hold COVID-19 films and others. `unfamiliar_above` is taken as it
/// is; see [`crate::film_space::threshold`].
pub fn fit(films: &[Scored], unfamiliar_above: f64) -> Calibration {
    let scaling = fit_scaling(films);
    let scored: Vec<(Probabilities, Class)> =
        films.iter().map(|film| (triage::probabilities(&film.logits, &scaling), film.truth)).collect();
    let refer_below = quantile(scored.iter().map(|(p, _)| p.of(p.top())), REFERRED);
    let covid19 = |wanted: bool| {
        scored.iter().filter(move |(_, truth)| (*truth == Class::Covid19) == wanted).map(|(p, _)| p.covid19)
    };
    let thresholds = [
        ("screening", quantile(covid19(true), 1.0 - SCREENING_SENSITIVITY)),
        ("balanced", most_accurate_threshold(&scored)),
        ("confirm", quantile(covid19(false), CONFIRM_SPECIFICITY)),
    ];
    let operating_points: BTreeMap<String, OperatingPoint> = thresholds
        .into_iter()
        .map(|(name, threshold)| {
            let point =
                OperatingPoint { covid19_at_least: rounded_down(threshold), refer_below: rounded_down(refer_below) };
            (name.into(), point)
        })
        .collect();
    Calibration { scaling, default_operating_point: "balanced".into(), unfamiliar_above, operating_points }
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
        let surprise = |film: &Scored| -triage::probabilities(&film.logits, &scaling).of(film.truth).max(1e-12).ln();
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
            let probabilities = triage::probabilities(&film.logits, &scaling(&at));
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

/// The COVID-19 threshold with most right answers; the middle one where several have.
fn most_accurate_threshold(films: &[(Probabilities, Class)]) -> f64 {
    let right = |threshold: f64| {
        films
            .iter()
            .filter(|(p, truth)| {
                let called = if p.covid19 >= threshold {
                    Class::Covid19
                } else if p.pneumonia >= p.normal {
                    Class::Pneumonia
                } else {
                    Class::Normal
                };
                called == *truth
            })
            .count()
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
                let p = triage::probabilities(&film.logits, &scaling);
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

    #[test]
    fn screening_keeps_its_sensitivity_and_confirm_its_specificity() {
        let films = overconfident();
        let calibration = fit(&films, 1.0);
        let share = |name: &str, class_is_covid: bool| {
            let threshold = calibration.operating_points[name].covid19_at_least;
            let of: Vec<&Scored> =
                films.iter().filter(|film| (film.truth == Class::Covid19) == class_is_covid).collect();
            let called =
                of.iter().filter(|film| triage::probabilities(&film.logits, &calibration.scaling).covid19 >= threshold);
            called.count() as f64 / of.len() as f64
        };
        assert!(share("screening", true) >= SCREENING_SENSITIVITY);
        assert!(share("confirm", false) <= 1.0 - CONFIRM_SPECIFICITY + 0.01);
    }
}
