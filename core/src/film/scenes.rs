//! Drawn scenes with known corners, for the tests of this module.

use image::{GrayImage, Luma};
use proptest::prelude::*;

use super::geometry::{Homography, Line, Point, Quad, distance};

/// A quadrilateral on an even surround, with a texture inside. Grays are 0..=255.
#[derive(Clone, Debug)]
pub struct Scene {
    pub width: u32,
    pub height: u32,
    /// Clockwise from the top left, frame pixels.
    pub corners: Quad,
    /// Gray of the surround.
    pub outside: f64,
    /// Mean gray inside.
    pub inside: f64,
    /// How far the texture inside departs from its mean, gray levels.
    pub texture: f64,
    /// Largest departure of the noise in every pixel, gray levels.
    pub noise: f64,
    pub seed: u32,
}

impl Scene {
    pub fn draw(&self) -> GrayImage {
        let to_square =
            Homography::from_unit_square(&self.corners).expect("corners of a convex quadrilateral").inverse();
        let mut state = self.seed;
        let mut random = || {
            // Linear congruential generator (Numerical Recipes).
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24)
        };
        GrayImage::from_fn(self.width, self.height, |x, y| {
            // Four samples a pixel, as a sensor averages over its pixels.
            let offsets = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];
            let gray = |[dx, dy]: Point| {
                let [u, v] = to_square.apply([f64::from(x) + dx, f64::from(y) + dy]);
                if (0.0..1.0).contains(&u) && (0.0..1.0).contains(&v) {
                    self.inside + self.texture * (9.0 * u).sin() * (7.0 * v).cos()
                } else {
                    self.outside
                }
            };
            let mean = offsets.map(gray).iter().sum::<f64>() / 4.0;
            Luma([(mean + self.noise * (2.0 * random() - 1.0)).round().clamp(0.0, 255.0) as u8])
        })
    }

    /// The scene with the panel and the film covered beyond some sides (top, right, bottom, left) by a rail or housing of
    /// one gray, which reaches `reach` pixels over the film. The corners are then those of what is seen of the film.
    pub fn held(&self, sides: [bool; 4], reach: f64, gray: u8) -> (GrayImage, Scene) {
        let lines: [Line; 4] = std::array::from_fn(|side| {
            let mut line = Line::through(self.corners[side], self.corners[(side + 1) % 4]);
            line.offset += if sides[side] { reach } else { 0.0 };
            line
        });
        let mut frame = self.draw();
        for (x, y, pixel) in frame.enumerate_pixels_mut() {
            let at = [f64::from(x) + 0.5, f64::from(y) + 0.5];
            if (0..4).any(|side| sides[side] && lines[side].distance(at) < 0.0) {
                *pixel = Luma([gray]);
            }
        }
        let corner = |a: usize, b: usize| lines[a].meet(&lines[b]).expect("neighbouring sides meet");
        let corners = [corner(3, 0), corner(0, 1), corner(1, 2), corner(2, 3)];
        (frame, Scene { corners, ..self.clone() })
    }

    /// Largest distance of a found corner from the true one, pixels.
    pub fn corner_error(&self, found: &Quad) -> f64 {
        self.corners.iter().zip(found).map(|(&truth, &found)| distance(truth, found)).fold(0.0, f64::max)
    }
}

/// Frames of 300 to 460 pixels with a near-rectangle of 45 to 75 % of each side in their middle, turned by up to 10
/// degrees, each corner moved by up to 2 % of the frame.
pub fn scenes(outside: impl Strategy<Value = f64>, inside: impl Strategy<Value = f64>) -> impl Strategy<Value = Scene> {
    let shape = (300..460u32, 300..460u32, 0.45..0.75f64, 0.45..0.75f64, -10.0..10.0f64);
    let moved = proptest::array::uniform4((-0.02..0.02f64, -0.02..0.02f64));
    (shape, moved, outside, inside, 0.0..12.0f64, 0.0..6.0f64, any::<u32>()).prop_map(
        |((width, height, across, down, degrees), moved, outside, inside, texture, noise, seed)| {
            let (w, h) = (f64::from(width), f64::from(height));
            let (sin, cos) = degrees.to_radians().sin_cos();
            let square = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]];
            let corners = std::array::from_fn(|corner| {
                let [u, v]: Point = square[corner];
                let (x, y) = (u * across * w, v * down * h);
                let (dx, dy) = moved[corner];
                [w / 2.0 + x * cos - y * sin + dx * w, h / 2.0 + x * sin + y * cos + dy * h]
            });
            Scene { width, height, corners, outside, inside, texture, noise, seed }
        },
    )
}
