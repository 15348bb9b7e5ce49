//! Whether anything moves before the camera. While nothing does, the preview may be slower.

use std::time::{Duration, Instant};

use image::{GrayImage, imageops};

/// Cells along each side of the grid that frames are compared by.
const GRID: u32 = 16;
/// Mean gray levels, of 255, by which a cell must change. A cell of a camera's frame has thousands of pixels, so its mean
/// takes no notice of their noise.
const MOVED: u8 = 4;
/// How long a scene counts as moving after its last change.
const LINGER: Duration = Duration::from_secs(5);

/// The scene as it was when it last changed.
pub struct Stillness {
    cells: Vec<u8>,
    changed: Instant,
}

impl Stillness {
    /// Before the first frame, which is a change.
    pub fn new(now: Instant) -> Self {
        Stillness { cells: Vec::new(), changed: now }
    }

    /// Looks at a frame; true if nothing has changed for five seconds.
    pub fn look(&mut self, frame: &GrayImage, now: Instant) -> bool {
        let cells = imageops::thumbnail(frame, GRID, GRID).into_raw();
        let same = cells.len() == self.cells.len()
            && cells.iter().zip(&self.cells).all(|(cell, before)| cell.abs_diff(*before) < MOVED);
        if !same {
            self.cells = cells;
            self.changed = now;
        }
        now - self.changed >= LINGER
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    #[test]
    fn noise_is_still_and_a_film_that_is_laid_down_is_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let panel =
            |seed: u32| GrayImage::from_fn(640, 480, |x, y| Luma([200 + ((x * 7 + y * 13 + seed * 31) % 23) as u8]));
        let mut film = panel(9);
        for (x, y, pixel) in film.enumerate_pixels_mut() {
            if x < 60 && y < 60 {
                pixel.0[0] = 90;
            }
        }
        let mut stillness = Stillness::new(start);
        assert!(!stillness.look(&panel(0), at(0)));
        assert!(!stillness.look(&panel(1), at(4)));
        assert!(stillness.look(&panel(2), at(5)));
        assert!(!stillness.look(&film, at(6)), "a corner of a film");
        assert!(!stillness.look(&film, at(10)));
        assert!(stillness.look(&film, at(11)));
        assert!(!stillness.look(&GrayImage::from_pixel(320, 240, Luma([200])), at(12)), "another size");
    }
}
