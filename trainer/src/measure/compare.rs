//! Whether one model is better than another. Both judge the same films, and the films on which only one of them is
//! right decide.
//!
//! A model is one network, or several that were trained alike with different seeds. The films of a patient count as one
//! observation, however many networks judged them, because the answers to them are not independent. A film whose patient is
//! not known counts by itself.
//!
//! - **Interval of a difference**: a paired bootstrap over patients (percentile method, as in [`Estimate::by_patient`]).
//!   Patients are drawn with all their answers, so both models are always compared on the same films. Networks are not
//!   drawn: the interval says what other patients would change, not what other seeds would.
//! - **p**: an exact permutation test (Fisher 1935). A coin decides for each patient which answers belong to which model.
//!   Then p is the chance that the sum of `+-d` over patients is as far from zero as the sum of `d` itself, where d says
//!   how many more answers of the second model are right. For one network and one film a patient that is McNemar's exact
//!   test (McNemar 1947; exact form: Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs
//!   data").
//!
//! Several pairs on the same films are several tests. Nothing is corrected for that.

use serde::{Deserialize, Serialize};
use xray_triage_core::decision::Class;
use xray_triage_core::pipeline::Pipeline;

use crate::data::dataset::Film;
use crate::markdown::plain;

use super::estimate::{Estimate, mean, patients};
use super::evaluate;
use super::judgement::Judgement;

/// What a model said of a list of films.
pub struct Answers {
    /// The model's name.
    pub model: String,
    /// The answers of each of its networks.
    pub networks: Vec<NetworkAnswers>,
}

/// What one network said of a list of films.
pub struct NetworkAnswers {
    /// The seed that the network was trained with, where it is known.
    pub seed: Option<u64>,
    /// SHA-256 of the network.
    pub sha256: String,
    /// One judgement for each film, in the order of the films.
    pub judgements: Vec<Judgement>,
}

impl NetworkAnswers {
    /// Judges the films' files.
    pub fn of(pipeline: &Pipeline, seed: Option<u64>, films: &[Film]) -> Self {
        let judgements = evaluate::judge(pipeline, films);
        NetworkAnswers { seed, sha256: pipeline.model().sha256.clone(), judgements }
    }
}

/// The measurement of `trainer compare` and `trainer ablation`: several models on the same films.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The split that the films are from.
    pub split: String,
    /// How many films were judged.
    pub films: usize,
    /// The figures of each model.
    pub models: Vec<Model>,
    /// Each model beside each that comes after it.
    pub pairs: Vec<Pair>,
}

/// The figures of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The model's name.
    pub model: String,
    /// The networks of the model.
    pub networks: Vec<Network>,
    /// The mean accuracy of its networks, 0..=1.
    pub accuracy: Estimate,
    /// The mean recall of COVID-19, 0..=1. `None` if there is no COVID-19 film.
    pub covid19_recall: Option<Estimate>,
}

/// A network of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The seed that the network was trained with, where it is known.
    pub seed: Option<u64>,
    /// SHA-256 of the network.
    pub sha256: String,
    /// Share of the films whose most probable class is the true one, 0..=1.
    pub accuracy: f64,
}

/// Two models side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The first model's name.
    pub first: String,
    /// The second model's name.
    pub second: String,
    /// The difference in accuracy.
    pub accuracy: Difference,
    /// The difference in recall of COVID-19. `None` if there is no COVID-19 film.
    pub covid19_recall: Option<Difference>,
}

/// By how much the second of two models is right more often than the first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// How many films the two models were compared on.
    pub films: usize,
    /// The second model's share of right answers less the first model's, -1..=1.
    pub difference: Estimate,
    /// How many answers only the first model has right. There is one answer for each film and network.
    pub only_first: usize,
    /// How many answers only the second model has right.
    pub only_second: usize,
    /// The two-sided p of the test that the module describes, 0..=1.
    pub p: f64,
}

/// Whether each network of a model is right on one film.
#[derive(Clone)]
struct RightAnswers {
    /// The film's patient, if it is known.
    patient: Option<u32>,
    right: Vec<bool>,
}

