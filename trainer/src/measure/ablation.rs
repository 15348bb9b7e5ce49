//! What attention is worth: networks without it, with squeeze-and-excitation and with CBAM, trained alike and judged on
//! the same films.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use clap::ValueEnum;
use xray_triage_core::pipeline::{Options, Pipeline};

use crate::bundle;
use crate::data::dataset::Film;
use crate::measure::compare::{Answers, NetworkAnswers};
use crate::model::architecture::Attention;
use crate::train::{self, Ended, RunInputs, TrainConfig, TrainError};

/// What is compared.
pub const KINDS: [Attention; 3] = [Attention::None, Attention::Se, Attention::Cbam];

/// As the command line has it.
fn name(kind: Attention) -> String {
    kind.to_possible_value().expect("no kind is hidden").get_name().into()
}

/// A finished training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub attention: Attention,
    pub seed: u64,
    /// `KIND-SEED` in the ablation's folder, as [`train::run`] leaves it.
    pub folder: PathBuf,
    /// The best validation accuracy, 0..=1.
    pub val_accuracy: f64,
}

/// Trains a network of each kind with each seed, all kinds of a seed first. Runs that are finished already are left as
/// they are, those begun go on. None if `stop` ended it before all were finished.
///
/// `config` gives the settings of a kind and a seed, which are to differ in nothing else.
pub fn train(
    folder: &Path,
    seeds: &[u64],
    config: impl Fn(Attention, u64) -> TrainConfig,
    device: &Device,
    inputs: &RunInputs,
    stop: &AtomicBool,
) -> Result<Option<Vec<Run>>, TrainError> {
    let mut runs = Vec::new();
    for &seed in seeds {
        for attention in KINDS {
            let folder = folder.join(format!("{}-{seed}", name(attention)));
            log::info!("attention {}, seed {seed}: {}", name(attention), folder.display());
            match train::run(&folder, &config(attention, seed), true, device, inputs, stop)? {
                Ended::Finished(val_accuracy) => runs.push(Run { attention, seed, folder, val_accuracy }),
                Ended::Stopped => return Ok(None),
            }
        }
    }
    Ok(Some(runs))
}

/// What the best float weights of the runs say of films, through the device library: for each kind its networks in the
/// order of the runs.
pub fn judge(runs: &[Run], films: &[Film], options: &Options) -> Result<Vec<Answers>, Box<dyn std::error::Error>> {
    let mut models = Vec::new();
    for kind in KINDS {
        let mut networks = Vec::new();
        for run in runs.iter().filter(|run| run.attention == kind) {
            let triage = Pipeline::new(&bundle::open(&run.folder, None)?, options)?;
            networks.push(NetworkAnswers::of(&triage, Some(run.seed), films));
        }
        models.push(Answers { model: name(kind), networks });
    }
    Ok(models)
}
