//! A heat map drawn over a film.

use image::{GrayImage, Rgb, RgbImage};

use crate::cam::HeatMap;

/// Five equidistant colours of viridis, which keeps its order for colour-blind eyes and in gray print (van der Walt
/// and Smith 2015, matplotlib's default map). Linear in between.
const VIRIDIS: [[f32; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];

/// Opacity of the map where it is strongest, 0..=1; it falls to 0 with the map, so the film shows through.
const STRONGEST_ALPHA: f32 = 0.6;
/// The line on the map surrounds what is at least this share of the strongest place.
pub const LINE_LEVEL: f32 = 0.5;
/// Colour of that line.
const LINE: Rgb<u8> = Rgb([255, 255, 255]);

/// A film with the map over it, and a line of `reach` pixels around the strongest half; without a map the film alone.
pub fn with_map(film: &GrayImage, heat: Option<&HeatMap>, reach: u32) -> RgbImage {
    let (width, height) = film.dimensions();
    let value =
        |heat: &HeatMap, x: u32, y: u32| heat.at((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
    RgbImage::from_fn(width, height, |x, y| {
        let gray = Rgb([film.get_pixel(x, y)[0]; 3]);
        let Some(heat) = heat else { return gray };
        let here = value(heat, x, y);
        let on_line = here >= LINE_LEVEL
            && [(x.wrapping_sub(reach), y), (x + reach, y), (x, y.wrapping_sub(reach)), (x, y + reach)]
                .iter()
                .any(|&(x, y)| x < width && y < height && value(heat, x, y) < LINE_LEVEL);
        if on_line { LINE } else { colour(gray, here) }
    })
}

/// What a map value in 0..=1 makes of the colour under it.
pub fn colour(under: Rgb<u8>, value: f32) -> Rgb<u8> {
    blend(under, viridis(value), STRONGEST_ALPHA * value)
}

/// `over` laid on `under` with an opacity in 0..=1.
pub fn blend(under: Rgb<u8>, over: [f32; 3], alpha: f32) -> Rgb<u8> {
    Rgb(std::array::from_fn(|channel| {
        (f32::from(under[channel]) * (1.0 - alpha) + over[channel] * alpha).round() as u8
    }))
}

/// The colour of a map value in 0..=1.
fn viridis(value: f32) -> [f32; 3] {
    let position = value.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let low = (position as usize).min(VIRIDIS.len() - 2);
    let share = position - low as f32;
    std::array::from_fn(|channel| VIRIDIS[low][channel] * (1.0 - share) + VIRIDIS[low + 1][channel] * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colour_map_runs_through_its_anchors() {
        assert_eq!(viridis(0.0), VIRIDIS[0]);
        assert_eq!(viridis(0.5), VIRIDIS[2]);
        assert_eq!(viridis(1.0), VIRIDIS[4]);
    }
}
