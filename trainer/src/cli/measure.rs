//! `trainer evaluate`, `trainer localize` and `trainer ood`.

use std::path::PathBuf;

use clap::Args;
use image::GrayImage;
use trainer::bundle;
use trainer::data::annotations::Annotations;
use trainer::data::dataset::{self, Film, Manifest};
use trainer::measure::evaluate::{self, Evaluation, LungView};
use trainer::measure::judgement::Judgement;
use trainer::measure::localize;
use trainer::measure::metrics::Metrics;
use trainer::measure::ood::{OodTest, Separation};
use xray_triage_core::bundle::{Bundle, MANIFEST_FILE};
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::{Options, Pipeline};

use super::{AnyError, files, print_measurement};

/// What is measured, and on which films.
#[derive(Args)]
struct Measured {
    /// The bundle's folder. `evaluate` and `localize` also take a float checkpoint: a run's folder, for its best weights,
    /// or a file of weights.
    #[arg(long, visible_alias = "checkpoint")]
    bundle: PathBuf,
    /// The data set's manifest.
    #[arg(long)]
    manifest: PathBuf,
    /// The split whose films are judged.
    #[arg(long, default_value = "val")]
    split: String,
}

/// Measure a bundle or a float checkpoint on the films of a split, with the device's own code from file to verdict.
#[derive(Args)]
pub struct EvaluateArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Judge simulated photographs of the films, of this kind, instead of the files.
    #[arg(long, value_parser = super::profile_parser())]
    photographs: Option<Profile>,
    /// Judge a photograph of every film at each of these levels of the simulator, 1 to 4. Each level has rows of its own.
    /// Without this flag levels 1 to 3 come in turn.
    #[arg(long, value_delimiter = ',', requires = "photographs", conflicts_with = "record",
        value_parser = clap::value_parser!(u8).range(1..=4))]
    levels: Vec<u8>,
    /// Judge only the films with a lung mask, as they are or with a part hidden, to see whether the model needs the lungs.
    /// No film is refused as out-of-distribution.
    #[arg(long, value_enum, conflicts_with = "photographs")]
    lungs: Option<LungView>,
    /// The capture profile to judge by, as the box's settings name one. Without this flag it is found out film by film; with
    /// --lungs it is the digital one.
    #[arg(long, value_parser = super::profile_parser(), conflicts_with = "lungs")]
    profile: Option<Profile>,
    /// Also put the figures of all films into the bundle's manifest, under this name.
    #[arg(long)]
    record: Option<String>,
    /// The operating point to judge at. Without this flag it is the default one of the film's profile.
    #[arg(long)]
    operating_point: Option<String>,
    /// Side of a float checkpoint's input, pixels. Without this flag it is that of a run's last stage, or 224 for a file.
    #[arg(long)]
    size: Option<u32>,
    /// Threads for the network.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Measure where the activation maps of a bundle or a float checkpoint look, by lung masks, radiologists' boxes and severity
/// scores beside the manifest.
#[derive(Args)]
pub struct LocalizeArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Threads for the network.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Measure how well a bundle's out-of-distribution score tells the films of a split from pictures that are no frontal chest
/// film.
#[derive(Args)]
pub struct OodArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Pictures that are no frontal chest film, or folders of them. Folders in a folder are not looked into.
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
}

pub fn evaluate(args: EvaluateArgs) -> Result<(), AnyError> {
    let films = Manifest::read(&args.on.manifest)?.split(&args.on.split)?;
    let (films, masks) = match args.lungs {
        Some(_) => with_lungs(films, &Annotations::beside(&args.on.manifest)?)?,
        None => (films, Vec::new()),
    };
    dataset::check_readable(&films)?;
    // A film with a part hidden is no photograph, so the device must not look for a film in it.
    let profile = args.lungs.map(|_| Profile::Digital).or(args.profile);
    let options = Options { profile, operating_point: args.operating_point.clone(), threads: args.threads };
    if args.record.is_some() && !args.on.bundle.join(MANIFEST_FILE).exists() {
        return Err(
            format!("{}: figures can be put into a bundle only; leave out --record", args.on.bundle.display()).into()
        );
    }
    let mut bundle = bundle::open(&args.on.bundle, args.size)?;
    let measured = bundle.manifest.clone();
    if args.lungs.is_some() {
        // A film without lungs must reach the network, and not be refused before.
        bundle.manifest.profiles.digital.ood_above = 1.0;
    }
    let pipeline = Pipeline::new(&bundle, &options)?;
    let with_conditions = |evaluation: Evaluation| Evaluation {
        photographs: args.photographs.filter(|profile| *profile != Profile::Digital),
        lungs: args.lungs,
        profile: args.profile,
        operating_point: args.operating_point.clone(),
        ..evaluation
    };
    if let (Some(profile), false) = (args.photographs, args.levels.is_empty()) {
        let judge = |&level: &u8| -> Result<_, AnyError> {
            let photograph = |index: usize, picture: GrayImage| -> Result<GrayImage, AnyError> {
                bundle::photograph_at(&picture, profile, level, index)
                    .ok_or_else(|| "digital films have no levels; give --photographs film or screen".into())
            };
            Ok((level, judge_altered(&pipeline, &films, photograph)?))
        };
        let levels = args.levels.iter().map(judge).collect::<Result<Vec<_>, AnyError>>()?;
        let evaluation = with_conditions(evaluate::evaluate_levels(&pipeline, &args.on.split, &films, &levels));
        return print_measurement(&evaluation, args.json);
    }
    let judgements = match (args.lungs, args.photographs) {
        (Some(view), _) => judge_altered(&pipeline, &films, |index, picture| Ok(view.of(&picture, &masks[index])))?,
        (None, None | Some(Profile::Digital)) => evaluate::judge(&pipeline, &films),
        (None, Some(profile)) => judge_altered(&pipeline, &films, |index, picture| {
            Ok(bundle::photograph(&picture, profile, index).unwrap_or(picture))
        })?,
    };
    let evaluation = with_conditions(evaluate::evaluate(&pipeline, &args.on.split, &films, &judgements));
    if let Some(name) = args.record {
        let figures = recorded_figures(&evaluation.groups[0].metrics);
        bundle::record_metrics(&args.on.bundle, &measured, &name, figures)?;
    }
    print_measurement(&evaluation, args.json)
}

