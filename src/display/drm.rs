//! A display of the kernel's Direct Rendering Manager (DRM), through a *dumb buffer*: memory that a card shows as it is, for
//! which the program needs to know nothing of the card.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use drm::buffer::{Buffer, DrmFourcc};
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{ClipRect, Device as ControlDevice, Mode, ModeTypeFlags, connector, crtc, framebuffer};
use drm::{Device, DriverCapability};
use image::RgbImage;

use super::layout::Layout;
use super::{Display, DisplayError, DisplayProblem};

/// Width and height of the largest screen, pixels. A larger mode is taken only if there is no other.
const LARGEST: (u16, u16) = (1920, 1080);

/// The DRM cards of this machine, sorted by name.
pub fn cards() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let mut cards: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_card(path)).collect();
    cards.sort();
    cards
}

/// Whether a device has the name of a DRM card: `/dev/dri/card1`, or a stable one from `/dev/dri/by-path`.
pub fn is_card(device: &Path) -> bool {
    let name = device.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("card").is_some_and(|number| number.parse::<u32>().is_ok()) || name.ends_with("-card")
}

/// An open card.
struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Device for Card {}
impl ControlDevice for Card {}

/// The first connected display of a card, in its preferred mode.
pub struct DrmDisplay {
    path: PathBuf,
    card: Card,
    connector: connector::Handle,
    crtc: crtc::Handle,
    buffer: DumbBuffer,
    framebuffer: framebuffer::Handle,
    layout: Layout,
}

impl DrmDisplay {
    /// Takes the display over: meanwhile no other program may show anything on the card.
    ///
    /// # Errors
    /// There is no such card, it is in use, or no display is connected to it.
    pub fn open(path: &Path) -> Result<DrmDisplay, DisplayError> {
        Self::take_over(path).map_err(|problem| problem.of(path))
    }

    fn take_over(path: &Path) -> Result<DrmDisplay, DisplayProblem> {
        let device = OpenOptions::new().read(true).write(true).open(path).map_err(DisplayProblem::from_open)?;
        let card = Card(device);
        if !card.get_driver_capability(DriverCapability::DumbBuffer).is_ok_and(|value| value > 0) {
            return Err(DisplayProblem::NoDumbBuffers);
        }
        let (connector, crtc) =
            connected(&card).map_err(DisplayProblem::Driver)?.ok_or(DisplayProblem::NotConnected)?;
        let mode = preferred(connector.modes()).ok_or(DisplayProblem::NoMode)?;
        let shown = Self::show_on(&card, connector.handle(), crtc, mode);
        let (buffer, framebuffer) = shown.map_err(DisplayProblem::Busy)?;
        let layout = Layout::xrgb8888(buffer.size(), buffer.pitch() as usize).ok_or(DisplayProblem::SmallBuffer)?;
        Ok(DrmDisplay { path: path.into(), card, connector: connector.handle(), crtc, buffer, framebuffer, layout })
    }

    /// Shows a new, empty buffer on a display.
    fn show_on(
        card: &Card,
        connector: connector::Handle,
        crtc: crtc::Handle,
        mode: Mode,
    ) -> io::Result<(DumbBuffer, framebuffer::Handle)> {
        let (width, height) = mode.size();
        let buffer = card.create_dumb_buffer((width.into(), height.into()), DrmFourcc::Xrgb8888, 32)?;
        let framebuffer = card.add_framebuffer(&buffer, 24, 32)?;
        card.set_crtc(crtc, Some(framebuffer), (0, 0), &[connector], Some(mode))?;
        Ok((buffer, framebuffer))
    }
}

/// The first connected display, and the CRTC for it: the one that feeds it already, else the first that could.
fn connected(card: &Card) -> io::Result<Option<(connector::Info, crtc::Handle)>> {
    let resources = card.resource_handles()?;
    for &handle in resources.connectors() {
        let connector = card.get_connector(handle, true)?;
        if connector.state() != connector::State::Connected {
            continue;
        }
        let now = connector.current_encoder().and_then(|encoder| card.get_encoder(encoder).ok()?.crtc());
        let possible = connector.encoders().iter().find_map(|&encoder| {
            let encoder = card.get_encoder(encoder).ok()?;
            resources.filter_crtcs(encoder.possible_crtcs()).first().copied()
        });
        if let Some(crtc) = now.or(possible) {
            return Ok(Some((connector, crtc)));
        }
    }
    Ok(None)
}

/// The mode that the display prefers if it is not larger than [`LARGEST`]; else the largest mode that is not; else the
/// first mode.
fn preferred(modes: &[Mode]) -> Option<Mode> {
    let fitting = |mode: &&Mode| mode.size().0 <= LARGEST.0 && mode.size().1 <= LARGEST.1;
    let preferred = modes.iter().filter(fitting).find(|mode| mode.mode_type().contains(ModeTypeFlags::PREFERRED));
    let area = |mode: &&Mode| u32::from(mode.size().0) * u32::from(mode.size().1);
    preferred.or_else(|| modes.iter().filter(fitting).max_by_key(area)).or(modes.first()).copied()
}

impl Display for DrmDisplay {
    fn size(&self) -> (u32, u32) {
        (self.layout.width, self.layout.height)
    }

    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        let failed = |error: io::Error| DisplayProblem::Show(error).of(&self.path);
        let mut memory = self.card.map_dumb_buffer(&mut self.buffer).map_err(failed)?;
        self.layout.pack(screen, &mut memory);
        drop(memory);
        // Cards that copy the buffer, such as virtual cards and displays on USB or SPI, copy it at this request. Other cards
        // do not know the request: they show the memory itself.
        let (width, height) = (self.layout.width as u16, self.layout.height as u16);
        match self.card.dirty_framebuffer(self.framebuffer, &[ClipRect::new(0, 0, width, height)]) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::NOSYS.raw_os_error()) => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn check(&mut self) -> Result<bool, DisplayError> {
        let failed = |problem: DisplayProblem| problem.of(&self.path);
        let unanswered = |error: io::Error| failed(DisplayProblem::Driver(error));
        // The kernel knows what is plugged in. Probing would read the display's abilities through its cable.
        let connector = self.card.get_connector(self.connector, false).map_err(unanswered)?;
        if connector.state() == connector::State::Disconnected {
            return Err(failed(DisplayProblem::Disconnected));
        }
        let crtc = self.card.get_crtc(self.crtc).map_err(unanswered)?;
        if crtc.mode().is_none() || crtc.framebuffer() != Some(self.framebuffer) {
            return Err(failed(DisplayProblem::TakenOver));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_known_by_its_name() {
        assert!(is_card(Path::new("/dev/dri/card0")));
        assert!(is_card(Path::new("/dev/dri/by-path/platform-gpu-card")));
        assert!(!is_card(Path::new("/dev/dri/renderD128")));
        assert!(!is_card(Path::new("/dev/fb0")));
    }
}
