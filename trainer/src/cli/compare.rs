//! `trainer compare`.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use trainer::bundle;
use trainer::data::dataset::{self, Manifest};
use trainer::disk::at;
use trainer::measure::compare::{self, Answers, Comparison, NetworkAnswers};
use xray_triage_core::pipeline::{Options, Pipeline};

use super::{AnyError, print_measurement};

/// Compare bundles on the same films: for each pair the difference with its interval, and McNemar's exact test.
#[derive(Args)]
pub struct CompareArgs {
    /// A bundle's folder, or a float checkpoint: a run's folder, for its best weights, or a file of weights. Give this flag
    /// twice or more often.
    #[arg(long, visible_alias = "checkpoint", required = true)]
    bundle: Vec<PathBuf>,
    /// The data set's manifest.
    #[arg(long)]
    manifest: PathBuf,
    /// The split whose films are judged.
    #[arg(long, default_value = "val")]
    split: String,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Also write every model's answer to every film to this file, as CSV.
    #[arg(long)]
    answers: Option<PathBuf>,
    /// Side of the float checkpoints' input, pixels. Without this flag it is that of a run's last stage, or 224 for a file.
    #[arg(long)]
    size: Option<u32>,
    /// Threads for the network.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub fn compare(args: CompareArgs) -> Result<(), AnyError> {
    if args.bundle.len() < 2 {
        return Err("a comparison needs two models; give --bundle twice".into());
    }
    let films = Manifest::read(&args.manifest)?.split(&args.split)?;
    dataset::check_readable(&films)?;
    // The file is made before the networks run, which takes long: a place that cannot be written to is named at once.
    let answers = match &args.answers {
        Some(path) => Some((path, File::create(path).map_err(at(path))?)),
        None => None,
    };
    let options = Options { threads: args.threads, ..Options::default() };
    let mut models = Vec::new();
    for path in &args.bundle {
        let pipeline = Pipeline::new(&bundle::open(path, args.size)?, &options)?;
        let network = NetworkAnswers::of(&pipeline, None, &films);
        models.push(Answers { model: pipeline.model().id.clone(), networks: vec![network] });
    }
    if let Some((path, file)) = answers {
        compare::write_answers(file, &films, &models).map_err(at(path))?;
    }
    let comparison = Comparison::of(&args.split, &models).ok_or("there are no films to compare on")?;
    print_measurement(&comparison, args.json)
}
