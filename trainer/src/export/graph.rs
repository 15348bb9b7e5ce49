//! The network as an ONNX graph, in float or with int8 convolutions.

use crate::model::architecture::{Architecture, Attention};
use crate::model::state_dict::StateDict;

use super::fold::{Convolution, EPSILON};
use super::onnx::{Attribute, Model};
use super::quantize::{Int8Convolution, Uint8Scale, check_range};
use super::{ExportError, Ranges};

/// The float graph.
pub struct FloatGraph {
    pub model: Model,
    /// The tensors whose ranges the int8 graph needs.
    pub quantizable: Vec<String>,
}

/// The float graph of a network for square inputs of `size` pixels.
pub fn float(architecture: &Architecture, state: &StateDict, size: usize) -> Result<FloatGraph, ExportError> {
    let mut arithmetic = Float { quantizable: Vec::new() };
    let model = Builder::new(architecture, state, &mut arithmetic).network(size)?;
    Ok(FloatGraph { model, quantizable: arithmetic.quantizable })
}

/// The graph with int8 convolutions in the dense layers and the transitions.
pub fn int8(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    ranges: &Ranges,
) -> Result<Model, ExportError> {
    Builder::new(architecture, state, &mut Int8 { ranges }).network(size)
}

/// The float graph with an int8 twin beside each convolution that the int8 graph quantizes.
pub struct TwinGraph {
    pub model: Model,
    pub twins: Vec<Twin>,
}

/// A convolution done twice on the same float input, by the names of the results.
pub struct Twin {
    /// The convolution's name.
    pub layer: String,
    pub float: String,
    /// As the int8 graph would have it, in real values.
    pub int8: String,
}

/// The float graph with twins. A twin computes in floats what the int8 graph does in integers: input, weights, bias and
/// result are rounded as there. Its input is the float network's, so it shows its own error and no other layer's.
pub fn twins(
    architecture: &Architecture,
    state: &StateDict,
    size: usize,
    ranges: &Ranges,
) -> Result<TwinGraph, ExportError> {
    let mut arithmetic = Twins { float: Float { quantizable: Vec::new() }, int8: Int8 { ranges }, twins: Vec::new() };
    let model = Builder::new(architecture, state, &mut arithmetic).network(size)?;
    Ok(TwinGraph { model, twins: arithmetic.twins })
}

/// How the convolutions of the dense layers and the transitions are done. `input` and the result are float tensors.
trait Arithmetic {
    /// ReLU - `squeeze` - ReLU - `grow`: a dense layer after its first norm.
    fn dense_layer(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> Result<String, ExportError>;

    /// 1 x 1 convolution of a rectified tensor.
    fn transition(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        convolution: &Convolution,
    ) -> Result<String, ExportError>;
}

struct Float {
    quantizable: Vec<String>,
}

impl Arithmetic for Float {
    fn dense_layer(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> Result<String, ExportError> {
        let relu1 = model.node("Relu", &format!("{name}.relu1"), &[input], &[]);
        let squeezed = convolution(model, &format!("{name}.conv1"), &relu1, squeeze, 1);
        let relu2 = model.node("Relu", &format!("{name}.relu2"), &[&squeezed], &[]);
        let grown = convolution(model, &format!("{name}.conv2"), &relu2, grow, 1);
        self.quantizable.extend([relu1, relu2, grown.clone()]);
        Ok(grown)
    }

    fn transition(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        weights: &Convolution,
    ) -> Result<String, ExportError> {
        let output = convolution(model, &format!("{name}.conv"), input, weights, 1);
        self.quantizable.extend([input.into(), output.clone()]);
        Ok(output)
    }
}

struct Int8<'a> {
    ranges: &'a Ranges,
}

impl Int8<'_> {
    /// The scale of a tensor. After a ReLU its zero point is 0: the saturation at 0 then is the ReLU.
    fn scale(&self, tensor: &str, rectified: bool) -> Result<Uint8Scale, ExportError> {
        let range = self.ranges.get(tensor).ok_or_else(|| ExportError::MissingRange { tensor: tensor.into() })?;
        Ok(Uint8Scale::over(check_range(tensor, *range, rectified)?))
    }
}

