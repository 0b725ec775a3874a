//! What an architecture costs, counted from the graph.

use serde::{Deserialize, Serialize};

/// Counts of one architecture, for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// All trainable numbers, those of norms and biases included.
    pub params: u64,
    /// Multiply-accumulates of convolutions and linear layers.
    pub macs: u64,
    /// Weights of convolutions and linear layers alone: the C(α) of CaLR, which ignores norms and biases.
    pub complexity: u64,
}

impl std::ops::Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { params: self.params + other.params, macs: self.macs + other.macs, complexity: self.complexity + other.complexity }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |total, cost| total + cost)
    }
}

/// A figure that an architecture is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of images classified correctly, in 0..=1. The larger the better.
    Accuracy,
    /// Trainable numbers.
    Params,
    /// Multiply-accumulates for one image.
    Macs,
    /// Median milliseconds for one image in ONNX Runtime on this machine.
    LatencyMs,
}

impl Metric {
    /// The name in recipes and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Params => "params",
            Self::Macs => "macs",
            Self::LatencyMs => "latency_ms",
        }
    }

    /// Whether a larger value is a better one.
    pub fn maximise(self) -> bool {
        self == Self::Accuracy
    }

    /// The value of a counted metric; `None` for one that has to be measured.
    pub fn of(self, cost: Cost) -> Option<f64> {
        match self {
            Self::Params => Some(cost.params as f64),
            Self::Macs => Some(cost.macs as f64),
            Self::Accuracy | Self::LatencyMs => None,
        }
    }
}
