//! The channels of any number of images of one size, side by side.

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::graph::onnx::{Attribute, OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Concat;

impl Operator for Concat {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [_, height, width] = inputs[0].image()?;
        let mut channels = 0;
        for input in inputs {
            let [own, own_height, own_width] = input.image()?;
            if [own_height, own_width] != [height, width] {
                let found = format!("images of {height}×{width} and {own_height}×{own_width} pixels");
                return Err(Error::invalid("concat", found, "one size"));
            }
            channels += own;
        }
        Ok(Shape::of_image(channels, height, width))
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        Tensor::cat(inputs, 1)
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        Ok(onnx.node("Concat", name, inputs, &[Attribute::Int("axis", 1)]))
    }
}
