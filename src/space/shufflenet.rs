//! The ShuffleNetV2 space of SPOS (arXiv:1904.00420): a chain of shuffle blocks, each with one of three kernels or with three
//! depthwise convolutions in a row. 4²⁰ architectures.
//!
//! An architecture is written as `k3 k5 k7 x | …`, where `x` is the block of three. What the released code searches: blocks,
//! not channels.
//!
//! Departures: no dropout before the classifier; norms with an own shift start it from 0, not from 1e-4. A first layer of a
//! stage with stride 1 (which the release doesn't have) is built as one with stride 2 is, unless it keeps the channels.

use serde::{Deserialize, Serialize};

use super::block::{Blocks, Shuffle, Start};
use super::layers::{self, Stage};
use super::{Norm, Space, Task};
use crate::arch::{Arch, Gene};
use crate::error::within;
use crate::graph::Graph;
use crate::graph::ops::{Bias, Conv, Linear, Relu};
use crate::{Error, Result};

/// The blocks and their names, by number.
const CHOICES: [(&str, Shuffle); 4] =
    [("k3", Shuffle::Single(3)), ("k5", Shuffle::Single(5)), ("k7", Shuffle::Single(7)), ("x", Shuffle::Triple)];

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShuffleNet {
    /// Channels of the first convolution.
    pub stem_channels: i64,
    /// Its stride: 2 for images as those of ImageNet, 1 for small ones as those of CIFAR.
    pub stem_stride: i64,
    /// The layers to choose. Channels are even, and grow from stage to stage.
    pub stages: Vec<Stage>,
    /// Channels in front of the classifier.
    pub last_channels: i64,
}

impl Default for ShuffleNet {
    fn default() -> Self {
        let stages = [(64, 4), (160, 4), (320, 8), (640, 4)].map(|(channels, layers)| Stage::new(channels, layers, 2));
        Self { stem_channels: 16, stem_stride: 2, stages: stages.to_vec(), last_channels: 1024 }
    }
}

impl ShuffleNet {
    fn check(&self) -> Result<()> {
        within("space.stem_channels", self.stem_channels, 1, 8192)?;
        within("space.stem_stride", self.stem_stride, 1, 2)?;
        within("space.last_channels", self.last_channels, 1, 8192)?;
        layers::check(&self.stages)?;
        let mut before = self.stem_channels;
        for (at, stage) in self.stages.iter().enumerate() {
            let field = format!("space.stages[{at}].channels");
            let keeps = stage.stride == 1 && stage.channels == before;
            if stage.channels % 2 != 0 || (stage.channels <= before && !keeps) {
                let wanted = format!("an even number above the {before} before, or the same with stride 1");
                return Err(Error::invalid(field, stage.channels, wanted));
            }
            before = stage.channels;
        }
        Ok(())
    }

    fn genes(&self) -> Vec<Gene> {
        layers::genes(&self.stages, |_| CHOICES.map(|(name, _)| name.to_owned()).to_vec())
    }
}

impl Space for ShuffleNet {
    fn graph(&self, task: &Task, norm: Norm) -> Result<Graph> {
        self.check()?;
        let genes = self.genes();
        let (mut blocks, pixels) = Blocks::new(task, genes.clone(), norm, Start::Channels)?;
        let stem = Conv::new(self.stem_channels, 3, self.stem_stride).normal(0.01);
        let mut x = blocks.conv_norm_act("stem", stem, Relu, pixels)?;
        for ((gene, Gene { name, .. }), (channels, stride)) in genes.iter().enumerate().zip(layers::shapes(&self.stages)) {
            let block =
                |&(choice, block): &(&str, Shuffle)| blocks.shuffle(&format!("{name}.{choice}"), block, channels, stride, x);
            let nodes = CHOICES.iter().map(block).collect::<Result<Vec<_>>>()?;
            x = blocks.builder.choice(gene, nodes)?;
        }
        x = blocks.conv_norm_act("last", Conv::new(self.last_channels, 1, 1), Relu, x)?;
        let classes = task.classes.len() as i64;
        blocks.finish(Linear { bias: Bias::Absent, deviation: Some(0.01), ..Linear::new(classes) }, x)
    }

    fn parse(&self, text: &str) -> Result<Arch> {
        layers::parse(&self.stages, &self.genes(), text)
    }

    fn text(&self, arch: &Arch) -> String {
        layers::text(&self.stages, &self.genes(), arch)
    }

    fn drawing(&self, arch: &Arch) -> serde_json::Value {
        layers::drawing(&self.genes(), arch)
    }
}
