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
    pub reduction: NonZero<usize>,
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

    /// A network of the same make, small enough to run in a debug build.
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

    /// Input pixels to a cell of the map that the classifier and the CAM read, along each axis: 32 for DenseNet-121. The
    /// stem takes four to one, each transition two.
    pub fn stride(&self) -> usize {
        4 << self.blocks.len().saturating_sub(1)
    }

    /// Channels of the map that the classifier and the CAM read.
    pub fn feature_channels(&self) -> usize {
        *self.block_channels().last().unwrap_or(&self.initial_features)
    }

    /// Every parameter and buffer of the network with its shape, in the order the data meets them.
    ///
    /// Convolutions are `[out, in, height, width]`, linear layers `[out, in]`. The names are torchvision's, the CBAM's
    /// those of its authors' code; the final norm is `norm5` whatever the number of blocks.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = Vec::new();
        let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
        let mut channels = self.initial_features;
        let squeezed = self.bottleneck * self.growth_rate;
        add("features.conv0.weight".into(), &[channels, 3, 7, 7]);
        add_norm(&mut add, "features.norm0", channels);
        for (index, &layers) in self.blocks.iter().enumerate() {
            let block = index + 1;
            for layer in 1..=layers {
                let prefix = format!("features.denseblock{block}.denselayer{layer}");
                add_norm(&mut add, &format!("{prefix}.norm1"), channels);
                add(format!("{prefix}.conv1.weight"), &[squeezed, channels, 1, 1]);
                add_norm(&mut add, &format!("{prefix}.norm2"), squeezed);
                add(format!("{prefix}.conv2.weight"), &[self.growth_rate, squeezed, 3, 3]);
                channels += self.growth_rate;
            }
            let mlp = match self.attention {
                Attention::None => None,
                Attention::Se => Some(format!("features.se{block}.fc")),
                Attention::Cbam => Some(format!("features.cbam{block}.ChannelGate.mlp")),
            };
            if let Some(mlp) = mlp {
                let hidden = channels / self.reduction;
                add(format!("{mlp}.1.weight"), &[hidden, channels]);
                add(format!("{mlp}.1.bias"), &[hidden]);
                add(format!("{mlp}.3.weight"), &[channels, hidden]);
                add(format!("{mlp}.3.bias"), &[channels]);
            }
            if self.attention == Attention::Cbam {
                let spatial = format!("features.cbam{block}.SpatialGate.spatial");
                add(format!("{spatial}.conv.weight"), &[1, 2, 7, 7]);
                add_norm(&mut add, &format!("{spatial}.bn"), 1);
            }
            if block < self.blocks.len() {
                let prefix = format!("features.transition{block}");
                add_norm(&mut add, &format!("{prefix}.norm"), channels);
                add(format!("{prefix}.conv.weight"), &[channels / 2, channels, 1, 1]);
                channels /= 2;
            }
        }
        add_norm(&mut add, "features.norm5", channels);
        add("classifier.weight".into(), &[self.classes, channels]);
        add("classifier.bias".into(), &[self.classes]);
        shapes
    }
}

/// The parameters and the buffers of a batch norm.
fn add_norm(add: &mut impl FnMut(String, &[usize]), prefix: &str, channels: usize) {
    for field in ["weight", "bias", "running_mean", "running_var"] {
        add(format!("{prefix}.{field}"), &[channels]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 7,978,856 parameters of torchvision's densenet121 less its 1000-way classifier (1,025,000), plus 3-way one.
    #[test]
    fn densenet121_has_torchvisions_parameter_count() {
        let count: usize = Architecture::densenet121(Attention::None)
            .parameter_shapes()
            .iter()
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(count, 7_978_856 - 1_025_000 + 3 * 1024 + 3);
    }

    #[test]
    fn densenet121_gates_have_the_published_channels() {
        assert_eq!(Architecture::densenet121(Attention::Cbam).block_channels(), [256, 512, 1024, 1024]);
    }
}
