//! `trainer evaluate`, `trainer localize` and `trainer foreign`.

use std::path::PathBuf;

use clap::Args;
use image::GrayImage;
use trainer::bundle;
use trainer::bundle::ood::{ForeignTest, Separation};
use trainer::data::annotations::Annotations;
use trainer::data::dataset::{self, Film, Manifest};
use trainer::measure::evaluate::{self, Evaluation, LungView};
use trainer::measure::localize;
use trainer::measure::metrics::Judged;
use xray_triage_core::bundle::{Bundle, MANIFEST_FILE};
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::{Options, Pipeline};

use super::{AnyError, files, print_figures};

/// What a measurement is taken of.
#[derive(Args)]
struct Measured {
    /// The bundle's folder. `evaluate` and `localize` also take a float checkpoint: a run's folder, for its best weights,
    /// or the file.
    #[arg(long, visible_alias = "checkpoint")]
    bundle: PathBuf,
    #[arg(long)]
    manifest: PathBuf,
    #[arg(long, default_value = "val")]
    split: String,
}

/// Measure a bundle or a float checkpoint on a split, through the device library.
#[derive(Args)]
pub struct EvaluateArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Judge simulated photographs of the films instead of the files.
    #[arg(long, value_parser = super::profile_parser())]
    photographs: Option<Profile>,
    /// Judge photographs of every film at each of these levels of the simulator, 1 to 4, with rows of their own. Without
    /// it levels 1 to 3 come in turn.
    #[arg(long, value_delimiter = ',', requires = "photographs", conflicts_with = "record",
        value_parser = clap::value_parser!(u8).range(1..=4))]
    levels: Vec<u8>,
    /// Judge only the films with a lung mask, as they are or with a part hidden: does the model need the lungs? None is
    /// refused as unfamiliar.
    #[arg(long, value_enum, conflicts_with = "photographs")]
    lungs: Option<LungView>,
    /// The capture profile to judge by, as the box's settings name one. Found out by the picture if it is not given; with
    /// --lungs the digital one.
    #[arg(long, value_parser = super::profile_parser(), conflicts_with = "lungs")]
    profile: Option<Profile>,
    /// Put the figures of all films into the bundle's manifest under this name.
    #[arg(long)]
    record: Option<String>,
    /// The operating point to judge at; the bundle's default one if it is not given.
    #[arg(long)]
    operating_point: Option<String>,
    /// Side of a float checkpoint's input, pixels: that of a run's last stage, or 224 for a file, if it is not given.
    #[arg(long)]
    size: Option<u32>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Measure where a bundle's activation maps look: lung masks, radiologists' boxes and severity scores beside the
/// manifest.
#[derive(Args)]
pub struct LocalizeArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Measure how well a bundle's film space tells the films of a split from pictures that are no frontal chest film.
#[derive(Args)]
pub struct ForeignArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Pictures that are no frontal chest film, or folders of them.
    #[arg(required = true)]
    foreign: Vec<PathBuf>,
}

