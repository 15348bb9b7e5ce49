//! The box: shows what the camera sees, judges the film at the press of the button, writes the case down, shows the
//! verdict.
//!
//! Five threads: the camera's, the judge's (it loads the model, too, so that the preview need not wait for it), the
//! button's, one that waits for signals, and the one that runs the [state machine](machine), the display and the case
//! log. They meet in an [event queue](queue) of fixed capacity; frames and assessments are handed over in slots that
//! hold one.

pub mod hint;
pub mod machine;
pub mod queue;
mod stillness;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};
use jiff::{Timestamp, Zoned};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::camera::Camera;
use crate::caselog::CaseLog;
use crate::display::Display;
use crate::film::Profile;
use crate::panel::{Button, Leds};
use crate::pipeline::{Assessment, Record, SetupError, Triage};
use crate::screen::{self, Fault, Hint, Screen, Surroundings};
use crate::strings::Language;
use crate::triage::Outcome;

use machine::{Action, Event, Machine, Shown, State};
use queue::EventQueue;
use stillness::Stillness;

/// How long the camera's thread waits before it asks a camera that failed again.
const CAMERA_RETRY: Duration = Duration::from_millis(500);
/// How often a frame of the preview is looked at for a [hint]: it costs more than showing it.
const HINT_INTERVAL: Duration = Duration::from_secs(1);
/// Between frames of the preview while nothing moves before the camera: a box waits most of the day.
const STILL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the threads look away at most before they see that the box is ending.
const PATIENCE: Duration = Duration::from_millis(200);

/// Camera, display, button and LEDs, real or simulated.
pub struct Hardware {
    pub camera: Box<dyn Camera>,
    pub display: Box<dyn Display>,
    pub button: Box<dyn Button>,
    pub leds: Box<dyn Leds>,
}

/// How the box behaves.
pub struct Behaviour {
    pub language: Language,
    /// Frames a second of the preview while something moves; one a second at most where nothing does.
    pub preview_fps: f64,
    /// The wanted capture profile, for hints.
    pub profile: Option<Profile>,
    /// Free space below which no capture is taken, megabytes.
    pub reserve_mb: u64,
    /// The model's id, for the screens.
    pub model: String,
}

/// What ended the box, all being well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The button was held: the board is to be switched off.
    SwitchedOff,
    /// A signal of this number, SIGTERM or SIGINT, asked the program to end.
    Signal(i32),
}

/// Why the box stops working.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError<E> {
    /// `report` failed.
    #[error("{0}")]
    Report(E),
    /// The box cannot go on: the model does not load, or the button cannot be read.
    #[error("{0}")]
    Fault(String),
}

/// Serves the operator until the button is held, or SIGTERM or SIGINT asks the program to end. A signal waits for the
/// film in hand to be judged and recorded; a second one gives it up. `load` makes the judge, behind the preview. Each
/// case goes to `cases` and then to `report` before its screen is shown.
///
/// # Errors
/// The model does not load, the button cannot be read, or `report` fails. A camera or a case log that fails is shown,
/// and asked again; a display that fails is logged, and the LEDs have to do.
pub fn run<E>(
    hardware: Hardware,
    cases: &mut CaseLog,
    behaviour: &Behaviour,
    load: impl FnOnce() -> Result<Triage, SetupError> + Send,
    report: impl FnMut(&Record) -> Result<(), E>,
) -> Result<Ending, ApplianceError<E>> {
    let Hardware { camera, display, button, leds } = hardware;
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| ApplianceError::Fault(format!("signals cannot be received: {error}. Start again")))?;
    let no_more_signals = signals.handle();
    let shared = Shared::default();
    std::thread::scope(|scope| {
        scope.spawn(|| watch(camera, behaviour, &shared));
        scope.spawn(|| judge(load, &shared));
        scope.spawn(|| listen(button, &shared));
        scope.spawn(|| signals.forever().for_each(|signal| shared.events.push(Event::Signal(signal))));
        let outcome = serve(&shared, display, leds, cases, behaviour, report);
        shared.lock().ending = true;
        shared.changed.notify_all();
        no_more_signals.close();
        outcome
    })
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    events: EventQueue,
    slots: Mutex<Slots>,
    /// Signalled when a thread has something new to do.
    changed: Condvar,
}

