//! Ground truth for a space without a table: a few architectures, each trained alone and tested.
//!
//! Which ones: [`DRAWS`] times as many are drawn uniformly, and those that compute what another one does, or nothing, are
//! left out. As many targets as are wanted lie at equal steps of ln(params) from the smallest of them to the largest; each
//! target in turn takes the nearest that is left. Uniform draws alone would crowd at middling sizes, and a bias towards small
//! or large networks is seen at the ends.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::evaluate::Evaluator;
use super::job::Cancel;
use super::model::Model;
use super::project::{Project, Watch};
use super::recipe::{BnPolicy, ExportConfig, LatencyConfig, Recipe, RetrainConfig, SearchConfig, Start, TrainConfig};
use crate::arch::stream::stream;
use crate::arch::{Arch, Cost, Region};
use crate::data::Dataset;
use crate::graph::{Graph, Plan, device};
use crate::space::{Norm, Task};
use crate::{Error, Result, files};

/// Draws for each architecture that is wanted.
const DRAWS: usize = 64;

/// The column of the table that holds what was measured.
pub const COLUMN: &str = "accuracy";

/// Trains `count` architectures of the recipe's space alone, by its `[retrain]` table and from fresh weights, and tests them
/// on the test images. Gives the table: `ground.csv` in `folder` with `arch`, `accuracy` (per cent of the test images),
/// `params` and `macs`.
///
/// It is a function of data, space, `[retrain]` and `seed`; nothing of how a supernet is trained or searched is looked at,
/// so one folder serves for all methods. Work that was stopped goes on where it was.
///
/// # Errors
/// As [`Project::open`], and [`Error::Invalid`] where so many different networks aren't found or `retrain.epochs` is 0.
pub fn train(
    recipe: &Recipe,
    data: &Dataset,
    folder: &Path,
    count: usize,
    seed: u64,
    cancel: Cancel,
    watch: &mut dyn Watch,
) -> Result<PathBuf> {
    let recipe = alone(recipe, seed)?;
    let supernet = Model::supernet(recipe.space.clone(), Task::of(data)?, seed, device(&recipe.device)?)?;
    let counted = supernet.space.graph(&supernet.task, Norm::Own)?;
    let archs = spread(supernet.graph(), &counted, count, seed)?;
    let (batch, compute) = (recipe.search.batch, recipe.compute(supernet.network.device())?);
    let mut project = Project::open(recipe, data, folder, cancel)?;
    let mut table = format!("arch,{COLUMN},params,macs\n");
    for arch in archs {
        let key = Plan::live(supernet.graph(), &arch).key();
        let model = project.retrain(&supernet, &format!("ground-{}", &key[..12]), &arch, watch)?;
        let data = project.data();
        let batch = data.memory.batch(batch)?;
        let mut evaluator = Evaluator::new(data.test.all(), &data.train, &BnPolicy::Batch {}, batch, compute, seed);
        let (accuracy, Cost { params, macs, .. }) = (100.0 * evaluator.accuracy(&model.into(), &arch)?, counted.cost(&arch));
        table += &format!("{},{accuracy},{params},{macs}\n", supernet.space.text(&arch));
    }
    let path = folder.join("ground.csv");
    files::write_whole(&path, table.as_bytes())?;
    Ok(path)
}

/// The recipe without what networks that stand alone don't depend on.
fn alone(recipe: &Recipe, seed: u64) -> Result<Recipe> {
    if recipe.retrain.epochs == 0 {
        return Err(Error::invalid("retrain.epochs", 0, "at least 1: ground truth is trained from fresh weights"));
    }
    let retrain = RetrainConfig { start: Start::Scratch, ..recipe.retrain.clone() };
    let train = TrainConfig { batch: retrain.batch, momentum_separation: false, ..TrainConfig::default() };
    let search = SearchConfig { batch: recipe.search.batch, ..SearchConfig::default() };
    let (latency, export, name) = (LatencyConfig::default(), ExportConfig::default(), "ground truth".into());
    Ok(Recipe { name, seed, split: vec![], train, search, retrain, latency, export, ..recipe.clone() })
}

