//! The exported graphs, run by tract, are compared with PyTorch's results for the same weights (`golden/reference.py`).

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::Path;

use image::{GrayImage, Luma};
use trainer::bundle::{self, Target};
use trainer::data::dataset::{Film, LabelledFilm};
use trainer::export::agreement::{Agreement, RuntimeOutputs};
use trainer::export::{
    Estimator, LayerError, Ranges, Session, float_model, int8_model, layer_errors, measure_ranges, quantize,
};
use trainer::model::architecture::{Architecture, Attention};
use trainer::model::formula;
use trainer::model::state_dict::Precision;
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::decision::{Class, Scaling};

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
        let agreement = Agreement::between(&outputs, &golden.outputs, &Scaling::NONE).unwrap();
        println!("{name}: {agreement:?}");
        assert!(agreement.logits < 1e-4 && agreement.cam < 1e-4, "{name}: {agreement:?}");
    }
}

/// The picture by formula in several brightnesses, so that inputs have different ranges.
fn inputs(size: usize) -> Vec<Vec<f32>> {
    [1.0, 0.75, 0.5, 0.25].iter().map(|dim| formula::image(size).iter().map(|value| dim * value).collect()).collect()
}

/// With weights by formula a deep network is chaotic, but a shallow one is not, so its int8 graph must stay near float. The
/// logits lie in -1..1, the values of the maps in -4..4.
#[test]
fn tiny_int8_graphs_stay_near_float() {
    for attention in [Attention::None, Attention::Se, Attention::Cbam] {
        let architecture = Architecture::tiny(attention);
        let state = formula::state(&architecture);
        let inputs = inputs(64);
        let float = float_model(&architecture, &state, 64).unwrap();
        let float = RuntimeOutputs::from_tract(&float, 64, inputs.iter().map(Vec::as_slice)).unwrap();
        for estimator in [Estimator::MinMax, Estimator::Percentile, Estimator::Mse, Estimator::Entropy] {
            let quantized = quantize(&architecture, &state, 64, inputs.clone(), estimator).unwrap();
            let int8 = RuntimeOutputs::from_tract(&quantized.model, 64, inputs.iter().map(Vec::as_slice)).unwrap();
            let agreement = Agreement::between(&int8, &float, &Scaling::NONE).unwrap();
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

/// The bytes follow from weights by formula and ranges that are given, without a run of the network, so they are the
/// same on every machine. A bundle can be made again from its checkpoint, bit for bit, only as long as they stay.
#[test]
fn exported_graphs_keep_their_bytes() {
    for (attention, float, int8) in [
        (
            Attention::None,
            "67163befb8680c30a2a0af067187967c52e0beccbc84327768b2f7c568bf794d",
            "8cfd7ef85ced3740fb49e2790a866ee2339d5d1879ac3cd133c66f7dc5b6a29e",
        ),
        (
            Attention::Se,
            "21be0137703e34839679816cff9bd110e1044936a069399fc245e138b452ac24",
            "596b15fa33d46b1a448fa200298bda9e19ed9266e4e634cc5ee28365d6888053",
        ),
        (
            Attention::Cbam,
            "2316fec827917509ae1c973e18b48def49fcf295ab75b0e48fec8ac1647ccac4",
            "281cfa6cffdb13839af35d1b3274cb13292e5e9c69282b66cef0e2047fb8f32c",
        ),
    ] {
        let architecture = Architecture::tiny(attention);
        let state = formula::state(&architecture);
        let mut ranges = Ranges::new();
        for (block, layers) in (1..).zip(&architecture.blocks) {
            for layer in 1..=*layers {
                let name = format!("features.denseblock{block}.denselayer{layer}");
                ranges.insert(format!("{name}.relu1"), [0.0, 2.5 + layer as f32]);
                ranges.insert(format!("{name}.relu2"), [0.0, 1.75]);
                ranges.insert(format!("{name}.conv2"), [-1.25, 2.0 + block as f32]);
            }
        }
        ranges.insert("features.transition1.pool".into(), [0.0, 1.5]);
        ranges.insert("features.transition1.conv".into(), [-3.0, 3.5]);
        let model = float_model(&architecture, &state, 64).unwrap();
        assert_eq!(sha256_hex(&model), float, "{attention:?}, float");
        let model = int8_model(&architecture, &state, 64, &ranges).unwrap();
        assert_eq!(sha256_hex(&model), int8, "{attention:?}, int8");
    }
}

#[test]
fn each_layer_is_measured_alone_and_the_worst_comes_first() {
    let architecture = Architecture::tiny(Attention::Cbam);
    let state = formula::state(&architecture);
    let mut ranges = measure_ranges(&architecture, &state, 64, inputs(64), Estimator::MinMax).unwrap();
    let measure = |ranges: &Ranges| layer_errors(&architecture, &state, 64, inputs(64), ranges).unwrap();
    let of = |errors: &[LayerError], layer: &str| errors.iter().find(|error| error.layer == layer).unwrap().sqnr_db;
    let errors = measure(&ranges);
    println!("{errors:?}");
    // Four dense layers have two convolutions each, and one transition has one.
    assert_eq!(errors.len(), 9);
    assert!(errors.is_sorted_by(|a, b| a.sqnr_db <= b.sqnr_db));
    assert!(errors.iter().all(|error| (20.0..60.0).contains(&error.sqnr_db)));

    // Sixteen times the range makes the steps sixteen times as coarse, which is 24 dB. Only the output's part of the noise
    // grows.
    let transition = "features.transition1.conv";
    let range = ranges.get_mut(transition).unwrap();
    *range = range.map(|end| 16.0 * end);
    let coarser = measure(&ranges);
    let lost = of(&errors, transition) - of(&coarser, transition);
    assert!((12.0..24.5).contains(&lost), "{lost} dB");
    assert_eq!(coarser[0].layer, transition);
    for error in errors.iter().filter(|error| error.layer != transition) {
        assert_eq!(of(&coarser, &error.layer), error.sqnr_db, "{}", error.layer);
    }
    assert!(layer_errors(&architecture, &state, 64, [], &ranges).unwrap_err().to_string().contains("no input"));
}

/// A film with a lit left or right half.
fn film(number: u8) -> LabelledFilm {
    let film = Film {
        image_id: number.to_string(),
        path: Default::default(),
        label: Class::ALL[usize::from(number) % 3],
        label_source: None,
        reading: String::new(),
        review: String::new(),
        source: String::new(),
        patient_id: String::new(),
        view: String::new(),
        split: "train".into(),
        protocol: String::new(),
    };
    let picture = GrayImage::from_fn(80, 64, |x, y| {
        let lit = (x < 40) == number.is_multiple_of(2);
        Luma([if lit { 180 } else { 40 } + ((7 * x + 13 * y) % 50) as u8])
    });
    LabelledFilm { film, picture }
}

#[test]
fn a_bundle_keeps_where_its_layer_errors_come_from_and_its_weights_open_in_float() {
    let folder = std::env::temp_dir().join(format!("bundle-layers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut state = formula::state(&Architecture::tiny(Attention::Se));
    let architecture = serde_json::to_string(&Architecture::tiny(Attention::Se)).unwrap();
    state.metadata.insert("architecture".into(), architecture);
    let checkpoint = folder.join("tiny.safetensors");
    state.save(&checkpoint, Precision::Single).unwrap();
    let quantization = folder.join("quantization.toml");
    let target = Target {
        folder: &folder,
        quantization_file: &quantization,
        id: "tiny-1",
        size: 64,
        estimator: Estimator::Entropy,
    };
    let films = [film(0), film(1)];
    let float = bundle::export(&checkpoint, &target, &films, Default::default()).unwrap().float;
    let table = folder.join("layers.csv");
    let layers = bundle::write_layer_errors(&folder, &quantization, &films, &table).unwrap();
    let rows = std::fs::read_to_string(&table).unwrap();
    let opened = bundle::open(&checkpoint, Some(64)).unwrap();
    let exported = bundle::open(&folder, None).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!((rows[0], rows.len()), ("layer,sqnr_db,films,estimator,model_sha256", 10));
    let sha256 = &exported.manifest.sha256;
    assert_eq!(rows[1], format!("{},{},2,entropy,{sha256}", layers[0].layer, layers[0].sqnr_db));
    assert_eq!(exported.manifest.id, "tiny-1");
    // A checkpoint opens as its float network, and nothing has calibrated it.
    assert!(opened.model == float);
    assert!(opened.manifest.profiles.digital.ood_above >= opened.ood.score(&films[0].picture));
}

#[test]
fn faults_are_named() {
    let architecture = Architecture::tiny(Attention::Cbam);
    let state = formula::state(&architecture);
    let message = |error: trainer::export::ExportError| error.to_string();
    assert!(message(float_model(&architecture, &state, 4).unwrap_err()).contains("at least 5"));
    let deeper = Architecture { blocks: vec![2, 3], ..architecture.clone() };
    assert!(message(float_model(&deeper, &state, 64).unwrap_err()).contains("denseblock2.denselayer3"));
    let endless = Architecture { blocks: vec![usize::MAX], ..architecture.clone() };
    assert!(message(int8_model(&endless, &state, 64, &Ranges::new()).unwrap_err()).contains("above 4096"));
    let none = quantize(&architecture, &state, 64, [], Estimator::Mse).unwrap_err();
    assert!(message(none).contains("no input"));
    let mut quantized = quantize(&architecture, &state, 64, inputs(64), Estimator::Mse).unwrap();
    quantized.ranges.remove("features.transition1.pool");
    let missing = int8_model(&architecture, &state, 64, &quantized.ranges).unwrap_err();
    assert!(message(missing).contains("features.transition1.pool"));
    let session = Session::load(&quantized.model, 64).unwrap();
    assert!(message(session.run(&[0.0; 7]).unwrap_err()).contains("7 values, 12288 are needed"));
    assert!(message(session.run(&vec![f32::NAN; 3 * 64 * 64]).unwrap_err()).contains("not finite"));
}