/// What is handed from thread to thread; each slot holds one.
#[derive(Default)]
struct Slots {
    ending: bool,
    demand: Demand,
    /// The newest frame of the preview that was not drawn yet.
    preview: Option<(GrayImage, Option<Hint>)>,
    /// The frame that is to be judged, and when it was taken.
    captured: Option<(GrayImage, String, Timestamp)>,
    /// The frame given to the judge.
    job: Option<(GrayImage, String)>,
    judged: Option<Assessment>,
    /// Why the camera, the model or the button failed, in words.
    trouble: String,
    /// Whether a press of the button would be taken; a script waits for it.
    attentive: bool,
}

/// What the camera is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Demand {
    #[default]
    Nothing,
    Preview,
    Capture,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        // A thread that panicked left whole values: they are only moved in and out.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, event: Event, trouble: String) {
        log::error!("{trouble}");
        self.lock().trouble = trouble;
        self.events.push(event);
    }

    /// Waits until there is something new, [`PATIENCE`] at most.
    fn wait<'a>(&self, slots: MutexGuard<'a, Slots>, patience: Duration) -> MutexGuard<'a, Slots> {
        self.changed.wait_timeout(slots, patience).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The camera's thread: frames for the preview at its rate, a frame for a capture at once.
fn watch(mut camera: Box<dyn Camera>, behaviour: &Behaviour, shared: &Shared) {
    let interval = Duration::from_secs_f64(1.0 / behaviour.preview_fps);
    let mut hint = None;
    let mut next_hint = Instant::now();
    let mut stillness = Stillness::new(Instant::now());
    let mut frame = GrayImage::new(1, 1);
    let mut failing = false;
    let mut next = Instant::now();
    loop {
        let demand = {
            let mut slots = shared.lock();
            loop {
                if slots.ending {
                    return;
                }
                let now = Instant::now();
                match slots.demand {
                    Demand::Capture => break Demand::Capture,
                    Demand::Preview if now >= next => break Demand::Preview,
                    Demand::Preview => slots = shared.wait(slots, PATIENCE.min(next - now)),
                    Demand::Nothing => slots = shared.wait(slots, PATIENCE),
                }
            }
        };
        let grabbed = camera.grab(&mut frame);
        next = Instant::now() + interval;
        // Simulated cameras move on to the next picture, read or not.
        let origin = camera.origin();
        if demand == Demand::Capture {
            camera.captured();
            shared.lock().demand = Demand::Nothing;
        }
        match grabbed {
            Ok(()) => {
                failing = false;
                if stillness.look(&frame, Instant::now()) {
                    next = Instant::now() + interval.max(STILL_INTERVAL);
                }
                if demand == Demand::Preview && Instant::now() >= next_hint {
                    hint = hint::of(&frame, behaviour.profile);
                    next_hint = Instant::now() + HINT_INTERVAL;
                }
                let mut slots = shared.lock();
                if demand == Demand::Capture {
                    let frame = std::mem::replace(&mut frame, GrayImage::new(1, 1));
                    slots.captured = Some((frame, origin, Timestamp::now()));
                    drop(slots);
                    shared.events.push(Event::Captured);
                } else if slots.preview.is_none() {
                    // The frame before it has been drawn.
                    slots.preview = Some((std::mem::replace(&mut frame, GrayImage::new(1, 1)), hint));
                    drop(slots);
                    shared.events.push(Event::Preview);
                }
            }
            Err(error) => {
                if !failing || demand == Demand::Capture {
                    shared.fail(Event::CameraFailed, error.to_string());
                }
                failing = true;
                next = Instant::now() + CAMERA_RETRY;
            }
        }
    }
}

