//! The commands `trainer export` and `trainer dump`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trainer::bundle::{self, Exported};
use trainer::data::dataset::{self, LabelledFilm, Manifest};
use trainer::disk;
use trainer::export::{Estimator, agreement};
use trainer::model::architecture::DEFAULT_SIZE;
use trainer::train;
use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::{self, Scaling};
use xray_triage_core::network::Network;
use xray_triage_core::preprocess::{self, InputSpec};

use super::{AnyError, calibration_file};

/// Which of a run's averaged weights are meant.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weights {
    /// The weights of the epoch with the best validation accuracy at the last input size.
    Best,
    /// The weights of the newest epoch. The split `val` has not chosen them, so probabilities that are calibrated on `val`
    /// are not too high.
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

/// Make a bundle of a run's weights: the int8 network, the manifest, and the activation ranges in calibration/.
///
/// The bundle is not calibrated yet: run `trainer calibrate` next.
#[derive(Args)]
pub struct ExportArgs {
    /// The run's folder.
    #[arg(long)]
    run: PathBuf,
    /// Which of the run's weights.
    #[arg(long, value_enum, default_value_t = Weights::Best)]
    weights: Weights,
    /// The dataset's manifest.csv.
    #[arg(long)]
    manifest: PathBuf,
    /// The bundle's folder.
    #[arg(long)]
    out: PathBuf,
    /// A short name with a version. The device shows it beside every verdict.
    #[arg(long)]
    id: String,
    /// Side of the network's input, pixels.
    #[arg(long, default_value_t = DEFAULT_SIZE)]
    size: u32,
    /// How activation ranges are chosen.
    #[arg(long, value_enum, default_value_t = Estimator::Mse)]
    estimator: Estimator,
    /// How many films of the split `train` the activation ranges are taken from. They are spread evenly over the split.
    #[arg(long, default_value_t = 128)]
    calibration_films: usize,
    /// The file for the activation ranges and where they come from. Without it the file is
    /// calibration/BUNDLE/quantization.toml, with the name of the bundle's folder.
    #[arg(long)]
    quantization: Option<PathBuf>,
    /// Also write the float network to this file.
    #[arg(long)]
    float: Option<PathBuf>,
    /// Also measure how much each quantized layer loses, and write it to this file as CSV.
    #[arg(long)]
    layers: Option<PathBuf>,
    /// Do not compare the accuracy of the float and the int8 network on `val`, which takes minutes.
    #[arg(long)]
    no_compare: bool,
}

/// Write the files with which another runtime is compared with tract: the preprocessed inputs (inputs.f32), float.onnx
/// and int8.onnx.
#[derive(Args)]
pub struct DumpArgs {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    /// A folder of pictures of films.
    #[arg(long)]
    films: PathBuf,
    /// The folder that the files go to.
    #[arg(long)]
    out: PathBuf,
}

/// How many layers `export --layers` prints. The table has all.
const WORST_LAYERS: usize = 10;
/// How much accuracy (0..=1) int8 may cost before `export` warns.
const LARGEST_LOSS: f64 = 0.01;

/// Runs `trainer export`.
pub fn export(args: ExportArgs) -> Result<(), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let train = manifest.split("train")?;
    let (mut films, _) = dataset::read_films(train)?;
    // They are read first, so that a manifest without them is an error before the work.
    let val = match args.no_compare {
        true => None,
        false => Some(dataset::read_films(manifest.split("val")?)?.0),
    };
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
    let weights = args.run.join(args.weights.file());
    let Exported { float, int8 } = bundle::export(&weights, &target, &films, training)?;
    if let Some(path) = &args.float {
        disk::write(path, &float)?;
    }
    if let Some(table) = &args.layers {
        let layers = bundle::write_layer_errors(&args.out, &quantization, &films, table)?;
        println!("layers that lose most to int8, signal-to-quantization-noise ratio:");
        for layer in layers.iter().take(WORST_LAYERS) {
            println!("{:6.1} dB  {}", layer.sqnr_db, layer.layer);
        }
    }
    let Some(val) = val else { return Ok(()) };
    let spec = InputSpec::imagenet(args.size);
    let (float, int8) = (accuracy(&float, &spec, &val)?, accuracy(&int8, &spec, &val)?);
    println!("val accuracy over {} films: float {:.1} %, int8 {:.1} %", val.len(), 100.0 * float, 100.0 * int8);
    if float - int8 > LARGEST_LOSS {
        log::warn!(
            "int8 costs more than a point: try another --estimator, or go on training as int8 (`trainer train \
             --initial-weights {} --int8-ranges {}`) and export that run",
            weights.display(),
            quantization.display()
        );
    }
    Ok(())
}

/// The accuracy (0..=1) of a network on films.
fn accuracy(model: &[u8], spec: &InputSpec, films: &[LabelledFilm]) -> Result<f64, AnyError> {
    let network = Network::load(model, spec.size, 2)?;
    let mut right = 0;
    for film in films {
        let prediction = network.run(&preprocess::tensor(&film.picture, spec))?;
        right += usize::from(decision::probabilities(&prediction.logits, &Scaling::NONE).top() == film.film.label);
    }
    Ok(right as f64 / films.len() as f64)
}

/// Runs `trainer dump`.
pub fn dump(args: DumpArgs) -> Result<(), AnyError> {
    let bundle = Bundle::load(&args.bundle)?;
    let inputs = agreement::inputs(&args.films, &bundle.manifest.input)?;
    disk::create_folder(&args.out)?;
    agreement::write_inputs(&args.out.join("inputs.f32"), inputs.iter().map(Vec::as_slice))?;
    disk::write(&args.out.join("float.onnx"), &bundle::float_model(&args.bundle)?)?;
    disk::write(&args.out.join("int8.onnx"), &bundle.model)?;
    Ok(())
}
