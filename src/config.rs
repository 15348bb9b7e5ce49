//! The box's settings, from a TOML file: every entry has a default, and an unknown one is an error.

use std::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::Options;

use crate::camera::{CameraConfig, FORMATS};
use crate::caselog::StorageConfig;
use crate::display::DisplayConfig;
use crate::gpio::GpioConfig;

/// Sides of a camera's frame, pixels. Films below 160 are refused; above, one frame would take tens of megabytes.
const SIDE: RangeInclusive<u32> = 160..=7680;
/// Exposure time, 100 microseconds: up to 10 s.
const EXPOSURE: RangeInclusive<u32> = 1..=100_000;
/// White balance, kelvin: candle light to open shade and something to spare.
const WHITE_BALANCE: RangeInclusive<u32> = 1000..=15_000;
/// Focus, the camera's own units.
const FOCUS: RangeInclusive<u32> = 0..=65_535;
/// Seconds a frame may take.
const TIMEOUT: RangeInclusive<f64> = 0.1..=60.0;
/// Frames a second of the preview.
const PREVIEW: RangeInclusive<f64> = 0.1..=30.0;
/// GPIO lines.
const LINE: RangeInclusive<u32> = 0..=1023;
/// Threads of the network.
const THREADS: RangeInclusive<u8> = 1..=64;
/// Free space to keep, megabytes: up to 1 TB.
const RESERVE: RangeInclusive<u64> = 0..=1_000_000;
/// Entries that have no value unless one is given: section, key, and what holds without.
const OPTIONAL: [(&str, &str, &str); 7] = [
    ("camera", "format", "the camera's best"),
    ("camera", "exposure", "automatic"),
    ("camera", "white_balance", "automatic"),
    ("camera", "focus", "automatic"),
    ("triage", "operating_point", "the model's default one"),
    ("triage", "model", "the built-in model"),
    ("triage", "threads", "one a processor"),
];

/// All settings of `xray-triage run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub camera: CameraConfig,
    pub display: DisplayConfig,
    pub panel: GpioConfig,
    pub triage: TriageConfig,
    pub storage: StorageConfig,
}

/// Why a settings file is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}. Check its name and permissions, or name another settings file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is no TOML, or has an entry that is unknown or of the wrong type.
    #[error("{}: {message}Correct the file; docs/reference/config.md lists the entries", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The parser's message with line and column.
        message: String,
    },
    /// An entry has a value that cannot be used.
    #[error("{}: {fault}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which entry, and what it may be.
        fault: Fault,
    },
}

/// An entry whose value cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The entry, with a dot between section and key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but must be {}", self.key, self.value, self.allowed)
    }
}

impl Config {
    /// Where the settings are if no other file is named.
    pub fn default_path() -> &'static Path {
        Path::new("/etc/xray-triage/config.toml")
    }

    /// The settings of `file`; without one those of [`Config::default_path`], or the defaults if it is not there.
    ///
    /// # Errors
    /// See [`Config::read`].
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        match (file, Config::read(file.unwrap_or(Config::default_path()))) {
            (None, Err(ConfigError::Read { source, .. })) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Config::default())
            }
            (_, read) => read,
        }
    }

    /// Reads and checks a settings file. What it does not say has its default.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or has an entry that is unknown, of the wrong type or out of range.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let config: Config = toml::from_str(&text)
            .map_err(|error| ConfigError::Toml { path: path.into(), message: error.to_string() })?;
        config.check().map_err(|fault| ConfigError::Value { path: path.into(), fault })?;
        Ok(config)
    }

    /// What the fault is to be shown by if a settings file cannot be used: its display and its panel, each where that
    /// section is right, since the box is wired so whatever else the file says. All other settings are the defaults.
    pub fn legible(file: Option<&Path>) -> Config {
        let text = fs::read_to_string(file.unwrap_or(Config::default_path())).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let right = |config: Config| if config.check().is_ok() { config } else { Config::default() };
        Config {
            display: right(Config { display: section(&table, "display"), ..Config::default() }).display,
            panel: right(Config { panel: section(&table, "panel"), ..Config::default() }).panel,
            ..Config::default()
        }
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first entry that cannot be used.
    pub fn check(&self) -> Result<(), Fault> {
        let Config { camera, display, panel, triage, storage } = self;
        filled("camera.device", &camera.device)?;
        within("camera.width", Some(camera.width), &SIDE, "pixels")?;
        within("camera.height", Some(camera.height), &SIDE, "pixels")?;
        if let Some(format) = &camera.format {
            one_of("camera.format", format, &FORMATS.map(|known| str::from_utf8(known).unwrap_or_default()))?;
        }
        within("camera.exposure", camera.exposure, &EXPOSURE, "times 100 microseconds")?;
        within("camera.white_balance", camera.white_balance, &WHITE_BALANCE, "kelvin")?;
        within("camera.focus", camera.focus, &FOCUS, "units of the camera")?;
        within("camera.timeout_s", Some(camera.timeout_s), &TIMEOUT, "seconds")?;
        within("camera.preview_fps", Some(camera.preview_fps), &PREVIEW, "frames a second")?;

        let device = display.device.as_str();
        let known = ["auto", "none"].contains(&device) || device.starts_with('/');
        require(known, "display.device", device, "\"auto\", \"none\" or a device's path such as \"/dev/fb0\"")?;

        filled("panel.chip", &panel.chip.to_string_lossy())?;
        let lines =
            [("panel.button", panel.button), ("panel.ready", panel.ready), ("panel.attention", panel.attention)];
        for (place, &(key, line)) in lines.iter().enumerate() {
            within(key, Some(line), &LINE, "")?;
            if let Some((other, _)) = lines[..place].iter().find(|(_, taken)| *taken == line) {
                return Err(Fault { key, value: line.to_string(), allowed: format!("another line than {other}") });
            }
        }

        let profiles = Profile::ALL.map(Profile::name);
        one_of("triage.profile", &triage.profile, &[&profiles[..], &["auto"]].concat())?;
        if let Some(name) = &triage.operating_point {
            filled("triage.operating_point", name)?;
        }
        if let Some(model) = &triage.model {
            filled("triage.model", &model.to_string_lossy())?;
        }
        within("triage.threads", triage.threads, &THREADS, "")?;

        filled("storage.folder", &storage.folder.to_string_lossy())?;
        within("storage.reserve_mb", Some(storage.reserve_mb), &RESERVE, "megabytes")
    }

    /// The settings as a file that [`Config::read`] takes, every entry in it; those without a value as comments.
    ///
    /// # Errors
    /// A path is not Unicode, which no path from a file is.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let table = toml::Table::try_from(self)?;
        let mut sections = Vec::new();
        for (name, section) in &table {
            let unset = OPTIONAL
                .iter()
                .filter(|(owner, key, _)| owner == name && section.get(key).is_none())
                .map(|(_, key, without)| format!("# {key}: not set, {without}\n"));
            sections.push(format!("[{name}]\n{}{}", toml::to_string(section)?, unset.collect::<String>()));
        }
        Ok(sections.join("\n"))
    }
}

