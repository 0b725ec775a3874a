//! The blocks that spaces are built of: each is what a paper counts as one choice, and a handful of nodes here.

use serde::{Deserialize, Serialize};

use super::{Norm, Task};
use crate::arch::Gene;
use crate::graph::ops::{AvgPool, BatchNorm, Channels, Concat, Conv, GlobalPool, Linear, Normalize, Op, Relu, Relu6, Sum};
use crate::graph::{Graph, GraphBuilder, NodeId};
use crate::{Error, Result};

/// How the weights of convolutions start. Behind a norm their size sets the effective learning rate, so it is part of a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// PyTorch's default: U(−1/√n, 1/√n), where n inputs are summed.
    #[default]
    Uniform,
    /// N(0, 2/(k²·C_out)): the MobileNets'.
    FanOut,
    /// N(0, 1/C_in²), with the channels of one group: SPOS's.
    Channels,
}

/// An inverted residual (MobileNetV2, arXiv:1801.04381): a 1×1 convolution to `expand` times the channels, a depthwise one,
/// and a 1×1 convolution back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MbConv {
    /// Side of the depthwise kernel; odd.
    pub kernel: i64,
    /// Factor on the channels; with 1 the first convolution is left out.
    pub expand: i64,
}

impl MbConv {
    /// `k3e6` for kernel 3 and 6 times the channels.
    pub fn name(&self) -> String {
        format!("k{}e{}", self.kernel, self.expand)
    }
}

/// What the main branch of a ShuffleNetV2 block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    /// One depthwise convolution, of this side, between two 1×1 ones.
    Single(i64),
    /// Three depthwise 3×3 convolutions, each with a 1×1 one behind it: the "xception" block of SPOS.
    Triple,
}

/// Adds blocks to a graph. All weights of a block are named after it.
pub struct Blocks {
    /// Where they are added.
    pub builder: GraphBuilder,
    affine: bool,
    start: Start,
}

impl Blocks {
    /// A graph of images of `task` with these genes, and its first node: the pixels with mean 0 and deviation 1.
    pub fn new(task: &Task, genes: Vec<Gene>, norm: Norm, start: Start) -> Result<(Self, NodeId)> {
        let mut builder = GraphBuilder::image(task.shape(), genes);
        let normalize = Normalize { mean: task.mean.clone(), deviation: task.deviation.clone() };
        let pixels = builder.op("normalize", normalize, &[0])?;
        Ok((Self { builder, affine: norm == Norm::Own, start }, pixels))
    }

    /// Channels of an image.
    pub fn channels(&self, node: NodeId) -> Result<i64> {
        Ok(self.builder.shape(node).image()?[0])
    }

    /// Batch normalisation.
    pub fn norm(&mut self, name: &str, input: NodeId) -> Result<NodeId> {
        self.builder.op(name, BatchNorm { affine: self.affine }, &[input])
    }

    /// A convolution and its norm.
    pub fn conv_norm(&mut self, name: &str, conv: Conv, input: NodeId) -> Result<NodeId> {
        let group = self.channels(input)? / conv.groups.max(1);
        let deviation = match self.start {
            Start::Uniform => None,
            Start::FanOut => Some((2.0 / (conv.kernel * conv.kernel * conv.channels) as f64).sqrt()),
            Start::Channels => Some((group as f64).recip()),
        };
        let conv = Conv { deviation: conv.deviation.or(deviation), ..conv };
        let conv = self.builder.op(format!("{name}.conv"), conv, &[input])?;
        self.norm(&format!("{name}.norm"), conv)
    }

    /// A convolution, its norm, and an activation.
    pub fn conv_norm_act(&mut self, name: &str, conv: Conv, act: impl Into<Op>, input: NodeId) -> Result<NodeId> {
        let normed = self.conv_norm(name, conv, input)?;
        self.builder.op(format!("{name}.act"), act, &[normed])
    }

    /// A ReLU, a convolution, and its norm.
    pub fn relu_conv_norm(&mut self, name: &str, conv: Conv, input: NodeId) -> Result<NodeId> {
        let relu = self.builder.op(format!("{name}.relu"), Relu, &[input])?;
        self.conv_norm(name, conv, relu)
    }

