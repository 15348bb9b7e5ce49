//! Subcommands and their arguments.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};
use trainer::architecture::{Architecture, Attention};
use trainer::backend::Backend;
use trainer::bundle::{self, Arithmetic};
use trainer::dataset::{self, Film, LabelledPlate, Manifest};
use trainer::evaluate;
use trainer::export::Estimator;
use trainer::export::agreement;
use trainer::metrics::Judged;
use trainer::snapshot;
use trainer::state_dict::StateDict;
use trainer::teacher;
use trainer::train::{self, Ended, Example, Stage, TrainConfig};
use xray_triage::bundle::{Bundle, sha256_hex};
use xray_triage::film::Profile;
use xray_triage::infer::Network;
use xray_triage::picture;
use xray_triage::pipeline::{Options, Triage};
use xray_triage::preprocess::{self, InputSpec};
use xray_triage::triage;

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
    Train(TrainArgs),
    Export(ExportArgs),
    Calibrate(CalibrateArgs),
    Evaluate(EvaluateArgs),
    Snapshot(SnapshotArgs),
    Dump(DumpArgs),
}

/// Make a bundle of a run's best weights: int8 network, manifest, and the activation ranges in calibration/.
///
/// Run `trainer calibrate` next.
#[derive(Args)]
struct ExportArgs {
    /// The run's folder.
    #[arg(long)]
    run: PathBuf,
    #[arg(long)]
    manifest: PathBuf,
    /// The bundle's folder.
    #[arg(long)]
    out: PathBuf,
    /// Short name with version, shown beside every verdict.
    #[arg(long)]
    id: String,
    /// Side of the input, pixels.
    #[arg(long, default_value_t = 224)]
    size: u32,
    /// How activation ranges are chosen.
    #[arg(long, value_enum, default_value_t = Estimator::Mse)]
    estimator: Estimator,
    /// Films of the training split to take ranges from, spread evenly over it.
    #[arg(long, default_value_t = 128)]
    calibration_films: usize,
    /// Where the ranges go with their origin.
    #[arg(long, default_value = "calibration/densenet121-cbam/quantization.toml")]
    quantization: PathBuf,
    /// Also write the float network here.
    #[arg(long)]
    float: Option<PathBuf>,
    /// Print the accuracy on `val` of the float and of the int8 network; takes minutes.
    #[arg(long)]
    compare: bool,
}

