//! The box: shows what the camera sees, judges the film at the press of the button, writes the case down, shows the
//! verdict.
//!
//! Five threads: the [camera's](watch), the judge's (it loads the model, too, so that the preview need not wait for it),
//! the button's, one that waits for signals, and the one that runs the [state machine](machine), the display and the case
//! log. They meet in an [event queue](queue) of fixed capacity; frames and assessments are handed over in slots that
//! hold one. A thread that panics is a fault of its part. The box ends once all but the judge's have: a model that loads
//! cannot be interrupted, and leaves nothing half done.

pub mod hint;
mod lights;
pub mod machine;
pub mod queue;
mod stillness;
mod storage;
mod view;
mod watch;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::GrayImage;
use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xray_triage_core::decision::Outcome;
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::{Assessment, Pipeline, SetupError};
use xray_triage_core::record::Record;

use crate::camera::Camera;
use crate::caselog::{CaseLog, CaseLogError};
use crate::display::Display;
use crate::gpio::{Button, Leds};
use crate::ui::screens::Screen;
use crate::ui::status::{Fault, Hint};
use crate::ui::strings::Language;

use lights::Lights;
use machine::{Action, Event, Expired, Machine, Shown, State};
use queue::EventQueue;
use storage::Storage;
use view::{Case, Preview, View};

/// How long the threads look away at most before they see that the box is ending.
const PATIENCE: Duration = Duration::from_millis(200);
/// For how long a service manager is told to wait on for the film in hand, each round anew, microseconds.
const ANOTHER_ROUND: u32 = 30_000_000;

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
    /// How long the camera waits for a frame before it gives up.
    pub camera_timeout: Duration,
    /// The wanted capture profile, for hints.
    pub profile: Option<Profile>,
    /// Free space below which no capture is taken, megabytes.
    pub reserve_mb: u64,
    /// The model's id, for the screens.
    pub model: String,
    /// Why the settings cannot be used, if so: the box then shows this fault and does nothing else.
    pub settings_fault: Option<String>,
}

/// What ended the box, all being well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The button was held: the board is to be switched off.
    SwitchedOff,
    /// A signal of this number, SIGTERM or SIGINT, asked the program to end.
    Signal(i32),
}

/// Why the box cannot go on, in words: a fault that only a restart mends. It was shown for ten seconds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ApplianceError(pub String);

/// Serves the operator until the button is held, or SIGTERM or SIGINT asks the program to end. A signal waits for the
/// film in hand to be judged and recorded; a second one gives it up. `load` makes the judge, behind the preview, on a
/// thread that is left behind if it is still at it, or at a film given up, when the box ends. Each case goes to the case
/// log that `open_cases` opens and then to `report` before its screen is shown.
///
/// # Errors
/// The model does not load or judge, the button cannot be read or the LEDs not be set, or the camera gives no sign of life.
/// A camera or a case log that fails is shown, and asked again; a display or a `report` that fails is logged.
pub fn run(
    hardware: Hardware,
    open_cases: impl FnMut() -> Result<CaseLog, CaseLogError>,
    behaviour: &Behaviour,
    load: impl FnOnce() -> Result<Pipeline, SetupError> + Send + 'static,
    report: impl FnMut(&Record) -> io::Result<()>,
) -> Result<Ending, ApplianceError> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| ApplianceError(format!("signals cannot be received: {error}. Start again")))?;
    let no_more_signals = signals.handle();
    let shared = Arc::new(Shared::default());
    std::thread::scope(|scope| {
        scope.spawn(|| signals.forever().for_each(|signal| shared.events.push(Event::Signal(signal))));
        let outcome =
            operate(&shared, hardware, Storage::new(open_cases, behaviour.reserve_mb), behaviour, load, report);
        no_more_signals.close();
        outcome
    })
}

