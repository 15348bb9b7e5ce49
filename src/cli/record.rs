//! `xray-triage record`: records what the camera sends, for `run --simulate`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::camera;
use crate::config::Config;

use super::failure::Failure;

#[derive(Args)]
pub struct RecordArgs {
    /// The recording's folder. It is made if need be; a recording that is there is not overwritten.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The box's settings [default: /etc/xray-triage/config.toml if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long to record, 1 to 600 seconds.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Records, and prints how many frames there were.
pub fn run(args: &RecordArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let config = Config::load(args.config.as_deref())?;
    let frames = camera::make_recording(&config.camera, &args.folder, Duration::from_secs(args.seconds))?;
    writeln!(out, "{}: {frames} frames", args.folder.display()).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}
