//! The forward passes as LibTorch's own kernels, recorded so that they can be differentiated.

use burn::backend::libtorch::TchTensor;

use super::DenseBlockShape;
use super::backward::Recorded;

/// The tensor as one that LibTorch differentiates by.
fn leaf(tensor: &tch::Tensor) -> tch::Tensor {
    tensor.detach().set_requires_grad(true)
}

/// The same tensor with the channels of a place side by side in memory. LibTorch's convolutions and norms keep this
/// order, and its CPU kernels are faster with it.
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

/// The convolution of `x` by `weight`, and its record.
pub fn record_convolution(x: TchTensor, weight: TchTensor, stride: usize, padding: usize) -> (TchTensor, Recorded<2>) {
    let inputs = [&channels_last(&x.tensor), &weight.tensor].map(leaf);
    let output = convolution(&inputs[0], &inputs[1], stride, padding);
    (TchTensor::new(output.detach()), Recorded { inputs, output, _held: [x, weight] })
}

/// The block's map, the statistics of its norms as [`Kernels::dense_block`](super::Kernels::dense_block) gives them, and
/// the record of the map.
pub fn record_dense_block(
    x: TchTensor,
    parameters: TchTensor,
    shape: DenseBlockShape,
) -> (TchTensor, TchTensor, Recorded<2>) {
    let inputs = [&channels_last(&x.tensor), &parameters.tensor].map(leaf);
    let channels = shape.normed_channels(inputs[0].size()[1] as usize);
    // Of a layer's two convolutions, the kernel's side and the number of output channels.
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

/// The normed and rectified `x`, the batch's mean and its biased variance, and the record of the output.
pub fn record_norm_relu(
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
