use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use image::{GrayImage, Luma};
use rusqlite::types::Value;
use tempfile::TempDir;
use xray_triage_core::cam::Cam;
use xray_triage_core::decision::{Class, Outcome, Probabilities};
use xray_triage_core::film::{Outline, Profile};
use xray_triage_core::gate;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::record::{ModelName, Record};

use super::films::FOLDER;
use super::*;

/// A moment later than any release: 2050-03-01T12:00:00Z.
const NOON: Timestamp = Timestamp::constant(2_529_748_800, 0);

fn film(seed: u32) -> GrayImage {
    GrayImage::from_fn(200, 240, |x, y| Luma([(x * 7 + y * 13 + seed * 29) as u8]))
}

/// An assessment like the pipeline's for a film that gets a class.
pub(crate) fn assessment(seed: u32) -> Assessment {
    let film = film(seed);
    let outline = Outline { found: true, corners: [[1.0, 1.0], [201.0, 1.0], [201.0, 241.0], [1.0, 241.0]] };
    let values = (0..3 * 49).map(|i| (i as f32 - 70.0) / 3.0).collect();
    Assessment {
        record: Record {
            file: "/dev/video0".into(),
            outcome: Outcome::Pneumonia,
            top: Some(Class::Pneumonia),
            probabilities: Some(Probabilities { covid19: 0.125, pneumonia: 0.75, normal: 0.125 }),
            reasons: vec![],
            advice: vec![],
            error: None,
            quality: Some(gate::assess(&film, &outline)),
            ood_score: Some(0.05),
            profile: Some(Profile::Film),
            operating_point: Some("balanced".into()),
            thresholds: None,
            model: ModelName { id: "test-model".into(), sha256: "0".repeat(64) },
            outline: Some(outline),
            timings_ms: BTreeMap::from([("total", 12.5)]),
            version: env!("CARGO_PKG_VERSION"),
        },
        picture: Some(film),
        cam: Some(Cam::new(7, values)),
    }
}

/// An assessment that lacks everything that can be missing. The box makes no case of such a fault.
fn fault() -> Assessment {
    let mut fault = assessment(0);
    fault.record.outcome = Outcome::Refused;
    fault.record.reasons = vec!["camera_fault"];
    (fault.record.top, fault.record.probabilities, fault.record.quality) = (None, None, None);
    (fault.picture, fault.cam) = (None, None);
    fault
}

fn ids(folder: &Path) -> Vec<i64> {
    CaseReader::open(folder).unwrap().cases().unwrap().iter().map(|case| case.id.0).collect()
}

fn assert_sound(folder: &Path, cases: u64) {
    let findings = CaseReader::open(folder).unwrap().check().unwrap();
    assert_eq!(findings, Findings { cases, ..Findings::default() });
}

fn film_files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_case_comes_back_as_it_was_kept() {
    let folder = TempDir::new().unwrap();
    let kept = assessment(3);
    let mut log = CaseLog::open(folder.path()).unwrap();
    let id = log.add(&kept, NOON).unwrap();
    assert_eq!(id.to_string(), "000001");
    let second = log.add(&fault(), Timestamp::UNIX_EPOCH).unwrap();

    let reader = CaseReader::open(folder.path()).unwrap();
    let case = reader.case(id).unwrap();
    assert_eq!((case.taken.as_str(), case.clock_unset), ("2050-03-01T12:00:00.000Z", false));
    assert_eq!((case.outcome.as_str(), case.top.as_deref()), ("pneumonia", Some("pneumonia")));
    assert_eq!(case.probabilities, kept.record.probabilities);
    assert_eq!((case.profile.as_deref(), case.operating_point.as_deref()), (Some("film"), Some("balanced")));
    assert_eq!((case.model_id.as_str(), case.model_sha256.len()), ("test-model", 64));
    let printed: serde_json::Value = serde_json::from_str(&serde_json::to_string(&kept.record).unwrap()).unwrap();
    assert_eq!(case.record, printed);
    assert_eq!(image_file::read(&case.film.unwrap()).unwrap(), kept.picture.unwrap());
    let maps: BTreeMap<String, Vec<Vec<f32>>> = serde_json::from_slice(&fs::read(case.cam.unwrap()).unwrap()).unwrap();
    for class in Class::ALL {
        assert_eq!(maps[class.label()].concat(), kept.cam.as_ref().unwrap().map(class));
    }

    let case = reader.case(second).unwrap();
    assert!(case.clock_unset && case.film.is_none() && case.cam.is_none() && case.probabilities.is_none());
    assert_eq!(case.reasons, ["camera_fault"]);
    assert_eq!(ids(folder.path()), [2, 1], "the newest first");
    assert_eq!(reader.newest().unwrap().as_deref(), Some("2050-03-01T12:00:00.000Z"));
    assert!(matches!(reader.case(CaseId(3)), Err(CaseLogError::NoCase(CaseId(3)))));
    assert_sound(folder.path(), 2);
}

