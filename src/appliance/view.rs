//! The display: which screen a state of the box gets, and when it is drawn anew.

use std::time::Instant;

use image::{GrayImage, RgbImage};
use jiff::Zoned;
use xray_triage_core::pipeline::Assessment;

use crate::caselog;
use crate::display::Display;
use crate::ui::screens::{self, Screen, Surroundings};
use crate::ui::status::Hint;

use super::Behaviour;
use super::machine::{Machine, State};

/// The newest frame of the preview, and how many there were before it.
pub struct Preview {
    pub frame: GrayImage,
    pub hint: Option<Hint>,
    pub number: u64,
}

/// The case on the screen.
pub struct Case {
    pub assessment: Assessment,
    pub number: String,
}

/// The display, and what is on it.
pub struct View<'a> {
    display: &'a mut dyn Display,
    behaviour: &'a Behaviour,
    canvas: RgbImage,
    clock: Option<String>,
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
    clock: Option<String>,
    /// A fault's reason.
    trouble: String,
}

/// The time of day; nothing where the clock was never set, since a wrong time is worse than none.
fn time_of_day(now: &Zoned) -> Option<String> {
    (!caselog::clock_unset(now.timestamp())).then(|| now.strftime("%H:%M").to_string())
}

impl<'a> View<'a> {
    pub fn new(display: &'a mut dyn Display, behaviour: &'a Behaviour) -> View<'a> {
        let (width, height) = display.size();
        let canvas = RgbImage::new(width, height);
        View { display, behaviour, canvas, clock: None, shown: None, failing: false }
    }

    /// Starts anew on a display that was lost, or missing, and is there now.
    pub fn look_after_display(&mut self) {
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
    pub fn show(
        &mut self,
        machine: &Machine,
        now: Instant,
        preview: Option<&Preview>,
        case: Option<&Case>,
        trouble: &str,
    ) {
        self.clock = time_of_day(&Zoned::now());
        let state = machine.state();
        let seconds = machine.elapsed(now).as_secs();
        let tick = match state {
            State::Ready => preview.map_or(0, |preview| preview.number),
            State::Analysing => seconds,
            _ => 0,
        };
        let shows =
            Shows { state, heat_map: machine.heat_map, tick, clock: self.clock.clone(), trouble: trouble.into() };
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

    /// Draws a screen, whatever is shown. A display that cannot show it is logged once.
    pub fn draw(&mut self, screen: &Screen) {
        if self.canvas.is_empty() {
            return;
        }
        let around = Surroundings {
            language: self.behaviour.language,
            clock: self.clock.as_deref(),
            model: &self.behaviour.model,
        };
        screens::draw(&mut self.canvas, screen, &around);
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

    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use crate::appliance::machine::Event;
    use crate::appliance::tests::behaviour;
    use crate::display::DisplayError;
    use crate::ui::status::Fault;

    use super::*;

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
        let (behaviour, now) = (behaviour(), Instant::now());
        let machine = Machine::new(now, behaviour.camera_timeout);
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

    #[test]
    fn a_fault_is_drawn_again_for_another_reason() {
        let (behaviour, now) = (behaviour(), Instant::now());
        let mut machine = Machine::new(now, behaviour.camera_timeout);
        machine.handle(Event::Failed(Fault::Storage), now);
        let shown = Rc::default();
        let mut display = Replaced { checks: 0, shown: Rc::clone(&shown) };
        let mut view = View::new(&mut display, &behaviour);
        for (trouble, screens) in [("no room", 1), ("no room", 1), ("read-only", 2)] {
            view.show(&machine, now, None, None, trouble);
            assert_eq!(shown.borrow().len(), screens, "{trouble}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_shown() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
        assert_eq!(time_of_day(&at(90)), None);
        assert_eq!(time_of_day(&at(2_529_752_460)).as_deref(), Some("13:01"));
    }
}
