//! Turns the bytes of a camera's buffer into a gray picture.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, GrayImage, ImageDecoder};
use xray_triage_core::image_file;

use super::huffman;

/// The pixel formats that are understood, best first: the one that takes the least of the bus for the same frame.
pub const FORMATS: [&[u8; 4]; 4] = [b"MJPG", b"YUYV", b"GREY", b"NV12"];

/// Largest side of a JPEG's coding unit (ITU-T T.81, A.2), pixels. The JPEG of a camera may be larger than the agreed frame
/// by a part of a unit, such as 1088 lines for 1080.
const JPEG_UNIT: u32 = 16;

/// What the bytes of a buffer are.
pub struct Layout {
    /// The pixel format, one of [`FORMATS`].
    pub format: [u8; 4],
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Distance from one line of pixels to the next, bytes. If it is less than a line, the lines follow each other without
    /// a gap. It has no meaning for MJPG.
    pub stride: usize,
}

/// Turns buffers into gray pictures. It keeps its memory from one picture to the next.
#[derive(Default)]
pub struct GrayReader {
    jpeg: Vec<u8>,
    color: Vec<u8>,
}

impl GrayReader {
    /// Puts the gray picture in a buffer into `gray`.
    ///
    /// GREY and NV12 (its first plane) have one byte of brightness a pixel; YUYV has brightness in every other byte
    /// (V4L2 specification, "Image Formats"). Returns `None`, with an undefined `gray`, for another format, a buffer that is
    /// too short, or a JPEG that is cut off, larger than agreed, or does not decode.
    pub fn read(&mut self, bytes: &[u8], layout: &Layout, gray: &mut GrayImage) -> Option<()> {
        match &layout.format {
            b"MJPG" => self.read_jpeg(bytes, layout, gray),
            b"GREY" | b"NV12" => read_lines(bytes, 1, layout, gray),
            b"YUYV" => read_lines(bytes, 2, layout, gray),
            _ => None,
        }
    }

    fn read_jpeg(&mut self, bytes: &[u8], layout: &Layout, gray: &mut GrayImage) -> Option<()> {
        // The decoder would fill missing parts with gray.
        if !image_file::jpeg_is_whole(bytes) {
            return None;
        }
        let bytes = huffman::with_tables(bytes, &mut self.jpeg);
        let decoder = JpegDecoder::new(Cursor::new(bytes)).ok()?;
        let (width, height) = decoder.dimensions();
        let agreed = |side: u32, most: u32| side > 0 && side <= most.next_multiple_of(JPEG_UNIT);
        if !agreed(width, layout.width) || !agreed(height, layout.height) {
            return None;
        }
        resize(gray, width, height);
        match decoder.color_type() {
            ColorType::L8 => decoder.read_image(gray).ok(),
            ColorType::Rgb8 => {
                self.color.resize(3 * gray.len(), 0);
                decoder.read_image(&mut self.color).ok()?;
                let (colors, _) = self.color.as_chunks();
                for (to, &color) in gray.iter_mut().zip(colors) {
                    *to = luma(color);
                }
                Some(())
            }
            _ => None,
        }
    }
}

/// Rec. 709 luma, rounded as [`image_file::decode`] does it for a file. (The `image` crate's `Rgb::to_luma` cuts
/// the fraction off, which makes a frame half a gray level darker than the same picture as a file.)
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue) + 5000) / 10_000) as u8
}

/// Reads lines in which every `step`-th byte is brightness, beginning with the first byte.
fn read_lines(bytes: &[u8], step: usize, layout: &Layout, gray: &mut GrayImage) -> Option<()> {
    let line = layout.width as usize * step;
    let stride = layout.stride.max(line);
    resize(gray, layout.width, layout.height);
    for (row, to) in gray.chunks_exact_mut((layout.width as usize).max(1)).enumerate() {
        let from = bytes.get(row.checked_mul(stride)?..)?.get(..line)?;
        for (to, from) in to.iter_mut().zip(from.iter().step_by(step)) {
            *to = *from;
        }
    }
    Some(())
}