/// Fit temperature and operating points of each capture profile on `val` and write them into the bundle.
#[derive(Args)]
struct CalibrateArgs {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    manifest: PathBuf,
    /// Where they also go with their origin.
    #[arg(long, default_value = "calibration/densenet121-cbam/operating-points.toml")]
    operating_points: PathBuf,
    /// The network whose logits are fitted. The float one is many times faster on processors without int8
    /// instructions, and its probabilities are close to the int8 one's (see docs/design/export.md).
    #[arg(long, value_enum, default_value_t = Arithmetic::Int8)]
    network: Arithmetic,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Measure a bundle on a split, through the device library.
#[derive(Args)]
struct EvaluateArgs {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    manifest: PathBuf,
    #[arg(long, default_value = "val")]
    split: String,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Judge simulated photographs of the films instead of the files.
    #[arg(long, value_enum)]
    photographs: Option<Profile>,
    /// Put the figures of all films into the bundle's manifest under this name.
    #[arg(long)]
    record: Option<String>,
    #[arg(long)]
    operating_point: Option<String>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Simulate a photograph of a film on a light box or on a screen.
#[derive(Args)]
struct SnapshotArgs {
    /// The digital film.
    film: PathBuf,
    /// The photograph, a JPEG or PNG file.
    out: PathBuf,
    #[arg(long, value_enum, default_value_t = Profile::Film)]
    kind: Profile,
    /// How bad the photograph is, 1 to 4.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
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

/// Train a network on the `train` split and keep the weights that do best on `val`.
#[derive(Args)]
struct TrainArgs {
    /// The dataset's manifest.csv.
    #[arg(long)]
    manifest: PathBuf,
    /// The run's folder: settings, metrics.csv, checkpoints.
    #[arg(long)]
    out: PathBuf,
    /// Go on from the folder's checkpoint.
    #[arg(long)]
    resume: bool,
    #[arg(long, value_enum, default_value_t = Attention::Cbam)]
    attention: Attention,
    /// Epochs at an input size, as SIZE:EPOCHS; several with commas, small sizes first.
    #[arg(long, value_delimiter = ',', default_value = "128:60,224:6")]
    stages: Vec<Stage>,
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Peak learning rate of AdamW.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    #[arg(long, default_value_t = 2e-2)]
    weight_decay: f32,
    #[arg(long, default_value_t = 0.1)]
    label_smoothing: f32,
    /// Weights to start from instead of random ones: safetensors with torchvision's names, a run's or a bundle's.
    #[arg(long)]
    initial_weights: Option<PathBuf>,
    /// A classifier in ONNX whose probabilities are mixed into the targets.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Share of the teacher's probabilities in the targets.
    #[arg(long, default_value_t = 0.5)]
    teacher_share: f32,
    /// Decay per step of the averaged weights.
    #[arg(long, default_value_t = 0.995)]
    average_decay: f32,
    /// Train on the films as they are, as the paper does.
    #[arg(long)]
    no_augment: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum)]
    backend: Option<Backend>,
}

pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("trainer=info,warn")).init();
    let outcome = match Cli::parse().command {
        Command::Train(args) => train(args),
        Command::Export(args) => export(args),
        Command::Calibrate(args) => calibrate(args),
        Command::Evaluate(args) => evaluate(args),
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
    let manifest = Manifest::read(&args.manifest)?;
    let (train_plates, skipped) = dataset::read_plates(manifest.split("train")?);
    let (val_plates, val_skipped) = dataset::read_plates(manifest.split("val")?);
    dataset::check_classes("train", &train_plates)?;
    println!(
        "{} films to train on, {} to validate; {} unreadable films left out",
        train_plates.len(),
        val_plates.len(),
        skipped + val_skipped
    );
    std::fs::create_dir_all(&args.out)?;
    let soft_labels = match &args.teacher {
        Some(teacher) => {
            let labels = teacher::soft_labels(teacher, &train_plates, &args.out)?;
            labels.into_iter().map(Some).collect()
        }
        None => vec![None; train_plates.len()],
    };
    let examples: Vec<Example> = train_plates
        .into_iter()
        .zip(soft_labels)
        .map(|(film, teacher)| Example { plate: film.plate, label: film.film.label, teacher })
        .collect();
    let initial = match &args.initial_weights {
        Some(path) => Some((sha256_hex(&std::fs::read(path)?), StateDict::load(path)?)),
        None => None,
    };
    let config = TrainConfig {
        seed: args.seed,
        batch_size: args.batch_size.max(1),
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay,
        label_smoothing: args.label_smoothing,
        teacher_share: args.teacher_share,
        average_decay: args.average_decay,
        augment: !args.no_augment,
        stages: args.stages,
        architecture: Architecture::densenet121(args.attention),
        initial_weights: initial.as_ref().map(|(hash, _)| hash.clone()),
    };
    let films = train::Films { train: &examples, val: &val_plates };
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    let device = args.backend.unwrap_or(Backend::preferred()).device();
    match train::run(&args.out, &config, args.resume, &device, initial.as_ref().map(|(_, state)| state), &films, &stop)?
    {
        Ended::Finished(accuracy) => println!("finished: best validation accuracy {:.1} %", 100.0 * accuracy),
        Ended::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    Ok(())
}

fn export(args: ExportArgs) -> Result<(), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let train = manifest.split("train")?;
    let every = train.len().div_ceil(args.calibration_films.max(1));
    let (films, _) = dataset::read_plates(train.iter().step_by(every).cloned().collect());
    let config = train::config_of(&args.run)?;
    let mut training = toml::Table::try_from(&config)?;
    training.insert("films".into(), toml::Value::Integer(train.len() as i64));
    let (float, int8) = bundle::export(
        &args.run.join(train::BEST_FILE),
        &args.out,
        &args.quantization,
        &args.id,
        args.size,
        args.estimator,
        &films,
        training,
    )?;
    if let Some(path) = &args.float {
        std::fs::write(path, &float)?;
    }
    if !args.compare {
        return Ok(());
    }
    let (val, _) = dataset::read_plates(manifest.split("val")?);
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
        right += usize::from(triage::probabilities(&prediction.logits, 1.0).top() == film.film.label);
    }
    Ok(right as f64 / films.len() as f64)
}

