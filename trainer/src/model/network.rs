//! DenseNet with attention after each dense block, on Burn.
//!
//! The backbone is that of Huang et al. 2017, "Densely connected convolutional networks", as torchvision builds it. The
//! attention is that of Woo et al. 2018, "CBAM: convolutional block attention module", or of Hu et al. 2018,
//! "Squeeze-and-excitation networks". The device on which a network is made decides which backend computes it.
//!
//! The fields of the modules have torchvision's names, because the names of parameters come from them
//! ([`tensor_names`]).

mod parameters;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, FloatDType, Tensor};

use super::architecture::{Architecture, Attention};
use super::fake_quantization::{self, FakeQuantization};
use super::kernels::{NormedConvolution, batch_norm, convolve, convolve_by, dense_block, norm_relu};
use super::tensor_names::{self, DenseLayerNames, TransitionNames};

/// Batch norm momentum of CBAM's spatial gate (Woo et al.'s published code); everywhere else it is 0.1.
const SPATIAL_GATE_MOMENTUM: f64 = 0.01;

/// A network, with its weights on a device.
#[derive(Module, Debug)]
pub struct Network {
    features: Features,
    classifier: Dense,
}

#[derive(Module, Debug)]
struct Features {
    conv0: Conv2d,
    norm0: BatchNorm,
    denseblock: Vec<DenseBlock>,
    /// One per block, or none at all.
    cbam: Vec<Cbam>,
    /// One per block, or none at all.
    se: Vec<SqueezeExcitation>,
    /// One per block but the last.
    transition: Vec<Transition>,
    norm5: BatchNorm,
}

#[derive(Module, Debug)]
struct DenseBlock {
    denselayer: Vec<DenseLayer>,
}

#[derive(Module, Debug)]
struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
}

#[derive(Module, Debug)]
struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
}

#[derive(Module, Debug)]
struct Cbam {
    squeeze: Dense,
    excite: Dense,
    spatial_conv: Conv2d,
    spatial_norm: BatchNorm,
}

#[derive(Module, Debug)]
struct SqueezeExcitation {
    squeeze: Dense,
    excite: Dense,
}

/// A fully connected layer with torch's weight layout, `[outputs, inputs]`.
#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// What a forward pass gives.
pub struct Output {
    /// One logit a class, `[batch, classes]`.
    pub logits: Tensor<2>,
    /// The map before global pooling, `[batch, channels, side, side]`, in single precision.
    pub features: Tensor<4>,
    /// The map's mean over all places, which the classifier reads, `[batch, channels]`.
    pub pooled: Tensor<2>,
}

impl Network {
    /// A network with random weights, drawn by the device's random numbers. Convolutions are normal (He et al. 2015),
    /// linear layers uniform as torch's; norms change nothing at first.
    pub fn new(architecture: &Architecture, device: &Device) -> Self {
        let growth = architecture.growth_rate;
        let mut channels = architecture.initial_features;
        let mut denseblock = Vec::new();
        let mut transition = Vec::new();
        let (mut cbam, mut se) = (Vec::new(), Vec::new());
        for (index, layers) in architecture.blocks.iter().enumerate() {
            let denselayer =
                (0..*layers).map(|layer| DenseLayer::new(channels + layer * growth, architecture, device)).collect();
            denseblock.push(DenseBlock { denselayer });
            channels += layers * growth;
            let hidden = channels / architecture.reduction;
            match architecture.attention {
                Attention::None => {}
                Attention::Se => se.push(SqueezeExcitation {
                    squeeze: Dense::new(channels, hidden, device),
                    excite: Dense::new(hidden, channels, device),
                }),
                Attention::Cbam => cbam.push(Cbam {
                    squeeze: Dense::new(channels, hidden, device),
                    excite: Dense::new(hidden, channels, device),
                    spatial_conv: conv(2, 1, 7, 1, device),
                    spatial_norm: BatchNormConfig::new(1).with_momentum(SPATIAL_GATE_MOMENTUM).init(device),
                }),
            }
            if index + 1 < architecture.blocks.len() {
                transition.push(Transition {
                    norm: norm(channels, device),
                    conv: conv(channels, channels / 2, 1, 1, device),
                });
                channels /= 2;
            }
        }
        Network {
            features: Features {
                conv0: conv(3, architecture.initial_features, 7, 2, device),
                norm0: norm(architecture.initial_features, device),
                denseblock,
                cbam,
                se,
                transition,
                norm5: norm(channels, device),
            },
            classifier: Dense::new(channels, architecture.classes, device),
        }
    }

    /// Computes the network in floats. `image` is `[batch, 3, height, width]`, normalised; for DenseNet-121 height and width
    /// are multiples of 32. The maps between convolutions have the type of `image`: with bfloat16 this is mixed precision.
    pub fn forward(&self, image: Tensor<4>) -> Output {
        self.forward_with(image, None)
    }

    /// Computes the network with the values of its int8 export if `fake_quantization` is given, and as [`Self::forward`]
    /// otherwise. With fake quantization, `image` is in single precision.
    pub fn forward_with(&self, image: Tensor<4>, fake_quantization: Option<&FakeQuantization>) -> Output {
        let features = self.features.forward(image, fake_quantization);
        let pooled = global_mean(&features);
        Output { logits: self.classifier.forward(pooled.clone()), features, pooled }
    }

    /// The class activation maps (Zhou et al. 2016) of [`Output::features`], `[batch, classes, side, side]`: the classifier's
    /// weights applied at each place. The mean of a class's map plus the class's bias is its logit.
    pub fn cam(&self, features: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = features.dims();
        let weight = self.classifier.weight.val();
        let [classes, _] = weight.dims();
        let flat = features.reshape([batch, channels, height * width]);
        let weight = weight.unsqueeze::<3>().repeat_dim(0, batch);
        weight.matmul(flat).reshape([batch, classes, height, width])
    }
}

