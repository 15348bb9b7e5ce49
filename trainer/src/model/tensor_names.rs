//! The names of the network's parameters and of the exported graph's tensors. No other module builds one.
//!
//! Parameters have the names of torchvision's `densenet121`. The parameters of CBAM have those of its authors' published
//! code (Woo et al. 2018), below `features.cbam1` and so on; those of squeeze-and-excitation stand below `features.se1`
//! and so on. A tensor of the exported graph is called after the module that makes it. Blocks and layers are counted
//! from 1, as in torchvision.

use super::architecture::{Architecture, Attention};

/// The exported graph's input: float32 `[1, 3, size, size]`.
pub const IMAGE: &str = "image";
/// The exported graph's output of one logit a class: float32 `[1, classes]`.
pub const LOGITS: &str = "logits";
/// The exported graph's class activation maps: float32 `[1, classes, side, side]`.
pub const CAM: &str = "cam";

/// The stem's convolution, 7 x 7.
pub const STEM_CONV: &str = "features.conv0";
/// The stem's batch norm.
pub const STEM_NORM: &str = "features.norm0";
/// The ReLU after the stem's norm, in the graph.
pub const STEM_RELU: &str = "features.relu0";
/// The stem's max pool, in the graph.
pub const STEM_POOL: &str = "features.pool0";
/// The batch norm after the last dense block. It is `norm5` whatever the number of blocks.
pub const LAST_NORM: &str = "features.norm5";
/// The ReLU after the last norm, in the graph.
pub const LAST_RELU: &str = "features.relu5";
/// The linear layer that gives the logits.
pub const CLASSIFIER: &str = "classifier";

const WEIGHT: &str = "weight";
const BIAS: &str = "bias";
const RUNNING_MEAN: &str = "running_mean";
const RUNNING_VARIANCE: &str = "running_var";

const CHANNEL_GATE: &str = "ChannelGate";
const SPATIAL_CONV: &str = "SpatialGate.spatial.conv";
const SPATIAL_NORM: &str = "SpatialGate.spatial.bn";
/// CBAM's channel gate and squeeze-and-excitation: the two linear layers stand at places 1 and 3 of a list of layers.
const CBAM_LAYERS: &str = "mlp";
const SE_LAYERS: &str = "fc";
const SQUEEZE: &str = "1";
const EXCITE: &str = "3";

/// The weight of a module or of a convolution in the graph.
pub fn weight(module: &str) -> String {
    part(module, WEIGHT)
}

/// The bias of a module or of a convolution in the graph.
pub fn bias(module: &str) -> String {
    part(module, BIAS)
}

/// The parameters and buffers of a batch norm: weight, bias, running mean and running variance.
pub fn norm_parameters(norm: &str) -> [String; 4] {
    [WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VARIANCE].map(|field| part(norm, field))
}

/// The modules of a dense layer, and the tensors that it makes in the graph.
pub struct DenseLayerNames {
    /// The batch norm that the layer begins with.
    pub norm1: String,
    /// The ReLU after `norm1`, in the graph.
    pub relu1: String,
    /// The 1 x 1 convolution.
    pub conv1: String,
    /// The batch norm between the two convolutions.
    pub norm2: String,
    /// The ReLU after `norm2`, in the graph.
    pub relu2: String,
    /// The 3 x 3 convolution.
    pub conv2: String,
    /// The result of `conv2` in float again, in the int8 graph.
    pub grown: String,
    /// The map with the layer's channels appended, in the graph.
    pub concat: String,
}

/// The names in a dense layer. `block` and `layer` are counted from 1.
pub fn dense_layer(block: usize, layer: usize) -> DenseLayerNames {
    let part = |part: &str| format!("features.denseblock{block}.denselayer{layer}.{part}");
    DenseLayerNames {
        norm1: part("norm1"),
        relu1: part("relu1"),
        conv1: part("conv1"),
        norm2: part("norm2"),
        relu2: part("relu2"),
        conv2: part("conv2"),
        grown: part("grown"),
        concat: part("concat"),
    }
}

/// The modules of a transition between two dense blocks, and the tensors that it makes in the graph.
pub struct TransitionNames {
    /// The batch norm that the transition begins with.
    pub norm: String,
    /// The ReLU after the norm, in the graph.
    pub relu: String,
    /// The average pool, in the graph. It comes before the convolution there.
    pub pool: String,
    /// The pool's result in uint8, in the int8 graph.
    pub quantized: String,
    /// The 1 x 1 convolution.
    pub conv: String,
    /// The result of `conv` in float again, in the int8 graph.
    pub halved: String,
}

