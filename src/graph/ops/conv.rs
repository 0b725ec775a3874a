//! Square convolution with symmetric padding, so that stride 1 keeps the size. In groups, each of which sees its own share
//! of the input channels; with as many groups as channels it is called depthwise.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::{Init, NodeTensors, Operator, WeightSpec};
use crate::graph::kernels::cpu_multiplies_bf16;
use crate::graph::onnx::{Attribute, OnnxBuilder, ValueId};
use crate::graph::{Precision, Run, Shape, channels_last};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conv {
    /// Output channels.
    pub channels: i64,
    /// Side of the kernel; odd.
    pub kernel: i64,
    /// Step between outputs.
    pub stride: i64,
    /// Whether an own number is added per output channel.
    pub bias: bool,
    /// How many parts input and output channels are split into.
    #[serde(skip_serializing_if = "is_one")]
    pub groups: i64,
    /// Deviation of the normal distribution that weights start from; absent: the uniform one of [`Init::Uniform`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_one(groups: &i64) -> bool {
    *groups == 1
}

impl Conv {
    /// A convolution without bias.
    pub fn new(channels: i64, kernel: i64, stride: i64) -> Self {
        Self { channels, kernel, stride, bias: false, groups: 1, deviation: None }
    }

    /// A kernel for each channel by itself.
    pub fn depthwise(channels: i64, kernel: i64, stride: i64) -> Self {
        Self { groups: channels, ..Self::new(channels, kernel, stride) }
    }

    /// The same with weights that start from N(0, `deviation`²).
    pub fn normal(self, deviation: f64) -> Self {
        Self { deviation: Some(deviation), ..self }
    }
}

/// What is multiplied, in which type. Where the CPU has no bf16 arithmetic, libtorch emulates it ten times slower than it
/// multiplies fp32: there bf16 numbers are multiplied as fp32, which is no less exact, and only stored as bf16.
fn multiplied(input: &Tensor, run: &Run) -> (Tensor, Run) {
    let is_emulated = input.kind() == Kind::BFloat16 && input.device() == Device::Cpu && !cpu_multiplies_bf16();
    match is_emulated {
        true => (input.to_kind(Kind::Float), Run { precision: Precision::Fp32, ..*run }),
        false => (input.shallow_clone(), *run),
    }
}

impl Operator for Conv {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [from, height, width] = inputs[0].image()?;
        if self.kernel % 2 == 0 || self.kernel < 1 || self.stride < 1 || self.channels < 1 {
            return Err(Error::invalid("conv", format!("{self:?}"), "an odd kernel, a positive stride and positive channels"));
        }
        if self.groups < 1 || from % self.groups != 0 || self.channels % self.groups != 0 {
            let found = format!("{} groups of {from} channels in, {} out", self.groups, self.channels);
            return Err(Error::invalid("conv", found, "groups that divide both"));
        }
        let out = |size: i64| (size - 1) / self.stride + 1;
        Ok(Shape::of_image(self.channels, out(height), out(width)))
    }

    fn weights(&self, inputs: &[&Shape]) -> Vec<WeightSpec> {
        let from = inputs[0].0[0] / self.groups;
        let uniform = Init::Uniform { fan_in: from * self.kernel * self.kernel };
        let init = self.deviation.map_or(uniform, |deviation| Init::Normal { deviation });
        let shape = vec![self.channels, from, self.kernel, self.kernel];
        let mut weights = vec![WeightSpec { name: "weight", shape, init, complex: true }];
        if self.bias {
            weights.push(WeightSpec { name: "bias", shape: vec![self.channels], init: uniform, complex: false });
        }
        weights
    }

    fn macs(&self, inputs: &[&Shape]) -> u64 {
        let Ok(output) = self.shape(inputs) else { return 0 };
        (output.numel() * (inputs[0].0[0] / self.groups) * self.kernel * self.kernel) as u64
    }

    fn keeps_zero(&self) -> bool {
        !self.bias
    }

    fn keeps_input(&self) -> bool {
        true
    }

    fn forward(&self, run: &Run, tensors: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        let (input, run) = &multiplied(inputs[0], run);
        let weight = run.compute(&tensors.weights[0]);
        let bias = tensors.weights.get(1).map(|bias| run.compute(bias));
        let pad = self.kernel / 2;
        let output = input.conv2d(&weight, bias.as_ref(), [self.stride; 2], [pad; 2], [1, 1], self.groups);
        let output = output.to_kind(inputs[0].kind());
        // With one channel the layouts are one and the same, so libtorch can't see which is meant and gives the slow one.
        if weight.size()[1] == 1 { channels_last(&output) } else { output }
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, weights: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let mut operands = vec![inputs[0].clone(), onnx.tensor(&format!("{name}.weight"), &weights[0])?];
        if self.bias {
            operands.push(onnx.tensor(&format!("{name}.bias"), &weights[1])?);
        }
        let pads = Attribute::Ints("pads", vec![self.kernel / 2; 4]);
        let kernel = Attribute::Ints("kernel_shape", vec![self.kernel; 2]);
        let strides = Attribute::Ints("strides", vec![self.stride; 2]);
        Ok(onnx.node("Conv", name, &operands, &[kernel, pads, strides, Attribute::Int("group", self.groups)]))
    }
}
