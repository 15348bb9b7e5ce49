//! The program `trainer` is run as a user runs it, from films to figures.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Six films of the device's tests with made-up labels: three to train on, three to validate with.
const FILMS: [(&str, &str, &str); 6] = [
    ("nih_00001872_004", "covid19", "train"),
    ("nih_00002102_000", "pneumonia", "train"),
    ("nih_00002817_010", "normal", "train"),
    ("nih_00003040_000", "covid19", "val"),
    ("nih_00005639_003", "pneumonia", "val"),
    ("nih_00008727_009", "normal", "val"),
];
/// How long one step of the full network at 32 pixels may take on a slow machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(300);

fn trainer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(arguments);
    command
}

fn write_manifest(folder: &Path) -> PathBuf {
    let films = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/films").canonicalize().unwrap();
    let row = |(name, label, split): &(&str, &str, &str)| {
        format!("{name},{},{label},{name},{split}\n", films.join(name).with_extension("jpg").display())
    };
    let rows: String = FILMS.iter().map(row).collect();
    let path = folder.join("manifest.csv");
    std::fs::write(&path, format!("image_id,file,label,patient_id,split\n{rows}")).unwrap();
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a file that the program writes, then sends the program what Ctrl-C sends.
fn interrupt_after(mut program: Child, file: &Path) -> Output {
    let started = Instant::now();
    while !file.exists() {
        assert!(program.try_wait().unwrap().is_none(), "ended: {}", text(&program.wait_with_output().unwrap().stderr));
        assert!(started.elapsed() < PATIENCE, "nothing written after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap().success());
    program.wait_with_output().unwrap()
}

#[test]
fn a_run_that_is_interrupted_can_be_evaluated_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_manifest(folder.path()).display().to_string();
    let run = folder.path().join("run");
    let out = run.display().to_string();
    let train = |more: &[&str]| trainer(&[&["train", "--manifest", &manifest, "--out", &out], more].concat());

    let settings = ["--stages", "32:1000", "--batch-size", "3", "--no-augment"];
    let program = train(&settings).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stopped = interrupt_after(program, &run.join("metrics.csv"));
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert!(text(&stopped.stdout).contains("stopped; the same command with --resume goes on"), "{stopped:?}");
    let progress: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("checkpoint/progress.json")).unwrap()).unwrap();
    assert!(progress["epoch"].as_u64().unwrap() >= 1, "{progress}");

    let evaluated = trainer(&["evaluate", "--checkpoint", &out, "--manifest", &manifest]).output().unwrap();
    assert!(evaluated.status.success(), "{}", text(&evaluated.stderr));
    let table = text(&evaluated.stdout);
    assert!(table.contains("| all | 3 |") && table.contains("| true class, films called |"), "{table}");
    let settings_of = |more: &[&str]| -> [serde_json::Value; 2] {
        let arguments = ["evaluate", "--checkpoint", &out, "--manifest", &manifest, "--json"];
        let evaluated = trainer(&[&arguments[..], more].concat()).output().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&evaluated.stdout).unwrap();
        ["profile", "operating_point"].map(|setting| record[setting].clone())
    };
    assert_eq!(settings_of(&[]), [serde_json::Value::Null, serde_json::Value::Null]);
    assert_eq!(settings_of(&["--profile", "digital", "--operating-point", "balanced"]), ["digital", "balanced"]);

    for (settings, advice) in [(&settings[..], "--resume"), (&["--resume", "--stages", "32:1"], "other settings")] {
        let refused = train(settings).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(advice), "{}", text(&refused.stderr));
    }
}

#[test]
fn films_that_are_not_there_have_no_figures() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("manifest.csv");
    std::fs::write(&manifest, "image_id,file,label,split\na,gone.jpg,normal,val\nb,gone.jpg,covid19,val\n").unwrap();
    let manifest = manifest.display().to_string();
    let out = folder.path().join("out").display().to_string();
    for command in [
        &["evaluate", "--checkpoint", "nowhere"][..],
        &["compare", "--checkpoint", "nowhere", "--checkpoint", "nowhere"],
        &["ablation", "--out", &out],
    ] {
        let refused = trainer(&[command, &["--manifest", &manifest]].concat()).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{command:?}");
        let error = text(&refused.stderr);
        assert!(error.contains("none of the 2 films of split `val`"), "{command:?}: {error}");
    }
}

#[test]
fn a_place_that_answers_cannot_go_to_is_named_before_anything_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_manifest(folder.path()).display().to_string();
    let answers = folder.path().join("nowhere/answers.csv").display().to_string();
    let networks = ["compare", "--checkpoint", "nowhere", "--checkpoint", "nowhere"];
    let arguments = [&networks[..], &["--manifest", &manifest, "--answers", &answers]].concat();
    let refused = trainer(&arguments).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("nowhere/answers.csv: "), "{}", text(&refused.stderr));
}
