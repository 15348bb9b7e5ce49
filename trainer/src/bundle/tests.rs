//! Bundles that are changed, and calibrated, and stopped meanwhile.

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use xray_triage_core::bundle::{Bundle, MANIFEST_FILE, MODEL_FILE, Manifest, OOD_FILE, sha256_hex};
use xray_triage_core::decision::Class;
use xray_triage_core::ood::{OodModel, VALUES};
use xray_triage_core::preprocess::InputSpec;

use crate::data::dataset::{Film, LabelledFilm};
use crate::export::Estimator;
use crate::model::architecture::{Architecture, Attention};
use crate::model::formula;
use crate::model::state_dict::Precision;

use super::export::uncalibrated;
use super::files::{NewFile, Step, steps, take, write_bundle};
use super::ood::FilmDescriptions;
use super::*;

fn manifest(id: &str) -> Manifest {
    uncalibrated(id, InputSpec::imagenet(32), toml::Table::new())
}

fn ood_model(gray: f32) -> OodModel {
    OodModel { mean: vec![gray; VALUES], components: Vec::new() }
}

/// A bundle whose network is no network: only its hash counts here.
fn written(folder: &Path, id: &str, model: &[u8], gray: f32) -> Manifest {
    let mut manifest = manifest(id);
    write_bundle(folder, &mut manifest, Some(model), &ood_model(gray)).unwrap();
    manifest
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_bundle_is_valid_wherever_its_change_is_stopped() {
    let mut taken = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        written(folder, "old", b"old network", 0.25);
        let (model, ood) = (b"new network", serde_json::to_vec(&ood_model(0.5)).unwrap());
        let mut new = manifest("new");
        (new.sha256, new.ood.sha256) = (sha256_hex(model), sha256_hex(&ood));
        let files = [
            NewFile { name: OOD_FILE, sha256: new.ood.sha256.clone(), bytes: &ood },
            NewFile { name: MODEL_FILE, sha256: new.sha256.clone(), bytes: model },
        ];
        let all: Vec<Step> = steps(folder, &new, &files).unwrap();
        let count = all.len();
        all.iter().take(taken).for_each(|step| take(folder, step).unwrap());
        let Bundle { manifest, model, ood } = Bundle::load(folder).unwrap();
        let (old_is_there, gray) = (manifest.id == "old", ood.mean[0]);
        assert_eq!(
            (&*model, gray),
            if old_is_there { (&b"old network"[..], 0.25) } else { (&b"new network"[..], 0.5) }
        );

        // Whatever is left over, the next change ends with the usual files alone.
        let again = written(folder, "again", b"third network", 0.75);
        assert_eq!(Bundle::load(folder).unwrap().manifest, again);
        assert_eq!(names(folder), [OOD_FILE, MANIFEST_FILE, MODEL_FILE], "stopped after {taken} steps");
        if taken == count {
            assert!(!old_is_there);
            return;
        }
        taken += 1;
    }
}

#[test]
fn a_number_that_is_not_finite_reaches_no_file_of_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let measured = written(folder, "a", b"network", 0.25);
    let before = std::fs::read(folder.join(MANIFEST_FILE)).unwrap();
    let figures = |value: f64| toml::Table::from_iter([("accuracy".to_string(), toml::Value::Float(value))]);
    for value in [f64::NAN, f64::INFINITY] {
        let error = record_metrics(folder, &measured, "test", figures(value)).unwrap_err();
        assert!(
            matches!(&error, BundlingError::NotFinite { entry, .. } if entry == "metrics.test.accuracy"),
            "{error}"
        );
        let mut training = manifest("b");
        let stages = vec![toml::Value::Float(0.5), toml::Value::Float(value)];
        training.training.insert("stages".into(), toml::Value::Array(stages));
        let error = write_bundle(folder, &mut training, None, &ood_model(0.25)).unwrap_err();
        assert!(matches!(&error, BundlingError::NotFinite { entry, .. } if entry == "training.stages.1"), "{error}");
    }
    let mut scaling = measured.clone();
    scaling.profiles.film.scaling.temperature = f64::NAN;
    assert!(write_bundle(folder, &mut scaling, None, &ood_model(0.25)).is_err());
    let error = write_bundle(folder, &mut measured.clone(), None, &ood_model(f32::NAN)).unwrap_err();
    assert!(matches!(error, BundlingError::OodModel(_)), "{error}");
    assert_eq!(std::fs::read(folder.join(MANIFEST_FILE)).unwrap(), before);
    assert_eq!(names(folder), [OOD_FILE, MANIFEST_FILE, MODEL_FILE]);

    record_metrics(folder, &measured, "test", figures(0.5)).unwrap();
    assert_eq!(Bundle::load(folder).unwrap().manifest.metrics["test"]["accuracy"].as_float(), Some(0.5));
}

