//! The training loop: one for supernets and for networks that stand alone, whatever the method.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::checkpoint::{self, Manifest, Progress, Saved};
use super::feed::Feed;
use super::images::Lessons;
use super::job::{Event, Job};
use super::model::{ComplexityRange, Model};
use super::probe::gradients;
use super::recipe::{Augment, Recipe, TrainConfig};
use super::splits::Span;
use crate::arch::Arch;
use crate::arch::stream::stream;
use crate::graph::{Activations, Compute, Device, Later, Network, Pieces, Statistics, side_by_side, threads};
use crate::loss::{self, Batch, Loss, Step};
use crate::optimizer::Sgd;
use crate::sampler::{self, Ask, Sampler, Trial};
use crate::space::Norm;
use crate::state::State;
use crate::{Error, Result};

/// Momentum of running statistics.
const STATISTICS_MOMENTUM: f64 = 0.1;

/// What is trained and on what.
pub struct Trainer {
    recipe: Arc<Recipe>,
    config: TrainConfig,
    /// Where this training lies in its schedule.
    span: Span,
    /// Seed of the draws of every step: supernets that came of each other don't repeat theirs.
    seed: u64,
    model: Model,
    feed: Feed,
    validation: Feed,
    data_hash: String,
    complexity: ComplexityRange,
    /// The gene whose options are the momentum groups.
    momentum_gene: Option<usize>,
    compute: Compute,
    sampler: Box<dyn Sampler>,
    losses: Vec<Box<dyn Loss>>,
    /// The most complex path of each momentum group, as far as the region has it.
    largest: Vec<Option<Arch>>,
    sgd: Sgd,
    /// The optimisers of terms' own weights, in their order.
    own: Vec<Sgd>,
    step: u64,
    /// Losses and norms that nobody has looked at.
    unread: VecDeque<Unread>,
    /// See [`read_losses_behind`](Self::read_losses_behind).
    lag: u64,
    loss: Option<f64>,
    /// Whether a step changes more than the weights in its last moment: running statistics, or what sampler and losses remember.
    changes_early: bool,
    /// See [`is_torn`](Self::is_torn).
    torn: bool,
    started: Instant,
}

impl Trainer {
    /// Trains `model` by the `[train]` table, or by `[retrain]` if it stands alone.
    pub fn new(recipe: Arc<Recipe>, model: Model, lessons: Lessons) -> Result<Self> {
        let (mut config, span) = match &model.arch {
            Some(_) => (recipe.retrain.training(), Span::alone(recipe.retrain.epochs)),
            None => (recipe.train.clone(), recipe.span(model.level)),
        };
        config.epochs = span.epochs;
        let seed = seed_of_level(recipe.seed, model.level);
        let (momentum_gene, groups) = momentum_groups(&recipe, &config, &model)?;
        let places = model.network.slots().iter().map(|slot| slot.range.clone()).collect();
        let compute = recipe.compute(model.network.device())?;
        let sgd = Sgd::new(config.sgd(), model.network.flat(), places, groups, compute.kernels);
        let feed = Feed::new(lessons.train, config.batch, seed, "shuffle");
        let validation = Feed::new(lessons.validation, config.batch, seed, "shuffle/validation");
        let (graph, region) = (model.graph(), &model.region);
        let counted = model.space.graph(&model.task, Norm::Own)?;
        let scope = sampler::Scope {
            genes: graph.genes(),
            region,
            momentum_gene,
            seed,
            steps: config.epochs * feed.steps(),
            epochs: config.epochs,
            largest: Arc::new(|region| graph.least_living(region, |arch| -(graph.cost(arch).complexity as f64))),
            smallest: Arc::new(|region| graph.least_living(region, |arch| graph.cost(arch).complexity as f64)),
            cost: Arc::new(move |arch| counted.cost(arch)),
        };
        let (sampler, largest) = (config.sampler.build(&scope)?, scope.of_groups(&*scope.largest));
        drop(scope);
        let losses = losses(seed, &config, &model, feed.steps())?;
        let remembers = sampler.state().is_some() || losses.iter().any(|loss| loss.state().is_some());
        let changes_early = remembers || model.network.tracks();
        let own = losses.iter().filter_map(|loss| loss.weights());
        let whole = |flat: &Tensor| std::iter::once(0..flat.numel() as i64).collect();
        let own = own.map(|flat| Sgd::new(config.sgd(), flat, whole(flat), groups, compute.kernels)).collect();
        let complexity = ComplexityRange::of(model.graph());
        let lag = u64::from(model.network.device() != Device::Cpu && !sampler.listens());
        Ok(Self {
            recipe,
            config,
            span,
            seed,
            model,
            feed,
            validation,
            data_hash: lessons.hash,
            complexity,
            momentum_gene,
            compute,
            sampler,
            losses,
            largest,
            sgd,
            own,
            step: 0,
            unread: VecDeque::new(),
            lag,
            loss: None,
            changes_early,
            torn: false,
            started: Instant::now(),
        })
    }

