//! Subcommands and their arguments.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};
use trainer::architecture::{Architecture, Attention};
use trainer::backend::Backend;
use trainer::dataset::{self, Manifest};
use trainer::teacher;
use trainer::train::{self, Ended, Example, Stage, TrainConfig};

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
            let labels = teacher::soft_labels(teacher, &train_plates, &args.out.join("teacher.csv"))?;
            labels.into_iter().map(Some).collect()
        }
        None => vec![None; train_plates.len()],
    };
    let examples: Vec<Example> = train_plates
        .into_iter()
        .zip(soft_labels)
        .map(|(film, teacher)| Example { plate: film.plate, label: film.film.label, teacher })
        .collect();
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
    };
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    let device = args.backend.unwrap_or(Backend::preferred()).device();
    match train::run(&args.out, &config, args.resume, &device, &examples, &val_plates, &stop)? {
        Ended::Finished(accuracy) => println!("finished: best validation accuracy {:.1} %", 100.0 * accuracy),
        Ended::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    Ok(())
}
