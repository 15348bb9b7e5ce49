//! Why the button or the LEDs cannot be used, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A button or an LED that cannot be used. The message says what is wrong and what to do. It begins with `panel`, the
/// settings' section for button and LEDs.
///
/// Errors of the operating system and of the GPIO crates are kept as their words, so that this error can be cloned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpioError {
    /// This program was built without GPIO.
    NotBuilt,
    /// `rppal` cannot use the registers of this board.
    Registers {
        /// The words of the error.
        error: String,
    },
    /// `rppal` cannot use a pin.
    Pin {
        /// The pin's BCM number.
        pin: u32,
        /// The words of the error.
        error: String,
    },
    /// The GPIO character device cannot be opened.
    Chip {
        /// The device.
        chip: PathBuf,
        /// The kind of the error.
        kind: io::ErrorKind,
        /// The words of the error.
        error: String,
    },
    /// Lines of the GPIO character device cannot be used.
    Lines {
        /// The device.
        chip: PathBuf,
        /// The lines.
        lines: Vec<u32>,
        /// What they are for: the button or the LEDs.
        part: &'static str,
        /// The words of the error.
        error: String,
    },
    /// The line of the button cannot be read.
    ReadButton {
        /// The line.
        line: u32,
        /// The words of the error.
        error: String,
    },
    /// The line of an LED cannot be set.
    SetLed {
        /// The line.
        line: u32,
        /// The words of the error.
        error: String,
    },
    /// The text of a simulated button cannot be read.
    ReadPresses {
        /// The words of the error.
        error: String,
    },
    /// The file of simulated LEDs cannot be written.
    WriteLeds {
        /// The file.
        path: PathBuf,
        /// The words of the error.
        error: String,
    },
    /// Neither the registers nor the GPIO character device can be used.
    Neither {
        /// What is wrong with the registers.
        registers: Box<GpioError>,
        /// What is wrong with the character device.
        chip: Box<GpioError>,
    },
}

impl std::error::Error for GpioError {}

impl fmt::Display for GpioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panel: {}", Words(self))
    }
}

/// The message of an error without `panel` before it.
pub(super) struct Words<'a>(pub &'a GpioError);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Path::display;
        match self.0 {
            GpioError::NotBuilt => {
                f.write_str("this program was built without pins. Build it with --features box, or use --simulate")
            }
            GpioError::Registers { error } => write!(
                f,
                "{error}. The pins need a Raspberry Pi and the group gpio; elsewhere set the panel's backend to gpiochip"
            ),
            GpioError::Pin { pin, error } => {
                write!(f, "GPIO {pin}: {error}. Set other pins, each BCM number once")
            }
            GpioError::Chip { chip, kind: io::ErrorKind::PermissionDenied, error } => {
                write!(f, "{}: {error}. The user needs the group gpio", shown(chip))
            }
            GpioError::Chip { chip, error, .. } => {
                write!(f, "{}: {error}. Name a chip that gpiodetect shows as panel.chip", shown(chip))
            }
            GpioError::Lines { chip, lines, part, error } => write!(
                f,
                "{}, lines {lines:?} of the {part}: {error}. Set lines that gpioinfo shows as unused, each line once, or \
                 name another chip",
                shown(chip)
            ),
            GpioError::ReadButton { line, error } => {
                write!(f, "the button's line {line} cannot be read: {error}. Check the chip")
            }
            GpioError::SetLed { line, error } => {
                write!(f, "the LED's line {line} cannot be set: {error}. Check the chip")
            }
            GpioError::ReadPresses { error } => {
                write!(f, "presses cannot be read: {error}. Start again in a terminal")
            }
            GpioError::WriteLeds { path, error } => {
                write!(f, "{} cannot be written: {error}. Choose another folder", shown(path))
            }
            GpioError::Neither { registers, chip } => {
                write!(f, "{}; and without rppal: {}", Words(registers), Words(chip))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_once_what_is_wrong_and_then_what_to_do() {
        let registers = GpioError::Registers { error: "Unknown Raspberry Pi model".into() };
        let chip = GpioError::Chip {
            chip: "/dev/gpiochip0".into(),
            kind: io::ErrorKind::PermissionDenied,
            error: "permission denied".into(),
        };
        assert_eq!(chip.to_string(), "panel: /dev/gpiochip0: permission denied. The user needs the group gpio");
        let neither = GpioError::Neither { registers: Box::new(registers), chip: Box::new(chip) };
        assert_eq!(
            neither.to_string(),
            "panel: Unknown Raspberry Pi model. The pins need a Raspberry Pi and the group gpio; elsewhere set the \
             panel's backend to gpiochip; and without rppal: /dev/gpiochip0: permission denied. The user needs the group \
             gpio"
        );
    }
}
