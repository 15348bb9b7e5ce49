//! Making a bundle of a trained network: rounding, int8 quantization, calibration, manifest.

pub mod ood;
pub mod probabilities;

use std::collections::BTreeMap;
use std::path::Path;

use image::GrayImage;
use serde::{Deserialize, Serialize};
use xray_triage_core::bundle::{
    Bundle, BundleFile, FORMAT_VERSION, MANIFEST_FILE, MODEL_FILE, Manifest, OOD_FILE, ProfileCalibration, Profiles,
    sha256_hex,
};
use xray_triage_core::decision::{Class, OperatingPoint, Scaling};
use xray_triage_core::film::{self, Profile};
use xray_triage_core::network::Network;
use xray_triage_core::ood::{OodModel, VALUES};
use xray_triage_core::preprocess::{self, InputSpec};

use crate::data::dataset::LabelledFilm;
use crate::disk::{self, at};
use crate::export::{self, Estimator, LayerError, Ranges};
use crate::model::architecture::{Architecture, DEFAULT_SIZE};
use crate::model::state_dict::{Precision, StateDict};
use crate::simulate::{self, Effects};
use crate::train;

use self::ood::FilmDescriptions;
use self::probabilities::Scored;

/// The checkpoint's file name in a bundle: the weights in half floats, to export again or to train on from.
pub const WEIGHTS_FILE: &str = "weights.safetensors";

type AnyError = Box<dyn std::error::Error>;

/// What the quantization of a bundle came from, kept in `calibration/`.
#[derive(Serialize, Deserialize)]
pub struct Quantization {
    /// SHA-256 of the checkpoint in half floats.
    pub weights_sha256: String,
    /// Input side, pixels.
    pub size: u32,
    pub estimator: Estimator,
    /// The films of the training split that the ranges were taken from, by image id.
    pub films: Vec<String>,
    pub ranges: Ranges,
}

impl Quantization {
    pub fn read(path: &Path) -> Result<Self, AnyError> {
        Ok(Self::read_hashed(path)?.0)
    }

    /// Reads a `quantization.toml`, and gives the SHA-256 of the very bytes that were read.
    pub fn read_hashed(path: &Path) -> Result<(Self, String), AnyError> {
        let text = std::fs::read_to_string(path).map_err(at(path))?;
        let named = |error: toml::de::Error| {
            at(path)(format!("{}; name the quantization.toml of an export", error.to_string().trim_end()))
        };
        Ok((toml::from_str(&text).map_err(named)?, sha256_hex(text.as_bytes())))
    }
}

/// How a network computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// The quantized network, as on the device.
    Int8,
    /// The float network made of the bundle's weights.
    Float,
}

/// What the thresholds of a bundle came from, kept in `calibration/`.
#[derive(Serialize)]
pub struct Provenance {
    /// SHA-256 of the int8 network.
    pub model_sha256: String,
    /// The network whose logits were fitted.
    pub arithmetic: Arithmetic,
    /// The validation films, by image id.
    pub films: Vec<String>,
    /// How the film and screen profiles' photographs were made.
    pub photographs: String,
    pub profiles: Profiles<ProfileCalibration>,
}

/// A checkpoint as it ships: values rounded to half floats, and the architecture its metadata name.
pub fn read_checkpoint(path: &Path) -> Result<(Architecture, StateDict), AnyError> {
    let state = StateDict::load(path)?;
    let architecture = state.metadata.get("architecture").ok_or_else(|| {
        format!("{}: the file does not say its architecture; give a checkpoint of `trainer train`", path.display())
    })?;
    let architecture = serde_json::from_str(architecture)
        .map_err(|error| format!("{}: the architecture it names cannot be read: {error}", path.display()))?;
    Ok((architecture, state.rounded_to_half()))
}

/// The bundle to be made.
pub struct Target<'a> {
    pub folder: &'a Path,
    /// Where the quantization's origin goes.
    pub quantization_file: &'a Path,
    /// Short name with version.
    pub id: &'a str,
    /// Input side, pixels.
    pub size: u32,
    pub estimator: Estimator,
}

