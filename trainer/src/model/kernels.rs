//! The operations that training time goes into: convolution, and the batch norm and ReLU before it.
//!
//! Burn composes batch norm of element-wise operations, each a pass over the largest maps of the network, and the
//! gradient of a convolution's weights of a convolution with a kernel as large as the map; on a CPU they take most of a
//! training step. On LibTorch all three run as LibTorch's own kernels, forward and backward.

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{FloatDType, Tensor};

/// `conv` of `x`: `[batch, channels, height, width]`, for a convolution of one group without bias and dilation whose
/// stride and padding are the same along both axes: all those of this network. Weights are rounded to the type of `x`.
pub fn convolve(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    convolve_by(conv, conv.weight.val(), x)
}

/// [`convolve`] with other weights than those of `conv`.
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

/// Every convolution of this network keeps the size or, with a stride, divides it: the padding is half the kernel.
fn stride_and_padding(conv: &Conv2d) -> (usize, usize) {
    let [_, _, kernel, _] = conv.weight.dims();
    (conv.stride[0], kernel / 2)
}

/// A batch norm and the convolution that reads it, with a ReLU between them.
#[derive(Clone, Copy)]
pub struct NormedConvolution<'a> {
    pub norm: &'a BatchNorm,
    pub conv: &'a Conv2d,
}

impl NormedConvolution<'_> {
    /// `convolve(conv, norm_relu(norm, x))`
    pub fn forward(self, x: Tensor<4>) -> Tensor<4> {
        convolve(self.conv, norm_relu(self.norm, x))
    }
}

/// A dense block (Huang et al. 2017): each layer reads the map and appends what it gives to the map's channels. A layer is a
/// convolution of one place and one of 3 x 3. All layers have the same growth; there is at least one.
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

/// `relu(batch_norm(x))`, `x`: `[batch, channels, height, width]`, of the type of `x`; the statistics are in single precision.
///
/// On an autodiff device it normalises by the batch's own mean and variance and moves the running ones towards them,
/// the variance unbiased as in PyTorch; elsewhere it uses the running ones.
pub fn norm_relu(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    if !x.device().is_autodiff() {
        return relu(norm.forward(x));
    }
    let places = places(&x);
    let (output, mean, variance) = train(norm, x);
    move_statistics(norm, places, mean, variance);
    output
}

