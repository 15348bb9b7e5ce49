use std::path::Path;

use xray_triage_core::bundle::{Bundle, MANIFEST_FILE, Manifest, sha256_hex};
use xray_triage_core::preprocess::InputSpec;

use crate::export;
use crate::model::architecture::{Architecture, DEFAULT_SIZE};
use crate::model::state_dict::StateDict;
use crate::train;

use super::BundlingError;
use super::export::{no_ood_model, uncalibrated};
use super::files::{WEIGHTS_FILE, read_checkpoint};

/// Opens what is to be measured: a bundle's folder, or a float checkpoint, which is made a bundle in memory. A float
/// checkpoint is a run's folder, whose best weights are taken, or a file of weights.
///
/// A checkpoint's weights are rounded to half floats, as they ship. It has no scaling, so its probabilities are the
/// softmax of its logits. No film is referred, and none is refused as out-of-distribution. The side of its input is `size`
/// pixels. Without `size` it is that of the run's last stage, or [`DEFAULT_SIZE`] for a file.
///
/// # Errors
/// The path holds neither, the bundle is damaged, or the checkpoint cannot be read.
pub fn open(path: &Path, size: Option<u32>) -> Result<Bundle, BundlingError> {
    if path.join(MANIFEST_FILE).exists() {
        return Ok(Bundle::load(path)?);
    }
    let Weights { architecture, state, size } = weights(path, size)?;
    let model = export::float_model(&architecture, &state, size as usize)?;
    let encode = |error: toml::ser::Error| BundlingError::Encode { path: path.into(), reason: error.to_string() };
    let architecture = toml::Value::try_from(&architecture).map_err(encode)?;
    let training = toml::Table::from_iter([("architecture".into(), architecture)]);
    let ood = no_ood_model();
    let mut manifest = uncalibrated(&format!("{} (float)", path.display()), InputSpec::imagenet(size), training);
    manifest.sha256 = sha256_hex(&model);
    Ok(Bundle { manifest, model: model.into(), ood })
}

/// Float weights as they ship, rounded to half floats.
pub struct Weights {
    /// The network.
    pub architecture: Architecture,
    /// Its parameters.
    pub state: StateDict,
    /// Side of the network's input, pixels.
    pub size: u32,
}

/// The float weights of a bundle's folder, of a run's folder (the best ones) or in a file. `size` goes before the bundle's
/// or the run's.
///
/// # Errors
/// The path holds none of these, or they cannot be read.
pub fn weights(path: &Path, size: Option<u32>) -> Result<Weights, BundlingError> {
    let run = path.join(train::BEST_FILE);
    let (checkpoint, own_size) = match path.is_dir() {
        true if path.join(MANIFEST_FILE).exists() => (path.join(WEIGHTS_FILE), Some(Manifest::load(path)?.input.size)),
        true if run.exists() => (run, train::config_of(path)?.stages.last().map(|stage| stage.size)),
        true => return Err(BundlingError::NothingToOpen(path.into())),
        false => (path.into(), None),
    };
    let (architecture, state) = read_checkpoint(&checkpoint)?;
    Ok(Weights { architecture, state, size: size.or(own_size).unwrap_or(DEFAULT_SIZE) })
}

/// The float network of a bundle's weights, as the bytes of an ONNX file.
///
/// # Errors
/// The manifest or the weights cannot be read.
pub fn float_model(folder: &Path) -> Result<Vec<u8>, BundlingError> {
    let size = Manifest::load(folder)?.input.size;
    let (architecture, state) = read_checkpoint(&folder.join(WEIGHTS_FILE))?;
    Ok(export::float_model(&architecture, &state, size as usize)?)
}
