//! The operations that training time goes into: convolution, and the batch norm and ReLU before it.
//!
//! Burn composes batch norm of element-wise operations, each of which passes over the largest maps of the network. It
//! composes the gradient of a convolution's weights of a convolution with a kernel as large as the map. On a CPU the two
//! take most of a training step. On LibTorch these operations therefore run as LibTorch's own kernels, forward and
//! backward (docs/design/libtorch.md).

mod batch_norm;
#[cfg(feature = "libtorch")]
#[allow(deprecated, reason = "Burn prefers its own compilers, which are several times slower on a CPU today")]
mod libtorch;

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

pub use self::batch_norm::{batch_norm, norm_relu};
#[cfg(feature = "libtorch")]
use self::batch_norm::{move_statistics, places};

/// The convolution of `x`, `[batch, channels, height, width]`. Weights are rounded to the type of `x`.
///
/// All convolutions of this network have one group, no bias and no dilation, and the same stride and padding along both
/// axes. No others are computed.
pub fn convolve(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    convolve_by(conv, conv.weight.val(), x)
}

/// The same as [`convolve`], with other weights than those of `conv`.
pub fn convolve_by(conv: &Conv2d, weight: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
    let (stride, padding) = stride_and_padding(conv);
    #[cfg(feature = "libtorch")]
    if x.device().is_autodiff() && libtorch::runs(&x) {
        return libtorch::convolve(weight, stride, padding, x);
    }
    let options = ConvOptions { stride: [stride; 2], padding: [(padding, padding); 2], dilation: [1; 2], groups: 1 };
    let weight = weight.cast(x.dtype());
    conv2d(x, weight, None, options)
}

/// The padding is half the kernel: every convolution of this network keeps the size, or divides it by the stride.
fn stride_and_padding(conv: &Conv2d) -> (usize, usize) {
    let [_, _, kernel, _] = conv.weight.dims();
    (conv.stride[0], kernel / 2)
}

/// A batch norm and the convolution that reads it, with a ReLU between them.
#[derive(Clone, Copy)]
pub struct NormedConvolution<'a> {
    /// The norm, which comes first.
    pub norm: &'a BatchNorm,
    /// The convolution.
    pub conv: &'a Conv2d,
}

impl NormedConvolution<'_> {
    /// Computes `convolve(conv, norm_relu(norm, x))`.
    pub fn forward(self, x: Tensor<4>) -> Tensor<4> {
        convolve(self.conv, norm_relu(self.norm, x))
    }
}

/// A dense block (Huang et al. 2017): each layer reads the map and appends its result to the map's channels. A layer is a
/// 1 x 1 convolution and a 3 x 3 one. There is at least one layer, and all append the same number of channels.
pub fn dense_block(layers: &[[NormedConvolution; 2]], x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "libtorch")]
    if x.device().is_autodiff() && libtorch::runs(&x) {
        let places = places(&x);
        let (output, statistics) = libtorch::dense_block(layers, x);
        for (NormedConvolution { norm, .. }, [mean, variance]) in layers.iter().flatten().zip(statistics) {
            move_statistics(norm, places, mean, variance);
        }
        return output;
    }
    layers.iter().fold(x, |x, [narrow, grow]| {
        let grown = grow.forward(narrow.forward(x.clone()));
        Tensor::cat(vec![x, grown], 1)
    })
}
