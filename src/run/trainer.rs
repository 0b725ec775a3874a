//! The training loop: one for supernets and for networks that stand alone, whatever the method.

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
use crate::graph::{Compute, Plan, Run, Statistics};
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
    split: usize,
    compute: Compute,
    sgd: Sgd,
    step: u64,
    /// The shuffled images of one epoch.
    order: (u64, Vec<i64>),
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

    fn path(&self) -> Arch {
        let ask = Ask { genes: self.model.graph().genes(), seed: self.recipe.seed, step: self.step };
        self.model.arch.clone().unwrap_or_else(|| self.config.sampler.ask(&ask))
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

    /// Forward, backward, update. Gives the loss.
    fn train_step(&mut self, arch: &Arch, rate: f64) -> f64 {
        let (images, labels) = self.batch();
        let plan = Plan::with(self.model.graph(), arch, self.compute.kernels);
        let statistics = match self.model.network.tracks() {
            true => Statistics::Update { momentum: STATISTICS_MOMENTUM },
            false => Statistics::Batch,
        };
        let run = Run { statistics, precision: self.compute.precision };
        let logits = plan.run(&self.model.network, &run, &images);
        let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, self.config.label_smoothing);
        let slots = self.model.network.slots_of(&plan);
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| self.model.network.leaf(slot)).collect();
        let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);
        let value = loss.double_value(&[]);
        if value.is_finite() {
            self.sgd.step(self.group(arch), rate, &slots, &gradients);
        }
        value
    }

    fn group(&self, arch: &Arch) -> usize {
        if self.config.momentum_separation { arch.option(self.split) } else { 0 }
    }

    fn event(&self, rate: f64, arch: &Arch) -> Event {
        Event {
            phase: if self.model.arch.is_some() { "retrain" } else { "train" }.into(),
            step: self.step,
            total: self.total(),
            seconds: self.started.elapsed().as_secs_f64(),
            loss: self.loss,
            rate: Some(rate),
            arch: self.model.arch.is_none().then(|| self.model.space.text(arch)),
            ..Default::default()
        }
    }

    fn manifest(&self) -> Manifest {
        let progress = Progress { step: self.step, total: self.total() };
        Manifest::of(&self.model, &self.recipe, &self.data_hash, progress)
    }
}

/// The gene whose options are the momentum groups, and how many groups there are.
fn split(recipe: &Recipe, config: &TrainConfig, model: &Model) -> Result<(usize, usize)> {
    let genes = model.graph().genes();
    if !config.momentum_separation {
        return match &config.split {
            None => Ok((0, 1)),
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
    Ok((gene, genes[gene].options.len()))
}

impl Job for Trainer {
    fn advance(&mut self) -> Result<Option<Event>> {
        if self.step >= self.total() {
            return Ok(None);
        }
        let arch = self.path();
        let complexity = self.complexity.place(self.model.graph(), &arch);
        let rate = self.config.rate * self.config.schedule.factor(self.step as f64 / self.total() as f64, &complexity);
        let loss = self.train_step(&arch, rate);
        if !loss.is_finite() {
            let text = self.model.space.text(&arch);
            let advice = "the checkpoint before it is kept; try a lower rate, or clip";
            return Err(Error::Numeric(format!("loss is {loss} at step {} on {text}; {advice}", self.step)));
        }
        self.loss = Some(loss);
        self.step += 1;
        Ok(Some(self.event(rate, &arch)))
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        checkpoint::save(path, &self.manifest(), &self.model, self.sgd.touched(), self.sgd.rows())
    }

    fn result(&self) -> Result<Value> {
        Ok(json!({ "step": self.step, "total": self.total(), "loss": self.loss }))
    }

    fn into_model(self: Box<Self>) -> Option<Model> {
        Some(self.model)
    }
}
