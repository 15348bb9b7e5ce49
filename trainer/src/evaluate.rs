//! What a bundle says about labelled films, through the device library: picture, film, gate, network and triage as on
//! the box.

use std::path::Path;

use serde::Serialize;
use xray_triage::pipeline::Triage;

use crate::dataset::Film;
use crate::metrics::{Judged, Metrics};

/// The figures of a split, and of its parts.
#[derive(Serialize)]
pub struct Evaluation {
    /// The bundle's id.
    pub model: String,
    /// SHA-256 of its network.
    pub sha256: String,
    pub split: String,
    pub groups: Vec<Group>,
}

/// The figures of some films of a split.
#[derive(Serialize)]
pub struct Group {
    pub name: String,
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// Judges every film file.
pub fn judge(triage: &Triage, films: &[Film]) -> Vec<Judged> {
    films.iter().map(|film| judge_file(triage, film, &film.path)).collect()
}

/// Judges `path`, a picture of `film`.
pub fn judge_file(triage: &Triage, film: &Film, path: &Path) -> Judged {
    let record = triage.assess_file(path).record;
    if let Some(error) = &record.error {
        log::warn!("{error}");
    }
    Judged { truth: film.label, outcome: record.outcome, probabilities: record.probabilities }
}

/// The figures of all films and of each part worth a look on its own: the paper's protocol, each source (where source
/// and class go together, a model can score by telling sources apart) and each view.
pub fn evaluate(triage: &Triage, split: &str, films: &[Film], judged: &[Judged]) -> Evaluation {
    let mut groups = Vec::new();
    let mut add = |name: String, wanted: &dyn Fn(&Film) -> bool| {
        let part: Vec<Judged> =
            films.iter().zip(judged).filter(|(film, _)| wanted(film)).map(|(_, judged)| *judged).collect();
        if !part.is_empty() {
            groups.push(Group { name, metrics: Metrics::of(&part) });
        }
    };
    add("all".into(), &|_| true);
    for protocol in distinct(films, |film| &film.protocol) {
        add(format!("protocol {protocol}"), &|film| film.protocol == protocol);
    }
    for source in distinct(films, |film| &film.source) {
        add(format!("source {source}"), &|film| film.source == source);
    }
    for view in distinct(films, |film| &film.view) {
        add(format!("view {view}"), &|film| film.view == view);
    }
    let model = triage.model();
    Evaluation { model: model.id.clone(), sha256: model.sha256.clone(), split: split.into(), groups }
}

fn distinct(films: &[Film], value: impl Fn(&Film) -> &String) -> Vec<String> {
    let mut values: Vec<String> = films.iter().map(|film| value(film).clone()).filter(|v| !v.is_empty()).collect();
    values.sort();
    values.dedup();
    values
}

impl std::fmt::Display for Evaluation {
    /// A table in Markdown; shares in percent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}", 100.0 * share));
        writeln!(f, "model {} on split {}\n", self.model, self.split)?;
        writeln!(
            f,
            "| films | n | accuracy (95 % interval) | recall COVID-19 | recall pneumonia | recall normal | macro AUROC | \
             ECE | refused | decided | right when decided |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|")?;
        for group in &self.groups {
            let m = &group.metrics;
            let recalls: Vec<String> = m.classes.iter().map(|class| percent(class.recall)).collect();
            writeln!(
                f,
                "| {} | {} | {:.1} ({:.1}-{:.1}) | {} | {} | {:.3} | {} | {} | {} |",
                group.name,
                m.films,
                100.0 * m.accuracy.value,
                100.0 * m.accuracy.low,
                100.0 * m.accuracy.high,
                recalls.join(" | "),
                m.macro_auroc.map_or("-".into(), |auroc| format!("{auroc:.3}")),
                m.expected_calibration_error,
                m.refused,
                percent(Some(m.decided)),
                percent(m.accuracy_of_decided),
            )?;
        }
        Ok(())
    }
}
