//! `xray-triage model`: checks bundles.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use xray_triage_core::pipeline::{Options, Pipeline};

use super::failure::Failure;
use super::load;

#[derive(Subcommand)]
pub enum ModelCommand {
    /// Check a bundle's hashes and that its network loads, and print its id, hash and format.
    Verify {
        /// The bundle's folder [default: the built-in model].
        bundle: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(command: &ModelCommand, out: &mut impl Write) -> Result<ExitCode, Failure> {
    match command {
        ModelCommand::Verify { bundle } => verify(bundle.as_deref(), out),
    }
}

fn verify(dir: Option<&Path>, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let bundle = load(dir)?;
    Pipeline::new(&bundle, &Options { threads: 1, ..Options::default() })?;
    let manifest = &bundle.manifest;
    writeln!(out, "id {}\nsha256 {}\nformat {}", manifest.id, manifest.sha256, manifest.format_version)
        .map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}
