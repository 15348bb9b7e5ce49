//! The network as an ONNX graph, in float or with int8 convolutions.

mod arithmetic;
mod operators;

use crate::model::architecture::{Architecture, Attention};
use crate::model::int8::{ActivationScales, Ranges};
use crate::model::state_dict::StateDict;
use crate::model::tensor_names::{
    self, CAM, CLASSIFIER, ChannelGateNames, DenseLayerNames, LOGITS, SpatialGateNames, TransitionNames,
};

use self::arithmetic::{Arithmetic, Float, Int8, Twin, Twins};
use self::operators::convolution;
use super::ExportError;
use super::fold::{Convolution, EPSILON};
use super::onnx::{Attribute, Model};

/// The float graph of a network for square inputs of `size` pixels.
pub fn float(architecture: &Architecture, state: &StateDict, size: usize) -> Result<Model, ExportError> {
    check(architecture)?;
    Builder::new(architecture, state, &mut Float).network(size)
}

/// The graph with int8 convolutions in the dense layers and the transitions.
pub fn int8(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    ranges: &Ranges,
) -> Result<Model, ExportError> {
    check(architecture)?;
    let scales = ActivationScales::new(architecture, ranges)?;
    Builder::new(architecture, state, &mut Int8 { scales: &scales }).network(size)
}

/// The float graph with an int8 twin beside each convolution that the int8 graph quantizes.
pub struct TwinGraph {
    /// The graph. The results of the convolutions and their twins are not yet outputs.
    pub model: Model,
    /// The twins.
    pub twins: Vec<Twin>,
}

/// The float graph with twins. A twin computes in floats what the int8 graph does in integers: input, weights, bias and
/// result are rounded as there. A twin reads the float network's values, so it shows its own error and no other layer's.
pub fn twins(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    ranges: &Ranges,
) -> Result<TwinGraph, ExportError> {
    check(architecture)?;
    let scales = ActivationScales::new(architecture, ranges)?;
    let mut arithmetic = Twins { scales: &scales, twins: Vec::new() };
    let model = Builder::new(architecture, state, &mut arithmetic).network(size)?;
    Ok(TwinGraph { model, twins: arithmetic.twins })
}

fn check(architecture: &Architecture) -> Result<(), ExportError> {
    architecture.problem().map_or(Ok(()), |problem| Err(ExportError::Architecture { problem }))
}

/// A graph in the making.
struct Builder<'a> {
    architecture: &'a Architecture,
    state: &'a StateDict,
    arithmetic: &'a mut dyn Arithmetic,
    model: Model,
}

impl<'a> Builder<'a> {
    fn new(architecture: &'a Architecture, state: &'a StateDict, arithmetic: &'a mut dyn Arithmetic) -> Self {
        Builder { architecture, state, arithmetic, model: Model::new("xray-triage") }
    }

    fn network(mut self, size: usize) -> Result<Model, ExportError> {
        let architecture = self.architecture;
        let side = map_side(architecture, size)?;
        let image = self.model.input(tensor_names::IMAGE, &[1, 3, size, size]);
        let mut channels = architecture.initial_features;
        let mut x = self.stem(&image, channels)?;
        for (block, &layers) in (1..).zip(&architecture.blocks) {
            for layer in 1..=layers {
                let names = tensor_names::dense_layer(block, layer);
                let grown = self.dense_layer(&names, &x, channels)?;
                x = self.model.node("Concat", &names.concat, &[&x, &grown], &[("axis", Attribute::Int(1))]);
                channels += architecture.growth_rate;
            }
            if let Some(names) = tensor_names::channel_gate(architecture.attention, block) {
                x = self.channel_gate(&names, &x, channels)?;
            }
            if architecture.attention == Attention::Cbam {
                x = self.spatial_gate(&tensor_names::spatial_gate(block), &x)?;
            }
            if block < architecture.blocks.len() {
                x = self.transition(&tensor_names::transition(block), &x, channels)?;
                channels /= 2;
            }
        }
        self.head(&x, channels, side)?;
        Ok(self.model)
    }

