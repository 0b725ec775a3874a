//! The work that is timed: NAS-Bench-201 at a chosen size, on pictures made here.

use std::sync::Arc;

use rand::RngExt;
use supernaut::arch::{Arch, Gene, Region, stream::stream};
use supernaut::data::{Dataset, Images};
use supernaut::graph::{self, Kernels};
use supernaut::run::images::{DeviceImages, Lessons};
use supernaut::run::job::Job;
use supernaut::run::model::Model;
use supernaut::run::recipe::Recipe;
use supernaut::run::trainer::Trainer;
use supernaut::sampler::{Ask, Sampler, Uniform};
use supernaut::space::Task;
use tch::Device;

use super::Result;
use super::numbers::timed;

/// Sizes and settings that a recipe is made of. The defaults are the paper's on CIFAR-10.
#[derive(Clone, Debug)]
pub struct Work {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// `fp32` or `bf16`.
    pub precision: &'static str,
    /// `own` or `libtorch`; none: what the library chooses.
    pub kernels: Option<&'static str>,
    /// Channels of the first stage.
    pub channels: usize,
    /// Cells per stage.
    pub cells: usize,
    /// Images per step.
    pub batch: usize,
    /// Images to train on.
    pub images: usize,
    /// What else stands in the `[train]` table, in TOML.
    pub train: String,
}

impl Default for Work {
    fn default() -> Self {
        let (device, train) = ("cpu".into(), String::new());
        Self { device, threads: 2, precision: "fp32", kernels: None, channels: 16, cells: 5, batch: 64, images: 1024, train }
    }
}

impl Work {
    /// The recipe. Its epochs never end, and a GPU may use what is fastest, as the rival's does.
    pub fn recipe(&self) -> Result<Arc<Recipe>> {
        let Self { device, threads, precision, channels, cells, batch, train, .. } = self;
        let kernels = self.kernels.map_or(String::new(), |kernels| format!("kernels = \"{kernels}\"\n"));
        let text = format!(
            "device = \"{device}\"\nreproducible = false\nthreads = {threads}\nprecision = \"{precision}\"\n{kernels}validation = 1\n\
             space = {{ kind = \"nb201\", channels = {channels}, cells = {cells} }}\n\
             [train]\nepochs = 1000000\nbatch = {batch}\n{train}"
        );
        let recipe = Recipe::from_toml(&text)?;
        recipe.process().apply();
        Ok(Arc::new(recipe))
    }

    /// Where the tensors are.
    pub fn device(&self) -> Result<Device> {
        Ok(graph::device(&self.device)?)
    }

    /// Whose kernels a training loop would use.
    pub fn chosen_kernels(&self) -> Result<Kernels> {
        Ok(self.recipe()?.compute(self.device()?)?.kernels)
    }

    /// The supernet with fresh weights: the same ones every time.
    pub fn model(&self) -> Result<Model> {
        let data = Dataset::new(pictures(self.images), pictures(1), classes());
        let recipe = self.recipe()?;
        Ok(Model::supernet(recipe.space.clone(), Task::of(&data)?, recipe.seed, self.device()?)?)
    }

    /// The training loop of the library, on fresh weights.
    pub fn trainer(&self) -> Result<Trainer> {
        self.trainer_of(self.model()?)
    }

    /// The training loop of the library, on `model`.
    pub fn trainer_of(&self, model: Model) -> Result<Trainer> {
        let images = DeviceImages::new(&pictures(self.images), self.device()?);
        let lessons = Lessons { validation: images.first(1), train: images, hash: String::new() };
        Ok(Trainer::new(self.recipe()?, model, lessons)?)
    }

    /// The architectures that uniform sampling draws in the first `steps` steps.
    pub fn archs(&self, model: &Model, steps: u64) -> Result<Vec<Arch>> {
        let (seed, genes) = (self.recipe()?.seed, model.graph().genes());
        Ok((0..steps).map(|step| draw(genes, seed, step)).collect())
    }
}

/// The architecture that uniform sampling draws at `step`.
pub fn draw(genes: &[Gene], seed: u64, step: u64) -> Arch {
    Uniform {}.ask(&Ask { genes, region: &Region::whole(genes), momentum_gene: None, seed, step }).swap_remove(0)
}

/// Milliseconds of each of the next `steps` steps, and the losses that were read in them.
pub fn advance(trainer: &mut Trainer, steps: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut figures = (vec![], vec![]);
    for _ in 0..steps {
        let device = trainer.model().network.device();
        let (ms, event) = timed(|| {
            let event = trainer.advance();
            synchronize(device);
            event
        });
        figures.0.push(ms);
        figures.1.extend(event?.ok_or("the training loop ended too early")?.loss);
    }
    Ok(figures)
}

/// Waits for the device, so that a clock that is read next has seen all of the work.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// Names of the classes.
pub fn classes() -> Vec<String> {
    (0..10).map(|class| class.to_string()).collect()
}

/// `count` pictures of 3×32×32 in ten classes: a coarse pattern of the class under noise of the picture, so that there is
/// something to learn. The same on every machine.
pub fn pictures(count: usize) -> Images {
    let patterns: Vec<Vec<u8>> = (0..10).map(pattern).collect();
    let mut pixels = Vec::with_capacity(count * 3 * 32 * 32);
    for image in 0..count {
        let mut noise = stream(0, "bench/noise", image as u64);
        pixels.extend(patterns[image % 10].iter().map(|&level| level / 2 + noise.random_range(0..128)));
    }
    let labels = (0..count).map(|image| (image % 10) as u16);
    Images::new("pictures", pixels, labels, [3, 32, 32], 10).expect("sizes fit")
}

/// 8×8 squares of random brightness per channel.
fn pattern(class: u64) -> Vec<u8> {
    let mut levels = stream(0, "bench/pattern", class);
    let squares: Vec<u8> = (0..3 * 8 * 8).map(|_| levels.random_range(0..=255)).collect();
    let pixel = |at: usize| squares[at / 1024 * 64 + at % 1024 / 32 / 4 * 8 + at % 32 / 4];
    (0..3 * 32 * 32).map(pixel).collect()
}
