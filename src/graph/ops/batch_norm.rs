//! Batch normalisation (arXiv:1502.03167): `(x − mean) / √(variance + ε)`, then the own scale and shift if affine.
//!
//! Where mean and variance come from isn't the node's business but the run's: see [`Statistics`].

use serde::Serialize;
use tch::Tensor;

use super::{Init, NodeTensors, Operator, WeightSpec};
use crate::Result;
use crate::graph::onnx::{Attribute, OnnxBuilder, ValueId};
use crate::graph::{Run, Shape, Statistics};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchNorm {
    /// Whether it has an own scale and shift. In a supernet it must not: they would be shared by unlike inputs.
    pub affine: bool,
}

impl BatchNorm {
    /// Added to the variance; the default of every framework.
    pub const EPSILON: f64 = 1e-5;
}

impl Operator for BatchNorm {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        inputs[0].image()?;
        Ok(inputs[0].clone())
    }

    fn weights(&self, inputs: &[&Shape]) -> Vec<WeightSpec> {
        let spec = |name, start| WeightSpec { name, shape: vec![inputs[0].0[0]], init: Init::Constant(start), complex: false };
        if self.affine { vec![spec("weight", 1.0), spec("bias", 0.0)] } else { vec![] }
    }

    fn buffers(&self, inputs: &[&Shape]) -> Vec<(&'static str, i64, f64)> {
        vec![("mean", inputs[0].0[0], 0.0), ("variance", inputs[0].0[0], 1.0)]
    }

    fn keeps_input(&self) -> bool {
        true
    }

    fn forward(&self, run: &Run, tensors: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        let (scale, shift) = (tensors.weights.first(), tensors.weights.get(1));
        let (mean, variance) = match run.statistics {
            Statistics::Batch => (None, None),
            Statistics::Update { .. } | Statistics::Fixed => (tensors.buffers.first(), tensors.buffers.get(1)),
        };
        let (training, momentum) = run.statistics.source();
        inputs[0].batch_norm(scale, shift, mean, variance, training, momentum, Self::EPSILON, true)
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, weights: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let statistics = &weights[weights.len() - 2..];
        let (ones, zeros) = (statistics[0].ones_like(), statistics[0].zeros_like());
        let (scale, shift) = if self.affine { (&weights[0], &weights[1]) } else { (&ones, &zeros) };
        let named = [("scale", scale), ("shift", shift), ("mean", &statistics[0]), ("variance", &statistics[1])];
        let mut operands = vec![inputs[0].clone()];
        for (part, tensor) in named {
            operands.push(onnx.tensor(&format!("{name}.{part}"), tensor)?);
        }
        Ok(onnx.node("BatchNormalization", name, &operands, &[Attribute::Float("epsilon", Self::EPSILON as f32)]))
    }
}
