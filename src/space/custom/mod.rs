//! A space that a user describes in a file: a stem, stages of cells or of layers, a head. `docs/spaces.md` is the manual.
//!
//! A [`Description`] is what was written, plain data; a [`Custom`] is one that was checked. What is wrong is told with the
//! line of the file, also where it shows only once the images are known.

mod connected;
mod description;
mod layout;
mod notation;
mod operation;
mod source;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toml::Spanned;
use toml::de::DeTable;

pub use description::Description;

use self::description::Classifier;
use self::layout::{Body, Layout, Place};
use self::operation::Operation;
use self::source::{Source, Spot};
use super::block::Blocks;
use super::{Norm, Space, Task, without_dead};
use crate::arch::{Arch, Gene, Region};
use crate::graph::ops::{Linear, Sum};
use crate::graph::{Graph, NodeId};
use crate::reading::{Mistake, not_toml, parse_json};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Description", into = "Description")]
pub struct Custom(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    description: Description,
    layout: Layout,
    source: Source,
}

/// Where it was read makes no difference.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.0.description == other.0.description
    }
}

impl TryFrom<Description> for Custom {
    type Error = Error;

    fn try_from(description: Description) -> Result<Self> {
        Self::checked(description, Source::default())
    }
}

impl From<Custom> for Description {
    fn from(custom: Custom) -> Self {
        custom.0.description.clone()
    }
}

impl Custom {
    fn checked(description: Description, source: Source) -> Result<Self> {
        let layout = Layout::of(&description).map_err(|fault| source.error(fault))?;
        Ok(Self(Arc::new(Parts { description, layout, source })))
    }

    /// Reads the text of a space file. `file` is what errors call it.
    pub fn from_toml(file: &str, text: &str) -> Result<Self> {
        let table = DeTable::parse(text).map_err(|error| not_toml(file, text, &error))?;
        Self::from_table(file, text, table)
    }

    /// Reads a table that stands in `text`, the contents of `file`.
    pub fn from_table(file: &str, text: &str, table: Spanned<DeTable>) -> Result<Self> {
        let source = Source::new(file, text, table.get_ref());
        let description = serde_path_to_error::deserialize(toml::Deserializer::from(table));
        let description = description.map_err(|error| Mistake::of(&error.path().to_string(), error.inner().message()));
        Self::checked(description.map_err(|mistake| source.error(mistake.into()))?, source)
    }

    /// Reads the same tables and keys as JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::checked(parse_json("space", text)?, Source::default())
    }

    /// What was written.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// What may be chosen.
    pub fn genes(&self) -> &[Gene] {
        &self.0.layout.genes
    }

    /// An error if images become smaller than their stride on the way.
    fn check_size(&self, task: &Task) -> Result<()> {
        let Parts { description, layout, source } = &*self.0;
        let [_, height, width] = task.image;
        let mut size = height.min(width);
        let stem = (Spot::new("stem.stride", "stem"), description.stem.stride);
        let stages = layout
            .stages
            .iter()
            .enumerate()
            .map(|(at, stage)| (Spot::new(format!("stage.{at}.stride"), format!("stage \"{}\"", stage.name)), stage.stride));
        for (spot, stride) in std::iter::once(stem).chain(stages) {
            if size < stride {
                let found = format!("stride {stride} on what is left of {height}×{width} pixels, {size}");
                return Err(source.error(spot.fault(found, "larger images, or smaller strides")));
            }
            size = (size - 1) / stride + 1;
        }
        Ok(())
    }
}

/// Adds the parts of the network.
struct Builder<'a> {
    custom: &'a Custom,
    blocks: Blocks,
}

impl Builder<'_> {
    fn operation(&mut self, operation: &str, name: &str, input: NodeId, width: i64, stride: i64) -> Result<NodeId> {
        self.custom.0.description.operations[operation].add(&mut self.blocks, name, input, width, stride)
    }

    fn place(&mut self, place: &Place, name: &str, input: NodeId, width: i64, stride: i64) -> Result<NodeId> {
        let Some(gene) = place.gene else { return self.operation(&place.candidates[0], name, input, width, stride) };
        let mut options = vec![];
        for candidate in &place.candidates {
            options.push(self.operation(candidate, &format!("{name}.{candidate}"), input, width, stride)?);
        }
        self.blocks.builder.choice(gene, options)
    }

    fn cell(&mut self, name: &str, input: NodeId, width: i64) -> Result<NodeId> {
        let mut nodes = vec![input];
        for edges in self.custom.0.layout.edges.chunk_by(|a, b| a.to == b.to) {
            let mut terms = vec![];
            for edge in edges {
                let name = format!("{name}.{}<-{}", edge.to, edge.from);
                terms.push(self.place(&edge.place, &name, nodes[edge.from], width, 1)?);
            }
            let sum = format!("{name}.node{}", edges[0].to);
            nodes.push(if terms.len() == 1 { terms[0] } else { self.blocks.builder.op(sum, Sum, &terms)? });
        }
        Ok(*nodes.last().expect("a cell has an output"))
    }

    fn stage(&mut self, stage: &layout::Stage, input: NodeId) -> Result<NodeId> {
        let layout::Stage { name, width, stride, body } = stage;
        let mut x = input;
        match body {
            Body::Cells { reduction, count } => {
                if let Some(reduction) = reduction {
                    x = self.operation(reduction, &format!("{name}.reduction"), x, *width, *stride)?;
                }
                for cell in 0..*count {
                    x = self.cell(&format!("{name}.cell{cell}"), x, *width)?;
                }
            }
            Body::Layers(layers) => {
                for (at, layer) in layers.iter().enumerate() {
                    let stride = if at == 0 { *stride } else { 1 };
                    x = self.place(layer, &layer_name(name, at, layers), x, *width, stride)?;
                }
            }
        }
        Ok(x)
    }
}

