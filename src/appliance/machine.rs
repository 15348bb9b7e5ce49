//! The state machine of the box: what each event changes, what must be done then, and how long a state may last.
//!
//! Nothing in this module touches hardware or a clock. The time comes with each call.

use std::time::{Duration, Instant};

use xray_triage_core::decision::Outcome;

use crate::gpio::Press;
use crate::ui::status::Fault;

/// What the box is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The box has started; neither a frame nor the model is there yet.
    Booting,
    /// The box shows what the camera sees and waits for the button.
    Ready,
    /// The box waits for the frame that is to be judged.
    Capturing,
    /// The box judges the film and stores the case.
    Analysing,
    /// The box shows a class, or that a trained reader must look at the film.
    Verdict {
        /// Whether a trained reader must look.
        refer: bool,
    },
    /// The box shows why the film was refused and what to do.
    Refused,
    /// A part of the box does not work; the screen says what to do.
    Fault(Fault),
    /// The box is ending.
    ShuttingDown,
}

/// What can happen to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operator pressed the button.
    Press(Press),
    /// The camera has a new frame for the preview.
    Preview,
    /// The camera has the frame that is to be judged.
    Captured,
    /// The model is loaded.
    ModelReady,
    /// The film was judged.
    Judged,
    /// The case is stored and may be shown.
    Recorded(ResultScreen),
    /// A part of the box failed, or the thread that looks after it panicked.
    Failed(Fault),
    /// Cases can be stored again.
    StorageWorks,
    /// A signal asks the program to end, by its number.
    Signal(i32),
}

/// Which screen the result of a film gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultScreen {
    /// The screen of a class.
    Class,
    /// The screen that asks for a trained reader.
    Refer,
    /// The screen that says why the film was refused.
    Refused,
}

impl From<Outcome> for ResultScreen {
    fn from(outcome: Outcome) -> ResultScreen {
        match outcome {
            Outcome::Refused => ResultScreen::Refused,
            Outcome::Refer => ResultScreen::Refer,
            Outcome::Covid19 | Outcome::Pneumonia | Outcome::Normal => ResultScreen::Class,
        }
    }
}

/// What the controller has to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look whether the case can be stored, and ask the camera for a frame.
    Capture,
    /// Give the frame to the judge.
    Judge,
    /// Store the case.
    Record,
}

/// What the controller has to do when a state has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Show this message of the fault in which the box now is.
    Fault(Fault, &'static str),
    /// Look whether cases can be stored again.
    CheckStorage,
    /// End the program because of this fault, which only a restart mends: whoever started the program may start it again.
    End(Fault),
}

/// How long the box may take to start: until there is a frame or a model. Loading the model takes seconds on a PC and tens
/// of seconds on an emulated board, which is the slowest there is.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// How long the frame that is to be judged may take, in addition to [`GRABS`] times the camera's timeout. The camera itself
/// gives up earlier and says why.
const CAPTURE_LIMIT: Duration = Duration::from_secs(8);
/// How long the camera may give no sign of life while a preview is wanted, in addition to [`GRABS`] times its timeout. The
/// longest interval of the preview and the opening of the camera are in this time.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// How many times the camera's own timeout may pass before a frame is there: three times while the camera is opened and
/// settles, and once more if a frame of the preview was on its way.
const GRABS: u32 = 4;
/// How long judging may take once the model is loaded, and how long a film may wait for the model. An inference on an
/// emulated Raspberry Pi 3 was measured to take 24 s.
const ANALYSIS_LIMIT: Duration = Duration::from_secs(240);
/// How long a result stays on the screen before the preview comes back.
const RESULT_LIMIT: Duration = Duration::from_secs(300);
/// How long a new result takes no press except one that switches off. A short press counts when the button is released, up
/// to 0.8 s after the press began: it may have begun before the result was on the screen, and would wipe the result unseen.
const RESULT_STANDS: Duration = Duration::from_secs(1);
/// How long a case log that failed is left alone before it is tried again.
const STORAGE_LIMIT: Duration = Duration::from_secs(5);
/// How long a storage fault is shown at least if it took the verdict of a film: the operator waits for that verdict.
const LOSS_SHOWN: Duration = Duration::from_secs(60);
/// How long a fault that only a restart mends is shown before the program ends.
const FATAL_LIMIT: Duration = Duration::from_secs(10);

