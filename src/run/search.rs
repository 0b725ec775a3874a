//! The search: a strategy asks, a judge answers, and what stands out is kept.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::evaluations::Evaluation;
use super::forest::Forest;
use super::images::RunData;
use super::job::{Event, Job};
use super::judge::{Judge, Supernets};
use super::limits::{check, excess, unreachable_limit};
use super::recipe::{Limit, Recipe, SearchConfig};
use crate::arch::{Arch, Metric};
use crate::search::{Query, Study, Trial, fronts, spread};
use crate::{Error, Result};

/// Architectures beyond a limit count as this bad plus their excess, so that the least bad of them have children until
/// one is found within (Deb's constraint domination).
const BEYOND: f64 = 1e12;

/// See the [module](self).
pub struct Search {
    config: SearchConfig,
    judge: Box<dyn Judge>,
    study: Study,
    queue: VecDeque<(Query, String)>,
    done: Vec<Evaluation>,
    archs: Vec<Arch>,
    started: Instant,
}

impl Search {
    /// Searches a supernet or several; subnets are judged on the validation images, and recalibrated on training images if the
    /// recipe says so.
    ///
    /// `memory`, a file of JSON lines, keeps every evaluation: a search that is started again on it doesn't repeat any.
    pub fn new(recipe: Arc<Recipe>, forest: impl Into<Forest>, data: &RunData, memory: Option<PathBuf>) -> Result<Self> {
        let forest = forest.into();
        let meets = check(&recipe, forest.task())?.and_then(|arch| forest.region().lower(&arch));
        let judge = Supernets::new(recipe.clone(), forest, data, memory)?;
        Self::of(&recipe, Box::new(judge), meets)
    }

    /// Asks `judge` by the recipe's `[search]` table. `first` is asked for before anything is drawn: an architecture that is
    /// known to meet the limits.
    pub fn of(recipe: &Recipe, judge: Box<dyn Judge>, first: Option<Arch>) -> Result<Self> {
        let config = recipe.search.clone();
        let study = Study::new(&config.strategy, judge.genes(), recipe.seed)?.beginning_with(first);
        let (queue, done, archs, started) = (VecDeque::new(), vec![], vec![], Instant::now());
        Ok(Self { config, judge, study, queue, done, archs, started })
    }

    /// Hands back the supernets that were searched, if it was supernets.
    pub fn into_forest(self) -> Option<Forest> {
        self.judge.into_forest()
    }

