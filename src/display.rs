//! Where screens go: a DRM display, the framebuffer of an older one, a picture file that stands in for it, or nowhere.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image::RgbImage;
use serde::{Deserialize, Serialize};
use xray_triage_core::image_file;

use crate::ui::strings::Language;

#[cfg(feature = "box")]
mod console;
#[cfg(feature = "box")]
mod drm;
#[cfg(feature = "box")]
mod framebuffer;
#[cfg(feature = "box")]
mod layout;

/// How often a display is looked after, or looked for.
const LOOK: Duration = Duration::from_secs(2);

/// The display.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisplayConfig {
    /// `auto` (a DRM display, else `/dev/fb0`), `none`, or a device's path.
    pub device: String,
    /// `en`, `fr`, `es`, `pt` or `zh`.
    pub language: Language,
}

impl Default for DisplayConfig {
    fn default() -> Self {
        DisplayConfig { device: "auto".into(), language: Language::default() }
    }
}

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
    /// Width and height, pixels. (0, 0) where nothing is shown. It may change with an error, and where
    /// [`check`](Display::check) says so.
    fn size(&self) -> (u32, u32);

    /// Shows a screen of exactly [`size`](Display::size); it stays until the next one.
    ///
    /// # Errors
    /// The device or file cannot be written.
    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError>;

    /// Looks whether the display still shows what it was given; true if it is another one now, perhaps of another size,
    /// that shows nothing yet. It costs little and is asked often.
    ///
    /// # Errors
    /// It shows nothing any more: it was unplugged, or somebody else took it over.
    fn check(&mut self) -> Result<bool, DisplayError> {
        Ok(false)
    }
}

/// The display of the settings: for `auto` the first DRM card with a connected display, else `/dev/fb0`; for `none`
/// [`NoDisplay`]; else the device of that path. One that is not there, in use, without plain RGB pixels, or lost later, is
/// logged, and looked for every two seconds; so is one in a program that was built without displays.
pub fn open(config: &DisplayConfig) -> Box<dyn Display> {
    if config.device == "none" {
        return Box::new(NoDisplay);
    }
    // Lost, `auto` is the device that it was: its card may offer a framebuffer, too, which shows no more.
    let mut device = (config.device != "auto").then(|| PathBuf::from(&config.device));
    Box::new(Reopening::new(move || {
        let (path, display) = match &device {
            Some(path) => (path.clone(), open_device(path)?),
            None => open_first()?,
        };
        device = Some(path);
        Ok(display)
    }))
}

