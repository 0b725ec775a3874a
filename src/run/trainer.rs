//! The training loop: one for supernets and for networks that stand alone, whatever the method.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tch::{Reduction, Tensor};

use super::checkpoint::{self, Manifest, Progress, Saved};
use super::images::DeviceImages;
use super::job::{Event, Job};
use super::model::{ComplexityRange, Model};
use super::recipe::{Recipe, TrainConfig};
use crate::arch::Arch;
use crate::arch::stream::stream;
use crate::graph::{Compute, Device, Plan, Run, Statistics};
use crate::optimizer::Sgd;
use crate::sampler::Ask;
use crate::{Error, Result};

/// Momentum of running statistics.
const STATISTICS_MOMENTUM: f64 = 0.1;

/// What is trained and on what.
pub struct Trainer {
    recipe: Arc<Recipe>,
    config: TrainConfig,
    model: Model,
    images: DeviceImages,
    data_hash: String,
    complexity: ComplexityRange,
    /// The gene whose options are the momentum groups.
    split: Option<usize>,
    compute: Compute,
    sgd: Sgd,
    step: u64,
    /// The shuffled images of one epoch.
    order: (u64, Vec<i64>),
    /// Losses that still lie on the device: step, paths, mean over the paths.
    unread: VecDeque<(u64, Vec<Arch>, Tensor)>,
    /// See [`read_losses_behind`](Self::read_losses_behind).
    lag: usize,
    loss: Option<f64>,
    started: Instant,
}

impl Trainer {
    /// Trains `model` on `images` by the `[train]` table, or by `[retrain]` if it stands alone. `data_hash` names the
    /// data set that the images are the training part of.
    pub fn new(recipe: Arc<Recipe>, model: Model, images: DeviceImages, data_hash: String) -> Result<Self> {
        let config = if model.arch.is_some() { recipe.retrain.training() } else { recipe.train.clone() };
        let graph = model.graph();
        let (split, groups) = split(&recipe, &config, &model)?;
        let places = model.network.slots().iter().map(|slot| slot.range.clone()).collect();
        let compute = recipe.compute(model.network.device())?;
        let sgd = Sgd::new(config.sgd(), model.network.flat(), places, groups, compute.kernels);
        let complexity = ComplexityRange::of(graph);
        let lag = usize::from(model.network.device() != Device::Cpu);
        let (order, started) = ((u64::MAX, vec![]), Instant::now());
        Ok(Self {
            recipe,
            config,
            model,
            images,
            data_hash,
            complexity,
            split,
            compute,
            sgd,
            step: 0,
            order,
            unread: VecDeque::new(),
            lag,
            loss: None,
            started,
        })
    }

    /// Goes on where the checkpoint at `path` was written. Its recipe and data must be those given.
    pub fn resume(recipe: Arc<Recipe>, images: DeviceImages, data_hash: String, path: &Path) -> Result<Self> {
        let saved = checkpoint::load(path, crate::graph::device(&recipe.device)?)?;
        Self::go_on(recipe, images, data_hash, saved)
    }

