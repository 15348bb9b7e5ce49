//! Where frames come from: a V4L2 camera over the light box, or pictures or a recording that stand in for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::GrayImage;
use serde::{Deserialize, Serialize};
use xray_triage_core::image_file;

mod huffman;
mod pixels;
#[cfg(any(feature = "box", test))]
mod recorder;
mod recording;
mod simulated;
#[cfg(feature = "box")]
mod v4l;

pub use pixels::FORMATS;
pub use recording::{RecordedCamera, is_recording};
pub use simulated::SimulatedCamera;
#[cfg(feature = "box")]
pub(crate) use v4l::{captures, offer};

/// The camera over the light box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraConfig {
    /// The V4L2 device: a path (`/dev/video0`, or a stable one under `/dev/v4l/by-id`), or the card's name.
    pub device: String,
    /// Wanted width of a frame, pixels; the camera's nearest size is taken.
    pub width: u32,
    /// Wanted height of a frame, pixels.
    pub height: u32,
    /// Pixel format; without, the one of the nearest size, and of equally near ones the first of [`FORMATS`].
    pub format: Option<String>,
    /// Fixed exposure time in units of 100 microseconds (V4L2_CID_EXPOSURE_ABSOLUTE); automatic without.
    pub exposure: Option<u32>,
    /// Fixed white balance in kelvin; automatic without.
    pub white_balance: Option<u32>,
    /// Fixed focus in the camera's own units; automatic without.
    pub focus: Option<u32>,
    /// How long a frame may take before the camera counts as gone, seconds.
    pub timeout_s: f64,
    /// Frames a second of the preview.
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
    Picture(#[from] image_file::ImageFileError),
    /// A recording cannot be read or written.
    #[error("recording {}: {reason}", path.display())]
    Recording {
        /// Its folder, or its index.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
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
#[cfg(feature = "box")]
pub fn open(config: &CameraConfig) -> Box<dyn Camera> {
    Box::new(v4l::V4lCamera::new(config))
}

/// Built without cameras: each grab is an error.
#[cfg(not(feature = "box"))]
pub fn open(config: &CameraConfig) -> Box<dyn Camera> {
    Box::new(NoCamera { device: config.device.clone() })
}

/// Records what the camera of the settings sends for `duration` into `folder`, which is made, for a [`RecordedCamera`].
/// Returns how many frames there were.
///
/// # Errors
/// The camera fails, the folder cannot be written, or it has a recording. Frames that came before are a recording.
#[cfg(feature = "box")]
pub fn record(config: &CameraConfig, folder: &Path, duration: Duration) -> Result<usize, CameraError> {
    let mut recorder = recorder::Recorder::new(folder)?;
    let mut written = Ok(());
    v4l::V4lCamera::new(config).stream(duration, |bytes, layout| {
        written = recorder.add(bytes, layout, std::time::Instant::now());
        written.is_ok()
    })?;
    written.map(|()| recorder.frames())
}

/// Built without cameras: always an error.
#[cfg(not(feature = "box"))]
pub fn record(config: &CameraConfig, _folder: &Path, _duration: Duration) -> Result<usize, CameraError> {
    Err(without_cameras(&config.device))
}

#[cfg(not(feature = "box"))]
fn without_cameras(device: &str) -> CameraError {
    let reason = "this program was built without cameras. Build it with --features box, or use --simulate".into();
    CameraError::Device { device: device.into(), reason }
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
