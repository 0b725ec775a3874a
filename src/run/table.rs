//! A table of figures as the judge: a search without a supernet, to try strategies on a space that others have trained.

use std::collections::HashMap;

use super::evaluations::Evaluation;
use super::forest::Forest;
use super::judge::Judge;
use super::limits::{missed, unreachable_limit};
use super::recipe::Recipe;
use super::runtime::Latency;
use crate::Result;
use crate::arch::{Arch, Gene, Metric};
use crate::graph::Graph;
use crate::rank::Truth;
use crate::search::Query;
use crate::space::{Norm, SpaceConfig, Task};

/// See the [module](self). What isn't in the table can't be asked for.
pub struct Table {
    space: SpaceConfig,
    /// What is counted where the table doesn't tell.
    graph: Graph,
    truth: Truth,
    column: String,
    /// What turns the column into shares.
    scale: f64,
    /// How architectures of the table are written there.
    texts: HashMap<Arch, String>,
}

impl Table {
    /// The accuracies are those of `column`: shares, or per cent if any is above 1. Other figures come from the columns of
    /// their names, `params`, `macs` and `latency_ms`; the first two are counted for images like those of `task` where there
    /// is no such column.
    ///
    /// # Errors
    /// If there is no such column, none that an objective or a limit of `recipe` needs, a value in `column` outside 0…100, or an
    /// architecture that the space doesn't have.
    pub fn new(recipe: &Recipe, task: &Task, truth: Truth, column: &str) -> Result<Self> {
        let space = recipe.space.clone();
        let graph = space.graph(task, Norm::Own)?;
        let archs = truth.list().parsed(|text| space.parse(text))?;
        let texts = archs.into_iter().zip(truth.archs().iter().cloned()).collect();
        let scale = share(&truth, column)?;
        if recipe.search.needs_latency() {
            truth.get(&truth.archs()[0], Metric::LatencyMs.name())?;
        }
        Ok(Self { space, graph, truth, column: column.to_owned(), scale, texts })
    }

    /// An architecture that meets the limits of `recipe`, if it has any: the nearest to all of them.
    ///
    /// # Errors
    /// [`Error::Constraint`] if none meets one of them, with the nearest.
    pub fn check(&mut self, recipe: &Recipe) -> Result<Option<Arch>> {
        recipe.search.strategy.start(self.graph.genes())?;
        let limits = recipe.search.limits.set();
        let mut archs: Vec<Arch> = self.texts.keys().cloned().collect();
        archs.sort(); // ties go to the first, whatever the order of the map
        let mut misses = vec![0.0; archs.len()];
        for &(metric, limit) in &limits {
            let values: Vec<f64> = archs.iter().map(|arch| self.figure(arch, metric)).collect();
            let miss = |at: usize| missed(limit, values[at]);
            let nearest = (0..archs.len()).min_by(|&a, &b| miss(a).total_cmp(&miss(b))).expect("a table has rows");
            if miss(nearest) > 0.0 {
                return Err(unreachable_limit(metric, limit, values[nearest], &self.space.text(&archs[nearest])));
            }
            (0..archs.len()).for_each(|at| misses[at] += miss(at));
        }
        let nearest = (0..archs.len()).min_by(|&a, &b| misses[a].total_cmp(&misses[b]));
        Ok(nearest.filter(|_| !limits.is_empty()).map(|at| archs[at].clone()))
    }

    /// A figure that isn't the accuracy. One that can neither be read nor counted was refused at the beginning.
    fn figure(&self, arch: &Arch, metric: Metric) -> f64 {
        let counted = || metric.of(self.graph.cost(arch)).unwrap_or(f64::NAN);
        match self.truth.columns().iter().any(|column| column == metric.name()) {
            true => self.truth.get(&self.texts[arch], metric.name()).unwrap_or_else(|_| counted()),
            false => counted(),
        }
    }
}

/// What turns a column into shares: 0.01 if any of its values is above 1.
fn share(truth: &Truth, column: &str) -> Result<f64> {
    let list = truth.list();
    let values = truth.column(column, &list)?;
    if let Some(at) = values.iter().position(|value| !(0.0..=100.0).contains(value)) {
        let what = format!("found {} in column {column}, wanted a share (0…1) or per cent (0…100)", values[at]);
        return Err(list.corrupt(at, what));
    }
    Ok(if values.iter().any(|&value| value > 1.0) { 0.01 } else { 1.0 })
}

impl Judge for Table {
    fn genes(&self) -> &[Gene] {
        self.graph.genes()
    }

    /// Rows that compute the same have figures of their own, so each is asked for itself.
    fn name(&mut self, arch: &Arch) -> Option<String> {
        self.texts.get(arch).cloned()
    }

    fn known(&mut self, arch: &Arch, metric: Metric) -> Option<f64> {
        (self.texts.contains_key(arch) && metric != Metric::Accuracy).then(|| self.figure(arch, metric))
    }

    fn reported(&self, arch: &Arch) -> Arch {
        arch.clone()
    }

    fn text(&self, reported: &Arch) -> String {
        self.space.text(reported)
    }

    fn judge(&mut self, Query { arch, images }: &Query, name: &str) -> Result<Evaluation> {
        let whole = |metric| self.figure(arch, metric) as u64;
        let latency = self.truth.get(name, Metric::LatencyMs.name()).ok();
        Ok(Evaluation {
            arch: self.text(arch),
            key: name.to_owned(),
            params: whole(Metric::Params),
            macs: whole(Metric::Macs),
            accuracy: Some(self.truth.get(name, &self.column)? * self.scale),
            bn: format!("column {}", self.column),
            images: *images,
            latency_ms: latency.map(Latency::told),
        })
    }

    fn bn(&self) -> Option<String> {
        None
    }

    fn into_forest(self: Box<Self>) -> Option<Forest> {
        None
    }
}