/// A film that the quality gate refused: it has a picture and measures, and the network did not run.
fn refused() -> Assessment {
    let mut refused = assessment(4);
    refused.record.outcome = Outcome::Refused;
    refused.record.reasons = vec!["too_dark", "blurred"];
    (refused.record.top, refused.record.probabilities, refused.record.ood_score) = (None, None, None);
    refused.cam = None;
    refused
}

/// A film that the network judged without being confident.
fn referred() -> Assessment {
    let mut referred = assessment(5);
    referred.record.outcome = Outcome::Refer;
    referred.record.top = Some(Class::Covid19);
    referred.record.probabilities = Some(Probabilities { covid19: 0.4, pneumonia: 0.35, normal: 0.25 });
    referred.record.reasons = vec!["low_confidence"];
    referred.record.profile = Some(Profile::Screen);
    referred
}

#[test]
fn every_column_has_the_value_of_the_record_it_comes_from() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    let text = |text: &str| Value::Text(text.into());
    let cases = [(assessment(3), "pneumonia"), (referred(), "refer"), (refused(), "refused"), (fault(), "refused")];
    for (assessment, outcome) in cases {
        let record = &assessment.record;
        let id = log.add(&assessment, NOON).unwrap();
        let share = |class| record.probabilities.map_or(Value::Null, |all| Value::Real(all.of(class)));
        let optional = |value: Option<&str>| value.map_or(Value::Null, text);
        let file = |there: bool, ending: &str| if there { text(&format!("films/{id}{ending}")) } else { Value::Null };
        let quality = record.quality.as_ref().map(|quality| serde_json::to_string(quality).unwrap());
        let reasons: Vec<String> = record.reasons.iter().map(|code| format!("\"{code}\"")).collect();
        let wanted = [
            ("id", Value::Integer(id.0)),
            ("taken", text("2050-03-01T12:00:00.000Z")),
            ("clock_unset", Value::Integer(0)),
            ("outcome", text(outcome)),
            ("top", optional(record.top.map(Class::label))),
            ("covid19", share(Class::Covid19)),
            ("pneumonia", share(Class::Pneumonia)),
            ("normal", share(Class::Normal)),
            ("reasons", text(&format!("[{}]", reasons.join(",")))),
            ("profile", optional(record.profile.map(Profile::name))),
            ("operating_point", optional(record.operating_point.as_deref())),
            ("model_id", text(&record.model.id)),
            ("model_sha256", text(&record.model.sha256)),
            ("version", text(record.version)),
            ("quality", optional(quality.as_deref())),
            ("plate", file(assessment.picture.is_some(), ".plate.png")),
            ("cam", file(assessment.cam.is_some(), ".cam.json")),
            // The very text that `--json` prints.
            ("record", text(&serde_json::to_string(record).unwrap())),
        ];
        assert_eq!(row(&log, id), wanted.map(|(name, value)| (name.to_string(), value)));
    }
}

/// All columns of a case with their values, as they stand in the database.
fn row(log: &CaseLog, id: CaseId) -> Vec<(String, Value)> {
    let mut statement = log.database.prepare("SELECT * FROM cases WHERE id = ?1").unwrap();
    let names: Vec<String> = statement.column_names().map(String::from).collect();
    let read = |row: &rusqlite::Row| (0..names.len()).map(|column| row.get(column)).collect();
    let values: Vec<Value> = statement.query_row([id.0], read).unwrap();
    names.into_iter().zip(values).collect()
}

