//! Writes recordings, whose files [`recording`](super::recording) describes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::error::{CameraError, RecordingProblem};
use super::pixels::Layout;
use super::recording::{Entry, INDEX, is_recording};

/// Writes a recording. The folder is made with the first frame.
pub struct RecordingWriter {
    folder: PathBuf,
    /// The index, and when the first frame came. `None` before the first frame.
    begun: Option<(File, Instant)>,
    frames: usize,
}

impl RecordingWriter {
    /// A recording that is going to be in `folder`.
    ///
    /// # Errors
    /// There is a recording in the folder already. It is not written over.
    pub fn new(folder: &Path) -> Result<RecordingWriter, CameraError> {
        if is_recording(folder) {
            return Err(CameraError::Recording { path: folder.into(), problem: RecordingProblem::Exists });
        }
        Ok(RecordingWriter { folder: folder.into(), begun: None, frames: 0 })
    }

    /// How many frames were written so far.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Writes a frame that came at this moment.
    ///
    /// # Errors
    /// The frame cannot be written. The frames before it are a recording all the same.
    pub fn add(&mut self, bytes: &[u8], layout: &Layout, came: Instant) -> Result<(), CameraError> {
        self.write(bytes, layout, came).map_err(|error| CameraError::Recording {
            path: self.folder.clone(),
            problem: RecordingProblem::Write(error),
        })
    }

    fn write(&mut self, bytes: &[u8], layout: &Layout, came: Instant) -> io::Result<()> {
        let (index, start) = match &mut self.begun {
            Some(begun) => begun,
            none => {
                fs::create_dir_all(&self.folder)?;
                none.insert((File::create_new(self.folder.join(INDEX))?, came))
            }
        };
        let entry = Entry::new(layout, came.saturating_duration_since(*start));
        // The frame is written before its line, so that a frame of which the index tells is there.
        fs::write(entry.file(&self.folder, self.frames + 1), bytes)?;
        index.write_all(format!("{}\n", serde_json::to_string(&entry)?).as_bytes())?;
        self.frames += 1;
        Ok(())
    }
}
