//! How the graph's convolutions are done: in floats, in integers, or in both to measure the difference.

use crate::export::fold::Convolution;
use crate::export::onnx::Model;
use crate::export::quantize::Int8Convolution;
use crate::model::int8::{ActivationScales, Uint8Scale};
use crate::model::tensor_names::{self, DenseLayerNames, TransitionNames};

use super::operators::{convolution, dequantize, fake_quantize, int8_convolution, quantize};

/// A convolution done twice on the same float input, by the names of the results.
pub struct Twin {
    /// The convolution's name.
    pub layer: String,
    /// The result in floats.
    pub float: String,
    /// The result of the int8 graph, in the real values that its integers stand for.
    pub int8: String,
}

/// How the convolutions of the dense layers and the transitions are done. The `input` of a method and its result are names
/// of float tensors.
pub trait Arithmetic {
    /// Adds a dense layer after its first norm: ReLU, `squeeze`, ReLU, `grow`.
    fn dense_layer(
        &mut self,
        model: &mut Model,
        names: &DenseLayerNames,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> String;

    /// Adds the 1 x 1 convolution of a transition. `input` is rectified.
    fn transition(&mut self, model: &mut Model, names: &TransitionNames, input: &str, weights: &Convolution) -> String;
}

/// All convolutions in floats.
pub struct Float;

impl Arithmetic for Float {
    fn dense_layer(
        &mut self,
        model: &mut Model,
        names: &DenseLayerNames,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> String {
        let relu1 = model.node("Relu", &names.relu1, &[input], &[]);
        let squeezed = convolution(model, &names.conv1, &relu1, squeeze, 1);
        let relu2 = model.node("Relu", &names.relu2, &[&squeezed], &[]);
        convolution(model, &names.conv2, &relu2, grow, 1)
    }

    fn transition(&mut self, model: &mut Model, names: &TransitionNames, input: &str, weights: &Convolution) -> String {
        convolution(model, &names.conv, input, weights, 1)
    }
}

/// The convolutions in integers.
pub struct Int8<'a> {
    /// The scales of all activations in uint8.
    pub scales: &'a ActivationScales,
}

impl Arithmetic for Int8<'_> {
    fn dense_layer(
        &mut self,
        model: &mut Model,
        names: &DenseLayerNames,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> String {
        let relu1 = quantize(model, &names.relu1, input, self.scales.of(&names.relu1));
        let relu2 = int8_convolution(model, &names.relu2, &relu1, squeeze, self.scales.of(&names.relu2));
        let grown = int8_convolution(model, &names.conv2, &relu2, grow, self.scales.of(&names.conv2));
        dequantize(model, &names.grown, &grown)
    }

    fn transition(&mut self, model: &mut Model, names: &TransitionNames, input: &str, weights: &Convolution) -> String {
        let quantized = quantize(model, &names.quantized, input, self.scales.of(&names.pool));
        let output = int8_convolution(model, &names.conv, &quantized, weights, self.scales.of(&names.conv));
        dequantize(model, &names.halved, &output)
    }
}

/// All convolutions in floats, and a twin beside each.
pub struct Twins<'a> {
    /// The scales of the int8 graph.
    pub scales: &'a ActivationScales,
    /// The twins that were added.
    pub twins: Vec<Twin>,
}

impl Twins<'_> {
    /// Adds the twin of a convolution that reads the tensor `input` and whose float result is the tensor `float`.
    fn twin(
        &mut self,
        model: &mut Model,
        layer: &str,
        [input, float]: [&str; 2],
        weights: &Convolution,
        [input_scale, output_scale]: [Uint8Scale; 2],
    ) {
        let names = tensor_names::twin(layer);
        let rounded = fake_quantize(model, &names.input, input, input_scale);
        let real = Int8Convolution::new(weights, input_scale.scale).real(weights.shape, input_scale.scale);
        let output = convolution(model, &names.conv, &rounded, &real, 1);
        let int8 = fake_quantize(model, &names.output, &output, output_scale);
        self.twins.push(Twin { layer: layer.into(), float: float.into(), int8 });
    }
}

impl Arithmetic for Twins<'_> {
    fn dense_layer(
        &mut self,
        model: &mut Model,
        names: &DenseLayerNames,
        input: &str,
        squeeze: &Convolution,
        grow: &Convolution,
    ) -> String {
        let grown = Float.dense_layer(model, names, input, squeeze, grow);
        let scales = [&names.relu1, &names.relu2, &names.conv2].map(|tensor| self.scales.of(tensor));
        self.twin(model, &names.conv1, [&names.relu1, &names.relu2], squeeze, [scales[0], scales[1]]);
        self.twin(model, &names.conv2, [&names.relu2, &grown], grow, [scales[1], scales[2]]);
        grown
    }

    fn transition(&mut self, model: &mut Model, names: &TransitionNames, input: &str, weights: &Convolution) -> String {
        let output = Float.transition(model, names, input, weights);
        let scales = [&names.pool, &names.conv].map(|tensor| self.scales.of(tensor));
        self.twin(model, &names.conv, [input, &output], weights, scales);
        output
    }
}

#[cfg(test)]
mod tests {
    use crate::export::Session;
    use crate::model::formula;

    use super::*;

    /// The test compares what tract computes in integers with the twin's floats, on the same input.
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
        let scales = ActivationScales::default();
        let mut twins = Twins { scales: &scales, twins: Vec::new() };
        twins.twin(&mut model, "layer", [&image, &image], &layer, [input_scale, output_scale]);
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
