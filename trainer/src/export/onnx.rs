//! An ONNX graph in the making: nodes and initializers on tract's protocol buffer types.

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
/// Part of every file, and so of its hash: it stays, whatever version writes the file, as long as the same weights are to
/// give the same bytes.
const PRODUCER_VERSION: &str = "0.1.0";

/// The value of a node's attribute.
pub enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
}

/// Nodes in the order of the data. A tensor is known by its name, which is that of the node that makes it.
#[derive(Debug, Default)]
pub struct Model {
    graph: GraphProto,
}

impl Model {
    pub fn new(name: &str) -> Self {
        Model { graph: GraphProto { name: name.into(), ..Default::default() } }
    }

    /// Declares a float input.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> String {
        self.graph.input.push(float_tensor(name, Some(shape)));
        name.into()
    }

    /// Declares a tensor a float output of the graph.
    pub fn output(&mut self, name: &str, shape: &[usize]) {
        self.graph.output.push(float_tensor(name, Some(shape)));
    }

    /// Declares a tensor a float output of the graph, its shape left to the runtime.
    pub fn tap(&mut self, name: &str) {
        self.graph.output.push(float_tensor(name, None));
    }

    /// Adds a node and returns the name of its output, which is the node's.
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

    pub fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, DataType::Float, shape, bytes)
    }

    pub fn int32s(&mut self, name: String, shape: &[usize], values: &[i32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, DataType::Int32, shape, bytes)
    }

    pub fn int8s(&mut self, name: String, shape: &[usize], values: &[i8]) -> String {
        let bytes = values.iter().map(|value| value.cast_unsigned()).collect();
        self.initializer(name, DataType::Int8, shape, bytes)
    }

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
