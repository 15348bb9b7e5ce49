//! The Debian package's settings file.

use std::path::Path;

use xray_triage::config::Config;

const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");

#[test]
fn the_packaged_settings_are_the_defaults() {
    assert_eq!(Config::read(Path::new(SETTINGS)).expect("the settings are read"), Config::default());
}

#[test]
fn every_setting_stands_there_with_its_default() {
    let packaged = std::fs::read_to_string(SETTINGS).expect("the settings are read");
    // A setting is commented out without a space, a comment has one.
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
    // The entries that have no default stand there as examples.
    let triage = all.triage;
    assert!(triage.model.is_some() && triage.operating_point.is_some() && triage.threads.is_some());
    let camera = all.camera;
    assert!(camera.exposure.is_some() && camera.white_balance.is_some() && camera.focus.is_some());
}

fn strip_setting(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line)
}
