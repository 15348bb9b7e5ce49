//! A Linux framebuffer device, such as `/dev/fb0`.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use image::RgbImage;
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};

use super::console::SilencedConsole;
use super::layout::{Field, Layout};
use super::{Display, DisplayError, DisplayProblem};

// These are the numbers of Linux, include/uapi/linux/fb.h, where they are plain numbers, too, not made by _IOR.
const FBIOGET_VSCREENINFO: Opcode = 0x4600;
const FBIOGET_FSCREENINFO: Opcode = 0x4602;
const FB_TYPE_PACKED_PIXELS: u32 = 0;
const FB_VISUAL_TRUECOLOR: u32 = 2;
const FB_VISUAL_DIRECTCOLOR: u32 = 4;

/// `struct fb_bitfield`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct BitField {
    offset: u32,
    length: u32,
    msb_right: u32,
}

/// `struct fb_var_screeninfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Variable {
    width: u32,
    height: u32,
    virtual_width: u32,
    virtual_height: u32,
    /// Left edge of the visible part.
    left: u32,
    /// Top edge of the visible part.
    top: u32,
    bits_per_pixel: u32,
    grayscale: u32,
    red: BitField,
    green: BitField,
    blue: BitField,
    transparency: BitField,
    /// Size in millimetres, timing and rotation, which are not needed.
    rest: [u32; 20],
}

/// `struct fb_fix_screeninfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Fixed {
    name: [u8; 16],
    memory_start: std::ffi::c_ulong,
    memory_length: u32,
    kind: u32,
    kind_detail: u32,
    visual: u32,
    pan_steps: [u16; 3],
    /// Bytes from one line to the next.
    line_length: u32,
    registers_start: std::ffi::c_ulong,
    registers_length: u32,
    accelerator: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

const _: () = assert!(size_of::<Variable>() == 160);
const _: () = assert!(size_of::<Fixed>() == if size_of::<usize>() == 8 { 80 } else { 68 });

/// A framebuffer of 16, 24 or 32 bits a pixel, with the colours where the driver says that they are.
#[derive(Debug)]
pub struct Framebuffer {
    path: PathBuf,
    device: File,
    layout: Layout,
    /// Position of the first visible pixel, bytes.
    start: u64,
    /// The newest screen in the device's layout.
    bytes: Vec<u8>,
    /// Keeps the kernel from drawing over the screen.
    _console: Option<SilencedConsole>,
}

impl Framebuffer {
    /// Opens a framebuffer for writing, and silences the text console if standard input is one.
    ///
    /// # Errors
    /// There is no such device, it cannot be written, it is not a framebuffer, or its pixels are not plain RGB.
    pub fn open(path: &Path) -> Result<Framebuffer, DisplayError> {
        let failed = |problem: DisplayProblem| problem.of(path);
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| failed(DisplayProblem::from_open(error)))?;
        let (variable, fixed) =
            describe(&device).map_err(|error| failed(DisplayProblem::NotAFramebuffer(error.into())))?;
        let layout = layout(&variable, &fixed).ok_or_else(|| {
            let Variable { width, height, bits_per_pixel: bits, .. } = variable;
            failed(DisplayProblem::Pixels { width, height, bits })
        })?;
        let start = u64::from(variable.top) * u64::from(fixed.line_length)
            + u64::from(variable.left) * u64::from(variable.bits_per_pixel / 8);
        let bytes = vec![0; layout.bytes()];
        let console = SilencedConsole::new(std::io::stdin())
            .inspect_err(|error| {
                log::warn!(
                    "display {}: the text console may draw over the screens, as standard input is no console that can \
                     be silenced: {error}",
                    path.display()
                );
            })
            .ok();
        Ok(Framebuffer { path: path.into(), device, layout, start, bytes, _console: console })
    }
}

