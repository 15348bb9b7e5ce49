//! The box: waits for the button, takes a picture of the light box, judges it, shows the verdict.

use std::time::Duration;

use image::{GrayImage, RgbImage};

use crate::camera::Camera;
use crate::display::Display;
use crate::overlay;
use crate::panel::{Button, Leds, PanelError, Press};
use crate::pipeline::{Record, Triage};
use crate::triage::Outcome;

/// Code of a record for which the camera gave no frame.
const CAMERA_FAULT: &str = "camera_fault";

/// How long the button is waited for at a time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Camera, display, button and LEDs, real or simulated.
pub struct Hardware {
    pub camera: Box<dyn Camera>,
    pub display: Box<dyn Display>,
    pub button: Box<dyn Button>,
    pub leds: Box<dyn Leds>,
}

/// Why the box stops working.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError<E> {
    /// The button does not answer: nobody could ask for anything.
    #[error(transparent)]
    Panel(#[from] PanelError),
    /// `report` failed.
    #[error("{0}")]
    Report(E),
}

/// Serves the operator until asked to shut down. Each request's record goes to `report` before its screen is shown.
///
/// A camera that fails is shown and reported, and asked again at the next press. A display that fails is logged; the
/// LEDs then have to do.
///
/// # Errors
/// The panel fails, or `report` does.
pub fn run<E>(
    triage: &Triage,
    hardware: &mut Hardware,
    mut report: impl FnMut(&Record) -> Result<(), E>,
) -> Result<(), ApplianceError<E>> {
    let Hardware { camera, display, button, leds } = hardware;
    let mut show = |screen: &RgbImage| display.show(screen).unwrap_or_else(|error| log::error!("{error}"));
    show(&overlay::notice("READY", "Lay a film on the light box and press the button. Hold the button to switch off."));
    leds.set(true, false)?;
    let mut frame = GrayImage::default();
    loop {
        match button.wait(PATIENCE)? {
            None => continue,
            Some(Press::VeryLong) => break,
            Some(Press::Short | Press::Long) => {}
        }
        leds.set(true, true)?;
        show(&overlay::notice("READING", "Do not move the film."));
        let origin = camera.origin();
        let grabbed = camera.grab(&mut frame);
        camera.captured();
        let (record, screen) = match grabbed {
            Ok(()) => {
                let assessment = triage.assess(frame.clone(), origin);
                let screen = overlay::draw(&assessment);
                (assessment.record, screen)
            }
            Err(error) => (triage.fault("camera".into(), CAMERA_FAULT, error.to_string()), None),
        };
        if let Some(error) = &record.error {
            log::error!("{error}");
        }
        report(&record).map_err(ApplianceError::Report)?;
        show(&screen.unwrap_or_else(|| overlay::notice("NO PICTURE", &record.advice.join(" "))));
        let attention = needs_operator(&record);
        leds.set(!attention, attention)?;
    }
    show(&overlay::notice("OFF", "The program has ended."));
    Ok(())
}

/// Whether the film got no verdict that can be acted on.
fn needs_operator(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Refused | Outcome::Refer)
}
