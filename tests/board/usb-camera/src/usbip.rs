//! The messages of USB/IP between a host controller and a device (kernel: `Documentation/usb/usbip_protocol.rst`).

use std::io::{self, Read, Write};

/// Every message starts with a header of this many bytes, in network byte order.
const HEADER: usize = 48;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;

/// `number_of_packets` of a transfer that is not isochronous.
const NOT_ISOCHRONOUS: u32 = 0xffff_ffff;
/// Status of a request that the device does not know: a stalled endpoint, `-EPIPE`.
const STALL: i32 = -32;

/// The eight bytes that start a control transfer (USB 2.0, 9.3), and the data that came with them.
pub struct Setup {
    pub request_type: u8,
    pub request: u8,
    pub value: u16,
    pub index: u16,
    pub length: u16,
    pub data: Vec<u8>,
}

impl Setup {
    /// Whether data goes from the device to the host.
    fn to_host(&self) -> bool {
        self.request_type & 0x80 != 0
    }
}

/// A request of the host.
pub enum Request {
    /// A control transfer.
    Control { id: u32, setup: Setup },
    /// The host wants up to `room` bytes from the streaming endpoint.
    Bulk { id: u32, room: usize },
    /// The host does not want the answer to an earlier request any more.
    TakeBack { id: u32 },
}

/// The next request; `None` once the host has closed the connection.
pub fn read(socket: &mut impl Read) -> io::Result<Option<Request>> {
    let mut header = [0; HEADER];
    match socket.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (command, id, to_host, endpoint, length) = (word(0), word(4), word(12) == 1, word(16), word(24) as usize);
    match command {
        CMD_UNLINK => Ok(Some(Request::TakeBack { id })),
        CMD_SUBMIT if endpoint == 0 => {
            let mut data = vec![0; if to_host { 0 } else { length }];
            socket.read_exact(&mut data)?;
            let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            let setup = Setup {
                request_type: header[40],
                request: header[41],
                value: half(42),
                index: half(44),
                length: half(46),
                data,
            };
            Ok(Some(Request::Control { id, setup }))
        }
        CMD_SUBMIT if to_host => Ok(Some(Request::Bulk { id, room: length })),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("USB/IP command {command} to endpoint {endpoint} is none that a camera gets"),
        )),
    }
}

/// Answers a control transfer; without an answer the endpoint stalls.
pub fn answer_control(socket: &mut impl Write, id: u32, setup: &Setup, answer: Option<Vec<u8>>) -> io::Result<()> {
    match answer {
        None => submitted(socket, id, STALL, 0, &[]),
        Some(data) if setup.to_host() => {
            let data = &data[..data.len().min(setup.length.into())];
            submitted(socket, id, 0, data.len() as u32, data)
        }
        Some(_) => submitted(socket, id, 0, setup.length.into(), &[]),
    }
}

/// Answers a request for streaming data.
pub fn answer_bulk(socket: &mut impl Write, id: u32, payload: &[u8]) -> io::Result<()> {
    submitted(socket, id, 0, payload.len() as u32, payload)
}

/// Answers that the request which the host takes back was answered before.
pub fn answer_take_back(socket: &mut impl Write, id: u32) -> io::Result<()> {
    socket.write_all(&message([RET_UNLINK, id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
}

fn submitted(socket: &mut impl Write, id: u32, status: i32, transferred: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes =
        message([RET_SUBMIT, id, 0, 0, 0, status.cast_unsigned(), transferred, 0, NOT_ISOCHRONOUS, 0, 0, 0]);
    bytes.extend(data);
    socket.write_all(&bytes)
}

fn message(words: [u32; HEADER / 4]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}
