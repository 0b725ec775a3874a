//! A recipe: everything a run is a function of, beside its data. Read from TOML or JSON, every key checked.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::de::DeTable;

use super::described::{self, toml_text};
use super::splits::SplitConfig;
use crate::arch::Metric;
use crate::data::{Source, Validation};
use crate::error::{at_least, within};
use crate::graph::{Compute, Device, Kernels, Precision, Process, onnx};
use crate::hash::sha256;
use crate::loss::LossConfig;
use crate::optimizer::{GradReset, SgdConfig};
use crate::reading::{not_toml, parse_json, parse_toml};
use crate::sampler::SamplerConfig;
use crate::schedule::ScheduleConfig;
use crate::search::StrategyConfig;
use crate::space::SpaceConfig;
use crate::{Error, Result};

/// What batches or paths may take together that run side by side, in bytes.
const TOGETHER: u64 = 2 << 30;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the run is called.
    #[serde(default = "unnamed")]
    pub name: String,
    /// Seed of every random stream.
    #[serde(default)]
    pub seed: u64,
    /// `cpu` or `cuda:N`.
    #[serde(default = "cpu")]
    pub device: String,
    /// Threads of one operation; 0 for all cores. Part of what the bytes depend on.
    #[serde(default)]
    pub threads: usize,
    /// On a GPU: the same bytes from every run, at the price of speed. `false` lets cuDNN choose what is fastest by trying, and
    /// multiplies fp32 in TF32.
    #[serde(default = "yes")]
    pub reproducible: bool,
    /// Number type of activations.
    #[serde(default)]
    pub precision: Precision,
    /// Whose kernels train and judge; absent: the fastest that the device can run. Files are proved with libtorch's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernels: Option<Kernels>,
    /// Megabytes (10⁶ bytes) that the process may have in memory, its images included (pictures in a cache are the system's,
    /// which drops them when memory is wanted); absent: no limit. Evaluation takes smaller batches where it has to; a training step
    /// that doesn't fit is refused before any work. On a CPU only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Images of the training part that are held out, to compare subnets on: `5000` drawn from all, or `{ images = 5000,
    /// balanced = true }` with as many of each class. Absent: the data's own (`val` of a folder), or a tenth of each class.
    #[serde(default, skip_serializing_if = "Validation::is_own")]
    pub validation: Validation,
    /// Where the images are; absent where the program that embeds the library gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Source>,
    /// What may be chosen.
    pub space: SpaceConfig,
    /// Splits of the supernet into several with weights of their own (few-shot NAS), in their order; none: one supernet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<SplitConfig>,
    /// How the supernet is trained; `epochs` is what each of several is trained after the last split.
    pub train: TrainConfig,
    /// How subnets are found.
    #[serde(default)]
    pub search: SearchConfig,
    /// How the chosen subnets are trained on.
    #[serde(default)]
    pub retrain: RetrainConfig,
    /// How latency is measured.
    #[serde(default)]
    pub latency: LatencyConfig,
    /// How files are written and proved.
    #[serde(default)]
    pub export: ExportConfig,
}

fn unnamed() -> String {
    "run".into()
}

fn yes() -> bool {
    true
}

fn cpu() -> String {
    "cpu".into()
}

/// Where a subnet's training starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Fresh weights.
    #[default]
    Scratch,
    /// The supernet's weights.
    Supernet,
}

/// Random changes of training images, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Pixels of black border from which a window of the old size is cut.
    pub crop: i64,
    /// Whether every second image is mirrored.
    pub flip: bool,
    /// A part of the image takes the place of the whole, with a share of its area between these two; absent: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zoom: Option<[f64; 2]>,
    /// Random changes of brightness, contrast and colours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// Share of the images that lose their colours.
    #[serde(skip_serializing_if = "is_zero")]
    pub gray: f64,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Random changes of what an image's pixels are, not where. Images without three channels get the first two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jitter {
    /// Brightness, contrast and saturation are multiplied by up to 1 ± this each.
    pub strength: f64,
    /// Colours turn by up to this share of the circle of hues, either way.
    pub hue: f64,
    /// Share of the images that are changed.
    pub chance: f64,
}

