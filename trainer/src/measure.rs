//! How good a bundle or a network is, measured on labelled films.
//!
//! [`judgement`] is what the device said of a film. [`estimate`], [`roc`] and [`calibration_error`] make figures of
//! judgements, and [`metrics`] are the figures of a set of films. On these build the measurements: [`evaluate`],
//! [`compare`], [`ablation`], [`localize`], [`ood`] and [`probe`]. [`to_json`] writes a measurement as it is saved.

pub mod ablation;
pub mod calibration_error;
pub mod compare;
pub mod estimate;
pub mod evaluate;
pub mod judgement;
pub mod localize;
pub mod metrics;
pub mod ood;
pub mod probe;
pub mod roc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a measurement cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The measurement cannot be written as JSON.
    #[error("the measurement cannot be written as JSON: {0}")]
    Encode(serde_json::Error),
    /// A figure that must be a number is none: JSON has no word for NaN and infinity.
    #[error("a figure of the measurement is not a finite number ({0}); nothing was saved. Please report this")]
    NotFinite(serde_json::Error),
}

/// A measurement as one line of JSON, as `--json` prints it.
///
/// # Errors
/// A figure is NaN or infinite, so that the measurement could not be read again.
pub fn to_json<T: Serialize + DeserializeOwned>(measurement: &T) -> Result<String, SaveError> {
    readable::<T>(serde_json::to_string(measurement))
}

/// A measurement as indented JSON, for a file that people look into.
///
/// # Errors
/// Those of [`to_json`].
pub fn to_pretty_json<T: Serialize + DeserializeOwned>(measurement: &T) -> Result<String, SaveError> {
    readable::<T>(serde_json::to_string_pretty(measurement))
}

/// The text, if a `T` can be read from it. JSON writes a number that is not finite as null, which is no number.
fn readable<T: DeserializeOwned>(text: serde_json::Result<String>) -> Result<String, SaveError> {
    let text = text.map_err(SaveError::Encode)?;
    serde_json::from_str::<T>(&text).map_err(SaveError::NotFinite)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use xray_triage_core::decision::{Class, Outcome, Probabilities};

    use super::estimate::Estimate;
    use super::judgement::Judgement;
    use super::*;

    /// A film that the network saw. The probabilities are in the order of [`Class::ALL`].
    pub(crate) fn judgement(truth: Class, [covid19, pneumonia, normal]: [f64; 3]) -> Judgement {
        let probabilities = Probabilities { covid19, pneumonia, normal };
        Judgement { truth, patient: None, outcome: probabilities.top().into(), probabilities: Some(probabilities) }
    }

    /// A film that was refused before the network saw it.
    pub(crate) fn refused(truth: Class) -> Judgement {
        Judgement { truth, patient: None, outcome: Outcome::Refused, probabilities: None }
    }

    #[test]
    fn a_figure_that_is_no_finite_number_is_not_saved() {
        let figure = |value| Estimate { value, low: 0.25, high: 0.75 };
        assert_eq!(to_json(&figure(0.5)).unwrap(), r#"{"value":0.5,"low":0.25,"high":0.75}"#);
        for value in [f64::NAN, f64::INFINITY] {
            let error = to_json(&figure(value)).unwrap_err();
            assert!(matches!(error, SaveError::NotFinite(_)), "{error}");
            assert!(to_pretty_json(&figure(value)).is_err());
        }
    }
}