    /// Goes on where the checkpoint at `path` was written. Its recipe and data must be those given.
    pub fn resume(recipe: Arc<Recipe>, lessons: Lessons, path: &Path) -> Result<Self> {
        let saved = checkpoint::load(path, crate::graph::device(&recipe.device)?)?;
        Self::go_on(recipe, lessons, saved)
    }

    /// As [`resume`](Self::resume), from a checkpoint in memory.
    pub fn go_on(recipe: Arc<Recipe>, lessons: Lessons, mut saved: Saved) -> Result<Self> {
        let states = std::mem::take(&mut saved.states);
        let step = saved.manifest.progress.step;
        let mut trainer = Self::begin(recipe, lessons, saved)?;
        trainer.step = step;
        trainer.restore(&states)?;
        Ok(trainer)
    }

    /// Begins with the weights and momentum of `saved`. What sampler and losses remember begins afresh: it was learnt of another
    /// region.
    pub fn begin(recipe: Arc<Recipe>, lessons: Lessons, saved: Saved) -> Result<Self> {
        saved.manifest.check_recipe(&recipe.hash())?;
        saved.manifest.check_data(&lessons.hash)?;
        let mut trainer = Self::new(recipe, saved.model, lessons)?;
        trainer.sgd.restore(saved.touched, saved.rows);
        Ok(trainer)
    }

    /// Whether a step broke off by a panic, such as a lack of memory, after it had begun to change what a checkpoint holds. Else
    /// the state is that before the step, and the run can go on.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps in all.
    pub fn total(&self) -> u64 {
        self.config.epochs * self.feed.steps()
    }

    /// The model, as trained so far.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Hands the model back.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// The architectures that the sampler would pick by what it has learnt, in the notation of the space.
    pub fn picks(&self) -> Vec<String> {
        let picks = self.sampler.picks(&question(&self.model, self.seed, self.momentum_gene, self.step));
        picks.iter().map(|arch| self.model.space.text(arch)).collect()
    }

    /// What a checkpoint of this moment holds. Its tensors are the trainer's own.
    pub fn saved(&self) -> Saved {
        let rows = self.sgd.rows().iter().map(|row| row.as_ref().map(Tensor::shallow_clone)).collect();
        let (model, touched) = (self.model.shallow_clone(), self.sgd.touched().to_vec());
        Saved { manifest: self.manifest(), model, touched, rows, states: self.states() }
    }

    /// What the parts remember, by the name of the part.
    fn states(&self) -> BTreeMap<String, State> {
        let losses = self.losses.iter().enumerate().map(|(at, loss)| (format!("loss.{at}"), loss.state()));
        let own = self.own.iter().enumerate().map(|(at, sgd)| (format!("optimizer.{at}"), Some(momentum(sgd))));
        let all = std::iter::once(("sampler".to_owned(), self.sampler.state())).chain(losses).chain(own);
        all.filter_map(|(name, state)| Some((name, state?))).collect()
    }

