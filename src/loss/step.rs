//! One training step as a term of the loss sees it: its images, its paths, and the network to run them or others with.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

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
pub struct Step {
    /// Its number in the run, from 0.
    pub number: u64,
    /// Seed of the run.
    pub seed: u64,
    /// What is trained.
    pub network: Network,
    /// How it is computed.
    pub compute: Compute,
    /// Where the statistics of its norms come from.
    pub statistics: Statistics,
    /// ε of label smoothing.
    pub label_smoothing: f64,
    /// The training images, changed at random.
    pub batch: Batch,
    /// The training images, changed in other ways, as many as the terms [want](super::Wants).
    pub views: Vec<Tensor>,
    /// Validation images, if a term [wants](super::Wants) them.
    pub validation: Option<Batch>,
    /// What the sampler asked for.
    pub paths: Vec<Path>,
    /// The most complex path, in the step's momentum group if there are groups.
    pub largest: Arch,
    /// Weights that were used since gradients were last taken.
    pub used: RefCell<BTreeSet<usize>>,
    /// Answers that were recalled.
    pub recalled: RefCell<BTreeMap<Arch, Tensor>>,
}

impl Step {
    /// The same step for another thread: nothing has run in it yet.
    pub fn sibling(&self) -> Self {
        let batch = |batch: &Batch| Batch { images: batch.images.shallow_clone(), labels: batch.labels.shallow_clone() };
        Self {
            network: self.network.shallow_clone(),
            batch: batch(&self.batch),
            views: self.views.iter().map(Tensor::shallow_clone).collect(),
            validation: self.validation.as_ref().map(batch),
            paths: self.paths.iter().map(|path| Path::new(path.arch.clone(), path.weight)).collect(),
            largest: self.largest.clone(),
            used: RefCell::default(),
            recalled: RefCell::default(),
            ..*self
        }
    }

    /// The logits of a path of the step on its batch, `[batch, classes]`, run when they are first asked for.
    pub fn logits<'p>(&self, path: &'p Path) -> &'p Tensor {
        path.logits.get_or_init(|| self.forward(&path.arch, &self.batch.images))
    }

    /// The logits of any architecture, with gradients.
    pub fn forward(&self, arch: &Arch, images: &Tensor) -> Tensor {
        let plan = Plan::with(self.network.graph(), arch, self.compute.kernels);
        self.used.borrow_mut().extend(self.network.slots_of(&plan));
        plan.run(&self.network, &Run { statistics: self.statistics, precision: self.compute.precision }, images)
    }

    /// The logits of any architecture on the batch without gradients; free if it is a path of the step that has run.
    pub fn recall(&self, arch: &Arch) -> Tensor {
        if let Some(logits) = self.paths.iter().find(|path| path.arch == *arch).and_then(|path| path.logits.get()) {
            return logits.detach();
        }
        let mut recalled = self.recalled.borrow_mut();
        let run = || tch::no_grad(|| self.forward(arch, &self.batch.images));
        recalled.entry(arch.clone()).or_insert_with(run).shallow_clone()
    }

    /// What the last layer of any architecture reads, `[batch, features]`, with gradients. For spaces that
    /// [have](super::Scope::features) features.
    pub fn features(&self, arch: &Arch, images: &Tensor) -> Tensor {
        self.used.borrow_mut().extend(self.slots_below(arch));
        self.features_of(&self.network, arch, images)
    }

    /// The same of another network of the same graph, whose gradients aren't wanted.
    pub fn features_of(&self, network: &Network, arch: &Arch, images: &Tensor) -> Tensor {
        let run = Run { statistics: Statistics::Batch, precision: self.compute.precision };
        self.below(arch).run(network, &run, images)
    }

    /// The weights that features are made with.
    pub fn slots_below(&self, arch: &Arch) -> Vec<usize> {
        self.network.slots_of(&self.below(arch))
    }

    fn below(&self, arch: &Arch) -> Plan {
        let plan = Plan::with(self.network.graph(), arch, self.compute.kernels);
        plan.headless().expect("terms that look at features were built for a space that has them")
    }

    /// The logits of features, by the last layer.
    pub fn classify(&self, arch: &Arch, features: &Tensor) -> Tensor {
        let plan = Plan::live(self.network.graph(), arch);
        let below = self.slots_below(arch);
        let own: Vec<usize> = self.network.slots_of(&plan).into_iter().filter(|slot| !below.contains(slot)).collect();
        self.used.borrow_mut().extend(own.iter().copied());
        features.linear(self.network.leaf(own[0]), own.get(1).map(|&bias| self.network.leaf(bias)))
    }

    /// The mean cross entropy, with the label smoothing of the run.
    pub fn cross_entropy(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, self.label_smoothing)
    }

    /// The weights that `loss` reaches through what was run since the last call, and their gradients. Vectors of terms' own
    /// weights are numbered on from the network's last.
    pub fn backward(&self, loss: &Tensor, own: &[Tensor]) -> (Vec<usize>, Vec<Tensor>) {
        let mut slots: Vec<usize> = std::mem::take(&mut *self.used.borrow_mut()).into_iter().collect();
        let mut leaves: Vec<&Tensor> = slots.iter().map(|&slot| self.network.leaf(slot)).collect();
        slots.extend((0..own.len()).map(|at| self.network.slots().len() + at));
        leaves.extend(own);
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        slots.into_iter().zip(gradients).filter(|(_, gradient)| gradient.defined()).unzip()
    }
}
