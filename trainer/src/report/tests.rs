//! Reports from small measurements.

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use serde_json::json;
use xray_triage_core::bundle::{Bundle, Manifest};
use xray_triage_core::decision::{Class, Outcome, Probabilities};
use xray_triage_core::film::Profile;
use xray_triage_core::ood::OodModel;

use crate::measure::compare::{Answers, Comparison, NetworkAnswers};
use crate::measure::estimate::Estimate;
use crate::measure::evaluate::{Evaluation, FilmJudgement, Group};
use crate::measure::judgement::Judgement;
use crate::measure::localize::{Localization, LungEnergy};
use crate::measure::metrics::Metrics;
use crate::model::architecture::{Architecture, Attention};
use crate::model::formula;
use crate::model::state_dict::Precision;

use super::cam_sheet::{SheetFilm, sheet};
use super::card::{Facts, report};
use super::document::{Part, to_html, to_markdown};
use super::measurements::Measurements;
use super::run::Run;

const NASTY: &str = "<script>alert(1)</script>";

fn bundle() -> Bundle {
    let manifest = include_str!("../../../models/densenet121-cbam/manifest.toml");
    Bundle {
        manifest: Manifest::parse(manifest, "the shipped manifest").unwrap(),
        model: vec![0; 1_500_000].into(),
        ood: OodModel { mean: vec![], components: vec![] },
    }
}

/// Five films: four with probabilities, three of these right; one refused.
fn judgements() -> Vec<Judgement> {
    let seen = |truth: Class, [covid19, pneumonia, normal]: [f64; 3]| {
        let probabilities = Probabilities { covid19, pneumonia, normal };
        Judgement { truth, patient: None, outcome: probabilities.top().into(), probabilities: Some(probabilities) }
    };
    vec![
        seen(Class::Covid19, [0.9, 0.05, 0.05]),
        seen(Class::Covid19, [0.3, 0.1, 0.6]),
        seen(Class::Pneumonia, [0.1, 0.8, 0.1]),
        seen(Class::Normal, [0.05, 0.05, 0.9]),
        Judgement { truth: Class::Normal, patient: None, outcome: Outcome::Refused, probabilities: None },
    ]
}

fn evaluation(manifest: &Manifest) -> Evaluation {
    let films = judgements();
    let metrics = Metrics::of(&films).unwrap();
    let film = |(index, &judgement): (usize, &Judgement)| FilmJudgement {
        image_id: format!("film-{index}"),
        source: if index == 0 { NASTY.into() } else { "nih".into() },
        judgement,
    };
    Evaluation {
        model: manifest.id.clone(),
        sha256: manifest.sha256.clone(),
        split: "test".into(),
        photographs: None,
        lungs: None,
        profile: None,
        operating_point: None,
        groups: vec![
            Group { name: "all".into(), metrics: metrics.clone() },
            Group { name: format!("source {NASTY}"), metrics },
        ],
        films: films.iter().enumerate().map(film).collect(),
    }
}

fn saved(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn facts(bundle: &Bundle, measurements: Measurements) -> Facts<'_> {
    Facts { bundle, beside: vec![], split: "test", measurements, runs: vec![], sheet: None }
}

#[test]
fn card_and_page_have_what_was_measured_and_name_what_was_not() {
    let bundle = bundle();
    let manifest = &bundle.manifest;
    let folder = tempfile::tempdir().unwrap();
    let test = saved(folder.path(), "test.json", &serde_json::to_string(&evaluation(manifest)).unwrap());
    let line = json!({"model": {"id": manifest.id, "sha256": manifest.sha256}, "timings_ms": {"total": 2500.0, "infer": 2000.0}});
    let board = saved(folder.path(), "board<1>.jsonl", &format!("{line}\n{line}\n"));
    let mut facts = facts(&bundle, Measurements::read(&[test, board], &[manifest]).unwrap());
    saved(
        folder.path(),
        "metrics.csv",
        "epoch,size,train_loss,val_loss,val_accuracy\n1,128,1.0,0.9,0.5\n2,128,0.8,0.7,0.625\n",
    );
    facts.runs.push(Run::read(folder.path()).unwrap());
    facts.sheet = Some(Part::PageOnly("![](data:image/png;base64,AAAA)".into()));
    let parts = report(&facts).unwrap();
    let (card, page) = (to_markdown(&parts), to_html("Report", &parts));

    // Three of five films are right; one of two COVID-19 films is found.
    assert!(card.contains("| all | 5 | 60.0 ("), "{card}");
    assert!(card.contains("| covid19 | 2 | 50.0 ("), "{card}");
    assert!(card.contains("| covid19 | 1 | 0 | 1 | 0 |"), "the confusion matrix: {card}");
    assert!(card.contains("| all | 2 | 1 | 2 | 5 |"), "the films by class: {card}");
    assert!(card.contains("| 0.87 to 0.93 | 2 | 0.900 | 1.000 |"), "the reliability bins: {card}");
    assert!(card.contains("| 2 | 128 | 62.5 | 2 |"), "the run: {card}");
    assert!(card.contains("2 | 2.50 | 2.50 | 2.00 | 2.00 |"), "the times: {card}");
    assert!(card.contains("1.5 MB") && card.contains(&manifest.sha256));
    let rate = &manifest.training["learning_rate"];
    assert!(card.contains(&format!("| learning\\_rate | {rate} |")) && card.contains("CBAM"), "the settings: {card}");

    assert!(card.contains("--photographs film --json") && card.contains("--photographs screen --json"), "{card}");
    assert!(card.contains("--lungs hidden") && card.contains("trainer localize") && card.contains("trainer ood"));
    for text in [&card, &page] {
        assert!(
            text.contains("not for diagnosis") && !text.contains("no such figure") && !text.contains("{{"),
            "{text}"
        );
    }

    assert_eq!(page.matches("<svg").count(), 5, "confusion, ROC, reliability, training, times");
    assert!(
        !card.contains("<svg") && !card.contains("base64") && page.contains("<img src=\"data:image/png;base64,AAAA\"")
    );
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
}

