//! What an operator may write into an ONNX file. The only user of `onnx-protobuf`.

mod inspect;

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use protobuf::{EnumOrUnknown, Message, MessageField};
use tch::{Kind, Tensor};

pub use inspect::{OnnxInfo, inspect, with_all_values};

use super::Shape;
use crate::{Error, Result};

/// The oldest operator set that holds all we write.
pub const OPSET_MIN: i64 = 17;
/// The newest that the pinned ONNX Runtime documents for IR version 10.
pub const OPSET_MAX: i64 = 22;

/// The name of a value in the file.
pub type ValueId = String;

/// One attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(&'static str, i64),
    /// Several whole numbers.
    Ints(&'static str, Vec<i64>),
    /// A real number.
    Float(&'static str, f32),
}

/// Collects the nodes and tensors of a file.
#[derive(Debug, Default)]
pub struct OnnxBuilder {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl OnnxBuilder {
    /// Adds a node with one output; the output is called `name`.
    pub fn node(&mut self, kind: &str, name: &str, inputs: &[ValueId], attributes: &[Attribute]) -> ValueId {
        self.nodes.push(NodeProto {
            op_type: kind.into(),
            name: name.into(),
            input: inputs.to_vec(),
            output: vec![name.into()],
            attribute: attributes.iter().map(attribute).collect(),
            ..Default::default()
        });
        name.into()
    }

    /// Adds a constant fp32 tensor.
    pub fn tensor(&mut self, name: &str, tensor: &Tensor) -> Result<ValueId> {
        let flat = tensor.to_kind(Kind::Float).contiguous().view(-1);
        let values = Vec::<f32>::try_from(&flat).map_err(|error| Error::Internal(error.to_string()))?;
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.push_tensor(name, DataType::FLOAT, tensor.size(), raw_data);
        Ok(name.into())
    }

    /// Adds a constant vector of whole numbers.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> ValueId {
        self.push_tensor(
            name,
            DataType::INT64,
            vec![values.len() as i64],
            values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        );
        name.into()
    }

    fn push_tensor(&mut self, name: &str, kind: DataType, dims: Vec<i64>, raw_data: Vec<u8>) {
        self.tensors.push(TensorProto { name: name.into(), data_type: kind as i32, dims, raw_data, ..Default::default() });
    }

    /// The finished file: input `image` [batch, channels, height, width], output `logits` [batch, classes].
    pub fn finish(
        mut self,
        opset: i64,
        image: &Shape,
        logits: (&ValueId, &Shape),
        metadata: &[(&str, String)],
    ) -> Result<Vec<u8>> {
        self.node("Identity", "logits", std::slice::from_ref(logits.0), &[]);
        self.take_identity_out(logits.0);
        let graph = GraphProto {
            name: "supernaut".into(),
            node: self.nodes,
            initializer: self.tensors,
            input: vec![value_info("image", image)],
            output: vec![value_info("logits", logits.1)],
            ..Default::default()
        };
        let entry = |(key, value): &(&str, String)| StringStringEntryProto {
            key: (*key).into(),
            value: value.clone(),
            ..Default::default()
        };
        let model = ModelProto {
            // IR 8 goes with opset 17 and is read by every runtime since 2022; newer opsets need a newer IR.
            ir_version: if opset <= 18 { 8 } else { 10 },
            opset_import: vec![OperatorSetIdProto { version: opset, ..Default::default() }],
            producer_name: "supernaut".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: MessageField::some(graph),
            metadata_props: metadata.iter().map(entry).collect(),
            ..Default::default()
        };
        model.write_to_bytes().map_err(|error| Error::Internal(format!("ONNX: {error}")))
    }

    /// The last node can be called `logits` itself, if it isn't the input.
    fn take_identity_out(&mut self, value: &ValueId) {
        let last = self.nodes.len() - 1;
        if let Some(node) = self.nodes[..last].iter_mut().find(|node| node.output[0] == *value) {
            node.output[0] = "logits".into();
            self.nodes.pop();
        }
    }
}

fn attribute(attribute: &Attribute) -> AttributeProto {
    let (name, kind) = match attribute {
        Attribute::Int(name, _) => (name, AttributeType::INT),
        Attribute::Ints(name, _) => (name, AttributeType::INTS),
        Attribute::Float(name, _) => (name, AttributeType::FLOAT),
    };
    let mut proto = AttributeProto { name: (*name).into(), type_: EnumOrUnknown::new(kind), ..Default::default() };
    match attribute {
        Attribute::Int(_, value) => proto.i = *value,
        Attribute::Ints(_, values) => proto.ints = values.clone(),
        Attribute::Float(_, value) => proto.f = *value,
    }
    proto
}

fn value_info(name: &str, shape: &Shape) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dim = |value| Dimension { value: Some(value), ..Default::default() };
    let batch = dim(dimension::Value::DimParam("batch".into()));
    let sizes = shape.0.iter().map(|&size| dim(dimension::Value::DimValue(size)));
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(sizes).collect(), ..Default::default() };
    let tensor = type_proto::Tensor { elem_type: DataType::FLOAT as i32, shape: MessageField::some(shape), ..Default::default() };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), type_: MessageField::some(kind), ..Default::default() }
}
