//! Fully connected layer.

use serde::{Deserialize, Serialize};
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
    /// Whether an own number is added to each, and how it is counted.
    #[serde(skip_serializing_if = "Bias::is_default")]
    pub bias: Bias,
    /// Deviation of the normal distribution that weights start from; absent: the uniform one of [`Init::Uniform`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

/// The bias of a linear layer. Published counters disagree about it, and it is their figures that ours are compared with.
/// In params it counts always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// A multiply-accumulate each, and nothing in C(α): the counters of NAS-Bench-201.
    #[default]
    InMacs,
    /// In C(α) and not in the multiply-accumulates: the counters of the MobileNet space.
    InComplexity,
    /// There is none.
    Absent,
}

impl Bias {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Linear {
    /// With a bias that is counted as in NAS-Bench-201.
    pub fn new(features: i64) -> Self {
        Self { features, bias: Bias::default(), deviation: None }
    }
}

impl Operator for Linear {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs[0].0[..] {
            [_] => Ok(Shape(vec![self.features])),
            _ => Err(Error::invalid("linear", format!("an input of shape {:?}", inputs[0].0), "a vector")),
        }
    }

    fn weights(&self, inputs: &[&Shape]) -> Vec<WeightSpec> {
        let uniform = Init::Uniform { fan_in: inputs[0].0[0] };
        let init = self.deviation.map_or(uniform, |deviation| Init::Normal { deviation });
        let mut weights = vec![WeightSpec { name: "weight", shape: vec![self.features, inputs[0].0[0]], init, complex: true }];
        if self.bias != Bias::Absent {
            let complex = self.bias == Bias::InComplexity;
            weights.push(WeightSpec { name: "bias", shape: vec![self.features], init: uniform, complex });
        }
        weights
    }

    fn macs(&self, inputs: &[&Shape]) -> u64 {
        let of_bias = i64::from(self.bias == Bias::InMacs);
        (self.features * (inputs[0].0[0] + of_bias)) as u64
    }

    fn keeps_zero(&self) -> bool {
        self.bias == Bias::Absent
    }

    fn keeps_input(&self) -> bool {
        true
    }

    fn forward(&self, run: &Run, tensors: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        let bias = tensors.weights.get(1).map(|bias| run.compute(bias));
        inputs[0].linear(&run.compute(&tensors.weights[0]), bias.as_ref())
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, weights: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let mut operands = vec![inputs[0].clone()];
        for (part, tensor) in ["weight", "bias"].iter().zip(weights) {
            operands.push(onnx.tensor(&format!("{name}.{part}"), tensor)?);
        }
        Ok(onnx.node("Gemm", name, &operands, &[Attribute::Int("transB", 1)]))
    }
}
