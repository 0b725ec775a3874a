//! Sum of any number of inputs of one shape.

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sum;

impl Operator for Sum {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs.iter().find(|input| **input != inputs[0]) {
            Some(other) => {
                Err(Error::invalid("sum", format!("inputs of shape {:?} and {:?}", inputs[0].0, other.0), "one shape"))
            }
            None => Ok(inputs[0].clone()),
        }
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        let mut total = inputs[0] + inputs[1];
        for input in &inputs[2..] {
            total = total.g_add_(input); // fresh memory, so nobody else sees it change
        }
        total
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let mut total = inputs[0].clone();
        for (position, input) in inputs.iter().enumerate().skip(1) {
            let partial = if position + 1 == inputs.len() { name.to_owned() } else { format!("{name}.{position}") };
            total = onnx.node("Add", &partial, &[total, input.clone()], &[]);
        }
        Ok(total)
    }
}
