//! The box's button and its two LEDs, or lines on standard input that stand in for them.

use std::io::BufRead;

#[cfg(gpio_panel)]
mod gpio;

/// What the operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A short press: take a picture and judge it.
    Capture,
    /// A press of [`SHUT_DOWN_AFTER`]: end.
    ShutDown,
}

/// How long the button is held to end the program.
pub const SHUT_DOWN_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// What the LEDs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lights {
    /// Waiting for a film, or showing a verdict: *ready* alone.
    Ready,
    /// Taking a picture and judging it: both.
    Busy,
    /// The film needs the operator, or the box does: *attention* alone.
    Attention,
}

impl Lights {
    /// Whether the *ready* LED and the *attention* LED are on.
    pub fn leds(self) -> (bool, bool) {
        (self != Lights::Attention, self != Lights::Ready)
    }
}

/// A button or an LED that cannot be used. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("panel: {0}")]
pub struct PanelError(pub String);

/// One button and two LEDs.
pub trait Panel {
    /// Waits for the operator.
    ///
    /// # Errors
    /// The button cannot be read.
    fn wait(&mut self) -> Result<Request, PanelError>;

    /// Sets the LEDs.
    fn light(&mut self, lights: Lights);
}

/// GPIO numbers (BCM, not the header's).
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// The button, between the pin and ground.
    pub button: u8,
    /// The LED that says *ready*, on when the pin is high.
    pub ready: u8,
    /// The LED that asks for attention, on when the pin is high.
    pub attention: u8,
}

/// The panel on a Raspberry Pi's pins.
///
/// # Errors
/// This is not a Raspberry Pi, or the pins are in use or forbidden; or the program was built without pins.
#[cfg(gpio_panel)]
pub fn open(pins: Pins) -> Result<Box<dyn Panel>, PanelError> {
    Ok(Box::new(gpio::GpioPanel::open(pins)?))
}

/// Built without pins: always an error.
#[cfg(not(gpio_panel))]
pub fn open(_pins: Pins) -> Result<Box<dyn Panel>, PanelError> {
    Err(PanelError("this program was built without pins. Build it with --features rppal, or use --simulate".into()))
}

/// A panel whose button is a line of text, and whose LEDs are lines of the log. The text's end shuts down.
pub struct SimulatedPanel<R> {
    lines: R,
}

impl<R: BufRead> SimulatedPanel<R> {
    /// `lines`: for a person at a keyboard, standard input.
    pub fn new(lines: R) -> SimulatedPanel<R> {
        SimulatedPanel { lines }
    }
}

impl<R: BufRead> Panel for SimulatedPanel<R> {
    fn wait(&mut self) -> Result<Request, PanelError> {
        // Bytes: what is typed need not be text.
        match self.lines.skip_until(b'\n') {
            Ok(0) => Ok(Request::ShutDown),
            Ok(_) => Ok(Request::Capture),
            Err(error) => Err(PanelError(format!("standard input cannot be read: {error}. Start again in a terminal"))),
        }
    }

    fn light(&mut self, lights: Lights) {
        let (ready, attention) = lights.leds();
        let word = |on| if on { "on" } else { "off" };
        log::info!("LEDs: ready {}, attention {}", word(ready), word(attention));
    }
}
