//! Simulated photographs of films: what a hand-held phone takes of a film on a light box, or of a screen that shows one.
//! A seed decides every random choice, so that a photograph can be made again.
//!
//! The scene is a plane measured in millimetres, with the middle of the film or picture as its origin (`sheet`). Its
//! radiance is linear: 1 is the mean of the light box's panel, or the white of the screen. The modules are in the order in
//! which light meets things: the light box with the film ([`film_on_lightbox`]) or the [`screen()`], marks on the film
//! (`marks`), the rail and rims that hold the film ([`Mount`]), and the room's reflections (`reflections`). Then come the camera's perspective (`camera`), lens blur,
//! defocus and motion (`optics`), vignetting, exposure, colour cast, noise, clipping and mosaic (`sensor`), and JPEG
//! coding. [`Effects`] say how much there is of each. [`photographs`] makes those that training uses.

mod camera;
mod effects;
mod lightbox;
mod marks;
mod mount;
mod optics;
pub mod photographs;
mod reflections;
mod screen;
mod sensor;
mod sheet;

use image::GrayImage;
use xray_triage_core::film::Profile;

pub use camera::Photograph;
pub use effects::{Effect, Effects, WORST};
pub use lightbox::{film_on_lightbox, mounted_film};
pub use mount::Mount;
pub use screen::screen;

/// A function that photographs a digital film, given the effects and a seed.
pub type Simulator = fn(&GrayImage, &Effects, u64) -> Photograph;

/// The simulator of a profile's photographs, [`film_on_lightbox`] or [`screen()`]. There is none for digital films, which are
/// taken as they are.
pub fn simulator(profile: Profile) -> Option<Simulator> {
    match profile {
        Profile::Digital => None,
        Profile::Film => Some(film_on_lightbox),
        Profile::Screen => Some(screen),
    }
}

#[cfg(test)]
mod tests;
