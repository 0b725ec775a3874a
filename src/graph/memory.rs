//! How much memory does it take to run a plan? Counted from shapes alone, for one image.
//!
//! A call's level is one more than the highest of its inputs', and a value lives from its own level to that of its last
//! reader: as if all calls of a level were made at once, which is how the passes that merge siblings make them. `peak` is
//! the greatest sum of the values alive on one level: what evaluation holds at once. Training keeps every value for the
//! backward pass, and there the gradient of a value lives from its last reader's turn to its maker's: on as many levels as
//! the value in evaluation. What comes and goes leaves holes, so
//!
//! `evaluation = 3 peak`, `training = Σ values + 3 peak`.
//!
//! Bounds from above: backward passes don't need every value, and the last ones are gone when the first gradients are made.

use std::collections::HashMap;

use super::ops::Op;
use super::{Graph, Plan, Precision, Shape, Value};
use crate::arch::Arch;

/// What memory comes to in which values come and go, relative to what is alive in it. glibc can't put an aligned block into a
/// hole of just its size; after hundreds of calls 2.9 was measured.
const HOLES: u64 = 3;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Numbers in all values.
    pub all: u64,
    /// Numbers in the values alive at once.
    pub peak: u64,
    /// Numbers in the greatest image that a convolution reads, written out once per number of its window. With groups nothing
    /// is written out; there it is input and output twice, which is what they take as fp32 beside bf16.
    pub unfolded: u64,
}

impl Activations {
    /// Of one architecture.
    pub fn of(graph: &Graph, arch: &Arch) -> Self {
        Self::of_plan(graph, &Plan::live(graph, arch))
    }

    /// The most of each that an architecture of `graph` has, found gene by gene.
    pub fn most(graph: &Graph) -> Self {
        // Between equals the one with more calls, dead ones too: a dead branch has to be there before it can come to life.
        let written = |arch: &Arch| Self::of_plan(graph, &Plan::unplanned(graph, arch)).all as f64;
        let most = |count: fn(&Self) -> u64| {
            let found = graph.least(|arch| -1e3 * count(&Self::of(graph, arch)) as f64 - written(arch));
            count(&Self::of(graph, &found))
        };
        Self { all: most(|found| found.all), peak: most(|found| found.peak), unfolded: most(|found| found.unfolded) }
    }

    /// Bytes for one image of a training step.
    pub fn training(&self, precision: Precision) -> u64 {
        self.all * size(precision) + self.evaluation(precision)
    }

    /// Bytes for one image that is evaluated.
    pub fn evaluation(&self, precision: Precision) -> u64 {
        let alive = match precision {
            Precision::Fp32 => self.peak,
            Precision::Bf16 => self.peak + self.unfolded, // what is convolved is copied, unfolded or as fp32
        };
        HOLES * alive * size(precision)
    }

    /// Of a plan with an operator for each of its calls, as live ones have.
    pub fn of_plan(graph: &Graph, plan: &Plan) -> Self {
        let (lives, unfolded) = lives(graph, plan);
        let alive = |level| lives.iter().filter(|life| (life.from..=life.to).contains(&level)).map(|life| life.numbers).sum();
        let levels = lives.iter().map(|life| life.from).max().unwrap_or(0);
        Self { all: lives.iter().map(|life| life.numbers).sum(), peak: (0..=levels).map(alive).max().unwrap_or(0), unfolded }
    }
}

/// Bytes of a number.
fn size(precision: Precision) -> u64 {
    match precision {
        Precision::Fp32 => 4,
        Precision::Bf16 => 2,
    }
}

/// How many numbers a value has, and on which levels it is alive.
struct Life {
    numbers: u64,
    from: usize,
    to: usize,
}

