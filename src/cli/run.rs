//! `xray-triage run`: the box.

use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{CAM_ENDING, Failure, load, pictures, print, print_json};
use crate::appliance::{self, Behaviour, Ending, Hardware};
use crate::camera::{self, SimulatedCamera};
use crate::caselog::CaseLog;
use crate::config::Config;
use crate::display::{self, SimulatedDisplay};
use crate::panel;
use crate::pipeline::{Record, Triage};

/// Exit code of a box that a signal ended, before the signal's number is added, as shells count. It must not be 0: the
/// service switches the board off then.
const ENDED_BY_SIGNAL: u8 = 128;
/// What the simulated display is taken for, pixels: a common small HDMI one.
const SIMULATED_DISPLAY: (u32, u32) = (800, 480);

#[derive(Args)]
pub struct RunArgs {
    /// The box's settings [default: /etc/xray-triage/config.toml where it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// No hardware: this folder's pictures in turn for the camera, screen.cam.png in it for the display, the Enter key
    /// for the button, the log (-v) for the LEDs, and the folder cases in it for the case log.
    #[arg(long, value_name = "DIR")]
    simulate: Option<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Is the box until it is switched off.
pub fn run(args: &RunArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let mut config = Config::load(args.config.as_deref())?;
    let hardware = match &args.simulate {
        Some(folder) => {
            config.storage.folder = folder.join("cases");
            simulated(folder)?
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
    };
    let open_cases = || CaseLog::open(&config.storage.folder);
    let report = |record: &Record| {
        if args.json { print_json(record, out) } else { print(record, out) }.and_then(|()| out.flush())
    };
    let judge = || Triage::new(&bundle?, &options);
    let ending = appliance::run(hardware, open_cases, &behaviour, judge, report)?;
    Ok(match ending {
        Ending::SwitchedOff => ExitCode::SUCCESS,
        Ending::Signal(signal) => ExitCode::from(ENDED_BY_SIGNAL + signal as u8),
    })
}

fn real(config: &Config) -> Hardware {
    let (button, leds) = panel::open(&config.panel).unwrap_or_else(panel::unusable);
    Hardware { camera: camera::open(&config.camera), display: display::open(&config.display), button, leds }
}

fn simulated(folder: &Path) -> Result<Hardware, Failure> {
    let unusable = |reason: String| Failure::Simulation { path: folder.into(), reason };
    let pictures = pictures(folder).map_err(|error| unusable(error.to_string()))?;
    let camera =
        SimulatedCamera::new(pictures).ok_or_else(|| unusable("it has no .jpg, .jpeg or .png file".to_string()))?;
    let (button, leds) = panel::simulated(BufReader::new(io::stdin()), None);
    Ok(Hardware {
        camera: Box::new(camera),
        display: Box::new(SimulatedDisplay::new(&folder.join(format!("screen{CAM_ENDING}")), SIMULATED_DISPLAY)),
        button,
        leds,
    })
}
