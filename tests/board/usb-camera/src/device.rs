//! The camera, which answers requests and sends frames.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::controls::Controls;
use crate::descriptors::{self, CONTROL_INTERFACE, FRAME_INTERVAL, STREAMING_INTERFACE};
use crate::usbip::Setup;

/// The most bytes of a payload, its header included.
const PAYLOAD: u32 = 16_384;
/// The largest frame that the camera says it may send.
const FRAME_BYTES: u32 = 4 << 20;

// Standard requests (USB 2.0, 9.4).
const GET_STATUS: u8 = 0;
const GET_DESCRIPTOR: u8 = 6;
// Requests of the video class (UVC 1.0, A.8).
const SET_CUR: u8 = 0x01;
const GET_LEN: u8 = 0x85;
const GET_INFO: u8 = 0x86;
// Selectors of the stream's parameters, to negotiate them and to set them (UVC 1.0, A.9.7).
const PROBE: u16 = 1;
const COMMIT: u16 = 2;

/// A camera over a light box on which lies one film.
pub struct FilmCamera {
    picture: PathBuf,
    width: u16,
    height: u16,
    controls: Controls,
    frame: Vec<u8>,
    sent: usize,
    /// A bit that changes with each frame, so that the host sees where a frame ends.
    frame_id: u8,
    next_frame: Instant,
}

impl FilmCamera {
    /// A camera that shows this picture.
    ///
    /// # Errors
    /// The picture is not readable or not a JPEG.
    pub fn new(picture: &Path) -> io::Result<FilmCamera> {
        let (width, height) = jpeg_size(&fs::read(picture)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is not a JPEG picture"))?;
        Ok(FilmCamera {
            picture: picture.into(),
            width,
            height,
            controls: Controls::new(),
            frame: Vec::new(),
            sent: 0,
            frame_id: 0,
            next_frame: Instant::now(),
        })
    }

    /// The answer to a control request; `None` if the camera does not know the request or refuses it.
    pub fn control(&mut self, setup: &Setup) -> Option<Vec<u8>> {
        let [low, high] = setup.value.to_le_bytes();
        match (setup.request_type, setup.request) {
            (0x80, GET_DESCRIPTOR) => match high {
                1 => Some(descriptors::device()),
                2 => Some(descriptors::configuration(self.width, self.height, FRAME_BYTES)),
                3 => descriptors::text(low),
                _ => None,
            },
            (0x80..=0x82, GET_STATUS) => Some(vec![0, 0]),
            // Nothing has to be done to set the address, configuration or interface, or to clear a halted endpoint.
            (0x00..=0x02, _) => Some(Vec::new()),
            (0x21 | 0xa1, request) => match setup.index.to_le_bytes()[0] {
                STREAMING_INTERFACE => self.stream_parameters(request, setup.value >> 8),
                CONTROL_INTERFACE => self.controls.answer(setup),
                _ => None,
            },
            _ => None,
        }
    }

    /// The answer to a request for the stream's parameters. The camera has one format of one size and rate, which the host
    /// gets whatever it proposes.
    fn stream_parameters(&mut self, request: u8, selector: u16) -> Option<Vec<u8>> {
        if selector != PROBE && selector != COMMIT {
            return None;
        }
        let mut parameters = vec![0, 0, 1, 1];
        parameters.extend(FRAME_INTERVAL.to_le_bytes());
        // Motion JPEG does not use these: key frames, compression quality and window, delay.
        parameters.extend([0; 10]);
        parameters.extend(FRAME_BYTES.to_le_bytes());
        parameters.extend(PAYLOAD.to_le_bytes());
        match request {
            SET_CUR if selector == COMMIT => {
                // The stream starts, with a whole frame.
                (self.frame, self.sent) = (Vec::new(), 0);
                Some(Vec::new())
            }
            SET_CUR => Some(Vec::new()),
            GET_LEN => Some((parameters.len() as u16).to_le_bytes().into()),
            // Bits 0 and 1: the parameters can be read and set.
            GET_INFO => Some(vec![3]),
            _ => Some(parameters),
        }
    }

    /// The next piece of the current frame, at most `room` bytes. Before a new frame it waits until the frame is due.
    ///
    /// # Errors
    /// The picture is not readable any more.
    pub fn next_payload(&mut self, room: usize) -> io::Result<Vec<u8>> {
        if self.sent == self.frame.len() {
            let now = Instant::now();
            thread::sleep(self.next_frame.saturating_duration_since(now));
            self.next_frame = self.next_frame.max(now) + Duration::from_nanos(u64::from(FRAME_INTERVAL) * 100);
            self.frame = fs::read(&self.picture)?;
            self.sent = 0;
            self.frame_id ^= 1;
        }
        let end = self.frame.len().min(self.sent + room.min(PAYLOAD as usize).saturating_sub(2));
        let last = u8::from(end == self.frame.len());
        // The payload's header: its length; end of header, end of frame, frame id.
        let mut payload = vec![2, 0x80 | last << 1 | self.frame_id];
        payload.extend(&self.frame[self.sent..end]);
        self.sent = end;
        Ok(payload)
    }
}

/// Width and height of a JPEG, from its frame header.
fn jpeg_size(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let &[0xff, marker, high, low, ..] = rest else { return None };
        // SOF0 to SOF2: baseline, extended and progressive.
        if (0xc0..=0xc2).contains(&marker) {
            let &[h1, h0, w1, w0] = rest.get(5..9)? else { return None };
            return Some((u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0])));
        }
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..)?;
    }
}
