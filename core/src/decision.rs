//! From the network's logits to a verdict: scaled softmax, then the rule of an operating point.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// What the network tells apart. The order is the order of its logits and CAMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// COVID-19 pneumonia.
    Covid19,
    /// Pneumonia of another cause.
    Pneumonia,
    /// No finding.
    Normal,
}

impl Class {
    /// All classes in the order of the logits.
    pub const ALL: [Class; 3] = [Class::Covid19, Class::Pneumonia, Class::Normal];

    /// The label used in manifests, data sets and `--json`.
    pub fn label(self) -> &'static str {
        match self {
            Class::Covid19 => "covid19",
            Class::Pneumonia => "pneumonia",
            Class::Normal => "normal",
        }
    }
}

/// What became of a film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Signs of COVID-19 pneumonia.
    Covid19,
    /// Signs of pneumonia of another cause.
    Pneumonia,
    /// No signs of pneumonia.
    Normal,
    /// The network saw the film but is not confident: a trained reader must look.
    Refer,
    /// The film never reached a verdict: unreadable, or not good enough to judge.
    Refused,
}

impl Outcome {
    /// The class this is, if it is one.
    pub fn class(self) -> Option<Class> {
        Class::ALL.into_iter().find(|&class| Outcome::from(class) == self)
    }

    /// The one word an operator reads first.
    pub const fn headline(self) -> &'static str {
        match self {
            Outcome::Covid19 => "COVID-19",
            Outcome::Pneumonia => "PNEUMONIA",
            Outcome::Normal => "NORMAL",
            Outcome::Refer => "REFER",
            Outcome::Refused => "REFUSED",
        }
    }

    /// What the headline means, in a few plain words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Outcome::Covid19 => "signs of COVID-19 pneumonia",
            Outcome::Pneumonia => "signs of pneumonia, not of COVID-19",
            Outcome::Normal => "no signs of pneumonia",
            Outcome::Refer => "not sure: a reader must look",
            Outcome::Refused => "no verdict",
        }
    }
}

impl From<Class> for Outcome {
    fn from(class: Class) -> Self {
        match class {
            Class::Covid19 => Outcome::Covid19,
            Class::Pneumonia => Outcome::Pneumonia,
            Class::Normal => Outcome::Normal,
        }
    }
}

/// Calibrated probabilities, each in 0..=1, together 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// Of [`Class::Covid19`].
    pub covid19: f64,
    /// Of [`Class::Pneumonia`].
    pub pneumonia: f64,
    /// Of [`Class::Normal`].
    pub normal: f64,
}

impl Probabilities {
    /// The probability of one class.
    pub fn of(&self, class: Class) -> f64 {
        match class {
            Class::Covid19 => self.covid19,
            Class::Pneumonia => self.pneumonia,
            Class::Normal => self.normal,
        }
    }

    /// The most probable class; the first in [`Class::ALL`] if several are equal.
    pub fn top(&self) -> Class {
        let mut top = Class::Covid19;
        for class in Class::ALL {
            if self.of(class) > self.of(top) {
                top = class;
            }
        }
        top
    }
}

/// Thresholds of one operating point, probabilities in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// A film whose COVID-19 probability is at least this is called COVID-19, whatever the other two are. A film of which
    /// COVID-19 is the most probable class, but below this, is referred.
    pub covid19_at_least: f64,
    /// A film whose highest probability is below this is referred.
    pub refer_below: f64,
}

impl fmt::Display for OperatingPoint {
    /// The thresholds in words, as shown beside a verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (covid19, refer) = (100.0 * self.covid19_at_least, 100.0 * self.refer_below);
        write!(f, "covid19 from {covid19:.1} %, refer below {refer:.1} %")
    }
}

