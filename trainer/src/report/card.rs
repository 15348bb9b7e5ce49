//! The text of `card.md` with what was measured in the places of its `{{...}}`.

use toml::{Table, Value};
use xray_triage_core::bundle::{Bundle, Manifest};
use xray_triage_core::decision::{self, Class, Outcome, Rule, Scaling};
use xray_triage_core::film::Profile;

use crate::bundle::probabilities;
use crate::measure::evaluate::{Evaluation, JudgedFilm, LungView};
use crate::measure::metrics::{self, Estimate, Judged, Metrics, percent};

use super::ReportError;
use super::document::{Part, plain};
use super::latency::Latency;
use super::measurements::Records;
use super::plots;
use super::run::Run;

const TEMPLATE: &str = include_str!("card.md");

/// All that a report is made of.
pub struct Facts<'a> {
    pub bundle: &'a Bundle,
    /// Models to compare with: bundles, or float checkpoints as [`crate::bundle::open`] gives them.
    pub beside: Vec<&'a Manifest>,
    /// The split that is reported.
    pub split: &'a str,
    pub records: Records,
    pub runs: Vec<Run>,
    /// Films with activation maps.
    pub sheet: Option<Part>,
}

/// The report on a bundle. Its text alone is the model card.
pub fn report(facts: &Facts) -> Result<Vec<Part>, ReportError> {
    fill(TEMPLATE, |place| facts.part(place))
}

