//! The box: a camera over a light box, a display, a button and two LEDs around the film judgement of
//! [`xray_triage_core`]. Research use only, not for diagnosis.
//!
//! [`appliance`] runs the box on a [`camera`], a [`display`] and [`gpio`] lines, set up by a [`config`], with the screens
//! of [`ui`]; [`caselog`] keeps what it saw, [`doctor`] looks whether it can work, [`embedded_model`] holds the built-in bundle;
//! [`cli`] is the program.

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