impl Default for Jitter {
    /// That of MoCo v2 (arXiv:2003.04297).
    fn default() -> Self {
        Self { strength: 0.4, hue: 0.1, chance: 0.8 }
    }
}

impl Augment {
    fn check(&self, field: &str) -> Result<()> {
        within(&format!("{field}.crop"), self.crop as f64, 0.0, 256.0)?;
        within(&format!("{field}.gray"), self.gray, 0.0, 1.0)?;
        if let Some([least, most]) = self.zoom
            && !(least > 0.0 && least <= most && most <= 1.0)
        {
            let wanted = "two shares of the area above 0 and at most 1, the least first";
            return Err(Error::invalid(format!("{field}.zoom"), format!("[{least}, {most}]"), wanted));
        }
        let Some(Jitter { strength, hue, chance }) = self.jitter else { return Ok(()) };
        within(&format!("{field}.jitter.strength"), strength, 0.0, 1.0)?;
        within(&format!("{field}.jitter.hue"), hue, 0.0, 0.5)?;
        within(&format!("{field}.jitter.chance"), chance, 0.0, 1.0)
    }

    /// Refuses what images of so many channels don't have.
    fn check_channels(&self, field: &str, channels: i64) -> Result<()> {
        let hue = self.jitter.map_or(0.0, |jitter| jitter.hue);
        match [("jitter.hue", hue), ("gray", self.gray)].into_iter().find(|(_, value)| *value > 0.0) {
            Some((name, value)) if channels != 3 => {
                let found = format!("{value} for images of {channels} channel{}", if channels == 1 { "" } else { "s" });
                Err(Error::invalid(format!("{field}.{name}"), found, "0: colours are made of three"))
            }
            _ => Ok(()),
        }
    }
}

fn task_alone() -> Vec<LossConfig> {
    vec![LossConfig::Task(Default::default())]
}

fn is_task_alone(loss: &[LossConfig]) -> bool {
    loss == task_alone()
}

/// The `[train]` table. The defaults are the settings of the paper on NAS-Bench-201.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Times that every image is seen.
    pub epochs: u64,
    /// Images per step.
    pub batch: usize,
    /// Base learning rate η₀.
    pub rate: f64,
    /// How the rate falls; with several paths a step, how the losses of unlike paths are weighed.
    pub schedule: ScheduleConfig,
    /// Which paths are trained next.
    pub sampler: SamplerConfig,
    /// What is asked of them: terms that are added up.
    #[serde(skip_serializing_if = "is_task_alone")]
    pub loss: Vec<LossConfig>,
    /// Momentum β.
    pub momentum: f64,
    /// Whether SGD looks ahead.
    pub nesterov: bool,
    /// A momentum buffer per operation of one edge (momentum separation).
    pub momentum_separation: bool,
    /// The gene whose options make the groups, by name; absent: drawn once per run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum_gene: Option<String>,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Greatest norm of the gradient; 0 for no limit.
    pub clip: f64,
    /// What becomes of weights that a step's path doesn't use.
    pub grad_reset: GradReset,
    /// ε of label smoothing.
    pub label_smoothing: f64,
    /// Random changes of the images.
    pub augment: Augment,
    /// Steps between two checkpoints.
    pub checkpoint_steps: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 250,
            batch: 64,
            rate: 0.025,
            schedule: ScheduleConfig::ComplexityAware(Default::default()),
            sampler: SamplerConfig::default(),
            loss: task_alone(),
            momentum: 0.9,
            nesterov: true,
            momentum_separation: true,
            momentum_gene: None,
            weight_decay: 5e-4,
            clip: 5.0,
            grad_reset: GradReset::Zero,
            label_smoothing: 0.0,
            augment: Augment { crop: 4, flip: true, ..Default::default() },
            checkpoint_steps: 500,
        }
    }
}

impl TrainConfig {
    /// Architectures whose true order a supernet is taught.
    pub fn taught(&self) -> Vec<String> {
        self.loss.iter().flat_map(|term| term.taught()).cloned().collect()
    }

