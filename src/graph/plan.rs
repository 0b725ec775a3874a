//! From a graph and one architecture to a list of calls.
//!
//! Passes, in order: *resolve* (choices, identities, zeros), *sweep* (what nothing living reads), *share* (a call made twice with
//! the same inputs and no own weights is made once: the ReLU that three convolutions read), *merge* (sibling convolutions on one
//! input, and the norms behind them, become one call each, split afterwards) or, for our own kernels, *fuse* (see `fuse.rs`).
//! Each pass maps a plan to a plan that computes the same.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use super::kernels::{self, Form, Kernels, NormSettings, Summand};
use super::ops::{self, BatchNorm, NodeTensors, Op};
use super::{Graph, Network, Node, NodeId, Run, Shape, Statistics};
use crate::arch::{Arch, Cost};
use crate::hash::sha256;

/// A value within a plan; 0 is the input.
pub type Value = usize;

/// What a step calls.
#[derive(Clone, Debug)]
pub enum Call {
    /// An operator.
    Op(Op),
    /// One operator for several siblings, whose results are the channels of its own: so many each.
    Merged(Op, Vec<i64>),
    /// Convolutions of one input, one per member, by our own kernels.
    Convolutions,
    /// A sum and what surrounds it, by our own kernels: its terms, one per input, and the forms in which it is read, one per
    /// output.
    Join {
        /// What is added.
        terms: Vec<Term>,
        /// In which form each output is wanted.
        readers: Vec<Form>,
    },
}

/// One term of a join.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term {
    /// The image in a form.
    Image(Form),
    /// The image normalised by the node of a [`BatchNorm`].
    Norm(NodeId),
}

/// One call.
#[derive(Clone, Debug)]
pub struct PlanStep {
    /// What is called.
    pub call: Call,
    /// The graph nodes it computes, whose weights it uses: one, several siblings, or none for an added zero.
    pub members: Vec<NodeId>,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it gives: one value, or one per member of a merged call, or one per reader of a join.
    pub outputs: Vec<Value>,
}

/// The calls that compute the logits of one architecture.
#[derive(Clone, Debug)]
pub struct Plan {
    steps: Vec<PlanStep>,
    values: usize,
    output: Value,
    /// For each step, the values that nobody reads after it.
    last_uses: Vec<Vec<Value>>,
}

/// What a node is once the architecture is known.
#[derive(Clone, Copy)]
enum Resolved {
    Live(Value),
    Zero,
}

impl Plan {
    /// The plan of `arch` for libtorch's kernels, all passes made.
    pub fn new(graph: &Graph, arch: &Arch) -> Self {
        Self::live(graph, arch).merge().with_last_uses()
    }

    /// The plan of `arch` for these kernels.
    pub fn with(graph: &Graph, arch: &Arch, kernels: Kernels) -> Self {
        match kernels {
            Kernels::Own => super::fuse::fuse(&Self::live(graph, arch), graph),
            Kernels::Libtorch => Self::new(graph, arch),
        }
    }

    /// A plan of given steps.
    pub(super) fn of_steps(steps: Vec<PlanStep>, values: usize, output: Value) -> Self {
        Self { steps, values, output, last_uses: vec![] }.with_last_uses()
    }

    /// Every call as the graph has it, dead branches, zeros and repeated calls included: what the passes are checked
    /// against.
    pub fn unplanned(graph: &Graph, arch: &Arch) -> Self {
        Resolver { graph, arch, prune: false }.plan().with_last_uses()
    }

    /// The calls that matter, one per node: what is exported.
    pub fn live(graph: &Graph, arch: &Arch) -> Self {
        Resolver { graph, arch, prune: true }.plan().sweep().share(graph).with_last_uses()
    }

    /// The same without its last call, if that is a linear layer: it gives the features `[batch, features]` that are classified.
    pub fn headless(&self) -> Option<Self> {
        let (last, steps) = self.steps.split_last()?;
        matches!(last.op(), Some(Op::Linear(_))).then(|| Self::of_steps(steps.to_vec(), self.values, last.inputs[0]))
    }