/// The names in the transition after a dense block. `block` is counted from 1.
pub fn transition(block: usize) -> TransitionNames {
    let part = |part: &str| format!("features.transition{block}.{part}");
    TransitionNames {
        norm: part("norm"),
        relu: part("relu"),
        pool: part("pool"),
        quantized: part("quantized"),
        conv: part("conv"),
        halved: part("halved"),
    }
}

/// The two linear layers of a channel gate, and the tensors that the gate makes in the graph.
pub struct ChannelGateNames {
    /// The map with its channels weighed, in the graph.
    pub output: String,
    /// The linear layer that reads the pooled channels.
    pub squeeze: String,
    /// The linear layer that gives one value a channel.
    pub excite: String,
    /// The sum of the hidden layers of both pools, in the graph.
    pub hidden: String,
    /// The result of `excite`, in the graph.
    pub excited: String,
    /// The channels' weights, in the graph.
    pub sigmoid: String,
}

/// The tensors that a channel gate makes in the graph of one of its pools.
pub struct PoolNames {
    /// The pooled channels.
    pub pooled: String,
    /// The result of the first linear layer.
    pub squeezed: String,
    /// The ReLU after it.
    pub relu: String,
}

/// The names in the channel gate after a dense block; `None` where the network has no attention. `block` is counted
/// from 1.
pub fn channel_gate(attention: Attention, block: usize) -> Option<ChannelGateNames> {
    let (module, layers) = match attention {
        Attention::None => return None,
        Attention::Se => (format!("features.se{block}"), SE_LAYERS),
        Attention::Cbam => (format!("features.cbam{block}.{CHANNEL_GATE}"), CBAM_LAYERS),
    };
    Some(ChannelGateNames {
        squeeze: format!("{module}.{layers}.{SQUEEZE}"),
        excite: format!("{module}.{layers}.{EXCITE}"),
        hidden: part(&module, "hidden"),
        excited: part(&module, "excited"),
        sigmoid: part(&module, "sigmoid"),
        output: module,
    })
}

impl ChannelGateNames {
    /// The tensors of a pool, which is named by its ONNX operator.
    pub fn pool(&self, operator: &str) -> PoolNames {
        let pooled = part(&self.output, operator);
        PoolNames { squeezed: part(&pooled, "squeezed"), relu: part(&pooled, "relu"), pooled }
    }
}

/// The modules of CBAM's spatial gate, and the tensors that it makes in the graph.
pub struct SpatialGateNames {
    /// The map with its places weighed, in the graph.
    pub output: String,
    /// The 7 x 7 convolution.
    pub conv: String,
    /// The batch norm after the convolution.
    pub norm: String,
    /// Each place's largest value over all channels, in the graph.
    pub max: String,
    /// Each place's mean over all channels, in the graph.
    pub mean: String,
    /// The largest values and the means together, which the convolution reads, in the graph.
    pub pools: String,
    /// The places' weights, in the graph.
    pub sigmoid: String,
}

/// The names in CBAM's spatial gate after a dense block. `block` is counted from 1.
pub fn spatial_gate(block: usize) -> SpatialGateNames {
    let cbam = format!("features.cbam{block}");
    let output = part(&cbam, "SpatialGate");
    SpatialGateNames {
        conv: part(&cbam, SPATIAL_CONV),
        norm: part(&cbam, SPATIAL_NORM),
        max: part(&output, "max"),
        mean: part(&output, "mean"),
        pools: part(&output, "pools"),
        sigmoid: part(&output, "sigmoid"),
        output,
    }
}

/// An activation that the int8 graph holds in uint8.
pub struct Uint8Activation {
    /// The tensor's name in the graph.
    pub name: String,
    /// Whether it is the result of a ReLU, or a mean over such results, and so never below zero.
    pub rectified: bool,
}

/// All activations that the int8 graph holds in uint8, in the order of the data.
pub fn uint8_activations(architecture: &Architecture) -> Vec<Uint8Activation> {
    let mut activations = Vec::new();
    let mut add = |name, rectified| activations.push(Uint8Activation { name, rectified });
    for (block, &layers) in (1..).zip(&architecture.blocks) {
        for layer in 1..=layers {
            let names = dense_layer(block, layer);
            add(names.relu1, true);
            add(names.relu2, true);
            add(names.conv2, false);
        }
        if block < architecture.blocks.len() {
            let names = transition(block);
            add(names.pool, true);
            add(names.conv, false);
        }
    }
    activations
}

/// The scale of an integer tensor, in the graph.
pub fn scale(tensor: &str) -> String {
    part(tensor, "scale")
}

