//! The Debian package: its settings file, its service, its changelog and licences, and what a build takes from the
//! changelog.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xray_triage::caselog::clock_unset;
use xray_triage::config::Config;

#[allow(dead_code, reason = "its main is cargo's to call")]
#[path = "../build.rs"]
mod build_script;

use build_script::earliest_clock;

const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");
const CHANGELOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/CHANGELOG.md");
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/xray-triage.service");
const PROGRAM: &str = env!("CARGO_BIN_EXE_xray-triage");

#[test]
fn the_packaged_settings_are_the_defaults() {
    assert_eq!(Config::read(Path::new(SETTINGS)).expect("the settings are read"), Config::default());
}

#[test]
fn the_packaged_settings_file_has_every_setting_with_its_default() {
    let packaged = fs::read_to_string(SETTINGS).expect("the settings are read");
    // A setting that is commented out has no space after the #, a comment has one.
    let entries: String = packaged.lines().map(|line| format!("{}\n", strip_setting(line))).collect();
    let all: Config = toml::from_str(&entries).expect("all settings are known and of the right type");
    assert_eq!(all.check(), Ok(()));

    let defaults = toml::Table::try_from(Config::default()).expect("settings are a table");
    let table: toml::Table = entries.parse().expect("the settings are TOML");
    for (section, values) in &defaults {
        for (key, value) in values.as_table().expect("a section is a table") {
            assert_eq!(table[section].get(key), Some(value), "{section}.{key}");
        }
    }
    // The entries without a default have examples.
    let triage = all.triage;
    assert!(triage.model.is_some() && triage.operating_point.is_some() && triage.threads.is_some());
    let camera = all.camera;
    assert!(camera.exposure.is_some() && camera.white_balance.is_some() && camera.focus.is_some());
}

#[test]
fn a_clock_counts_as_set_from_the_newest_release_on_or_from_the_date_of_the_sources() {
    let changelog = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2028-02-29\n\n## [0.1.0] - 2026-11-22\n";
    let released = earliest_clock(changelog, None).expect("a release's date");
    let date: jiff::Timestamp = "2028-02-29T00:00:00Z".parse().expect("a date");
    assert_eq!(released, date.as_second());
    assert_eq!(earliest_clock(changelog, Some(&(released + 5).to_string())), Ok(released + 5));
    assert_eq!(earliest_clock(changelog, Some("0")), Ok(released), "nobody had the release before it");
    for (changelog, epoch, named) in [
        (changelog, "soon", "SOURCE_DATE_EPOCH"),
        ("## [Unreleased]\n", "0", "no heading of a release"),
        ("## [0.2.0] - 2027-02-29\n", "0", "2027-02-29"),
        ("## [0.2.0] - 2027-13-01\n", "0", "2027-13-01"),
        ("## [0.2.0] - spring\n", "0", "spring"),
    ] {
        let error = earliest_clock(changelog, Some(epoch)).expect_err(named);
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn the_program_knows_the_date_of_its_newest_release() {
    let changelog = fs::read_to_string(CHANGELOG).expect("the changelog is read");
    let earliest = earliest_clock(&changelog, option_env!("SOURCE_DATE_EPOCH")).expect("a date");
    let at = |second| jiff::Timestamp::from_second(second).expect("a time");
    assert!(clock_unset(at(earliest - 1)));
    assert!(!clock_unset(at(earliest)));
}

/// What a program of `scripts/` prints; `None` where there is no Python.
fn script(name: &str, args: &[&str]) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let output = match Command::new("python3").arg(path).args(args).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3 is not here ({error})");
            return None;
        }
    };
    assert!(output.status.success(), "scripts/{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn the_packages_changelog_is_of_this_version_and_understood_by_debian() {
    let Some(changelog) = script("debian-changelog", &[]) else { return };
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.starts_with(&format!("xray-triage ({version}) bookworm; urgency=medium\n")), "{changelog}");
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("changelog");
    fs::write(&file, &changelog).expect("a changelog written");
    let parsed = match Command::new("dpkg-parsechangelog").arg("--all").arg("--file").arg(&file).output() {
        Ok(parsed) => parsed,
        Err(error) => return println!("skipped: dpkg-parsechangelog is not here ({error})"),
    };
    assert!(parsed.status.success() && parsed.stderr.is_empty(), "{}", String::from_utf8_lossy(&parsed.stderr));
    assert!(String::from_utf8_lossy(&parsed.stdout).contains(&format!("\nVersion: {version}\n")));
}

