//! DenseNet with attention after each dense block, on Burn.
//!
//! Backbone: Huang et al. 2017, "Densely connected convolutional networks", as torchvision builds it. Attention:
//! Woo et al. 2018, "CBAM: convolutional block attention module", or Hu et al. 2018, "Squeeze-and-excitation
//! networks". The backend (LibTorch, flex, a GPU) is chosen by the device the network is made on.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::model::architecture::{Architecture, Attention};
use crate::model::fake_quantization::{self, Rounding};
use crate::model::kernels::{NormedConvolution, batch_norm, convolve, convolve_by, dense_block, norm_relu};
use crate::model::state_dict::{StateDict, StateDictError};

/// Batch norm momentum of CBAM's spatial gate (Woo et al.'s published code); everywhere else it is 0.1.
const SPATIAL_GATE_MOMENTUM: f64 = 0.01;

/// The whole network.
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
    /// `[batch, classes]`
    pub logits: Tensor<2>,
    /// The map before global pooling, `[batch, channels, side, side]`.
    pub features: Tensor<4>,
    /// Its mean over all places, which the classifier reads, `[batch, channels]`.
    pub pooled: Tensor<2>,
}

impl Network {
    /// A network with fresh weights: He-normal convolutions, unit batch norms, torch's uniform linear layers.
    /// The device's random seed decides the values.
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

    /// `image`: `[batch, 3, height, width]`, normalised; height and width multiples of 32 for DenseNet-121. The maps of
    /// convolutions have the image's type, with bfloat16 that is mixed precision; the output is in single precision.
    pub fn forward(&self, image: Tensor<4>) -> Output {
        self.forward_rounded(image, None)
    }

    /// [`Self::forward`], and with `rounding` as the int8 network computes it; `image` in single precision then.
    pub fn forward_rounded(&self, image: Tensor<4>, rounding: Option<&Rounding>) -> Output {
        let features = self.features.forward(image, rounding);
        let pooled = global_mean(&features);
        Output { logits: self.classifier.forward(pooled.clone()), features, pooled }
    }

    /// Class activation maps (Zhou et al. 2016) of a feature map: `[batch, classes, side, side]`, the classifier's
    /// weights applied at each place. A map's mean plus its class's bias is its logit.
    pub fn cam(&self, features: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = features.dims();
        let weight = self.classifier.weight.val();
        let [classes, _] = weight.dims();
        let flat = features.reshape([batch, channels, height * width]);
        let weight = weight.unsqueeze::<3>().repeat_dim(0, batch);
        weight.matmul(flat).reshape([batch, classes, height, width])
    }

    /// All parameters and buffers by torchvision's names.
    pub fn state(&self) -> StateDict {
        let mut collector = Collector { path: Vec::new(), state: StateDict::default() };
        // Burn keeps the newest running statistics of a batch norm aside until they are asked for; `valid` asks.
        self.valid().visit(&mut collector);
        collector.state
    }

    /// The same network with every parameter and buffer taken from `state`. Extra entries of `state` are ignored.
    ///
    /// # Errors
    /// A missing name or a foreign shape: the state belongs to another architecture.
    pub fn with_state(self, state: &StateDict) -> Result<Self, StateDictError> {
        let mut loader = Loader { path: Vec::new(), state, error: None };
        let network = self.map(&mut loader);
        match loader.error {
            Some(error) => Err(error),
            None => Ok(network),
        }
    }
}

