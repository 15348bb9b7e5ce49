//! The box's button and its two LEDs: on a Raspberry Pi's pins, on the kernel's GPIO lines, or lines of text that stand
//! in for them.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "box")]
mod gpiochip;
#[cfg(feature = "box")]
mod presses;
#[cfg(feature = "box")]
mod rppal;
mod simulated;

pub use simulated::simulated;

/// The button and the LEDs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpioConfig {
    pub backend: GpioBackend,
    /// The GPIO character device, where that is used.
    pub chip: PathBuf,
    /// Line of the button (on a Raspberry Pi the BCM number).
    pub button: u32,
    /// Line of the LED that says *ready*.
    pub ready: u32,
    /// Line of the LED that asks for attention.
    pub attention: u32,
    /// Whether the pressed button pulls its line low.
    pub active_low: bool,
    /// Whether an LED is on when its line is low.
    pub leds_active_low: bool,
}

impl Default for GpioConfig {
    fn default() -> Self {
        GpioConfig {
            backend: GpioBackend::Auto,
            chip: "/dev/gpiochip0".into(),
            button: 17,
            ready: 27,
            attention: 22,
            active_low: true,
            leds_active_low: false,
        }
    }
}

/// What drives the button and the LEDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpioBackend {
    /// `rppal` on a Raspberry Pi where that works, else `gpiochip`.
    Auto,
    /// A Raspberry Pi's registers.
    Rppal,
    /// The kernel's GPIO character device.
    Gpiochip,
}

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
pub struct GpioError(pub String);

/// One button.
pub trait Button: Send {
    /// Waits for a press for at most `patience`; `None` if there was none.
    ///
    /// # Errors
    /// The button cannot be read.
    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, GpioError>;

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
    fn set(&mut self, ready: bool, attention: bool) -> Result<(), GpioError>;
}

/// A panel's two parts. They are used apart, the button by whoever waits for it.
pub type Panel = (Box<dyn Button>, Box<dyn Leds>);

/// The button and the LEDs of the settings.
///
/// # Errors
/// The lines are not there, in use, or not permitted; or the program was built without pins.
#[cfg(feature = "box")]
pub fn open(config: &GpioConfig) -> Result<Panel, GpioError> {
    match config.backend {
        GpioBackend::Rppal => rppal::open(config),
        GpioBackend::Gpiochip => gpiochip::open(config),
        GpioBackend::Auto if rppal::is_raspberry_pi() => either(rppal::open(config), || gpiochip::open(config)),
        GpioBackend::Auto => gpiochip::open(config),
    }
}

/// The registers' panel; where that cannot be used, the character device's.
#[cfg(feature = "box")]
fn either(
    registers: Result<Panel, GpioError>,
    chip: impl FnOnce() -> Result<Panel, GpioError>,
) -> Result<Panel, GpioError> {
    registers.or_else(|GpioError(first)| match chip() {
        Ok(panel) => {
            log::warn!("panel: {first}. Going on with the GPIO character device");
            Ok(panel)
        }
        Err(GpioError(second)) => Err(GpioError(format!("{first}; and without rppal: {second}"))),
    })
}

/// A panel that could not be opened, for a box that is to show so: waiting for its button is the error at once, and its
/// LEDs stay dark.
pub fn unusable(error: GpioError) -> Panel {
    let GpioError(reason) = error;
    (Box::new(UnusableGpio(reason.clone())), Box::new(UnusableGpio(reason)))
}

struct UnusableGpio(String);

impl Button for UnusableGpio {
    fn wait(&mut self, _patience: Duration) -> Result<Option<Press>, GpioError> {
        Err(GpioError(self.0.clone()))
    }
}

impl Leds for UnusableGpio {
    fn set(&mut self, _ready: bool, _attention: bool) -> Result<(), GpioError> {
        Ok(())
    }
}

/// Built without pins: always an error.
#[cfg(not(feature = "box"))]
pub fn open(_config: &GpioConfig) -> Result<Panel, GpioError> {
    Err(GpioError("this program was built without pins. Build it with --features box, or use --simulate".into()))
}

#[cfg(all(test, feature = "box"))]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_panel_that_could_not_be_opened_says_why_when_its_button_is_waited_for() {
        let (mut button, mut leds) = unusable(GpioError("no chip".into()));
        assert!(leds.set(true, true).is_ok());
        assert_eq!(button.wait(Duration::from_secs(20)).unwrap_err().to_string(), "panel: no chip");
    }

    #[test]
    fn without_registers_the_chip_does_and_without_both_both_reasons_are_told() {
        let fails = |reason: &str| Err(GpioError(reason.into()));
        let works = |presses: &'static str| Ok(simulated(Cursor::new(presses), None));
        let pressed = |panel: Result<Panel, GpioError>| panel.unwrap().0.wait(Duration::from_secs(20)).unwrap();
        assert_eq!(pressed(either(works("press"), || fails("no chip"))), Some(Press::Short));
        assert_eq!(pressed(either(fails("no registers"), || works("long"))), Some(Press::Long));
        let error = either(fails("no registers"), || fails("no chip")).err().unwrap().to_string();
        assert!(error.contains("no registers") && error.contains("no chip"), "{error}");
    }
}
