//! What the command line promises on good and bad input: exit codes, JSON lines, and never a panic.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

/// Runs the program, which must not panic, whatever it is given.
fn run(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_xray-triage")).args(args).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code, not a signal")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn records(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// A digital chest film of the repository.
fn film() -> GrayImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films/nih_00001872_004.jpg");
    image::open(path).expect("a film").into_luma8()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_string()
    }

    fn film(&self, name: &str) -> String {
        film().save(self.path(name)).expect("a picture written");
        self.text(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("a file written");
        self.text(name)
    }
}

fn jpeg() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    film().write_to(&mut bytes, ImageFormat::Jpeg).expect("a JPEG");
    bytes.into_inner()
}

/// A JPEG whose frame header says 0 x 0 pixels.
fn jpeg_without_pixels() -> Vec<u8> {
    let mut bytes = jpeg();
    let header = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a baseline frame header");
    // Marker, length and precision come first: 5 bytes.
    bytes[header + 5..header + 9].fill(0);
    bytes
}

fn built_in_bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/densenet121-cbam")
}

/// A copy of the built-in bundle with an edited manifest.
fn bundle(folder: &Folder, edit: impl Fn(String) -> String) -> String {
    let manifest = fs::read_to_string(built_in_bundle().join("manifest.toml")).expect("the manifest");
    folder.file("manifest.toml", edit(manifest).as_bytes());
    for name in ["model.onnx", "film-space.json"] {
        fs::copy(built_in_bundle().join(name), folder.path(name)).expect("a file copied");
    }
    folder.text("")
}

const OUTCOMES: [&str; 5] = ["covid19", "pneumonia", "normal", "refer", "refused"];

