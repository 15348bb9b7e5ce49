//! Where frames come from: a V4L2 camera over the light box, or pictures that stand in for it.

use image::GrayImage;

use crate::config;
use crate::picture;

#[cfg(v4l_camera)]
mod pixels;
mod simulated;
#[cfg(v4l_camera)]
mod v4l;

pub use simulated::SimulatedCamera;

/// Why there is no frame. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The camera is not there, not usable, or gone.
    #[error("camera {device}: {reason}")]
    Device {
        /// The device as the settings name it.
        device: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A simulated camera's picture is not readable.
    #[error(transparent)]
    Picture(#[from] picture::PictureError),
}

/// Something that looks at the light box.
pub trait Camera: Send {
    /// Waits for the newest frame and puts it into `frame`: 8-bit gray, as the sensor or the file has it. The buffer of
    /// `frame` is used again where the size is the same.
    ///
    /// # Errors
    /// There is no frame within the camera's timeout; `frame` then holds anything. A later call may succeed: a camera
    /// that was unplugged can be back.
    fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError>;

    /// Where frames come from, for the record: a device or a file.
    fn origin(&self) -> String;

    /// Tells the camera that the latest frame was taken for a case. A simulated camera lays the next film on.
    fn captured(&mut self) {}

    /// Told several times a second while no frame is wanted. A device that was unplugged is let go here: as long as it is
    /// held, its name is taken, and plugged in again it gets another one.
    fn idle(&mut self) {}
}

/// The V4L2 camera of the settings. It is opened by the first grab, and again by the next one after an error.
#[cfg(v4l_camera)]
pub fn open(config: &config::Camera) -> Box<dyn Camera> {
    Box::new(v4l::V4lCamera::new(config))
}

/// Built without cameras: each grab is an error.
#[cfg(not(v4l_camera))]
pub fn open(config: &config::Camera) -> Box<dyn Camera> {
    Box::new(NoCamera { device: config.device.clone() })
}

#[cfg(not(v4l_camera))]
struct NoCamera {
    device: String,
}

#[cfg(not(v4l_camera))]
impl Camera for NoCamera {
    fn grab(&mut self, _frame: &mut GrayImage) -> Result<(), CameraError> {
        let reason = "this program was built without cameras. Build it with --features v4l, or use --simulate".into();
        Err(CameraError::Device { device: self.origin(), reason })
    }

    fn origin(&self) -> String {
        self.device.clone()
    }
}
