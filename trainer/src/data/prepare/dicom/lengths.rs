//! A check that a damaged DICOM file does not make its reader take gigabytes of memory.

/// Transfer syntaxes whose elements are not read as explicit VR, little endian (DICOM PS3.5, annex A).
const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// The value representations whose length has 16 bits (PS3.5, table 7.1-2). All others have 32.
const SHORT: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
];

/// The length of an element that ends with a delimiter.
const UNDEFINED: u32 = u32::MAX;

/// Whether each element of a file fits into the file. The parser makes room for an element, up to 4 GB, before it finds
/// that the file is shorter.
///
/// The check follows what it knows: explicit VR, and implicit VR outside of sequences, both little endian. Where it meets
/// anything else it ends, and what was checked so far counts.
pub fn fit(bytes: &[u8]) -> bool {
    // After the preamble and its mark comes the file meta information, which is always explicit VR (PS3.10, 7.1).
    let Some(mut rest) = bytes.get(132..) else { return true };
    let (mut in_meta, mut explicit, mut in_fragments) = (true, true, false);
    let mut syntax = String::new();
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let [g0, g1, e0, e1, v0, v1, l0, l1] = *header;
        let (group, element) = (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
        if in_meta && group != 2 {
            in_meta = false;
            match syntax.as_str() {
                IMPLICIT_LITTLE_ENDIAN => explicit = false,
                EXPLICIT_BIG_ENDIAN | DEFLATED => return true,
                _ => {}
            }
        }
        let is_item = group == 0xFFFE;
        let long = u32::from_le_bytes([v0, v1, l0, l1]);
        let (length, value) = if is_item || !explicit {
            (long, after)
        } else if SHORT.contains(&&[v0, v1]) {
            (u32::from(u16::from_le_bytes([l0, l1])), after)
        } else {
            let Some((length, value)) = after.split_first_chunk::<4>() else { return true };
            (u32::from_le_bytes(*length), value)
        };
        let is_sequence = explicit && [v0, v1] == *b"SQ";
        rest = value;
        if length == UNDEFINED {
            match (is_item || is_sequence, explicit && [b"OB", b"OW"].contains(&&[v0, v1])) {
                (true, _) => continue,
                (false, true) => in_fragments = true,
                (false, false) => return true,
            }
            continue;
        }
        let Some((content, next)) = value.split_at_checked(length as usize) else { return false };
        if (group, element) == (2, 0x10) {
            syntax = String::from_utf8_lossy(content).trim_end_matches(['\0', ' ']).to_owned();
        }
        in_fragments &= (group, element) != (0xFFFE, 0xE0DD);
        // What is in a sequence or in one of its items is checked, too.
        if !(is_sequence || (is_item && !in_fragments)) {
            rest = next;
        }
    }
    true
}