impl Arithmetic for Int8<'_> {
    fn dense_layer(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> Result<String, ExportError> {
        let scales = [
            self.scale(&format!("{name}.relu1"), true)?,
            self.scale(&format!("{name}.relu2"), true)?,
            self.scale(&format!("{name}.conv2"), false)?,
        ];
        let relu1 = quantize(model, &format!("{name}.relu1"), input, scales[0]);
        let relu2 = int8_convolution(model, &format!("{name}.relu2"), &relu1, squeeze, scales[1]);
        let grown = int8_convolution(model, &format!("{name}.conv2"), &relu2, grow, scales[2]);
        Ok(dequantize(model, &format!("{name}.grown"), &grown))
    }

    fn transition(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        weights: &Convolution,
    ) -> Result<String, ExportError> {
        let scales = [self.scale(input, true)?, self.scale(&format!("{name}.conv"), false)?];
        let quantized = quantize(model, &format!("{name}.quantized"), input, scales[0]);
        let output = int8_convolution(model, &format!("{name}.conv"), &quantized, weights, scales[1]);
        Ok(dequantize(model, &format!("{name}.halved"), &output))
    }
}

struct Twins<'a> {
    float: Float,
    int8: Int8<'a>,
    twins: Vec<Twin>,
}

impl Twins<'_> {
    /// Adds the twin of the convolution `layer`, whose float result is `float`.
    fn twin(
        &mut self,
        model: &mut Model,
        layer: String,
        [input, float]: [&str; 2],
        weights: &Convolution,
        [input_scale, output_scale]: [Uint8Scale; 2],
    ) {
        let name = format!("{layer}.twin");
        let rounded = rounded(model, &format!("{name}.input"), input, input_scale);
        let real = Int8Convolution::new(weights, input_scale.scale).real(weights.shape, input_scale.scale);
        let output = convolution(model, &name, &rounded, &real, 1);
        let int8 = self::rounded(model, &format!("{name}.output"), &output, output_scale);
        self.twins.push(Twin { layer, float: float.into(), int8 });
    }
}

