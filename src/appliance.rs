//! The box: it shows what the camera sees, judges the film when the button is pressed, stores the case and shows the
//! verdict.
//!
//! Five threads work together: one for the camera (`camera_thread`), one for the judge (`judge_thread`), one for the button
//! (`button_thread`), one that waits for signals, and one for the `controller`, which runs the state machine (`machine`), the
//! display, the LEDs and the case log. Threads tell the controller what happened through an event queue of fixed capacity
//! (`queue`), and hand over frames and assessments in shared places that hold one each (`shared`).
//!
//! A panic in a thread becomes a fault of the thread's part of the box. When the box ends, it waits for every thread except
//! the judge's: loading a model and judging a film cannot be interrupted, and neither leaves anything half done.

mod button_thread;
mod camera_thread;
mod controller;
mod hint;
mod judge_thread;
mod leds;
mod machine;
mod queue;
mod shared;
mod stillness;
mod storage;
mod view;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xray_triage_core::film::Profile;
use xray_triage_core::panics::catch;
use xray_triage_core::pipeline::{Pipeline, SetupError};
use xray_triage_core::record::Record;

use crate::camera::Camera;
use crate::caselog::{CaseLog, CaseLogError};
use crate::display::Display;
use crate::gpio::{Button, Leds};
use crate::ui::status::Fault;
use crate::ui::strings::Language;

use machine::Event;
use shared::Shared;
use storage::Storage;

/// Camera, display, button and LEDs, real or simulated.
pub struct Hardware {
    /// The camera over the light box.
    pub camera: Box<dyn Camera>,
    /// The display.
    pub display: Box<dyn Display>,
    /// The button.
    pub button: Box<dyn Button>,
    /// The two LEDs.
    pub leds: Box<dyn Leds>,
}

/// How the box behaves.
pub struct Behaviour {
    /// The language of the screens.
    pub language: Language,
    /// Frames a second of the preview while something moves. Where nothing moves there is at most one a second.
    pub preview_fps: f64,
    /// How long the camera waits for a frame before it gives up.
    pub camera_timeout: Duration,
    /// The capture profile of the settings, by which hints are given; `None` finds it out for each frame.
    pub profile: Option<Profile>,
    /// The free space, in megabytes, below which no film is taken.
    pub reserve_mb: u64,
    /// The model's id, for the screens.
    pub model: String,
    /// Why the settings cannot be used, if so: the box then shows this fault and does nothing else.
    pub settings_fault: Option<String>,
}

/// How the box ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The button was held: the board is to be switched off.
    SwitchedOff,
    /// A signal of this number, SIGTERM or SIGINT, asked the program to end.
    Signal(i32),
}

/// Why the box cannot go on. Only a restart helps.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError {
    /// The operating system does not let the program receive signals.
    #[error("signals cannot be received: {0}. Start again")]
    Signals(io::Error),
    /// A part of the box failed for good. The fault was on the screen for ten seconds.
    #[error("{message}")]
    Fault {
        /// The part that failed.
        fault: Fault,
        /// What is wrong and what to do.
        message: String,
    },
    /// The controller panicked with these words.
    #[error("the box failed badly ({0}). Start it again")]
    Panic(String),
}

/// Serves the operator until the button is held, or until SIGTERM or SIGINT asks the program to end. A first signal waits
/// for the film in hand to be judged and recorded; a second one gives that film up.
///
/// `load` makes the pipeline that judges films. It runs on the judge's thread, so that the preview need not wait for it. If
/// that thread is still loading or judging when the box ends, it is left behind. Each case goes to the case log that
/// `open_cases` opens, and then to `report`, before it is shown.
///
/// # Errors
/// The box cannot go on if the model does not load, its network fails on a film, the button cannot be read, the LEDs cannot
/// be set, or the camera gives no sign of life. The fault is shown before. A camera or a case log that fails is shown too,
/// and tried again; a display or a `report` that fails is logged.
pub fn run(
    hardware: Hardware,
    open_cases: impl FnMut() -> Result<CaseLog, CaseLogError>,
    behaviour: &Behaviour,
    load: impl FnOnce() -> Result<Pipeline, SetupError> + Send + 'static,
    report: impl FnMut(&Record) -> io::Result<()>,
) -> Result<Ending, ApplianceError> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(ApplianceError::Signals)?;
    let no_more_signals = signals.handle();
    let shared = Arc::new(Shared::default());
    std::thread::scope(|scope| {
        scope.spawn(|| signals.forever().for_each(|signal| shared.events.push(Event::Signal(signal))));
        let storage = Storage::new(open_cases, behaviour.reserve_mb);
        let outcome = run_threads(&shared, hardware, storage, behaviour, load, report);
        no_more_signals.close();
        outcome
    })
}

