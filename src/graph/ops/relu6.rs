//! min(6, max(0, x)): the activation of the MobileNets (arXiv:1801.04381).

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::Result;
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relu6;

impl Operator for Relu6 {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    // By itself libtorch keeps the input, of the same size.
    fn keeps_output(&self) -> bool {
        true
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        inputs[0].relu6() // a clamp's gradient takes several times as long
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let least = onnx.tensor(&format!("{name}.least"), &Tensor::from(0.0f32))?;
        let most = onnx.tensor(&format!("{name}.most"), &Tensor::from(6.0f32))?;
        Ok(onnx.node("Clip", name, &[inputs[0].clone(), least, most], &[]))
    }
}
