//! What a user writes: the tables and keys of a space file. `docs/spaces.md` tells them with examples.

use std::collections::BTreeMap;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::operation::Operation;
use crate::graph::ops::Bias;
use crate::space::block::Start;

/// A space as it is written. Maps are ordered by key, so that two texts which differ in order, spacing or comments are one
/// description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What can be done to an image, by a name of the user's choice.
    pub operations: BTreeMap<String, Operation>,
    /// Lists of operations that are used in more than one place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub candidates: BTreeMap<String, Vec<String>>,
    /// The cell that stages repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// The first layer.
    pub stem: Stem,
    /// What follows, in order.
    pub stage: Vec<Stage>,
    /// What stands before the pooling and the classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The last layer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub classifier: Classifier,
    /// How the weights of convolutions start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: Start,
}

/// Operations that one place may choose from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Candidates {
    /// The name of a list.
    Named(String),
    /// The names of operations.
    These(Vec<String>),
}

/// A graph from node 0, the input, to the last node, the output. A node is the sum of what its edges make of the nodes that
/// they come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// How many nodes.
    pub nodes: usize,
    /// The candidates of all edges; every node then reads all before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,
    /// The edges there are, `to<-from`, and the candidates of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edges: BTreeMap<String, Candidates>,
}

/// The first layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Its operation.
    pub operation: String,
    /// Channels that come out.
    pub width: i64,
    /// Step between pixels.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: i64,
}

/// Cells or layers of one width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name; `stageN` if it has none, N counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Channels.
    pub width: i64,
    /// Step between pixels at its beginning.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: i64,
    /// How often the cell is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<usize>,
    /// The operation in front of the cells that changes width and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<String>,
    /// How many layers, each with a choice of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// What each layer may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,
    /// What the first layer may be, which changes width and size; like the others if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Candidates>,
}

/// The last layer before the pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its operation.
    pub operation: String,
    /// Channels that come out; as many as come in if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
}

/// The fully connected layer behind the pooling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Classifier {
    /// Whether it has a bias, and how that is counted.
    #[serde(skip_serializing_if = "is_default")]
    pub bias: Bias,
    /// Deviation of the normal distribution that its weights start from, if it isn't PyTorch's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

impl<'de> Deserialize<'de> for Candidates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

/// Reads a string or a list of strings, with an error that says so; an untagged enum has no such error.
struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Candidates;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a list of operations, or the name of a list in [candidates]")
    }

    fn visit_str<E>(self, name: &str) -> Result<Candidates, E> {
        Ok(Candidates::Named(name.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Candidates, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Candidates::These)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> i64 {
    1
}

fn is_one(stride: &i64) -> bool {
    *stride == 1
}
