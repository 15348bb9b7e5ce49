//! Judges one photograph of a chest X-ray film: an image file or a camera frame in, a calibrated three-class decision
//! and class activation maps (CAM) out. Research use only, not for diagnosis.
//!
//! In the order the data flows: [`image_file`] reads a file, [`film`] finds and rectifies the film, [`gate`] refuses
//! what cannot be judged and [`ood`] what is no frontal chest film, [`preprocess`] makes the input tensor, [`network`]
//! runs the network of a [`bundle`], which also gives the [`cam`], and [`decision`] turns logits into an outcome.
//! [`pipeline`] joins these stages and returns a [`record`]. [`overlay`] draws a heat map over a film.

pub mod atomic_file;
pub mod bundle;
pub mod cam;
pub mod decision;
pub mod film;
pub mod gate;
pub mod gray;
pub mod image_file;
pub mod network;
pub mod onnx;
pub mod ood;
pub mod overlay;
pub mod pipeline;
pub mod preprocess;
pub mod reason;
pub mod record;
#[cfg(test)]
mod testing;

/// The sentence that goes with every outcome, picture and export.
pub const DISCLAIMER: &str = "Research use only, not for diagnosis.";
