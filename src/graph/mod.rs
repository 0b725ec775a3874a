//! A space is a graph with choices. One definition of a network, read in many ways: it is counted, trained, evaluated,
//! sliced and exported through the [`Plan`] of an architecture.

mod fuse;
#[allow(unsafe_code)] // calls into C++
pub mod kernels;
mod memory;
mod network;
pub mod onnx;
pub mod ops;
mod plan;
mod replay;
mod run;
mod side_by_side;
mod transfer;

use serde::Serialize;

pub use kernels::{Kernels, in_pool};
pub use memory::{Activations, give_back};
pub use network::{Network, Slot};
pub use ops::{Init, Op, WeightSpec};
pub use plan::{Call, Plan, PlanStep, Term, Value};
pub use replay::Replay;
pub use run::{
    Compute, Device, Precision, Process, Run, Statistics, channels_last, device, set_threads, threads, with_gradients,
};
pub use side_by_side::{Pieces, side_by_side};
pub use transfer::{Later, upload};

use crate::arch::{Arch, Cost, Gene, Region};
use crate::{Error, Result};

/// Sizes of a value, without the batch axis: `[channels, height, width]` or `[features]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shape(pub Vec<i64>);

impl Shape {
    /// The shape of an image.
    pub fn of_image(channels: i64, height: i64, width: i64) -> Self {
        Self(vec![channels, height, width])
    }

    /// `[channels, height, width]`, or an error that says what it is instead.
    pub fn image(&self) -> Result<[i64; 3]> {
        let wrong = |_| Error::invalid("graph", format!("a value of shape {:?}", self.0), "an image [channels, height, width]");
        <[i64; 3]>::try_from(self.0.as_slice()).map_err(wrong)
    }

    /// How many numbers it holds.
    pub fn numel(&self) -> i64 {
        self.0.iter().product()
    }
}

/// Position of a node in its graph.
pub type NodeId = usize;

/// One node. Its inputs stand before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// Where the images come in: pixels in 0…1.
    Input,
    /// An operation.
    Op {
        /// Unique name; the weights are named after it.
        name: String,
        /// What it computes.
        op: Op,
        /// From what.
        inputs: Vec<NodeId>,
    },
    /// One of the inputs, by the option that an architecture has for the gene.
    Choice {
        /// Which gene.
        gene: usize,
        /// One node per option.
        options: Vec<NodeId>,
    },
}

/// A network with choices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Graph {
    genes: Vec<Gene>,
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
    /// Of each node; they follow from the rest.
    #[serde(skip)]
    costs: Vec<Cost>,
    output: NodeId,
}

impl Graph {
    /// What may be chosen.
    pub fn genes(&self) -> &[Gene] {
        &self.genes
    }

    /// The nodes, inputs before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Shape of what `node` computes.
    pub fn shape(&self, node: NodeId) -> &Shape {
        &self.shapes[node]
    }

    /// Shape of the images.
    pub fn input_shape(&self) -> &Shape {
        &self.shapes[0]
    }

    /// The node whose value is the logits.
    pub fn output(&self) -> NodeId {
        self.output
    }

    /// Whether `node` has weights or running statistics.
    fn has_tensors(&self, node: NodeId) -> bool {
        match &self.nodes[node] {
            Node::Op { op, inputs, .. } => {
                let shapes = self.input_shapes(inputs);
                !op.weights(&shapes).is_empty() || !op.buffers(&shapes).is_empty()
            }
            _ => false,
        }
    }

    /// Channels of the image that `node` reads.
    fn in_channels(&self, node: NodeId) -> i64 {
        match &self.nodes[node] {
            Node::Op { inputs, .. } => self.shapes[inputs[0]].0[0],
            _ => 0,
        }
    }

    pub(crate) fn input_shapes(&self, inputs: &[NodeId]) -> Vec<&Shape> {
        inputs.iter().map(|&input| &self.shapes[input]).collect()
    }

    /// What `arch` costs as it is written, in the convention of the benchmarks: an operation that is chosen counts,
    /// also where nothing reaches it or nothing reads it.
    pub fn cost(&self, arch: &Arch) -> Cost {
        let mut selected = vec![false; self.nodes.len()];
        selected[self.output] = true;
        for node in (0..self.nodes.len()).rev() {
            match &self.nodes[node] {
                Node::Choice { gene, options } => selected[options[arch.option(*gene)]] = true,
                Node::Op { inputs, .. } if selected[node] => inputs.iter().for_each(|&input| selected[input] = true),
                _ => {}
            }
        }
        (0..self.nodes.len()).filter(|&node| selected[node]).map(|node| self.node_cost(node)).sum()
    }

