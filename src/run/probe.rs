//! What a partition asks a trained supernet: which gradients do the options of a gene give to the weights that they share?

use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Kind, Tensor};

use super::augment::Draw;
use super::images::DeviceImages;
use super::model::Model;
use super::recipe::Augment;
use crate::Result;
use crate::arch::{Arch, stream::stream};
use crate::graph::{Compute, Network, Plan, Run, Statistics};
use crate::loss::Batch;
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
        let (images, labels) = self.images.augmented(&order, self.augment, Draw { seed: rng.next_u64(), step: 0, view: 0 });
        let batch = Batch { images, labels };
        let shared = self.model.network.slots_among(&graph.shared_by_options(gene));
        let of_option = |&option: &usize| self.gradient(&arch.with(gene, option), &shared, &batch);
        let gradients: Vec<Tensor> = options.iter().map(of_option).collect();
        let product = |a: &Tensor, b: &Tensor| (a * b).sum(Kind::Double).double_value(&[]);
        Ok(gradients.iter().map(|a| gradients.iter().map(|b| product(a, b)).collect()).collect())
    }
}

/// The weights that one path uses, and the gradients of its cross entropy.
pub(super) fn gradients(network: &Network, compute: Compute, arch: &Arch, batch: &Batch) -> (Vec<usize>, Vec<Tensor>) {
    let plan = Plan::with(network.graph(), arch, compute.kernels);
    let run = Run { statistics: Statistics::Batch, precision: compute.precision };
    let loss = plan.run(network, &run, &batch.images).cross_entropy_for_logits(&batch.labels);
    let slots = network.slots_of(&plan);
    let leaves: Vec<&Tensor> = slots.iter().map(|&slot| network.leaf(slot)).collect();
    let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
    (slots, gradients)
}

impl Gradients<'_> {
    /// The gradient of the cross entropy for all weights in a row; zero for those that aren't used or not `shared`.
    fn gradient(&self, arch: &Arch, shared: &[bool], batch: &Batch) -> Tensor {
        let network = &self.model.network;
        let flat = network.flat().zeros_like();
        let (slots, gradients) = gradients(network, self.compute, arch, batch);
        for (slot, gradient) in slots.iter().zip(gradients).filter(|(slot, _)| shared[**slot]) {
            let range = &network.slots()[*slot].range;
            flat.narrow(0, range.start, range.end - range.start).copy_(&gradient.reshape(-1));
        }
        flat
    }
}
