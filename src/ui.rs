//! What the box shows: [`screens`] says what each screen has, widgets draw it, [`text`] sets type, [`strings`] has the
//! words of each language, and [`status`] names faults and hints.

pub mod screens;
pub mod status;
pub mod strings;
pub mod text;
mod widgets;
