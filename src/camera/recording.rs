//! A recorded capture: the frames that a camera sent, as it sent them, in a folder.
//!
//! `frames.jsonl` has a line for every frame, in order: a JSON object that says when the frame came and what its bytes
//! are. The first one's bytes are the file `000001.` and its pixel format in small letters, such as `000001.mjpg`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use image::GrayImage;
use log::debug;
use serde::{Deserialize, Serialize};
use xray_triage_core::image_file::{self, ImageFileError, MAX_BYTES, MAX_PIXELS};

use super::pixels::{FORMATS, GrayReader, Layout};
use super::{Camera, CameraError};

/// The file that makes a folder a recording.
pub const INDEX: &str = "frames.jsonl";
/// Longest time from one frame to the next, milliseconds: an exposure of 10 s is the longest there is.
const LONGEST_INTERVAL_MS: u64 = 10_000;
/// After the last frame of a recording that has no second one, milliseconds.
const ONLY_INTERVAL_MS: u64 = 100;
/// How long damaged frames are skipped before the camera counts as broken, as long as a real one has by default.
const DAMAGED_FOR: Duration = Duration::from_secs(3);

/// A line of [`INDEX`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When the frame came after the first one, milliseconds.
    pub at_ms: u64,
    /// One of [`FORMATS`].
    pub format: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Distance of two lines, bytes. Less than a line: the lines follow each other. Of no meaning for MJPG.
    pub stride: u64,
}

impl Entry {
    /// Of a frame that came `at` after the first one.
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

    /// What the frame's bytes are; the error says what is wrong with the entry.
    fn layout(&self) -> Result<Layout, String> {
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

    /// The frame's file in a recording's folder; `number` counts from 1.
    pub fn file(&self, folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("{number:06}.{}", self.format.to_lowercase()))
    }
}

/// Whether a folder is a recording.
pub fn is_recording(folder: &Path) -> bool {
    folder.join(INDEX).is_file()
}

/// A camera that sends a recording's frames in the time they came in, over and over. What lies between two grabs is lost,
/// as with a real camera, and damaged frames are skipped.
pub struct RecordedCamera {
    folder: PathBuf,
    frames: Vec<(Entry, Layout)>,
    reader: GrayReader,
    /// When the first frame was due; `None` before the first grab.
    began: Option<Instant>,
    /// Index of the frame that was grabbed last.
    shown: usize,
}

impl RecordedCamera {
    /// Reads which frames there are.
    ///
    /// # Errors
    /// The folder is no recording, or an entry cannot be used.
    pub fn open(folder: &Path) -> Result<RecordedCamera, CameraError> {
        let path = folder.join(INDEX);
        let unusable = |reason: String| CameraError::Recording { path: path.clone(), reason };
        let text = fs::read_to_string(&path)
            .map_err(|error| unusable(format!("{error}. Name a folder that `xray-triage record` wrote")))?;
        // A line without an end was still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut frames: Vec<(Entry, Layout)> = Vec::new();
        for (line, text) in whole.lines().enumerate() {
            let bad = |fault: String| unusable(format!("line {}: {fault}. Record again", line + 1));
            let entry: Entry = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
            let layout = entry.layout().map_err(bad)?;
            let before = frames.last().map_or(0, |(before, _)| before.at_ms);
            match entry.at_ms.checked_sub(before) {
                Some(0..=LONGEST_INTERVAL_MS) => frames.push((entry, layout)),
                _ => return Err(bad(format!("at_ms is not 0 to {LONGEST_INTERVAL_MS} after the frame before"))),
            }
        }
        if frames.is_empty() {
            return Err(unusable("it has no frames. Record again".into()));
        }
        let folder = folder.into();
        Ok(RecordedCamera { folder, frames, reader: GrayReader::default(), began: None, shown: 0 })
    }

    /// How long a round through all frames takes.
    fn round(&self) -> Duration {
        let at = |index: usize| self.frames[index].0.at_ms;
        let last = self.frames.len() - 1;
        let interval = if last == 0 { ONLY_INTERVAL_MS } else { (at(last) - at(last - 1)).max(1) };
        Duration::from_millis(at(last) + interval)
    }

    /// The next frame that comes so long after the beginning or later, and how long it has to be waited for.
    fn next(&self, elapsed: Duration) -> (usize, Duration) {
        let round = self.round();
        let within = Duration::from_nanos((elapsed.as_nanos() % round.as_nanos()) as u64);
        let at = |index: usize| Duration::from_millis(self.frames[index].0.at_ms);
        match (0..self.frames.len()).find(|&index| at(index) >= within) {
            Some(index) => (index, at(index).saturating_sub(within)),
            None => (0, (round + at(0)).saturating_sub(within)),
        }
    }

    fn read(&mut self, index: usize, frame: &mut GrayImage) -> Result<bool, CameraError> {
        let (entry, layout) = &self.frames[index];
        let path = entry.file(&self.folder, index + 1);
        let bytes = image_file::load(&path).map_err(|fault| ImageFileError { path, fault })?;
        Ok(self.reader.read(&bytes, layout, frame).is_some())
    }
}

impl Camera for RecordedCamera {
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
        let reason = "has damaged frames only. Record again".into();
        Err(CameraError::Recording { path: self.folder.clone(), reason })
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

    use super::super::recorder::Recorder;
    use super::*;

    const GREY: Layout = Layout { format: *b"GREY", width: 2, height: 1, stride: 2 };

    fn index(folder: &TempDir, text: &str) -> Result<RecordedCamera, String> {
        fs::write(folder.path().join(INDEX), text).unwrap();
        RecordedCamera::open(folder.path()).map_err(|error| error.to_string())
    }

    /// A recording of these frames, 20 milliseconds apart.
    fn recorded(frames: &[(&[u8], &Layout)]) -> (TempDir, RecordedCamera) {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("recording");
        let mut recorder = Recorder::new(&place).unwrap();
        let start = Instant::now();
        for (number, (bytes, layout)) in (0..).zip(frames) {
            recorder.add(bytes, layout, start + number * Duration::from_millis(20)).unwrap();
        }
        assert_eq!(recorder.frames(), frames.len());
        assert!(is_recording(&place) && !is_recording(folder.path()));
        assert!(Recorder::new(&place).is_err(), "a recording is not written over");
        let camera = RecordedCamera::open(&place).unwrap();
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
        // Time is what decides which one is next: it is set back to just before each.
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
        assert!(RecordedCamera::open(folder.path()).is_err());
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
