//! A camera of the Linux kernel (V4L2), through the `v4l` crate.

use std::fs;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
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
use xray_triage_core::image_file::MAX_PIXELS;

use super::error::{CameraError, DeviceProblem};
use super::pixels::{FORMATS, GrayReader, Layout};
use super::{Camera, CameraConfig};

/// Most frames that are thrown away after opening, while exposure and white balance settle.
const SETTLING_FRAMES: usize = 10;
/// How long frames are thrown away at most, counted from the first one.
const SETTLING: Duration = Duration::from_secs(1);
/// Shortest and longest timeout, seconds.
const TIMEOUT: (f64, f64) = (0.1, 60.0);
/// How many buffers the driver is asked for: one is being read, and the others keep the camera busy.
const BUFFERS: u32 = 4;
/// How many pixel formats of a device a message names at most: the kernel's virtual camera has sixty.
const NAMED: usize = FORMATS.len();
/// `POLLIN` of poll(2).
const READABLE: i16 = 1;

/// A single-planar V4L2 capture device.
///
/// Its stream stays open between grabs. Any error closes the stream, and the next grab opens it again, so that a camera may
/// be unplugged at any time.
///
/// The `v4l` crate panics over answers that it does not know, such as a new colour space or a card's name that is cut off
/// within a character. Such a panic is [`DeviceProblem::NotUnderstood`].
pub struct V4lCamera {
    config: CameraConfig,
    timeout: Duration,
    streaming: Option<Streaming>,
    reader: GrayReader,
}

impl V4lCamera {
    /// The camera of the settings. Nothing is opened yet.
    pub fn new(config: &CameraConfig) -> V4lCamera {
        let (shortest, longest) = TIMEOUT;
        let seconds = if config.timeout_s.is_nan() { shortest } else { config.timeout_s.clamp(shortest, longest) };
        V4lCamera {
            config: config.clone(),
            timeout: Duration::from_secs_f64(seconds),
            streaming: None,
            reader: GrayReader::default(),
        }
    }

