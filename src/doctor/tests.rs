use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};

use image::GrayImage;
use tempfile::TempDir;
use xray_triage_core::decision::Outcome;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::record::{ModelName, Record};

use crate::camera::CameraConfig;
use crate::caselog::{CaseLog, StorageConfig};
use crate::config::TriageConfig;
use crate::display::DisplayConfig;
use crate::gpio::{GpioBackend, GpioConfig};

use super::clock::clock;
use super::model::{FILM, KNOWN, model};
use super::storage::{FILES_READ, case_log};
use super::*;

/// A system whose root is a new folder with these files.
fn system(files: &[(&str, &str)]) -> (TempDir, System) {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let system = System { root: folder.path().into(), captures: |node| !node.ends_with("video2") };
    (folder, system)
}

/// The assessment of a small film that was refused.
fn refused() -> Assessment {
    let record = Record {
        file: "/dev/video0".into(),
        outcome: Outcome::Refused,
        top: None,
        probabilities: None,
        reasons: vec!["too_small"],
        advice: vec![],
        error: None,
        quality: None,
        ood_score: None,
        profile: None,
        operating_point: None,
        thresholds: None,
        model: ModelName { id: "test-model".into(), sha256: "0".repeat(64) },
        outline: None,
        timings_ms: BTreeMap::new(),
        version: env!("CARGO_PKG_VERSION"),
    };
    Assessment { record, picture: Some(GrayImage::new(4, 3)), cam: None }
}

#[test]
fn the_known_model_is_the_built_in_one() {
    assert_eq!(
        crate::embedded_model::bundle().unwrap().manifest.sha256,
        KNOWN.0,
        "the model changed: judge the stored film with the new one, and write down hash and answer"
    );
    image_file::decode(FILM).unwrap();
}

#[test]
fn a_missing_camera_fails_and_names_those_there() {
    let (_folder, system) =
        system(&[("/dev/video2", ""), ("/sys/class/video4linux/video2/name", "Light box camera\n")]);
    let check = system.camera(&CameraConfig::default());
    assert_eq!(check.status, Status::Failed);
    assert!(check.found.contains("/dev/video0") && check.found.contains("/dev/video2 (Light box camera)"), "{check:?}");
    // The camera is found by its name. The stand-in is an ordinary file, so it cannot be a usable camera.
    let by_name = CameraConfig { device: "Light box camera".into(), ..Default::default() };
    let check = system.camera(&by_name);
    assert!(check.found.starts_with("/dev/video2 (Light box camera)"), "{check:?}");
    assert_ne!(check.status, Status::Ok);
}

