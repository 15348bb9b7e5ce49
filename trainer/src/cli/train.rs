//! `trainer train`, and what the ablation shares with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use trainer::bundle::Quantization;
use trainer::data::annotations::Annotations;
use trainer::data::dataset::{self, LabelledFilm, Manifest};
use trainer::disk::{self, at};
use trainer::model::architecture::Attention;
use trainer::model::backend::Backend;
use trainer::model::fake_quantization::Rounding;
use trainer::model::state_dict::StateDict;
use trainer::simulate::photographs;
use trainer::train::teacher::{Teacher, TeacherError};
use trainer::train::{self, Ended, Example, Material, Stage, TrainConfig};
use xray_triage_core::bundle::sha256_hex;

use super::AnyError;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Our settings, with a teacher or without; see docs/reference/training-settings.md.
    Own,
    /// Zhang's protocol: Adam 2e-4, batch 32, 50 epochs at 224 pixels, no random views, labels alone. The stretch of the
    /// gray range between percentiles is ours: it is the device's preprocessing.
    Paper,
}

/// Train a network on the `train` split and keep the weights that do best on `val`.
#[derive(Args)]
pub struct TrainArgs {
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
    /// Train the network as its int8 export computes (quantization-aware training), by the activation ranges in an export's
    /// quantization.toml. To go on from the weights of that export (--initial-weights), at a low learning rate.
    #[arg(long, conflicts_with = "mixed_precision", requires = "initial_weights")]
    int8_ranges: Option<PathBuf>,
    #[command(flatten)]
    settings: TrainSettings,
}

/// How networks are trained, whatever their attention and seed.
#[derive(Args)]
pub struct TrainSettings {
    /// The dataset's manifest.csv.
    #[arg(long)]
    pub manifest: PathBuf,
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
    #[arg(long, value_parser = share)]
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
    #[arg(long, value_parser = share)]
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
    #[arg(long, value_parser = share)]
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
    pub backend: Option<Backend>,
}

pub fn train(args: TrainArgs) -> Result<(), AnyError> {
    let TrainArgs { out, resume, attention, seed, int8_ranges, settings } = args;
    let initial = initial_weights(&settings)?;
    let teacher = teacher(&settings)?;
    let mut config = train_config(&settings, attention, seed, initial.as_ref(), teacher.as_ref());
    let mut rounding = None;
    if let Some(path) = int8_ranges {
        let Quantization { ranges, .. } = Quantization::read(&path)?;
        rounding = Some(Rounding::new(&config.architecture, &ranges)?);
        config.int8_ranges = Some(sha256_hex(&std::fs::read(&path).map_err(at(&path))?));
    }
    let (train_films, val) = training_films(&settings, &config, &out)?;
    let material = Material {
        train: &train_films,
        val: &val,
        teacher: teacher.as_ref(),
        initial: initial.as_ref().map(|initial| &initial.state),
        rounding: rounding.as_ref(),
    };
    let device = settings.backend.unwrap_or(Backend::preferred()).device();
    let stop = stop_on_interrupt()?;
    match train::run(&out, &config, resume, &device, &material, &stop)? {
        Ended::Finished(accuracy) => println!("finished: best validation accuracy {:.1} %", 100.0 * accuracy),
        Ended::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    Ok(())
}

/// Weights to start from.
pub struct InitialWeights {
    /// Of their file.
    pub sha256: String,
    pub state: StateDict,
}

pub fn initial_weights(args: &TrainSettings) -> Result<Option<InitialWeights>, AnyError> {
    match &args.initial_weights {
        Some(path) => {
            let state = StateDict::load(path)?;
            Ok(Some(InitialWeights { sha256: sha256_hex(&std::fs::read(path).map_err(at(path))?), state }))
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

pub fn train_config(
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
        int8_ranges: base.int8_ranges,
        schedule: base.schedule,
        architecture: base.architecture,
    }
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1, for instance 0.5".into())
}

pub fn teacher(args: &TrainSettings) -> Result<Option<Teacher>, TeacherError> {
    args.teacher.as_deref().map(Teacher::load).transpose()
}

/// The films to train on and those to validate with. Photographs are kept in `folder`.
pub fn training_films(
    args: &TrainSettings,
    config: &TrainConfig,
    folder: &Path,
) -> Result<(Vec<Example>, Vec<LabelledFilm>), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let (train_films, skipped) = dataset::read_films(manifest.split("train")?)?;
    let (val_films, val_skipped) = dataset::read_films(manifest.split("val")?)?;
    dataset::check_classes("train", &train_films)?;
    println!(
        "{} films to train on, {} to validate; {} unreadable films left out",
        train_films.len(),
        val_films.len(),
        skipped + val_skipped
    );
    disk::create_folder(folder)?;
    let photographs = match config.photograph_share > 0.0 {
        true => photographs::rectified_films(&train_films, &folder.join("photographs"))?,
        false => vec![Vec::new(); train_films.len()],
    };
    let annotations = Annotations::beside(&args.manifest)?;
    let mut examples = Vec::with_capacity(train_films.len());
    for (LabelledFilm { film, picture }, photographs) in train_films.into_iter().zip(photographs) {
        let lungs = annotations.lungs(&film.image_id)?;
        examples.push(Example { picture, label: film.label, photographs, lungs });
    }
    let with_lungs = examples.iter().filter(|example| example.lungs.is_some()).count();
    println!("{with_lungs} of the films to train on have a lung mask");
    Ok((examples, val_films))
}

/// Set by Ctrl-C. To be called once.
pub fn stop_on_interrupt() -> Result<Arc<AtomicBool>, AnyError> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    Ok(stop)
}
