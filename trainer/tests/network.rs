//! The network on Burn is compared with PyTorch's results for the same weights (`golden/reference.py`), and the training
//! loop is tested with tiny networks.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burn::tensor::{Tensor, TensorData};
use image::{GrayImage, Luma};
use trainer::bundle;
use trainer::data::dataset::{Film, LabelledFilm};
use trainer::export::{self, Estimator, Session};
use trainer::measure::ablation;
use trainer::measure::compare::Comparison;
use trainer::model::architecture::{Architecture, Attention};
use trainer::model::backend::{self, Backend};
use trainer::model::fake_quantization::FakeQuantization;
use trainer::model::formula;
use trainer::model::network::Network;
use trainer::model::state_dict::StateDict;
use trainer::train::teacher::Teacher;
use trainer::train::{self, Ended, Example, LabelWeights, RunInputs, Schedule, Stage, TrainConfig};
use xray_triage_core::decision::{self, Class, Scaling};
use xray_triage_core::pipeline::Options;
use xray_triage_core::preprocess::{self, InputSpec};

/// The largest difference from PyTorch that a logit or a value of a class activation map may have.
const TOLERANCE: f32 = 1e-4;

/// A lock for tests that draw random weights: these come from the backend's generator, which all tests share.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let differences = left.iter().zip(right).map(|(left, right)| (left - right).abs());
    differences
        .fold(0.0, |largest, difference| if difference > largest || difference.is_nan() { difference } else { largest })
}

#[test]
fn the_network_equals_pytorch() {
    let _alone = alone();
    let device = Backend::preferred().device();
    for name in ["tiny-none", "tiny-se", "tiny-cbam", "densenet121-cbam"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let architecture: Architecture = serde_json::from_value(golden["architecture"].clone()).unwrap();
        let size: usize = serde_json::from_value(golden["size"].clone()).unwrap();
        let logits: Vec<f32> = serde_json::from_value(golden["logits"].clone()).unwrap();
        let cam: Vec<Vec<Vec<f32>>> = serde_json::from_value(golden["cam"].clone()).unwrap();
        let cam: Vec<f32> = cam.into_iter().flatten().flatten().collect();

        let network = Network::new(&architecture, &device).with_state(&formula::state(&architecture)).unwrap();
        let image = Tensor::<4>::from_data(TensorData::new(formula::image(size), [1, 3, size, size]), &device);
        let output = network.forward(image);
        let found_cam = values(network.cam(output.features));
        let difference = largest_difference(&values(output.logits), &logits);
        let cam_difference = largest_difference(&found_cam, &cam);
        println!("{name}: logits differ by at most {difference}, maps by {cam_difference}");
        assert!(difference <= TOLERANCE && cam_difference <= TOLERANCE, "{name}: {difference}, {cam_difference}");
    }
}

