//! The box: waits for the button, takes a picture of the light box, judges it, shows the verdict.

use image::RgbImage;

use crate::camera::{Camera, Capture};
use crate::display::Display;
use crate::panel::{Lights, Panel, PanelError, Request};
use crate::pipeline::{Record, Triage};
use crate::screen::{self, Fault, Screen, Surroundings};
use crate::strings::Language;
use crate::triage::Outcome;

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
    let (width, height) = display.size();
    let mut canvas = RgbImage::new(width, height);
    let mut show = |screen: &Screen| {
        let around = Surroundings { language: Language::English, clock: None, model: &triage.model().id };
        screen::draw(&mut canvas, screen, &around);
        display.show(&canvas).unwrap_or_else(|error| log::error!("{error}"));
    };
    show(&Screen::Ready { preview: None, hint: None });
    panel.light(Lights::Ready);
    while panel.wait()? == Request::Capture {
        panel.light(Lights::Busy);
        show(&Screen::Capturing);
        let (assessment, needs_operator) = match camera.capture() {
            Ok(Capture { origin, frame }) => {
                let assessment = triage.assess(frame, origin);
                let needs_operator = needs_operator(&assessment.record);
                (Ok(assessment), needs_operator)
            }
            Err(error) => (Err(triage.fault("camera".into(), Fault::Camera.code(), error.to_string())), true),
        };
        let record = assessment.as_ref().map_or_else(|record| record, |assessment| &assessment.record);
        if let Some(error) = &record.error {
            log::error!("{error}");
        }
        report(record).map_err(ApplianceError::Report)?;
        show(&match &assessment {
            Ok(assessment) if assessment.record.outcome == Outcome::Refused => {
                Screen::Refused { assessment, case: None }
            }
            Ok(assessment) => Screen::Verdict { assessment, case: None, heat_map: true },
            Err(record) => Screen::Fault { fault: Fault::Camera, detail: record.error.as_deref().unwrap_or_default() },
        });
        panel.light(if needs_operator { Lights::Attention } else { Lights::Ready });
    }
    show(&Screen::Off);
    Ok(())
}

/// Whether the film got no verdict that can be acted on.
fn needs_operator(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Refused | Outcome::Refer)
}
