//! A network's parameters by name, independent of any framework, and the files that hold them.
//!
//! Files are written as safetensors. Safetensors and PyTorch's own format (`.pth`) are read. A bundle's checkpoint holds
//! half floats, and the export works on the same rounded values, so the bundle can be made again from its checkpoint.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::store::pytorch::PytorchReader;
use burn::store::pytorch_reader::DType;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use xray_triage_core::atomic_file;
use xray_triage_core::bundle::sha256_hex;

use super::tensor_names;

/// One parameter or buffer: its shape and its values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape.
    pub values: Vec<f32>,
}

/// A network's parameters and buffers by name ([`tensor_names`]), for instance
/// `features.denseblock1.denselayer1.conv1.weight`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict {
    /// The parameters and buffers.
    pub parameters: BTreeMap<String, Parameter>,
    /// Texts that a file keeps beside the parameters. Under `architecture` stands the architecture as JSON.
    pub metadata: BTreeMap<String, String>,
}

/// How the values of a saved file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// IEEE single precision, as the values are in memory.
    Single,
    /// IEEE half floats: half the size, values rounded to 11 significant bits.
    Half,
}

/// Why parameters cannot be read, written, or put into a network.
#[derive(Debug, thiserror::Error)]
pub enum StateDictError {
    /// The system does not let the file be read or written.
    #[error("{path}: cannot be read or written: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is in no format that is read.
    #[error(
        "{path}: neither a safetensors file nor one of PyTorch's ({reason}); give a checkpoint written by `trainer train`, \
         or one of torchvision's densenet121"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// The network has a parameter that the file has not.
    #[error("no parameter `{name}`: the checkpoint belongs to another architecture")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// A parameter has another shape in the network than in the file.
    #[error(
        "parameter `{name}` has shape {found:?}, {expected:?} is needed: the checkpoint belongs to another architecture"
    )]
    Shape {
        /// The parameter.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the network.
        expected: Vec<usize>,
    },
}

impl StateDict {
    /// A parameter by its name.
    ///
    /// # Errors
    /// [`StateDictError::Missing`].
    pub fn get(&self, name: &str) -> Result<&Parameter, StateDictError> {
        self.parameters.get(name).ok_or_else(|| StateDictError::Missing { name: name.into() })
    }

    /// A parameter by its name, which must have the expected shape.
    ///
    /// # Errors
    /// [`StateDictError::Missing`] and [`StateDictError::Shape`].
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

    /// Adds a parameter, or replaces the one of the same name. There are as many values as the product of the shape.
    pub fn insert(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        self.parameters.insert(name.into(), Parameter { shape, values });
    }

    /// Rounds every value to the nearest half float.
    #[must_use]
    pub fn rounded_to_half(mut self) -> Self {
        for parameter in self.parameters.values_mut() {
            for value in &mut parameter.values {
                *value = half::f16::from_f32(*value).to_f32();
            }
        }
        self
    }

    /// Writes a safetensors file and gives its SHA-256. A stop at any moment leaves the old file or the whole new one.
    ///
    /// # Errors
    /// [`StateDictError::Io`].
    pub fn save(&self, path: &Path, precision: Precision) -> Result<String, StateDictError> {
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
        atomic_file::write(path, &bytes).map_err(|error| StateDictError::Io { path: path.into(), error })?;
        Ok(sha256_hex(&bytes))
    }

    /// Takes the values of each parameter that `other` has with the same name and shape. An attention's or the
    /// classifier's parameters keep their own values where `other` does not have them.
    ///
    /// # Errors
    /// [`StateDictError::Missing`] and [`StateDictError::Shape`] of any other parameter: `other` is another backbone's.
    pub fn adopt(&mut self, other: &StateDict) -> Result<Adopted, StateDictError> {
        let mut adopted = Adopted::default();
        for (name, own) in &mut self.parameters {
            match other.get_shaped(name, &own.shape) {
                Ok(parameter) => {
                    own.values.clone_from(&parameter.values);
                    adopted.taken += 1;
                }
                Err(error) if tensor_names::is_backbone(name) => return Err(error),
                Err(_) => adopted.kept.push(name.clone()),
            }
        }
        adopted.unused = other.parameters.keys().filter(|name| !self.parameters.contains_key(*name)).cloned().collect();
        Ok(adopted)
    }

    /// Reads a safetensors file or a PyTorch checkpoint, told apart by content. Single and half floats are taken, other
    /// tensors are left out. Names are made torchvision's of today, whichever of its spellings the file has and whatever
    /// prefix is before them.
    ///
    /// # Errors
    /// [`StateDictError::Io`] and [`StateDictError::Format`].
    pub fn load(path: &Path) -> Result<Self, StateDictError> {
        Ok(Self::load_hashed(path)?.0)
    }