    fn restore(&mut self, states: &BTreeMap<String, State>) -> Result<()> {
        let of = |part: &str| {
            states.get(part).ok_or_else(|| Error::invalid("checkpoint", "no state of it", format!("that of `{part}`")))
        };
        if self.sampler.state().is_some() {
            self.sampler.restore(of("sampler")?)?;
        }
        for (at, loss) in self.losses.iter_mut().enumerate().filter(|(_, loss)| loss.state().is_some()) {
            loss.restore(of(&format!("loss.{at}"))?)?;
        }
        for (at, sgd) in self.own.iter_mut().enumerate() {
            restore_momentum(sgd, of(&format!("optimizer.{at}"))?)?;
        }
        Ok(())
    }

    /// The paths of this step, once the sampler has probed what it wants to.
    fn paths(&mut self) -> Result<Vec<Arch>> {
        if let Some(arch) = &self.model.arch {
            return Ok(vec![arch.clone()]);
        }
        let ask = question(&self.model, self.seed, self.momentum_gene, self.step);
        let probes = self.sampler.probe(&ask);
        if !probes.is_empty() {
            let batch = self.validation.batch(self.step, Augment::default());
            let norms: Vec<f64> =
                probes.iter().map(|arch| gradient_norm(&self.model.network, self.compute, arch, &batch)).collect();
            if let Some((arch, norm)) = probes.iter().zip(&norms).find(|(_, norm)| !norm.is_finite()) {
                return Err(diverged("gradient on validation images", *norm, self.step, &self.model.space.text(arch)));
            }
            self.sampler.sense(&norms);
        }
        Ok(self.sampler.ask(&ask))
    }

    /// The rate of this step, and the weight of each path's loss. A path by itself has a rate of its own; several share one,
    /// and what a schedule makes of each goes into its loss.
    fn strength(&self, paths: &[Arch]) -> (f64, Vec<f64>) {
        let (schedule, base, progress) = (&self.config.schedule, self.config.rate, self.progress());
        let factor = |arch: &Arch| schedule.factor(progress, &self.complexity.place(self.model.graph(), arch));
        match paths.len() > 1 && schedule.tells_paths_apart() {
            true => (base, paths.iter().map(factor).collect()),
            false => (base * factor(&paths[0]), vec![1.0; paths.len()]),
        }
    }

    /// How much of the schedule is over, 0 to 1.
    fn progress(&self) -> f64 {
        let steps = |epochs| epochs * self.feed.steps();
        (steps(self.span.before) + self.step) as f64 / steps(self.span.total) as f64
    }

    /// Lets a step's loss, and the norm of its gradient, wait for so many later steps until they are read; 0 by default on a CPU, 1
    /// on a GPU, which then always has the next step to work on. A loss that is read at once and isn't a number leaves the weights
    /// as they were.
    pub fn read_losses_behind(&mut self, steps: u64) {
        self.lag = steps;
    }

    /// Forward and backward, then one update from the sum of the gradients.
    fn train_step(&mut self, paths: &[Arch], weights: &[f64], rate: f64) -> Result<()> {
        let Learnt { loss, mut gradients, trials } = self.learn(paths, weights)?;
        self.launched(LOSS, paths, Later::new(&loss))?;
        let (group, own) = (self.group(&paths[0]), gradients.split_off(&self.model.network.slots().len()));
        let (slots, gradients): (Vec<usize>, Vec<Tensor>) = gradients.into_iter().unzip();
        self.torn = true;
        let norm = self.sgd.step(group, rate, &slots, &gradients);
        self.torn = self.changes_early; // a norm that is refused at once has moved nothing
        self.launched(GRADIENT, paths, norm)?;
        self.torn = true;
        for (slot, gradient) in own {
            let norm = self.own[slot - self.model.network.slots().len()].step(group, rate, &[0], &[gradient]);
            self.launched(GRADIENT, paths, norm)?;
        }
        if !trials.is_empty() {
            let ask = question(&self.model, self.seed, self.momentum_gene, self.step);
            self.sampler.tell(&ask, &trials);
        }
        Ok(())
    }

