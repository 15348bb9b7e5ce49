//! `xray-triage run`: the box.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use log::warn;

use super::{CAM_ENDING, Failure, JudgeArgs, ProfileChoice, pictures, print, print_json, set_up};
use crate::appliance::{self, ApplianceError, Hardware};
use crate::camera::{self, SimulatedCamera};
use crate::config;
use crate::display::{self, NoDisplay, SimulatedDisplay};
use crate::panel::{self, Pins, SimulatedPanel};
use crate::pipeline::Record;

/// Of the simulated display, pixels.
const SCREEN_SIZE: (u32, u32) = (800, 480);

#[derive(Args)]
pub struct RunArgs {
    /// No hardware: this folder's pictures in turn for the camera, screen.cam.png in it for the display, the Enter key
    /// for the button, the log (-v) for the LEDs.
    #[arg(long, value_name = "DIR")]
    simulate: Option<PathBuf>,
    /// The camera.
    #[arg(long, value_name = "DEVICE", default_value = "/dev/video0")]
    camera: PathBuf,
    /// The display: auto, none, or a device. Without one the LEDs and the records have to do.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    display: String,
    /// GPIO number (BCM) of the button, which connects it to ground.
    #[arg(long, value_name = "GPIO", default_value_t = 17)]
    button_pin: u8,
    /// GPIO number of the LED that says: ready.
    #[arg(long, value_name = "GPIO", default_value_t = 27)]
    ready_pin: u8,
    /// GPIO number of the LED that asks for attention.
    #[arg(long, value_name = "GPIO", default_value_t = 22)]
    attention_pin: u8,
    /// How the pictures are taken.
    #[arg(long, value_enum, default_value_t = ProfileChoice::Film)]
    profile: ProfileChoice,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// Is the box until it is switched off.
pub fn run(args: &RunArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let mut hardware = match &args.simulate {
        Some(folder) => simulated(folder)?,
        None => Hardware {
            camera: camera::open(&args.camera)?,
            display: display::open(&config::Display { device: args.display.clone(), ..config::Display::default() })
                .unwrap_or_else(|error| {
                    warn!("{error}. Going on without a display");
                    Box::new(NoDisplay)
                }),
            panel: panel::open(Pins { button: args.button_pin, ready: args.ready_pin, attention: args.attention_pin })?,
        },
    };
    let triage = set_up(&args.judge, args.profile)?;
    let report = |record: &Record| {
        if args.json { print_json(record, out) } else { print(record, out) }.and_then(|()| out.flush())
    };
    appliance::run(&triage, &mut hardware, report).map_err(|error| match error {
        ApplianceError::Panel(error) => Failure::Panel(error),
        ApplianceError::Report(error) => Failure::Stdout(error),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn simulated(folder: &Path) -> Result<Hardware, Failure> {
    let unusable = |reason: String| Failure::Simulation { path: folder.into(), reason };
    let pictures = pictures(folder).map_err(|error| unusable(error.to_string()))?;
    let camera =
        SimulatedCamera::new(pictures).ok_or_else(|| unusable("it has no .jpg, .jpeg or .png file".to_string()))?;
    Ok(Hardware {
        camera: Box::new(camera),
        display: Box::new(SimulatedDisplay::new(&folder.join(format!("screen{CAM_ENDING}")), SCREEN_SIZE)),
        panel: Box::new(SimulatedPanel::new(io::stdin().lock())),
    })
}
