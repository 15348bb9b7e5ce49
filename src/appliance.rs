//! The box: waits for the button, takes a picture of the light box, judges it, shows the verdict.

use image::RgbImage;

use crate::camera::{Camera, Capture};
use crate::display::Display;
use crate::overlay;
use crate::panel::{Lights, Panel, PanelError, Request};
use crate::pipeline::{Record, Triage};
use crate::triage::Outcome;

/// Code of a record for which the camera gave no frame.
const CAMERA_FAULT: &str = "camera_fault";

/// Camera, display and panel, real or simulated.
pub struct Hardware {
    pub camera: Box<dyn Camera>,
    pub display: Box<dyn Display>,
    pub panel: Box<dyn Panel>,
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
    let Hardware { camera, display, panel } = hardware;
    let mut show = |screen: &RgbImage| display.show(screen).unwrap_or_else(|error| log::error!("{error}"));
    show(&overlay::notice("READY", "Lay a film on the light box and press the button. Hold the button to switch off."));
    panel.light(Lights::Ready);
    while panel.wait()? == Request::Capture {
        panel.light(Lights::Busy);
        show(&overlay::notice("READING", "Do not move the film."));
        let (record, screen) = match camera.capture() {
            Ok(Capture { origin, frame }) => {
                let assessment = triage.assess(frame, origin);
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
        panel.light(if needs_operator(&record) { Lights::Attention } else { Lights::Ready });
    }
    show(&overlay::notice("OFF", "The program has ended."));
    Ok(())
}

/// Whether the film got no verdict that can be acted on.
fn needs_operator(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Refused | Outcome::Refer)
}
