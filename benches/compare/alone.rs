//! Our operators without our plans and kernels: every call as the graph has it, one by one, dead ones too.

use std::ops::Range;

use supernaut::arch::Arch;
use supernaut::graph::{Kernels, Plan};
use supernaut::optimizer::Sgd;
use supernaut::run::images::DeviceImages;
use supernaut::run::model::Model;
use tch::Tensor;

use crate::common::Result;
use crate::common::numbers::{mean, timed};
use crate::common::pass::{gradients, optimizer};
use crate::common::work::{Work, pictures, synchronize};

/// See the [module](self).
pub struct Alone {
    model: Model,
    sgd: Sgd,
    batch: (Tensor, Tensor),
    archs: Vec<Arch>,
}

impl Alone {
    /// On one batch, ready, over and over.
    pub fn new(work: &Work, archs: Vec<Arch>) -> Result<Self> {
        let model = work.model()?;
        let sgd = optimizer(&model.network, &work.recipe()?.train.sgd(), 1, Kernels::Libtorch);
        let batch = DeviceImages::new(&pictures(work.batch), work.device()?).slice(0, work.batch);
        Ok(Self { model, sgd, batch, archs })
    }

    /// Milliseconds per step.
    pub fn round(&mut self, range: Range<usize>) -> Result<f64> {
        let ms: Vec<f64> = range.map(|index| timed(|| self.step(index)).0).collect();
        Ok(mean(&ms))
    }

    fn step(&mut self, index: usize) {
        let plan = Plan::unplanned(self.model.graph(), &self.archs[index]);
        let used = self.model.network.slots_of(&Plan::live(self.model.graph(), &self.archs[index]));
        let gradients = gradients(&self.model.network, &plan, &used, &self.batch);
        self.sgd.step(0, 1e-3, &used, &gradients);
        synchronize(self.model.network.device());
    }
}