/// A section of a file, or the default of one that is not there or not right.
fn section<T: Default + DeserializeOwned>(table: &toml::Table, name: &str) -> T {
    table.get(name).and_then(|section| section.clone().try_into().ok()).unwrap_or_default()
}

fn require(right: bool, key: &'static str, value: &str, allowed: &str) -> Result<(), Fault> {
    if right { Ok(()) } else { Err(Fault { key, value: format!("{value:?}"), allowed: allowed.into() }) }
}

fn filled(key: &'static str, value: &str) -> Result<(), Fault> {
    require(!value.trim().is_empty(), key, value, "some text")
}

fn one_of(key: &'static str, value: &str, names: &[&str]) -> Result<(), Fault> {
    require(names.contains(&value), key, value, &format!("one of {}", names.join(", ")))
}

/// A value that is no number (NaN) is in no range.
fn within<T: PartialOrd + fmt::Display>(
    key: &'static str,
    value: Option<T>,
    range: &RangeInclusive<T>,
    unit: &str,
) -> Result<(), Fault> {
    match value {
        Some(value) if !range.contains(&value) => {
            let allowed = format!("{} to {} {unit}", range.start(), range.end());
            Err(Fault { key, value: value.to_string(), allowed: allowed.trim_end().into() })
        }
        _ => Ok(()),
    }
}

/// How films are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TriageConfig {
    /// How the pictures are taken: `film`, `screen`, `digital` or `auto`.
    pub profile: String,
    /// The operating point; the model's default one without.
    pub operating_point: Option<String>,
    /// The model bundle's folder; the built-in model without.
    pub model: Option<PathBuf>,
    /// Threads for the network, 1 to 64; one a processor without.
    pub threads: Option<u8>,
}

impl Default for TriageConfig {
    fn default() -> Self {
        TriageConfig { profile: "film".into(), operating_point: None, model: None, threads: None }
    }
}

impl TriageConfig {
    /// The settings as the judgement takes them; the model is [`TriageConfig::model`].
    pub fn options(&self) -> Options {
        Options {
            profile: Profile::named(&self.profile),
            operating_point: self.operating_point.clone(),
            threads: self.threads.map_or(Options::default().threads, usize::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use crate::ui::strings::Language;

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
        let page = include_str!("../docs/reference/config.md");
        page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
    }

    #[test]
    fn the_documented_file_is_the_defaults() {
        assert_eq!(read(documented()).unwrap(), Config::default());
        assert_eq!(read("").unwrap(), Config::default());
        Config::default().check().unwrap();
    }

    /// With its comments made entries the documented file has every key, so it is what [`Config`] knows and no more.
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
        let page = include_str!("../docs/reference/config.md");
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
    fn of_a_file_that_cannot_be_used_the_sections_that_are_right_show_so() {
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
            assert!(read(&text).is_err(), "{text}");
            let config = with_file(&text, |path| Config::legible(Some(path)));
            assert_eq!((config.display.language, config.panel.button), (language, button), "{text}");
            assert_eq!(config.storage, StorageConfig::default(), "{text}");
        }
        assert_eq!(Config::legible(Some(Path::new("/no/such/config.toml"))), Config::default());
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
}
