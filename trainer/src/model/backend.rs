//! The devices that a network can be trained on: those of the backends that this trainer was built with.

use burn::backend::{Backend as _, Dispatch};
use burn::tensor::{DType, Device};

/// A backend to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// The CPU, in pure Rust.
    #[cfg(feature = "flex")]
    Flex,
    /// The CPU through LibTorch.
    #[cfg(feature = "libtorch")]
    Libtorch,
    /// The first NVIDIA GPU through LibTorch.
    #[cfg(feature = "libtorch")]
    LibtorchCuda,
    /// A GPU through Vulkan, Metal or DirectX 12.
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// The first NVIDIA GPU through CUDA.
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Backend {
    /// The backend's device, without automatic differentiation.
    #[cfg_attr(
        feature = "libtorch",
        allow(deprecated, reason = "Burn prefers its own compilers, which are several times slower on a CPU today")
    )]
    pub fn device(self) -> Device {
        match self {
            #[cfg(feature = "flex")]
            Backend::Flex => Device::flex(),
            #[cfg(feature = "libtorch")]
            Backend::Libtorch => Device::libtorch(),
            #[cfg(feature = "libtorch")]
            Backend::LibtorchCuda => Device::libtorch_cuda(0),
            #[cfg(feature = "wgpu")]
            Backend::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
            #[cfg(feature = "cuda")]
            Backend::Cuda => Device::cuda(0),
        }
    }

    /// LibTorch where this trainer was built with it, which is the fastest on a CPU; otherwise the first backend.
    pub fn preferred() -> Self {
        #[cfg(feature = "libtorch")]
        return Backend::Libtorch;
        #[cfg(not(feature = "libtorch"))]
        return <Self as clap::ValueEnum>::value_variants()[0];
    }
}

/// Whether a device computes in bfloat16. A GPU through Vulkan does not: the language of its programs has no such type.
pub fn has_bfloat16(device: &Device) -> bool {
    Dispatch::supports_dtype(device.as_dispatch(), DType::BF16)
}