    fn stem(&mut self, image: &str, channels: usize) -> Result<String, ExportError> {
        let weights = Convolution::read(self.state, tensor_names::STEM_CONV, [channels, 3, 7, 7])?
            .followed_by_norm(self.state, tensor_names::STEM_NORM)?;
        let x = convolution(&mut self.model, tensor_names::STEM_CONV, image, &weights, 2);
        let x = self.model.node("Relu", tensor_names::STEM_RELU, &[&x], &[]);
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[3, 3])),
            ("strides", Attribute::Ints(&[2, 2])),
            ("pads", Attribute::Ints(&[1, 1, 1, 1])),
        ];
        Ok(self.model.node("MaxPool", tensor_names::STEM_POOL, &[&x], &attributes))
    }

    fn dense_layer(&mut self, names: &DenseLayerNames, input: &str, channels: usize) -> Result<String, ExportError> {
        let squeezed = self.architecture.bottleneck * self.architecture.growth_rate;
        let squeeze = Convolution::read(self.state, &names.conv1, [squeezed, channels, 1, 1])?
            .followed_by_norm(self.state, &names.norm2)?;
        let grow = [self.architecture.growth_rate, squeezed, 3, 3];
        let grow = Convolution::read(self.state, &names.conv2, grow)?;
        let x = self.norm(&names.norm1, input, channels)?;
        Ok(self.arithmetic.dense_layer(&mut self.model, names, &x, &squeeze, &grow))
    }

    /// Adds a transition with the average pool before the 1 x 1 convolution. The two commute, and a quarter of the
    /// convolution's work is left.
    fn transition(&mut self, names: &TransitionNames, input: &str, channels: usize) -> Result<String, ExportError> {
        let weights = Convolution::read(self.state, &names.conv, [channels / 2, channels, 1, 1])?;
        let x = self.norm(&names.norm, input, channels)?;
        let x = self.model.node("Relu", &names.relu, &[&x], &[]);
        let attributes = [("kernel_shape", Attribute::Ints(&[2, 2])), ("strides", Attribute::Ints(&[2, 2]))];
        let x = self.model.node("AveragePool", &names.pool, &[&x], &attributes);
        Ok(self.arithmetic.transition(&mut self.model, names, &x, &weights))
    }

    /// Adds a channel gate: `sigmoid(sum over pools of mlp(pool(x))) * x`, where `mlp` is two linear layers with a ReLU
    /// between them. The second linear layer is done once, on the sum of the pools' hidden layers, with its bias counted
    /// once a pool.
    fn channel_gate(&mut self, names: &ChannelGateNames, input: &str, channels: usize) -> Result<String, ExportError> {
        let pools: &[&str] = match self.architecture.attention {
            Attention::Cbam => &["GlobalAveragePool", "GlobalMaxPool"],
            Attention::Se | Attention::None => &["GlobalAveragePool"],
        };
        let hidden = channels / self.architecture.reduction;
        let squeeze = Convolution::read_linear(self.state, &names.squeeze, hidden, channels)?;
        let mut excite = Convolution::read_linear(self.state, &names.excite, channels, hidden)?;
        for bias in &mut excite.bias {
            *bias *= pools.len() as f32;
        }
        let mut sum: Option<String> = None;
        for operator in pools {
            let pool = names.pool(operator);
            let pooled = self.model.node(operator, &pool.pooled, &[input], &[]);
            let squeezed = convolution(&mut self.model, &pool.squeezed, &pooled, &squeeze, 1);
            let relu = self.model.node("Relu", &pool.relu, &[&squeezed], &[]);
            sum = Some(match sum {
                None => relu,
                Some(sum) => self.model.node("Add", &names.hidden, &[&sum, &relu], &[]),
            });
        }
        let sum = sum.expect("a gate has a pool");
        let excited = convolution(&mut self.model, &names.excited, &sum, &excite, 1);
        Ok(self.gate(&names.output, &names.sigmoid, input, &excited))
    }

    fn spatial_gate(&mut self, names: &SpatialGateNames, input: &str) -> Result<String, ExportError> {
        let weights =
            Convolution::read(self.state, &names.conv, [1, 2, 7, 7])?.followed_by_norm(self.state, &names.norm)?;
        let axes = [("axes", Attribute::Ints(&[1]))];
        let max = self.model.node("ReduceMax", &names.max, &[input], &axes);
        let mean = self.model.node("ReduceMean", &names.mean, &[input], &axes);
        let pools = self.model.node("Concat", &names.pools, &[&max, &mean], &[("axis", Attribute::Int(1))]);
        let attention = convolution(&mut self.model, &names.conv, &pools, &weights, 1);
        Ok(self.gate(&names.output, &names.sigmoid, input, &attention))
    }

    /// Adds `sigmoid(attention) * input`.
    fn gate(&mut self, name: &str, sigmoid: &str, input: &str, attention: &str) -> String {
        let sigmoid = self.model.node("Sigmoid", sigmoid, &[attention], &[]);
        self.model.node("Mul", name, &[input, &sigmoid], &[])
    }

    fn head(&mut self, input: &str, channels: usize, side: usize) -> Result<(), ExportError> {
        let classes = self.architecture.classes;
        let classifier = Convolution::read_linear(self.state, CLASSIFIER, classes, channels)?;
        let x = self.norm(tensor_names::LAST_NORM, input, channels)?;
        let x = self.model.node("Relu", tensor_names::LAST_RELU, &[&x], &[]);
        let weights = self.model.floats(tensor_names::weight(CLASSIFIER), &classifier.shape, &classifier.weights);
        let cam = self.model.node("Conv", CAM, &[&x, &weights], &[]);
        let axes = [("axes", Attribute::Ints(&[2, 3])), ("keepdims", Attribute::Int(0))];
        let mean = self.model.node("ReduceMean", CLASSIFIER, &[&cam], &axes);
        let bias = self.model.floats(tensor_names::bias(CLASSIFIER), &[classes], &classifier.bias);
        self.model.node("Add", LOGITS, &[&mean, &bias], &[]);
        self.model.output(LOGITS, &[1, classes]);
        self.model.output(CAM, &[1, classes, side, side]);
        Ok(())
    }

    /// Adds a batch norm that follows no convolution, so that it cannot be folded into one.
    fn norm(&mut self, name: &str, input: &str, channels: usize) -> Result<String, ExportError> {
        let mut inputs = vec![input.to_string()];
        for name in tensor_names::norm_parameters(name) {
            let values = &self.state.get_shaped(&name, &[channels])?.values;
            inputs.push(self.model.floats(name, &[channels], values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.model.node("BatchNormalization", name, &inputs, &[("epsilon", Attribute::Float(EPSILON))]))
    }
}

/// Rows, and columns, of the map that the classifier reads: 7 for DenseNet-121 at 224 pixels.
fn map_side(architecture: &Architecture, size: usize) -> Result<usize, ExportError> {
    let blocks = architecture.blocks.len();
    let transitions = blocks.saturating_sub(1);
    let side = size.div_ceil(2).div_ceil(2) >> transitions;
    if side == 0 {
        return Err(ExportError::Size { size, blocks, least: (4 << transitions) - 3 });
    }
    Ok(side)
}