    /// Waits for the newest frame, and skips damaged ones.
    fn grab_newest(&mut self, frame: &mut GrayImage) -> Result<(), Stop> {
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
            let bytes = front(bytes, filled);
            let whole = !filled.flags.contains(buffer::Flags::ERROR);
            if whole && self.reader.read(bytes, &streaming.layout, frame).is_some() {
                return Ok(());
            }
            debug!("camera {}: frame {} is damaged", self.config.device, filled.sequence);
            damaged = true;
        }
        Err(DeviceProblem::Damaged.into())
    }

    /// Gives every frame to `keep` as the camera sends it, damaged or not, until `keep` returns false or `duration` has
    /// passed.
    ///
    /// # Errors
    /// The camera cannot be opened, or is gone.
    pub fn stream(
        &mut self,
        duration: Duration,
        mut keep: impl FnMut(&[u8], &Layout) -> bool,
    ) -> Result<(), CameraError> {
        let mut end = None;
        self.attempt(|camera| {
            let streaming = match &mut camera.streaming {
                Some(streaming) => streaming,
                closed => closed.insert(open(&camera.config)?),
            };
            let end = *end.get_or_insert_with(|| Instant::now() + duration);
            while Instant::now() < end {
                let (bytes, filled) = streaming.stream.next_before(Instant::now() + camera.timeout)?;
                if !keep(front(bytes, filled), &streaming.layout) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Works with the device, and begins anew after a signal. Any error closes the device.
    fn attempt(&mut self, mut work: impl FnMut(&mut V4lCamera) -> Result<(), Stop>) -> Result<(), CameraError> {
        loop {
            let done = catch_unwind(AssertUnwindSafe(|| work(self)))
                .unwrap_or_else(|_| Err(DeviceProblem::NotUnderstood.into()));
            let Err(stop) = done else { return Ok(()) };
            self.close();
            match stop {
                Stop::Problem(problem) => {
                    return Err(CameraError::Device { device: self.config.device.clone(), problem });
                }
                // This is no problem of the camera, but the crate cannot resume a wait: it has to begin anew.
                Stop::Interrupted => debug!("camera {}: interrupted by a signal", self.config.device),
            }
        }
    }

    /// Ends the stream, in whatever state the device is.
    fn close(&mut self) {
        let Some(Streaming { mut stream, .. }) = self.streaming.take() else { return };
        // Dropping a stream that cannot be stopped panics, unless the device was unplugged. While that panic unwinds, the
        // buffers, which cannot be freed either, panic again, which would end the program.
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
        self.attempt(|camera| camera.grab_newest(frame))
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

/// What ends a wait for frames.
#[derive(Debug)]
enum Stop {
    /// Something is wrong with the camera.
    Problem(DeviceProblem),
    /// A signal came while a frame was awaited.
    Interrupted,
}

impl From<DeviceProblem> for Stop {
    fn from(problem: DeviceProblem) -> Stop {
        Stop::Problem(problem)
    }
}

/// An error while a frame is awaited.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Problem(match error.kind() {
            ErrorKind::Interrupted => return Stop::Interrupted,
            ErrorKind::TimedOut => DeviceProblem::Timeout,
            _ if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => DeviceProblem::Disconnected,
            _ => DeviceProblem::Read(error),
        })
    }
}

/// An open stream, and what its frames are.
struct Streaming {
    stream: Buffers,
    layout: Layout,
}

impl Streaming {
    /// Whether the device is gone. This costs a system call and touches no frame.
    fn is_unplugged(&self) -> bool {
        let handle = self.stream.0.handle();
        // SAFETY: the handle, which lives longer, keeps the descriptor open.
        let device = unsafe { BorrowedFd::borrow_raw(handle.fd()) };
        hung_up(device)
    }

    /// Throws away the first frames, while exposure and white balance settle.
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

    /// Throws away the frames that are waiting. A camera fills its buffers once and then waits for free ones, so a waiting
    /// frame may be as old as the latest grab.
    fn discard_waiting(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline && self.stream.0.handle().poll(READABLE, 0)? > 0 {
            self.stream.next_before(deadline)?;
        }
        Ok(())
    }
}

/// Whether the kernel says that a descriptor has no device behind it any more.
fn hung_up(device: BorrowedFd) -> bool {
    let mut device = [PollFd::from_borrowed_fd(device, PollFlags::empty())];
    poll(&mut device, Some(&Timespec::default())).is_ok() && device[0].revents().contains(PollFlags::HUP)
}

/// A stream of mapped buffers.
struct Buffers(MmapStream<'static>);

impl Buffers {
    /// Waits for the next frame. After an error the stream cannot be used any more: the buffer that was read before is
    /// queued already, and would be queued again.
    fn next_before(&mut self, deadline: Instant) -> io::Result<(&[u8], &buffer::Metadata)> {
        self.0.set_timeout(deadline.saturating_duration_since(Instant::now()));
        self.0.next()
    }
}

/// The part of a buffer that its frame fills: a compressed frame fills only the front.
fn front<'a>(buffer: &'a [u8], filled: &buffer::Metadata) -> &'a [u8] {
    buffer.get(..filled.bytesused as usize).unwrap_or(buffer)
}

/// Opens the device in the format and size nearest to what is wanted, adjusts it, and maps its buffers.
fn open(config: &CameraConfig) -> Result<Streaming, DeviceProblem> {
    let name = &config.device;
    let path = if name.starts_with('/') { PathBuf::from(name) } else { node_of_card(name)? };
    let device = Device::with_path(&path).map_err(DeviceProblem::from_open)?;
    let offer = negotiate(&device, config)?;
    let (format, (width, height)) = offer.taken;
    let format =
        device.set_format(&Format::new(width, height, FourCC::new(&format))).map_err(
            |error| match Errno::from_io_error(&error) {
                Some(Errno::BUSY) => DeviceProblem::Busy,
                _ => DeviceProblem::RefusesFormat(error),
            },
        )?;
    if !FORMATS.contains(&&format.fourcc.repr) || !fits(format.width, format.height) {
        let Format { fourcc, width, height, .. } = format;
        return Err(DeviceProblem::ForcesFormat { format: fourcc.to_string(), width, height });
    }
    adjust(&device, config);
    info!("camera {name} ({}): {} at {} x {}", path.display(), format.fourcc, format.width, format.height);
    let stream = MmapStream::with_buffers(&device, Type::VideoCapture, BUFFERS).map_err(DeviceProblem::Buffers)?;
    let layout = Layout {
        format: format.fourcc.repr,
        width: format.width,
        height: format.height,
        stride: format.stride as usize,
    };
    Ok(Streaming { stream: Buffers(stream), layout })
}

