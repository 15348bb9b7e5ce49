//! Making a bundle of a trained network.
//!
//! [`export()`] quantizes the network and writes the bundle. [`calibrate`] then fits, for each capture profile, the scaling
//! of the logits ([`probabilities`]), the operating points ([`operating_points`]) and the threshold of the
//! out-of-distribution score ([`ood`]). [`open()`] gives a bundle, or float weights as if they were one, for measuring.

mod calibration;
mod error;
mod export;
mod files;
pub mod ood;
mod open;
pub mod operating_points;
mod photographs;
pub mod probabilities;
#[cfg(test)]
mod tests;

pub use self::calibration::{Arithmetic, CalibrationOrigin, calibrate};
pub use self::error::BundlingError;
pub use self::export::{Exported, Quantization, Target, export, write_layer_errors};
pub use self::files::{WEIGHTS_FILE, read_checkpoint, record_metrics};
pub use self::open::{Weights, float_model, open, weights};
pub use self::photographs::{photograph, photograph_at};