impl Features {
    fn forward(&self, image: Tensor<4>, rounding: Option<&Rounding>) -> Tensor<4> {
        let stem = norm_relu(&self.norm0, convolve(&self.conv0, image));
        let mut x = max_pool2d(stem, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]));
        for (index, block) in self.denseblock.iter().enumerate() {
            x = match rounding {
                None => block.forward(x),
                Some(rounding) => block.forward_rounded(x, rounding, &format!("features.denseblock{}", index + 1)),
            };
            if let Some(cbam) = self.cbam.get(index) {
                x = cbam.forward(x);
            }
            if let Some(se) = self.se.get(index) {
                x = se.forward(x);
            }
            if let Some(transition) = self.transition.get(index) {
                x = match rounding {
                    None => transition.forward(x),
                    Some(rounding) => {
                        transition.forward_rounded(x, rounding, &format!("features.transition{}", index + 1))
                    }
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

    /// `name` is the block's in the exported graph.
    fn forward_rounded(&self, x: Tensor<4>, rounding: &Rounding, name: &str) -> Tensor<4> {
        let layers = self.denselayer.iter().zip(1..);
        layers.fold(x, |x, (layer, number)| {
            let grown = layer.forward_rounded(x.clone(), rounding, &format!("{name}.denselayer{number}"));
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

    fn forward_rounded(&self, x: Tensor<4>, rounding: &Rounding, name: &str) -> Tensor<4> {
        let x = rounding.activation(&format!("{name}.relu1"), norm_relu(&self.norm1, x));
        let x = norm_relu(&self.norm2, convolve_rounded(&self.conv1, x));
        let x = rounding.activation(&format!("{name}.relu2"), x);
        rounding.activation(&format!("{name}.conv2"), convolve_rounded(&self.conv2, x))
    }
}

impl Transition {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = NormedConvolution { norm: &self.norm, conv: &self.conv }.forward(x);
        avg_pool2d(x, AvgPoolOptions::new([2, 2]))
    }

    /// The pool comes before the convolution, as in the exported graph.
    fn forward_rounded(&self, x: Tensor<4>, rounding: &Rounding, name: &str) -> Tensor<4> {
        let x = avg_pool2d(norm_relu(&self.norm, x), AvgPoolOptions::new([2, 2]));
        let x = rounding.activation(&format!("{name}.pool"), x);
        rounding.activation(&format!("{name}.conv"), convolve_rounded(&self.conv, x))
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
    /// Weights and biases uniform in +-1/sqrt(inputs), torch's default for a linear layer.
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        let uniform = Initializer::Uniform { min: -bound, max: bound };
        Dense { weight: uniform.init([outputs, inputs], device), bias: uniform.init([outputs], device) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

fn convolve_rounded(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    convolve_by(conv, fake_quantization::weights(conv.weight.val()), x)
}

/// `[batch, channels]`
fn global_mean(x: &Tensor<4>) -> Tensor<2> {
    x.clone().mean_dims(&[2, 3]).flatten(1, 3)
}

/// `[batch, channels]`
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

/// Torchvision's name of a parameter from the path of field names and list positions that leads to it here.
fn torchvision_name(path: &[String]) -> String {
    let mut name = String::new();
    for part in path {
        if let Ok(index) = part.parse::<usize>() {
            // `denseblock`, `0` is torchvision's `denseblock1`.
            name.push_str(&(index + 1).to_string());
            continue;
        }
        let part = match part.as_str() {
            "gamma" => "weight",
            "beta" => "bias",
            "spatial_conv" => "SpatialGate.spatial.conv",
            "spatial_norm" => "SpatialGate.spatial.bn",
            "squeeze" if name.contains("cbam") => "ChannelGate.mlp.1",
            "excite" if name.contains("cbam") => "ChannelGate.mlp.3",
            "squeeze" => "fc.1",
            "excite" => "fc.3",
            other => other,
        };
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(part);
    }
    name
}

struct Collector {
    path: Vec<String>,
    state: StateDict,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        let shape = data.shape().to_vec();
        let values = data.convert::<f32>().try_into_vec().expect("the data were just converted to f32");
        self.state.insert(torchvision_name(&self.path), shape, values);
    }
}

struct Loader<'a> {
    path: Vec<String>,
    state: &'a StateDict,
    error: Option<StateDictError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let found = self.state.get_shaped(&torchvision_name(&self.path), &param.val().dims());
        match found {
            Ok(parameter) => {
                let data = TensorData::new(parameter.values.clone(), parameter.shape.clone());
                param.map(|tensor| {
                    let loaded = Tensor::from_data(data, &tensor.device().without_autodiff());
                    match tensor.device().is_autodiff() {
                        true => Tensor::from_inner(loaded).set_require_grad(tensor.is_require_grad()),
                        false => loaded,
                    }
                })
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
