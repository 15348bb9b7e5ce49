//! What the unit tests share: the shipped bundle, the stored films, and small ONNX graphs made by hand.

use std::path::{Path, PathBuf};

use image::GrayImage;
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto,
};

use crate::bundle::Bundle;
use crate::image_file;

/// The folder of the bundle that this release ships.
pub fn shipped_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/densenet121-cbam")
}

/// The bundle that this release ships.
pub fn shipped() -> Bundle {
    Bundle::load(&shipped_folder()).unwrap()
}

/// A picture of `tests/films` by its name without the ending.
pub fn stored(name: &str) -> GrayImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/films").join(format!("{name}.jpg"));
    image_file::read(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// An ONNX graph in the making. A node's output has the node's name.
#[derive(Clone)]
pub struct TestGraph {
    graph: GraphProto,
    operator_set: i64,
}

impl TestGraph {
    /// A graph of one float32 input.
    pub fn new(input: &str, shape: &[i64]) -> Self {
        let graph = GraphProto { name: "test".into(), input: vec![float32(input, shape)], ..Default::default() };
        TestGraph { graph, operator_set: 17 }
    }

    /// The same for another version of the operators.
    pub fn operator_set(mut self, version: i64) -> Self {
        self.operator_set = version;
        self
    }

    /// With a node; its attributes are lists of whole numbers.
    pub fn node(mut self, operator: &str, name: &str, inputs: &[&str], attributes: &[(&str, &[i64])]) -> Self {
        let ints = |&(name, ints): &(&str, &[i64])| AttributeProto {
            name: name.into(),
            r#type: AttributeType::Ints as i32,
            ints: ints.into(),
            ..Default::default()
        };
        self.graph.node.push(NodeProto {
            op_type: operator.into(),
            name: name.into(),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![name.into()],
            attribute: attributes.iter().map(ints).collect(),
            ..Default::default()
        });
        self
    }

    /// With another attribute of the last node, one whole number.
    pub fn int(mut self, name: &str, value: i64) -> Self {
        let attribute =
            AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..Default::default() };
        self.graph.node.last_mut().unwrap().attribute.push(attribute);
        self
    }

    /// With a constant.
    pub fn floats(mut self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            data_type: DataType::Float as i32,
            dims: shape.into(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Default::default()
        });
        self
    }

    /// With a constant vector of whole numbers.
    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            data_type: DataType::Int64 as i32,
            dims: vec![values.len() as i64],
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Default::default()
        });
        self
    }

    /// With a float32 output.
    pub fn output(mut self, name: &str, shape: &[i64]) -> Self {
        self.graph.output.push(float32(name, shape));
        self
    }

    /// The bytes of the ONNX file.
    pub fn encode(self) -> Vec<u8> {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.operator_set }],
            graph: Some(self.graph),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn float32(name: &str, shape: &[i64]) -> ValueInfoProto {
    let axis = |&size: &i64| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(size)),
        ..Default::default()
    };
    let tensor = Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: shape.iter().map(axis).collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}
