//! Button and LEDs on the pins of a Raspberry Pi, through the `rppal` crate.

use std::thread;
use std::time::{Duration, Instant};

use rppal::gpio::{Gpio, InputPin, Level, OutputPin};

use super::presses::{INTERVAL, Presses};
use super::{Button, ButtonAndLeds, GpioConfig, GpioError, Leds, Press};

/// Takes the pins. The button's pin gets a pull towards its released level; the LEDs are switched off.
///
/// # Errors
/// The board is not a Raspberry Pi that `rppal` knows, or a pin is not there, is named twice, or is not permitted.
pub fn open(config: &GpioConfig) -> Result<ButtonAndLeds, GpioError> {
    let gpio = Gpio::new().map_err(|error| GpioError::Registers { error: error.to_string() })?;
    let pin = |number: u32| {
        let pin = match u8::try_from(number) {
            Ok(pin) => gpio.get(pin).map_err(|error| error.to_string()),
            Err(_) => Err("there is no such pin".into()),
        };
        pin.map_err(|error| GpioError::Pin { pin: number, error })
    };
    let button = pin(config.button)?;
    let button = if config.active_low { button.into_input_pullup() } else { button.into_input_pulldown() };
    let led = |number| {
        let led = pin(number)?;
        let mut led = if config.leds_active_low { led.into_output_high() } else { led.into_output_low() };
        // A pin that is reset to an input has a pull, which could make the LED glow.
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

/// A button whose level is read all the time. Interrupts would cost less, but emulated boards have none.
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
