//! The nodes that the graphs are made of, with their constants.

use crate::export::fold::Convolution;
use crate::export::onnx::{Attribute, Model};
use crate::export::quantize::Int8Convolution;
use crate::model::int8::Uint8Scale;
use crate::model::tensor_names;

/// A convolution's kernel, padding and strides. The padding keeps the size at stride 1.
fn convolution_attributes(shape: [usize; 4], stride: i64) -> ([i64; 2], [i64; 4], [i64; 2]) {
    let (height, width) = (shape[2] as i64, shape[3] as i64);
    ([height, width], [height / 2, width / 2, height / 2, width / 2], [stride, stride])
}

/// Adds a float convolution. A bias that is zero everywhere is left out.
pub fn convolution(model: &mut Model, name: &str, input: &str, convolution: &Convolution, stride: i64) -> String {
    let weights = model.floats(tensor_names::weight(name), &convolution.shape, &convolution.weights);
    let mut inputs = vec![input, &weights];
    let bias = convolution
        .bias
        .iter()
        .any(|&bias| bias != 0.0)
        .then(|| model.floats(tensor_names::bias(name), &[convolution.shape[0]], &convolution.bias));
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
pub struct Uint8Tensor {
    name: String,
    /// What its integers stand for.
    scale: Uint8Scale,
    scale_name: String,
    zero_point_name: String,
}

/// Adds the scale and the zero point of a uint8 tensor, which a node of the same name then makes.
fn uint8_tensor(model: &mut Model, name: &str, scale: Uint8Scale) -> Uint8Tensor {
    Uint8Tensor {
        name: name.into(),
        scale,
        scale_name: model.floats(tensor_names::scale(name), &[], &[scale.scale]),
        zero_point_name: model.uint8s(tensor_names::zero_point(name), &[], &[scale.zero_point]),
    }
}

/// Adds the rounding of a float tensor to uint8.
pub fn quantize(model: &mut Model, name: &str, input: &str, scale: Uint8Scale) -> Uint8Tensor {
    let tensor = uint8_tensor(model, name, scale);
    model.node("QuantizeLinear", name, &[input, &tensor.scale_name, &tensor.zero_point_name], &[]);
    tensor
}

/// Adds the float tensor that a uint8 tensor stands for.
pub fn dequantize(model: &mut Model, name: &str, input: &Uint8Tensor) -> String {
    model.node("DequantizeLinear", name, &[&input.name, &input.scale_name, &input.zero_point_name], &[])
}

/// Adds the rounding of a float tensor to the values that uint8 can hold, which are in float again.
pub fn fake_quantize(model: &mut Model, name: &str, input: &str, scale: Uint8Scale) -> String {
    let quantized = quantize(model, &tensor_names::quantized(name), input, scale);
    dequantize(model, name, &quantized)
}

/// Adds a convolution of integers at stride 1. `scale` is that of the result, whose integers saturate: with zero point 0
/// the saturation is a ReLU.
pub fn int8_convolution(
    model: &mut Model,
    name: &str,
    input: &Uint8Tensor,
    convolution: &Convolution,
    scale: Uint8Scale,
) -> Uint8Tensor {
    let output = uint8_tensor(model, name, scale);
    let channels = convolution.shape[0];
    let integers = Int8Convolution::new(convolution, input.scale.scale);
    let weights = model.int8s(tensor_names::weight(name), &convolution.shape, &integers.weights);
    let scales = model.floats(tensor_names::scale(&weights), &[channels], &integers.scales);
    let zero_point = model.int8s(tensor_names::zero_point(&weights), &[], &[0]);
    let bias = model.int32s(tensor_names::bias(name), &[channels], &integers.bias);
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
