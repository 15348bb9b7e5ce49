//! The scene of a film on a light box.

use std::f64::consts::TAU;

use image::{GrayImage, Luma, imageops};
use rand::Rng;
use xray_triage_core::film::Point;

use super::camera::{Camera, Photograph};
use super::effects::{Choices, Effect, Effects, between};
use super::marks::Marks;
use super::mount::{Held, Mount};
use super::reflections::Reflections;
use super::sheet::{self, LONG_MM};

/// Width of a film's border, millimetres.
const BORDER_MM: [[f64; 2]; 5] = [[0.0, 0.0], [0.0, 4.0], [0.0, 6.0], [0.0, 9.0], [5.0, 15.0]];
/// Largest relative fall of the panel's light from its brightest place to the farthest edge of the film, in x and in y.
const PANEL_FALL: [f64; 5] = [0.0, 0.15, 0.3, 0.4, 0.5];
/// Width of the panel that is left free beside the film, millimetres.
const PANEL_MARGIN_MM: [[f64; 2]; 5] = [[40.0, 40.0], [25.0, 70.0], [15.0, 60.0], [10.0, 50.0], [4.0, 40.0]];
/// Fewest and most clips.
const CLIPS: [[usize; 2]; 5] = [[0, 0], [0, 2], [0, 3], [0, 3], [2, 4]];
/// How far a clip reaches over the film, millimetres.
const CLIP_REACH_MM: [[f64; 2]; 5] = [[0.0, 0.0], [4.0, 9.0], [4.0, 12.0], [4.0, 14.0], [10.0, 25.0]];

/// Radius of the sheet's rounded corners, millimetres.
const CORNER_MM: f64 = 5.0;

/// A hand-held photograph of a film on a light box in a dark room.
///
/// The sheet's transmittance is T = T0 + (T1 - T0) g^gamma, the look a laser imager prints for. Here g is the film's gray
/// (0..=1) and gamma is 1.9 to 2.5. T1 = 10^-D is that of base and fog (D 0.16 to 0.26), and T0 that of the blackest print
/// (D 2.3 to 3.1). The base is blue. [`Effect::Moire`] does nothing.
///
/// # Panics
/// If the film has no pixel.
pub fn film_on_lightbox(film: &GrayImage, effects: &Effects, seed: u64) -> Photograph {
    mounted_film(film, effects, seed, &Mount::default())
}

/// [`film_on_lightbox`] with a film that hangs under a rail or flush with sides of the panel, or with no film at all. The
/// corners are those of the part of the film that is seen; the rectified film is the whole one.
///
/// # Panics
/// If the film has no pixel.
pub fn mounted_film(film: &GrayImage, effects: &Effects, seed: u64, mount: &Mount) -> Photograph {
    let choices = Choices { effects, seed };
    let rectified = bordered(&sheet::polarized(film, &choices), &choices);
    let half = sheet::size_mm(&rectified).map(|side| side / 2.0);
    let mut rng = choices.of_scene();
    let gamma = between(&mut rng, [1.9, 2.5]);
    let clear = 10f64.powf(-between(&mut rng, [0.16, 0.26]));
    let black = 10f64.powf(-between(&mut rng, [2.3, 3.1]));
    let base = [between(&mut rng, [0.84, 0.94]), between(&mut rng, [0.95, 0.99]), 1.0];
    let transmittances = sheet::radiances(clear, black, gamma);
    let housing = between(&mut rng, [0.01, 0.06]);
    let housing_mm = between(&mut rng, [15.0, 50.0]);
    let room = between(&mut rng, [0.002, 0.02]);
    let mut panel = Panel::draw(&choices, half);
    let held = Held::draw(&choices, mount);
    panel.edges = held.edges(panel.edges, half);
    let clips = Clips::draw(&choices, half);
    let marks = Marks::draw(&choices, half);
    let reflections = Reflections::draw(&choices, half);

    let radiance = |[x, y]: Point| {
        let beyond_panel = beyond(panel.edges, [x, y]);
        let colour = if clips.hide([x, y], half) {
            [clips.radiance; 3]
        } else if beyond_panel >= 0.0 {
            let width = if y < panel.edges[1] { housing_mm.max(held.rail_mm()) } else { housing_mm };
            [if beyond_panel < width { held.rim(beyond_panel, housing) } else { room }; 3]
        } else if !mount.empty && on_sheet([x, y], half, CORNER_MM) {
            let (u, v) = ((x / half[0] + 1.0) / 2.0, (y / half[1] + 1.0) / 2.0);
            let transmitted = panel.light([x, y]) * sheet::lookup(&rectified, &transmittances, u, v);
            let mark = marks.at([x, y]);
            base.map(|base| transmitted * base * mark.transmits + mark.adds)
        } else {
            [panel.light([x, y]); 3]
        };
        colour.map(|c| c + reflections.at([x, y]))
    };
    let camera = Camera::draw(&choices, half, [0.6, 0.84]);
    let photo = camera.photograph(&choices, radiance, |_, _| 1.0);
    let corners = held.visible(half).map(|corner| camera.place(corner));
    Photograph { photo, corners, rectified }
}

