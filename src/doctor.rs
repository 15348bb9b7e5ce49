//! Checks whether the box can work: camera, display, button and LEDs, storage, clock, the board itself, and the model.
//!
//! Each check says what it found and, if something is wrong, what to do. It reads what the kernel shows in `/dev`, `/proc`
//! and `/sys`. It switches and writes nothing, and takes nothing from a box that is running.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::Access;
use serde::Serialize;

use crate::config::Config;

mod board;
mod camera;
mod clock;
mod display;
mod gpio;
mod model;
mod storage;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// The box works, but not as well as it could.
    Warning,
    /// The box does not work.
    Failed,
    /// There is nothing to check.
    Skipped,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The check's name.
    pub name: &'static str,
    /// How the check ended.
    pub status: Status,
    /// What was found, in words.
    pub found: String,
    /// What to do. Only a warning or a failure has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, status: Status::Ok, found: found.into(), advice: None }
    }

    fn skipped(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, status: Status::Skipped, found: found.into(), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check { name, status: Status::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn failed(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check { name, status: Status::Failed, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Makes all checks, the quick ones first. The last ones load the model and judge a film, which takes seconds, and on a
/// small board half a minute.
pub fn examine(config: &Config) -> Vec<Check> {
    let system = System { root: "/".into(), captures: camera::captures };
    let mut checks = vec![
        system.camera(&config.camera),
        system.display(&config.display),
        system.gpio(&config.panel),
        system.storage(&config.storage),
        storage::case_log(&config.storage),
        clock::clock(Timestamp::now(), &config.storage),
        system.memory(),
        board::processor(),
        system.temperature(),
        system.throttling(),
    ];
    checks.extend(model::model(&config.triage));
    checks
}

/// The machine as the kernel shows it in files.
struct System {
    /// The root of the file system, or a folder that stands in for it.
    root: PathBuf,
    /// Tells whether a video device takes pictures.
    captures: fn(&Path) -> bool,
}

impl System {
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The value in a file that has one; `None` if the file is missing or not readable.
    fn value(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_string())
    }

    /// The names in a folder, sorted; none if the folder is missing.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Returns an error if a device is missing or may not be read and written.
    fn usable(&self, device: &str) -> io::Result<()> {
        Ok(rustix::fs::access(self.path(device), Access::READ_OK | Access::WRITE_OK)?)
    }
}

#[cfg(test)]
mod tests;