impl Comparison {
    /// Compares models that judged the same films. All must have the same number of networks, and the n-th networks of
    /// all must have the same seed. `None` if there are no films or no models.
    pub fn of(split: &str, models: &[Answers]) -> Option<Self> {
        let truths: Vec<Class> = models.first()?.networks.first()?.judgements.iter().map(|film| film.truth).collect();
        let covid19 = |rights: &[RightAnswers]| -> Vec<RightAnswers> {
            let films = rights.iter().zip(&truths).filter(|(_, truth)| **truth == Class::Covid19);
            films.map(|(rights, _)| rights.clone()).collect()
        };
        let all: Vec<Vec<RightAnswers>> = models.iter().map(|model| model.right_answers(truths.len())).collect();
        let of_covid19: Vec<Vec<RightAnswers>> = all.iter().map(|rights| covid19(rights)).collect();
        let mut compared = Vec::new();
        let mut pairs = Vec::new();
        for (first, answers) in models.iter().enumerate() {
            compared.push(Model {
                model: answers.model.clone(),
                networks: answers.networks.iter().map(Network::of).collect::<Option<_>>()?,
                accuracy: share_right(&all[first])?,
                covid19_recall: share_right(&of_covid19[first]),
            });
            for second in first + 1..models.len() {
                pairs.push(Pair {
                    first: answers.model.clone(),
                    second: models[second].model.clone(),
                    accuracy: Difference::between(&all[first], &all[second])?,
                    covid19_recall: Difference::between(&of_covid19[first], &of_covid19[second]),
                });
            }
        }
        Some(Comparison { split: split.into(), films: truths.len(), models: compared, pairs })
    }
}

impl Answers {
    /// Which networks are right on each of the films.
    fn right_answers(&self, films: usize) -> Vec<RightAnswers> {
        (0..films)
            .map(|film| RightAnswers {
                patient: self.networks.first().and_then(|network| network.judgements[film].patient),
                right: self.networks.iter().map(|network| network.judgements[film].is_right()).collect(),
            })
            .collect()
    }
}

impl Network {
    fn of(answers: &NetworkAnswers) -> Option<Self> {
        let accuracy = mean(answers.judgements.iter().map(|film| f64::from(u8::from(film.is_right()))))?;
        Some(Network { seed: answers.seed, sha256: answers.sha256.clone(), accuracy })
    }
}

/// The share of right answers, 0..=1.
fn share_right(films: &[RightAnswers]) -> Option<Estimate> {
    let share = |film: &RightAnswers| mean(film.right.iter().map(|&right| f64::from(u8::from(right))));
    Estimate::share_by_patient(films, |film| film.patient, share)
}

impl Difference {
    /// The difference between two models on the same films. `None` if there are no films.
    fn between(first: &[RightAnswers], second: &[RightAnswers]) -> Option<Self> {
        let more = |(first, second): (&bool, &bool)| i32::from(*second) - i32::from(*first);
        let films: Vec<(Option<u32>, Vec<i32>)> = first
            .iter()
            .zip(second)
            .map(|(first, second)| (first.patient, first.right.iter().zip(&second.right).map(more).collect()))
            .collect();
        let answers = |wanted: i32| films.iter().flat_map(|film| &film.1).filter(|&&answer| answer == wanted).count();
        let sum = |patient: &Vec<usize>| patient.iter().flat_map(|&film| &films[film].1).sum();
        let sums: Vec<i32> = patients(&films, |film| film.0).iter().map(sum).collect();
        Some(Difference {
            films: films.len(),
            difference: Estimate::by_patient(
                &films,
                |film| film.0,
                |films| mean(films.iter().flat_map(|film| &film.1).map(|&answer| f64::from(answer))),
            )?,
            only_first: answers(-1),
            only_second: answers(1),
            p: sign_flip_p(&sums),
        })
    }
}

/// The exact two-sided p of a sign-flip test: of all ways to give each difference a sign, the share whose sum is at least
/// as far from zero as the sum of the differences themselves. The distribution of the sums is built up difference by
/// difference.
fn sign_flip_p(differences: &[i32]) -> f64 {
    let farthest: usize = differences.iter().map(|difference| difference.unsigned_abs() as usize).sum();
    let observed = differences.iter().sum::<i32>().unsigned_abs() as usize;
    // The chance of each sum from -farthest to farthest.
    let mut chances = vec![0.0; 2 * farthest + 1];
    chances[farthest] = 1.0;
    for size in differences.iter().map(|difference| difference.unsigned_abs() as usize).filter(|size| *size > 0) {
        let mut next = vec![0.0; chances.len()];
        for (sum, chance) in chances.iter().enumerate().filter(|(_, chance)| **chance > 0.0) {
            next[sum - size] += chance / 2.0;
            next[sum + size] += chance / 2.0;
        }
        chances = next;
    }
    let as_far = chances.iter().enumerate().filter(|(sum, _)| sum.abs_diff(farthest) >= observed);
    as_far.map(|(_, chance)| chance).sum::<f64>().min(1.0)
}

/// A row of the table that [`write_answers`] writes.
#[derive(Serialize)]
struct AnswerRow<'a> {
    image_id: &'a str,
    label: &'static str,
    source: &'a str,
    view: &'a str,
    model: &'a str,
    seed: Option<u64>,
    sha256: &'a str,
    /// The most probable class; empty for a refused film.
    top: Option<&'static str>,
    right: bool,
    covid19: Option<f64>,
    pneumonia: Option<f64>,
    normal: Option<f64>,
}