    /// The calls, in order.
    pub fn steps(&self) -> &[PlanStep] {
        &self.steps
    }

    /// The value of the logits.
    pub fn output(&self) -> Value {
        self.output
    }

    /// The nodes that are computed, in order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.steps.iter().flat_map(|step| step.members.iter().copied())
    }

    /// What is really computed. Differs from [`Graph::cost`] by the operations that are chosen but dead.
    pub fn cost(&self, graph: &Graph) -> Cost {
        self.nodes().map(|node| graph.node_cost(node)).sum()
    }

    /// A name for the computed function, weights aside: equal for architectures that are written differently but
    /// compute the same graph. Of a [`live`](Self::live) plan.
    pub fn key(&self) -> String {
        let mut keys = vec![vec![hash(&["input"])]; self.values];
        for step in &self.steps {
            let op = step.op().expect("a live plan has an operator per step");
            let mut terms: Vec<String> = match op {
                // A sum of sums is one sum: its terms are what counts, in any order.
                Op::Sum(_) => step.inputs.iter().flat_map(|&input| keys[input].clone()).collect(),
                _ => step.inputs.iter().map(|&input| hash_of_terms(&keys[input])).collect(),
            };
            if matches!(op, Op::Sum(_)) {
                terms.sort();
            }
            let text = serde_json::to_string(op).expect("operators are plain data");
            let key = if matches!(op, Op::Sum(_)) { terms } else { vec![hash(&[&text, &terms.concat()])] };
            step.outputs.iter().for_each(|&output| keys[output] = key.clone());
        }
        hash_of_terms(&keys[self.output])
    }

    /// Runs the plan on images `[batch, channels, height, width]` with pixels in 0…1; gives logits `[batch, classes]`.
    pub fn run(&self, network: &Network, run: &Run, images: &Tensor) -> Tensor {
        self.run_with(network, run, images, |_, _| ())
    }

    /// As [`run`](Self::run), and shows every value as it is made, with the step that made it.
    pub fn run_with(&self, network: &Network, run: &Run, images: &Tensor, mut see: impl FnMut(&PlanStep, &Tensor)) -> Tensor {
        let mut values: Vec<Option<Tensor>> = (0..self.values).map(|_| None).collect();
        values[0] = Some(images.shallow_clone());
        for (step, last_uses) in self.steps.iter().zip(&self.last_uses) {
            let inputs: Vec<&Tensor> = step.inputs.iter().map(|&input| values[input].as_ref().expect("made before")).collect();
            let outputs = step.run(network, run, &inputs);
            see(step, &outputs[0]);
            step.outputs.iter().zip(outputs).for_each(|(&value, output)| values[value] = Some(output));
            last_uses.iter().for_each(|&value| values[value] = None);
        }
        let logits = values[self.output].take().expect("the output is made last");
        if logits.kind() == Kind::BFloat16 { logits.to_kind(Kind::Float) } else { logits }
    }

    /// Drops the calls that lead nowhere: into a `none`, or into a node that nothing reads.
    fn sweep(mut self) -> Self {
        let mut read = vec![false; self.values];
        read[self.output] = true;
        for step in self.steps.iter().rev() {
            if step.outputs.iter().any(|&output| read[output]) {
                step.inputs.iter().for_each(|&input| read[input] = true);
            }
        }
        self.steps.retain(|step| step.outputs.iter().any(|&output| read[output]));
        self
    }

    /// Makes a call once that has the same inputs and no tensors of its own.
    fn share(mut self, graph: &Graph) -> Self {
        let has_tensors = |step: &PlanStep| step.members.iter().any(|&node| graph.has_tensors(node));
        let mut made: HashMap<(String, Vec<Value>), Value> = HashMap::new();
        let mut instead: Vec<Value> = (0..self.values).collect();
        self.steps.retain_mut(|step| {
            step.inputs.iter_mut().for_each(|input| *input = instead[*input]);
            if has_tensors(step) {
                return true;
            }
            let call = (format!("{:?}", step.call), step.inputs.clone());
            match made.get(&call) {
                Some(&value) => instead[step.outputs[0]] = value,
                None => _ = made.insert(call, step.outputs[0]),
            }
            instead[step.outputs[0]] == step.outputs[0]
        });
        self.output = instead[self.output];
        self
    }

    /// Makes one call out of the convolutions of one input that differ in their weights only and are followed by
    /// equal norms.
    fn merge(mut self) -> Self {
        let readers = self.readers();
        let mut siblings: Vec<(String, Vec<(usize, usize)>)> = vec![];
        for (position, step) in self.steps.iter().enumerate() {
            let (Some(Op::Conv(conv)), [norm]) = (step.op(), readers[step.outputs[0]].as_slice()) else { continue };
            if conv.groups != 1 {
                continue; // groups of siblings don't lie side by side in a convolution with groups
            }
            let Some(Op::BatchNorm(batch_norm)) = self.steps.get(*norm).and_then(PlanStep::op) else { continue };
            // Channel counts may differ between siblings; everything else may not.
            let shared = ops::Conv { channels: 0, ..conv.clone() };
            let key = format!("{:?} {shared:?} {batch_norm:?}", step.inputs);
            match siblings.iter_mut().find(|(other, _)| *other == key) {
                Some((_, group)) => group.push((position, *norm)),
                None => siblings.push((key, vec![(position, *norm)])),
            }
        }
        let mut gone = vec![false; self.steps.len()];
        for (_, group) in siblings.iter().filter(|(_, group)| group.len() > 1) {
            self.merge_group(group, &mut gone);
        }
        let mut keep = gone.iter().map(|gone| !gone);
        self.steps.retain(|_| keep.next().expect("one flag per step"));
        self
    }

    /// Puts a group of (convolution, norm) pairs into the place of its first pair: only their common input is needed there.
    fn merge_group(&mut self, group: &[(usize, usize)], gone: &mut [bool]) {
        let (first_conv, _) = group[0];
        let first_norm = group.iter().map(|&(_, norm)| norm).min().expect("groups aren't empty");
        let channels = |position: usize| match self.steps[position].op() {
            Some(Op::Conv(conv)) => conv.channels,
            _ => unreachable!("groups are made of convolutions"),
        };
        let split: Vec<i64> = group.iter().map(|&(conv, _)| channels(conv)).collect();
        let members = |pick: fn(&(usize, usize)) -> usize| -> Vec<NodeId> {
            group.iter().flat_map(|pair| self.steps[pick(pair)].members.clone()).collect()
        };
        let (conv_members, norm_members) = (members(|pair| pair.0), members(|pair| pair.1));
        let outputs: Vec<Value> = group.iter().map(|&(_, norm)| self.steps[norm].outputs[0]).collect();
        for &(conv, norm) in &group[1..] {
            (gone[conv], gone[norm]) = (true, true);
        }
        gone[group[0].1] = true;
        gone[first_norm] = false;
        let norm = self.steps[first_norm].op().expect("groups are made of operators").clone();
        let joined = self.steps[first_conv].outputs[0];
        if let Call::Op(Op::Conv(conv)) = &mut self.steps[first_conv].call {
            conv.channels = split.iter().sum();
        }
        self.steps[first_conv].members = conv_members;
        let call = Call::Merged(norm, split);
        self.steps[first_norm] = PlanStep { call, members: norm_members, inputs: vec![joined], outputs };
    }

    /// For each value, the steps that read it. The output is read by one more, so that nothing else may claim it alone.
    pub(super) fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![vec![]; self.values];
        for (position, step) in self.steps.iter().enumerate() {
            step.inputs.iter().for_each(|&input| readers[input].push(position));
        }
        readers[self.output].push(self.steps.len());
        readers
    }

    fn with_last_uses(mut self) -> Self {
        let readers = self.readers();
        self.last_uses = vec![vec![]; self.steps.len() + 1];
        for (value, readers) in readers.iter().enumerate() {
            if let Some(&last) = readers.last() {
                self.last_uses[last].push(value);
            }
        }
        self.last_uses.pop(); // what only the caller reads is his
        self
    }
}

