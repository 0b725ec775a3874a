//! Every recipe that is shipped reads, and trains two steps.

use std::path::Path;
use std::sync::Arc;

use supernaut::graph::Device;
use supernaut::run::images::Lessons;
use supernaut::run::job::Job;
use supernaut::run::model::Model;
use supernaut::run::recipe::Recipe;
use supernaut::run::trainer::Trainer;

use crate::common::{device_pictures, task};

#[test]
fn every_recipe_trains_two_steps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut recipe = Recipe::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        recipe.train.batch = 2;
        let again: Recipe = Recipe::from_json(&serde_json::to_string(&recipe).unwrap()).unwrap();
        assert_eq!((&again, again.hash()), (&recipe, recipe.hash()), "JSON keeps all of it");
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
