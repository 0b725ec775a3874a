//! The plan pass for our own kernels: what lies between two rounds of convolutions becomes one call.
//!
//! A *join* takes the place of a sum with the norms and 3×3 pools in front of it and the ReLU or ReLU6 behind it, or of a norm or
//! pool that stands alone. Convolutions of one input become one call with an output each. Everything else stays as it is.

use std::collections::HashMap;

use super::kernels::{Form, LANES};
use super::ops::{AvgPool, Conv, Op};
use super::plan::{Call, PlanStep, Term, Value};
use super::{Graph, Plan};

/// The plan with joins and rounds of convolutions in the place of single calls.
pub(super) fn fuse(plan: &Plan, graph: &Graph) -> Plan {
    let mut fuser = Fuser::new(plan, graph);
    for position in 0..plan.steps().len() {
        fuser.take(position);
    }
    let output = fuser.read(plan.output(), Form::Plain);
    Plan::of_steps(fuser.steps, fuser.values, output)
}

/// Where a value of the old plan is found in the new one.
#[derive(Clone, Copy)]
enum Found {
    /// Under this name.
    Value(Value),
    /// Made by the join at this position of the new plan, in this form.
    Join(usize, Form),
}

struct Fuser<'a> {
    old: &'a [PlanStep],
    graph: &'a Graph,
    /// For each old value, the old steps that read it.
    readers: Vec<Vec<usize>>,
    /// For each old value, the old step that makes it.
    makers: HashMap<Value, usize>,
    found: HashMap<Value, Found>,
    steps: Vec<PlanStep>,
    values: usize,
}

impl<'a> Fuser<'a> {
    fn new(plan: &'a Plan, graph: &'a Graph) -> Self {
        let makers = plan.steps().iter().enumerate().map(|(position, step)| (step.outputs[0], position)).collect();
        let found = HashMap::from([(0, Found::Value(0))]);
        Self { old: plan.steps(), graph, readers: plan.readers(), makers, found, steps: vec![], values: 1 }
    }

    fn take(&mut self, position: usize) {
        let step = &self.old[position];
        let (input, output) = (step.inputs[0], step.outputs[0]);
        if self.found.contains_key(&output) || self.is_taken_in(position) {
            return;
        }
        match (step.op().expect("a plan is fused once"), self.found.get(&input)) {
            (Op::Relu(_), Some(&Found::Join(join, Form::Plain))) if self.activates(join, Form::Positive) => {
                self.found.insert(output, Found::Join(join, Form::Positive));
            }
            (Op::Relu6(_), Some(&Found::Join(join, Form::Plain))) if self.activates(join, Form::Clipped) => {
                self.found.insert(output, Found::Join(join, Form::Clipped));
            }
            _ if self.joins(position) => self.join(position),
            (Op::Conv(conv), _) if self.convolves(position, conv) => self.convolve(input, conv),
            _ => {
                let inputs = step.inputs.iter().map(|&input| self.read(input, Form::Plain)).collect();
                let value = self.value();
                self.steps.push(PlanStep { inputs, outputs: vec![value], ..step.clone() });
                self.found.insert(output, Found::Value(value));
            }
        }
    }

    /// Whether the join at this position can hand out its value in that form: it makes one active form at most.
    fn activates(&self, join: usize, form: Form) -> bool {
        let is_other =
            |found: &Found| matches!(found, Found::Join(at, made) if *at == join && ![Form::Plain, form].contains(made));
        !self.found.values().any(is_other)
    }

    /// Whether this step starts a join: sums, norms and pools do, unless a sum takes them in.
    fn joins(&self, position: usize) -> bool {
        match self.old[position].op() {
            Some(Op::Sum(_) | Op::BatchNorm(_)) => self.fits(position),
            Some(Op::AvgPool(pool)) => self.fits(position) && self.pools_a_join(position, pool),
            _ => false,
        }
    }

    /// Whether every reader of this step is a sum that makes it a term of its own.
    fn is_taken_in(&self, position: usize) -> bool {
        let step = &self.old[position];
        let readers = &self.readers[step.outputs[0]];
        let is_sum = |&reader: &usize| self.old.get(reader).is_some_and(|step| matches!(step.op(), Some(Op::Sum(_))));
        let is_term = match step.op() {
            Some(Op::BatchNorm(_)) => readers.len() == 1,
            Some(Op::AvgPool(pool)) => self.pools_a_join(position, pool),
            _ => false,
        };
        is_term && self.fits(position) && readers.iter().all(is_sum)
    }

