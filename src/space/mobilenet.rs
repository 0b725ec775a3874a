//! The MobileNet space: a chain of inverted residuals whose kernels, expansions and number are chosen layer by layer.
//!
//! The layout is ProxylessNAS's (arXiv:1812.00332), as Few-Shot-NAS and the CaLR paper use it: 6⁶·7¹⁵ architectures of 21
//! layers, in which any but the first layer of a stage may be skipped. [`MobileNet::fairnas`] is that of FairNAS
//! (arXiv:1907.01845): 19 layers, none of them skipped. Counts are those of the papers' code: multiply-accumulates of weights
//! alone, and a complexity with the classifier's bias.
//!
//! Departure: no dropout before the classifier, which the papers use where the chosen network is trained by itself.

use serde::{Deserialize, Serialize};

use super::block::{Blocks, MbConv, Start};
use super::layers::{self, SKIP, Stage};
use super::{Norm, Space, Task};
use crate::arch::{Arch, Gene, Region};
use crate::error::within;
use crate::graph::Graph;
use crate::graph::ops::{Bias, Conv, Identity, Linear, Relu6};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNet {
    /// Factor on all channels, which then become multiples of 8 (arXiv:1704.04861). The last ones never shrink.
    pub width: f64,
    /// Channels of the first convolution.
    pub stem_channels: i64,
    /// Its stride: 2 for images as those of ImageNet, 1 for small ones as those of CIFAR.
    pub stem_stride: i64,
    /// Channels of the fixed block behind it, which has kernel 3 and expands nothing.
    pub first_channels: i64,
    /// The layers to choose.
    pub stages: Vec<Stage>,
    /// What may be chosen for each.
    pub candidates: Vec<MbConv>,
    /// Whether any but the first layer of a stage may be skipped.
    pub identity: bool,
    /// Channels in front of the classifier.
    pub last_channels: i64,
}

impl Default for MobileNet {
    fn default() -> Self {
        let candidates = [3, 5, 7].into_iter().flat_map(|kernel| [3, 6].map(|expand| MbConv { kernel, expand })).collect();
        let stages = [(24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1)];
        Self {
            width: 1.0,
            stem_channels: 32,
            stem_stride: 2,
            first_channels: 16,
            stages: stages.map(|(channels, layers, stride)| Stage { channels, layers, stride }).to_vec(),
            candidates,
            identity: true,
            last_channels: 1280,
        }
    }
}

impl MobileNet {
    /// FairNAS's layout.
    pub fn fairnas() -> Self {
        let mut space = Self { identity: false, ..Self::default() };
        space.stages[0] = Stage::new(32, 2, 2);
        space
    }

    /// `channels` at this width: the nearest multiple of 8 that takes away less than a tenth.
    fn widened(&self, channels: i64) -> i64 {
        if self.width == 1.0 {
            return channels;
        }
        let wanted = channels as f64 * self.width;
        let nearest = (((wanted + 4.0) / 8.0).floor() as i64 * 8).max(8);
        if (nearest as f64) < 0.9 * wanted { nearest + 8 } else { nearest }
    }

    fn check(&self) -> Result<()> {
        within("space.width", self.width, 0.05, 16.0)?;
        for (name, channels) in [
            ("stem_channels", self.stem_channels),
            ("first_channels", self.first_channels),
            ("last_channels", self.last_channels),
        ] {
            within(&format!("space.{name}"), channels, 1, 8192)?;
        }
        within("space.stem_stride", self.stem_stride, 1, 2)?;
        layers::check(&self.stages)?;
        if self.candidates.is_empty() {
            return Err(Error::invalid("space.candidates", "none", "at least one, such as { kernel = 3, expand = 6 }"));
        }
        for (at, candidate) in self.candidates.iter().enumerate() {
            if !(1..=15).contains(&candidate.kernel) || candidate.kernel % 2 == 0 {
                return Err(Error::invalid(format!("space.candidates[{at}].kernel"), candidate.kernel, "an odd number up to 15"));
            }
            within(&format!("space.candidates[{at}].expand"), candidate.expand, 1, 16)?;
            if self.candidates[..at].contains(candidate) {
                return Err(Error::invalid("space.candidates", format!("{} twice", candidate.name()), "each once"));
            }
        }
        Ok(())
    }

    fn genes(&self) -> Vec<Gene> {
        layers::genes(&self.stages, |is_first| {
            let skip = (self.identity && !is_first).then(|| SKIP.to_owned());
            self.candidates.iter().map(MbConv::name).chain(skip).collect()
        })
    }
}

impl Space for MobileNet {
    fn graph(&self, task: &Task, norm: Norm) -> Result<Graph> {
        self.check()?;
        let genes = self.genes();
        let (mut blocks, pixels) = Blocks::new(task, genes.clone(), norm, Start::FanOut)?;
        let stem = Conv::new(self.widened(self.stem_channels), 3, self.stem_stride);
        let mut x = blocks.conv_norm_act("stem", stem, Relu6, pixels)?;
        x = blocks.mb_conv("first", MbConv { kernel: 3, expand: 1 }, self.widened(self.first_channels), 1, x)?;
        for ((gene, Gene { name, options }), (channels, stride)) in genes.iter().enumerate().zip(layers::shapes(&self.stages)) {
            let channels = self.widened(channels);
            let mut nodes = vec![];
            for candidate in &self.candidates {
                nodes.push(blocks.mb_conv(&format!("{name}.{}", candidate.name()), *candidate, channels, stride, x)?);
            }
            if options.len() > nodes.len() {
                nodes.push(blocks.builder.op(format!("{name}.{SKIP}"), Identity, &[x])?);
            }
            x = blocks.builder.choice(gene, nodes)?;
        }
        let last = self.widened(self.last_channels).max(self.last_channels);
        x = blocks.conv_norm_act("last", Conv::new(last, 1, 1), Relu6, x)?;
        let classifier = Linear { bias: Bias::InComplexity, ..Linear::new(task.classes.len() as i64) };
        blocks.finish(classifier, x)
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

    fn canonical(&self, graph: &Graph, region: &Region, arch: &Arch) -> Arch {
        let tidy = layers::skips_last(&self.stages, graph.genes(), arch);
        if region.contains(&tidy) { tidy } else { arch.clone() }
    }
}
