//! Judging the films of a split with the device's own code, from image file to verdict, and the figures of it.

use image::{GrayImage, Luma};
use serde::{Deserialize, Serialize};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::Pipeline;
use xray_triage_core::record::{ModelName, Record};

use crate::data::dataset::{Film, LabelSource};
use crate::markdown::{plain, table};

use super::judgement::{Judgement, patient_number};
use super::metrics::Metrics;

/// The name of the group of all films.
const ALL_FILMS: &str = "all";
/// The name of the group of films whose labels are proved ([`LabelSource::is_proved`]).
const PROVED_FILMS: &str = "read or proved";
/// Stands between the level of a photograph and the name of a group, as in `level 2, all`.
const LEVEL_END: &str = ", ";

/// The measurement of `trainer evaluate`: the figures of a split and of its parts.
#[derive(Serialize, Deserialize)]
pub struct Evaluation {
    /// The bundle's id.
    pub model: String,
    /// SHA-256 of the bundle's network.
    pub sha256: String,
    /// The split whose films were judged.
    pub split: String,
    /// The kind of simulated photograph that was judged. `None` if the film files themselves were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photographs: Option<Profile>,
    /// Which part of each film the network saw, if only the films with a lung mask were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lungs: Option<LungView>,
    /// The capture profile that was given. `None` if the device found out each film's profile; with `lungs` it then is
    /// the digital one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The operating point that was given. `None` if each film was judged at the default one of its profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<String>,
    /// The figures. The first are those of the films whose labels are proved, or of all films if it is not known which are.
    pub groups: Vec<Group>,
    /// Every film with what the device made of it. Empty for photographs at several levels.
    #[serde(default)]
    pub films: Vec<FilmJudgement>,
}

/// A film of an evaluation with what the device made of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FilmJudgement {
    /// The film's name in the data set.
    pub image_id: String,
    /// The collection the film comes from.
    pub source: String,
    /// What the device made of the film.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// The figures of a group of films of a split.
#[derive(Clone, Serialize, Deserialize)]
pub struct Group {
    /// Which films these are, such as `all` or `source nih`.
    pub name: String,
    /// The figures of these films.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// Which part of a film the network gets to see. A network that still knows the class without the lungs has learnt a
/// shortcut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LungView {
    /// The film as it is.
    Shown,
    /// The lungs replaced by the mean gray of the rest.
    Hidden,
    /// All but the lungs replaced by the mean gray of the lungs.
    Only,
}

impl LungView {
    /// Makes a film of which only this part is to be seen.
    ///
    /// `mask` is white inside the lungs. It covers the same area as the film, at any size in pixels.
    pub fn of(self, picture: &GrayImage, mask: &GrayImage) -> GrayImage {
        let hide_lungs = match self {
            LungView::Shown => return picture.clone(),
            LungView::Hidden => true,
            LungView::Only => false,
        };
        let nearest = image::imageops::FilterType::Nearest;
        let mask = image::imageops::resize(mask, picture.width(), picture.height(), nearest);
        let hidden = |x: u32, y: u32| (mask.get_pixel(x, y)[0] > 127) == hide_lungs;
        let (mut sum, mut count) = (0u64, 0u64);
        for (_, _, gray) in picture.enumerate_pixels().filter(|(x, y, _)| !hidden(*x, *y)) {
            sum += u64::from(gray[0]);
            count += 1;
        }
        let fill = Luma([(sum / count.max(1)) as u8]);
        GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
            if hidden(x, y) { fill } else { *picture.get_pixel(x, y) }
        })
    }
}

/// Judges the file of every film. A file that cannot be read counts as a refused film and is logged.
pub fn judge(pipeline: &Pipeline, films: &[Film]) -> Vec<Judgement> {
    films.iter().map(|film| judgement(film, pipeline.assess_file(&film.path).record)).collect()
}

