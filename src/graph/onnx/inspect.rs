//! Reading a file back: what it says of itself, and the same file with every value shown.

use std::collections::BTreeMap;

use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::{ModelProto, TypeProto, ValueInfoProto, type_proto};
use protobuf::{Message, MessageField};

use crate::{Error, Result};

/// What an ONNX file says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnnxInfo {
    /// Operator set of the standard domain.
    pub opset: i64,
    /// The key-value pairs of the file.
    pub metadata: BTreeMap<String, String>,
    /// Output names of the nodes, in their order.
    pub values: Vec<String>,
}

fn parse(file: &[u8]) -> Result<ModelProto> {
    ModelProto::parse_from_bytes(file).map_err(|error| Error::invalid("ONNX file", error, "an ONNX model"))
}

/// Reads the metadata and the names of a file.
pub fn inspect(file: &[u8]) -> Result<OnnxInfo> {
    let model = parse(file)?;
    Ok(OnnxInfo {
        opset: model.opset_import.iter().find(|set| set.domain.is_empty()).map_or(0, |set| set.version),
        metadata: model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect(),
        values: model.graph.node.iter().flat_map(|node| node.output.clone()).collect(),
    })
}

/// The same file with the fp32 values called `names` as outputs, so that they can be compared one by one.
pub fn with_all_values(file: &[u8], names: &[String]) -> Result<Vec<u8>> {
    let mut model = parse(file)?;
    let graph = model.graph.mut_or_insert_default();
    let shown: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    for name in names.iter().filter(|name| !shown.contains(name)) {
        let tensor = type_proto::Tensor { elem_type: DataType::FLOAT as i32, ..Default::default() };
        let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
        graph.output.push(ValueInfoProto { name: name.clone(), type_: MessageField::some(kind), ..Default::default() });
    }
    model.write_to_bytes().map_err(|error| Error::Internal(format!("ONNX: {error}")))
}