#[test]
fn the_package_has_the_licence_of_each_crate_in_the_program() {
    let Some(texts) = script("licences", &["texts"]) else { return };
    // A crate that builds for every target, one of the box's hardware, one from this tree, one without a file of its own.
    for line in ["\nserde_json 1.", "\nrppal 0.", "\nv4l2-sys-mit 0.", "\ndrm-fourcc 2."] {
        assert_eq!(texts.matches(line).count(), 1, "{line:?} in scripts/licences texts");
    }
    assert!(!texts.contains("\nburn "), "the trainer is not in the program");
    // The number of each text that a line names has a text.
    let last = texts.lines().filter_map(|line| line.split_once("; text ")?.1.split(", ").last()?.parse::<u32>().ok());
    let last = last.max().expect("crates are listed");
    assert!(texts.contains(&format!("\nText {last}\n")), "text {last} is there");
}

fn strip_setting(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line)
}

/// The value of an entry of the unit.
fn unit(key: &str) -> String {
    let unit = fs::read_to_string(UNIT).expect("the unit is read");
    let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {key}")).to_string()
}

fn seconds(key: &str) -> Duration {
    Duration::from_secs(unit(key).parse().expect("a number of seconds"))
}

#[test]
fn the_program_tells_the_service_manager_what_its_unit_promises() {
    keeps_the_promise(&[], 0);
}

#[test]
fn the_program_tells_it_as_well_if_its_settings_cannot_be_used() {
    keeps_the_promise(&["--config", "/no/such/config.toml"], 2);
}

/// Starts the program with these arguments as its service manager does, checks what it tells the manager, and holds its
/// button.
fn keeps_the_promise(args: &[&str], exit_code: i32) {
    assert_eq!(unit("Type"), "notify");
    let (start, watchdog) = (seconds("TimeoutStartSec"), seconds("WatchdogSec"));
    let folder = TempDir::new().expect("a temporary folder");
    image::GrayImage::new(40, 30).save(folder.path().join("film.png")).expect("a picture written");
    let started = Instant::now();
    let (manager, mut child) = start_managed(&folder, args);

    assert_eq!(manager.next(start), "READY=1");
    assert!(started.elapsed() < start);
    // The messages must come while the box waits, and while its model loads. A manager wants two of them in WatchdogSec.
    for _ in 0..10 {
        assert_eq!(manager.next(watchdog / 2), "WATCHDOG=1");
    }
    // The end of the simulated presses holds the button.
    drop(child.stdin.take());
    while manager.next(watchdog / 2) != "STOPPING=1" {}
    assert_eq!(child.wait().expect("the program ends").code(), Some(exit_code));
}

/// Starts the program in simulation as its service manager does.
fn start_managed(folder: &TempDir, args: &[&str]) -> (Manager, Child) {
    let socket = folder.path().join("manager");
    let manager = Manager(UnixDatagram::bind(&socket).expect("a socket"));
    let mut program = Command::new(PROGRAM);
    program.args(["run", "--simulate"]).arg(folder.path()).args(args).env("NOTIFY_SOCKET", socket);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (manager, program.spawn().expect("the program starts"))
}

/// The socket on which a service manager hears from the program.
struct Manager(UnixDatagram);

impl Manager {
    /// The program's next message, which must come within this limit.
    fn next(&self, limit: Duration) -> String {
        self.0.set_read_timeout(Some(limit)).expect("a timeout");
        let mut message = [0; 256];
        let length = self.0.recv(&mut message).unwrap_or_else(|error| panic!("nothing within {limit:?}: {error}"));
        str::from_utf8(&message[..length]).expect("UTF-8").trim().to_string()
    }
}

