//! From a checkpoint to the ONNX graph that the device runs: float, or int8 with fixed scales.
//!
//! Both graphs read `image`, float32 `[1, 3, size, size]`. They give `logits`, float32 `[1, classes]`, and `cam`, float32
//! `[1, classes, side, side]`: the class activation maps (Zhou et al. 2016). The mean of a class's map plus the
//! classifier's bias is the class's logit.
//!
//! The int8 graph uses what both tract and onnxruntime load: `QLinearConv` for the convolutions that hold nearly all
//! of the work, with int8 weights of one scale a channel and uint8 activations of one scale a tensor. The stem, the
//! attention, the norms before convolutions and the class activation maps stay in float.
//!
//! [`measure_ranges`] finds the activation ranges with the float graph. [`int8_model`] needs nothing else: from the ranges
//! in a file and the checkpoint, the same graph can be made again, bit for bit.

mod activation_ranges;
pub mod agreement;
mod fold;
mod graph;
mod layers;
pub(crate) mod onnx;
mod quantize;
mod session;

use std::path::PathBuf;

use xray_triage_core::image_file::ImageFileError;

pub use self::activation_ranges::{Estimator, measure_ranges};
pub use self::layers::{LayerError, layer_errors};
pub use self::session::Session;
use crate::model::architecture::Architecture;
use crate::model::int8::RangeError;
pub use crate::model::int8::Ranges;
use crate::model::state_dict::{StateDict, StateDictError};

/// Why a graph could not be made, run or compared.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The state does not fit the architecture, or cannot be read or written.
    #[error(transparent)]
    State(#[from] StateDictError),
    /// The activation ranges do not fit the architecture.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The architecture, which may come from a checkpoint, is one that no network can have.
    #[error("the architecture cannot be that of a network: {problem}; give a checkpoint of `trainer train`")]
    Architecture {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The input has too few pixels for the network's strides.
    #[error("an input of {size} x {size} pixels is too small for {blocks} dense blocks; give at least {least}")]
    Size {
        /// Side of the input, pixels.
        size: usize,
        /// Dense blocks of the network.
        blocks: usize,
        /// The smallest side that works, pixels.
        least: usize,
    },
    /// tract refuses a graph, or fails while running it.
    #[error("tract cannot {action}: {reason}")]
    Runtime {
        /// What tract was to do.
        action: &'static str,
        /// What tract says.
        reason: String,
    },
    /// An input was not preprocessed for this network.
    #[error("an input has {found} values, {expected} are needed; preprocess it for this network")]
    InputLength {
        /// Values that the input has.
        found: usize,
        /// Values that the network reads.
        expected: usize,
    },
    /// There is no input to run the network on.
    #[error("no input to measure the activations on; give at least one, better hundreds from the training split")]
    NoInputs,
    /// A value of the network is infinite or NaN.
    #[error("tensor `{tensor}` holds a value that is not finite; train again, or leave out the input that causes it")]
    NotFinite {
        /// The tensor's name in the graph.
        tensor: String,
    },
    /// The system does not let a file or a folder be read or written.
    #[error("{path}: cannot be read or written: {error}")]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A picture cannot be read.
    #[error(transparent)]
    Picture(#[from] ImageFileError),
    /// A file's content cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two runtimes did not run on the same inputs, or not with three classes.
    #[error("{left} and {right} results cannot be compared; run both runtimes on the same inputs")]
    Count {
        /// Results of the first runtime.
        left: usize,
        /// Results of the second runtime.
        right: usize,
    },
}

/// The float graph, as the bytes of an ONNX file. `size` is the side of the input in pixels.
///
/// # Errors
/// The state does not fit the architecture, or the size is too small for it.
pub fn float_model(architecture: &Architecture, state: &StateDict, size: usize) -> Result<Vec<u8>, ExportError> {
    Ok(graph::float(architecture, state, size)?.encode())
}

/// The int8 graph, as the bytes of an ONNX file. `size` is the side of the input in pixels; `ranges` come from
/// [`measure_ranges`] on the same weights.
///
/// # Errors
/// The state or the ranges do not fit the architecture, or the size is too small for it.
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
    /// The graph, as the bytes of an ONNX file.
    pub model: Vec<u8>,
    /// The activation ranges.
    pub ranges: Ranges,
}

/// Measures the activation ranges on `inputs` ([`measure_ranges`]), and makes the int8 graph with them ([`int8_model`]).
///
/// # Errors
/// Those of the two.
pub fn quantize(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    inputs: impl IntoIterator<Item = Vec<f32>>,
    estimator: Estimator,
) -> Result<Quantized, ExportError> {
    let ranges = measure_ranges(architecture, state, size, inputs, estimator)?;
    Ok(Quantized { model: int8_model(architecture, state, size, &ranges)?, ranges })
}
