//! The parts of a step that are not the network, each by itself, at full size.
//!
//! `cargo bench --bench parts`

mod common;

use common::parts::Parts;
use common::work::Work;
use divan::{Bencher, black_box};
use supernaut::graph::Kernels;

/// Architectures that take turns.
const STEPS: usize = 8;

fn main() {
    supernaut::graph::set_threads(2);
    divan::main();
}

/// Runs `part` on one step after another.
fn each_step<T>(bencher: Bencher, groups: usize, part: impl Fn(&mut Parts, usize) -> T) {
    let mut parts = Parts::new(&Work::default(), groups, STEPS).expect("the default work is valid");
    let mut steps = 0..;
    bencher.bench_local(|| part(&mut parts, black_box(steps.next().expect("endless"))));
}

#[divan::bench]
fn sampling(bencher: Bencher) {
    each_step(bencher, 1, |parts, step| parts.sample(step));
}

#[divan::bench]
fn learning_rate(bencher: Bencher) {
    each_step(bencher, 1, |parts, step| parts.rate(step));
}

#[divan::bench]
fn planning(bencher: Bencher) {
    each_step(bencher, 1, |parts, step| parts.plan(step));
}

#[divan::bench]
fn key(bencher: Bencher) {
    each_step(bencher, 1, |parts, step| parts.key(step));
}

#[divan::bench]
fn augmentation(bencher: Bencher) {
    each_step(bencher, 1, |parts, step| parts.augment(step));
}

#[divan::bench(args = [1, 5])]
fn optimiser(bencher: Bencher, groups: usize) {
    each_step(bencher, groups, Parts::update);
}

/// Forward and backward, for comparison: everything else here should be small beside it.
#[divan::bench(args = [Kernels::Own, Kernels::Libtorch])]
fn network(bencher: Bencher, kernels: Kernels) {
    each_step(bencher, 1, |parts, step| parts.pass(step, kernels));
}

#[divan::bench]
fn event(bencher: Bencher) {
    each_step(bencher, 1, |parts, step| parts.event(step));
}
