//! A Linux framebuffer device.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::{Display, DisplayError};

/// A framebuffer such as `/dev/fb0`, 16 or 32 bits a pixel.
///
/// Its size, depth and line length are read from sysfs (Linux, Documentation/ABI/testing/sysfs-class-graphics). The
/// order of the colours is not there: 16 bits are taken as RGB 5-6-5 and 32 bits as XRGB 8-8-8-8, little-endian, which
/// is what the kernel's `simplefb` and the Raspberry Pi's driver set up.
#[derive(Debug)]
pub struct Framebuffer {
    path: PathBuf,
    device: File,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    width: u32,
    height: u32,
    /// Bytes from one line to the next.
    stride: usize,
    /// 2 or 4.
    bytes_per_pixel: usize,
}

impl Framebuffer {
    /// Opens a framebuffer for writing.
    ///
    /// # Errors
    /// There is none, it is not writable, or it has another depth.
    pub fn open(path: &Path) -> Result<Framebuffer, DisplayError> {
        let sysfs = Path::new("/sys/class/graphics").join(path.file_name().unwrap_or_default());
        Self::open_described(path, &sysfs)
    }

    fn open_described(path: &Path, sysfs: &Path) -> Result<Framebuffer, DisplayError> {
        let failed = |reason: String| DisplayError {
            path: path.into(),
            reason: format!("{reason}. Connect a display, or name another one with --display"),
        };
        let read = |name: &str| {
            let file = sysfs.join(name);
            fs::read_to_string(&file).map_err(|error| failed(format!("{} cannot be read: {error}", file.display())))
        };
        let (size, depth, stride) = (read("virtual_size")?, read("bits_per_pixel")?, read("stride")?);
        let layout = layout(&size, &depth, &stride)
            .ok_or_else(|| failed(format!("{size} pixels of {depth} bits, {stride} bytes a line, is not supported")))?;
        let device = OpenOptions::new().write(true).open(path).map_err(|error| failed(error.to_string()))?;
        Ok(Framebuffer { path: path.into(), device, layout })
    }
}

/// From the texts of sysfs. `None` unless they describe a picture of 16 or 32 bits a pixel.
fn layout(size: &str, depth: &str, stride: &str) -> Option<Layout> {
    let (width, height) = size.trim().split_once(',')?;
    let (width, height): (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
    let bytes_per_pixel = match depth.trim() {
        "16" => 2,
        "32" => 4,
        _ => return None,
    };
    let stride = stride.trim().parse().ok()?;
    let fits = width > 0 && height > 0 && stride >= width as usize * bytes_per_pixel;
    fits.then_some(Layout { width, height, stride, bytes_per_pixel })
}

impl Layout {
    /// The framebuffer's bytes with the screen in the middle, as large as fits, black around it.
    fn bytes(&self, screen: &RgbImage) -> Vec<u8> {
        let share = |side: u32, of: u32| f64::from(side) / f64::from(of.max(1));
        let scale = share(self.width, screen.width()).min(share(self.height, screen.height()));
        let fit = |side: u32, limit: u32| ((f64::from(side) * scale).round() as u32).clamp(1, limit);
        let (width, height) = (fit(screen.width(), self.width), fit(screen.height(), self.height));
        let scaled = imageops::resize(screen, width, height, FilterType::Triangle);
        let (left, top) = ((self.width - width) / 2, (self.height - height) / 2);
        let mut bytes = vec![0; self.stride * self.height as usize];
        for (x, y, &Rgb([red, green, blue])) in scaled.enumerate_pixels() {
            let at = (y + top) as usize * self.stride + (x + left) as usize * self.bytes_per_pixel;
            if self.bytes_per_pixel == 2 {
                let pixel = u16::from(red >> 3) << 11 | u16::from(green >> 2) << 5 | u16::from(blue >> 3);
                bytes[at..at + 2].copy_from_slice(&pixel.to_le_bytes());
            } else {
                bytes[at..at + 4].copy_from_slice(&[blue, green, red, 0]);
            }
        }
        bytes
    }
}

impl Display for Framebuffer {
    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        let bytes = self.layout.bytes(screen);
        self.device.rewind().and_then(|()| self.device.write_all(&bytes)).map_err(|error| DisplayError {
            path: self.path.clone(),
            reason: format!("{error}. Check that it is still connected"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_fitted_into_the_device_in_its_own_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("fb0");
        fs::write(&device, "").unwrap();
        let describe = |size: &str, depth: &str, stride: &str| {
            for (name, text) in [("virtual_size", size), ("bits_per_pixel", depth), ("stride", stride)] {
                fs::write(folder.path().join(name), format!("{text}\n")).unwrap();
            }
            Framebuffer::open_described(&device, folder.path())
        };
        let orange = RgbImage::from_pixel(2, 1, Rgb([255, 128, 8]));

        describe("4,4", "32", "20").unwrap().show(&orange).unwrap();
        let bytes = fs::read(&device).unwrap();
        assert_eq!(bytes.len(), 80);
        assert!(bytes[..20].iter().all(|byte| *byte == 0), "black above the screen");
        assert_eq!(bytes[20..36], [8, 128, 255, 0].repeat(4));
        assert_eq!(bytes[36..40], [0; 4], "the line's padding");
        assert!(bytes[60..].iter().all(|byte| *byte == 0), "black below the screen");

        describe("2,1", "16", "4").unwrap().show(&orange).unwrap();
        assert_eq!(fs::read(&device).unwrap()[..4], [0x01, 0xfc, 0x01, 0xfc]);
    }

    #[test]
    fn what_is_no_display_is_refused_with_what_to_do() {
        assert!(layout("800,480\n", "24\n", "2400\n").is_none());
        assert!(layout("800", "32", "3200").is_none());
        assert!(layout("800,480", "32", "100").is_none());
        let error = Framebuffer::open(Path::new("/dev/no-such-framebuffer")).unwrap_err().to_string();
        assert!(error.contains("/dev/no-such-framebuffer") && error.contains("--display"), "{error}");
    }
}