#[test]
fn without_a_measurement_nothing_is_claimed() {
    let bundle = bundle();
    let card = to_markdown(&report(&facts(&bundle, Measurements::default())).unwrap());
    assert!(card.contains("*Not measured* on split test: `trainer evaluate --json`"), "{card}");
    let analyses = card.split("## Quantitative analyses").nth(1).unwrap().split("## Ethical").next().unwrap();
    assert!(!analyses.contains("| all |") && !analyses.contains(" %"), "{analyses}");
}

#[test]
fn measurements_of_other_weights_are_refused() {
    let bundle = bundle();
    let mut other = bundle.manifest.clone();
    other.id = "other".into();
    other.sha256 = "0".repeat(64);
    let folder = tempfile::tempdir().unwrap();
    let file = [saved(folder.path(), "other.json", &serde_json::to_string(&evaluation(&other)).unwrap())];
    let Err(error) = Measurements::read(&file, &[&bundle.manifest]) else { panic!("taken") };
    let error = error.to_string();
    for part in ["other.json", &other.sha256, &bundle.manifest.id, &bundle.manifest.sha256, "--beside"] {
        assert!(error.contains(part), "{part}: {error}");
    }

    // Beside its own bundle it is taken, and is not the figures of the one reported.
    let mut facts = facts(&bundle, Measurements::read(&file, &[&bundle.manifest, &other]).unwrap());
    facts.beside = vec![&other];
    let card = to_markdown(&report(&facts).unwrap());
    assert!(card.contains("| other | CBAM (Woo et al. 2018) | 5 | 60.0 ("), "{card}");
    assert!(card.contains("| CBAM (Woo et al. 2018) | not measured | not measured |"), "{card}");
}