impl PlanStep {
    /// The operator that is called, if it is one.
    pub fn op(&self) -> Option<&Op> {
        if let Call::Op(op) = &self.call { Some(op) } else { None }
    }

    /// One result per output.
    fn run(&self, network: &Network, run: &Run, inputs: &[&Tensor]) -> Vec<Tensor> {
        match &self.call {
            Call::Op(op) => vec![self.run_op(op, &self.members, network, run, inputs)],
            Call::Merged(op, split) => self.run_merged(op, network, run, inputs).split_with_sizes(split.as_slice(), 1),
            Call::Convolutions => self.run_convolutions(network, run, inputs[0]),
            Call::Join { terms, readers } => run_join(terms, readers, network, run, inputs),
        }
    }

    fn run_op(&self, op: &Op, members: &[NodeId], network: &Network, run: &Run, inputs: &[&Tensor]) -> Tensor {
        match members {
            [] => op.forward(run, &NodeTensors::default(), inputs),
            [node] => op.forward(run, &network.tensors(*node, run), inputs),
            _ => self.run_merged(op, network, run, inputs),
        }
    }

    fn run_convolutions(&self, network: &Network, run: &Run, image: &Tensor) -> Vec<Tensor> {
        let weights: Vec<Tensor> = self.members.iter().map(|&node| network.tensors(node, run).weights.remove(0)).collect();
        kernels::convolutions(image, &weights)
    }

