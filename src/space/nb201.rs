//! NAS-Bench-201 (arXiv:2001.00326): three stages of equal cells; a cell has four nodes and an operation on each of its
//! six edges.
//!
//! Node `i` is the sum over `j < i` of `operation(i←j)` of node `j`; node 0 is the cell's input, node 3 its output.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::block::{Blocks, Start};
use super::{Norm, Space, Task, unreadable, without_dead};
use crate::arch::{Arch, Gene, Region};
use crate::error::within;
use crate::graph::ops::{AvgPool, Conv, Identity, Linear, Relu, Sum, Zero};
use crate::graph::{Graph, NodeId};
use crate::{Error, Result};

/// The operations, by number.
pub const OPERATIONS: [&str; 5] = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
/// The edges (to, from), by number.
const EDGES: [(usize, usize); 6] = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nb201 {
    /// Channels of the first stage; each further one has twice as many.
    pub channels: i64,
    /// Cells per stage.
    pub cells: usize,
    /// Number of classes, if it is to be checked against the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// `[channels, height, width]` of the images, if it is to be checked against the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<[i64; 3]>,
}

impl Default for Nb201 {
    fn default() -> Self {
        Self { channels: 16, cells: 5, classes: None, image: None }
    }
}

impl Nb201 {
    fn check(&self, task: &Task) -> Result<()> {
        within("space.channels", self.channels, 1, 4096)?;
        within("space.cells", self.cells, 1, 64)?;
        if let Some(classes) = self.classes.filter(|&classes| classes != task.classes.len()) {
            return Err(Error::invalid("space.classes", classes, format!("{}, as the data has", task.classes.len())));
        }
        if let Some(image) = self.image.filter(|image| *image != task.image) {
            return Err(Error::invalid("space.image", format!("{image:?}"), format!("{:?}, as the data has", task.image)));
        }
        let [_, height, width] = task.image;
        if height.min(width) < 4 {
            return Err(Error::invalid("space.image", format!("{height}×{width} pixels"), "at least 4×4: it is halved twice"));
        }
        Ok(())
    }
}

fn genes() -> Vec<Gene> {
    let gene =
        |(to, from): &(usize, usize)| Gene { name: format!("{to}<-{from}"), options: OPERATIONS.map(String::from).to_vec() };
    EDGES.iter().map(gene).collect()
}

/// Adds the parts of the network under their names.
struct Parts(Blocks);

impl Parts {
    fn edge(&mut self, name: &str, gene: usize, input: NodeId) -> Result<NodeId> {
        let channels = self.0.channels(input)?;
        let options = vec![
            self.0.builder.op(format!("{name}.none"), Zero { shape: None }, &[input])?,
            self.0.builder.op(format!("{name}.skip_connect"), Identity, &[input])?,
            self.0.relu_conv_norm(&format!("{name}.nor_conv_1x1"), Conv::new(channels, 1, 1), input)?,
            self.0.relu_conv_norm(&format!("{name}.nor_conv_3x3"), Conv::new(channels, 3, 1), input)?,
            self.0.builder.op(format!("{name}.avg_pool_3x3"), AvgPool { kernel: 3, stride: 1, pad: 1 }, &[input])?,
        ];
        self.0.builder.choice(gene, options)
    }

    fn cell(&mut self, name: &str, input: NodeId) -> Result<NodeId> {
        let mut nodes = vec![input];
        for to in 1..4 {
            let mut terms = vec![];
            for (gene, &(_, from)) in EDGES.iter().enumerate().filter(|(_, edge)| edge.0 == to) {
                terms.push(self.edge(&format!("{name}.{to}<-{from}"), gene, nodes[from])?);
            }
            let single = terms.len() == 1;
            nodes.push(if single { terms[0] } else { self.0.builder.op(format!("{name}.node{to}"), Sum, &terms)? });
        }
        Ok(nodes[3])
    }
}

impl Space for Nb201 {
    fn graph(&self, task: &Task, norm: Norm) -> Result<Graph> {
        self.check(task)?;
        let (mut blocks, pixels) = Blocks::new(task, genes(), norm, Start::Uniform)?;
        let mut x = blocks.conv_norm("stem", Conv::new(self.channels, 3, 1), pixels)?;
        let mut parts = Parts(blocks);
        for stage in 0..3 {
            if stage > 0 {
                x = parts.0.residual(&format!("stage{stage}.reduction"), self.channels << stage, 2, x)?;
            }
            for cell in 0..self.cells {
                x = parts.cell(&format!("stage{stage}.cell{cell}"), x)?;
            }
        }
        let Parts(mut blocks) = parts;
        x = blocks.norm("last.norm", x)?;
        x = blocks.builder.op("last.relu", Relu, &[x])?;
        blocks.finish(Linear::new(task.classes.len() as i64), x)
    }

    fn parse(&self, text: &str) -> Result<Arch> {
        let wanted = "the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|";
        let mut words = text.trim().split(['|', '+']).filter(|word| !word.is_empty());
        let mut options = vec![];
        for (to, from) in EDGES {
            let word = words.next().ok_or_else(|| unreadable(text, wanted))?;
            let (name, source) = word.split_once('~').ok_or_else(|| unreadable(text, wanted))?;
            if source != from.to_string() {
                return Err(unreadable(text, format!("`~{from}` after `{name}` on the edge {to}<-{from}; {wanted}")));
            }
            let known = || unreadable(text, format!("one of {} on the edge {to}<-{from}, not `{name}`", OPERATIONS.join(", ")));
            options.push(OPERATIONS.iter().position(|&operation| operation == name).ok_or_else(known)?);
        }
        let arch = Arch::new(&genes(), &options)?;
        if words.next().is_some() || self.text(&arch) != text.trim() {
            return Err(unreadable(text, wanted));
        }
        Ok(arch)
    }

    fn text(&self, arch: &Arch) -> String {
        let node = |to| {
            let edges = EDGES.iter().enumerate().filter(|(_, edge)| edge.0 == to);
            let words: String = edges.map(|(gene, (_, from))| format!("{}~{from}|", OPERATIONS[arch.option(gene)])).collect();
            format!("|{words}")
        };
        [1, 2, 3].map(node).join("+")
    }

    fn drawing(&self, arch: &Arch) -> serde_json::Value {
        let edges: Vec<_> = (0..EDGES.len())
            .filter(|&gene| arch.option(gene) != 0)
            .map(|gene| json!({ "from": EDGES[gene].1, "to": EDGES[gene].0, "op": OPERATIONS[arch.option(gene)] }))
            .collect();
        json!({ "nodes": ["input", "1", "2", "output"], "edges": edges })
    }

    fn canonical(&self, graph: &Graph, region: &Region, arch: &Arch) -> Arch {
        without_dead(graph, region, arch, |_| Some(0))
    }
}
