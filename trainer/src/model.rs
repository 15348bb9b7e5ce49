//! The network and its parameters, on Burn.

pub mod architecture;
pub mod backend;
pub mod fake_quantization;
pub mod formula;
pub mod int8;
pub mod kernels;
pub mod network;
mod parameter_shapes;
pub mod state_dict;
pub mod tensor_names;
