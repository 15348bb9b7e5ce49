//! The shipped network gives the same results in tract and in onnxruntime on twenty films, in float and in int8. How the
//! results of onnxruntime were made is in tests/agreement/README.md.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::PathBuf;

use trainer::bundle::float_model;
use trainer::export::agreement::{self, Agreement, RuntimeOutputs};
use xray_triage_core::bundle::Bundle;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares tract's results for `model` with those of onnxruntime in the file `outputs`. Probabilities are those of the
/// profile for digital films.
fn compare(model: &[u8], bundle: &Bundle, outputs: &str) -> Agreement {
    let films = root().join("tests/agreement");
    let input = &bundle.manifest.input;
    let inputs = agreement::inputs(&films, input).unwrap();
    let tract = RuntimeOutputs::from_tract(model, input.size as usize, inputs.iter().map(Vec::as_slice)).unwrap();
    let onnxruntime = RuntimeOutputs::read(&films.join(outputs)).unwrap();
    assert_eq!(
        tract.model_sha256, onnxruntime.model_sha256,
        "onnxruntime ran another network: do again what tests/agreement/README.md says"
    );
    let agreement = Agreement::between(&tract, &onnxruntime, &bundle.manifest.profiles.digital.scaling).unwrap();
    println!("{outputs}: {agreement:?}");
    assert_eq!(agreement.inputs, 20);
    agreement
}

#[test]
fn the_float_network_agrees() {
    let folder = root().join("models/densenet121-cbam");
    let agreement = compare(&float_model(&folder).unwrap(), &Bundle::load(&folder).unwrap(), "onnxruntime-float.json");
    assert!(agreement.float_agrees(), "{agreement:?}");
}

#[test]
fn the_int8_network_agrees() {
    let bundle = Bundle::load(&root().join("models/densenet121-cbam")).unwrap();
    let agreement = compare(&bundle.model, &bundle, "onnxruntime-int8.json");
    assert!(agreement.int8_agrees(), "{agreement:?}");
}
