//! A network's parameters out of it and into it, by the names of [`tensor_names`].

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::Network;
use crate::model::state_dict::{StateDict, StateDictError};
use crate::model::tensor_names;

impl Network {
    /// The values of all parameters and buffers.
    pub fn state(&self) -> StateDict {
        let mut collector = Collector { path: Vec::new(), state: StateDict::default() };
        // Burn keeps the newest running statistics of a batch norm aside until they are asked for; `valid` asks.
        self.valid().visit(&mut collector);
        collector.state
    }

    /// The same network with the values of every parameter and buffer taken from `state`. What else `state` holds is
    /// ignored.
    ///
    /// # Errors
    /// [`StateDictError::Missing`] and [`StateDictError::Shape`]: the state belongs to another architecture.
    pub fn with_state(self, state: &StateDict) -> Result<Self, StateDictError> {
        let mut loader = Loader { path: Vec::new(), state, error: None };
        let network = self.map(&mut loader);
        match loader.error {
            Some(error) => Err(error),
            None => Ok(network),
        }
    }
}

/// Collects all parameters and buffers that it visits.
struct Collector {
    /// Field names and list positions that lead to the module being visited.
    path: Vec<String>,
    state: StateDict,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        let shape = data.shape().to_vec();
        let values = data.convert::<f32>().try_into_vec().expect("the data were just converted to f32");
        self.state.insert(tensor_names::from_field_path(&self.path), shape, values);
    }
}

/// Replaces all parameters and buffers that it visits by those of a state, until one does not fit.
struct Loader<'a> {
    /// Field names and list positions that lead to the module being visited.
    path: Vec<String>,
    state: &'a StateDict,
    error: Option<StateDictError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let found = self.state.get_shaped(&tensor_names::from_field_path(&self.path), &param.val().dims());
        match found {
            Ok(parameter) => {
                let data = TensorData::new(parameter.values.clone(), parameter.shape.clone());
                param.map(|tensor| {
                    let loaded = Tensor::from_data(data, &tensor.device().without_autodiff());
                    match tensor.device().is_autodiff() {
                        true => Tensor::from_inner(loaded).set_require_grad(tensor.is_require_grad()),
                        false => loaded,
                    }
                })
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
