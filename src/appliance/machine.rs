//! The box's states: what each event changes, what must be done then, what the LEDs show and how long a state may last.
//!
//! Nothing in here touches hardware or a clock; the time comes with each call.

use std::time::{Duration, Instant};

use crate::panel::Press;
use crate::screen::Fault;

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
    /// The camera does not answer, or is gone.
    CameraFailed,
    /// The frame that is to be judged is there.
    Captured,
    /// The model is loaded.
    ModelReady,
    /// The model cannot be loaded, or its thread has ended.
    ModelFailed,
    /// The film was judged.
    Judged,
    /// The case is written down and may be shown.
    Recorded(Shown),
    /// The case cannot be written down.
    StorageFailed,
    /// The button cannot be read.
    PanelFailed,
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

/// How long the box may start without a frame or a model. Loading the model takes seconds on a PC and tens of seconds on
/// an emulated board, which is the slowest there is.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// How long a frame may take; the camera itself gives up earlier and says why.
const CAPTURE_LIMIT: Duration = Duration::from_secs(20);
/// How long judging may take once the model is loaded, and how long a film may wait for that: 24 s an inference were
/// measured on an emulated Raspberry Pi 3.
const ANALYSIS_LIMIT: Duration = Duration::from_secs(240);
/// How long a result stays on the screen before the preview comes back.
const RESULT_LIMIT: Duration = Duration::from_secs(300);
/// Half a period of blinking.
const BLINK: Duration = Duration::from_millis(250);

/// The box's state and what belongs to it.
#[derive(Debug)]
pub struct Machine {
    state: State,
    since: Instant,
    model_loaded: bool,
    /// Whether a result can be shown again, and which.
    last: Option<Shown>,
    /// Whether a verdict is shown with its activation map.
    pub heat_map: bool,
    /// The signal that asked the program to end; it does once there is no film in hand.
    signal: Option<i32>,
}

impl Machine {
    pub fn new(now: Instant) -> Machine {
        Machine { state: State::Booting, since: now, model_loaded: false, last: None, heat_map: true, signal: None }
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
    }

    fn show(&mut self, shown: Shown, now: Instant) {
        let state = match shown {
            Shown::Class => State::Verdict { refer: false },
            Shown::Refer => State::Verdict { refer: true },
            Shown::Refused => State::Refused,
        };
        self.enter(state, now);
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
            (_, Event::PanelFailed) => self.enter(State::Fault(Fault::Panel), now),
            (_, Event::ModelFailed) => self.enter(State::Fault(Fault::Model), now),
            // Only a restart brings these back.
            (State::Fault(Fault::Model | Fault::Panel), _) => {}
            (state, Event::ModelReady) => {
                self.model_loaded = true;
                match state {
                    Booting => self.enter(Ready, now),
                    // The film's own time starts here.
                    Analysing => self.since = now,
                    _ => {}
                }
            }
            (Booting | State::Fault(Fault::Camera), Event::Preview) => self.enter(Ready, now),
            (Booting | Ready | Capturing, Event::CameraFailed) => self.enter(State::Fault(Fault::Camera), now),
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
            (Capturing | Analysing, Event::StorageFailed) => self.enter(State::Fault(Fault::Storage), now),
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

    /// Leaves a state that has lasted too long. Returns what went wrong, if that is a fault.
    pub fn expire(&mut self, now: Instant) -> Option<&'static str> {
        let limit = self.limit()?;
        if self.elapsed(now) < limit {
            return None;
        }
        let (next, trouble) = match self.state {
            State::Booting => (State::Fault(Fault::Model), Some("the model did not load in time")),
            State::Capturing => (State::Fault(Fault::Camera), Some("the camera gave no frame in time")),
            State::Analysing => (State::Fault(Fault::Model), Some("the film was not judged in time")),
            _ => (State::Ready, None),
        };
        self.enter(next, now);
        trouble
    }

    /// How long the state may last; `None`: until something happens.
    pub fn limit(&self) -> Option<Duration> {
        match self.state {
            State::Booting => Some(BOOT_LIMIT),
            State::Capturing => Some(CAPTURE_LIMIT),
            State::Analysing => Some(ANALYSIS_LIMIT),
            State::Verdict { .. } | State::Refused => Some(RESULT_LIMIT),
            State::Ready | State::Fault(_) | State::ShuttingDown => None,
        }
    }

    /// Whether the camera's frames are looked at now.
    pub fn previews(&self) -> bool {
        matches!(self.state, State::Booting | State::Ready | State::Fault(Fault::Camera))
    }

