//! The box's states: what each event changes, what must be done then, and how long a state may last.
//!
//! Nothing in here touches hardware or a clock; the time comes with each call.

use std::time::{Duration, Instant};

use crate::gpio::Press;
use crate::ui::status::Fault;

use super::lights;

/// What the box is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Started; neither a frame nor the model is there yet.
    Booting,
    /// Shows what the camera sees and waits for the button.
    Ready,
    /// Waits for the frame that is to be judged.
    Capturing,
    /// Judges it and writes the case down.
    Analysing,
    /// Shows a class, or that a reader must look (`refer`).
    Verdict { refer: bool },
    /// Shows why the film was refused and what to do.
    Refused,
    /// Something does not work; the screen says what to do.
    Fault(Fault),
    /// Is ending.
    ShuttingDown,
}

/// What can happen to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operator pressed the button.
    Press(Press),
    /// The camera has a new frame for the preview.
    Preview,
    /// The frame that is to be judged is there.
    Captured,
    /// The model is loaded.
    ModelReady,
    /// The film was judged.
    Judged,
    /// The case is written down and may be shown.
    Recorded(Shown),
    /// The camera gives no frame, no case can be written down, the model cannot be loaded or judge, the button cannot be
    /// read or the LEDs not set, or the settings cannot be used; or the thread that looks after it has ended.
    Failed(Fault),
    /// Cases can be written down again.
    StorageWorks,
    /// A signal asks the program to end, by its number.
    Signal(i32),
}

/// Which screen a case gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Class,
    Refer,
    Refused,
}

/// What the box has to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make room for a case and ask the camera for a frame.
    Capture,
    /// Give the frame to the model.
    Judge,
    /// Write the case down.
    Record,
}

/// What has to be done when a state has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Tell why the box is in this fault now.
    Fault(Fault, &'static str),
    /// See whether cases can be written down again.
    CheckStorage,
    /// End the program: nothing but a restart helps, and whoever started it may try one.
    End,
}

/// How long the box may start without a frame or a model. Loading the model takes seconds on a PC and tens of seconds on
/// an emulated board, which is the slowest there is.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// How long a frame may take, beside [`GRABS`]. The camera itself gives up earlier and says why.
const CAPTURE_LIMIT: Duration = Duration::from_secs(8);
/// How long the camera may give no sign of life while its frames are looked at, beside [`GRABS`]: the preview's longest
/// interval and opening are in it.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// How often the camera's own timeout may pass before a frame is there: three times while it is opened and settles, once
/// more if a frame of the preview was on its way.
const GRABS: u32 = 4;
/// How long judging may take once the model is loaded, and how long a film may wait for that: 24 s an inference were
/// measured on an emulated Raspberry Pi 3.
const ANALYSIS_LIMIT: Duration = Duration::from_secs(240);
/// How long a result stays on the screen before the preview comes back.
const RESULT_LIMIT: Duration = Duration::from_secs(300);
/// For how long a result takes no press but one that switches off. A short one is told when it is released, 0.8 s after it
/// began at most: perhaps before the result was on the screen, which it would wipe unseen.
const RESULT_STANDS: Duration = Duration::from_secs(1);
/// How often a case log that failed is looked at again.
const STORAGE_LIMIT: Duration = Duration::from_secs(5);
/// How long a storage fault is shown at least if a film was judged in vain: its operator waits for a verdict.
const LOSS_SHOWN: Duration = Duration::from_secs(60);
/// How long a fault that only a restart mends is shown before the program ends.
const FATAL_LIMIT: Duration = Duration::from_secs(10);

/// The box's state and what belongs to it.
#[derive(Debug)]
pub struct Machine {
    state: State,
    since: Instant,
    /// When the state's limit began to count.
    limited_since: Instant,
    camera_timeout: Duration,
    /// Whether a storage fault took a film's verdict.
    film_lost: bool,
    model_loaded: bool,
    /// Whether a result can be shown again, and which.
    last: Option<Shown>,
    /// Whether a verdict is shown with its activation map.
    pub heat_map: bool,
    /// The signal that asked the program to end; it does once there is no film in hand.
    signal: Option<i32>,
}

