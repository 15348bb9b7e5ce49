//! How much of a picture is bare light-box panel: bright, and without texture.

use image::GrayImage;

use super::plane::Plane;

/// Longest side of the copy that is looked at, pixels. The noise of single pixels is averaged away in it.
const SIDE: usize = 128;
/// A panel pixel is at least this share of the picture's bright level (98th percentile).
const BRIGHT: f32 = 0.5;
/// The most by which a panel's gray changes from one pixel of the copy to the next, as a share of it.
const CHANGE: f32 = 0.012;

/// Share of the picture, 0..=1, that is bare panel.
pub fn bare_panel(picture: &GrayImage) -> f32 {
    let longest = picture.width().max(picture.height()) as usize;
    let plane = Plane::reduced(picture, longest.div_ceil(SIDE).max(1));
    if plane.width < 3 || plane.height < 3 {
        return 0.0;
    }
    let bright = plane.percentile(98.0);
    let mut bare = 0u32;
    for y in 1..plane.height - 1 {
        for x in 1..plane.width - 1 {
            let gray = plane.values[y * plane.width + x];
            let [across, down] = plane.gradient(x, y);
            bare += u32::from(gray >= BRIGHT * bright && across.hypot(down) <= CHANGE * gray);
        }
    }
    bare as f32 / ((plane.width - 2) * (plane.height - 2)) as f32
}
