//! Writing an ONNX file: nodes and constants, on the protocol buffer types of tract.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto, type_proto,
};

/// ONNX 1.12: the newest operator set in which `ReduceMax` and `ReduceMean` take their axes as an attribute.
const OPERATOR_SET: i64 = 17;
const IR_VERSION: i64 = 8;
/// The version that every file names as its writer's. It is part of the file's hash and stays the same whatever version
/// writes the file, so that the same weights give the same bytes.
const PRODUCER_VERSION: &str = "0.1.0";

/// The value of a node's attribute.
pub enum Attribute<'a> {
    /// An integer.
    Int(i64),
    /// A list of integers.
    Ints(&'a [i64]),
    /// A number in single precision.
    Float(f32),
}

/// A graph in the making, with its nodes in the order of the data. A tensor has the name of the node that makes it.
#[derive(Debug, Default)]
pub struct Model {
    graph: GraphProto,
}

impl Model {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Model { graph: GraphProto { name: name.into(), ..Default::default() } }
    }

    /// Adds a float input and returns its name.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> String {
        self.graph.input.push(float_tensor(name, Some(shape)));
        name.into()
    }

    /// Makes a float tensor an output of the graph.
    pub fn output(&mut self, name: &str, shape: &[usize]) {
        self.graph.output.push(float_tensor(name, Some(shape)));
    }

    /// Makes a float tensor an output of the graph without saying its shape, which the runtime then finds out.
    pub fn tap(&mut self, name: &str) {
        self.graph.output.push(float_tensor(name, None));
    }

    /// Adds a node of the operator `kind` and returns the name of its output, which is the node's.
    pub fn node(&mut self, kind: &str, name: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        self.graph.node.push(NodeProto {
            op_type: kind.into(),
            name: name.into(),
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![name.into()],
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            ..Default::default()
        });
        name.into()
    }

    /// Adds a constant of floats and returns its name.
    pub fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, DataType::Float, shape, bytes)
    }

    /// Adds a constant of 32-bit integers and returns its name.
    pub fn int32s(&mut self, name: String, shape: &[usize], values: &[i32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, DataType::Int32, shape, bytes)
    }

    /// Adds a constant of signed 8-bit integers and returns its name.
    pub fn int8s(&mut self, name: String, shape: &[usize], values: &[i8]) -> String {
        let bytes = values.iter().map(|value| value.cast_unsigned()).collect();
        self.initializer(name, DataType::Int8, shape, bytes)
    }

    /// Adds a constant of unsigned 8-bit integers and returns its name.
    pub fn uint8s(&mut self, name: String, shape: &[usize], values: &[u8]) -> String {
        self.initializer(name, DataType::Uint8, shape, values.to_vec())
    }

    fn initializer(&mut self, name: String, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> String {
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            data_type: kind as i32,
            dims: shape.iter().map(|&size| size as i64).collect(),
            raw_data,
            ..Default::default()
        });
        name
    }

    /// The bytes of an ONNX file.
    pub fn encode(self) -> Vec<u8> {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATOR_SET }],
            producer_name: "xray-triage trainer".into(),
            producer_version: PRODUCER_VERSION.into(),
            graph: Some(self.graph),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: name.into(), ..Default::default() };
    let kind = match value {
        Attribute::Int(value) => {
            proto.i = *value;
            AttributeType::Int
        }
        Attribute::Ints(values) => {
            proto.ints = values.to_vec();
            AttributeType::Ints
        }
        Attribute::Float(value) => {
            proto.f = *value;
            AttributeType::Float
        }
    };
    proto.r#type = kind as i32;
    proto
}

fn float_tensor(name: &str, shape: Option<&[usize]>) -> ValueInfoProto {
    let dimension = |&size: &usize| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(size as i64)),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: shape.map(|shape| TensorShapeProto { dim: shape.iter().map(dimension).collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}
