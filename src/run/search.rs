//! The search: a strategy asks, a judge answers, and what stands out is kept.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::evaluate::Evaluator;
use super::export::latency_as_shipped;
use super::forest::Forest;
use super::images::{DeviceImages, RunData};
use super::job::{Event, Job};
use super::judge::{Judge, Supernets};
use super::recipe::{Limit, Limits, Recipe, SearchConfig};
use super::runtime::Latency;
use crate::arch::{Arch, Cost, Metric, Region};
use crate::graph::{Graph, Plan};
use crate::hash::sha256;
use crate::search::{Query, Study, Trial, fronts, spread};
use crate::space::{Norm, SpaceConfig, Task};
use crate::{Error, Result};

/// Architectures beyond a limit count as this bad plus their excess, so that the least bad of them have children until
/// one is found within (Deb's constraint domination).
const BEYOND: f64 = 1e12;

/// One architecture and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// In the notation of the space, without dead operations.
    pub arch: String,
    /// Name of what it computes: equal for strings that compute the same.
    pub key: String,
    /// Trainable numbers as a network that stands alone.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Share of the validation images that the supernet classifies correctly with it; absent beyond a limit.
    pub accuracy: Option<f64>,
    /// Where the statistics of the norms came from.
    pub bn: String,
    /// How many images it was judged on, if not on all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Milliseconds for one image, where the search needs them.
    pub latency_ms: Option<Latency>,
}

impl Evaluation {
    /// The value of a metric, if it is known.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => self.accuracy,
            Metric::LatencyMs => self.latency_ms.map(|latency| latency.median),
            Metric::Params => Some(self.params as f64),
            Metric::Macs => Some(self.macs as f64),
        }
    }
}

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

/// How far `value` lies outside.
pub(super) fn excess(limit: Limit, value: f64) -> f64 {
    let below = limit.min.map_or(0.0, |min| min - value);
    let above = limit.max.map_or(0.0, |max| value - max);
    below.max(above).max(0.0)
}

pub(super) fn unreachable_limit(metric: Metric, limit: Limit, value: f64, arch: &str) -> Error {
    let ends = [limit.min.map(|min| format!(">= {min}")), limit.max.map(|max| format!("<= {max}"))];
    let wanted = ends.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let nearest = if metric == Metric::LatencyMs { format!("{value:.4} ({arch})") } else { format!("{value} ({arch})") };
    Error::Constraint { metric: metric.name().into(), wanted, nearest }
}

/// Refuses a strategy that the space is too large for, and limits that no architecture meets; where some are set on params
/// or MACs, gives one that meets these. Cheap, so that it can be asked before a supernet is trained.
pub fn check(recipe: &Recipe, task: &Task) -> Result<Option<Arch>> {
    let (space, limits) = (&recipe.space, &recipe.search.limits);
    let counted = space.graph(task, Norm::Own)?;
    recipe.search.strategy.start(counted.genes())?;
    if let Some(limit) = limits.latency_ms {
        let least = counted.least_living(&Region::whole(counted.genes()), |arch| counted.cost(arch).macs as f64);
        let value = latency_as_shipped(space, task, &least, recipe.export.opset, &recipe.latency)?.median;
        if limit.max.is_some_and(|max| value > max) {
            return Err(unreachable_limit(Metric::LatencyMs, limit, value, &space.text(&least)));
        }
    }
    meeting(space, &counted, limits)
}

/// An architecture that meets the limits on params and MACs, if there are any and one is found; refuses a limit that no
/// architecture meets. That is exact for each end of a limit by itself. A window, or several limits at once, may turn out to be
/// beyond reach only in the search: an architecture within is looked for gene by gene, and not finding one proves nothing.
pub fn meeting(space: &SpaceConfig, counted: &Graph, limits: &Limits) -> Result<Option<Arch>> {
    let set: Vec<(Metric, Limit)> = limits.set().into_iter().filter(|(metric, _)| metric.of(Cost::default()).is_some()).collect();
    let value = |metric: Metric, arch: &Arch| metric.of(counted.cost(arch)).expect("a counted metric");
    let all = Region::whole(counted.genes());
    for &(metric, limit) in &set {
        for end in limit.ends() {
            let nearest = counted.least_living(&all, |arch| excess(end, value(metric, arch)));
            if !end.allows(value(metric, &nearest)) {
                return Err(unreachable_limit(metric, limit, value(metric, &nearest), &space.text(&nearest)));
            }
        }
    }
    let share = |&(metric, limit): &(Metric, Limit), arch: &Arch| {
        excess(limit, value(metric, arch)) / limit.max.or(limit.min).unwrap_or(1.0).max(1.0)
    };
    let nearest = counted.least_living(&all, |arch| set.iter().map(|one| share(one, arch)).sum());
    let meets = set.iter().all(|&(metric, limit)| limit.allows(value(metric, &nearest)));
    Ok((!set.is_empty() && meets).then_some(nearest))
}

