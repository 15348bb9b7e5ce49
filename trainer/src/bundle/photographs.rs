use image::GrayImage;
use xray_triage_core::film::Profile;

use crate::simulate::{self, Effects};

/// A simulated photograph of a film for a capture profile, in gray after JPEG coding. `None` for the digital profile.
///
/// `index` is the film's place in its list. It decides the random choices, and levels 1 to 3 of the simulator come in
/// turn.
pub fn photograph(film: &GrayImage, profile: Profile, index: usize) -> Option<GrayImage> {
    photograph_at(film, profile, (index % 3 + 1) as u8, index)
}

/// A simulated photograph as of [`photograph`], at a level of the simulator from 1 to 4.
pub fn photograph_at(film: &GrayImage, profile: Profile, level: u8, index: usize) -> Option<GrayImage> {
    Some(simulate::simulator(profile)?(film, &Effects::all(level), index as u64).into_gray())
}