/// Writes every answer that a comparison is made of as CSV, with a row for each film and network.
///
/// # Errors
/// The writer's.
pub fn write_answers(writer: impl std::io::Write, films: &[Film], models: &[Answers]) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(writer);
    for answers in models {
        for network in &answers.networks {
            for (film, judgement) in films.iter().zip(&network.judgements) {
                writer.serialize(AnswerRow {
                    image_id: &film.image_id,
                    label: film.label.label(),
                    source: &film.source,
                    view: &film.view,
                    model: &answers.model,
                    seed: network.seed,
                    sha256: &network.sha256,
                    top: judgement.top().map(Class::label),
                    right: judgement.is_right(),
                    covid19: judgement.probabilities.map(|probabilities| probabilities.covid19),
                    pneumonia: judgement.probabilities.map(|probabilities| probabilities.pneumonia),
                    normal: judgement.probabilities.map(|probabilities| probabilities.normal),
                })?;
            }
        }
    }
    Ok(writer.flush()?)
}

impl std::fmt::Display for Comparison {
    /// Two tables in Markdown. Shares are in percent, differences in percentage points.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |estimate: &Estimate| {
            format!("{:.1} ({:.1} to {:.1})", 100.0 * estimate.value, 100.0 * estimate.low, 100.0 * estimate.high)
        };
        writeln!(f, "{} films of split {}; 95 % intervals\n", self.films, plain(&self.split))?;
        writeln!(f, "| model | accuracy | recall COVID-19 | accuracy by seed |")?;
        writeln!(f, "|---|---|---|---|")?;
        for model in &self.models {
            let recall = model.covid19_recall.as_ref().map_or("-".into(), percent);
            let by_seed: Vec<String> = model
                .networks
                .iter()
                .filter_map(|network| Some(format!("{}: {:.1}", network.seed?, 100.0 * network.accuracy)))
                .collect();
            let by_seed = if by_seed.is_empty() { "-".into() } else { by_seed.join(", ") };
            writeln!(f, "| {} | {} | {recall} | {by_seed} |", plain(&model.model), percent(&model.accuracy))?;
        }
        writeln!(f, "\n| of | second less first | difference | right only first | only second | p |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for pair in &self.pairs {
            let rows = [("accuracy", Some(&pair.accuracy)), ("recall COVID-19", pair.covid19_recall.as_ref())];
            for (figure, difference) in rows {
                let Some(difference) = difference else { continue };
                writeln!(
                    f,
                    "| {figure} | {} less {} | {} | {} | {} | {:.4} |",
                    plain(&pair.second),
                    plain(&pair.first),
                    percent(&difference.difference),
                    difference.only_first,
                    difference.only_second,
                    difference.p
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use xray_triage_core::decision::{Outcome, Probabilities};

    use crate::measure::metrics::Metrics;

    use super::*;

    fn judgement(truth: Class, top: Option<Class>) -> Judgement {
        let share = |class| if top == Some(class) { 0.8 } else { 0.1 };
        let probabilities = top.map(|_| Probabilities {
            covid19: share(Class::Covid19),
            pneumonia: share(Class::Pneumonia),
            normal: share(Class::Normal),
        });
        Judgement { truth, patient: None, outcome: top.map_or(Outcome::Refused, Outcome::from), probabilities }
    }

    /// A network that is right where the text has a 1; films are COVID-19, pneumonia and normal in turn.
    fn network(rights: &str) -> NetworkAnswers {
        let judgements = rights.bytes().enumerate().map(|(film, right)| {
            let truth = Class::ALL[film % 3];
            judgement(truth, Some(if right == b'1' { truth } else { Class::ALL[(film + 1) % 3] }))
        });
        NetworkAnswers { seed: None, sha256: String::new(), judgements: judgements.collect() }
    }

    fn model(name: &str, networks: &[&str]) -> Answers {
        Answers { model: name.into(), networks: networks.iter().map(|rights| network(rights)).collect() }
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn films_of_one_patient_are_one_observation() {
        let judged = |right: bool, patient| Judgement {
            patient: Some(patient),
            ..judgement(Class::Normal, Some(if right { Class::Normal } else { Class::Pneumonia }))
        };
        // Twelve films of two patients: the second model is right on all of them, the first on none.
        let answers = |model: &str, right: bool| Answers {
            model: model.into(),
            networks: vec![NetworkAnswers {
                seed: None,
                sha256: String::new(),
                judgements: (0..12).map(|film| judged(right, film % 2)).collect(),
            }],
        };
        let comparison = Comparison::of("val", &[answers("a", false), answers("b", true)]).unwrap();
        let difference = comparison.pairs[0].accuracy;
        assert_eq!((difference.films, difference.only_second, difference.p), (12, 12, 0.5));
    }

    #[test]
    fn one_network_gets_mcnemars_p() {
        let p = |only_first: usize, only_second: usize| {
            let mut differences = vec![0; 50];
            differences.extend(std::iter::repeat_n(-1, only_first));
            differences.extend(std::iter::repeat_n(1, only_second));
            sign_flip_p(&differences)
        };
        assert!(close(p(0, 0), 1.0) && close(p(7, 7), 1.0));
        // 2 (1 + 7) / 2^7
        assert!(close(p(1, 6), 0.125) && close(p(6, 1), 0.125));
        // 2 (C(40, 0) + ... + C(40, 10)) / 2^40
        assert!(close(p(10, 30), 2.0 * 1_221_246_132.0 / (1u64 << 40) as f64), "{}", p(10, 30));
        assert!(p(400, 1600) < 1e-100);
    }

    #[test]
    fn a_film_counts_once_however_many_networks_judge_it() {
        let one = Comparison::of("val", &[model("a", &["000000"]), model("b", &["111000"])]).unwrap();
        let twice = Comparison::of("val", &[model("a", &["000000"; 2]), model("b", &["111000"; 2])]).unwrap();
        let (one, twice) = (&one.pairs[0].accuracy, &twice.pairs[0].accuracy);
        assert_eq!((one.only_second, twice.only_second), (3, 6));
        assert!(close(one.p, 0.25) && close(twice.p, 0.25), "{} {}", one.p, twice.p);
        assert_eq!((one.difference.low, one.difference.high), (twice.difference.low, twice.difference.high));
    }

    #[test]
    fn a_difference_is_that_of_the_films_they_share() {
        let first = "110110110110110110110110110110".repeat(4);
        let second = "111110110110110110110110110110".repeat(4);
        let comparison = Comparison::of("val", &[model("a", &[&first]), model("b", &[&second])]).unwrap();
        let Pair { accuracy, covid19_recall, .. } = &comparison.pairs[0];
        assert!(close(accuracy.difference.value, 1.0 / 30.0));
        assert_eq!((accuracy.films, accuracy.only_first, accuracy.only_second), (120, 0, 4));
        assert!(close(accuracy.p, 0.125));
        // Films that both have right or wrong add nothing to the spread: it is that of four ones among 120, not that of
        // two accuracies, which would be 0.23 wide.
        let width = accuracy.difference.high - accuracy.difference.low;
        assert!((0.05..0.08).contains(&width), "{width}");
        // The films that differ are of the class `normal`.
        let recall = covid19_recall.as_ref().unwrap();
        assert_eq!((recall.films, recall.difference.value, recall.p), (40, 0.0, 1.0));
    }

    #[test]
    fn the_figures_of_one_network_are_those_of_an_evaluation() {
        let answers = model("a", &["1101101001001111"]);
        let metrics = Metrics::of(&answers.networks[0].judgements).unwrap();
        let compared = &Comparison::of("val", &[answers]).unwrap().models[0];
        let triple = |estimate: Estimate| [estimate.value, estimate.low, estimate.high];
        assert_eq!(triple(compared.accuracy), triple(metrics.accuracy));
        assert_eq!(compared.covid19_recall.unwrap().value, metrics.classes[0].recall.unwrap().value);
        assert!(Comparison::of("val", &[model("none", &[""])]).is_none());
    }

    #[test]
    fn refused_films_are_rows_without_an_answer() {
        let films = [film("a", Class::Covid19), film("b", Class::Normal)];
        let judgements = vec![judgement(Class::Covid19, Some(Class::Covid19)), judgement(Class::Normal, None)];
        let network = NetworkAnswers { seed: Some(3), sha256: "ab".into(), judgements };
        let mut table = Vec::new();
        write_answers(&mut table, &films, &[Answers { model: "cbam".into(), networks: vec![network] }]).unwrap();
        let rows = String::from_utf8(table).unwrap();
        let rows: Vec<&str> = rows.lines().collect();
        assert_eq!(rows[0], "image_id,label,source,view,model,seed,sha256,top,right,covid19,pneumonia,normal");
        assert_eq!(rows[1], "a,covid19,nih,AP,cbam,3,ab,covid19,true,0.8,0.1,0.1");
        assert_eq!(rows[2], "b,normal,nih,AP,cbam,3,ab,,false,,,");
    }

    fn film(image_id: &str, label: Class) -> Film {
        Film {
            image_id: image_id.into(),
            path: Default::default(),
            label,
            label_source: None,
            reading: String::new(),
            review: String::new(),
            source: "nih".into(),
            patient_id: String::new(),
            view: "AP".into(),
            split: "val".into(),
            protocol: String::new(),
        }
    }
}
