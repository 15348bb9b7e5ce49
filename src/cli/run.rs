//! `xray-triage run`: runs the box.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use xray_triage_core::pipeline::Pipeline;
use xray_triage_core::record::Record;

use crate::appliance::{self, Behaviour, Ending, Hardware};
use crate::camera;
use crate::caselog::CaseLog;
use crate::config::Config;
use crate::display;
use crate::gpio;

use super::failure::Failure;
use super::load;
use super::output::{print_json, print_record};
use super::simulation::Simulation;

/// Exit code of a box that a signal ended, to which the signal's number is added, as shells do. It must not be 0, on which
/// the service switches the board off.
const ENDED_BY_SIGNAL: u8 = 128;

#[derive(Args)]
pub struct RunArgs {
    /// The box's settings [default: /etc/xray-triage/config.toml if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    simulation: Simulation,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Runs the box until it is switched off or ended. Settings that cannot be used are a fault that the box shows until it is
/// ended, since nobody at the light box sees a log.
pub fn run(args: &RunArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let (mut config, unusable) = Config::load_for_box(args.config.as_deref());
    let hardware = match args.simulation.folder() {
        Some(folder) => {
            config.storage.folder = folder.join("cases");
            args.simulation.hardware(folder)?
        }
        None => real(&config),
    };
    // A bundle that cannot be loaded is a fault that the box shows.
    let bundle = load(config.triage.model.as_deref());
    let options = config.triage.options();
    let behaviour = Behaviour {
        language: config.display.language,
        preview_fps: config.camera.preview_fps,
        camera_timeout: Duration::from_secs_f64(config.camera.timeout_s),
        profile: options.profile,
        reserve_mb: config.storage.reserve_mb,
        model: bundle.as_ref().map_or("-", |bundle| &bundle.manifest.id).into(),
        settings_fault: unusable.as_ref().map(ToString::to_string),
    };
    let open_cases = || CaseLog::open(&config.storage.folder);
    let report = |record: &Record| {
        if args.json { print_json(record, out) } else { print_record(record, out) }.and_then(|()| out.flush())
    };
    let judge = move || Pipeline::new(&bundle?, &options);
    let ending = appliance::run(hardware, open_cases, &behaviour, judge, report).map_err(Failure::Appliance)?;
    match (ending, unusable) {
        (Ending::Signal(signal), _) => Ok(ExitCode::from(ENDED_BY_SIGNAL + signal as u8)),
        (Ending::SwitchedOff, None) => Ok(ExitCode::SUCCESS),
        (Ending::SwitchedOff, Some(error)) => Err(error.into()),
    }
}

/// The hardware that the settings name; a part that cannot be opened is a fault that the box shows.
fn real(config: &Config) -> Hardware {
    let (button, leds) = gpio::open(&config.panel).unwrap_or_else(gpio::unusable);
    Hardware { camera: camera::open(&config.camera), display: display::open(&config.display), button, leds }
}
