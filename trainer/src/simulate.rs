//! Simulated photographs of films: what a hand-held phone makes of a film on a light box, or of a screen that shows
//! one. Seeded, so that a photograph can be made again.
//!
//! The scene is a plane measured in millimetres, with the middle of the film sheet as its origin. Its radiance (linear,
//! 1 = mean of the panel, or white of the screen) has the order in which light meets things: light box, film, marks on the
//! film (`marks`), the room's reflections (`reflections`). Then come the camera's perspective, lens blur, defocus and
//! motion (`optics`), vignetting, exposure, colour cast, noise, clipping and mosaic (`sensor`), and JPEG. How much of
//! each is said by [`Effects`].

mod camera;
mod effects;
mod marks;
mod optics;
pub mod photographs;
mod reflections;
mod sensor;

use std::f64::consts::TAU;

use image::{DynamicImage, GrayImage, Luma, RgbImage, imageops};
use rand::Rng;
use xray_triage_core::film::{Point, Profile};

pub use effects::{Effect, Effects, WORST};

use camera::Camera;
use effects::{Choices, between};
use marks::Marks;
use reflections::Reflections;

/// A simulated photograph and the truth about it.
#[derive(Clone)]
pub struct Snapshot {
    /// 1600 x 1200 or 1200 x 1600 pixels, after JPEG coding.
    pub photo: RgbImage,
    /// True corners of the film sheet (of the picture shown, for a screen), clockwise from its top left, photo pixels;
    /// the photo itself reaches from (0, 0) to (width, height).
    pub corners: [[f32; 2]; 4],
    /// The true plate: the sheet or picture within these corners as it is without photograph, marks and clips, in the
    /// polarity in which it is shown. The digital film's pixels, with the border around them.
    pub plate: GrayImage,
}

impl Snapshot {
    /// The photograph in gray, as the device reads a file of it.
    pub fn into_gray(self) -> GrayImage {
        DynamicImage::ImageRgb8(self.photo).into_luma8()
    }

    /// Largest distance of a found corner from the true one, share of the photograph's diagonal. `found`: clockwise from the
    /// top left, photo pixels.
    pub fn corner_error(&self, found: &[[f32; 2]; 4]) -> f32 {
        let distance = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] - b[0]).hypot(a[1] - b[1]);
        let diagonal = (self.photo.width() as f32).hypot(self.photo.height() as f32);
        found.iter().zip(&self.corners).map(distance).fold(0.0, f32::max) / diagonal
    }
}

/// What photographs a film for a profile: [`film_on_lightbox`] or [`screen`]; `None` for digital films, which are taken as
/// they are.
pub fn simulator(profile: Profile) -> Option<fn(&GrayImage, &Effects, u64) -> Snapshot> {
    match profile {
        Profile::Digital => None,
        Profile::Film => Some(film_on_lightbox),
        Profile::Screen => Some(screen),
    }
}

/// Longer side of the film sheet, millimetres (35 cm x 43 cm sheets).
const FILM_LONG_MM: f64 = 430.0;

/// Width of a film's border, millimetres.
const BORDER_MM: [[f64; 2]; 5] = [[0.0, 0.0], [0.0, 4.0], [0.0, 6.0], [0.0, 9.0], [5.0, 15.0]];
/// Largest departure of a negative's gamma from 1, as the exponent of e.
const NEGATIVE_GAMMA: [f64; 5] = [0.0, 0.0, 0.1, 0.2, 0.4];
/// Largest relative fall of the panel's light from its brightest place to the farthest edge of the film, in x and in y.
const PANEL_FALL: [f64; 5] = [0.0, 0.15, 0.3, 0.4, 0.5];
/// Panel left free beside the film, millimetres.
const PANEL_MARGIN_MM: [[f64; 2]; 5] = [[40.0, 40.0], [25.0, 70.0], [15.0, 60.0], [10.0, 50.0], [4.0, 40.0]];
/// Clips, fewest and most.
const CLIPS: [[usize; 2]; 5] = [[0, 0], [0, 2], [0, 3], [0, 3], [2, 4]];
/// How far a clip bites into the film, millimetres.
const CLIP_REACH_MM: [[f64; 2]; 5] = [[0.0, 0.0], [4.0, 9.0], [4.0, 12.0], [4.0, 14.0], [10.0, 25.0]];
/// Largest relative depth of the screen's pixel grid as the photosites still see it, behind the lens and over their own
/// width.
const GRID_DEPTH: [f64; 5] = [0.0, 0.04, 0.08, 0.14, 0.2];

