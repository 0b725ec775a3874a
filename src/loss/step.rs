//! One training step as a term of the loss sees it: its images, its paths, and the network to run them or others with.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

use tch::{Reduction, Tensor};

use crate::arch::Arch;
use crate::graph::{Compute, Network, Plan, Run, Statistics};

/// Images, pixels in 0…1, and their labels.
pub struct Batch {
    /// `[batch, channels, height, width]`.
    pub images: Tensor,
    /// i64 `[batch]`.
    pub labels: Tensor,
}

/// One path of a step.
pub struct Path {
    /// Which.
    pub arch: Arch,
    /// What its losses are multiplied by.
    pub weight: f64,
    logits: OnceCell<Tensor>,
}

impl Path {
    /// A path that hasn't run yet.
    pub fn new(arch: Arch, weight: f64) -> Self {
        Self { arch, weight, logits: OnceCell::new() }
    }
}

/// See the [module](self).
pub struct Step<'a> {
    /// Its number in the run, from 0.
    pub number: u64,
    /// Seed of the run.
    pub seed: u64,
    /// What is trained.
    pub network: &'a Network,
    /// How it is computed.
    pub compute: Compute,
    /// Where the statistics of its norms come from.
    pub statistics: Statistics,
    /// ε of label smoothing.
    pub label_smoothing: f64,
    /// The training images, changed at random.
    pub batch: Batch,
    /// Validation images, if a term [wants](super::Wants) them.
    pub validation: Option<Batch>,
    /// What the sampler asked for.
    pub paths: Vec<Path>,
    /// Weights that were used since gradients were last taken.
    pub used: RefCell<BTreeSet<usize>>,
}

impl Step<'_> {
    /// The logits of a path of the step on its batch, `[batch, classes]`, run when they are first asked for.
    pub fn logits<'p>(&self, path: &'p Path) -> &'p Tensor {
        path.logits.get_or_init(|| self.forward(&path.arch, &self.batch.images))
    }

    /// The logits of any architecture, with gradients.
    pub fn forward(&self, arch: &Arch, images: &Tensor) -> Tensor {
        let plan = Plan::with(self.network.graph(), arch, self.compute.kernels);
        self.used.borrow_mut().extend(self.network.slots_of(&plan));
        plan.run(self.network, &Run { statistics: self.statistics, precision: self.compute.precision }, images)
    }

    /// The mean cross entropy, with the label smoothing of the run.
    pub fn cross_entropy(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, self.label_smoothing)
    }

    /// The weights that `loss` reaches through what was run since the last call, and their gradients.
    pub fn backward(&self, loss: &Tensor) -> (Vec<usize>, Vec<Tensor>) {
        let slots: Vec<usize> = std::mem::take(&mut *self.used.borrow_mut()).into_iter().collect();
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| self.network.leaf(slot)).collect();
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        slots.into_iter().zip(gradients).filter(|(_, gradient)| gradient.defined()).unzip()
    }
}