/// Writes the bundle's weights, its int8 network with ranges from `films` and a manifest whose calibration is still
/// neutral. Returns the float and the int8 network.
pub fn export(
    checkpoint: &Path,
    target: &Target,
    films: &[LabelledFilm],
    training: toml::Table,
) -> Result<(Vec<u8>, Vec<u8>), AnyError> {
    let &Target { folder, quantization_file, id, size, estimator } = target;
    let (architecture, state) = read_checkpoint(checkpoint)?;
    disk::create_folder(folder)?;
    let weights = folder.join(WEIGHTS_FILE);
    state.save(&weights, Precision::Half)?;
    let spec = InputSpec::imagenet(size);
    let side = size as usize;
    let inputs = films.iter().map(|film| preprocess::tensor(&film.picture, &spec));
    let quantized = export::quantize(&architecture, &state, side, inputs, estimator)?;
    let float = export::float_model(&architecture, &state, side)?;
    disk::write(&folder.join(MODEL_FILE), &quantized.model)?;
    let space = serde_json::to_vec(&no_film_space())?;
    disk::write(&folder.join(OOD_FILE), &space)?;
    let written = std::fs::read(&weights).map_err(at(&weights))?;
    let quantization = Quantization {
        weights_sha256: sha256_hex(&written),
        size,
        estimator,
        films: films.iter().map(|film| film.film.image_id.clone()).collect(),
        ranges: quantized.ranges,
    };
    write_toml(quantization_file, &quantization)?;
    write_manifest(folder, &uncalibrated(id, &quantized.model, &space, spec, training))?;
    Ok((float, quantized.model))
}

/// A film space before it is fitted.
fn no_film_space() -> OodModel {
    OodModel { mean: vec![0.0; VALUES], components: Vec::new() }
}

/// A manifest that reads the logits as they are and refuses and refers nothing.
fn uncalibrated(id: &str, model: &[u8], film_space: &[u8], input: InputSpec, training: toml::Table) -> Manifest {
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
        sha256: sha256_hex(model),
        labels: Class::ALL.map(|class| class.label().to_string()).to_vec(),
        input,
        ood: BundleFile { file: OOD_FILE.into(), sha256: sha256_hex(film_space) },
        profiles: Profiles { digital: neutral(), film: neutral(), screen: neutral() },
        training,
        metrics: toml::Table::new(),
    }
}

/// Measures what each quantized layer of an exported bundle loses ([`export::layer_errors`]) on the films its ranges come
/// from, and writes a table with a row a layer, the worst first. `quantization_file` is the one of the export.
pub fn write_layer_errors(
    folder: &Path,
    quantization_file: &Path,
    films: &[LabelledFilm],
    table: &Path,
) -> Result<Vec<LayerError>, AnyError> {
    let manifest = Bundle::load(folder)?.manifest;
    let (architecture, state) = read_checkpoint(&folder.join(WEIGHTS_FILE))?;
    let quantization = Quantization::read(quantization_file)?;
    let inputs = films.iter().map(|film| preprocess::tensor(&film.picture, &manifest.input));
    let side = manifest.input.size as usize;
    let layers = export::layer_errors(&architecture, &state, side, inputs, &quantization.ranges)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["layer", "sqnr_db", "films", "estimator", "model_sha256"])?;
    for LayerError { layer, sqnr_db } in &layers {
        writer.serialize((layer, sqnr_db, films.len(), quantization.estimator, &manifest.sha256))?;
    }
    disk::write(table, &writer.into_inner()?)?;
    Ok(layers)
}

/// What is to be measured: a bundle's folder, or a float checkpoint (a run's folder, for its best weights, or the file
/// itself), made a bundle in memory.
///
/// A checkpoint's weights are rounded to half floats, as they ship. Its logits are read as they are, and
/// no film is refused as unfamiliar. The input is `size` pixels wide; without it what the run's last stage has, or 224 for
/// a file.
pub fn open(path: &Path, size: Option<u32>) -> Result<Bundle, AnyError> {
    let run = path.join(train::BEST_FILE);
    let (checkpoint, size) = match path.is_dir() {
        true if path.join(MANIFEST_FILE).exists() => return Ok(Bundle::load(path)?),
        true if run.exists() => {
            let stages = train::config_of(path)?.stages;
            (run, size.or(stages.last().map(|stage| stage.size)))
        }
        true => {
            let wanted =
                "neither a bundle (manifest.toml) nor a run (best.safetensors) is in this folder; give another";
            return Err(format!("{}: {wanted}", path.display()).into());
        }
        false => (path.into(), size),
    };
    let size = size.unwrap_or(DEFAULT_SIZE);
    let (architecture, state) = read_checkpoint(&checkpoint)?;
    let model = export::float_model(&architecture, &state, size as usize)?;
    let film_space = no_film_space();
    let space = serde_json::to_vec(&film_space)?;
    let id = format!("{} (float)", path.display());
    let training = toml::Table::from_iter([("architecture".into(), toml::Value::try_from(&architecture)?)]);
    let manifest = uncalibrated(&id, &model, &space, InputSpec::imagenet(size), training);
    Ok(Bundle { manifest, model: model.into(), ood: film_space })
}