/// A hand-held photograph of `film` on a light box in a dark room.
///
/// The sheet's transmittance is T = T0 + (T1 - T0) g^gamma, the look a laser imager prints for, with g the film's gray
/// (0..=1), gamma 1.9 to 2.5, T1 = 10^-D of base and fog (D 0.16 to 0.26) and T0 of the blackest print (D 2.3 to 3.1).
/// The base is blue. [`Effect::Moire`] does nothing.
///
/// # Panics
/// If the film has no pixel.
pub fn film_on_lightbox(film: &GrayImage, effects: &Effects, seed: u64) -> Snapshot {
    let choices = Choices { effects, seed };
    let plate = bordered(&polarized(film, &choices), &choices);
    let half = sheet_mm(&plate).map(|side| side / 2.0);
    let mut rng = choices.of_scene();
    let gamma = between(&mut rng, [1.9, 2.5]);
    let clear = 10f64.powf(-between(&mut rng, [0.16, 0.26]));
    let black = 10f64.powf(-between(&mut rng, [2.3, 3.1]));
    let base = [between(&mut rng, [0.84, 0.94]), between(&mut rng, [0.95, 0.99]), 1.0];
    let grays = transmittances(clear, black, gamma);
    let housing = between(&mut rng, [0.01, 0.06]);
    let housing_mm = between(&mut rng, [15.0, 50.0]);
    let room = between(&mut rng, [0.002, 0.02]);

    // The panel: left, top, right, bottom edge. Its light falls off from a middle that need not be the film's.
    let mut rng = choices.of(Effect::Panel);
    let margin = [0; 4].map(|_| between(&mut rng, choices.at(Effect::Panel, &PANEL_MARGIN_MM)));
    let panel = [-half[0] - margin[0], -half[1] - margin[1], half[0] + margin[2], half[1] + margin[3]];
    let middle = half.map(|half| half * between(&mut rng, [-0.5, 0.5]));
    let farthest = [half[0] + middle[0].abs(), half[1] + middle[1].abs()];
    let panel_fall = choices.at(Effect::Panel, &PANEL_FALL);
    let fall = farthest.map(|mm| panel_fall * between(&mut rng, [0.3, 1.0]) / (mm * mm));
    let tubes_mm = between(&mut rng, [110.0, 170.0]);
    let first_tube = between(&mut rng, [0.0, 1.0]);

    // Clips bite the upper edge: offset from the film's middle, width, reach below the edge.
    let mut rng = choices.of(Effect::Clips);
    let [fewest, most] = choices.at(Effect::Clips, &CLIPS);
    let clip_radiance = between(&mut rng, [0.01, 0.15]);
    let clips: Vec<[f64; 3]> = (0..rng.random_range(fewest..=most))
        .map(|_| {
            let reach = between(&mut rng, choices.at(Effect::Clips, &CLIP_REACH_MM));
            [between(&mut rng, [-0.8, 0.8]) * half[0], between(&mut rng, [15.0, 45.0]), reach]
        })
        .collect();
    let marks = Marks::draw(&choices, half);
    let reflections = Reflections::draw(&choices, half);

    let radiance = |[x, y]: Point| {
        let beyond_panel = beyond(panel, [x, y]);
        let clipped = clips.iter().any(|c| (x - c[0]).abs() < c[1] / 2.0 && y < -half[1] + c[2] && y > -half[1] - 25.0);
        let colour = if clipped {
            [clip_radiance; 3]
        } else if beyond_panel >= 0.0 {
            [if beyond_panel < housing_mm { housing } else { room }; 3]
        } else {
            let light = 1.0 - fall[0] * (x - middle[0]).powi(2) - fall[1] * (y - middle[1]).powi(2)
                + panel_fall * 0.1 * (TAU * (x / tubes_mm + first_tube)).cos();
            let light = light.max(0.1);
            if on_sheet([x, y], half, 5.0) {
                let transmitted = light * lookup(&plate, &grays, (x / half[0] + 1.0) / 2.0, (y / half[1] + 1.0) / 2.0);
                let mark = marks.at([x, y]);
                base.map(|base| transmitted * base * mark.transmits + mark.adds)
            } else {
                [light; 3]
            }
        };
        colour.map(|c| c + reflections.at([x, y]))
    };
    let camera = Camera::draw(&choices, half, [0.6, 0.84]);
    let photo = camera.photograph(&choices, radiance, |_, _| 1.0);
    Snapshot { photo, corners: camera.corners.map(|p| p.map(|v| v as f32)), plate }
}

