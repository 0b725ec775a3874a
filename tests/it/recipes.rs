//! Every recipe that is shipped reads, and trains two steps.

use std::path::Path;
use std::sync::Arc;

use supernaut::graph::Device;
use supernaut::partition::PartitionConfig;
use supernaut::run::forest;
use supernaut::run::images::Lessons;
use supernaut::run::job::{Cancel, Job};
use supernaut::run::model::Model;
use supernaut::run::project::Project;
use supernaut::run::recipe::{Recipe, RetrainConfig, Start};
use supernaut::run::trainer::Trainer;
use supernaut::search::{Random, StrategyConfig};

use crate::common::{dataset, device_pictures, task};

/// Trains every supernet of a recipe for two steps, and goes on to proven files.
fn run_whole(mut recipe: Recipe) {
    let (folder, data) = (tempfile::tempdir().unwrap(), dataset(12, 8, 16));
    recipe.validation = 8.into();
    recipe.train.epochs = 1;
    for split in &mut recipe.split {
        split.epochs = split.epochs.min(1);
        if let PartitionConfig::GradientMatching(matching) = &mut split.by {
            matching.samples = 1;
        }
    }
    recipe.search.strategy = StrategyConfig::Random(Random { trials: 2 });
    recipe.retrain = RetrainConfig { start: Start::Supernet, epochs: 0, ..recipe.retrain };
    recipe.latency.seconds = 0.01;
    let (levels, name) = (recipe.split.len(), recipe.name.clone());
    let mut project = Project::open(recipe, &data, folder.path(), Cancel::default()).unwrap();
    let result = project.run(&mut ()).unwrap();
    assert_eq!(result["subnets"][0]["verify"]["top1_agreement"], 1.0, "{name}");
    for (file, manifest) in forest::checkpoints(&folder.path().join(forest::FILE)).unwrap() {
        assert_eq!((manifest.part.level, manifest.progress.step, manifest.progress.total), (levels, 2, 2), "{}", file.display());
    }
}

#[test]
fn every_recipe_trains_two_steps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut recipe = Recipe::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        recipe.train.batch = 2;
        let again: Recipe = Recipe::from_json(&serde_json::to_string(&recipe).unwrap()).unwrap();
        assert_eq!((&again, again.hash()), (&recipe, recipe.hash()), "JSON keeps all of it");
        if !recipe.split.is_empty() {
            run_whole(recipe);
            continue;
        }
        let recipe = Arc::new(recipe);
        let model = Model::supernet(recipe.space.clone(), task(16, 10), recipe.seed, Device::Cpu).unwrap();
        let images = device_pictures(8, 16, 1);
        let lessons = Lessons { train: images.all(), validation: images.all(), hash: "data".into() };
        let mut trainer = Trainer::new(recipe, model, lessons).unwrap();
        for _ in 0..2 {
            assert!(trainer.advance().unwrap().unwrap().loss.unwrap().is_finite(), "{}", path.display());
        }
    }
}