    /// Everything that was judged, in order.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.done
    }

    /// Positions in [`evaluations`](Self::evaluations) of those within the limits that no other beats in every objective.
    /// Only what was judged on all images counts.
    pub fn front(&self) -> Vec<usize> {
        let counts = |evaluation: &Evaluation| evaluation.accuracy.is_some() && evaluation.images.is_none();
        let within: Vec<usize> = (0..self.done.len()).filter(|&at| counts(&self.done[at])).collect();
        let points: Vec<Vec<f64>> = within.iter().map(|&at| self.figures(&self.done[at])).collect();
        fronts(&points).first().map_or(vec![], |front| front.iter().map(|&at| within[at]).collect())
    }

    /// The kept architectures, most accurate first.
    pub fn chosen(&self) -> Vec<(Arch, Evaluation)> {
        let points: Vec<Vec<f64>> = self.done.iter().map(|evaluation| self.figures(evaluation)).collect();
        let accuracy = |at: usize| self.done[at].accuracy.unwrap_or(0.0);
        let front = self.front();
        let best = front.iter().map(|&at| accuracy(at)).fold(0.0, f64::max);
        let near: Vec<usize> = front.into_iter().filter(|&at| accuracy(at) >= best - self.config.margin).collect();
        let mut chosen = spread(&points, &near, self.config.keep);
        chosen.sort_by(|&a, &b| points[a][0].total_cmp(&points[b][0]));
        chosen.into_iter().map(|at| (self.archs[at].clone(), self.done[at].clone())).collect()
    }

    /// One figure per objective, accuracy first, the smaller the better.
    fn figures(&self, evaluation: &Evaluation) -> Vec<f64> {
        let mut objectives = self.config.objectives.clone();
        objectives.sort(); // accuracy comes first
        let value = |metric: Metric| match evaluation.figure(metric) {
            Some(value) if evaluation.accuracy.is_some() => {
                if metric.maximise() {
                    -value
                } else {
                    value
                }
            }
            _ => BEYOND + evaluation.latency_ms.map_or(0.0, |latency| latency.median),
        };
        objectives.into_iter().map(value).collect()
    }

    /// Fills the queue with the next round; whether there is one.
    fn ask(&mut self) -> Result<bool> {
        let (judge, limits) = (&mut self.judge, self.config.limits.set());
        let mut nearest: Option<(f64, Metric, Limit, f64, Arch)> = None;
        let asked = self.study.ask(|arch| {
            for &(metric, limit) in &limits {
                let Some(value) = judge.known(arch, metric).filter(|&value| !limit.allows(value)) else { continue };
                let miss = excess(limit, value);
                if nearest.as_ref().is_none_or(|(least, ..)| miss < *least) {
                    nearest = Some((miss, metric, limit, value, arch.clone()));
                }
                return None;
            }
            judge.name(arch)
        });
        if let (true, true, Some((_, metric, limit, value, arch))) = (asked.is_empty(), self.done.is_empty(), nearest) {
            return Err(unreachable_limit(metric, limit, value, &judge.text(&judge.reported(&arch))));
        }
        self.queue = asked.into_iter().filter_map(|query| judge.name(&query.arch).map(|name| (query, name))).collect();
        Ok(!self.queue.is_empty())
    }

    fn event(&self, evaluation: &Evaluation) -> Event {
        let total = self.config.strategy.total(self.judge.genes());
        Event {
            phase: "search".into(),
            step: self.done.len() as u64,
            total: total.max(self.done.len() as u64),
            seconds: self.started.elapsed().as_secs_f64(),
            arch: Some(evaluation.arch.clone()),
            accuracy: evaluation.accuracy,
            bn: self.judge.bn(),
            ..Default::default()
        }
    }

    /// An error unless something was found within the limits. Called once nothing is left to try.
    fn found(&self) -> Result<()> {
        if !self.front().is_empty() {
            return Ok(());
        }
        let limit = self.config.limits.latency_ms.unwrap_or_default();
        let timed = self.done.iter().filter_map(|evaluation| Some((evaluation.latency_ms?.median, &evaluation.arch)));
        match timed.min_by(|a, b| excess(limit, a.0).total_cmp(&excess(limit, b.0))) {
            Some((value, arch)) => Err(unreachable_limit(Metric::LatencyMs, limit, value, arch)),
            None => Err(Error::invalid("search", "no architecture to judge", "a strategy and limits that leave some")),
        }
    }
}

impl Job for Search {
    fn advance(&mut self) -> Result<Option<Event>> {
        if self.queue.is_empty() && !self.ask()? {
            return self.found().map(|()| None);
        }
        let (query, name) = self.queue.pop_front().expect("just filled");
        let evaluation = self.judge.judge(&query, &name)?;
        self.archs.push(self.judge.reported(&query.arch));
        self.study.tell(Trial { query, figures: self.figures(&evaluation) })?;
        self.done.push(evaluation);
        Ok(self.done.last().map(|evaluation| self.event(evaluation)))
    }

    fn result(&self) -> Result<Value> {
        let front = self.front();
        let value = |evaluation: &Evaluation| serde_json::to_value(evaluation).expect("an evaluation is plain data");
        let (mut evaluations, mut screened) = (vec![], vec![]);
        for (at, evaluation) in self.done.iter().enumerate() {
            let mut value = value(evaluation);
            match evaluation.images {
                Some(_) => screened.push(value),
                None => {
                    value["front"] = front.contains(&at).into();
                    evaluations.push(value);
                }
            }
        }
        let chosen: Vec<String> = self.chosen().into_iter().map(|(_, evaluation)| evaluation.arch).collect();
        let mut result = json!({
            "objectives": self.config.objectives,
            "limits": self.config.limits,
            "bn": self.judge.bn(),
            "chosen": chosen,
            "evaluations": evaluations,
        });
        if !screened.is_empty() {
            result["screened"] = screened.into(); // judged on a part of the images, thus not to be compared with the others
        }
        Ok(result)
    }
}
