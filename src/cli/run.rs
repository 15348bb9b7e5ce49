//! `xray-triage run`: the box.

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

use super::simulation::Simulation;
use super::{Failure, load, print, print_json};

/// Exit code of a box that a signal ended, before the signal's number is added, as shells count. It must not be 0: the
/// service switches the board off then.
const ENDED_BY_SIGNAL: u8 = 128;

#[derive(Args)]
pub struct RunArgs {
    /// The box's settings [default: /etc/xray-triage/config.toml where it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    simulation: Simulation,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Is the box until it is switched off. Settings that cannot be used are a fault that the box shows until it is ended, by
/// what can be read of them: who stands at the light box sees no log.
pub fn run(args: &RunArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let (mut config, unusable) = match Config::load(args.config.as_deref()) {
        Ok(config) => (config, None),
        Err(error) => (Config::legible(args.config.as_deref()), Some(error)),
    };
    let hardware = match args.simulation.folder() {
        Some(folder) => {
            config.storage.folder = folder.join("cases");
            args.simulation.hardware(folder)?
        }
        None => real(&config),
    };
    // What cannot be loaded or opened is a fault of the box, which it shows.
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
        if args.json { print_json(record, out) } else { print(record, out) }.and_then(|()| out.flush())
    };
    let judge = move || Pipeline::new(&bundle?, &options);
    let ending = appliance::run(hardware, open_cases, &behaviour, judge, report)?;
    match (ending, unusable) {
        (Ending::Signal(signal), _) => Ok(ExitCode::from(ENDED_BY_SIGNAL + signal as u8)),
        (Ending::SwitchedOff, None) => Ok(ExitCode::SUCCESS),
        (Ending::SwitchedOff, Some(error)) => Err(error.into()),
    }
}

fn real(config: &Config) -> Hardware {
    let (button, leds) = gpio::open(&config.panel).unwrap_or_else(gpio::unusable);
    Hardware { camera: camera::open(&config.camera), display: display::open(&config.display), button, leds }
}
