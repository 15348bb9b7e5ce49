//! Subcommands and their arguments.

mod ablation;
mod compare;
mod prepare;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand, ValueEnum};
use image::GrayImage;
use trainer::annotations::Annotations;
use trainer::architecture::Attention;
use trainer::backend::Backend;
use trainer::bundle::{self, Arithmetic};
use trainer::calibration;
use trainer::dataset::{self, Film, LabelledPlate, Manifest};
use trainer::evaluate::{self, LungView};
use trainer::export::Estimator;
use trainer::export::agreement;
use trainer::film_space::{FilmDescriptions, ForeignTest, Separation};
use trainer::localization;
use trainer::metrics::Judged;
use trainer::photographs;
use trainer::snapshot::{self, Effect, Effects};
use trainer::state_dict::StateDict;
use trainer::teacher::{Teacher, TeacherError};
use trainer::train::{self, Ended, Example, Stage, TrainConfig};
use xray_triage::bundle::{Bundle, MANIFEST_FILE, sha256_hex};
use xray_triage::film::Profile;
use xray_triage::infer::Network;
use xray_triage::picture;
use xray_triage::pipeline::{Options, Triage};
use xray_triage::preprocess::{self, InputSpec};
use xray_triage::triage::{self, Scaling};

type AnyError = Box<dyn std::error::Error>;

/// Trains, measures and exports the network of xray-triage. Research use only, not for diagnosis.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Prepare(prepare::PrepareArgs),
    Train(TrainArgs),
    Export(ExportArgs),
    Calibrate(CalibrateArgs),
    Evaluate(EvaluateArgs),
    Compare(compare::CompareArgs),
    Ablation(ablation::AblationArgs),
    Localize(LocalizeArgs),
    Foreign(ForeignArgs),
    Report(report::ReportArgs),
    Snapshot(SnapshotArgs),
    Dump(DumpArgs),
}

/// A run's weights, averaged.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weights {
    /// Of the epoch with the best validation accuracy at the last size.
    Best,
    /// Of the newest epoch: `val` has not chosen it, so that what is calibrated on `val` is not too sure.
    Newest,
}

impl Weights {
    fn file(self) -> &'static str {
        match self {
            Weights::Best => train::BEST_FILE,
            Weights::Newest => train::NEWEST_FILE,
        }
    }
}

/// Make a bundle of a run's weights: int8 network, manifest, and the activation ranges in calibration/.
///
/// Run `trainer calibrate` next.
#[derive(Args)]
struct ExportArgs {
    /// The run's folder.
    #[arg(long)]
    run: PathBuf,
    #[arg(long, value_enum, default_value_t = Weights::Best)]
    weights: Weights,
    #[arg(long)]
    manifest: PathBuf,
    /// The bundle's folder.
    #[arg(long)]
    out: PathBuf,
    /// Short name with version, shown beside every verdict.
    #[arg(long)]
    id: String,
    /// Side of the input, pixels.
    #[arg(long, default_value_t = bundle::DEFAULT_SIZE)]
    size: u32,
    /// How activation ranges are chosen.
    #[arg(long, value_enum, default_value_t = Estimator::Mse)]
    estimator: Estimator,
    /// Films of the training split to take ranges from, spread evenly over it.
    #[arg(long, default_value_t = 128)]
    calibration_films: usize,
    /// Where the ranges go with their origin; calibration/BUNDLE/quantization.toml, with the name of the bundle's folder,
    /// if it is not given.
    #[arg(long)]
    quantization: Option<PathBuf>,
    /// Also write the float network here.
    #[arg(long)]
    float: Option<PathBuf>,
    /// Also measure what each quantized layer loses, and write it here as CSV.
    #[arg(long)]
    layers: Option<PathBuf>,
    /// Print the accuracy on `val` of the float and of the int8 network; takes minutes.
    #[arg(long)]
    compare: bool,
}

