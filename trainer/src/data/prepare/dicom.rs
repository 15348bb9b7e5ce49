//! Films in DICOM files. They are decoded as a reading station shows them: with the first window applied, white bones on
//! black air.

mod lengths;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, ReadError, Tag};
use dicom_pixeldata::{
    ConvertOptions, DecodedPixelData, PhotometricInterpretation, PixelDecoder, PixelRepresentation, VoiLutFunction,
    VoiLutOption, WindowLevelTransform,
};
use image::GrayImage;
use xray_triage_core::image_file::{MAX_BYTES, MAX_PIXELS};

/// A film and what its file says of it. What the file lacks is empty.
pub struct DicomFilm {
    /// The film as a reading station would show it.
    pub picture: GrayImage,
    /// The patient's number in the hospital. It must not be passed on.
    pub patient_id: String,
    /// The modality as DICOM writes it: `CR`, `DX`, `CT` and so on.
    pub modality: String,
    /// The view position as DICOM writes it: `PA`, `AP`, `LL` and so on.
    pub view: String,
    /// The patient's sex as DICOM writes it: `F`, `M` or `O`.
    pub sex: String,
    /// The patient's age as DICOM writes it: `058Y`.
    pub age: String,
}

/// Why a DICOM file gives no film.
#[derive(Debug, thiserror::Error)]
pub enum DicomError {
    /// The file has more bytes than a picture file may have.
    #[error("the file is larger than {} MB", MAX_BYTES / 1_000_000)]
    TooManyBytes,
    /// The file is no DICOM file, or ends early.
    #[error("not a whole DICOM file: {0}")]
    File(#[from] Box<ReadError>),
    /// The standard allows it but a chest film does not have it, or it makes no sense.
    #[error("{0}; export it as one gray frame of 8 to 16 bits")]
    Unsupported(String),
    /// The decoder found a mistake in the pixels.
    #[error("the pixels cannot be decoded: {0}")]
    Pixels(#[from] dicom_pixeldata::Error),
    /// The pixels are fewer than rows and columns make, or of another kind than the header says.
    #[error("the pixels are not those that the header describes; export the film again")]
    OtherPixels,
    /// The file is damaged in a way that the reader has no words for.
    #[error("the file is damaged; export the film again")]
    Damaged,
}

/// Whether a file is DICOM by its mark after the preamble, whatever its name is (DICOM PS3.10, 7.1).
pub fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM")
}

/// Decodes a film of one gray frame, raw, RLE or JPEG (baseline and lossless), from the bytes of its file.
///
/// The rescale slope and intercept give the modality's values. These are seen through the first window, or through the
/// first look-up table where there is no window (PS3.3, C.11.2). Without either, pixels of up to 8 bits are taken as they
/// are, and deeper ones are stretched from the darkest to the brightest. MONOCHROME1, where the lowest value is white, is
/// inverted.
///
/// # Errors
/// See [`DicomError`]. No file makes it panic.
pub fn decode(bytes: &[u8]) -> Result<DicomFilm, DicomError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DicomError::TooManyBytes);
    }
    if !lengths::fit(bytes) {
        return Err(DicomError::Damaged);
    }
    // The parser and the decoders take some things for granted, and panic where a file is not so.
    catch_unwind(|| decode_unguarded(bytes)).unwrap_or(Err(DicomError::Damaged))
}

fn decode_unguarded(bytes: &[u8]) -> Result<DicomFilm, DicomError> {
    let object = dicom_object::from_reader(bytes).map_err(Box::new)?;
    check_shape(&object)?;
    check_jpeg(&object)?;
    // The decoders take it for granted that the pixels fill what the header makes room for.
    let decoded =
        catch_unwind(AssertUnwindSafe(|| object.decode_pixel_data())).map_err(|_| DicomError::OtherPixels)??;
    Ok(DicomFilm {
        picture: picture(&decoded)?,
        patient_id: text(&object, tags::PATIENT_ID),
        modality: text(&object, tags::MODALITY),
        view: text(&object, tags::VIEW_POSITION),
        sex: text(&object, tags::PATIENT_SEX),
        age: text(&object, tags::PATIENT_AGE),
    })
}

