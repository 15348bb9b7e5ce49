//! The panel on lines of the kernel's GPIO character device, through the `gpiocdev` crate.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, Value};
use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::GpioConfig;
use super::presses::{INTERVAL, Presses};
use super::{Button, GpioError, Leds, Panel, Press};

/// Who holds the lines, for `gpioinfo`.
const CONSUMER: &str = "xray-triage";
/// The longest sleep of a button at rest, however patient the caller is.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// Requests the lines: the button's with a pull towards its released level where the chip has one, the LEDs' switched
/// off.
///
/// # Errors
/// The chip or a line is not there, in use, named twice, or not permitted.
pub fn open(config: &GpioConfig) -> Result<Panel, GpioError> {
    let button = request_button(config, Some(if config.active_low { Bias::PullUp } else { Bias::PullDown }))
        .or_else(|error| {
            // The same without a pull fails again, unless the pull was the reason.
            let button = request_button(config, None)?;
            warn!("panel: the button's line has no pull ({error}): it needs a resistor");
            Ok(button)
        })
        .map_err(|error| unusable(config, "button", &[config.button], &error))?;
    let mut leds = Request::builder();
    leds.on_chip(&config.chip).with_consumer(CONSUMER).with_lines(&[config.ready, config.attention]);
    if config.leds_active_low {
        leds.as_active_low();
    }
    let leds = leds
        .as_output(Value::Inactive)
        .request()
        .map_err(|error| unusable(config, "LEDs", &[config.ready, config.attention], &error))?;
    let button = GpiochipButton { request: button, line: config.button, presses: Presses::new() };
    Ok((Box::new(button), Box::new(GpiochipLeds { request: leds, ready: config.ready, attention: config.attention })))
}

fn request_button(config: &GpioConfig, bias: Option<Bias>) -> gpiocdev::Result<Request> {
    let mut button = Request::builder();
    button.on_chip(&config.chip).with_consumer(CONSUMER).with_line(config.button).as_input().with_bias(bias);
    if config.active_low {
        button.as_active_low();
    }
    button.with_edge_detection(EdgeDetection::BothEdges).request()
}

fn unusable(config: &GpioConfig, part: &str, lines: &[u32], error: &gpiocdev::Error) -> GpioError {
    let chip = config.chip.display();
    GpioError(format!(
        "{chip}, lines {lines:?} of the {part}: {error}. Set a chip and lines that gpioinfo shows as unused, each line \
         once; the user needs the group gpio"
    ))
}

/// A button whose edges end the sleep. Its level is what counts: edges that the kernel drops do no harm.
struct GpiochipButton {
    request: Request,
    line: u32,
    presses: Presses,
}

impl Button for GpiochipButton {
    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, GpioError> {
        let unreadable = |error: gpiocdev::Error| {
            GpioError(format!("the button's line {} cannot be read: {error}. Check the chip", self.line))
        };
        let start = Instant::now();
        loop {
            let down = self.request.value(self.line).map_err(unreadable)? == Value::Active;
            let press = self.presses.look(down, Instant::now());
            let left = patience.saturating_sub(start.elapsed());
            if press.is_some() || left.is_zero() {
                return Ok(press);
            }
            let nap = if self.presses.at_rest() { LONGEST_NAP } else { INTERVAL };
            if sleep(&self.request, nap.min(left)).map_err(|error| unreadable(error.into()))? {
                self.request.read_edge_event().map_err(unreadable)?;
            }
        }
    }
}

/// Sleeps until an edge has come, which it then returns true for, or for so long at most. A signal ends it, too; the
/// crate's own wait takes that for an error.
fn sleep(request: &impl AsFd, longest: Duration) -> io::Result<bool> {
    let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(request, PollFlags::IN)], Some(&longest)) {
        Err(Errno::INTR) => Ok(false),
        polled => Ok(polled? > 0),
    }
}

struct GpiochipLeds {
    request: Request,
    ready: u32,
    attention: u32,
}

impl Leds for GpiochipLeds {
    fn set(&mut self, ready: bool, attention: bool) -> Result<(), GpioError> {
        for (line, on) in [(self.ready, ready), (self.attention, attention)] {
            let value = if on { Value::Active } else { Value::Inactive };
            self.request
                .set_value(line, value)
                .map_err(|error| GpioError(format!("the LED's line {line} cannot be set: {error}. Check the chip")))?;
        }
        Ok(())
    }
}

impl Drop for GpiochipLeds {
    fn drop(&mut self) {
        self.set(false, false).unwrap_or_else(|error| warn!("{error}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_sleep_ends_with_an_event_or_its_time() {
        let (events, mut button) = io::pipe().unwrap();
        let start = Instant::now();
        assert!(!sleep(&events, Duration::from_millis(50)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(50));
        button.write_all(b"edge").unwrap();
        assert!(sleep(&events, Duration::from_secs(20)).unwrap());
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