/// The box but for signals. Panics are errors.
fn operate(
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
            std::thread::spawn(move || shared.guard(Fault::Model, "judge", || judge(load, &shared)));
        }
        Some(trouble) => shared.fail_for_good(Fault::Settings, trouble.clone()),
    }
    std::thread::scope(|scope| {
        scope.spawn(|| shared.guard(Fault::Camera, "camera", || watch::watch(camera, behaviour, shared)));
        scope.spawn(|| shared.guard(Fault::Gpio, "button", || listen(button, shared)));
        let outcome = caught(|| serve(shared, display, leds, storage, behaviour, report));
        shared.lock().ending = true;
        shared.changed.notify_all();
        outcome.unwrap_or_else(|words| Err(ApplianceError(format!("the box failed badly ({words}). Start it again"))))
    })
}

/// What `work` gives; if it panics, what the panic says.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let words = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"it does not say why").to_string(),
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(words)
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
    troubles: Troubles,
    /// Whether a press of the button would be taken; a script waits for it.
    attentive: bool,
}

/// Why each part failed the last time, in words.
#[derive(Default)]
struct Troubles {
    camera: String,
    storage: String,
    model: String,
    panel: String,
    settings: String,
}

impl Troubles {
    fn of(&mut self, fault: Fault) -> &mut String {
        match fault {
            Fault::Camera => &mut self.camera,
            Fault::Storage => &mut self.storage,
            Fault::Model => &mut self.model,
            Fault::Gpio => &mut self.panel,
            Fault::Settings => &mut self.settings,
        }
    }
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

    /// Tells the box that a part failed, and why.
    fn fail(&self, fault: Fault, trouble: String) {
        *self.lock().troubles.of(fault) = trouble;
        self.events.push(Event::Failed(fault));
    }

    /// The same for what only a restart mends.
    fn fail_for_good(&self, fault: Fault, trouble: String) {
        log::error!("{trouble}");
        self.fail(fault, trouble);
    }

    /// Does a thread's work; its panic is a fault of its part.
    fn guard(&self, fault: Fault, thread: &str, work: impl FnOnce()) {
        if let Err(words) = caught(work) {
            self.fail_for_good(fault, format!("the {thread}'s thread failed badly ({words}). Start the box again"));
        }
    }

    /// Waits until there is something new, [`PATIENCE`] at most.
    fn wait<'a>(&self, slots: MutexGuard<'a, Slots>, patience: Duration) -> MutexGuard<'a, Slots> {
        self.changed.wait_timeout(slots, patience).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The judge's thread: loads the model, then judges the frames it is given.
fn judge(load: impl FnOnce() -> Result<Pipeline, SetupError>, shared: &Shared) {
    match load() {
        Ok(triage) => {
            log::info!("model {} is loaded", triage.model().id);
            shared.events.push(Event::ModelReady);
            judge_films(|frame, origin| triage.assess(frame, origin), shared);
        }
        Err(error) => shared.fail_for_good(Fault::Model, error.to_string()),
    }
}

/// Judges until the box is ending. A film over which the judge panics has no case, and the operator is told so.
fn judge_films(assess: impl Fn(GrayImage, String) -> Assessment, shared: &Shared) {
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
        match caught(|| assess(frame, origin)) {
            Ok(assessment) => {
                shared.lock().judged = Some(assessment);
                shared.events.push(Event::Judged);
            }
            Err(words) => {
                // What to do comes first: a screen cuts a long reason.
                let trouble =
                    format!("take the film again once the box has restarted: judging it failed badly ({words})");
                return shared.fail_for_good(Fault::Model, trouble);
            }
        }
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
                // Together, so that the box is not attentive again before it has taken the press.
                let mut slots = shared.lock();
                slots.attentive = false;
                shared.events.push(Event::Press(press));
            }
            Ok(None) => {}
            Err(error) => return shared.fail_for_good(Fault::Gpio, error.to_string()),
        }
    }
}

