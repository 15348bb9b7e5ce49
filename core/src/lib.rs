#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! Each uses only modules that are named before it, and the helpers [`input_file`], [`atomic_file`], [`panics`],
//! [`reason`] and `gray`: [`image_file`] reads a picture, [`film`] finds and rectifies the film in it, [`gate`] refuses what cannot be
//! judged, [`preprocess`] makes the input tensor, [`ood`] tells what is no frontal chest film, [`decision`] turns logits
//! into an outcome, [`cam`] holds the class activation maps, [`onnx`] runs graphs, [`network`] gives logits and maps,
//! [`bundle`] brings the network and its thresholds, [`record`] is what is kept of a film, [`pipeline`] joins these
//! stages, and [`overlay`] draws a heat map over a film.
//!
//! # Errors
//!
//! The message of an error contains the words of its cause, and `source()` does not give the cause again. A program
//! prints the error alone; one that prints a whole chain prints nothing twice.

pub mod atomic_file;
pub mod bundle;
pub mod cam;
pub mod decision;
pub mod film;
pub mod gate;
mod gray;
pub mod image_file;
pub mod input_file;
pub mod network;
pub mod onnx;
pub mod ood;
pub mod overlay;
pub mod panics;
pub mod pipeline;
pub mod preprocess;
pub mod reason;
pub mod record;
#[cfg(test)]
mod testing;

/// The sentence that goes with every outcome, picture and export.
pub const DISCLAIMER: &str = "Research use only, not for diagnosis.";

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::path::Path;

    use crate::bundle::{Bundle, BundleError};
    use crate::image_file;
    use crate::network::NetworkError;
    use crate::onnx::OnnxError;
    use crate::pipeline::SetupError;

    #[test]
    fn the_words_of_a_cause_are_in_the_message_and_not_in_the_chain() {
        let cause = NetworkError::Load(OnnxError::UnmadeOutput("logits".into()));
        let missing = Bundle::load(Path::new("no-such-bundle")).unwrap_err();
        assert!(matches!(missing, BundleError::Read { .. }));
        let errors: [(Box<dyn Error>, &str); 5] = [
            (Box::new(image_file::read(Path::new("no-such-film.jpg")).unwrap_err()), "there is no such file"),
            (Box::new(SetupError::Bundle(missing)), "there is no such file"),
            (Box::new(Bundle::load(Path::new("no-such-bundle")).unwrap_err()), "there is no such file"),
            (Box::new(cause.clone()), "`logits`"),
            (Box::new(SetupError::Network { id: "test".into(), cause }), "`logits`"),
        ];
        for (error, words) in errors {
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.source().is_none(), "{error}");
        }
    }
}
