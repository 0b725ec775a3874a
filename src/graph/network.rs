//! The tensors of a graph.
//!
//! All weights lie in one flat vector and every weight is a view of it, so that an optimiser step is a handful of calls
//! whatever the network, and a momentum group is one row.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use rand::Rng;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::ops::{Init, NodeTensors};
use super::{Graph, Node, NodeId, Plan, Run, Statistics};
use crate::arch::{Region, stream::stream};
use crate::hash::hex;
use crate::{Error, Result};

/// The place of one weight in the flat vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// `node.weight`, unique.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Where it lies.
    pub range: Range<i64>,
}

/// A graph with weights, and with running statistics where it tracks them.
pub struct Network {
    graph: Arc<Graph>,
    slots: Arc<[Slot]>,
    of_node: Arc<HashMap<NodeId, Range<usize>>>,
    flat: Tensor,
    leaves: Vec<Tensor>,
    buffers: HashMap<NodeId, Vec<(String, Tensor)>>,
}

impl Network {
    /// All weights of a supernet, filled from the `init` streams of `seed`. It tracks no statistics: one running mean
    /// can't serve unlike subnets.
    pub fn supernet(graph: Graph, seed: u64, device: Device) -> Self {
        let region = Region::whole(graph.genes());
        Self::within(graph, &region, seed, device)
    }

    /// The same for a part of the space: weights of operations that no architecture of it has are left out.
    pub fn within(graph: Graph, region: &Region, seed: u64, device: Device) -> Self {
        let needed = graph.needed(region);
        let nodes: Vec<NodeId> = (0..needed.len()).filter(|&node| needed[node]).collect();
        Self::of_nodes(graph, &nodes, seed, device)
    }

    /// The weights that `plan` uses and no others, and running statistics for its norms.
    pub fn standalone(graph: Graph, plan: &Plan, seed: u64, device: Device) -> Self {
        let nodes: Vec<NodeId> = plan.nodes().collect();
        let mut network = Self::of_nodes(graph, &nodes, seed, device);
        network.buffers = network.fresh_buffers(plan);
        network
    }

    fn of_nodes(graph: Graph, nodes: &[NodeId], seed: u64, device: Device) -> Self {
        let (mut slots, mut of_node, mut values, mut end) = (vec![], HashMap::new(), vec![], 0);
        for &node in nodes {
            let Node::Op { name, op, inputs } = &graph.nodes()[node] else { continue };
            let first = slots.len();
            for spec in op.weights(&graph.input_shapes(inputs)) {
                let slot_name = format!("{name}.{}", spec.name);
                let range = end..end + spec.shape.iter().product::<i64>();
                end = range.end;
                fill(&mut values, spec.init, &range, seed, &slot_name);
                slots.push(Slot { name: slot_name, shape: spec.shape, range });
            }
            of_node.insert(node, first..slots.len());
        }
        let flat = Tensor::from_slice(&values).to_device(device);
        let leaves = slots.iter().map(|slot| view(&flat, slot).set_requires_grad(true)).collect();
        let (graph, slots, of_node) = (Arc::new(graph), slots.into(), Arc::new(of_node));
        Self { graph, slots, of_node, flat, leaves, buffers: HashMap::new() }
    }

    /// The same weights, not copied, with fresh running statistics for the norms of `plan`: for recalibrating one subnet
    /// of a supernet without a trace in it.
    pub fn with_own_statistics(&self, plan: &Plan) -> Self {
        Self { buffers: self.fresh_buffers(plan), ..self.shallow_clone() }
    }

    /// The same network: what one of the two learns, the other knows.
    pub fn shallow_clone(&self) -> Self {
        let same = |buffers: &Vec<(String, Tensor)>| {
            buffers.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
        };
        Self {
            graph: self.graph.clone(),
            slots: self.slots.clone(),
            of_node: self.of_node.clone(),
            flat: self.flat.shallow_clone(),
            leaves: self.leaves.iter().map(Tensor::shallow_clone).collect(),
            buffers: self.buffers.iter().map(|(&node, buffers)| (node, same(buffers))).collect(),
        }
    }

    /// A copy of the weights, without statistics: it learns nothing of what this one learns.
    pub fn copy(&self) -> Self {
        self.over(self.flat.copy(), HashMap::new())
    }

    /// A copy of the weights in 64-bit floats, without statistics: precise enough to check gradients by differences.
    pub fn in_double(&self) -> Self {
        self.over(self.flat.to_kind(Kind::Double), HashMap::new())
    }

    /// The same graph over another flat vector, whose weights are leaves of their own.
    fn over(&self, flat: Tensor, buffers: HashMap<NodeId, Vec<(String, Tensor)>>) -> Self {
        let leaves = self.slots.iter().map(|slot| view(&flat, slot).set_requires_grad(true)).collect();
        let (graph, slots, of_node) = (self.graph.clone(), self.slots.clone(), self.of_node.clone());
        Self { graph, slots, of_node, flat, leaves, buffers }
    }

    fn fresh_buffers(&self, plan: &Plan) -> HashMap<NodeId, Vec<(String, Tensor)>> {
        let of_node = |node: NodeId| match &self.graph.nodes()[node] {
            Node::Op { name, op, inputs } => {
                let specs = op.buffers(&self.graph.input_shapes(inputs));
                let tensor = |length, start| Tensor::full([length], start, (Kind::Float, self.device()));
                specs.into_iter().map(|(kind, length, start)| (format!("{name}.{kind}"), tensor(length, start))).collect()
            }
            _ => vec![],
        };
        plan.nodes().map(|node| (node, of_node(node))).filter(|(_, buffers): &(_, Vec<_>)| !buffers.is_empty()).collect()
    }

