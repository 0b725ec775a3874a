//! The operators. One file each: shape, weights, forward pass, cost and ONNX export; so what runs also exports.

use serde::Serialize;
use tch::Tensor;

use super::onnx::{OnnxBuilder, ValueId};
use super::{Run, Shape};
use crate::Result;

/// How a weight is filled before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// U(−1/√fan_in, 1/√fan_in), the default of PyTorch's layers. Under a norm the size of the weights sets the
    /// effective learning rate, so this is part of a method.
    Uniform {
        /// Inputs that one output number sums over.
        fan_in: i64,
    },
    /// N(0, deviation²).
    Normal {
        /// Its standard deviation.
        deviation: f64,
    },
    /// One value everywhere.
    Constant(f64),
}

/// A trainable tensor that an operator needs.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    /// Name within the node: `weight` or `bias`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<i64>,
    /// How it starts.
    pub init: Init,
    /// Whether it counts in [`Cost::complexity`](crate::arch::Cost): weights of convolutions and linear layers do.
    pub complex: bool,
}

/// Tensors that belong to one node: its weights, and its running statistics if it has and is given any.
#[derive(Default)]
pub struct NodeTensors {
    /// In the order of [`Operator::weights`].
    pub weights: Vec<Tensor>,
    /// In the order of [`Operator::buffers`]; empty where batch statistics are used.
    pub buffers: Vec<Tensor>,
}

/// What does a node compute?
pub trait Operator {
    /// Shape of the output, without the batch axis. Everything that can be wrong with the inputs is found here.
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// Trainable tensors, in the order in which [`forward`](Self::forward) gets them.
    fn weights(&self, _inputs: &[&Shape]) -> Vec<WeightSpec> {
        vec![]
    }

    /// Running statistics: name, length and first value.
    fn buffers(&self, _inputs: &[&Shape]) -> Vec<(&'static str, i64, f64)> {
        vec![]
    }

    /// Multiply-accumulates for one image.
    fn macs(&self, _inputs: &[&Shape]) -> u64 {
        0
    }

    /// Whether an input of zeros gives an output of zeros, so that a dead branch stays dead behind it.
    ///
    /// A norm with an own shift counts as keeping zero: the constant it would add to a sum is one that the norms of
    /// the living branches can add as well.
    fn keeps_zero(&self) -> bool {
        true
    }

    /// Whether the gradient is computed from the inputs, which training then has to keep.
    fn keeps_input(&self) -> bool {
        false
    }

    /// The same of the output.
    fn keeps_output(&self) -> bool {
        false
    }

    /// Computes the node.
    fn forward(&self, run: &Run, tensors: &NodeTensors, inputs: &[&Tensor]) -> Tensor;

    /// Writes the node. `weights` are those of [`weights`](Self::weights), then [`buffers`](Self::buffers).
    fn export(&self, onnx: &mut OnnxBuilder, name: &str, weights: &[Tensor], inputs: &[ValueId]) -> Result<ValueId>;
}

pub use linear::Bias;

/// One row per operator: its file, its type.
macro_rules! operators {
    ($($(#[$doc:meta])* $file:ident :: $kind:ident),+ $(,)?) => {
        $(mod $file; pub use $file::$kind;)+

        /// Any operator.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "op", rename_all = "snake_case")]
        pub enum Op { $($(#[$doc])* $kind($kind)),+ }

        impl std::ops::Deref for Op {
            type Target = dyn Operator;
            fn deref(&self) -> &Self::Target {
                match self { $(Self::$kind(op) => op),+ }
            }
        }

        $(impl From<$kind> for Op { fn from(op: $kind) -> Self { Self::$kind(op) } })+
    };
}

operators! {
    /// Mean 0 and deviation 1 of the input pixels.
    normalize::Normalize,
    /// Convolution.
    conv::Conv,
    /// Batch normalisation.
    batch_norm::BatchNorm,
    /// max(0, x).
    relu::Relu,
    /// min(6, max(0, x)).
    relu6::Relu6,
    /// Average pooling.
    avg_pool::AvgPool,
    /// Mean over the pixels.
    global_pool::GlobalPool,
    /// Fully connected layer.
    linear::Linear,
    /// Sum of the inputs.
    sum::Sum,
    /// Channels of the inputs side by side.
    concat::Concat,
    /// Every n-th channel.
    channels::Channels,
    /// The input itself.
    identity::Identity,
    /// Nothing: zeros.
    zero::Zero,
}
