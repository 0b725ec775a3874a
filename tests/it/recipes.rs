//! Every recipe that is shipped reads, trains two steps, and ends in proven files; with CaLR and momentum separation on or off.

use std::path::Path;

use supernaut::Result;
use supernaut::loss::LossConfig;
use supernaut::partition::PartitionConfig;
use supernaut::run::forest;
use supernaut::run::job::{Cancel, Event};
use supernaut::run::project::{Project, Watch};
use supernaut::run::recipe::{Recipe, RetrainConfig, SearchConfig, Start};
use supernaut::sampler::SamplerConfig;
use supernaut::schedule::{ComplexityAware, Cosine, ScheduleConfig};
use supernaut::search::{Random, StrategyConfig};
use supernaut::space::SpaceConfig;

use crate::common::dataset;

/// All shipped recipes.
fn recipes() -> Vec<Recipe> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let read = |path: &Path| Recipe::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::fs::read_dir(folder).unwrap().map(|entry| read(&entry.unwrap().path())).collect()
}

/// The same in the least time: two steps of two images for each supernet, two candidates, no retraining.
fn shortened(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.validation = 8.into();
    (recipe.train.epochs, recipe.train.batch) = (1, 2);
    if let SamplerConfig::Shift(shift) = &mut recipe.train.sampler {
        shift.warm_up = 0;
    }
    for term in &mut recipe.train.loss {
        if let LossConfig::Landmark(landmark) = term {
            landmark.warm_up = 0;
        }
    }
    for split in &mut recipe.split {
        split.epochs = split.epochs.min(1);
        if let PartitionConfig::GradientMatching(matching) = &mut split.by {
            matching.samples = 1;
        }
    }
    let strategy = StrategyConfig::Random(Random { trials: 2 });
    recipe.search = SearchConfig { strategy, images: 0, limits: Default::default(), ..recipe.search };
    recipe.retrain = RetrainConfig { start: Start::Supernet, epochs: 0, ..recipe.retrain };
    recipe.latency.seconds = 0.01;
    recipe
}

