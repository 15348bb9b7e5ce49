//! Saved measurements: what `trainer evaluate`, `localize`, `foreign` and `compare` print with `--json`, what `trainer
//! ablation` leaves, and `xray-triage triage --json` for speed. Each must have been taken with one of the bundles that
//! the report is about, but for comparisons, which name their networks themselves.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;
use xray_triage_core::bundle::{Manifest, sha256_hex};
use xray_triage_core::film::Profile;

use crate::bundle::ood::ForeignTest;
use crate::measure::compare::Comparison;
use crate::measure::evaluate::{Evaluation, LungView};
use crate::measure::localize::Localization;

use super::ReportError;
use super::latency::{Latency, TimedFilm};

/// A file that was read.
#[derive(Clone, Debug)]
pub struct RecordFile {
    /// Its name without folders.
    pub name: String,
    pub sha256: String,
    /// What is in it.
    pub content: String,
}

/// The measurements of all files.
#[derive(Default)]
pub struct Records {
    pub files: Vec<RecordFile>,
    pub evaluations: Vec<Evaluation>,
    pub localizations: Vec<Localization>,
    pub foreign: Vec<ForeignTest>,
    pub comparisons: Vec<Comparison>,
    /// With the SHA-256 of the network that was timed.
    pub latencies: Vec<(String, Latency)>,
}

impl Records {
    /// Reads files; every measurement must be one of `models`, and none may be there twice.
    pub fn read(files: &[PathBuf], models: &[&Manifest]) -> Result<Records, ReportError> {
        let mut records = Records::default();
        for file in files {
            records.add(file, models)?;
        }
        Ok(records)
    }

    fn add(&mut self, path: &Path, models: &[&Manifest]) -> Result<(), ReportError> {
        let bytes = std::fs::read(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
        let not_a_record = |reason: String| ReportError::NotARecord { path: path.into(), reason };
        let values = serde_json::Deserializer::from_slice(&bytes)
            .into_iter::<Value>()
            .collect::<Result<Vec<Value>, _>>()
            .map_err(|error| not_a_record(error.to_string()))?;
        let Some(first) = values.first() else { return Err(not_a_record("it is empty".into())) };
        let has = |key: &str| first.get(key).is_some();
        let known = |id: &str, sha256: &str| match models.iter().find(|model| model.sha256 == sha256) {
            Some(model) => Ok(*model),
            None => Err(ReportError::ForeignModel {
                path: path.into(),
                id: id.into(),
                sha256: sha256.into(),
                known: models.iter().map(|model| format!("{} ({})", model.id, model.sha256)).collect(),
            }),
        };
        let twice = || ReportError::Twice(path.into());
        let name = |end: Option<&std::ffi::OsStr>| end.unwrap_or_default().to_string_lossy().into_owned();
        let content;
        if has("groups") {
            let evaluation: Evaluation = single(values).map_err(not_a_record)?;
            known(&evaluation.model, &evaluation.sha256)?;
            let first = |evaluation: &Evaluation| evaluation.groups.first().map(|group| group.name.clone());
            let Evaluation { sha256, split, photographs, lungs, .. } = &evaluation;
            // Those of single levels of the simulator have groups of other names.
            let same = |other: &Evaluation| {
                other.profile == evaluation.profile
                    && other.operating_point == evaluation.operating_point
                    && first(other) == first(&evaluation)
            };
            if self.evaluations(sha256, split, *photographs, *lungs).any(same) {
                return Err(twice());
            }
            content = format!("evaluation of {}, {}", evaluation.model, conditions(&evaluation));
            self.evaluations.push(evaluation);
        } else if has("empty_maps") {
            let localization: Localization = single(values).map_err(not_a_record)?;
            known(&localization.model, &localization.sha256)?;
            if self.localization(&localization.sha256, &localization.split).is_some() {
                return Err(twice());
            }
            content = format!("activation maps of {}, split {}", localization.model, localization.split);
            self.localizations.push(localization);
        } else if has("foreign_refused") {
            let foreign: ForeignTest = single(values).map_err(not_a_record)?;
            let model = known(&foreign.model, &foreign.sha256)?;
            if model.ood.sha256 != foreign.film_space_sha256 {
                return Err(not_a_record("it was measured with another film space than the bundle's".into()));
            }
            if self.foreign(&foreign.sha256, &foreign.split).is_some() {
                return Err(twice());
            }
            content = format!("film space of {}, split {}", foreign.model, foreign.split);
            self.foreign.push(foreign);
        } else if has("pairs") {
            let comparison: Comparison = single(values).map_err(not_a_record)?;
            if self.comparisons.contains(&comparison) {
                return Err(twice());
            }
            let models: Vec<&str> = comparison.models.iter().map(|model| model.model.as_str()).collect();
            content = format!("comparison of {}, split {}", models.join(", "), comparison.split);
            self.comparisons.push(comparison);
        } else if has("timings_ms") {
            let films: Vec<TimedFilm> = values
                .into_iter()
                .map(serde_json::from_value)
                .collect::<Result<_, _>>()
                .map_err(|error| not_a_record(error.to_string()))?;
            let model = known(&films[0].model.id, &films[0].model.sha256)?;
            if films.iter().any(|film| film.model.sha256 != model.sha256) {
                return Err(not_a_record("its lines are of several models".into()));
            }
            let machine = name(path.file_stem());
            let latency =
                Latency::of(machine, &films).ok_or_else(|| not_a_record("the network saw none of its films".into()))?;
            if self.latencies.iter().any(|(sha256, other)| *sha256 == model.sha256 && other.name == latency.name) {
                return Err(twice());
            }
            content = format!("times of {} films with {}", latency.films, model.id);
            self.latencies.push((model.sha256.clone(), latency));
        } else {
            return Err(not_a_record("it is none of the known measurements".into()));
        }
        self.files.push(RecordFile { name: name(path.file_name()), sha256: sha256_hex(&bytes), content });
        Ok(())
    }

    /// The evaluation of a network (by its SHA-256) on the film files of a split for which neither a profile nor an
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

    /// The activation maps of a network on a split.
    pub fn localization(&self, sha256: &str, split: &str) -> Option<&Localization> {
        self.localizations.iter().find(|maps| maps.sha256 == sha256 && maps.split == split)
    }

    /// The film space that goes with a network, on the films of a split.
    pub fn foreign(&self, sha256: &str, split: &str) -> Option<&ForeignTest> {
        self.foreign.iter().find(|foreign| foreign.sha256 == sha256 && foreign.split == split)
    }
}

/// What an evaluation was taken of.
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

/// The one value of a file that should hold one.
fn single<T: DeserializeOwned>(values: Vec<Value>) -> Result<T, String> {
    match <[Value; 1]>::try_from(values) {
        Ok([value]) => serde_json::from_value(value).map_err(|error| error.to_string()),
        Err(values) => Err(format!("it holds {} measurements, but may hold one", values.len())),
    }
}