/// Checks that a readable picture's record has every entry that the reference promises.
fn check_record(record: &Value) {
    let outcome = record["outcome"].as_str().expect("an outcome");
    assert!(OUTCOMES.contains(&outcome), "{record}");
    assert!(record.get("error").is_none(), "{record}");
    assert!(record["quality"].is_object(), "{record}");
    assert!(["film", "screen", "digital"].contains(&record["profile"].as_str().expect("a profile")), "{record}");
    assert!(record["operating_point"].is_string(), "{record}");
    assert!(record["model"]["id"].is_string(), "{record}");
    assert_eq!(record["model"]["sha256"].as_str().map(str::len), Some(64), "{record}");
    assert!(record["film"]["found"].is_boolean(), "{record}");
    assert_eq!(record["film"]["corners"].as_array().map(Vec::len), Some(4), "{record}");
    assert!(record["timings_ms"]["total"].as_f64().expect("a time") > 0.0, "{record}");
    let has_distance = record["unfamiliarity"].is_number();
    assert_eq!(record["timings_ms"].get("film_space").is_some(), has_distance, "the stages that ran: {record}");
    assert_eq!(record["version"], env!("CARGO_PKG_VERSION"));
    if outcome == "refused" {
        assert!(record["probabilities"].is_null() && record["top"].is_null(), "{record}");
        assert!(!record["reasons"].as_array().expect("reasons").is_empty(), "{record}");
    } else {
        let probabilities = record["probabilities"].as_object().expect("probabilities");
        assert_eq!(probabilities.len(), 3);
        let sum: f64 = probabilities.values().map(|p| p.as_f64().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{record}");
        let top = record["top"].as_str().expect("a class");
        let highest = probabilities[top].as_f64();
        assert!(probabilities.values().all(|p| p.as_f64() <= highest), "{record}");
    }
}

/// Checks that an unreadable file's record says so, what is wrong with it, and how to mend that.
fn check_fault(record: &Value, file: &str, fault: &str, remedy: &str) {
    assert_eq!(record["file"], file);
    assert_eq!(record["outcome"], "refused", "{record}");
    assert!(record["probabilities"].is_null() && record["top"].is_null(), "{record}");
    assert_eq!(record["reasons"].as_array().map(Vec::len), Some(1), "{record}");
    assert_eq!(record["reasons"][0], fault, "{record}");
    let error = record["error"].as_str().expect("an error in words");
    assert!(error.contains(file) && error.contains(remedy), "{record}");
}

#[test]
fn unreadable_files_get_a_line_and_the_others_are_still_judged() {
    let folder = Folder::new();
    fs::create_dir(folder.path("empty")).expect("a folder");
    let huge = folder.text("huge.png");
    GrayImage::from_pixel(8000, 5000, Luma([90])).save(&huge).expect("40 megapixels written");
    let whole = jpeg();
    let bad = [
        (folder.text("missing.jpg"), "missing", "check the name"),
        (folder.file("truncated.jpg", &whole[..300]), "truncated", "copy or take it again"),
        (folder.file("nothing.jpg", b""), "empty", "take or copy it again"),
        (folder.file("no-pixels.jpg", &jpeg_without_pixels()), "damaged", "save it again"),
        (huge, "too_large", "scale the picture down"),
        (folder.file("text.jpg", b"This is a letter, not a picture.\n"), "not_an_image", "convert it"),
        (folder.text("empty"), "empty_folder", "Name another"),
    ];
    let good = folder.film("good.png");
    let mut args = vec!["triage", "--json", "--threads", "1"];
    args.extend(bad.iter().map(|(file, ..)| file.as_str()));
    args.push(&good);
    let output = run(&args);
    assert_eq!(code(&output), 1);
    let records = records(&output);
    assert_eq!(records.len(), bad.len() + 1);
    for (record, (file, fault, remedy)) in records.iter().zip(&bad) {
        check_fault(record, file, fault, remedy);
    }
    check_record(&records[bad.len()]);
    assert!(!output.stderr.is_empty());

    // The same without JSON names every file too.
    args.remove(1);
    let output = run(&args);
    assert_eq!(code(&output), 1);
    let text = stdout(&output);
    assert!(bad.iter().all(|(file, ..)| text.contains(file.as_str())), "{text}");
    assert_eq!(text.matches("not for diagnosis").count(), 1, "{text}");
}

#[test]
fn sixteen_bit_png_and_jpeg_and_colour_are_read() {
    let folder = Folder::new();
    let sixteen = folder.text("sixteen.png");
    DynamicImage::ImageLuma8(film()).into_luma16().save(&sixteen).expect("a 16-bit picture");
    let colour = folder.text("colour.png");
    DynamicImage::ImageLuma8(film()).into_rgb8().save(&colour).expect("a colour picture");
    let jpeg = folder.file("film.JPG", &jpeg());
    let output = run(&["triage", "--json", &sixteen, &colour, &jpeg]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output);
    assert_eq!(records.len(), 3);
    records.iter().for_each(check_record);
    for record in &records[1..2] {
        assert_eq!(record["probabilities"], records[0]["probabilities"], "the same film at another depth");
    }
}

#[test]
fn what_does_not_look_like_a_chest_film_is_refused() {
    let folder = Folder::new();
    let mut negative = film();
    image::imageops::invert(&mut negative);
    let pictures = [
        ("upside-down.png", image::imageops::rotate180(&film())),
        ("negative.png", negative),
        // In focus, well exposed, and no film.
        ("stripes.png", GrayImage::from_fn(480, 480, |x, y| Luma([if (x + y) / 40 % 2 == 0 { 60 } else { 200 }]))),
    ];
    let mut args: Vec<String> = ["triage", "--json", "--profile", "digital"].map(String::from).to_vec();
    for (name, picture) in &pictures {
        picture.save(folder.path(name)).expect("a picture written");
        args.push(folder.text(name));
    }
    args.push(folder.film("film.png"));
    let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code(&output), 0);
    let records = records(&output);
    records.iter().for_each(check_record);
    for record in &records[..pictures.len()] {
        assert_eq!((&record["outcome"], &record["reasons"][0]), (&"refused".into(), &"unfamiliar".into()), "{record}");
        assert!(record["unfamiliarity"].as_f64() > records[pictures.len()]["unfamiliarity"].as_f64(), "{record}");
    }
    assert_ne!(records[pictures.len()]["outcome"], "refused");
}