    /// Reads a file as [`Self::load`] does, and gives the SHA-256 of the very bytes that were read.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub fn load_hashed(path: &Path) -> Result<(Self, String), StateDictError> {
        let bytes = std::fs::read(path).map_err(|error| StateDictError::Io { path: path.into(), error })?;
        let format = |reason: String| StateDictError::Format { path: path.into(), reason };
        // A safetensors file is the length of its JSON header, eight bytes, and the header.
        let state = if bytes.get(8) == Some(&b'{') {
            Self::from_safetensors(&bytes).map_err(|error| format(error.to_string()))?
        } else {
            Self::from_pytorch(&bytes).map_err(|error| format(error.to_string()))?
        };
        Ok((state, sha256_hex(&bytes)))
    }

    fn from_safetensors(bytes: &[u8]) -> Result<Self, safetensors::SafeTensorError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut state = StateDict { metadata, ..Default::default() };
        for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
            let values = match view.dtype() {
                Dtype::F32 => single_floats(view.data()),
                Dtype::F16 => half_floats(view.data()),
                // `num_batches_tracked` counters and the like.
                _ => continue,
            };
            state.insert(tensor_names::from_checkpoint(&name), view.shape().to_vec(), values);
        }
        Ok(state)
    }

    fn from_pytorch(bytes: &[u8]) -> Result<Self, Box<dyn std::error::Error>> {
        // The reader takes a path. A copy makes sure that it sees the bytes that are hashed.
        let mut copy = tempfile::NamedTempFile::new()?;
        copy.write_all(bytes)?;
        let mut state = StateDict::default();
        for (name, tensor) in PytorchReader::new(copy.path())?.into_tensors() {
            let values = match tensor.dtype() {
                DType::F32 => single_floats(&tensor.read()?),
                DType::F16 => half_floats(&tensor.read()?),
                _ => continue,
            };
            state.insert(tensor_names::from_checkpoint(&name), tensor.shape().to_vec(), values);
        }
        Ok(state)
    }
}

/// Single floats from their little-endian bytes.
pub(crate) fn single_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn half_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<2>().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()
}

/// What [`StateDict::adopt`] did, by parameter names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// How many parameters were taken.
    pub taken: usize,
    /// The parameters that kept their values: the other state does not have them, or in another shape.
    pub kept: Vec<String>,
    /// The other state's parameters that have no place here.
    pub unused: Vec<String>,
}

impl std::fmt::Display for Adopted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} parameters taken", self.taken)?;
        for (what, names) in [("not there, left as drawn", &self.kept), ("not used", &self.unused)] {
            if !names.is_empty() {
                write!(f, "; {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::model::architecture::{Architecture, Attention};
    use crate::model::formula;

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

    /// The checkpoints were written by `golden/torchvision_tiny.py`.
    #[test]
    fn torchvisions_checkpoints_of_both_spellings_fill_the_backbone() {
        let architecture = Architecture::tiny(Attention::Cbam);
        let formula = formula::state(&architecture);
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        for file in ["torchvision-tiny.pth", "torchvision-tiny-published.pth", "torchvision-tiny.safetensors"] {
            let mut state = formula.clone();
            state.parameters.values_mut().for_each(|parameter| parameter.values.fill(0.0));
            let adopted = state.adopt(&StateDict::load(&golden.join(file)).unwrap()).unwrap();
            for (name, parameter) in &state.parameters {
                let kept = name.contains("cbam") || name.contains("classifier");
                assert_eq!(adopted.kept.contains(name), kept, "{file}: {name}");
                // The formula's transitions are wider where attention follows; the file has those of the plain network.
                if !kept && !name.contains("transition") {
                    assert_eq!(parameter, &formula.parameters[name], "{file}: {name}");
                }
                assert_eq!(kept, parameter.values.iter().all(|value| *value == 0.0), "{file}: {name}");
            }
            assert_eq!(adopted.taken + adopted.kept.len(), state.parameters.len());
            assert!(adopted.to_string().contains("classifier.weight"), "{adopted}");
        }
    }

    #[test]
    fn a_backbone_of_another_shape_is_refused() {
        let mut state = formula::state(&Architecture::tiny(Attention::None));
        let other = formula::state(&Architecture { growth_rate: 8, ..Architecture::tiny(Attention::None) });
        assert!(matches!(state.adopt(&other), Err(StateDictError::Shape { .. })));
        assert!(matches!(state.adopt(&StateDict::default()), Err(StateDictError::Missing { .. })));
    }

    #[test]
    fn what_is_no_checkpoint_is_an_error() {
        let path = std::env::temp_dir().join(format!("no-state-dict-{}.pth", std::process::id()));
        for content in [&b""[..], b"no checkpoint", b"12345678{", b"PK\x03\x04 cut off"] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(StateDict::load(&path), Err(StateDictError::Format { .. })), "{content:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_hash_is_that_of_the_files_bytes() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        for file in ["torchvision-tiny.pth", "torchvision-tiny.safetensors"] {
            let path = golden.join(file);
            let (state, sha256) = StateDict::load_hashed(&path).unwrap();
            assert_eq!(sha256, sha256_hex(&std::fs::read(&path).unwrap()), "{file}");
            assert_eq!(state, StateDict::load(&path).unwrap(), "{file}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.safetensors");
        let saved = formula::state(&Architecture::tiny(Attention::None)).save(&path, Precision::Half).unwrap();
        assert_eq!(saved, StateDict::load_hashed(&path).unwrap().1);
    }

    #[test]
    fn a_shape_of_another_architecture_is_named() {
        let mut state = StateDict::default();
        state.insert("classifier.weight", vec![3, 4], vec![0.0; 12]);
        let message = state.get_shaped("classifier.weight", &[3, 1024]).unwrap_err().to_string();
        assert!(message.contains("classifier.weight") && message.contains("another architecture"));
    }
}
