//! What a network of the DenseNet-121 family with attention is made of.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

use super::tensor_names;

/// Side of the network's square input where nothing says another, pixels (Huang et al. 2017).
pub const DEFAULT_SIZE: u32 = 224;

/// torch's default for `BatchNorm2d`, which every norm of the network has: it is added to the variance.
pub const NORM_EPSILON: f64 = 1e-5;

/// The attention after each dense block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// Plain DenseNet (Huang et al. 2017).
    None,
    /// Squeeze-and-excitation (Hu et al. 2018): the average-pooled half of CBAM's channel gate.
    Se,
    /// Convolutional block attention module (Woo et al. 2018): channel gate, then spatial gate.
    Cbam,
}

/// What decides the shape of a network. [`Architecture::densenet121`] is what the device runs; tests build tiny ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Architecture {
    /// Channels each dense layer adds.
    pub growth_rate: usize,
    /// Dense layers in each dense block.
    pub blocks: Vec<usize>,
    /// Channels after the stem convolution.
    pub initial_features: usize,
    /// The 1x1 bottleneck of a dense layer has `bottleneck * growth_rate` channels.
    pub bottleneck: usize,
    /// The attention after each dense block.
    pub attention: Attention,
    /// Channel gates squeeze `channels` to `channels / reduction`.
    pub reduction: NonZero<usize>,
    /// Outputs of the classifier.
    pub classes: usize,
}

impl Architecture {
    /// DenseNet-121 (Huang et al. 2017, table 1) with the given attention and three classes.
    pub fn densenet121(attention: Attention) -> Self {
        Architecture {
            growth_rate: 32,
            blocks: vec![6, 12, 24, 16],
            initial_features: 64,
            bottleneck: 4,
            attention,
            reduction: const { NonZero::new(16).unwrap() },
            classes: 3,
        }
    }

    /// A network of the same make for tests: two dense blocks of two layers, a few channels.
    pub fn tiny(attention: Attention) -> Self {
        Architecture {
            growth_rate: 4,
            blocks: vec![2, 2],
            initial_features: 8,
            bottleneck: 2,
            attention,
            reduction: const { NonZero::new(4).unwrap() },
            classes: 3,
        }
    }

    /// Channels at the output of each dense block, where its attention sits: (256, 512, 1024, 1024) for DenseNet-121.
    pub fn block_channels(&self) -> Vec<usize> {
        let mut channels = self.initial_features;
        let mut outputs = Vec::with_capacity(self.blocks.len());
        for (index, layers) in self.blocks.iter().enumerate() {
            channels += layers * self.growth_rate;
            outputs.push(channels);
            if index + 1 < self.blocks.len() {
                channels /= 2;
            }
        }
        outputs
    }

    /// How many input pixels, along each axis, one cell of the map stands for that the classifier and the CAM read: 32 for
    /// DenseNet-121. The stem makes one of four, each transition one of two.
    pub fn stride(&self) -> usize {
        4 << self.blocks.len().saturating_sub(1)
    }

    /// Channels of the map that the classifier and the CAM read.
    pub fn feature_channels(&self) -> usize {
        *self.block_channels().last().unwrap_or(&self.initial_features)
    }

    /// The name ([`tensor_names`](super::tensor_names)) and the shape of every parameter and buffer of the network, in the
    /// order of the data.
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

    #[test]
    fn densenet121_gates_have_the_published_channels() {
        assert_eq!(Architecture::densenet121(Attention::Cbam).block_channels(), [256, 512, 1024, 1024]);
    }
}