/// A hand-held photograph of a screen on which a viewer shows `film`: black background, half the time a gray bar
/// of buttons above, a dark frame around the screen, a dim room, and the moire of the screen's pixels against the camera's.
/// [`Effect::Border`], [`Effect::Panel`] and [`Effect::Clips`] do nothing.
///
/// The grid of red, green and blue stripes (pitch 0.2 to 0.3 mm) modulates each colour by
/// 1 + m cos(2 pi x / pitch + phase) behind the lens. Each photosite sees it in its own colour at its own place, so that it
/// beats against the sensor's mosaic.
///
/// # Panics
/// If the film has no pixel.
pub fn screen(film: &GrayImage, effects: &Effects, seed: u64) -> Snapshot {
    let choices = Choices { effects, seed };
    let plate = polarized(film, &choices);
    let half = sheet_mm(&plate).map(|side| side * 0.7 / 2.0);
    let mut rng = choices.of_scene();
    // A lit LCD pixel that is black, and its white.
    let grays = transmittances(1.0, between(&mut rng, [0.001, 0.004]), 2.2);
    let black = grays[0];
    let side = between(&mut rng, [10.0, 90.0]);
    let bar = if rng.random_bool(0.5) { between(&mut rng, [8.0, 16.0]) } else { 0.0 };
    let shown = [half[0] + side, half[1] + between(&mut rng, [1.0, 25.0])];
    let bar_gray = between(&mut rng, [0.03, 0.25]);
    let frame_mm = between(&mut rng, [8.0, 25.0]);
    let frame = between(&mut rng, [0.003, 0.02]);
    let room = between(&mut rng, [0.005, 0.04]);
    let buttons = between(&mut rng, [12.0, 30.0]);
    let marks = Marks::draw(&choices, half);
    let reflections = Reflections::draw(&choices, half);

    let radiance = |[x, y]: Point| {
        let value = if x.abs() < half[0] && y.abs() < half[1] {
            let mark = marks.at([x, y]);
            let gray = lookup(&plate, &grays, (x / half[0] + 1.0) / 2.0, (y / half[1] + 1.0) / 2.0);
            gray * mark.transmits + mark.adds
        } else if x.abs() < shown[0] && y.abs() < shown[1] {
            black
        } else if x.abs() < shown[0] && y < 0.0 && y > -shown[1] - bar {
            let on_button = (x / buttons).rem_euclid(1.0) < 0.4 && ((y + shown[1] + bar / 2.0).abs() < bar / 5.0);
            if on_button { 0.6 } else { bar_gray }
        } else if x.abs() < shown[0] + frame_mm && y > -shown[1] - bar - frame_mm && y < shown[1] + frame_mm {
            frame
        } else {
            room
        };
        [value + reflections.at([x, y]); 3]
    };
    let mut rng = choices.of(Effect::Moire);
    let pitch = between(&mut rng, [0.2, 0.3]);
    let depth = choices.at(Effect::Moire, &GRID_DEPTH) * between(&mut rng, [0.4, 1.0]);
    let grid = |[x, y]: Point, colour: usize| {
        if depth == 0.0 || x.abs() > shown[0] || y.abs() > shown[1] + bar {
            return 1.0;
        }
        let rows = 1.0 + 0.4 * depth * (TAU * y / pitch).cos();
        rows * (1.0 + depth * (TAU * (x / pitch + colour as f64 / 3.0)).cos())
    };
    let camera = Camera::draw(&choices, half, [0.66, 0.9]);
    let photo = camera.photograph(&choices, radiance, grid);
    Snapshot { photo, corners: camera.corners.map(|p| p.map(|v| v as f32)), plate }
}