    /// Whether a press of the button would be taken.
    pub fn attentive(&self) -> bool {
        !matches!(self.state, State::Booting | State::Capturing | State::Analysing)
    }

    /// Whether the *ready* LED and the *attention* LED are on.
    pub fn leds(&self, now: Instant) -> (bool, bool) {
        let on = (self.elapsed(now).as_millis() / BLINK.as_millis()).is_multiple_of(2);
        match self.state {
            State::Booting => (on, false),
            State::Ready | State::Verdict { refer: false } => (true, false),
            State::Capturing | State::Analysing => (true, true),
            State::Verdict { refer: true } | State::Refused => (false, true),
            State::Fault(_) => (false, on),
            State::ShuttingDown => (on, on),
        }
    }

    /// When the box has to look again even if nothing happens: the LEDs' next change, or the state's limit.
    pub fn next_look(&self, now: Instant) -> Instant {
        let blinks = matches!(self.state, State::Booting | State::Fault(_) | State::ShuttingDown);
        let elapsed = self.elapsed(now);
        let next = if blinks {
            BLINK * (elapsed.as_millis() / BLINK.as_millis() + 1) as u32
        } else {
            Duration::from_secs(elapsed.as_secs() + 1)
        };
        self.since + self.limit().map_or(next, |limit| next.min(limit.max(elapsed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(now: Instant) -> Machine {
        let mut machine = Machine::new(now);
        machine.handle(Event::ModelReady, now);
        machine.handle(Event::Preview, now);
        assert_eq!(machine.state(), State::Ready);
        machine
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
        machine.handle(Event::Press(Press::Long), now);
        assert!(!machine.heat_map);
        assert_eq!(machine.expire(now + RESULT_LIMIT), None);
        assert_eq!(machine.state(), State::Ready);
        machine.handle(Event::Press(Press::Long), now);
        assert_eq!(machine.state(), State::Verdict { refer: false });
    }

    #[test]
    fn a_camera_that_is_gone_is_a_fault_until_it_is_back() {
        let now = Instant::now();
        let mut machine = ready(now);
        machine.handle(short(), now);
        machine.handle(Event::CameraFailed, now);
        assert_eq!(machine.state(), State::Fault(Fault::Camera));
        assert_eq!((machine.leds(now), machine.leds(now + BLINK)), ((false, true), (false, false)));
        machine.handle(Event::Preview, now);
        assert_eq!(machine.state(), State::Ready);
    }

    #[test]
    fn a_case_that_cannot_be_written_is_not_shown() {
        let now = Instant::now();
        let mut machine = ready(now);
        for event in [short(), Event::Captured, Event::Judged, Event::StorageFailed] {
            machine.handle(event, now);
        }
        assert_eq!(machine.state(), State::Fault(Fault::Storage));
        assert_eq!(machine.handle(short(), now), Some(Action::Capture), "the operator may try again");
    }

    #[test]
    fn states_that_wait_for_something_end_in_a_fault() {
        let now = Instant::now();
        let mut machine = Machine::new(now);
        assert!(machine.expire(now + BOOT_LIMIT).is_some());
        assert_eq!(machine.state(), State::Fault(Fault::Model));

        let mut machine = ready(now);
        machine.handle(short(), now);
        assert_eq!(machine.expire(now + CAPTURE_LIMIT / 2), None);
        assert!(machine.expire(now + CAPTURE_LIMIT).is_some());
        assert_eq!(machine.state(), State::Fault(Fault::Camera));
    }

    #[test]
    fn a_film_taken_before_the_model_is_loaded_gets_its_time_afterwards() {
        let now = Instant::now();
        let mut machine = Machine::new(now);
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
        for events in [&[][..], &[short()], &[short(), Event::Captured], &[Event::CameraFailed], &[Event::ModelFailed]]
        {
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
            (&[Event::CameraFailed, term], true),
            (&[Event::ModelFailed, term], true),
            (&[short(), term], false),
            (&[short(), term, Event::CameraFailed], true),
            (&[short(), Event::Captured, term], false),
            (&[short(), Event::Captured, term, Event::StorageFailed], true),
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
        assert!(machine.expire(now + CAPTURE_LIMIT).is_some());
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
        let mut machine = Machine::new(now);
        assert_eq!(machine.next_look(now), now + BLINK);
        machine.handle(Event::ModelReady, now);
        machine.handle(short(), now);
        let late = now + CAPTURE_LIMIT - Duration::from_millis(400);
        assert_eq!(machine.next_look(late), now + CAPTURE_LIMIT);
    }
}