#[test]
fn a_film_with_weak_evidence_is_found_by_a_closer_look() {
    // A panel without any unevenness, seen straight from the front, could be a figure's white margin.
    let film = film();
    let mut frame = GrayImage::from_pixel(film.width() * 5 / 3, film.height() * 5 / 3, Luma([235]));
    image::imageops::overlay(&mut frame, &film, i64::from(film.width() / 3), i64::from(film.height() / 3));
    let folder = Folder::new();
    frame.save(folder.path("figure.png")).expect("a picture written");
    let judged = |profile: &[&str]| {
        let figure = folder.text("figure.png");
        let mut records = records(&run(&[&["triage", "--json", figure.as_str()], profile].concat()));
        records.iter().for_each(check_record);
        records.remove(0)
    };
    let whole = judged(&["--profile", "digital"]);
    assert_eq!((&whole["outcome"], &whole["reasons"][0]), (&"refused".into(), &"unfamiliar".into()), "{whole}");
    let closer = judged(&[]);
    assert_eq!((&closer["profile"], &closer["film"]["found"]), (&"film".into(), &true.into()), "{closer}");
    assert_ne!(closer["outcome"], "refused", "{closer}");
}

#[test]
fn a_cmyk_picture_is_read_and_judged() {
    let output = run(&["triage", "--json", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cmyk.jpg")]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output);
    assert_eq!(records.len(), 1);
    check_record(&records[0]);
}

#[test]
fn a_folder_is_its_pictures_in_order_without_folders_within_and_cam_pictures() {
    let folder = Folder::new();
    folder.film("b.png");
    folder.film("a.jpg");
    folder.film("a.cam.png");
    folder.file("notes.txt", b"notes");
    fs::create_dir(folder.path("c.jpg")).expect("a folder");
    let output = run(&["triage", "--json", &folder.text("")]);
    assert_eq!(code(&output), 0);
    let files: Vec<Value> = records(&output).into_iter().map(|record| record["file"].clone()).collect();
    assert_eq!(files, [folder.text("a.jpg"), folder.text("b.png")]);
}

#[test]
fn profiles_and_operating_points_are_obeyed() {
    let folder = Folder::new();
    let film = folder.film("film.png");
    for profile in ["film", "screen", "digital"] {
        let output = run(&["triage", "--json", "--profile", profile, &film]);
        assert_eq!(code(&output), 0);
        assert_eq!(records(&output)[0]["profile"], profile);
    }
    let output = run(&["triage", "--json", "--operating-point", "confirm", &film]);
    assert_eq!(code(&output), 0);
    assert_eq!(records(&output)[0]["operating_point"], "confirm");
    let output = run(&["triage", "--operating-point", "no-such-point", &film]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-point"));
}

#[test]
fn usage_errors_exit_with_2() {
    for args in [
        &["triage"][..],
        &[],
        &["triage", "--no-such-flag", "x.png"],
        &["triage", "--threads", "0", "x.png"],
        &["triage", "--profile", "paper", "x.png"],
        &["no-such-command"],
    ] {
        let output = run(args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stdout(&output).is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn version_and_help_carry_the_disclaimer() {
    for args in [&["--version"][..], &["--help"]] {
        let output = run(args);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("not for diagnosis"), "{args:?}");
    }
}

#[test]
fn bundles_that_do_not_verify_are_refused() {
    type Edit = fn(String) -> String;
    let edits: [(Edit, &str); 7] = [
        (|text| text.replace("format_version = 4", "format_version = 99"), "format version 99"),
        (|text| text.replacen("sha256 = \"", "sha256 = \"0", 1), "sha256"),
        (|text| text.replace("film-space.json", "../film-space.json"), "film_space.file"),
        (|text| text.replacen("\"covid19\"", "\"influenza\"", 1), "labels"),
        (|text| text.replacen("size = 224", "size = 112", 1), "input `image`"),
        (|text| text + "\n[surplus]\n", "surplus"),
        (|_| "not a manifest".into(), "manifest is not valid"),
    ];
    let films = Folder::new();
    let film = films.film("film.png");
    for (edit, words) in edits {
        let folder = Folder::new();
        let output = run(&["triage", "--model", &bundle(&folder, edit), &film]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), 2, "{stderr}");
        assert!(stderr.contains(words), "{words}: {stderr}");
        assert!(output.stdout.is_empty());
    }

    // One changed byte of the model.
    let folder = Folder::new();
    let dir = bundle(&folder, |text| text);
    let mut model = fs::read(folder.path("model.onnx")).expect("the model");
    let middle = model.len() / 2;
    model[middle] ^= 1;
    folder.file("model.onnx", &model);
    for args in [&["triage", "--model", &dir, &film][..], &["model", "verify", &dir]] {
        let output = run(args);
        assert_eq!(code(&output), 2);
        assert!(String::from_utf8_lossy(&output.stderr).contains("SHA-256"));
    }

    // Another OOD model.
    folder.file("model.onnx", &fs::read(built_in_bundle().join("model.onnx")).expect("the model"));
    let ood = fs::read_to_string(folder.path("film-space.json")).expect("the OOD model");
    folder.file("film-space.json", ood.replacen("0.1", "0.2", 1).as_bytes());
    let output = run(&["model", "verify", &dir]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("SHA-256 of film-space.json"));

    // A bundle without its model, and no bundle at all.
    fs::remove_file(folder.path("model.onnx")).expect("removed");
    assert_eq!(code(&run(&["triage", "--model", &dir, &film])), 2);
    assert_eq!(code(&run(&["triage", "--model", &films.text("nowhere"), &film])), 2);

    // Files with the right hash that are no networks; one is an ONNX graph with an output that nothing makes.
    let old = fs::read(built_in_bundle().join("model.onnx")).expect("the model");
    let hash = |bytes: &[u8]| xray_triage_core::bundle::sha256_hex(bytes);
    for network in [&b"no network"[..], b"\x3A\x0A\x62\x08\x0A\x06logits"] {
        let folder = Folder::new();
        let dir = bundle(&folder, |text| text.replace(&hash(&old), &hash(network)));
        folder.file("model.onnx", network);
        assert_eq!(code(&run(&["model", "verify", &dir])), 2);
    }
}

#[test]
fn the_built_in_model_verifies() {
    for args in [&["model", "verify"][..], &["model", "verify", built_in_bundle().to_str().expect("UTF-8")]] {
        let output = run(args);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("sha256 "));
    }
}

#[test]
fn cam_pictures_go_where_they_are_asked_and_never_over_a_film() {
    let folder = Folder::new();
    let one = folder.film("one.png");
    let two = folder.film("one.jpg");

    let single = folder.text("view.png");
    assert_eq!(code(&run(&["triage", &one, "--cam", &single])), 0);
    let picture = image::open(&single).expect("a picture");
    assert_eq!((picture.width(), picture.height()), xray_triage::ui::screens::PICTURE_SIZE);

    // Two films of one stem do not share a picture.
    let several = folder.path("cams");
    assert_eq!(code(&run(&["triage", &one, &two, "--cam", several.to_str().expect("UTF-8")])), 0);
    let mut names: Vec<_> = fs::read_dir(&several)
        .expect("the folder made")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names, ["one-2.cam.png", "one.cam.png"]);

    let before = fs::read(&one).expect("the film");
    let output = run(&["triage", &one, "--cam", &one]);
    assert_eq!(code(&output), 2);
    assert_eq!(fs::read(&one).expect("the film"), before);

    // There is nowhere to write to.
    let nowhere = folder.text("no/such/folder/view.png");
    assert_eq!(code(&run(&["triage", &one, "--cam", &nowhere])), 2);
    let file_as_folder = folder.text("view.png/cams");
    assert_eq!(code(&run(&["triage", &one, &two, "--cam", &file_as_folder])), 2);
}

#[test]
fn a_closed_pipe_is_success() {
    let folder = Folder::new();
    let film = folder.film("film.png");
    let mut child = Command::new(env!("CARGO_BIN_EXE_xray-triage"))
        .args(["triage", "--json", &film])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

/// Starts the box in simulation, with its pictures and its case log in this folder.
fn start_simulated(folder: &Folder, more: &[&str]) -> Child {
    let mut program = Command::new(env!("CARGO_BIN_EXE_xray-triage"));
    program.args(["run", "--json", "-vv", "--simulate"]).arg(folder.0.path()).args(more);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// The lines that the box logs.
fn log(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|line| line.expect("UTF-8"))
}

fn send(signal: &str, child: &Child) {
    let kill = format!("kill -s {signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell starts").success());
}

/// Runs the box in simulation with a press of the button for each line of `presses`, and returns its output.
fn run_simulated(folder: &Folder, presses: &str) -> Output {
    let mut child = start_simulated(folder, &[]);
    // The pipe is dropped after writing, and the end of the text switches the box off.
    child.stdin.take().expect("a pipe").write_all(presses.as_bytes()).expect("the program reads");
    child.wait_with_output().expect("the program ends")
}

/// Runs the box in simulation, presses its button as `press` says, and sends it a signal once a line of its log ends with
/// `state`. Returns its output and its log.
fn signal_simulated(folder: &Folder, press: &str, state: &str, signal: &str) -> (Output, String) {
    let mut child = start_simulated(folder, &[]);
    // The button's text must not end before the box does: its end would switch the box off.
    let mut button = child.stdin.take().expect("a pipe");
    button.write_all(press.as_bytes()).expect("the program reads");
    let mut log = log(&mut child);
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.ends_with(state)) {
        said.push(log.next().unwrap_or_else(|| panic!("the box has ended: {said:#?}")));
    }
    send(signal, &child);
    said.extend(log);
    let output = child.wait_with_output().expect("the program ends");
    drop(button);
    (output, said.join("\n"))
}

#[test]
fn the_simulated_box_takes_one_picture_with_its_button_and_leds_in_files() {
    let folder = Folder::new();
    let film = folder.film("film.png");
    folder.film("another.png");
    let (presses, leds) = (folder.text("presses"), folder.text("leds"));
    assert!(Command::new("mkfifo").arg(&presses).status().expect("a named pipe").success());
    let mut program = Command::new(env!("CARGO_BIN_EXE_xray-triage"));
    program.args(["run", "--json", "--simulate", &film, "--simulated-button", &presses, "--simulated-leds", &leds]);
    let mut child = program.stdout(Stdio::piped()).spawn().expect("the program starts");
    // Opening a named pipe waits for the other end.
    let mut button = fs::File::create(&presses).expect("the program reads");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for _ in 0..2 {
        button.write_all(b"press\n").expect("the program reads");
        let line = output.next().expect("a record").expect("UTF-8");
        let record: Value = serde_json::from_str(&line).expect("a JSON object a line");
        assert_eq!(record["file"], film.as_str());
    }
    drop(button);
    assert!(child.wait().expect("the program ends").success());
    assert_eq!(fs::read_to_string(&leds).expect("the LEDs"), "ready=0 attention=0\n");
    assert!(folder.path("screen.cam.png").is_file(), "the display lies beside the picture");
    assert_eq!(stdout(&run(&["cases", "check", "--folder", &folder.text("cases")])), "2 cases, 0 problems\n");
}

#[test]
fn the_simulated_box_judges_a_recorded_capture() {
    let folder = Folder::new();
    let photograph = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/films/film-photo-nih_00002102_000.jpg");
    let jpeg = fs::read(photograph).expect("a photograph");
    let (width, height) = image::load_from_memory(&jpeg).expect("a photograph").into_luma8().dimensions();
    let entry = |at_ms: u32| {
        format!("{{\"at_ms\":{at_ms},\"format\":\"MJPG\",\"width\":{width},\"height\":{height},\"stride\":0}}\n")
    };
    folder.file("frames.jsonl", [entry(0), entry(40), entry(80)].concat().as_bytes());
    folder.file("000001.mjpg", &jpeg);
    folder.file("000002.mjpg", &jpeg[..1000]);
    folder.file("000003.mjpg", &jpeg);
    let output = run_simulated(&folder, "press\n");
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let records = records(&output);
    assert_eq!(records.len(), 1);
    check_record(&records[0]);
    assert_ne!(records[0]["outcome"], "refused", "{}", records[0]);
    assert!(records[0]["file"].as_str().is_some_and(|file| file.ends_with(".mjpg")), "{}", records[0]);
}

#[test]
fn what_cannot_stand_in_for_hardware_is_named() {
    let folder = Folder::new();
    folder.file("frames.jsonl", b"{\"at_ms\":0}\n");
    let output = run_simulated(&folder, "");
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("frames.jsonl: line 1: "));
    let picture = folder.film("film.png");
    let output = run(&["run", "--simulate", &picture, "--simulated-button", &folder.text("nowhere")]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("a named pipe"));
    assert_eq!(code(&run(&["run", "--simulated-leds", &picture])), 2, "only with --simulate");
}