#[test]
fn the_names_of_outcomes_in_the_database_are_those_in_json() {
    let outcomes = [Class::Covid19, Class::Pneumonia, Class::Normal].map(Outcome::from);
    for outcome in outcomes.into_iter().chain([Outcome::Refer, Outcome::Refused]) {
        let mut film = assessment(0);
        film.record.outcome = outcome;
        let row = row::CaseRow::new(CaseId(1), &film, String::new(), false).unwrap();
        assert_eq!(serde_json::to_value(outcome).unwrap(), row.outcome);
    }
}

/// The table of layout 1, as release 0.1.0 made it. Another table needs another layout number, and a migration.
#[test]
fn a_new_database_has_the_table_of_its_layout() {
    let layout_1 = "CREATE TABLE cases (id INTEGER PRIMARY KEY AUTOINCREMENT, taken TEXT NOT NULL, \
        clock_unset INTEGER NOT NULL, outcome TEXT NOT NULL, top TEXT, covid19 REAL, pneumonia REAL, normal REAL, \
        reasons TEXT NOT NULL, profile TEXT, operating_point TEXT, model_id TEXT NOT NULL, model_sha256 TEXT NOT NULL, \
        version TEXT NOT NULL, quality TEXT, plate TEXT, cam TEXT, record TEXT NOT NULL) STRICT";
    let folder = TempDir::new().unwrap();
    let log = CaseLog::open(folder.path()).unwrap();
    let made: String =
        log.database.query_row("SELECT sql FROM sqlite_schema WHERE name = 'cases'", [], |row| row.get(0)).unwrap();
    assert_eq!((row::layout(&log.database).unwrap(), made.as_str()), (1, layout_1));
}

#[test]
fn a_row_that_is_not_readable_is_damage_and_names_the_case_and_column() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    log.database.execute("UPDATE cases SET record = '{' WHERE id = 1", []).unwrap();
    let error = CaseReader::open(folder.path()).unwrap().cases().unwrap_err();
    assert!(matches!(error, CaseLogError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("case 000001: record cannot be read"), "{error}");
}

#[test]
fn errors_say_each_path_and_each_cause_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    // SQLite's own words for a database that cannot be opened end with its path.
    symlink(DATABASE_FILE, &path).unwrap();
    let database = CaseReader::open(folder.path()).unwrap_err();
    assert!(matches!(database, CaseLogError::Database { .. }), "{database}");
    let in_the_way = folder.path().join("in-the-way");
    fs::write(&in_the_way, b"").unwrap();
    let file = CaseLog::open(&in_the_way).unwrap_err();
    assert!(matches!(file, CaseLogError::File { .. }), "{file}");
    for (error, place, cause) in
        [(database, &path, "unable to open database file"), (file, &in_the_way, "Not a directory")]
    {
        let words = error.to_string();
        assert_eq!(words.matches(place.to_str().unwrap()).count(), 1, "{words}");
        assert_eq!(words.matches(cause).count(), 1, "{words}");
        assert!(error.source().is_none(), "a printer that walks the chain would say its cause again: {words}");
    }
}

#[test]
fn a_clock_before_the_release_or_before_an_earlier_case_was_not_set() {
    // The day of the build of Debian 12's systemd, which sets a clock that is behind to it.
    assert!(clock_unset(Timestamp::constant(1_748_476_800, 0)));
    assert!(!clock_unset(EARLIEST_CLOCK));
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    let after = |seconds| Timestamp::from_second(NOON.as_second() + seconds).unwrap();
    for (taken, unset) in [(NOON, false), (after(-1), true), (NOON, false), (after(-1), true), (after(1), false)] {
        let id = log.add(&fault(), taken).unwrap();
        assert_eq!(CaseReader::open(folder.path()).unwrap().case(id).unwrap().clock_unset, unset, "case {id}");
    }
}

#[test]
fn numbers_rise_across_openings_and_are_not_given_again() {
    let folder = TempDir::new().unwrap();
    for wanted in 1..=3 {
        let mut log = CaseLog::open(folder.path()).unwrap();
        assert_eq!(log.add(&assessment(1), NOON).unwrap().0, wanted);
    }
    let log = CaseLog::open(folder.path()).unwrap();
    log.database.execute("DELETE FROM cases WHERE id = 3", []).unwrap();
    drop(log);
    let mut log = CaseLog::open(folder.path()).unwrap();
    assert_eq!(log.add(&assessment(1), NOON).unwrap().0, 4);
}

