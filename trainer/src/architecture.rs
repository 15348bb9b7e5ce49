//! What a network of the DenseNet-121 family with attention is made of.

use serde::{Deserialize, Serialize};

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

/// The parameters of a network. [`Architecture::densenet121`] is the product's; tests build tiny ones.
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
    pub attention: Attention,
    /// Channel gates squeeze `channels` to `channels / reduction`.
    pub reduction: usize,
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
            reduction: 16,
            classes: 3,
        }
    }

    /// A network of the same make, small enough to run in a debug build.
    pub fn tiny(attention: Attention) -> Self {
        Architecture {
            growth_rate: 4,
            blocks: vec![2, 2],
            initial_features: 8,
            bottleneck: 2,
            attention,
            reduction: 4,
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

    /// Channels of the map that the classifier and the CAM read.
    pub fn feature_channels(&self) -> usize {
        *self.block_channels().last().unwrap_or(&self.initial_features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densenet121_gates_have_the_published_channels() {
        assert_eq!(Architecture::densenet121(Attention::Cbam).block_channels(), [256, 512, 1024, 1024]);
    }
}
