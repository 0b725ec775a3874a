//! The input itself. A plan never holds one: it is resolved to its input.

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::Result;
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Identity;

impl Operator for Identity {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        inputs[0].shallow_clone()
    }

    fn export(&self, _: &mut OnnxBuilder, _: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        Ok(inputs[0].clone())
    }
}
