//! Why a display cannot be used, and what to do about it.

use std::io;
use std::path::PathBuf;

/// A display that cannot be used. The message names the display, and says what is wrong and what to do.
///
/// The message contains the words of the operating system, so [`source`](std::error::Error::source) does not repeat them.
#[derive(Debug, thiserror::Error)]
#[error("display {}: {problem}", device.display())]
pub struct DisplayError {
    /// The device or file, or `auto`.
    pub device: PathBuf,
    /// What is wrong.
    pub problem: DisplayProblem,
}

/// What is wrong with a display.
#[derive(Debug, thiserror::Error)]
pub enum DisplayProblem {
    /// The user may not open the device.
    #[error("{0}. The user needs the group video")]
    PermissionDenied(io::Error),
    /// The device cannot be opened for another reason, for example because it is not there.
    #[error("{0}. Connect a display, or name another one, or none, as display.device")]
    Open(io::Error),
    /// The device is not a framebuffer.
    #[error("it is not a framebuffer: {0}. Connect a display, or name another one, or none, as display.device")]
    NotAFramebuffer(io::Error),
    /// The pixels of the framebuffer are not plain RGB of 16, 24 or 32 bits.
    #[error(
        "{width} x {height} pixels of {bits} bits without plain RGB are not supported. Connect a display, or name \
         another one, or none, as display.device"
    )]
    Pixels {
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
        /// Bits of a pixel.
        bits: u32,
    },
    /// The DRM card cannot show a picture from memory by itself.
    #[error("this card shows nothing by itself. Name another one as display.device")]
    NoDumbBuffers,
    /// The driver does not answer as it should.
    #[error("{0}. Check the display driver")]
    Driver(io::Error),
    /// The driver gave a buffer that has no room for a screen.
    #[error("the card gave too small a buffer. Check the display driver")]
    SmallBuffer,
    /// No display is connected to the card.
    #[error("no display is connected. Connect one, or check its cable and power")]
    NotConnected,
    /// The connected display has no mode.
    #[error("the display has no mode. Check its cable, or connect another one")]
    NoMode,
    /// The display cannot be taken over, for example because another program uses it.
    #[error("{0}. Stop what else uses the display, such as a desktop, and check permissions")]
    Busy(io::Error),
    /// The display was unplugged.
    #[error("the display was unplugged. Plug it in again")]
    Disconnected,
    /// Another program took the display over.
    #[error("something else took the display over. Stop it, such as a desktop")]
    TakenOver,
    /// A screen cannot be sent to the display.
    #[error("{0}. Check that it is still connected")]
    Show(io::Error),
    /// The file of a simulated display cannot be written.
    #[error("{0}. Make room and check the folder's permissions")]
    Write(io::Error),
    /// No device of this machine can be used: each with its own problem.
    #[error("{}", list(.0))]
    NoneUsable(Vec<DisplayError>),
    /// This program was built without displays.
    #[error("this program was built without displays. Build it with --features box")]
    NotBuilt,
}

impl DisplayProblem {
    /// The problem behind an error while a device is opened.
    #[cfg(feature = "box")]
    pub(super) fn from_open(error: io::Error) -> DisplayProblem {
        match error.kind() {
            io::ErrorKind::PermissionDenied => DisplayProblem::PermissionDenied(error),
            _ => DisplayProblem::Open(error),
        }
    }

    /// The error of the display at `device` that has this problem.
    pub(super) fn of(self, device: impl Into<PathBuf>) -> DisplayError {
        DisplayError { device: device.into(), problem: self }
    }
}

fn list(errors: &[DisplayError]) -> String {
    let each = errors.iter().map(|DisplayError { device, problem }| format!("{}: {problem}", device.display()));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_error_says_once_what_is_wrong_and_then_what_to_do() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let card = DisplayProblem::NotConnected.of("/dev/dri/card0");
        let framebuffer = DisplayProblem::PermissionDenied(refused()).of("/dev/fb0");
        assert_eq!(framebuffer.to_string(), "display /dev/fb0: permission denied. The user needs the group video");
        assert!(framebuffer.source().is_none(), "the message has the words of the source");
        let error = DisplayProblem::NoneUsable(vec![card, framebuffer]).of("auto");
        assert_eq!(
            error.to_string(),
            "display auto: /dev/dri/card0: no display is connected. Connect one, or check its cable and power; \
             /dev/fb0: permission denied. The user needs the group video"
        );
        assert!(error.source().is_none());
    }
}
