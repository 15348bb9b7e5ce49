//! The button and the two LEDs of the box: on a Raspberry Pi's pins, on lines of the kernel's GPIO character device, or
//! simulated by lines of text.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod board;
mod error;
#[cfg(feature = "box")]
mod gpiochip;
#[cfg(feature = "box")]
mod presses;
#[cfg(feature = "box")]
mod rppal;
mod simulated;

pub use board::rppal_knows;
pub use error::GpioError;
pub use simulated::simulated;

/// The settings of the button and the LEDs: the section `[panel]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpioConfig {
    /// What drives the button and the LEDs.
    pub backend: GpioBackend,
    /// The GPIO character device, for the backend that uses it.
    pub chip: PathBuf,
    /// The line of the button. On a Raspberry Pi this is the BCM number of the pin.
    pub button: u32,
    /// The line of the LED that says *ready*.
    pub ready: u32,
    /// The line of the LED that asks for attention.
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
    /// `rppal` on a Raspberry Pi that it [knows](rppal_knows), if that works, else `gpiochip`.
    Auto,
    /// The registers of a Raspberry Pi, through the `rppal` crate.
    Rppal,
    /// The kernel's GPIO character device, on any board.
    Gpiochip,
}

/// What the operator did with the button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// The button was released within 0.8 seconds.
    Short,
    /// The button was released after 0.8 to 5 seconds.
    Long,
    /// The button was held for 5 seconds. This is told while the button is still down.
    VeryLong,
}

/// The button, real or simulated.
pub trait Button: Send {
    /// Waits for a press, for at most `patience`. Returns `None` if there was none.
    ///
    /// # Errors
    /// The button cannot be read.
    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, GpioError>;

    /// Whether presses come from a script and not from a person. A script waits until the box would take a press.
    fn scripted(&self) -> bool {
        false
    }
}

/// The two LEDs, real or simulated. They are off at first, and again after this is dropped.
pub trait Leds {
    /// Switches the LED that says *ready* and the one that asks for *attention* on or off.
    ///
    /// # Errors
    /// The LEDs cannot be set.
    fn set(&mut self, ready: bool, attention: bool) -> Result<(), GpioError>;
}

/// The button and the LEDs, which different threads use.
pub type ButtonAndLeds = (Box<dyn Button>, Box<dyn Leds>);

/// The button and the LEDs of the settings.
///
/// # Errors
/// The lines are not there, are in use, or are not permitted; or the program was built without GPIO.
#[cfg(feature = "box")]
pub fn open(config: &GpioConfig) -> Result<ButtonAndLeds, GpioError> {
    // On a board without a device tree, such as a PC, there is no model.
    let model = || std::fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
    match config.backend {
        GpioBackend::Rppal => rppal::open(config),
        GpioBackend::Gpiochip => gpiochip::open(config),
        GpioBackend::Auto if rppal_knows(&model()) => either(rppal::open(config), || gpiochip::open(config)),
        GpioBackend::Auto => gpiochip::open(config),
    }
}

/// The button and LEDs on the registers or, if those cannot be used, on the character device.
#[cfg(feature = "box")]
fn either(
    registers: Result<ButtonAndLeds, GpioError>,
    chip: impl FnOnce() -> Result<ButtonAndLeds, GpioError>,
) -> Result<ButtonAndLeds, GpioError> {
    registers.or_else(|registers| match chip() {
        Ok(opened) => {
            log::warn!("{registers}. Going on with the GPIO character device");
            Ok(opened)
        }
        Err(chip) => Err(GpioError::Neither { registers: Box::new(registers), chip: Box::new(chip) }),
    })
}

/// Button and LEDs for a box that is to show that they could not be opened: waiting for the button is this error at once,
/// and the LEDs stay dark.
pub fn unusable(error: GpioError) -> ButtonAndLeds {
    (Box::new(UnusableButton(error)), Box::new(NoLeds))
}

struct UnusableButton(GpioError);

impl Button for UnusableButton {
    fn wait(&mut self, _patience: Duration) -> Result<Option<Press>, GpioError> {
        Err(self.0.clone())
    }
}

struct NoLeds;

impl Leds for NoLeds {
    fn set(&mut self, _ready: bool, _attention: bool) -> Result<(), GpioError> {
        Ok(())
    }
}

/// The button and the LEDs of a program that was built without GPIO: always an error.
///
/// # Errors
/// The program was built without GPIO.
#[cfg(not(feature = "box"))]
pub fn open(_config: &GpioConfig) -> Result<ButtonAndLeds, GpioError> {
    Err(GpioError::NotBuilt)
}

#[cfg(all(test, feature = "box"))]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_button_that_could_not_be_opened_says_why_when_it_is_waited_for() {
        let error = GpioError::Registers { error: "no registers".into() };
        let (mut button, mut leds) = unusable(error.clone());
        assert!(leds.set(true, true).is_ok());
        for _ in 0..2 {
            assert_eq!(button.wait(Duration::from_secs(20)), Err(error.clone()));
        }
    }

    #[test]
    fn without_registers_the_chip_does_and_without_both_both_reasons_are_told() {
        let fails = |error: &str| Err(GpioError::Registers { error: error.into() });
        let works = |presses: &'static str| Ok(simulated(Cursor::new(presses), None));
        let pressed =
            |opened: Result<ButtonAndLeds, GpioError>| opened.unwrap().0.wait(Duration::from_secs(20)).unwrap();
        assert_eq!(pressed(either(works("press"), || fails("no chip"))), Some(Press::Short));
        assert_eq!(pressed(either(fails("no registers"), || works("long"))), Some(Press::Long));
        let error = either(fails("no registers"), || fails("no chip")).err().unwrap().to_string();
        assert!(error.contains("no registers") && error.contains("no chip"), "{error}");
    }
}