/// Puts a film's label beside what the device said of the film. An error in the record is logged.
pub fn judgement(film: &Film, record: Record) -> Judgement {
    if let Some(error) = &record.error {
        log::warn!("{}: {error}", film.image_id);
    }
    Judgement {
        truth: film.label,
        patient: patient_number(&film.patient_id),
        outcome: record.outcome,
        probabilities: record.probabilities,
    }
}

/// Computes the figures of all films, of those whose labels are proved (PA and AP views by themselves, too), and of each
/// label source, protocol, source and view (projection).
///
/// Where source and class go together, a model can score by telling sources apart; the figures of single sources show
/// it. `judgements` are in the order of `films`.
pub fn evaluate(pipeline: &Pipeline, split: &str, films: &[Film], judgements: &[Judgement]) -> Evaluation {
    let listed = films.iter().zip(judgements).map(|(film, &judgement)| FilmJudgement {
        image_id: film.image_id.clone(),
        source: film.source.clone(),
        judgement,
    });
    Evaluation { films: listed.collect(), ..evaluation(pipeline.model(), split, groups("", films, judgements)) }
}

/// Computes the same figures of simulated photographs of every film at several levels, level by level.
///
/// Photographs of one film are no independent observations, so no group mixes levels. Single films are not listed. Each
/// level comes with the judgements of its photographs, in the order of `films`.
pub fn evaluate_levels(
    pipeline: &Pipeline,
    split: &str,
    films: &[Film],
    levels: &[(u8, Vec<Judgement>)],
) -> Evaluation {
    let of_level =
        |(level, judgements): &(u8, Vec<Judgement>)| groups(&format!("level {level}{LEVEL_END}"), films, judgements);
    evaluation(pipeline.model(), split, levels.iter().flat_map(of_level).collect())
}

fn evaluation(model: &ModelName, split: &str, groups: Vec<Group>) -> Evaluation {
    Evaluation {
        model: model.id.clone(),
        sha256: model.sha256.clone(),
        split: split.into(),
        photographs: None,
        lungs: None,
        profile: None,
        operating_point: None,
        groups,
        films: Vec::new(),
    }
}

/// The figures of all films and of each part. `prefix` is put before the groups' names.
fn groups(prefix: &str, films: &[Film], judgements: &[Judgement]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut add = |name: String, wanted: &dyn Fn(&Film) -> bool| {
        let part: Vec<Judgement> =
            films.iter().zip(judgements).filter(|(film, _)| wanted(film)).map(|(_, judgement)| *judgement).collect();
        groups.extend(Metrics::of(&part).map(|metrics| Group { name: format!("{prefix}{name}"), metrics }));
    };
    let proved = |film: &Film| film.label_source.is_some_and(LabelSource::is_proved);
    let projection = |film: &Film, wanted| film.view.split_whitespace().next() == Some(wanted);
    // The figures that can be relied on come first.
    add(PROVED_FILMS.into(), &proved);
    for view in ["PA", "AP"] {
        add(format!("{PROVED_FILMS}, {view}"), &|film| proved(film) && projection(film, view));
    }
    add(ALL_FILMS.into(), &|_| true);
    for source in LabelSource::ALL {
        add(format!("labels by {}", source.label()), &|film| film.label_source == Some(source));
    }
    for protocol in distinct(films, |film| &film.protocol) {
        add(format!("protocol {protocol}"), &|film| film.protocol == protocol);
    }
    for source in distinct(films, |film| &film.source) {
        add(format!("source {source}"), &|film| film.source == source);
    }
    for view in distinct(films, |film| &film.view) {
        add(format!("view {view}"), &|film| film.view == view);
    }
    groups
}

/// The values that occur, sorted, without the empty one.
fn distinct(films: &[Film], value: impl Fn(&Film) -> &String) -> Vec<String> {
    let mut values: Vec<String> = films.iter().map(|film| value(film).clone()).filter(|v| !v.is_empty()).collect();
    values.sort();
    values.dedup();
    values
}

