//! Reading a picture file (JPEG or PNG) into 8-bit gray, upright, within the memory of a small board; and writing one.
//!
//! The file is never trusted: its header is read before any pixel, its size is bounded, and a file that ends early
//! is refused instead of being triaged with a gray lower half.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use crate::atomic_file;
use crate::input_file::{self, InputFileError};

/// Most pixels a picture may have. 32 megapixels as RGB are 96 MB, which a board with 1 GB of memory still decodes.
pub const MAX_PIXELS: u64 = 32_000_000;

/// Most bytes a picture file may have: 32 megapixels of uncompressed 8-bit RGB.
pub const MAX_BYTES: u64 = 3 * MAX_PIXELS;

/// Most bytes the decoder may allocate, where it counts them (PNG): 32 megapixels of 16-bit RGB and some work space.
const MAX_ALLOC: u64 = 8 * MAX_PIXELS;

/// A picture file that could not be read: which one, what was wrong with it, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct ImageFileError {
    /// The file as the caller named it.
    pub path: PathBuf,
    /// What was wrong.
    pub fault: ImageFault,
}

impl ImageFileError {
    /// See [`ImageFault::code`].
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }
}

/// What is wrong with a picture. The message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFault {
    /// There is no such file.
    #[error("there is no such file: check the name")]
    Missing,
    /// The path leads to a folder.
    #[error("this is a folder, not a picture: name the files in it")]
    Directory,
    /// The path leads to a pipe or a device.
    #[error("this is a pipe or a device, not a picture file: copy the picture to a file first")]
    NotAFile,
    /// The operating system would not read the file.
    #[error("the file cannot be read ({0}): check its permissions and the card or disk it lies on")]
    Unreadable(io::Error),
    /// The file has no bytes.
    #[error("the picture is empty: take or copy it again")]
    Empty,
    /// The bytes are not a picture of a format that is read.
    #[error("this is neither a JPEG nor a PNG picture: convert it to one of the two")]
    NotAnImage,
    /// More pixels than [`MAX_PIXELS`].
    #[error("{width} x {height} pixels are more than the {} million this device takes: scale the picture down",
            MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
    },
    /// More bytes than [`MAX_BYTES`].
    #[error("the file is larger than the {} MB this device takes: scale the picture down", MAX_BYTES / 1_000_000)]
    TooManyBytes,
    /// The JPEG ends before its end marker.
    #[error("the picture ends early: copy or take it again")]
    Truncated,
    /// The decoder found a mistake in the file or a coding it does not know.
    #[error("the picture is damaged or of a kind that is not supported ({0}): save it again as a plain JPEG or PNG")]
    Damaged(ImageError),
}

impl ImageFault {
    /// A stable name for programs: `missing`, `directory`, `unreadable`, `empty`, `not_an_image`, `too_large`,
    /// `truncated` or `damaged`.
    pub fn code(&self) -> &'static str {
        match self {
            ImageFault::Missing => "missing",
            ImageFault::Directory => "directory",
            ImageFault::Unreadable(_) => "unreadable",
            ImageFault::Empty => "empty",
            ImageFault::NotAFile | ImageFault::NotAnImage => "not_an_image",
            ImageFault::TooLarge { .. } | ImageFault::TooManyBytes => "too_large",
            ImageFault::Truncated => "truncated",
            ImageFault::Damaged(_) => "damaged",
        }
    }
}

/// Reads a picture file as [`decode`] does.
///
/// # Errors
/// Every [`ImageFault`], with the path.
pub fn read(path: &Path) -> Result<GrayImage, ImageFileError> {
    load(path).and_then(|bytes| decode(&bytes)).map_err(|fault| ImageFileError { path: path.to_owned(), fault })
}

