//! What a partition asks a trained supernet: which gradients do the options of a gene give to the weights that they share?

use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Kind, Tensor};

use super::images::DeviceImages;
use super::model::Model;
use super::recipe::Augment;
use crate::Result;
use crate::arch::{Arch, stream::stream};
use crate::graph::{Compute, Plan, Run, Statistics};
use crate::partition::Probe;

/// Asks on batches of training images, which are drawn anew for each sample and changed as in training.
pub struct Gradients<'a> {
    /// What is asked.
    pub model: &'a Model,
    /// Images to draw from.
    pub images: &'a DeviceImages,
    /// Images of a sample.
    pub batch: usize,
    /// Random changes of the images.
    pub augment: Augment,
    /// How gradients are computed.
    pub compute: Compute,
    /// Seed of the `partition` streams: one for each gene, with a step for each sample.
    pub seed: u64,
    /// Called before each sample; an error ends the asking.
    pub before: &'a mut dyn FnMut() -> Result<()>,
}

impl Probe for Gradients<'_> {
    fn products(&mut self, gene: usize, options: &[usize], sample: u64) -> Result<Vec<Vec<f64>>> {
        (self.before)()?;
        let graph = self.model.graph();
        let mut rng = stream(self.seed, &format!("partition/{}", graph.genes()[gene].name), sample);
        let arch = self.model.region.draw(&mut rng);
        let mut order: Vec<i64> = (0..self.images.len() as i64).collect();
        order.shuffle(&mut rng);
        order.truncate(self.batch);
        let (pixels, labels) = self.images.augmented(&order, self.augment, rng.next_u64(), 0);
        let shared = graph.shared_by_options(gene);
        let of_option = |&option: &usize| self.gradient(&arch.with(gene, option), &shared, &pixels, &labels);
        let gradients: Vec<Tensor> = options.iter().map(of_option).collect();
        let product = |a: &Tensor, b: &Tensor| (a * b).sum(Kind::Double).double_value(&[]);
        Ok(gradients.iter().map(|a| gradients.iter().map(|b| product(a, b)).collect()).collect())
    }
}

impl Gradients<'_> {
    /// The gradient of the cross entropy for all weights in a row; zero for those that aren't used or not `shared`.
    fn gradient(&self, arch: &Arch, shared: &[bool], pixels: &Tensor, labels: &Tensor) -> Tensor {
        let network = &self.model.network;
        let plan = Plan::with(self.model.graph(), arch, self.compute.kernels);
        let run = Run { statistics: Statistics::Batch, precision: self.compute.precision };
        let loss = plan.run(network, &run, pixels).cross_entropy_for_logits(labels);
        let slots: Vec<usize> = network.slots_of(&plan).into_iter().filter(|&slot| shared[network.node_of(slot)]).collect();
        let flat = network.flat().zeros_like();
        if slots.is_empty() {
            return flat;
        }
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| network.leaf(slot)).collect();
        for (slot, gradient) in slots.iter().zip(Tensor::run_backward(&[&loss], &leaves, false, false)) {
            let range = &network.slots()[*slot].range;
            flat.narrow(0, range.start, range.end - range.start).copy_(&gradient.reshape(-1));
        }
        flat
    }
}
