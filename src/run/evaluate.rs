//! How good is a subnet on held-out images?

use std::collections::HashMap;

use super::forest::Forest;
use super::images::DeviceImages;
use super::model::Model;
use super::recipe::BnPolicy;
use crate::arch::Arch;
use crate::graph::{Activations, Compute, Network, Pieces, Plan, Precision, Replay, Run, Statistics, side_by_side, threads};
use crate::{Error, Result};

/// Judges subnets on one set of images. Architectures of one supernet that compute the same graph are judged once.
pub struct Evaluator {
    images: DeviceImages,
    /// Training images for recalibration, already chosen; unused under batch statistics.
    calibration: Option<DeviceImages>,
    batch: usize,
    compute: Compute,
    /// By the supernet, what is computed, and on how many images.
    known: HashMap<(usize, String, usize), f64>,
}

impl Evaluator {
    /// Judges on `images`, `batch` at a time. Under recalibration, the statistics come from images of `train` that `seed`
    /// chooses.
    pub fn new(images: DeviceImages, train: &DeviceImages, bn: &BnPolicy, batch: usize, compute: Compute, seed: u64) -> Self {
        let calibration = match bn {
            BnPolicy::Batch {} => None,
            BnPolicy::Recalibrate { images } => Some(chosen(train, *images, seed)),
        };
        Self { images, calibration, batch, compute, known: HashMap::new() }
    }

    /// Share of the images that `arch` classifies correctly, by the supernet of `forest` that it belongs to.
    pub fn accuracy(&mut self, forest: &Forest, arch: &Arch) -> Result<f64> {
        self.accuracy_on(forest, arch, None)
    }

    /// The same of the first `count` images, if not of all.
    pub fn accuracy_on(&mut self, forest: &Forest, arch: &Arch, count: Option<usize>) -> Result<f64> {
        let count = count.unwrap_or(usize::MAX).min(self.images.len());
        let leaf = forest.position(arch)?;
        let model = &forest.leaves()[leaf];
        let live = Plan::live(model.graph(), arch);
        let key = (leaf, live.key(), count);
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let images = self.images.first(count);
        let Compute { precision, kernels, together } = self.compute;
        let bytes = self.batch as u64 * Activations::of_plan(model.graph(), &live).evaluation(precision);
        let batches = Pieces { count: count.div_ceil(self.batch), bytes };
        let workers = batches.workers(threads(), model.network.device(), together);
        let plan = Plan::with(model.graph(), arch, kernels);
        let accuracy = tch::no_grad(|| match &self.calibration {
            Some(calibration) if !model.network.tracks() => {
                let own = model.network.with_own_statistics(&plan);
                calibrate(&own, &plan, calibration, self.batch, precision);
                accuracy(&own, &plan, &images, [self.batch, workers], precision)
            }
            _ => accuracy(&model.network, &plan, &images, [self.batch, workers], precision),
        });
        self.known.insert(key, accuracy);
        Ok(accuracy)
    }
}

/// `count` training images, the same for every subnet.
pub fn chosen(train: &DeviceImages, count: usize, seed: u64) -> DeviceImages {
    train.mixed(seed, "recalibrate").first(count)
}

/// Sets the running statistics to their plain means over the batches of `images`.
pub fn calibrate(network: &Network, plan: &Plan, images: &DeviceImages, batch: usize, precision: Precision) {
    for (index, start) in (0..images.len()).step_by(batch).enumerate() {
        let run = Run { statistics: Statistics::Update { momentum: 1.0 / (index + 1) as f64 }, precision };
        let (pixels, _) = images.slice(start, batch);
        let _ = tch::no_grad(|| plan.run(network, &run, &pixels));
    }
}

fn accuracy(network: &Network, plan: &Plan, images: &DeviceImages, [batch, workers]: [usize; 2], precision: Precision) -> f64 {
    let statistics = if network.tracks() { Statistics::Fixed } else { Statistics::Batch };
    let run = Run { statistics, precision };
    let correct = |(network, images): (Network, DeviceImages), batches: &mut dyn Iterator<Item = usize>| {
        tch::no_grad(|| {
            let mut logits = Replay::new(network.device(), |pixels| plan.run(&network, &run, pixels));
            let hits = batches.map(|index| {
                let (pixels, labels) = images.slice(index * batch, batch);
                logits.call(&pixels).argmax(1, false).eq_tensor(&labels).sum(tch::Kind::Int64)
            });
            let hits = hits.reduce(|sum, hits| sum + hits); // added up on the device, read once
            hits.map_or(0, |hits| hits.int64_value(&[]))
        })
    };
    let own = || (network.shallow_clone(), images.all());
    let correct = side_by_side(images.len().div_ceil(batch), workers, own, correct);
    correct.iter().sum::<i64>() as f64 / images.len() as f64
}

/// The supernet's weights of `arch` as a network of its own, with statistics from training images: what is exported
/// where a subnet isn't trained on.
///
/// # Errors
/// If `supernet` stands alone, or `arch` lies beyond what it serves.
pub fn cut_out(supernet: &Model, arch: &Arch, images: &DeviceImages, batch: usize, seed: u64) -> Result<Model> {
    if let Some(own) = &supernet.arch {
        let found = format!("a network that stands alone, {}", supernet.space.text(own));
        return Err(Error::invalid("supernet", found, "one to cut a network out of"));
    }
    let arch = &supernet.within(arch.clone())?;
    let (space, task) = (supernet.space.clone(), supernet.task.clone());
    let mut model = Model::standalone(space, task, arch.clone(), seed, supernet.network.device())?;
    model.network.copy_from(&supernet.network);
    let plan = Plan::new(model.graph(), arch);
    calibrate(&model.network, &plan, images, batch, Precision::Fp32);
    Ok(model)
}
