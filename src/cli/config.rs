//! `xray-triage config`: checks and shows the box's settings.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Config;

use super::failure::Failure;
use super::load;

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Check a settings file.
    Check {
        /// The file [default: /etc/xray-triage/config.toml].
        file: Option<PathBuf>,
    },
    /// Print all settings, with the defaults of those that the file leaves out.
    Show {
        /// The file [default: /etc/xray-triage/config.toml, or no file if that does not exist].
        file: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(command: &ConfigCommand, out: &mut impl Write) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check { file } => {
            let path = file.as_deref().unwrap_or(Config::default_path());
            let settings = Config::read(path)?.triage;
            // A model that cannot be loaded is no mistake here: it may be on the box only, where `doctor` checks it.
            if let Ok(bundle) = load(settings.model.as_deref()) {
                bundle.manifest.rules(settings.operating_point.as_deref())?;
            }
            writeln!(out, "{}: good", path.display())
        }
        ConfigCommand::Show { file } => {
            let settings = Config::load(file.as_deref())?.to_toml().map_err(io::Error::other);
            settings.and_then(|settings| write!(out, "{settings}"))
        }
    }
    .map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}