/// What is done to logits before the softmax, so that probabilities are as high as answers are right. Each logit is divided
/// by the temperature (Guo et al. 2017, "On calibration of modern neural networks"), then its class's bias is added
/// (bias-corrected temperature scaling, Alexandari et al. 2020, "Maximum likelihood with bias-corrected calibration is
/// hard-to-beat at label shift adaptation").
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Divides each logit; positive.
    pub temperature: f64,
    /// Added to each class's divided logit, in the order of [`Class::ALL`].
    pub bias: [f64; 3],
}

impl Scaling {
    /// Leaves the logits as they are.
    pub const NONE: Scaling = Scaling { temperature: 1.0, bias: [0.0; 3] };
}

/// An operating point by name, with the scaling of the capture profile it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The operating point's name in the bundle.
    pub name: String,
    /// Scaling of the logits.
    pub scaling: Scaling,
    /// A film with a higher out-of-distribution score ([`crate::ood`]) is refused.
    pub ood_above: f64,
    /// The thresholds.
    pub point: OperatingPoint,
}

/// What the rule says about a film that passed the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// One of the classes, or [`Outcome::Refer`].
    pub outcome: Outcome,
    /// The most probable class, whatever the outcome.
    pub top: Class,
    /// The calibrated probabilities.
    pub probabilities: Probabilities,
    /// Why the film is referred; empty otherwise.
    pub reasons: Vec<Reason>,
}

/// The softmax of scaled logits, in the order of [`Class::ALL`]. Large logits do not overflow; logits that are not finite
/// give probabilities that are not.
pub fn probabilities(logits: &[f32; 3], scaling: &Scaling) -> Probabilities {
    let scaled: [f64; 3] =
        std::array::from_fn(|class| f64::from(logits[class]) / scaling.temperature + scaling.bias[class]);
    let highest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials = scaled.map(|logit| (logit - highest).exp());
    let sum: f64 = exponentials.iter().sum();
    let [covid19, pneumonia, normal] = exponentials.map(|exponential| exponential / sum);
    Probabilities { covid19, pneumonia, normal }
}