pub fn evaluate(args: EvaluateArgs) -> Result<(), AnyError> {
    let films = Manifest::read(&args.on.manifest)?.split(&args.on.split)?;
    let (films, masks) = match args.lungs {
        Some(_) => with_lungs(films, &Annotations::beside(&args.on.manifest)?)?,
        None => (films, Vec::new()),
    };
    dataset::check_readable(&films)?;
    // A film with a part hidden is no photograph: nothing is to be looked for in it.
    let profile = args.lungs.map(|_| Profile::Digital).or(args.profile);
    let options = Options { profile, operating_point: args.operating_point.clone(), threads: args.threads };
    if args.record.is_some() && !args.on.bundle.join(MANIFEST_FILE).exists() {
        return Err(
            format!("{}: figures can be put into a bundle only; leave out --record", args.on.bundle.display()).into()
        );
    }
    let mut bundle = bundle::open(&args.on.bundle, args.size)?;
    if args.lungs.is_some() {
        // Whether the network needs the lungs, it must say itself, and not be kept from a film without them.
        bundle.manifest.profiles.digital.ood_above = 1.0;
    }
    let triage = Pipeline::new(&bundle, &options)?;
    let judged_by = |evaluation: Evaluation| Evaluation {
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
            Ok((level, judge_altered(&triage, &films, photograph)?))
        };
        let levels = args.levels.iter().map(judge).collect::<Result<Vec<_>, AnyError>>()?;
        let evaluation = judged_by(evaluate::evaluate_levels(&triage, &args.on.split, &films, &levels));
        return print_figures(&evaluation, args.json);
    }
    let judged = match (args.lungs, args.photographs) {
        (Some(view), _) => judge_altered(&triage, &films, |index, picture| Ok(view.of(&picture, &masks[index])))?,
        (None, None | Some(Profile::Digital)) => evaluate::judge(&triage, &films),
        (None, Some(profile)) => judge_altered(&triage, &films, |index, picture| {
            Ok(bundle::photograph(&picture, profile, index).unwrap_or(picture))
        })?,
    };
    let evaluation = judged_by(evaluate::evaluate(&triage, &args.on.split, &films, &judged));
    if let Some(name) = args.record {
        let all = &evaluation.groups[0].metrics;
        let mut table = toml::Table::new();
        table.insert("films".into(), toml::Value::Integer(all.films as i64));
        table.insert("accuracy".into(), toml::Value::Float(all.accuracy.value));
        for class in &all.classes {
            let recall = class.recall.map_or(f64::NAN, |recall| recall.value);
            table.insert(format!("recall_{}", class.class.label()), toml::Value::Float(recall));
        }
        let calibration_error = all.expected_calibration_error.unwrap_or(f64::NAN);
        table.insert("expected_calibration_error".into(), toml::Value::Float(calibration_error));
        bundle::record_metrics(&args.on.bundle, &name, table)?;
    }
    print_figures(&evaluation, args.json)
}

/// Judges what `alter` makes of each film's picture, given its place in the list.
fn judge_altered(
    triage: &Pipeline,
    films: &[Film],
    alter: impl Fn(usize, GrayImage) -> Result<GrayImage, AnyError>,
) -> Result<Vec<Judged>, AnyError> {
    let judge = |(index, film): (usize, &Film)| {
        let record = match image_file::read(&film.path) {
            Ok(picture) => triage.assess(alter(index, picture)?, film.image_id.clone()).record,
            // The device says what is wrong with the file itself.
            Err(_) => triage.assess_file(&film.path).record,
        };
        Ok(evaluate::judged(film, record))
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
    let triage = Pipeline::new(&bundle::open(&args.on.bundle, None)?, &options)?;
    print_figures(&localize::localize(&triage, &args.on.split, &films, &annotations)?, args.json)
}

pub fn foreign(args: ForeignArgs) -> Result<(), AnyError> {
    let bundle = Bundle::load(&args.on.bundle)?;
    let (films, _) = dataset::read_films(Manifest::read(&args.on.manifest)?.split(&args.on.split)?)?;
    let films: Vec<f64> = films.iter().map(|film| bundle.ood.score(&film.picture)).collect();
    let mut foreign = Vec::new();
    for file in files(&args.foreign)? {
        match image_file::read(&file) {
            Ok(picture) => foreign.push(bundle.ood.score(&picture)),
            Err(error) => log::warn!("skipped: {error}"),
        }
    }
    let manifest = bundle.manifest;
    let threshold = manifest.profiles.digital.ood_above;
    let test = ForeignTest {
        model: manifest.id,
        sha256: manifest.sha256,
        film_space_sha256: manifest.ood.sha256,
        split: args.on.split,
        separation: Separation::of(&films, &foreign, threshold)
            .ok_or("no picture could be read; name the folder they lie in, folders in it are not looked into")?,
    };
    print_figures(&test, args.json)
}