/// Asks the driver for the description of the framebuffer.
fn describe(device: &File) -> Result<(Variable, Fixed), Errno> {
    // SAFETY: the kernel writes a struct fb_var_screeninfo for the one number and a struct fb_fix_screeninfo for the
    // other, which Variable and Fixed are laid out as.
    unsafe {
        Ok((
            ioctl(device, Getter::<FBIOGET_VSCREENINFO, Variable>::new())?,
            ioctl(device, Getter::<FBIOGET_FSCREENINFO, Fixed>::new())?,
        ))
    }
}

/// Where the framebuffer keeps its pixels. `None` unless they are plain RGB.
fn layout(variable: &Variable, fixed: &Fixed) -> Option<Layout> {
    let plain = fixed.kind == FB_TYPE_PACKED_PIXELS
        && [FB_VISUAL_TRUECOLOR, FB_VISUAL_DIRECTCOLOR].contains(&fixed.visual)
        && variable.grayscale == 0;
    let fields =
        [variable.red, variable.green, variable.blue].map(|field| Field { offset: field.offset, length: field.length });
    let size = (variable.width, variable.height);
    if plain { Layout::new(size, fixed.line_length as usize, variable.bits_per_pixel, fields) } else { None }
}

impl Display for Framebuffer {
    fn size(&self) -> (u32, u32) {
        (self.layout.width, self.layout.height)
    }

    fn show(&mut self, screen: &RgbImage) -> Result<(), DisplayError> {
        self.layout.pack(screen, &mut self.bytes);
        // The last line is written up to its last pixel only: if the visible part is not at the left, the memory may end there.
        let end = self.bytes.len() - (self.layout.stride - self.layout.line_bytes());
        let written =
            self.device.seek(SeekFrom::Start(self.start)).and_then(|_| self.device.write_all(&self.bytes[..end]));
        written.map_err(|error| DisplayProblem::Show(error).of(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(offset: u32, length: u32) -> BitField {
        BitField { offset, length, msb_right: 0 }
    }

    /// What the Raspberry Pi's driver says about a display of 800 x 480 pixels.
    fn raspberry_pi() -> (Variable, Fixed) {
        let variable = Variable {
            width: 800,
            height: 480,
            bits_per_pixel: 16,
            red: field(11, 5),
            green: field(5, 6),
            blue: field(0, 5),
            ..Variable::default()
        };
        (variable, Fixed { visual: FB_VISUAL_TRUECOLOR, line_length: 1600, ..Fixed::default() })
    }

    #[test]
    fn the_layout_is_the_one_of_the_driver_or_there_is_none() {
        let (variable, fixed) = raspberry_pi();
        let found = layout(&variable, &fixed).unwrap();
        assert_eq!((found.width, found.height, found.stride), (800, 480, 1600));
        assert!(layout(&variable, &Fixed { visual: 3, ..fixed }).is_none(), "a palette");
        assert!(layout(&variable, &Fixed { kind: 1, ..fixed }).is_none(), "planes");
        assert!(layout(&Variable { grayscale: 1, ..variable }, &fixed).is_none());
    }

    #[test]
    fn a_file_that_is_no_framebuffer_is_refused_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Framebuffer::open(file.path()).unwrap_err().to_string();
        assert!(error.contains("not a framebuffer") && error.contains("display.device"), "{error}");
    }

    #[test]
    fn a_screen_lies_in_the_visible_part() {
        let (variable, fixed) = raspberry_pi();
        let layout = layout(&Variable { width: 2, height: 2, ..variable }, &Fixed { line_length: 8, ..fixed }).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = vec![0; layout.bytes()];
        let device = file.reopen().unwrap();
        let mut framebuffer = Framebuffer { path: file.path().into(), device, layout, start: 4, bytes, _console: None };
        framebuffer.show(&RgbImage::from_pixel(2, 2, image::Rgb([255; 3]))).unwrap();
        let written = std::fs::read(file.path()).unwrap();
        assert_eq!(written, [0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255]);
    }
}