/// Runs the state machine until the box is switched off.
fn serve(
    shared: &Shared,
    mut display: Box<dyn Display>,
    leds: Box<dyn Leds>,
    storage: Storage<impl FnMut() -> Result<CaseLog, CaseLogError>>,
    behaviour: &Behaviour,
    report: impl FnMut(&Record) -> io::Result<()>,
) -> Result<Ending, ApplianceError> {
    let mut desk = Desk {
        shared,
        machine: Machine::new(Instant::now(), behaviour.camera_timeout),
        storage,
        report,
        report_fails: false,
        storage_trouble: String::new(),
        taken: Timestamp::now(),
        preview: None,
        case: None,
    };
    let mut view = View::new(&mut *display, behaviour);
    let mut lights = Lights::new(leds);
    let mut result_shown = false;
    // A fault that is there from the start comes before all else: until then the camera would be asked for a preview.
    if let Some(event) = shared.events.pop(Instant::now()) {
        desk.take(event);
    }
    if behaviour.settings_fault.is_none() {
        desk.check_storage();
    }
    notify(sd_notify::NotifyState::Ready);
    loop {
        let now = Instant::now();
        let shows_result = desk.machine.shows_result();
        let new_result = shows_result && !result_shown;
        result_shown = shows_result;
        if !new_result {
            desk.light(&mut lights);
        }
        view.look_after_display();
        let state = desk.machine.state();
        let trouble = match state {
            State::Fault(fault) => shared.lock().troubles.of(fault).clone(),
            _ => String::new(),
        };
        view.show(&desk.machine, now, desk.preview.as_ref(), desk.case.as_ref(), &trouble);
        if new_result {
            // Pressed before the operator could see the result, these would wipe it. The LEDs say that it is there.
            shared.events.forget_presses();
            desk.machine.result_drawn(Instant::now());
            desk.light(&mut lights);
        }
        if state == State::ShuttingDown {
            // A service manager still has the system to stop before the box may be unplugged.
            if std::env::var_os("NOTIFY_SOCKET").is_none() {
                view.draw(&Screen::Off);
            }
            notify(sd_notify::NotifyState::Stopping);
            return Ok(desk.machine.signal().map_or(Ending::SwitchedOff, Ending::Signal));
        }
        notify(sd_notify::NotifyState::Watchdog);
        if desk.machine.signal().is_some() {
            notify(sd_notify::NotifyState::ExtendTimeoutUsec(ANOTHER_ROUND));
        }

        {
            let mut slots = shared.lock();
            slots.demand = match state {
                // The camera ends the demand of a capture itself.
                State::Capturing => slots.demand,
                _ if desk.machine.previews() => Demand::Preview,
                _ => Demand::Nothing,
            };
            slots.attentive = desk.machine.attentive(now) && !shared.events.has_press();
            shared.changed.notify_all();
        }
        if let Some(event) = shared.events.pop(desk.machine.next_look(now)) {
            desk.take(event);
        }
        match desk.machine.expire(Instant::now()) {
            None => {}
            Some(Expired::Fault(fault, trouble)) => {
                log::error!("{trouble}");
                *shared.lock().troubles.of(fault) = trouble.into();
            }
            Some(Expired::CheckStorage) => desk.check_storage(),
            Some(Expired::End) => {
                notify(sd_notify::NotifyState::Stopping);
                return Err(ApplianceError(trouble));
            }
        }
    }
}

/// What the state machine works with.
struct Desk<'a, Open, Report> {
    shared: &'a Shared,
    machine: Machine,
    storage: Storage<Open>,
    report: Report,
    report_fails: bool,
    /// The newest reason of a storage fault. The screen may still have an older one.
    storage_trouble: String,
    /// When the film in hand was taken.
    taken: Timestamp,
    preview: Option<Preview>,
    case: Option<Case>,
}