    /// SHA-256 of all weights.
    pub fn hash(&self) -> String {
        let values = Vec::<f32>::try_from(self.flat.to_device(Device::Cpu)).expect("a flat fp32 tensor");
        let mut hasher = Sha256::new();
        values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
        hex(hasher.finalize())
    }

    /// The network on the CPU: itself if it is there already.
    pub fn on_cpu(&self) -> Self {
        if self.device() == Device::Cpu {
            return self.shallow_clone();
        }
        let moved = |buffers: &Vec<(String, Tensor)>| {
            buffers.iter().map(|(name, tensor)| (name.clone(), tensor.to_device(Device::Cpu))).collect()
        };
        let buffers = self.buffers.iter().map(|(&node, buffers)| (node, moved(buffers))).collect();
        self.over(self.flat.to_device(Device::Cpu), buffers)
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where the tensors are.
    pub fn device(&self) -> Device {
        self.flat.device()
    }

    /// The weights' places.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// All weights in one vector; changing it changes the network.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// The tensor that gradients are taken for.
    pub fn leaf(&self, slot: usize) -> &Tensor {
        &self.leaves[slot]
    }

    /// Which weights belong to nodes that are flagged.
    pub fn slots_among(&self, nodes: &[bool]) -> Vec<bool> {
        let mut among = vec![false; self.slots.len()];
        self.of_node.iter().filter(|(node, _)| nodes[**node]).for_each(|(_, slots)| among[slots.clone()].fill(true));
        among
    }

    /// Which weights a plan uses, ascending.
    pub fn slots_of(&self, plan: &Plan) -> Vec<usize> {
        let mut slots: Vec<usize> = plan.nodes().flat_map(|node| self.of_node.get(&node).cloned().unwrap_or(0..0)).collect();
        slots.sort_unstable();
        slots
    }

    /// The tensors that `node` is run with.
    pub(crate) fn tensors(&self, node: NodeId, run: &Run) -> NodeTensors {
        let slots = self.of_node.get(&node).cloned().unwrap_or(0..0);
        let weights = self.leaves[slots].iter().map(Tensor::shallow_clone).collect();
        let buffers = match (run.statistics, self.buffers.get(&node)) {
            (Statistics::Batch, _) | (_, None) => vec![],
            (_, Some(buffers)) => buffers.iter().map(|(_, tensor)| tensor.shallow_clone()).collect(),
        };
        NodeTensors { weights, buffers }
    }

    /// Weights and running statistics of `node`, in the order that its export wants.
    pub(crate) fn export_tensors(&self, node: NodeId) -> Vec<Tensor> {
        let NodeTensors { weights, buffers } =
            self.tensors(node, &Run { statistics: Statistics::Fixed, precision: Default::default() });
        weights.into_iter().chain(buffers).map(|tensor| tensor.detach().to_device(Device::Cpu)).collect()
    }

    /// Whether every norm has running statistics.
    pub fn tracks(&self) -> bool {
        !self.buffers.is_empty()
    }

    /// Every weight and running statistic with its name, sorted by name.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let weights = self.slots.iter().zip(&self.leaves).map(|(slot, leaf)| (slot.name.clone(), leaf.detach()));
        let buffers = self.buffers.values().flatten().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        let mut named: Vec<_> = weights.chain(buffers).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named
    }

    /// Copies every tensor that both networks have by name and shape.
    pub fn copy_from(&mut self, other: &Self) {
        let theirs: HashMap<String, Tensor> = other.named().into_iter().collect();
        for (name, mut mine) in self.named() {
            if let Some(tensor) = theirs.get(&name).filter(|tensor| tensor.size() == mine.size()) {
                tch::no_grad(|| mine.copy_(tensor));
            }
        }
    }

    /// Sets every weight and running statistic from `tensors`; each must be there with its shape.
    pub fn restore(&mut self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        for (name, mut mine) in self.named() {
            let found =
                tensors.get(&name).ok_or_else(|| Error::invalid("checkpoint", "no tensor for it", format!("`{name}`")))?;
            if found.size() != mine.size() {
                let wanted = format!("{:?}", mine.size());
                return Err(Error::invalid(format!("checkpoint tensor `{name}`"), format!("shape {:?}", found.size()), wanted));
            }
            tch::no_grad(|| mine.copy_(found));
        }
        Ok(())
    }
}

fn view(flat: &Tensor, slot: &Slot) -> Tensor {
    flat.narrow(0, slot.range.start, slot.range.end - slot.range.start).view(slot.shape.as_slice()).detach()
}

/// Appends the first values of one weight. Each weight has a stream of its own, so that a standalone network starts as
/// the same subnet of a supernet does.
fn fill(values: &mut Vec<f32>, init: Init, range: &Range<i64>, seed: u64, name: &str) {
    let count = (range.end - range.start) as usize;
    let mut rng = stream(seed, &format!("init/{name}"), 0);
    let mut bits = || rng.next_u32() >> 8; // 24 of them: all that an f32 in 0..1 holds evenly
    let most = (1u32 << 24) as f32;
    match init {
        Init::Constant(value) => values.extend(std::iter::repeat_n(value as f32, count)),
        Init::Uniform { fan_in } => {
            let bound = (fan_in as f32).sqrt().recip();
            values.extend((0..count).map(|_| (2.0 * (bits() as f32 / most) - 1.0) * bound));
        }
        Init::Normal { deviation } => {
            // Box and Muller; the radius is drawn from 0 exclusive to 1.
            let mut normal = || {
                let (radius, angle) = (f64::from(bits() + 1) / f64::from(most), f64::from(bits()) / f64::from(most));
                (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
            };
            values.extend((0..count).map(|_| (deviation * normal()) as f32));
        }
    }
}
