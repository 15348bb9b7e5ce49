//! The network on the CPU: an ONNX graph loaded, optimised and run by tract.

use std::sync::Arc;

use thiserror::Error;
use tract_onnx::prelude::multithread::Executor;
use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceModelExt, IntoTValue, RunOptions, Tensor, TypedFact, TypedSimplePlan, tvec,
};

use crate::cam::Cam;
use crate::triage::Class;

const INPUT: &str = "image";
const LOGITS: &str = "logits";
const CAM: &str = "cam";

/// Why a network does not load or run.
#[derive(Debug, Error)]
pub enum InferError {
    /// The bytes are no ONNX graph that tract can run.
    #[error(
        "the network cannot be loaded: {0}. Export it again with `trainer export`, or install a bundle made for this \
         version"
    )]
    Load(String),
    /// The graph's inputs or outputs are not those of a triage network.
    #[error("the network's {what} is {found}, but it must be {wanted}. Export it again with `trainer export`")]
    Interface {
        /// Which input or output.
        what: String,
        /// What the graph has.
        found: String,
        /// What it must have.
        wanted: String,
    },
    /// The tensor given to [`Network::run`] has the wrong number of values.
    #[error("the input tensor has {found} values, the network takes {wanted}")]
    InputLength {
        /// Values given.
        found: usize,
        /// Values taken.
        wanted: usize,
    },
    /// tract failed while running.
    #[error("the network failed while running: {0}. Check the bundle with `xray-triage model verify`")]
    Run(String),
    /// A logit or CAM value is infinite or no number.
    #[error("the network returned values that are not finite. Check the bundle with `xray-triage model verify`")]
    NotFinite,
}

/// What the network says about one film.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Uncalibrated scores in the order of [`Class::ALL`], finite.
    pub logits: [f32; 3],
    /// The class activation maps, finite.
    pub cam: Cam,
}

/// A network ready to run.
#[derive(Debug)]
pub struct Network {
    plan: Arc<TypedSimplePlan>,
    size: usize,
    cam_side: usize,
}

impl Network {
    /// Loads and optimises an ONNX graph; takes seconds on a small board.
    ///
    /// `model` is the ONNX file, `size` the side of its square input in pixels. With `threads` above 1, tract spreads
    /// matrix products and large element-wise operations over that many threads; the result does not depend on it.
    ///
    /// The graph must have one input `image`, float32 `[1, 3, size, size]` (its batch axis may be symbolic), and the
    /// outputs `logits`, float32 `[1, 3]`, and `cam`, float32 `[1, 3, side, side]`.
    pub fn load(model: &[u8], size: u32, threads: usize) -> Result<Network, InferError> {
        let size = size as usize;
        let mut graph =
            tract_onnx::onnx().model_for_read(&mut &*model).map_err(|error| InferError::Load(format!("{error:#}")))?;

        let inputs: Vec<&str> = graph.inputs.iter().map(|outlet| graph.node(outlet.node).name.as_str()).collect();
        if inputs != [INPUT] {
            return Err(InferError::Interface {
                what: "list of inputs".into(),
                found: format!("{inputs:?}"),
                wanted: format!("{:?}", [INPUT]),
            });
        }
        let outputs: Vec<String> = graph
            .outputs
            .iter()
            .map(|&outlet| {
                graph.outlet_label(outlet).unwrap_or_else(|| graph.node(outlet.node).name.as_str()).to_string()
            })
            .collect();
        let place = |name| outputs.iter().position(|output| output == name);
        let (Some(logits), Some(cam), 2) = (place(LOGITS), place(CAM), outputs.len()) else {
            return Err(InferError::Interface {
                what: "list of outputs".into(),
                found: format!("{outputs:?}"),
                wanted: format!("{:?}", [LOGITS, CAM]),
            });
        };
        graph.outputs = vec![graph.outputs[logits], graph.outputs[cam]];

        let load_error = |error| InferError::Load(format!("{error:#}"));
        let graph = graph
            .with_input_fact(0, f32::fact([1, 3, size, size]).into())
            .and_then(|graph| graph.into_optimized())
            .map_err(load_error)?;
        let classes = Class::ALL.len();
        let shape = shape_of(LOGITS, graph.output_fact(0).map_err(load_error)?)?;
        if shape != [1, classes] {
            return Err(wrong_shape(LOGITS, &shape, "[1, 3]"));
        }
        let shape = shape_of(CAM, graph.output_fact(1).map_err(load_error)?)?;
        let cam_side = match shape[..] {
            [1, channels, height, width] if channels == classes && height == width && height > 0 => height,
            _ => return Err(wrong_shape(CAM, &shape, "[1, 3, side, side]")),
        };

        let executor = if threads > 1 { Executor::multithread(threads) } else { Executor::SingleThread };
        let options = RunOptions { executor: Some(executor), ..RunOptions::default() };
        let plan = TypedSimplePlan::new_with_options(graph, &options).map_err(load_error)?;
        Ok(Network { plan, size, cam_side })
    }

