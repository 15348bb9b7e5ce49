//! Whether anything moves in front of the camera. While nothing moves, the preview may be slower.

use std::time::{Duration, Instant};

use image::{GrayImage, imageops};

/// How many cells the grid by which frames are compared has along each side.
const GRID: u32 = 16;
/// By how many gray levels of 255 the mean of a cell must change to count as movement. A cell of a camera's frame has
/// thousands of pixels, so noise does not change its mean.
const MOVED: u8 = 4;
/// How long a scene counts as moving after its last change.
const LINGER: Duration = Duration::from_secs(5);

/// The scene as it was when it last changed.
pub struct Stillness {
    cells: Vec<u8>,
    changed: Instant,
}

impl Stillness {
    /// A scene without a frame yet. The first frame is a change.
    pub fn new(now: Instant) -> Self {
        Stillness { cells: Vec::new(), changed: now }
    }

    /// Compares a frame with the scene. Returns true if nothing has changed for five seconds.
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
