//! The kernels on LibTorch, for Burn's tensors with and without gradients.

mod backward;
mod forward;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::Backward;
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, LibTorch, backend_extension};
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

use self::backward::{Step, finish, lift};
use self::forward::{record_convolution, record_dense_block, record_norm_relu};
use super::NormedConvolution;

/// The operations that run as LibTorch's own kernels, forward and backward.
#[backend_extension(LibTorch, Autodiff)]
pub trait Kernels: Backend {
    /// The convolution of `x` by `weight`, which is rounded to the type of `x`.
    fn convolution(x: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize, padding: usize)
    -> FloatTensor<Self>;

    /// A dense block. Gives the block's map, and one tensor with the batch's mean and biased variance of every norm in
    /// order. `parameters` is one tensor, too, with every norm's weight and bias and every convolution's weight in the order
    /// in which they are used.
    fn dense_block(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        shape: DenseBlockShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The normed and rectified `x`, the batch's mean and its biased variance, per channel.
    fn norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Whether a tensor is on a device of LibTorch, with or without gradients.
pub fn runs(x: &Tensor<4>) -> bool {
    matches!(x.device().as_dispatch().clone().inner(), DispatchDevice::LibTorch(_))
}

/// The convolution of `x` by `weight`, which is rounded to the type of `x`.
pub fn convolve(weight: Tensor<4>, stride: usize, padding: usize, x: Tensor<4>) -> Tensor<4> {
    let output = <Dispatch as Kernels>::convolution(x.into_dispatch(), weight.into_dispatch(), stride, padding);
    Tensor::from_dispatch(output)
}

/// What decides the shapes of a dense block's parameters.
#[derive(Clone, Copy, Debug)]
pub struct DenseBlockShape {
    /// Dense layers of the block.
    layers: usize,
    /// Channels between a layer's two convolutions.
    narrow: usize,
    /// Channels that a layer appends.
    growth: usize,
    /// What every norm adds to the variance.
    epsilon: f64,
}

impl DenseBlockShape {
    /// The channels that each norm of the block reads, in order. `channels` are those that the block reads.
    fn normed_channels(self, channels: usize) -> Vec<usize> {
        (0..self.layers).flat_map(|layer| [channels + layer * self.growth, self.narrow]).collect()
    }
}

/// The block's map, and the batch's mean and biased variance of each norm, in order.
pub fn dense_block(layers: &[[NormedConvolution; 2]], x: Tensor<4>) -> (Tensor<4>, Vec<[Tensor<1>; 2]>) {
    let [narrow, grow] = &layers[0];
    let shape = DenseBlockShape {
        layers: layers.len(),
        narrow: narrow.conv.weight.dims()[0],
        growth: grow.conv.weight.dims()[0],
        epsilon: narrow.norm.epsilon,
    };
    let channels = shape.normed_channels(x.dims()[1]);
    // All parameters are one tensor, because Burn wants to know at compile time how many tensors a step reads.
    let parameters = layers.iter().flatten().flat_map(|NormedConvolution { norm, conv }| {
        [norm.gamma.val(), norm.beta.val(), conv.weight.val().flatten(0, 3)]
    });
    let parameters = Tensor::cat(parameters.collect(), 0);
    let (output, statistics) = <Dispatch as Kernels>::dense_block(x.into_dispatch(), parameters.into_dispatch(), shape);
    let sizes: Vec<usize> = channels.into_iter().flat_map(|channels| [channels; 2]).collect();
    let statistics = Tensor::<1>::from_dispatch(statistics).split_with_sizes(sizes, 0);
    (Tensor::from_dispatch(output), statistics.as_chunks().0.to_vec())
}

/// The normed and rectified `x`, and the batch's mean and biased variance per channel.
pub fn norm_relu(norm: &BatchNorm, x: Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let (output, mean, variance) = <Dispatch as Kernels>::norm_relu(
        x.into_dispatch(),
        norm.gamma.val().into_dispatch(),
        norm.beta.val().into_dispatch(),
        norm.epsilon,
    );
    (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

impl Kernels for LibTorch {
    fn convolution(x: TchTensor, weight: TchTensor, stride: usize, padding: usize) -> TchTensor {
        record_convolution(x, weight, stride, padding).0
    }

    fn dense_block(x: TchTensor, parameters: TchTensor, shape: DenseBlockShape) -> (TchTensor, TchTensor) {
        let (output, statistics, _) = record_dense_block(x, parameters, shape);
        (output, statistics)
    }

    fn norm_relu(x: TchTensor, gamma: TchTensor, beta: TchTensor, epsilon: f64) -> (TchTensor, TchTensor, TchTensor) {
        let (output, mean, variance, _) = record_norm_relu(x, gamma, beta, epsilon);
        (output, mean, variance)
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<LibTorch, C> {
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let preparation = Step.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        let (output, recorded) = record_convolution(x.into_primitive(), weight.into_primitive(), stride, padding);
        finish(preparation, output, recorded)
    }

    fn dense_block(
        x: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        shape: DenseBlockShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let preparation = Step.prepare::<C>([x.node(), parameters.node()]).compute_bound().stateful();
        let (output, statistics, recorded) = record_dense_block(x.into_primitive(), parameters.into_primitive(), shape);
        (finish(preparation, output, recorded), lift::<C>(statistics))
    }

    fn norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let preparation = Step.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound().stateful();
        let (output, mean, variance, recorded) =
            record_norm_relu(x.into_primitive(), gamma.into_primitive(), beta.into_primitive(), epsilon);
        (finish(preparation, output, recorded), lift::<C>(mean), lift::<C>(variance))
    }
}
