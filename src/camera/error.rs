//! Why there is no frame from a camera, and what to do about it.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use xray_triage_core::image_file::ImageFileError;

/// Why there is no frame. The message names the camera or the file, and says what is wrong and what to do.
///
/// The message contains the words of the operating system, so [`source`](std::error::Error::source) does not repeat them.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The camera is not there, cannot be used, or is gone.
    #[error("camera {device}: {problem}")]
    Device {
        /// The device as the settings name it: a path, or the name of a card.
        device: String,
        /// What is wrong.
        problem: DeviceProblem,
    },
    /// The picture of a simulated camera cannot be read.
    #[error(transparent)]
    Picture(#[from] ImageFileError),
    /// A recording cannot be read or written.
    #[error("recording {}: {problem}", path.display())]
    Recording {
        /// The recording's folder or index.
        path: PathBuf,
        /// What is wrong.
        problem: RecordingProblem,
    },
}

/// What is wrong with a camera.
#[derive(Debug)]
pub enum DeviceProblem {
    /// There is no device of this path.
    NotFound,
    /// There is no card of this name that takes pictures.
    NoSuchCard {
        /// The cards that there are.
        others: Vec<String>,
    },
    /// The user may not open the device.
    PermissionDenied(io::Error),
    /// The device cannot be opened for another reason.
    Open(io::Error),
    /// Another program uses the camera.
    Busy,
    /// The camera was unplugged.
    Disconnected,
    /// No frame came in time.
    Timeout,
    /// No frame can be read from the device.
    Read(io::Error),
    /// All frames within the timeout were damaged.
    Damaged,
    /// The device takes no pictures.
    NotACamera,
    /// The device keeps the parts of a picture in several buffers, which is not supported.
    MultiPlanar,
    /// The device has no pixel format that can be used, or not the wanted one.
    Formats {
        /// The format of the settings, if there is one.
        wanted: Option<String>,
        /// The formats that the device offers.
        offered: String,
    },
    /// The device refuses a format that it offers.
    RefusesFormat(io::Error),
    /// The device sets another format than the one that was asked for, and that one cannot be used.
    ForcesFormat {
        /// The pixel format.
        format: String,
        /// Width of a frame, pixels.
        width: u32,
        /// Height of a frame, pixels.
        height: u32,
    },
    /// The device gives no memory for frames.
    Buffers(io::Error),
    /// The device answers something that the `v4l` crate does not understand.
    NotUnderstood,
    /// This program was built without cameras.
    NotBuilt,
}

impl DeviceProblem {
    /// The problem behind an error while a device is opened.
    #[cfg(feature = "box")]
    pub(super) fn from_open(error: io::Error) -> DeviceProblem {
        match error.kind() {
            io::ErrorKind::NotFound => DeviceProblem::NotFound,
            io::ErrorKind::PermissionDenied => DeviceProblem::PermissionDenied(error),
            _ => DeviceProblem::Open(error),
        }
    }

