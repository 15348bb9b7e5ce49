//! A camera of the Linux kernel (V4L2), through the `v4l` crate.

use std::fs;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use image::GrayImage;
use log::{debug, error, info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use v4l::buffer::{self, Type};
use v4l::capability::Flags;
use v4l::control::Value;
use v4l::framesize::FrameSizeEnum;
use v4l::io::traits::{CaptureStream, Stream};
use v4l::prelude::{Device, MmapStream};
use v4l::video::Capture as _;
use v4l::{Control, Format, FourCC};

use super::pixels::{FORMATS, GrayReader, Layout};
use super::{Camera, CameraError};
use crate::config;
use crate::picture::MAX_PIXELS;

/// Frames thrown away after opening while exposure and white balance settle: at most so many, and for at most
/// [`SETTLING`] after the first one.
const SETTLING_FRAMES: usize = 10;
const SETTLING: Duration = Duration::from_secs(1);
/// Bounds of the timeout, seconds.
const TIMEOUT: (f64, f64) = (0.1, 60.0);
/// Buffers asked of the driver: one is being read, the others keep the camera busy.
const BUFFERS: u32 = 4;
/// `POLLIN` of poll(2).
const READABLE: i16 = 1;

/// A single-planar V4L2 capture device. Its stream stays open between grabs; any error closes it, and the next grab
/// opens it again, so that a camera may be unplugged at any time.
pub struct V4lCamera {
    config: config::Camera,
    timeout: Duration,
    streaming: Option<Streaming>,
    reader: GrayReader,
}

impl V4lCamera {
    /// Opens nothing yet.
    pub fn new(config: &config::Camera) -> V4lCamera {
        let (shortest, longest) = TIMEOUT;
        let seconds = if config.timeout_s.is_nan() { shortest } else { config.timeout_s.clamp(shortest, longest) };
        V4lCamera {
            config: config.clone(),
            timeout: Duration::from_secs_f64(seconds),
            streaming: None,
            reader: GrayReader::default(),
        }
    }

    fn grab_newest(&mut self, frame: &mut GrayImage) -> Result<(), Fault> {
        let fresh = self.streaming.is_none();
        let streaming = match &mut self.streaming {
            Some(streaming) => streaming,
            closed => closed.insert(open(&self.config)?),
        };
        if fresh {
            streaming.settle(self.timeout)?;
        }
        let deadline = Instant::now() + self.timeout;
        streaming.discard_waiting(deadline)?;
        let mut damaged = false;
        while !damaged || Instant::now() < deadline {
            let (bytes, filled) = match streaming.stream.next_before(deadline) {
                Err(error) if damaged && error.kind() == ErrorKind::TimedOut => break,
                next => next?,
            };
            // A compressed frame fills only the front of its buffer.
            let bytes = bytes.get(..filled.bytesused as usize).unwrap_or(bytes);
            let whole = !filled.flags.contains(buffer::Flags::ERROR);
            if whole && self.reader.read(bytes, &streaming.layout, frame).is_some() {
                return Ok(());
            }
            debug!("camera {}: frame {} is damaged", self.config.device, filled.sequence);
            damaged = true;
        }
        Err(Fault::Camera("sends damaged frames only. Check its cable, and try another USB port".into()))
    }

    /// Ends the stream, whatever state the device is in.
    fn close(&mut self) {
        let Some(Streaming { mut stream, .. }) = self.streaming.take() else { return };
        // Dropping a stream that cannot be stopped panics, unless the device was unplugged; and while it unwinds, the
        // buffers, which cannot be freed either, panic again, which ends the program.
        match stream.0.stop() {
            Err(error) if error.raw_os_error() != Some(Errno::NODEV.raw_os_error()) => {
                error!("camera {}: cannot be stopped: {error}. Unplug it if it stays busy", self.config.device);
                mem::forget(stream);
            }
            _ => {
                if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
                    error!("camera {}: its buffers cannot be freed. Unplug it if it stays busy", self.config.device);
                }
            }
        }
    }
}

impl Camera for V4lCamera {
    fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError> {
        loop {
            // The `v4l` crate panics over what it does not know, such as a new colour space or a card's name that is cut
            // off within a character.
            let grabbed = catch_unwind(AssertUnwindSafe(|| self.grab_newest(frame))).unwrap_or_else(|_| {
                Err(Fault::Camera("answers what this program does not understand. Use another camera".into()))
            });
            let Err(fault) = grabbed else { return Ok(()) };
            self.close();
            match fault {
                Fault::Camera(reason) => {
                    return Err(CameraError::Device { device: self.config.device.clone(), reason });
                }
                // No fault of the camera; but the crate cannot take up a wait again, only begin anew.
                Fault::Interrupted => debug!("camera {}: interrupted by a signal", self.config.device),
            }
        }
    }

