//! Where screens go: a DRM display, the framebuffer of an older one, a picture file that stands in for it, or nowhere.

use std::io;
use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::{config, picture};

#[cfg(framebuffer)]
mod drm;
#[cfg(framebuffer)]
mod framebuffer;
#[cfg(framebuffer)]
mod layout;

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
    /// Width and height, pixels. (0, 0) where nothing is shown.
    fn size(&self) -> (u32, u32);

    /// Shows a screen of exactly [`size`](Display::size); it stays until the next one.
    ///
    /// # Errors
    /// The device or file cannot be written.
    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError>;
}

/// The display of the settings: for `auto` the first DRM card with a connected display, else `/dev/fb0`; for `none`
/// [`NoDisplay`]; else the device of that path.
///
/// # Errors
/// There is none, it is in use, or its pixels are not plain RGB; or the program was built without displays.
pub fn open(config: &config::Display) -> Result<Box<dyn Display>, DisplayError> {
    match config.device.as_str() {
        "none" => Ok(Box::new(NoDisplay)),
        "auto" => open_first(),
        device => open_device(Path::new(device)),
    }
}

#[cfg(framebuffer)]
fn open_first() -> Result<Box<dyn Display>, DisplayError> {
    let framebuffer = Path::new("/dev/fb0");
    let mut failures = Vec::new();
    for device in drm::cards().iter().map(PathBuf::as_path).chain([framebuffer]) {
        match open_device(device) {
            Ok(display) => return Ok(display),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(DisplayError { path: "auto".into(), reason: failures.join("; ") })
}

/// A DRM card if it is called like one, else a framebuffer.
#[cfg(framebuffer)]
fn open_device(device: &Path) -> Result<Box<dyn Display>, DisplayError> {
    if drm::is_card(device) {
        Ok(Box::new(drm::DrmDisplay::open(device)?))
    } else {
        Ok(Box::new(framebuffer::Framebuffer::open(device)?))
    }
}

#[cfg(not(framebuffer))]
fn open_first() -> Result<Box<dyn Display>, DisplayError> {
    open_device(Path::new("auto"))
}

#[cfg(not(framebuffer))]
fn open_device(device: &Path) -> Result<Box<dyn Display>, DisplayError> {
    let reason = "this program was built without displays. Build it with --features display".into();
    Err(DisplayError { path: device.into(), reason })
}

/// No display: nothing is shown.
pub struct NoDisplay;

impl Display for NoDisplay {
    fn size(&self) -> (u32, u32) {
        (0, 0)
    }

    fn show(&mut self, _screen: &RgbImage) -> Result<(), DisplayError> {
        Ok(())
    }
}

/// A display that is a PNG file with the newest screen. Who reads the file never sees half a screen.
pub struct SimulatedDisplay {
    path: PathBuf,
    size: (u32, u32),
}

impl SimulatedDisplay {
    /// The file is written with the first screen. `size` in pixels.
    pub fn new(path: &Path, size: (u32, u32)) -> SimulatedDisplay {
        SimulatedDisplay { path: path.into(), size }
    }
}

impl Display for SimulatedDisplay {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        let failed = |error: io::Error| DisplayError {
            path: self.path.clone(),
            reason: format!("{error}. Make room and check the folder's permissions"),
        };
        picture::write_png(&self.path, screen).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(device: &str) -> Result<Box<dyn Display>, DisplayError> {
        open(&config::Display { device: device.into(), ..config::Display::default() })
    }

    #[test]
    fn none_is_a_display_and_a_missing_one_is_named_with_what_to_do() {
        assert_eq!(opened("none").ok().map(|display| display.size()), Some((0, 0)));
        for device in ["/dev/no-such-framebuffer", "/dev/dri/card77"] {
            let error = opened(device).err().unwrap().to_string();
            assert!(error.contains(device) && error.contains("display"), "{error}");
        }
    }

    #[test]
    fn a_simulated_display_has_the_newest_screen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("screen.png");
        let mut display = SimulatedDisplay::new(&path, (3, 2));
        for gray in [9, 200] {
            let screen = RgbImage::from_pixel(3, 2, image::Rgb([gray; 3]));
            display.show(&screen).unwrap();
            assert_eq!(image::open(&path).unwrap().into_rgb8(), screen);
        }
        let mut lost = SimulatedDisplay::new(&folder.path().join("gone/screen.png"), (3, 2));
        assert!(lost.show(&RgbImage::new(3, 2)).unwrap_err().to_string().contains("gone/screen.png"));
    }
}