/// The template's text with each line `{{place}}` replaced.
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
            "classes" => Ok(self.all().map(|metrics| Part::Text(metrics.classes_table())).into_iter().collect()),
            "confusion" => self.all().map_or(Ok(vec![]), confusion),
            "roc" => self.roc(),
            "calibration" => self.calibration(),
            "operating_points" => Ok(vec![self.operating_points()]),
            "photographs" => Ok(self.photographs()),
            "lungs" => Ok(self.lungs()),
            "maps" => Ok(self.maps()),
            "foreign" => Ok(vec![self.foreign()]),
            "beside" => Ok(vec![self.comparison()]),
            "paired" => Ok(self.paired()),
            "speed" => self.speed(),
            "records" => Ok(vec![self.files()]),
            // A slip in the template; the test of it names the place.
            other => text(format!("`{other}`: no such figure")),
        }
    }

    fn manifest(&self) -> &Manifest {
        &self.bundle.manifest
    }

    /// The digital films of the split.
    fn main(&self) -> Option<&Evaluation> {
        self.records.evaluation(&self.manifest().sha256, self.split, None)
    }

    /// Their figures.
    fn all(&self) -> Option<&Metrics> {
        self.main().and_then(all)
    }

    /// The same films one by one.
    fn judged(&self) -> Vec<Judged> {
        self.main().map_or(vec![], |evaluation| evaluation.films.iter().map(|film| film.judged).collect())
    }

    /// What to run for what is not there.
    fn not_measured(&self, command: &str, flags: &str) -> Part {
        let split = plain(self.split);
        let flags = if flags.is_empty() { String::new() } else { format!(" {flags}") };
        Part::Text(format!(
            "*Not measured* on split {split}: `trainer {command}{flags} --json` does, on this bundle and split."
        ))
    }

    fn model(&self) -> Part {
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

    fn thresholds(&self) -> Part {
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
            &["picture", "temperature", "bias by class", "operating point", "thresholds", "unfamiliar above"],
            rows,
        )
    }

    /// Films by collection and class.
    fn evaluation_data(&self) -> Part {
        let Some(evaluation) = self.main() else { return self.not_measured("evaluate", "") };
        let mut sources: Vec<&str> = evaluation.films.iter().map(|film| film.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        let count = |wanted: &dyn Fn(&JudgedFilm) -> bool| {
            evaluation.films.iter().filter(|film| wanted(film)).count().to_string()
        };
        let row = |name: String, of: &dyn Fn(&JudgedFilm) -> bool| {
            let classes = Class::ALL.map(|class| count(&|film| of(film) && film.judged.truth == class));
            std::iter::once(name).chain(classes).chain([count(&|film| of(film))]).collect::<Vec<String>>()
        };
        let mut rows: Vec<Vec<String>> =
            sources.iter().map(|source| row(plain(source), &|film| film.source == *source)).collect();
        rows.push(row("all".into(), &|_| true));
        let [covid19, pneumonia, normal] = Class::ALL.map(Class::label);
        let name = format!("split {}", plain(&evaluation.split));
        Part::table(&[&name, covid19, pneumonia, normal, "films"], rows)
    }

    /// The settings of the training, from the manifest.
    fn training(&self) -> Part {
        let mut rows = Vec::new();
        flatten("", &self.manifest().training, &mut rows);
        Part::table(&["setting", "value"], rows)
    }

    fn training_curves(&self) -> Result<Vec<Part>, ReportError> {
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

    fn roc(&self) -> Result<Vec<Part>, ReportError> {
        let judged = self.judged();
        let curves: Vec<_> =
            Class::ALL.into_iter().filter_map(|class| Some((class, metrics::roc(&judged, class)?))).collect();
        if curves.is_empty() {
            return Ok(vec![]);
        }
        let areas = self.all().map_or(vec![], |metrics| {
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

    fn calibration(&self) -> Result<Vec<Part>, ReportError> {
        let Some(metrics) = self.all() else { return Ok(vec![self.not_measured("evaluate", "")]) };
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

    /// The films of the main evaluation, with the thresholds of each operating point for digital films.
    fn operating_points(&self) -> Part {
        let judged = self.judged();
        if judged.is_empty() {
            return self.not_measured("evaluate", "");
        }
        let calibration = self.manifest().profiles.get(Profile::Digital);
        let rows = calibration.operating_points.iter().map(|(name, point)| {
            let rule = Rule { name: name.clone(), scaling: Scaling::NONE, ood_above: 1.0, point: *point };
            let films: Vec<Judged> =
                judged.iter().map(|film| Judged { outcome: outcome(film, &rule), ..*film }).collect();
            let covid19 = |film: &Judged| film.outcome == Outcome::Covid19;
            let decided = |film: &Judged| film.outcome.class().is_some();
            let share = |among: &dyn Fn(&Judged) -> bool, counted: &dyn Fn(&Judged) -> bool| {
                let among: Vec<bool> = films.iter().filter(|film| among(film)).map(counted).collect();
                percent(Estimate::of_share(&among, |&counted| metrics::outcome(true, counted)).as_ref())
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

    fn photographs(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (profile, what) in [
            (Profile::Film, "Photographs of the film on a light box"),
            (Profile::Screen, "Photographs of the film on a screen"),
        ] {
            let found: Vec<&Evaluation> =
                self.records.evaluations(&self.manifest().sha256, self.split, Some(profile), None).collect();
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

    fn lungs(&self) -> Vec<Part> {
        let views = [
            (LungView::Shown, "shown", "as they are"),
            (LungView::Hidden, "hidden", "lungs replaced by the mean gray of the rest"),
            (LungView::Only, "only", "all but the lungs replaced by their mean gray"),
        ];
        let mut rows = Vec::new();
        let mut missing = Vec::new();
        for (view, flag, name) in views {
            let found = self.records.evaluation(&self.manifest().sha256, self.split, Some(view));
            let Some(metrics) = found.and_then(all) else {
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

    fn maps(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = match self.records.localization(&self.manifest().sha256, self.split) {
            Some(localization) => vec![Part::Text(localization.to_string())],
            None => vec![self.not_measured("localize", "")],
        };
        let others = self.beside.iter().filter_map(|model| self.records.localization(&model.sha256, self.split));
        parts.extend(others.map(|localization| Part::Text(localization.to_string())));
        if let Some(sheet) = &self.sheet {
            let text = "The positive part of each map, as a share of its highest value; the line surrounds what is at least \
                        half of that. Maps in a row are of the same class.";
            parts.extend([Part::PageOnly(text.into()), sheet.clone()]);
        }
        parts
    }

    fn foreign(&self) -> Part {
        let Some(test) = self.records.foreign(&self.manifest().sha256, self.split) else {
            return self.not_measured("foreign", "");
        };
        let separation = &test.separation;
        Part::Text(format!(
            "By their distance from the film space, foreign pictures are told from films with an AUROC of {}. Of {} foreign \
             pictures {:.1} % are refused as unfamiliar; so are {:.1} % of the {} films.",
            separation.auroc.number(),
            separation.foreign,
            100.0 * separation.foreign_refused,
            100.0 * separation.films_refused,
            separation.films,
        ))
    }

    /// One row a model, on the films of the same split.
    fn comparison(&self) -> Part {
        if self.beside.is_empty() {
            return Part::Text("*No other model* was given (`--beside`).".into());
        }
        let rows = std::iter::once(self.manifest()).chain(self.beside.iter().copied()).map(|model| {
            let metrics = self.records.evaluation(&model.sha256, self.split, None).and_then(all);
            let maps = self.records.localization(&model.sha256, self.split);
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

    /// Models compared film by film.
    fn paired(&self) -> Vec<Part> {
        let comparisons = &self.records.comparisons;
        if comparisons.is_empty() {
            let text = "*Not measured*: `trainer compare --json` does it for two bundles or checkpoints, `trainer ablation` for kinds of attention.";
            return vec![Part::Text(text.into())];
        }
        comparisons.iter().map(|comparison| Part::Text(comparison.to_string())).collect()
    }

    fn speed(&self) -> Result<Vec<Part>, ReportError> {
        let machines: Vec<Latency> = self
            .records
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
            "machine (name of the record)",
            "films",
            "a film's whole way: median, s",
            "95th percentile, s",
            "network alone: median, s",
            "95th percentile, s",
        ];
        let caption = "Time of a film: bar and number the median, line the 95th percentile";
        Ok(vec![Part::table(&header, rows), Part::Figure { svg: plots::latency(&machines)?, caption: caption.into() }])
    }

    fn files(&self) -> Part {
        let rows = self
            .records
            .files
            .iter()
            .map(|file| vec![plain(&file.name), plain(&file.content), format!("`{}`", file.sha256)]);
        Part::table(&["file", "content", "SHA-256"], rows)
    }
}

/// By which profile and operating point photographs were judged.
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

/// The figures of all films of an evaluation.
fn all(evaluation: &Evaluation) -> Option<&Metrics> {
    evaluation.groups.iter().find(|group| group.name == "all").map(|group| &group.metrics)
}

fn confusion(metrics: &Metrics) -> Result<Vec<Part>, ReportError> {
    Ok(vec![
        Part::Text(metrics.confusion_table()),
        Part::Figure {
            svg: plots::confusion(metrics)?,
            caption: "Films by true class and most probable class; percent of the row".into(),
        },
    ])
}

/// What the thresholds make of the probabilities that the film got; a refused film stays refused.
fn outcome(film: &Judged, rule: &Rule) -> Outcome {
    match film.probabilities {
        // Their softmax without scaling is the probabilities themselves.
        Some(probabilities) => {
            decision::decide(&Class::ALL.map(|class| probabilities.of(class).ln() as f32), rule).outcome
        }
        None => Outcome::Refused,
    }
}

/// The model's attention, as its training settings name it.
fn attention(manifest: &Manifest) -> String {
    let architecture = manifest.training.get("architecture").and_then(Value::as_table);
    match architecture.and_then(|architecture| architecture.get("attention")).and_then(Value::as_str) {
        Some("cbam") => "CBAM (Woo et al. 2018)".into(),
        Some("se") => "squeeze-and-excitation (Hu et al. 2018)".into(),
        Some("none") => "none".into(),
        Some(other) => plain(other),
        None => "not named in the manifest".into(),
    }
}

/// One row a setting; those of tables within have their names joined by dots.
fn flatten(prefix: &str, table: &Table, rows: &mut Vec<Vec<String>>) {
    for (name, value) in table {
        match value {
            Value::Table(table) => flatten(&format!("{prefix}{name}."), table, rows),
            value => rows.push(vec![plain(&format!("{prefix}{name}")), plain(&shown(value))]),
        }
    }
}

/// A setting for people: single precision, as the trainer holds most of them; lists with commas.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => (*number as f32).to_string(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Table(table) => {
            table.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect::<Vec<_>>().join(" ")
        }
        value => value.to_string(),
    }
}
