//! Where screens go: a DRM display, a framebuffer, a picture file in place of a display, or nowhere.

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
mod error;
#[cfg(feature = "box")]
mod framebuffer;
#[cfg(feature = "box")]
mod layout;

pub use error::{DisplayError, DisplayProblem};

/// Time between two looks whether the display is there.
const LOOK: Duration = Duration::from_secs(2);

/// The settings of the display: the section `[display]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisplayConfig {
    /// `auto` (a DRM display, else `/dev/fb0`), `none`, or the path of a device.
    pub device: String,
    /// The language of the screens: `en`, `fr`, `es`, `pt` or `zh`.
    pub language: Language,
}

impl Default for DisplayConfig {
    fn default() -> Self {
        DisplayConfig { device: "auto".into(), language: Language::default() }
    }
}

/// Something that shows screens.
pub trait Display {
    /// Width and height, pixels; (0, 0) if nothing is shown. The size may change after an error, and when
    /// [`check`](Display::check) returns true.
    fn size(&self) -> (u32, u32);

    /// Shows a screen of exactly [`size`](Display::size); it stays until the next one.
    ///
    /// # Errors
    /// The device or file cannot be written.
    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError>;

    /// Looks whether the display still shows its last screen. Returns true if there is now another display, perhaps of
    /// another size, that shows nothing yet. The look costs little and is made often.
    ///
    /// # Errors
    /// The display shows nothing any more: it was unplugged, or another program took it over.
    fn check(&mut self) -> Result<bool, DisplayError> {
        Ok(false)
    }
}

/// The display of the settings: for `auto` the first DRM card with a connected display, else `/dev/fb0`; for `none`
/// [`NoDisplay`]; otherwise the device of that path.
///
/// A display that cannot be opened, or is lost later, is logged and looked for every two seconds.
pub fn open(config: &DisplayConfig) -> Box<dyn Display> {
    if config.device == "none" {
        return Box::new(NoDisplay);
    }
    // Once `auto` has found a device it stays with that one: the card of a lost display may offer a framebuffer as well,
    // which would show nothing.
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
            Err(error) => failures.push(error),
        }
    }
    Err(DisplayProblem::NoneUsable(failures).of("auto"))
}

/// Opens a device: as a DRM card if it has the name of one, else as a framebuffer.
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
    Err(DisplayProblem::NotBuilt.of(device))
}

/// The display of a box without a display: nothing is shown.
pub struct NoDisplay;

impl Display for NoDisplay {
    fn size(&self) -> (u32, u32) {
        (0, 0)
    }

    fn show(&mut self, _screen: &RgbImage) -> Result<(), DisplayError> {
        Ok(())
    }
}

/// A display that may be lost and is then opened again.
struct Reopening<Open> {
    open: Open,
    display: Option<Box<dyn Display>>,
    /// When to look again whether the display is there.
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
            // That the display is missing was logged before.
            Err(error) => {
                log::debug!("{error}");
                Ok(false)
            }
        }
    }
}

/// A simulated display: a PNG file with the newest screen. A reader of the file never sees half a screen.
pub struct SimulatedDisplay {
    path: PathBuf,
    size: (u32, u32),
}

impl SimulatedDisplay {
    /// A display of `size` pixels. Its file is written with the first screen.
    pub fn new(path: &Path, size: (u32, u32)) -> SimulatedDisplay {
        SimulatedDisplay { path: path.into(), size }
    }
}

impl Display for SimulatedDisplay {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        image_file::write_png(&self.path, screen).map_err(|error| DisplayProblem::Write(error).of(&self.path))
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

    /// A display with a list of whether each look finds it connected.
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
            if there { Ok(false) } else { Err(DisplayProblem::Disconnected.of("a cable")) }
        }
    }

    #[test]
    fn a_display_that_is_lost_is_opened_again() {
        let plugged = |looks: Vec<bool>| Ok(Box::new(Plugged(looks.into_iter())) as Box<dyn Display>);
        let missing = || Err(DisplayProblem::NotConnected.of("a cable"));
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