#[test]
fn parameters_have_torchvisions_names_and_shapes() {
    let _alone = alone();
    let device = Backend::preferred().device();
    for attention in [Attention::None, Attention::Se, Attention::Cbam] {
        let architecture = Architecture::tiny(attention);
        let state = Network::new(&architecture, &device).state();
        let found: Vec<(String, Vec<usize>)> =
            state.parameters.into_iter().map(|(name, parameter)| (name, parameter.shape)).collect();
        let mut expected = architecture.parameter_shapes();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let device = Backend::preferred().device();
    let _alone = alone();
    let network = Network::new(&Architecture::tiny(Attention::Cbam), &device);
    let other = formula::state(&Architecture::tiny(Attention::Se));
    assert!(network.with_state(&other).unwrap_err().to_string().contains("another architecture"));
}

/// A film that a network can tell from those of other classes: bright on the left, on the right, or below.
fn film(class: Class, number: u32) -> GrayImage {
    GrayImage::from_fn(40, 40, |x, y| {
        let lit = match class {
            Class::Covid19 => x < 20,
            Class::Pneumonia => x >= 20,
            Class::Normal => y >= 20,
        };
        Luma([if lit { 180 } else { 40 } + ((x * 7 + y * 13 + number * 29) % 50) as u8])
    })
}

fn examples() -> Vec<Example> {
    (0..12)
        .map(|number| {
            let label = Class::ALL[number as usize % 3];
            let lungs = Some(GrayImage::from_pixel(4, 4, Luma([200])));
            Example { lungs, ..Example::new(film(label, number), label) }
        })
        .collect()
}

/// A teacher whose features are the means of four pixels, and whose logits are 0, once and twice their sum.
fn teacher() -> Teacher {
    Teacher::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teacher.onnx")).unwrap()
}

fn validation() -> Vec<LabelledFilm> {
    (20..26)
        .map(|number| {
            let label = Class::ALL[number as usize % 3];
            let film_row = Film {
                image_id: number.to_string(),
                path: PathBuf::new(),
                label,
                label_source: None,
                reading: String::new(),
                review: String::new(),
                source: String::new(),
                patient_id: String::new(),
                view: String::new(),
                split: "val".into(),
                protocol: String::new(),
            };
            LabelledFilm { film: film_row, picture: film(label, number) }
        })
        .collect()
}

fn config(epochs: usize) -> TrainConfig {
    TrainConfig {
        seed: 7,
        batch_size: 6,
        learning_rate: 3e-3,
        schedule: Schedule::Cosine,
        weight_decay: 1e-3,
        label_smoothing: 0.05,
        teacher_share: 0.3,
        feature_weight: 0.2,
        map_weight: 0.2,
        lung_weight: 0.1,
        average_decay: 0.5,
        augment: false,
        photograph_share: 0.0,
        mixup: 0.5,
        balance_classes: false,
        balance_exponent: 1.0,
        label_weights: LabelWeights::EQUAL,
        epoch_views: None,
        borrowed_grays: 0.0,
        coarse: 0.0,
        mixed_precision: false,
        stages: vec![Stage { size: 32, epochs }],
        architecture: Architecture::tiny(Attention::Cbam),
        initial_weights: None,
        teacher: None,
        int8_ranges: None,
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("training-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn run(folder: &Path, config: &TrainConfig, resume: bool, stop: bool) -> Result<Ended, train::TrainError> {
    run_from(None, folder, config, resume, stop)
}

fn run_from(
    initial: Option<&StateDict>,
    folder: &Path,
    config: &TrainConfig,
    resume: bool,
    stop: bool,
) -> Result<Ended, train::TrainError> {
    let (train, val) = (examples(), validation());
    let teacher = teacher();
    let inputs = RunInputs { teacher: Some(&teacher), initial, ..inputs_of(&train, &val) };
    run_on(&inputs, folder, config, resume, stop)
}

/// Films alone.
fn inputs_of<'a>(train: &'a [Example], val: &'a [LabelledFilm]) -> RunInputs<'a> {
    RunInputs { train, val, teacher: None, initial: None, checkpoint_every: None, fake_quantization: None }
}

fn run_on(
    inputs: &RunInputs,
    folder: &Path,
    config: &TrainConfig,
    resume: bool,
    stop: bool,
) -> Result<Ended, train::TrainError> {
    let _alone = alone();
    train::run(folder, config, resume, &Backend::preferred().device(), inputs, &AtomicBool::new(stop))
}

/// Epochs in which the tiny network learns these films whatever is drawn. With each of eight seeds, with SE and CBAM, in
/// single and mixed precision, with mixed films and without, it took 44 at most.
const EPOCHS_TO_LEARN: usize = 80;

#[test]
fn training_learns_what_there_is_to_learn() {
    let folder = folder("learns");
    let ended = run(&folder, &config(EPOCHS_TO_LEARN), false, false).unwrap();
    let rows = std::fs::read_to_string(folder.join("metrics.csv")).unwrap().lines().count();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(ended, Ended::Finished(1.0));
    assert_eq!(rows, EPOCHS_TO_LEARN + 1, "a heading and a row an epoch");
}

#[test]
fn a_teacher_that_nothing_is_learned_from_is_refused() {
    let folder = folder("useless-teacher");
    let deaf = TrainConfig { teacher_share: 0.0, feature_weight: 0.0, map_weight: 0.0, ..config(1) };
    let error = run(&folder, &deaf, false, false).unwrap_err().to_string();
    assert!(error.contains("--teacher-share") && !folder.exists(), "{error}");
}

#[test]
fn a_run_without_films_or_with_settings_that_are_no_numbers_is_refused_before_it_begins() {
    let folder = folder("nothing");
    let (train, val) = (examples(), validation());
    let error = |train: &[Example], val: &[LabelledFilm], config: &TrainConfig| {
        let inputs = inputs_of(train, val);
        let error = run_on(&inputs, &folder, config, false, false).unwrap_err().to_string();
        assert!(!folder.exists(), "{error}");
        error
    };
    assert!(error(&[], &val, &config(1)).contains("no films to train on"));
    assert!(error(&train, &[], &config(1)).contains("no films to validate with"));
    let no_number = TrainConfig { feature_weight: f32::NAN, ..config(1) };
    assert!(error(&train, &val, &no_number).contains("feature_weight"));
}

#[test]
fn mixed_precision_learns_it_too() {
    for attention in [Attention::Se, Attention::Cbam] {
        let folder = folder("mixed");
        let architecture = Architecture::tiny(attention);
        let mixed = TrainConfig { mixed_precision: true, architecture, ..config(EPOCHS_TO_LEARN) };
        if !backend::has_bfloat16(&Backend::preferred().device()) {
            let error = run(&folder, &mixed, false, false).unwrap_err().to_string();
            assert!(error.contains("--mixed-precision") && !folder.exists(), "{error}");
            continue;
        }
        let ended = run(&folder, &mixed, false, false).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(ended, Ended::Finished(1.0), "{attention:?}");
    }
}

#[test]
fn a_last_step_of_one_film_does_no_harm() {
    let folder = folder("one-film");
    // The twelve films make a step of eleven films and a step of one film.
    let ended = run(&folder, &TrainConfig { batch_size: 11, ..config(1) }, false, false);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(ended.unwrap(), Ended::Finished(_)));
}

/// Inputs of the tiny network, made of the validation films as they are.
fn inputs() -> Vec<Vec<f32>> {
    validation().iter().map(|film| preprocess::tensor(&film.picture, &InputSpec::imagenet(32))).collect()
}

#[test]
fn the_fake_quantized_network_equals_its_int8_export() {
    let _alone = alone();
    let device = Backend::preferred().device();
    for attention in [Attention::None, Attention::Se, Attention::Cbam] {
        let architecture = Architecture::tiny(attention);
        let state = formula::state(&architecture);
        let quantized = export::quantize(&architecture, &state, 32, inputs(), Estimator::Mse).unwrap();
        let session = Session::load(&quantized.model, 32).unwrap();
        let network = Network::new(&architecture, &device).with_state(&state).unwrap();
        let fake = FakeQuantization::new(&architecture, &quantized.ranges).unwrap();
        let (mut rounded, mut float, mut int8) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs() {
            let image = Tensor::<4>::from_data(TensorData::new(input.clone(), [1, 3, 32, 32]), &device);
            rounded.extend(values(network.forward_with(image.clone(), Some(&fake)).logits));
            float.extend(values(network.forward(image).logits));
            int8.extend(session.run(&input).unwrap().swap_remove(0));
        }
        let (own, others) = (largest_difference(&rounded, &int8), largest_difference(&float, &int8));
        println!("{attention:?}: rounded and int8 differ by at most {own}, float and int8 by {others}");
        // A value between two integers may be rounded to the other one: sums come in another order.
        assert!(own < 0.25 * others, "{attention:?}: {own}, {others}");
    }
}

/// The ranges are so narrow that the int8 network has lost what the float network learned. Training with fake quantization
/// brings it back.
#[test]
fn training_as_int8_learns_to_live_with_it() {
    let (folder, as_int8) = (folder("before-int8"), folder("as-int8"));
    let learned = config(EPOCHS_TO_LEARN);
    assert_eq!(run(&folder, &learned, false, false).unwrap(), Ended::Finished(1.0));
    let state = StateDict::load(&folder.join(train::BEST_FILE)).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let mut ranges = export::measure_ranges(&learned.architecture, &state, 32, inputs(), Estimator::MinMax).unwrap();
    for range in ranges.values_mut() {
        *range = range.map(|end| 0.1 * end);
    }
    let right = |state: &StateDict| {
        let model = export::int8_model(&learned.architecture, state, 32, &ranges).unwrap();
        let session = Session::load(&model, 32).unwrap();
        let is_right = |(film, input): (LabelledFilm, Vec<f32>)| {
            let logits: [f32; 3] = session.run(&input).unwrap().swap_remove(0).try_into().unwrap();
            decision::probabilities(&logits, &Scaling::NONE).top() == film.film.label
        };
        validation().into_iter().zip(inputs()).map(is_right).filter(|right| *right).count()
    };
    let before = right(&state);
    assert!(before < validation().len(), "int8 is right of all films before");

    let fake = FakeQuantization::new(&learned.architecture, &ranges).unwrap();
    let (train, val) = (examples(), validation());
    let inputs = RunInputs { initial: Some(&state), fake_quantization: Some(&fake), ..inputs_of(&train, &val) };
    let config = TrainConfig { int8_ranges: Some("narrow".into()), ..config(EPOCHS_TO_LEARN) };
    let ended = run_on(&inputs, &as_int8, &config, false, false).unwrap();
    let state = StateDict::load(&as_int8.join(train::BEST_FILE)).unwrap();
    std::fs::remove_dir_all(&as_int8).unwrap();
    println!("int8 is right of {before} films before, of {} after; {ended:?}", right(&state));
    assert_eq!((right(&state), ended), (val.len(), Ended::Finished(1.0)));
}

#[test]
fn a_run_goes_on_from_the_weights_it_is_given_and_refuses_those_of_another_architecture() {
    let (first, second) = (folder("first"), folder("second"));
    run(&first, &config(EPOCHS_TO_LEARN), false, false).unwrap();
    let learned = StateDict::load(&first.join(train::BEST_FILE)).unwrap();
    let hardly = TrainConfig { learning_rate: 1e-7, ..config(1) };
    let from_learned = run_from(Some(&learned), &second, &hardly, false, false).unwrap();
    std::fs::remove_dir_all(&second).unwrap();
    let from_random = run(&second, &hardly, false, false).unwrap();
    std::fs::remove_dir_all(&second).unwrap();
    let wider = Architecture { growth_rate: 8, ..Architecture::tiny(Attention::Cbam) };
    let other = TrainConfig { architecture: wider, ..config(1) };
    let error = run_from(Some(&learned), &second, &other, false, false).unwrap_err().to_string();
    std::fs::remove_dir_all(&first).unwrap();
    std::fs::remove_dir_all(&second).unwrap();
    assert_eq!(from_learned, Ended::Finished(1.0));
    assert_ne!(from_random, Ended::Finished(1.0));
    assert!(error.contains("another architecture"), "{error}");
}

/// Reads the newest averaged weights of a run, and removes the run.
fn newest(folder: &Path) -> StateDict {
    let state = StateDict::load(&folder.join("averaged.safetensors")).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    state
}

fn assert_equal(left: &StateDict, right: &StateDict) {
    for (name, parameter) in &left.parameters {
        let difference = largest_difference(&parameter.values, &right.parameters[name].values);
        assert!(difference == 0.0, "{name} differs by {difference}");
    }
}

/// Settings with random views and two input sizes.
fn varied() -> TrainConfig {
    let stages = vec![Stage { size: 32, epochs: 2 }, Stage { size: 64, epochs: 1 }];
    TrainConfig { augment: true, stages, ..config(0) }
}

#[test]
fn a_run_stopped_after_every_step_ends_like_an_unbroken_one() {
    let (whole, broken) = (folder("whole"), folder("broken"));
    run(&whole, &varied(), false, false).unwrap();
    let mut stops = 0;
    while run(&broken, &varied(), true, true).unwrap() == Ended::Stopped {
        stops += 1;
    }
    assert_eq!(stops, 6, "two steps an epoch");
    assert_equal(&newest(&whole), &newest(&broken));
}

#[test]
fn checkpoints_within_an_epoch_change_nothing() {
    let (whole, often) = (folder("seldom"), folder("often"));
    run(&whole, &varied(), false, false).unwrap();
    let (train, val, teacher) = (examples(), validation(), teacher());
    let inputs =
        RunInputs { teacher: Some(&teacher), checkpoint_every: Some(Duration::ZERO), ..inputs_of(&train, &val) };
    assert!(matches!(run_on(&inputs, &often, &varied(), false, false).unwrap(), Ended::Finished(_)));
    assert_equal(&newest(&whole), &newest(&often));
}

#[test]
fn a_damaged_checkpoint_leaves_the_one_before() {
    let (whole, broken) = (folder("undamaged"), folder("damaged"));
    run(&whole, &varied(), false, false).unwrap();
    let stop = || assert_eq!(run(&broken, &varied(), true, true).unwrap(), Ended::Stopped);
    let files = || std::fs::read_dir(broken.join("checkpoint")).unwrap().map(|entry| entry.unwrap().path());
    stop();
    for part in ["student", "optimizer", "average.safetensors", "progress.json"] {
        stop();
        let file = files().find(|file| file.file_name().unwrap().to_string_lossy().starts_with(part)).unwrap();
        std::fs::write(file, "cut off").unwrap();
        // The run does the step again that the damaged checkpoint was made after.
        stop();
    }
    std::fs::remove_dir_all(broken.join("checkpoint")).unwrap();
    assert!(matches!(run(&broken, &varied(), true, false).unwrap(), Ended::Finished(_)));
    assert_equal(&newest(&whole), &newest(&broken));
}

#[test]
fn a_run_whose_every_checkpoint_is_damaged_says_so() {
    let folder = folder("lost");
    run(&folder, &config(1), false, true).unwrap();
    std::fs::write(folder.join("checkpoint/progress.json"), "cut off").unwrap();
    let error = run(&folder, &config(1), true, false).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("progress.json"), "{error}");
}

#[test]
fn a_folder_with_a_run_is_not_overwritten_and_other_settings_do_not_resume() {
    let folder = folder("taken");
    run(&folder, &config(1), false, true).unwrap();
    let error = run(&folder, &config(1), false, false).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
    let error = run(&folder, &config(2), true, false).unwrap_err().to_string();
    assert!(error.contains("other settings"), "{error}");
    // A finished run cannot say that it was trained at another rate.
    run(&folder, &config(1), true, false).unwrap();
    let error = run(&folder, &TrainConfig { learning_rate: 1.0, ..config(1) }, true, false).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("other settings"), "{error}");
}

