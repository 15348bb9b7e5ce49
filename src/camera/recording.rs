//! The files of a recording: the frames that a camera sent, as it sent them, in a folder.
//!
//! `frames.jsonl` has a line for every frame, in order: a JSON object that says when the frame came and what its bytes
//! are. The bytes of the first frame are in the file `000001.` with the pixel format in small letters as its ending, such
//! as `000001.mjpg`.

use std::path::{Path, PathBuf};
#[cfg(any(feature = "box", test))]
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xray_triage_core::image_file::{MAX_BYTES, MAX_PIXELS};

use super::pixels::{FORMATS, Layout};

/// The file that makes a folder a recording.
pub const INDEX: &str = "frames.jsonl";

/// A line of [`INDEX`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// How long after the first frame this one came, milliseconds.
    pub at_ms: u64,
    /// The pixel format, one of [`FORMATS`].
    pub format: String,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Distance from one line of pixels to the next, bytes. If it is less than a line, the lines follow each other without
    /// a gap. It has no meaning for MJPG.
    pub stride: u64,
}

impl Entry {
    /// The line for a frame that came `at` after the first one.
    #[cfg(any(feature = "box", test))]
    pub fn new(layout: &Layout, at: Duration) -> Entry {
        Entry {
            at_ms: at.as_millis() as u64,
            format: String::from_utf8_lossy(&layout.format).into_owned(),
            width: layout.width,
            height: layout.height,
            stride: layout.stride as u64,
        }
    }

    /// What the bytes of the frame are. The error says what is wrong with the line.
    pub fn layout(&self) -> Result<Layout, String> {
        let Some(format) = FORMATS.into_iter().find(|format| *format == self.format.as_bytes()) else {
            return Err(format!("format {:?} is none of MJPG, YUYV, GREY, NV12", self.format));
        };
        let Entry { width, height, .. } = *self;
        if !(1..=MAX_PIXELS).contains(&(u64::from(width) * u64::from(height))) {
            return Err(format!("{width} x {height} are not 1 to {MAX_PIXELS} pixels"));
        }
        match usize::try_from(self.stride) {
            Ok(stride) if self.stride <= MAX_BYTES => Ok(Layout { format: *format, width, height, stride }),
            _ => Err(format!("stride {} is more than {MAX_BYTES} bytes", self.stride)),
        }
    }

    /// The frame's file in the folder of the recording. `number` counts from 1.
    pub fn file(&self, folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("{number:06}.{}", self.format.to_lowercase()))
    }
}

/// Whether a folder is a recording.
pub fn is_recording(folder: &Path) -> bool {
    folder.join(INDEX).is_file()
}