/// Fit the film space on `train`, and scaling, operating points and the threshold of unfamiliarity of each capture profile
/// on `val`, and write them into the bundle.
#[derive(Args)]
struct CalibrateArgs {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    manifest: PathBuf,
    /// Where they also go with their origin; calibration/BUNDLE/operating-points.toml, with the name of the bundle's folder,
    /// if it is not given.
    #[arg(long)]
    operating_points: Option<PathBuf>,
    /// The network whose logits are fitted. The float one is many times faster on processors without int8
    /// instructions, and its probabilities are close to the int8 one's (see docs/design/export.md).
    #[arg(long, value_enum, default_value_t = Arithmetic::Int8)]
    network: Arithmetic,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

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
struct EvaluateArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Judge simulated photographs of the films instead of the files.
    #[arg(long, value_enum)]
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
    /// Put the figures of all films into the bundle's manifest under this name.
    #[arg(long)]
    record: Option<String>,
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
struct LocalizeArgs {
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
struct ForeignArgs {
    #[command(flatten)]
    on: Measured,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Pictures that are no frontal chest film, or folders of them.
    #[arg(required = true)]
    foreign: Vec<PathBuf>,
}

/// Simulate a photograph of a film on a light box or on a screen, and print the film's true corners in it: x and y in
/// pixels, clockwise from the film's top left.
#[derive(Args)]
struct SnapshotArgs {
    /// The digital film.
    film: PathBuf,
    /// The photograph. A PNG file has it as it is; a JPEG file codes it once more.
    out: PathBuf,
    #[arg(long, value_enum, default_value_t = Profile::Film)]
    kind: Profile,
    /// How bad the photograph is in all respects, 0 to 4; only a negative it never is.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=4))]
    level: u8,
    /// Draw a level for each effect instead, mostly low ones.
    #[arg(long, conflicts_with = "level")]
    mix: bool,
    /// One effect's own level, NAME=LEVEL, for instance glare=3; can be repeated.
    #[arg(long = "effect", value_name = "NAME=LEVEL", value_parser = Effect::at_level)]
    effects: Vec<(Effect, u8)>,
    /// Write the true plate here, too: the sheet or picture as it is shown, a JPEG or PNG file.
    #[arg(long)]
    plate: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Write what another runtime needs to be compared with tract: the preprocessed inputs (inputs.f32), float.onnx and
/// int8.onnx.
#[derive(Args)]
struct DumpArgs {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    /// A folder of pictures.
    #[arg(long)]
    films: PathBuf,
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// What the shipped model is trained with; see docs/design/training.md.
    Own,
    /// Zhang's protocol: Adam 2e-4, batch 32, 50 epochs at 224 pixels, no random views, labels alone. The stretch of the
    /// gray range between percentiles is ours: it is the device's preprocessing.
    Paper,
}

/// Train a network on the `train` split and keep the weights that do best on `val`.
#[derive(Args)]
struct TrainArgs {
    /// The run's folder: settings, metrics.csv, checkpoints.
    #[arg(long)]
    out: PathBuf,
    /// Go on from the folder's checkpoint.
    #[arg(long)]
    resume: bool,
    #[arg(long, value_enum, default_value_t = Attention::Cbam)]
    attention: Attention,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    settings: TrainSettings,
}

/// How networks are trained, whatever their attention and seed.
#[derive(Args)]
struct TrainSettings {
    /// The dataset's manifest.csv.
    #[arg(long)]
    manifest: PathBuf,
    /// Where all settings come from that are not given.
    #[arg(long, value_enum, default_value_t = Preset::Own)]
    preset: Preset,
    /// Epochs at an input size, as SIZE:EPOCHS; several with commas, small sizes first.
    #[arg(long, value_delimiter = ',')]
    stages: Option<Vec<Stage>>,
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: Option<u16>,
    /// Peak learning rate of AdamW.
    #[arg(long)]
    learning_rate: Option<f64>,
    #[arg(long)]
    weight_decay: Option<f32>,
    #[arg(long)]
    label_smoothing: Option<f32>,
    /// Weights to start from instead of random ones: a run's or a bundle's, or torchvision's densenet121 (safetensors
    /// or .pth), whose classifier is left out.
    #[arg(long)]
    initial_weights: Option<PathBuf>,
    /// A classifier in ONNX that looks at every view: its probabilities are mixed into the targets, and its features are
    /// learned too.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Share of the teacher's probabilities in the targets.
    #[arg(long)]
    teacher_share: Option<f32>,
    /// Weight of the distance to the teacher's features in the loss; 0 learns from its probabilities alone.
    #[arg(long)]
    feature_weight: Option<f32>,
    /// Weight of the distance to the teacher's feature map, place by place, in the loss; 0 learns from the map's mean alone.
    #[arg(long)]
    map_weight: Option<f32>,
    /// Weight of the activation maps' part outside the lungs in the loss, for films with a mask in masks/ beside the
    /// manifest.
    #[arg(long)]
    lung_weight: Option<f32>,
    /// Decay per step of the averaged weights; 0 keeps the newest ones.
    #[arg(long)]
    average_decay: Option<f32>,
    /// Train on the films as they are.
    #[arg(long)]
    no_augment: bool,
    /// Chance that a view starts from a simulated photograph of the film, 0 to 1. The photographs are made before
    /// training, two a film, and kept in the run's folder.
    #[arg(long, value_parser = share)]
    photograph_share: Option<f32>,
    /// Chance that a view is mixed with one of another film, 0 to 1.
    #[arg(long, value_parser = share)]
    mixup: Option<f32>,
    /// Draw each class equally often, whatever its share of the films.
    #[arg(long)]
    balance_classes: bool,
    /// Convolutions in bfloat16: faster on processors with instructions for it.
    #[arg(long)]
    mixed_precision: bool,
    #[arg(long, value_enum)]
    backend: Option<Backend>,
}

pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("trainer=info,warn")).init();
    let outcome = match Cli::parse().command {
        Command::Prepare(args) => prepare::prepare(args),
        Command::Train(args) => train(args),
        Command::Export(args) => export(args),
        Command::Calibrate(args) => calibrate(args),
        Command::Evaluate(args) => evaluate(args),
        Command::Compare(args) => compare::compare(args),
        Command::Ablation(args) => ablation::ablation(args),
        Command::Localize(args) => localize(args),
        Command::Foreign(args) => foreign(args),
        Command::Report(args) => report::report(args),
        Command::Snapshot(args) => snapshot(args),
        Command::Dump(args) => dump(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trainer: {error}");
            ExitCode::from(2)
        }
    }
}

fn train(args: TrainArgs) -> Result<(), AnyError> {
    let TrainArgs { out, resume, attention, seed, settings } = args;
    let initial = initial_weights(&settings)?;
    let teacher = teacher(&settings)?;
    let config = train_config(&settings, attention, seed, initial.as_ref(), teacher.as_ref());
    let (train_films, val) = training_films(&settings, &config, &out)?;
    let films = train::Films { train: &train_films, val: &val, teacher: teacher.as_ref() };
    let device = settings.backend.unwrap_or(Backend::preferred()).device();
    let initial = initial.as_ref().map(|initial| &initial.state);
    let stop = stop_on_interrupt()?;
    match train::run(&out, &config, resume, &device, initial, &films, &stop)? {
        Ended::Finished(accuracy) => println!("finished: best validation accuracy {:.1} %", 100.0 * accuracy),
        Ended::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    Ok(())
}

/// Weights to start from.
struct InitialWeights {
    /// Of their file.
    sha256: String,
    state: StateDict,
}

fn initial_weights(args: &TrainSettings) -> Result<Option<InitialWeights>, AnyError> {
    match &args.initial_weights {
        Some(path) => {
            Ok(Some(InitialWeights { sha256: sha256_hex(&std::fs::read(path)?), state: StateDict::load(path)? }))
        }
        None => {
            if args.preset == Preset::Paper {
                eprintln!(
                    "warning: the paper starts from ImageNet weights; give torchvision's densenet121 by --initial-weights"
                );
            }
            Ok(None)
        }
    }
}

fn train_config(
    args: &TrainSettings,
    attention: Attention,
    seed: u64,
    initial: Option<&InitialWeights>,
    teacher: Option<&Teacher>,
) -> TrainConfig {
    let base = match args.preset {
        Preset::Own => TrainConfig::own(attention),
        Preset::Paper => TrainConfig::paper(attention),
    };
    TrainConfig {
        seed,
        batch_size: args.batch_size.map_or(base.batch_size, usize::from),
        learning_rate: args.learning_rate.unwrap_or(base.learning_rate),
        weight_decay: args.weight_decay.unwrap_or(base.weight_decay),
        label_smoothing: args.label_smoothing.unwrap_or(base.label_smoothing),
        teacher_share: args.teacher_share.unwrap_or(base.teacher_share),
        feature_weight: args.feature_weight.unwrap_or(base.feature_weight),
        map_weight: args.map_weight.unwrap_or(base.map_weight),
        lung_weight: args.lung_weight.unwrap_or(base.lung_weight),
        average_decay: args.average_decay.unwrap_or(base.average_decay),
        augment: base.augment && !args.no_augment,
        photograph_share: args.photograph_share.unwrap_or(base.photograph_share),
        mixup: args.mixup.unwrap_or(base.mixup),
        balance_classes: base.balance_classes || args.balance_classes,
        mixed_precision: base.mixed_precision || args.mixed_precision,
        stages: args.stages.clone().unwrap_or(base.stages),
        initial_weights: initial.map(|initial| initial.sha256.clone()),
        teacher: teacher.map(|teacher| teacher.sha256().into()),
        schedule: base.schedule,
        architecture: base.architecture,
    }
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1, for instance 0.5".into())
}

fn teacher(args: &TrainSettings) -> Result<Option<Teacher>, TeacherError> {
    args.teacher.as_deref().map(Teacher::load).transpose()
}

/// The films to train on and those to validate with. Photographs are kept in `folder`.
fn training_films(
    args: &TrainSettings,
    config: &TrainConfig,
    folder: &Path,
) -> Result<(Vec<Example>, Vec<LabelledPlate>), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let (train_plates, skipped) = dataset::read_plates(manifest.split("train")?)?;
    let (val_plates, val_skipped) = dataset::read_plates(manifest.split("val")?)?;
    dataset::check_classes("train", &train_plates)?;
    println!(
        "{} films to train on, {} to validate; {} unreadable films left out",
        train_plates.len(),
        val_plates.len(),
        skipped + val_skipped
    );
    std::fs::create_dir_all(folder)?;
    let photographs = match config.photograph_share > 0.0 {
        true => photographs::plates(&train_plates, &folder.join("photographs"))?,
        false => vec![Vec::new(); train_plates.len()],
    };
    let annotations = Annotations::beside(&args.manifest)?;
    let mut examples = Vec::with_capacity(train_plates.len());
    for (LabelledPlate { film, plate }, photographs) in train_plates.into_iter().zip(photographs) {
        let lungs = annotations.lungs(&film.image_id)?;
        examples.push(Example { plate, label: film.label, photographs, lungs });
    }
    let with_lungs = examples.iter().filter(|example| example.lungs.is_some()).count();
    println!("{with_lungs} of the films to train on have a lung mask");
    Ok((examples, val_plates))
}

/// Set by Ctrl-C. To be called once.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, AnyError> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    Ok(stop)
}