    /// Forward and backward for each path, then for the step as a whole.
    fn learn(&mut self, paths: &[Arch], weights: &[f64]) -> Result<Learnt> {
        let group = self.group(&paths[0]);
        let (losses, network) = (&mut self.losses, &self.model.network);
        let validation = losses.iter().any(|loss| loss.wants().validation);
        let views = losses.iter().map(|loss| loss.wants().views).max().unwrap_or(0);
        let own: Vec<Tensor> = losses.iter().filter_map(|loss| Some(loss.weights()?.shallow_clone())).collect();
        let statistics = match network.tracks() {
            true => Statistics::Update { momentum: STATISTICS_MOMENTUM },
            false => Statistics::Batch,
        };
        let step = Step {
            number: self.step,
            seed: self.seed,
            network: network.shallow_clone(),
            compute: self.compute,
            statistics,
            label_smoothing: self.config.label_smoothing,
            batch: self.feed.batch(self.step, self.config.augment),
            views: self.feed.views(self.step, self.config.augment, views),
            validation: validation.then(|| self.validation.batch(self.step, Augment::default())),
            paths: paths.iter().zip(weights).map(|(arch, &weight)| loss::Path::new(arch.clone(), weight)).collect(),
            largest: self.largest[group].clone().expect("the group of a path is in its region"),
            used: RefCell::default(),
            recalled: RefCell::default(),
        };
        let mut gradients = BTreeMap::new();
        let mut of_paths: Vec<Tensor> = vec![];
        let workers = if self.sampler.listens() || apart(losses).is_none() { 1 } else { workers(&step) };
        if workers > 1 {
            for asked in of_paths_apart(&step, losses, workers)? {
                of_paths.extend(asked.map(|asked| asked.add_to(&mut gradients)));
            }
        } else {
            for path in &step.paths {
                let asked = of_path(&step, losses, path, &own)?;
                of_paths.extend(asked.map(|asked| asked.add_to(&mut gradients)));
            }
        }
        let terms = losses.iter_mut().map(|loss| loss.of_step(&step)).collect::<Result<Vec<_>>>()?;
        let of_step = asked(&step, terms, 1.0, &own).map(|asked| asked.add_to(&mut gradients));
        let of_paths = (!of_paths.is_empty()).then(|| Tensor::stack(&of_paths, 0).mean(None));
        let loss = of_paths.into_iter().chain(of_step).reduce(|sum, loss| sum + loss);
        let loss = loss.unwrap_or_else(|| Tensor::zeros([], (Kind::Float, network.device())));
        let trials = if self.sampler.listens() { trials(&step) } else { vec![] };
        Ok(Learnt { loss, gradients, trials })
    }

    /// Puts a number of this step to those that nobody has looked at, and reads those whose time has come.
    fn launched(&mut self, what: &'static str, paths: &[Arch], value: Later) -> Result<()> {
        self.unread.push_back(Unread { step: self.step, paths: paths.to_vec(), what, value });
        self.read(self.lag)
    }

    /// Reads what is unread but for that of the last `but` steps, the oldest first.
    fn read(&mut self, but: u64) -> Result<()> {
        while let Some(Unread { step, paths, what, value }) = self.unread.front().filter(|unread| unread.step + but <= self.step)
        {
            let value = value.read();
            if !value.is_finite() {
                return Err(diverged(what, value, *step, &self.text(paths))); // whoever asks again is told again
            }
            if *what == LOSS {
                self.loss = Some(value);
            }
            self.unread.pop_front();
        }
        Ok(())
    }

