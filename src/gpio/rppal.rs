//! The panel on a Raspberry Pi's pins, through the `rppal` crate.

use std::thread;
use std::time::{Duration, Instant};

use rppal::gpio::{Gpio, InputPin, Level, OutputPin};
use rppal::system::DeviceInfo;

use super::GpioConfig;
use super::presses::{INTERVAL, Presses};
use super::{Button, GpioError, Leds, Panel, Press};

/// Whether the board calls itself a Raspberry Pi of a model that is known.
pub fn is_raspberry_pi() -> bool {
    DeviceInfo::new().is_ok()
}

/// Takes the pins: the button's with a pull towards its released level, the LEDs' switched off.
///
/// # Errors
/// This is not a Raspberry Pi, or a pin is not there, named twice, or not permitted.
pub fn open(config: &GpioConfig) -> Result<Panel, GpioError> {
    let gpio = Gpio::new().map_err(|error| {
        GpioError(format!(
            "{error}. The pins need a Raspberry Pi and the group gpio; elsewhere set the panel's backend to gpiochip"
        ))
    })?;
    let pin = |number: u32| {
        let pin = match u8::try_from(number) {
            Ok(pin) => gpio.get(pin).map_err(|error| error.to_string()),
            Err(_) => Err("there is no such pin".into()),
        };
        pin.map_err(|error| GpioError(format!("GPIO {number}: {error}. Set other pins, each BCM number once")))
    };
    let button = pin(config.button)?;
    let button = if config.active_low { button.into_input_pullup() } else { button.into_input_pulldown() };
    let led = |number| {
        let led = pin(number)?;
        let mut led = if config.leds_active_low { led.into_output_high() } else { led.into_output_low() };
        // Reset to an input, an LED could glow by the pin's pull.
        led.set_reset_on_drop(false);
        Ok(led)
    };
    let leds = RppalLeds {
        ready: led(config.ready)?,
        attention: led(config.attention)?,
        on: if config.leds_active_low { Level::Low } else { Level::High },
    };
    let down = if config.active_low { Level::Low } else { Level::High };
    Ok((Box::new(RppalButton { button, down, presses: Presses::new() }), Box::new(leds)))
}

/// A button that is looked at all the time: interrupts would cost less, but emulated boards have none.
struct RppalButton {
    button: InputPin,
    /// The level of the pressed button.
    down: Level,
    presses: Presses,
}

impl Button for RppalButton {
    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, GpioError> {
        let start = Instant::now();
        loop {
            let press = self.presses.look(self.button.read() == self.down, Instant::now());
            let left = patience.saturating_sub(start.elapsed());
            if press.is_some() || left.is_zero() {
                return Ok(press);
            }
            thread::sleep(INTERVAL.min(left));
        }
    }
}

struct RppalLeds {
    ready: OutputPin,
    attention: OutputPin,
    /// The level of an LED that is on.
    on: Level,
}

impl Leds for RppalLeds {
    fn set(&mut self, ready: bool, attention: bool) -> Result<(), GpioError> {
        let level = |on| if on { self.on } else { !self.on };
        self.ready.write(level(ready));
        self.attention.write(level(attention));
        Ok(())
    }
}

impl Drop for RppalLeds {
    fn drop(&mut self) {
        self.ready.write(!self.on);
        self.attention.write(!self.on);
    }
}
