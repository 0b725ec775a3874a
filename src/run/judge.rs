//! Who knows how good an architecture is: supernets and a clock, which remember in a file what they were asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::evaluate::Evaluator;
use super::export::latency_as_shipped;
use super::forest::Forest;
use super::images::RunData;
use super::recipe::{Recipe, SearchConfig};
use super::runtime::{self, Latency};
use super::search::{Evaluation, Identity, Remembered, append, remembered};
use crate::Result;
use crate::arch::{Arch, Cost, Gene, Metric};
use crate::graph::{Graph, Plan};
use crate::search::Query;
use crate::space::Norm;

/// How good is an architecture? Whoever answers this can be searched, by any strategy.
pub trait Judge: Send {
    /// What may be chosen.
    fn genes(&self) -> &[Gene];

    /// What `arch` is called: one of several of one name is judged, for all. `None` for what isn't worth a question.
    fn name(&mut self, arch: &Arch) -> Option<String>;

    /// What is known of `arch` without judging it, so that a limit on it costs nothing.
    fn known(&mut self, arch: &Arch, metric: Metric) -> Option<f64>;

    /// `arch` as it is reported: an architecture of the whole space, where the genes are those of a part.
    fn reported(&self, arch: &Arch) -> Arch;

    /// What was reported, in the notation of its space.
    fn text(&self, reported: &Arch) -> String;

    /// All that the search wants to know of an architecture that is called `name`.
    fn judge(&mut self, query: &Query, name: &str) -> Result<Evaluation>;

    /// Where the statistics of the norms come from, in words, if it has norms.
    fn bn(&self) -> Option<String>;

    /// Hands back the supernets that it asks, if it asks any.
    fn into_forest(self: Box<Self>) -> Option<Forest>;
}

/// Accuracies from a supernet, or several, on the validation images; latencies from a file that is run.
pub struct Supernets {
    config: SearchConfig,
    recipe: Arc<Recipe>,
    forest: Forest,
    /// What may be chosen within the region that they serve.
    genes: Vec<Gene>,
    /// The same space with own norms: what is counted and timed.
    counted: Graph,
    evaluator: Evaluator,
    /// Cost and name of everything that was drawn, since draws repeat; no name for what doesn't read the image.
    looked_at: HashMap<Arch, (Cost, Option<String>)>,
    known: HashMap<(String, Option<usize>), Evaluation>,
    /// By name: a network is timed once, on however many images it is judged.
    timed: HashMap<String, Latency>,
    memory: Option<PathBuf>,
}

impl Supernets {
    /// Judges subnets of `forest` as the `[search]` table says.
    ///
    /// `memory`, a file of JSON lines, keeps every evaluation: who asks again, with the same recipe, weights and images, gets
    /// the same answer.
    pub fn new(recipe: Arc<Recipe>, forest: Forest, data: &RunData, memory: Option<PathBuf>) -> Result<Self> {
        let mut config = recipe.search.clone();
        let counted = forest.space().graph(forest.task(), Norm::Own)?;
        if config.needs_latency() {
            runtime::check()?;
        }
        let validation = data.validation.first(config.images_of(data.validation.len())?);
        let (batch, place) = (data.memory.batch(config.batch)?, memory.map(|file| move |_: &Identity| file));
        let Remembered { batch, known, file: memory } = remembered(&recipe, &forest, &validation, batch, place)?;
        config.batch = batch;
        let compute = recipe.compute(forest.device())?;
        let evaluator = Evaluator::new(validation, &data.train, &config.bn, batch, compute, recipe.seed);
        let timed = known.iter().filter_map(|evaluation| Some((evaluation.key.clone(), evaluation.latency_ms?))).collect();
        let known = known.into_iter().map(|evaluation| ((evaluation.key.clone(), evaluation.images), evaluation)).collect();
        let genes = forest.region().genes(forest.graph().genes());
        Ok(Self { config, recipe, forest, genes, counted, evaluator, looked_at: HashMap::new(), known, timed, memory })
    }

    /// What `arch` costs without its dead operations, and the name of what it computes if that depends on the image.
    fn look_at(&mut self, arch: &Arch) -> &(Cost, Option<String>) {
        let Self { forest, counted, looked_at, .. } = self;
        looked_at.entry(arch.clone()).or_insert_with(|| {
            let arch = forest.region().lift(arch);
            let plan = Plan::live(forest.graph(), &arch);
            (counted.cost(&forest.canonical(&arch)), plan.reads_image().then(|| plan.key()))
        })
    }

    /// Milliseconds of `arch`, which is called `name`, where the search wants to know them.
    fn latency(&mut self, arch: &Arch, name: &str) -> Result<Option<Latency>> {
        let Self { config, recipe, forest, timed, .. } = self;
        if config.needs_latency() && !timed.contains_key(name) {
            timed.insert(
                name.to_owned(),
                latency_as_shipped(forest.space(), forest.task(), arch, recipe.export.opset, &recipe.latency)?,
            );
        }
        Ok(timed.get(name).copied())
    }
}

impl Judge for Supernets {
    fn genes(&self) -> &[Gene] {
        &self.genes
    }

    fn name(&mut self, arch: &Arch) -> Option<String> {
        self.look_at(arch).1.clone()
    }

    fn known(&mut self, arch: &Arch, metric: Metric) -> Option<f64> {
        metric.of(self.look_at(arch).0)
    }

    fn reported(&self, arch: &Arch) -> Arch {
        self.forest.canonical(&self.forest.region().lift(arch))
    }

    fn text(&self, reported: &Arch) -> String {
        self.forest.space().text(reported)
    }

    fn judge(&mut self, Query { arch, images }: &Query, name: &str) -> Result<Evaluation> {
        if let Some(known) = self.known.get(&(name.to_owned(), *images)) {
            return Ok(known.clone());
        }
        let arch = self.reported(arch);
        let (Cost { params, macs, .. }, latency_ms) = (self.counted.cost(&arch), self.latency(&arch, name)?);
        let within = |latency: &Latency| self.config.limits.latency_ms.is_none_or(|limit| limit.allows(latency.median));
        let accuracy = match latency_ms.as_ref().is_none_or(within) {
            true => Some(self.evaluator.accuracy_on(&self.forest, &arch, *images)?),
            false => None,
        };
        let (text, key, bn) = (self.text(&arch), name.to_owned(), self.config.bn_text());
        let evaluation = Evaluation { arch: text, key, params, macs, accuracy, bn, images: *images, latency_ms };
        if let Some(path) = &self.memory {
            append(path, &evaluation)?;
        }
        self.known.insert((evaluation.key.clone(), evaluation.images), evaluation.clone());
        Ok(evaluation)
    }

    fn bn(&self) -> Option<String> {
        Some(self.config.bn_text())
    }

    fn into_forest(self: Box<Self>) -> Option<Forest> {
        Some(self.forest)
    }
}