/// Decodes a JPEG or PNG file from memory to 8-bit gray, 0 black to 255 white, never without a pixel.
///
/// - Colour becomes luma with the Rec. 709 weights of the `image` crate; transparency is ignored. CMYK JPEGs (print
///   workflows) are converted by the decoder.
/// - 16-bit gray or colour is scaled by the smallest full bit depth (8 to 16 bits) that holds its brightest value, so
///   that a 12-bit radiograph stored in 16 bits keeps its contrast.
/// - The EXIF orientation is applied: the picture is upright as the camera saw it.
///
/// # Errors
/// Every [`ImageFault`] that is about bytes: `Empty`, `NotAnImage`, `TooLarge`, `TooManyBytes`, `Truncated`, `Damaged`.
pub fn decode(bytes: &[u8]) -> Result<GrayImage, ImageFault> {
    if bytes.is_empty() {
        return Err(ImageFault::Empty);
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ImageFault::TooManyBytes);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(ImageFault::Unreadable)?;
    let format = match reader.format() {
        Some(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        _ => return Err(ImageFault::NotAnImage),
    };
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(ImageFault::Truncated);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(ImageFault::Damaged)?;
    let (width, height) = decoder.dimensions();
    match u64::from(width) * u64::from(height) {
        // Only a safeguard: the decoders call such a header damaged.
        0 => return Err(ImageFault::Empty),
        1..=MAX_PIXELS => {}
        _ => return Err(ImageFault::TooLarge { width, height }),
    }
    let orientation = decoder.orientation().map_err(ImageFault::Damaged)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(ImageFault::Damaged)?;
    let mut gray = DynamicImage::ImageLuma8(to_gray8(picture));
    gray.apply_orientation(orientation);
    Ok(gray.into_luma8())
}

/// The bytes of a picture file: a regular file of at most [`MAX_BYTES`].
///
/// # Errors
/// `Missing`, `Directory`, `NotAFile`, `Unreadable` and `TooManyBytes`.
pub fn load(path: &Path) -> Result<Vec<u8>, ImageFault> {
    input_file::read(path, MAX_BYTES).map_err(|error| match error {
        InputFileError::Missing => ImageFault::Missing,
        InputFileError::Directory => ImageFault::Directory,
        InputFileError::NotAFile => ImageFault::NotAFile,
        InputFileError::Unreadable(error) => ImageFault::Unreadable(error),
        InputFileError::TooLarge { .. } => ImageFault::TooManyBytes,
    })
}

/// 8-bit gray of any decoded picture; see [`decode`] for 16 bits.
fn to_gray8(picture: DynamicImage) -> GrayImage {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    if !matches!(picture, ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_)) {
        return picture.into_luma8();
    }
    let deep = picture.into_luma16();
    let brightest = deep.iter().copied().max().unwrap_or(0);
    let bits = (u16::BITS - brightest.leading_zeros()).max(8);
    let full = (1u32 << bits) - 1;
    let mut gray = GrayImage::new(deep.width(), deep.height());
    for (to, &from) in gray.iter_mut().zip(deep.iter()) {
        *to = ((u32::from(from) * 255 + full / 2) / full) as u8;
    }
    gray
}

/// Whether a JPEG runs to its end-of-image marker. Walks the segments (ITU-T T.81, annex B) so that the end marker of
/// an embedded thumbnail does not count. The decoder itself fills what is missing with gray and reports no error.
pub fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // To the next marker: over entropy-coded data (FF 00 is a stuffed byte) and fill bytes.
        match bytes.get(at..) {
            None | Some([] | [_]) => return false,
            Some([0xFF, 0x00, ..]) => at += 2,
            // Restart markers and TEM stand alone.
            Some([0xFF, 0xD0..=0xD8 | 0x01, ..]) => at += 2,
            Some([0xFF, 0xD9, ..]) => return true,
            Some([0xFF, 0xFF, ..]) => at += 1,
            Some([0xFF, _, high, low, ..]) => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            Some([0xFF, ..]) => return false,
            Some(_) => at += 1,
        }
    }
}

