//! A camera of the Linux kernel (V4L2), through the `v4l` crate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use v4l::buffer::Type;
use v4l::capability::Flags;
use v4l::framesize::FrameSizeEnum;
use v4l::io::traits::CaptureStream;
use v4l::prelude::{Device, MmapStream};
use v4l::video::Capture as _;
use v4l::{Format, FourCC};

use super::pixels::{self, FORMATS};
use super::{Camera, CameraError, Capture};

/// Frames thrown away before the one that counts, while exposure and white balance settle.
const SETTLING_FRAMES: usize = 10;
/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// No side of a frame is asked to be longer, pixels: a film then still has four times the network's input.
const LONGEST_SIDE: u32 = 2048;
const BUFFERS: u32 = 4;

/// A single-planar V4L2 capture device. It is opened for each picture, so that it may be unplugged in between.
pub struct V4lCamera {
    device: PathBuf,
}

impl V4lCamera {
    /// Looks whether the device can take pictures, without taking one.
    ///
    /// # Errors
    /// It is missing, is not a camera, is multi-planar only, or offers no known pixel format.
    pub fn open(device: &Path) -> Result<V4lCamera, CameraError> {
        let camera = V4lCamera { device: device.into() };
        camera.negotiate()?;
        Ok(camera)
    }

    fn failed(&self, reason: impl std::fmt::Display) -> CameraError {
        CameraError::Device { device: self.device.display().to_string(), reason: reason.to_string() }
    }

    /// Opens the device in the best of the known formats at its largest fitting size.
    fn negotiate(&self) -> Result<(Device, Format), CameraError> {
        let io = |what: &str, error: std::io::Error| {
            self.failed(format!("{what}: {error}. Plug it in, or name another device with --camera"))
        };
        let device = Device::with_path(&self.device).map_err(|error| io("cannot be opened", error))?;
        let abilities = device.query_caps().map_err(|error| io("does not answer as a camera", error))?.capabilities;
        if !abilities.contains(Flags::VIDEO_CAPTURE) {
            return Err(self.failed(if abilities.contains(Flags::VIDEO_CAPTURE_MPLANE) {
                "offers multi-planar capture only, which is not supported. Use a USB camera, or this one through \
                 libcamera's V4L2 compatibility layer"
            } else {
                "is not a capture device. Name another one with --camera"
            }));
        }
        let offered = device.enum_formats().map_err(|error| io("does not list its formats", error))?;
        let wanted = FORMATS
            .iter()
            .find(|known| offered.iter().any(|format| &format.fourcc.repr == **known))
            .ok_or_else(|| self.failed("offers none of MJPG, GREY, NV12, YUYV. Use another camera"))?;
        let (width, height) = largest(&device, wanted);
        let format = device
            .set_format(&Format::new(width, height, FourCC::new(wanted)))
            .map_err(|error| io("refuses its own format", error))?;
        log::info!("camera {}: {} {}x{}", self.device.display(), format.fourcc, format.width, format.height);
        Ok((device, format))
    }
}

/// The largest frame the device offers in a format with no side over [`LONGEST_SIDE`]; that side where it does not say.
fn largest(device: &Device, format: &[u8; 4]) -> (u32, u32) {
    let offered = device.enum_framesizes(FourCC::new(format)).unwrap_or_default();
    let sizes = offered.into_iter().map(|offer| match offer.size {
        FrameSizeEnum::Discrete(size) => (size.width, size.height),
        FrameSizeEnum::Stepwise(range) => (range.max_width.min(LONGEST_SIDE), range.max_height.min(LONGEST_SIDE)),
    });
    let fitting = sizes.filter(|(width, height)| *width.max(height) <= LONGEST_SIDE);
    fitting.max_by_key(|(width, height)| width * height).unwrap_or((LONGEST_SIDE, LONGEST_SIDE))
}

impl Camera for V4lCamera {
    fn capture(&mut self) -> Result<Capture, CameraError> {
        let (device, format) = self.negotiate()?;
        let mut stream = MmapStream::with_buffers(&device, Type::VideoCapture, BUFFERS)
            .map_err(|error| self.failed(format!("gives no buffers: {error}. Close other programs that use it")))?;
        stream.set_timeout(PATIENCE);
        let unsent = |error| self.failed(format!("sends no frame: {error}. Check its cable and press again"));
        for _ in 0..SETTLING_FRAMES {
            stream.next().map_err(unsent)?;
        }
        let (bytes, filled) = stream.next().map_err(unsent)?;
        // A compressed frame fills only the front of its buffer.
        let bytes = bytes.get(..filled.bytesused as usize).unwrap_or(bytes);
        let frame = pixels::gray(&format.fourcc.repr, bytes, format.width, format.height, format.stride as usize)
            .ok_or_else(|| self.failed("sent a damaged frame. Check its cable and press again"))?;
        Ok(Capture { origin: self.device.display().to_string(), frame })
    }
}