/// The judge's thread: loads the model, then judges the frames it is given.
fn judge(load: impl FnOnce() -> Result<Triage, SetupError>, shared: &Shared) {
    let triage = match load() {
        Ok(triage) => triage,
        Err(error) => return shared.fail(Event::ModelFailed, error.to_string()),
    };
    log::info!("model {} is loaded", triage.model().id);
    shared.events.push(Event::ModelReady);
    loop {
        let (frame, origin) = {
            let mut slots = shared.lock();
            loop {
                if slots.ending {
                    return;
                }
                match slots.job.take() {
                    Some(job) => break job,
                    None => slots = shared.wait(slots, PATIENCE),
                }
            }
        };
        let assessment = triage.assess(frame, origin);
        shared.lock().judged = Some(assessment);
        shared.events.push(Event::Judged);
    }
}

/// The button's thread.
fn listen(mut button: Box<dyn Button>, shared: &Shared) {
    loop {
        {
            let slots = shared.lock();
            if slots.ending {
                return;
            }
            if button.scripted() && !slots.attentive {
                drop(shared.wait(slots, PATIENCE));
                continue;
            }
        }
        match button.wait(PATIENCE) {
            Ok(Some(press)) => {
                shared.lock().attentive = false;
                shared.events.push(Event::Press(press));
            }
            Ok(None) => {}
            Err(error) => return shared.fail(Event::PanelFailed, error.to_string()),
        }
    }
}

/// The newest frame of the preview, and how many there were before it.
struct Preview {
    frame: GrayImage,
    hint: Option<Hint>,
    number: u64,
}

/// The case on the screen.
struct Case {
    assessment: Assessment,
    number: String,
}