fn text(object: &DefaultDicomObject, tag: Tag) -> String {
    let value = object.get(tag).and_then(|element| element.to_str().ok());
    value.map(|value| value.trim_matches([' ', '\0']).to_owned()).unwrap_or_default()
}

/// Checks that the header describes one gray frame of a size and a depth that films have.
fn check_shape(object: &DefaultDicomObject) -> Result<(), DicomError> {
    let number = |tag: Tag| object.get(tag).and_then(|element| element.to_int::<u32>().ok());
    let (width, height) = (number(tags::COLUMNS).unwrap_or(0), number(tags::ROWS).unwrap_or(0));
    let pixels = u64::from(width) * u64::from(height);
    let (allocated, stored) = (number(tags::BITS_ALLOCATED), number(tags::BITS_STORED));
    let fault = match (number(tags::NUMBER_OF_FRAMES).unwrap_or(1), number(tags::SAMPLES_PER_PIXEL), allocated, stored)
    {
        _ if pixels == 0 || pixels > MAX_PIXELS => format!("{width} x {height} pixels"),
        (2.., ..) => "several frames".into(),
        (_, Some(1), Some(8), Some(1..=8)) | (_, Some(1), Some(16), Some(1..=16)) => return Ok(()),
        (_, Some(1), ..) => format!("{} bits in {}", stored.unwrap_or(0), allocated.unwrap_or(0)),
        _ => "a colour picture".into(),
    };
    Err(DicomError::Unsupported(fault))
}

/// Checks that a JPEG has the header's rows and columns. Where it is smaller, the decoder would leave the rest black.
fn check_jpeg(object: &DefaultDicomObject) -> Result<(), DicomError> {
    let fragments = object.get(tags::PIXEL_DATA).and_then(|element| element.value().fragments()).unwrap_or_default();
    let size = [tags::ROWS, tags::COLUMNS].map(|tag| object.get(tag).and_then(|element| element.to_int::<u16>().ok()));
    match jpeg_size(&fragments.concat()) {
        Some(found) if size != found.map(Some) => Err(DicomError::OtherPixels),
        _ => Ok(()),
    }
}

/// Height and width by a JPEG's frame header (ITU-T T.81, B.2.2), or none if these bytes are no JPEG.
fn jpeg_size(bytes: &[u8]) -> Option<[u16; 2]> {
    let number = |place: usize| Some(u16::from_be_bytes([*bytes.get(place)?, *bytes.get(place + 1)?]));
    let mut place = 2;
    if number(0)? != 0xFFD8 {
        return None;
    }
    loop {
        match number(place)? {
            0xFFFF => place += 1,
            0xFFC4 | 0xFFC8 | 0xFFCC => place += 2 + usize::from(number(place + 2)?),
            0xFFC0..=0xFFCF => return Some([number(place + 5)?, number(place + 7)?]),
            _ => place += 2 + usize::from(number(place + 2)?),
        }
    }
}

fn picture(decoded: &DecodedPixelData) -> Result<GrayImage, DicomError> {
    let inverted = match decoded.photometric_interpretation() {
        PhotometricInterpretation::Monochrome1 => true,
        PhotometricInterpretation::Monochrome2 => false,
        other => return Err(DicomError::Unsupported(format!("photometric interpretation {other}"))),
    };
    let identity = ConvertOptions::new().with_voi_lut(VoiLutOption::Identity);
    let values: Vec<f32> = decoded.to_vec_frame_with_options(0, &identity)?;
    let level = shown_level(decoded, &values)?;
    let gray = values.iter().map(|&value| {
        let level = level(f64::from(value)).round() as u8;
        if inverted { 255 - level } else { level }
    });
    GrayImage::from_raw(decoded.columns(), decoded.rows(), gray.collect())
        .ok_or_else(|| DicomError::Unsupported("fewer pixels than rows and columns".into()))
}

