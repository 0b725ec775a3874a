//! Every `step`-th channel of an image, from channel `first` on.
//!
//! With step 2 the two halves are a channel shuffle of two groups and the split behind it at once (ShuffleNetV2,
//! arXiv:1807.11164).

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::{Run, Shape, channels_last};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Channels {
    /// The first channel that is taken.
    pub first: i64,
    /// From one to the next.
    pub step: i64,
}

impl Operator for Channels {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [channels, height, width] = inputs[0].image()?;
        if self.step < 1 || !(0..channels).contains(&self.first) {
            let found = format!("{self:?} of {channels} channels");
            return Err(Error::invalid("channels", found, "a positive step from one of them on"));
        }
        Ok(Shape::of_image((channels - self.first - 1) / self.step + 1, height, width))
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        channels_last(&inputs[0].slice(1, self.first, None, self.step))
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let mut operands = vec![inputs[0].clone()];
        for (part, value) in [("first", self.first), ("end", i64::MAX), ("axis", 1), ("step", self.step)] {
            operands.push(onnx.ints(&format!("{name}.{part}"), &[value]));
        }
        Ok(onnx.node("Slice", name, &operands, &[]))
    }
}
