//! How much memory does it take to run a plan? Counted from shapes alone, for one image.
//!
//! A call's level is one more than the highest of its inputs', and a value lives from its own level to that of its last
//! reader: as if all calls of a level were made at once, which is how the passes that merge siblings make them. `peak` is
//! the greatest sum of the values alive on one level: what evaluation holds at once. Training keeps those for the backward
//! pass that gradients are computed from, and there the gradient of a value lives from its last reader's turn to its maker's:
//! on as many levels as the value in evaluation. A join's gradient is there masked and in another layout, too, before it is
//! shared out. So
//!
//! `evaluation = peak`, `training = Σ kept values + peak + 2 × the greatest value`.
//!
//! A bound from above: when the last gradients are made, nothing is kept any more. All values
//! count as kept in bf16 and with libtorch's kernels, which keep copies: in fp32 where the CPU can't multiply bf16, and of
//! the parts of what siblings computed together.

use std::collections::HashMap;

use super::kernels::LANES;
use super::ops::Op;
use super::{Graph, Kernels, Plan, Precision, Shape, Value, kernels};
use crate::arch::Arch;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Numbers in all values.
    pub all: u64,
    /// Numbers in the values that gradients are computed from.
    pub kept: u64,
    /// Numbers in the values alive at once.
    pub peak: u64,
    /// Numbers in the greatest value.
    pub greatest: u64,
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
        Self {
            all: most(|found| found.all),
            kept: most(|found| found.kept),
            peak: most(|found| found.peak),
            greatest: most(|found| found.greatest),
            unfolded: most(|found| found.unfolded),
        }
    }

    /// Bytes for one image of a training step.
    pub fn training(&self, precision: Precision, kernels: Kernels) -> u64 {
        let kept = match (precision, kernels) {
            (Precision::Fp32, Kernels::Own) => self.kept,
            _ => self.all,
        };
        (kept + 2 * self.greatest) * size(precision) + self.evaluation(precision)
    }

    /// Bytes for one image that is evaluated.
    pub fn evaluation(&self, precision: Precision) -> u64 {
        let alive = match precision {
            Precision::Fp32 => self.peak,
            Precision::Bf16 => self.peak + self.unfolded, // what is convolved is copied, unfolded or as fp32
        };
        alive * size(precision)
    }

    /// Of a plan with an operator for each of its calls, as live ones have.
    pub fn of_plan(graph: &Graph, plan: &Plan) -> Self {
        let (lives, unfolded) = lives(graph, plan);
        let alive = |level| lives.iter().filter(|life| (life.from..=life.to).contains(&level)).map(|life| life.numbers).sum();
        let levels = lives.iter().map(|life| life.from).max().unwrap_or(0);
        Self {
            all: lives.iter().map(|life| life.numbers).sum(),
            kept: lives.iter().filter(|life| life.is_kept).map(|life| life.numbers).sum(),
            peak: (0..=levels).map(alive).max().unwrap_or(0),
            greatest: lives.iter().map(|life| life.numbers).max().unwrap_or(0),
            unfolded,
        }
    }
}

/// Bytes of a number.
fn size(precision: Precision) -> u64 {
    match precision {
        Precision::Fp32 => 4,
        Precision::Bf16 => 2,
    }
}

/// How many numbers a value has, whether a gradient is computed from it, and on which levels it is alive if not.
struct Life {
    numbers: u64,
    is_kept: bool,
    from: usize,
    to: usize,
}

/// Of every value, and the numbers of the greatest unfolded image.
fn lives(graph: &Graph, plan: &Plan) -> (Vec<Life>, u64) {
    let of = |shape: &Shape, is_kept, level| Life { numbers: shape.numel() as u64, is_kept, from: level, to: level };
    let (mut lives, mut unfolded) = (vec![of(graph.input_shape(), true, 0)], 0);
    let mut made: HashMap<Value, (usize, Shape)> = HashMap::from([(0, (0, graph.input_shape().clone()))]);
    for step in plan.steps() {
        let inputs: Vec<&(usize, Shape)> = step.inputs.iter().map(|input| &made[input]).collect();
        let op = step.op().expect("a live plan has an operator per step");
        let level = 1 + inputs.iter().map(|(life, _)| lives[*life].from).max().unwrap_or(0);
        for (life, _) in &inputs {
            lives[*life].to = lives[*life].to.max(level);
            lives[*life].is_kept |= op.keeps_input();
        }
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
        // Our kernels don't take those, and libtorch's keep copies.
        let is_copied = shape.0.len() > 1 && shape.0[0] % LANES != 0;
        lives.push(of(&shape, op.keeps_output() || is_copied, level));
    }
    (lives, unfolded)
}

/// Gives the memory that is free within this process back to the system. glibc keeps what was freed below something that is
/// still in use, and the next phase may want blocks of other sizes.
#[allow(unsafe_code)]
pub fn give_back() {
    kernels::clear_pool();
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

    /// Images of 1×4×4, a convolution to 8 channels, then a choice: nothing, or ReLU and convolution; the sum of both.
    fn tiny() -> Graph {
        let gene = Gene { name: "branch".into(), options: vec!["none".into(), "conv".into()] };
        let mut builder = GraphBuilder::image(Shape::of_image(1, 4, 4), vec![gene]);
        let stem = builder.op("stem", Conv::new(8, 3, 1), &[0]).unwrap();
        let none = builder.op("none", Zero { shape: None }, &[stem]).unwrap();
        let relu = builder.op("relu", Relu, &[stem]).unwrap();
        let conv = builder.op("conv", Conv::new(8, 3, 1), &[relu]).unwrap();
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
        // Image 16, stem 128, pooled 8, logits 3. The stem reads 9 × 16 numbers unfolded. Gradients want the image and what is
        // pooled.
        let found = Activations { all: 16 + 128 + 8 + 3, kept: 16 + 8, peak: 16 + 128, greatest: 128, unfolded: 9 * 16 };
        assert_eq!(of(0), found);
        // ReLU, convolution and sum of 128 each. The stem waits for the sum, so three of 128 are there at once. The ReLU is kept.
        let found =
            Activations { all: 16 + 4 * 128 + 8 + 3, kept: 16 + 128 + 8, peak: 3 * 128, greatest: 128, unfolded: 9 * 128 };
        assert_eq!(of(1), found);
        assert_eq!(Activations::most(&graph), of(1));
        let bytes = |option, precision| {
            let [own, libtorch] = [Kernels::Own, Kernels::Libtorch].map(|kernels| of(option).training(precision, kernels));
            [of(option).evaluation(precision), own, libtorch]
        };
        assert_eq!(bytes(1, Precision::Fp32), [4 * 384, 4 * (152 + 256 + 384), 4 * (539 + 256 + 384)]);
        let alive = 2 * (144 + 144);
        assert_eq!(bytes(0, Precision::Bf16), [alive, 2 * (155 + 256) + alive, 2 * (155 + 256) + alive]);
    }
}