/// The gray level (0..=255) at which a value of the modality is shown, as a function of the value.
fn shown_level(decoded: &DecodedPixelData, values: &[f32]) -> Result<Box<dyn Fn(f64) -> f64>, DicomError> {
    if let Some(&[window, ..]) = decoded.window()? {
        let function = decoded.voi_lut_function()?.and_then(|functions| functions.first());
        let window = WindowLevelTransform::new(function.copied().unwrap_or(VoiLutFunction::Linear), window);
        return Ok(Box::new(move |value| window.apply(value, 255.0)));
    }
    if let Some([table, ..]) = decoded.voi_lut_sequence()?
        && let Some(brightest @ 1..) = table.data.iter().copied().max()
    {
        let table = table.clone();
        return Ok(Box::new(move |value| {
            let place = (value.round() - f64::from(table.min_pixel_value)).clamp(0.0, table.data.len() as f64 - 1.0);
            255.0 * f64::from(table.data[place as usize]) / f64::from(brightest)
        }));
    }
    let unsigned = decoded.pixel_representation() == PixelRepresentation::Unsigned;
    let (dark, bright) = match decoded.bits_stored() {
        bits @ ..=8 if unsigned => {
            let rescale = decoded.rescale()?[0];
            let ends = [0, (1u32 << bits) - 1].map(|value| rescale.apply(f64::from(value)));
            // With a negative slope the first end is the brighter one.
            (ends[0].min(ends[1]), ends[0].max(ends[1]))
        }
        _ => values.iter().fold((f64::MAX, f64::MIN), |(dark, bright), &value| {
            (dark.min(f64::from(value)), bright.max(f64::from(value)))
        }),
    };
    Ok(Box::new(move |value| 255.0 * (value - dark) / (bright - dark).max(f64::MIN_POSITIVE)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use dicom_core::value::{PixelFragmentSequence, Value};
    use dicom_core::{DataElement, PrimitiveValue, VR};
    use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
    use image::codecs::jpeg::JpegEncoder;
    use image::{Luma, RgbImage};

    const CR_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.1";
    const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
    const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
    const RLE: &str = "1.2.840.10008.1.2.5";

    type Object = InMemDicomObject;

    fn object(width: u16, height: u16, bits: (u16, u16), interpretation: &str) -> Object {
        let mut object = Object::new_empty();
        for (tag, number) in [
            (tags::COLUMNS, width),
            (tags::ROWS, height),
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::BITS_ALLOCATED, bits.0),
            (tags::BITS_STORED, bits.1),
            (tags::HIGH_BIT, bits.1 - 1),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(number)));
        }
        object.put(DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, interpretation));
        object.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, CR_STORAGE));
        object.put(DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3"));
        object
    }

    fn write(path: &Path, object: Object, transfer_syntax: &str) {
        let meta = FileMetaTableBuilder::new().transfer_syntax(transfer_syntax);
        object.with_meta(meta).unwrap().write_to_file(path).unwrap();
    }

    fn read(path: &Path) -> Result<DicomFilm, DicomError> {
        decode(&std::fs::read(path).unwrap())
    }

    /// Writes a 12-bit film and reads it.
    fn read_12_bit(interpretation: &str, pixels: &[u16], window: Option<(&str, &str)>) -> Vec<u8> {
        let mut object = object(pixels.len() as u16, 1, (16, 12), interpretation);
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
        if let Some((center, width)) = window {
            object.put(DataElement::new(tags::WINDOW_CENTER, VR::DS, center));
            object.put(DataElement::new(tags::WINDOW_WIDTH, VR::DS, width));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.dcm");
        write(&path, object, EXPLICIT_LITTLE_ENDIAN);
        assert!(is_dicom(&std::fs::read(&path).unwrap()));
        read(&path).unwrap().picture.into_raw()
    }

    /// Writes a film as the RSNA collection does: 8 bits in a baseline JPEG.
    pub(in crate::data::prepare) fn write_jpeg_dicom(path: &Path, picture: &GrayImage, patient_id: &str, view: &str) {
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(picture).unwrap();
        let mut object = object(picture.width() as u16, picture.height() as u16, (8, 8), "MONOCHROME2");
        for (tag, vr, value) in [
            (tags::PATIENT_ID, VR::LO, patient_id),
            (tags::VIEW_POSITION, VR::CS, view),
            (tags::MODALITY, VR::CS, "CR"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::PATIENT_AGE, VR::AS, "058Y"),
        ] {
            object.put(DataElement::new(tag, vr, value));
        }
        write_fragment(path, object, jpeg, JPEG_BASELINE);
    }

    fn write_fragment(path: &Path, mut object: Object, fragment: Vec<u8>, transfer_syntax: &str) {
        let frame: Value<Object, Vec<u8>> = Value::PixelSequence(PixelFragmentSequence::new_fragments(vec![fragment]));
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, frame));
        write(path, object, transfer_syntax);
    }

    #[test]
    fn a_window_is_applied_as_the_standard_says() {
        // PS3.3, C.11.2.1.2.1: 0 up to 1000 - 0.5 - 99.5 = 900, 255 from 1099, and between them
        // ((x - 999.5) / 199 + 0.5) * 255, which is 127.5 + 0.64 at 1000.
        let gray = read_12_bit("MONOCHROME2", &[0, 900, 1000, 1100, 4095], Some(("1000", "200")));
        assert_eq!(gray, [0, 0, 128, 255, 255]);
    }

    #[test]
    fn monochrome1_is_inverted_after_the_window() {
        let gray = read_12_bit("MONOCHROME1", &[0, 900, 1000, 1100, 4095], Some(("1000", "200")));
        assert_eq!(gray, [255, 255, 127, 0, 0]);
    }

    #[test]
    fn the_first_of_several_windows_counts() {
        let gray = read_12_bit("MONOCHROME2", &[0, 900, 1000, 1100, 4095], Some(("1000\\2048", "200\\4096")));
        assert_eq!(gray, [0, 0, 128, 255, 255]);
    }

    #[test]
    fn without_a_window_12_bits_are_stretched() {
        assert_eq!(read_12_bit("MONOCHROME2", &[1000, 1500, 2000], None), [0, 128, 255]);
        assert_eq!(read_12_bit("MONOCHROME2", &[700, 700], None), [0, 0]);
    }

    #[test]
    fn a_baseline_jpeg_with_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film");
        let picture = GrayImage::from_fn(64, 48, |x, y| Luma([(40 + x * 2 + y) as u8]));
        write_jpeg_dicom(&path, &picture, "P7", "PA");
        let film = read(&path).unwrap();
        assert_eq!(film.picture.dimensions(), (64, 48));
        assert!(film.picture.iter().zip(picture.iter()).all(|(a, b)| a.abs_diff(*b) <= 4));
        assert_eq!((film.patient_id.as_str(), film.modality.as_str()), ("P7", "CR"));
        assert_eq!((film.view.as_str(), film.sex.as_str(), film.age.as_str()), ("PA", "F", "058Y"));
    }

    #[test]
    fn a_negative_slope_does_not_blacken_8_bits() {
        let mut object = object(3, 1, (8, 8), "MONOCHROME2");
        object.put(DataElement::new(tags::RESCALE_SLOPE, VR::DS, "-1"));
        object.put(DataElement::new(tags::RESCALE_INTERCEPT, VR::DS, "255"));
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8([0, 100, 255][..].into())));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.dcm");
        write(&path, object, EXPLICIT_LITTLE_ENDIAN);
        assert_eq!(read(&path).unwrap().picture.into_raw(), [255, 155, 0]);
    }

    #[test]
    fn pixels_that_do_not_fit_the_header_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.dcm");
        let film = |fragment: &[u8], transfer_syntax: &str| {
            write_fragment(&path, object(4, 2, (8, 8), "MONOCHROME2"), fragment.to_vec(), transfer_syntax);
            read(&path)
        };
        // One segment from byte 64 on: after their number less one, as many bytes as they are.
        let run_lengths = |pixels: &[u8]| {
            let mut fragment = vec![0; 64];
            (fragment[0], fragment[4]) = (1, 64);
            fragment.push(pixels.len() as u8 - 1);
            fragment.extend(pixels);
            // An even length; 128 says nothing.
            fragment.resize(fragment.len().next_multiple_of(2), 128);
            fragment
        };
        let pixels = [1u8, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(film(&run_lengths(&pixels), RLE).unwrap().picture.into_raw(), pixels);
        let jpeg = |width, height| {
            let mut jpeg = Vec::new();
            JpegEncoder::new(&mut jpeg).encode_image(&GrayImage::new(width, height)).unwrap();
            jpeg
        };
        let mut colour = Vec::new();
        JpegEncoder::new(&mut colour).encode_image(&RgbImage::new(4, 2)).unwrap();
        assert!(film(&jpeg(4, 2), JPEG_BASELINE).is_ok());
        for (fragment, transfer_syntax) in [
            (run_lengths(&pixels[..5]), RLE),
            (vec![1, 0], RLE),
            (jpeg(4, 1), JPEG_BASELINE),
            (jpeg(8, 8), JPEG_BASELINE),
            (colour, JPEG_BASELINE),
        ] {
            let error = film(&fragment, transfer_syntax).err().unwrap();
            assert!(matches!(error, DicomError::OtherPixels), "{error}");
        }
    }

    /// A damaged file gives an error, or a film where the damage does no harm. The lengths must not make it slow either.
    #[test]
    fn no_damaged_file_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.dcm");
        write_jpeg_dicom(&path, &GrayImage::from_fn(16, 12, |x, y| Luma([(x * y) as u8])), "P7", "PA");
        let whole = std::fs::read(&path).unwrap();
        assert!(decode(&whole).is_ok());
        for place in 132..whole.len() {
            let cut = decode(&whole[..place]);
            // The film is whole without the delimiter at the end, which is 8 bytes.
            assert!(cut.is_err() || place >= whole.len() - 8, "cut after {place} bytes");
            for value in [0, 1, 0x7F, 0xFF] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                if let Ok(film) = decode(&damaged) {
                    assert!(!film.picture.is_empty(), "byte {place} is {value}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_gray_film_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.dcm");
        let refused = |object: Object, words: &str| {
            write(&path, object, EXPLICIT_LITTLE_ENDIAN);
            let error = read(&path).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(object(0, 4, (16, 12), "MONOCHROME2"), "0 x 4 pixels");
        refused(object(60_000, 60_000, (16, 12), "MONOCHROME2"), "60000 x 60000 pixels");
        refused(object(4, 4, (16, 17), "MONOCHROME2"), "17 bits in 16");
        refused(object(4, 4, (16, 12), "MONOCHROME2"), "cannot be decoded");
        let mut colour = object(4, 4, (8, 8), "RGB");
        colour.put(DataElement::new(tags::SAMPLES_PER_PIXEL, VR::US, PrimitiveValue::from(3u16)));
        refused(colour, "colour");
        let mut short = object(4, 4, (8, 8), "MONOCHROME2");
        short.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8([1, 2, 3, 4][..].into())));
        refused(short, "cannot be decoded");
        std::fs::write(&path, [0; 300]).unwrap();
        assert!(!is_dicom(&[0; 300]) && !is_dicom(&[]) && decode(&[]).is_err() && read(&path).is_err());
    }
}