#[test]
fn a_recording_needs_a_camera_and_is_not_written_over() {
    let folder = Folder::new();
    let config = folder.file("config.toml", b"[camera]\ndevice = \"/dev/no-such-camera\"\n");
    let place = folder.text("recording");
    let output = run(&["record", &place, "--config", &config]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: camera /dev/no-such-camera: "));
    assert!(!folder.path("recording").exists());
    fs::create_dir(folder.path("recording")).expect("a folder");
    folder.file("recording/frames.jsonl", b"");
    let output = run(&["record", &place, "--config", &config]);
    assert_eq!(code(&output), 2);
    assert!(!output.stderr.is_empty());
    assert_eq!(code(&run(&["record", &place, "--seconds", "0"])), 2);
}

/// The rows of a screen of 480 rows that lie below the line with the clock.
const BELOW_THE_CLOCK: Range<u32> = 30..480;
/// The rows of a fault's screen, of 480, that say the same whatever the error is.
const FAULT_WORDS: Range<u32> = 30..230;

/// The picture of some rows of a screen.
fn shown(screen: &Path, rows: Range<u32>) -> RgbImage {
    let screen = image::open(screen).expect("a screen").into_rgb8();
    image::imageops::crop_imm(&screen, 0, rows.start, screen.width(), rows.end - rows.start).to_image()
}

/// The path of a screen's picture in tests/screens.
fn known_screen(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name)
}