impl Evaluation {
    /// A table in Markdown with a row for each group, under the model's name. Shares are in percent.
    pub fn groups_table(&self) -> String {
        let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}", 100.0 * share));
        let rows = self.groups.iter().map(|Group { name, metrics: m }| {
            let recalls = m.classes.iter().map(|class| share(class.recall.map(|recall| recall.value)));
            let mut cells = vec![plain(name), m.films.to_string(), m.accuracy.percent()];
            cells.extend(recalls);
            cells.extend([
                m.macro_auroc.map_or("-".into(), |auroc| format!("{:.3}", auroc.value)),
                m.expected_calibration_error.map_or("-".into(), |error| format!("{error:.3}")),
                m.refused.to_string(),
                share(Some(m.decided)),
                share(m.accuracy_of_decided),
            ]);
            cells
        });
        let header = [
            "films",
            "n",
            "accuracy (95 % interval)",
            "recall COVID-19",
            "recall pneumonia",
            "recall normal",
            "macro AUROC",
            "ECE",
            "refused",
            "decided",
            "right when decided",
        ];
        format!("model {} on split {}\n\n{}", plain(&self.model), plain(&self.split), table(&header, rows))
    }
}

impl std::fmt::Display for Evaluation {
    /// Tables in Markdown. The first has all groups. Then, for the films whose labels are proved and for all films (level by
    /// level if there are levels), come the figures of each class with 95 % intervals, the confusion matrix and the
    /// calibration error.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.groups_table())?;
        let shown_whole = |group: &&Group| {
            let name = group.name.rsplit_once(LEVEL_END).filter(|(level, _)| level.starts_with("level"));
            [ALL_FILMS, PROVED_FILMS].contains(&name.map_or(group.name.as_str(), |(_, name)| name))
        };
        for Group { name, metrics } in self.groups.iter().filter(shown_whole) {
            write!(f, "\n{name}, with 95 % intervals:\n\n{}\n{}", metrics.classes_table(), metrics.confusion_table())?;
            writeln!(f, "\n{}", metrics.calibration_error())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use xray_triage_core::decision::{Class, Outcome, Probabilities};

    use super::*;

    #[test]
    fn hidden_is_one_gray_and_the_rest_stays() {
        let picture = GrayImage::from_fn(4, 2, |x, _| Luma([if x < 2 { 10 } else { 200 }]));
        let mask = GrayImage::from_fn(8, 4, |x, _| Luma([if x < 4 { 255 } else { 0 }]));
        assert_eq!(LungView::Shown.of(&picture, &mask), picture);
        assert_eq!(LungView::Hidden.of(&picture, &mask), GrayImage::from_pixel(4, 2, Luma([200])));
        assert_eq!(LungView::Only.of(&picture, &mask), GrayImage::from_pixel(4, 2, Luma([10])));
    }

    fn film(source: &str, view: &str) -> Film {
        Film {
            image_id: String::new(),
            path: Default::default(),
            label: Class::Normal,
            label_source: None,
            reading: String::new(),
            review: String::new(),
            source: source.into(),
            patient_id: String::new(),
            view: view.into(),
            split: "val".into(),
            protocol: String::new(),
        }
    }

    fn of_groups(groups: Vec<Group>) -> Evaluation {
        evaluation(&ModelName { id: "m".into(), sha256: String::new() }, "val", groups)
    }

    #[test]
    fn every_source_and_view_has_figures_of_its_own() {
        let films = [film("nih", "PA"), film("nih", "AP"), film("cohen", "")];
        let judged = |top| {
            let share = |class| if class == top { 1.0 } else { 0.0 };
            let [covid19, pneumonia, normal] = Class::ALL.map(share);
            let probabilities = Some(Probabilities { covid19, pneumonia, normal });
            Judgement { truth: Class::Normal, patient: None, outcome: top.into(), probabilities }
        };
        let judged = [judged(Class::Normal), judged(Class::Covid19), judged(Class::Normal)];
        let found: Vec<(String, usize, f64)> = groups("level 4, ", &films, &judged)
            .into_iter()
            .map(|group| (group.name, group.metrics.films, group.metrics.accuracy.value))
            .collect();
        let expected = [
            ("all", 3, 2.0 / 3.0),
            ("source cohen", 1, 1.0),
            ("source nih", 2, 0.5),
            ("view AP", 1, 0.0),
            ("view PA", 1, 1.0),
        ];
        let expected = expected.map(|(name, films, accuracy)| (format!("level 4, {name}"), films, accuracy));
        assert_eq!(found, expected);
    }

    #[test]
    fn films_that_were_read_or_proved_come_first_with_their_views() {
        let from = |label_source, view: &str| Film { label_source, ..film("nih", view) };
        let films = [
            from(Some(LabelSource::ReportText), "PA"),
            from(Some(LabelSource::Radiologists), "AP Supine"),
            from(Some(LabelSource::Clinical), "PA"),
            from(None, "PA"),
        ];
        let judged = Judgement { truth: Class::Normal, patient: None, outcome: Outcome::Refused, probabilities: None };
        let found: Vec<(String, usize)> = groups("", &films, &[judged; 4])
            .into_iter()
            .map(|group| (group.name, group.metrics.films))
            .filter(|(name, _)| !name.starts_with("view"))
            .collect();
        let expected = [
            ("read or proved", 2),
            ("read or proved, PA", 1),
            ("read or proved, AP", 1),
            ("all", 4),
            ("labels by radiologists", 1),
            ("labels by clinical", 1),
            ("labels by report_text", 1),
            ("source nih", 4),
        ];
        assert_eq!(found, expected.map(|(name, films)| (name.to_owned(), films)));
        let text = of_groups(groups("level 3, ", &films, &[judged; 4])).to_string();
        assert!(text.contains("\nlevel 3, read or proved, with 95 % intervals:\n"), "{text}");
    }

    #[test]
    fn the_table_has_precision_intervals_and_the_confusion_matrix() {
        let films = [film("nih", "PA"), film("a|b_c", "AP")];
        let judged = [Class::Normal, Class::Covid19].map(|top| {
            let share = |class| if class == top { 1.0 } else { 0.0 };
            let [covid19, pneumonia, normal] = Class::ALL.map(share);
            let probabilities = Some(Probabilities { covid19, pneumonia, normal });
            Judgement { truth: Class::Normal, patient: None, outcome: top.into(), probabilities }
        });
        let groups = [groups("", &films, &judged), groups("level 2, ", &films, &judged)].concat();
        let evaluation = of_groups(groups);
        let text = evaluation.to_string();
        assert!(text.contains("| all | 2 | 50.0 (0.0-100.0) |"), "{text}");
        for name in ["all", "level 2, all"] {
            assert!(text.contains(&format!("\n{name}, with 95 % intervals:\n")), "{text}");
        }
        assert_eq!(text.matches("| normal | 2 | 50.0 (0.0-100.0) | - | 100.0 (2.5-100.0) | - |").count(), 2, "{text}");
        assert_eq!(text.matches("| normal | 1 | 0 | 1 | 0 |").count(), 2, "{text}");
        assert!(!evaluation.groups_table().contains("intervals"));
        assert!(text.contains("| source a\\|b\\_c | 1 |"), "what comes from outside stays in its cell: {text}");
    }

    #[test]
    fn refused_films_show_a_dash_for_their_calibration_error() {
        let refused =
            [Judgement { truth: Class::Normal, patient: None, outcome: Outcome::Refused, probabilities: None }];
        let text = of_groups(groups("", &[film("", "")], &refused)).to_string();
        assert!(text.contains("| all | 1 | 0.0 (0.0-97.5) | - | - | 0.0 | - | - | 1 | 0.0 | - |"), "{text}");
    }
}
