//! The one entrance to tract, the library that reads and runs ONNX graphs.
//!
//! An ONNX file may come from anywhere, and tract panics over some that are damaged or made by hand. Every call that
//! handles a file's content therefore runs where a panic is caught and becomes an [`OnnxError`]. What cannot be caught
//! is a graph that asks for more memory than there is: the system ends the program then. The first call installs a panic
//! hook that prints no panic of such a call, for its error has the words already; other panics are printed as before.
//!
//! ```no_run
//! use xray_triage_core::onnx::Graph;
//!
//! let file = std::fs::read("model.onnx")?;
//! let plan = Graph::parse(&file)?.into_plan(1)?;
//! let outputs = plan.run(&[1, 3, 224, 224], &vec![0.0; 3 * 224 * 224])?;
//! println!("{} is {}", plan.outputs()[0].name(), plan.outputs()[0]);
//! assert_eq!(outputs.len(), plan.outputs().len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::panic;
use std::sync::{Arc, Once};

use thiserror::Error;
use tract_core::prelude::multithread::Executor;
use tract_core::prelude::{
    Datum, DatumType, Framework, IntoTValue, OutletId, RunOptions, TDim, Tensor, TractError, TypedFact,
    TypedSimplePlan, tvec,
};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use tract_onnx::prelude::{DatumExt, InferenceFact, InferenceModel, InferenceModelExt};
use tract_onnx::tract_hir::infer::{Factoid, GenericFactoid};

use crate::panics;

/// Why an ONNX graph cannot be read, prepared or run.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// tract says that it cannot do it.
    #[error("tract cannot {action} the ONNX graph: {reason}")]
    Tract {
        /// What was to be done: `read`, `change`, `prepare` or `run`.
        action: &'static str,
        /// tract's words.
        reason: String,
    },
    /// tract panicked, as it does over some damaged graphs. The panic was caught.
    #[error("tract cannot {action} the ONNX graph and panicked: {reason}")]
    Panic {
        /// What was to be done: `read`, `change`, `prepare` or `run`.
        action: &'static str,
        /// The words of the panic.
        reason: String,
    },
    /// The graph, or one within it, has an output that none of its nodes makes.
    #[error("nothing makes the ONNX graph's output `{0}`")]
    UnmadeOutput(String),
    /// The graph has no tensor of the name asked for.
    #[error("the ONNX graph has no tensor `{0}`")]
    UnknownTensor(String),
    /// The number of input values is not the product of the input's shape.
    #[error("the input has {found} values, but shape {shape:?} needs another number")]
    InputLength {
        /// The values given.
        found: usize,
        /// The shape given.
        shape: Vec<usize>,
    },
}

/// What a graph says about one of its inputs or outputs. Prints as, for instance, `float32 [1, 3, ?, ?]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    name: String,
    /// `None` if the graph leaves it open.
    kind: Option<DatumType>,
    /// The size of each axis, `None` where the graph leaves it open; `None` as a whole if the number of axes is open.
    shape: Option<Vec<Option<i64>>>,
}

impl TensorInfo {
    fn declared(name: &str, fact: &InferenceFact) -> TensorInfo {
        let size = |axis: &GenericFactoid<TDim>| axis.concretize().and_then(|axis| axis.as_i64());
        TensorInfo {
            name: name.into(),
            kind: fact.datum_type.concretize(),
            shape: fact.shape.rank().concretize().map(|_| fact.shape.dims().map(size).collect()),
        }
    }

    fn prepared(name: &str, fact: &TypedFact) -> TensorInfo {
        let shape = Some(fact.shape.iter().map(TDim::as_i64).collect());
        TensorInfo { name: name.into(), kind: Some(fact.datum_type), shape }
    }

    /// The tensor's name in the graph.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the values are float32 numbers.
    pub fn is_float32(&self) -> bool {
        self.kind == Some(f32::datum_type())
    }

    /// The shape, if the graph says the size of every axis.
    pub fn fixed_shape(&self) -> Option<Vec<usize>> {
        self.shape.as_ref()?.iter().map(|axis| usize::try_from((*axis)?).ok()).collect()
    }

    /// Whether a float32 tensor of this shape fits. An axis whose size the graph leaves open fits any size.
    pub fn fits(&self, shape: &[usize]) -> bool {
        let fits = |(axis, size): (&Option<i64>, &usize)| axis.is_none_or(|axis| usize::try_from(axis) == Ok(*size));
        let axes = self.shape.as_ref().filter(|axes| axes.len() == shape.len());
        self.is_float32() && axes.is_some_and(|axes| axes.iter().zip(shape).all(fits))
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(_) if self.is_float32() => f.write_str("float32")?,
            Some(kind) => write!(f, "{kind:?}")?,
            None => f.write_str("any type")?,
        }
        let Some(shape) = &self.shape else { return f.write_str(" of any shape") };
        let size = |axis: &Option<i64>| axis.map_or_else(|| "?".to_string(), |axis| axis.to_string());
        write!(f, " [{}]", shape.iter().map(size).collect::<Vec<_>>().join(", "))
    }
}