#[test]
fn a_signal_ends_the_box_after_the_film_in_hand_with_an_exit_code_of_its_own() {
    let folder = Folder::new();
    GrayImage::from_pixel(400, 400, Luma([128])).save(folder.path("a.png")).expect("a picture written");
    let (output, log) = signal_simulated(&folder, "press\n", "-> Analysing", "TERM");
    assert_eq!(code(&output), 143, "{log}");
    assert_eq!(records(&output).len(), 1, "the film in hand is judged: {log}");
    let leds = log.lines().filter_map(|line| line.split_once("LEDs: ")).next_back();
    assert_eq!(leds.map(|(_, state)| state), Some("ready off, attention off"), "{log}");
    let [screen, off] = [folder.path("screen.cam.png"), known_screen("off-en-800x480.png")]
        .map(|screen| shown(&screen, BELOW_THE_CLOCK));
    assert!(screen == off, "the screen says that it is off");
    let cases = run(&["cases", "check", "--folder", &folder.text("cases")]);
    assert_eq!((code(&cases), stdout(&cases).as_str()), (0, "1 cases, 0 problems\n"));

    let (output, log) = signal_simulated(&folder, "", "-> Ready", "INT");
    assert_eq!(code(&output), 130);
    assert!(output.stdout.is_empty());
    assert!(!log.contains("is loaded"), "the model is not waited for: {log}");
}

