//! Batch norm, and the ReLU after it.

use burn::nn::BatchNorm;
use burn::tensor::activation::relu;
use burn::tensor::module::batch_norm_train;
use burn::tensor::{FloatDType, Tensor};

#[cfg(feature = "libtorch")]
use super::libtorch;

/// `relu(batch_norm(x))` for `x` of `[batch, channels, height, width]`, in the type of `x`. The norm's statistics are in
/// single precision.
///
/// On a device with automatic differentiation the norm uses the batch's own mean and variance, and moves the running ones
/// towards them; the running variance is unbiased, as in PyTorch. On other devices the norm uses the running ones.
pub fn norm_relu(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    if !x.device().is_autodiff() {
        return relu(norm.forward(x));
    }
    let places = places(&x);
    let (output, mean, variance) = norm_relu_by_batch(norm, x);
    move_statistics(norm, places, mean, variance);
    output
}

/// `batch_norm(x)` with the same statistics as [`norm_relu`]. `x` is in single precision.
pub fn batch_norm(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    if !x.device().is_autodiff() {
        return norm.forward(x);
    }
    let places = places(&x);
    let normed = batch_norm_train(x, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    move_statistics(norm, places, normed.mean, normed.variance);
    normed.output
}

/// How many values each channel has in the batch.
pub(super) fn places(x: &Tensor<4>) -> usize {
    let [batch, _, height, width] = x.dims();
    batch * height * width
}

/// Moves the running mean and variance towards a batch's mean and unbiased variance. `variance` is the biased one over
/// `places` values. Burn's own batch norm would keep the biased variance.
pub(super) fn move_statistics(norm: &BatchNorm, places: usize, mean: Tensor<1>, variance: Tensor<1>) {
    let count = places as f64;
    let unbiased = variance.detach() * (count / (count - 1.0).max(1.0));
    let blend =
        |running: Tensor<1>, newest: Tensor<1>| (running * (1.0 - norm.momentum) + newest * norm.momentum).detach();
    norm.running_mean.update(blend(norm.running_mean.value_sync(), mean.detach()));
    norm.running_var.update(blend(norm.running_var.value_sync(), unbiased));
}

/// `relu(batch_norm(x))` by the batch's own statistics, and the batch's mean and biased variance per channel.
fn norm_relu_by_batch(norm: &BatchNorm, x: Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    #[cfg(feature = "libtorch")]
    if libtorch::runs(&x) {
        return libtorch::norm_relu(norm, x);
    }
    let kept = x.dtype();
    let normed = batch_norm_train(x.cast(FloatDType::F32), norm.gamma.val(), norm.beta.val(), norm.epsilon);
    (relu(normed.output).cast(kept), normed.mean, normed.variance)
}

#[cfg(test)]
mod tests {
    use burn::nn::BatchNormConfig;

    use super::*;

    /// The values 1, 2, 3 and 6 have the mean 3; the squares of their distances from it add up to 14.
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