    fn group(&self, arch: &Arch) -> usize {
        self.momentum_gene.map_or(0, |gene| arch.option(gene))
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

/// A number that a step has launched, and that nobody has looked at.
struct Unread {
    step: u64,
    paths: Vec<Arch>,
    /// [`LOSS`] or [`GRADIENT`].
    what: &'static str,
    value: Later,
}

const LOSS: &str = "loss";
const GRADIENT: &str = "norm of the gradient";

/// What a step has found out.
struct Learnt {
    /// Mean over the paths, plus what was asked beside.
    loss: Tensor,
    /// By weight.
    gradients: BTreeMap<usize, Tensor>,
    /// For a sampler that listens.
    trials: Vec<Trial>,
}

/// What was asked, and where it pulls.
struct Asked {
    loss: Tensor,
    /// Weights, and the gradient of each.
    gradients: Vec<(usize, Tensor)>,
}

impl Asked {
    /// Adds the gradients to what else was asked; gives the loss.
    fn add_to(self, gradients: &mut BTreeMap<usize, Tensor>) -> Tensor {
        self.gradients.into_iter().for_each(|(slot, gradient)| add(gradients, slot, gradient));
        self.loss
    }
}

/// The sum of the terms, and the gradients of `weight` times it.
fn asked(step: &Step, terms: Vec<Option<Tensor>>, weight: f64, own: &[Tensor]) -> Option<Asked> {
    let loss = terms.into_iter().flatten().reduce(|sum, term| sum + term)?;
    let (slots, gradients) = step.backward(&(&loss * weight), own);
    Some(Asked { loss: loss.detach(), gradients: slots.into_iter().zip(gradients).collect() })
}

/// What all terms ask of one path.
fn of_path(step: &Step, losses: &mut [Box<dyn Loss>], path: &loss::Path, own: &[Tensor]) -> Result<Option<Asked>> {
    let terms = losses.iter_mut().map(|loss| loss.of_path(step, path)).collect::<Result<Vec<_>>>()?;
    Ok(asked(step, terms, path.weight, own))
}

/// The terms for another thread, if none asks for more than a path.
fn apart(losses: &[Box<dyn Loss>]) -> Option<Vec<Box<dyn Loss>>> {
    losses.iter().map(|loss| loss.apart()).collect()
}

/// How many of its paths may run at a time.
fn workers(step: &Step) -> usize {
    if step.paths.len() < 2 {
        return 1;
    }
    let Compute { precision, kernels, together } = step.compute;
    let each = Activations::of(step.network.graph(), &step.largest).training(precision, kernels);
    let bytes = each * step.batch.labels.size()[0] as u64;
    Pieces { count: step.paths.len(), bytes }.workers(threads(), step.network.device(), together)
}

/// What `losses` ask of every path of the step, in the order of the paths, which run side by side.
fn of_paths_apart(step: &Step, losses: &[Box<dyn Loss>], workers: usize) -> Result<Vec<Option<Asked>>> {
    let cost = |path: &loss::Path| step.network.graph().cost(&path.arch).macs;
    let mut longest_first: Vec<usize> = (0..step.paths.len()).collect();
    longest_first.sort_by_key(|&at| Reverse(cost(&step.paths[at])));
    let own = || (step.sibling(), apart(losses).expect("they are where paths run side by side"));
    let work = |(step, mut losses): (Step, Vec<Box<dyn Loss>>), turns: &mut dyn Iterator<Item = usize>| {
        let path = |turn: usize| {
            let at = longest_first[turn];
            Ok((at, of_path(&step, &mut losses, &step.paths[at], &[])?))
        };
        turns.map(path).collect::<Result<Vec<_>>>()
    };
    let asked = side_by_side(step.paths.len(), workers, own, work).into_iter().collect::<Result<Vec<_>>>()?;
    let by_path: BTreeMap<usize, Option<Asked>> = asked.into_iter().flatten().collect();
    Ok(by_path.into_values().collect())
}

/// Adds the gradient of one weight to what other paths gave. Not in place: autograd may have made it of shared memory.
fn add(sum: &mut BTreeMap<usize, Tensor>, slot: usize, gradient: Tensor) {
    let total = match sum.remove(&slot) {
        Some(so_far) => so_far + gradient,
        None => gradient,
    };
    sum.insert(slot, total);
}

/// The momentum of a term's own weights.
fn momentum(sgd: &Sgd) -> State {
    let row = |row: &Tensor| Vec::<f32>::try_from(row.to_device(Device::Cpu)).expect("a flat fp32 tensor");
    let rows = sgd.rows().iter().enumerate().filter_map(|(group, tensor)| Some((group.to_string(), row(tensor.as_ref()?))));
    State { numbers: rows.collect(), ..State::of(sgd.touched()) }
}

fn restore_momentum(sgd: &mut Sgd, state: &State) -> Result<()> {
    let row = |group: usize| state.numbers.get(&group.to_string()).map(|row| Tensor::from_slice(row).to_device(sgd.device()));
    let rows = (0..sgd.rows().len()).map(row).collect();
    sgd.restore(state.read()?, rows);
    Ok(())
}

/// The error of a run whose numbers have left what numbers can hold.
fn diverged(what: &str, value: f64, step: u64, paths: &str) -> Error {
    let advice = "the last checkpoint is kept; try a lower learning rate, or gradient clipping (`clip`)";
    Error::Numeric(format!("{what} is {value} at step {step} on {paths}; {advice}"))
}

/// What a sampler is asked with.
fn question(model: &Model, seed: u64, momentum_gene: Option<usize>, step: u64) -> Ask<'_> {
    Ask { genes: model.graph().genes(), region: &model.region, momentum_gene, seed, step }
}

/// ‖∇_w L‖ of one path.
fn gradient_norm(network: &Network, compute: Compute, arch: &Arch, batch: &Batch) -> f64 {
    let (_, gradients) = gradients(network, compute, arch, batch);
    let squares: Vec<Tensor> = gradients.iter().map(|gradient| gradient.square().sum(Kind::Float)).collect();
    Tensor::stack(&squares, 0).sum(Kind::Float).sqrt().double_value(&[])
}

/// What a sampler is told.
fn trials(step: &Step) -> Vec<Trial> {
    let loss = |arch: &Arch| step.recall(arch).cross_entropy_for_logits(&step.batch.labels).double_value(&[]);
    step.paths.iter().map(|path| Trial { arch: path.arch.clone(), loss: loss(&path.arch) }).collect()
}

/// The terms of the loss.
fn losses(seed: u64, config: &TrainConfig, model: &Model, steps_per_epoch: u64) -> Result<Vec<Box<dyn Loss>>> {
    let scope = loss::Scope {
        network: &model.network,
        parse: &|text| model.space.parse(text),
        steps_per_epoch,
        epochs: config.epochs,
        seed,
        region: &model.region,
    };
    config.loss.iter().map(|config| config.build(&scope)).collect()
}

/// The gene whose options are the momentum groups, if any is, and how many groups there are.
fn momentum_groups(recipe: &Recipe, config: &TrainConfig, model: &Model) -> Result<(Option<usize>, usize)> {
    let genes = model.graph().genes();
    if !config.momentum_separation {
        return match &config.momentum_gene {
            None => Ok((None, 1)),
            Some(name) => {
                Err(Error::invalid("train.momentum_gene", format!("\"{name}\""), "nothing, or momentum_separation = true"))
            }
        };
    }
    let gene = recipe.momentum_gene(genes)?.expect("the recipe separates momentum");
    if model.region.fixes(gene) {
        let found = format!("\"{}\", which is fixed in the region of this supernet", genes[gene].name);
        return Err(Error::invalid("train.momentum_gene", found, "a gene with several options left"));
    }
    Ok((Some(gene), genes[gene].options.len()))
}

/// A seed for each level; that of the whole space is the recipe's.
pub(super) fn seed_of_level(seed: u64, level: usize) -> u64 {
    if level == 0 { seed } else { stream(seed, "level", level as u64).next_u64() }
}

impl Job for Trainer {
    fn advance(&mut self) -> Result<Option<Event>> {
        if self.step >= self.total() {
            return self.read(0).map(|()| None); // what was wrong with the last step is told again
        }
        self.torn = self.changes_early;
        let paths = self.paths()?;
        let (rate, weights) = self.strength(&paths);
        self.train_step(&paths, &weights, rate)?;
        self.step += 1;
        self.torn = false;
        if self.step == self.total() {
            self.read(0)?;
        }
        Ok(Some(self.event(rate, &paths)))
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        self.read(0)?; // nothing is saved that came of what isn't a number
        self.saved().write(path)
    }

    fn result(&self) -> Result<Value> {
        let picks = self.picks();
        let mut result = json!({ "step": self.step, "total": self.total(), "loss": self.loss });
        if !picks.is_empty() {
            result["picks"] = picks.into();
        }
        Ok(result)
    }
}
