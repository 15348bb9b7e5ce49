//! Where frames come from: a V4L2 camera over the light box, or pictures that stand in for it.

use std::path::{Path, PathBuf};

use image::GrayImage;

use crate::picture;

#[cfg(v4l_camera)]
mod pixels;
#[cfg(v4l_camera)]
mod v4l;

/// What a camera saw.
pub struct Capture {
    /// Where the frame comes from, for the record: a device or a file.
    pub origin: String,
    /// 8-bit gray, as the sensor or the file has it.
    pub frame: GrayImage,
}

/// Why there is no frame. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The camera is not there, not usable, or gone.
    #[error("camera {device}: {reason}")]
    Device {
        /// The device's path.
        device: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A simulated camera's picture is not readable.
    #[error(transparent)]
    Picture(#[from] picture::PictureError),
}

/// Something that takes a picture of the light box.
pub trait Camera {
    /// Takes one picture.
    ///
    /// # Errors
    /// The camera does not answer. A later call may succeed: a camera that was unplugged can be back.
    fn capture(&mut self) -> Result<Capture, CameraError>;
}

/// The camera of a V4L2 device, such as `/dev/video0`.
///
/// # Errors
/// The device is missing, is not a camera, is multi-planar only, or offers no known pixel format; or the program was
/// built without cameras.
#[cfg(v4l_camera)]
pub fn open(device: &Path) -> Result<Box<dyn Camera>, CameraError> {
    Ok(Box::new(v4l::V4lCamera::open(device)?))
}

/// Built without cameras: always an error.
#[cfg(not(v4l_camera))]
pub fn open(device: &Path) -> Result<Box<dyn Camera>, CameraError> {
    let reason = "this program was built without cameras. Build it with --features v4l, or use --simulate".to_string();
    Err(CameraError::Device { device: device.display().to_string(), reason })
}

/// A camera that shows the same pictures in turn, over and over.
pub struct SimulatedCamera {
    pictures: std::iter::Cycle<std::vec::IntoIter<PathBuf>>,
}

impl SimulatedCamera {
    /// `None` without pictures.
    pub fn new(pictures: Vec<PathBuf>) -> Option<SimulatedCamera> {
        (!pictures.is_empty()).then(|| SimulatedCamera { pictures: pictures.into_iter().cycle() })
    }
}

impl Camera for SimulatedCamera {
    fn capture(&mut self) -> Result<Capture, CameraError> {
        let path = self.pictures.next().expect("a camera is made with at least one picture");
        Ok(Capture { origin: path.display().to_string(), frame: picture::read(&path)? })
    }
}