/// The node of the card of this name that takes pictures.
fn node_of_card(name: &str) -> Result<PathBuf, DeviceProblem> {
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
        // One card has several nodes, not all of which take pictures.
        let Some(card) = capturing_card(&path) else { continue };
        if card == name {
            return Ok(path);
        }
        others.push(card);
    }
    Err(DeviceProblem::NoSuchCard { others })
}

/// Whether a node takes single-planar pictures, so that [`open`] would look at it.
pub fn captures(node: &Path) -> bool {
    capturing_card(node).is_some()
}

/// The name of the card behind a node that takes pictures. `None` for any other node, and for one whose answer the `v4l` crate
/// does not understand.
fn capturing_card(node: &Path) -> Option<String> {
    let asked = || Device::with_path(node).and_then(|device| device.query_caps());
    let abilities = catch_unwind(asked).ok()?.ok()?;
    abilities.capabilities.contains(Flags::VIDEO_CAPTURE).then_some(abilities.card)
}

/// What a device offers.
#[derive(Debug)]
pub struct Offer {
    /// The pixel formats of the device, in words.
    pub formats: String,
    /// The format, one of [`FORMATS`], and the size in pixels that are asked for.
    pub taken: ([u8; 4], (u32, u32)),
}

/// What a node offers and what [`open`] would take of it. Nothing is set, since the device may be in use.
///
/// # Errors
/// The node cannot be opened, or has nothing that can be used.
pub fn offer(node: &Path, config: &CameraConfig) -> Result<Offer, DeviceProblem> {
    let asked = || {
        let device = Device::with_path(node).map_err(DeviceProblem::from_open)?;
        negotiate(&device, config)
    };
    catch_unwind(asked).unwrap_or(Err(DeviceProblem::NotUnderstood))
}

/// What a device offers, and the format and size of the offer that come nearest to what is wanted.
fn negotiate(device: &Device, config: &CameraConfig) -> Result<Offer, DeviceProblem> {
    let offered: Vec<FourCC> =
        device.enum_formats().unwrap_or_default().into_iter().map(|format| format.fourcc).collect();
    match nearest_format(device, &offered, config) {
        Some(taken) => Ok(Offer { formats: in_words(&offered), taken }),
        None => {
            let abilities = device.query_caps().map_or(Flags::empty(), |abilities| abilities.capabilities);
            Err(why_unusable(abilities, &offered, config.format.as_deref()))
        }
    }
}

/// The formats that a device offers, in words: those that are understood first. Of many formats only the first few are
/// named, and the others counted.
fn in_words(offered: &[FourCC]) -> String {
    let mut formats = offered.to_vec();
    formats.sort_by_key(|format| !FORMATS.contains(&&format.repr));
    let named = formats.iter().take(NAMED).map(FourCC::to_string).collect::<Vec<_>>().join(", ");
    match formats.len() {
        0 => "nothing".into(),
        count if count > NAMED => format!("{named} and {} more", count - NAMED),
        _ => named,
    }
}

/// The offered format and size that come nearest to the wanted size, and of equally near ones the first in [`FORMATS`].
/// `None` if no format that may be taken comes in a size that [`fits`].
fn nearest_format(device: &Device, offered: &[FourCC], config: &CameraConfig) -> Option<([u8; 4], (u32, u32))> {
    let wanted = (config.width, config.height);
    let known = usable_formats(offered, config.format.as_deref());
    let sizes = known.filter_map(|format| match device.enum_framesizes(FourCC::new(format)) {
        Ok(sizes) => Some((*format, nearest_size(sizes.into_iter().map(|offer| offer.size), wanted)?)),
        // The driver does not list its sizes. It will change a size that it cannot do.
        Err(_) => Some((*format, wanted)),
    });
    sizes.min_by_key(|(_, size)| distance(*size, wanted))
}

