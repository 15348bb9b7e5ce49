//! The exported graphs, run by tract, against PyTorch's results for the same weights (`golden/reference.py`).

use std::path::Path;

use trainer::architecture::{Architecture, Attention};
use trainer::export::agreement::{Agreement, RuntimeOutputs};
use trainer::export::{Estimator, Session, float_model, int8_model, quantize};
use trainer::formula;

struct Golden {
    architecture: Architecture,
    size: usize,
    outputs: RuntimeOutputs,
}

fn golden(name: &str) -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cam: Vec<Vec<Vec<f32>>> = serde_json::from_value(json["cam"].clone()).unwrap();
    Golden {
        architecture: serde_json::from_value(json["architecture"].clone()).unwrap(),
        size: serde_json::from_value(json["size"].clone()).unwrap(),
        outputs: RuntimeOutputs {
            logits: vec![serde_json::from_value(json["logits"].clone()).unwrap()],
            cam: vec![cam.into_iter().flatten().flatten().collect()],
            ..Default::default()
        },
    }
}

#[test]
fn float_graphs_equal_pytorch() {
    for name in ["tiny-none", "tiny-se", "tiny-cbam", "densenet121-cbam"] {
        let golden = golden(name);
        let model = float_model(&golden.architecture, &formula::state(&golden.architecture), golden.size).unwrap();
        let image = formula::image(golden.size);
        let outputs = RuntimeOutputs::from_tract(&model, golden.size, [image.as_slice()]).unwrap();
        let agreement = Agreement::between(&outputs, &golden.outputs).unwrap();
        println!("{name}: {agreement:?}");
        assert!(agreement.logits < 1e-4 && agreement.cam < 1e-4, "{name}: {agreement:?}");
    }
}

/// The picture by formula, dimmed: several inputs of different ranges.
fn inputs(size: usize) -> Vec<Vec<f32>> {
    [1.0, 0.75, 0.5, 0.25].iter().map(|dim| formula::image(size).iter().map(|value| dim * value).collect()).collect()
}

/// Shallow networks are not yet chaotic with weights by formula: their int8 graphs must stay near float. The logits
/// lie in -1..1, the map values in -4..4.
#[test]
fn tiny_int8_graphs_stay_near_float() {
    for attention in [Attention::None, Attention::Se, Attention::Cbam] {
        let architecture = Architecture::tiny(attention);
        let state = formula::state(&architecture);
        let inputs = inputs(64);
        let float = float_model(&architecture, &state, 64).unwrap();
        let float = RuntimeOutputs::from_tract(&float, 64, inputs.iter().map(Vec::as_slice)).unwrap();
        for estimator in [Estimator::MinMax, Estimator::Percentile, Estimator::Mse] {
            let quantized = quantize(&architecture, &state, 64, inputs.clone(), estimator).unwrap();
            let int8 = RuntimeOutputs::from_tract(&quantized.model, 64, inputs.iter().map(Vec::as_slice)).unwrap();
            let agreement = Agreement::between(&int8, &float).unwrap();
            println!("{attention:?} {estimator:?}: {agreement:?}");
            assert!(agreement.logits < 0.05 && agreement.cam < 0.3, "{attention:?} {estimator:?}: {agreement:?}");
        }
    }
}

#[test]
fn the_same_ranges_give_the_same_file() {
    let architecture = Architecture::tiny(Attention::Cbam);
    let state = formula::state(&architecture);
    let quantized = quantize(&architecture, &state, 64, inputs(64), Estimator::Mse).unwrap();
    let ranges = toml::from_str(&toml::to_string(&quantized.ranges).unwrap()).unwrap();
    assert_eq!(int8_model(&architecture, &state, 64, &ranges).unwrap(), quantized.model);
}

#[test]
fn faults_are_named() {
    let architecture = Architecture::tiny(Attention::Cbam);
    let state = formula::state(&architecture);
    let message = |error: trainer::export::ExportError| error.to_string();
    assert!(message(float_model(&architecture, &state, 4).unwrap_err()).contains("at least 5"));
    let deeper = Architecture { blocks: vec![2, 3], ..architecture.clone() };
    assert!(message(float_model(&deeper, &state, 64).unwrap_err()).contains("denseblock2.denselayer3"));
    let none = quantize(&architecture, &state, 64, [], Estimator::Mse).unwrap_err();
    assert!(message(none).contains("no calibration input"));
    let mut quantized = quantize(&architecture, &state, 64, inputs(64), Estimator::Mse).unwrap();
    quantized.ranges.remove("features.transition1.pool");
    let missing = int8_model(&architecture, &state, 64, &quantized.ranges).unwrap_err();
    assert!(message(missing).contains("features.transition1.pool"));
    let session = Session::load(&quantized.model, 64).unwrap();
    assert!(message(session.run(&[0.0; 7]).unwrap_err()).contains("7 values, 12288 are needed"));
    assert!(message(session.run(&vec![f32::NAN; 3 * 64 * 64]).unwrap_err()).contains("not finite"));
}