    /// As [`resume`](Self::resume), from a checkpoint in memory.
    pub fn go_on(recipe: Arc<Recipe>, images: DeviceImages, data_hash: String, saved: Saved) -> Result<Self> {
        saved.manifest.same("recipe", &saved.manifest.recipe_hash, &recipe.hash())?;
        saved.manifest.same("data", &saved.manifest.data_hash, &data_hash)?;
        let mut trainer = Self::new(recipe, saved.model, images, data_hash)?;
        trainer.step = saved.manifest.progress.step;
        trainer.sgd.restore(saved.touched, saved.rows);
        Ok(trainer)
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps in all.
    pub fn total(&self) -> u64 {
        self.config.epochs * self.steps_per_epoch()
    }

    /// The model, as trained so far.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What a checkpoint of this moment holds. Its tensors are the trainer's own.
    pub fn saved(&self) -> Saved {
        let rows = self.sgd.rows().iter().map(|row| row.as_ref().map(Tensor::shallow_clone)).collect();
        Saved { manifest: self.manifest(), model: self.model.shallow_clone(), touched: self.sgd.touched().to_vec(), rows }
    }

    fn steps_per_epoch(&self) -> u64 {
        self.images.len().div_ceil(self.config.batch) as u64
    }

    /// The paths of this step.
    fn paths(&self) -> Vec<Arch> {
        let ask = Ask { genes: self.model.graph().genes(), split: self.split, seed: self.recipe.seed, step: self.step };
        self.model.arch.clone().map_or_else(|| self.config.sampler.ask(&ask), |arch| vec![arch])
    }

    /// The rate of this step, and the weight of each path's loss. A path by itself has a rate of its own; several share one,
    /// and what a schedule makes of each goes into its loss.
    fn strength(&self, paths: &[Arch]) -> (f64, Vec<f64>) {
        let (schedule, base, progress) = (&self.config.schedule, self.config.rate, self.step as f64 / self.total() as f64);
        let factor = |arch: &Arch| schedule.factor(progress, &self.complexity.place(self.model.graph(), arch));
        match paths.len() > 1 && schedule.tells_paths_apart() {
            true => (base, paths.iter().map(factor).collect()),
            false => (base * factor(&paths[0]), vec![1.0; paths.len()]),
        }
    }

    /// The images of this step, changed at random, and their labels.
    fn batch(&mut self) -> (Tensor, Tensor) {
        let (epoch, position) = (self.step / self.steps_per_epoch(), (self.step % self.steps_per_epoch()) as usize);
        if self.order.0 != epoch {
            let mut order: Vec<i64> = (0..self.images.len() as i64).collect();
            order.shuffle(&mut stream(self.recipe.seed, "shuffle", epoch));
            self.order = (epoch, order);
        }
        let start = position * self.config.batch;
        let end = (start + self.config.batch).min(self.images.len());
        self.images.augmented(&self.order.1[start..end], self.config.augment, self.recipe.seed, self.step)
    }

    /// Lets a loss wait for so many later steps until it is read; 0 by default on a CPU, 1 on a GPU, which then always has the
    /// next step to work on. A loss that is read at once and isn't a number leaves the weights as they were.
    pub fn read_losses_behind(&mut self, steps: usize) {
        self.lag = steps;
    }

    /// Forward and backward on one batch for each path in turn, then one update from the sum of the gradients.
    fn train_step(&mut self, paths: &[Arch], weights: &[f64], rate: f64) -> Result<()> {
        let (images, labels) = self.batch();
        let (mut losses, mut sum) = (vec![], BTreeMap::new());
        for (arch, &weight) in paths.iter().zip(weights) {
            let (loss, slots, gradients) = self.backward(arch, weight, &images, &labels);
            losses.push(loss);
            slots.into_iter().zip(gradients).for_each(|(slot, gradient)| add(&mut sum, slot, gradient));
        }
        self.unread.push_back((self.step, paths.to_vec(), Tensor::stack(&losses, 0).mean(None)));
        self.read_losses(self.lag)?;
        let (slots, gradients): (Vec<usize>, Vec<Tensor>) = sum.into_iter().unzip();
        self.sgd.step(self.group(&paths[0]), rate, &slots, &gradients);
        Ok(())
    }

    /// Reads all losses but the last `but` ones, the oldest first.
    fn read_losses(&mut self, but: usize) -> Result<()> {
        while self.unread.len() > but {
            let (step, paths, loss) = self.unread.pop_front().expect("not empty");
            let loss = loss.double_value(&[]);
            if !loss.is_finite() {
                let advice = "the checkpoint before it is kept; try a lower rate, or clip";
                return Err(Error::Numeric(format!("loss is {loss} at step {step} on {}; {advice}", self.text(&paths))));
            }
            self.loss = Some(loss);
        }
        Ok(())
    }

    /// The loss of one path, the weights it uses, and their gradients of `weight` times the loss.
    fn backward(&self, arch: &Arch, weight: f64, images: &Tensor, labels: &Tensor) -> (Tensor, Vec<usize>, Vec<Tensor>) {
        let plan = Plan::with(self.model.graph(), arch, self.compute.kernels);
        let statistics = match self.model.network.tracks() {
            true => Statistics::Update { momentum: STATISTICS_MOMENTUM },
            false => Statistics::Batch,
        };
        let run = Run { statistics, precision: self.compute.precision };
        let logits = plan.run(&self.model.network, &run, images);
        let loss = logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, self.config.label_smoothing);
        let slots = self.model.network.slots_of(&plan);
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| self.model.network.leaf(slot)).collect();
        let gradients = Tensor::run_backward(&[&loss * weight], &leaves, false, false);
        (loss.detach(), slots, gradients)
    }

    fn group(&self, arch: &Arch) -> usize {
        self.split.map_or(0, |gene| arch.option(gene))
    }

    fn text(&self, paths: &[Arch]) -> String {
        paths.iter().map(|arch| self.model.space.text(arch)).collect::<Vec<_>>().join(",")
    }

    fn event(&self, rate: f64, paths: &[Arch]) -> Event {
        Event {
            phase: if self.model.arch.is_some() { "retrain" } else { "train" }.into(),
            step: self.step,
            total: self.total(),
            seconds: self.started.elapsed().as_secs_f64(),
            loss: self.loss,
            rate: Some(rate),
            arch: self.model.arch.is_none().then(|| self.text(paths)),
            ..Default::default()
        }
    }

    fn manifest(&self) -> Manifest {
        let progress = Progress { step: self.step, total: self.total() };
        Manifest::of(&self.model, &self.recipe, &self.data_hash, progress)
    }
}

