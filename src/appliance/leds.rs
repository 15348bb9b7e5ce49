//! What the two LEDs show: each state of the box has its own pattern, which a person without a display can tell from all
//! others.

use std::time::{Duration, Instant};

use crate::gpio::{GpioError, Leds};
use crate::ui::status::Fault;

use super::machine::State;

/// Shortest time that an LED is on or off.
const TICK: Duration = Duration::from_millis(250);
/// Some steady patterns change for one tick in so many, the last of them.
const FLASH_EVERY: u128 = 8;
/// How many ticks are dark between two rounds of a fault's flashes, in addition to the dark tick after each flash.
const PAUSE: u128 = 4;
/// How long steady LEDs are left alone. The controller looks after everything else in the same interval.
const STEADY: Duration = Duration::from_secs(1);
/// How long setting the LEDs may fail before that is a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the *ready* LED and the *attention* LED are on in a state that has lasted for `elapsed`.
pub fn pattern(state: State, elapsed: Duration) -> (bool, bool) {
    let tick = elapsed.as_millis() / TICK.as_millis();
    let blink = tick.is_multiple_of(2);
    let flash = tick % FLASH_EVERY == FLASH_EVERY - 1;
    match state {
        State::Booting => (blink, false),
        State::Ready => (true, false),
        State::Capturing => (true, true),
        State::Analysing => (!flash, true),
        State::Verdict { refer: false } => (true, flash),
        State::Verdict { refer: true } => (false, true),
        State::Refused => (flash, true),
        State::Fault(fault) => {
            let flashing = 2 * flashes(fault);
            (false, blink && tick % (flashing + PAUSE) < flashing)
        }
        State::ShuttingDown => (blink, blink),
    }
}

/// How often the *attention* LED flashes for a fault before it pauses.
fn flashes(fault: Fault) -> u128 {
    match fault {
        Fault::Camera => 1,
        Fault::Model => 2,
        Fault::Storage => 3,
        Fault::Gpio => 4,
        Fault::Settings => 5,
    }
}

/// When the LEDs of a state that has lasted for `elapsed` may change next, counted from the beginning of the state. Steady
/// LEDs are looked at again after a second.
pub fn next_change(state: State, elapsed: Duration) -> Duration {
    match state {
        State::Ready | State::Capturing | State::Verdict { refer: true } => elapsed + STEADY,
        _ => elapsed.saturating_sub(Duration::from_nanos((elapsed.as_nanos() % TICK.as_nanos()) as u64)) + TICK,
    }
}

/// The two LEDs with what they show.
pub struct StatusLeds {
    leds: Box<dyn Leds>,
    /// What *ready* and *attention* show; `None` if that is not known.
    lit: Option<(bool, bool)>,
    /// Since when setting them fails.
    failing: Option<Instant>,
    /// Whether that was returned as an error.
    told: bool,
}

impl StatusLeds {
    /// LEDs of which it is not known what they show.
    pub fn new(leds: Box<dyn Leds>) -> StatusLeds {
        StatusLeds { leds, lit: None, failing: None, told: false }
    }