#[test]
fn the_simulated_box_judges_a_film_at_each_press_and_outlives_a_camera_fault() {
    let folder = Folder::new();
    folder.file("a.png", b"not a picture");
    folder.film("b.png");
    GrayImage::from_pixel(400, 400, Luma([128])).save(folder.path("c.png")).expect("a picture written");
    let output = run_simulated(&folder, "\npress\n\nlong\n");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), 0, "{log}");
    let records = records(&output);
    assert_eq!(records.len(), 2, "a capture without a frame is no case: {log}");
    records.iter().for_each(check_record);
    assert!(records[0]["file"].as_str().is_some_and(|file| file.ends_with("b.png")), "{}", records[0]);
    assert_eq!(records[0]["profile"], "film");
    assert!(records[0]["quality"].is_object());
    assert_eq!(records[1]["outcome"], "refused", "the pictures come in turn, and the display's is none of them");
    assert!(log.contains("error: ") && log.contains("a.png"), "{log}");
    let screen = image::open(folder.path("screen.cam.png")).expect("the last screen");
    assert_eq!((screen.width(), screen.height()), (800, 480));
    assert!(log.contains("LEDs: ready on, attention on") && log.contains("LEDs: ready off, attention on"), "{log}");

    let cases = run(&["cases", "list", "--json", "--folder", &folder.text("cases")]);
    assert_eq!(self::records(&cases).len(), 2);
    assert_eq!(code(&run(&["cases", "check", "--folder", &folder.text("cases")])), 0);
}

