//! `xray-triage config`: looks at the box's settings.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, load};
use crate::config::Config;

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Check a settings file; says nothing more than that it is good.
    Check {
        /// The file [default: /etc/xray-triage/config.toml].
        file: Option<PathBuf>,
    },
    /// Print the settings that hold, those left out of the file, too.
    Show {
        /// The file [default: /etc/xray-triage/config.toml; the defaults if that is not there].
        file: Option<PathBuf>,
    },
}

/// Does what the command says.
pub fn run(command: &ConfigCommand, out: &mut impl Write) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check { file } => {
            let path = file.as_deref().unwrap_or(Config::default_path());
            let settings = Config::read(path)?.triage;
            // Whether the model itself can be used is for `doctor` to say: it may be on the box only.
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
