//! From a checkpoint to the ONNX graph the device runs: float, or static int8.
//!
//! Both graphs take `image`, float32 `[1, 3, size, size]`, and give `logits`, float32 `[1, classes]`, and `cam`,
//! float32 `[1, classes, side, side]`: the class activation maps (Zhou et al. 2016), whose means plus the classifier's
//! bias are the logits.
//!
//! The int8 graph uses what both tract and onnxruntime load: `QLinearConv` for the convolutions that hold nearly all
//! of the work, with int8 weights of one scale a channel and uint8 activations of one scale a tensor. The stem, the
//! attention, the norms before convolutions and the class activation maps stay float.
//!
//! [`measure_ranges`] finds the activation ranges with the float graph, [`int8_model`] needs nothing else: with the ranges
//! kept in a file, a bundle can be made again from its checkpoint, bit for bit.

mod activation_ranges;
pub mod agreement;
mod fold;
mod graph;
mod layers;
pub(crate) mod onnx;
mod quantize;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use activation_ranges::{Estimator, measure_ranges};
pub use layers::{LayerError, layer_errors};
pub(crate) use quantize::{Uint8Scale, WEIGHT_LIMIT, check_range};
pub use session::Session;

use crate::model::architecture::Architecture;
use crate::model::state_dict::{StateDict, StateDictError};

/// The lowest and the highest value an activation takes, by tensor name; zero lies within.
pub type Ranges = BTreeMap<String, [f32; 2]>;

/// Why a graph could not be made, run or compared.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    State(#[from] StateDictError),
    #[error("an input of {size} x {size} pixels is too small for {blocks} dense blocks; give at least {least}")]
    Size { size: usize, blocks: usize, least: usize },
    #[error("tract cannot {action}: {reason}")]
    Runtime { action: &'static str, reason: String },
    #[error("an input has {found} values, {expected} are needed; preprocess it for this network")]
    InputLength { found: usize, expected: usize },
    #[error("no calibration input; give at least one, better hundreds from the training split")]
    NoCalibration,
    #[error("tensor `{tensor}` holds a value that is not finite; train again, or leave out the input that causes it")]
    NotFinite { tensor: String },
    #[error("no range for tensor `{tensor}`: the ranges belong to another architecture; calibrate again")]
    MissingRange { tensor: String },
    #[error("range {range:?} of tensor `{tensor}` {problem}; calibrate again")]
    Range { tensor: String, range: [f32; 2], problem: &'static str },
    #[error("{path}: cannot be read or written: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {problem}")]
    File { path: PathBuf, problem: String },
    #[error("{left} and {right} results cannot be compared; run both runtimes on the same inputs")]
    Count { left: usize, right: usize },
}

/// The float graph, as the bytes of an ONNX file. `size` is the side of the input in pixels.
pub fn float_model(architecture: &Architecture, state: &StateDict, size: usize) -> Result<Vec<u8>, ExportError> {
    Ok(graph::float(architecture, state, size)?.model.encode())
}

/// The int8 graph, as the bytes of an ONNX file. `ranges` comes from [`measure_ranges`] on the same weights.
pub fn int8_model(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    ranges: &Ranges,
) -> Result<Vec<u8>, ExportError> {
    Ok(graph::int8(architecture, state, size, ranges)?.encode())
}

/// An int8 graph and the ranges it was made with.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The bytes of an ONNX file.
    pub model: Vec<u8>,
    pub ranges: Ranges,
}

/// Calibrates, then quantizes. Each calibration input is `3 * size * size` values, channels first, as the device's
/// preprocessing makes them.
pub fn quantize(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    calibration: impl IntoIterator<Item = Vec<f32>>,
    estimator: Estimator,
) -> Result<Quantized, ExportError> {
    let ranges = measure_ranges(architecture, state, size, calibration, estimator)?;
    Ok(Quantized { model: int8_model(architecture, state, size, &ranges)?, ranges })
}