#[test]
fn a_box_without_pictures_or_hardware_does_not_start() {
    let folder = Folder::new();
    let output = run_simulated(&folder, "");
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("Name a folder of pictures"));
    let settings = format!(
        "[panel]\nbackend = \"gpiochip\"\nchip = \"/dev/no-such-chip\"\n[display]\ndevice = \"none\"\n\
         [storage]\nfolder = \"{}\"\n[triage]\nmodel = \"/no/such/bundle\"\n",
        folder.text("cases")
    );
    let settings = folder.file("config.toml", settings.as_bytes());
    let output = run(&["run", "-vv", "--config", &settings]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(&output), 2, "{log}");
    assert!(log.contains("error: panel: ") && log.contains("/no/such/bundle"), "{log}");
    assert!(log.contains("-> Fault(") && log.contains("error: the box cannot go on: "), "{log}");
}

#[test]
fn a_settings_fault_is_shown_until_the_box_is_ended() {
    let folder = Folder::new();
    folder.film("a.png");
    let mistyped = folder.file("config.toml", b"[camera]\nwidht = 640\n[display]\nlanguage = 'fr'\n");
    let missing = folder.text("missing.toml");
    for (settings, words, language, signal, exit_code) in [
        (&mistyped, ["config.toml", "line 2", "widht"], "fr", Some("TERM"), 143),
        (&missing, ["missing.toml", "No such file", "name another settings file"], "en", None, 2),
    ] {
        let mut child = start_simulated(&folder, &["--config", settings]);
        let mut button = child.stdin.take().expect("a pipe");
        let mut log = log(&mut child);
        // Six flashes reach into the second round. The screen is drawn in the first.
        let mut said = Vec::new();
        while said.iter().filter(|line: &&String| line.ends_with("ready off, attention on")).count() < 6 {
            said.push(log.next().unwrap_or_else(|| panic!("the box has ended: {said:#?}")));
        }
        assert!(said.iter().any(|line| line.ends_with("-> Fault(Settings)")), "{said:#?}");
        let fault = known_screen(&format!("settings-fault-{language}-800x480.png"));
        let [screen, fault] = [folder.path("screen.cam.png"), fault].map(|screen| shown(&screen, FAULT_WORDS));
        assert!(screen == fault, "the screen says that the settings cannot be used");
        match signal {
            Some(signal) => send(signal, &child),
            None => button.write_all(b"press\nhold\n").expect("the program reads"),
        }
        said.extend(log);
        assert_eq!(child.wait().expect("the program ends").code(), Some(exit_code), "{said:#?}");
        drop(button);
        let said = said.join("\n");
        assert!(said.contains("error: ") && words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!said.contains("-> Ready") && !said.contains("is loaded"), "{said}");
    }
    assert!(!folder.path("cases").exists(), "where cases belong is not known");
}

#[test]
fn a_box_without_storage_says_so_and_goes_on_once_there_is_some() {
    let folder = Folder::new();
    folder.film("a.png");
    let in_the_way = folder.file("cases", b"no folder");
    let mut child = start_simulated(&folder, &[]);
    let button = child.stdin.take().expect("a pipe");
    let mut log = log(&mut child);
    assert!(log.any(|line| line.ends_with("-> Fault(Storage)")));
    fs::remove_file(in_the_way).expect("removed");
    assert!(log.any(|line| line.ends_with("-> Ready")));
    drop(button);
    let rest: Vec<String> = log.collect();
    let status = child.wait().expect("the program ends");
    assert!(status.success(), "{rest:?}");
    assert_eq!(code(&run(&["cases", "check", "--folder", &folder.text("cases")])), 0);
}

#[test]
fn a_box_whose_output_nobody_reads_goes_on_and_ends_as_it_is_told() {
    let folder = Folder::new();
    GrayImage::from_pixel(400, 400, Luma([128])).save(folder.path("a.png")).expect("a picture written");
    let mut child = start_simulated(&folder, &[]);
    drop(child.stdout.take());
    let mut button = child.stdin.take().expect("a pipe");
    let mut log = log(&mut child);
    // An unoptimised program on a busy machine may need longer to load the model than a film may wait.
    let mut said: Vec<String> = log.by_ref().take_while(|line| !line.ends_with("is loaded")).collect();
    button.write_all(b"press\npress\n").expect("the program reads");
    for _ in 0..2 {
        said.extend(log.by_ref().take_while(|line| !line.ends_with("-> Refused")));
    }
    send("TERM", &child);
    said.extend(log);
    assert_eq!(child.wait().expect("the program ends").code(), Some(143), "{said:?}");
    assert_eq!(said.iter().filter(|line| line.contains("a record cannot be handed on")).count(), 1, "{said:?}");
    assert_eq!(stdout(&run(&["cases", "check", "--folder", &folder.text("cases")])), "2 cases, 0 problems\n");
}

