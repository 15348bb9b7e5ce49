//! The parts of the card on the model itself and on its training: they come from the manifest and from training runs.

use toml::{Table, Value};
use xray_triage_core::bundle::Manifest;

use crate::bundle::probabilities;
use crate::markdown::plain;
use crate::report::ReportError;
use crate::report::document::Part;
use crate::report::plots;

use super::Facts;

impl Facts<'_> {
    /// What the model is: its id, hash, size, architecture and input.
    pub(super) fn model(&self) -> Part {
        let manifest = self.manifest();
        let architecture = manifest.training.get("architecture").and_then(Value::as_table);
        let blocks = architecture.and_then(|architecture| architecture.get("blocks")).map_or("-".into(), shown);
        Part::table(
            &["", ""],
            [
                vec!["Id".into(), plain(&manifest.id)],
                vec!["SHA-256 of the network".into(), format!("`{}`", manifest.sha256)],
                vec!["Size of the network".into(), format!("{:.1} MB", self.bundle.model.len() as f64 / 1e6)],
                vec!["Layers in the dense blocks".into(), plain(&blocks)],
                vec!["Attention after each block".into(), attention(manifest)],
                vec!["Input".into(), format!("{0} x {0} pixels, gray", manifest.input.size)],
                vec!["Bundle format".into(), manifest.format_version.to_string()],
            ],
        )
    }

    /// The scaling and the thresholds of each profile and operating point.
    pub(super) fn thresholds(&self) -> Part {
        let rows = self.manifest().profiles.iter().flat_map(|(profile, calibration)| {
            calibration.operating_points.iter().map(move |(name, point)| {
                let default = if *name == calibration.default_operating_point { " (default)" } else { "" };
                vec![
                    profile.name().into(),
                    format!("{:.3}", calibration.scaling.temperature),
                    probabilities::shown_bias(&calibration.scaling),
                    format!("{}{default}", plain(name)),
                    point.to_string(),
                    calibration.ood_above.to_string(),
                ]
            })
        });
        Part::table(
            &[
                "picture",
                "temperature",
                "bias by class",
                "operating point",
                "thresholds",
                "refused as out-of-distribution above",
            ],
            rows,
        )
    }

    /// The settings of the training, as the manifest names them.
    pub(super) fn training(&self) -> Part {
        let mut rows = Vec::new();
        flatten("", &self.manifest().training, &mut rows);
        Part::table(&["setting", "value"], rows)
    }

    /// The training runs, as a table and with their curves as figures.
    pub(super) fn training_curves(&self) -> Result<Vec<Part>, ReportError> {
        if self.runs.is_empty() {
            return Ok(vec![Part::Text("*No run* was given for training curves (`--run`).".into())]);
        }
        let rows = self.runs.iter().map(|run| {
            let mut sizes: Vec<String> = run.epochs.iter().map(|epoch| epoch.size.to_string()).collect();
            sizes.dedup();
            let best = run.best();
            vec![
                plain(&run.name),
                run.epochs.len().to_string(),
                sizes.join(", "),
                best.map_or("-".into(), |epoch| format!("{:.1}", 100.0 * epoch.val_accuracy)),
                best.map_or("-".into(), |epoch| epoch.epoch.to_string()),
            ]
        });
        let header =
            ["run", "epochs", "input sizes, pixels", "best validation accuracy at the last size, %", "in epoch"];
        let mut parts = vec![Part::table(&header, rows)];
        for run in &self.runs {
            parts.push(Part::Figure {
                svg: plots::training(run)?,
                caption: format!("Training curves of {}. Thin: training; thick: validation", run.name),
            });
        }
        Ok(parts)
    }
}

/// The model's attention, as its training settings name it, with the source.
pub(super) fn attention(manifest: &Manifest) -> String {
    let architecture = manifest.training.get("architecture").and_then(Value::as_table);
    match architecture.and_then(|architecture| architecture.get("attention")).and_then(Value::as_str) {
        Some("cbam") => "CBAM (Woo et al. 2018)".into(),
        Some("se") => "squeeze-and-excitation (Hu et al. 2018)".into(),
        Some("none") => "none".into(),
        Some(other) => plain(other),
        None => "not named in the manifest".into(),
    }
}

/// Adds a row for each setting. The names of settings in a table within the table are joined by dots.
fn flatten(prefix: &str, table: &Table, rows: &mut Vec<Vec<String>>) {
    for (name, value) in table {
        match value {
            Value::Table(table) => flatten(&format!("{prefix}{name}."), table, rows),
            value => rows.push(vec![plain(&format!("{prefix}{name}")), plain(&shown(value))]),
        }
    }
}

/// A setting as text. Numbers have single precision, as the trainer holds most of them.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) if !number.is_finite() => "not a finite number".into(),
        Value::Float(number) => (*number as f32).to_string(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Table(table) => {
            table.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect::<Vec<_>>().join(" ")
        }
        value => value.to_string(),
    }
}
