use std::path::Path;

use xray_triage_core::bundle::{Bundle, MANIFEST_FILE, Manifest, sha256_hex};
use xray_triage_core::preprocess::InputSpec;

use crate::export;
use crate::model::architecture::DEFAULT_SIZE;
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
    let run = path.join(train::BEST_FILE);
    let (checkpoint, size) = match path.is_dir() {
        true if path.join(MANIFEST_FILE).exists() => return Ok(Bundle::load(path)?),
        true if run.exists() => {
            let stages = train::config_of(path)?.stages;
            (run, size.or(stages.last().map(|stage| stage.size)))
        }
        true => return Err(BundlingError::NothingToOpen(path.into())),
        false => (path.into(), size),
    };
    let size = size.unwrap_or(DEFAULT_SIZE);
    let (architecture, state) = read_checkpoint(&checkpoint)?;
    let model = export::float_model(&architecture, &state, size as usize)?;
    let encode = |error: toml::ser::Error| BundlingError::Encode { path: path.into(), reason: error.to_string() };
    let architecture = toml::Value::try_from(&architecture).map_err(encode)?;
    let training = toml::Table::from_iter([("architecture".into(), architecture)]);
    let ood = no_ood_model();
    let mut manifest = uncalibrated(&format!("{} (float)", path.display()), InputSpec::imagenet(size), training);
    manifest.sha256 = sha256_hex(&model);
    Ok(Bundle { manifest, model: model.into(), ood })
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
