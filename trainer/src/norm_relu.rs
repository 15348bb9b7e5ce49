//! Batch norm and ReLU in one step, the pair before every convolution of a DenseNet.
//!
//! Burn composes batch norm of element-wise operations, each a pass over the largest maps of the network; on a CPU they
//! take most of a training step. On LibTorch the pair runs as LibTorch's own kernels, forward and backward.

use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// `relu(batch_norm(x))`, `x`: `[batch, channels, height, width]`.
///
/// On an autodiff device it normalises by the batch's own mean and variance and moves the running ones towards them,
/// the variance unbiased as in PyTorch; elsewhere it uses the running ones.
pub fn norm_relu(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    if !x.device().is_autodiff() {
        return relu(norm.forward(x));
    }
    let [batch, _, height, width] = x.dims();
    let (output, mean, variance) = train(norm, x);
    let count = (batch * height * width) as f64;
    let unbiased = variance.detach() * (count / (count - 1.0).max(1.0));
    let blend =
        |running: Tensor<1>, newest: Tensor<1>| (running * (1.0 - norm.momentum) + newest * norm.momentum).detach();
    norm.running_mean.update(blend(norm.running_mean.value_sync(), mean.detach()));
    norm.running_var.update(blend(norm.running_var.value_sync(), unbiased));
    output
}

/// The output, and the batch's mean and biased variance per channel.
fn train(norm: &BatchNorm, x: Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    #[cfg(feature = "libtorch")]
    if libtorch::runs(&x) {
        return libtorch::train(norm, x);
    }
    let normed = burn::tensor::module::batch_norm_train(x, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    (relu(normed.output), normed.mean, normed.variance)
}

#[cfg(feature = "libtorch")]
// Burn deprecates LibTorch in favour of its own compilers, which are several times slower on a CPU today.
#[allow(deprecated)]
mod libtorch {
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::libtorch::TchTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, LibTorch, backend_extension};
    use burn::nn::BatchNorm;
    use burn::tensor::Tensor;

    #[backend_extension(LibTorch, Autodiff)]
    pub trait NormRelu: Backend {
        /// The output, the batch's mean and its biased variance.
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

    pub fn train(norm: &BatchNorm, x: Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
        let (output, mean, variance) = <Dispatch as NormRelu>::norm_relu(
            x.into_dispatch(),
            norm.gamma.val().into_dispatch(),
            norm.beta.val().into_dispatch(),
            norm.epsilon,
        );
        (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
    }

    /// A forward pass recorded by LibTorch, to be differentiated by it.
    #[derive(Debug)]
    struct Recorded {
        /// x, gamma, beta as LibTorch's leaves.
        inputs: [tch::Tensor; 3],
        output: tch::Tensor,
        /// Keeps Burn from reusing the memory of x and of the output while LibTorch still needs it.
        _held: [TchTensor; 2],
    }

    fn record(
        x: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        epsilon: f64,
    ) -> (TchTensor, TchTensor, TchTensor, Recorded) {
        let leaf = |tensor: &TchTensor| tensor.tensor.detach().set_requires_grad(true);
        let inputs = [leaf(&x), leaf(&gamma), leaf(&beta)];
        let none = None::<&tch::Tensor>;
        let (normed, mean, inverse_deviation) = tch::Tensor::native_batch_norm(
            &inputs[0],
            Some(&inputs[1]),
            Some(&inputs[2]),
            none,
            none,
            true,
            0.0,
            epsilon,
        );
        let output = normed.relu();
        let variance = inverse_deviation.detach().square().reciprocal() - epsilon;
        let result = TchTensor::new(output.detach());
        let recorded = Recorded { inputs, output, _held: [x, result.clone()] };
        // A copy: LibTorch needs its own mean untouched, and Burn may update what it is given in place.
        (result, TchTensor::new(mean.detach().copy()), TchTensor::new(variance), recorded)
    }

    impl NormRelu for LibTorch {
        fn norm_relu(
            x: TchTensor,
            gamma: TchTensor,
            beta: TchTensor,
            epsilon: f64,
        ) -> (TchTensor, TchTensor, TchTensor) {
            let (output, mean, variance, _) = record(x, gamma, beta, epsilon);
            (output, mean, variance)
        }
    }

    impl<C: CheckpointStrategy> NormRelu for Autodiff<LibTorch, C> {
        fn norm_relu(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            epsilon: f64,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
            let lift = |tensor: TchTensor| <Self as burn::backend::AutodiffBackend>::from_inner(tensor);
            match Step.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (output, mean, variance, recorded) =
                        record(x.into_primitive(), gamma.into_primitive(), beta.into_primitive(), epsilon);
                    let recorded = std::sync::Arc::new(std::sync::Mutex::new(Some(recorded)));
                    (prep.finish(recorded, output), lift(mean), lift(variance))
                }
                OpsKind::UnTracked(prep) => {
                    let (output, mean, variance, _) =
                        record(x.into_primitive(), gamma.into_primitive(), beta.into_primitive(), epsilon);
                    (prep.finish(output), lift(mean), lift(variance))
                }
            }
        }
    }

    #[derive(Debug)]
    struct Step;

    impl Backward<LibTorch, 3> for Step {
        type State = std::sync::Arc<std::sync::Mutex<Option<Recorded>>>;

        fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
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