    /// Whether the logits of `arch` depend on the image. A network whose every branch is dead computes a constant.
    pub fn reads_image(&self, arch: &Arch) -> bool {
        let mut reads = vec![false; self.nodes.len()];
        for (node, what) in self.nodes.iter().enumerate() {
            reads[node] = match what {
                Node::Input => true,
                Node::Op { op: Op::Zero(_), .. } => false,
                Node::Op { inputs, .. } => inputs.iter().any(|&input| reads[input]),
                Node::Choice { gene, options } => reads[options[arch.option(*gene)]],
            };
        }
        reads[self.output]
    }

    /// Which nodes some architecture of `region` has.
    pub fn needed(&self, region: &Region) -> Vec<bool> {
        self.reached(|gene| region.options(gene))
    }

    /// Pulls from the output: which nodes it reads if each gene may take these options.
    fn reached<'a>(&self, options_of: impl Fn(usize) -> &'a [usize]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        needed[self.output] = true;
        for node in (0..self.nodes.len()).rev() {
            match &self.nodes[node] {
                _ if !needed[node] => {}
                Node::Choice { gene, options } => options_of(*gene).iter().for_each(|&option| needed[options[option]] = true),
                Node::Op { inputs, .. } => inputs.iter().for_each(|&input| needed[input] = true),
                Node::Input => {}
            }
        }
        needed
    }

    /// The nodes whose weights the options of `gene` share: those that belong to the options of other genes, or lie between
    /// two choices. What comes before all choices, such as a stem, or after all of them, such as a classifier, is left out.
    pub fn shared_by_options(&self, gene: usize) -> Vec<bool> {
        let mut shared = self.between_choices();
        for other in (0..self.genes.len()).filter(|&other| other != gene) {
            self.only_under(other).into_iter().for_each(|node| shared[node] = true);
        }
        self.only_under(gene).into_iter().for_each(|node| shared[node] = false);
        shared
    }

    /// The nodes that some architectures lack for the option that they have for `gene`.
    fn only_under(&self, gene: usize) -> Vec<NodeId> {
        let whole = Region::whole(&self.genes);
        let all = self.needed(&whole);
        let without = |&option: &usize| {
            let others: Vec<usize> = whole.options(gene).iter().copied().filter(|other| *other != option).collect();
            whole.with(gene, &others).map(|region| self.needed(&region)).unwrap_or_else(|_| all.clone())
        };
        let needed: Vec<Vec<bool>> = whole.options(gene).iter().map(without).collect();
        (0..all.len()).filter(|&node| all[node] && needed.iter().any(|needed| !needed[node])).collect()
    }

    /// Which nodes read a choice, and are read by one, directly or not.
    fn between_choices(&self) -> Vec<bool> {
        let inputs = |node: NodeId| match &self.nodes[node] {
            Node::Op { inputs, .. } => &inputs[..],
            Node::Choice { options, .. } => options,
            Node::Input => &[],
        };
        let choice = |node: NodeId| matches!(self.nodes[node], Node::Choice { .. });
        let (mut after, mut before) = (vec![false; self.nodes.len()], vec![false; self.nodes.len()]);
        for node in 0..self.nodes.len() {
            after[node] = inputs(node).iter().any(|&input| choice(input) || after[input]);
        }
        for node in (0..self.nodes.len()).rev() {
            if choice(node) || before[node] {
                inputs(node).iter().for_each(|&input| before[input] = true);
            }
        }
        (0..self.nodes.len()).map(|node| after[node] && before[node]).collect()
    }

    /// What one node costs if it is computed.
    pub(crate) fn node_cost(&self, node: NodeId) -> Cost {
        self.costs[node]
    }

    fn count(&self, node: NodeId) -> Cost {
        let Node::Op { op, inputs, .. } = &self.nodes[node] else { return Cost::default() };
        let shapes = self.input_shapes(inputs);
        let weights = op.weights(&shapes);
        let count = |spec: &WeightSpec| spec.shape.iter().product::<i64>() as u64;
        let complexity = weights.iter().filter(|spec| spec.complex).map(count).sum();
        Cost { params: weights.iter().map(count).sum(), macs: op.macs(&shapes), complexity }
    }

    /// The architecture with the smallest `value`, found gene by gene until nothing improves. Exact where the value is
    /// a sum over the genes, as params and MACs are.
    pub fn least(&self, value: impl Fn(&Arch) -> f64) -> Arch {
        let region = Region::whole(&self.genes);
        self.descend(&region, self.nth(&region, 0), &|arch| (false, value(arch)))
    }

    /// The same among those architectures of `region` that read the image: a network whose every branch is dead answers the same
    /// to everything, however small it is. The least of the [`ends`](Self::ends); exact where costs add up and no branch can be
    /// dead. A dead one if all ends are.
    pub fn least_living(&self, region: &Region, value: impl Fn(&Arch) -> f64) -> Arch {
        let order = |a: &(f64, Arch), b: &(f64, Arch)| a.0.total_cmp(&b.0);
        let least = self.ends(region, &value).map(|end| (value(&end), end)).min_by(order);
        least.map_or_else(|| self.nth(region, 0), |(_, end)| end)
    }

    /// Where the ways down in `value`, gene by gene, end among the architectures of `region` that read the image, from the first
    /// options, the second ones and so on. One way only where no branch can be dead: none ends elsewhere, if costs add up.
    pub fn ends(&self, region: &Region, value: &dyn Fn(&Arch) -> f64) -> impl Iterator<Item = Arch> {
        let can_die = self.nodes.iter().any(|node| matches!(node, Node::Op { op: Op::Zero(_), .. }));
        let is_dead = move |arch: &Arch| can_die && !self.reads_image(arch);
        let most = self.genes.iter().map(|gene| gene.options.len()).max().unwrap_or(1);
        let starts = 0..if can_die { most } else { 1 };
        let ends = starts.map(move |n| self.descend(region, self.nth(region, n), &|arch| (is_dead(arch), value(arch))));
        ends.filter(move |end| !is_dead(end))
    }

    /// The architecture of the `n`th options that `region` allows, or the last where there are fewer.
    fn nth(&self, region: &Region, n: usize) -> Arch {
        let option = |gene: usize| region.options(gene)[n.min(region.options(gene).len() - 1)];
        let options: Vec<usize> = (0..self.genes.len()).map(option).collect();
        Arch::new(&self.genes, &options).expect("a region has options of the space")
    }

    /// Gene by gene to what has the smallest value, from `best` until nothing improves. What is dead comes last.
    fn descend(&self, region: &Region, mut best: Arch, value: &dyn Fn(&Arch) -> (bool, f64)) -> Arch {
        let mut least = value(&best);
        loop {
            let before = best.clone();
            for gene in 0..self.genes.len() {
                for &option in region.options(gene) {
                    let arch = best.with(gene, option);
                    let found = value(&arch);
                    // What is as good stays: a way that is open already may be the cheaper one for a later gene.
                    if found.0.cmp(&least.0).then(found.1.total_cmp(&least.1)).is_lt() {
                        (best, least) = (arch, found);
                    }
                }
            }
            if best == before {
                return best;
            }
        }
    }
}

