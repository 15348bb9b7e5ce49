//! Whether two runtimes say the same on the same inputs: tract here, onnxruntime by `golden/onnxruntime_agree.py`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::decision::{self, Class, Probabilities, Scaling};
use xray_triage_core::image_file;
use xray_triage_core::preprocess::{self, InputSpec};

use super::{ExportError, Session};

/// What a runtime gave for a list of inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeOutputs {
    /// SHA-256 of the ONNX file.
    pub model_sha256: String,
    /// Logits of each input.
    pub logits: Vec<Vec<f32>>,
    /// Class activation maps of each input, class by class, row by row.
    pub cam: Vec<Vec<f32>>,
}

impl RuntimeOutputs {
    /// Runs a graph in tract. `model` is the ONNX file, `size` the side of its input in pixels.
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
                    "logits" => results.logits.push(values),
                    "cam" => results.cam.push(values),
                    _ => {}
                }
            }
        }
        Ok(results)
    }

    /// Reads what `golden/onnxruntime_agree.py` wrote.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let text = std::fs::read_to_string(path).map_err(|source| ExportError::Io { path: path.into(), source })?;
        serde_json::from_str(&text).map_err(|error| ExportError::File { path: path.into(), problem: error.to_string() })
    }
}

/// The network inputs of all pictures in a folder, by file name.
pub fn inputs(folder: &Path, spec: &InputSpec) -> Result<Vec<Vec<f32>>, Box<dyn std::error::Error>> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg" || extension == "png"));
    files.sort();
    files.iter().map(|file| Ok(preprocess::tensor(&image_file::read(file)?, spec))).collect()
}

/// Writes inputs for `golden/onnxruntime_agree.py`: little-endian float32 values, one input after the other.
pub fn write_inputs<'a>(path: &Path, inputs: impl IntoIterator<Item = &'a [f32]>) -> Result<(), ExportError> {
    let bytes: Vec<u8> = inputs.into_iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, bytes).map_err(|source| ExportError::Io { path: path.into(), source })
}

/// The largest differences between two runtimes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    pub inputs: usize,
    /// Inputs with the same most probable class.
    pub same_class: usize,
    pub logits: f32,
    pub cam: f32,
    /// Of probabilities.
    pub probabilities: f64,
}

impl Agreement {
    /// Largest difference of a logit or a map value that [`Agreement::float_agrees`] takes.
    pub const FLOAT_TOLERANCE: f32 = 1e-3;
    /// Largest difference of a probability that [`Agreement::int8_agrees`] takes.
    pub const INT8_TOLERANCE: f64 = 0.03;

    /// Compares outputs on the same inputs; `scaling` makes probabilities of the logits, of which there must be three.
    pub fn between(left: &RuntimeOutputs, right: &RuntimeOutputs, scaling: &Scaling) -> Result<Self, ExportError> {
        let shape = |outputs: &RuntimeOutputs| -> Vec<usize> {
            outputs.logits.iter().chain(&outputs.cam).map(Vec::len).collect()
        };
        if shape(left) != shape(right) || left.logits.len() != right.logits.len() || left.logits.is_empty() {
            return Err(ExportError::Count { left: left.logits.len(), right: right.logits.len() });
        }
        let mut agreement = Agreement { inputs: left.logits.len(), ..Default::default() };
        for (left, right) in left.logits.iter().zip(&right.logits) {
            agreement.logits = agreement.logits.max(difference(left, right));
            let of = |logits: &[f32]| -> Result<Probabilities, ExportError> {
                let count = || ExportError::Count { left: logits.len(), right: Class::ALL.len() };
                Ok(decision::probabilities(logits.try_into().map_err(|_| count())?, scaling))
            };
            let (left, right) = (of(left)?, of(right)?);
            let differences = Class::ALL.map(|class| (left.of(class) - right.of(class)).abs());
            agreement.probabilities = differences.into_iter().fold(agreement.probabilities, f64::max);
            agreement.same_class += usize::from(left.top() == right.top());
        }
        for (left, right) in left.cam.iter().zip(&right.cam) {
            agreement.cam = agreement.cam.max(difference(left, right));
        }
        Ok(agreement)
    }

    /// Whether two runtimes of a float graph agree.
    pub fn float_agrees(&self) -> bool {
        self.logits <= Self::FLOAT_TOLERANCE && self.cam <= Self::FLOAT_TOLERANCE
    }

    /// Whether two runtimes of an int8 graph agree: the same class, and close probabilities.
    pub fn int8_agrees(&self) -> bool {
        self.same_class == self.inputs && self.probabilities <= Self::INT8_TOLERANCE
    }
}

fn difference(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).fold(0.0, |largest, (left, right)| largest.max((left - right).abs()))
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
        right.cam.clear();
        assert!(Agreement::between(&left, &right, &Scaling::NONE).is_err());
    }
}
