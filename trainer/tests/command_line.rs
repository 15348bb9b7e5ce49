//! The `trainer` program itself, from films to figures.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Six films of the device's tests under made-up labels: three to train on, three to validate with.
const FILMS: [(&str, &str, &str); 6] = [
    ("nih_00001872_004", "covid19", "train"),
    ("nih_00002102_000", "pneumonia", "train"),
    ("nih_00002817_010", "normal", "train"),
    ("nih_00003040_000", "covid19", "val"),
    ("nih_00005639_003", "pneumonia", "val"),
    ("nih_00008727_009", "normal", "val"),
];
/// For one step of the full network at 32 pixels on a slow machine that does other things, too.
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

/// Waits for a file that the program writes, then sends it what Ctrl-C does.
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

    for (settings, advice) in [(&settings[..], "--resume"), (&["--resume", "--stages", "32:1"], "other settings")] {
        let refused = train(settings).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(advice), "{}", text(&refused.stderr));
    }
}
