//! Host side of xray-triage: from labelled films to the bundle the device runs.

pub mod ablation;
pub mod annotations;
pub mod architecture;
pub mod augment;
pub mod backend;
pub mod bundle;
pub mod calibration;
pub mod compare;
pub mod dataset;
pub mod disk;
pub mod evaluate;
pub mod export;
pub mod film_space;
pub mod formula;
pub mod kernels;
pub mod localization;
pub mod metrics;
pub mod network;
pub mod photographs;
pub mod prepare;
pub mod report;
pub mod rounding;
pub mod snapshot;
pub mod state_dict;
pub mod teacher;
pub mod train;
