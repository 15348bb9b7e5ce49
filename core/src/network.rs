//! The network on the CPU: an ONNX graph loaded, optimised and run by tract.

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::multithread::Executor;
use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoTValue, RunOptions, Tensor,
    TractError, TypedFact, TypedSimplePlan, tvec,
};
use tract_onnx::tract_hir::infer::GenericFactoid;

use crate::cam::Cam;
use crate::decision::Class;

const INPUT: &str = "image";
const LOGITS: &str = "logits";
const CAM: &str = "cam";

/// Why a network does not load or run.
#[derive(Debug, Error)]
pub enum NetworkError {
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
    /// The graph must have one input `image`, float32 `[1, 3, size, size]` (a symbolic axis fits any size), and the
    /// outputs `logits`, float32 `[1, 3]`, and `cam`, float32 `[1, 3, side, side]`.
    pub fn load(model: &[u8], size: u32, threads: usize) -> Result<Network, NetworkError> {
        let size = size as usize;
        let mut graph = parse(model)?;

        let inputs: Vec<&str> = graph.inputs.iter().map(|outlet| graph.node(outlet.node).name.as_str()).collect();
        if inputs != [INPUT] {
            return Err(NetworkError::Interface {
                what: "list of inputs".into(),
                found: format!("{inputs:?}"),
                wanted: format!("{:?}", [INPUT]),
            });
        }
        let declared = graph.input_fact(0).map_err(load_error)?;
        if !fits(declared, [1, 3, size, size]) {
            return Err(NetworkError::Interface {
                what: format!("input `{INPUT}`"),
                found: format!("{declared:?}"),
                wanted: format!("float32 [1, 3, {size}, {size}]"),
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
            return Err(NetworkError::Interface {
                what: "list of outputs".into(),
                found: format!("{outputs:?}"),
                wanted: format!("{:?}", [LOGITS, CAM]),
            });
        };
        graph.outputs = vec![graph.outputs[logits], graph.outputs[cam]];

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
    pub fn run(&self, tensor: &[f32]) -> Result<Prediction, NetworkError> {
        let wanted = 3 * self.size * self.size;
        if tensor.len() != wanted {
            return Err(NetworkError::InputLength { found: tensor.len(), wanted });
        }
        let run_error = |error| NetworkError::Run(format!("{error:#}"));
        let input = Tensor::from_shape(&[1, 3, self.size, self.size], tensor).map_err(run_error)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue())).map_err(run_error)?;
        let logits: Vec<f32> = values(&outputs[0]).map_err(run_error)?;
        let maps = values(&outputs[1]).map_err(run_error)?;
        if !logits.iter().chain(&maps).all(|value| value.is_finite()) {
            return Err(NetworkError::NotFinite);
        }
        // `load` checked both shapes.
        Ok(Prediction { logits: [logits[0], logits[1], logits[2]], cam: Cam::new(self.cam_side, maps) })
    }
}

fn load_error(error: TractError) -> NetworkError {
    NetworkError::Load(format!("{error:#}"))
}

/// The graph of an ONNX file, as it is declared.
fn parse(model: &[u8]) -> Result<InferenceModel, NetworkError> {
    let onnx = tract_onnx::onnx();
    let proto: ModelProto = onnx.proto_model_for_read(&mut &*model).map_err(load_error)?;
    if let Some(output) = proto.graph.as_ref().and_then(unmade_output) {
        return Err(NetworkError::Load(format!("nothing makes its output `{output}`")));
    }
    onnx.model_for_proto_model(&proto).map_err(load_error)
}

/// An output of a graph, or of one within it, that nothing in that graph makes; tract would panic over it.
fn unmade_output(graph: &GraphProto) -> Option<&str> {
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let initializers = graph.initializer.iter().map(|initializer| initializer.name.as_str());
    // What a node reads and nothing here makes comes from the graph around this one.
    let nodes = graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output)).map(String::as_str);
    let known: HashSet<&str> = inputs.chain(initializers).chain(nodes).collect();
    let outputs = graph.output.iter().map(|output| output.name.as_str());
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let mut within = attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    // An empty name means that there is none.
    let mut unmade = outputs.filter(|name| name.is_empty() || !known.contains(name));
    unmade.next().or_else(|| within.find_map(unmade_output))
}

/// Whether an input takes a float32 tensor of this shape. An axis that has no number fits any size.
fn fits(declared: &InferenceFact, shape: [usize; 4]) -> bool {
    declared.datum_type == GenericFactoid::Only(f32::datum_type())
        && declared.shape.rank() == GenericFactoid::Only(shape.len() as i64)
        && declared.shape.dims().zip(shape).all(|(axis, size)| match axis {
            GenericFactoid::Only(axis) => axis.as_i64().is_none_or(|axis| axis == size as i64),
            GenericFactoid::Any => true,
        })
}

fn values(tensor: &Tensor) -> Result<Vec<f32>, TractError> {
    Ok(tensor.to_plain_array_view::<f32>()?.iter().copied().collect())
}

/// The shape of a float32 output.
fn shape_of(name: &str, fact: &TypedFact) -> Result<Vec<usize>, NetworkError> {
    let shape = fact.shape.as_concrete();
    match shape {
        Some(shape) if fact.datum_type == f32::datum_type() => Ok(shape.to_vec()),
        _ => Err(NetworkError::Interface {
            what: format!("output `{name}`"),
            found: format!("{fact:?}"),
            wanted: "float32 of a fixed shape".into(),
        }),
    }
}

fn wrong_shape(name: &str, found: &[usize], wanted: &str) -> NetworkError {
    NetworkError::Interface {
        what: format!("shape of output `{name}`"),
        found: format!("{found:?}"),
        wanted: wanted.into(),
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::prelude::SymbolScope;

    use crate::tests::shipped;

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
            ["`image`", "1,3,224,224", "112, 112"].iter().all(|words| error.to_string().contains(words)),
            "{error}"
        );
    }

    #[test]
    fn an_input_fits_by_its_numbers() {
        let symbols = SymbolScope::default();
        for (declared, fit) in [
            ("1,3,224,224,f32", true),
            ("N,3,224,224,f32", true),
            ("_,3,_,_,f32", true),
            ("1,3,224,112,f32", false),
            ("1,224,224,3,f32", false),
            ("1,3,224,f32", false),
            ("1,3,224,224,u8", false),
            ("1,3,224,224", false),
            ("", false),
        ] {
            let fact = InferenceFact::from_spec(&symbols, declared).unwrap();
            assert_eq!(fits(&fact, [1, 3, 224, 224]), fit, "{declared}");
        }
    }

    /// An ONNX file's graph, and one that is an attribute of a node.
    #[test]
    fn an_output_that_nothing_makes_is_an_error() {
        for (model, output) in [
            (&b"\x3A\x0A\x62\x08\x0A\x06logits"[..], "`logits`"),
            (&b"\x3A\x0B\x0A\x09\x2A\x07\x32\x05\x62\x03\x0A\x01a"[..], "`a`"),
        ] {
            let error = Network::load(model, 224, 1).unwrap_err();
            assert!(matches!(&error, NetworkError::Load(reason) if reason.contains(output)), "{error}");
        }
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
