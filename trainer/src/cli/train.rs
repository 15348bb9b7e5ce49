//! The command `trainer train`, and the flags that `trainer ablation` shares with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use trainer::bundle::Quantization;
use trainer::data::annotations::Annotations;
use trainer::data::dataset::{self, Film, LabelSource, LabelledFilm, Manifest};
use trainer::disk;
use trainer::model::architecture::Attention;
use trainer::model::backend::Backend;
use trainer::model::fake_quantization::FakeQuantization;
use trainer::model::state_dict::StateDict;
use trainer::simulate::photographs;
use trainer::train::teacher::{Teacher, TeacherError};
use trainer::train::{self, Ended, Example, RunInputs, Stage, TrainConfig};

use super::AnyError;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// The project's own settings, with a teacher or without. See docs/reference/training-settings.md.
    Own,
    /// Zhang's protocol: Adam 2e-4, batch 32, 50 epochs at 224 pixels, no random views, labels alone. Only the
    /// preprocessing is the device's: it stretches the gray range between two percentiles.
    Paper,
}

/// Train a network on the films of the split `train`, and keep the weights that do best on `val`.
#[derive(Args)]
pub struct TrainArgs {
    /// The run's folder. Settings, metrics.csv and checkpoints go there.
    #[arg(long)]
    out: PathBuf,
    /// Go on from the checkpoint in the folder.
    #[arg(long)]
    resume: bool,
    /// Write a checkpoint after so many minutes, too, and not only at the end of each epoch.
    #[arg(long)]
    checkpoint_minutes: Option<u32>,
    /// The attention after each dense block.
    #[arg(long, value_enum, default_value_t = Attention::Cbam)]
    attention: Attention,
    /// All random choices follow from the seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Train the network as its int8 export computes (fake quantization), by the activation ranges in this
    /// quantization.toml of an export. Start from the weights of that export (--initial-weights), at a low learning rate.
    #[arg(long, conflicts_with = "mixed_precision", requires = "initial_weights")]
    int8_ranges: Option<PathBuf>,
    #[command(flatten)]
    settings: TrainSettings,
}

/// The flags that say how networks are trained, whatever their attention and seed.
#[derive(Args)]
pub struct TrainSettings {
    /// The dataset's manifest.csv.
    #[arg(long)]
    pub manifest: PathBuf,
    /// The preset that all settings come from that are not given.
    #[arg(long, value_enum, default_value_t = Preset::Own)]
    preset: Preset,
    /// Epochs at an input size, as SIZE:EPOCHS. Several are separated by commas, small sizes first.
    #[arg(long, value_delimiter = ',')]
    stages: Option<Vec<Stage>>,
    /// How many films a step trains on.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: Option<u16>,
    /// The highest learning rate of AdamW.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// The weight decay of AdamW.
    #[arg(long)]
    weight_decay: Option<f32>,
    /// How much of each label's probability is spread over all classes, 0 to 1.
    #[arg(long, value_parser = share)]
    label_smoothing: Option<f32>,
    /// Start from the weights in this file instead of random ones: of a run, of a bundle, or of torchvision's densenet121
    /// (safetensors or .pth), whose classifier is left out.
    #[arg(long)]
    initial_weights: Option<PathBuf>,
    /// A classifier in ONNX that looks at every view. Its probabilities are mixed into the targets, and its features are
    /// learned, too.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// The share of the teacher's probabilities in the targets, 0 to 1.
    #[arg(long, value_parser = share)]
    teacher_share: Option<f32>,
    /// The weight, in the loss, of the distance to the teacher's features. With 0 they are not learned.
    #[arg(long)]
    feature_weight: Option<f32>,
    /// The weight, in the loss, of the distance to the teacher's feature map, place by place. With 0 the map is not learned.
    #[arg(long)]
    map_weight: Option<f32>,
    /// The weight, in the loss, of the activation maps' part outside the lungs. It applies to films with a lung mask in
    /// masks/ beside the manifest.
    #[arg(long)]
    lung_weight: Option<f32>,
    /// How much of the weights' average is kept at each step, 0 to 1. With 0 the average is the newest weights.
    #[arg(long, value_parser = share)]
    average_decay: Option<f32>,
    /// Train on the films as they are, without random views.
    #[arg(long)]
    no_augment: bool,
    /// The chance that a view starts from a simulated photograph of the film, 0 to 1. Two photographs of each film are made
    /// before training and kept in the run's folder.
    #[arg(long, value_parser = share)]
    photograph_share: Option<f32>,
    /// The chance that a view is mixed with a view of another film, 0 to 1.
    #[arg(long, value_parser = share)]
    mixup: Option<f32>,
    /// Whether each class is drawn equally often, whatever its share of the films.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    balance_classes: Option<bool>,
    /// How views and sources share their class's draws: as their films' weights to this power, 0 to 1. With 1 films are
    /// drawn alike, with 0 views and sources.
    #[arg(long, value_parser = share)]
    balance_exponent: Option<f32>,
    /// How often films are drawn by where their label comes from, as SOURCE=WEIGHT, for instance report_text=0.5. Several
    /// are separated by commas; sources that are not named keep their weight.
    #[arg(long, value_delimiter = ',', value_parser = label_weight)]
    label_weights: Vec<(LabelSource, f32)>,
    /// How many views an epoch has, instead of as many as there are films.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epoch_views: Option<u32>,
    /// The chance that a view has the histogram of another film, 0 to 1.
    #[arg(long, value_parser = share)]
    borrowed_grays: Option<f32>,
    /// The chance that a view is of a film that was stored small, 0 to 1.
    #[arg(long, value_parser = share)]
    coarse: Option<f32>,
    /// Compute convolutions in bfloat16, which is faster on processors with instructions for it.
    #[arg(long)]
    mixed_precision: bool,
    /// What the network is computed on. Without it: LibTorch on the CPU if this trainer was built with it, or else the
    /// first in the list.
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
}