/// One node of a graph.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The ONNX operator, for instance `Conv`.
    pub operator: &'a str,
    /// The names of the tensors that it reads.
    pub inputs: &'a [String],
    /// The names of the tensors that it makes.
    pub outputs: &'a [String],
}

/// An ONNX graph as its file declares it, not yet ready to run.
#[derive(Debug)]
pub struct Graph {
    model: InferenceModel,
    nodes: Vec<NodeProto>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

impl Graph {
    /// Reads the bytes of an ONNX file.
    ///
    /// # Errors
    /// The bytes are no ONNX graph, or one that tract cannot read.
    pub fn parse(file: &[u8]) -> Result<Graph, OnnxError> {
        guarded("read", || {
            let onnx = tract_onnx::onnx();
            let proto: ModelProto = onnx.proto_model_for_read(&mut &*file)?;
            if let Some(output) = proto.graph.as_ref().and_then(unmade_output) {
                return Ok(Err(OnnxError::UnmadeOutput(output.into())));
            }
            let model = onnx.model_for_proto_model(&proto)?;
            let (inputs, outputs) = (declared(&model, &model.inputs)?, declared(&model, &model.outputs)?);
            let nodes = proto.graph.map(|graph| graph.node).unwrap_or_default();
            Ok(Ok(Graph { model, nodes, inputs, outputs }))
        })?
    }

    /// The inputs in the graph's order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// The outputs in the graph's order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// The nodes in the file's order, in which a tensor is made before it is read.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = Node<'_>> {
        self.nodes.iter().map(|node| Node { operator: &node.op_type, inputs: &node.input, outputs: &node.output })
    }

    /// Makes these tensors the graph's outputs, whether they were outputs before or not.
    ///
    /// # Errors
    /// [`OnnxError::UnknownTensor`].
    pub fn select_outputs(&mut self, names: &[&str]) -> Result<(), OnnxError> {
        guarded("change", || {
            let mut outlets = Vec::with_capacity(names.len());
            for &name in names {
                match self.model.find_outlet_label(name) {
                    Some(outlet) => outlets.push(outlet),
                    None => return Ok(Err(OnnxError::UnknownTensor(name.into()))),
                }
            }
            self.model.select_output_outlets(&outlets)?;
            self.outputs = declared(&self.model, &outlets)?;
            Ok(Ok(()))
        })?
    }

    /// Fixes the type of input `index` to float32 and its shape, so that the graph can be optimised for it.
    ///
    /// # Errors
    /// There is no such input, or tract cannot change it.
    pub fn fix_input(&mut self, index: usize, shape: &[usize]) -> Result<(), OnnxError> {
        guarded("change", || self.model.set_input_fact(index, f32::fact(shape).into()))
    }

    /// Optimises the graph, which takes seconds for a large one on a small board.
    ///
    /// With `threads` above 1, matrix products and large element-wise operations run on that many threads. The results
    /// do not depend on it.
    ///
    /// # Errors
    /// tract cannot run the graph.
    pub fn into_plan(self, threads: usize) -> Result<Plan, OnnxError> {
        let Graph { model, inputs, outputs, .. } = self;
        guarded("prepare", || {
            let model = model.into_optimized()?;
            let prepared = |(declared, &outlet): (&TensorInfo, &OutletId)| {
                model.outlet_fact(outlet).map(|fact| TensorInfo::prepared(&declared.name, fact))
            };
            let inputs = inputs.iter().zip(&model.inputs).map(prepared).collect::<Result<_, _>>()?;
            let outputs = outputs.iter().zip(&model.outputs).map(prepared).collect::<Result<_, _>>()?;
            let executor = if threads > 1 { Executor::multithread(threads) } else { Executor::SingleThread };
            let options = RunOptions { executor: Some(executor), ..RunOptions::default() };
            Ok(Plan { plan: TypedSimplePlan::new_with_options(model, &options)?, inputs, outputs })
        })
    }
}

