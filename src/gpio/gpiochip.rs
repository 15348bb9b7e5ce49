//! Button and LEDs on lines of the kernel's GPIO character device, through the `gpiocdev` crate.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, Value};
use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::presses::{INTERVAL, Presses};
use super::{Button, ButtonAndLeds, GpioConfig, GpioError, Leds, Press};

/// The name of this program that `gpioinfo` shows beside the lines.
const CONSUMER: &str = "xray-triage";
/// The longest sleep while the button is at rest, however patient the caller is.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// Requests the lines. The button's line gets a pull towards its released level, if the chip has one; the LEDs are switched
/// off.
///
/// # Errors
/// The chip or a line is not there, is in use, is named twice, or is not permitted.
pub fn open(config: &GpioConfig) -> Result<ButtonAndLeds, GpioError> {
    let button = request_button(config, Some(if config.active_low { Bias::PullUp } else { Bias::PullDown }))
        .or_else(|error| {
            // Without the pull the request fails again, unless the pull was the reason.
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

/// The error of lines that cannot be requested, or of a chip that cannot be opened.
fn unusable(config: &GpioConfig, part: &'static str, lines: &[u32], error: &gpiocdev::Error) -> GpioError {
    let chip = config.chip.clone();
    match error {
        // An error number without the name of a call is from opening the chip.
        gpiocdev::Error::Os(number) => {
            let error = io::Error::from_raw_os_error(number.0);
            GpioError::Chip { chip, kind: error.kind(), error: error.to_string() }
        }
        gpiocdev::Error::GpioChip(..) => {
            // The crate's words begin with the path, as the error's own do, and end with a full stop.
            let words = error.to_string();
            let words = words.strip_prefix(&format!("{:?} ", config.chip.display().to_string())).unwrap_or(&words);
            GpioError::Chip { chip, kind: io::ErrorKind::Other, error: words.trim_end_matches('.').into() }
        }
        error => GpioError::Lines { chip, lines: lines.into(), part, error: error.to_string() },
    }
}

/// A button that sleeps until an edge. Only its level counts, so edges that the kernel drops do no harm.
struct GpiochipButton {
    request: Request,
    line: u32,
    presses: Presses,
}

impl Button for GpiochipButton {
    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, GpioError> {
        let line = self.line;
        let unreadable = |error: gpiocdev::Error| GpioError::ReadButton { line, error: error.to_string() };
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

/// Sleeps until there is an edge, for `longest` at most. Returns whether there is one. A signal ends the sleep as well; the
/// wait of the `gpiocdev` crate would take it for an error.
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
                .map_err(|error| GpioError::SetLed { line, error: error.to_string() })?;
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
    fn a_chip_that_cannot_be_opened_is_told_from_lines_that_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "no chip").unwrap();
        let opened = |chip: &std::path::Path| open(&GpioConfig { chip: chip.into(), ..GpioConfig::default() }).err();
        let missing = opened(&folder.path().join("gpiochip7")).unwrap();
        assert!(matches!(missing, GpioError::Chip { kind: io::ErrorKind::NotFound, .. }), "{missing:?}");
        for chip in [&file, folder.path()] {
            let error = opened(chip).unwrap();
            assert!(matches!(error, GpioError::Chip { .. }), "{error:?}");
            let words = error.to_string();
            assert_eq!(words.matches(chip.to_str().unwrap()).count(), 1, "{words}");
            assert!(words.contains("panel.chip"), "{words}");
        }
    }

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