    /// What is wrong, such as `was unplugged`.
    pub fn what(&self) -> Cow<'static, str> {
        use DeviceProblem::*;
        match self {
            NotFound => "is not there".into(),
            NoSuchCard { others } if others.is_empty() => {
                "is not there: no card has this name, and there is no camera at all".into()
            }
            NoSuchCard { others } => {
                format!("is not there: no card has this name (there are: {})", others.join(", ")).into()
            }
            PermissionDenied(error) | Open(error) => format!("cannot be opened: {error}").into(),
            Busy => "is used by another program".into(),
            Disconnected => "was unplugged".into(),
            Timeout => "sends no frame in time".into(),
            Read(error) => format!("sends no frame: {error}").into(),
            Damaged => "sends damaged frames only".into(),
            NotACamera => "takes no pictures: a camera can have several devices".into(),
            MultiPlanar => "offers multi-planar capture only, which is not supported".into(),
            Formats { wanted: Some(wanted), offered } => {
                format!("offers no {wanted} in a size that fits, but {offered}").into()
            }
            Formats { wanted: None, offered } => {
                format!("offers none of MJPG, YUYV, GREY, NV12 in a size that fits, but {offered}").into()
            }
            RefusesFormat(error) => format!("refuses its own format: {error}").into(),
            ForcesFormat { format, width, height } => {
                format!("insists on {format} at {width} x {height}, which is not supported").into()
            }
            Buffers(error) => format!("gives no buffers: {error}").into(),
            NotUnderstood => "answers what this program does not understand".into(),
            NotBuilt => "this program was built without cameras".into(),
        }
    }

    /// What to do about it, such as `Plug it in again`.
    pub fn what_to_do(&self) -> &'static str {
        use DeviceProblem::*;
        match self {
            NotFound => "Plug it in, or name another device in the settings",
            NoSuchCard { .. } => "Plug it in, or name another one",
            PermissionDenied(_) => "The user needs the group video",
            Open(_) => "Plug it in again, or name another device in the settings",
            Busy => "Close that",
            Disconnected => "Plug it in again",
            Timeout | Damaged => "Check its cable, and try another USB port",
            Read(_) => "Check its cable",
            NotACamera => "Name another one in the settings, such as the one under /dev/v4l/by-id that ends in index0",
            MultiPlanar => "Use a USB camera, or this one through libcamera's V4L2 compatibility layer",
            Formats { wanted: Some(_), .. } => "Leave camera.format out, or use another camera",
            RefusesFormat(_) => "Plug it in again, or use another camera",
            Formats { wanted: None, .. } | ForcesFormat { .. } | NotUnderstood => "Use another camera",
            Buffers(_) => "Close other programs that use it",
            NotBuilt => "Build it with --features box, or use --simulate",
        }
    }
}

impl std::fmt::Display for DeviceProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. {}", self.what(), self.what_to_do())
    }
}

/// What is wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingProblem {
    /// The folder has a recording, which is not written over.
    #[error("is a recording already. Name another folder")]
    Exists,
    /// A frame or the index cannot be written.
    #[error("cannot be written: {0}. Make room, or name another folder")]
    Write(io::Error),
    /// The index cannot be read.
    #[error("{0}. Name a folder that `xray-triage record` wrote")]
    Read(io::Error),
    /// A line of the index cannot be used.
    #[error("line {line}: {reason}. Record again")]
    Index {
        /// The line's number, counted from 1.
        line: usize,
        /// What is wrong with the line.
        reason: String,
    },
    /// The index has no frames.
    #[error("it has no frames. Record again")]
    Empty,
    /// All frames within the timeout were damaged.
    #[error("has damaged frames only. Record again")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_error_says_once_what_is_wrong_and_then_what_to_do() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let device = |problem| CameraError::Device { device: "/dev/video0".into(), problem };
        let recording = |problem| CameraError::Recording { path: "films".into(), problem };
        for (error, words) in [
            (device(DeviceProblem::Disconnected), "camera /dev/video0: was unplugged. Plug it in again"),
            (
                device(DeviceProblem::PermissionDenied(refused())),
                "camera /dev/video0: cannot be opened: permission denied. The user needs the group video",
            ),
            (
                recording(RecordingProblem::Write(refused())),
                "recording films: cannot be written: permission denied. Make room, or name another folder",
            ),
        ] {
            assert_eq!(error.to_string(), words);
            assert!(error.source().is_none(), "the message has the words of the source: {error:?}");
        }
    }

    #[cfg(feature = "box")]
    #[test]
    fn an_error_while_a_device_is_opened_has_its_kind() {
        use std::io::ErrorKind;
        let from = |kind| DeviceProblem::from_open(io::Error::from(kind));
        assert!(matches!(from(ErrorKind::NotFound), DeviceProblem::NotFound));
        assert!(matches!(from(ErrorKind::PermissionDenied), DeviceProblem::PermissionDenied(_)));
        assert!(matches!(from(ErrorKind::IsADirectory), DeviceProblem::Open(_)));
    }
}