/// The keys of all tables in `value`, but for those that are names of the user's.
fn keys(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(table) => table.iter().for_each(|(key, value)| {
            found.insert(key.clone());
            keys(value, found);
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn every_key_and_kind_is_in_the_manual() {
    let manual = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipe.md")).unwrap();
    let mut words = std::collections::BTreeSet::new();
    for recipe in recipes().iter().filter(|recipe| !matches!(recipe.space, SpaceConfig::Custom(_))) {
        keys(&serde_json::to_value(recipe).unwrap(), &mut words);
    }
    use supernaut::{data, loss, partition, sampler, schedule, search, space};
    let kinds = [data::KINDS, loss::KINDS, partition::KINDS, sampler::KINDS, schedule::KINDS, search::KINDS, space::KINDS];
    words.extend(kinds.concat().into_iter().map(String::from));
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    // What stands in code: every other part between backquotes.
    let told: std::collections::BTreeSet<&str> =
        manual.split('`').skip(1).step_by(2).flat_map(|code| code.split(|letter| !is_letter(letter))).collect();
    let missing: Vec<&String> = words.iter().filter(|word| !told.contains(word.as_str())).collect();
    assert!(words.len() > 100 && missing.is_empty(), "{} words, without {missing:?}", words.len());
}

/// Sees that the loss of every step is a number.
struct Finite;

impl Watch for Finite {
    fn event(&mut self, event: &Event) {
        assert!(event.phase != "train" || event.loss.is_some_and(f64::is_finite), "{event:?}");
    }
}

/// Runs `work` on a project of `recipe` with small pictures, after which every supernet has been trained for two steps.
fn in_a_project<T>(recipe: &Recipe, work: impl FnOnce(&mut Project) -> Result<T>) -> Result<T> {
    let folder = tempfile::tempdir().unwrap();
    let mut project = Project::open(recipe.clone(), &dataset(12, 8, 16), folder.path(), Cancel::default())?;
    let result = work(&mut project)?;
    let file = if recipe.split.is_empty() { "supernet.safetensors" } else { forest::FILE };
    for (file, manifest) in forest::checkpoints(&folder.path().join(file))? {
        let progress = (manifest.part.level, manifest.progress.step, manifest.progress.total);
        assert_eq!(progress, (recipe.split.len(), 2, 2), "{}: {}", recipe.name, file.display());
    }
    Ok(result)
}

/// The release makes a round of every 10,000 steps: three of 100 epochs of CIFAR-10's half in batches of 64.
#[test]
fn the_rounds_of_rsps_are_those_of_its_steps() {
    let rounds = |epochs: u64, batch: u64| (epochs * 25_000 / batch / 10_000).max(1) as usize;
    assert_eq!((100 * 25_000 / 64, rounds(100, 64)), (39_062, 3));
    let recipe = recipes().into_iter().find(|recipe| recipe.name == "nb201-rsps").unwrap();
    let StrategyConfig::Rounds(settings) = &recipe.search.strategy else { panic!("it searches in rounds") };
    assert_eq!(settings.rounds, rounds(recipe.train.epochs, recipe.train.batch as u64));
}

#[test]
fn a_folder_is_another_recipes_only_while_nothing_was_made_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = |seed| {
        let text =
            format!("seed = {seed}\nvalidation = 4\nspace = {{ kind = \"nb201\", channels = 2, cells = 1 }}\ntrain = {{}}");
        Project::open(Recipe::from_toml(&text).unwrap(), &dataset(12, 8, 16), folder.path(), Cancel::default()).map(|_| ())
    };
    open(1).unwrap();
    open(2).unwrap(); // the first was refused for something else before it began, say
    std::fs::write(folder.path().join("evaluations.jsonl"), "{}\n").unwrap();
    open(2).unwrap();
    assert!(open(1).unwrap_err().to_string().contains("found a run of a different recipe"));
}

#[test]
fn every_recipe_trains_two_steps_and_ends_in_proven_files() {
    for recipe in recipes() {
        let again: Recipe = Recipe::from_json(&serde_json::to_string(&recipe).unwrap()).unwrap();
        assert_eq!((&again, again.hash()), (&recipe, recipe.hash()), "JSON keeps all of it");
        let result = in_a_project(&shortened(&recipe), |project| project.run(&mut Finite)).unwrap();
        let subnets = result["subnets"].as_array().unwrap();
        assert!(!subnets.is_empty() && subnets.iter().all(|subnet| subnet["verify"]["top1_agreement"] == 1.0), "{}", recipe.name);
    }
}

/// Π-NAS trains two paths a step that differ in every operation, so that no momentum group has both.
#[test]
fn calr_and_momentum_separation_go_with_every_method_but_separation_with_pi_nas() {
    let calr = ScheduleConfig::ComplexityAware(ComplexityAware::default());
    for mut recipe in recipes().iter().filter(|recipe| recipe.name.starts_with("nb201-")).map(shortened) {
        if let SpaceConfig::Nb201(nb201) = &mut recipe.space {
            nb201.cells = 1;
        }
        for (schedule, separation) in [(None, false), (None, true), (Some(&calr), false), (Some(&calr), true)] {
            recipe.train.schedule = schedule.cloned().unwrap_or(ScheduleConfig::Cosine(Cosine::default()));
            recipe.train.momentum_separation = separation;
            let outcome = in_a_project(&recipe, |project| project.train(&mut Finite).map(|_| ()));
            let message = outcome.err().map_or(String::new(), |error| error.to_string());
            let wanted = match recipe.name == "nb201-pinas" && separation {
                true => "train.momentum_separation: found true with the sampler \"disjoint\"",
                false => "",
            };
            assert!(message.starts_with(wanted) && message.is_empty() == wanted.is_empty(), "{}: {message}", recipe.name);
        }
    }
}