/// Layers that `export --layers` prints; the table has all.
const WORST_LAYERS: usize = 10;

fn export(args: ExportArgs) -> Result<(), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let train = manifest.split("train")?;
    let (mut films, _) = dataset::read_plates(train)?;
    let config = train::config_of(&args.run)?;
    let mut training = toml::Table::try_from(&config)?;
    training.insert("films".into(), toml::Value::Integer(films.len() as i64));
    training.insert("weights".into(), args.weights.file().into());
    let every = films.len().div_ceil(args.calibration_films.max(1));
    films = films.into_iter().step_by(every).collect();
    let quantization = args.quantization.unwrap_or_else(|| calibration_file(&args.out, "quantization.toml"));
    let target = bundle::Target {
        folder: &args.out,
        quantization_file: &quantization,
        id: &args.id,
        size: args.size,
        estimator: args.estimator,
    };
    let (float, int8) = bundle::export(&args.run.join(args.weights.file()), &target, &films, training)?;
    if let Some(path) = &args.float {
        std::fs::write(path, &float)?;
    }
    if let Some(table) = &args.layers {
        let layers = bundle::write_layer_errors(&args.out, &quantization, &films, table)?;
        println!("layers that lose most to int8, signal-to-quantization-noise ratio:");
        for layer in layers.iter().take(WORST_LAYERS) {
            println!("{:6.1} dB  {}", layer.sqnr_db, layer.layer);
        }
    }
    if !args.compare {
        return Ok(());
    }
    let (val, _) = dataset::read_plates(manifest.split("val")?)?;
    let spec = InputSpec::imagenet(args.size);
    let (float, int8) = (accuracy(&float, &spec, &val)?, accuracy(&int8, &spec, &val)?);
    println!("val accuracy over {} films: float {:.1} %, int8 {:.1} %", val.len(), 100.0 * float, 100.0 * int8);
    Ok(())
}

