//! From logits on the validation split to a profile's temperature and operating points.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xray_triage::bundle::Calibration;
use xray_triage::triage::{self, Class, OperatingPoint, Probabilities};

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
    let temperature = fit_temperature(films);
    let scored: Vec<(Probabilities, Class)> =
        films.iter().map(|film| (triage::probabilities(&film.logits, temperature), film.truth)).collect();
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
            let point = OperatingPoint { covid19_at_least: round(threshold), refer_below: round(refer_below) };
            (name.into(), point)
        })
        .collect();
    Calibration {
        temperature: round(temperature),
        default_operating_point: "balanced".into(),
        unfamiliar_above,
        operating_points,
    }
}

/// The temperature of least cross-entropy (Guo et al. 2017), by golden-section search over its logarithm.
fn fit_temperature(films: &[Scored]) -> f64 {
    let loss = |log_temperature: f64| -> f64 {
        films
            .iter()
            .map(|film| -triage::probabilities(&film.logits, log_temperature.exp()).of(film.truth).max(1e-12).ln())
            .sum()
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.05f64.ln(), 20f64.ln());
    while high - low > 1e-4 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(left) < loss(right) {
            high = right;
        } else {
            low = left;
        }
    }
    ((low + high) / 2.0).exp()
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
fn round(value: f64) -> f64 {
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
    fn the_temperature_makes_confidence_match_accuracy() {
        let films = overconfident();
        let temperature = fit_temperature(&films);
        let confidence: f64 = films
            .iter()
            .map(|film| {
                let p = triage::probabilities(&film.logits, temperature);
                p.of(p.top())
            })
            .sum::<f64>()
            / films.len() as f64;
        assert!((confidence - 0.9).abs() < 0.02, "{confidence} at temperature {temperature}");
    }

    #[test]
    fn screening_keeps_its_sensitivity_and_confirm_its_specificity() {
        let films = overconfident();
        let calibration = fit(&films, 1.0);
        let share = |name: &str, class_is_covid: bool| {
            let threshold = calibration.operating_points[name].covid19_at_least;
            let of: Vec<&Scored> =
                films.iter().filter(|film| (film.truth == Class::Covid19) == class_is_covid).collect();
            let called = of
                .iter()
                .filter(|film| triage::probabilities(&film.logits, calibration.temperature).covid19 >= threshold);
            called.count() as f64 / of.len() as f64
        };
        assert!(share("screening", true) >= SCREENING_SENSITIVITY);
        assert!(share("confirm", false) <= 1.0 - CONFIRM_SPECIFICITY + 0.01);
    }
}
