use std::path::PathBuf;

use xray_triage_core::bundle::BundleError;
use xray_triage_core::network::NetworkError;

use crate::export::ExportError;
use crate::model::state_dict::StateDictError;
use crate::train::TrainError;

/// Why a bundle could not be made, opened, calibrated or changed.
#[derive(Debug, thiserror::Error)]
pub enum BundlingError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The folder is no usable bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] StateDictError),
    /// The settings of a training run cannot be read.
    #[error(transparent)]
    Run(#[from] TrainError),
    /// The network cannot be made of the weights.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The network does not load, or fails on a film.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A checkpoint does not name its architecture.
    #[error("{}: the file does not say its architecture; give a checkpoint of `trainer train`", .0.display())]
    NoArchitecture(PathBuf),
    /// The architecture that a checkpoint names cannot be read.
    #[error("{}: the architecture it names cannot be read: {source}", path.display())]
    Architecture {
        /// The checkpoint.
        path: PathBuf,
        /// The parser's message.
        source: serde_json::Error,
    },
    /// A file of activation ranges cannot be read.
    #[error("{}: {}; name the quantization.toml of an export", path.display(), source.to_string().trim_end())]
    Quantization {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        source: toml::de::Error,
    },
    /// A folder holds nothing that can be measured.
    #[error(
        "{}: neither a bundle (manifest.toml) nor a run (best.safetensors) is in this folder; give another",
        .0.display()
    )]
    NothingToOpen(PathBuf),
    /// A figure for the manifest, or for a file beside it, is NaN or infinite.
    #[error("{}: `{entry}` is not a finite number, so nothing was written; please report this", path.display())]
    NotFinite {
        /// The file that was to be written.
        path: PathBuf,
        /// The entry, with dots between its tables.
        entry: String,
    },
    /// The fitted out-of-distribution model is not usable.
    #[error("the out-of-distribution model of the films is not usable: {0}; nothing was written. Please report this")]
    OodModel(String),
    /// Something cannot be written in a file's format.
    #[error("{}: the content cannot be written: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The encoder's message.
        reason: String,
    },
    /// A bundle was exported or calibrated again while it was measured.
    #[error(
        "{}: the bundle was changed while it was measured, so the figures do not belong to it any more; measure again",
        .0.display()
    )]
    Changed(PathBuf),
}
