//! A camera buffer's bytes as a gray picture.

use image::{GrayImage, ImageFormat};

/// The pixel formats that are understood, best first: of equal frames the smallest on the bus.
pub const FORMATS: [&[u8; 4]; 4] = [b"MJPG", b"GREY", b"NV12", b"YUYV"];

/// The gray picture in a buffer of one of [`FORMATS`].
///
/// `stride` is the distance of two lines in bytes. GREY and NV12 (its first plane) have one byte of brightness a pixel;
/// YUYV has brightness in every other byte (V4L2 specification, "Image Formats"). `None` for another format, a buffer
/// that is too short, or a JPEG that does not decode.
pub fn gray(format: &[u8; 4], bytes: &[u8], width: u32, height: u32, stride: usize) -> Option<GrayImage> {
    if format == b"MJPG" {
        let picture = image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).ok()?;
        return Some(picture.into_luma8());
    }
    let step = match format {
        b"GREY" | b"NV12" => 1,
        b"YUYV" => 2,
        _ => return None,
    };
    let line = width as usize * step;
    let stride = stride.max(line);
    let mut gray = Vec::with_capacity(width as usize * height as usize);
    for row in 0..height as usize {
        let pixels = bytes.get(row * stride..)?.get(..line)?;
        gray.extend(pixels.iter().step_by(step));
    }
    GrayImage::from_raw(width, height, gray)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_their_stride() {
        let bytes = [1, 2, 9, 3, 4, 9];
        assert_eq!(gray(b"GREY", &bytes, 2, 2, 3).unwrap().into_raw(), [1, 2, 3, 4]);
        assert_eq!(gray(b"NV12", &bytes, 2, 2, 3).unwrap().into_raw(), [1, 2, 3, 4]);
        assert_eq!(gray(b"YUYV", &[1, 9, 2, 9, 0, 0, 3, 9, 4, 9], 2, 2, 6).unwrap().into_raw(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_motion_jpeg_frame_is_a_picture() {
        let film = GrayImage::from_fn(16, 8, |x, _| image::Luma([(x * 16) as u8]));
        let mut jpeg = std::io::Cursor::new(Vec::new());
        film.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let read = gray(b"MJPG", jpeg.get_ref(), 16, 8, 0).unwrap();
        assert_eq!(read.dimensions(), (16, 8));
        assert!(read.pixels().zip(film.pixels()).all(|(a, b)| a[0].abs_diff(b[0]) < 12));
    }

    #[test]
    fn short_buffers_and_other_formats_are_no_pictures() {
        assert!(gray(b"GREY", &[1, 2, 3], 2, 2, 2).is_none());
        assert!(gray(b"YUYV", &[], 2, 2, 4).is_none());
        assert!(gray(b"MJPG", b"not a JPEG", 2, 2, 0).is_none());
        assert!(gray(b"H264", &[0; 64], 2, 2, 2).is_none());
    }
}