#[test]
fn numbers_that_overflow_stop_a_run_before_they_reach_its_checkpoint() {
    let folder = folder("overflow");
    let wild = TrainConfig { learning_rate: f64::MAX, ..config(2) };
    // The step's loss is finite, the weights after it are not.
    let error = run(&folder, &wild, false, true).unwrap_err().to_string();
    assert!(error.contains("weight") && error.contains("--learning-rate"), "{error}");
    assert!(!folder.join("checkpoint").exists());

    run(&folder, &config(2), false, true).unwrap();
    let error = run(&folder, &wild, true, false).unwrap_err().to_string();
    assert!(error.contains("epoch 1, step 2") && error.contains("not finite"), "{error}");
    assert!(!folder.join(train::BEST_FILE).exists());
    // The error's advice works, and the checkpoint keeps the new rate.
    let calmer = TrainConfig { learning_rate: 1e-4, ..config(2) };
    let ended = run(&folder, &calmer, true, false).unwrap();
    let kept = train::config_of(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(ended, Ended::Finished(_)));
    assert_eq!(kept, calmer);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_an_epoch_and_no_checkpoint() {
    let folder = folder("full");
    run(&folder, &config(2), false, true).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("averaged.safetensors.part")).unwrap();
    let error = run(&folder, &config(2), true, false).unwrap_err().to_string();
    assert!(error.contains("averaged.safetensors") && error.contains("No space left"), "{error}");
    let ended = run(&folder, &config(2), true, false).unwrap();
    let rows = std::fs::read_to_string(folder.join("metrics.csv")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(ended, Ended::Finished(_)));
    let epochs: Vec<&str> = rows.lines().filter_map(|row| row.split(',').next()).collect();
    assert_eq!(epochs, ["epoch", "1", "2"], "each epoch once");
}