/// The float network of a bundle's weights.
pub fn float_model(folder: &Path) -> Result<Vec<u8>, AnyError> {
    let manifest = Bundle::load(folder)?.manifest;
    let (architecture, state) = read_checkpoint(&folder.join(WEIGHTS_FILE))?;
    Ok(export::float_model(&architecture, &state, manifest.input.size as usize)?)
}

/// Fits the film space to training films, and scaling, operating points and the threshold of ood_score of every
/// profile on validation films. Writes them into the bundle and, but for the space and with their origin, to
/// `calibration_file`. Film and screen photographs are simulated ones of levels 1 to 3.
///
/// How far films lie from the space is judged by all of them, each training film by the space of other patients'
/// ([`FilmDescriptions::held_out`]).
pub fn calibrate(
    folder: &Path,
    calibration_file: &Path,
    training_films: &FilmDescriptions,
    films: &[LabelledFilm],
    arithmetic: Arithmetic,
    threads: usize,
) -> Result<Manifest, AnyError> {
    for complaint in probabilities::too_few(films.iter().map(|film| film.film.label)) {
        log::warn!("{complaint}");
    }
    let Bundle { mut manifest, model, .. } = Bundle::load(folder)?;
    let model = match arithmetic {
        Arithmetic::Int8 => model.into_owned(),
        Arithmetic::Float => float_model(folder)?,
    };
    let network = Network::load(&model, manifest.input.size, threads)?;
    let film_space = training_films.space();
    let own: Vec<f64> = films.iter().map(|film| film_space.score(&film.picture)).collect();
    let mut distances = training_films.held_out();
    distances.extend(&own);
    let fit = |profile: Profile| -> Result<ProfileCalibration, AnyError> {
        let mut scored = Vec::with_capacity(films.len());
        let mut added = Vec::with_capacity(films.len());
        for (index, film) in films.iter().enumerate() {
            let (picture, found) = match photograph(&film.picture, profile, index) {
                Some(frame) => {
                    let rectified = film::rectify(&frame, Some(profile));
                    (rectified.film, rectified.outline.found)
                }
                None => (film.picture.clone(), true),
            };
            if found {
                added.push(film_space.score(&picture) - own[index]);
            }
            let prediction = network.run(&preprocess::tensor(&picture, &manifest.input))?;
            scored.push(Scored { logits: prediction.logits, truth: film.film.label });
        }
        let ood_above = ood::threshold(&distances, &added);
        log::info!(
            "{}: the film was found in {} of {} pictures; unfamiliar above {ood_above}",
            profile.name(),
            added.len(),
            films.len()
        );
        Ok(probabilities::fit(&scored, ood_above))
    };
    let profiles =
        Profiles { digital: fit(Profile::Digital)?, film: fit(Profile::Film)?, screen: fit(Profile::Screen)? };
    let provenance = Provenance {
        model_sha256: manifest.sha256.clone(),
        arithmetic,
        films: films.iter().map(|film| film.film.image_id.clone()).collect(),
        photographs:
            "simulated: film on a light box and screen, levels 1 to 3 in turn, JPEG, seed = position in the list".into(),
        profiles: profiles.clone(),
    };
    write_toml(calibration_file, &provenance)?;
    manifest.profiles = profiles;
    let space = serde_json::to_vec(&film_space)?;
    manifest.ood.sha256 = sha256_hex(&space);
    disk::write(&folder.join(&manifest.ood.file), &space)?;
    write_manifest(folder, &manifest)?;
    Ok(manifest)
}

/// A simulated photograph of a film for a profile, as gray after JPEG, levels 1 to 3 in turn; none for the digital one.
pub fn photograph(picture: &GrayImage, profile: Profile, index: usize) -> Option<GrayImage> {
    photograph_at(picture, profile, (index % 3 + 1) as u8, index)
}

/// The same at a given level of the simulator, 1 to 4.
pub fn photograph_at(picture: &GrayImage, profile: Profile, level: u8, index: usize) -> Option<GrayImage> {
    Some(simulate::simulator(profile)?(picture, &Effects::all(level), index as u64).into_gray())
}

/// Puts figures into the bundle's manifest under `name`.
pub fn record_metrics(folder: &Path, name: &str, metrics: toml::Table) -> Result<(), AnyError> {
    let mut manifest = Bundle::load(folder)?.manifest;
    manifest.metrics.insert(name.into(), toml::Value::Table(metrics));
    write_manifest(folder, &manifest)
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), AnyError> {
    Ok(disk::write(&folder.join(MANIFEST_FILE), manifest.to_toml()?.as_bytes())?)
}

fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), AnyError> {
    if let Some(folder) = path.parent() {
        disk::create_folder(folder)?;
    }
    Ok(disk::write(path, toml::to_string_pretty(value)?.as_bytes())?)
}