/// Of every value, and the numbers of the greatest unfolded image.
fn lives(graph: &Graph, plan: &Plan) -> (Vec<Life>, u64) {
    let of = |shape: &Shape, level| Life { numbers: shape.numel() as u64, from: level, to: level };
    let (mut lives, mut unfolded) = (vec![of(graph.input_shape(), 0)], 0);
    let mut made: HashMap<Value, (usize, Shape)> = HashMap::from([(0, (0, graph.input_shape().clone()))]);
    for step in plan.steps() {
        let inputs: Vec<&(usize, Shape)> = step.inputs.iter().map(|input| &made[input]).collect();
        let op = step.op().expect("a live plan has an operator per step");
        let level = 1 + inputs.iter().map(|(life, _)| lives[*life].from).max().unwrap_or(0);
        inputs.iter().for_each(|(life, _)| lives[*life].to = lives[*life].to.max(level));
        let shapes: Vec<&Shape> = inputs.iter().map(|(_, shape)| shape).collect();
        let shape = op.shape(&shapes).expect("shapes are checked when a graph is built");
        if let Op::Conv(conv) = op {
            let copied = match conv.groups {
                1 => conv.kernel * conv.kernel * shapes[0].numel(),
                _ => 2 * (shapes[0].numel() + shape.numel()),
            };
            unfolded = unfolded.max(copied as u64);
        }
        made.insert(step.outputs[0], (lives.len(), shape.clone()));
        lives.push(of(&shape, level));
    }
    (lives, unfolded)
}

/// Gives the memory that is free within this process back to the system. glibc keeps what was freed below something that is
/// still in use, and the next phase may want blocks of other sizes.
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: no arguments that could be wrong; glibc locks its own tables.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Gene;
    use crate::graph::GraphBuilder;
    use crate::graph::ops::{Conv, GlobalPool, Linear, Relu, Sum, Zero};

    /// Images of 1×4×4, a convolution to 2 channels, then a choice: nothing, or ReLU and convolution; the sum of both.
    fn tiny() -> Graph {
        let gene = Gene { name: "branch".into(), options: vec!["none".into(), "conv".into()] };
        let mut builder = GraphBuilder::image(Shape::of_image(1, 4, 4), vec![gene]);
        let stem = builder.op("stem", Conv::new(2, 3, 1), &[0]).unwrap();
        let none = builder.op("none", Zero { shape: None }, &[stem]).unwrap();
        let relu = builder.op("relu", Relu, &[stem]).unwrap();
        let conv = builder.op("conv", Conv::new(2, 3, 1), &[relu]).unwrap();
        let branch = builder.choice(0, vec![none, conv]).unwrap();
        let sum = builder.op("sum", Sum, &[stem, branch]).unwrap();
        let pool = builder.op("pool", GlobalPool, &[sum]).unwrap();
        let logits = builder.op("classifier", Linear::new(3), &[pool]).unwrap();
        builder.finish(logits)
    }

    #[test]
    fn a_tiny_network_by_hand() {
        let graph = tiny();
        let of = |option| Activations::of(&graph, &Arch::new(graph.genes(), &[option]).unwrap());
        // Image 16, stem 32, pooled 2, logits 3. The stem reads 9 × 16 numbers unfolded.
        assert_eq!(of(0), Activations { all: 16 + 32 + 2 + 3, peak: 16 + 32, unfolded: 9 * 16 });
        // ReLU, convolution and sum of 32 each. The stem waits for the sum, so three of 32 are there at once.
        assert_eq!(of(1), Activations { all: 16 + 4 * 32 + 2 + 3, peak: 3 * 32, unfolded: 9 * 32 });
        assert_eq!(Activations::most(&graph), of(1));
        let bytes = |option, precision| [of(option).evaluation(precision), of(option).training(precision)];
        assert_eq!(bytes(1, Precision::Fp32), [3 * 4 * 96, 4 * 149 + 3 * 4 * 96]);
        assert_eq!(bytes(0, Precision::Bf16), [3 * 2 * (48 + 144), 2 * 53 + 3 * 2 * (48 + 144)]);
    }
}