/// Whose evaluations a file keeps: its first line.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    recipe_hash: String,
    weights: String,
    images: String,
    batch: usize,
}

impl Identity {
    /// A name that no other recipe, weights or images share. The batch isn't part of it: work that goes on keeps to the old.
    fn file_name(&self) -> String {
        let Self { recipe_hash, weights, images, .. } = self;
        format!("evaluations-{}.jsonl", &sha256(format!("{recipe_hash} {weights} {images}"))[..12])
    }
}

/// What an earlier search has left.
pub(super) struct Remembered {
    /// Images at a time.
    pub batch: usize,
    pub known: Vec<Evaluation>,
    /// Where new evaluations go.
    pub file: Option<PathBuf>,
}

/// What is remembered in the file that `place` gives, if there is one: only then is anything hashed.
pub(super) fn remembered(
    recipe: &Recipe,
    forest: &Forest,
    validation: &DeviceImages,
    batch: usize,
    place: Option<impl FnOnce(&Identity) -> PathBuf>,
) -> Result<Remembered> {
    let Some(place) = place else { return Ok(Remembered { batch, known: vec![], file: None }) };
    let identity = Identity { recipe_hash: recipe.hash(), weights: forest.hash(), images: validation.hash(), batch };
    let file = place(&identity);
    let (batch, known) = recall(&file, &identity)?;
    Ok(Remembered { batch, known, file: Some(file) })
}

/// Reads what an earlier search on the same recipe, weights and images found out, in batches of what size. A last line that a
/// crash cut short is left out; any other that can't be read is an error, and the file stays as it is.
///
/// A search keeps to the batch that it was begun with: the recipe is the same, and with it the limit that it was cut down to.
fn recall(path: &Path, identity: &Identity) -> Result<(usize, Vec<Evaluation>)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let line = serde_json::to_string(identity).expect("an identity is plain data");
            crate::files::write_whole(path, format!("{line}\n").as_bytes())?;
            return Ok((identity.batch, vec![]));
        }
        Err(error) => return Err(Error::io(path)(error)),
    };
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = whole.lines();
    let theirs = lines.next().and_then(|line| serde_json::from_str::<Identity>(line).ok());
    let same = |theirs: &Identity| theirs.batch > 0 && Identity { batch: identity.batch, ..theirs.clone() } == *identity;
    let Some(Identity { batch, .. }) = theirs.filter(same) else {
        return Err(Error::Version {
            what: path.display().to_string(),
            found: "evaluations of a different recipe, supernet or data".into(),
            wanted: "those of this one or no such file".into(),
        });
    };
    let unreadable = |at: usize, error| Error::corrupt(path, format!("line {}: found {error}, wanted an evaluation", at + 2));
    let read = |(at, line): (usize, &str)| serde_json::from_str::<Evaluation>(line).map_err(|error| unreadable(at, error));
    let known = lines.enumerate().map(read).collect::<Result<Vec<_>>>()?;
    if whole.len() < text.len() {
        crate::files::write_whole(path, whole.as_bytes())?;
    }
    Ok((batch, known))
}

fn line(evaluation: &Evaluation) -> String {
    serde_json::to_string(evaluation).expect("an evaluation is plain data")
}

pub(super) fn append(path: &Path, evaluation: &Evaluation) -> Result<()> {
    let mut file = OpenOptions::new().append(true).open(path).map_err(Error::io(path))?;
    writeln!(file, "{}", line(evaluation)).map_err(Error::io(path))
}