/// The offered formats that may be taken, best first: the wanted one, or all that are understood.
fn usable_formats(offered: &[FourCC], wanted: Option<&str>) -> impl Iterator<Item = &'static [u8; 4]> {
    FORMATS.into_iter().filter(move |known| {
        wanted.is_none_or(|wanted| wanted.as_bytes() == *known) && offered.iter().any(|format| &format.repr == *known)
    })
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

/// Why a device with these abilities, which offers these formats, has none that can be used, or not the wanted one.
fn why_unusable(abilities: Flags, offered: &[FourCC], wanted: Option<&str>) -> DeviceProblem {
    if abilities.contains(Flags::VIDEO_CAPTURE) {
        DeviceProblem::Formats { wanted: wanted.map(str::to_string), offered: in_words(offered) }
    } else if abilities.intersects(Flags::VIDEO_CAPTURE_MPLANE | Flags::VIDEO_M2M_MPLANE) {
        DeviceProblem::MultiPlanar
    } else {
        DeviceProblem::NotACamera
    }
}

/// A quantity that a camera chooses itself unless told not to.
struct Adjustment {
    name: &'static str,
    /// The control that switches between automatic and manual.
    switch: u32,
    /// The switch's value for automatic.
    automatic: i64,
    /// The switch's value for manual.
    manual: i64,
    /// The control that has the manual value.
    value: u32,
}

// Control numbers and values are those of `linux/v4l2-controls.h`.
/// Automatic exposure is "aperture priority", the kind that USB cameras have: they cannot change their aperture.
const EXPOSURE: Adjustment =
    Adjustment { name: "exposure", switch: 0x009a_0901, automatic: 3, manual: 1, value: 0x009a_0902 };
const WHITE_BALANCE: Adjustment =
    Adjustment { name: "white balance", switch: 0x0098_090c, automatic: 1, manual: 0, value: 0x0098_091a };
const FOCUS: Adjustment =
    Adjustment { name: "focus", switch: 0x009a_090c, automatic: 1, manual: 0, value: 0x009a_090a };

impl Adjustment {
    /// The controls to set, each with its new value: the switch, and the manual value where one is fixed.
    fn choice(&self, fixed: Option<u32>) -> ((u32, i64), Option<(u32, i64)>) {
        let switch_to = if fixed.is_some() { self.manual } else { self.automatic };
        ((self.switch, switch_to), fixed.map(|fixed| (self.value, fixed.into())))
    }
}