/// A process's sockets that listen or are connected over a network, by the kernel's numbers.
#[cfg(target_os = "linux")]
fn network_sockets(process: u32) -> Vec<String> {
    let folder = format!("/proc/{process}");
    let opened = fs::read_dir(format!("{folder}/fd")).expect("the process's open files");
    // A file that was closed meanwhile is none.
    let opened = opened.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let number = |file: &Path| Some(file.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_string());
    let opened: Vec<String> = opened.filter_map(|file| number(&file)).collect();
    let tables = ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"];
    // A kernel without IPv6 lacks some.
    let tables = tables.iter().filter_map(|name| fs::read_to_string(format!("{folder}/net/{name}")).ok());
    let tables: String = tables.collect();
    let network: Vec<&str> = tables.lines().filter_map(|line| line.split_whitespace().nth(9)).collect();
    opened.into_iter().filter(|socket| network.contains(&socket.as_str())).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_running_box_has_no_network_socket() {
    let folder = TempDir::new().expect("a temporary folder");
    image::GrayImage::new(40, 30).save(folder.path().join("film.png")).expect("a picture written");
    let (manager, mut child) = start_managed(&folder, &[]);
    assert_eq!(manager.next(seconds("TimeoutStartSec")), "READY=1");
    for _ in 0..10 {
        assert_eq!(manager.next(seconds("WatchdogSec")), "WATCHDOG=1");
        assert_eq!(network_sockets(child.id()), Vec::<String>::new());
    }
    drop(child.stdin.take());
    assert!(child.wait().expect("the program ends").success());

    // One would have been seen.
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    assert!(!network_sockets(std::process::id()).is_empty());
}

#[test]
fn a_stop_waits_for_the_film_in_hand_however_long_that_takes() {
    let folder = TempDir::new().expect("a temporary folder");
    let film = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films/film-photo-nih_00002102_000.jpg");
    fs::copy(film, folder.path().join("film.jpg")).expect("a photograph copied");
    let (manager, mut child) = start_managed(&folder, &["-vv", "--json"]);
    let mut button = child.stdin.take().expect("a pipe");
    button.write_all(b"press\n").expect("the program reads");
    let log = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|line| line.expect("UTF-8"));
    let kill = format!("kill -s TERM {}", child.id());
    let stop = move |line: &String| {
        // The model is not loaded yet, so that this stop takes a while.
        if line.ends_with("Capturing -> Analysing") {
            assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell starts").success());
        }
    };
    let log = std::thread::spawn(move || log.inspect(stop).collect::<Vec<String>>());

    // The manager kills the program after TimeoutStopSec, unless it was told in time to wait longer.
    let (mut granted, mut rounds) = (seconds("TimeoutStopSec"), 0);
    loop {
        let message = manager.next(granted);
        if message == "STOPPING=1" {
            break;
        }
        if let Some(microseconds) = message.strip_prefix("EXTEND_TIMEOUT_USEC=") {
            granted = Duration::from_micros(microseconds.parse().expect("a number"));
            rounds += 1;
        }
    }
    assert!(rounds > 1, "the manager was not told to wait on");
    assert!(granted >= Duration::from_secs(10), "a busy board's rounds take seconds");
    let output = child.wait_with_output().expect("the program ends");
    let log = log.join().expect("the log is read");
    drop(button);
    assert_eq!(output.status.code(), Some(143), "{log:#?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "the film in hand is judged: {log:#?}");
    let checked = Command::new(PROGRAM).args(["cases", "check", "--folder"]).arg(folder.path().join("cases")).output();
    assert_eq!(String::from_utf8_lossy(&checked.expect("the program starts").stdout), "1 cases, 0 problems\n");
}

#[test]
fn systemd_understands_the_unit() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("xray-triage.service");
    let program = unit("ExecStart").split(' ').next().expect("a program").to_string();
    assert_eq!(program, "/usr/bin/xray-triage");
    // systemd-analyze wants the program to exist.
    let unit = fs::read_to_string(UNIT).expect("the unit is read");
    fs::write(&path, unit.replace(&program, PROGRAM)).expect("a unit written");
    let verified = match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(verified) => verified,
        Err(error) => return println!("skipped: systemd-analyze is not here ({error})"),
    };
    // It may complain of other units of this machine as well.
    let said = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("xray-triage")).collect();
    assert!(ours.is_empty() && verified.status.success(), "{said}");
}