/// Judges a given list of architectures; those that compute the same are judged once.
pub struct Evaluate {
    forest: Forest,
    /// The same space with own norms: what is counted.
    counted: Graph,
    evaluator: Evaluator,
    archs: Vec<Arch>,
    known: HashMap<String, Evaluation>,
    done: Vec<Evaluation>,
    images: usize,
    bn: String,
    memory: Option<PathBuf>,
    started: Instant,
}

impl Evaluate {
    /// Judges `archs` as a search with the same settings would.
    ///
    /// `memory`, a folder, keeps every evaluation: whoever judges the same weights on the same images by the same recipe
    /// doesn't repeat any.
    pub fn new(
        recipe: &Recipe,
        forest: impl Into<Forest>,
        archs: Vec<Arch>,
        data: &RunData,
        memory: Option<&Path>,
    ) -> Result<Self> {
        let (mut config, forest) = (recipe.search.clone(), forest.into());
        archs.iter().try_for_each(|arch| forest.position(arch).map(|_| ()))?;
        let images = config.images_of(data.validation.len())?;
        let validation = data.validation.first(images);
        let batch = data.memory.batch(config.batch)?;
        let memory = memory.map(|folder| |identity: &Identity| folder.join(identity.file_name()));
        let Remembered { batch, known, file: memory } = remembered(recipe, &forest, &validation, batch, memory)?;
        let known = known.into_iter().map(|evaluation| (evaluation.key.clone(), evaluation)).collect();
        config.batch = batch;
        let (counted, compute) = (forest.space().graph(forest.task(), Norm::Own)?, recipe.compute(forest.device())?);
        let evaluator = Evaluator::new(validation, &data.train, &config.bn, batch, compute, recipe.seed);
        let (done, bn, started) = (vec![], config.bn_text(), Instant::now());
        Ok(Self { forest, counted, evaluator, archs, known, done, images, bn, memory, started })
    }

    /// The accuracies so far, in the order of the list.
    pub fn accuracies(&self) -> Vec<f64> {
        self.done.iter().filter_map(|evaluation| evaluation.accuracy).collect()
    }

    /// How many different networks the list has turned out to hold so far.
    pub fn networks(&self) -> usize {
        self.done.iter().map(|evaluation| &evaluation.key).collect::<HashSet<_>>().len()
    }

    /// Validation images that each is judged on.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Where the statistics of the norms come from.
    pub fn bn(&self) -> &str {
        &self.bn
    }

    fn judge(&mut self, arch: &Arch) -> Result<Evaluation> {
        let text = self.forest.space().text(arch);
        // What two supernets compute alike they compute with other weights.
        let leaf = self.forest.position(arch)?;
        let key = Plan::live(self.forest.graph(), arch).key();
        let key = if leaf == 0 { key } else { format!("{leaf} {key}") };
        let Cost { params, macs, .. } = self.counted.cost(arch);
        if let Some(known) = self.known.get(&key) {
            return Ok(Evaluation { arch: text, params, macs, ..known.clone() });
        }
        let accuracy = Some(self.evaluator.accuracy(&self.forest, arch)?);
        let evaluation =
            Evaluation { arch: text, key, params, macs, accuracy, bn: self.bn.clone(), images: None, latency_ms: None };
        if let Some(path) = &self.memory {
            append(path, &evaluation)?;
        }
        self.known.insert(evaluation.key.clone(), evaluation.clone());
        Ok(evaluation)
    }
}

impl Job for Evaluate {
    fn advance(&mut self) -> Result<Option<Event>> {
        let Some(arch) = self.archs.get(self.done.len()).cloned() else { return Ok(None) };
        let evaluation = self.judge(&arch)?;
        let (arch, accuracy) = (Some(evaluation.arch.clone()), evaluation.accuracy);
        self.done.push(evaluation);
        Ok(Some(Event {
            phase: "evaluate".into(),
            step: self.done.len() as u64,
            total: self.archs.len() as u64,
            seconds: self.started.elapsed().as_secs_f64(),
            arch,
            accuracy,
            bn: Some(self.bn.clone()),
            ..Default::default()
        }))
    }

    fn result(&self) -> Result<Value> {
        Ok(json!({ "evaluations": self.done }))
    }
}