/// The film in the polarity in which it is shown: as it is, or as a negative.
fn polarized(film: &GrayImage, choices: &Choices) -> GrayImage {
    assert!(film.width() > 0 && film.height() > 0, "a film without pixels");
    if choices.effects.level(Effect::Inversion) == 0 {
        return film.clone();
    }
    let bend = choices.at(Effect::Inversion, &NEGATIVE_GAMMA);
    let gamma = between(&mut choices.of(Effect::Inversion), [-bend, bend]).exp();
    let negative: [u8; 256] =
        std::array::from_fn(|gray| (255.0 * (1.0 - gray as f64 / 255.0).powf(gamma)).round() as u8);
    GrayImage::from_fn(film.width(), film.height(), |x, y| Luma([negative[usize::from(film[(x, y)][0])]]))
}

/// The film within its border.
fn bordered(film: &GrayImage, choices: &Choices) -> GrayImage {
    let mut rng = choices.of(Effect::Border);
    let border_mm = between(&mut rng, choices.at(Effect::Border, &BORDER_MM));
    let gray = if rng.random_bool(0.3) { 255 } else { 0 };
    let (width, height) = film.dimensions();
    let border = (border_mm / FILM_LONG_MM * f64::from(width.max(height))).round() as u32;
    let mut sheet = GrayImage::from_pixel(width + 2 * border, height + 2 * border, Luma([gray]));
    imageops::replace(&mut sheet, film, i64::from(border), i64::from(border));
    sheet
}

/// Width and height of the sheet, millimetres.
fn sheet_mm(film: &GrayImage) -> [f64; 2] {
    let (width, height) = (f64::from(film.width()), f64::from(film.height()));
    [width, height].map(|side| side * FILM_LONG_MM / width.max(height))
}

/// Radiance for each of the 256 grays.
fn transmittances(white: f64, black: f64, gamma: f64) -> [f64; 256] {
    std::array::from_fn(|gray| black + (white - black) * (gray as f64 / 255.0).powf(gamma))
}

/// Bilinear value of the film at a place given in 0..=1 from the left and from the top.
fn lookup(film: &GrayImage, grays: &[f64; 256], u: f64, v: f64) -> f64 {
    let clamp = |at: f64, length: u32| (at * f64::from(length) - 0.5).clamp(0.0, f64::from(length - 1));
    let (x, y) = (clamp(u, film.width()), clamp(v, film.height()));
    let (x0, y0) = (x as u32, y as u32);
    let (x1, y1) = ((x0 + 1).min(film.width() - 1), (y0 + 1).min(film.height() - 1));
    let (fx, fy) = (x - f64::from(x0), y - f64::from(y0));
    let value = |x: u32, y: u32| grays[usize::from(film.get_pixel(x, y).0[0])];
    let above = value(x0, y0) * (1.0 - fx) + value(x1, y0) * fx;
    let below = value(x0, y1) * (1.0 - fx) + value(x1, y1) * fx;
    above * (1.0 - fy) + below * fy
}

/// How far a place lies beyond a rectangle (left, top, right, bottom edge), along the axis on which that is more; negative
/// inside.
fn beyond([left, top, right, bottom]: [f64; 4], [x, y]: Point) -> f64 {
    (left - x).max(top - y).max(x - right).max(y - bottom)
}

/// Whether a place lies on a sheet with rounded corners.
fn on_sheet([x, y]: Point, half: [f64; 2], radius_mm: f64) -> bool {
    let (dx, dy) = (x.abs() - half[0] + radius_mm, y.abs() - half[1] + radius_mm);
    dx < radius_mm && dy < radius_mm && (dx < 0.0 || dy < 0.0 || dx.hypot(dy) < radius_mm)
}

#[cfg(test)]
mod tests;