/// An ONNX graph that is ready to run.
#[derive(Debug)]
pub struct Plan {
    plan: Arc<TypedSimplePlan>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

impl Plan {
    /// The inputs in the graph's order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// The outputs in the graph's order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// Runs a graph that has one input. `values` are the input's, `shape` is its shape, the last axis changing fastest.
    /// Returns the values of every output as float32 in the same order; they may be infinite or no numbers.
    ///
    /// # Errors
    /// The input does not fit, or tract cannot run the graph on it.
    pub fn run(&self, shape: &[usize], values: &[f32]) -> Result<Vec<Vec<f32>>, OnnxError> {
        if shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) != Some(values.len()) {
            return Err(OnnxError::InputLength { found: values.len(), shape: shape.into() });
        }
        guarded("run", || {
            let input = Tensor::from_shape(shape, values)?;
            let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
            let values =
                |output: &Tensor| Ok(output.cast_to::<f32>()?.to_plain_array_view::<f32>()?.iter().copied().collect());
            outputs.iter().map(|output| values(output)).collect()
        })
    }
}

/// What a graph declares about these tensors.
fn declared(model: &InferenceModel, outlets: &[OutletId]) -> Result<Vec<TensorInfo>, TractError> {
    let info = |&outlet: &OutletId| {
        let name = model.outlet_label(outlet).unwrap_or(&model.node(outlet.node).name);
        model.outlet_fact(outlet).map(|fact| TensorInfo::declared(name, fact))
    };
    outlets.iter().map(info).collect()
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

thread_local! {
    /// Whether this thread is within [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls tract, with its errors and its panics turned into ours. What the call may have left half changed must not be
/// used any more.
fn guarded<T>(action: &'static str, call: impl FnOnce() -> Result<T, TractError>) -> Result<T, OnnxError> {
    static QUIET: Once = Once::new();
    // The error says what a panic said; the hook would print it a second time. Other threads' panics are printed.
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                print(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panics::catch(call);
    GUARDED.set(outer);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(OnnxError::Tract { action, reason: format!("{error:#}") }),
        Err(reason) => Err(OnnxError::Panic { action, reason }),
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::prelude::SymbolScope;

    use crate::testing::TestGraph;

    use super::*;

    /// Goes the whole way of a file: read, prepare for its declared input, run.
    fn whole_way(file: &[u8]) -> Result<Vec<Vec<f32>>, OnnxError> {
        let plan = Graph::parse(file)?.into_plan(1)?;
        let shape = plan.inputs().first().and_then(TensorInfo::fixed_shape).unwrap_or_default();
        let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        match count {
            Some(count) if count <= 1_000_000 => plan.run(&shape, &vec![0.5; count]),
            _ => Err(OnnxError::InputLength { found: 0, shape }),
        }
    }

    const IMAGE: [i64; 4] = [1, 3, 8, 8];

    /// What a network of this kind is made of, each operator once.
    fn sound() -> TestGraph {
        // Few numbers, so that a byte taken at random is seldom one of theirs.
        TestGraph::new("image", &IMAGE)
            .floats("weight", &[2, 3, 1, 1], &[0.5, -0.25, 1.0, -0.5, 0.75, 0.25])
            .floats("dense", &[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.0, 1.0])
            .ints("rows", &[1, -1])
            .node("Pad", "padded", &["image"], &[("pads", &[0, 0, 1, 1, 0, 0, 1, 1])])
            .operator_set(10)
            .node("Conv", "conv", &["padded", "weight"], &[("strides", &[2, 2]), ("dilations", &[1, 1])])
            .int("group", 1)
            .node("Relu", "relu", &["conv"], &[])
            .node("MaxPool", "pool", &["relu"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
            .node("Concat", "both", &["pool", "pool"], &[])
            .int("axis", 2)
            .node("GlobalAveragePool", "mean", &["both"], &[])
            .node("Flatten", "flat", &["mean"], &[])
            .int("axis", 1)
            .node("Reshape", "shaped", &["flat", "rows"], &[])
            .node("MatMul", "logits", &["shaped", "dense"], &[])
            .output("logits", &[1, 3])
    }

    #[test]
    fn a_sound_graph_runs() {
        let outputs = whole_way(&sound().encode()).unwrap();
        assert_eq!(outputs.iter().map(Vec::len).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn graphs_that_make_tract_panic_are_errors() {
        let image = || TestGraph::new("image", &IMAGE);
        let conv = |attribute, ints: &[i64]| {
            let weight = image().floats("weight", &[4, 3, 3, 3], &[0.5; 4 * 3 * 3 * 3]);
            weight.node("Conv", "out", &["image", "weight"], &[(attribute, ints)])
        };
        let pool = |operator, kernel: &[i64], strides: &[i64]| {
            image().node(operator, "out", &["image"], &[("kernel_shape", kernel), ("strides", strides)])
        };
        let flatten = |axis| image().node("Flatten", "out", &["image"], &[]).int("axis", axis);
        let panics = [
            ("flatten beyond the last axis", flatten(9), "out of range"),
            ("flatten far before the first axis", flatten(-9), "out of range"),
            ("convolution padded on one axis of two", conv("pads", &[1, 1]), "index out of bounds"),
            ("convolution with stride 0", conv("strides", &[0, 0]), "divide by zero"),
            ("convolution with one stride for two axes", conv("strides", &[1]), "index out of bounds"),
            ("maximum pooling with stride 0", pool("MaxPool", &[2, 2], &[0, 0]), "divide by zero"),
            ("mean pooling of nothing", pool("AveragePool", &[0, 0], &[1, 1]), "unwrap"),
        ];
        for (name, graph, words) in panics {
            let error = whole_way(&graph.output("out", &IMAGE).encode()).unwrap_err();
            assert!(
                matches!(&error, OnnxError::Panic { action: "prepare", reason } if reason.contains(words)),
                "{name}: {error}"
            );
        }
    }

    /// Damaged copies of a sound graph, with one or two bytes changed: each gives a result or an error.
    #[test]
    fn damaged_graphs_never_panic() {
        let sound = sound().encode();
        let mut random = Random(16);
        let (mut runs, mut errors, mut panics) = (0, 0, 0);
        for _ in 0..2000 {
            let mut file = sound.clone();
            for _ in 0..=random.below(2) {
                let place = random.below(file.len());
                // Sizes, counts and tags are small numbers.
                let values = if random.below(2) == 0 { 256 } else { 16 };
                file[place] = random.below(values) as u8;
            }
            match whole_way(&file) {
                Ok(_) => runs += 1,
                Err(OnnxError::Panic { .. }) => panics += 1,
                Err(_) => errors += 1,
            }
        }
        // All three happen, so the loop reaches every part of the way.
        assert!(runs > 0 && errors > 0 && panics > 0, "{runs} run, {errors} errors, {panics} caught panics");
    }

    #[test]
    fn a_panic_elsewhere_is_still_printed_and_the_guard_ends_with_the_call() {
        assert_eq!(guarded("run", || Ok(GUARDED.get())), Ok(true));
        assert!(matches!(guarded::<()>("run", || panic!("number {}", 3)),
            Err(OnnxError::Panic { action: "run", reason }) if reason == "number 3"));
        assert!(!GUARDED.get());
    }

    #[test]
    fn an_input_fits_by_its_numbers() {
        let symbols = SymbolScope::default();
        for (declared, fit, words) in [
            ("1,3,224,224,f32", true, "float32 [1, 3, 224, 224]"),
            ("N,3,224,224,f32", true, "float32 [?, 3, 224, 224]"),
            ("_,3,_,_,f32", true, "float32 [?, 3, ?, ?]"),
            ("1,3,224,112,f32", false, "float32 [1, 3, 224, 112]"),
            ("1,224,224,3,f32", false, "float32 [1, 224, 224, 3]"),
            ("1,3,224,f32", false, "float32 [1, 3, 224]"),
            ("1,3,224,224,u8", false, "U8 [1, 3, 224, 224]"),
            ("1,3,224,224", false, "any type [1, 3, 224, 224]"),
            ("", false, "any type of any shape"),
        ] {
            let info = TensorInfo::declared("image", &InferenceFact::from_spec(&symbols, declared).unwrap());
            assert_eq!((info.fits(&[1, 3, 224, 224]), info.to_string().as_str()), (fit, words), "{declared}");
        }
    }

    #[test]
    fn any_tensor_can_be_an_output() {
        let mut graph = Graph::parse(&sound().encode()).unwrap();
        graph.select_outputs(&["logits", "flat"]).unwrap();
        let unknown = graph.select_outputs(&["no-such-tensor"]);
        assert_eq!(unknown, Err(OnnxError::UnknownTensor("no-such-tensor".into())));
        let plan = graph.into_plan(1).unwrap();
        let names: Vec<&str> = plan.outputs().iter().map(TensorInfo::name).collect();
        assert_eq!(names, ["logits", "flat"]);
        assert_eq!(plan.outputs()[1].fixed_shape(), Some(vec![1, 2]));
        assert!(matches!(plan.run(&[1, 3, 8, 8], &[0.0]), Err(OnnxError::InputLength { found: 1, .. })));
    }

    /// Linear congruential generator (D. Knuth, The Art of Computer Programming, volume 2, section 3.3.4, MMIX).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % limit
        }
    }
}
