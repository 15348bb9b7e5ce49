//! What the box shows: screens, their widgets, and the strings of each language.

pub mod screens;
pub mod status;
pub mod strings;
pub mod text;