#[test]
fn numbers_are_read_with_and_without_zeros() {
    for text in ["123", "000123", "0000000123"] {
        assert_eq!(text.parse(), Ok(CaseId(123)));
    }
    for text in ["", "0", "-1", "+1", "1a", "99999999999999999999"] {
        assert!(text.parse::<CaseId>().is_err(), "{text}");
    }
    assert_eq!(CaseId(1_234_567).to_string(), "1234567");
}

#[test]
fn after_a_crash_half_written_files_are_removed_and_whole_ones_set_aside_with_their_number() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    // Dropping the transaction leaves the files and no row, as a crash does.
    drop(log.write(&assessment(2), NOON).unwrap());
    drop(log);
    fs::write(folder.path().join("films/000002.plate.png.part"), b"half").unwrap();
    let before = CaseReader::open(folder.path()).unwrap().check().unwrap();
    assert_eq!((before.problems.len(), before.unfinished.len()), (0, 3));
    let film = fs::read(folder.path().join("films/000002.plate.png")).unwrap();

    let mut log = CaseLog::open(folder.path()).unwrap();
    assert_eq!(film_files(folder.path()), ["000001.cam.json", "000001.plate.png"]);
    assert_eq!(fs::read(folder.path().join("aside/000002.plate.png")).unwrap(), film);
    assert_eq!(fs::read_dir(folder.path().join("aside")).unwrap().count(), 2);
    assert_eq!(log.add(&assessment(3), NOON).unwrap(), CaseId(3), "as if an older database had been put back");
    assert_sound(folder.path(), 2);
}

#[test]
fn a_log_that_was_moved_away_is_noticed() {
    let folder = TempDir::new().unwrap();
    for name in [DATABASE_FILE, FOLDER] {
        let log = CaseLog::open(folder.path()).unwrap();
        assert!(log.in_place());
        let [here, away] = [name, "away"].map(|name| folder.path().join(name));
        fs::rename(&here, &away).unwrap();
        assert!(!log.in_place(), "{name} is gone");
        fs::rename(&away, &here).unwrap();
        assert!(log.in_place(), "{name} is back");
    }
    let log = CaseLog::open(folder.path()).unwrap();
    let [here, away] = [DATABASE_FILE, "away"].map(|name| folder.path().join(name));
    fs::rename(&here, &away).unwrap();
    fs::copy(&away, &here).unwrap();
    assert!(!log.in_place(), "a copy is another file");
}

#[test]
fn a_database_that_is_moved_away_before_its_write_ahead_log_costs_no_case() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    let move_away = |name: &str| fs::rename(folder.path().join(name), elsewhere.path().join(name)).unwrap();
    move_away(DATABASE_FILE);
    assert!(matches!(CaseLog::open(folder.path()), Err(CaseLogError::Damaged { .. })));
    drop(log);
    move_away(WAL_FILE);
    assert_eq!(ids(elsewhere.path()), [1]);
    CaseLog::open(folder.path()).unwrap();
}

#[test]
fn films_whose_database_was_lost_are_neither_removed_nor_written_over() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    drop(log);
    let film = fs::read(folder.path().join("films/000001.plate.png")).unwrap();
    fs::remove_file(folder.path().join(DATABASE_FILE)).unwrap();

    let mut log = CaseLog::open(folder.path()).unwrap();
    assert_eq!(log.add(&assessment(2), NOON).unwrap(), CaseId(2));
    drop(log);
    drop(CaseLog::open(folder.path()).unwrap());
    assert_eq!(fs::read(folder.path().join("films/000001.plate.png")).unwrap(), film);
    let findings = CaseReader::open(folder.path()).unwrap().check().unwrap();
    assert_eq!(findings.problems.len(), 2, "{findings:?}");
    assert!(findings.problems.iter().all(|problem| problem.contains("000001")), "{findings:?}");
}