    /// Sets *ready* and *attention* if they show something else. LEDs that cannot be set are tried again at each call; the
    /// first failure is logged.
    ///
    /// # Errors
    /// The LEDs could not be set for five seconds. This is returned once.
    pub fn show(&mut self, lit: (bool, bool), now: Instant) -> Result<(), GpioError> {
        if self.lit == Some(lit) {
            return Ok(());
        }
        let Err(error) = self.leds.set(lit.0, lit.1) else {
            (self.lit, self.failing, self.told) = (Some(lit), None, false);
            return Ok(());
        };
        self.lit = None;
        if self.failing.is_none() {
            log::warn!("{error}");
        }
        let since = *self.failing.get_or_insert(now);
        if self.told || now.saturating_duration_since(since) < PATIENCE {
            return Ok(());
        }
        self.told = true;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    const STATES: [State; 13] = [
        State::Booting,
        State::Ready,
        State::Capturing,
        State::Analysing,
        State::Verdict { refer: false },
        State::Verdict { refer: true },
        State::Refused,
        State::Fault(Fault::Camera),
        State::Fault(Fault::Model),
        State::Fault(Fault::Storage),
        State::Fault(Fault::Gpio),
        State::Fault(Fault::Settings),
        State::ShuttingDown,
    ];

    /// The rounds have a character a tick: `#` both LEDs on, `r` *ready*, `a` *attention*, `.` none.
    #[test]
    fn every_state_has_its_pattern() {
        let rounds = [
            "r.",
            "r",
            "#",
            "#######a",
            "rrrrrrr#",
            "a",
            "aaaaaaa#",
            "a.....",
            "a.a.....",
            "a.a.a.....",
            "a.a.a.a.....",
            "a.a.a.a.a.....",
            "#.",
        ];
        for (state, round) in STATES.into_iter().zip(rounds) {
            for (tick, sign) in round.chars().cycle().take(120).enumerate() {
                let lit = (matches!(sign, '#' | 'r'), matches!(sign, '#' | 'a'));
                assert_eq!(pattern(state, TICK * tick as u32 + TICK / 2), lit, "{state:?}, tick {tick}");
            }
        }
    }

    #[test]
    fn patterns_differ_whenever_somebody_begins_to_look() {
        // Every round fits into 120 ticks several times.
        let seen = |state: State, from: u32| -> Vec<_> {
            (from..from + 120).map(|tick| pattern(state, TICK * tick)).collect()
        };
        for (place, state) in STATES.into_iter().enumerate() {
            for other in &STATES[..place] {
                for from in 0..120 {
                    assert_ne!(seen(state, 0), seen(*other, from), "{state:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    fn no_change_is_missed() {
        for state in STATES {
            let mut elapsed = Duration::from_millis(130);
            while elapsed < Duration::from_secs(30) {
                let next = next_change(state, elapsed);
                assert!(next > elapsed && next <= elapsed + STEADY);
                assert_eq!(
                    pattern(state, next.saturating_sub(Duration::from_millis(1))),
                    pattern(state, elapsed),
                    "{state:?}"
                );
                elapsed = next;
            }
        }
    }

    fn loose_wire() -> GpioError {
        GpioError::SetLed { line: 27, error: "a loose wire".into() }
    }

    /// LEDs that cannot be set while `broken`. They count how often it was tried.
    struct LooseWire {
        broken: Rc<Cell<bool>>,
        tried: Rc<Cell<u32>>,
    }

    impl Leds for LooseWire {
        fn set(&mut self, _ready: bool, _attention: bool) -> Result<(), GpioError> {
            self.tried.set(self.tried.get() + 1);
            if self.broken.get() { Err(loose_wire()) } else { Ok(()) }
        }
    }

    #[test]
    fn leds_that_cannot_be_set_are_tried_again_and_become_a_fault() {
        let (broken, tried) = (Rc::new(Cell::new(true)), Rc::default());
        let mut leds = StatusLeds::new(Box::new(LooseWire { broken: Rc::clone(&broken), tried: Rc::clone(&tried) }));
        let start = Instant::now();
        assert!(leds.show((true, false), start).is_ok());
        assert!(leds.show((true, false), start + PATIENCE / 2).is_ok());
        assert_eq!(tried.get(), 2, "it is tried again");
        assert_eq!(leds.show((true, false), start + PATIENCE), Err(loose_wire()));
        assert!(leds.show((true, false), start + 2 * PATIENCE).is_ok(), "told once");
        broken.set(false);
        for _ in 0..2 {
            assert!(leds.show((true, false), start + 3 * PATIENCE).is_ok());
        }
        assert_eq!(tried.get(), 5, "what is shown is not set again");
        broken.set(true);
        assert!(leds.show((false, false), start + 4 * PATIENCE).is_ok(), "another streak has its own patience");
    }
}
