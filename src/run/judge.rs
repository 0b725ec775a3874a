//! Who knows how good an architecture is: supernets and a clock, which remember in a file what they were asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::evaluations::{Evaluation, Evaluations, Identity};
use super::export::latency_as_shipped;
use super::forest::Forest;
use super::images::RunData;
use super::recipe::{Recipe, SearchConfig};
use super::runtime::{self, Latency};
use crate::Result;
use crate::arch::{Arch, Cost, Gene, Metric};
use crate::graph::Plan;
use crate::search::Query;

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
    evaluations: Evaluations,
    /// What may be chosen within the region that they serve.
    genes: Vec<Gene>,
    /// Cost and name of everything that was drawn, since draws repeat; no name for what doesn't read the image.
    looked_at: HashMap<Arch, (Cost, Option<String>)>,
    /// By name: a network is timed once, on however many images it is judged.
    timed: HashMap<String, Latency>,
}

impl Supernets {
    /// Judges subnets of `forest` as the `[search]` table says.
    ///
    /// `memory`, a file of JSON lines, keeps every evaluation: who asks again, with the same recipe, weights and images, gets
    /// the same answer.
    pub fn new(recipe: Arc<Recipe>, forest: Forest, data: &RunData, memory: Option<PathBuf>) -> Result<Self> {
        let config = recipe.search.clone();
        if config.needs_latency() {
            runtime::check()?;
        }
        let genes = forest.region().genes(forest.graph().genes());
        let evaluations = Evaluations::new(&recipe, forest, data, memory.map(|file| move |_: &Identity| file))?;
        let timed = evaluations.known().filter_map(|evaluation| Some((evaluation.key.clone(), evaluation.latency_ms?))).collect();
        Ok(Self { config, recipe, evaluations, genes, looked_at: HashMap::new(), timed })
    }

    /// What `arch` costs without its dead operations, and the name of what it computes if that depends on the image.
    fn look_at(&mut self, arch: &Arch) -> &(Cost, Option<String>) {
        let Self { evaluations, looked_at, .. } = self;
        looked_at.entry(arch.clone()).or_insert_with(|| {
            let arch = evaluations.forest.region().lift(arch);
            let graph = evaluations.forest.graph();
            (evaluations.cost(&arch), graph.reads_image(&arch).then(|| Plan::live(graph, &arch).key()))
        })
    }

    /// Milliseconds of `arch`, which is called `name`, where the search wants to know them.
    fn latency(&mut self, arch: &Arch, name: &str) -> Result<Option<Latency>> {
        let Self { config, recipe, evaluations, timed, .. } = self;
        if config.needs_latency() && !timed.contains_key(name) {
            let (space, task) = (evaluations.forest.space(), evaluations.forest.task());
            timed.insert(name.to_owned(), latency_as_shipped(space, task, arch, recipe.export.opset, &recipe.latency)?);
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
        self.evaluations.forest.canonical(&self.evaluations.forest.region().lift(arch))
    }

    fn text(&self, reported: &Arch) -> String {
        self.evaluations.forest.space().text(reported)
    }

    fn judge(&mut self, Query { arch, images }: &Query, name: &str) -> Result<Evaluation> {
        if let Some(known) = self.evaluations.recall(name, *images) {
            return Ok(known.clone());
        }
        let arch = self.reported(arch);
        let latency = self.latency(&arch, name)?;
        let limit = self.config.limits.latency_ms.unwrap_or_default();
        let is_within = latency.is_none_or(|latency| limit.allows(latency.median));
        self.evaluations.judge(&arch, name, *images, latency, is_within)
    }

    fn bn(&self) -> Option<String> {
        Some(self.evaluations.bn.clone())
    }

    fn into_forest(self: Box<Self>) -> Option<Forest> {
        Some(self.evaluations.forest)
    }
}