/// `batch_norm(x)` with the statistics of [`norm_relu`], in single precision.
pub fn batch_norm(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    if !x.device().is_autodiff() {
        return norm.forward(x);
    }
    let places = places(&x);
    let normed = batch_norm_train(x, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    move_statistics(norm, places, normed.mean, normed.variance);
    normed.output
}

/// Values of each channel in the batch.
fn places(x: &Tensor<4>) -> usize {
    let [batch, _, height, width] = x.dims();
    batch * height * width
}

/// Moves the running mean and variance towards a batch's mean and biased variance over so many places. Burn's own batch norm
/// would keep the biased variance.
fn move_statistics(norm: &BatchNorm, places: usize, mean: Tensor<1>, variance: Tensor<1>) {
    let count = places as f64;
    let unbiased = variance.detach() * (count / (count - 1.0).max(1.0));
    let blend =
        |running: Tensor<1>, newest: Tensor<1>| (running * (1.0 - norm.momentum) + newest * norm.momentum).detach();
    norm.running_mean.update(blend(norm.running_mean.value_sync(), mean.detach()));
    norm.running_var.update(blend(norm.running_var.value_sync(), unbiased));
}

/// The output, and the batch's mean and biased variance per channel.
fn train(norm: &BatchNorm, x: Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    #[cfg(feature = "libtorch")]
    if libtorch::runs(&x) {
        return libtorch::train(norm, x);
    }
    let kept = x.dtype();
    let normed = batch_norm_train(x.cast(FloatDType::F32), norm.gamma.val(), norm.beta.val(), norm.epsilon);
    (relu(normed.output).cast(kept), normed.mean, normed.variance)
}

#[cfg(feature = "libtorch")]
// Burn deprecates LibTorch in favour of its own compilers, which are several times slower on a CPU today.
#[allow(deprecated)]
mod libtorch {
    use std::sync::{Arc, Mutex};

    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::libtorch::TchTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, DispatchDevice, LibTorch, backend_extension};
    use burn::nn::BatchNorm;
    use burn::nn::conv::Conv2d;
    use burn::tensor::Tensor;

    use super::{NormedConvolution, stride_and_padding};

    #[backend_extension(LibTorch, Autodiff)]
    pub trait Kernels: Backend {
        fn convolution(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            stride: usize,
            padding: usize,
        ) -> FloatTensor<Self>;

        /// The block's map, and of each norm the batch's mean and biased variance, one after the other. `parameters` has
        /// those of each layer in the order they are used, one after the other.
        fn dense_block(
            x: FloatTensor<Self>,
            parameters: FloatTensor<Self>,
            shape: DenseBlockShape,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);

        /// The output, the mean of the batch `x` and its biased variance.
        fn norm_relu(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            epsilon: f64,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    }

    pub fn runs(x: &Tensor<4>) -> bool {
        matches!(x.device().as_dispatch().clone().inner(), DispatchDevice::LibTorch(_))
    }

    pub fn convolve(weight: Tensor<4>, stride: usize, padding: usize, x: Tensor<4>) -> Tensor<4> {
        let output = <Dispatch as Kernels>::convolution(x.into_dispatch(), weight.into_dispatch(), stride, padding);
        Tensor::from_dispatch(output)
    }

    /// What the parameters of a dense block's layers look like.
    #[derive(Clone, Copy, Debug)]
    pub struct DenseBlockShape {
        layers: usize,
        /// Channels between a layer's two convolutions.
        narrow: usize,
        /// Channels that a layer appends.
        growth: usize,
        /// Of every norm.
        epsilon: f64,
    }

    impl DenseBlockShape {
        /// Channels that the norms of the block read, in order, if it reads so many.
        fn normed_channels(self, channels: usize) -> Vec<usize> {
            (0..self.layers).flat_map(|layer| [channels + layer * self.growth, self.narrow]).collect()
        }
    }

    /// The block's map, and of each norm the batch's mean and biased variance, in order.
    pub fn dense_block(layers: &[[NormedConvolution; 2]], x: Tensor<4>) -> (Tensor<4>, Vec<[Tensor<1>; 2]>) {
        let [narrow, grow] = &layers[0];
        let shape = DenseBlockShape {
            layers: layers.len(),
            narrow: narrow.conv.weight.dims()[0],
            growth: grow.conv.weight.dims()[0],
            epsilon: narrow.norm.epsilon,
        };
        let channels = shape.normed_channels(x.dims()[1]);
        // One tensor of all parameters, for Burn wants the number of those that a step reads when it is compiled.
        let parameters = layers.iter().flatten().flat_map(|NormedConvolution { norm, conv }| {
            [norm.gamma.val(), norm.beta.val(), conv.weight.val().flatten(0, 3)]
        });
        let parameters = Tensor::cat(parameters.collect(), 0);
        let (output, statistics) =
            <Dispatch as Kernels>::dense_block(x.into_dispatch(), parameters.into_dispatch(), shape);
        let sizes: Vec<usize> = channels.into_iter().flat_map(|channels| [channels; 2]).collect();
        let statistics = Tensor::<1>::from_dispatch(statistics).split_with_sizes(sizes, 0);
        (Tensor::from_dispatch(output), statistics.as_chunks().0.to_vec())
    }

    pub fn train(norm: &BatchNorm, x: Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
        let (output, mean, variance) = <Dispatch as Kernels>::norm_relu(
            x.into_dispatch(),
            norm.gamma.val().into_dispatch(),
            norm.beta.val().into_dispatch(),
            norm.epsilon,
        );
        (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
    }

    /// A forward pass of `N` inputs recorded by LibTorch, to be differentiated by it.
    #[derive(Debug)]
    struct Recorded<const N: usize> {
        /// LibTorch's leaves.
        inputs: [tch::Tensor; N],
        output: tch::Tensor,
        /// Keeps Burn from reusing memory that LibTorch still needs.
        _held: [TchTensor; N],
    }

    /// A tensor as the leaf of a record.
    fn leaf(tensor: &tch::Tensor) -> tch::Tensor {
        tensor.detach().set_requires_grad(true)
    }

    /// The same tensor with its channels side by side in memory, which LibTorch's convolutions and norms keep: its CPU
    /// kernels are faster so.
    fn channels_last(x: &tch::Tensor) -> tch::Tensor {
        x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
    }

    fn convolution(x: &tch::Tensor, weight: &tch::Tensor, stride: usize, padding: usize) -> tch::Tensor {
        let [stride, padding] = [stride, padding].map(|value| [value as i64; 2]);
        x.conv2d(&weight.to_kind(x.kind()), None::<&tch::Tensor>, stride, padding, [1, 1], 1)
    }

    /// The output, the batch's mean and its biased variance.
    fn norm_relu(
        x: &tch::Tensor,
        gamma: &tch::Tensor,
        beta: &tch::Tensor,
        epsilon: f64,
    ) -> (tch::Tensor, tch::Tensor, tch::Tensor) {
        let none = None::<&tch::Tensor>;
        let (normed, mean, inverse_deviation) =
            tch::Tensor::native_batch_norm(x, Some(gamma), Some(beta), none, none, true, 0.0, epsilon);
        let variance = inverse_deviation.detach().square().reciprocal() - epsilon;
        (normed.relu(), mean.detach(), variance)
    }

    fn record_convolution(x: TchTensor, weight: TchTensor, stride: usize, padding: usize) -> (TchTensor, Recorded<2>) {
        let inputs = [&channels_last(&x.tensor), &weight.tensor].map(leaf);
        let output = convolution(&inputs[0], &inputs[1], stride, padding);
        (TchTensor::new(output.detach()), Recorded { inputs, output, _held: [x, weight] })
    }

    fn record_dense_block(
        x: TchTensor,
        parameters: TchTensor,
        shape: DenseBlockShape,
    ) -> (TchTensor, TchTensor, Recorded<2>) {
        let inputs = [&channels_last(&x.tensor), &parameters.tensor].map(leaf);
        let channels = shape.normed_channels(inputs[0].size()[1] as usize);
        // A layer's convolutions: kernel and channels that it gives.
        let convolutions = [(1, shape.narrow), (3, shape.growth)];
        let sizes: Vec<i64> = channels
            .iter()
            .zip(convolutions.iter().cycle())
            .flat_map(|(&read, (kernel, given))| [read, read, read * kernel * kernel * given])
            .map(|size| size as i64)
            .collect();
        let pieces = inputs[1].split_with_sizes(sizes, 0);
        let mut statistics = Vec::with_capacity(2 * channels.len());
        let mut normed_convolution = |x: &tch::Tensor, step: usize| {
            let (kernel, given) = convolutions[step % 2];
            let (active, mean, variance) = norm_relu(x, &pieces[3 * step], &pieces[3 * step + 1], shape.epsilon);
            statistics.extend([mean, variance]);
            let weight = [given, channels[step], kernel, kernel].map(|side| side as i64);
            convolution(&active, &pieces[3 * step + 2].view(weight), 1, kernel / 2)
        };
        let output = (0..shape.layers).fold(inputs[0].shallow_clone(), |map, layer| {
            let narrow = normed_convolution(&map, 2 * layer);
            let grown = normed_convolution(&narrow, 2 * layer + 1);
            tch::Tensor::cat(&[map, grown], 1)
        });
        let statistics = TchTensor::new(tch::Tensor::cat(&statistics, 0));
        (TchTensor::new(output.detach()), statistics, Recorded { inputs, output, _held: [x, parameters] })
    }

    fn record_norm_relu(
        x: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        epsilon: f64,
    ) -> (TchTensor, TchTensor, TchTensor, Recorded<3>) {
        let inputs = [&x.tensor, &gamma.tensor, &beta.tensor].map(leaf);
        let (output, mean, variance) = norm_relu(&inputs[0], &inputs[1], &inputs[2], epsilon);
        let result = TchTensor::new(output.detach());
        // A copy: LibTorch needs its own mean untouched, and Burn may update what it is given in place.
        let (mean, variance) = (TchTensor::new(mean.copy()), TchTensor::new(variance));
        // ReLU's gradient needs its output; gamma and beta stay what they are until the gradients are there.
        let recorded = Recorded { inputs, output, _held: [x, result.clone(), gamma] };
        (result, mean, variance, recorded)
    }

    impl Kernels for LibTorch {
        fn convolution(x: TchTensor, weight: TchTensor, stride: usize, padding: usize) -> TchTensor {
            record_convolution(x, weight, stride, padding).0
        }

        fn dense_block(x: TchTensor, parameters: TchTensor, shape: DenseBlockShape) -> (TchTensor, TchTensor) {
            let (output, statistics, _) = record_dense_block(x, parameters, shape);
            (output, statistics)
        }

        fn norm_relu(
            x: TchTensor,
            gamma: TchTensor,
            beta: TchTensor,
            epsilon: f64,
        ) -> (TchTensor, TchTensor, TchTensor) {
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
            let (output, statistics, recorded) =
                record_dense_block(x.into_primitive(), parameters.into_primitive(), shape);
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

    /// The output of a recorded pass as a tensor to be differentiated, if any of the inputs is.
    fn finish<C: CheckpointStrategy, const N: usize>(
        preparation: OpsKind<Step, LibTorch, Once<Recorded<N>>, C, N>,
        output: TchTensor,
        recorded: Recorded<N>,
    ) -> FloatTensor<Autodiff<LibTorch, C>> {
        match preparation {
            // Burn wants states it can clone; a recorded pass can be differentiated once.
            OpsKind::Tracked(preparation) => preparation.finish(Arc::new(Mutex::new(Some(recorded))), output),
            OpsKind::UnTracked(preparation) => preparation.finish(output),
        }
    }

    type Once<T> = Arc<Mutex<Option<T>>>;

    /// A tensor that nothing is differentiated by.
    fn lift<C: CheckpointStrategy>(tensor: TchTensor) -> FloatTensor<Autodiff<LibTorch, C>> {
        <Autodiff<LibTorch, C> as AutodiffBackend>::from_inner(tensor)
    }

    #[derive(Debug)]
    struct Step;

    impl<const N: usize> Backward<LibTorch, N> for Step {
        type State = Once<Recorded<N>>;

        fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
            let grad = grads.consume::<LibTorch>(&ops.node);
            let recorded = ops.state.lock().expect("no thread panics while it holds this lock").take();
            let recorded = recorded.expect("a step is differentiated once");
            // LibTorch's own entry point takes scalars: the gradient of sum(output * grad) is the one asked for.
            let scalar = (&recorded.output * &grad.tensor).sum(tch::Kind::Float);
            let gradients = tch::Tensor::run_backward(&[scalar], &recorded.inputs, false, false);
            for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
                if let Some(node) = parent {
                    grads.register::<LibTorch>(node.id, TchTensor::new(gradient));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::BatchNormConfig;

    /// The values 1, 2, 3, 6: mean 3, squares about it 14.
    #[test]
    fn running_statistics_move_towards_the_unbiased_variance_with_and_without_relu() {
        let device = crate::model::backend::Backend::preferred().device().autodiff();
        let x = || Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 6.0]]]], &device);
        let values = |tensor: Tensor<1>| tensor.into_data().convert::<f32>().try_into_vec::<f32>().unwrap()[0];
        type Kernel = fn(&BatchNorm, Tensor<4>) -> Tensor<4>;
        for (kernel, lowest) in [(batch_norm as Kernel, -2.0 / 3.5f32.sqrt()), (norm_relu, 0.0)] {
            let norm = BatchNormConfig::new(1).with_momentum(0.1).init(&device);
            let output = kernel(&norm, x()).into_data().convert::<f32>().try_into_vec::<f32>().unwrap();
            assert!((output[0] - lowest).abs() < 1e-3, "{output:?}");
            let (mean, variance) = (values(norm.running_mean.value_sync()), values(norm.running_var.value_sync()));
            assert!(
                (mean - 0.3).abs() < 1e-5 && (variance - (0.9 + 0.1 * 14.0 / 3.0)).abs() < 1e-4,
                "{mean}, {variance}"
            );
        }
    }
}
