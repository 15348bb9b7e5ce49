//! Host side of xray-triage: from labelled films to the bundle the device runs.
//!
//! The modules are the stages, in the order the data flows: [`data`] prepares and reads labelled films, [`simulate`]
//! photographs them, [`model`] is the network, [`train`] trains it, [`export`] writes it as an ONNX graph, [`bundle`]
//! calibrates it and writes the bundle, [`measure`] judges the bundle on films, and [`report`] tells the result.

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