/// Accuracy (0..=1) of a network on plates.
fn accuracy(model: &[u8], spec: &InputSpec, films: &[LabelledPlate]) -> Result<f64, AnyError> {
    let network = Network::load(model, spec.size, 2)?;
    let mut right = 0;
    for film in films {
        let prediction = network.run(&preprocess::tensor(&film.plate, spec))?;
        right += usize::from(triage::probabilities(&prediction.logits, &Scaling::NONE).top() == film.film.label);
    }
    Ok(right as f64 / films.len() as f64)
}

/// Where the origin of a bundle's figures goes that is not said: `calibration/`, in a folder of the bundle's name.
fn calibration_file(bundle: &Path, file: &str) -> PathBuf {
    let whole = bundle.canonicalize().unwrap_or_else(|_| bundle.into());
    Path::new("calibration").join(whole.file_name().unwrap_or_default()).join(file)
}

fn calibrate(args: CalibrateArgs) -> Result<(), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let training_films = FilmDescriptions::of(&dataset::read_plates(manifest.split("train")?)?.0);
    let (films, _) = dataset::read_plates(manifest.split("val")?)?;
    dataset::check_classes("val", &films)?;
    let origin = args.operating_points.unwrap_or_else(|| calibration_file(&args.bundle, "operating-points.toml"));
    let manifest = bundle::calibrate(&args.bundle, &origin, &training_films, &films, args.network, args.threads)?;
    for (profile, calibration) in manifest.profiles.iter() {
        println!(
            "{}: temperature {:.3}, bias {}, unfamiliar above {:.4}",
            xray_triage::bundle::profile_name(profile),
            calibration.scaling.temperature,
            calibration::shown_bias(&calibration.scaling),
            calibration.unfamiliar_above
        );
        for (name, point) in &calibration.operating_points {
            println!("  {name}: {point}");
        }
    }
    Ok(())
}

