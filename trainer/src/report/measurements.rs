//! Saved measurements: what `trainer evaluate`, `localize`, `ood` and `compare` print with `--json`, what `trainer
//! ablation` leaves, and what `xray-triage triage --json` prints, for speed.
//!
//! Each measurement must be of one of the models that the report is about. Comparisons name their networks themselves and
//! may be of any.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;
use xray_triage_core::bundle::{Manifest, sha256_hex};
use xray_triage_core::film::Profile;

use crate::measure::compare::Comparison;
use crate::measure::evaluate::{Evaluation, LungView};
use crate::measure::localize::Localization;
use crate::measure::ood::OodTest;

use super::ReportError;
use super::latency::{Latency, TimedFilm};

/// A file of a measurement, for the list at the end of the report.
#[derive(Clone, Debug)]
pub struct MeasurementFile {
    /// The file's name without folders.
    pub name: String,
    /// SHA-256 of the bytes that were read.
    pub sha256: String,
    /// What the file holds, in words.
    pub content: String,
}

/// The measurements of all files.
#[derive(Default)]
pub struct Measurements {
    /// The files that were read, in their order.
    pub files: Vec<MeasurementFile>,
    /// Those of `trainer evaluate`.
    pub evaluations: Vec<Evaluation>,
    /// Those of `trainer localize`.
    pub localizations: Vec<Localization>,
    /// Those of `trainer ood`.
    pub ood_tests: Vec<OodTest>,
    /// Those of `trainer compare` and `trainer ablation`.
    pub comparisons: Vec<Comparison>,
    /// The times on each machine, with the SHA-256 of the network that was timed.
    pub latencies: Vec<(String, Latency)>,
}

/// Why the content of a file is not taken.
enum Refusal {
    /// It holds no measurement, or one that cannot be used.
    NotAMeasurement(String),
    /// It is of a model that the report is not about.
    OtherModel { id: String, sha256: String },
    /// The same measurement was read before.
    Twice,
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Refusal::NotAMeasurement(error.to_string())
    }
}

impl Measurements {
    /// Reads files. `models` are the manifests of the models that the report is about.
    ///
    /// # Errors
    /// A file cannot be read or holds no measurement, a measurement is of another model, or one is there twice.
    pub fn read(files: &[PathBuf], models: &[&Manifest]) -> Result<Measurements, ReportError> {
        let mut measurements = Measurements::default();
        for path in files {
            let bytes = std::fs::read(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
            let content = measurements.add(path, &bytes, models).map_err(|refusal| match refusal {
                Refusal::NotAMeasurement(reason) => ReportError::NotAMeasurement { path: path.into(), reason },
                Refusal::Twice => ReportError::Twice(path.into()),
                Refusal::OtherModel { id, sha256 } => ReportError::OtherModel {
                    path: path.into(),
                    id,
                    sha256,
                    known: models.iter().map(|model| format!("{} ({})", model.id, model.sha256)).collect(),
                },
            })?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            measurements.files.push(MeasurementFile { name, sha256: sha256_hex(&bytes), content });
        }
        Ok(measurements)
    }

    /// Takes the content of a file, and says in words what it is. The kind of measurement is told by a key that only this
    /// kind has.
    fn add(&mut self, path: &Path, bytes: &[u8], models: &[&Manifest]) -> Result<String, Refusal> {
        let values = serde_json::Deserializer::from_slice(bytes).into_iter().collect::<Result<Vec<Value>, _>>()?;
        let Some(first) = values.first() else { return Err(Refusal::NotAMeasurement("it is empty".into())) };
        let has = |key: &str| first.get(key).is_some();
        if has("groups") {
            self.add_evaluation(single(values)?, models)
        } else if has("empty_maps") {
            self.add_localization(single(values)?, models)
        } else if has("foreign_refused") {
            self.add_ood_test(single(values)?, models)
        } else if has("pairs") {
            self.add_comparison(single(values)?)
        } else if has("timings_ms") {
            let films = values.into_iter().map(serde_json::from_value).collect::<Result<Vec<TimedFilm>, _>>()?;
            self.add_times(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), &films, models)
        } else {
            Err(Refusal::NotAMeasurement("it is none of the known measurements".into()))
        }
    }

    fn add_evaluation(&mut self, evaluation: Evaluation, models: &[&Manifest]) -> Result<String, Refusal> {
        model(models, &evaluation.model, &evaluation.sha256)?;
        // Evaluations at single levels of the simulator have groups of other names.
        let first = |evaluation: &Evaluation| evaluation.groups.first().map(|group| group.name.clone());
        let Evaluation { sha256, split, photographs, lungs, .. } = &evaluation;
        let same = |other: &Evaluation| {
            other.profile == evaluation.profile
                && other.operating_point == evaluation.operating_point
                && first(other) == first(&evaluation)
        };
        if self.evaluations(sha256, split, *photographs, *lungs).any(same) {
            return Err(Refusal::Twice);
        }
        let content = format!("evaluation of {}, {}", evaluation.model, conditions(&evaluation));
        self.evaluations.push(evaluation);
        Ok(content)
    }

