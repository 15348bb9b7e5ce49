//! Where screens go: the framebuffer of a small display, or a picture file that stands in for it.

use std::io;
use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::picture;

#[cfg(framebuffer)]
mod framebuffer;

/// A display that cannot be used. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("display {}: {reason}", path.display())]
pub struct DisplayError {
    /// The device or the file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Something that shows screens.
pub trait Display {
    /// Shows a screen, scaled to fit; it stays until the next one.
    ///
    /// # Errors
    /// The device or file cannot be written.
    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError>;
}

/// The display of a framebuffer device, such as `/dev/fb0`.
///
/// # Errors
/// There is none, it is not writable, or it has neither 16 nor 32 bits a pixel; or the program was built without
/// displays.
#[cfg(framebuffer)]
pub fn open(device: &Path) -> Result<Box<dyn Display>, DisplayError> {
    Ok(Box::new(framebuffer::Framebuffer::open(device)?))
}

/// Built without displays: always an error.
#[cfg(not(framebuffer))]
pub fn open(device: &Path) -> Result<Box<dyn Display>, DisplayError> {
    let reason = "this program was built without displays. Build it with --features display".into();
    Err(DisplayError { path: device.into(), reason })
}

/// No display: nothing is shown.
pub struct NoDisplay;

impl Display for NoDisplay {
    fn show(&mut self, _screen: &RgbImage) -> Result<(), DisplayError> {
        Ok(())
    }
}

/// A display that is a PNG file with the newest screen.
pub struct SimulatedDisplay {
    path: PathBuf,
}

impl SimulatedDisplay {
    /// The file is written with the first screen.
    pub fn new(path: &Path) -> SimulatedDisplay {
        SimulatedDisplay { path: path.into() }
    }
}

impl Display for SimulatedDisplay {
    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        let failed = |error: io::Error| DisplayError {
            path: self.path.clone(),
            reason: format!("{error}. Make room and check the folder's permissions"),
        };
        picture::write_png(&self.path, screen).map_err(failed)
    }
}
