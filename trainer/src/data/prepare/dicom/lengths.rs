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

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a file in this transfer syntax.
    fn file(syntax: &str) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        bytes.extend(element(&[2, 0, 0x10, 0], b"UI", syntax.len() as u32, syntax.as_bytes()));
        bytes
    }

    /// An element in explicit VR with any length.
    fn element(tag: &[u8; 4], vr: &[u8; 2], length: u32, value: &[u8]) -> Vec<u8> {
        let length = length.to_le_bytes();
        match SHORT.contains(&vr) {
            true => [&tag[..], vr, &length[..2], value].concat(),
            false => [&tag[..], vr, &[0, 0], &length, value].concat(),
        }
    }

    #[test]
    fn a_length_beyond_the_file_is_found_in_each_place() {
        const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
        let explicit = |rest: &[u8]| fit(&[&file("1.2.840.10008.1.2.1\0"), rest].concat());
        let pixels = |length| element(&[0xE0, 0x7F, 0x10, 0], b"OW", length, &[1, 2, 3, 4]);
        assert!(explicit(&pixels(4)) && !explicit(&pixels(5)) && !explicit(&pixels(0x7FFF_FFFF)));

        let text = |length| element(&[0x10, 0, 0x20, 0], b"LO", length, b"P7");
        assert!(explicit(&text(2)) && !explicit(&text(3)));

        // A sequence with one item, and a fragment of compressed pixels, which is not looked into.
        let item = |length: u32, value: &[u8]| [&ITEM[..], &length.to_le_bytes(), value].concat();
        for defined in [true, false] {
            let sequence = |inner: Vec<u8>| {
                let items = item(if defined { inner.len() as u32 } else { UNDEFINED }, &inner);
                element(&[8, 0, 0x40, 0x11], b"SQ", if defined { items.len() as u32 } else { UNDEFINED }, &items)
            };
            assert!(explicit(&sequence(text(2))) && !explicit(&sequence(text(3))), "{defined}");
        }
        let fragments = |length| element(&[0xE0, 0x7F, 0x10, 0], b"OB", UNDEFINED, &item(length, &text(3)));
        assert!(explicit(&fragments(10)) && !explicit(&fragments(11)));

        let implicit = |length: u32| {
            let start = file("1.2.840.10008.1.2\0");
            fit(&[&start[..], &[0x10, 0, 0x20, 0], &length.to_le_bytes(), b"P7"].concat())
        };
        assert!(implicit(2) && !implicit(3));
    }
}
