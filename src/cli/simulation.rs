//! What stands in for the hardware in `xray-triage run --simulate`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::appliance::Hardware;
use crate::camera::{self, Camera, PlaybackCamera, SimulatedCamera};
use crate::display::SimulatedDisplay;
use crate::gpio;

use super::{CAM_ENDING, Failure, pictures};

/// What the simulated display is taken for, pixels: a common small HDMI one.
const DISPLAY: (u32, u32) = (800, 480);

#[derive(Args)]
pub struct Simulation {
    /// No hardware. For the camera: a picture, a folder's pictures in turn, or a folder that `record` wrote. In the
    /// folder, or beside the picture, screen.cam.png is the display and the folder cases is the case log. The Enter key
    /// is the button, the log (-v) the LEDs.
    #[arg(long, value_name = "FILE|DIR")]
    simulate: Option<PathBuf>,
    /// Lines of this file for the button, in place of the Enter key; a named pipe is waited for.
    #[arg(long, value_name = "FILE", requires = "simulate")]
    simulated_button: Option<PathBuf>,
    /// Keep the LEDs' state in this file, too.
    #[arg(long, value_name = "FILE", requires = "simulate")]
    simulated_leds: Option<PathBuf>,
}

impl Simulation {
    /// The folder for the display and the case log; `None` if nothing is to be simulated.
    pub fn folder(&self) -> Option<&Path> {
        let path = self.simulate.as_deref()?;
        Some(if path.is_file() { path.parent().unwrap_or(path) } else { path })
    }

    /// The hardware, with its display in `folder`.
    ///
    /// # Errors
    /// There is nothing to look at, or the button's file cannot be read.
    pub fn hardware(&self, folder: &Path) -> Result<Hardware, Failure> {
        let unusable = |path: &Path, reason: String| Failure::Simulation { path: path.into(), reason };
        let leds = self.simulated_leds.clone();
        let (button, leds) = match &self.simulated_button {
            Some(path) => {
                let presses = File::open(path).map_err(|error| {
                    unusable(path, format!("{error}. Name a file with a press of the button a line, or a named pipe"))
                })?;
                gpio::simulated(BufReader::new(presses), leds)
            }
            None => gpio::simulated(BufReader::new(io::stdin()), leds),
        };
        let path = self.simulate.as_deref().unwrap_or(folder);
        Ok(Hardware {
            camera: looking_at(path).map_err(|reason| {
                unusable(path, format!("{reason}. Name a folder of pictures, a picture, or a recording"))
            })?,
            display: Box::new(SimulatedDisplay::new(&folder.join(format!("screen{CAM_ENDING}")), DISPLAY)),
            button,
            leds,
        })
    }
}

/// A camera that looks at a picture, a folder's pictures or a recording; the error says why it cannot.
fn looking_at(path: &Path) -> Result<Box<dyn Camera>, String> {
    if camera::is_recording(path) {
        let recorded = PlaybackCamera::open(path).map_err(|error| error.to_string())?;
        return Ok(Box::new(recorded));
    }
    let pictures =
        if path.is_file() { vec![path.into()] } else { pictures(path).map_err(|error| error.to_string())? };
    match SimulatedCamera::new(pictures) {
        Some(camera) => Ok(Box::new(camera)),
        None => Err("it has no .jpg, .jpeg or .png file".into()),
    }
}
