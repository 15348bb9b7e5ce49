//! Host side of xray-triage: from labelled films to the bundle the device runs.
pub mod architecture;
pub mod export;
pub mod formula;
pub mod state_dict;
