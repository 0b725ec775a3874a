//! What a place of a described space can do to an image: one variant per block, each built of `space/block.rs`.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::graph::NodeId;
use crate::graph::Shape;
use crate::graph::ops::{AvgPool, Conv, Identity, Op, Relu, Relu6, Zero};
use crate::space::block::{Blocks, MbConv, Shuffle};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Zeros: what is chosen for an edge that shouldn't be there.
    None {},
    /// The image itself.
    Skip {},
    /// ReLU, convolution, norm: NAS-Bench-201's and DARTS's order.
    ReluConvNorm {
        /// Side of the kernel; odd.
        kernel: i64,
    },
    /// Convolution, norm, and an activation unless there is none.
    ConvNorm {
        /// Side of the kernel; odd.
        kernel: i64,
        /// What follows the norm.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
        /// Deviation of the normal distribution that weights start from, if it isn't the space's `start`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deviation: Option<f64>,
    },
    /// Norm, then an activation.
    Norm {
        /// What follows the norm.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// Average pooling with stride 1 that doesn't count the padding.
    AvgPool {
        /// Side of the window; odd.
        kernel: i64,
    },
    /// Two 3×3 convolutions beside an average pooling with a 1×1 convolution: NAS-Bench-201's reduction.
    Residual {},
    /// Inverted residual.
    MbConv(MbConv),
    /// ShuffleNetV2's block with one depthwise convolution.
    Shuffle {
        /// Side of its kernel; odd.
        kernel: i64,
    },
    /// ShuffleNetV2's block with three depthwise 3×3 convolutions: SPOS's "xception" block.
    ShuffleTriple {},
}

/// What follows a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// min(max(0, x), 6).
    Relu6,
}

impl From<Activation> for Op {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Relu.into(),
            Activation::Relu6 => Relu6.into(),
        }
    }
}

/// What is wrong with an operation's own numbers: key, found, wanted.
type Wrong = (&'static str, String, String);

impl Operation {
    /// Checks the numbers it has of its own.
    pub(super) fn check(&self) -> std::result::Result<(), Wrong> {
        let odd = |kernel: i64| match (1..=31).contains(&kernel) && kernel % 2 == 1 {
            true => Ok(()),
            false => Err(("kernel", kernel.to_string(), "an odd number from 1 to 31".into())),
        };
        match self {
            Self::ReluConvNorm { kernel } | Self::AvgPool { kernel } | Self::Shuffle { kernel } => odd(*kernel),
            Self::ConvNorm { kernel, deviation, .. } => match deviation.filter(|deviation| !(1e-6..=10.0).contains(deviation)) {
                Some(deviation) => Err(("deviation", deviation.to_string(), "0.000001…10".into())),
                None => odd(*kernel),
            },
            Self::MbConv(MbConv { kernel, expand }) => match (1..=16).contains(expand) {
                true => odd(*kernel),
                false => Err(("expand", expand.to_string(), "1…16".into())),
            },
            Self::None {} | Self::Skip {} | Self::Norm { .. } | Self::Residual {} | Self::ShuffleTriple {} => Ok(()),
        }
    }

    /// Whether it can go from one width to another with this stride, or else what would do. A width of 0 isn't known.
    pub(super) fn fits(&self, (from, to): (i64, i64), stride: i64) -> std::result::Result<(), String> {
        match self {
            Self::Skip {} | Self::AvgPool { .. } | Self::Norm { .. } if from != to || stride != 1 => {
                let kept = if from == 0 { String::new() } else { format!(", or width {from} and stride 1") };
                Err(format!("an operation that changes width and size{kept}"))
            }
            Self::Shuffle { .. } | Self::ShuffleTriple {} if to % 2 != 0 => Err("an even width for a shuffle block".into()),
            Self::Shuffle { .. } | Self::ShuffleTriple {} if to <= from && (stride != 1 || from != to) => {
                Err(format!("a width above {from} for a shuffle block, or {from} and stride 1"))
            }
            Self::None {} if from == 0 => Err("an operation that lets the image through".into()),
            _ => Ok(()),
        }
    }

    /// Adds it behind `input`, with all its weights named after `name`. It [fits](Self::fits) there.
    pub(super) fn add(&self, blocks: &mut Blocks, name: &str, input: NodeId, width: i64, stride: i64) -> Result<NodeId> {
        match self {
            Self::None {} => {
                let [channels, rows, columns] = blocks.builder.shape(input).image()?;
                let out = |size: i64| (size - 1) / stride + 1;
                let same = channels == width && stride == 1;
                let shape = (!same).then(|| Shape::of_image(width, out(rows), out(columns)));
                blocks.builder.op(name, Zero { shape }, &[input])
            }
            Self::Skip {} => blocks.builder.op(name, Identity, &[input]),
            Self::ReluConvNorm { kernel } => blocks.relu_conv_norm(name, Conv::new(width, *kernel, stride), input),
            Self::ConvNorm { kernel, activation, deviation } => {
                let conv = Conv { deviation: *deviation, ..Conv::new(width, *kernel, stride) };
                match activation {
                    Some(activation) => blocks.conv_norm_act(name, conv, *activation, input),
                    None => blocks.conv_norm(name, conv, input),
                }
            }
            Self::Norm { activation } => {
                let normed = blocks.norm(&format!("{name}.norm"), input)?;
                match activation {
                    Some(Activation::Relu) => blocks.builder.op(format!("{name}.relu"), Relu, &[normed]),
                    Some(activation) => blocks.builder.op(format!("{name}.act"), *activation, &[normed]),
                    None => Ok(normed),
                }
            }
            Self::AvgPool { kernel } => {
                blocks.builder.op(name, AvgPool { kernel: *kernel, stride: 1, pad: kernel / 2 }, &[input])
            }
            Self::Residual {} => blocks.residual(name, width, stride, input),
            Self::MbConv(block) => blocks.mb_conv(name, *block, width, stride, input),
            Self::Shuffle { kernel } => blocks.shuffle(name, Shuffle::Single(*kernel), width, stride, input),
            Self::ShuffleTriple {} => blocks.shuffle(name, Shuffle::Triple, width, stride, input),
        }
    }
}
