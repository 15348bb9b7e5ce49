//! A gray picture in floating point, for measuring.

use image::GrayImage;

use crate::gray::percentile;

use super::geometry::{Line, Quad};

/// Gray values 0..=255, row by row.
pub struct Plane {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

impl Plane {
    /// The picture, each value the mean of `factor` x `factor` pixels. Rows and columns that do not fill a last block
    /// are left out; a picture smaller than one block gives a plane without pixels.
    pub fn reduced(picture: &GrayImage, factor: usize) -> Self {
        let (columns, rows) = (picture.width() as usize, picture.height() as usize);
        let (width, height) = (columns / factor, rows / factor);
        let mut values = Vec::with_capacity(width * height);
        if width > 0 {
            let scale = 1.0 / (factor * factor) as f32;
            let mut sums = vec![0u32; width];
            for block in picture.as_raw().chunks_exact(columns * factor) {
                sums.fill(0);
                for row in block.chunks_exact(columns) {
                    for (sum, pixels) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                        *sum += pixels.iter().map(|&gray| u32::from(gray)).sum::<u32>();
                    }
                }
                values.extend(sums.iter().map(|&sum| sum as f32 * scale));
            }
        }
        Plane { width, height, values }
    }

    /// Bilinear value at a position; `None` outside the picture.
    pub fn get(&self, x: f32, y: f32) -> Option<f32> {
        let inside = x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32;
        inside.then(|| self.sample(x, y))
    }

    /// Bilinear value at a position; beyond the picture, the nearest pixel's. The plane must have a pixel.
    pub fn sample(&self, x: f32, y: f32) -> f32 {
        let x = (x - 0.5).clamp(0.0, (self.width - 1) as f32);
        let y = (y - 0.5).clamp(0.0, (self.height - 1) as f32);
        let (x0, y0) = (x as usize, y as usize);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (upper, lower) = (y0 * self.width, y1 * self.width);
        let above = self.values[upper + x0] * (1.0 - fx) + self.values[upper + x1] * fx;
        let below = self.values[lower + x0] * (1.0 - fx) + self.values[lower + x1] * fx;
        above * (1.0 - fy) + below * fy
    }

    /// The picture after a 3 x 3 binomial filter (1 2 1); the outermost pixels keep their values.
    pub fn smoothed(&self) -> Plane {
        let mut values = self.values.clone();
        for y in 1..self.height.saturating_sub(1) {
            for x in 1..self.width - 1 {
                let row = |y: usize| {
                    let at = y * self.width + x;
                    self.values[at - 1] + 2.0 * self.values[at] + self.values[at + 1]
                };
                values[y * self.width + x] = (row(y - 1) + 2.0 * row(y) + row(y + 1)) / 16.0;
            }
        }
        Plane { width: self.width, height: self.height, values }
    }

    /// Central differences in x and y, gray levels per pixel. Not for the outermost pixels.
    pub fn gradient(&self, x: usize, y: usize) -> [f32; 2] {
        let at = y * self.width + x;
        [
            (self.values[at + 1] - self.values[at - 1]) / 2.0,
            (self.values[at + self.width] - self.values[at - self.width]) / 2.0,
        ]
    }

    /// See [`percentile`]; rounded to whole grays.
    pub fn percentile(&self, percent: f32) -> f32 {
        let grays: Vec<u8> = self.values.iter().map(|&value| value.round() as u8).collect();
        f32::from(percentile(&grays, percent))
    }

    /// The values more than 3 pixels outside a clockwise convex quadrilateral.
    pub fn outside(&self, quad: &Quad) -> Vec<f32> {
        self.by_depth(quad, |depth| depth < -3.0)
    }

    /// The values more than 3 pixels inside a clockwise convex quadrilateral.
    pub fn inside(&self, quad: &Quad) -> Vec<f32> {
        self.by_depth(quad, |depth| depth > 3.0)
    }

    /// The values whose distance from the nearest side, negative outside, is wanted.
    fn by_depth(&self, quad: &Quad, wanted: impl Fn(f64) -> bool) -> Vec<f32> {
        let lines: [Line; 4] = std::array::from_fn(|side| Line::through(quad[side], quad[(side + 1) % 4]));
        let depth = |index: usize| {
            let p = [(index % self.width) as f64 + 0.5, (index / self.width) as f64 + 0.5];
            lines.iter().map(|line| line.distance(p)).fold(f64::INFINITY, f64::min)
        };
        self.values.iter().enumerate().filter(|&(index, _)| wanted(depth(index))).map(|(_, &value)| value).collect()
    }
}

#[cfg(test)]
mod tests;