/// `count` architectures that compute different things, spread over their size: see the [module](self).
fn spread(graph: &Graph, counted: &Graph, count: usize, seed: u64) -> Result<Vec<Arch>> {
    if count < 2 {
        return Err(Error::invalid("ground", count, "at least 2: one alone has no rank"));
    }
    evenly(candidates(graph, counted, DRAWS * count, seed)?, count)
}

/// What so many random draws hold of different networks that read the image, with ln(params).
fn candidates(graph: &Graph, counted: &Graph, draws: usize, seed: u64) -> Result<Vec<(f64, Arch)>> {
    let (mut rng, region) = (stream(seed, "ground", 0), Region::whole(graph.genes()));
    let (mut drawn, mut keys, mut candidates) = (HashSet::new(), HashSet::new(), vec![]);
    for _ in 0..draws {
        let arch = region.draw(&mut rng);
        if !drawn.insert(arch.clone()) {
            continue; // a key takes longer than a look
        }
        if graph.reads_image(&arch) && keys.insert(Plan::live(graph, &arch).key()) {
            candidates.push(((counted.cost(&arch).params as f64).ln(), arch));
        }
    }
    Ok(candidates)
}

/// `count` of the candidates, the nearest to each of as many equal steps, in the order of size.
fn evenly(mut candidates: Vec<(f64, Arch)>, count: usize) -> Result<Vec<Arch>> {
    if candidates.len() < count {
        let found = format!("{count}, where random draws hold {} different networks", candidates.len());
        return Err(Error::invalid("ground", found, "no more than these"));
    }
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0)); // stable: of equal sizes the first drawn
    let (least, most) = (candidates[0].0, candidates[candidates.len() - 1].0);
    let mut chosen: Vec<(f64, Arch)> = vec![];
    for at in 0..count {
        let target = least + (most - least) * at as f64 / (count - 1) as f64;
        let miss = |candidate: &(f64, Arch)| (candidate.0 - target).abs();
        let nearest = (0..candidates.len()).min_by(|&a, &b| miss(&candidates[a]).total_cmp(&miss(&candidates[b])));
        chosen.push(candidates.remove(nearest.expect("there are enough")));
    }
    chosen.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(chosen.into_iter().map(|(_, arch)| arch).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Nb201, SpaceConfig};

    fn graphs() -> [Graph; 2] {
        let task = Task { image: [3, 8, 8], classes: vec!["a".into(), "b".into()], mean: vec![0.5; 3], deviation: vec![0.2; 3] };
        let space = SpaceConfig::Nb201(Nb201 { channels: 4, cells: 1, ..Default::default() });
        [Norm::Shared, Norm::Own].map(|norm| space.graph(&task, norm).unwrap())
    }

    #[test]
    fn ground_truth_is_spread_evenly_over_sizes_and_holds_nothing_twice() {
        let [graph, counted] = graphs();
        let archs = spread(&graph, &counted, 12, 0).unwrap();
        let keys: HashSet<String> = archs.iter().map(|arch| Plan::live(&graph, arch).key()).collect();
        assert_eq!((archs.len(), keys.len()), (12, 12));
        let sizes: Vec<f64> = archs.iter().map(|arch| (counted.cost(arch).params as f64).ln()).collect();
        let step = (sizes[11] - sizes[0]) / 11.0;
        for (at, size) in sizes.iter().enumerate() {
            assert!((size - sizes[0] - at as f64 * step).abs() < step, "{sizes:?}");
        }
        assert_eq!(spread(&graph, &counted, 12, 0).unwrap(), archs);
        assert_ne!(spread(&graph, &counted, 12, 1).unwrap(), archs);
    }

    #[test]
    fn too_many_or_too_few_are_refused() {
        let [graph, counted] = graphs();
        let alone = spread(&graph, &counted, 1, 0).unwrap_err().to_string();
        assert_eq!(alone, "ground: found 1, wanted at least 2: one alone has no rank");
        let few = candidates(&graph, &counted, 40, 0).unwrap();
        let (all, more) = (evenly(few.clone(), few.len()), evenly(few.clone(), 41).unwrap_err().to_string());
        assert_eq!(all.unwrap().len(), few.len(), "as many as there are");
        assert!(more.starts_with("ground: found 41, where random draws hold "), "{more}");
    }
}
