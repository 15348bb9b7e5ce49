use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xray_triage_core::bundle::{
    Bundle, BundleFile, FORMAT_VERSION, MODEL_FILE, Manifest, OOD_FILE, ProfileCalibration, Profiles, sha256_hex,
};
use xray_triage_core::decision::{Class, OperatingPoint, Scaling};
use xray_triage_core::ood::{OodModel, VALUES};
use xray_triage_core::preprocess::{self, InputSpec};

use crate::data::dataset::LabelledFilm;
use crate::export::{self, Estimator, LayerError, Ranges};
use crate::model::state_dict::Precision;

use super::BundlingError;
use super::files::{self, WEIGHTS_FILE, read_checkpoint, write_toml};

/// Where the int8 network of a bundle comes from: `quantization.toml` in `calibration/`. With it the same network can be
/// made again from the weights.
#[derive(Serialize, Deserialize)]
pub struct Quantization {
    /// SHA-256 of the bundle's weights, the checkpoint in half floats.
    pub weights_sha256: String,
    /// Side of the network's input, pixels.
    pub size: u32,
    /// How the ranges were chosen.
    pub estimator: Estimator,
    /// The image ids of the training films that the ranges were taken from.
    pub films: Vec<String>,
    /// The activation range of each tensor.
    pub ranges: Ranges,
}

impl Quantization {
    /// Reads a `quantization.toml`.
    ///
    /// # Errors
    /// The file cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Self, BundlingError> {
        Ok(Self::read_hashed(path)?.0)
    }

    /// Reads a `quantization.toml` once, and gives the SHA-256 of the bytes that were read.
    ///
    /// # Errors
    /// As [`Quantization::read`].
    pub fn read_hashed(path: &Path) -> Result<(Self, String), BundlingError> {
        let text = std::fs::read_to_string(path).map_err(|source| BundlingError::Io { path: path.into(), source })?;
        let quantization =
            toml::from_str(&text).map_err(|source| BundlingError::Quantization { path: path.into(), source })?;
        Ok((quantization, sha256_hex(text.as_bytes())))
    }
}

/// The bundle that [`export()`] makes.
pub struct Target<'a> {
    /// The bundle's folder.
    pub folder: &'a Path,
    /// Where the [`Quantization`] is written.
    pub quantization_file: &'a Path,
    /// Short name with version, shown beside every verdict.
    pub id: &'a str,
    /// Side of the network's input, pixels.
    pub size: u32,
    /// How activation ranges are chosen.
    pub estimator: Estimator,
}

/// The networks of an exported bundle, each as the bytes of an ONNX file.
pub struct Exported {
    /// The float network, which is not part of the bundle.
    pub float: Vec<u8>,
    /// The int8 network of the bundle.
    pub int8: Vec<u8>,
}

/// Makes a bundle of a checkpoint: its weights in half floats, its int8 network with activation ranges from `films`, and
/// a manifest that is not calibrated yet. `training` is what the manifest says of the training.
///
/// # Errors
/// The checkpoint cannot be read, the network cannot be made, or a file cannot be written.
pub fn export(
    checkpoint: &Path,
    target: &Target,
    films: &[LabelledFilm],
    training: toml::Table,
) -> Result<Exported, BundlingError> {
    let &Target { folder, quantization_file, id, size, estimator } = target;
    let (architecture, state) = read_checkpoint(checkpoint)?;
    let spec = InputSpec::imagenet(size);
    let side = size as usize;
    let inputs = films.iter().map(|film| preprocess::tensor(&film.picture, &spec));
    let quantized = export::quantize(&architecture, &state, side, inputs, estimator)?;
    let float = export::float_model(&architecture, &state, side)?;

    files::create_folder(folder)?;
    let quantization = Quantization {
        weights_sha256: state.save(&folder.join(WEIGHTS_FILE), Precision::Half)?,
        size,
        estimator,
        films: films.iter().map(|film| film.film.image_id.clone()).collect(),
        ranges: quantized.ranges,
    };
    write_toml(quantization_file, &quantization)?;
    let mut manifest = uncalibrated(id, spec, training);
    files::write_bundle(folder, &mut manifest, Some(&quantized.model), &no_ood_model())?;
    Ok(Exported { float, int8: quantized.model })
}

/// An out-of-distribution model that is not fitted yet.
pub(super) fn no_ood_model() -> OodModel {
    OodModel { mean: vec![0.0; VALUES], components: Vec::new() }
}

/// A manifest that takes the logits as they are, and neither refuses nor refers a film. The hashes of the bundle's files
/// are still empty.
pub(super) fn uncalibrated(id: &str, input: InputSpec, training: toml::Table) -> Manifest {
    let neutral = || ProfileCalibration {
        scaling: Scaling::NONE,
        default_operating_point: "balanced".into(),
        ood_above: 1.0,
        operating_points: BTreeMap::from([(
            "balanced".into(),
            OperatingPoint { covid19_at_least: 0.5, refer_below: 0.0 },
        )]),
    };
    Manifest {
        format_version: FORMAT_VERSION,
        id: id.into(),
        model: MODEL_FILE.into(),
        sha256: String::new(),
        labels: Class::ALL.map(|class| class.label().to_string()).to_vec(),
        input,
        ood: BundleFile { file: OOD_FILE.into(), sha256: String::new() },
        profiles: Profiles { digital: neutral(), film: neutral(), screen: neutral() },
        training,
        metrics: toml::Table::new(),
    }
}

/// Measures what each quantized layer of an exported bundle loses ([`export::layer_errors`]) on the films that its ranges
/// come from, and writes it to `table` as CSV with a row for each layer, the worst first. A layer that loses
/// nothing has an empty cell. `quantization_file` is the one of the export.
///
/// # Errors
/// A file of the bundle cannot be read, the network cannot be run, or the table cannot be written.
pub fn write_layer_errors(
    folder: &Path,
    quantization_file: &Path,
    films: &[LabelledFilm],
    table: &Path,
) -> Result<Vec<LayerError>, BundlingError> {
    let manifest = Bundle::load(folder)?.manifest;
    let (architecture, state) = read_checkpoint(&folder.join(WEIGHTS_FILE))?;
    let quantization = Quantization::read(quantization_file)?;
    let inputs = films.iter().map(|film| preprocess::tensor(&film.picture, &manifest.input));
    let side = manifest.input.size as usize;
    let layers = export::layer_errors(&architecture, &state, side, inputs, &quantization.ranges)?;
    let encode = |reason: String| BundlingError::Encode { path: table.into(), reason };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(["layer", "sqnr_db", "films", "estimator", "model_sha256"])
        .map_err(|error| encode(error.to_string()))?;
    for LayerError { layer, sqnr_db } in &layers {
        // A layer that loses nothing has an infinite ratio; its cell stays empty.
        let finite = Some(sqnr_db).filter(|sqnr_db| sqnr_db.is_finite());
        writer
            .serialize((layer, finite, films.len(), quantization.estimator, &manifest.sha256))
            .map_err(|error| encode(error.to_string()))?;
    }
    files::write(table, &writer.into_inner().map_err(|error| encode(error.to_string()))?)?;
    Ok(layers)
}
