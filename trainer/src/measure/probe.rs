//! Shortcut probes: what a network knows of a film beside the disease.
//!
//! A linear probe (Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes") is fitted to a
//! network's features of films of *one* class, and asked how a film was taken or where it comes from. A probe that answers
//! well shows that the network carries it along; a probe of the network's answers alone shows how far the verdict depends
//! on it.

use nalgebra::{DMatrix, DVector};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use xray_triage_core::decision::Class;

use crate::data::dataset::{Film, LabelSource};
use crate::markdown::{plain, table};

use super::estimate::{Estimate, patients};
use super::judgement::patient_number;
use super::roc::area_under_curve;

/// Fewest films with each answer that a question is asked of.
const FEWEST: usize = 10;
/// The films are cut into so many parts by patient; each part is asked by a probe that was fitted to the others.
const PARTS: usize = 5;
/// Weight of the ridge, in units of the mean squared feature. The features are many and the films few.
const RIDGE: f64 = 1.0;

/// What a network makes of a film.
pub struct Seen {
    /// The features that its last layer reads.
    pub features: Vec<f32>,
    /// Its logits, in the order of [`Class::ALL`].
    pub logits: Vec<f32>,
    /// Width and height of the film's picture, pixels.
    pub size: (u32, u32),
}

/// The measurement of `trainer probe`.
#[derive(Serialize, Deserialize)]
pub struct Probes {
    /// What was probed.
    pub model: String,
    /// The split that the films are from.
    pub split: String,
    /// A row for each class and question that there are films for.
    pub rows: Vec<ProbeRow>,
}

/// How well a question about the films of a class is answered.
#[derive(Serialize, Deserialize)]
pub struct ProbeRow {
    /// The class of all films.
    pub class: Class,
    /// The question, such as `AP view` or `source nih`.
    pub question: String,
    /// How many films the answer is yes for.
    pub yes: usize,
    /// How many films the answer is no for.
    pub no: usize,
    /// The chance that the probe of the features ranks a film with yes above one with no, 0..=1. One half is a guess.
    pub of_features: Estimate,
    /// The same of a probe of the three logits.
    pub of_answers: Estimate,
    /// Share of the films with yes whose most probable class is theirs, 0..=1.
    pub right_if_yes: f64,
    /// Share of the films with no whose most probable class is theirs, 0..=1.
    pub right_if_no: f64,
}