/// Sets what the settings fix, and leaves the rest to the camera. A control that the camera lacks is logged.
fn adjust(device: &Device, config: &CameraConfig) {
    let wanted = [(EXPOSURE, config.exposure), (WHITE_BALANCE, config.white_balance), (FOCUS, config.focus)];
    for (adjustment, fixed) in wanted {
        let name = adjustment.name;
        let set = |(id, value)| device.set_control(Control { id, value: Value::Integer(value) });
        let (switch, value) = adjustment.choice(fixed);
        if let Err(error) = set(switch) {
            debug!("camera {}: its {name} cannot be switched between automatic and manual: {error}", config.device);
        }
        if let Some(value) = value
            && let Err(error) = set(value)
        {
            warn!("camera {}: its {name} cannot be set to {}: {error}. Going on without", config.device, value.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
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
    fn the_wanted_format_is_taken_and_without_one_the_best() {
        let offered = [b"NV12", b"H264", b"YUYV"].map(FourCC::new);
        let usable = |wanted| usable_formats(&offered, wanted).collect::<Vec<_>>();
        assert_eq!(usable(None), [b"YUYV", b"NV12"]);
        assert_eq!(usable(Some("NV12")), [b"NV12"]);
        assert!(usable(Some("MJPG")).is_empty() && usable(Some("H264")).is_empty());
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
    fn a_device_that_cannot_be_used_says_why() {
        let why_not = |abilities, formats: &[&[u8; 4]], wanted| {
            let offered: Vec<FourCC> = formats.iter().copied().map(FourCC::new).collect();
            why_unusable(abilities, &offered, wanted).to_string()
        };
        let why = |abilities, formats| why_not(abilities, formats, None);
        let planes = "offers multi-planar capture only, which is not supported. Use a USB camera";
        for abilities in [Flags::VIDEO_CAPTURE_MPLANE, Flags::VIDEO_M2M_MPLANE | Flags::STREAMING] {
            assert!(why(abilities, &[]).starts_with(planes));
        }
        let both = Flags::VIDEO_CAPTURE | Flags::VIDEO_CAPTURE_MPLANE;
        assert!(why(both, &[b"H264", b"RGB3"]).contains("in a size that fits, but H264, RGB3. Use another camera"));
        assert!(why(Flags::VIDEO_CAPTURE, &[]).contains("but nothing. "));
        let fixed = why_not(Flags::VIDEO_CAPTURE, &[b"MJPG", b"YUYV"], Some("GREY"));
        assert!(fixed.starts_with("offers no GREY") && fixed.contains("but MJPG, YUYV. Leave camera.format out"));
        for abilities in [Flags::empty(), Flags::META_CAPTURE, Flags::VIDEO_OUTPUT] {
            assert!(why(abilities, &[]).starts_with("takes no pictures"));
        }
    }

    #[test]
    fn of_many_formats_those_that_are_understood_are_named_and_the_others_counted() {
        let others: Vec<FourCC> = (b'A'..=b'Z').map(|letter| FourCC::new(&[b'X', b'R', b'2', letter])).collect();
        let offered = [&others[..], &[FourCC::new(b"NV12"), FourCC::new(b"YUYV")]].concat();
        assert_eq!(in_words(&offered), "NV12, YUYV, XR2A, XR2B and 24 more");
        assert_eq!(in_words(&others), "XR2A, XR2B, XR2C, XR2D and 22 more");
        assert_eq!(in_words(&others[..NAMED]), "XR2A, XR2B, XR2C, XR2D");
        let problem = why_unusable(Flags::VIDEO_CAPTURE, &offered, Some("MJPG"));
        assert_eq!(problem.what(), "offers no MJPG in a size that fits, but NV12, YUYV, XR2A, XR2B and 24 more");
    }

    #[test]
    fn a_fixed_value_is_set_by_hand_and_without_one_the_camera_chooses() {
        assert_eq!(EXPOSURE.choice(Some(80)), ((0x009a_0901, 1), Some((0x009a_0902, 80))));
        assert_eq!(EXPOSURE.choice(None), ((0x009a_0901, 3), None));
        assert_eq!(WHITE_BALANCE.choice(Some(5000)), ((0x0098_090c, 0), Some((0x0098_091a, 5000))));
        assert_eq!(FOCUS.choice(Some(0)), ((0x009a_090c, 0), Some((0x009a_090a, 0))));
        assert_eq!(FOCUS.choice(None), ((0x009a_090c, 1), None));
    }

    #[test]
    fn what_a_device_offers_is_asked_without_panics() {
        for node in ["/dev/null", "/dev/no-such-camera", "/dev/\0video0"] {
            assert!(!captures(Path::new(node)));
            let problem = offer(Path::new(node), &CameraConfig::default()).unwrap_err();
            assert!(!problem.what().is_empty() && !problem.what_to_do().is_empty(), "{node}: {problem:?}");
        }
    }

    #[test]
    fn a_signal_is_no_problem_of_the_camera() {
        let stop = |errno: Errno| Stop::from(io::Error::from(errno));
        assert!(matches!(stop(Errno::INTR), Stop::Interrupted));
        assert!(matches!(stop(Errno::NODEV), Stop::Problem(DeviceProblem::Disconnected)));
        assert!(matches!(stop(Errno::TIMEDOUT), Stop::Problem(DeviceProblem::Timeout)));
        assert!(matches!(stop(Errno::IO), Stop::Problem(DeviceProblem::Read(_))));
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
    fn a_device_that_is_no_camera_is_an_error_and_never_a_panic() {
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
                let config = CameraConfig { device: device.clone(), timeout_s, ..Default::default() };
                let mut camera = V4lCamera::new(&config);
                let error = camera.grab(&mut GrayImage::default()).unwrap_err().to_string();
                assert!(error.starts_with(&format!("camera {device}: ")) && error.contains(reason), "{error}");
            }
        }
    }
}