    /// The constants of the optimiser.
    pub fn sgd(&self) -> SgdConfig {
        let Self { momentum, nesterov, weight_decay, clip, grad_reset, .. } = *self;
        SgdConfig { momentum, nesterov, weight_decay, clip, grad_reset }
    }

    fn check(&self, table: &str) -> Result<()> {
        let field = |name: &str| format!("{table}.{name}");
        at_least(&field("batch"), self.batch as f64, 1.0)?;
        at_least(&field("checkpoint_steps"), self.checkpoint_steps as f64, 1.0)?;
        within(&field("rate"), self.rate, 1e-12, 1e3)?;
        within(&field("momentum"), self.momentum, 0.0, 0.9999)?;
        within(&field("weight_decay"), self.weight_decay, 0.0, 1.0)?;
        within(&field("clip"), self.clip, 0.0, 1e9)?;
        within(&field("label_smoothing"), self.label_smoothing, 0.0, 0.9)?;
        self.augment.check(&field("augment"))?;
        if self.nesterov && self.momentum == 0.0 {
            return Err(Error::invalid(field("nesterov"), "true with momentum 0", "false, or a momentum to look ahead along"));
        }
        if self.loss.is_empty() {
            return Err(Error::invalid(field("loss"), "nothing", "at least one term, such as { kind = \"task\" }"));
        }
        if self.loss.iter().any(|term| term.needs_largest()) && !matches!(self.sampler, SamplerConfig::Sandwich(_)) {
            let found = "a term of the largest path with a sampler that seldom gives it";
            let wanted = "sampler = { kind = \"sandwich\", inner = { … } }, which gives it in each step";
            return Err(Error::invalid(field("loss"), found, wanted));
        }
        let gives_pairs = matches!(self.sampler, SamplerConfig::Disjoint(_) | SamplerConfig::Fair(_));
        if self.loss.iter().any(|term| term.needs_pair()) && !gives_pairs {
            let found = "a term of two paths with a sampler that gives others";
            return Err(Error::invalid(field("loss"), found, "sampler = { kind = \"disjoint\" }, which gives two in each step"));
        }
        self.loss.iter().try_for_each(|term| term.check())?;
        self.schedule.check(&field("schedule"))
    }
}

/// The `[retrain]` table. The defaults are the benchmark's own recipe for a network that stands alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// Where it starts.
    pub start: Start,
    /// Times that every image is seen; 0 with `start = "supernet"`: keep the weights, only make statistics.
    pub epochs: u64,
    /// Images per step.
    pub batch: usize,
    /// Base learning rate η₀.
    pub rate: f64,
    /// How the rate falls.
    pub schedule: ScheduleConfig,
    /// Momentum β.
    pub momentum: f64,
    /// Whether SGD looks ahead.
    pub nesterov: bool,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Greatest norm of the gradient; 0 for no limit.
    pub clip: f64,
    /// ε of label smoothing.
    pub label_smoothing: f64,
    /// Random changes of the images.
    pub augment: Augment,
    /// Steps between two checkpoints.
    pub checkpoint_steps: u64,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self {
            start: Start::Scratch,
            epochs: 200,
            batch: 256,
            rate: 0.1,
            schedule: ScheduleConfig::Cosine(Default::default()),
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
            clip: 0.0,
            label_smoothing: 0.0,
            augment: Augment { crop: 4, flip: true, ..Default::default() },
            checkpoint_steps: 500,
        }
    }
}

impl RetrainConfig {
    /// The same as settings of the one training loop: one path, so nothing to sample or to separate.
    pub fn training(&self) -> TrainConfig {
        let Self {
            epochs, batch, rate, momentum, nesterov, weight_decay, clip, label_smoothing, augment, checkpoint_steps, ..
        } = *self;
        TrainConfig {
            epochs,
            batch,
            rate,
            schedule: self.schedule.clone(),
            momentum,
            nesterov,
            momentum_separation: false,
            weight_decay,
            clip,
            label_smoothing,
            augment,
            checkpoint_steps,
            ..TrainConfig::default()
        }
    }
}