impl Arithmetic for Twins<'_> {
    fn dense_layer(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> Result<String, ExportError> {
        let grown = self.float.dense_layer(model, name, input, squeeze, grow)?;
        let (relu1, relu2) = (format!("{name}.relu1"), format!("{name}.relu2"));
        let scales = [self.int8.scale(&relu1, true)?, self.int8.scale(&relu2, true)?, self.int8.scale(&grown, false)?];
        self.twin(model, format!("{name}.conv1"), [&relu1, &relu2], squeeze, [scales[0], scales[1]]);
        self.twin(model, format!("{name}.conv2"), [&relu2, &grown], grow, [scales[1], scales[2]]);
        Ok(grown)
    }

    fn transition(
        &mut self,
        model: &mut Model,
        name: &str,
        input: &str,
        weights: &Convolution,
    ) -> Result<String, ExportError> {
        let output = self.float.transition(model, name, input, weights)?;
        let scales = [self.int8.scale(input, true)?, self.int8.scale(&output, false)?];
        self.twin(model, output.clone(), [input, &output], weights, scales);
        Ok(output)
    }
}

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
        let image = self.model.input("image", &[1, 3, size, size]);
        let mut channels = architecture.initial_features;
        let mut x = self.stem(&image, channels)?;
        for (index, &layers) in architecture.blocks.iter().enumerate() {
            let block = index + 1;
            for layer in 1..=layers {
                let name = format!("features.denseblock{block}.denselayer{layer}");
                let grown = self.dense_layer(&name, &x, channels)?;
                x = self.model.node("Concat", &format!("{name}.concat"), &[&x, &grown], &[("axis", Attribute::Int(1))]);
                channels += architecture.growth_rate;
            }
            x = match architecture.attention {
                Attention::None => x,
                Attention::Se => {
                    self.channel_gate(&format!("features.se{block}"), "fc", &x, channels, &["GlobalAveragePool"])?
                }
                Attention::Cbam => {
                    let name = format!("features.cbam{block}");
                    let pools = ["GlobalAveragePool", "GlobalMaxPool"];
                    let gated = self.channel_gate(&format!("{name}.ChannelGate"), "mlp", &x, channels, &pools)?;
                    self.spatial_gate(&format!("{name}.SpatialGate"), &gated)?
                }
            };
            if block < architecture.blocks.len() {
                x = self.transition(&format!("features.transition{block}"), &x, channels)?;
                channels /= 2;
            }
        }
        self.head(&x, channels, side)?;
        Ok(self.model)
    }

    fn stem(&mut self, image: &str, channels: usize) -> Result<String, ExportError> {
        let weights = Convolution::read(self.state, "features.conv0", [channels, 3, 7, 7])?
            .followed_by_norm(self.state, "features.norm0")?;
        let x = convolution(&mut self.model, "features.conv0", image, &weights, 2);
        let x = self.model.node("Relu", "features.relu0", &[&x], &[]);
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[3, 3])),
            ("strides", Attribute::Ints(&[2, 2])),
            ("pads", Attribute::Ints(&[1, 1, 1, 1])),
        ];
        Ok(self.model.node("MaxPool", "features.pool0", &[&x], &attributes))
    }

    fn dense_layer(&mut self, name: &str, input: &str, channels: usize) -> Result<String, ExportError> {
        let squeezed = self.architecture.bottleneck * self.architecture.growth_rate;
        let squeeze = Convolution::read(self.state, &format!("{name}.conv1"), [squeezed, channels, 1, 1])?
            .followed_by_norm(self.state, &format!("{name}.norm2"))?;
        let grow = [self.architecture.growth_rate, squeezed, 3, 3];
        let grow = Convolution::read(self.state, &format!("{name}.conv2"), grow)?;
        let x = self.norm(&format!("{name}.norm1"), input, channels)?;
        self.arithmetic.dense_layer(&mut self.model, name, &x, &squeeze, &grow)
    }

    /// The average pool goes before the 1 x 1 convolution: they commute, and a quarter of its work is left.
    fn transition(&mut self, name: &str, input: &str, channels: usize) -> Result<String, ExportError> {
        let weights = Convolution::read(self.state, &format!("{name}.conv"), [channels / 2, channels, 1, 1])?;
        let x = self.norm(&format!("{name}.norm"), input, channels)?;
        let x = self.model.node("Relu", &format!("{name}.relu"), &[&x], &[]);
        let attributes = [("kernel_shape", Attribute::Ints(&[2, 2])), ("strides", Attribute::Ints(&[2, 2]))];
        let x = self.model.node("AveragePool", &format!("{name}.pool"), &[&x], &attributes);
        self.arithmetic.transition(&mut self.model, name, &x, &weights)
    }

    /// `sigmoid(sum over pools of mlp(pool(x))) * x`. The last linear layer is done once, on the sum of the pools'
    /// hidden layers, with its bias counted once a pool.
    fn channel_gate(
        &mut self,
        name: &str,
        mlp: &str,
        input: &str,
        channels: usize,
        pools: &[&str],
    ) -> Result<String, ExportError> {
        let hidden = channels / self.architecture.reduction;
        let squeeze = Convolution::read_linear(self.state, &format!("{name}.{mlp}.1"), hidden, channels)?;
        let mut excite = Convolution::read_linear(self.state, &format!("{name}.{mlp}.3"), channels, hidden)?;
        for bias in &mut excite.bias {
            *bias *= pools.len() as f32;
        }
        let mut sum: Option<String> = None;
        for pool in pools {
            let pooled = self.model.node(pool, &format!("{name}.{pool}"), &[input], &[]);
            let squeezed = convolution(&mut self.model, &format!("{name}.{pool}.squeezed"), &pooled, &squeeze, 1);
            let relu = self.model.node("Relu", &format!("{name}.{pool}.relu"), &[&squeezed], &[]);
            sum = Some(match sum {
                None => relu,
                Some(sum) => self.model.node("Add", &format!("{name}.hidden"), &[&sum, &relu], &[]),
            });
        }
        let sum = sum.expect("a gate has a pool");
        let excited = convolution(&mut self.model, &format!("{name}.excited"), &sum, &excite, 1);
        Ok(self.gate(name, input, &excited))
    }

    fn spatial_gate(&mut self, name: &str, input: &str) -> Result<String, ExportError> {
        let weights = Convolution::read(self.state, &format!("{name}.spatial.conv"), [1, 2, 7, 7])?
            .followed_by_norm(self.state, &format!("{name}.spatial.bn"))?;
        let axes = [("axes", Attribute::Ints(&[1]))];
        let max = self.model.node("ReduceMax", &format!("{name}.max"), &[input], &axes);
        let mean = self.model.node("ReduceMean", &format!("{name}.mean"), &[input], &axes);
        let pools = self.model.node("Concat", &format!("{name}.pools"), &[&max, &mean], &[("axis", Attribute::Int(1))]);
        let attention = convolution(&mut self.model, &format!("{name}.spatial.conv"), &pools, &weights, 1);
        Ok(self.gate(name, input, &attention))
    }

    /// `sigmoid(attention) * input`
    fn gate(&mut self, name: &str, input: &str, attention: &str) -> String {
        let sigmoid = self.model.node("Sigmoid", &format!("{name}.sigmoid"), &[attention], &[]);
        self.model.node("Mul", name, &[input, &sigmoid], &[])
    }

    fn head(&mut self, input: &str, channels: usize, side: usize) -> Result<(), ExportError> {
        let classes = self.architecture.classes;
        let classifier = Convolution::read_linear(self.state, "classifier", classes, channels)?;
        let x = self.norm("features.norm5", input, channels)?;
        let x = self.model.node("Relu", "features.relu5", &[&x], &[]);
        let weights = self.model.floats("classifier.weight".into(), &classifier.shape, &classifier.weights);
        let cam = self.model.node("Conv", "cam", &[&x, &weights], &[]);
        let axes = [("axes", Attribute::Ints(&[2, 3])), ("keepdims", Attribute::Int(0))];
        let mean = self.model.node("ReduceMean", "classifier", &[&cam], &axes);
        let bias = self.model.floats("classifier.bias".into(), &[classes], &classifier.bias);
        self.model.node("Add", "logits", &[&mean, &bias], &[]);
        self.model.output("logits", &[1, classes]);
        self.model.output("cam", &[1, classes, side, side]);
        Ok(())
    }

    /// A batch norm that no convolution precedes.
    fn norm(&mut self, name: &str, input: &str, channels: usize) -> Result<String, ExportError> {
        let mut inputs = vec![input.to_string()];
        for field in ["weight", "bias", "running_mean", "running_var"] {
            let name = format!("{name}.{field}");
            let values = &self.state.get_shaped(&name, &[channels])?.values;
            inputs.push(self.model.floats(name, &[channels], values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.model.node("BatchNormalization", name, &inputs, &[("epsilon", Attribute::Float(EPSILON))]))
    }
}

/// Rows of the map before the classifier: 7 for DenseNet-121 at 224 pixels.
fn map_side(architecture: &Architecture, size: usize) -> Result<usize, ExportError> {
    let blocks = architecture.blocks.len();
    let transitions = blocks.saturating_sub(1);
    let side = size.div_ceil(2).div_ceil(2) >> transitions;
    if side == 0 {
        return Err(ExportError::Size { size, blocks, least: (4 << transitions) - 3 });
    }
    Ok(side)
}

/// A padding that keeps the size at stride 1.
fn convolution_attributes(shape: [usize; 4], stride: i64) -> ([i64; 2], [i64; 4], [i64; 2]) {
    let (height, width) = (shape[2] as i64, shape[3] as i64);
    ([height, width], [height / 2, width / 2, height / 2, width / 2], [stride, stride])
}

fn convolution(model: &mut Model, name: &str, input: &str, convolution: &Convolution, stride: i64) -> String {
    let weights = model.floats(format!("{name}.weight"), &convolution.shape, &convolution.weights);
    let mut inputs = vec![input, &weights];
    let bias = convolution
        .bias
        .iter()
        .any(|&bias| bias != 0.0)
        .then(|| model.floats(format!("{name}.bias"), &[convolution.shape[0]], &convolution.bias));
    inputs.extend(bias.as_deref());
    let (kernel, pads, strides) = convolution_attributes(convolution.shape, stride);
    let attributes = [
        ("kernel_shape", Attribute::Ints(&kernel)),
        ("pads", Attribute::Ints(&pads)),
        ("strides", Attribute::Ints(&strides)),
    ];
    model.node("Conv", name, &inputs, &attributes)
}

/// A uint8 tensor of the graph.
struct Uint8Tensor {
    name: String,
    scale: Uint8Scale,
    scale_name: String,
    zero_point_name: String,
}

fn uint8_tensor(model: &mut Model, name: &str, scale: Uint8Scale) -> Uint8Tensor {
    Uint8Tensor {
        name: name.into(),
        scale,
        scale_name: model.floats(format!("{name}.scale"), &[], &[scale.scale]),
        zero_point_name: model.uint8s(format!("{name}.zero_point"), &[], &[scale.zero_point]),
    }
}

fn quantize(model: &mut Model, name: &str, input: &str, scale: Uint8Scale) -> Uint8Tensor {
    let tensor = uint8_tensor(model, name, scale);
    model.node("QuantizeLinear", name, &[input, &tensor.scale_name, &tensor.zero_point_name], &[]);
    tensor
}

fn dequantize(model: &mut Model, name: &str, input: &Uint8Tensor) -> String {
    model.node("DequantizeLinear", name, &[&input.name, &input.scale_name, &input.zero_point_name], &[])
}

/// What a float tensor is after having been uint8.
fn rounded(model: &mut Model, name: &str, input: &str, scale: Uint8Scale) -> String {
    let quantized = quantize(model, &format!("{name}.quantized"), input, scale);
    dequantize(model, name, &quantized)
}

fn int8_convolution(
    model: &mut Model,
    name: &str,
    input: &Uint8Tensor,
    convolution: &Convolution,
    scale: Uint8Scale,
) -> Uint8Tensor {
    let output = uint8_tensor(model, name, scale);
    let channels = convolution.shape[0];
    let integers = Int8Convolution::new(convolution, input.scale.scale);
    let weights = model.int8s(format!("{name}.weight"), &convolution.shape, &integers.weights);
    let scales = model.floats(format!("{name}.weight.scale"), &[channels], &integers.scales);
    let zero_point = model.int8s(format!("{name}.weight.zero_point"), &[], &[0]);
    let bias = model.int32s(format!("{name}.bias"), &[channels], &integers.bias);
    let inputs = [
        input.name.as_str(),
        &input.scale_name,
        &input.zero_point_name,
        &weights,
        &scales,
        &zero_point,
        &output.scale_name,
        &output.zero_point_name,
        &bias,
    ];
    let (kernel, pads, strides) = convolution_attributes(convolution.shape, 1);
    let attributes = [
        ("kernel_shape", Attribute::Ints(&kernel)),
        ("pads", Attribute::Ints(&pads)),
        ("strides", Attribute::Ints(&strides)),
    ];
    model.node("QLinearConv", name, &inputs, &attributes);
    output
}

#[cfg(test)]
mod tests {
    use crate::export::Session;
    use crate::model::formula;

    use super::*;

    /// tract's integers against the twin's floats, on the very same input.
    #[test]
    fn a_twin_gives_what_the_integers_give() {
        let size = 16;
        let weights: Vec<f32> = formula::image(size).into_iter().take(5 * 3 * 9).collect();
        let layer = Convolution { shape: [5, 3, 3, 3], weights, bias: vec![0.3, -1.0, 0.0, 2.5, 0.01] };
        let [input_scale, output_scale] = [[-2.0, 2.0], [-9.0, 7.0]].map(Uint8Scale::over);
        let mut model = Model::new("twin");
        let image = model.input("image", &[1, 3, size, size]);
        let input = quantize(&mut model, "quantized", &image, input_scale);
        let integers = int8_convolution(&mut model, "integers", &input, &layer, output_scale);
        let integers = dequantize(&mut model, "real", &integers);
        let ranges = Ranges::new();
        let mut twins =
            Twins { float: Float { quantizable: Vec::new() }, int8: Int8 { ranges: &ranges }, twins: Vec::new() };
        twins.twin(&mut model, "layer".into(), [&image, &image], &layer, [input_scale, output_scale]);
        model.tap(&integers);
        model.tap(&twins.twins[0].int8);
        let outputs = Session::load(&model.encode(), size).unwrap().run(&formula::image(size)).unwrap();
        let different = outputs[0].iter().zip(&outputs[1]).filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
        let steps = outputs[0].iter().zip(&outputs[1]).map(|(a, b)| (a - b).abs() / output_scale.scale);
        // Where a value lies between two integers, sums in another order may round to the other one.
        assert!(different * 200 < outputs[0].len(), "{different} of {} differ", outputs[0].len());
        assert!(steps.fold(0.0, f32::max) < 1.01);
        assert!(outputs[0].iter().any(|value| value.abs() > 1.0));
    }
}
