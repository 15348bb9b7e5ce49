//! The program that is built for ARM boards, run under QEMU, judges films as the host's program does.
//!
//! These tests need the ARM build and take minutes, so they run only when asked for: `scripts/arm test` builds the program
//! and runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// How many films are judged.
const FILMS: usize = 3;
/// By how much a probability may differ, since the network's ARM and x86-64 code adds in different orders and rounds int8
/// sums differently.
const TOLERANCE: f64 = 0.01;

fn films() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films");
    let mut films: Vec<PathBuf> = folder
        .read_dir()
        .expect("tests/films")
        .map(|entry| entry.expect("an entry of tests/films").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nih_")))
        .collect();
    films.sort();
    assert!(films.len() >= FILMS, "{} films in {}, {FILMS} are needed", films.len(), folder.display());
    films.truncate(FILMS);
    films
}

/// The records of all films, judged by one process: under emulation, loading the network takes longer than a film.
fn records(mut program: Command, films: &[PathBuf]) -> Vec<Value> {
    program.args(["triage", "--json"]).args(films).stderr(Stdio::inherit());
    let output = program.output().expect("the program starts");
    assert!(output.status.success(), "{program:?}: {}", output.status);
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn judges_as_the_host(target: &str) {
    let films = films();
    let mut emulated = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/arm"));
    emulated.args(["run", target]);
    let arm = records(emulated, &films);
    let host = records(Command::new(env!("CARGO_BIN_EXE_xray-triage")), &films);
    assert_eq!((arm.len(), host.len()), (FILMS, FILMS));

    for (arm, host) in arm.iter().zip(&host) {
        println!("{}: {} {} in {} ms", arm["file"], arm["outcome"], arm["probabilities"], arm["timings_ms"]["total"]);
        assert_eq!(arm["file"], host["file"]);
        assert_eq!(arm["model"], host["model"], "another model: build again with scripts/arm build {target}");
        assert_eq!(arm["outcome"], host["outcome"], "{arm}\n{host}");
        for class in ["covid19", "pneumonia", "normal"] {
            let probability = |record: &Value| record["probabilities"][class].as_f64().expect("a judged film");
            let difference = (probability(arm) - probability(host)).abs();
            assert!(difference <= TOLERANCE, "{class} differs by {difference}:\n{arm}\n{host}");
        }
    }
}

#[test]
#[ignore = "needs the ARM build and QEMU: run scripts/arm test aarch64, or ./test"]
fn aarch64_judges_as_the_host() {
    judges_as_the_host("aarch64");
}

#[test]
#[ignore = "needs the ARM build and QEMU: run scripts/arm test armv7, or ./test"]
fn armv7_judges_as_the_host() {
    judges_as_the_host("armv7");
}
