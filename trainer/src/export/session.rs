//! A graph run by tract, with any outputs.

use xray_triage_core::onnx::{Graph, OnnxError, Plan, TensorInfo};

use super::ExportError;

/// An optimised graph of one input `[1, 3, size, size]`, run on one thread.
pub struct Session {
    plan: Plan,
    names: Vec<String>,
    size: usize,
}

impl Session {
    /// Loads the content of an ONNX file. `size` is the side of the input in pixels.
    ///
    /// # Errors
    /// [`ExportError::Runtime`] if tract cannot read or prepare the graph.
    pub fn load(model: &[u8], size: usize) -> Result<Self, ExportError> {
        let plan = Graph::parse(model).and_then(|graph| graph.into_plan(1));
        let plan = plan.map_err(|error| runtime("load the graph", error))?;
        let names = plan.outputs().iter().map(TensorInfo::name).map(String::from).collect();
        Ok(Session { plan, names, size })
    }

    /// Names of the outputs, in the graph's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Runs the graph on `3 * size * size` values, channels first. Gives every output's values in row-major order.
    ///
    /// # Errors
    /// The input has another length, a value of the input or of an output is not finite, or tract cannot run the graph.
    pub fn run(&self, input: &[f32]) -> Result<Vec<Vec<f32>>, ExportError> {
        let expected = 3 * self.size * self.size;
        if input.len() != expected {
            return Err(ExportError::InputLength { found: input.len(), expected });
        }
        if !input.iter().all(|value| value.is_finite()) {
            return Err(ExportError::NotFinite { tensor: "image".into() });
        }
        let outputs = self.plan.run(&[1, 3, self.size, self.size], input);
        let outputs = outputs.map_err(|error| runtime("run the graph", error))?;
        for (output, name) in outputs.iter().zip(&self.names) {
            if !output.iter().all(|value| value.is_finite()) {
                return Err(ExportError::NotFinite { tensor: name.clone() });
            }
        }
        Ok(outputs)
    }
}

fn runtime(action: &'static str, error: OnnxError) -> ExportError {
    ExportError::Runtime { action, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use crate::export::onnx::{Attribute, Model};

    use super::*;

    #[test]
    fn a_graph_that_makes_tract_panic_is_an_error() {
        let mut model = Model::new("damaged");
        let image = model.input("image", &[1, 3, 4, 4]);
        let flat = model.node("Flatten", "flat", &[&image], &[("axis", Attribute::Int(9))]);
        model.output(&flat, &[1, 48]);
        let error = Session::load(&model.encode(), 4).err().unwrap();
        assert!(matches!(error, ExportError::Runtime { .. }) && error.to_string().contains("panicked"), "{error}");
    }
}