/// Builds a graph and checks the shape of each node as it is added.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// Starts from images of `[channels, height, width]` and the genes that choices will name.
    pub fn image(shape: Shape, genes: Vec<Gene>) -> Self {
        let (nodes, shapes, costs) = (vec![Node::Input], vec![shape], vec![Cost::default()]);
        Self { graph: Graph { genes, nodes, shapes, costs, output: 0 } }
    }

    /// Shape of what `node` computes.
    pub fn shape(&self, node: NodeId) -> &Shape {
        self.graph.shape(node)
    }

    /// Adds an operation; `name` must be new.
    pub fn op(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[NodeId]) -> Result<NodeId> {
        let (name, op) = (name.into(), op.into());
        let shape = op.shape(&self.graph.input_shapes(inputs))?;
        Ok(self.push(Node::Op { name, op, inputs: inputs.to_vec() }, shape))
    }

    /// Adds a choice between nodes of one shape, one per option of `gene`.
    pub fn choice(&mut self, gene: usize, options: Vec<NodeId>) -> Result<NodeId> {
        let wanted = self.graph.genes.get(gene).map_or(0, |gene| gene.options.len());
        if options.len() != wanted {
            return Err(Error::invalid(
                "graph",
                format!("a choice between {} nodes", options.len()),
                format!("{wanted}, one per option"),
            ));
        }
        let shape = ops::Operator::shape(&ops::Sum, &self.graph.input_shapes(&options))?;
        Ok(self.push(Node::Choice { gene, options }, shape))
    }

    /// Ends with the node of the logits.
    pub fn finish(mut self, output: NodeId) -> Graph {
        self.graph.output = output;
        self.graph
    }

    fn push(&mut self, node: Node, shape: Shape) -> NodeId {
        self.graph.nodes.push(node);
        self.graph.shapes.push(shape);
        let node = self.graph.nodes.len() - 1;
        self.graph.costs.push(self.graph.count(node));
        node
    }
}
