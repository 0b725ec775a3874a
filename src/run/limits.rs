//! Limits on what a subnet may cost: what lies beyond, by how much, and what no architecture meets.

use super::export::latency_as_shipped;
use super::recipe::{Limit, Limits, Recipe};
use crate::arch::{Arch, Cost, Metric, Region};
use crate::graph::{Graph, Plan};
use crate::space::{Norm, SpaceConfig, Task};
use crate::{Error, Result};

/// How far `value` lies outside.
pub(super) fn excess(limit: Limit, value: f64) -> f64 {
    let below = limit.min.map_or(0.0, |min| min - value);
    let above = limit.max.map_or(0.0, |max| value - max);
    below.max(above).max(0.0)
}

/// The same as a share of the limit, so that several can be added up.
pub(super) fn missed(limit: Limit, value: f64) -> f64 {
    excess(limit, value) / limit.max.or(limit.min).unwrap_or(1.0).max(1.0)
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

/// Architectures of a space that are counted one by one where the ways down, gene by gene, find none within.
const MOST_COUNTED: f64 = 20_000.0;

/// An architecture that meets the limits on params and MACs, if there are any and one is found; refuses limits that no
/// architecture meets, as far as that can be told. What costs is what is shipped: architectures without dead operations.
///
/// An end of a limit that is beyond reach by itself is always refused. A window, or several limits at once, are looked for gene
/// by gene; not finding one proves nothing, so all architectures are counted where the space is small, and elsewhere it is left
/// to the search.
pub fn meeting(space: &SpaceConfig, counted: &Graph, limits: &Limits) -> Result<Option<Arch>> {
    let set: Vec<(Metric, Limit)> = limits.set().into_iter().filter(|(metric, _)| metric.of(Cost::default()).is_some()).collect();
    if set.is_empty() {
        return Ok(None);
    }
    let all = Region::whole(counted.genes());
    for &(metric, limit) in &set {
        check_ends(space, counted, metric, limit)?;
    }
    let miss = |arch: &Arch| missed_by(&set, Plan::live(counted, arch).cost(counted));
    if let Some(found) = counted.ends(&all, &miss).find(|end| miss(end) == 0.0) {
        return Ok(Some(found));
    }
    if all.size() > MOST_COUNTED { Ok(None) } else { one_by_one(space, counted, &set) }
}

/// A metric that is counted, not measured.
fn counted_figure(metric: Metric, cost: Cost) -> f64 {
    metric.of(cost).expect("a counted metric")
}

/// How far all limits together are missed.
fn missed_by(set: &[(Metric, Limit)], cost: Cost) -> f64 {
    set.iter().map(|&(metric, limit)| missed(limit, counted_figure(metric, cost))).sum()
}

/// Refuses a limit of which one end is beyond reach by itself.
fn check_ends(space: &SpaceConfig, counted: &Graph, metric: Metric, limit: Limit) -> Result<()> {
    let value = |arch: &Arch| counted_figure(metric, counted.cost(arch));
    for end in limit.ends() {
        let nearest = counted.least_living(&Region::whole(counted.genes()), |arch| excess(end, value(arch)));
        if !end.allows(value(&nearest)) {
            return Err(unreachable_limit(metric, limit, value(&nearest), &space.text(&nearest)));
        }
    }
    Ok(())
}

/// The architecture of the whole space that comes nearest, if it meets all limits; else an error that names it.
fn one_by_one(space: &SpaceConfig, counted: &Graph, set: &[(Metric, Limit)]) -> Result<Option<Arch>> {
    let all = Region::whole(counted.genes());
    let living = all.archs().filter(|arch| counted.reads_image(arch));
    let nearest = living
        .map(|arch| (Plan::live(counted, &arch).cost(counted), arch))
        .min_by(|a, b| missed_by(set, a.0).total_cmp(&missed_by(set, b.0)));
    let Some((cost, arch)) = nearest else { return Ok(None) };
    match set.iter().find(|(metric, limit)| !limit.allows(counted_figure(*metric, cost))) {
        None => Ok(Some(arch)),
        Some(&(metric, limit)) => {
            let text = space.text(&space.canonical(counted, &all, &arch));
            Err(unreachable_limit(metric, limit, counted_figure(metric, cost), &text))
        }
    }
}
