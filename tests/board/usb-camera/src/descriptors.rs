//! The camera's descriptors, by which it says what it is (USB 2.0 and UVC 1.0).

use crate::controls;

/// A frame interval in units of 100 ns: 15 frames a second.
pub const FRAME_INTERVAL: u32 = 666_666;
/// The number of the interface for controls.
pub const CONTROL_INTERFACE: u8 = 0;
/// The number of the interface for pictures.
pub const STREAMING_INTERFACE: u8 = 1;

const ENDPOINT_IN_1: u8 = 0x81;
/// Bytes of a bulk packet at high speed.
const BULK_PACKET: u16 = 512;

const CLASS_VIDEO: u8 = 0x0e;
const SUBCLASS_CONTROL: u8 = 1;
const SUBCLASS_STREAMING: u8 = 2;
const SUBCLASS_COLLECTION: u8 = 3;
/// The type of descriptors that are particular to a device class.
const CLASS_SPECIFIC: u8 = 0x24;
/// The version of the video class, 1.0, as binary-coded decimal.
const UVC_VERSION: u16 = 0x0100;

/// The texts, by index: manufacturer and product.
const TEXTS: [&str; 2] = ["xray-triage tests", "Film camera"];

/// The device descriptor. Vendor 0x1209, product 1 is pid.codes' number for tests.
pub fn device() -> Vec<u8> {
    let mut bytes = vec![18, 1];
    bytes.extend(0x0200_u16.to_le_bytes());
    // Class, subclass and protocol of a device with interface associations; 64 bytes in a control packet.
    bytes.extend([0xef, 2, 1, 64]);
    bytes.extend(0x1209_u16.to_le_bytes());
    bytes.extend(0x0001_u16.to_le_bytes());
    bytes.extend(0x0100_u16.to_le_bytes());
    // Manufacturer, product, no serial number, one configuration.
    bytes.extend([1, 2, 0, 1]);
    bytes
}

/// The configuration: one camera, motion JPEG of one size.
pub fn configuration(width: u16, height: u16, frame_bytes: u32) -> Vec<u8> {
    let control = with_total(
        [&[CLASS_SPECIFIC, 1][..], &UVC_VERSION.to_le_bytes()].concat(),
        // A clock of 48 MHz, one streaming interface.
        [&48_000_000_u32.to_le_bytes()[..], &[1, STREAMING_INTERFACE]].concat(),
        [
            // A camera (0x0201).
            &[18, CLASS_SPECIFIC, 2, controls::TERMINAL, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3][..],
            &controls::TERMINAL_CONTROLS,
            // What works on its pictures.
            &[11, CLASS_SPECIFIC, 5, controls::UNIT, controls::TERMINAL, 0, 0, 2],
            &controls::UNIT_CONTROLS,
            &[0],
            // Terminal 2: out to the USB stream (0x0101).
            &[9, CLASS_SPECIFIC, 3, 2, 1, 1, 0, controls::UNIT, 0],
        ]
        .concat(),
    );
    let streaming = with_total(
        // One format.
        vec![CLASS_SPECIFIC, 1, 1],
        // Ends at terminal 2; no still pictures, no trigger, no controls of the format.
        vec![ENDPOINT_IN_1, 0, 2, 0, 0, 0, 1, 0],
        [
            // Format 1: motion JPEG, one frame size.
            vec![11, CLASS_SPECIFIC, 6, 1, 1, 0, 1, 0, 0, 0, 0],
            frame_size(width, height, frame_bytes),
            // Colours of sRGB, BT.709 and BT.601's matrix.
            vec![6, CLASS_SPECIFIC, 0x0d, 1, 1, 4],
        ]
        .concat(),
    );
    let [packet_low, packet_high] = BULK_PACKET.to_le_bytes();
    let interfaces = [
        // Both interfaces are one function.
        &[8, 11, 0, 2, CLASS_VIDEO, SUBCLASS_COLLECTION, 0, 2][..],
        &[9, 4, 0, 0, 0, CLASS_VIDEO, SUBCLASS_CONTROL, 0, 2],
        &control,
        &[9, 4, STREAMING_INTERFACE, 0, 1, CLASS_VIDEO, SUBCLASS_STREAMING, 0, 0],
        &streaming,
        &[7, 5, ENDPOINT_IN_1, 2, packet_low, packet_high, 0],
    ]
    .concat();
    let mut bytes = vec![9, 2];
    bytes.extend((9 + interfaces.len() as u16).to_le_bytes());
    // Two interfaces, configuration 1 without a name, powered by the bus, 500 mA.
    bytes.extend([2, 1, 0, 0x80, 250]);
    bytes.extend(interfaces);
    bytes
}

/// The text with this index. Index 0 lists the languages; the only one is English.
pub fn text(index: u8) -> Option<Vec<u8>> {
    let units: Vec<u16> = match index {
        0 => vec![0x0409],
        _ => TEXTS.get(usize::from(index) - 1)?.encode_utf16().collect(),
    };
    let mut bytes = vec![2 + 2 * units.len() as u8, 3];
    bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
    Some(bytes)
}

/// A class-specific header and the descriptors that follow it. Between `before` and `after`, the header has the total
/// length of itself and of those descriptors.
fn with_total(before: Vec<u8>, after: Vec<u8>, headed: Vec<u8>) -> Vec<u8> {
    let header = 1 + before.len() + 2 + after.len();
    let mut bytes = vec![header as u8];
    bytes.extend(before);
    bytes.extend(((header + headed.len()) as u16).to_le_bytes());
    bytes.extend(after);
    bytes.extend(headed);
    bytes
}

fn frame_size(width: u16, height: u16, frame_bytes: u32) -> Vec<u8> {
    let bits_a_second = frame_bytes * 8 * 15;
    let mut bytes = vec![30, CLASS_SPECIFIC, 7, 1, 0];
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend(bits_a_second.to_le_bytes());
    bytes.extend(bits_a_second.to_le_bytes());
    bytes.extend(frame_bytes.to_le_bytes());
    bytes.extend(FRAME_INTERVAL.to_le_bytes());
    // There is one frame interval.
    bytes.push(1);
    bytes.extend(FRAME_INTERVAL.to_le_bytes());
    bytes
}
