//! The backward passes: LibTorch records a forward pass, and Burn asks for its gradients when it differentiates.

use std::sync::{Arc, Mutex};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, LibTorch};

/// A forward pass of `N` inputs that LibTorch has recorded and can differentiate.
#[derive(Debug)]
pub struct Recorded<const N: usize> {
    /// The tensors that LibTorch differentiates by: the leaves of its record.
    pub inputs: [tch::Tensor; N],
    /// The result, with its record.
    pub output: tch::Tensor,
    /// Burn's tensors whose memory LibTorch still needs. Burn reuses no memory that is held.
    pub _held: [TchTensor; N],
}

/// The output of a recorded pass as Burn's tensor. It can be differentiated if any of the inputs can.
pub fn finish<C: CheckpointStrategy, const N: usize>(
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

/// A value that is taken out once.
type Once<T> = Arc<Mutex<Option<T>>>;

/// A tensor without gradient on the backend that has gradients.
pub fn lift<C: CheckpointStrategy>(tensor: TchTensor) -> FloatTensor<Autodiff<LibTorch, C>> {
    <Autodiff<LibTorch, C> as AutodiffBackend>::from_inner(tensor)
}

/// The backward pass of every kernel: LibTorch differentiates what it recorded.
#[derive(Debug)]
pub struct Step;

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
