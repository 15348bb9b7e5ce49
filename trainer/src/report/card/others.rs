//! The parts of the card on activation maps, out-of-distribution pictures, other models, and speed.

use xray_triage_core::decision::Class;

use crate::markdown::plain;
use crate::measure::estimate::{Estimate, percent};
use crate::report::ReportError;
use crate::report::document::Part;
use crate::report::latency::Latency;
use crate::report::plots;

use super::model::attention;
use super::{Facts, headline};

impl Facts<'_> {
    /// Where the activation maps look, for the bundle and the models beside it, and the sheet of films.
    pub(super) fn maps(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = match self.measurements.localization(&self.manifest().sha256, self.split) {
            Some(localization) => vec![Part::Text(localization.to_string())],
            None => vec![self.not_measured("localize", "")],
        };
        let others = self.beside.iter().filter_map(|model| self.measurements.localization(&model.sha256, self.split));
        parts.extend(others.map(|localization| Part::Text(localization.to_string())));
        if let Some(sheet) = &self.sheet {
            let text = "The positive part of each map, as a share of its highest value; the line surrounds what is at least \
                        half of that. Maps in a row are of the same class.";
            parts.extend([Part::PageOnly(text.into()), sheet.clone()]);
        }
        parts
    }

    /// How well out-of-distribution pictures are told from films.
    pub(super) fn ood(&self) -> Part {
        let Some(test) = self.measurements.ood_test(&self.manifest().sha256, self.split) else {
            return self.not_measured("ood", "");
        };
        let separation = &test.separation;
        Part::Text(format!(
            "By their out-of-distribution score, pictures that are no frontal chest film are told from films with an AUROC \
             of {}. Of {} such pictures {:.1} % are refused; so are {:.1} % of the {} films.",
            separation.auroc.number(),
            separation.pictures,
            100.0 * separation.pictures_refused,
            100.0 * separation.films_refused,
            separation.films,
        ))
    }

    /// A table with a row for each model, on the films of the same split.
    pub(super) fn comparison(&self) -> Part {
        if self.beside.is_empty() {
            return Part::Text("*No other model* was given (`--beside`).".into());
        }
        let rows = std::iter::once(self.manifest()).chain(self.beside.iter().copied()).map(|model| {
            let metrics = self.measurements.evaluation(&model.sha256, self.split, None).and_then(headline);
            let maps = self.measurements.localization(&model.sha256, self.split);
            let lungs = maps.and_then(|maps| maps.lungs.iter().find(|lungs| lungs.class == Class::Covid19));
            let missing = || "not measured".to_string();
            vec![
                plain(&model.id),
                attention(model),
                metrics.map_or_else(missing, |metrics| metrics.films.to_string()),
                metrics.map_or_else(missing, |metrics| metrics.accuracy.percent()),
                metrics.map_or_else(missing, |metrics| percent(metrics.classes[0].recall.as_ref())),
                metrics
                    .map_or_else(missing, |metrics| metrics.macro_auroc.as_ref().map_or("-".into(), Estimate::number)),
                lungs.map_or_else(missing, |lungs| lungs.inside.percent()),
            ]
        });
        let header = [
            "model",
            "attention",
            "films",
            "accuracy, %",
            "recall covid19, %",
            "macro AUROC",
            "map energy inside the lungs, COVID-19 films, %",
        ];
        Part::table(&header, rows)
    }

    /// The comparisons of models film by film.
    pub(super) fn paired(&self) -> Vec<Part> {
        let comparisons = &self.measurements.comparisons;
        if comparisons.is_empty() {
            let text = "*Not measured*: `trainer compare --json` compares bundles or checkpoints, `trainer ablation` kinds of attention.";
            return vec![Part::Text(text.into())];
        }
        comparisons.iter().map(|comparison| Part::Text(comparison.to_string())).collect()
    }

    /// The times of films on each machine, as a table and a figure.
    pub(super) fn speed(&self) -> Result<Vec<Part>, ReportError> {
        let machines: Vec<Latency> = self
            .measurements
            .latencies
            .iter()
            .filter(|(sha256, _)| *sha256 == self.manifest().sha256)
            .map(|(_, latency)| latency.clone())
            .collect();
        if machines.is_empty() {
            let text = "*Not measured*: `xray-triage triage --json` on a machine prints the times of its films.";
            return Ok(vec![Part::Text(text.into())]);
        }
        let rows = machines.iter().map(|machine| {
            let seconds = |milliseconds: f64| format!("{:.2}", milliseconds / 1000.0);
            let Latency { name, films, total, infer } = machine;
            let cells = [total.median, total.high, infer.median, infer.high].map(seconds);
            [plain(name), films.to_string()].into_iter().chain(cells).collect()
        });
        let header = [
            "machine (name of the file)",
            "films",
            "a film's whole way: median, s",
            "95th percentile, s",
            "network alone: median, s",
            "95th percentile, s",
        ];
        let caption = "Time of a film: bar and number the median, line the 95th percentile";
        Ok(vec![Part::table(&header, rows), Part::Figure { svg: plots::latency(&machines)?, caption: caption.into() }])
    }

    /// The files of the measurements with their hashes.
    pub(super) fn files(&self) -> Part {
        let rows = self
            .measurements
            .files
            .iter()
            .map(|file| vec![plain(&file.name), plain(&file.content), format!("`{}`", file.sha256)]);
        Part::table(&["file", "content", "SHA-256"], rows)
    }
}
