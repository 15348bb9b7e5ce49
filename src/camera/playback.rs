//! A camera that plays a recording.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use image::GrayImage;
use log::debug;
use xray_triage_core::image_file::{self, ImageFileError};

use super::Camera;
use super::error::{CameraError, RecordingProblem};
use super::pixels::{GrayReader, Layout};
use super::recording::{Entry, INDEX};

/// Longest time from one frame to the next, milliseconds: the longest exposure that the settings allow is 10 s.
const LONGEST_INTERVAL_MS: u64 = 10_000;
/// How long the frame of a recording with one frame lasts, milliseconds.
const ONLY_INTERVAL_MS: u64 = 100;
/// How long damaged frames are skipped before the camera counts as broken: as long as the default timeout of a real one.
const DAMAGED_FOR: Duration = Duration::from_secs(3);

/// A camera that sends the frames of a recording at the times at which they came, over and over. As with a real camera,
/// frames between two grabs are lost, and damaged frames are skipped.
pub struct PlaybackCamera {
    folder: PathBuf,
    frames: Vec<(Entry, Layout)>,
    reader: GrayReader,
    /// When the playback began; `None` before the first grab.
    began: Option<Instant>,
    /// Index of the frame that was grabbed last.
    shown: usize,
}

impl PlaybackCamera {
    /// Reads the index of a recording.
    ///
    /// # Errors
    /// The folder is no recording, or a line of its index cannot be used.
    pub fn open(folder: &Path) -> Result<PlaybackCamera, CameraError> {
        let path = folder.join(INDEX);
        let unusable = |problem| CameraError::Recording { path: path.clone(), problem };
        let text = fs::read_to_string(&path).map_err(|error| unusable(RecordingProblem::Read(error)))?;
        // A line without an end was being written when the recording broke off.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut frames: Vec<(Entry, Layout)> = Vec::new();
        for (line, text) in whole.lines().enumerate() {
            let bad = |reason: String| unusable(RecordingProblem::Index { line: line + 1, reason });
            let entry: Entry = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
            let layout = entry.layout().map_err(bad)?;
            let before = frames.last().map_or(0, |(before, _)| before.at_ms);
            match entry.at_ms.checked_sub(before) {
                Some(0..=LONGEST_INTERVAL_MS) => frames.push((entry, layout)),
                _ => return Err(bad(format!("at_ms is not 0 to {LONGEST_INTERVAL_MS} after the frame before"))),
            }
        }
        if frames.is_empty() {
            return Err(unusable(RecordingProblem::Empty));
        }
        let folder = folder.into();
        Ok(PlaybackCamera { folder, frames, reader: GrayReader::default(), began: None, shown: 0 })
    }

    /// How long it takes to play all frames once.
    fn round(&self) -> Duration {
        let at = |index: usize| self.frames[index].0.at_ms;
        let last = self.frames.len() - 1;
        let interval = if last == 0 { ONLY_INTERVAL_MS } else { (at(last) - at(last - 1)).max(1) };
        Duration::from_millis(at(last) + interval)
    }

    /// The index of the first frame that comes `elapsed` after the beginning or later, and how long until then.
    fn next(&self, elapsed: Duration) -> (usize, Duration) {
        let round = self.round();
        let within = Duration::from_nanos((elapsed.as_nanos() % round.as_nanos()) as u64);
        let at = |index: usize| Duration::from_millis(self.frames[index].0.at_ms);
        match (0..self.frames.len()).find(|&index| at(index) >= within) {
            Some(index) => (index, at(index).saturating_sub(within)),
            None => (0, (round + at(0)).saturating_sub(within)),
        }
    }

    /// Reads a frame. Returns false if it is damaged.
    fn read(&mut self, index: usize, frame: &mut GrayImage) -> Result<bool, CameraError> {
        let (entry, layout) = &self.frames[index];
        let path = entry.file(&self.folder, index + 1);
        let bytes = image_file::load(&path).map_err(|fault| ImageFileError { path, fault })?;
        Ok(self.reader.read(&bytes, layout, frame).is_some())
    }
}

impl Camera for PlaybackCamera {
    fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError> {
        let asked = Instant::now();
        let began = *self.began.get_or_insert(asked);
        let mut now = asked;
        while now <= asked + DAMAGED_FOR {
            let (index, wait) = self.next(now - began);
            thread::sleep(wait);
            self.shown = index;
            if self.read(index, frame)? {
                return Ok(());
            }
            debug!("{} is damaged", self.origin());
            now = Instant::now();
        }
        Err(CameraError::Recording { path: self.folder.clone(), problem: RecordingProblem::Damaged })
    }

    fn origin(&self) -> String {
        self.frames[self.shown].0.file(&self.folder, self.shown + 1).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, Luma};
    use tempfile::TempDir;

    use crate::camera::recording::is_recording;
    use crate::camera::writer::RecordingWriter;

    use super::*;

    const GREY: Layout = Layout { format: *b"GREY", width: 2, height: 1, stride: 2 };

    /// Opens a recording whose index has this text.
    fn index(folder: &TempDir, text: &str) -> Result<PlaybackCamera, String> {
        fs::write(folder.path().join(INDEX), text).unwrap();
        PlaybackCamera::open(folder.path()).map_err(|error| error.to_string())
    }

