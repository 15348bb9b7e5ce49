//! Calibration of probabilities: fitting the scaling that turns logits into probabilities, on the validation split.

use nalgebra::{Matrix4, Vector4};
use serde::{Deserialize, Serialize};
use xray_triage_core::decision::{self, Class, Scaling};

/// A film's logits and its true class.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scored {
    /// The network's logits, in the order of [`Class::ALL`].
    pub logits: [f32; 3],
    /// The film's label, which counts as the truth.
    pub truth: Class,
}

/// A scaling's biases as text with two decimals, in the order of [`Class::ALL`].
pub fn shown_bias(scaling: &Scaling) -> String {
    scaling.bias.map(|bias| format!("{bias:.2}")).join(", ")
}

/// Standard deviation of the normal prior on each class's bias, in logits. With few films the prior keeps the biases
/// small. Of all biases that give the same probabilities it chooses those around zero.
const BIAS_PRIOR: f64 = 1.0;
/// The range of the reciprocal temperature. It is needed where every film is right: no highest value is best then.
const SHARPNESS: std::ops::RangeInclusive<f64> = 0.05..=20.0;

/// Fits temperature and biases, so that probabilities are as high as answers are right. The result has four decimals.
///
/// The scaling is that of least cross-entropy (Guo et al. 2017, "On calibration of modern neural networks"; biases:
/// Alexandari et al. 2020, "Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift
/// adaptation"), with a normal prior on each bias. The loss is convex in the reciprocal temperature and the biases, and
/// Newton's method finds its minimum. Without films there is nothing to fit, and the scaling changes nothing.
pub fn fit(films: &[Scored]) -> Scaling {
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
            // The derivative of a class's scaled logit by the four parameters.
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
        // The full step, or else the largest half, quarter and so on of it that lowers the loss.
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

/// The value with four decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Films whose logits are the truth's, ten times too sure: one in ten is wrong.
    pub(in super::super) fn overconfident() -> Vec<Scored> {
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
        let scaling = fit(&films);
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
        let Scaling { temperature, bias } = fit(&films);
        assert!((temperature - 1.0).abs() < 0.05, "{temperature}");
        assert!((bias[0] - bias[1] - 1.5).abs() < 0.1 && (bias[2] - bias[1]).abs() < 0.1, "{bias:?}");
        assert!(bias.iter().sum::<f64>().abs() < 0.01, "{bias:?}");
    }
}