    /// NAS-Bench-201's reduction to `channels`: two 3×3 convolutions beside an average pooling with a 1×1 convolution.
    pub fn residual(&mut self, name: &str, channels: i64, stride: i64, input: NodeId) -> Result<NodeId> {
        let first = self.relu_conv_norm(&format!("{name}.first"), Conv::new(channels, 3, stride), input)?;
        let second = self.relu_conv_norm(&format!("{name}.second"), Conv::new(channels, 3, 1), first)?;
        let pool = AvgPool { kernel: stride, stride, pad: 0 };
        let pooled = if stride == 1 { input } else { self.builder.op(format!("{name}.pool"), pool, &[input])? };
        let shortcut = self.builder.op(format!("{name}.shortcut"), Conv::new(channels, 1, 1), &[pooled])?;
        self.builder.op(name, Sum, &[shortcut, second])
    }

    /// An inverted residual to `channels`. Where input and output have one shape, the input is added.
    pub fn mb_conv(&mut self, name: &str, block: MbConv, channels: i64, stride: i64, input: NodeId) -> Result<NodeId> {
        let (from, mut x) = (self.channels(input)?, input);
        let inner = from * block.expand;
        if block.expand != 1 {
            x = self.conv_norm_act(&format!("{name}.expand"), Conv::new(inner, 1, 1), Relu6, x)?;
        }
        x = self.conv_norm_act(&format!("{name}.depthwise"), Conv::depthwise(inner, block.kernel, stride), Relu6, x)?;
        x = self.conv_norm(&format!("{name}.project"), Conv::new(channels, 1, 1), x)?;
        if stride != 1 || from != channels {
            return Ok(x);
        }
        self.builder.op(name, Sum, &[input, x])
    }

    /// A ShuffleNetV2 block (arXiv:1807.11164; the choices are those of SPOS, arXiv:1904.00420) to `channels`: half of the
    /// input's channels pass by the main branch. Where the shape changes, all of them enter it, and pass by it through a
    /// depthwise and a 1×1 convolution.
    pub fn shuffle(&mut self, name: &str, block: Shuffle, channels: i64, stride: i64, input: NodeId) -> Result<NodeId> {
        let from = self.channels(input)?;
        let (beside, mut x) = if stride == 1 && from == channels {
            let half = |first| Channels { first, step: 2 };
            let beside = self.builder.op(format!("{name}.beside"), half(0), &[input])?;
            (beside, self.builder.op(format!("{name}.main"), half(1), &[input])?)
        } else {
            let kernel = if let Shuffle::Single(kernel) = block { kernel } else { 3 };
            let name = format!("{name}.beside");
            (self.separable(&name, Conv::depthwise(from, kernel, stride), from, input)?, input)
        };
        let (inner, rest) = (channels / 2, channels - self.channels(beside)?);
        if rest < 1 || inner < 1 {
            let found = format!("{channels} channels after {from}");
            return Err(Error::invalid(format!("block `{name}`"), found, "more than before, or as many and stride 1"));
        }
        let part = |part: &str| format!("{name}.{part}");
        match block {
            Shuffle::Single(kernel) => {
                x = self.conv_norm_act(&part("expand"), Conv::new(inner, 1, 1), Relu, x)?;
                x = self.separable(&part("separable"), Conv::depthwise(inner, kernel, stride), rest, x)?;
            }
            Shuffle::Triple => {
                let first = Conv::depthwise(self.channels(x)?, 3, stride);
                x = self.separable(&part("separable1"), first, inner, x)?;
                x = self.separable(&part("separable2"), Conv::depthwise(inner, 3, 1), inner, x)?;
                x = self.separable(&part("separable3"), Conv::depthwise(inner, 3, 1), rest, x)?;
            }
        }
        self.builder.op(name, Concat, &[beside, x])
    }

    /// A depthwise convolution with its norm, then a 1×1 one to `channels` with norm and ReLU.
    fn separable(&mut self, name: &str, depthwise: Conv, channels: i64, input: NodeId) -> Result<NodeId> {
        let x = self.conv_norm(&format!("{name}.depthwise"), depthwise, input)?;
        self.conv_norm_act(&format!("{name}.pointwise"), Conv::new(channels, 1, 1), Relu, x)
    }

    /// Ends with the mean over the pixels and a classifier.
    pub fn finish(mut self, classifier: Linear, input: NodeId) -> Result<Graph> {
        let pooled = self.builder.op("pool", GlobalPool, &[input])?;
        let logits = self.builder.op("classifier", classifier, &[pooled])?;
        Ok(self.builder.finish(logits))
    }
}