    /// Joins the tensors of the siblings along the output channels; running statistics that moved are written back.
    fn run_merged(&self, op: &Op, network: &Network, run: &Run, inputs: &[&Tensor]) -> Tensor {
        let parts: Vec<NodeTensors> = self.members.iter().map(|&node| network.tensors(node, run)).collect();
        let join = |pick: fn(&NodeTensors) -> &Vec<Tensor>| -> Vec<Tensor> {
            let kinds = pick(&parts[0]).len();
            (0..kinds).map(|kind| Tensor::cat(&parts.iter().map(|part| &pick(part)[kind]).collect::<Vec<_>>(), 0)).collect()
        };
        let joined = NodeTensors { weights: join(|part| &part.weights), buffers: join(|part| &part.buffers) };
        let output = op.forward(run, &joined, inputs);
        if !matches!(run.statistics, Statistics::Update { .. }) {
            return output; // others may be reading them
        }
        for (kind, moved) in joined.buffers.iter().enumerate() {
            let mut start = 0;
            for part in &parts {
                let mut buffer = part.buffers[kind].shallow_clone();
                let length = buffer.size()[0];
                buffer.copy_(&moved.narrow(0, start, length));
                start += length;
            }
        }
        output
    }
}

fn run_join(terms: &[Term], readers: &[Form], network: &Network, run: &Run, inputs: &[&Tensor]) -> Vec<Tensor> {
    let tensors = |term: &Term| if let Term::Norm(node) = term { network.tensors(*node, run) } else { NodeTensors::default() };
    let tensors: Vec<NodeTensors> = terms.iter().map(tensors).collect();
    let summands: Vec<Summand> = (terms.iter().zip(&tensors).zip(inputs))
        .map(|((term, NodeTensors { weights, buffers }), image)| match term {
            Term::Image(form) => Summand { image, form: *form, norm: None },
            Term::Norm(_) => {
                let norm = kernels::Norm { affine: pair(weights), running: pair(buffers) };
                Summand { image, form: Form::Plain, norm: Some(norm) }
            }
        })
        .collect();
    let (from_batch, momentum) = run.statistics.source();
    kernels::join(&summands, &NormSettings { from_batch, momentum, epsilon: BatchNorm::EPSILON }, readers)
}

