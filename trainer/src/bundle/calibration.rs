use std::path::Path;

use serde::Serialize;
use xray_triage_core::bundle::{Bundle, Manifest, ProfileCalibration, Profiles};
use xray_triage_core::film::{self, Profile};
use xray_triage_core::network::Network;
use xray_triage_core::preprocess;

use crate::data::dataset::LabelledFilm;

use super::ood::{self, FilmDescriptions};
use super::operating_points;
use super::probabilities::Scored;
use super::{BundlingError, files, float_model, photograph, probabilities};

/// Which of a bundle's networks gives the logits that are fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// The quantized network, as on the device.
    Int8,
    /// The float network made of the bundle's weights.
    Float,
}

/// Where the thresholds of a bundle come from: `operating-points.toml` in `calibration/`.
#[derive(Serialize)]
pub struct CalibrationOrigin {
    /// SHA-256 of the bundle's int8 network.
    pub model_sha256: String,
    /// The network whose logits were fitted.
    pub arithmetic: Arithmetic,
    /// The image ids of the validation films.
    pub films: Vec<String>,
    /// How the photographs for the film and screen profiles were made.
    pub photographs: String,
    /// What was fitted.
    pub profiles: Profiles<ProfileCalibration>,
}

/// Fits the out-of-distribution (OOD) model to training films. Fits the scaling, the operating points and the OOD
/// threshold of every profile on validation films. Writes all of it into the bundle. What was fitted on validation films
/// is also written to `origin_file`, with its origin.
///
/// The photographs for the film and screen profiles are simulated ones of levels 1 to 3. The OOD threshold rests on the
/// training films, too: each of them is scored by a model of other patients' films ([`FilmDescriptions::held_out`]).
///
/// # Errors
/// The bundle cannot be read, the network fails on a film, a figure is not finite, or a file cannot be written. Stopped at
/// any moment, the bundle is the old one or the new one.
pub fn calibrate(
    folder: &Path,
    origin_file: &Path,
    training_films: &FilmDescriptions,
    films: &[LabelledFilm],
    arithmetic: Arithmetic,
    threads: usize,
) -> Result<Manifest, BundlingError> {
    for complaint in operating_points::too_few(films.iter().map(|film| film.film.label)) {
        log::warn!("{complaint}");
    }
    let Bundle { mut manifest, model, .. } = Bundle::load(folder)?;
    let model = match arithmetic {
        Arithmetic::Int8 => model.into_owned(),
        Arithmetic::Float => float_model(folder)?,
    };
    let network = Network::load(&model, manifest.input.size, threads)?;
    let ood_model = training_films.ood_model();
    let own: Vec<f64> = films.iter().map(|film| ood_model.score(&film.picture)).collect();
    let mut scores = training_films.held_out();
    scores.extend(&own);
    let fit = |profile: Profile| -> Result<ProfileCalibration, BundlingError> {
        let mut scored = Vec::with_capacity(films.len());
        let mut added = Vec::with_capacity(films.len());
        for (index, film) in films.iter().enumerate() {
            let (rectified, found) = match photograph(&film.picture, profile, index) {
                Some(frame) => {
                    let rectified = film::rectify(&frame, Some(profile));
                    (rectified.film, rectified.outline.found)
                }
                None => (film.picture.clone(), true),
            };
            if found {
                added.push(ood_model.score(&rectified) - own[index]);
            }
            let prediction = network.run(&preprocess::tensor(&rectified, &manifest.input))?;
            scored.push(Scored { logits: prediction.logits, truth: film.film.label });
        }
        let ood_above = ood::threshold(&scores, &added);
        log::info!(
            "{}: the film was found in {} of {} pictures; out-of-distribution above {ood_above}",
            profile.name(),
            added.len(),
            films.len()
        );
        let scaling = probabilities::fit(&scored);
        Ok(operating_points::calibration(&scored, scaling, ood_above))
    };
    let profiles =
        Profiles { digital: fit(Profile::Digital)?, film: fit(Profile::Film)?, screen: fit(Profile::Screen)? };
    let origin = CalibrationOrigin {
        model_sha256: manifest.sha256.clone(),
        arithmetic,
        films: films.iter().map(|film| film.film.image_id.clone()).collect(),
        photographs:
            "simulated: film on a light box and screen, levels 1 to 3 in turn, JPEG, seed = position in the list".into(),
        profiles: profiles.clone(),
    };
    files::write_toml(origin_file, &origin)?;
    manifest.profiles = profiles;
    files::write_bundle(folder, &mut manifest, None, &ood_model)?;
    Ok(manifest)
}