/// Applies `rule` to the network's logits.
///
/// ```
/// use xray_triage_core::decision::{OperatingPoint, Outcome, Rule, Scaling, decide};
///
/// let point = OperatingPoint { covid19_at_least: 0.4, refer_below: 0.5 };
/// let rule = Rule { name: "example".into(), scaling: Scaling::NONE, ood_above: 1.0, point };
/// let verdict = decide(&[0.0, 0.0, 3.0], &rule);
/// assert_eq!(verdict.outcome, Outcome::Normal);
/// assert!(verdict.probabilities.normal > 0.9);
/// ```
///
/// - The film is referred when the highest probability is below `refer_below`, or is no number because a logit was not
///   finite.
/// - Otherwise it is COVID-19 from `covid19_at_least` on, even if another class is more probable.
/// - Below that it is the most probable class if that is pneumonia or normal. If it is COVID-19, the film is referred: no
///   film is called pneumonia or normal while COVID-19 is more probable than that.
pub fn decide(logits: &[f32; 3], rule: &Rule) -> Verdict {
    let probabilities = probabilities(logits, &rule.scaling);
    let top = probabilities.top();
    let confident = probabilities.of(top) >= rule.point.refer_below;
    let outcome = match top {
        _ if !confident => Outcome::Refer,
        _ if probabilities.covid19 >= rule.point.covid19_at_least => Outcome::Covid19,
        Class::Covid19 => Outcome::Refer,
        Class::Pneumonia | Class::Normal => top.into(),
    };
    let reasons = if outcome == Outcome::Refer { vec![Reason::LowConfidence] } else { vec![] };
    Verdict { outcome, top, probabilities, reasons }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(covid19_at_least: f64, refer_below: f64) -> Rule {
        Rule {
            name: "test".into(),
            scaling: Scaling::NONE,
            ood_above: 1.0,
            point: OperatingPoint { covid19_at_least, refer_below },
        }
    }

    /// Logits whose softmax at temperature 1 is exactly these probabilities.
    fn logits(probabilities: [f32; 3]) -> [f32; 3] {
        probabilities.map(f32::ln)
    }

    #[test]
    fn softmax_survives_huge_logits() {
        let p = probabilities(&[3e38, -3e38, 3e38], &Scaling { temperature: 0.01, ..Scaling::NONE });
        assert_eq!([p.covid19, p.pneumonia, p.normal], [0.5, 0.0, 0.5]);
    }

    #[test]
    fn temperature_flattens() {
        let hot = probabilities(&[2.0, 1.0, 0.0], &Scaling { temperature: 4.0, ..Scaling::NONE });
        let expected = (0.5f64).exp() / ((0.5f64).exp() + (0.25f64).exp() + 1.0);
        assert!((hot.covid19 - expected).abs() < 1e-12);
    }

    #[test]
    fn a_bias_is_added_after_the_temperature() {
        let scaling = Scaling { temperature: 2.0, bias: [0.5, 0.0, -1.0] };
        let p = probabilities(&[2.0, 3.0, 5.0], &scaling);
        // All three scaled logits are 1.5.
        for class in Class::ALL {
            assert!((p.of(class) - 1.0 / 3.0).abs() < 1e-12, "{p:?}");
        }
    }

    #[test]
    fn covid19_wins_from_its_threshold_even_when_not_on_top() {
        let verdict = decide(&logits([0.35, 0.55, 0.10]), &rule(0.30, 0.5));
        assert_eq!((verdict.outcome, verdict.top), (Outcome::Covid19, Class::Pneumonia));
    }

    #[test]
    fn below_its_threshold_covid19_on_top_is_referred() {
        let verdict = decide(&logits([0.68, 0.08, 0.24]), &rule(0.90, 0.5));
        assert_eq!((verdict.outcome, verdict.top), (Outcome::Refer, Class::Covid19));
        assert_eq!(verdict.reasons, [Reason::LowConfidence]);
    }

    proptest! {
        /// The bars on the screen and the word above them agree.
        #[test]
        fn pneumonia_and_normal_are_the_most_probable_class(
            logits in prop::array::uniform3(-8.0..8.0f32),
            covid19_at_least in 0.0..=1.0,
            refer_below in 0.0..=1.0,
        ) {
            let verdict = decide(&logits, &rule(covid19_at_least, refer_below));
            let covid19 = verdict.probabilities.covid19;
            match verdict.outcome {
                Outcome::Covid19 => prop_assert!(covid19 >= covid19_at_least),
                Outcome::Refer => prop_assert!(
                    verdict.probabilities.of(verdict.top) < refer_below
                        || verdict.top == Class::Covid19 && covid19 < covid19_at_least
                ),
                outcome => prop_assert_eq!(outcome.class(), Some(verdict.top)),
            }
        }
    }

    #[test]
    fn unsure_films_are_referred() {
        let verdict = decide(&logits([0.4, 0.35, 0.25]), &rule(0.3, 0.5));
        assert_eq!((verdict.outcome, verdict.top), (Outcome::Refer, Class::Covid19));
        assert_eq!(verdict.reasons, [Reason::LowConfidence]);
    }

    #[test]
    fn logits_that_are_no_numbers_are_referred() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..3 {
                let mut logits = [1.0; 3];
                logits[place] = bad;
                if bad == f32::NEG_INFINITY {
                    // A probability of exactly 0 is still a probability: the rule decides.
                    assert_eq!(probabilities(&logits, &Scaling::NONE).of(Class::ALL[place]), 0.0);
                } else {
                    assert_eq!(decide(&logits, &rule(0.5, 0.4)).outcome, Outcome::Refer);
                }
            }
        }
        assert_eq!(decide(&[f32::NEG_INFINITY; 3], &rule(0.5, 0.4)).outcome, Outcome::Refer);
    }
}
