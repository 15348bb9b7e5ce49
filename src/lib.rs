//! The firmware library of xray-triage: a photograph of a chest X-ray film in, a calibrated three-class triage
//! verdict and a class activation map (CAM) out.
//!
//! The modules stand in the order the data flows. Research use only, not for diagnosis.

pub mod film;
pub mod gate;
pub mod picture;
pub mod preprocess;
pub mod reason;