fn pair(tensors: &[Tensor]) -> Option<[&Tensor; 2]> {
    if let [one, other] = tensors { Some([one, other]) } else { None }
}

fn hash(parts: &[&str]) -> String {
    let mut digits = sha256(parts.join(" "));
    digits.truncate(32);
    digits
}

fn hash_of_terms(terms: &[String]) -> String {
    match terms {
        [one] => one.clone(),
        many => hash(&["sum", &many.concat()]),
    }
}

/// The first pass. Without `prune` it only follows the choices.
struct Resolver<'a> {
    graph: &'a Graph,
    arch: &'a Arch,
    prune: bool,
}

impl Resolver<'_> {
    fn plan(&self) -> Plan {
        let options = self.arch.options();
        // What nobody reads under this architecture is never computed.
        let needed = self.graph.reached(|gene| std::slice::from_ref(&options[gene]));
        let mut plan = Plan { steps: vec![], values: 1, output: 0, last_uses: vec![] };
        let mut resolved: Vec<Option<Resolved>> = vec![None; self.graph.nodes().len()];
        for (node, kind) in self.graph.nodes().iter().enumerate().filter(|(node, _)| needed[*node]) {
            resolved[node] = Some(match kind {
                Node::Input => Resolved::Live(0),
                Node::Choice { gene, options } => resolved[options[self.arch.option(*gene)]].expect("options stand before"),
                Node::Op { op, inputs, .. } => {
                    let inputs: Vec<Resolved> =
                        inputs.iter().map(|&input| resolved[input].expect("inputs stand before")).collect();
                    self.resolve(&mut plan, node, op, &inputs)
                }
            });
        }
        plan.output = match resolved[self.graph.output()].expect("the output is needed") {
            Resolved::Live(value) => value,
            Resolved::Zero => push(&mut plan, zeros(self.graph.shape(self.graph.output())), vec![], vec![0]),
        };
        plan
    }

    fn resolve(&self, plan: &mut Plan, node: NodeId, op: &Op, inputs: &[Resolved]) -> Resolved {
        if !self.prune {
            let inputs = self.values(plan, inputs, node);
            return Resolved::Live(push(plan, op.clone(), vec![node], inputs));
        }
        let live: Vec<Value> =
            inputs.iter().filter_map(|input| if let Resolved::Live(value) = input { Some(*value) } else { None }).collect();
        match (op, live.as_slice()) {
            (Op::Zero(_), _) => Resolved::Zero,
            (Op::Identity(_), _) => inputs[0],
            (Op::Sum(_), []) => Resolved::Zero,
            (Op::Sum(_), [one]) => Resolved::Live(*one),
            (Op::Sum(_), _) => Resolved::Live(push(plan, op.clone(), vec![node], live)),
            (_, []) if op.keeps_zero() => Resolved::Zero,
            _ => {
                let inputs = self.values(plan, inputs, node);
                Resolved::Live(push(plan, op.clone(), vec![node], inputs))
            }
        }
    }

    /// The values themselves; zeros are made where an operation needs them in memory.
    fn values(&self, plan: &mut Plan, resolved: &[Resolved], reader: NodeId) -> Vec<Value> {
        let Node::Op { inputs, .. } = &self.graph.nodes()[reader] else { unreachable!("only operations read values") };
        let value = |(resolved, &input): (&Resolved, &NodeId)| match resolved {
            Resolved::Live(value) => *value,
            Resolved::Zero => push(plan, zeros(self.graph.shape(input)), vec![], vec![0]),
        };
        resolved.iter().zip(inputs).map(value).collect()
    }
}

fn zeros(shape: &Shape) -> Op {
    ops::Zero { shape: Some(shape.clone()) }.into()
}

fn push(plan: &mut Plan, op: Op, members: Vec<NodeId>, inputs: Vec<Value>) -> Value {
    plan.values += 1;
    plan.steps.push(PlanStep { call: Call::Op(op), members, inputs, outputs: vec![plan.values - 1] });
    plan.values - 1
}
