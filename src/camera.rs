//! Where frames come from: a V4L2 camera over the light box, or pictures or a recording in its place.

use std::path::Path;
use std::time::Duration;

use image::GrayImage;
use serde::{Deserialize, Serialize};

mod error;
mod huffman;
mod pixels;
mod playback;
mod recording;
mod simulated;
#[cfg(feature = "box")]
mod v4l;
#[cfg(any(feature = "box", test))]
mod writer;

pub use error::{CameraError, DeviceProblem, RecordingProblem};
pub use pixels::FORMATS;
pub use playback::PlaybackCamera;
pub use recording::is_recording;
pub use simulated::SimulatedCamera;
#[cfg(feature = "box")]
pub(crate) use v4l::{captures, offer};

/// The settings of the camera over the light box: the section `[camera]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraConfig {
    /// The V4L2 device: a path (`/dev/video0`, or a stable one under `/dev/v4l/by-id`) or the name of a card.
    pub device: String,
    /// Wanted width of a frame, pixels. The nearest size that the camera has is taken.
    pub width: u32,
    /// Wanted height of a frame, pixels.
    pub height: u32,
    /// Pixel format, one of [`FORMATS`]. `None` takes the format of the nearest size, and of equally near ones the first.
    pub format: Option<String>,
    /// Fixed exposure time in units of 100 microseconds (V4L2_CID_EXPOSURE_ABSOLUTE). `None` leaves it to the camera.
    pub exposure: Option<u32>,
    /// Fixed white balance in kelvin. `None` leaves it to the camera.
    pub white_balance: Option<u32>,
    /// Fixed focus in the camera's own units. `None` leaves it to the camera.
    pub focus: Option<u32>,
    /// How long a frame may take before the camera counts as gone, seconds.
    pub timeout_s: f64,
    /// How many frames a second the preview shows.
    pub preview_fps: f64,
}

impl Default for CameraConfig {
    fn default() -> Self {
        CameraConfig {
            device: "/dev/video0".into(),
            width: 1920,
            height: 1080,
            format: None,
            exposure: None,
            white_balance: None,
            focus: None,
            timeout_s: 3.0,
            preview_fps: 4.0,
        }
    }
}

/// A camera over the light box, real or simulated.
pub trait Camera: Send {
    /// Waits for the newest frame and puts it into `frame`: 8-bit gray, as the sensor or the file has it. The buffer of
    /// `frame` is used again if the size is the same.
    ///
    /// # Errors
    /// There is no frame within the camera's timeout. The content of `frame` is then undefined. A later call may succeed: a
    /// camera that was unplugged may be back.
    fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError>;

    /// The device or the file that frames come from, for the record of a film.
    fn origin(&self) -> String;

    /// Tells the camera that the latest frame was taken for a case. A simulated camera then shows its next picture.
    fn captured(&mut self) {}

    /// Tells the camera several times a second that no frame is wanted. Here a device that was unplugged is closed: as long
    /// as it is open its path is taken, and a camera that is plugged in again would get another path.
    fn idle(&mut self) {}
}

/// The V4L2 camera of the settings. The first grab opens it, and so does the first one after an error.
#[cfg(feature = "box")]
pub fn open(config: &CameraConfig) -> Box<dyn Camera> {
    Box::new(v4l::V4lCamera::new(config))
}

/// A camera of a program that was built without cameras: each grab is an error.
#[cfg(not(feature = "box"))]
pub fn open(config: &CameraConfig) -> Box<dyn Camera> {
    Box::new(NoCamera { device: config.device.clone() })
}

/// Makes a recording of what the camera of the settings sends for `duration`. The recording is for a [`PlaybackCamera`];
/// its `folder` is made. Returns how many frames there are.
///
/// # Errors
/// The camera fails, the folder cannot be written, or it has a recording already. The frames before an error are a
/// recording all the same.
#[cfg(feature = "box")]
pub fn make_recording(config: &CameraConfig, folder: &Path, duration: Duration) -> Result<usize, CameraError> {
    let mut writer = writer::RecordingWriter::new(folder)?;
    let mut written = Ok(());
    v4l::V4lCamera::new(config).stream(duration, |bytes, layout| {
        written = writer.add(bytes, layout, std::time::Instant::now());
        written.is_ok()
    })?;
    written.map(|()| writer.frames())
}

/// Makes no recording: this program was built without cameras, so this is always an error.
///
/// # Errors
/// The program was built without cameras.
#[cfg(not(feature = "box"))]
pub fn make_recording(config: &CameraConfig, _folder: &Path, _duration: Duration) -> Result<usize, CameraError> {
    Err(without_cameras(&config.device))
}

#[cfg(not(feature = "box"))]
fn without_cameras(device: &str) -> CameraError {
    CameraError::Device { device: device.into(), problem: DeviceProblem::NotBuilt }
}

#[cfg(not(feature = "box"))]
struct NoCamera {
    device: String,
}

#[cfg(not(feature = "box"))]
impl Camera for NoCamera {
    fn grab(&mut self, _frame: &mut GrayImage) -> Result<(), CameraError> {
        Err(without_cameras(&self.device))
    }

    fn origin(&self) -> String {
        self.device.clone()
    }
}