/// Runs all threads except that of the signals. A panic of the controller becomes an error.
fn run_threads(
    shared: &Arc<Shared>,
    hardware: Hardware,
    storage: Storage<impl FnMut() -> Result<CaseLog, CaseLogError>>,
    behaviour: &Behaviour,
    load: impl FnOnce() -> Result<Pipeline, SetupError> + Send + 'static,
    report: impl FnMut(&Record) -> io::Result<()>,
) -> Result<Ending, ApplianceError> {
    let Hardware { camera, display, button, leds } = hardware;
    match &behaviour.settings_fault {
        None => {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || shared.guard(Fault::Model, "judge", || judge_thread::run(load, &shared)));
        }
        Some(message) => shared.fail_for_good(Fault::Settings, message.clone()),
    }
    std::thread::scope(|scope| {
        scope.spawn(|| shared.guard(Fault::Camera, "camera", || camera_thread::run(camera, behaviour, shared)));
        scope.spawn(|| shared.guard(Fault::Gpio, "button", || button_thread::run(button, shared)));
        let outcome = catch(|| controller::run(shared, display, leds, storage, behaviour, report));
        shared.end();
        outcome.unwrap_or_else(|words| Err(ApplianceError::Panic(words)))
    })
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use tempfile::TempDir;
    use xray_triage_core::bundle::Bundle;

    use crate::gpio::Press;

    use super::shared::Demand;
    use super::testing::{behaviour, broken_hardware, fault_message, wait_until};
    use super::*;

    fn no_model() -> Result<Pipeline, SetupError> {
        Err(Bundle::load(Path::new("/no/such/bundle")).err().unwrap().into())
    }

    #[test]
    fn a_controller_that_panics_ends_all_threads_and_says_why() {
        let storage = Storage::new(|| panic!("no memory"), 0);
        let outcome = run_threads(&Arc::default(), broken_hardware(), storage, &behaviour(), no_model, |_| Ok(()));
        let error = outcome.unwrap_err();
        assert!(matches!(&error, ApplianceError::Panic(words) if words == "no memory"), "{error}");
        assert!(error.to_string().contains("no memory"), "{error}");
    }

    #[test]
    fn a_box_ends_while_its_model_still_loads() {
        const LOADING: Duration = Duration::from_secs(60);
        let folder = TempDir::new().unwrap();
        let hold = Event::Press(Press::VeryLong);
        for (event, ending) in [(Event::Signal(15), Ending::Signal(15)), (hold, Ending::SwitchedOff)] {
            let load = || {
                std::thread::sleep(LOADING);
                no_model()
            };
            let (shared, started) = (Arc::new(Shared::default()), Instant::now());
            shared.events.push(event);
            let storage = Storage::new(|| CaseLog::open(folder.path()), 0);
            let ended = run_threads(&shared, broken_hardware(), storage, &behaviour(), load, |_| Ok(()));
            assert_eq!(ended.unwrap(), ending);
            assert!(started.elapsed() < LOADING / 2);
        }
    }

    #[test]
    fn a_box_without_usable_settings_touches_neither_camera_nor_cases_nor_model() {
        let shared = Arc::new(Shared::default());
        let behaviour = Behaviour { settings_fault: Some("line 3".into()), ..behaviour() };
        let ended = std::thread::scope(|scope| {
            let ended = scope.spawn(|| {
                let storage = Storage::new(|| panic!("no case log is wanted"), 0);
                let load = || panic!("no model is wanted");
                run_threads(&shared, broken_hardware(), storage, &behaviour, load, |_| Ok(()))
            });
            wait_until(&shared, |data| data.takes_presses);
            assert_eq!(fault_message(&shared, Fault::Settings), "line 3");
            assert_eq!(shared.lock().demand, Demand::Nothing);
            shared.events.push(Event::Signal(15));
            ended.join().unwrap()
        });
        assert_eq!(ended.unwrap(), Ending::Signal(15));
        assert_eq!(fault_message(&shared, Fault::Model), "", "nobody tried to load it");
    }
}