/// Runs the state machine until the box is switched off.
fn serve<E>(
    shared: &Shared,
    mut display: Box<dyn Display>,
    mut leds: Box<dyn Leds>,
    cases: &mut CaseLog,
    behaviour: &Behaviour,
    mut report: impl FnMut(&Record) -> Result<(), E>,
) -> Result<Ending, ApplianceError<E>> {
    let mut machine = Machine::new(Instant::now());
    let mut view = View::new(&mut *display, behaviour);
    let mut lit = None;
    let mut taken = Timestamp::now();
    let mut preview: Option<Preview> = None;
    let mut case: Option<Case> = None;
    let mut trouble = String::new();
    notify(sd_notify::NotifyState::Ready);
    loop {
        let now = Instant::now();
        let state = machine.state();
        let on = machine.leds(now);
        if lit != Some(on) {
            if let Err(error) = leds.set(on.0, on.1) {
                log::error!("{error}");
            }
            lit = Some(on);
        }
        view.look_after_display();
        view.show(&machine, now, preview.as_ref(), case.as_ref(), &trouble);
        match state {
            State::ShuttingDown => {
                // A service manager still has the system to stop before the box may be unplugged.
                if std::env::var_os("NOTIFY_SOCKET").is_none() {
                    view.draw(&Screen::Off);
                }
                notify(sd_notify::NotifyState::Stopping);
                leds.set(false, false).map_err(|error| ApplianceError::Fault(error.to_string()))?;
                return Ok(machine.signal().map_or(Ending::SwitchedOff, Ending::Signal));
            }
            // Nothing but a restart helps, and whoever started the program may try one.
            State::Fault(Fault::Model | Fault::Panel) if machine.elapsed(now) >= FATAL_SHOWN => {
                notify(sd_notify::NotifyState::Stopping);
                return Err(ApplianceError::Fault(trouble));
            }
            _ => {}
        }
        notify(sd_notify::NotifyState::Watchdog);

        {
            let mut slots = shared.lock();
            if slots.demand != Demand::Capture {
                slots.demand = if machine.previews() { Demand::Preview } else { Demand::Nothing };
            }
            slots.attentive = machine.attentive();
            shared.changed.notify_all();
        }
        let Some(event) = shared.events.pop(machine.next_look(now)) else {
            if let Some(reason) = machine.expire(Instant::now()) {
                log::error!("{reason}");
                trouble = reason.into();
            }
            continue;
        };
        let mut next = Some(event);
        while let Some(event) = next.take() {
            match event {
                Event::Preview => {
                    let number = preview.as_ref().map_or(0, |preview| preview.number) + 1;
                    preview = shared.lock().preview.take().map(|(frame, hint)| Preview { frame, hint, number });
                }
                Event::CameraFailed | Event::ModelFailed | Event::PanelFailed => {
                    trouble = std::mem::take(&mut shared.lock().trouble);
                }
                _ => {}
            }
            next = match machine.handle(event, Instant::now()) {
                None => None,
                Some(Action::Capture) => match cases.check_space(behaviour.reserve_mb) {
                    Ok(()) => {
                        let mut slots = shared.lock();
                        slots.demand = Demand::Capture;
                        slots.captured = None;
                        shared.changed.notify_all();
                        None
                    }
                    Err(error) => {
                        log::error!("{error}");
                        trouble = error.to_string();
                        Some(Event::StorageFailed)
                    }
                },
                Some(Action::Judge) => {
                    let mut slots = shared.lock();
                    if let Some((frame, origin, when)) = slots.captured.take() {
                        taken = when;
                        slots.judged = None;
                        slots.job = Some((frame, origin));
                        shared.changed.notify_all();
                    }
                    None
                }
                Some(Action::Record) => {
                    let Some(assessment) = shared.lock().judged.take() else { break };
                    match cases.record(&assessment, taken) {
                        Ok(id) => {
                            report(&assessment.record).map_err(ApplianceError::Report)?;
                            let shown = shown(assessment.record.outcome);
                            case = Some(Case { assessment, number: id.to_string() });
                            Some(Event::Recorded(shown))
                        }
                        Err(error) => {
                            log::error!("{error}");
                            trouble = error.to_string();
                            Some(Event::StorageFailed)
                        }
                    }
                }
            };
        }
    }
}

/// How long a fault that only a restart mends is shown before the program ends.
const FATAL_SHOWN: Duration = Duration::from_secs(10);

fn shown(outcome: Outcome) -> Shown {
    match outcome {
        Outcome::Refused => Shown::Refused,
        Outcome::Refer => Shown::Refer,
        Outcome::Covid19 | Outcome::Pneumonia | Outcome::Normal => Shown::Class,
    }
}

/// Tells the service manager, if there is one. The watchdog is fed by the state machine's own loop: a box that hangs
/// anywhere in it is restarted.
fn notify(state: sd_notify::NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::debug!("the service manager does not listen: {error}");
    }
}

/// The display, and what is on it.
struct View<'a> {
    display: &'a mut dyn Display,
    behaviour: &'a Behaviour,
    canvas: RgbImage,
    clock: String,
    shown: Option<Shows>,
    failing: bool,
}

/// What a screen depends on; it is drawn again when this changes.
#[derive(Clone, PartialEq)]
struct Shows {
    state: State,
    heat_map: bool,
    /// Counts the frames of the preview, the seconds of an analysis.
    tick: u64,
    clock: String,
}

