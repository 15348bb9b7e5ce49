//! `xray-triage run --simulate`: what stands in for the hardware.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::appliance::Hardware;
use crate::camera::{self, Camera, PlaybackCamera, SimulatedCamera};
use crate::display::SimulatedDisplay;
use crate::gpio;

use super::failure::Failure;
use super::{CAM_ENDING, pictures};

/// Width and height of the simulated display, pixels: those of a common small HDMI display.
const DISPLAY: (u32, u32) = (800, 480);

#[derive(Args)]
pub struct Simulation {
    /// Run without hardware. The camera shows a picture, a folder's pictures in turn, or a recording made by `record`.
    /// The display is the file screen.cam.png in that folder, or beside the picture, and the case log is the folder cases
    /// there. The Enter key is the button, and the log (-v) shows the LEDs.
    #[arg(long, value_name = "FILE|DIR")]
    simulate: Option<PathBuf>,
    /// Take the presses of the button from the lines of this file; a named pipe is waited for.
    #[arg(long, value_name = "FILE", requires = "simulate")]
    simulated_button: Option<PathBuf>,
    /// Keep the state of the LEDs in this file, too.
    #[arg(long, value_name = "FILE", requires = "simulate")]
    simulated_leds: Option<PathBuf>,
}

impl Simulation {
    /// The folder of the simulated display and the case log; `None` if the hardware is real.
    pub fn folder(&self) -> Option<&Path> {
        let path = self.simulate.as_deref()?;
        Some(if path.is_file() { path.parent().unwrap_or(path) } else { path })
    }

    /// The simulated hardware, with its display in `folder`.
    ///
    /// # Errors
    /// Nothing can stand in for the camera, or the button's file cannot be read.
    pub fn hardware(&self, folder: &Path) -> Result<Hardware, Failure> {
        let leds = self.simulated_leds.clone();
        let (button, leds) = match &self.simulated_button {
            Some(path) => {
                let presses =
                    File::open(path).map_err(|cause| Failure::SimulatedButton { path: path.clone(), cause })?;
                gpio::simulated(BufReader::new(presses), leds)
            }
            None => gpio::simulated(BufReader::new(io::stdin()), leds),
        };
        let path = self.simulate.as_deref().unwrap_or(folder);
        Ok(Hardware {
            camera: looking_at(path)?,
            display: Box::new(SimulatedDisplay::new(&folder.join(format!("screen{CAM_ENDING}")), DISPLAY)),
            button,
            leds,
        })
    }
}

/// A camera that shows a picture, a folder's pictures or a recording.
fn looking_at(path: &Path) -> Result<Box<dyn Camera>, Failure> {
    if camera::is_recording(path) {
        return Ok(Box::new(PlaybackCamera::open(path)?));
    }
    let pictures = if path.is_file() {
        vec![path.into()]
    } else {
        pictures(path).map_err(|cause| Failure::SimulatedCamera { path: path.into(), cause })?
    };
    match SimulatedCamera::new(pictures) {
        Some(camera) => Ok(Box::new(camera)),
        None => Err(Failure::NoPictures(path.into())),
    }
}