/// The state of the box and what belongs to it.
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// When the state began.
    since: Instant,
    /// When the state's limit began to count.
    limited_since: Instant,
    camera_timeout: Duration,
    /// Whether a storage fault took the verdict of a film.
    film_lost: bool,
    model_loaded: bool,
    /// The last result, which can be shown again.
    last: Option<ResultScreen>,
    /// Whether a verdict is shown with its heat map.
    pub heat_map: bool,
    /// The signal that asked the program to end. It ends once there is no film in hand.
    signal: Option<i32>,
}

impl Machine {
    /// The machine of a box that starts now, with a camera that waits `camera_timeout` for a frame.
    pub fn new(now: Instant, camera_timeout: Duration) -> Machine {
        Machine {
            state: State::Booting,
            since: now,
            limited_since: now,
            camera_timeout,
            film_lost: false,
            model_loaded: false,
            last: None,
            heat_map: true,
            signal: None,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// How long the state has lasted.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Whether the model is loaded.
    pub fn model_loaded(&self) -> bool {
        self.model_loaded
    }

    /// The signal that asked the program to end; `None` if the button did, or nothing.
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// Enters a state. A box that was asked to end has no use for any state without a film in hand: it shuts down instead.
    fn enter(&mut self, state: State, now: Instant) {
        let busy = matches!(state, State::Capturing | State::Analysing);
        let state = if self.signal.is_some() && !busy { State::ShuttingDown } else { state };
        log::debug!("{:?} -> {state:?}", self.state);
        self.state = state;
        self.since = now;
        self.limited_since = now;
    }

    /// Enters the state of a result.
    fn show(&mut self, result: ResultScreen, now: Instant) {
        let state = match result {
            ResultScreen::Class => State::Verdict { refer: false },
            ResultScreen::Refer => State::Verdict { refer: true },
            ResultScreen::Refused => State::Refused,
        };
        self.enter(state, now);
    }

    /// Tells the machine that the result is on the screen now. Its time begins here.
    pub fn result_drawn(&mut self, now: Instant) {
        self.since = now;
        self.limited_since = now;
    }

    /// Handles an event, and returns what has to be done.
    pub fn handle(&mut self, event: Event, now: Instant) -> Option<Action> {
        use State::{Analysing, Booting, Capturing, Ready, Refused, ShuttingDown, Verdict};
        match (self.state, event) {
            (ShuttingDown, _) => {}
            (_, Event::Press(Press::VeryLong)) => {
                self.signal = None;
                self.enter(ShuttingDown, now);
            }
            (state, Event::Signal(signal)) => {
                // A second signal means that nobody wants to wait for the film in hand.
                let again = self.signal.replace(signal).is_some();
                if again || !matches!(state, Capturing | Analysing) {
                    self.enter(ShuttingDown, now);
                }
            }
            (State::Fault(fault), _) if fault.needs_restart() => {}
            (_, Event::Failed(fault)) if fault.needs_restart() => self.enter(State::Fault(fault), now),
            (state, Event::ModelReady) => {
                self.model_loaded = true;
                match state {
                    Booting => self.enter(Ready, now),
                    // The film's own time starts here.
                    Analysing => self.enter(Analysing, now),
                    _ => {}
                }
            }
            (Booting | State::Fault(Fault::Camera), Event::Preview) => self.enter(Ready, now),
            (Booting | Ready | Capturing, Event::Failed(Fault::Camera)) => self.enter(State::Fault(Fault::Camera), now),
            // The camera gave a sign of life.
            (Ready, Event::Preview) | (State::Fault(Fault::Camera), Event::Failed(Fault::Camera)) => {
                self.limited_since = now;
            }
            (_, Event::Press(_)) if self.shows_new_result(now) => {}
            (Booting | Ready | Verdict { .. } | Refused | State::Fault(_), Event::Press(Press::Short)) => {
                self.enter(Capturing, now);
                return Some(Action::Capture);
            }
            (Capturing, Event::Captured) => {
                self.enter(Analysing, now);
                return Some(Action::Judge);
            }
            (Analysing, Event::Judged) => return Some(Action::Record),
            (Analysing, Event::Recorded(result)) => {
                self.last = Some(result);
                self.heat_map = true;
                self.show(result, now);
            }
            (Booting | Capturing | Analysing, Event::Failed(Fault::Storage)) => {
                self.film_lost = self.state == Analysing;
                self.enter(State::Fault(Fault::Storage), now);
            }
            (State::Fault(Fault::Storage), Event::StorageWorks) if !self.tells_of_lost_film(now) => {
                self.enter(Ready, now)
            }
            (Verdict { .. }, Event::Press(Press::Long)) => self.heat_map = !self.heat_map,
            (Ready, Event::Press(Press::Long)) => {
                if let Some(result) = self.last {
                    self.show(result, now);
                }
            }
            _ => {}
        }
        None
    }

    /// Leaves a state that has lasted too long, and returns what has to be done.
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        let limit = self.limit()?;
        if now.saturating_duration_since(self.limited_since) < limit {
            return None;
        }
        let (fault, message) = match self.state {
            State::Booting => (Fault::Model, "the model did not load in time"),
            State::Ready => (Fault::Camera, "the camera gives no sign of life. Plug it in again"),
            State::Capturing => (Fault::Camera, "the camera gave no frame in time"),
            State::Analysing => (Fault::Model, "the film was not judged in time. Take it again"),
            State::Verdict { .. } | State::Refused => {
                self.enter(State::Ready, now);
                return None;
            }
            State::Fault(Fault::Storage) => {
                self.limited_since = now;
                return Some(Expired::CheckStorage);
            }
            State::Fault(fault @ (Fault::Camera | Fault::Model | Fault::Gpio)) => return Some(Expired::End(fault)),
            State::Fault(Fault::Settings) | State::ShuttingDown => return None,
        };
        self.enter(State::Fault(fault), now);
        Some(Expired::Fault(fault, message))
    }

    /// How long the state may last, or its part of the box may give no sign of life. `None` if the state lasts until
    /// somebody ends it. Zero if it ends in the round in which it began.
    fn limit(&self) -> Option<Duration> {
        Some(match self.state {
            State::Booting => BOOT_LIMIT,
            State::Ready | State::Fault(Fault::Camera) => SILENCE_LIMIT + GRABS * self.camera_timeout,
            State::Capturing => CAPTURE_LIMIT + GRABS * self.camera_timeout,
            State::Analysing => ANALYSIS_LIMIT,
            State::Verdict { .. } | State::Refused => RESULT_LIMIT,
            State::Fault(Fault::Storage) => STORAGE_LIMIT,
            State::Fault(Fault::Model | Fault::Gpio) => FATAL_LIMIT,
            // A program that is started again would find the same settings.
            State::Fault(Fault::Settings) => return None,
            State::ShuttingDown => Duration::ZERO,
        })
    }

    /// When the state's limit is reached, not before `now`. `None` if the state has no limit.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.limit().map(|limit| (self.limited_since + limit).max(now))
    }