    /// A recording of these frames, 20 milliseconds apart.
    fn recorded(frames: &[(&[u8], &Layout)]) -> (TempDir, PlaybackCamera) {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("recording");
        let mut writer = RecordingWriter::new(&place).unwrap();
        let start = Instant::now();
        for (number, (bytes, layout)) in (0..).zip(frames) {
            writer.add(bytes, layout, start + number * Duration::from_millis(20)).unwrap();
        }
        assert_eq!(writer.frames(), frames.len());
        assert!(is_recording(&place) && !is_recording(folder.path()));
        assert!(RecordingWriter::new(&place).is_err(), "a recording is not written over");
        let camera = PlaybackCamera::open(&place).unwrap();
        (folder, camera)
    }

    #[test]
    fn frames_of_every_format_come_back_in_their_order() {
        let film = GrayImage::from_pixel(16, 8, Luma([120]));
        let mut jpeg = Cursor::new(Vec::new());
        film.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let mjpg = Layout { format: *b"MJPG", width: 16, height: 8, stride: 0 };
        let yuyv = Layout { format: *b"YUYV", width: 2, height: 1, stride: 8 };
        let nv12 = Layout { format: *b"NV12", ..GREY };
        let frames: [(&[u8], &Layout); 4] =
            [(jpeg.get_ref(), &mjpg), (&[5, 0, 6, 0], &yuyv), (&[7, 8], &GREY), (&[9, 10, 0], &nv12)];
        let (_folder, mut camera) = recorded(&frames);
        let mut frame = GrayImage::default();
        camera.grab(&mut frame).unwrap();
        assert!(camera.origin().ends_with("000001.mjpg"), "{}", camera.origin());
        assert!(frame.dimensions() == (16, 8) && frame.get_pixel(3, 3)[0].abs_diff(120) < 4);
        // Time decides which frame is next: each is asked for a millisecond before it comes.
        for (at_ms, name, pixels) in
            [(19, "000002.yuyv", [5, 6]), (39, "000003.grey", [7, 8]), (59, "000004.nv12", [9, 10])]
        {
            let (index, wait) = camera.next(Duration::from_millis(at_ms));
            assert_eq!(wait, Duration::from_millis(1));
            assert!(camera.read(index, &mut frame).unwrap());
            camera.shown = index;
            assert!(camera.origin().ends_with(name), "{}", camera.origin());
            assert_eq!(frame.as_raw()[..], pixels);
        }
        let round = Duration::from_millis(80);
        assert_eq!(camera.round(), round);
        assert_eq!(camera.next(Duration::from_millis(61)), (0, Duration::from_millis(19)), "it begins anew");
        assert_eq!(camera.next(1_000_000 * round + Duration::from_millis(21)), (2, Duration::from_millis(19)));
    }

    #[test]
    fn frames_come_in_their_time_and_damaged_ones_are_skipped() {
        let frames: [(&[u8], &Layout); 4] = [(&[1, 1], &GREY), (&[2, 2], &GREY), (&[], &GREY), (&[4, 4], &GREY)];
        let (_folder, mut camera) = recorded(&frames);
        let mut frame = GrayImage::default();
        let start = Instant::now();
        let mut last = 0;
        while last != 4 {
            camera.grab(&mut frame).unwrap();
            last = frame.get_pixel(0, 0)[0];
        }
        assert!(start.elapsed() >= Duration::from_millis(60));
    }

    #[test]
    fn a_recording_without_a_whole_frame_is_an_error() {
        let (folder, mut camera) = recorded(&[(&[1], &GREY)]);
        let error = camera.grab(&mut GrayImage::default()).unwrap_err().to_string();
        assert!(error.contains("damaged frames only"), "{error}");
        fs::remove_file(folder.path().join("recording/000001.grey")).unwrap();
        let error = camera.grab(&mut GrayImage::default()).unwrap_err().to_string();
        assert!(error.contains("000001.grey: there is no such file"), "{error}");
    }

    #[test]
    fn an_index_that_cannot_be_used_is_named_with_its_line() {
        let folder = TempDir::new().unwrap();
        assert!(PlaybackCamera::open(folder.path()).is_err());
        let line = |at_ms: u64, format: &str, width: u64, stride: u64| {
            format!("{{\"at_ms\":{at_ms},\"format\":{format:?},\"width\":{width},\"height\":2,\"stride\":{stride}}}\n")
        };
        let good = line(5, "GREY", 2, 2);
        assert_eq!(index(&folder, &format!("{good}{{\"at_ms\":9,")).map(|camera| camera.frames.len()), Ok(1));
        for (text, words) in [
            (String::new(), "no frames"),
            (good.trim_end().into(), "no frames"),
            ("frames\n".into(), "line 1"),
            (format!("{good}{}", line(4, "GREY", 2, 2)), "line 2: at_ms"),
            (format!("{good}{}", line(10_006, "GREY", 2, 2)), "line 2: at_ms"),
            (line(0, "H264", 2, 2), "\"H264\" is none of"),
            (line(0, "GREY", 0, 2), "0 x 2"),
            (line(0, "GREY", 4_000_000_000, 2), "pixels"),
            (line(0, "GREY", 2, u64::MAX), "stride"),
            (line(0, "GREY", u64::MAX, 2), "line 1"),
        ] {
            let error = index(&folder, &text).err().unwrap();
            assert!(error.contains(words) && error.contains(INDEX), "{error}");
        }
    }
}