impl Machine {
    /// A box that starts now, with a camera that gives up on a frame after `camera_timeout`.
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

    fn enter(&mut self, state: State, now: Instant) {
        // Asked to end, the box is ready for no other film, and its faults are of no more interest.
        let busy = matches!(state, State::Capturing | State::Analysing);
        let state = if self.signal.is_some() && !busy { State::ShuttingDown } else { state };
        log::debug!("{:?} -> {state:?}", self.state);
        self.state = state;
        self.since = now;
        self.limited_since = now;
    }

    fn show(&mut self, shown: Shown, now: Instant) {
        let state = match shown {
            Shown::Class => State::Verdict { refer: false },
            Shown::Refer => State::Verdict { refer: true },
            Shown::Refused => State::Refused,
        };
        self.enter(state, now);
    }

    /// The result is on the screen now: its time begins.
    pub fn result_drawn(&mut self, now: Instant) {
        self.since = now;
        self.limited_since = now;
    }

    /// Takes an event in; returns what has to be done.
    pub fn handle(&mut self, event: Event, now: Instant) -> Option<Action> {
        use State::{Analysing, Booting, Capturing, Ready, Refused, ShuttingDown, Verdict};
        match (self.state, event) {
            (ShuttingDown, _) => {}
            (_, Event::Press(Press::VeryLong)) => {
                self.signal = None;
                self.enter(ShuttingDown, now);
            }
            (state, Event::Signal(signal)) => {
                // Who asks twice does not want to wait for the film in hand.
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
            (Analysing, Event::Recorded(shown)) => {
                self.last = Some(shown);
                self.heat_map = true;
                self.show(shown, now);
            }
            (Booting | Capturing | Analysing, Event::Failed(Fault::Storage)) => {
                self.film_lost = self.state == Analysing;
                self.enter(State::Fault(Fault::Storage), now);
            }
            (State::Fault(Fault::Storage), Event::StorageWorks) if !self.shows_loss(now) => self.enter(Ready, now),
            (Verdict { .. }, Event::Press(Press::Long)) => self.heat_map = !self.heat_map,
            (Ready, Event::Press(Press::Long)) => {
                if let Some(shown) = self.last {
                    self.show(shown, now);
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
        let (fault, trouble) = match self.state {
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
            State::Fault(Fault::Camera | Fault::Model | Fault::Panel) => return Some(Expired::End),
            State::Fault(Fault::Settings) | State::ShuttingDown => return None,
        };
        self.enter(State::Fault(fault), now);
        Some(Expired::Fault(fault, trouble))
    }

    /// How long the state may last, or its part may give no sign of life; `None`: as long as nobody ends it. Zero: it ends
    /// in the round in which it began.
    pub fn limit(&self) -> Option<Duration> {
        Some(match self.state {
            State::Booting => BOOT_LIMIT,
            State::Ready | State::Fault(Fault::Camera) => SILENCE_LIMIT + GRABS * self.camera_timeout,
            State::Capturing => CAPTURE_LIMIT + GRABS * self.camera_timeout,
            State::Analysing => ANALYSIS_LIMIT,
            State::Verdict { .. } | State::Refused => RESULT_LIMIT,
            State::Fault(Fault::Storage) => STORAGE_LIMIT,
            State::Fault(Fault::Model | Fault::Panel) => FATAL_LIMIT,
            // Started again it would have the same settings.
            State::Fault(Fault::Settings) => return None,
            State::ShuttingDown => Duration::ZERO,
        })
    }

    /// Whether the camera's frames are looked at now.
    pub fn previews(&self) -> bool {
        matches!(self.state, State::Booting | State::Ready | State::Fault(Fault::Camera))
    }

    /// Whether a press of the button would be taken.
    pub fn attentive(&self, now: Instant) -> bool {
        !matches!(self.state, State::Booting | State::Capturing | State::Analysing) && !self.shows_new_result(now)
    }

    /// Whether the operator may not have seen the result that is shown.
    fn shows_new_result(&self, now: Instant) -> bool {
        self.shows_result() && self.elapsed(now) < RESULT_STANDS
    }

    /// Whether the storage fault still has to tell of a film that was judged in vain.
    pub fn shows_loss(&self, now: Instant) -> bool {
        self.state == State::Fault(Fault::Storage) && self.film_lost && self.elapsed(now) < LOSS_SHOWN
    }

    /// Whether a result is shown.
    pub fn shows_result(&self) -> bool {
        matches!(self.state, State::Verdict { .. } | State::Refused)
    }

    /// Whether the *ready* LED and the *attention* LED are on.
    pub fn leds(&self, now: Instant) -> (bool, bool) {
        lights::pattern(self.state, self.elapsed(now))
    }

    /// When the box has to look again even if nothing happens: the LEDs' next change, or the state's limit; after a second
    /// at the latest.
    pub fn next_look(&self, now: Instant) -> Instant {
        let next = self.since + lights::next_change(self.state, self.elapsed(now));
        self.limit().map_or(next, |limit| next.min((self.limited_since + limit).max(now)))
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
        assert_eq!(machine.leds(now), (true, true));
        assert_eq!(machine.handle(Event::Captured, now), Some(Action::Judge));
        assert_eq!(machine.handle(Event::Judged, now), Some(Action::Record));
        assert_eq!(machine.state(), State::Analysing);
        machine.handle(Event::Recorded(Shown::Refer), now);
        assert_eq!((machine.state(), machine.leds(now)), (State::Verdict { refer: true }, (false, true)));
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
        for event in [short(), Event::Captured, Event::Judged, Event::Recorded(Shown::Class)] {
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
        for shown in [Shown::Class, Shown::Refer, Shown::Refused] {
            let mut machine = ready(now);
            for event in [short(), Event::Captured, Event::Judged, Event::Recorded(shown)] {
                machine.handle(event, now);
            }
            let drawn = now + Duration::from_secs(3);
            machine.result_drawn(drawn);
            let early = drawn + RESULT_STANDS.saturating_sub(Duration::from_millis(1));
            for press in [Press::Short, Press::Long] {
                assert_eq!(machine.handle(Event::Press(press), early), None);
            }
            assert!(machine.shows_result() && machine.heat_map && !machine.attentive(early), "{shown:?}");
            let late = drawn + RESULT_STANDS;
            assert!(machine.attentive(late));
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
        let fault = |fault, trouble: &'static str| (State::Fault(fault), Some(Expired::Fault(fault, trouble)));
        let silent = fault(Fault::Camera, "the camera gives no sign of life. Plug it in again");
        let ends = |fault| (State::Fault(fault), Some(Expired::End));
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
            (State::Fault(Fault::Panel), seconds(10), ends(Fault::Panel)),
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
            let faults = [Fault::Settings, Fault::Panel, Fault::Model, Fault::Camera].map(Event::Failed);
            for event in faults.into_iter().chain([short(), Event::ModelReady]) {
                assert_eq!(machine.handle(event, now), None);
            }
            let later = now + Duration::from_secs(1_000_000);
            assert_eq!(machine.expire(later), None);
            assert_eq!((machine.state(), machine.previews()), (State::Fault(Fault::Settings), false));
            assert!(machine.next_look(later) <= later + Duration::from_secs(1), "the watchdog is fed");
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
        assert_eq!(machine.expire(flashes + Duration::from_secs(42)), Some(Expired::End));
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
                assert_eq!(machine.shows_loss(at), wait == LOSS_SHOWN, "{events:?}");
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
        machine.handle(Event::Recorded(Shown::Class), now);
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

    #[test]
    fn the_box_looks_again_when_a_led_changes_or_a_limit_is_reached() {
        let now = Instant::now();
        let mut machine = Machine::new(now, CAMERA_TIMEOUT);
        assert_eq!(machine.next_look(now), now + Duration::from_millis(250));
        machine.handle(Event::ModelReady, now);
        machine.handle(short(), now);
        let late = now + capture_limit().saturating_sub(Duration::from_millis(400));
        assert_eq!(machine.next_look(late), now + capture_limit());
    }
}