impl Features {
    fn forward(&self, image: Tensor<4>, fake: Option<&FakeQuantization>) -> Tensor<4> {
        let stem = norm_relu(&self.norm0, convolve(&self.conv0, image));
        let mut x = max_pool2d(stem, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]));
        for (index, block) in self.denseblock.iter().enumerate() {
            x = match fake {
                None => block.forward(x),
                Some(fake) => block.forward_as_int8(x, fake, index + 1),
            };
            if let Some(cbam) = self.cbam.get(index) {
                x = cbam.forward(x);
            }
            if let Some(se) = self.se.get(index) {
                x = se.forward(x);
            }
            if let Some(transition) = self.transition.get(index) {
                x = match fake {
                    None => transition.forward(x),
                    Some(fake) => transition.forward_as_int8(x, fake, &tensor_names::transition(index + 1)),
                };
            }
        }
        norm_relu(&self.norm5, x).cast(FloatDType::F32)
    }
}

impl DenseBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let layers: Vec<_> = self.denselayer.iter().map(DenseLayer::convolutions).collect();
        dense_block(&layers, x)
    }

    /// `block` is the block's number, counted from 1.
    fn forward_as_int8(&self, x: Tensor<4>, fake: &FakeQuantization, block: usize) -> Tensor<4> {
        let layers = self.denselayer.iter().zip(1..);
        layers.fold(x, |x, (layer, number)| {
            let grown = layer.forward_as_int8(x.clone(), fake, &tensor_names::dense_layer(block, number));
            Tensor::cat(vec![x, grown], 1)
        })
    }
}

impl DenseLayer {
    fn new(inputs: usize, architecture: &Architecture, device: &Device) -> Self {
        let narrow = architecture.bottleneck * architecture.growth_rate;
        DenseLayer {
            norm1: norm(inputs, device),
            conv1: conv(inputs, narrow, 1, 1, device),
            norm2: norm(narrow, device),
            conv2: conv(narrow, architecture.growth_rate, 3, 1, device),
        }
    }

    fn convolutions(&self) -> [NormedConvolution<'_>; 2] {
        [(&self.norm1, &self.conv1), (&self.norm2, &self.conv2)].map(|(norm, conv)| NormedConvolution { norm, conv })
    }

    fn forward_as_int8(&self, x: Tensor<4>, fake: &FakeQuantization, names: &DenseLayerNames) -> Tensor<4> {
        let x = fake.activation(&names.relu1, norm_relu(&self.norm1, x));
        let x = norm_relu(&self.norm2, convolve_as_int8(&self.conv1, x));
        let x = fake.activation(&names.relu2, x);
        fake.activation(&names.conv2, convolve_as_int8(&self.conv2, x))
    }
}

impl Transition {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = NormedConvolution { norm: &self.norm, conv: &self.conv }.forward(x);
        avg_pool2d(x, AvgPoolOptions::new([2, 2]))
    }

    /// The pool comes before the convolution, as in the exported graph.
    fn forward_as_int8(&self, x: Tensor<4>, fake: &FakeQuantization, names: &TransitionNames) -> Tensor<4> {
        let x = avg_pool2d(norm_relu(&self.norm, x), AvgPoolOptions::new([2, 2]));
        let x = fake.activation(&names.pool, x);
        fake.activation(&names.conv, convolve_as_int8(&self.conv, x))
    }
}

impl Cbam {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let kept = x.dtype();
        let x = x.cast(FloatDType::F32);
        let gate = |pooled: Tensor<2>| self.excite.forward(relu(self.squeeze.forward(pooled)));
        let channel = sigmoid(gate(global_mean(&x)) + gate(global_max(&x)));
        let x = x * channel.unsqueeze_dims(&[2, 3]);
        let pooled = Tensor::cat(vec![x.clone().max_dim(1), x.clone().mean_dim(1)], 1);
        let spatial = sigmoid(batch_norm(&self.spatial_norm, convolve(&self.spatial_conv, pooled)));
        (x * spatial).cast(kept)
    }
}

impl SqueezeExcitation {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let pooled = global_mean(&x.clone().cast(FloatDType::F32));
        let gate = sigmoid(self.excite.forward(relu(self.squeeze.forward(pooled))));
        let gate = gate.unsqueeze_dims(&[2, 3]).cast(x.dtype());
        x * gate
    }
}

impl Dense {
    /// Random weights and biases, uniform in +-1/sqrt(inputs): torch's default for a linear layer.
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        let uniform = Initializer::Uniform { min: -bound, max: bound };
        Dense { weight: uniform.init([outputs, inputs], device), bias: uniform.init([outputs], device) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// The convolution of `x` with its weights as the int8 network holds them.
fn convolve_as_int8(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    convolve_by(conv, fake_quantization::weights(conv.weight.val()), x)
}

/// The mean over all places, `[batch, channels]`.
fn global_mean(x: &Tensor<4>) -> Tensor<2> {
    x.clone().mean_dims(&[2, 3]).flatten(1, 3)
}

/// The largest value over all places, `[batch, channels]`.
fn global_max(x: &Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.clone().reshape([batch, channels, height * width]).max_dim(2).flatten(1, 2)
}

fn conv(inputs: usize, outputs: usize, side: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = side / 2;
    Conv2dConfig::new([inputs, outputs], [side, side])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: false })
        .init(device)
}

fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}
