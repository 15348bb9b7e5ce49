//! The record of one film: what was seen, judged and measured, as `--json` prints it and the case log keeps it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decision::{Class, OperatingPoint, Outcome, Probabilities};
use crate::film::{Outline, Profile};
use crate::gate::Quality;

/// The reason code of a record whose film was good but whose network failed.
pub(crate) const NETWORK_FAULT: &str = "network_fault";

/// Which model gave a verdict.
#[derive(Clone, Debug, Serialize)]
pub struct ModelName {
    /// The bundle's id.
    pub id: String,
    /// SHA-256 of the network.
    pub sha256: String,
}

/// What became of one film: the object `--json` prints.
#[derive(Serialize)]
pub struct Record {
    /// The file as named by the caller.
    pub file: String,
    /// The verdict, or that there is none.
    pub outcome: Outcome,
    /// The most probable class, if the network saw the film.
    pub top: Option<Class>,
    /// Calibrated probabilities, if the network saw the film.
    pub probabilities: Option<Probabilities>,
    /// Codes that say why the film was refused or referred.
    pub reasons: Vec<&'static str>,
    /// For each reason, what happened and what to do.
    #[serde(skip)]
    pub advice: Vec<String>,
    /// What went wrong, if the file could not be read or the network failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The gate's measures.
    pub quality: Option<Quality>,
    /// How far the rectified film is from what chest films look like ([`OodModel::score`](crate::ood::OodModel::score)),
    /// if it passed the gate.
    #[serde(rename = "unfamiliarity")]
    pub ood_score: Option<f64>,
    /// The capture profile used.
    pub profile: Option<Profile>,
    /// The operating point used.
    pub operating_point: Option<String>,
    /// Its thresholds.
    #[serde(skip)]
    pub thresholds: Option<OperatingPoint>,
    /// The model used.
    pub model: ModelName,
    /// Where the film lies in the picture.
    #[serde(rename = "film")]
    pub outline: Option<Outline>,
    /// Wall-clock milliseconds by stage, those that ran, and `total`.
    pub timings_ms: BTreeMap<&'static str, f64>,
    /// This program's version.
    pub version: &'static str,
}

impl Record {
    /// The words of the network's error, if the film could be judged but the network failed on it. The film is refused
    /// then, but nothing is wrong with it.
    pub fn network_error(&self) -> Option<&str> {
        if self.reasons.contains(&NETWORK_FAULT) { self.error.as_deref() } else { None }
    }
}