/// Asks the questions of the films whose labels are proved, or of all if it is not known which are. `seen` is in the order
/// of `films`.
pub fn probe(model: &str, split: &str, films: &[Film], seen: &[Seen]) -> Probes {
    let any_known = films.iter().any(|film| film.label_source.is_some());
    let trusted = |film: &Film| !any_known || film.label_source.is_some_and(LabelSource::is_proved);
    let mut rows = Vec::new();
    for class in Class::ALL {
        let of_class: Vec<(&Film, &Seen)> =
            films.iter().zip(seen).filter(|(film, _)| film.label == class && trusted(film)).collect();
        let mut sources: Vec<&str> = of_class.iter().map(|(film, _)| film.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        let projection = |film: &Film| match film.view.split_whitespace().next() {
            Some("AP") => Some(true),
            Some("PA") => Some(false),
            _ => None,
        };
        rows.extend(row(class, "AP view", &of_class, |film, _| projection(film)));
        for source in sources {
            rows.extend(row(class, &format!("source {source}"), &of_class, |film, _| Some(film.source == source)));
        }
        let small_square = |size| matches!(size, (224, 224) | (256, 256));
        rows.extend(row(class, "square of 224 or 256 pixels", &of_class, |_, seen| Some(small_square(seen.size))));
    }
    Probes { model: model.into(), split: split.into(), rows }
}

/// One question. `None` if fewer than [`FEWEST`] films have one of the answers.
fn row(
    class: Class,
    question: &str,
    films: &[(&Film, &Seen)],
    answer: impl Fn(&Film, &Seen) -> Option<bool>,
) -> Option<ProbeRow> {
    let asked: Vec<(&Film, &Seen, bool)> =
        films.iter().filter_map(|(film, seen)| Some((*film, *seen, answer(film, seen)?))).collect();
    let yes = asked.iter().filter(|film| film.2).count();
    let no = asked.len() - yes;
    if yes < FEWEST || no < FEWEST {
        return None;
    }
    let answers: Vec<bool> = asked.iter().map(|film| film.2).collect();
    let patients: Vec<Option<u32>> = asked.iter().map(|film| patient_number(&film.0.patient_id)).collect();
    let area = |values: Vec<&[f32]>| {
        let scores = out_of_part_scores(&values, &answers, &patients);
        let scored: Vec<(f64, bool, Option<u32>)> = scores
            .into_iter()
            .zip(&answers)
            .zip(&patients)
            .map(|((score, yes), patient)| (score, *yes, *patient))
            .collect();
        Estimate::by_patient(
            &scored,
            |film| film.2,
            |films| area_under_curve(films.iter().map(|film| (film.0, film.1)).collect()),
        )
    };
    let right = |wanted: bool| {
        let right = asked.iter().filter(|film| film.2 == wanted && top(&film.1.logits) == Some(class as usize)).count();
        right as f64 / if wanted { yes } else { no } as f64
    };
    Some(ProbeRow {
        class,
        question: question.into(),
        yes,
        no,
        of_features: area(asked.iter().map(|film| film.1.features.as_slice()).collect())?,
        of_answers: area(asked.iter().map(|film| film.1.logits.as_slice()).collect())?,
        right_if_yes: right(true),
        right_if_no: right(false),
    })
}

/// The place of the highest logit.
fn top(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

/// Each film's score by a ridge probe that was fitted to the films of other patients. A higher score speaks for yes.
fn out_of_part_scores(values: &[&[f32]], answers: &[bool], patient_numbers: &[Option<u32>]) -> Vec<f64> {
    let mut groups = patients(patient_numbers, |patient| *patient);
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
    let mut part = vec![0; values.len()];
    for (place, films) in groups.iter().enumerate() {
        films.iter().for_each(|&film| part[film] = place % PARTS);
    }
    let mut scores = vec![0.0; values.len()];
    for held_back in 0..PARTS {
        let fitted: Vec<usize> = (0..values.len()).filter(|film| part[*film] != held_back).collect();
        let asked: Vec<usize> = (0..values.len()).filter(|film| part[*film] == held_back).collect();
        for (film, score) in asked.iter().zip(ridge_scores(values, answers, &fitted, &asked)) {
            scores[*film] = score;
        }
    }
    scores
}

/// Ridge regression of the answers (1 and -1, each side weighted alike) on standardised values, in its dual form, for there
/// are more values than films (Hastie, Tibshirani and Friedman 2009, "The elements of statistical learning", 18.3).
fn ridge_scores(values: &[&[f32]], answers: &[bool], fitted: &[usize], asked: &[usize]) -> Vec<f64> {
    let width = values.first().map_or(0, |first| first.len());
    let column = |place: usize| fitted.iter().map(move |&film| f64::from(values[film][place]));
    let scale: Vec<(f64, f64)> = (0..width)
        .map(|place| {
            let mean = column(place).sum::<f64>() / fitted.len() as f64;
            let variance = column(place).map(|value| (value - mean).powi(2)).sum::<f64>() / fitted.len() as f64;
            (mean, variance.sqrt().max(1e-6))
        })
        .collect();
    let standardised = |films: &[usize]| {
        DMatrix::from_fn(films.len(), width, |row, place| {
            let (mean, deviation) = scale[place];
            (f64::from(values[films[row]][place]) - mean) / deviation
        })
    };
    let (fit, ask) = (standardised(fitted), standardised(asked));
    let yes = fitted.iter().filter(|film| answers[**film]).count().max(1) as f64;
    let no = (fitted.len() as f64 - yes).max(1.0);
    let target = DVector::from_fn(fitted.len(), |row, _| if answers[fitted[row]] { 1.0 / yes } else { -1.0 / no });
    let kernel = &fit * fit.transpose() / width.max(1) as f64 + DMatrix::identity(fitted.len(), fitted.len()) * RIDGE;
    // A kernel with a ridge is positive definite.
    let weights = kernel.cholesky().map_or_else(|| target.clone(), |solved| solved.solve(&target));
    (ask * fit.transpose() * weights).iter().copied().collect()
}

impl std::fmt::Display for Probes {
    /// A table in Markdown. Shares are in percent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let header = [
            "films",
            "question",
            "yes",
            "no",
            "AUROC from features",
            "AUROC from answers",
            "right if yes, %",
            "right if no, %",
        ];
        let rows = self.rows.iter().map(|row| {
            vec![
                row.class.label().into(),
                plain(&row.question),
                row.yes.to_string(),
                row.no.to_string(),
                row.of_features.number(),
                row.of_answers.number(),
                format!("{:.1}", 100.0 * row.right_if_yes),
                format!("{:.1}", 100.0 * row.right_if_no),
            ]
        });
        write!(f, "model {} on split {}\n\n{}", plain(&self.model), plain(&self.split), table(&header, rows))
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    /// Normal films of two views, of which the features tell the view as far as `told` says, and the logits do not.
    fn films(told: f32) -> (Vec<Film>, Vec<Seen>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        (0..120)
            .map(|number| {
                let is_ap = number % 3 == 0;
                let film = Film {
                    image_id: number.to_string(),
                    path: Default::default(),
                    label: Class::Normal,
                    label_source: Some(LabelSource::Radiologists),
                    reading: String::new(),
                    review: String::new(),
                    source: "nih".into(),
                    patient_id: (number / 2).to_string(),
                    view: if is_ap { "AP Supine" } else { "PA" }.into(),
                    split: "val".into(),
                    protocol: String::new(),
                };
                let noise: Vec<f32> = (0..40).map(|_| rng.random_range(-1.0..1.0)).collect();
                let mut features = noise[..36].to_vec();
                features[7] += if is_ap { told } else { -told };
                let logits = vec![noise[36], noise[37], noise[38] + 4.0 * f32::from(u8::from(is_ap))];
                (film, Seen { features, logits, size: (400, 300) })
            })
            .unzip()
    }

    #[test]
    fn a_view_in_the_features_is_found_and_one_that_is_not_there_is_not() {
        for (told, low, high) in [(3.0, 0.95, 1.0), (0.0, 0.3, 0.7)] {
            let (films, seen) = films(told);
            let probes = probe("m", "val", &films, &seen);
            // One source and one size have nothing to ask.
            let [row] = probes.rows.as_slice() else { panic!("{} rows", probes.rows.len()) };
            assert_eq!((row.question.as_str(), row.yes, row.no), ("AP view", 40, 80));
            assert!((low..=high).contains(&row.of_features.value), "{told}: {:?}", row.of_features);
            // The third logit tells it, and makes AP films right.
            assert!(row.of_answers.value > 0.9 && row.right_if_yes > row.right_if_no, "{:?}", row.of_answers);
            assert!(probes.to_string().contains("| normal | AP view | 40 | 80 |"), "{probes}");
        }
    }

    #[test]
    fn films_of_uncertain_labels_are_not_asked() {
        let (mut films, seen) = films(3.0);
        films.iter_mut().skip(25).for_each(|film| film.label_source = Some(LabelSource::ReportText));
        assert!(probe("m", "val", &films, &seen).rows.is_empty());
    }
}
