//! The model: whether its bundle is whole, and whether its network judges a film on this board.

use std::time::Instant;

use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::Class;
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::{Options, Pipeline};

use crate::config::TriageConfig;
use crate::embedded_model;

use super::Check;

/// The film that the check judges: a digital film of NIH ChestX-ray8, see tests/films/README.md.
pub(super) const FILM: &[u8] = include_bytes!("../../tests/films/nih_00002102_000.jpg");
/// The model whose answer on [`FILM`] is known, by the SHA-256 of its network, and that answer's most probable class.
pub(super) const KNOWN: (&str, Class) =
    ("b76f9645293ee1ca9546609a8fe4152b92c412ea1ce2855beb6bf1d71c97bbe4", Class::Normal);

/// Checks that the bundle is whole, and that its network judges the stored film. A model whose answer is known must give that
/// answer.
pub fn model(config: &TriageConfig) -> Vec<Check> {
    const BUNDLE: &str = "model";
    const INFERENCE: &str = "inference";
    let advice = "Install the bundle again, or leave triage.model out to use the built-in one";
    let started = Instant::now();
    let loaded =
        config.model.as_deref().map_or_else(embedded_model::bundle, Bundle::load).map_err(|error| error.to_string());
    let pipeline = loaded.and_then(|bundle| {
        // The stored film is a digital one, whatever films the box takes.
        let options = Options { profile: Some(Profile::Digital), ..config.options() };
        Pipeline::new(&bundle, &options).map_err(|error| error.to_string())
    });
    let pipeline = match pipeline {
        Ok(pipeline) => pipeline,
        Err(error) => {
            return vec![Check::failed(BUNDLE, error, advice), Check::skipped(INFERENCE, "there is no model")];
        }
    };
    let name = pipeline.model();
    let verified =
        Check::ok(BUNDLE, format!("{} verified, loaded in {:.1} s", name.id, started.elapsed().as_secs_f64()));
    let frame = match image_file::decode(FILM) {
        Ok(frame) => frame,
        Err(error) => return vec![verified, Check::failed(INFERENCE, error.to_string(), "Install the program again")],
    };
    let started = Instant::now();
    let record = pipeline.assess(frame, "stored film".into()).record;
    let seconds = started.elapsed().as_secs_f64();
    let known = (name.sha256 == KNOWN.0).then_some(KNOWN.1);
    let judged = match (record.top, record.probabilities) {
        (Some(top), Some(probabilities)) => {
            let found = format!("{} {:.1} % in {seconds:.1} s", top.label(), 100.0 * probabilities.of(top));
            match known {
                Some(wanted) if wanted != top => Check::failed(
                    INFERENCE,
                    format!("{found}, but this model calls the stored film {}", wanted.label()),
                    "The processor or its memory gives wrong results: do not use this board",
                ),
                Some(_) => Check::ok(INFERENCE, format!("{found}, as it must be")),
                None => Check::ok(INFERENCE, format!("{found}; what another model must say is not known")),
            }
        }
        _ if known.is_none() && record.error.is_none() => {
            Check::warning(INFERENCE, format!("refused: {}", record.reasons.join(", ")), "Check the bundle's OOD model")
        }
        _ => Check::failed(INFERENCE, record.advice.join(" "), advice),
    };
    vec![verified, judged]
}
