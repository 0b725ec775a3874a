//! Fully connected layer with bias.

use serde::Serialize;
use tch::Tensor;

use super::{Init, NodeTensors, Operator, WeightSpec};
use crate::graph::onnx::{Attribute, OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Linear {
    /// Numbers that come out.
    pub features: i64,
}

impl Operator for Linear {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs[0].0[..] {
            [_] => Ok(Shape(vec![self.features])),
            _ => Err(Error::invalid("linear", format!("an input of shape {:?}", inputs[0].0), "a vector")),
        }
    }

    fn weights(&self, inputs: &[&Shape]) -> Vec<WeightSpec> {
        let init = Init::Uniform { fan_in: inputs[0].0[0] };
        vec![
            WeightSpec { name: "weight", shape: vec![self.features, inputs[0].0[0]], init, complex: true },
            WeightSpec { name: "bias", shape: vec![self.features], init, complex: false },
        ]
    }

    fn macs(&self, inputs: &[&Shape]) -> u64 {
        // The benchmark's counter adds one per output for the bias, and its figures are the ones we are compared with.
        (self.features * (inputs[0].0[0] + 1)) as u64
    }

    fn keeps_zero(&self) -> bool {
        false
    }

    fn forward(&self, run: &Run, tensors: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        inputs[0].linear(&run.compute(&tensors.weights[0]), Some(&run.compute(&tensors.weights[1])))
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, weights: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let weight = onnx.tensor(&format!("{name}.weight"), &weights[0])?;
        let bias = onnx.tensor(&format!("{name}.bias"), &weights[1])?;
        Ok(onnx.node("Gemm", name, &[inputs[0].clone(), weight, bias], &[Attribute::Int("transB", 1)]))
    }
}