/// Runs the command.
pub fn train(args: TrainArgs) -> Result<(), AnyError> {
    let TrainArgs { out, resume, checkpoint_minutes, attention, seed, int8_ranges, settings } = args;
    let initial = initial_weights(&settings)?;
    let teacher = teacher(&settings)?;
    let mut config = train_config(&settings, attention, seed, initial.as_ref(), teacher.as_ref());
    let mut fake_quantization = None;
    if let Some(path) = int8_ranges {
        let (Quantization { ranges, .. }, sha256) = Quantization::read_hashed(&path)?;
        fake_quantization = Some(FakeQuantization::new(&config.architecture, &ranges)?);
        config.int8_ranges = Some(sha256);
    }
    config.check()?;
    let (train_films, val) = training_films(&settings, &config, &out)?;
    let inputs = RunInputs {
        train: &train_films,
        val: &val,
        teacher: teacher.as_ref(),
        initial: initial.as_ref().map(|initial| &initial.state),
        checkpoint_every: checkpoint_minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes))),
        fake_quantization: fake_quantization.as_ref(),
    };
    let device = settings.backend.unwrap_or(Backend::preferred()).device();
    let stop = stop_on_interrupt()?;
    match train::run(&out, &config, resume, &device, &inputs, &stop)? {
        Ended::Finished(accuracy) => println!("finished: best validation accuracy {:.1} %", 100.0 * accuracy),
        Ended::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    Ok(())
}

/// The weights that networks start from.
pub struct InitialWeights {
    /// The SHA-256 of their file.
    pub sha256: String,
    /// The weights.
    pub state: StateDict,
}

/// Reads the weights to start from, if they are given.
pub fn initial_weights(args: &TrainSettings) -> Result<Option<InitialWeights>, AnyError> {
    match &args.initial_weights {
        Some(path) => {
            let (state, sha256) = StateDict::load_hashed(path)?;
            Ok(Some(InitialWeights { sha256, state }))
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

/// The settings of a run: those given, and the preset's for the rest.
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
        balance_classes: args.balance_classes.unwrap_or(base.balance_classes),
        balance_exponent: args.balance_exponent.unwrap_or(base.balance_exponent),
        label_weights: args.label_weights.iter().fold(base.label_weights, |all, &(source, one)| all.with(source, one)),
        epoch_views: args.epoch_views.map(|views| views as usize).or(base.epoch_views),
        borrowed_grays: args.borrowed_grays.unwrap_or(base.borrowed_grays),
        coarse: args.coarse.unwrap_or(base.coarse),
        mixed_precision: base.mixed_precision || args.mixed_precision,
        stages: args.stages.clone().unwrap_or(base.stages),
        initial_weights: initial.map(|initial| initial.sha256.clone()),
        teacher: teacher.map(|teacher| teacher.sha256().into()),
        int8_ranges: base.int8_ranges,
        schedule: base.schedule,
        architecture: base.architecture,
    }
}

/// Reads a number from 0 to 1.
fn share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1, for instance 0.5".into())
}

/// Reads `SOURCE=WEIGHT`, for instance `report_text=0.5`.
fn label_weight(text: &str) -> Result<(LabelSource, f32), String> {
    let help = || format!("`{text}` is no weight; write SOURCE=WEIGHT, for instance report_text=0.5");
    let (source, weight) = text.split_once('=').ok_or_else(help)?;
    Ok((source.parse()?, weight.parse().map_err(|_| help())?))
}

/// Loads the teacher, if one is given.
pub fn teacher(args: &TrainSettings) -> Result<Option<Teacher>, TeacherError> {
    args.teacher.as_deref().map(Teacher::load).transpose()
}

/// Reads the films to train on and those to validate with. Simulated photographs are kept in `folder`.
pub fn training_films(
    args: &TrainSettings,
    config: &TrainConfig,
    folder: &Path,
) -> Result<(Vec<Example>, Vec<LabelledFilm>), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let (train_films, skipped) = dataset::read_films(manifest.split("train")?)?;
    let (val_films, val_skipped) = dataset::read_films(dataset::with_trusted_labels("val", manifest.split("val")?))?;
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
        let Film { label, source, view, label_source, .. } = film;
        examples.push(Example { picture, label, photographs, lungs, source, view, label_source });
    }
    let with_lungs = examples.iter().filter(|example| example.lungs.is_some()).count();
    println!("{with_lungs} of the films to train on have a lung mask");
    Ok((examples, val_films))
}

/// A flag that Ctrl-C sets. A program can have only one; a second call is an error.
pub fn stop_on_interrupt() -> Result<Arc<AtomicBool>, AnyError> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    Ok(stop)
}
