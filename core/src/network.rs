//! The network of a bundle: from an input tensor to logits and class activation maps.

use thiserror::Error;

use crate::cam::Cam;
use crate::decision::Class;
use crate::onnx::{Graph, OnnxError, Plan, TensorInfo};

const INPUT: &str = "image";
const LOGITS: &str = "logits";
const CAM: &str = "cam";

/// Why a network does not load or run.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The bytes are no ONNX graph that can be run.
    #[error(
        "the network cannot be loaded: {0}. Export it again with `trainer export`, or install a bundle made for this \
         version"
    )]
    Load(OnnxError),
    /// The graph's inputs or outputs are not those of this program's networks.
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
    /// The network failed while running.
    #[error("the network failed while running: {0}. Check the bundle with `xray-triage model verify`")]
    Run(OnnxError),
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

/// A network ready to run. [`Pipeline`](crate::pipeline::Pipeline) has one; a program that wants a film's verdict does not
/// need its own.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    size: usize,
    cam_side: usize,
}

impl Network {
    /// Loads and optimises an ONNX graph, which takes seconds on a small board.
    ///
    /// `model` is the content of the ONNX file, `size` the side of its square input in pixels. With `threads` above 1,
    /// the work is spread over that many threads; the result does not depend on it.
    ///
    /// The graph must have one input `image`, float32 `[1, 3, size, size]` (an axis left open fits any size), and the
    /// outputs `logits`, float32 `[1, 3]`, and `cam`, float32 `[1, 3, side, side]`.
    ///
    /// # Errors
    /// [`NetworkError::Load`] or [`NetworkError::Interface`].
    pub fn load(model: &[u8], size: u32, threads: usize) -> Result<Network, NetworkError> {
        let size = size as usize;
        let shape = [1, 3, size, size];
        let mut graph = Graph::parse(model).map_err(NetworkError::Load)?;
        let input = match graph.inputs() {
            [input] if input.name() == INPUT => input,
            inputs => return Err(wrong_list("inputs", inputs, &[INPUT])),
        };
        if !input.fits(&shape) {
            return Err(NetworkError::Interface {
                what: format!("input `{INPUT}`"),
                found: input.to_string(),
                wanted: format!("float32 {shape:?}"),
            });
        }
        let outputs = graph.outputs();
        let has = |name| outputs.iter().any(|output| output.name() == name);
        if outputs.len() != 2 || !has(LOGITS) || !has(CAM) {
            return Err(wrong_list("outputs", outputs, &[LOGITS, CAM]));
        }
        graph.select_outputs(&[LOGITS, CAM]).map_err(NetworkError::Load)?;
        graph.fix_input(0, &shape).map_err(NetworkError::Load)?;
        let plan = graph.into_plan(threads).map_err(NetworkError::Load)?;

        let [logits, cam] = plan.outputs() else { return Err(wrong_list("outputs", plan.outputs(), &[LOGITS, CAM])) };
        let classes = Class::ALL.len();
        if !logits.is_float32() || logits.fixed_shape() != Some(vec![1, classes]) {
            return Err(wrong_output(logits, "float32 [1, 3]"));
        }
        let cam_side = match cam.fixed_shape().as_deref() {
            Some(&[1, channels, height, width])
                if cam.is_float32() && channels == classes && height == width && height > 0 =>
            {
                height
            }
            _ => return Err(wrong_output(cam, "float32 [1, 3, side, side]")),
        };
        Ok(Network { plan, size, cam_side })
    }

    /// Runs the network on one film. `tensor` is what [`crate::preprocess::tensor`] makes: `3 * size * size` values in
    /// channel, row, column order.
    ///
    /// # Errors
    /// [`NetworkError::InputLength`], [`NetworkError::Run`] or [`NetworkError::NotFinite`].
    pub fn run(&self, tensor: &[f32]) -> Result<Prediction, NetworkError> {
        let wanted = 3 * self.size * self.size;
        if tensor.len() != wanted {
            return Err(NetworkError::InputLength { found: tensor.len(), wanted });
        }
        let mut outputs = self.plan.run(&[1, 3, self.size, self.size], tensor).map_err(NetworkError::Run)?;
        if !outputs.iter().flatten().all(|value| value.is_finite()) {
            return Err(NetworkError::NotFinite);
        }
        // The graph says these lengths; tract is not trusted to keep to them.
        let lengths: Vec<usize> = outputs.iter().map(Vec::len).collect();
        let wanted = [3, 3 * self.cam_side * self.cam_side];
        if lengths != wanted {
            return Err(NetworkError::Interface {
                what: "list of result lengths".into(),
                found: format!("{lengths:?}"),
                wanted: format!("{wanted:?}"),
            });
        }
        let cam = Cam::new(self.cam_side, outputs.swap_remove(1));
        Ok(Prediction { logits: [outputs[0][0], outputs[0][1], outputs[0][2]], cam })
    }
}

fn wrong_list(what: &str, found: &[TensorInfo], wanted: &[&str]) -> NetworkError {
    NetworkError::Interface {
        what: format!("list of {what}"),
        found: format!("{:?}", found.iter().map(TensorInfo::name).collect::<Vec<_>>()),
        wanted: format!("{wanted:?}"),
    }
}

fn wrong_output(found: &TensorInfo, wanted: &str) -> NetworkError {
    NetworkError::Interface {
        what: format!("output `{}`", found.name()),
        found: found.to_string(),
        wanted: wanted.into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::shipped;

    use super::*;

    fn built_in(threads: usize) -> (Network, Vec<f32>) {
        let bundle = shipped();
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
    fn a_network_of_another_input_size_is_refused() {
        let error = Network::load(&shipped().model, 112, 1).unwrap_err();
        assert!(matches!(error, NetworkError::Interface { .. }), "{error}");
        assert!(
            ["`image`", "[1, 3, 224, 224]", "[1, 3, 112, 112]"].iter().all(|words| error.to_string().contains(words)),
            "{error}"
        );
    }

    #[test]
    fn bad_bytes_and_bad_tensors_are_errors() {
        assert!(matches!(Network::load(b"no network", 224, 1), Err(NetworkError::Load(_))));
        assert!(matches!(Network::load(b"", 224, 1), Err(NetworkError::Load(_) | NetworkError::Interface { .. })));
        let (network, tensor) = built_in(1);
        assert!(matches!(network.run(&tensor[1..]), Err(NetworkError::InputLength { .. })));
        let hole = vec![f32::NAN; tensor.len()];
        if let Ok(prediction) = network.run(&hole) {
            assert!(prediction.logits.iter().all(|logit| logit.is_finite()));
        }
    }
}
