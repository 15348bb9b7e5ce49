//! The box's settings, from a TOML file. Every entry has a default, and an unknown entry is an error.
//!
//! Each section's type stands with the part that it sets up. Here they are loaded, checked and shown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::Options;

use crate::camera::CameraConfig;
use crate::caselog::StorageConfig;
use crate::display::DisplayConfig;
use crate::gpio::GpioConfig;

mod check;
mod show;

pub use check::InvalidValue;

/// All settings of `xray-triage run`, one field for each section of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The camera, and how it takes pictures.
    pub camera: CameraConfig,
    /// The display, and its language.
    pub display: DisplayConfig,
    /// The GPIO lines of the button and the LEDs. The file calls this section `panel`.
    pub panel: GpioConfig,
    /// The model, and how films are judged.
    pub triage: TriageConfig,
    /// The case log.
    pub storage: StorageConfig,
}

/// How films are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TriageConfig {
    /// How the pictures are taken: `film`, `screen`, `digital` or `auto`.
    pub profile: String,
    /// The operating point's name; `None` takes the model's default one.
    pub operating_point: Option<String>,
    /// The model bundle's folder; `None` takes the built-in model.
    pub model: Option<PathBuf>,
    /// Threads for the network, 1 to 64; `None` takes one for each processor.
    pub threads: Option<u8>,
}

impl Default for TriageConfig {
    fn default() -> Self {
        TriageConfig { profile: "film".into(), operating_point: None, model: None, threads: None }
    }
}

impl TriageConfig {
    /// The settings as the pipeline takes them, all but [`TriageConfig::model`].
    pub fn options(&self) -> Options {
        Options {
            profile: Profile::named(&self.profile),
            operating_point: self.operating_point.clone(),
            threads: self.threads.map_or(Options::default().threads, usize::from),
        }
    }
}

/// Why a settings file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}. Check its name and permissions, or name another settings file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file is not TOML, or it has an entry that is unknown or of the wrong type.
    #[error("{}: {message}. Correct the file; docs/reference/config.md lists the entries", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The parser's message with line and column.
        message: String,
    },
    /// An entry has a value that cannot be used.
    #[error("{}: {invalid}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The entry, and which values it may have.
        invalid: InvalidValue,
    },
}

impl Config {
    /// The settings file that is read if no other is named.
    pub fn default_path() -> &'static Path {
        Path::new("/etc/xray-triage/config.toml")
    }

    /// Reads and checks the settings of `file`. Without a name it reads [`Config::default_path`], and returns the defaults
    /// if that file does not exist.
    ///
    /// # Errors
    /// The same as those of [`Config::read`].
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let (path, text) = read_text(file)?;
        Config::parse(path, &text)
    }

    /// Loads the settings as [`Config::load`] does. If they cannot be used, it returns the error and the settings by which
    /// the box can show it.
    ///
    /// Those have the file's sections `display` and `panel`, each where it is right by itself, since the box is wired so
    /// whatever the rest of the file says. Everything else has its default.
    pub fn load_for_box(file: Option<&Path>) -> (Config, Option<ConfigError>) {
        let (path, text) = match read_text(file) {
            Ok(read) => read,
            Err(error) => return (Config::default(), Some(error)),
        };
        match Config::parse(path, &text) {
            Ok(config) => (config, None),
            Err(error) => (Config::display_and_panel(&text), Some(error)),
        }
    }

    /// Reads and checks a settings file. What it does not say has its default.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has an entry that is unknown, of the wrong type or out of range.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        Config::load(Some(path))
    }

    /// The settings that `text` has; errors name `path`.
    fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text)
            .map_err(|error| ConfigError::Toml { path: path.into(), message: error.to_string().trim_end().into() })?;
        config.check().map_err(|invalid| ConfigError::Value { path: path.into(), invalid })?;
        Ok(config)
    }

    /// The sections `display` and `panel` of a text that cannot be used as a whole, each where it is right by itself.
    fn display_and_panel(text: &str) -> Config {
        let table: toml::Table = text.parse().unwrap_or_default();
        let checked = |config: Config| if config.check().is_ok() { config } else { Config::default() };
        Config {
            display: checked(Config { display: section(&table, "display"), ..Config::default() }).display,
            panel: checked(Config { panel: section(&table, "panel"), ..Config::default() }).panel,
            ..Config::default()
        }
    }
}

/// The path and text of a settings file; without a name those of the default file, whose text is empty if it is missing.
fn read_text(file: Option<&Path>) -> Result<(&Path, String), ConfigError> {
    let path = file.unwrap_or(Config::default_path());
    match fs::read_to_string(path) {
        Ok(text) => Ok((path, text)),
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => Ok((path, String::new())),
        Err(cause) => Err(ConfigError::Read { path: path.into(), cause }),
    }
}

/// A section of a file; its default if it is missing or not right.
fn section<T: Default + DeserializeOwned>(table: &toml::Table, name: &str) -> T {
    table.get(name).and_then(|section| section.clone().try_into().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
