//! The parts of a training step around the kernels, each by itself, as the training loop does them.

use std::sync::Arc;

use supernaut::arch::Arch;
use supernaut::graph::{Kernels, Plan};
use supernaut::optimizer::Sgd;
use supernaut::run::augment::Draw;
use supernaut::run::images::DeviceImages;
use supernaut::run::job::Event;
use supernaut::run::model::{ComplexityRange, Model};
use supernaut::run::recipe::Recipe;
use tch::Tensor;

use super::Result;
use super::pass::{gradients, optimizer};
use super::work::{Work, draw, pictures};

/// See the [module](self). Steps are numbered from 0 and start over at the end.
pub struct Parts {
    recipe: Arc<Recipe>,
    model: Model,
    kernels: Kernels,
    images: DeviceImages,
    complexity: ComplexityRange,
    archs: Vec<Arch>,
    sgd: Sgd,
    groups: usize,
    /// The weights that each step uses, and their gradients.
    updates: Vec<(Vec<usize>, Vec<Tensor>)>,
}

impl Parts {
    /// Prepares `steps` steps of a training loop with `groups` momentum groups.
    pub fn new(work: &Work, groups: usize, steps: usize) -> Result<Self> {
        let (recipe, model, kernels) = (work.recipe()?, work.model()?, work.chosen_kernels()?);
        let images = DeviceImages::new(&pictures(work.images), work.device()?);
        let complexity = ComplexityRange::of(model.graph());
        let mut sgd = optimizer(&model.network, &recipe.train.sgd(), groups, kernels);
        // After a while every weight has had a gradient, and moves in each step.
        sgd.restore(vec![true; model.network.slots().len()], vec![]);
        let archs = work.archs(&model, steps as u64)?;
        let batch = images.slice(0, work.batch);
        let update = |arch: &Arch| {
            let plan = Plan::with(model.graph(), arch, kernels);
            let used = model.network.slots_of(&plan);
            let gradients = gradients(&model.network, &plan, &used, &batch);
            (used, gradients)
        };
        let updates = archs.iter().map(update).collect();
        Ok(Self { recipe, model, kernels, images, complexity, archs, sgd, groups, updates })
    }

    fn arch(&self, step: usize) -> &Arch {
        &self.archs[step % self.archs.len()]
    }

    /// Draws the path.
    pub fn sample(&self, step: usize) -> Arch {
        draw(self.model.graph().genes(), self.recipe.seed, step as u64)
    }

    /// The learning rate of the path.
    pub fn rate(&self, step: usize) -> f64 {
        let complexity = self.complexity.place(self.model.graph(), self.arch(step));
        self.recipe.train.rate * self.recipe.train.schedule.factor(0.5, &complexity)
    }

    /// The calls of the path.
    pub fn plan(&self, step: usize) -> Plan {
        Plan::with(self.model.graph(), self.arch(step), self.kernels)
    }

    /// The name of what the path computes; only the search asks for it.
    pub fn key(&self, step: usize) -> String {
        Plan::live(self.model.graph(), self.arch(step)).key()
    }

    /// Forward and backward of one path by these kernels.
    pub fn pass(&self, step: usize, kernels: Kernels) -> Vec<Tensor> {
        let plan = Plan::with(self.model.graph(), self.arch(step), kernels);
        let used = self.model.network.slots_of(&plan);
        gradients(&self.model.network, &plan, &used, &self.images.slice(0, self.recipe.train.batch))
    }

    /// Cuts and mirrors a batch of images.
    pub fn augment(&self, step: usize) -> (Tensor, Tensor) {
        let indices: Vec<i64> = (0..self.recipe.train.batch as i64).collect();
        let draw = Draw { seed: self.recipe.seed, step: step as u64, view: 0 };
        self.images.augmented(&indices, self.recipe.train.augment, draw)
    }

    /// Moves the weights.
    pub fn update(&mut self, step: usize) {
        let (used, gradients) = &self.updates[step % self.updates.len()];
        self.sgd.step(step % self.groups, 1e-6, used, gradients);
    }

    /// The event of the step, as a line of a file.
    pub fn event(&self, step: usize) -> String {
        let event = Event {
            phase: "train".into(),
            step: step as u64,
            total: 100_000,
            seconds: 1.0,
            loss: Some(2.3),
            rate: Some(0.025),
            arch: Some(self.model.space.text(self.arch(step))),
            ..Event::default()
        };
        serde_json::to_string(&event).expect("an event is plain data")
    }
}
