//! The box's button and its two LEDs: on a Raspberry Pi's pins, on the kernel's GPIO lines, or lines of text that stand
//! in for them.

use std::time::Duration;

use crate::config;
#[cfg(feature = "box")]
use crate::config::PanelBackend;

#[cfg(feature = "box")]
mod gpiochip;
#[cfg(feature = "box")]
mod presses;
#[cfg(feature = "box")]
mod rppal;
mod simulated;

pub use simulated::simulated;

/// What the operator did with the button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Released before 0.8 seconds.
    Short,
    /// Released after 0.8 to 5 seconds.
    Long,
    /// Held for 5 seconds: told at once, while the button is still down.
    VeryLong,
}

/// A button or an LED that cannot be used. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("panel: {0}")]
pub struct PanelError(pub String);

/// One button.
pub trait Button: Send {
    /// Waits for a press for at most `patience`; `None` if there was none.
    ///
    /// # Errors
    /// The button cannot be read.
    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, PanelError>;

    /// Whether presses come from a script, which waits until the box would take one, and not from a person.
    fn scripted(&self) -> bool {
        false
    }
}

/// Two LEDs. They are off at first, and when this is dropped.
pub trait Leds {
    /// Switches the LED that says *ready* and the one that asks for *attention* on or off.
    ///
    /// # Errors
    /// They cannot be set.
    fn set(&mut self, ready: bool, attention: bool) -> Result<(), PanelError>;
}

/// A panel's two parts. They are used apart, the button by whoever waits for it.
pub type Panel = (Box<dyn Button>, Box<dyn Leds>);

/// The button and the LEDs of the settings.
///
/// # Errors
/// The lines are not there, in use, or not permitted; or the program was built without pins.
#[cfg(feature = "box")]
pub fn open(config: &config::Panel) -> Result<Panel, PanelError> {
    match config.backend {
        PanelBackend::Rppal => rppal::open(config),
        PanelBackend::Gpiochip => gpiochip::open(config),
        PanelBackend::Auto if rppal::is_raspberry_pi() => either(rppal::open(config), || gpiochip::open(config)),
        PanelBackend::Auto => gpiochip::open(config),
    }
}

/// The registers' panel; where that cannot be used, the character device's.
#[cfg(feature = "box")]
fn either(
    registers: Result<Panel, PanelError>,
    chip: impl FnOnce() -> Result<Panel, PanelError>,
) -> Result<Panel, PanelError> {
    registers.or_else(|PanelError(first)| match chip() {
        Ok(panel) => {
            log::warn!("panel: {first}. Going on with the GPIO character device");
            Ok(panel)
        }
        Err(PanelError(second)) => Err(PanelError(format!("{first}; and without rppal: {second}"))),
    })
}

/// A panel that could not be opened, for a box that is to show so: waiting for its button is the error at once, and its
/// LEDs stay dark.
pub fn unusable(error: PanelError) -> Panel {
    let PanelError(reason) = error;
    (Box::new(UnusablePanel(reason.clone())), Box::new(UnusablePanel(reason)))
}

struct UnusablePanel(String);

impl Button for UnusablePanel {
    fn wait(&mut self, _patience: Duration) -> Result<Option<Press>, PanelError> {
        Err(PanelError(self.0.clone()))
    }
}

impl Leds for UnusablePanel {
    fn set(&mut self, _ready: bool, _attention: bool) -> Result<(), PanelError> {
        Ok(())
    }
}

/// Built without pins: always an error.
#[cfg(not(feature = "box"))]
pub fn open(_config: &config::Panel) -> Result<Panel, PanelError> {
    Err(PanelError("this program was built without pins. Build it with --features box, or use --simulate".into()))
}

#[cfg(all(test, feature = "box"))]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_panel_that_could_not_be_opened_says_why_when_its_button_is_waited_for() {
        let (mut button, mut leds) = unusable(PanelError("no chip".into()));
        assert!(leds.set(true, true).is_ok());
        assert_eq!(button.wait(Duration::from_secs(20)).unwrap_err().to_string(), "panel: no chip");
    }

    #[test]
    fn without_registers_the_chip_does_and_without_both_both_reasons_are_told() {
        let fails = |reason: &str| Err(PanelError(reason.into()));
        let works = |presses: &'static str| Ok(simulated(Cursor::new(presses), None));
        let pressed = |panel: Result<Panel, PanelError>| panel.unwrap().0.wait(Duration::from_secs(20)).unwrap();
        assert_eq!(pressed(either(works("press"), || fails("no chip"))), Some(Press::Short));
        assert_eq!(pressed(either(fails("no registers"), || works("long"))), Some(Press::Long));
        let error = either(fails("no registers"), || fails("no chip")).err().unwrap().to_string();
        assert!(error.contains("no registers") && error.contains("no chip"), "{error}");
    }
}