/// The light box's lit panel. Its light falls off from a brightest place, and shows the tubes behind it as faint stripes.
struct Panel {
    /// Left, top, right and bottom edge, millimetres.
    edges: [f64; 4],
    brightest: Point,
    /// Fall of the light in x and in y, for each square millimetre.
    fall: [f64; 2],
    /// Relative depth of the stripes.
    ripple: f64,
    /// From one tube to the next, millimetres.
    tubes_mm: f64,
    /// Place of the first tube, as a share of that distance.
    first_tube: f64,
}

impl Panel {
    /// Draws a panel behind a film of these half sizes, millimetres.
    fn draw(choices: &Choices, half: [f64; 2]) -> Self {
        let mut rng = choices.of(Effect::Panel);
        let margin = [0; 4].map(|_| between(&mut rng, choices.at(Effect::Panel, &PANEL_MARGIN_MM)));
        let edges = [-half[0] - margin[0], -half[1] - margin[1], half[0] + margin[2], half[1] + margin[3]];
        let brightest = half.map(|half| half * between(&mut rng, [-0.5, 0.5]));
        let farthest = [half[0] + brightest[0].abs(), half[1] + brightest[1].abs()];
        let panel_fall = choices.at(Effect::Panel, &PANEL_FALL);
        let fall = farthest.map(|mm| panel_fall * between(&mut rng, [0.3, 1.0]) / (mm * mm));
        let tubes_mm = between(&mut rng, [110.0, 170.0]);
        let first_tube = between(&mut rng, [0.0, 1.0]);
        Panel { edges, brightest, fall, ripple: panel_fall * 0.1, tubes_mm, first_tube }
    }

    /// The panel's radiance at a place.
    fn light(&self, [x, y]: Point) -> f64 {
        let light =
            1.0 - self.fall[0] * (x - self.brightest[0]).powi(2) - self.fall[1] * (y - self.brightest[1]).powi(2)
                + self.ripple * (TAU * (x / self.tubes_mm + self.first_tube)).cos();
        light.max(0.1)
    }
}

/// Clips that hold the film by its upper edge.
struct Clips {
    radiance: f64,
    clips: Vec<Clip>,
}

/// One clip, all in millimetres.
struct Clip {
    /// Its middle's distance from the film's, to the right.
    middle: f64,
    width: f64,
    /// How far it reaches below the film's upper edge.
    reach: f64,
}

impl Clips {
    /// Draws the clips of a film of these half sizes, millimetres.
    fn draw(choices: &Choices, half: [f64; 2]) -> Self {
        let mut rng = choices.of(Effect::Clips);
        let [fewest, most] = choices.at(Effect::Clips, &CLIPS);
        let radiance = between(&mut rng, [0.01, 0.15]);
        let clips = (0..rng.random_range(fewest..=most))
            .map(|_| {
                let reach = between(&mut rng, choices.at(Effect::Clips, &CLIP_REACH_MM));
                let middle = between(&mut rng, [-0.8, 0.8]) * half[0];
                Clip { middle, width: between(&mut rng, [15.0, 45.0]), reach }
            })
            .collect();
        Clips { radiance, clips }
    }

    /// Whether a clip is in front of a place.
    fn hide(&self, [x, y]: Point, half: [f64; 2]) -> bool {
        let hides = |clip: &Clip| {
            (x - clip.middle).abs() < clip.width / 2.0 && y < -half[1] + clip.reach && y > -half[1] - 25.0
        };
        self.clips.iter().any(hides)
    }
}

/// The film within its border.
fn bordered(film: &GrayImage, choices: &Choices) -> GrayImage {
    let mut rng = choices.of(Effect::Border);
    let border_mm = between(&mut rng, choices.at(Effect::Border, &BORDER_MM));
    let gray = if rng.random_bool(0.3) { 255 } else { 0 };
    let (width, height) = film.dimensions();
    let border = (border_mm / LONG_MM * f64::from(width.max(height))).round() as u32;
    let mut sheet = GrayImage::from_pixel(width + 2 * border, height + 2 * border, Luma([gray]));
    imageops::replace(&mut sheet, film, i64::from(border), i64::from(border));
    sheet
}

/// How far a place lies beyond a rectangle (left, top, right, bottom edge), along the axis on which that is more. It is
/// negative inside.
fn beyond([left, top, right, bottom]: [f64; 4], [x, y]: Point) -> f64 {
    (left - x).max(top - y).max(x - right).max(y - bottom)
}

/// Whether a place lies on a sheet with rounded corners.
fn on_sheet([x, y]: Point, half: [f64; 2], radius_mm: f64) -> bool {
    let (dx, dy) = (x.abs() - half[0] + radius_mm, y.abs() - half[1] + radius_mm);
    dx < radius_mm && dy < radius_mm && (dx < 0.0 || dy < 0.0 || dx.hypot(dy) < radius_mm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_housing_is_measured_from_the_side_that_it_lies_at() {
        let panel = [-10.0, -20.0, 30.0, 40.0];
        let distances = [[-12.0, 0.0], [0.0, -23.0], [34.0, 0.0], [0.0, 45.0], [-11.0, 46.0], [0.0, 0.0]];
        assert_eq!(distances.map(|place| beyond(panel, place)), [2.0, 3.0, 4.0, 5.0, 6.0, -10.0]);
    }
}
