//! Zeros of a given shape, whatever the input. Computed only where something needs the zeros themselves.

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::Result;
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Zero {
    /// Shape of the zeros, without the batch axis; `None` for that of the input.
    pub shape: Option<Shape>,
}

impl Operator for Zero {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(self.shape.clone().unwrap_or_else(|| inputs[0].clone()))
    }

    fn forward(&self, run: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        let mut size = inputs[0].size();
        if let Some(shape) = &self.shape {
            size.truncate(1);
            size.extend(&shape.0);
        }
        run.store(Tensor::zeros(size, (inputs[0].kind(), inputs[0].device())))
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let size = onnx.node("Shape", &format!("{name}.input_shape"), inputs, &[]);
        let Some(shape) = &self.shape else {
            return Ok(onnx.node("ConstantOfShape", name, &[size], &[]));
        };
        let first = onnx.ints(&format!("{name}.first"), &[0]);
        let batch = onnx.node("Gather", &format!("{name}.batch"), &[size, first], &[]);
        let rest = onnx.ints(&format!("{name}.rest"), &shape.0);
        let whole =
            onnx.node("Concat", &format!("{name}.shape"), &[batch, rest], &[super::super::onnx::Attribute::Int("axis", 0)]);
        Ok(onnx.node("ConstantOfShape", name, &[whole], &[]))
    }
}