fn evaluate(args: EvaluateArgs) -> Result<(), AnyError> {
    let mut films = Manifest::read(&args.on.manifest)?.split(&args.on.split)?;
    // A film with a part hidden is no photograph: nothing is to be looked for in it.
    let profile = args.lungs.map(|_| Profile::Digital);
    let options = Options { profile, operating_point: args.operating_point, threads: args.threads };
    if args.record.is_some() && !args.on.bundle.join(MANIFEST_FILE).exists() {
        return Err(
            format!("{}: figures can be put into a bundle only; leave out --record", args.on.bundle.display()).into()
        );
    }
    let mut bundle = bundle::open(&args.on.bundle, args.size)?;
    if args.lungs.is_some() {
        // Whether the network needs the lungs, it must say itself, and not be kept from a film without them.
        bundle.manifest.profiles.digital.unfamiliar_above = 1.0;
    }
    let triage = Triage::new(&bundle, &options)?;
    if let (Some(profile), false) = (args.photographs, args.levels.is_empty()) {
        let judge = |&level: &u8| -> Result<_, AnyError> {
            let photograph = |index: usize, plate: GrayImage| -> Result<GrayImage, AnyError> {
                bundle::photograph_at(&plate, profile, level, index)
                    .ok_or_else(|| "digital films have no levels; give --photographs film or screen".into())
            };
            Ok((level, judge_altered(&triage, &films, photograph)?))
        };
        let levels = args.levels.iter().map(judge).collect::<Result<Vec<_>, AnyError>>()?;
        let mut evaluation = evaluate::evaluate_levels(&triage, &args.on.split, &films, &levels);
        evaluation.photographs = Some(profile);
        return print_figures(&evaluation, args.json);
    }
    let judged = match (args.lungs, args.photographs) {
        (Some(view), _) => {
            let masks;
            (films, masks) = with_lungs(films, &Annotations::beside(&args.on.manifest)?)?;
            judge_altered(&triage, &films, |index, plate| Ok(view.of(&plate, &masks[index])))?
        }
        (None, None | Some(Profile::Digital)) => evaluate::judge(&triage, &films),
        (None, Some(profile)) => judge_altered(&triage, &films, |index, plate| {
            Ok(bundle::photograph(&plate, profile, index).unwrap_or(plate))
        })?,
    };
    let mut evaluation = evaluate::evaluate(&triage, &args.on.split, &films, &judged);
    evaluation.photographs = args.photographs.filter(|profile| *profile != Profile::Digital);
    evaluation.lungs = args.lungs;
    if let Some(name) = args.record {
        let all = &evaluation.groups[0].metrics;
        let mut table = toml::Table::new();
        table.insert("films".into(), toml::Value::Integer(all.films as i64));
        table.insert("accuracy".into(), toml::Value::Float(all.accuracy.value));
        for class in &all.classes {
            let recall = class.recall.map_or(f64::NAN, |recall| recall.value);
            table.insert(format!("recall_{}", class.class.label()), toml::Value::Float(recall));
        }
        table.insert("expected_calibration_error".into(), toml::Value::Float(all.expected_calibration_error));
        bundle::record_metrics(&args.on.bundle, &name, table)?;
    }
    print_figures(&evaluation, args.json)
}

