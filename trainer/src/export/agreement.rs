//! Whether two runtimes give the same results on the same inputs: tract, and onnxruntime by
//! `golden/onnxruntime_agree.py`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xray_triage_core::atomic_file;
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::decision::{self, Class, Probabilities, Scaling};
use xray_triage_core::image_file;
use xray_triage_core::preprocess::{self, InputSpec};

use super::{ExportError, Session};
use crate::model::tensor_names::{CAM, LOGITS};

/// A runtime's results for a list of inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeOutputs {
    /// SHA-256 of the ONNX file.
    pub model_sha256: String,
    /// The logits of each input.
    pub logits: Vec<Vec<f32>>,
    /// The class activation maps of each input, class by class, row by row.
    pub cam: Vec<Vec<f32>>,
}

impl RuntimeOutputs {
    /// Runs a graph in tract. `model` is the content of an ONNX file, `size` the side of its input in pixels.
    ///
    /// # Errors
    /// tract cannot load or run the graph, an input has the wrong length, or a value is not finite.
    pub fn from_tract<'a>(
        model: &[u8],
        size: usize,
        inputs: impl IntoIterator<Item = &'a [f32]>,
    ) -> Result<Self, ExportError> {
        let session = Session::load(model, size)?;
        let mut results = RuntimeOutputs { model_sha256: sha256_hex(model), ..Default::default() };
        for input in inputs {
            for (name, values) in session.names().iter().zip(session.run(input)?) {
                match name.as_str() {
                    LOGITS => results.logits.push(values),
                    CAM => results.cam.push(values),
                    _ => {}
                }
            }
        }
        Ok(results)
    }

    /// Reads the results that `golden/onnxruntime_agree.py` wrote.
    ///
    /// # Errors
    /// [`ExportError::Io`] and [`ExportError::File`].
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let text = std::fs::read_to_string(path).map_err(|error| ExportError::Io { path: path.into(), error })?;
        serde_json::from_str(&text).map_err(|error| ExportError::File { path: path.into(), problem: error.to_string() })
    }
}

/// The network's inputs made of all pictures (`.jpg`, `.png`) in a folder, by file name.
///
/// # Errors
/// The folder or a picture cannot be read, or there is no picture in the folder.
pub fn inputs(folder: &Path, spec: &InputSpec) -> Result<Vec<Vec<f32>>, ExportError> {
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>());
    let mut files = entries.map_err(|error| ExportError::Io { path: folder.into(), error })?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg" || extension == "png"));
    files.sort();
    if files.is_empty() {
        let problem = "no picture (.jpg or .png) is in this folder; give another".into();
        return Err(ExportError::File { path: folder.into(), problem });
    }
    files.iter().map(|file| Ok(preprocess::tensor(&image_file::read(file)?, spec))).collect()
}

/// Writes inputs for `golden/onnxruntime_agree.py`: little-endian float32 values, one input after the other.
///
/// # Errors
/// [`ExportError::Io`].
pub fn write_inputs<'a>(path: &Path, inputs: impl IntoIterator<Item = &'a [f32]>) -> Result<(), ExportError> {
    let bytes: Vec<u8> = inputs.into_iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    atomic_file::write(path, &bytes).map_err(|error| ExportError::Io { path: path.into(), error })
}

/// The largest differences between two runtimes' results. A difference is NaN where a result is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// How many inputs were compared.
    pub inputs: usize,
    /// How many inputs have the same most probable class.
    pub same_class: usize,
    /// The largest difference of a logit.
    pub logits: f32,
    /// The largest difference of a value of a class activation map.
    pub cam: f32,
    /// The largest difference of a probability.
    pub probabilities: f64,
}

impl Agreement {
    /// The largest difference of a logit or a map value with which [`Agreement::float_agrees`].
    pub const FLOAT_TOLERANCE: f32 = 1e-3;
    /// The largest difference of a probability with which [`Agreement::int8_agrees`].
    pub const INT8_TOLERANCE: f64 = 0.03;

    /// Compares results for the same inputs. There are three logits an input, of which `scaling` makes probabilities.
    ///
    /// # Errors
    /// [`ExportError::Count`].
    pub fn between(left: &RuntimeOutputs, right: &RuntimeOutputs, scaling: &Scaling) -> Result<Self, ExportError> {
        let shape = |outputs: &RuntimeOutputs| -> Vec<usize> {
            outputs.logits.iter().chain(&outputs.cam).map(Vec::len).collect()
        };
        if shape(left) != shape(right) || left.logits.len() != right.logits.len() || left.logits.is_empty() {
            return Err(ExportError::Count { left: left.logits.len(), right: right.logits.len() });
        }
        let mut agreement = Agreement { inputs: left.logits.len(), ..Default::default() };
        for (left, right) in left.logits.iter().zip(&right.logits) {
            agreement.logits = larger(agreement.logits, difference(left, right));
            let of = |logits: &[f32]| -> Result<Probabilities, ExportError> {
                let count = || ExportError::Count { left: logits.len(), right: Class::ALL.len() };
                Ok(decision::probabilities(logits.try_into().map_err(|_| count())?, scaling))
            };
            let (left, right) = (of(left)?, of(right)?);
            let differences = Class::ALL.map(|class| (left.of(class) - right.of(class)).abs());
            agreement.probabilities = differences.into_iter().fold(agreement.probabilities, larger);
            agreement.same_class += usize::from(left.top() == right.top());
        }
        for (left, right) in left.cam.iter().zip(&right.cam) {
            agreement.cam = larger(agreement.cam, difference(left, right));
        }
        Ok(agreement)
    }

    /// Whether the results of two runtimes for a float graph agree: close logits and close maps.
    pub fn float_agrees(&self) -> bool {
        self.logits <= Self::FLOAT_TOLERANCE && self.cam <= Self::FLOAT_TOLERANCE
    }

    /// Whether the results of two runtimes for an int8 graph agree: the same classes, and close probabilities.
    pub fn int8_agrees(&self) -> bool {
        self.same_class == self.inputs && self.probabilities <= Self::INT8_TOLERANCE
    }
}

/// The largest difference of two values; NaN where one of them is.
fn difference(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, larger)
}

/// The larger of two differences; NaN counts as the largest.
fn larger<T: PartialOrd>(left: T, right: T) -> T {
    // No comparison with NaN is true.
    if right <= left || left.partial_cmp(&left).is_none() { left } else { right }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_class_is_no_agreement() {
        let left = RuntimeOutputs { logits: vec![vec![0.1, 0.11, -3.0]], cam: vec![vec![1.0]], ..Default::default() };
        let mut right = left.clone();
        assert!(Agreement::between(&left, &right, &Scaling::NONE).unwrap().int8_agrees());
        right.logits[0][0] = 0.12;
        let agreement = Agreement::between(&left, &right, &Scaling::NONE).unwrap();
        assert!(!agreement.int8_agrees() && !agreement.float_agrees());
        assert!(agreement.probabilities < Agreement::INT8_TOLERANCE);
        let sharp = Scaling { temperature: 0.1, ..Scaling::NONE };
        assert!(Agreement::between(&left, &right, &sharp).unwrap().probabilities > Agreement::INT8_TOLERANCE);
        right.cam[0][0] = f32::NAN;
        right.logits = left.logits.clone();
        let agreement = Agreement::between(&left, &right, &Scaling::NONE).unwrap();
        assert!(agreement.cam.is_nan() && !agreement.float_agrees(), "{agreement:?}");
        right.cam.clear();
        assert!(Agreement::between(&left, &right, &Scaling::NONE).is_err());
    }
}