impl<'a> View<'a> {
    fn new(display: &'a mut dyn Display, behaviour: &'a Behaviour) -> View<'a> {
        let (width, height) = display.size();
        let canvas = RgbImage::new(width, height);
        View { display, behaviour, canvas, clock: String::new(), shown: None, failing: false }
    }

    /// Starts anew on a display that was lost, or missing, and is there now.
    fn look_after_display(&mut self) {
        match self.display.check() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => log::error!("{error}. The LEDs and the case log have to do until it is back"),
        }
        let (width, height) = self.display.size();
        self.canvas = RgbImage::new(width, height);
        self.shown = None;
    }

    /// Shows the machine's state, if that looks otherwise than what is shown.
    fn show(&mut self, machine: &Machine, now: Instant, preview: Option<&Preview>, case: Option<&Case>, trouble: &str) {
        self.clock = Zoned::now().strftime("%H:%M").to_string();
        let state = machine.state();
        let seconds = machine.elapsed(now).as_secs();
        let tick = match state {
            State::Ready => preview.map_or(0, |preview| preview.number),
            State::Analysing => seconds,
            _ => 0,
        };
        let shows = Shows { state, heat_map: machine.heat_map, tick, clock: self.clock.clone() };
        if self.shown.as_ref() == Some(&shows) {
            return;
        }
        let loading = (!machine.model_loaded()).then_some(Hint::Loading);
        let screen = match (state, case) {
            (State::Booting, _) => Screen::Booting,
            (State::Ready, _) => Screen::Ready {
                preview: preview.map(|preview| &preview.frame),
                hint: preview.and_then(|preview| preview.hint).or(loading),
            },
            (State::Capturing, _) => Screen::Capturing,
            (State::Analysing, _) => Screen::Analysing { seconds: seconds as u32 },
            (State::Verdict { .. }, Some(Case { assessment, number })) => {
                Screen::Verdict { assessment, case: Some(number), heat_map: machine.heat_map }
            }
            (State::Refused, Some(Case { assessment, number })) => Screen::Refused { assessment, case: Some(number) },
            // A result is only shown once there is a case.
            (State::Verdict { .. } | State::Refused, None) => return,
            (State::Fault(fault), _) => Screen::Fault { fault, detail: trouble },
            (State::ShuttingDown, _) => Screen::ShuttingDown,
        };
        self.draw(&screen);
        self.shown = Some(shows);
    }

    fn draw(&mut self, screen: &Screen) {
        if self.canvas.is_empty() {
            return;
        }
        let around =
            Surroundings { language: self.behaviour.language, clock: Some(&self.clock), model: &self.behaviour.model };
        screen::draw(&mut self.canvas, screen, &around);
        match self.display.show(&self.canvas) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                log::error!("{error}");
                self.failing = true;
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::display::DisplayError;

    /// A display that is replaced by one of another size at its third check. It keeps the sizes of what it is shown.
    struct Replaced {
        checks: u32,
        shown: Rc<RefCell<Vec<(u32, u32)>>>,
    }

    impl Display for Replaced {
        fn size(&self) -> (u32, u32) {
            if self.checks < 3 { (480, 320) } else { (800, 480) }
        }

        fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
            self.shown.borrow_mut().push(screen.dimensions());
            Ok(())
        }

        fn check(&mut self) -> Result<bool, DisplayError> {
            self.checks += 1;
            match self.checks {
                2 => Err(DisplayError { path: "a cable".into(), reason: "unplugged".into() }),
                checks => Ok(checks == 3),
            }
        }
    }

    #[test]
    fn a_screen_is_drawn_again_for_a_display_that_is_back() {
        let behaviour = Behaviour {
            language: Language::default(),
            preview_fps: 4.0,
            profile: None,
            reserve_mb: 0,
            model: String::new(),
        };
        let now = Instant::now();
        let machine = Machine::new(now);
        let shown = Rc::default();
        let mut display = Replaced { checks: 0, shown: Rc::clone(&shown) };
        let mut view = View::new(&mut display, &behaviour);
        view.show(&machine, now, None, None, "");
        assert_eq!(*shown.borrow(), [(480, 320)]);
        for (check, last) in [(1, (480, 320)), (2, (480, 320)), (3, (800, 480))] {
            view.look_after_display();
            view.show(&machine, now, None, None, "");
            assert_eq!(shown.borrow().last(), Some(&last), "check {check}");
        }
    }
}