/// Writes a PNG file as a whole, see [`atomic_file::write`].
///
/// # Errors
/// The system's.
pub fn write_png(path: &Path, picture: &RgbImage) -> io::Result<()> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).map_err(io::Error::other)?;
    atomic_file::write(path, png.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ImageBuffer, Luma, Rgb, RgbImage};

    fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn jpeg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = GrayImage::from_fn(90, 70, |x, y| Luma([(x * 2 + (y * 37) % 60) as u8]));
        JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&picture).unwrap();
        bytes
    }

    fn code(bytes: &[u8]) -> &'static str {
        decode(bytes).expect_err("should be refused").code()
    }

    #[test]
    fn files_that_are_no_picture() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(read(here).unwrap_err().code(), "directory");
        assert_eq!(read(&here.join("Cargo.toml")).unwrap_err().code(), "not_an_image");
        let error = read(&here.join("no-such-film.jpg")).unwrap_err();
        assert_eq!(error.code(), "missing");
        assert!(error.to_string().contains("no-such-film.jpg: there is no such file"), "{error}");
        let error = read(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.code(), "not_an_image");
        assert!(error.to_string().ends_with("copy the picture to a file first"), "{error}");
        assert_eq!(code(b""), "empty");
        assert_eq!(code(b"P5 1 1 255 x"), "not_an_image");
        assert_eq!(code(b"\xFF\xD8\xFF"), "truncated");
        assert_eq!(code(b"\xFF\xD8\xFF\xD9"), "damaged");
    }

    #[test]
    fn every_truncation_is_refused() {
        for whole in [jpeg(), png(GrayImage::from_fn(40, 30, |x, y| Luma([(x * y) as u8])))] {
            assert!(decode(&whole).is_ok());
            for length in 0..whole.len() - 12 {
                assert!(decode(&whole[..length]).is_err(), "{length} of {} bytes were taken", whole.len());
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic() {
        for whole in [jpeg(), png(RgbImage::from_pixel(20, 20, Rgb([1, 2, 3])))] {
            for at in 0..whole.len().min(700) {
                for value in [0x00, 0x7F, 0xFF] {
                    let mut bytes = whole.clone();
                    bytes[at] = value;
                    let _ = decode(&bytes);
                }
            }
        }
    }

    #[test]
    fn a_huge_header_is_refused_before_its_pixels_are_decoded() {
        let mut bytes = png(GrayImage::new(1, 1));
        // Width and height of the IHDR chunk, then its checksum.
        bytes[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
        let crc = crc32(&bytes[12..29]).to_be_bytes();
        bytes[29..33].copy_from_slice(&crc);
        assert_eq!(code(&bytes), "too_large");
    }

    /// The PNG checksum (ISO 3309), bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        })
    }

    #[test]
    fn sixteen_bits_keep_the_contrast_of_a_12_bit_film() {
        let film: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_fn(2, 1, |x, _| Luma([(x * 4095) as u16]));
        assert_eq!(decode(&png(film)).unwrap().into_raw(), [0, 255]);
        let half: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_fn(2, 1, |x, _| Luma([(32_768 + x * 32_767) as u16]));
        assert_eq!(decode(&png(half)).unwrap().into_raw(), [128, 255]);
    }

    /// Print workflows store CMYK inverted (Adobe): taken the wrong way round, a film would be its negative.
    #[test]
    fn cmyk_keeps_its_polarity() {
        let gradient = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/cmyk.jpg")).unwrap();
        let row = |y: u32| (0..320).map(|x| f64::from(gradient.get_pixel(x, y)[0])).sum::<f64>() / 320.0;
        for y in [10, 80, 160, 240, 310] {
            let drawn = f64::from(y) / 319.0 * 255.0;
            assert!((row(y) - drawn).abs() < 6.0, "row {y}: {} instead of {drawn}", row(y));
        }
    }

    #[test]
    fn exif_orientation_is_applied() {
        // APP1 with a little-endian TIFF that has the one entry "orientation = 6": rotate by 90 degrees clockwise.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let plain = jpeg();
        let mut turned = plain[..2].to_vec();
        turned.extend_from_slice(exif);
        turned.extend_from_slice(&plain[2..]);
        let (plain, turned) = (decode(&plain).unwrap(), decode(&turned).unwrap());
        assert_eq!(image::imageops::rotate90(&plain), turned);
    }
}
