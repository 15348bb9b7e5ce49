//! Measures what the simulated box costs while it runs: time to the first preview, processor time while it waits, memory,
//! and whether anything grows over many captures.
//!
//!     cargo bench --bench appliance -- [CAPTURES] [PICTURE]...
//!
//! Without arguments it makes 100 captures of the pictures in tests/films, one picture after the other. With pictures that
//! the quality gate refuses, thousands of captures take little time. It reads /proc, so it runs on Linux only.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long the box may take for one step: an unoptimised one on a busy machine takes minutes to judge a film.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the waiting box is watched.
const IDLE: Duration = Duration::from_secs(20);
/// How many captures come before the reading from which growth is counted.
const WARM_UP: usize = 20;

fn main() {
    // cargo adds the argument --bench.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let captures: usize = arguments.next().map_or(100, |count| count.parse().expect("CAPTURES is a number"));
    let mut pictures: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if pictures.is_empty() {
        let films = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films");
        let listed = fs::read_dir(films).expect("tests/films").map(|entry| entry.expect("an entry").path());
        pictures = listed.filter(|path| path.extension().is_some_and(|extension| extension == "jpg")).collect();
        pictures.sort();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, picture) in pictures.iter().enumerate() {
        let name = format!("{number:03}-{}", picture.file_name().expect("a file").to_string_lossy());
        fs::copy(picture, folder.path().join(name)).expect("the picture is readable");
    }

    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_xray-triage"))
        .args(["run", "--json", "-vv", "--simulate"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = lines(child.stderr.take().expect("a pipe"));
    let records = lines(child.stdout.take().expect("a pipe"));
    let mut button = child.stdin.take().expect("a pipe");

    // The model loads behind the preview. Until it is loaded, its work would count as that of the waiting box.
    let mut awaited = vec![("first preview", "-> Ready"), ("model loaded", "is loaded")];
    while !awaited.is_empty() {
        let line = log.recv_timeout(PATIENCE).expect("the box says that it is ready");
        awaited.retain(|(what, sign)| {
            let seen = line.ends_with(sign);
            if seen {
                println!("{what} after {:.2} s", started.elapsed().as_secs_f64());
            }
            !seen
        });
    }
    let before = Process::read(&child);
    std::thread::sleep(IDLE);
    let idle = (Process::read(&child).seconds - before.seconds) / IDLE.as_secs_f64();
    println!("waiting with preview: {:.1} % of a processor", 100.0 * idle);

    println!("captures  s/capture  resident MB  peak MB  descriptors  threads");
    let every = (captures / 10).max(1);
    let mut first: Option<Process> = None;
    let mut lap = Instant::now();
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    for capture in 1..=captures {
        button.write_all(b"\n").expect("the box reads");
        let record = records.recv_timeout(PATIENCE).expect("a record for each press");
        let record: serde_json::Value = serde_json::from_str(&record).expect("a JSON line");
        *outcomes.entry(record["outcome"].to_string()).or_default() += 1;
        while log.try_recv().is_ok() {}
        let now = Process::read(&child);
        if capture == WARM_UP {
            first = Some(now);
        }
        if capture % every == 0 {
            let seconds = lap.elapsed().as_secs_f64() / every as f64;
            let Process { resident_mb, peak_mb, descriptors, threads, .. } = now;
            println!("{capture:8}  {seconds:9.3}  {resident_mb:11.1}  {peak_mb:7.1}  {descriptors:11}  {threads:7}");
            lap = Instant::now();
        }
    }
    let last = Process::read(&child);
    drop(button);
    let ended = child.wait().expect("the program ends");
    println!("outcomes {outcomes:?}; ended with {ended}");
    if let Some(first) = first {
        println!(
            "growth since capture {WARM_UP}: {:+.1} MB, {:+} descriptors, {:+} threads",
            last.resident_mb - first.resident_mb,
            last.descriptors as i64 - first.descriptors as i64,
            last.threads as i64 - first.threads as i64
        );
    }
}

/// The lines of a pipe. They are read as they come, so that the box never waits for this program.
fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if line.is_err() || line.is_ok_and(|line| sender.send(line).is_err()) {
                return;
            }
        }
    });
    receiver
}

/// What Linux tells about a process (man 5 proc).
#[derive(Clone, Copy)]
struct Process {
    /// Processor time used so far, seconds.
    seconds: f64,
    resident_mb: f64,
    peak_mb: f64,
    descriptors: usize,
    threads: usize,
}

impl Process {
    fn read(child: &Child) -> Process {
        let folder = PathBuf::from(format!("/proc/{}", child.id()));
        let stat = fs::read_to_string(folder.join("stat")).expect("the process lives");
        // User and system time are the 14th and 15th field, in hundredths of a second; the 2nd is in parentheses.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
        let status = fs::read_to_string(folder.join("status")).expect("the process lives");
        let of = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a known entry");
            line.split_whitespace().next().and_then(|value| value.parse().ok()).expect("a number")
        };
        Process {
            seconds: ticks / 100.0,
            resident_mb: of("VmRSS:") * 1024.0 / 1e6,
            peak_mb: of("VmHWM:") * 1024.0 / 1e6,
            descriptors: fs::read_dir(folder.join("fd")).expect("the process lives").count(),
            threads: of("Threads:") as usize,
        }
    }
}