    /// Only a join hands out a value together with the promise to pool the gradient.
    fn pools_a_join(&self, position: usize, pool: &AvgPool) -> bool {
        let same_size = AvgPool { kernel: 3, stride: 1, pad: 1 };
        *pool == same_size && matches!(self.found.get(&self.old[position].inputs[0]), Some(Found::Join(_, Form::Plain)))
    }

    /// Whether the kernels take this many channels.
    fn fits(&self, position: usize) -> bool {
        let channels = |&node: &usize| self.graph.shape(node).image().map_or(0, |[channels, ..]| channels);
        let members = &self.old[position].members;
        !members.is_empty() && members.iter().all(|node| channels(node) > 0 && channels(node) % LANES == 0)
    }

    fn convolves(&self, position: usize, conv: &Conv) -> bool {
        let in_channels = self.old[position].members.first().map_or(0, |&node| self.graph.in_channels(node));
        let known_kernel = conv.kernel == 1 || conv.kernel == 3;
        known_kernel && conv.groups == 1 && conv.stride == 1 && !conv.bias && in_channels % LANES == 0 && self.fits(position)
    }

    fn join(&mut self, position: usize) {
        let step = &self.old[position];
        let mut members = step.members.clone();
        let (mut terms, mut inputs) = (vec![], vec![]);
        let summed = if matches!(step.op(), Some(Op::Sum(_))) { step.inputs.clone() } else { vec![step.outputs[0]] };
        for value in summed {
            let maker = self.makers.get(&value).copied();
            let maker = maker.filter(|&maker| maker == position || self.is_taken_in(maker)).map(|maker| &self.old[maker]);
            let (term, input) = match maker.and_then(|maker| Some((maker, maker.op()?))) {
                Some((maker, Op::BatchNorm(_))) => (Term::Norm(maker.members[0]), self.read(maker.inputs[0], Form::Plain)),
                Some((maker, Op::AvgPool(_))) => (Term::Image(Form::Pooled), self.read(maker.inputs[0], Form::Pooled)),
                _ => (Term::Image(Form::Plain), self.read(value, Form::Plain)),
            };
            members.extend(maker.iter().flat_map(|maker| &maker.members).filter(|node| !step.members.contains(node)));
            terms.push(term);
            inputs.push(input);
        }
        self.found.insert(step.outputs[0], Found::Join(self.steps.len(), Form::Plain));
        self.steps.push(PlanStep { call: Call::Join { terms, readers: vec![] }, members, inputs, outputs: vec![] });
    }

    /// All convolutions of `input` that differ from `first` in their output channels at most.
    fn convolve(&mut self, input: Value, first: &Conv) {
        let is_sibling = |&position: &usize| match self.old.get(position).and_then(PlanStep::op) {
            Some(Op::Conv(conv)) => conv.kernel == first.kernel && self.convolves(position, conv),
            _ => false,
        };
        let siblings: Vec<usize> = self.readers[input].iter().copied().filter(is_sibling).collect();
        let inputs = vec![self.read(input, Form::Plain)];
        let members = siblings.iter().map(|&position| self.old[position].members[0]).collect();
        let outputs: Vec<Value> = siblings.iter().map(|_| self.value()).collect();
        for (&position, &value) in siblings.iter().zip(&outputs) {
            self.found.insert(self.old[position].outputs[0], Found::Value(value));
        }
        self.steps.push(PlanStep { call: Call::Convolutions, members, inputs, outputs });
    }

    /// The new name of an old value for one more reader. Each reader of a join has its own.
    fn read(&mut self, old: Value, form: Form) -> Value {
        match self.found[&old] {
            Found::Value(value) => value,
            Found::Join(position, made) => {
                let value = self.value();
                let Call::Join { readers, .. } = &mut self.steps[position].call else { unreachable!("a join was found there") };
                readers.push(if form == Form::Plain { made } else { form });
                self.steps[position].outputs.push(value);
                value
            }
        }
    }

    fn value(&mut self) -> Value {
        self.values += 1;
        self.values - 1
    }
}
