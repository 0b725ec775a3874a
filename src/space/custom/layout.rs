//! A description that was checked: which genes there are, and where each is used. Everything that can be wrong with a
//! description whatever the images is found here.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::connected::connected;
use super::description::{self, Candidates, Description};
use super::operation::Operation;
use super::source::{Fault, Spot};
use crate::arch::Gene;
use crate::reading::one_of;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Those of the cell, then those of the layers.
    pub genes: Vec<Gene>,
    /// Edges of the cell, by the node they lead to, then the one they come from.
    pub edges: Vec<Edge>,
    /// The stages.
    pub stages: Vec<Stage>,
}

/// An edge of the cell.
#[derive(Debug)]
pub(super) struct Edge {
    pub to: usize,
    pub from: usize,
    pub place: Place,
}

/// A place with one operation, or with a choice between several.
#[derive(Debug)]
pub(super) struct Place {
    /// The gene that chooses; none where there is nothing to choose.
    pub gene: Option<usize>,
    /// Names of operations.
    pub candidates: Vec<String>,
}

/// A stage.
#[derive(Debug)]
pub(super) struct Stage {
    pub name: String,
    pub width: i64,
    pub stride: i64,
    pub body: Body,
}

impl Stage {
    /// Its layers; none if it is made of cells.
    pub fn layers(&self) -> &[Place] {
        if let Body::Layers(layers) = &self.body { layers } else { &[] }
    }
}

/// What a stage is made of.
#[derive(Debug)]
pub(super) enum Body {
    /// So many cells behind an operation that changes width and size, if they change.
    Cells { reduction: Option<String>, count: usize },
    /// Layers.
    Layers(Vec<Place>),
}

const WIDTHS: RangeInclusive<i64> = 1..=65_536;
const STRIDES: RangeInclusive<i64> = 1..=16;
const NODES: RangeInclusive<usize> = 2..=64;
const REPEATS: RangeInclusive<usize> = 1..=1000;
const DEVIATIONS: RangeInclusive<f64> = 1e-6..=10.0;
/// What the parts around the stages are called.
const TAKEN: [&str; 5] = ["normalize", "stem", "last", "pool", "classifier"];

type Checked<T> = Result<T, Fault>;

impl Layout {
    /// Checks a description.
    pub fn of(description: &Description) -> Checked<Self> {
        let mut check = Check { description, genes: vec![] };
        check.names()?;
        check.ends()?;
        check.sizes()?;
        let edges = description.cell.as_ref().map_or(Ok(vec![]), |cell| check.cell(cell))?;
        let mut stages: Vec<Stage> = vec![];
        let mut width = description.stem.width;
        for (at, stage) in description.stage.iter().enumerate() {
            let stage = check.stage(at, stage, width)?;
            if stages.iter().any(|other| other.name == stage.name) {
                let spot = Spot::new(format!("stage.{at}.name"), format!("stage \"{}\"", stage.name));
                return Err(spot.fault(format!("the name \"{}\" twice", stage.name), "a different name for each stage"));
            }
            width = stage.width;
            stages.push(stage);
        }
        check.head(width)?;
        let layout = Self { genes: check.genes, edges, stages };
        layout.check_uses(description)?;
        Ok(layout)
    }

    /// The layers of each stage that have the same candidates. If they may be skipped, they have the same shapes too, and could
    /// change places.
    pub fn alike(&self) -> impl Iterator<Item = Vec<&Place>> {
        self.stages.iter().map(|stage| {
            let last = stage.layers().last().map(|layer| &layer.candidates);
            stage.layers().iter().filter(|layer| Some(&layer.candidates) == last).collect()
        })
    }

    /// What is described is used, and leaves something to choose.
    fn check_uses(&self, description: &Description) -> Checked<()> {
        if self.stages.is_empty() {
            return Err(Spot::new("stage", "stage").fault("no stage", "at least one [[stage]]"));
        }
        let has_cells = self.stages.iter().any(|stage| matches!(stage.body, Body::Cells { .. }));
        if description.cell.is_some() && !has_cells {
            let wanted = "`cells = …` in a [[stage]], or no [cell]";
            return Err(Spot::new("cell", "cell").fault("a cell that no stage repeats", wanted));
        }
        if self.genes.is_empty() {
            return Err(Spot::new("", "space").fault("nothing to choose", "a place with at least two candidates"));
        }
        Ok(())
    }
}

