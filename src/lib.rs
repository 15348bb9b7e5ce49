//! The firmware library of xray-triage: a photograph of a chest X-ray film in, a calibrated three-class triage
//! verdict and a class activation map (CAM) out.
//!
//! In the order the data flows: [`picture`] reads a file, [`film`] finds and rectifies the film (the *plate*),
//! [`gate`] refuses what cannot be judged and [`film_space`] what is no frontal chest film, [`preprocess`] makes the
//! tensor, [`infer`] runs the network of a [`bundle`], which also gives the [`cam`], [`triage`] turns logits into a verdict, [`screen`] draws it, in the words of
//! [`strings`] and the letters of [`text`]. [`pipeline`] joins them. [`appliance`] is the box, on a [`camera`], a
//! [`display`] and a [`panel`] with a button, set up by a [`config`]; [`caselog`] keeps what it saw, [`doctor`] looks
//! whether it can work; [`cli`] is the program. Research use only, not for diagnosis.

#[cfg(all(feature = "box", not(target_os = "linux")))]
compile_error!("the feature `box` is the box's hardware, which needs Linux: build without it");

pub mod appliance;
pub mod bundle;
pub mod cam;
pub mod camera;
pub mod caselog;
pub mod cli;
pub mod config;
pub mod display;
pub mod doctor;
pub mod film;
pub mod film_space;
pub mod gate;
pub mod infer;
pub mod panel;
pub mod picture;
pub mod pipeline;
pub mod preprocess;
pub mod reason;
pub mod screen;
pub mod strings;
pub mod text;
pub mod triage;
pub mod whole;

/// The sentence that goes with every verdict, picture and export.
pub const DISCLAIMER: &str = "Research use only, not for diagnosis.";