/// One JSON object, or tables.
fn print_figures(figures: &(impl serde::Serialize + std::fmt::Display), json: bool) -> Result<(), AnyError> {
    match json {
        true => println!("{}", serde_json::to_string(figures)?),
        false => print!("{figures}"),
    }
    Ok(())
}

/// Judges what `alter` makes of each film's plate, given its place in the list.
fn judge_altered(
    triage: &Triage,
    films: &[Film],
    alter: impl Fn(usize, GrayImage) -> Result<GrayImage, AnyError>,
) -> Result<Vec<Judged>, AnyError> {
    let judge = |(index, film): (usize, &Film)| {
        let record = match picture::read(&film.path) {
            Ok(plate) => triage.assess(alter(index, plate)?, film.image_id.clone()).record,
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

fn localize(args: LocalizeArgs) -> Result<(), AnyError> {
    let (films, _) = dataset::read_plates(Manifest::read(&args.on.manifest)?.split(&args.on.split)?)?;
    let annotations = Annotations::beside(&args.on.manifest)?;
    let options = Options { threads: args.threads, ..Options::default() };
    let triage = Triage::new(&bundle::open(&args.on.bundle, None)?, &options)?;
    print_figures(&localization::localize(&triage, &args.on.split, &films, &annotations)?, args.json)
}

fn foreign(args: ForeignArgs) -> Result<(), AnyError> {
    let bundle = Bundle::load(&args.on.bundle)?;
    let (films, _) = dataset::read_plates(Manifest::read(&args.on.manifest)?.split(&args.on.split)?)?;
    let films: Vec<f64> = films.iter().map(|film| bundle.film_space.distance(&film.plate)).collect();
    let mut foreign = Vec::new();
    for file in files(&args.foreign)? {
        match picture::read(&file) {
            Ok(picture) => foreign.push(bundle.film_space.distance(&picture)),
            Err(error) => log::warn!("skipped: {error}"),
        }
    }
    let manifest = bundle.manifest;
    let threshold = manifest.profiles.digital.unfamiliar_above;
    let test = ForeignTest {
        model: manifest.id,
        sha256: manifest.sha256,
        film_space_sha256: manifest.film_space.sha256,
        split: args.on.split,
        separation: Separation::of(&films, &foreign, threshold).ok_or("no picture could be read")?,
    };
    match args.json {
        true => println!("{}", serde_json::to_string(&test)?),
        false => print!("{test}"),
    }
    Ok(())
}

/// The files meant by arguments: files as they are, folders as what is in them, by name.
fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, AnyError> {
    let mut files = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            files.push(argument.clone());
            continue;
        }
        let entries = std::fs::read_dir(argument)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>());
        let mut entries = entries.map_err(|error| format!("{}: {error}", argument.display()))?;
        entries.retain(|entry| entry.is_file());
        entries.sort();
        files.extend(entries);
    }
    Ok(files)
}

