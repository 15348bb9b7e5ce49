//! Tests that `calibration/densenet121-cbam`, which says where the shipped bundle's figures come from, is of that bundle.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::PathBuf;

use toml::Table;
use trainer::bundle::{Quantization, WEIGHTS_FILE};
use xray_triage_core::bundle::{Bundle, MANIFEST_FILE, sha256_hex};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn table(path: &str) -> Table {
    std::fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

#[test]
fn ranges_and_operating_points_are_those_of_the_shipped_network() {
    let folder = root().join("models/densenet121-cbam");
    let manifest = Bundle::load(&folder).unwrap().manifest;
    let quantization: Quantization = table("calibration/densenet121-cbam/quantization.toml").try_into().unwrap();
    let weights = std::fs::read(folder.join(WEIGHTS_FILE)).unwrap();
    let again = "export and calibrate the bundle again, and ship what both write into calibration/";
    assert_eq!(quantization.weights_sha256, sha256_hex(&weights), "{again}");
    assert_eq!(quantization.size, manifest.input.size, "{again}");

    let points = table("calibration/densenet121-cbam/operating-points.toml");
    assert_eq!(points["model_sha256"].as_str(), Some(manifest.sha256.as_str()), "{again}");
    let shipped = table(&format!("models/densenet121-cbam/{MANIFEST_FILE}"));
    assert_eq!(points["profiles"], shipped["profiles"], "{again}");
}
