//! The parameters and buffers that a network of an architecture has.

use super::architecture::{Architecture, Attention};
use super::tensor_names;

impl Architecture {
    /// The name ([`tensor_names`]) and the shape of every parameter and buffer of the network, in the order of the data.
    ///
    /// Convolutions are `[out, in, height, width]`, linear layers `[out, in]`, all else `[channels]`.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = Shapes::default();
        let mut channels = self.initial_features;
        let squeezed = self.bottleneck * self.growth_rate;
        shapes.weight(tensor_names::STEM_CONV, &[channels, 3, 7, 7]);
        shapes.norm(tensor_names::STEM_NORM, channels);
        for (block, &layers) in (1..).zip(&self.blocks) {
            for layer in 1..=layers {
                let names = tensor_names::dense_layer(block, layer);
                shapes.norm(&names.norm1, channels);
                shapes.weight(&names.conv1, &[squeezed, channels, 1, 1]);
                shapes.norm(&names.norm2, squeezed);
                shapes.weight(&names.conv2, &[self.growth_rate, squeezed, 3, 3]);
                channels += self.growth_rate;
            }
            if let Some(names) = tensor_names::channel_gate(self.attention, block) {
                let hidden = channels / self.reduction;
                shapes.linear(&names.squeeze, hidden, channels);
                shapes.linear(&names.excite, channels, hidden);
            }
            if self.attention == Attention::Cbam {
                let names = tensor_names::spatial_gate(block);
                shapes.weight(&names.conv, &[1, 2, 7, 7]);
                shapes.norm(&names.norm, 1);
            }
            if block < self.blocks.len() {
                let names = tensor_names::transition(block);
                shapes.norm(&names.norm, channels);
                shapes.weight(&names.conv, &[channels / 2, channels, 1, 1]);
                channels /= 2;
            }
        }
        shapes.norm(tensor_names::LAST_NORM, channels);
        shapes.linear(tensor_names::CLASSIFIER, self.classes, channels);
        shapes.0
    }
}

/// Names and shapes of parameters and buffers.
#[derive(Default)]
struct Shapes(Vec<(String, Vec<usize>)>);

impl Shapes {
    fn weight(&mut self, module: &str, shape: &[usize]) {
        self.0.push((tensor_names::weight(module), shape.to_vec()));
    }

    fn linear(&mut self, module: &str, outputs: usize, inputs: usize) {
        self.weight(module, &[outputs, inputs]);
        self.0.push((tensor_names::bias(module), vec![outputs]));
    }

    fn norm(&mut self, norm: &str, channels: usize) {
        self.0.extend(tensor_names::norm_parameters(norm).map(|name| (name, vec![channels])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Torchvision's densenet121 has 7,978,856 parameters, 1,025,000 of them in its classifier of 1000 classes.
    #[test]
    fn densenet121_has_torchvisions_parameter_count() {
        let count: usize = Architecture::densenet121(Attention::None)
            .parameter_shapes()
            .iter()
            .filter(|(name, _)| !name.contains(".running_"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(count, 7_978_856 - 1_025_000 + 3 * 1024 + 3);
    }
}
