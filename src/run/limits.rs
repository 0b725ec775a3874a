//! Limits on what a subnet may cost: what lies beyond, by how much, and what no architecture meets.

use super::export::latency_as_shipped;
use super::recipe::{Limit, Limits, Recipe};
use crate::arch::{Arch, Cost, Metric, Region};
use crate::graph::Graph;
use crate::space::{Norm, SpaceConfig, Task};
use crate::{Error, Result};

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