#[cfg(feature = "box")]
fn open_first() -> Result<(PathBuf, Box<dyn Display>), DisplayError> {
    let framebuffer = Path::new("/dev/fb0");
    let mut failures = Vec::new();
    for device in drm::cards().iter().map(PathBuf::as_path).chain([framebuffer]) {
        match open_device(device) {
            Ok(display) => return Ok((device.into(), display)),
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(DisplayError { path: "auto".into(), reason: failures.join("; ") })
}

/// A DRM card if it is called like one, else a framebuffer.
#[cfg(feature = "box")]
fn open_device(device: &Path) -> Result<Box<dyn Display>, DisplayError> {
    if drm::is_card(device) {
        Ok(Box::new(drm::DrmDisplay::open(device)?))
    } else {
        Ok(Box::new(framebuffer::Framebuffer::open(device)?))
    }
}

#[cfg(not(feature = "box"))]
fn open_first() -> Result<(PathBuf, Box<dyn Display>), DisplayError> {
    let auto = PathBuf::from("auto");
    open_device(&auto).map(|display| (auto, display))
}

#[cfg(not(feature = "box"))]
fn open_device(device: &Path) -> Result<Box<dyn Display>, DisplayError> {
    let reason = "this program was built without displays. Build it with --features box".into();
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

/// A display that may be lost and come back.
struct Reopening<Open> {
    open: Open,
    display: Option<Box<dyn Display>>,
    /// When to look again.
    next: Instant,
}

impl<Open: FnMut() -> Result<Box<dyn Display>, DisplayError>> Reopening<Open> {
    fn new(mut open: Open) -> Reopening<Open> {
        let display = open().inspect_err(|error| {
            log::warn!("{error}. Going on without a display: the LEDs and the case log have to do");
        });
        Reopening { open, display: display.ok(), next: Instant::now() + LOOK }
    }
}

impl<Open: FnMut() -> Result<Box<dyn Display>, DisplayError>> Display for Reopening<Open> {
    fn size(&self) -> (u32, u32) {
        self.display.as_ref().map_or((0, 0), |display| display.size())
    }

    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        let shown = self.display.as_mut().map_or(Ok(()), |display| display.show(screen));
        if shown.is_err() {
            self.display = None;
        }
        shown
    }

    fn check(&mut self) -> Result<bool, DisplayError> {
        let now = Instant::now();
        if now < self.next {
            return Ok(false);
        }
        self.next = now + LOOK;
        if let Some(display) = &mut self.display {
            return display.check().inspect_err(|_| self.display = None);
        }
        match (self.open)() {
            Ok(display) => {
                log::info!("the display is there");
                self.display = Some(display);
                Ok(true)
            }
            // That it is missing was said before.
            Err(error) => {
                log::debug!("{error}");
                Ok(false)
            }
        }
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
        image_file::write_png(&self.path, screen).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_that_is_missing_is_named_with_what_to_do() {
        for device in ["/dev/no-such-framebuffer", "/dev/dri/card77"] {
            let error = open_device(Path::new(device)).err().unwrap().to_string();
            assert!(error.contains(device) && error.contains("display"), "{error}");
        }
        for device in ["none", "/dev/no-such-framebuffer"] {
            let mut display = open(&DisplayConfig { device: device.into(), ..DisplayConfig::default() });
            assert_eq!(display.size(), (0, 0));
            display.show(&RgbImage::new(0, 0)).unwrap();
            assert!(!display.check().unwrap());
        }
    }

    /// A display whose cable is a list: what each look finds.
    struct Plugged(std::vec::IntoIter<bool>);

    impl Display for Plugged {
        fn size(&self) -> (u32, u32) {
            (4, 3)
        }

        fn show(&mut self, _screen: &RgbImage) -> Result<(), DisplayError> {
            self.check().map(|_| ())
        }

        fn check(&mut self) -> Result<bool, DisplayError> {
            let there = self.0.next().unwrap();
            if there { Ok(false) } else { Err(DisplayError { path: "a cable".into(), reason: "unplugged".into() }) }
        }
    }

    #[test]
    fn a_display_that_is_lost_is_opened_again() {
        let plugged = |looks: Vec<bool>| Ok(Box::new(Plugged(looks.into_iter())) as Box<dyn Display>);
        let missing = || Err(DisplayError { path: "a cable".into(), reason: "none".into() });
        let mut finds = [missing(), plugged(vec![true, false]), missing(), plugged(vec![true, false])].into_iter();
        let mut display = Reopening::new(move || finds.next().unwrap());
        let look = |display: &mut Reopening<_>| {
            assert!(display.next > Instant::now(), "it is not looked for all the time");
            assert!(!display.check().unwrap());
            display.next = Instant::now();
            display.check()
        };
        let size = (4, 3);
        assert_eq!(display.size(), (0, 0), "none at the start");
        assert!(look(&mut display).unwrap(), "one is there");
        assert_eq!(display.size(), size);
        assert!(!look(&mut display).unwrap(), "it is the same");
        assert!(look(&mut display).is_err(), "it is unplugged");
        assert_eq!(display.size(), (0, 0));
        assert!(!look(&mut display).unwrap(), "it is missing");
        assert!(look(&mut display).unwrap(), "it is back");
        let screen = RgbImage::new(size.0, size.1);
        display.show(&screen).unwrap();
        assert!(display.show(&screen).is_err(), "it is lost while a screen is shown");
        assert_eq!(display.size(), (0, 0));
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
