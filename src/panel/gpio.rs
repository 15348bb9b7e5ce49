//! The panel on a Raspberry Pi's pins, through the `rppal` crate.

use std::thread;
use std::time::{Duration, Instant};

use rppal::gpio::{self, Gpio, InputPin, OutputPin};

use super::{Lights, Panel, PanelError, Pins, Request, SHUT_DOWN_AFTER};

/// How often the button is looked at. Interrupts would cost less, but emulated boards have none.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long a level must last to count: mechanical buttons bounce for up to some milliseconds.
const STEADY: Duration = Duration::from_millis(30);

/// Button and LEDs on a Raspberry Pi.
pub struct GpioPanel {
    button: InputPin,
    ready: OutputPin,
    attention: OutputPin,
}

impl GpioPanel {
    /// Takes the pins: the button's with its pull-up, the LEDs' low.
    ///
    /// # Errors
    /// This is not a Raspberry Pi, or the pins are in use or forbidden.
    pub fn open(pins: Pins) -> Result<GpioPanel, PanelError> {
        let failed = |error: gpio::Error| {
            PanelError(format!(
                "{error}. GPIO needs a Raspberry Pi and membership of the group gpio; without them use --simulate"
            ))
        };
        let gpio = Gpio::new().map_err(failed)?;
        Ok(GpioPanel {
            button: gpio.get(pins.button).map_err(failed)?.into_input_pullup(),
            ready: gpio.get(pins.ready).map_err(failed)?.into_output_low(),
            attention: gpio.get(pins.attention).map_err(failed)?.into_output_low(),
        })
    }

    /// Waits until the button has been down or up for [`STEADY`].
    fn settle(&self, down: bool) {
        let mut since = Instant::now();
        while since.elapsed() < STEADY {
            thread::sleep(INTERVAL);
            if self.button.is_low() != down {
                since = Instant::now();
            }
        }
    }
}

impl Panel for GpioPanel {
    fn wait(&mut self) -> Result<Request, PanelError> {
        // A button still held from the request before is none of a new one.
        self.settle(false);
        self.settle(true);
        let pressed = Instant::now();
        while self.button.is_low() {
            if pressed.elapsed() >= SHUT_DOWN_AFTER {
                return Ok(Request::ShutDown);
            }
            thread::sleep(INTERVAL);
        }
        Ok(Request::Capture)
    }

    fn light(&mut self, lights: Lights) {
        let (ready, attention) = lights.leds();
        self.ready.write(ready.into());
        self.attention.write(attention.into());
    }
}