fn calibrate(args: CalibrateArgs) -> Result<(), AnyError> {
    let (films, _) = dataset::read_plates(Manifest::read(&args.manifest)?.split("val")?);
    dataset::check_classes("val", &films)?;
    let manifest = bundle::calibrate(&args.bundle, &args.operating_points, &films, args.network, args.threads)?;
    for (profile, calibration) in manifest.profiles.iter() {
        println!("{}: temperature {:.3}", xray_triage::bundle::profile_name(profile), calibration.temperature);
        for (name, point) in &calibration.operating_points {
            println!("  {name}: {point}");
        }
    }
    Ok(())
}

fn evaluate(args: EvaluateArgs) -> Result<(), AnyError> {
    let films = Manifest::read(&args.manifest)?.split(&args.split)?;
    let options = Options { profile: None, operating_point: args.operating_point, threads: args.threads };
    let triage = Triage::new(&Bundle::load(&args.bundle)?, &options)?;
    let judged = match args.photographs {
        None | Some(Profile::Digital) => evaluate::judge(&triage, &films),
        Some(profile) => judge_photographs(&triage, &films, profile)?,
    };
    let evaluation = evaluate::evaluate(&triage, &args.split, &films, &judged);
    if let Some(name) = args.record {
        let all = &evaluation.groups[0].metrics;
        let mut table = toml::Table::new();
        table.insert("films".into(), toml::Value::Integer(all.films as i64));
        table.insert("accuracy".into(), toml::Value::Float(all.accuracy.value));
        for class in &all.classes {
            let recall = class.recall.unwrap_or(f64::NAN);
            table.insert(format!("recall_{}", class.class.label()), toml::Value::Float(recall));
        }
        table.insert("expected_calibration_error".into(), toml::Value::Float(all.expected_calibration_error));
        bundle::record_metrics(&args.bundle, &name, table)?;
    }
    match args.json {
        true => println!("{}", serde_json::to_string(&evaluation)?),
        false => print!("{evaluation}"),
    }
    Ok(())
}

/// Judges a simulated photograph of each film, levels 1 to 3 in turn.
fn judge_photographs(triage: &Triage, films: &[Film], profile: Profile) -> Result<Vec<Judged>, AnyError> {
    let folder = std::env::temp_dir().join(format!("trainer-photographs-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("photograph.png");
    let mut judged = Vec::with_capacity(films.len());
    for (index, film) in films.iter().enumerate() {
        match picture::read(&film.path) {
            Ok(plate) => {
                if let Some(photograph) = bundle::photograph(&plate, profile, index)? {
                    photograph.save(&path)?;
                }
                judged.push(evaluate::judge_file(triage, film, &path));
            }
            // The device says what is wrong with the file itself.
            Err(_) => judged.push(evaluate::judge_file(triage, film, &film.path)),
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(judged)
}

fn snapshot(args: SnapshotArgs) -> Result<(), AnyError> {
    let film = picture::read(&args.film)?;
    let snapshot = match args.kind {
        Profile::Film => snapshot::film_on_lightbox(&film, args.level, args.seed),
        Profile::Screen => snapshot::screen(&film, args.level, args.seed),
        Profile::Digital => return Err("a digital film needs no photograph; give --kind film or screen".into()),
    };
    snapshot.photo.save(&args.out)?;
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