#[test]
fn a_name_is_the_first_node_of_its_card_that_takes_pictures() {
    let card = "Light box camera";
    let nodes = |numbers: &[u32]| -> (TempDir, System) {
        let files: Vec<(String, &str)> = numbers
            .iter()
            .flat_map(|number| {
                [(format!("/sys/class/video4linux/video{number}/name"), card), (format!("/dev/video{number}"), "")]
            })
            .collect();
        system(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
    };
    let by_name = CameraConfig { device: card.into(), ..Default::default() };
    // Among these stand-ins only video2 takes no pictures.
    for (numbers, found) in [(&[10, 3][..], "/dev/video3 "), (&[10, 2], "/dev/video10 "), (&[2], "/dev/video2 ")] {
        let (_folder, system) = nodes(numbers);
        let check = system.camera(&by_name);
        assert!(check.found.starts_with(found), "{check:?}");
    }
    let (_folder, system) = nodes(&[10, 2, 1]);
    let other = CameraConfig { device: "/dev/video7".into(), ..Default::default() };
    let listed = "/dev/video1 (Light box camera), /dev/video2 (Light box camera), /dev/video10 (Light box camera)";
    assert!(system.camera(&other).found.ends_with(listed));
}

#[test]
fn displays_are_described_and_a_missing_one_is_a_warning() {
    let auto = DisplayConfig::default();
    let (_folder, none) = system(&[]);
    assert_eq!(none.display(&auto).status, Status::Warning);
    let off = DisplayConfig { device: "none".into(), ..auto.clone() };
    assert_eq!(none.display(&off).status, Status::Skipped);

    let frame_buffer = [
        ("/dev/fb0", ""),
        ("/sys/class/graphics/fb0/name", "simple\n"),
        ("/sys/class/graphics/fb0/virtual_size", "800,480\n"),
        ("/sys/class/graphics/fb0/bits_per_pixel", "16\n"),
    ];
    let (_folder, fb) = system(&frame_buffer);
    assert_eq!(fb.display(&auto), Check::ok("display", "/dev/fb0 (simple): 800,480 pixels, 16 bits"));

    let connectors = [
        ("/dev/dri/card0", ""),
        ("/sys/class/drm/card0/dev", "226:0\n"),
        ("/sys/class/drm/card0-HDMI-A-1/status", "disconnected\n"),
        ("/sys/class/drm/card0-HDMI-A-2/status", "connected\n"),
        ("/sys/class/drm/card0-HDMI-A-2/modes", "1280x720\n640x480\n"),
    ];
    let (_folder, drm) = system(&connectors);
    assert_eq!(drm.display(&auto), Check::ok("display", "card0-HDMI-A-2: 1280x720 pixels"));
    let named = |device: &str| DisplayConfig { device: device.into(), ..DisplayConfig::default() };
    let by_path = "/dev/dri/by-path/platform-gpu-card";
    fs::create_dir(drm.path("/dev/dri/by-path")).unwrap();
    symlink("../card0", drm.path(by_path)).unwrap();
    for device in ["/dev/dri/card0", by_path] {
        assert_eq!(drm.display(&named(device)), Check::ok("display", "card0-HDMI-A-2: 1280x720 pixels"));
    }
    fs::write(drm.path("/sys/class/drm/card0-HDMI-A-2/status"), "disconnected\n").unwrap();
    for device in ["/dev/dri/card0", by_path] {
        let check = drm.display(&named(device));
        assert_eq!((check.status, check.found), (Status::Warning, format!("{device}: nothing connected")));
        assert!(check.advice.is_some());
    }
}

#[test]
fn a_raspberry_pi_needs_its_registers_and_other_boards_need_the_chip() {
    let panel = GpioConfig::default();
    let model = ("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0");
    let (_folder, pi) = system(&[model, ("/dev/gpiomem", "")]);
    let check = pi.gpio(&panel);
    assert_eq!(check.status, Status::Ok);
    assert!(check.found.contains("/dev/gpiomem") && check.found.contains("Raspberry Pi 4"), "{check:?}");
    let (_folder, without) = system(&[model]);
    let check = without.gpio(&panel);
    assert_eq!(check.status, Status::Failed);
    assert!(check.found.contains("there is no GPIO chip"), "{check:?}");
    let registers = GpioConfig { backend: GpioBackend::Rppal, ..panel.clone() };
    assert!(without.gpio(&registers).found.contains("no usable /dev/gpiomem"));

    // A board that rppal does not know gets the chip, though it has registers for its pins.
    let unknown = ("/proc/device-tree/model", "Raspberry Pi 6 Model B Rev 1.0\0");
    let (_folder, unknown) = system(&[unknown, ("/dev/gpiomem", "")]);
    let check = unknown.gpio(&panel);
    assert!(check.found.contains("/dev/gpiochip0") && !check.found.contains("gpiomem"), "{check:?}");

    let (_folder, other) = system(&[("/dev/gpiochip1", "")]);
    let check = other.gpio(&panel);
    assert_eq!(check.status, Status::Failed);
    assert!(check.found.contains("there is gpiochip1"), "{check:?}");
}

#[test]
fn little_memory_heat_and_throttling_are_warnings() {
    let sick = [
        ("/proc/meminfo", "MemTotal:         948000 kB\nMemFree: 1 kB\nMemAvailable:     100000 kB\n"),
        ("/sys/class/thermal/thermal_zone0/temp", "41000\n"),
        ("/sys/class/thermal/thermal_zone1/temp", "81250\n"),
        ("/sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
    ];
    let (_folder, board) = system(&sick);
    for (check, found) in [
        (board.memory(), "102 of 970 MB available"),
        (board.temperature(), "81 °C"),
        (
            board.throttling(),
            "under-voltage now, throttled now, under-voltage since the start, throttled since the start",
        ),
    ] {
        assert_eq!((check.status, check.found.as_str()), (Status::Warning, found));
        assert!(check.advice.is_some());
    }
    let well = [
        ("/proc/meminfo", "MemTotal: 948000 kB\nMemAvailable: 700000 kB\n"),
        ("/sys/class/thermal/thermal_zone0/temp", "41000\n"),
        ("/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
    ];
    let (_folder, board) = system(&well);
    assert!([board.memory(), board.temperature(), board.throttling()].iter().all(|check| check.status == Status::Ok));
    let (_folder, bare) = system(&[]);
    assert!([bare.memory(), bare.temperature(), bare.throttling()].iter().all(|c| c.status == Status::Skipped));
}

#[test]
fn storage_needs_a_folder_and_room() {
    let (_root, system) = system(&[]);
    let folder = TempDir::new().unwrap();
    let mut config = StorageConfig { folder: folder.path().into(), reserve_mb: 0 };
    assert_eq!(system.storage(&config).status, Status::Ok);
    assert_eq!(case_log(&config).status, Status::Skipped);
    CaseLog::open(folder.path()).unwrap();
    assert_eq!(case_log(&config), Check::ok("case log", "0 cases, whole"));
    fs::write(folder.path().join("films/000007.plate.png"), b"").unwrap();
    assert_eq!(case_log(&config).status, Status::Failed);
    config.reserve_mb = u64::MAX;
    assert_eq!(system.storage(&config).status, Status::Failed);
    config.folder = folder.path().join("nowhere");
    assert_eq!(system.storage(&config).status, Status::Failed);
}

#[test]
fn errors_of_the_file_system_are_a_warning() {
    let folder = TempDir::new().unwrap();
    let config = StorageConfig { folder: folder.path().into(), reserve_mb: 0 };
    let device = fs::metadata(folder.path()).unwrap().dev();
    let block = format!("/sys/dev/block/{}:{}/uevent", rustix::fs::major(device), rustix::fs::minor(device));
    let event = "MAJOR=179\nMINOR=2\nDEVNAME=mmcblk0p2\nDEVTYPE=partition\n";
    for (errors, status) in [("0\n", Status::Ok), ("3\n", Status::Warning), ("", Status::Ok)] {
        let (_root, system) = system(&[(&block, event), ("/sys/fs/ext4/mmcblk0p2/errors_count", errors)]);
        let check = system.storage(&config);
        assert_eq!(
            (check.status, check.found.contains(", 3 errors")),
            (status, status == Status::Warning),
            "{check:?}"
        );
    }
}

#[test]
fn only_the_newest_cases_files_are_read() {
    let folder = TempDir::new().unwrap();
    let config = StorageConfig { folder: folder.path().into(), reserve_mb: 0 };
    let mut log = CaseLog::open(folder.path()).unwrap();
    for _ in 0..=FILES_READ {
        log.add(&refused(), Timestamp::UNIX_EPOCH).unwrap();
    }
    let found = format!("{} cases, whole (files read of the newest {FILES_READ})", FILES_READ + 1);
    assert_eq!(case_log(&config), Check::ok("case log", found.clone()));
    let film = |number: usize| folder.path().join(format!("films/{number:06}.plate.png"));
    fs::write(film(1), "no picture").unwrap();
    assert_eq!(case_log(&config), Check::ok("case log", found), "the oldest is only looked for");
    fs::remove_file(film(1)).unwrap();
    assert_eq!(case_log(&config).status, Status::Failed);
    fs::write(film(1), "no picture").unwrap();
    fs::write(film(2), "no picture").unwrap();
    assert_eq!(case_log(&config).status, Status::Failed);
}

#[test]
fn a_clock_that_was_never_set_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let storage = StorageConfig { folder: folder.path().into(), reserve_mb: 0 };
    assert_eq!(clock(Timestamp::UNIX_EPOCH, &storage).status, Status::Warning);
    assert_eq!(clock(Timestamp::constant(2_529_748_800, 0), &storage), Check::ok("clock", "2050-03-01T12:00:00Z"));
}

#[test]
fn a_broken_bundle_fails_and_there_is_no_inference() {
    let folder = TempDir::new().unwrap();
    let config = TriageConfig { model: Some(folder.path().into()), ..Default::default() };
    let checks = model(&config);
    let statuses: Vec<(&str, Status)> = checks.iter().map(|check| (check.name, check.status)).collect();
    assert_eq!(statuses, [("model", Status::Failed), ("inference", Status::Skipped)]);
}
