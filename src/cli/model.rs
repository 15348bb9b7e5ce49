//! `xray-triage model`: looks after bundles.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use xray_triage_core::pipeline::{Options, Pipeline};

use super::{Failure, load};

#[derive(Subcommand)]
pub enum ModelCommand {
    /// Check a bundle, and that its network loads; print its id and hashes.
    Verify {
        /// The bundle's folder [default: the built-in model].
        bundle: Option<PathBuf>,
    },
}

/// Does what the command says.
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
