//! Which screen each state of the box gets, and when it is drawn again.

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

/// The newest frame of the preview.
pub struct Preview {
    /// The frame.
    pub frame: GrayImage,
    /// What the operator could improve about it.
    pub hint: Option<Hint>,
    /// The frame's number, counted from the start of the program.
    pub number: u64,
}

/// The case on the screen.
pub struct Case {
    /// The film's assessment.
    pub assessment: Assessment,
    /// The case's number in the case log.
    pub number: String,
}

/// The display and what is on it.
pub struct View<'a> {
    display: &'a mut dyn Display,
    behaviour: &'a Behaviour,
    canvas: RgbImage,
    clock: Option<String>,
    shown: Option<Content>,
    /// Whether the display failed at the last try.
    failing: bool,
}

/// What a screen depends on. The screen is drawn again when this changes.
#[derive(Clone, PartialEq)]
struct Content {
    state: State,
    heat_map: bool,
    /// The number of the preview's frame, or the seconds of an analysis.
    count: u64,
    clock: Option<String>,
    /// The message of a fault.
    message: String,
}

/// The time of day. `None` if the clock was never set, since a wrong time is worse than none.
fn time_of_day(now: &Zoned) -> Option<String> {
    (!caselog::clock_unset(now.timestamp())).then(|| now.strftime("%H:%M").to_string())
}

impl<'a> View<'a> {
    /// A display that shows nothing yet.
    pub fn new(display: &'a mut dyn Display, behaviour: &'a Behaviour) -> View<'a> {
        let (width, height) = display.size();
        let canvas = RgbImage::new(width, height);
        View { display, behaviour, canvas, clock: None, shown: None, failing: false }
    }

    /// Looks whether the display is still there. One that was missing and is there now is drawn anew.
    pub fn check_display(&mut self) {
        match self.display.check() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => log::error!("{error}. The LEDs and the case log have to do until it is back"),
        }
        let (width, height) = self.display.size();
        self.canvas = RgbImage::new(width, height);
        self.shown = None;
    }

    /// Shows the state of the machine, if its screen differs from the one that is shown. `message` is that of a fault.
    pub fn show(
        &mut self,
        machine: &Machine,
        now: Instant,
        preview: Option<&Preview>,
        case: Option<&Case>,
        message: &str,
    ) {
        self.clock = time_of_day(&Zoned::now());
        let state = machine.state();
        let seconds = machine.elapsed(now).as_secs();
        let count = match state {
            State::Ready => preview.map_or(0, |preview| preview.number),
            State::Analysing => seconds,
            _ => 0,
        };
        let content =
            Content { state, heat_map: machine.heat_map, count, clock: self.clock.clone(), message: message.into() };
        if self.shown.as_ref() == Some(&content) {
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
            // There is no result without a case.
            (State::Verdict { .. } | State::Refused, None) => return,
            (State::Fault(fault), _) => Screen::Fault { fault, detail: message },
            (State::ShuttingDown, _) => Screen::ShuttingDown,
        };
        self.draw(&screen);
        self.shown = Some(content);
    }

    /// Draws a screen, whatever is shown now. A display that cannot show it is logged once.
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
    use crate::appliance::testing::behaviour;
    use crate::display::{DisplayError, DisplayProblem};
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
                2 => Err(DisplayError { device: "a cable".into(), problem: DisplayProblem::Disconnected }),
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
            view.check_display();
            view.show(&machine, now, None, None, "");
            assert_eq!(shown.borrow().last(), Some(&last), "check {check}");
        }
    }

    #[test]
    fn a_fault_is_drawn_again_for_another_message() {
        let (behaviour, now) = (behaviour(), Instant::now());
        let mut machine = Machine::new(now, behaviour.camera_timeout);
        machine.handle(Event::Failed(Fault::Storage), now);
        let shown = Rc::default();
        let mut display = Replaced { checks: 0, shown: Rc::clone(&shown) };
        let mut view = View::new(&mut display, &behaviour);
        for (message, screens) in [("no room", 1), ("no room", 1), ("read-only", 2)] {
            view.show(&machine, now, None, None, message);
            assert_eq!(shown.borrow().len(), screens, "{message}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_shown() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
        assert_eq!(time_of_day(&at(90)), None);
        assert_eq!(time_of_day(&at(2_529_752_460)).as_deref(), Some("13:01"));
    }
}
