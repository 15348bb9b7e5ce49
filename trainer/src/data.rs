//! Labelled films: the collections as their owners distribute them, the data set made of them, and what experts drew on its
//! films.

pub mod annotations;
pub mod dataset;
pub mod prepare;