/// Adds the gradient of one weight to what other paths gave. Not in place: autograd may have made it of shared memory.
fn add(sum: &mut BTreeMap<usize, Tensor>, slot: usize, gradient: Tensor) {
    let total = match sum.remove(&slot) {
        Some(so_far) => so_far + gradient,
        None => gradient,
    };
    sum.insert(slot, total);
}

/// The gene whose options are the momentum groups, if any is, and how many groups there are.
fn split(recipe: &Recipe, config: &TrainConfig, model: &Model) -> Result<(Option<usize>, usize)> {
    let genes = model.graph().genes();
    if !config.momentum_separation {
        return match &config.split {
            None => Ok((None, 1)),
            Some(name) => Err(Error::invalid("train.split", format!("\"{name}\""), "nothing, or momentum_separation = true")),
        };
    }
    let gene = match &config.split {
        None => rand::RngExt::random_range(&mut stream(recipe.seed, "split", 0), 0..genes.len()),
        Some(name) => genes.iter().position(|gene| gene.name == *name).ok_or_else(|| {
            let names: Vec<&str> = genes.iter().map(|gene| gene.name.as_str()).collect();
            Error::invalid("train.split", format!("\"{name}\""), format!("one of {}", names.join(", ")))
        })?,
    };
    Ok((Some(gene), genes[gene].options.len()))
}

impl Job for Trainer {
    fn advance(&mut self) -> Result<Option<Event>> {
        if self.step >= self.total() {
            return Ok(None);
        }
        let paths = self.paths();
        let (rate, weights) = self.strength(&paths);
        self.train_step(&paths, &weights, rate)?;
        self.step += 1;
        if self.step == self.total() {
            self.read_losses(0)?;
        }
        Ok(Some(self.event(rate, &paths)))
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        self.read_losses(0)?; // nothing is saved that came of what isn't a number
        checkpoint::save(path, &self.manifest(), &self.model, self.sgd.touched(), self.sgd.rows())
    }

    fn result(&self) -> Result<Value> {
        Ok(json!({ "step": self.step, "total": self.total(), "loss": self.loss }))
    }

    fn into_model(self: Box<Self>) -> Option<Model> {
        Some(self.model)
    }
}