#[test]
fn figures_of_a_bundle_that_was_changed_meanwhile_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let measured = written(folder.path(), "a", b"network", 0.25);
    written(folder.path(), "a", b"network", 0.5);
    let error = record_metrics(folder.path(), &measured, "test", toml::Table::new()).unwrap_err();
    assert!(matches!(error, BundlingError::Changed(_)), "{error}");
}

/// A film of one bright half, of a patient of its own.
fn film(number: u8) -> LabelledFilm {
    let film = Film {
        image_id: number.to_string(),
        path: PathBuf::new(),
        label: Class::ALL[usize::from(number) % 3],
        label_source: None,
        reading: String::new(),
        review: String::new(),
        source: String::new(),
        patient_id: String::new(),
        view: String::new(),
        split: "val".into(),
        protocol: String::new(),
    };
    let picture = GrayImage::from_fn(80, 64, |x, y| {
        let lit = (x < 40) == number.is_multiple_of(2);
        Luma([if lit { 180 } else { 40 } + ((u32::from(number) + 7 * x + 13 * y) % 50) as u8])
    });
    LabelledFilm { film, picture }
}

/// Exports a tiny network with weights by formula.
fn exported(folder: &Path, films: &[LabelledFilm]) -> PathBuf {
    let mut state = formula::state(&Architecture::tiny(Attention::Se));
    let architecture = serde_json::to_string(&Architecture::tiny(Attention::Se)).unwrap();
    state.metadata.insert("architecture".into(), architecture);
    let checkpoint = folder.join("tiny.safetensors");
    state.save(&checkpoint, Precision::Single).unwrap();
    let bundle = folder.join("bundle");
    let quantization_file = folder.join("quantization.toml");
    let target = Target {
        folder: &bundle,
        quantization_file: &quantization_file,
        id: "tiny-1",
        size: 64,
        estimator: Estimator::MinMax,
    };
    export(&checkpoint, &target, films, toml::Table::new()).unwrap();
    let weights = std::fs::read(bundle.join(WEIGHTS_FILE)).unwrap();
    assert_eq!(Quantization::read(&quantization_file).unwrap().weights_sha256, sha256_hex(&weights));
    bundle
}

#[cfg(unix)]
#[test]
fn a_calibration_that_fails_leaves_the_bundle_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let films: Vec<LabelledFilm> = (0..3).map(film).collect();
    let bundle = exported(folder.path(), &films);
    let uncalibrated = Bundle::load(&bundle).unwrap();
    let origin = folder.path().join("calibration/operating-points.toml");
    let descriptions = FilmDescriptions::of(&films[..1]);
    let calibrate = || calibrate(&bundle, &origin, &descriptions, &films, Arithmetic::Float, 1);

    // The first thing that goes wrong is the manifest: the disk is full.
    std::os::unix::fs::symlink("/dev/full", bundle.join("manifest.toml.part")).unwrap();
    let error = calibrate().unwrap_err();
    assert!(
        error.to_string().contains("manifest.toml") && error.to_string().matches("No space").count() == 1,
        "{error}"
    );
    assert_eq!(Bundle::load(&bundle).unwrap().manifest, uncalibrated.manifest);

    let manifest = calibrate().unwrap();
    let calibrated = Bundle::load(&bundle).unwrap();
    assert_eq!(calibrated.manifest, manifest);
    assert_ne!(calibrated.ood, uncalibrated.ood);
    assert_eq!(names(&bundle), [OOD_FILE, MANIFEST_FILE, MODEL_FILE, WEIGHTS_FILE]);
    let points: toml::Table = std::fs::read_to_string(&origin).unwrap().parse().unwrap();
    assert_eq!(points["model_sha256"].as_str(), Some(manifest.sha256.as_str()));
    assert_eq!(points["profiles"], toml::Value::try_from(&manifest.profiles).unwrap());
}