    /// Runs the network on one film. `tensor` is what [`crate::preprocess::tensor`] makes: `3 * size * size` values in
    /// channel, row, column order.
    pub fn run(&self, tensor: &[f32]) -> Result<Prediction, InferError> {
        let wanted = 3 * self.size * self.size;
        if tensor.len() != wanted {
            return Err(InferError::InputLength { found: tensor.len(), wanted });
        }
        let run_error = |error| InferError::Run(format!("{error:#}"));
        let input = Tensor::from_shape(&[1, 3, self.size, self.size], tensor).map_err(run_error)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue())).map_err(run_error)?;
        let logits: Vec<f32> = values(&outputs[0]).map_err(run_error)?;
        let maps = values(&outputs[1]).map_err(run_error)?;
        if !logits.iter().chain(&maps).all(|value| value.is_finite()) {
            return Err(InferError::NotFinite);
        }
        // `load` checked both shapes.
        Ok(Prediction { logits: [logits[0], logits[1], logits[2]], cam: Cam::new(self.cam_side, maps) })
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>, tract_onnx::prelude::TractError> {
    Ok(tensor.to_plain_array_view::<f32>()?.iter().copied().collect())
}

/// The shape of a float32 output.
fn shape_of(name: &str, fact: &TypedFact) -> Result<Vec<usize>, InferError> {
    let shape = fact.shape.as_concrete();
    match shape {
        Some(shape) if fact.datum_type == f32::datum_type() => Ok(shape.to_vec()),
        _ => Err(InferError::Interface {
            what: format!("output `{name}`"),
            found: format!("{fact:?}"),
            wanted: "float32 of a fixed shape".into(),
        }),
    }
}

fn wrong_shape(name: &str, found: &[usize], wanted: &str) -> InferError {
    InferError::Interface {
        what: format!("shape of output `{name}`"),
        found: format!("{found:?}"),
        wanted: wanted.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    fn built_in(threads: usize) -> (Network, Vec<f32>) {
        let bundle = Bundle::embedded().unwrap();
        let size = bundle.manifest.input.size;
        let tensor = (0..3 * size * size).map(|i| (i % 97) as f32 / 48.0 - 1.0).collect();
        (Network::load(&bundle.model, size, threads).unwrap(), tensor)
    }

    #[test]
    fn the_number_of_threads_does_not_change_the_answer() {
        let (single, tensor) = built_in(1);
        let (double, _) = built_in(2);
        let (one, two) = (single.run(&tensor).unwrap(), double.run(&tensor).unwrap());
        assert_eq!(one.logits, two.logits);
        assert_eq!(one.cam, two.cam);
    }

    /// The definition of a CAM: up to the classifier's bias, its mean is the class's logit.
    #[test]
    fn logits_move_with_the_mean_of_the_cam() {
        let (network, tensor) = built_in(1);
        let other: Vec<f32> = tensor.iter().map(|value| -value).collect();
        let (a, b) = (network.run(&tensor).unwrap(), network.run(&other).unwrap());
        for class in Class::ALL {
            let mean = |cam: &Cam| cam.map(class).iter().sum::<f32>() / cam.map(class).len() as f32;
            let logit_change = a.logits[class as usize] - b.logits[class as usize];
            let cam_change = mean(&a.cam) - mean(&b.cam);
            assert!((logit_change - cam_change).abs() < 1e-3, "{class:?}: {logit_change} {cam_change}");
        }
    }

    #[test]
    fn bad_bytes_and_bad_tensors_are_errors() {
        assert!(matches!(Network::load(b"no network", 224, 1), Err(InferError::Load(_))));
        assert!(matches!(Network::load(b"", 224, 1), Err(InferError::Load(_) | InferError::Interface { .. })));
        let (network, tensor) = built_in(1);
        assert!(matches!(network.run(&tensor[1..]), Err(InferError::InputLength { .. })));
        let hole = vec![f32::NAN; tensor.len()];
        if let Ok(prediction) = network.run(&hole) {
            assert!(prediction.logits.iter().all(|logit| logit.is_finite()));
        }
    }
}