/// The figures that `--record` puts into a manifest. Where there is no figure, words say why.
fn recorded_figures(metrics: &Metrics) -> toml::Table {
    let figure = |value: Option<f64>, why_none: &str| match value {
        Some(value) => toml::Value::Float(value),
        None => toml::Value::String(why_none.into()),
    };
    let mut table = toml::Table::new();
    table.insert("films".into(), toml::Value::Integer(metrics.films as i64));
    table.insert("accuracy".into(), toml::Value::Float(metrics.accuracy.value));
    for class in &metrics.classes {
        let recall = figure(class.recall.map(|recall| recall.value), "none: there is no film of the class");
        table.insert(format!("recall_{}", class.class.label()), recall);
    }
    let error = figure(metrics.expected_calibration_error, "none: all films were refused");
    table.insert("expected_calibration_error".into(), error);
    table
}

/// Judges what `alter` makes of each film's picture. `alter` gets the film's place in the list and its picture.
fn judge_altered(
    pipeline: &Pipeline,
    films: &[Film],
    alter: impl Fn(usize, GrayImage) -> Result<GrayImage, AnyError>,
) -> Result<Vec<Judgement>, AnyError> {
    let judge = |(index, film): (usize, &Film)| {
        let record = match image_file::read(&film.path) {
            Ok(picture) => pipeline.assess(alter(index, picture)?, film.image_id.clone()).record,
            // The device's own record says what is wrong with the file.
            Err(_) => pipeline.assess_file(&film.path).record,
        };
        Ok(evaluate::judgement(film, record))
    };
    films.iter().enumerate().map(judge).collect()
}

/// The films that have a lung mask, and the masks.
fn with_lungs(films: Vec<Film>, annotations: &Annotations) -> Result<(Vec<Film>, Vec<GrayImage>), AnyError> {
    let (mut with_mask, mut masks) = (Vec::new(), Vec::new());
    for film in films {
        if let Some(mask) = annotations.lungs(&film.image_id)? {
            with_mask.push(film);
            masks.push(mask);
        }
    }
    if with_mask.is_empty() {
        return Err("no film of this split has a lung mask; see docs/reference/dataset.md".into());
    }
    Ok((with_mask, masks))
}

pub fn localize(args: LocalizeArgs) -> Result<(), AnyError> {
    let (films, _) = dataset::read_films(Manifest::read(&args.on.manifest)?.split(&args.on.split)?)?;
    let annotations = Annotations::beside(&args.on.manifest)?;
    let options = Options { threads: args.threads, ..Options::default() };
    let pipeline = Pipeline::new(&bundle::open(&args.on.bundle, None)?, &options)?;
    print_measurement(&localize::localize(&pipeline, &args.on.split, &films, &annotations)?, args.json)
}

pub fn ood(args: OodArgs) -> Result<(), AnyError> {
    let Bundle { manifest, ood, .. } = Bundle::load(&args.on.bundle)?;
    let (films, _) = dataset::read_films(Manifest::read(&args.on.manifest)?.split(&args.on.split)?)?;
    let films: Vec<f64> = films.iter().map(|film| ood.score(&film.picture)).collect();
    let mut pictures = Vec::new();
    for file in files(&args.pictures)? {
        match image_file::read(&file) {
            Ok(picture) => pictures.push(ood.score(&picture)),
            Err(error) => log::warn!("skipped: {error}"),
        }
    }
    let threshold = manifest.profiles.digital.ood_above;
    let test = OodTest {
        model: manifest.id,
        sha256: manifest.sha256,
        ood_sha256: manifest.ood.sha256,
        split: args.on.split,
        separation: Separation::of(&films, &pictures, threshold)
            .ok_or("no picture could be read; name the folder they lie in, folders in it are not looked into")?,
    };
    print_measurement(&test, args.json)
}

#[cfg(test)]
mod tests {
    use xray_triage_core::decision::{Class, Outcome};

    use super::*;

    #[test]
    fn figures_that_are_not_there_go_into_a_manifest_as_words() {
        let refused = Judgement { truth: Class::Normal, patient: None, outcome: Outcome::Refused, probabilities: None };
        let figures = recorded_figures(&Metrics::of(&[refused]).unwrap());
        assert_eq!(figures["recall_normal"].as_float(), Some(0.0));
        assert_eq!(figures["recall_covid19"].as_str(), Some("none: there is no film of the class"));
        assert_eq!(figures["expected_calibration_error"].as_str(), Some("none: all films were refused"));
    }
}