    fn origin(&self) -> String {
        self.config.device.clone()
    }

    fn idle(&mut self) {
        if self.streaming.as_ref().is_some_and(Streaming::is_unplugged) {
            info!("camera {}: was unplugged", self.config.device);
            self.close();
        }
    }
}

impl Drop for V4lCamera {
    fn drop(&mut self) {
        self.close();
    }
}

/// Why there is no frame.
#[derive(Debug)]
enum Fault {
    /// What is wrong with the camera and what to do.
    Camera(String),
    /// A signal came while a frame was awaited.
    Interrupted,
}

/// An error while frames are awaited.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Camera(match error.kind() {
            ErrorKind::Interrupted => return Fault::Interrupted,
            ErrorKind::TimedOut => "sends no frame in time. Check its cable, and try another USB port".into(),
            _ if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => "was unplugged. Plug it in again".into(),
            _ => format!("sends no frame: {error}. Check its cable"),
        })
    }
}

struct Streaming {
    stream: Buffers,
    layout: Layout,
}

impl Streaming {
    /// Whether the device is gone. Costs a system call and touches no frame.
    fn is_unplugged(&self) -> bool {
        let handle = self.stream.0.handle();
        // SAFETY: the handle, which lives longer, keeps the descriptor open.
        let device = unsafe { BorrowedFd::borrow_raw(handle.fd()) };
        hung_up(device)
    }

    /// Throws away the first frames.
    fn settle(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.next_before(Instant::now() + timeout)?;
        let end = Instant::now() + SETTLING;
        for _ in 1..SETTLING_FRAMES {
            if Instant::now() >= end {
                break;
            }
            self.stream.next_before(Instant::now() + timeout)?;
        }
        Ok(())
    }

    /// Throws away the frames that lie ready. A camera fills its buffers once and then waits for free ones: what lies
    /// there may be as old as the latest grab.
    fn discard_waiting(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline && self.stream.0.handle().poll(READABLE, 0)? > 0 {
            self.stream.next_before(deadline)?;
        }
        Ok(())
    }
}

/// Whether the kernel says that there is nothing behind a descriptor any more.
fn hung_up(device: BorrowedFd) -> bool {
    let mut device = [PollFd::from_borrowed_fd(device, PollFlags::empty())];
    poll(&mut device, Some(&Timespec::default())).is_ok() && device[0].revents().contains(PollFlags::HUP)
}

/// A stream of mapped buffers.
struct Buffers(MmapStream<'static>);

impl Buffers {
    /// The next frame. After an error the stream is of no more use: the buffer read before is queued already, and would
    /// be queued again.
    fn next_before(&mut self, deadline: Instant) -> io::Result<(&[u8], &buffer::Metadata)> {
        self.0.set_timeout(deadline.saturating_duration_since(Instant::now()));
        self.0.next()
    }
}

/// Opens the device in the format and size nearest to what is wanted, adjusts it, and maps its buffers.
fn open(config: &config::Camera) -> Result<Streaming, Fault> {
    let name = &config.device;
    let path = if name.starts_with('/') { PathBuf::from(name) } else { node_of_card(name)? };
    let device = Device::with_path(&path).map_err(|error| {
        Fault::Camera(match error.kind() {
            ErrorKind::NotFound => "is not there. Plug it in, or name another device in the settings".into(),
            ErrorKind::PermissionDenied => format!("cannot be opened: {error}. The user needs the group video"),
            _ => format!("cannot be opened: {error}. Plug it in again, or name another device in the settings"),
        })
    })?;
    let (format, (width, height)) =
        nearest_format(&device, (config.width, config.height)).ok_or_else(|| why_unusable(&device))?;
    let format = device.set_format(&Format::new(width, height, FourCC::new(&format))).map_err(|error| {
        Fault::Camera(match Errno::from_io_error(&error) {
            Some(Errno::BUSY) => "is used by another program. Close that".into(),
            _ => format!("refuses its own format: {error}. Plug it in again, or use another camera"),
        })
    })?;
    if !FORMATS.contains(&&format.fourcc.repr) || !fits(format.width, format.height) {
        let Format { fourcc, width, height, .. } = format;
        return Err(Fault::Camera(format!(
            "insists on {fourcc} at {width} x {height}, which is not supported. Use another camera"
        )));
    }
    adjust(&device, config);
    info!("camera {name} ({}): {} at {} x {}", path.display(), format.fourcc, format.width, format.height);
    let stream = MmapStream::with_buffers(&device, Type::VideoCapture, BUFFERS)
        .map_err(|error| Fault::Camera(format!("gives no buffers: {error}. Close other programs that use it")))?;
    let layout = Layout {
        format: format.fourcc.repr,
        width: format.width,
        height: format.height,
        stride: format.stride as usize,
    };
    Ok(Streaming { stream: Buffers(stream), layout })
}

/// The capture device of the card that has this name.
fn node_of_card(name: &str) -> Result<PathBuf, Fault> {
    let mut nodes = fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number: u32 = path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, path))
        })
        .collect::<Vec<_>>();
    nodes.sort();
    let mut others = Vec::new();
    for (_, path) in nodes {
        let Ok(abilities) = Device::with_path(&path).and_then(|device| device.query_caps()) else { continue };
        // One card has several nodes, not all of which take pictures.
        if abilities.capabilities.contains(Flags::VIDEO_CAPTURE) {
            if abilities.card == name {
                return Ok(path);
            }
            others.push(abilities.card);
        }
    }
    let others = if others.is_empty() { "there is no camera at all".into() } else { others.join(", ") };
    Err(Fault::Camera(format!(
        "is not there: no card has this name (there are: {others}). Plug it in, or name another one"
    )))
}