#[test]
fn a_comparison_stands_in_the_card_whatever_its_networks() {
    let bundle = bundle();
    let answers = |name: &str, films: &[Judgement]| Answers {
        model: name.into(),
        networks: vec![NetworkAnswers { seed: None, sha256: "ab".into(), judgements: films.to_vec() }],
    };
    let mut better = judgements();
    better[1] = better[0];
    let comparison = Comparison::of("val", &[answers("int8", &judgements()), answers("float", &better)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = serde_json::to_string(&comparison).unwrap();
    let [a, b] = ["a.json", "b.json"].map(|name| saved(folder.path(), name, &text));
    let measurements = Measurements::read(std::slice::from_ref(&a), &[&bundle.manifest]).unwrap();
    let card = to_markdown(&report(&facts(&bundle, measurements)).unwrap());
    assert!(card.contains("5 films of split val") && card.contains("| accuracy | float less int8 | 20.0 ("), "{card}");
    assert!(card.contains("| a.json | comparison of int8, float, split val |"), "{card}");
    assert!(Measurements::read(&[a, b], &[&bundle.manifest]).is_err(), "the same twice");
}

#[test]
fn a_measurement_with_the_ood_model_of_another_bundle_is_refused() {
    let manifest = bundle().manifest;
    let measurement = |space: &str| {
        let figure = json!({"value": 0.9, "low": 0.8, "high": 1.0});
        json!({"model": manifest.id, "sha256": manifest.sha256, "film_space_sha256": space, "split": "test",
            "films": 10, "foreign": 4, "auroc": figure, "films_refused": 0.1, "foreign_refused": 0.75})
        .to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let right = saved(folder.path(), "right.json", &measurement(&manifest.ood.sha256));
    assert_eq!(Measurements::read(&[right], &[&manifest]).unwrap().ood_tests.len(), 1);
    let wrong = saved(folder.path(), "wrong.json", &measurement(&"1".repeat(64)));
    let Err(error) = Measurements::read(&[wrong], &[&manifest]) else { panic!("taken") };
    assert!(error.to_string().contains("another out-of-distribution model"), "{error}");
}

#[test]
fn what_is_no_measurement_is_named() {
    let manifest = bundle().manifest;
    let folder = tempfile::tempdir().unwrap();
    let good = serde_json::to_string(&evaluation(&manifest)).unwrap();
    let lacking = good.replacen("\"macro_auroc\"", "\"macro\"", 1).replacen("\"confusion\"", "\"c\"", 1);
    for (name, text) in [
        ("empty.json", String::new()),
        ("text.json", "| films | n |".into()),
        ("half.json", good[..good.len() / 2].into()),
        ("unknown.json", "{\"loss\": 1}".into()),
        ("number.json", "7".into()),
        ("two.json", format!("{good}\n{good}")),
        ("lacking.json", lacking),
        ("unseen.jsonl", json!({"model": {"id": "", "sha256": manifest.sha256}, "timings_ms": {}}).to_string()),
    ] {
        let Err(error) = Measurements::read(&[saved(folder.path(), name, &text)], &[&manifest]) else {
            panic!("{name} taken")
        };
        let error = error.to_string();
        assert!(error.contains(name) && error.contains("--json"), "{error}");
    }
    let twice = ["a.json", "b.json"].map(|name| saved(folder.path(), name, &good));
    let Err(error) = Measurements::read(&twice, &[&manifest]) else { panic!("taken twice") };
    assert!(error.to_string().contains("b.json: the same measurement"), "{error}");
    let times = json!({"model": {"id": "", "sha256": manifest.sha256}, "timings_ms": {"total": 2.0, "infer": 1.0}});
    let twice = ["board.jsonl", "board.json"].map(|name| saved(folder.path(), name, &times.to_string()));
    let Err(error) = Measurements::read(&twice, &[&manifest]) else { panic!("a machine's times taken twice") };
    assert!(error.to_string().contains("board.json: the same measurement"), "{error}");
}

/// The shipped card is what the command writes from the shipped bundle and measurements, but for the table of training runs,
/// which are not shipped.
#[test]
fn the_shipped_card_is_that_of_the_shipped_measurements() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = root.join("models/densenet121-cbam");
    let bundle = Bundle::load(&folder).unwrap();
    let records = std::fs::read_dir(root.join("calibration/densenet121-cbam/records")).unwrap();
    let mut files: Vec<PathBuf> = records.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let measurements = Measurements::read(&files, &[&bundle.manifest]).unwrap();
    let card = to_markdown(&report(&facts(&bundle, measurements)).unwrap());
    assert!(!card.contains("*Not measured* on split test"), "{card}");

    let shipped = std::fs::read_to_string(folder.join("MODEL_CARD.md")).unwrap();
    let (before, runs) = shipped.split_once("| run | epochs |").expect("the table of runs");
    let (_, after) = runs.split_once("## Quantitative analyses").expect("the analyses");
    let shipped =
        format!("{before}*No run* was given for training curves (`--run`).\n\n\n## Quantitative analyses{after}");
    assert!(card == shipped, "write models/densenet121-cbam/MODEL_CARD.md again (docs/guide/report.md):\n{card}");
}

#[test]
fn a_measurement_is_shown_by_the_profile_and_the_operating_point_it_was_taken_at() {
    let bundle = bundle();
    let manifest = &bundle.manifest;
    let folder = tempfile::tempdir().unwrap();
    let measurement = |name: &str, photographs, profile, operating_point: Option<&str>| {
        let operating_point = operating_point.map(Into::into);
        let evaluation = Evaluation { photographs, profile, operating_point, ..evaluation(manifest) };
        saved(folder.path(), name, &serde_json::to_string(&evaluation).unwrap())
    };
    let (film, screening) = (Some(Profile::Film), Some("screening"));
    let main = measurement("main.json", None, None, None);
    let files = [
        measurement("at.json", None, None, screening),
        measurement("as-digital.json", None, Some(Profile::Digital), None),
        measurement("found.json", film, None, None),
        measurement("given.json", film, film, None),
        measurement("given-at.json", film, film, screening),
    ];
    let card = |files: &[PathBuf]| {
        let measurements = Measurements::read(files, &[manifest]).unwrap();
        to_markdown(&report(&facts(&bundle, measurements)).unwrap())
    };
    let others = card(&files);
    assert!(others.contains("*Not measured* on split test: `trainer evaluate --json`"), "{others}");
    for heading in ["profile found out:", "profile `film` given:", "profile `film` given, operating point screening:"] {
        let heading = format!("\nPhotographs of the film on a light box, {heading}\n");
        assert_eq!(others.matches(&heading).count(), 1, "{heading}: {others}");
    }
    assert!(others.contains("\nPhotographs of the film on a screen:\n\n*Not measured*"), "{others}");
    assert!(others.contains(", split test, operating point screening |"), "{others}");
    assert!(others.contains(", split test, simulated photographs (film), profile film |"), "{others}");
    let all = card(&[&files[..], &[main]].concat());
    assert!(!all.contains("*Not measured* on split test: `trainer evaluate --json`"), "{all}");

    let again = measurement("again.json", None, None, screening);
    let Err(error) = Measurements::read(&[files[0].clone(), again], &[manifest]) else { panic!("taken twice") };
    assert!(error.to_string().contains("again.json: the same measurement"), "{error}");
}

#[test]
fn operating_points_follow_from_the_films_probabilities() {
    let mut bundle = bundle();
    let point =
        |covid19_at_least, refer_below| xray_triage_core::decision::OperatingPoint { covid19_at_least, refer_below };
    bundle.manifest.profiles.digital.operating_points =
        [("eager".to_string(), point(0.25, 0.0)), ("unsure".to_string(), point(0.25, 0.85))].into();
    let measurements = Measurements { evaluations: vec![evaluation(&bundle.manifest)], ..Measurements::default() };
    let card = to_markdown(&report(&facts(&bundle, measurements)).unwrap());
    let row = |name: &str| -> Vec<String> {
        let line = card.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect(name);
        // The figures without their intervals.
        line.split('|').skip(3).map(|cell| cell.trim().split(' ').next().unwrap_or("").to_string()).collect()
    };
    // Both COVID-19 films have at least 0.25, no other has; the refused film is not decided.
    assert_eq!(row("eager")[..4], ["100.0", "100.0", "80.0", "100.0"]);
    // Only the two films at 0.9 are confident.
    assert_eq!(row("unsure")[..4], ["50.0", "100.0", "40.0", "100.0"]);
}

#[test]
fn two_checkpoints_stand_beside_a_bundle_with_their_maps() {
    let reported = bundle();
    let folder = tempfile::tempdir().unwrap();
    let runs = [Attention::Cbam, Attention::None].map(|attention| {
        let mut state = formula::state(&Architecture::tiny(attention));
        let architecture = serde_json::to_string(&Architecture::tiny(attention)).unwrap();
        state.metadata.insert("architecture".into(), architecture);
        let path = folder.path().join(format!("{attention:?}.safetensors"));
        state.save(&path, Precision::Single).unwrap();
        crate::bundle::open(&path, Some(32)).unwrap()
    });
    let [cbam, none] = runs.each_ref().map(|run| &run.manifest);
    let inside = |value: f64| Estimate { value, low: value - 0.02, high: value + 0.02 };
    let localization = |manifest: &Manifest, value| Localization {
        model: manifest.id.clone(),
        sha256: manifest.sha256.clone(),
        split: "test".into(),
        lungs: vec![LungEnergy { class: Class::Covid19, films: 9, inside: inside(value), lung_area: 0.35 }],
        pointing: None,
        severity: None,
        empty_maps: 0,
    };
    let files = [(cbam, 0.625), (none, 0.5)].map(|(manifest, value)| {
        let text = serde_json::to_string(&localization(manifest, value)).unwrap();
        saved(folder.path(), &format!("{value}.json"), &text)
    });
    let mut facts = facts(&reported, Measurements::read(&files, &[&reported.manifest, cbam, none]).unwrap());
    facts.beside = vec![cbam, none];
    let film = SheetFilm {
        name: "a".into(),
        class: Some(Class::Covid19),
        picture: GrayImage::from_fn(64, 64, |x, y| Luma([(3 * x + y) as u8])),
    };
    facts.sheet = Some(sheet(&[&runs[0], &runs[1]], &[film], 1).unwrap());
    let parts = report(&facts).unwrap();
    let (card, page) = (to_markdown(&parts), to_html("Report", &parts));
    for (attention, energy) in [("CBAM (Woo et al. 2018)", "62.5 (60.5-64.5)"), ("none", "50.0 (48.0-52.0)")] {
        let row = |line: &&str| line.contains(&format!("| {attention} |")) && line.contains(&format!("| {energy} |"));
        assert!(card.lines().any(|line| row(&line)), "{card}");
        assert!(card.contains(&format!("| 9 | {energy} | 35.0 |")), "{card}");
    }
    // The film, and its map by each.
    assert_eq!(page.matches("<img src=\"data:image/png;base64,").count(), 3);
}
