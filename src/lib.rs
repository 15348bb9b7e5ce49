//! The box: a camera over a light box, a display, a button and two LEDs around the film judgement of
//! [`xray_triage_core`]. Research use only, not for diagnosis.
//!
//! - [`appliance`] is the box at work: it takes a film at each press of the button, has it judged, keeps the case and shows
//!   the verdict.
//! - [`camera`], [`display`] and [`gpio`] (button and LEDs) are its hardware. Each is a trait with an implementation for
//!   Linux, which the cargo feature `box` builds in, and a simulated one.
//! - [`ui`] draws its screens.
//! - [`caselog`] keeps its cases.
//! - [`config`] reads its settings. Each section's type stands with the part that it sets up.
//! - [`doctor`] checks whether it can work.
//! - [`embedded_model`] is the model that is built into the program.
//! - [`cli`] is the program's command line, on top of all others.
//!
//! An error's message says what was wrong, where, and what to do, and it has the words of its cause. So it is printed
//! alone, without its chain of causes.

#[cfg(all(feature = "box", not(target_os = "linux")))]
compile_error!("the feature `box` is the box's hardware, which needs Linux: build without it");

pub mod appliance;
pub mod camera;
pub mod caselog;
pub mod cli;
pub mod config;
pub mod display;
pub mod doctor;
pub mod embedded_model;
pub mod gpio;
pub mod ui;