/// A film of the device's tests.
fn stored_film() -> Film {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/films/nih_00001872_004.jpg");
    Film { path, ..validation()[0].film.clone() }
}

#[test]
fn an_ablation_trains_each_kind_once_and_compares_them() {
    let folder = folder("ablation");
    let (train, val) = (examples(), validation());
    let teacher = teacher();
    let inputs = RunInputs { teacher: Some(&teacher), ..inputs_of(&train, &val) };
    let settings = |attention, seed| TrainConfig { seed, architecture: Architecture::tiny(attention), ..config(1) };
    let run = |stop| {
        let device = Backend::preferred().device();
        ablation::train(&folder, &[1, 2], settings, &device, &inputs, &AtomicBool::new(stop)).unwrap()
    };
    let rows = || {
        ["none", "se", "cbam"].map(|kind| {
            [1, 2].map(|seed| {
                let metrics = folder.join(format!("{kind}-{seed}")).join("metrics.csv");
                std::fs::read_to_string(metrics).map_or(0, |text| text.lines().count())
            })
        })
    };
    let guard = alone();
    assert_eq!(run(true), None);
    assert_eq!(rows(), [[0; 2]; 3], "stopped in its first epoch");
    let runs = run(false).unwrap();
    assert_eq!(rows(), [[2; 2]; 3], "a heading and a row an epoch");
    assert_eq!(run(false).unwrap(), runs);
    assert_eq!(rows(), [[2; 2]; 3], "finished runs are left as they are");
    drop(guard);

    let answers = ablation::judge(&runs, &[stored_film()], &Options::default()).unwrap();
    let nothing_there = bundle::open(&folder, None).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    let comparison = Comparison::of("val", &answers).unwrap();
    let names: Vec<(&str, usize)> =
        comparison.models.iter().map(|model| (model.model.as_str(), model.networks.len())).collect();
    assert_eq!(names, [("none", 2), ("se", 2), ("cbam", 2)]);
    assert_eq!((comparison.films, comparison.pairs.len()), (1, 3));
    let mut hashes: Vec<&str> =
        comparison.models.iter().flat_map(|model| &model.networks).map(|network| network.sha256.as_str()).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 6, "six networks, none like another");
    let mut judgements = answers.iter().flat_map(|model| &model.networks).flat_map(|network| &network.judgements);
    assert!(judgements.all(|film| film.probabilities.is_some()));
    assert!(nothing_there.contains("neither a bundle"), "{nothing_there}");
}