    /// Whether the camera is asked for a preview.
    pub fn wants_preview(&self) -> bool {
        matches!(self.state, State::Booting | State::Ready | State::Fault(Fault::Camera))
    }

    /// Whether a press of the button would be taken.
    pub fn takes_presses(&self, now: Instant) -> bool {
        !matches!(self.state, State::Booting | State::Capturing | State::Analysing) && !self.shows_new_result(now)
    }

    /// Whether the operator may not have seen the result that is shown.
    fn shows_new_result(&self, now: Instant) -> bool {
        self.shows_result() && self.elapsed(now) < RESULT_STANDS
    }

    /// Whether the storage fault still has to tell of a film that lost its verdict.
    pub fn tells_of_lost_film(&self, now: Instant) -> bool {
        self.state == State::Fault(Fault::Storage) && self.film_lost && self.elapsed(now) < LOSS_SHOWN
    }

    /// Whether a result is shown.
    pub fn shows_result(&self) -> bool {
        matches!(self.state, State::Verdict { .. } | State::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA_TIMEOUT: Duration = Duration::from_secs(3);

    fn ready(now: Instant) -> Machine {
        let mut machine = Machine::new(now, CAMERA_TIMEOUT);
        machine.handle(Event::ModelReady, now);
        machine.handle(Event::Preview, now);
        assert_eq!(machine.state(), State::Ready);
        machine
    }

    fn capture_limit() -> Duration {
        CAPTURE_LIMIT + GRABS * CAMERA_TIMEOUT
    }

    fn short() -> Event {
        Event::Press(Press::Short)
    }

    #[test]
    fn a_press_leads_to_a_recorded_case_before_it_is_shown() {
        let now = Instant::now();
        let mut machine = ready(now);
        assert_eq!(machine.handle(short(), now), Some(Action::Capture));
        assert_eq!(machine.handle(Event::Captured, now), Some(Action::Judge));
        assert_eq!(machine.handle(Event::Judged, now), Some(Action::Record));
        assert_eq!(machine.state(), State::Analysing);
        machine.handle(Event::Recorded(ResultScreen::Refer), now);
        assert_eq!(machine.state(), State::Verdict { refer: true });
    }

    #[test]
    fn presses_while_busy_are_not_taken() {
        let now = Instant::now();
        let mut machine = ready(now);
        machine.handle(short(), now);
        assert_eq!(machine.handle(short(), now), None);
        machine.handle(Event::Captured, now);
        assert_eq!(machine.handle(short(), now), None);
        assert_eq!(machine.state(), State::Analysing);
    }

    #[test]
    fn a_long_press_switches_the_map_and_brings_the_last_result_back() {
        let now = Instant::now();
        let mut machine = ready(now);
        machine.handle(Event::Press(Press::Long), now);
        assert_eq!(machine.state(), State::Ready, "there is no result yet");
        for event in [short(), Event::Captured, Event::Judged, Event::Recorded(ResultScreen::Class)] {
            machine.handle(event, now);
        }
        assert!(machine.heat_map);
        machine.handle(Event::Press(Press::Long), now + RESULT_STANDS);
        assert!(!machine.heat_map);
        assert_eq!(machine.expire(now + RESULT_LIMIT), None);
        assert_eq!(machine.state(), State::Ready);
        machine.handle(Event::Press(Press::Long), now);
        assert_eq!(machine.state(), State::Verdict { refer: false });
    }

    #[test]
    fn a_press_that_began_before_the_result_was_seen_does_not_wipe_it() {
        let now = Instant::now();
        for result in [ResultScreen::Class, ResultScreen::Refer, ResultScreen::Refused] {
            let mut machine = ready(now);
            for event in [short(), Event::Captured, Event::Judged, Event::Recorded(result)] {
                machine.handle(event, now);
            }
            let drawn = now + Duration::from_secs(3);
            machine.result_drawn(drawn);
            let early = drawn + RESULT_STANDS.saturating_sub(Duration::from_millis(1));
            for press in [Press::Short, Press::Long] {
                assert_eq!(machine.handle(Event::Press(press), early), None);
            }
            assert!(machine.shows_result() && machine.heat_map && !machine.takes_presses(early), "{result:?}");
            let late = drawn + RESULT_STANDS;
            assert!(machine.takes_presses(late));
            assert_eq!(machine.handle(short(), late), Some(Action::Capture));
        }
    }

    #[test]
    fn a_camera_that_is_gone_is_a_fault_until_it_is_back() {
        let now = Instant::now();
        let mut machine = ready(now);
        machine.handle(short(), now);
        machine.handle(Event::Failed(Fault::Camera), now);
        assert_eq!(machine.state(), State::Fault(Fault::Camera));
        machine.handle(Event::Preview, now);
        assert_eq!(machine.state(), State::Ready);
    }

    #[test]
    fn a_case_that_cannot_be_written_is_not_shown() {
        let now = Instant::now();
        let mut machine = ready(now);
        for event in [short(), Event::Captured, Event::Judged, Event::Failed(Fault::Storage)] {
            machine.handle(event, now);
        }
        assert_eq!(machine.state(), State::Fault(Fault::Storage));
        assert_eq!(machine.handle(short(), now), Some(Action::Capture), "the operator may try again");
    }

    #[test]
    fn states_that_wait_for_something_end_in_a_fault() {
        let now = Instant::now();
        let mut machine = Machine::new(now, CAMERA_TIMEOUT);
        assert!(machine.expire(now + BOOT_LIMIT).is_some());
        assert_eq!(machine.state(), State::Fault(Fault::Model));

        let mut machine = ready(now);
        machine.handle(short(), now);
        assert_eq!(machine.expire(now + capture_limit() / 2), None);
        assert!(machine.expire(now + capture_limit()).is_some());
        assert_eq!(machine.state(), State::Fault(Fault::Camera));
    }

    #[test]
    fn every_state_has_its_limit() {
        use State::{Analysing, Booting, Capturing, Ready, Refused, ShuttingDown, Verdict};
        let fault = |fault, message: &'static str| (State::Fault(fault), Some(Expired::Fault(fault, message)));
        let silent = fault(Fault::Camera, "the camera gives no sign of life. Plug it in again");
        let ends = |fault| (State::Fault(fault), Some(Expired::End(fault)));
        let seconds = Duration::from_secs;
        for (state, limit, (next, expired)) in [
            (Booting, seconds(180), fault(Fault::Model, "the model did not load in time")),
            (Ready, seconds(42), silent),
            (Capturing, seconds(20), fault(Fault::Camera, "the camera gave no frame in time")),
            (Analysing, seconds(240), fault(Fault::Model, "the film was not judged in time. Take it again")),
            (Verdict { refer: false }, seconds(300), (Ready, None)),
            (Verdict { refer: true }, seconds(300), (Ready, None)),
            (Refused, seconds(300), (Ready, None)),
            (State::Fault(Fault::Camera), seconds(42), ends(Fault::Camera)),
            (State::Fault(Fault::Storage), seconds(5), (State::Fault(Fault::Storage), Some(Expired::CheckStorage))),
            (State::Fault(Fault::Model), seconds(10), ends(Fault::Model)),
            (State::Fault(Fault::Gpio), seconds(10), ends(Fault::Gpio)),
            (ShuttingDown, seconds(0), (ShuttingDown, None)),
        ] {
            let now = Instant::now();
            let mut machine = ready(now);
            machine.enter(state, now);
            assert_eq!(machine.limit(), Some(limit), "{state:?}");
            if !limit.is_zero() {
                assert_eq!(machine.expire(now + limit.saturating_sub(Duration::from_millis(1))), None, "{state:?}");
                assert_eq!(machine.state(), state);
            }
            assert_eq!((machine.expire(now + limit), machine.state()), (expired, next), "{state:?}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_a_fault_until_somebody_ends_it() {
        let now = Instant::now();
        for (event, signal) in [(Event::Press(Press::VeryLong), None), (Event::Signal(15), Some(15))] {
            let mut machine = Machine::new(now, CAMERA_TIMEOUT);
            let faults = [Fault::Settings, Fault::Gpio, Fault::Model, Fault::Camera].map(Event::Failed);
            for event in faults.into_iter().chain([short(), Event::ModelReady]) {
                assert_eq!(machine.handle(event, now), None);
            }
            let later = now + Duration::from_secs(1_000_000);
            assert_eq!(machine.expire(later), None);
            assert_eq!((machine.state(), machine.wants_preview()), (State::Fault(Fault::Settings), false));
            assert_eq!(machine.deadline(later), None);
            machine.handle(event, later);
            assert_eq!((machine.state(), machine.signal()), (State::ShuttingDown, signal));
        }
    }

    #[test]
    fn a_camera_that_gives_signs_of_life_is_waited_for() {
        let now = Instant::now();
        let mut machine = ready(now);
        let later = now + Duration::from_secs(40);
        machine.handle(Event::Preview, later);
        assert_eq!(machine.expire(later + Duration::from_secs(40)), None);
        machine.handle(Event::Failed(Fault::Camera), later);
        let flashes = later + Duration::from_secs(40);
        machine.handle(Event::Failed(Fault::Camera), flashes);
        assert_eq!(machine.elapsed(flashes), Duration::from_secs(40), "the LEDs keep their pattern");
        assert_eq!(machine.expire(flashes + Duration::from_secs(40)), None);
        assert_eq!(machine.expire(flashes + Duration::from_secs(42)), Some(Expired::End(Fault::Camera)));
    }

    #[test]
    fn a_camera_may_take_its_own_time() {
        let now = Instant::now();
        let mut machine = Machine::new(now, Duration::from_secs(60));
        machine.handle(Event::ModelReady, now);
        machine.handle(short(), now);
        assert_eq!(machine.expire(now + Duration::from_secs(240)), None);
    }

    #[test]
    fn storage_is_looked_at_again_and_goes_on_by_itself_unless_a_film_was_just_lost() {
        let now = Instant::now();
        for (events, wait) in [
            (&[Event::Failed(Fault::Storage)][..], STORAGE_LIMIT),
            (&[short(), Event::Failed(Fault::Storage)], STORAGE_LIMIT),
            (&[short(), Event::Captured, Event::Judged, Event::Failed(Fault::Storage)], LOSS_SHOWN),
        ] {
            let mut machine = Machine::new(now, CAMERA_TIMEOUT);
            for event in events {
                machine.handle(*event, now);
            }
            let mut at = now;
            while at < now + wait {
                assert_eq!(machine.state(), State::Fault(Fault::Storage), "{events:?}");
                assert_eq!(machine.tells_of_lost_film(at), wait == LOSS_SHOWN, "{events:?}");
                at += STORAGE_LIMIT;
                assert_eq!(machine.expire(at), Some(Expired::CheckStorage));
                machine.handle(Event::StorageWorks, at);
            }
            assert_eq!(machine.state(), State::Ready, "{events:?}");
        }
    }

    #[test]
    fn a_film_taken_before_the_model_is_loaded_gets_its_time_afterwards() {
        let now = Instant::now();
        let mut machine = Machine::new(now, CAMERA_TIMEOUT);
        for event in [Event::Preview, short(), Event::Captured] {
            machine.handle(event, now);
        }
        let loaded = now + ANALYSIS_LIMIT / 2;
        machine.handle(Event::ModelReady, loaded);
        assert_eq!(machine.expire(now + ANALYSIS_LIMIT), None);
        assert!(machine.expire(loaded + ANALYSIS_LIMIT).is_some());
    }

    #[test]
    fn holding_the_button_ends_every_state() {
        let now = Instant::now();
        for events in [
            &[][..],
            &[short()],
            &[short(), Event::Captured],
            &[Event::Failed(Fault::Camera)],
            &[Event::Failed(Fault::Model)],
        ] {
            let mut machine = ready(now);
            for event in events {
                machine.handle(*event, now);
            }
            machine.handle(Event::Press(Press::VeryLong), now);
            assert_eq!(machine.state(), State::ShuttingDown);
        }
    }

    #[test]
    fn a_signal_ends_the_box_once_the_film_in_hand_is_recorded() {
        let now = Instant::now();
        let mut machine = ready(now);
        machine.handle(short(), now);
        machine.handle(Event::Signal(15), now);
        assert_eq!(machine.state(), State::Capturing);
        assert_eq!(machine.handle(Event::Captured, now), Some(Action::Judge));
        assert_eq!(machine.handle(Event::Judged, now), Some(Action::Record));
        machine.handle(Event::Recorded(ResultScreen::Class), now);
        assert_eq!((machine.state(), machine.signal()), (State::ShuttingDown, Some(15)));
    }

    #[test]
    fn a_signal_ends_the_box_at_once_without_a_film_or_when_it_comes_again() {
        let now = Instant::now();
        let term = Event::Signal(15);
        for (events, ends) in [
            (&[term][..], true),
            (&[Event::Failed(Fault::Camera), term], true),
            (&[Event::Failed(Fault::Model), term], true),
            (&[short(), term], false),
            (&[short(), term, Event::Failed(Fault::Camera)], true),
            (&[short(), Event::Captured, term], false),
            (&[short(), Event::Captured, term, Event::Failed(Fault::Storage)], true),
            (&[short(), Event::Captured, term, term], true),
        ] {
            let mut machine = ready(now);
            for event in events {
                machine.handle(*event, now);
            }
            assert_eq!(machine.state() == State::ShuttingDown, ends, "{events:?}");
        }
    }

    #[test]
    fn a_film_that_takes_too_long_holds_up_the_end_no_longer() {
        let now = Instant::now();
        let mut machine = ready(now);
        machine.handle(short(), now);
        machine.handle(Event::Signal(15), now);
        assert!(machine.expire(now + capture_limit()).is_some());
        assert_eq!(machine.state(), State::ShuttingDown);
    }

    #[test]
    fn a_held_button_switches_off_whatever_asked_before() {
        let now = Instant::now();
        let mut machine = ready(now);
        for event in [short(), Event::Signal(15), Event::Press(Press::VeryLong)] {
            machine.handle(event, now);
        }
        assert_eq!((machine.state(), machine.signal()), (State::ShuttingDown, None));
    }
}