/// A stage's only layer, if it has nothing to choose, is called as the stage is.
fn layer_name(stage: &str, at: usize, layers: &[Place]) -> String {
    if let [Place { gene: None, .. }] = layers { stage.into() } else { format!("{stage}.layer{}", at + 1) }
}

impl Space for Custom {
    fn graph(&self, task: &Task, norm: Norm) -> Result<Graph> {
        self.check_size(task)?;
        let Description { stem, head, classifier, start, .. } = &self.0.description;
        let (blocks, pixels) = Blocks::new(task, self.0.layout.genes.clone(), norm, *start)?;
        let mut builder = Builder { custom: self, blocks };
        let mut x = builder.operation(&stem.operation, "stem", pixels, stem.width, stem.stride)?;
        for stage in &self.0.layout.stages {
            x = builder.stage(stage, x)?;
        }
        if let Some(head) = head {
            let width = head.width.unwrap_or(builder.blocks.channels(x)?);
            x = builder.operation(&head.operation, "last", x, width, 1)?;
        }
        let Classifier { bias, deviation } = *classifier;
        builder.blocks.finish(Linear { bias, deviation, features: task.classes.len() as i64 }, x)
    }

    fn parse(&self, text: &str) -> Result<Arch> {
        self.0.layout.parse(text)
    }

    fn text(&self, arch: &Arch) -> String {
        self.0.layout.text(arch)
    }

    /// Without operations that nothing reaches or reads, and with skipped layers last in their stage.
    fn canonical(&self, graph: &Graph, region: &Region, arch: &Arch) -> Arch {
        let layout = &self.0.layout;
        let is =
            |place: &Place, option: usize, kind: &Operation| self.0.description.operations[&place.candidates[option]] == *kind;
        let mut nothing = vec![None; layout.genes.len()];
        for place in layout.edges.iter().map(|edge| &edge.place) {
            let Some(gene) = place.gene else { continue };
            nothing[gene] = (0..place.candidates.len()).find(|&option| is(place, option, &Operation::None {}));
        }
        let skips = |place: &&Place| is(place, place.gene.map_or(0, |gene| arch.option(gene)), &Operation::Skip {});
        let mut options = arch.options();
        for layers in layout.alike() {
            let (last, first): (Vec<&Place>, Vec<&Place>) = layers.iter().copied().partition(skips);
            for (layer, instead) in layers.iter().zip(first.into_iter().chain(last)) {
                if let (Some(to), Some(from)) = (layer.gene, instead.gene) {
                    options[to] = arch.option(from);
                }
            }
        }
        let tidy = Arch::new(&layout.genes, &options).expect("layers that are alike have the same options");
        let arch = if region.contains(&tidy) { tidy } else { arch.clone() };
        if nothing.iter().all(Option::is_none) {
            return arch;
        }
        without_dead(graph, region, &arch, |gene| nothing[gene])
    }

    /// The cell, if there is one, or else the chain of layers with a choice.
    fn drawing(&self, arch: &Arch) -> serde_json::Value {
        let Parts { description, layout, .. } = &*self.0;
        let does = |place: &Place, kind: &Operation| description.operations[place.chosen(arch)] == *kind;
        let edge = |from: usize, to: usize, place: &Place| json!({ "from": from, "to": to, "op": place.chosen(arch) });
        if let Some(output) = layout.edges.last() {
            let drawn = layout.edges.iter().filter(|edge| !does(&edge.place, &Operation::None {}));
            let edges: Vec<_> = drawn.map(|it| edge(it.from, it.to, &it.place)).collect();
            let inner = (1..output.to).map(|node| node.to_string());
            let nodes: Vec<String> = std::iter::once("input".into()).chain(inner).chain(["output".into()]).collect();
            return json!({ "nodes": nodes, "edges": edges });
        }
        let (mut nodes, mut edges) = (vec!["stem".to_owned()], vec![]);
        for place in layout.stages.iter().flat_map(layout::Stage::layers) {
            let Some(gene) = place.gene.filter(|_| !does(place, &Operation::Skip {})) else { continue };
            edges.push(edge(nodes.len() - 1, nodes.len(), place));
            nodes.push(layout.genes[gene].name.replace("stage", "").replace("layer", ""));
        }
        json!({ "nodes": nodes, "edges": edges })
    }
}
