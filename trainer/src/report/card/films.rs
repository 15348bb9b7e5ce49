//! The parts of the card on the films of the split: digital films, photographs, and films with a part hidden.

use xray_triage_core::decision::{self, Class, Outcome, Rule, Scaling};
use xray_triage_core::film::Profile;

use crate::markdown::plain;
use crate::measure::estimate::{self, Estimate, percent};
use crate::measure::evaluate::{Evaluation, FilmJudgement, LungView};
use crate::measure::judgement::Judgement;
use crate::measure::metrics::Metrics;
use crate::measure::roc;
use crate::report::ReportError;
use crate::report::document::Part;
use crate::report::plots;

use super::{Facts, headline};

impl Facts<'_> {
    /// How many films each collection and class has.
    pub(super) fn evaluation_data(&self) -> Part {
        let Some(evaluation) = self.main() else { return self.not_measured("evaluate", "") };
        let mut sources: Vec<&str> = evaluation.films.iter().map(|film| film.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        let count = |wanted: &dyn Fn(&FilmJudgement) -> bool| {
            evaluation.films.iter().filter(|film| wanted(film)).count().to_string()
        };
        let row = |name: String, of: &dyn Fn(&FilmJudgement) -> bool| {
            let classes = Class::ALL.map(|class| count(&|film| of(film) && film.judgement.truth == class));
            std::iter::once(name).chain(classes).chain([count(&|film| of(film))]).collect::<Vec<String>>()
        };
        let mut rows: Vec<Vec<String>> =
            sources.iter().map(|source| row(plain(source), &|film| film.source == *source)).collect();
        rows.push(row("all".into(), &|_| true));
        let [covid19, pneumonia, normal] = Class::ALL.map(Class::label);
        let name = format!("split {}", plain(&evaluation.split));
        Part::table(&[&name, covid19, pneumonia, normal, "films"], rows)
    }

    /// The receiver operating characteristics of the classes, as a figure.
    pub(super) fn roc(&self) -> Result<Vec<Part>, ReportError> {
        let judgements = self.judgements();
        let curves: Vec<_> =
            Class::ALL.into_iter().filter_map(|class| Some((class, roc::roc(&judgements, class)?))).collect();
        if curves.is_empty() {
            return Ok(vec![]);
        }
        let areas = self.headline().map_or(vec![], |metrics| {
            metrics
                .classes
                .iter()
                .filter_map(|class| Some(format!("{} {}", class.class.label(), class.auroc.as_ref()?.number())))
                .collect()
        });
        let caption = format!(
            "Receiver operating characteristic of each class against the rest; thin: chance. Areas: {}",
            areas.join(", ")
        );
        Ok(vec![Part::Figure { svg: plots::roc(&curves)?, caption }])
    }

    /// The calibration error with the reliability bins, as text, table and figure.
    pub(super) fn calibration(&self) -> Result<Vec<Part>, ReportError> {
        let Some(metrics) = self.headline() else { return Ok(vec![self.not_measured("evaluate", "")]) };
        let bins = metrics.reliability.iter().enumerate().filter(|(_, bin)| bin.films > 0).map(|(index, bin)| {
            let edge = |index: usize| index as f64 / metrics.reliability.len() as f64;
            vec![
                format!("{:.2} to {:.2}", edge(index), edge(index + 1)),
                bin.films.to_string(),
                format!("{:.3}", bin.confidence),
                format!("{:.3}", bin.accuracy),
            ]
        });
        let caption = "Reliability: accuracy over confidence, a dot a bin, the larger the more films. Below the diagonal \
                       the model is too sure, above it not sure enough";
        Ok(vec![
            Part::Text(metrics.calibration_error()),
            Part::table(&["confidence", "films", "mean confidence", "accuracy"], bins),
            Part::Figure { svg: plots::reliability(&metrics.reliability)?, caption: caption.into() },
        ])
    }

    /// What each operating point of the digital profile makes of the films, from their probabilities.
    pub(super) fn operating_points(&self) -> Part {
        let judgements = self.judgements();
        if judgements.is_empty() {
            return self.not_measured("evaluate", "");
        }
        let calibration = self.manifest().profiles.get(Profile::Digital);
        let rows = calibration.operating_points.iter().map(|(name, point)| {
            let rule = Rule { name: name.clone(), scaling: Scaling::NONE, ood_above: 1.0, point: *point };
            let films: Vec<Judgement> =
                judgements.iter().map(|film| Judgement { outcome: outcome(film, &rule), ..*film }).collect();
            let covid19 = |film: &Judgement| film.outcome == Outcome::Covid19;
            let decided = |film: &Judgement| film.outcome.class().is_some();
            let share = |among: &dyn Fn(&Judgement) -> bool, counted: &dyn Fn(&Judgement) -> bool| {
                let outcome = |film: &Judgement| estimate::outcome(among(film), counted(film));
                percent(Estimate::share_by_patient(&films, |film| film.patient, outcome).as_ref())
            };
            vec![
                plain(name),
                point.to_string(),
                share(&|film| film.truth == Class::Covid19, &covid19),
                share(&|film| film.truth != Class::Covid19, &|film| !covid19(film)),
                share(&|_| true, &decided),
                share(&decided, &|film| film.outcome.class() == Some(film.truth)),
            ]
        });
        let header = [
            "operating point",
            "thresholds for digital films",
            "COVID-19 films called COVID-19, %",
            "other films not called so, %",
            "decided, %",
            "right when decided, %",
        ];
        Part::table(&header, rows)
    }

    /// The figures of simulated photographs of each kind, one table for each measurement.
    pub(super) fn photographs(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (profile, what) in [
            (Profile::Film, "Photographs of the film on a light box"),
            (Profile::Screen, "Photographs of the film on a screen"),
        ] {
            let found: Vec<&Evaluation> =
                self.measurements.evaluations(&self.manifest().sha256, self.split, Some(profile), None).collect();
            if found.is_empty() {
                parts.push(Part::Text(format!("{what}:")));
                parts.push(self.not_measured("evaluate", &format!("--photographs {}", profile.name())));
            }
            for evaluation in found {
                parts.push(Part::Text(format!("{what}, {}:", judged_by(evaluation))));
                parts.push(Part::Text(evaluation.groups_table()));
            }
        }
        parts
    }

    /// The figures of the films with a lung mask: as they are, and with a part hidden.
    pub(super) fn lungs(&self) -> Vec<Part> {
        let views = [
            (LungView::Shown, "shown", "as they are"),
            (LungView::Hidden, "hidden", "lungs replaced by the mean gray of the rest"),
            (LungView::Only, "only", "all but the lungs replaced by their mean gray"),
        ];
        let mut rows = Vec::new();
        let mut missing = Vec::new();
        for (view, flag, name) in views {
            let found = self.measurements.evaluation(&self.manifest().sha256, self.split, Some(view));
            let Some(metrics) = found.and_then(headline) else {
                missing.push(self.not_measured("evaluate", &format!("--lungs {flag}")));
                continue;
            };
            let recalls = metrics.classes.iter().map(|class| percent(class.recall.as_ref()));
            let row = [name.into(), metrics.films.to_string(), metrics.accuracy.percent()].into_iter();
            rows.push(row.chain(recalls).chain([metrics.refused.to_string()]).collect());
        }
        let mut parts = missing;
        if !rows.is_empty() {
            let header = [
                "films with a lung mask",
                "films",
                "accuracy, %",
                "recall covid19, %",
                "recall pneumonia, %",
                "recall normal, %",
                "refused",
            ];
            parts.insert(0, Part::table(&header, rows));
        }
        parts
    }
}

/// By which profile and at which operating point photographs were judged, in words.
fn judged_by(evaluation: &Evaluation) -> String {
    let profile = match evaluation.profile {
        Some(profile) => format!("profile `{}` given", profile.name()),
        None => "profile found out".into(),
    };
    match &evaluation.operating_point {
        Some(point) => format!("{profile}, operating point {}", plain(point)),
        None => profile,
    }
}

/// The confusion matrix, as a table and a figure.
pub(super) fn confusion(metrics: &Metrics) -> Result<Vec<Part>, ReportError> {
    Ok(vec![
        Part::Text(metrics.confusion_table()),
        Part::Figure {
            svg: plots::confusion(metrics)?,
            caption: "Films by true class and most probable class; percent of the row".into(),
        },
    ])
}

/// What the rule makes of the probabilities that the film got. A refused film stays refused.
fn outcome(film: &Judgement, rule: &Rule) -> Outcome {
    match film.probabilities {
        // The softmax of the logarithms of probabilities is the probabilities themselves.
        Some(probabilities) => {
            decision::decide(&Class::ALL.map(|class| probabilities.of(class).ln() as f32), rule).outcome
        }
        None => Outcome::Refused,
    }
}
