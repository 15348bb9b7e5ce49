//! What a network of the DenseNet-121 family with attention is made of.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

/// Side of the network's square input where nothing says another, pixels (Huang et al. 2017).
pub const DEFAULT_SIZE: u32 = 224;

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

    /// What makes the architecture, which may come from a file, one that no network can have, if anything does.
    pub fn problem(&self) -> Option<&'static str> {
        /// The largest number that is taken. No count of channels or values can overflow with it.
        const LARGEST: usize = 4096;
        let numbers = [self.growth_rate, self.initial_features, self.bottleneck, self.classes];
        if !(1..=16).contains(&self.blocks.len()) {
            Some("it has no dense block, or more than 16")
        } else if !numbers.iter().chain(&self.blocks).all(|number| (1..=LARGEST).contains(number)) {
            Some("a number of layers, channels or classes is 0 or above 4096")
        } else {
            None
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_that_no_network_has_is_told() {
        assert_eq!(Architecture::densenet121(Attention::Cbam).problem(), None);
        let tiny = Architecture::tiny(Attention::None);
        assert_eq!(tiny.problem(), None);
        for wrong in [
            Architecture { blocks: vec![], ..tiny.clone() },
            Architecture { blocks: vec![1; 17], ..tiny.clone() },
            Architecture { blocks: vec![2, usize::MAX], ..tiny.clone() },
            Architecture { growth_rate: 0, ..tiny.clone() },
            Architecture { bottleneck: usize::MAX, ..tiny.clone() },
        ] {
            assert!(wrong.problem().is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn densenet121_gates_have_the_published_channels() {
        assert_eq!(Architecture::densenet121(Attention::Cbam).block_channels(), [256, 512, 1024, 1024]);
    }
}
