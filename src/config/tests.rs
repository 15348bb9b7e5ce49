use std::error::Error;

use tempfile::TempDir;

use crate::ui::strings::Language;

use super::show::OPTIONAL;
use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    with_file(text, Config::read)
}

fn with_file<T>(text: &str, work: impl FnOnce(&Path) -> T) -> T {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    work(&path)
}

/// The first block of TOML in the reference.
fn documented() -> &'static str {
    let page = include_str!("../../docs/reference/config.md");
    page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

#[test]
fn the_documented_file_is_the_defaults() {
    assert_eq!(read(documented()).unwrap(), Config::default());
    assert_eq!(read("").unwrap(), Config::default());
    Config::default().check().unwrap();
}

/// With its commented entries made real ones, the documented file has every key that [`Config`] knows, and no other.
#[test]
fn the_documented_file_has_every_entry() {
    let full: String = documented()
        .lines()
        .map(|line| if line.contains(" = ") { line.trim_start_matches("# ") } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    let config = read(&full).unwrap();
    let keys = |text: &str| -> usize { text.lines().filter(|line| line.contains(" = ")).count() };
    let shown = config.to_toml().unwrap();
    assert!(!shown.contains("not set"), "{shown}");
    assert_eq!(keys(&full), keys(&shown));
    let page = include_str!("../../docs/reference/config.md");
    for (name, section) in toml::Table::try_from(&config).unwrap() {
        for key in section.as_table().unwrap().keys() {
            assert!(page.contains(&format!("| `{name}.{key}` |")), "{name}.{key}");
        }
    }
}

#[test]
fn shown_settings_are_read_back_the_same() {
    let mut config = Config::default();
    assert_eq!(read(&config.to_toml().unwrap()).unwrap(), config);
    for (_, key, _) in OPTIONAL {
        assert!(config.to_toml().unwrap().contains(&format!("# {key}: not set")), "{key}");
    }
    config.camera.exposure = Some(80);
    config.triage.model = Some("/opt/model".into());
    assert_eq!(read(&config.to_toml().unwrap()).unwrap(), config);
}

#[test]
fn unknown_and_mistyped_entries_are_named_with_their_line() {
    for (text, words) in [
        ("[camera]\nwidht = 640\n", ["widht", "line 2"]),
        ("\n[kamera]\n", ["kamera", "line 2"]),
        ("[panel]\n\nbutton = -1\n", ["-1", "line 3"]),
        ("[panel]\nbackend = \"pins\"\n", ["pins", "line 2"]),
        ("[display]\nlanguage = \"xx\"\n", ["`fr`", "line 2"]),
        ("[storage]\nfolder = 5\n", ["integer", "line 2"]),
        ("no settings", ["config.toml", "line 1"]),
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, ConfigError::Toml { .. }), "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}

#[test]
fn values_out_of_range_are_named_with_what_is_allowed() {
    for (text, key, allowed) in [
        ("[camera]\nwidth = 0", "camera.width is 0", "160 to 7680 pixels"),
        ("[camera]\nformat = 'H264'", "camera.format is \"H264\"", "MJPG, YUYV, GREY, NV12"),
        ("[camera]\nexposure = 0", "camera.exposure", "1 to 100000"),
        ("[camera]\ntimeout_s = nan", "camera.timeout_s is NaN", "0.1 to 60 seconds"),
        ("[camera]\npreview_fps = inf", "camera.preview_fps is inf", "0.1 to 30"),
        ("[camera]\ndevice = ' '", "camera.device", "some text"),
        ("[display]\ndevice = 'fb0'", "display.device is \"fb0\"", "auto"),
        ("[panel]\nready = 17", "panel.ready is 17", "another line than panel.button"),
        ("[panel]\nattention = 2000", "panel.attention is 2000", "0 to 1023"),
        ("[triage]\nprofile = 'photo'", "triage.profile is \"photo\"", "film, screen, digital, auto"),
        ("[triage]\nthreads = 65", "triage.threads is 65", "1 to 64"),
        ("[storage]\nreserve_mb = 2000000", "storage.reserve_mb", "0 to 1000000 megabytes"),
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, ConfigError::Value { .. }), "{error}");
        let error = error.to_string();
        assert!([key, allowed, "config.toml"].iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn the_display_and_panel_sections_of_a_file_that_cannot_be_used_are_taken_where_they_are_right() {
    let french = "[display]\nlanguage = 'fr'\n";
    let pins = "[panel]\nbutton = 5\n";
    for (mistake, language, button) in [
        ("[camera]\nwidht = 640\n", Language::French, 5),
        ("[camera]\nwidth = 0\n", Language::French, 5),
        ("[panel]\nbutton = 5\nready = 5\n", Language::French, 17),
        ("[panel]\nbutton = '5'\n", Language::French, 17),
        ("[display]\nlanguage = 'fr'\ndevice = 'fb0'\n", Language::English, 5),
        ("[camera\n", Language::English, 17),
    ] {
        let rest = [("[display]", french), ("[panel]", pins)].into_iter();
        let rest: String = rest.filter(|(name, _)| !mistake.contains(name)).map(|(_, section)| section).collect();
        let text = format!("{mistake}{rest}[storage]\nfolder = '/cases'\n");
        let (config, error) = with_file(&text, |path| Config::load_for_box(Some(path)));
        assert!(matches!(error, Some(ConfigError::Toml { .. } | ConfigError::Value { .. })), "{text}: {error:?}");
        assert_eq!((config.display.language, config.panel.button), (language, button), "{text}");
        assert_eq!(config.storage, StorageConfig::default(), "{text}");
    }
    let (config, error) = Config::load_for_box(Some(Path::new("/no/such/config.toml")));
    assert!(matches!(error, Some(ConfigError::Read { .. })), "{error:?}");
    assert_eq!(config, Config::default());
}

/// A pipe can be read only once.
#[test]
fn the_box_reads_its_settings_once() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("config.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, "[camera]\nwidht = 640\n[display]\nlanguage = 'fr'\n").unwrap()
    });
    let (config, error) = Config::load_for_box(Some(&pipe));
    writer.join().unwrap();
    assert!(matches!(error, Some(ConfigError::Toml { .. })), "{error:?}");
    assert_eq!(config.display.language, Language::French);
}

#[test]
fn errors_say_the_path_and_the_cause_once() {
    let nowhere = Path::new("/no/such/config.toml");
    let missing = Config::read(nowhere).unwrap_err();
    for (error, place, cause) in [
        (missing, "/no/such/config.toml", "No such file"),
        (read("[camera]\nwidht = 640\n").unwrap_err(), "config.toml: ", "unknown field"),
        (read("[camera]\nwidth = 0\n").unwrap_err(), "config.toml: ", "camera.width is 0"),
    ] {
        let words = error.to_string();
        assert_eq!((words.matches(place).count(), words.matches(cause).count()), (1, 1), "{words}");
        assert!(error.source().is_none(), "a printer that walks the chain would say its cause again: {words}");
    }
}

#[test]
fn films_are_judged_as_the_settings_say() {
    let given = read("[triage]\nprofile = 'screen'\noperating_point = 'sensitive'\nthreads = 3\n").unwrap();
    let Options { profile, operating_point, threads } = given.triage.options();
    assert_eq!((profile, operating_point.as_deref(), threads), (Some(Profile::Screen), Some("sensitive"), 3));
    let automatic = read("[triage]\nprofile = 'auto'\n").unwrap().triage.options();
    assert_eq!((automatic.profile, automatic.threads), (None, Options::default().threads));
}

#[test]
fn only_the_default_file_may_be_missing() {
    let nowhere = Path::new("/no/such/config.toml");
    assert!(matches!(Config::load(Some(nowhere)), Err(ConfigError::Read { .. })));
}
