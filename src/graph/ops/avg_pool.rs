//! Average pooling that doesn't count the padding.

use serde::Serialize;
use tch::Tensor;

use super::{NodeTensors, Operator};
use crate::graph::onnx::{Attribute, OnnxBuilder, ValueId};
use crate::graph::{Run, Shape};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AvgPool {
    /// Side of the window.
    pub kernel: i64,
    /// Step between windows.
    pub stride: i64,
    /// Rows and columns added on each side.
    pub pad: i64,
}

impl Operator for AvgPool {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [channels, height, width] = inputs[0].image()?;
        if height.min(width) + 2 * self.pad < self.kernel {
            return Err(Error::invalid(
                "avg_pool",
                format!("an input of {height}×{width} pixels"),
                format!("at least {}", self.kernel),
            ));
        }
        // The last window may hang over the edge, so that an odd size halves to the same as a strided convolution's.
        let out = |size: i64| (size + 2 * self.pad - self.kernel + self.stride - 1) / self.stride + 1;
        Ok(Shape::of_image(channels, out(height), out(width)))
    }

    fn keeps_input(&self) -> bool {
        true
    }

    fn forward(&self, _: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        inputs[0].avg_pool2d([self.kernel; 2], [self.stride; 2], [self.pad; 2], true, false, None)
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let attributes = [
            Attribute::Ints("kernel_shape", vec![self.kernel; 2]),
            Attribute::Ints("strides", vec![self.stride; 2]),
            Attribute::Ints("pads", vec![self.pad; 4]),
            Attribute::Int("ceil_mode", 1),
            Attribute::Int("count_include_pad", 0),
        ];
        Ok(onnx.node("AveragePool", name, inputs, &attributes))
    }
}
