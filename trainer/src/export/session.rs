//! A graph run by tract, with any outputs.

use std::sync::Arc;

use tract_onnx::prelude::{
    Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TractError, TypedModel, TypedSimplePlan, tvec,
};

use super::ExportError;

/// An optimised graph of one input `[1, 3, size, size]`, run on one thread.
pub struct Session {
    plan: Arc<TypedSimplePlan>,
    names: Vec<String>,
    size: usize,
}

impl Session {
    /// Loads the bytes of an ONNX file. `size` is the side of the input in pixels.
    pub fn load(model: &[u8], size: usize) -> Result<Self, ExportError> {
        let load = |error| runtime("load the graph", error);
        let graph = tract_onnx::onnx().model_for_read(&mut &*model).map_err(load)?;
        let name = |outlet| graph.outlet_label(outlet).unwrap_or(&graph.node(outlet.node).name).to_string();
        let names = graph.outputs.iter().map(|&outlet| name(outlet)).collect();
        let graph: TypedModel = graph.into_optimized().map_err(load)?;
        Ok(Session { plan: graph.into_runnable().map_err(load)?, names, size })
    }

    /// Names of the outputs, in the graph's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Runs the graph on `3 * size * size` values, channels first. Gives every output's values in row-major order;
    /// an input or an output that is not finite is an error.
    pub fn run(&self, input: &[f32]) -> Result<Vec<Vec<f32>>, ExportError> {
        let expected = 3 * self.size * self.size;
        if input.len() != expected {
            return Err(ExportError::InputLength { found: input.len(), expected });
        }
        if !input.iter().all(|value| value.is_finite()) {
            return Err(ExportError::NotFinite { tensor: "image".into() });
        }
        let run = |error| runtime("run the graph", error);
        let input = Tensor::from_shape(&[1, 3, self.size, self.size], input).map_err(run)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue())).map_err(run)?;
        let mut values = Vec::with_capacity(outputs.len());
        for (output, name) in outputs.iter().zip(&self.names) {
            let output: Vec<f32> = output.to_plain_array_view::<f32>().map_err(run)?.iter().copied().collect();
            if !output.iter().all(|value| value.is_finite()) {
                return Err(ExportError::NotFinite { tensor: name.clone() });
            }
            values.push(output);
        }
        Ok(values)
    }
}

fn runtime(action: &'static str, error: TractError) -> ExportError {
    ExportError::Runtime { action, reason: format!("{error:#}") }
}