/// The format and size offered that come nearest to the wanted size; of equally near ones the first in [`FORMATS`].
/// `None` without a known format in a size that is not too large.
fn nearest_format(device: &Device, wanted: (u32, u32)) -> Option<([u8; 4], (u32, u32))> {
    let offered = device.enum_formats().unwrap_or_default();
    let known = FORMATS.into_iter().filter(|known| offered.iter().any(|format| &format.fourcc.repr == *known));
    let sizes = known.filter_map(|format| match device.enum_framesizes(FourCC::new(format)) {
        Ok(sizes) => Some((*format, nearest_size(sizes.into_iter().map(|offer| offer.size), wanted)?)),
        // The driver does not say; it changes what it cannot do.
        Err(_) => Some((*format, wanted)),
    });
    sizes.min_by_key(|(_, size)| distance(*size, wanted))
}

/// The offered size nearest to the wanted one, among those that [`fits`].
fn nearest_size(offered: impl Iterator<Item = FrameSizeEnum>, wanted: (u32, u32)) -> Option<(u32, u32)> {
    let step_to = |wanted: u32, least: u32, most: u32, step: u32| {
        let above = wanted.min(most).saturating_sub(least);
        least + above - above % step.max(1)
    };
    let sizes = offered.map(|offer| match offer {
        FrameSizeEnum::Discrete(size) => (size.width, size.height),
        FrameSizeEnum::Stepwise(range) => (
            step_to(wanted.0, range.min_width, range.max_width, range.step_width),
            step_to(wanted.1, range.min_height, range.max_height, range.step_height),
        ),
    });
    sizes.filter(|(width, height)| fits(*width, *height)).min_by_key(|size| distance(*size, wanted))
}

fn distance(size: (u32, u32), wanted: (u32, u32)) -> u64 {
    u64::from(size.0.abs_diff(wanted.0)) + u64::from(size.1.abs_diff(wanted.1))
}

/// Whether a frame has pixels, and no more than a picture may have.
fn fits(width: u32, height: u32) -> bool {
    (1..=MAX_PIXELS).contains(&(u64::from(width) * u64::from(height)))
}

/// Why a device has no format that can be used.
fn why_unusable(device: &Device) -> Fault {
    let abilities = device.query_caps().map_or(Flags::empty(), |abilities| abilities.capabilities);
    Fault::Camera(if abilities.contains(Flags::VIDEO_CAPTURE) {
        "offers none of MJPG, YUYV, GREY, NV12 in a size that fits. Use another camera".into()
    } else if abilities.intersects(Flags::VIDEO_CAPTURE_MPLANE | Flags::VIDEO_M2M_MPLANE) {
        "offers multi-planar capture only, which is not supported. Use a USB camera, or this one through libcamera's \
         V4L2 compatibility layer"
            .into()
    } else {
        "takes no pictures: a camera can have several devices. Name another one in the settings, such as the one under \
         /dev/v4l/by-id that ends in index0"
            .into()
    })
}

/// A quantity that a camera chooses itself unless told not to.
struct Adjustment {
    name: &'static str,
    /// Control that switches between automatic and manual, and its values for the two.
    switch: u32,
    automatic: i64,
    manual: i64,
    /// Control that has the manual value.
    value: u32,
}

/// Control numbers and values of `linux/v4l2-controls.h`. Automatic exposure is "aperture priority", the one that USB
/// cameras have: they cannot change their aperture.
const EXPOSURE: Adjustment =
    Adjustment { name: "exposure", switch: 0x009a_0901, automatic: 3, manual: 1, value: 0x009a_0902 };