/// Where the statistics of a supernet's norms come from when a subnet is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum BnPolicy {
    /// From the batch that is judged.
    Batch {},
    /// From so many training images, before.
    Recalibrate {
        /// How many.
        #[serde(default = "two_thousand")]
        images: usize,
    },
}

fn two_thousand() -> usize {
    2000
}

/// A closed interval; an absent end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// The least that is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Limit {
    /// Whether `value` is allowed.
    pub fn allows(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    /// Each end that is set, as a limit of its own.
    pub fn ends(&self) -> impl Iterator<Item = Self> {
        let ends = [Self { min: self.min, max: None }, Self { min: None, max: self.max }];
        ends.into_iter().filter(|end| *end != Self::default())
    }
}

/// Limits on what a subnet may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// On trainable numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Limit>,
    /// On multiply-accumulates of one image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macs: Option<Limit>,
    /// On the median latency, measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Limit>,
}

impl Limits {
    /// The limits that are set.
    pub fn set(&self) -> Vec<(Metric, Limit)> {
        let all = [(Metric::Params, self.params), (Metric::Macs, self.macs), (Metric::LatencyMs, self.latency_ms)];
        all.into_iter().filter_map(|(metric, limit)| Some((metric, limit?))).collect()
    }
}

/// The `[search]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// What is tried next.
    pub strategy: StrategyConfig,
    /// What is wanted: one metric gives one winner, several give a Pareto front.
    pub objectives: Vec<Metric>,
    /// What is allowed.
    pub limits: Limits,
    /// Where statistics come from.
    pub bn: BnPolicy,
    /// Validation images that an architecture is judged on; 0 for all.
    pub images: usize,
    /// Images at a time; fewer where `memory_limit` wants it. With statistics from the batch it is part of the measure.
    pub batch: usize,
    /// How many subnets are kept, spread over the front.
    pub keep: usize,
    /// Subnets are kept only if their accuracy is within this of the best one's: the far end of a front is cheap and useless.
    pub margin: f64,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            strategy: StrategyConfig::default(),
            objectives: vec![Metric::Accuracy],
            limits: Limits::default(),
            bn: BnPolicy::Batch {},
            images: 0,
            batch: 256,
            keep: 1,
            margin: 1.0,
        }
    }
}

impl SearchConfig {
    /// Whether candidates have to be timed.
    pub fn needs_latency(&self) -> bool {
        self.objectives.contains(&Metric::LatencyMs) || self.limits.latency_ms.is_some()
    }

    /// How many of the `most` validation images an architecture is judged on.
    pub fn images_of(&self, most: usize) -> Result<usize> {
        let images = if self.images == 0 { most } else { self.images };
        if images > most {
            return Err(Error::invalid("search.images", images, format!("at most the {most} validation images")));
        }
        match self.strategy.images().filter(|&part| part > images) {
            None => Ok(images),
            Some(part) => {
                Err(Error::invalid("search.strategy.images", part, format!("at most {images}, as many as `search.images` gives")))
            }
        }
    }

    /// The measure of accuracy in words: it is recorded with every figure.
    pub fn bn_text(&self) -> String {
        match self.bn {
            BnPolicy::Batch {} => format!("from batches of {}", self.batch),
            BnPolicy::Recalibrate { images } => format!("from {images} training images in batches of {}", self.batch),
        }
    }