#[test]
fn settings_are_checked_and_shown() {
    let folder = Folder::new();
    let good = folder.file("good.toml", b"[camera]\nexposure = 80\n[triage]\noperating_point = \"confirm\"\n");
    assert_eq!(code(&run(&["config", "check", &good])), 0);
    let shown = run(&["config", "show", &good]);
    assert_eq!(code(&shown), 0);
    assert!(stdout(&shown).contains("exposure = 80") && stdout(&shown).contains("reserve_mb = 64"));
    let again = folder.file("again.toml", &shown.stdout);
    assert_eq!(run(&["config", "show", &again]).stdout, shown.stdout);

    let bad = folder.file("bad.toml", b"[camera]\nexposure = 0\n");
    for args in [["config", "check", &bad], ["config", "show", &bad], ["config", "check", "/no/such/config.toml"]] {
        let output = run(&args);
        assert_eq!(code(&output), 2);
        assert!(String::from_utf8_lossy(&output.stderr).contains(args[2]));
    }

    // An operating point that the model lacks is a mistake. A model that is not there cannot be asked.
    let unknown = "[triage]\noperating_point = \"balancd\"\n";
    let output = run(&["config", "check", &folder.file("unknown.toml", unknown.as_bytes())]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no operating point `balancd`"));
    let elsewhere = folder.file("elsewhere.toml", format!("{unknown}model = \"/no/such/bundle\"\n").as_bytes());
    assert_eq!(code(&run(&["config", "check", &elsewhere])), 0);
}

#[test]
fn a_case_log_is_listed_and_checked_and_a_missing_one_is_named() {
    let folder = Folder::new();
    let place = folder.text("");
    for args in [&["cases", "list"][..], &["cases", "show", "1"], &["cases", "check"]] {
        let output = run(&[args, &["--folder", &place]].concat());
        assert_eq!(code(&output), 2);
        assert!(String::from_utf8_lossy(&output.stderr).contains("no case log"));
    }
    drop(xray_triage::caselog::CaseLog::open(folder.0.path()).expect("a case log"));
    let settings = folder.file("config.toml", format!("[storage]\nfolder = {place:?}\n").as_bytes());
    let list = run(&["cases", "list", "--config", &settings]);
    assert_eq!((code(&list), stdout(&list).as_str()), (0, ""));
    assert_eq!(code(&run(&["cases", "show", "1", "--folder", &place])), 2);
    assert_eq!(code(&run(&["cases", "show", "none", "--folder", &place])), 2);
    assert_eq!(stdout(&run(&["cases", "check", "--folder", &place])), "0 cases, 0 problems\n");
    folder.file("films/notes.txt", b"notes");
    let check = run(&["cases", "check", "--json", "--folder", &place]);
    assert_eq!(code(&check), 1);
    assert_eq!(records(&check)[0]["problems"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_doctor_judges_the_stored_film_and_fails_without_storage() {
    let folder = Folder::new();
    let settings = |storage: &str| format!("[storage]\nreserve_mb = 1\nfolder = {storage:?}\n");
    let config = folder.file("config.toml", settings(&folder.text("nowhere")).as_bytes());
    let output = run(&["doctor", "--json", "--config", &config]);
    assert_eq!(code(&output), 1);
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a JSON array");
    let status = |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["status"].clone());
    assert_eq!(status("storage"), Some("failed".into()));
    assert_eq!(status("model"), Some("ok".into()), "{checks:?}");
    assert_eq!(status("inference"), Some("ok".into()), "{checks:?}");
    for check in &checks {
        let wrong = ["warning", "failed"].contains(&check["status"].as_str().expect("a status"));
        assert_eq!(check.get("advice").is_some(), wrong, "{check}");
    }
}
