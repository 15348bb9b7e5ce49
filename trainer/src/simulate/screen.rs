//! The scene of a screen that shows a film.

use std::f64::consts::TAU;

use image::GrayImage;
use rand::Rng;
use xray_triage_core::film::Point;

use super::camera::{Camera, Photograph};
use super::effects::{Choices, Effect, Effects, between};
use super::marks::Marks;
use super::reflections::Reflections;
use super::sheet;

/// Largest relative depth of the screen's pixel grid as the photosites still see it, behind the lens and over their own
/// width.
const GRID_DEPTH: [f64; 5] = [0.0, 0.04, 0.08, 0.14, 0.2];

/// A hand-held photograph of a screen on which a viewer shows a film.
///
/// The film lies on a black background, half the time with a gray bar of buttons above. Around the screen are a dark frame
/// and a dim room. The screen's pixels make moire against the camera's. [`Effect::Border`], [`Effect::Panel`] and
/// [`Effect::Clips`] do nothing.
///
/// The grid of red, green and blue stripes (pitch 0.2 to 0.3 mm) modulates each colour by
/// 1 + m cos(2 pi x / pitch + phase) behind the lens. Each photosite sees it in its own colour at its own place, so that it
/// beats against the sensor's mosaic.
///
/// # Panics
/// If the film has no pixel.
pub fn screen(film: &GrayImage, effects: &Effects, seed: u64) -> Photograph {
    let choices = Choices { effects, seed };
    let rectified = sheet::polarized(film, &choices);
    let half = sheet::size_mm(&rectified).map(|side| side * 0.7 / 2.0);
    let mut rng = choices.of_scene();
    // A lit LCD pixel that is black, and its white.
    let radiances = sheet::radiances(1.0, between(&mut rng, [0.001, 0.004]), 2.2);
    let black = radiances[0];
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
            let gray = sheet::lookup(&rectified, &radiances, (x / half[0] + 1.0) / 2.0, (y / half[1] + 1.0) / 2.0);
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
    Photograph { photo, corners: camera.corners(), rectified }
}
