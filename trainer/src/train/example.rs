//! The films to train on.

use image::GrayImage;
use xray_triage_core::decision::Class;

use crate::data::dataset::LabelSource;

/// A film to train on.
pub struct Example {
    /// The film.
    pub picture: GrayImage,
    /// The class that the film is labelled with.
    pub label: Class,
    /// The rectified films of simulated photographs of the film ([`crate::simulate::photographs`]), if there are any.
    pub photographs: Vec<GrayImage>,
    /// The film's lung mask, if there is one: white inside the lungs, of the picture's shape and any size.
    pub lungs: Option<GrayImage>,
    /// The collection the film comes from.
    pub source: String,
    /// The projection, as the manifest gives it.
    pub view: String,
    /// Where the label comes from, if it is known.
    pub label_source: Option<LabelSource>,
}

impl Example {
    /// A film of which no more is known than its class.
    pub fn new(picture: GrayImage, label: Class) -> Self {
        Example {
            picture,
            label,
            photographs: Vec::new(),
            lungs: None,
            source: String::new(),
            view: String::new(),
            label_source: None,
        }
    }
}