fn resize(gray: &mut GrayImage, width: u32, height: u32) {
    if gray.dimensions() != (width, height) {
        *gray = GrayImage::new(width, height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat, Luma, Rgb, RgbImage};

    fn read(format: &[u8; 4], bytes: &[u8], width: u32, height: u32, stride: usize) -> Option<GrayImage> {
        let mut gray = GrayImage::default();
        let layout = Layout { format: *format, width, height, stride };
        GrayReader::default().read(bytes, &layout, &mut gray).map(|()| gray)
    }

    fn jpeg(picture: impl Into<DynamicImage>) -> Vec<u8> {
        let mut jpeg = Cursor::new(Vec::new());
        picture.into().write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        jpeg.into_inner()
    }

    #[test]
    fn lines_are_read_by_their_stride() {
        let bytes = [1, 2, 9, 3, 4, 9];
        assert_eq!(read(b"GREY", &bytes, 2, 2, 3).unwrap().into_raw(), [1, 2, 3, 4]);
        assert_eq!(read(b"NV12", &bytes, 2, 2, 3).unwrap().into_raw(), [1, 2, 3, 4]);
        assert_eq!(read(b"YUYV", &[1, 9, 2, 9, 0, 0, 3, 9, 4, 9], 2, 2, 6).unwrap().into_raw(), [1, 2, 3, 4]);
        assert_eq!(read(b"GREY", &[1, 2, 3, 4], 2, 2, 0).unwrap().into_raw(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_frame_is_as_bright_as_the_same_picture_in_a_file() {
        let colours = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, (x * 7 + y * 3) as u8]));
        let camera: Vec<u8> = colours.pixels().map(|colour| luma(colour.0)).collect();
        let file = DynamicImage::ImageRgb8(colours).into_luma8().into_raw();
        // The crate's weights have more digits, which decides how a few colours are rounded.
        let differences: Vec<i32> = camera.iter().zip(&file).map(|(&a, &b)| i32::from(a) - i32::from(b)).collect();
        assert!(differences.iter().all(|difference| difference.abs() <= 1));
        let mean = f64::from(differences.iter().sum::<i32>()) / differences.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
    }

    #[test]
    fn motion_jpeg_frames_are_pictures_in_gray_and_in_colour() {
        let film = GrayImage::from_fn(16, 8, |x, _| Luma([(x * 16) as u8]));
        let colour = DynamicImage::ImageLuma8(film.clone()).into_rgb8();
        for bytes in [jpeg(film.clone()), jpeg(colour)] {
            let read = read(b"MJPG", &bytes, 16, 8, 0).unwrap();
            assert_eq!(read.dimensions(), (16, 8));
            assert!(read.pixels().zip(film.pixels()).all(|(a, b)| a[0].abs_diff(b[0]) < 12));
        }
    }

    #[test]
    fn motion_jpeg_without_huffman_tables_is_read_with_the_standard_ones() {
        let film = RgbImage::from_fn(64, 48, |x, y| Rgb([(x * 4) as u8, (y * 5) as u8, ((x * y) % 256) as u8]));
        for whole in [jpeg(film.clone()), jpeg(DynamicImage::ImageRgb8(film).into_luma8())] {
            let stripped = huffman::tests::without_tables(&whole);
            assert!(stripped.len() < whole.len());
            assert_eq!(read(b"MJPG", &stripped, 64, 48, 0), read(b"MJPG", &whole, 64, 48, 0));
            assert!(read(b"MJPG", &stripped, 64, 48, 0).is_some());
        }
    }

    #[test]
    fn memory_is_used_again() {
        let mut gray = GrayImage::new(2, 2);
        let memory = gray.as_ptr();
        let layout = Layout { format: *b"GREY", width: 2, height: 2, stride: 2 };
        GrayReader::default().read(&[5, 6, 7, 8], &layout, &mut gray).unwrap();
        assert_eq!((gray.as_ptr(), gray.into_raw()), (memory, vec![5, 6, 7, 8]));
    }

    #[test]
    fn damaged_buffers_and_other_formats_are_no_pictures() {
        assert!(read(b"GREY", &[1, 2, 3], 2, 2, 2).is_none());
        assert!(read(b"YUYV", &[], 2, 2, 4).is_none());
        assert!(read(b"MJPG", b"not a JPEG", 2, 2, 0).is_none());
        assert!(read(b"H264", &[0; 64], 2, 2, 2).is_none());
        let whole = jpeg(RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 5, y as u8 * 7, 90])));
        assert!(read(b"MJPG", &whole, 40, 30, 0).is_some());
        for length in 0..whole.len() {
            assert!(read(b"MJPG", &whole[..length], 40, 30, 0).is_none(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn a_jpeg_is_no_larger_than_agreed_on() {
        let bytes = jpeg(GrayImage::new(48, 48));
        assert_eq!(read(b"MJPG", &bytes, 48, 40, 0).unwrap().dimensions(), (48, 48));
        assert!(read(b"MJPG", &bytes, 48, 32, 0).is_none());
    }
}
