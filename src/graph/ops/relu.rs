//! max(0, x).

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::Result;
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relu;

impl Operator for Relu {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn keeps_output(&self) -> bool {
        true
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        inputs[0].relu()
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        Ok(onnx.node("Relu", name, inputs, &[]))
    }
}