struct Check<'a> {
    description: &'a Description,
    genes: Vec<Gene>,
}

impl Check<'_> {
    /// Names are parts of the names of weights and of architectures.
    fn names(&self) -> Checked<()> {
        for (name, operation) in &self.description.operations {
            let spot = Spot::new(format!("operations.{name}"), format!("operation \"{name}\""));
            named(&spot, name)?;
            operation.check().map_err(|(key, found, wanted)| spot.number(key).fault(found, wanted))?;
        }
        for (name, list) in &self.description.candidates {
            let spot = Spot::new(format!("candidates.{name}"), format!("candidates \"{name}\""));
            named(&spot, name)?;
            self.list(&spot, list)?;
        }
        Ok(())
    }

    fn operation(&self, spot: &Spot, name: &str) -> Checked<&Operation> {
        let known = &self.description.operations;
        known.get(name).ok_or_else(|| unknown(spot, name, "operation", known))
    }

    /// The operations of a list, each once.
    fn list(&self, spot: &Spot, list: &[String]) -> Checked<()> {
        if list.is_empty() {
            return Err(spot.fault("no candidates", "one operation at least"));
        }
        for (at, name) in list.iter().enumerate() {
            let spot = spot.key(at);
            self.operation(&spot, name)?;
            if list[..at].contains(name) {
                return Err(spot.fault(format!("\"{name}\" twice"), "each candidate once"));
            }
        }
        Ok(())
    }

    fn candidates(&self, spot: &Spot, candidates: &Candidates) -> Checked<Vec<String>> {
        match candidates {
            Candidates::These(list) => self.list(spot, list).map(|()| list.clone()),
            Candidates::Named(name) => {
                let lists = &self.description.candidates;
                lists.get(name).cloned().ok_or_else(|| unknown(spot, name, "list in [candidates]", lists))
            }
        }
    }

    /// An error if the operation can't change width and size as its place demands.
    fn fits(&self, spot: &Spot, name: &str, (from, to): (i64, i64), stride: i64) -> Checked<()> {
        self.operation(spot, name)?.fits((from, to), stride).map_err(|wanted| {
            let size = if stride == 1 { String::new() } else { format!(" with stride {stride}") };
            let widths = if from == 0 { format!("to width {to}") } else { format!("from width {from} to {to}") };
            spot.fault(format!("\"{name}\" {widths}{size}"), wanted)
        })
    }

    /// The same where all that is behind it would be lost with the image.
    fn carries(&self, spot: &Spot, name: &str, widths: (i64, i64), stride: i64) -> Checked<()> {
        self.fits(spot, name, widths, stride)?;
        if self.is_none(name) {
            let found = format!("\"{name}\", behind which there is nothing");
            return Err(spot.fault(found, "an operation that lets the image through"));
        }
        Ok(())
    }

    fn is_none(&self, name: &str) -> bool {
        matches!(self.description.operations.get(name), Some(Operation::None {}))
    }

    /// The stem and the classifier.
    fn ends(&self) -> Checked<()> {
        if let Some(deviation) = self.description.classifier.deviation {
            within(&Spot::new("classifier", "classifier").number("deviation"), deviation, DEVIATIONS)?;
        }
        let (stem, spot) = (&self.description.stem, Spot::new("stem", "stem"));
        within(&spot.number("width"), stem.width, WIDTHS)?;
        within(&spot.number("stride"), stem.stride, STRIDES)?;
        // The width of the images isn't known here.
        self.fits(&spot.key("operation"), &stem.operation, (0, stem.width), stem.stride)
    }

    /// Widths and strides of all stages: a cell is made for each.
    fn sizes(&self) -> Checked<()> {
        for (at, stage) in self.description.stage.iter().enumerate() {
            let (_, spot) = called(at, stage);
            within(&spot.number("width"), stage.width, WIDTHS)?;
            within(&spot.number("stride"), stage.stride, STRIDES)?;
        }
        Ok(())
    }

    fn head(&self, width: i64) -> Checked<()> {
        let Some(head) = &self.description.head else { return Ok(()) };
        let (to, spot) = (head.width.unwrap_or(width), Spot::new("head", "head"));
        within(&spot.number("width"), to, WIDTHS)?;
        self.carries(&spot.key("operation"), &head.operation, (width, to), 1)
    }

    fn cell(&mut self, cell: &description::Cell) -> Checked<Vec<Edge>> {
        let spot = Spot::new("cell", "cell");
        within(&spot.number("nodes"), cell.nodes, NODES)?;
        let mut edges = match &cell.candidates {
            Some(_) if !cell.edges.is_empty() => {
                return Err(spot.key("candidates").fault("`candidates` beside `edges`", "one of the two"));
            }
            Some(candidates) => {
                let candidates = self.edge(&spot.key("candidates"), candidates)?;
                let pairs = (1..cell.nodes).flat_map(|to| (0..to).map(move |from| (to, from)));
                pairs.map(|(to, from)| (to, from, candidates.clone())).collect()
            }
            None => self.edges(cell)?,
        };
        edges.sort_by_key(|&(to, from, _)| (to, from));
        let alive = edges.iter().filter(|(_, _, candidates)| !candidates.iter().all(|name| self.is_none(name)));
        connected(cell.nodes, &alive.map(|&(to, from, _)| (to, from)).collect::<Vec<_>>())?;
        let edge = |(to, from, candidates)| Edge { to, from, place: self.place(format!("{to}<-{from}"), candidates) };
        Ok(edges.into_iter().map(edge).collect())
    }

    /// The edges as they are written, each between two nodes that there are.
    fn edges(&self, cell: &description::Cell) -> Checked<Vec<(usize, usize, Vec<String>)>> {
        let mut edges = vec![];
        for (name, candidates) in &cell.edges {
            let spot = Spot::new(format!("cell.edges.{name}"), format!("edge \"{name}\""));
            let ends = name.split_once("<-").and_then(|(to, from)| Some((to.parse().ok()?, from.parse().ok()?)));
            let Some((to, from)) = ends.filter(|(to, from): &(usize, usize)| format!("{to}<-{from}") == *name) else {
                return Err(spot.fault(format!("the name \"{name}\""), "two nodes as in \"2<-0\""));
            };
            if let Some(node) = [to, from].into_iter().find(|&node| node >= cell.nodes) {
                return Err(spot.fault(format!("node {node}"), format!("one of 0 to {}", cell.nodes - 1)));
            }
            edges.push((to, from, self.edge(&spot, candidates)?));
        }
        Ok(edges)
    }

    /// What an edge may do, in a cell of any width there is. Nodes are added up, so it may change neither width nor size.
    fn edge(&self, spot: &Spot, candidates: &Candidates) -> Checked<Vec<String>> {
        let candidates = self.candidates(spot, candidates)?;
        let of_cells = |stage: &&description::Stage| stage.cells.is_some();
        for width in self.description.stage.iter().filter(of_cells).map(|stage| stage.width) {
            for (at, name) in candidates.iter().enumerate() {
                self.fits(&spot.key(at), name, (width, width), 1)?;
            }
        }
        Ok(candidates)
    }

    fn stage(&mut self, at: usize, stage: &description::Stage, from: i64) -> Checked<Stage> {
        let (name, spot) = called(at, stage);
        named(&spot.key("name"), &name)?;
        if TAKEN.contains(&name.as_str()) {
            return Err(spot
                .key("name")
                .fault(format!("the name \"{name}\""), format!("a name other than {}", TAKEN.join(", "))));
        }
        let description::Stage { width, stride, .. } = *stage;
        let body = match (stage.cells, stage.layers) {
            (Some(count), None) => self.cells(&spot, stage, count, from)?,
            (None, Some(count)) => self.layers(&spot, &name, stage, count, from)?,
            (Some(_), Some(_)) => return Err(spot.key("layers").fault("`layers` beside `cells`", "one of the two")),
            (None, None) => return Err(spot.fault("neither `cells` nor `layers`", "one of the two")),
        };
        Ok(Stage { name, width, stride, body })
    }

    fn cells(&self, spot: &Spot, stage: &description::Stage, count: usize, from: i64) -> Checked<Body> {
        within(&spot.number("cells"), count, REPEATS)?;
        if self.description.cell.is_none() {
            return Err(spot.key("cells").fault("`cells` without a cell", "a [cell] table"));
        }
        for (key, candidates) in [("candidates", &stage.candidates), ("first", &stage.first)] {
            if candidates.is_some() {
                let wanted = "`layers`, or candidates in [cell]";
                return Err(spot.key(key).fault(format!("`{key}` beside `cells`"), wanted));
            }
        }
        let description::Stage { width, stride, .. } = *stage;
        match &stage.reduction {
            Some(name) => self.carries(&spot.key("reduction"), name, (from, width), stride)?,
            None if width != from || stride != 1 => {
                let found = format!("width {width}, stride {stride} behind width {from}, and no `reduction`");
                let wanted = format!("`reduction = \"…\"`, or width {from} and stride 1: a cell changes neither");
                return Err(spot.key("width").fault(found, wanted));
            }
            None => {}
        }
        Ok(Body::Cells { reduction: stage.reduction.clone(), count })
    }

    fn layers(&mut self, spot: &Spot, name: &str, stage: &description::Stage, count: usize, from: i64) -> Checked<Body> {
        within(&spot.number("layers"), count, REPEATS)?;
        if stage.reduction.is_some() {
            let wanted = "none: the first layer changes width and size";
            return Err(spot.key("reduction").fault("`reduction` beside `layers`", wanted));
        }
        let Some(candidates) = &stage.candidates else {
            return Err(spot.fault("`layers` without `candidates`", "what a layer may be"));
        };
        let mut layers = vec![];
        for layer in 0..count {
            let (key, candidates) = match &stage.first {
                Some(first) if layer == 0 => ("first", first),
                _ => ("candidates", candidates),
            };
            let (from, stride) = if layer == 0 { (from, stage.stride) } else { (stage.width, 1) };
            let candidates = self.candidates(&spot.key(key), candidates)?;
            for (at, name) in candidates.iter().enumerate() {
                let spot = Spot { subject: format!("{}, layer {}", spot.subject, layer + 1), ..spot.key(key).key(at) };
                self.carries(&spot, name, (from, stage.width), stride)?;
            }
            layers.push(self.place(format!("{name}.layer{}", layer + 1), candidates));
        }
        Ok(Body::Layers(layers))
    }

    /// A place for these candidates, with a gene if there are several.
    fn place(&mut self, name: String, candidates: Vec<String>) -> Place {
        if candidates.len() == 1 {
            return Place { gene: None, candidates };
        }
        self.genes.push(Gene { name, options: candidates.clone() });
        Place { gene: Some(self.genes.len() - 1), candidates }
    }
}

/// The name of the `at`-th stage, and where it stands.
fn called(at: usize, stage: &description::Stage) -> (String, Spot) {
    let name = stage.name.clone().unwrap_or(format!("stage{}", at + 1));
    let spot = Spot::new(format!("stage.{at}"), format!("stage \"{name}\""));
    (name, spot)
}

fn named(spot: &Spot, name: &str) -> Checked<()> {
    let rest = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.chars().all(rest);
    if is_name {
        Ok(())
    } else {
        Err(spot.fault(format!("the name \"{name}\""), "letters, digits and _, starting with a letter"))
    }
}

fn unknown<T>(spot: &Spot, name: &str, what: &str, known: &BTreeMap<String, T>) -> Fault {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let wanted = match names.is_empty() {
        true => format!("a name that is described: there is no {what}"),
        false => one_of(name, &names),
    };
    spot.fault(format!("the unknown {what} \"{name}\""), wanted)
}

fn within<T: PartialOrd + Display>(spot: &Spot, value: T, range: RangeInclusive<T>) -> Checked<()> {
    if range.contains(&value) { Ok(()) } else { Err(spot.fault(value, format!("{}…{}", range.start(), range.end()))) }
}
