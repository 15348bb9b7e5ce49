//! How a device keeps its pixels in memory.

use image::{Rgb, RgbImage};

/// Where a colour stands in a pixel. A pixel is one little-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// How many bits are right of the colour.
    pub offset: u32,
    /// How many bits the colour has.
    pub length: u32,
}

/// The layout of a picture in memory.
#[derive(Debug)]
pub struct Layout {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Distance from one line to the next, bytes.
    pub stride: usize,
    /// Bytes of a pixel, 2 to 4.
    bytes_per_pixel: usize,
    /// For each colour, what each of its values adds to a pixel.
    shares: [[u32; 256]; 3],
}

impl Layout {
    /// A layout of this width and height in pixels, `stride` in bytes, and the fields for red, green and blue. `None` unless
    /// a pixel has 16, 24 or 32 bits, the colours lie within it, and a line has room for its pixels.
    pub fn new(size: (u32, u32), stride: usize, bits_per_pixel: u32, fields: [Field; 3]) -> Option<Layout> {
        let (width, height) = size;
        let whole = matches!(bits_per_pixel, 16 | 24 | 32);
        let within = fields.iter().all(|field| {
            (1..=16).contains(&field.length)
                && field.offset.checked_add(field.length).is_some_and(|end| end <= bits_per_pixel)
        });
        let bytes_per_pixel = bits_per_pixel as usize / 8;
        let room = width > 0 && height > 0 && stride >= (width as usize).checked_mul(bytes_per_pixel)?;
        if !(whole && within && room) {
            return None;
        }
        let share = |field: Field, value: usize| {
            let most = (1_u64 << field.length) - 1;
            (((value as u64 * most + 127) / 255) as u32) << field.offset
        };
        let shares = fields.map(|field| std::array::from_fn(|value| share(field, value)));
        Some(Layout { width, height, stride, bytes_per_pixel, shares })
    }

    /// A layout of 32 bits a pixel, from the highest: eight that are unused, then red, green and blue (DRM's XR24).
    pub fn xrgb8888(size: (u32, u32), stride: usize) -> Option<Layout> {
        Layout::new(size, stride, 32, [16, 8, 0].map(|offset| Field { offset, length: 8 }))
    }

    /// Size of the pixels of a line, bytes.
    pub fn line_bytes(&self) -> usize {
        self.width as usize * self.bytes_per_pixel
    }

    /// Size of the whole picture, bytes.
    pub fn bytes(&self) -> usize {
        self.stride * self.height as usize
    }

    /// Writes a screen into the memory of the picture, from the upper left corner on. Pixels that only one of the two has are
    /// left out.
    pub fn pack(&self, screen: &RgbImage, memory: &mut [u8]) {
        for (row, line) in screen.rows().zip(memory.chunks_mut(self.stride)) {
            let pixels = line.chunks_exact_mut(self.bytes_per_pixel).take(self.width as usize);
            for (Rgb(colours), pixel) in row.zip(pixels) {
                let share = |colour: usize| self.shares[colour][usize::from(colours[colour])];
                let value = (share(0) | share(1) | share(2)).to_le_bytes();
                pixel.copy_from_slice(&value[..self.bytes_per_pixel]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: [(u32, u32); 3]) -> [Field; 3] {
        fields.map(|(offset, length)| Field { offset, length })
    }

    fn packed(layout: &Layout, screen: &RgbImage) -> Vec<u8> {
        let mut memory = vec![0xee; layout.bytes()];
        layout.pack(screen, &mut memory);
        memory
    }

    #[test]
    fn pixels_are_packed_as_the_device_has_them() {
        let orange = RgbImage::from_pixel(1, 1, Rgb([255, 128, 8]));
        let one =
            |bits, places| packed(&Layout::new((1, 1), bits as usize / 8, bits, fields(places)).unwrap(), &orange);
        assert_eq!(one(16, [(11, 5), (5, 6), (0, 5)]), [0x01, 0xfc]); // RGB 5-6-5: 31, 32, 1
        assert_eq!(one(16, [(10, 5), (5, 5), (0, 5)]), [0x01, 0x7e]); // RGB 5-5-5: 31, 16, 1
        assert_eq!(one(24, [(16, 8), (8, 8), (0, 8)]), [8, 128, 255]);
        assert_eq!(one(24, [(0, 8), (8, 8), (16, 8)]), [255, 128, 8]);
        assert_eq!(one(32, [(16, 8), (8, 8), (0, 8)]), [8, 128, 255, 0]);
        assert_eq!(one(32, [(0, 8), (8, 8), (16, 8)]), [255, 128, 8, 0]);
        assert_eq!(one(32, [(20, 10), (10, 10), (0, 10)]), 0x3ff8_0820_u32.to_le_bytes()); // 1023, 514, 32
    }

    #[test]
    fn the_end_of_a_line_is_left_alone_and_a_wrong_size_is_harmless() {
        let layout = Layout::xrgb8888((2, 2), 12).unwrap();
        let memory = packed(&layout, &RgbImage::from_pixel(2, 2, Rgb([1, 2, 3])));
        assert_eq!(memory[..12], [3, 2, 1, 0, 3, 2, 1, 0, 0xee, 0xee, 0xee, 0xee]);
        assert_eq!(memory[12..], memory[..12]);
        let small = packed(&layout, &RgbImage::new(1, 1));
        assert_eq!(small[..8], [0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]);
        assert_eq!(packed(&layout, &RgbImage::from_pixel(9, 9, Rgb([1, 2, 3]))), memory);
    }

    #[test]
    fn other_pixels_are_refused() {
        let rgb565 = fields([(11, 5), (5, 6), (0, 5)]);
        assert!(Layout::new((800, 480), 1600, 16, rgb565).is_some());
        assert!(Layout::new((800, 480), 1598, 16, rgb565).is_none(), "too short a line");
        assert!(Layout::new((800, 480), 800, 8, rgb565).is_none(), "8 bits");
        assert!(Layout::new((800, 480), 1600, 16, fields([(12, 5), (5, 6), (0, 5)])).is_none(), "beyond the pixel");
        assert!(Layout::new((800, 480), 1600, 16, fields([(0, 0); 3])).is_none(), "no colour");
        assert!(Layout::new((0, 480), 1600, 16, rgb565).is_none(), "no pixels");
    }
}