/// SQLite's own limit stands in for a full disk: the same calls return the same error.
#[test]
fn a_full_database_keeps_nothing_of_a_case_and_takes_later_ones() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    let pages: i64 = log.database.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    log.database.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let mut kept = 1;
    let error = loop {
        match log.add(&assessment(kept + 1), NOON) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CaseLogError::Full { .. }), "{error}");
    assert_eq!(film_files(folder.path()).len(), 2 * kept as usize);
    assert_sound(folder.path(), u64::from(kept));

    log.database.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(())).unwrap();
    assert_eq!(log.add(&assessment(9), NOON).unwrap().0, i64::from(kept) + 1);
    assert_sound(folder.path(), u64::from(kept) + 1);
}

/// Uses a real file system of 1 MB. The test is skipped where it may not mount one.
#[test]
fn a_full_disk_keeps_nothing_of_a_case_and_takes_later_ones() {
    struct Mounted(TempDir);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).status();
        }
    }
    let folder = TempDir::new().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: mounting a tmpfs needs root");
        return;
    }
    let mounted = Mounted(folder);
    let folder = mounted.0.path();
    let mut log = CaseLog::open(folder).unwrap();
    log.check_space(0).unwrap();
    assert!(matches!(log.check_space(64), Err(CaseLogError::Full { .. })));
    let mut kept = 0;
    let error = loop {
        match log.add(&assessment(kept as u32), NOON) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(kept > 0 && matches!(error, CaseLogError::Full { .. }), "{kept} cases, then {error}");
    assert_eq!(film_files(folder).len() as u64, 2 * kept);
    assert_sound(folder, kept);
    // Without any room, reading works, and opening says what is wrong.
    let free = free_space(folder).unwrap();
    fs::write(folder.join("ballast"), vec![0; free as usize]).unwrap();
    assert!(matches!(log.add(&assessment(7), NOON), Err(CaseLogError::Full { .. })));
    assert_eq!(ids(folder).len() as u64, kept);
    drop(log);
    match CaseLog::open(folder) {
        Ok(_) | Err(CaseLogError::Full { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    fs::remove_file(folder.join("ballast")).unwrap();
    fs::remove_file(folder.join("films/000001.plate.png")).unwrap();
    let mut log = CaseLog::open(folder).unwrap();
    assert_eq!(log.add(&assessment(9), NOON).unwrap().0 as u64, kept + 1);
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let log = CaseLog::open(folder.path()).unwrap();
    log.database.pragma_update(None, "user_version", 2).unwrap();
    drop(log);
    let before = fs::read(folder.path().join(DATABASE_FILE)).unwrap();
    for error in [CaseLog::open(folder.path()).unwrap_err(), CaseReader::open(folder.path()).unwrap_err()] {
        assert!(matches!(error, CaseLogError::Newer { found: 2, .. }), "{error}");
    }
    assert_eq!(fs::read(folder.path().join(DATABASE_FILE)).unwrap(), before);
}

#[test]
fn damage_is_reported_and_never_written_over() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    drop(log);
    let path = folder.path().join(DATABASE_FILE);
    let sound = fs::read(&path).unwrap();
    let mut no_header = sound.clone();
    no_header[..16].fill(0xAA);
    for damaged in [b"no database at all, but long enough to be looked at by SQLite".repeat(20), no_header] {
        fs::write(&path, &damaged).unwrap();
        for error in [CaseLog::open(folder.path()).unwrap_err(), CaseReader::open(folder.path()).unwrap_err()] {
            assert!(matches!(error, CaseLogError::Damaged { .. }), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), damaged);
        assert_eq!(film_files(folder.path()).len(), 2);
    }

    // Damage within the rows is found by the check.
    let mut rows = sound.clone();
    let page = rows.len() - 4096;
    rows[page..page + 64].fill(0x55);
    fs::write(&path, &rows).unwrap();
    let checked = CaseReader::open(folder.path()).and_then(|reader| reader.check());
    assert!(checked.as_ref().map_or(true, |findings| !findings.problems.is_empty()), "{checked:?}");

    // So are files that are missing, unreadable, or of no case.
    fs::write(&path, &sound).unwrap();
    assert_sound(folder.path(), 1);
    fs::write(folder.path().join("films/000001.plate.png"), b"no picture").unwrap();
    fs::remove_file(folder.path().join("films/000001.cam.json")).unwrap();
    fs::write(folder.path().join("films/notes.txt"), b"notes").unwrap();
    let problems = CaseReader::open(folder.path()).unwrap().check().unwrap().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn a_folder_without_a_case_log_is_named() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(CaseReader::open(folder.path()), Err(CaseLogError::Missing(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "reading makes nothing");
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(CaseLog::open(&file), Err(CaseLogError::File { .. })));
}

#[test]
fn reading_works_while_a_case_is_being_written() {
    let folder = TempDir::new().unwrap();
    let mut log = CaseLog::open(folder.path()).unwrap();
    log.add(&assessment(1), NOON).unwrap();
    let (id, transaction) = log.write(&assessment(2), NOON).unwrap();
    assert_eq!(ids(folder.path()), [1]);
    let findings = CaseReader::open(folder.path()).unwrap().check().unwrap();
    assert_eq!((findings.problems.len(), findings.unfinished.len()), (0, 2));
    let reader = CaseReader::open(folder.path()).unwrap();
    transaction.commit().unwrap();
    assert_eq!(reader.case(id).unwrap().id, id);
}

const CHILD_FOLDER: &str = "XRAY_TRIAGE_TEST_CASES";
const CHILD_STOPS: &str = "XRAY_TRIAGE_TEST_STOPS";

/// This is no test of its own but the process that the tests below start and kill. It prints the number of each case that
/// is kept, or stops between a case's files and its row.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = env::var_os(CHILD_FOLDER) else { return };
    let mut log = CaseLog::open(Path::new(&folder)).unwrap();
    if env::var_os(CHILD_STOPS).is_some() {
        log.add(&assessment(1), NOON).unwrap();
        let _pending = log.write(&assessment(2), NOON).unwrap();
        println!("\nkept 1");
        thread::sleep(Duration::from_secs(600));
    }
    for seed in 0.. {
        println!("\nkept {}", log.add(&assessment(seed), NOON).unwrap().0);
    }
}

fn start_writing(folder: &Path, stops: bool) -> Child {
    let mut program = Command::new(env::current_exe().unwrap());
    program.args(["--exact", "--nocapture", "caselog::tests::the_process_that_is_killed"]).env(CHILD_FOLDER, folder);
    if stops {
        program.env(CHILD_STOPS, "1");
    }
    program.stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits until the process has said that `count` cases are kept, kills it, and returns all numbers that it said.
fn kill_after(child: &mut Child, count: usize, then: Duration) -> Vec<i64> {
    let mut kept = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        kept.extend(line.unwrap().strip_prefix("kept ").map(|number| number.parse::<i64>().unwrap()));
        if kept.len() >= count {
            break;
        }
    }
    thread::sleep(then);
    child.kill().unwrap();
    child.wait().unwrap();
    // These lines it said before it died. The last may be cut off.
    kept.extend(lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("kept ")?.parse::<i64>().ok()));
    kept
}

#[test]
fn a_kill_between_files_and_row_leaves_the_log_as_before() {
    let folder = TempDir::new().unwrap();
    let mut child = start_writing(folder.path(), true);
    assert_eq!(kill_after(&mut child, 1, Duration::ZERO), [1]);
    assert_eq!(film_files(folder.path()).len(), 4, "the second case's files are there");
    let mut log = CaseLog::open(folder.path()).unwrap();
    assert_sound(folder.path(), 1);
    assert_eq!(log.add(&assessment(3), NOON).unwrap(), CaseId(3));
    assert_sound(folder.path(), 2);
}

#[test]
fn a_kill_at_any_moment_loses_no_case_that_was_kept() {
    let folder = TempDir::new().unwrap();
    let mut kept = Vec::new();
    for round in 0..8 {
        let mut child = start_writing(folder.path(), false);
        // Moments spread over the few milliseconds that a case takes.
        kept.extend(kill_after(&mut child, 2, Duration::from_micros(1700 * round)));
    }
    CaseLog::open(folder.path()).unwrap();
    let there = ids(folder.path());
    assert!(kept.len() >= 16 && kept.windows(2).all(|pair| pair[0] < pair[1]), "{kept:?}");
    for id in &kept {
        assert!(there.contains(id), "case {id} is gone");
    }
    assert_sound(folder.path(), there.len() as u64);
}