const WHITE_BALANCE: Adjustment =
    Adjustment { name: "white balance", switch: 0x0098_090c, automatic: 1, manual: 0, value: 0x0098_091a };
const FOCUS: Adjustment =
    Adjustment { name: "focus", switch: 0x009a_090c, automatic: 1, manual: 0, value: 0x009a_090a };

/// Sets what the settings fix, and leaves the rest to the camera. What the camera lacks is logged.
fn adjust(device: &Device, config: &config::Camera) {
    let wanted = [(EXPOSURE, config.exposure), (WHITE_BALANCE, config.white_balance), (FOCUS, config.focus)];
    for (adjustment, fixed) in wanted {
        let Adjustment { name, switch, automatic, manual, value } = adjustment;
        let set = |id, value| device.set_control(Control { id, value: Value::Integer(value) });
        if let Err(error) = set(switch, if fixed.is_some() { manual } else { automatic }) {
            debug!("camera {}: its {name} cannot be switched between automatic and manual: {error}", config.device);
        }
        if let Some(fixed) = fixed
            && let Err(error) = set(value, fixed.into())
        {
            warn!("camera {}: its {name} cannot be set to {fixed}: {error}. Going on without", config.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::path::Path;
    use v4l::framesize::{Discrete, Stepwise};

    fn nearest(sizes: &[(u32, u32)], wanted: (u32, u32)) -> Option<(u32, u32)> {
        let offers = sizes.iter().map(|&(width, height)| FrameSizeEnum::Discrete(Discrete { width, height }));
        nearest_size(offers, wanted)
    }

    #[test]
    fn the_nearest_size_is_taken() {
        let offered = [(640, 480), (1280, 720), (1920, 1080), (4000, 3000)];
        assert_eq!(nearest(&offered, (1920, 1080)), Some((1920, 1080)));
        assert_eq!(nearest(&offered, (1600, 1200)), Some((1920, 1080)));
        assert_eq!(nearest(&offered, (0, 0)), Some((640, 480)));
        assert_eq!(nearest(&offered, (u32::MAX, u32::MAX)), Some((4000, 3000)));
        assert_eq!(nearest(&[(0, 480), (60_000, 60_000)], (640, 480)), None, "no pixels, or too many");
    }

    #[test]
    fn a_range_of_sizes_is_stepped_through() {
        let range = |step| {
            let (min_width, min_height) = (32, 16);
            let (max_width, max_height) = (2592, 1944);
            let (step_width, step_height) = (step, step);
            let range = Stepwise { min_width, max_width, step_width, min_height, max_height, step_height };
            std::iter::once(FrameSizeEnum::Stepwise(range))
        };
        assert_eq!(nearest_size(range(1), (1920, 1080)), Some((1920, 1080)));
        assert_eq!(nearest_size(range(16), (1925, 1085)), Some((1920, 1072)));
        assert_eq!(nearest_size(range(0), (9, 9000)), Some((32, 1944)));
    }

    #[test]
    fn a_signal_is_no_fault_of_the_camera() {
        assert!(matches!(Fault::from(io::Error::from(Errno::INTR)), Fault::Interrupted));
        assert!(
            matches!(Fault::from(io::Error::from(Errno::NODEV)), Fault::Camera(reason) if reason.contains("unplugged"))
        );
    }

    /// A pipe stands in for the device: an unplugged one hangs up as a pipe does whose other end is closed.
    #[test]
    fn a_device_that_hung_up_is_told_from_one_that_is_quiet() {
        let (device, cable) = io::pipe().unwrap();
        assert!(!hung_up(device.as_fd()));
        drop(cable);
        assert!(hung_up(device.as_fd()));
    }

    #[test]
    fn devices_that_are_no_cameras_are_faults_and_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "no device").unwrap();
        let path = |path: &Path| path.display().to_string();
        for (device, reason) in [
            (path(&folder.path().join("video0")), "is not there. Plug it in"),
            (path(&file), "takes no pictures"),
            (path(folder.path()), "cannot be opened"),
            ("/dev/null".into(), "takes no pictures"),
            ("No Such Camera".into(), "no card has this name"),
            (String::new(), "no card has this name"),
            ("/dev/\0video0".into(), "does not understand"),
        ] {
            for timeout_s in [0.5, f64::NAN, -1.0, f64::INFINITY] {
                let config = config::Camera { device: device.clone(), timeout_s, ..Default::default() };
                let mut camera = V4lCamera::new(&config);
                let error = camera.grab(&mut GrayImage::default()).unwrap_err().to_string();
                assert!(error.starts_with(&format!("camera {device}: ")) && error.contains(reason), "{error}");
            }
        }
    }
}
