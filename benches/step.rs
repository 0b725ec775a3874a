//! Milliseconds of one training step of the full NAS-Bench-201 supernet: 16 channels, 5 cells per stage, 32×32 pixels,
//! batch 64, 2 threads. Every variant runs the same architectures; the variants take turns within each round, so that
//! a change of the machine's speed meets them all.
//!
//! `cargo bench --bench step`, or `cargo bench --bench step -- ROUNDS STEPS`

use std::sync::Arc;
use std::time::Instant;

use supernaut::arch::{Arch, stream::stream};
use supernaut::graph::{Device, Kernels, Network, Plan, Precision, Run, Statistics, channels_last, set_threads};
use supernaut::optimizer::{Sgd, SgdConfig};
use supernaut::run::model::Model;
use supernaut::run::recipe::TrainConfig;
use supernaut::sampler::{Ask, Sampler, Uniform};
use supernaut::space::{Nb201, SpaceConfig, Task};
use tch::{Kind, Reduction, Tensor};

/// How a step is run.
struct Variant {
    name: &'static str,
    precision: Precision,
    kernels: Option<Kernels>,
    channels_last: bool,
}

const VARIANTS: [Variant; 5] = [
    Variant { name: "fp32, own", precision: Precision::Fp32, kernels: Some(Kernels::Own), channels_last: true },
    Variant { name: "bf16, own", precision: Precision::Bf16, kernels: Some(Kernels::Own), channels_last: true },
    Variant {
        name: "fp32, planned, channels last (what training does)",
        precision: Precision::Fp32,
        kernels: Some(Kernels::Libtorch),
        channels_last: true,
    },
    Variant { name: "fp32, planned, NCHW", precision: Precision::Fp32, kernels: Some(Kernels::Libtorch), channels_last: false },
    Variant { name: "fp32, every operation by itself, NCHW", precision: Precision::Fp32, kernels: None, channels_last: false },
];

struct Bench {
    network: Network,
    sgd: Sgd,
    images: [Tensor; 2],
    labels: Tensor,
    archs: Vec<Arch>,
}

impl Bench {
    fn new(steps: u64) -> Self {
        let classes = (0..10).map(|class| class.to_string()).collect();
        let task = Task { image: [3, 32, 32], classes, mean: vec![0.49, 0.48, 0.45], deviation: vec![0.25; 3] };
        let space = SpaceConfig::Nb201(Nb201::default());
        let network = Model::supernet(space, task, 0, Device::Cpu).expect("the space is valid").network;
        let places = network.slots().iter().map(|slot| slot.range.clone()).collect();
        let config: SgdConfig = Arc::new(TrainConfig::default()).sgd();
        let sgd = Sgd::new(config, network.flat(), places, 5, Kernels::Own);
        let mut noise = stream(0, "bench", 0);
        let bytes: Vec<u8> = (0..64 * 3 * 32 * 32).map(|_| (rand::Rng::next_u32(&mut noise) >> 24) as u8).collect();
        let plain = Tensor::from_data_size(&bytes, &[64, 3, 32, 32], Kind::Uint8).to_kind(Kind::Float) / 255.0;
        let labels = Tensor::arange(64, (Kind::Int64, Device::Cpu)).remainder(10);
        let genes = network.graph().genes().to_vec();
        let archs = (0..steps).map(|step| Uniform {}.ask(&Ask { genes: &genes, seed: 1, step })).collect();
        Self { network, sgd, images: [channels_last(&plain), plain], labels, archs }
    }

    fn step(&mut self, variant: &Variant, index: usize) {
        let (graph, arch) = (self.network.graph(), &self.archs[index]);
        let plan = variant.kernels.map_or_else(|| Plan::unplanned(graph, arch), |kernels| Plan::with(graph, arch, kernels));
        let run = Run { statistics: Statistics::Batch, precision: variant.precision };
        let logits = plan.run(&self.network, &run, &self.images[usize::from(!variant.channels_last)]);
        let loss = logits.cross_entropy_loss::<Tensor>(&self.labels, None, Reduction::Mean, -100, 0.0);
        let slots = self.network.slots_of(&Plan::new(graph, arch));
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| self.network.leaf(slot)).collect();
        let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);
        assert!(loss.double_value(&[]).is_finite());
        self.sgd.step(arch.option(3), 1e-3, &slots, &gradients);
    }

    /// Mean milliseconds of a step.
    fn round(&mut self, variant: &Variant) -> f64 {
        let started = Instant::now();
        (0..self.archs.len()).for_each(|index| self.step(variant, index));
        started.elapsed().as_secs_f64() * 1e3 / self.archs.len() as f64
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (rounds, steps) = (numbers.first().copied().unwrap_or(5), numbers.get(1).copied().unwrap_or(10));
    set_threads(2);
    let mut bench = Bench::new(steps);
    VARIANTS.iter().for_each(|variant| _ = bench.round(variant)); // warm-up
    let mut times = vec![vec![]; VARIANTS.len()];
    for _ in 0..rounds {
        for (variant, times) in VARIANTS.iter().zip(&mut times) {
            times.push(bench.round(variant));
        }
    }
    println!("{:<52} {:>9} {:>17} {:>7}", "ms per training step, batch 64, 2 threads", "median", "least … greatest", "ratio");
    let ratios: Vec<f64> =
        times.iter().map(|other| median(&mut other.iter().zip(&times[0]).map(|(a, b)| a / b).collect::<Vec<_>>())).collect();
    for ((variant, times), ratio) in VARIANTS.iter().zip(&mut times).zip(ratios) {
        let middle = median(times);
        println!("{:<52} {middle:>9.0} {:>8.0} … {:<6.0} {ratio:>7.2}", variant.name, times[0], times[times.len() - 1]);
    }
}
