//! The report and the model card: the text of `card.md` with what was measured in the places of its `{{...}}`.

mod films;
mod model;
mod others;

use xray_triage_core::bundle::{Bundle, Manifest};

use crate::markdown::plain;
use crate::measure::evaluate::Evaluation;
use crate::measure::judgement::Judgement;
use crate::measure::metrics::Metrics;

use super::ReportError;
use super::document::Part;
use super::measurements::Measurements;
use super::run::Run;

const TEMPLATE: &str = include_str!("card.md");

/// All that a report is made of.
pub struct Facts<'a> {
    /// The bundle that is reported.
    pub bundle: &'a Bundle,
    /// Other models to compare it with: bundles, or float checkpoints as [`crate::bundle::open`] gives them.
    pub beside: Vec<&'a Manifest>,
    /// The split that is reported.
    pub split: &'a str,
    /// The saved measurements.
    pub measurements: Measurements,
    /// The training runs whose curves are shown.
    pub runs: Vec<Run>,
    /// Films with their activation maps ([`super::cam_sheet::sheet`]).
    pub sheet: Option<Part>,
}

/// Makes the report on a bundle. As Markdown, without its figures, it is the model card.
///
/// # Errors
/// A plot cannot be drawn.
pub fn report(facts: &Facts) -> Result<Vec<Part>, ReportError> {
    fill(TEMPLATE, |place| facts.part(place))
}

/// The template's text, with each line `{{place}}` replaced by the parts for this place.
fn fill(template: &str, part: impl Fn(&str) -> Result<Vec<Part>, ReportError>) -> Result<Vec<Part>, ReportError> {
    let mut parts = Vec::new();
    let mut text = String::new();
    for line in template.lines() {
        match line.strip_prefix("{{").and_then(|line| line.strip_suffix("}}")) {
            Some(place) => {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.extend(part(place)?);
            }
            None => text += &format!("{line}\n"),
        }
    }
    parts.push(Part::Text(text));
    parts.retain(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
    Ok(parts)
}

impl Facts<'_> {
    /// The parts for a place of the template.
    fn part(&self, place: &str) -> Result<Vec<Part>, ReportError> {
        let text = |text: String| Ok(vec![Part::Text(text)]);
        match place {
            "title" => text(format!("# Model card: {}", plain(&self.manifest().id))),
            "model" => Ok(vec![self.model()]),
            "thresholds" => Ok(vec![self.thresholds()]),
            "evaluation_data" => Ok(vec![self.evaluation_data()]),
            "training" => Ok(vec![self.training()]),
            "training_curves" => self.training_curves(),
            "films" => Ok(vec![match self.main() {
                Some(evaluation) => Part::Text(evaluation.groups_table()),
                None => self.not_measured("evaluate", ""),
            }]),
            "classes" => Ok(self.headline().map(|metrics| Part::Text(metrics.classes_table())).into_iter().collect()),
            "confusion" => self.headline().map_or(Ok(vec![]), films::confusion),
            "roc" => self.roc(),
            "calibration" => self.calibration(),
            "operating_points" => Ok(vec![self.operating_points()]),
            "photographs" => Ok(self.photographs()),
            "lungs" => Ok(self.lungs()),
            "maps" => Ok(self.maps()),
            "ood" => Ok(vec![self.ood()]),
            "beside" => Ok(vec![self.comparison()]),
            "paired" => Ok(self.paired()),
            "speed" => self.speed(),
            "measurements" => Ok(vec![self.files()]),
            // Only a mistake in the template leads here; a test finds it.
            other => text(format!("`{other}`: no such figure")),
        }
    }

    fn manifest(&self) -> &Manifest {
        &self.bundle.manifest
    }

    /// The evaluation of the film files of the split.
    fn main(&self) -> Option<&Evaluation> {
        self.measurements.evaluation(&self.manifest().sha256, self.split, None)
    }

    /// The figures of this evaluation that can be relied on most.
    fn headline(&self) -> Option<&Metrics> {
        self.main().and_then(headline)
    }

    /// The judgement of each film of this evaluation.
    fn judgements(&self) -> Vec<Judgement> {
        self.main().map_or(vec![], |evaluation| evaluation.films.iter().map(|film| film.judgement).collect())
    }

    /// Says that something is not measured, and which command measures it.
    fn not_measured(&self, command: &str, flags: &str) -> Part {
        let split = plain(self.split);
        let flags = if flags.is_empty() { String::new() } else { format!(" {flags}") };
        Part::Text(format!(
            "*Not measured* on split {split}: `trainer {command}{flags} --json` measures it, on this bundle and split."
        ))
    }
}

/// The figures that can be relied on most: of the films whose labels are proved, or of all if it is not known which are.
fn headline(evaluation: &Evaluation) -> Option<&Metrics> {
    evaluation.groups.first().map(|group| &group.metrics)
}