/// The integer of an integer tensor that stands for zero, in the graph.
pub fn zero_point(tensor: &str) -> String {
    part(tensor, "zero_point")
}

/// The tensors beside a convolution in the graph that measures what the convolution loses to int8.
pub struct TwinNames {
    /// The convolution again, with rounded weights on the rounded input.
    pub conv: String,
    /// The convolution's input as the int8 graph holds it, in float.
    pub input: String,
    /// The twin's result as the int8 graph holds it, in float.
    pub output: String,
}

/// The names of the twin of a convolution.
pub fn twin(convolution: &str) -> TwinNames {
    let conv = part(convolution, "twin");
    TwinNames { input: part(&conv, "input"), output: part(&conv, "output"), conv }
}

/// The integers of a tensor that is in float before and after, in the graph.
pub fn quantized(tensor: &str) -> String {
    part(tensor, "quantized")
}

/// Whether a parameter belongs to the DenseNet before its classifier and not to an attention.
pub fn is_backbone(parameter: &str) -> bool {
    let in_features = parameter.strip_prefix("features.");
    in_features.is_some_and(|name| !name.starts_with("cbam") && !name.starts_with("se"))
}

/// Whether a parameter belongs to a transition.
pub fn is_transition(parameter: &str) -> bool {
    parameter.starts_with("features.transition")
}

/// Whether a parameter is a weight: of a convolution, a linear layer or a norm.
pub fn is_weight(parameter: &str) -> bool {
    last_part(parameter) == WEIGHT
}

/// Whether a buffer is the running variance of a norm.
pub fn is_running_variance(buffer: &str) -> bool {
    last_part(buffer) == RUNNING_VARIANCE
}

/// A parameter's name of today from the name in a checkpoint. Torchvision's published DenseNet weights are older than
/// its code and say `norm.1` for `norm1`; wrappers put a prefix before all names.
pub fn from_checkpoint(name: &str) -> String {
    let start = ["features.", "classifier."].into_iter().filter_map(|root| name.find(root)).min().unwrap_or(0);
    let mut name = name[start..].to_string();
    for (published, todays) in
        [(".norm.1.", ".norm1."), (".norm.2.", ".norm2."), (".conv.1.", ".conv1."), (".conv.2.", ".conv2.")]
    {
        name = name.replace(published, todays);
    }
    name
}

/// A parameter's name from the path of field names and list positions that leads to it in
/// [`Network`](super::network::Network). The network's fields have torchvision's names but for those that stand here.
pub fn from_field_path(path: &[String]) -> String {
    let in_cbam = path.iter().any(|part| part == "cbam");
    let layers = if in_cbam { format!("{CHANNEL_GATE}.{CBAM_LAYERS}") } else { SE_LAYERS.into() };
    let mut name = String::new();
    for field in path {
        if let Ok(index) = field.parse::<usize>() {
            // `denseblock`, `0` is torchvision's `denseblock1`.
            name.push_str(&(index + 1).to_string());
            continue;
        }
        if !name.is_empty() {
            name.push('.');
        }
        match field.as_str() {
            "gamma" => name.push_str(WEIGHT),
            "beta" => name.push_str(BIAS),
            "spatial_conv" => name.push_str(SPATIAL_CONV),
            "spatial_norm" => name.push_str(SPATIAL_NORM),
            "squeeze" => name.push_str(&part(&layers, SQUEEZE)),
            "excite" => name.push_str(&part(&layers, EXCITE)),
            other => name.push_str(other),
        }
    }
    name
}

fn part(module: &str, part: &str) -> String {
    format!("{module}.{part}")
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backbone_is_all_but_attention_and_classifier() {
        let architecture = Architecture::tiny(Attention::Cbam);
        let backbone = |attention| -> Vec<String> {
            let parameters = Architecture { attention, ..architecture.clone() }.parameter_shapes();
            parameters.into_iter().map(|(name, _)| name).filter(|name| is_backbone(name)).collect()
        };
        let plain: Vec<String> =
            Architecture::tiny(Attention::None).parameter_shapes().into_iter().map(|(name, _)| name).collect();
        for attention in [Attention::None, Attention::Se, Attention::Cbam] {
            assert_eq!(backbone(attention), plain[..plain.len() - 2], "{attention:?}");
        }
    }

    #[test]
    fn names_of_published_and_wrapped_checkpoints_become_those_of_today() {
        let today = "features.denseblock1.denselayer2.norm1.weight";
        for name in [today, "module.features.denseblock1.denselayer2.norm.1.weight"] {
            assert_eq!(from_checkpoint(name), today);
        }
        assert_eq!(from_checkpoint("module.classifier.bias"), "classifier.bias");
    }
}