    fn add_localization(&mut self, localization: Localization, models: &[&Manifest]) -> Result<String, Refusal> {
        model(models, &localization.model, &localization.sha256)?;
        if self.localization(&localization.sha256, &localization.split).is_some() {
            return Err(Refusal::Twice);
        }
        let content = format!("activation maps of {}, split {}", localization.model, localization.split);
        self.localizations.push(localization);
        Ok(content)
    }

    fn add_ood_test(&mut self, test: OodTest, models: &[&Manifest]) -> Result<String, Refusal> {
        if model(models, &test.model, &test.sha256)?.ood.sha256 != test.ood_sha256 {
            let reason = "it was measured with another out-of-distribution model than the bundle's";
            return Err(Refusal::NotAMeasurement(reason.into()));
        }
        if self.ood_test(&test.sha256, &test.split).is_some() {
            return Err(Refusal::Twice);
        }
        let content = format!("out-of-distribution score of {}, split {}", test.model, test.split);
        self.ood_tests.push(test);
        Ok(content)
    }

    fn add_comparison(&mut self, comparison: Comparison) -> Result<String, Refusal> {
        if self.comparisons.contains(&comparison) {
            return Err(Refusal::Twice);
        }
        let names: Vec<&str> = comparison.models.iter().map(|model| model.model.as_str()).collect();
        let content = format!("comparison of {}, split {}", names.join(", "), comparison.split);
        self.comparisons.push(comparison);
        Ok(content)
    }

    fn add_times(&mut self, machine: String, films: &[TimedFilm], models: &[&Manifest]) -> Result<String, Refusal> {
        let model = model(models, &films[0].model.id, &films[0].model.sha256)?;
        if films.iter().any(|film| film.model.sha256 != model.sha256) {
            return Err(Refusal::NotAMeasurement("its lines are of several models".into()));
        }
        let Some(latency) = Latency::of(machine, films) else {
            return Err(Refusal::NotAMeasurement("the network saw none of its films".into()));
        };
        if self.latencies.iter().any(|(sha256, other)| *sha256 == model.sha256 && other.name == latency.name) {
            return Err(Refusal::Twice);
        }
        let content = format!("times of {} films with {}", latency.films, model.id);
        self.latencies.push((model.sha256.clone(), latency));
        Ok(content)
    }

    /// The evaluation of a network, by its SHA-256, on the film files of a split, for which neither a profile nor an
    /// operating point was given.
    pub fn evaluation<'a>(
        &'a self,
        sha256: &'a str,
        split: &'a str,
        lungs: Option<LungView>,
    ) -> Option<&'a Evaluation> {
        self.evaluations(sha256, split, None, lungs)
            .find(|evaluation| evaluation.profile.is_none() && evaluation.operating_point.is_none())
    }

    /// The evaluations of a network on a split under these conditions, whatever the profile and the operating point.
    pub fn evaluations<'a>(
        &'a self,
        sha256: &'a str,
        split: &'a str,
        photographs: Option<Profile>,
        lungs: Option<LungView>,
    ) -> impl Iterator<Item = &'a Evaluation> {
        self.evaluations.iter().filter(move |evaluation| {
            evaluation.sha256 == sha256
                && evaluation.split == split
                && evaluation.photographs == photographs
                && evaluation.lungs == lungs
        })
    }

    /// The measurement of a network's activation maps on a split.
    pub fn localization(&self, sha256: &str, split: &str) -> Option<&Localization> {
        self.localizations.iter().find(|maps| maps.sha256 == sha256 && maps.split == split)
    }

    /// The measurement of the out-of-distribution score that goes with a network, on the films of a split.
    pub fn ood_test(&self, sha256: &str, split: &str) -> Option<&OodTest> {
        self.ood_tests.iter().find(|test| test.sha256 == sha256 && test.split == split)
    }
}

/// The model of the report with this network.
fn model<'a>(models: &[&'a Manifest], id: &str, sha256: &str) -> Result<&'a Manifest, Refusal> {
    let known = models.iter().find(|model| model.sha256 == sha256).copied();
    known.ok_or_else(|| Refusal::OtherModel { id: id.into(), sha256: sha256.into() })
}

/// On what an evaluation was done, in words.
fn conditions(evaluation: &Evaluation) -> String {
    let mut text = format!("split {}", evaluation.split);
    if let Some(profile) = evaluation.photographs {
        text += &format!(", simulated photographs ({})", profile.name());
    }
    text += match evaluation.lungs {
        None => "",
        Some(LungView::Shown) => ", films with a lung mask",
        Some(LungView::Hidden) => ", lungs hidden",
        Some(LungView::Only) => ", lungs only",
    };
    if let Some(profile) = evaluation.profile {
        text += &format!(", profile {}", profile.name());
    }
    if let Some(point) = &evaluation.operating_point {
        text += &format!(", operating point {point}");
    }
    text
}

/// The value of a file that must hold one value.
fn single<T: DeserializeOwned>(values: Vec<Value>) -> Result<T, Refusal> {
    match <[Value; 1]>::try_from(values) {
        Ok([value]) => Ok(serde_json::from_value(value)?),
        Err(values) => {
            Err(Refusal::NotAMeasurement(format!("it holds {} measurements, but may hold one", values.len())))
        }
    }
}