fn snapshot(args: SnapshotArgs) -> Result<(), AnyError> {
    let simulate =
        snapshot::simulator(args.kind).ok_or("a digital film needs no photograph; give --kind film or screen")?;
    let base = if args.mix { Effects::mixed(args.seed) } else { Effects::all(args.level) };
    let effects = args.effects.iter().fold(base, |effects, (effect, level)| effects.with(*effect, *level));
    let snapshot = simulate(&picture::read(&args.film)?, &effects, args.seed);
    snapshot.photo.save(&args.out)?;
    if let Some(path) = &args.plate {
        snapshot.plate.save(path)?;
    }
    println!("{}", snapshot.corners.map(|[x, y]| format!("{x:.1},{y:.1}")).join(" "));
    Ok(())
}

fn dump(args: DumpArgs) -> Result<(), AnyError> {
    let bundle = Bundle::load(&args.bundle)?;
    let inputs = agreement::inputs(&args.films, &bundle.manifest.input)?;
    std::fs::create_dir_all(&args.out)?;
    agreement::write_inputs(&args.out.join("inputs.f32"), inputs.iter().map(Vec::as_slice))?;
    std::fs::write(args.out.join("float.onnx"), bundle::float_model(&args.bundle)?)?;
    std::fs::write(args.out.join("int8.onnx"), &bundle.model)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_go_to_a_folder_of_the_bundles_name() {
        let file = Path::new("calibration/mine-2/quantization.toml");
        assert_eq!(calibration_file(Path::new("models/mine-2"), "quantization.toml"), file);
        assert_eq!(calibration_file(Path::new("models/mine-2/"), "quantization.toml"), file);
        let here = calibration_file(Path::new("."), "quantization.toml");
        assert_eq!(here.components().count(), 3, "the folder one stands in has a name: {}", here.display());
    }
}
