//! How good a bundle or a network is, measured on labelled films.

pub mod ablation;
pub mod compare;
pub mod evaluate;
pub mod localize;
pub mod metrics;
