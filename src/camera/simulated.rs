//! A simulated camera that shows pictures in turn.

use std::path::PathBuf;

use image::GrayImage;
use xray_triage_core::image_file;

use super::{Camera, CameraError};

/// A camera that shows one picture until it was captured, and then the next one, over and over.
///
/// Each grab reads the file again: a file that was replaced shows its new picture, and one that vanished or cannot be read
/// is an error.
pub struct SimulatedCamera {
    pictures: Vec<PathBuf>,
    shown: usize,
}

impl SimulatedCamera {
    /// A camera that shows these pictures. `None` if there are none.
    pub fn new(pictures: Vec<PathBuf>) -> Option<SimulatedCamera> {
        (!pictures.is_empty()).then_some(SimulatedCamera { pictures, shown: 0 })
    }
}

impl Camera for SimulatedCamera {
    fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError> {
        *frame = image_file::read(&self.pictures[self.shown])?;
        Ok(())
    }

    fn origin(&self) -> String {
        self.pictures[self.shown].display().to_string()
    }

    fn captured(&mut self) {
        self.shown = (self.shown + 1) % self.pictures.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;
    use std::path::Path;

    fn film(path: &Path, gray: u8) {
        GrayImage::from_pixel(4, 3, Luma([gray])).save(path).unwrap();
    }

    #[test]
    fn a_picture_is_shown_until_it_was_captured() {
        assert!(SimulatedCamera::new(Vec::new()).is_none());
        let folder = tempfile::tempdir().unwrap();
        let (bright, dark) = (folder.path().join("bright.png"), folder.path().join("dark.png"));
        film(&bright, 200);
        film(&dark, 10);
        let mut camera = SimulatedCamera::new(vec![bright.clone(), dark.clone()]).unwrap();
        let mut frame = GrayImage::default();
        for (file, gray) in [(&bright, 200), (&dark, 10), (&bright, 200)] {
            for _preview in 0..3 {
                camera.grab(&mut frame).unwrap();
                assert_eq!((frame.dimensions(), frame.get_pixel(0, 0)[0]), ((4, 3), gray));
            }
            assert_eq!(camera.origin(), file.display().to_string());
            camera.captured();
        }
    }

    #[test]
    fn files_may_vanish_and_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1.png"), folder.path().join("2.png"));
        film(&second, 7);
        let mut camera = SimulatedCamera::new(vec![first.clone(), second.clone()]).unwrap();
        let mut frame = GrayImage::default();
        let error = camera.grab(&mut frame).unwrap_err().to_string();
        assert!(error.contains("1.png"), "{error}");
        camera.captured();
        camera.grab(&mut frame).unwrap();
        film(&second, 90);
        camera.grab(&mut frame).unwrap();
        assert_eq!(frame.get_pixel(0, 0)[0], 90);
    }
}
