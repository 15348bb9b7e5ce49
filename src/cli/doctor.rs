//! `xray-triage doctor`: looks whether the box can work.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{FINDINGS, Failure, print_json};
use crate::config::Config;
use crate::doctor::{self, Check, Status};

#[derive(Args)]
pub struct DoctorArgs {
    /// The box's settings [default: /etc/xray-triage/config.toml; the defaults if that is not there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a JSON array with an object a check.
    #[arg(long)]
    json: bool,
}

/// Makes every check and prints what it found.
pub fn run(args: &DoctorArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let checks = doctor::examine(&Config::load(args.config.as_deref())?);
    if args.json { print_json(&checks, out) } else { table(&checks, out) }.map_err(Failure::Stdout)?;
    let failed = checks.iter().any(|check| check.status == Status::Failed);
    Ok(if failed { FINDINGS.into() } else { ExitCode::SUCCESS })
}

fn table(checks: &[Check], out: &mut impl Write) -> io::Result<()> {
    for Check { name, status, found, advice } in checks {
        let word = match status {
            Status::Ok => "ok",
            Status::Warning => "WARNING",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
        };
        writeln!(out, "{name:<12} {word:<8} {found}")?;
        if let Some(advice) = advice {
            writeln!(out, "{:<21} {advice}", "")?;
        }
    }
    let count = |wanted| checks.iter().filter(|check| check.status == wanted).count();
    writeln!(out, "{} failed, {} warnings", count(Status::Failed), count(Status::Warning))
}
