//! What the device said of a labelled film.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use xray_triage_core::decision::{Class, Outcome, Probabilities};

/// A film's true class beside what the device made of the film. All figures are computed from these.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Judgement {
    /// The film's label, which counts as the truth.
    #[serde(rename = "label")]
    pub truth: Class,
    /// A number for the film's patient ([`patient_number`]). `None` if the patient is not known, and in measurements older
    /// than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<u32>,
    /// What became of the film at the operating point.
    pub outcome: Outcome,
    /// The calibrated probabilities. `None` where the film was refused before the network saw it.
    pub probabilities: Option<Probabilities>,
}

/// A number for a patient's id: the first bytes of its SHA-256. `None` for an empty id.
pub fn patient_number(id: &str) -> Option<u32> {
    let hash: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let [a, b, c, d, ..] = hash;
    (!id.is_empty()).then(|| u32::from_be_bytes([a, b, c, d]))
}

impl Judgement {
    /// The most probable class. `None` if the network did not see the film.
    pub fn top(&self) -> Option<Class> {
        self.probabilities.map(|probabilities| probabilities.top())
    }

    /// Whether the most probable class is the true one. A film that the network did not see counts as wrong.
    pub fn is_right(&self) -> bool {
        self.top() == Some(self.truth)
    }

    /// The probability of the most probable class, 0..=1. `None` if the network did not see the film.
    pub fn confidence(&self) -> Option<f64> {
        self.probabilities.map(|probabilities| probabilities.of(probabilities.top()))
    }
}