impl<Open, Report> Desk<'_, Open, Report>
where
    Open: FnMut() -> Result<CaseLog, CaseLogError>,
    Report: FnMut(&Record) -> io::Result<()>,
{
    /// Sets the LEDs as the state has them.
    fn light(&self, lights: &mut Lights) {
        let now = Instant::now();
        if let Err(trouble) = lights.show(self.machine.leds(now), now) {
            self.shared.fail_for_good(Fault::Gpio, trouble);
        }
    }

    /// Takes an event in, and does what follows from it.
    fn take(&mut self, event: Event) {
        match event {
            Event::Preview => {
                let number = self.preview.as_ref().map_or(0, |preview| preview.number) + 1;
                if let Some((frame, hint)) = self.shared.lock().preview.take() {
                    self.preview = Some(Preview { frame, hint, number });
                }
            }
            // The late answer to a capture that was given up.
            Event::Captured if self.shared.lock().captured.is_none() => return,
            _ => {}
        }
        let mut next = Some(event);
        while let Some(event) = next.take() {
            next = self.machine.handle(event, Instant::now()).and_then(|action| self.act(action));
        }
    }

    /// Does an action; returns what came of it, if that is known at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Capture => {
                if let Err(error) = self.storage.check() {
                    return Some(self.storage_failed(error.to_string()));
                }
                let mut slots = self.shared.lock();
                slots.demand = Demand::Capture;
                slots.captured = None;
                self.shared.changed.notify_all();
                None
            }
            Action::Judge => {
                let mut slots = self.shared.lock();
                let (frame, origin, when) = slots.captured.take()?;
                self.taken = when;
                slots.judged = None;
                slots.job = Some((frame, origin));
                self.shared.changed.notify_all();
                None
            }
            Action::Record => {
                let assessment = self.shared.lock().judged.take()?;
                match self.storage.record(&assessment, self.taken) {
                    Ok(id) => {
                        self.report(&assessment.record);
                        let shown = shown(assessment.record.outcome);
                        self.case = Some(Case { assessment, number: id.to_string() });
                        Some(Event::Recorded(shown))
                    }
                    Err(error) => Some(self.storage_failed(format!("the film has no case, take it again: {error}"))),
                }
            }
        }
    }

    /// Sees whether cases can be kept, which mends a storage fault, or is one.
    fn check_storage(&mut self) {
        let event = match self.storage.check() {
            Ok(()) => Event::StorageWorks,
            Err(error) => self.storage_failed(error.to_string()),
        };
        self.take(event);
    }

    /// Keeps the reason for the screen, unless that tells of a lost film, and logs it if it is a new one.
    fn storage_failed(&mut self, trouble: String) -> Event {
        let known = self.machine.state() == State::Fault(Fault::Storage) && self.storage_trouble == trouble;
        if !known {
            log::error!("{trouble}");
        }
        if !self.machine.shows_loss(Instant::now()) {
            self.shared.lock().troubles.of(Fault::Storage).clone_from(&trouble);
        }
        self.storage_trouble = trouble;
        Event::Failed(Fault::Storage)
    }

    /// Hands the record on; who does not take it is logged once. The case is kept, and goes to its screen.
    fn report(&mut self, record: &Record) {
        match (self.report)(record) {
            Ok(()) => self.report_fails = false,
            Err(error) if !self.report_fails => {
                log::error!("a record cannot be handed on: {error}. Its case is in the case log");
                self.report_fails = true;
            }
            Err(_) => {}
        }
    }
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use image::Luma;
    use tempfile::TempDir;
    use xray_triage_core::bundle::Bundle;

    use crate::camera::CameraError;
    use crate::caselog::CaseReader;
    use crate::caselog::tests::assessment;
    use crate::display::NoDisplay;
    use crate::gpio::{GpioError, Press};

    use super::*;

    pub fn behaviour() -> Behaviour {
        Behaviour {
            language: Language::default(),
            preview_fps: 30.0,
            camera_timeout: Duration::from_secs(3),
            profile: None,
            reserve_mb: 0,
            model: String::new(),
            settings_fault: None,
        }
    }

    /// Waits until something holds of the slots.
    fn wait_until(shared: &Shared, holds: impl Fn(&mut Slots) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds(&mut shared.lock()) {
            assert!(Instant::now() < end, "it did not come to that");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn next_event(shared: &Shared) -> Option<Event> {
        shared.events.pop(Instant::now() + Duration::from_secs(20))
    }

    fn trouble(shared: &Shared, fault: Fault) -> String {
        shared.lock().troubles.of(fault).clone()
    }

    /// A camera whose first grab panics, and whose later frames are as gray as there were grabs.
    #[derive(Clone, Copy)]
    struct Jumpy<'a> {
        grabs: &'a AtomicU32,
        idle: &'a AtomicU32,
    }

    impl Camera for Jumpy<'_> {
        fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError> {
            let grabs = self.grabs.fetch_add(1, Ordering::SeqCst);
            assert!(grabs > 0, "a new colour space");
            *frame = GrayImage::from_pixel(64, 48, Luma([grabs as u8]));
            Ok(())
        }

        fn origin(&self) -> String {
            "/dev/jumpy".into()
        }

        fn idle(&mut self) {
            self.idle.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_camera_that_panics_costs_a_frame_and_the_newest_frame_wins() {
        static GRABS: AtomicU32 = AtomicU32::new(0);
        static IDLE: AtomicU32 = AtomicU32::new(0);
        let (shared, behaviour) = (Shared::default(), behaviour());
        std::thread::scope(|scope| {
            scope.spawn(|| watch::watch(Box::new(Jumpy { grabs: &GRABS, idle: &IDLE }), &behaviour, &shared));
            let calls = || IDLE.load(Ordering::SeqCst);
            wait_until(&shared, |_| calls() > 1);
            assert_eq!(GRABS.load(Ordering::SeqCst), 0, "nothing was asked for");

            shared.lock().demand = Demand::Preview;
            assert_eq!(next_event(&shared), Some(Event::Failed(Fault::Camera)));
            let trouble = trouble(&shared, Fault::Camera);
            assert!(trouble.contains("/dev/jumpy") && trouble.contains("a new colour space"), "{trouble}");

            wait_until(&shared, |_| GRABS.load(Ordering::SeqCst) > 5);
            shared.lock().demand = Demand::Nothing;
            let before = calls();
            wait_until(&shared, |_| calls() > before + 1);
            let newest = GRABS.load(Ordering::SeqCst) as u8 - 1;
            let waiting = shared.lock().preview.take().map(|(frame, _)| frame.get_pixel(0, 0)[0]);
            assert_eq!(waiting, Some(newest));
            assert_eq!(next_event(&shared), Some(Event::Preview));
            assert_eq!(shared.events.pop(Instant::now()), None, "one event for them all");
            shared.lock().ending = true;
        });
    }

    #[test]
    fn a_film_over_which_the_judge_panics_is_a_fault_that_says_so() {
        let shared = Shared::default();
        shared.lock().job = Some((GrayImage::new(1, 1), String::new()));
        judge_films(|_, _| panic!("no such {}", "layer"), &shared);
        assert_eq!(next_event(&shared), Some(Event::Failed(Fault::Model)));
        let trouble = trouble(&shared, Fault::Model);
        assert!(trouble.contains("no such layer") && trouble.contains("take the film again"), "{trouble}");
    }

    struct Broken;

    impl Button for Broken {
        fn wait(&mut self, _patience: Duration) -> Result<Option<Press>, GpioError> {
            panic!("no pins")
        }
    }

    impl Leds for Broken {
        fn set(&mut self, _ready: bool, _attention: bool) -> Result<(), GpioError> {
            Err(GpioError("no pins".into()))
        }
    }

    #[test]
    fn a_thread_that_panics_is_a_fault_of_its_part() {
        let shared = Shared::default();
        shared.guard(Fault::Gpio, "button", || listen(Box::new(Broken), &shared));
        assert_eq!(next_event(&shared), Some(Event::Failed(Fault::Gpio)));
        let trouble = trouble(&shared, Fault::Gpio);
        assert!(trouble.contains("button's thread") && trouble.contains("no pins"), "{trouble}");
    }

    fn broken_hardware() -> Hardware {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Hardware {
            camera: Box::new(Jumpy { grabs: &COUNT, idle: &COUNT }),
            display: Box::new(NoDisplay),
            button: Box::new(Broken),
            leds: Box::new(Broken),
        }
    }

    fn no_model() -> Result<Pipeline, SetupError> {
        Err(Bundle::load(Path::new("/no/such/bundle")).err().unwrap().into())
    }

    #[test]
    fn a_box_that_panics_ends_its_threads_and_says_why() {
        let storage = Storage::new(|| panic!("no memory"), 0);
        let outcome = operate(&Arc::default(), broken_hardware(), storage, &behaviour(), no_model, |_| Ok(()));
        assert!(outcome.is_err_and(|error| error.to_string().contains("no memory")));
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
            let ended = operate(&shared, broken_hardware(), storage, &behaviour(), load, |_| Ok(()));
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
                operate(&shared, broken_hardware(), storage, &behaviour, load, |_| Ok(()))
            });
            wait_until(&shared, |slots| slots.attentive);
            assert_eq!(trouble(&shared, Fault::Settings), "line 3");
            assert_eq!(shared.lock().demand, Demand::Nothing);
            shared.events.push(Event::Signal(15));
            ended.join().unwrap()
        });
        assert_eq!(ended.unwrap(), Ending::Signal(15));
        assert_eq!(trouble(&shared, Fault::Model), "", "nobody tried to load it");
    }

    fn desk<Open, Report>(shared: &Shared, open: Open, report: Report) -> Desk<'_, Open, Report>
    where
        Open: FnMut() -> Result<CaseLog, CaseLogError>,
        Report: FnMut(&Record) -> io::Result<()>,
    {
        let mut machine = Machine::new(Instant::now(), Duration::from_secs(3));
        machine.handle(Event::ModelReady, Instant::now());
        Desk {
            shared,
            machine,
            storage: Storage::new(open, 0),
            report,
            report_fails: false,
            storage_trouble: String::new(),
            taken: Timestamp::UNIX_EPOCH,
            preview: None,
            case: None,
        }
    }

    fn film(shared: &Shared) -> Event {
        shared.lock().captured = Some((GrayImage::new(1, 1), String::new(), Timestamp::UNIX_EPOCH));
        Event::Captured
    }

    fn verdict(shared: &Shared) -> Event {
        shared.lock().judged = Some(assessment(1));
        Event::Judged
    }

    #[test]
    fn the_late_frame_of_a_capture_that_was_given_up_is_not_judged() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let mut desk = desk(&shared, || CaseLog::open(folder.path()), |_| Ok(()));
        let late = film(&shared);
        desk.take(Event::Press(Press::Short));
        desk.take(late);
        assert_eq!(desk.machine.state(), State::Capturing, "it was taken before the button was pressed");
        desk.take(film(&shared));
        assert_eq!(desk.machine.state(), State::Analysing);
        assert!(shared.lock().job.is_some());
    }

    #[test]
    fn a_record_that_nobody_takes_is_a_case_on_the_screen_all_the_same() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let report = |_: &Record| Err(io::ErrorKind::BrokenPipe.into());
        let mut desk = desk(&shared, || CaseLog::open(folder.path()), report);
        for number in ["000001", "000002"] {
            desk.take(Event::Press(Press::Short));
            desk.take(film(&shared));
            desk.take(verdict(&shared));
            assert_eq!(desk.machine.state(), State::Verdict { refer: false });
            assert_eq!(desk.case.as_ref().map(|case| case.number.as_str()), Some(number));
            // The result's time is over.
            desk.machine.expire(Instant::now() + Duration::from_secs(300));
        }
    }

    #[test]
    fn a_case_log_that_cannot_be_opened_is_a_fault_until_it_can() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let cases = folder.path().join("cases");
        std::fs::write(&cases, "no folder").unwrap();
        let mut desk = desk(&shared, || CaseLog::open(&cases), |_| Ok(()));
        desk.machine = Machine::new(Instant::now(), Duration::from_secs(3));
        desk.check_storage();
        assert_eq!(desk.machine.state(), State::Fault(Fault::Storage));
        assert!(trouble(&shared, Fault::Storage).contains("cases"));
        desk.take(Event::Failed(Fault::Camera));
        assert_eq!(desk.machine.state(), State::Fault(Fault::Storage));
        std::fs::remove_file(&cases).unwrap();
        desk.check_storage();
        assert_eq!(desk.machine.state(), State::Ready);
    }

    #[test]
    fn a_lost_film_is_told_whatever_else_is_wrong_with_the_storage_meanwhile() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let cases = folder.path().join("cases");
        let mut desk = desk(&shared, || CaseLog::open(&cases), |_| Ok(()));
        desk.take(Event::Press(Press::Short));
        desk.take(film(&shared));
        std::fs::remove_dir_all(&cases).unwrap();
        std::fs::write(&cases, "no folder").unwrap();
        desk.take(verdict(&shared));
        assert_eq!(desk.machine.state(), State::Fault(Fault::Storage));
        desk.check_storage();
        let told = trouble(&shared, Fault::Storage);
        assert!(told.starts_with("the film has no case, take it again: "), "{told}");
        assert!(!desk.storage_trouble.contains("take it again"), "{}", desk.storage_trouble);
        // The operator has tried again.
        desk.take(Event::Press(Press::Short));
        assert_eq!(trouble(&shared, Fault::Storage), desk.storage_trouble);
    }

    #[test]
    fn each_fault_has_its_own_reason() {
        let shared = Shared::default();
        shared.fail(Fault::Camera, "unplugged".into());
        shared.fail(Fault::Model, "damaged".into());
        assert_eq!([Fault::Camera, Fault::Model].map(|fault| trouble(&shared, fault)), ["unplugged", "damaged"]);
    }

    #[test]
    fn presses_while_a_case_is_written_do_not_wipe_its_verdict() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let ended = std::thread::scope(|scope| {
            let served = scope.spawn(|| {
                let (_, leds) = crate::gpio::simulated(io::empty(), None);
                let report = |_: &Record| {
                    shared.events.push(Event::Press(Press::Short));
                    Ok(())
                };
                let storage = Storage::new(|| CaseLog::open(folder.path()), 0);
                serve(&shared, Box::new(NoDisplay), leds, storage, &behaviour(), report)
            });
            shared.events.push(Event::ModelReady);
            wait_until(&shared, |slots| slots.attentive);
            shared.events.push(Event::Press(Press::Short));
            wait_until(&shared, |slots| slots.demand == Demand::Capture);
            shared.lock().demand = Demand::Nothing;
            shared.events.push(film(&shared));
            wait_until(&shared, |slots| slots.job.take().is_some());
            shared.events.push(verdict(&shared));
            wait_until(&shared, |slots| slots.attentive);
            assert_eq!(shared.lock().demand, Demand::Nothing, "the verdict is shown");
            shared.events.push(Event::Press(Press::VeryLong));
            served.join().unwrap()
        });
        assert_eq!(ended.unwrap(), Ending::SwitchedOff);
        assert_eq!(CaseReader::open(folder.path()).unwrap().cases().unwrap().len(), 1);
    }
}
