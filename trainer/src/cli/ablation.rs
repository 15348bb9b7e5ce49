//! `trainer ablation`.

use std::path::PathBuf;

use clap::Args;
use trainer::data::dataset::{self, Manifest};
use trainer::disk::{self, at};
use trainer::measure::compare::{self, Comparison};
use trainer::measure::{self, ablation};
use trainer::model::architecture::Attention;
use trainer::model::backend::Backend;
use trainer::train::RunInputs;
use xray_triage_core::pipeline::Options;

use super::AnyError;
use super::train::{TrainSettings, initial_weights, stop_on_interrupt, teacher, train_config, training_films};

/// Train networks without attention, with SE and with CBAM alike, and compare them.
///
/// Finished runs are left as they are, and unfinished ones go on: after a stop, give the same command again.
#[derive(Args)]
pub struct AblationArgs {
    /// The folder for the comparison and the runs. Each run has a folder of its own in it, named by kind and seed.
    #[arg(long)]
    out: PathBuf,
    /// A network of each kind is trained with each of these seeds.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// The split whose films the best weights are compared on.
    #[arg(long, default_value = "val")]
    split: String,
    /// Threads for judging the films.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[command(flatten)]
    settings: TrainSettings,
}

pub fn ablation(args: AblationArgs) -> Result<(), AnyError> {
    let AblationArgs { out, mut seeds, split, threads, settings } = args;
    seeds.sort_unstable();
    seeds.dedup();
    let films = Manifest::read(&settings.manifest)?.split(&split)?;
    dataset::check_readable(&films)?;
    let initial = initial_weights(&settings)?;
    let teacher = teacher(&settings)?;
    let config = |attention, seed| train_config(&settings, attention, seed, initial.as_ref(), teacher.as_ref());
    let (train, val) = training_films(&settings, &config(Attention::None, 0), &out)?;
    let inputs = RunInputs {
        train: &train,
        val: &val,
        teacher: teacher.as_ref(),
        initial: initial.as_ref().map(|initial| &initial.state),
        checkpoint_every: None,
        fake_quantization: None,
    };
    let device = settings.backend.unwrap_or(Backend::preferred()).device();
    let stop = stop_on_interrupt()?;
    let Some(runs) = ablation::train(&out, &seeds, config, &device, &inputs, &stop)? else {
        eprintln!("stopped; the same command goes on");
        return Ok(());
    };
    let answers = ablation::judge(&runs, &films, &Options { threads, ..Options::default() })?;
    let path = out.join(format!("answers-{split}.csv"));
    let mut table = Vec::new();
    compare::write_answers(&mut table, &films, &answers).map_err(at(&path))?;
    disk::write(&path, &table)?;
    let comparison = Comparison::of(&split, &answers).ok_or("there are no films to compare on")?;
    let path = out.join(format!("comparison-{split}.json"));
    disk::write(&path, measure::to_pretty_json(&comparison)?.as_bytes())?;
    print!("{comparison}");
    Ok(())
}
