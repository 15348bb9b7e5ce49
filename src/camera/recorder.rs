//! Writes recordings, see [`recording`](super::recording).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::CameraError;
use super::pixels::Layout;
use super::recording::{Entry, INDEX, is_recording};

/// A recording that is being written. The folder is made with the first frame.
pub struct Recorder {
    folder: PathBuf,
    /// The index, and when the first frame came.
    begun: Option<(File, Instant)>,
    frames: usize,
}

impl Recorder {
    /// # Errors
    /// There is a recording in the folder: it is not written over.
    pub fn new(folder: &Path) -> Result<Recorder, CameraError> {
        if is_recording(folder) {
            let reason = "is a recording already. Name another folder".into();
            return Err(CameraError::Recording { path: folder.into(), reason });
        }
        Ok(Recorder { folder: folder.into(), begun: None, frames: 0 })
    }

    /// Frames written so far.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Writes a frame, which came at this moment.
    ///
    /// # Errors
    /// It cannot be written. Those before it are a recording.
    pub fn add(&mut self, bytes: &[u8], layout: &Layout, came: Instant) -> Result<(), CameraError> {
        self.write(bytes, layout, came).map_err(|error| {
            let reason = format!("cannot be written: {error}. Make room, or name another folder");
            CameraError::Recording { path: self.folder.clone(), reason }
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
        // The frame first: what the index names is there.
        fs::write(entry.file(&self.folder, self.frames + 1), bytes)?;
        index.write_all(format!("{}\n", serde_json::to_string(&entry)?).as_bytes())?;
        self.frames += 1;
        Ok(())
    }
}