    /// Checks every value by itself.
    pub fn check(&self) -> Result<()> {
        self.strategy.check("search.strategy")?;
        at_least("search.batch", self.batch as f64, 1.0)?;
        at_least("search.keep", self.keep as f64, 1.0)?;
        within("search.margin", self.margin, 0.0, 1.0)?;
        if !self.objectives.contains(&Metric::Accuracy) {
            let found = format!("{:?}", self.objectives.iter().map(|metric| metric.name()).collect::<Vec<_>>());
            return Err(Error::invalid("search.objectives", found, "a list with \"accuracy\" in it, without repeats"));
        }
        let mut seen = self.objectives.clone();
        seen.sort();
        seen.dedup();
        if seen.len() != self.objectives.len() {
            return Err(Error::invalid("search.objectives", "a metric twice", "each metric once"));
        }
        if let BnPolicy::Recalibrate { images } = self.bn {
            at_least("search.bn.images", images as f64, 2.0)?;
        }
        for (metric, limit) in self.limits.set() {
            let field = format!("search.limits.{}", metric.name());
            let ends = [limit.min, limit.max];
            if ends.iter().flatten().any(|end| !end.is_finite() || *end < 0.0) || ends == [None, None] {
                let given = [("min", limit.min), ("max", limit.max)].into_iter().filter_map(|(end, value)| Some((end, value?)));
                let given: Vec<String> = given.map(|(end, value)| format!("{end} = {value}")).collect();
                let found = if given.is_empty() { "neither end".into() } else { given.join(", ") };
                return Err(Error::invalid(field, found, "`min` or `max` or both, at least 0"));
            }
            if let [Some(min), Some(max)] = ends
                && min > max
            {
                return Err(Error::invalid(field, format!("min {min} above max {max}"), "min at most max"));
            }
        }
        Ok(())
    }
}

/// The `[latency]` table: how a file is timed, one image at a time, in ONNX Runtime on this machine's CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyConfig {
    /// Threads of ONNX Runtime.
    pub threads: usize,
    /// Runs before the first that counts.
    pub warm_up: usize,
    /// Stop once the 95 % interval of the median is this narrow, as a share of the median, to either side.
    pub half_width: f64,
    /// Stop after so many seconds, but not before six runs; warm-up stops after as many, too.
    pub seconds: f64,
}

impl LatencyConfig {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        at_least("latency.threads", self.threads as f64, 1.0)?;
        within("latency.half_width", self.half_width, 1e-6, 1.0)?;
        within("latency.seconds", self.seconds, 0.001, 3600.0)
    }
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self { threads: 1, warm_up: 10, half_width: 0.02, seconds: 2.0 }
    }
}

/// The `[export]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportConfig {
    /// ONNX operator set.
    pub opset: i64,
    /// Greatest difference between a logit of the file and of the network, relative to the largest logit.
    pub tolerance: f64,
    /// Test images that the two are compared on; 0 for all.
    pub images: usize,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { opset: onnx::OPSET_MIN, tolerance: 1e-4, images: 1000 }
    }
}

impl ExportConfig {
    /// How many of the `most` test images the file and the network are compared on.
    pub fn images_of(&self, most: usize) -> usize {
        if self.images == 0 { most } else { self.images.min(most) }
    }
}

/// Beyond that it is a mistake.
const MOST_THREADS: usize = 1024;

impl Recipe {
    /// Reads a TOML file, and the files of a space or of landmarks that it may name, whose paths are relative to the recipe.
    pub fn read(path: &Path) -> Result<Self> {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        Self::of_toml(&toml_text(path, "a recipe")?, &file, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads TOML text, and the files that it may name, whose paths are relative to the current folder.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::of_toml(text, "recipe", Path::new(""))
    }

    fn of_toml(text: &str, file: &str, folder: &Path) -> Result<Self> {
        let mut document = DeTable::parse(text).map_err(|error| not_toml(file, text, &error))?;
        let described = described::in_toml(document.get_mut(), text, file, folder)?;
        let mut recipe: Self = parse_toml("recipe", document)?;
        if let Some(space) = described {
            recipe.space = SpaceConfig::Custom(space); // with its lines
        }
        recipe.resolved(folder)
    }

    /// Reads JSON text, and the files that it may name, whose paths are relative to the current folder.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut document: Value = parse_json("recipe", text)?;
        let described = described::in_json(&mut document)?;
        let mut recipe: Self = match described {
            Some(_) => parse_json("recipe", &document.to_string())?,
            None => parse_json("recipe", text)?, // mistakes are told with their place in it
        };
        if let Some(space) = described {
            recipe.space = SpaceConfig::Custom(space);
        }
        recipe.resolved(Path::new(""))
    }

