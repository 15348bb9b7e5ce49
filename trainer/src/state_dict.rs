//! A network's parameters by torchvision's names, independent of any framework.
//!
//! The file format is safetensors. Checkpoints that ship hold half floats: the export reads the very same rounded
//! values, so a bundle can be made again from its checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

/// One parameter or buffer: its shape and its values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Parameters and buffers by torchvision's names, e.g. `features.denseblock1.denselayer1.conv1.weight`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict {
    pub parameters: BTreeMap<String, Parameter>,
    /// Free text beside the parameters: the architecture as JSON under `architecture`, provenance.
    pub metadata: BTreeMap<String, String>,
}

/// How the values of a saved file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Single,
    /// IEEE half floats: half the size, values rounded to 11 significant bits.
    Half,
}

#[derive(Debug, thiserror::Error)]
pub enum StateDictError {
    #[error("{path}: cannot be read or written: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a safetensors file ({reason}); give a checkpoint written by `trainer train`")]
    Format { path: PathBuf, reason: String },
    #[error("no parameter `{name}`: the checkpoint belongs to another architecture")]
    Missing { name: String },
    #[error(
        "parameter `{name}` has shape {found:?}, {expected:?} is needed: the checkpoint belongs to another architecture"
    )]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
}

impl StateDict {
    /// The parameter of that name.
    pub fn get(&self, name: &str) -> Result<&Parameter, StateDictError> {
        self.parameters.get(name).ok_or_else(|| StateDictError::Missing { name: name.into() })
    }

    /// The parameter of that name, which must have that shape.
    pub fn get_shaped(&self, name: &str, expected: &[usize]) -> Result<&Parameter, StateDictError> {
        let parameter = self.get(name)?;
        if parameter.shape != expected {
            return Err(StateDictError::Shape {
                name: name.into(),
                found: parameter.shape.clone(),
                expected: expected.into(),
            });
        }
        Ok(parameter)
    }

    pub fn insert(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        self.parameters.insert(name.into(), Parameter { shape, values });
    }

    /// Rounds every value to the nearest half float.
    pub fn rounded_to_half(mut self) -> Self {
        for parameter in self.parameters.values_mut() {
            for value in &mut parameter.values {
                *value = half::f16::from_f32(*value).to_f32();
            }
        }
        self
    }

    /// Writes a safetensors file: beside the target first, then renamed over it, so that a stop at any moment leaves
    /// the old file or the new one.
    pub fn save(&self, path: &Path, precision: Precision) -> Result<(), StateDictError> {
        let io = |source| StateDictError::Io { path: path.into(), source };
        let dtype = match precision {
            Precision::Single => Dtype::F32,
            Precision::Half => Dtype::F16,
        };
        let stored: Vec<(&String, &Parameter, Vec<u8>)> = self
            .parameters
            .iter()
            .map(|(name, parameter)| {
                let bytes = match precision {
                    Precision::Single => parameter.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    Precision::Half => {
                        parameter.values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect()
                    }
                };
                (name, parameter, bytes)
            })
            .collect();
        let views: Vec<(&str, TensorView)> = stored
            .iter()
            .map(|(name, parameter, bytes)| {
                let view =
                    TensorView::new(dtype, parameter.shape.clone(), bytes).expect("byte count follows from the shape");
                (name.as_str(), view)
            })
            .collect();
        let metadata = Some(self.metadata.clone().into_iter().collect());
        let bytes = serialize(views, metadata)
            .map_err(|error| StateDictError::Format { path: path.into(), reason: error.to_string() })?;
        let partial = path.with_extension("partial");
        std::fs::write(&partial, bytes).map_err(io)?;
        std::fs::rename(&partial, path).map_err(io)
    }

    /// Reads a safetensors file of single or half floats.
    pub fn load(path: &Path) -> Result<Self, StateDictError> {
        let bytes = std::fs::read(path).map_err(|source| StateDictError::Io { path: path.into(), source })?;
        let format = |reason: String| StateDictError::Format { path: path.into(), reason };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format(error.to_string()))?;
        let mut state = StateDict {
            metadata: header.metadata().clone().unwrap_or_default().into_iter().collect(),
            ..Default::default()
        };
        for (name, view) in file.tensors() {
            let values = match view.dtype() {
                Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                Dtype::F16 => view
                    .data()
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|bytes| half::f16::from_le_bytes(*bytes).to_f32())
                    .collect(),
                // `num_batches_tracked` counters and the like.
                _ => continue,
            };
            state.insert(name, view.shape().to_vec(), values);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_checkpoint_reads_back() {
        let mut state = StateDict::default();
        state.insert("features.conv0.weight", vec![2, 1, 1, 2], vec![0.1, -2.0, 3.5, 1e-3]);
        state.metadata.insert("architecture".into(), "{}".into());
        let path = std::env::temp_dir().join(format!("state-dict-{}.safetensors", std::process::id()));
        state.save(&path, Precision::Single).unwrap();
        assert_eq!(StateDict::load(&path).unwrap(), state);
        state.save(&path, Precision::Half).unwrap();
        let half = StateDict::load(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(half, state.rounded_to_half());
    }

    #[test]
    fn a_foreign_shape_is_named() {
        let mut state = StateDict::default();
        state.insert("classifier.weight", vec![3, 4], vec![0.0; 12]);
        let message = state.get_shaped("classifier.weight", &[3, 1024]).unwrap_err().to_string();
        assert!(message.contains("classifier.weight") && message.contains("another architecture"));
    }
}
