//! Mean over the pixels of each channel: an image becomes a vector.

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::Result;
use crate::graph::onnx::{Attribute, OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GlobalPool;

impl Operator for GlobalPool {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [channels, _, _] = inputs[0].image()?;
        Ok(Shape(vec![channels]))
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        inputs[0].mean_dim([2i64, 3].as_slice(), false, None) // [batch, channels]
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let pooled = onnx.node("GlobalAveragePool", &format!("{name}.mean"), inputs, &[]);
        Ok(onnx.node("Flatten", name, &[pooled], &[Attribute::Int("axis", 1)]))
    }
}
