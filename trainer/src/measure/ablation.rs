//! What attention is worth. Networks without attention, with squeeze-and-excitation (SE) and with CBAM are trained alike
//! and judge the same films.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use clap::ValueEnum;
use xray_triage_core::pipeline::{Options, Pipeline, SetupError};

use crate::bundle::{self, BundlingError};
use crate::data::dataset::Film;
use crate::model::architecture::Attention;
use crate::train::{self, Ended, RunInputs, TrainConfig, TrainError};

use super::compare::{Answers, NetworkAnswers};

/// The kinds of attention that are compared.
pub const KINDS: [Attention; 3] = [Attention::None, Attention::Se, Attention::Cbam];

/// The kind's name on the command line.
fn name(kind: Attention) -> String {
    kind.to_possible_value().expect("no kind is hidden").get_name().into()
}

/// Why the networks of an ablation could not judge films.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The weights of a run cannot be opened.
    #[error(transparent)]
    Open(#[from] BundlingError),
    /// A network cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// A finished training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The network's kind of attention.
    pub attention: Attention,
    /// The seed of the run.
    pub seed: u64,
    /// The run's folder, `KIND-SEED` in the ablation's folder, as [`train::run`] leaves it.
    pub folder: PathBuf,
    /// The best validation accuracy, 0..=1.
    pub val_accuracy: f64,
}

/// Trains a network of each kind with each seed, first all kinds of the first seed. Finished runs are left as they are,
/// and unfinished ones go on. `None` if `stop` was set before all were finished.
///
/// `config` gives the settings for a kind and a seed. They should differ in nothing but these two.
///
/// # Errors
/// Those of [`train::run`].
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

/// Has the best float weights of each run judge the files of `films` with the device's own code. Each kind has its
/// networks in the order of the runs.
///
/// # Errors
/// A run's weights cannot be opened, or its network cannot be set up.
pub fn judge(runs: &[Run], films: &[Film], options: &Options) -> Result<Vec<Answers>, JudgeError> {
    let mut models = Vec::new();
    for kind in KINDS {
        let mut networks = Vec::new();
        for run in runs.iter().filter(|run| run.attention == kind) {
            let pipeline = Pipeline::new(&bundle::open(&run.folder, None)?, options)?;
            networks.push(NetworkAnswers::of(&pipeline, Some(run.seed), films));
        }
        models.push(Answers { model: name(kind), networks });
    }
    Ok(models)
}