    /// The same with what its terms read from files, checked.
    fn resolved(mut self, folder: &Path) -> Result<Self> {
        self.train.loss.iter_mut().try_for_each(|term| term.resolve(folder))?;
        self.check().map(|()| self)
    }

    /// Checks every value by itself; what depends on the data is checked where the data is known.
    pub fn check(&self) -> Result<()> {
        self.validation.check()?;
        within("threads", self.threads, 0, MOST_THREADS)?;
        within("memory_limit", self.memory_limit.unwrap_or(1) as f64, 1.0, 1e9)?;
        at_least("train.epochs", self.train.epochs as f64, 1.0)?;
        self.train.check("train")?;
        self.check_warm_ups()?;
        self.retrain.training().check("retrain")?;
        self.search.check()?;
        if self.retrain.epochs == 0 && self.retrain.start == Start::Scratch {
            return Err(Error::invalid("retrain.epochs", "0 with start = \"scratch\"", "at least 1, or start = \"supernet\""));
        }
        self.latency.check()?;
        within("export.tolerance", self.export.tolerance, 1e-9, 0.1)?;
        within("export.opset", self.export.opset as f64, onnx::OPSET_MIN as f64, onnx::OPSET_MAX as f64)
    }

    /// Refuses a supernet that is trained no longer than its method warms up: the method would do nothing. Each supernet of a
    /// split warms up by itself.
    fn check_warm_ups(&self) -> Result<()> {
        let of_terms = self.train.loss.iter().map(|term| ("train.loss", term.warm_up()));
        let all = of_terms.chain([("train.sampler", self.train.sampler.warm_up())]);
        let Some((field, warm_up)) = all.max_by_key(|(_, epochs)| *epochs).filter(|(_, epochs)| *epochs > 0) else {
            return Ok(());
        };
        let splits = self.split.iter().enumerate().map(|(at, split)| (format!("split[{at}].epochs"), split.epochs));
        let too_short = |(_, epochs): &(String, u64)| (1..=warm_up).contains(epochs);
        match [("train.epochs".to_owned(), self.train.epochs)].into_iter().chain(splits).find(too_short) {
            Some((name, epochs)) => {
                let wanted = format!("more than the warm_up of {field}, {warm_up} epochs, before which it does nothing");
                Err(Error::invalid(name, epochs, wanted))
            }
            None => Ok(()),
        }
    }

    /// Refuses changes of images that images of so many channels can't be given.
    pub fn check_channels(&self, channels: i64) -> Result<()> {
        self.train.augment.check_channels("train.augment", channels)?;
        self.retrain.augment.check_channels("retrain.augment", channels)
    }

    /// What it wants of libtorch for the whole process.
    pub fn process(&self) -> Process {
        Process { threads: self.threads, reproducible: self.reproducible }
    }

    /// How a network on `device` is trained and judged.
    pub fn compute(&self, device: Device) -> Result<Compute> {
        // Whoever limits memory gets one batch or path at a time, so that the limit costs no more than time.
        let together = self.memory_limit.map_or(TOGETHER, |_| 0);
        Ok(Compute { precision: self.precision, kernels: Kernels::chosen(self.kernels, device)?, together })
    }

    /// SHA-256 of every value but the places of the data, which aren't part of what a run is a function of.
    pub fn hash(&self) -> String {
        let mut json = serde_json::to_value(self).expect("a recipe is plain data");
        if let Some(data) = json.get_mut("data").and_then(|data| data.as_object_mut()) {
            data.remove("path");
            data.remove("cache");
        }
        sha256(json.to_string())
    }

    /// The folder of the images: `given`, or else the recipe's own, relative to the current folder.
    pub fn data_folder(&self, given: Option<&Path>) -> Result<PathBuf> {
        let own = self.data.as_ref().and_then(|source| source.path()).map(Path::to_owned);
        let missing = || Error::invalid("data.path", "nothing", "the folder of the images, here or with --data");
        given.map(Path::to_owned).or(own).ok_or_else(missing)
    }
}
