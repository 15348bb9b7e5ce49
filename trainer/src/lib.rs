//! The trainer of xray-triage: from labelled films to the bundle that the device runs.
//!
//! The modules are the stages, in the order of the data: [`data`] prepares and reads labelled films, [`simulate`] makes
//! photographs of them, [`model`] is the network, [`train`] trains it, [`export`] writes it as an ONNX graph, [`bundle`]
//! calibrates it and writes the bundle, [`measure`] measures the bundle on films, and [`report`] makes documents of the
//! measurements. A stage imports only from those before it.

pub mod bundle;
pub mod data;
pub mod disk;
pub mod export;
pub mod markdown;
pub mod measure;
pub mod model;
pub mod report;
pub mod simulate;
pub mod train;
