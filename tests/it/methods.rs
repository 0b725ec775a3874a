//! Methods as compositions: each goes on to the same bytes, does what its paper says, and refuses what doesn't go together.

use std::path::Path;
use std::sync::Arc;

use supernaut::Result;
use supernaut::graph::{Device, Plan, Precision, Run, Statistics};
use supernaut::run::checkpoint;
use supernaut::run::images::{Lessons, RunData};
use supernaut::run::job::Job;
use supernaut::run::model::Model;
use supernaut::run::recipe::Recipe;
use supernaut::run::trainer::Trainer;

use crate::common::dataset;

/// A small run: `train` is what the [train] table holds beside its sizes.
fn recipe(train: &str) -> Arc<Recipe> {
    bare(&format!("batch = 8\nepochs = 2\naugment = {{ crop = 1, flip = true }}\n{train}"))
}

/// The same with all of the [train] table given.
fn bare(train: &str) -> Arc<Recipe> {
    let head = "seed = 5\nthreads = 1\nvalidation = 16\nspace = { kind = \"nb201\", channels = 2, cells = 1 }\n[train]\n";
    Arc::new(Recipe::from_toml(&format!("{head}{train}")).unwrap())
}

fn lessons(recipe: &Recipe) -> Lessons {
    RunData::new(recipe, &dataset(80, 16, 8)).unwrap().lessons()
}

fn trainer(recipe: &Arc<Recipe>) -> Result<Trainer> {
    let task = RunData::new(recipe, &dataset(80, 16, 8)).unwrap().task;
    let model = Model::supernet(recipe.space.clone(), task, recipe.seed, Device::Cpu).unwrap();
    Trainer::new(recipe.clone(), model, lessons(recipe))
}

fn finish(mut trainer: Trainer, path: &Path) -> Vec<u8> {
    while trainer.advance().unwrap().is_some() {}
    trainer.save(path).unwrap();
    std::fs::read(path).unwrap()
}

/// A run that is stopped in the middle ends with the bytes of one that isn't.
fn check_resume(train: &str) {
    let (recipe, folder) = (recipe(train), tempfile::tempdir().unwrap());
    let path = folder.path().join("net");
    let whole = finish(trainer(&recipe).unwrap(), &path);
    for stop in [3, 11] {
        let mut part = trainer(&recipe).unwrap();
        (0..stop).for_each(|_| _ = part.advance().unwrap());
        part.save(&path).unwrap();
        let resumed = Trainer::resume(recipe.clone(), lessons(&recipe), &path).unwrap();
        assert!(finish(resumed, &path) == whole, "{train} stopped at step {stop}");
    }
}

fn refused(train: &str) -> String {
    trainer(&recipe(train)).err().unwrap_or_else(|| panic!("{train} must be refused")).to_string()
}

/// With and without CaLR and momentum separation.
const COMBINATIONS: [&str; 4] = [
    "momentum_separation = false\nschedule = { kind = \"cosine\" }\n",
    "momentum_separation = true\nschedule = { kind = \"cosine\" }\n",
    "momentum_separation = false\nschedule = { kind = \"complexity\" }\n",
    "momentum_separation = true\nschedule = { kind = \"complexity\" }\n",
];

/// Two landmarks.
const ORDER: [&str; 2] = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
];

fn landmarks([worse, better]: [&str; 2]) -> String {
    format!("{{ kind = \"landmark\", on = \"train\", archs = [\"{worse}\", \"{better}\"] }}")
}

/// Loss of an architecture on all training images at once.
fn loss(trainer: &Trainer, recipe: &Recipe, arch: &str) -> f64 {
    let (model, images) = (trainer.model(), lessons(recipe).train);
    let (pixels, labels) = images.slice(0, images.len());
    let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
    let plan = Plan::new(model.graph(), &model.parse(arch).unwrap());
    tch::no_grad(|| plan.run(&model.network, &run, &pixels).cross_entropy_for_logits(&labels)).double_value(&[])
}

#[test]
fn landmarks_alone_turn_a_wrong_order_round_and_then_rest() {
    let plain = "momentum = 0.0\nnesterov = false\nweight_decay = 0.0\nmomentum_separation = false\nbatch = 64\nepochs = 60\n";
    let run = |order| {
        let train = format!("{plain}rate = 0.05\nschedule = {{ kind = \"linear\" }}\naugment = {{ crop = 0 }}\n");
        let recipe = bare(&format!("{train}loss = [{}]", landmarks(order)));
        let mut trainer = trainer(&recipe).unwrap();
        let gap = |trainer: &Trainer| loss(trainer, &recipe, order[1]) - loss(trainer, &recipe, order[0]);
        let (before, mut last) = (gap(&trainer), f64::NAN);
        while let Some(event) = trainer.advance().unwrap() {
            last = event.loss.unwrap();
        }
        (before, gap(&trainer), last)
    };
    let orders = [ORDER, [ORDER[1], ORDER[0]]].map(run);
    let wrong = orders.iter().find(|(before, ..)| *before > 0.0).expect("one of the two orders is wrong at first");
    assert!(wrong.1 <= 0.0 && wrong.2 == 0.0, "{orders:?}");
    let right = orders.iter().find(|(before, ..)| *before <= 0.0).expect("and the other is right");
    assert_eq!((right.0, right.2), (right.1, 0.0), "nothing moves: {orders:?}");
}

#[test]
fn landmarks_go_on_to_the_same_bytes_and_join_every_momentum_group() {
    for combination in COMBINATIONS {
        let own = landmarks(ORDER).replace("on = \"train\"", "on = \"validation\"");
        check_resume(&format!("{combination}loss = [{{ kind = \"task\" }}, {own}]"));
    }
}

#[test]
fn landmarks_that_say_nothing_are_refused() {
    let message = refused("loss = [{ kind = \"landmark\" }]");
    assert!(message.starts_with("train.loss.landmark: found 0 landmarks, wanted at least 2"), "{message}");
    let message = refused(&format!("loss = [{}]", landmarks([ORDER[0]; 2])));
    assert!(
        message.starts_with("train.loss.landmark: found |nor_conv_3x3~0|") && message.ends_with("each landmark once"),
        "{message}"
    );
    let message = refused("loss = [{ kind = \"landmark\", archs = [\"|a|\", \"|b|\"] }]");
    assert!(message.starts_with("arch: found \"|a|\""), "{message}");
}

#[test]
fn the_landmarks_of_the_recipe_are_in_their_true_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = root.join("../shared/data/nb201/nb201-cifar10.csv.gz");
    if !table.is_file() {
        return eprintln!("skipped: {} is not there", table.display());
    }
    let truth = supernaut::rank::Truth::read(table).unwrap();
    let recipe = Recipe::read(&root.join("recipes/nb201-landmark.toml")).unwrap();
    let supernaut::loss::LossConfig::Landmark(landmark) = &recipe.train.loss[1] else { panic!("it has landmarks") };
    let accuracies: Vec<f64> = landmark.archs.iter().map(|arch| truth.get(arch, "cifar10_test").unwrap()).collect();
    assert!(accuracies.len() > 2 && accuracies.is_sorted(), "{accuracies:?}");
}

const POOLS: &str = "sampler = { kind = \"sandwich\", inner = { kind = \"prioritised\", size = 3, draws = 500, chance = [0.5, 0.5], \
                     buckets = [{ metric = \"params\", from = 0.0, to = 20000.0, step = 2000.0 }] } }\n\
                     loss = [{ kind = \"task\", of = \"largest\" }, { kind = \"distil\" }]\n";

#[test]
fn pools_go_on_to_the_same_bytes() {
    COMBINATIONS.iter().for_each(|combination| check_resume(&format!("{combination}{POOLS}")));
}

#[test]
fn a_sandwich_learns_labels_at_the_top_and_answers_below() {
    let recipe = recipe(&format!("{}{POOLS}", COMBINATIONS[0]));
    let mut trainer = trainer(&recipe).unwrap();
    let event = trainer.advance().unwrap().unwrap();
    let archs: Vec<String> = event.arch.unwrap().split(',').map(str::to_owned).collect();
    assert_eq!((archs.len(), archs[0].as_str()), (3, ORDER[0]), "all 3×3 is the largest");
    assert_eq!(archs[2], "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", "the smallest that reads the image");
    let state = &trainer.saved().states["sampler"];
    let pools: Vec<Vec<(Vec<usize>, f64)>> = state.read().unwrap();
    let entries: Vec<&(Vec<usize>, f64)> = pools.iter().flatten().collect();
    assert_eq!(entries.len(), 1, "one path a step is scored");
    assert_eq!(recipe.space.parse(&archs[1]).unwrap().options(), entries[0].0);
    assert!((-6.0..0.0).contains(&entries[0].1), "minus a cross entropy: {entries:?}");
}

#[test]
fn the_smallest_path_of_every_momentum_group_reads_the_image() {
    let recipe = recipe(&format!("{}momentum_gene = \"3<-0\"\n{POOLS}", COMBINATIONS[1]));
    let mut trainer = trainer(&recipe).unwrap();
    let graph = trainer.model().graph().clone();
    let mut dead = 0;
    while let Some(event) = trainer.advance().unwrap() {
        let smallest = recipe.space.parse(event.arch.unwrap().rsplit(',').next().unwrap()).unwrap();
        assert!(graph.reads_image(&smallest), "{}", recipe.space.text(&smallest));
        dead += usize::from(recipe.space.text(&smallest).contains("none~0|none~1"));
    }
    assert!(dead > 0, "a group whose edge is dead was drawn");
}

#[test]
fn a_probe_learns_where_the_classifier_has_no_bias() {
    let head = "validation = 16\nspace = { kind = \"shufflenet\", stem_channels = 8, stem_stride = 1, last_channels = 16, \
                stages = [{ channels = 16, layers = 1, stride = 2 }] }\n";
    let train =
        "[train]\nbatch = 8\nepochs = 1\nmomentum_separation = false\nloss = [{ kind = \"task\" }, { kind = \"probe\" }]\n";
    let recipe = Arc::new(Recipe::from_toml(&format!("{head}{train}")).unwrap());
    let mut trainer = trainer(&recipe).unwrap();
    assert!(trainer.advance().unwrap().unwrap().loss.unwrap() > 0.0);
}

#[test]
fn a_method_that_would_do_nothing_is_refused() {
    let refused = |rest: &str| {
        let text = format!("validation = 16\nspace = {{ kind = \"nb201\" }}\ntrain = {{ epochs = 5, {rest}");
        Recipe::from_toml(&text).unwrap_err().to_string()
    };
    let landmark = "loss = [{ kind = \"task\" }, { kind = \"landmark\", warm_up = 5 }] }";
    let wanted = "wanted more than the warm_up of train.loss, 5 epochs, before which it does nothing";
    assert_eq!(refused(landmark), format!("train.epochs: found 5, {wanted}"));
    let split = "\n[[split]]\nby = { kind = \"exhaustive\", genes = [\"1<-0\"] }\nepochs = 4\ninherit = \"nothing\"";
    let later = landmark.replace("warm_up = 5", "warm_up = 4") + split;
    assert_eq!(refused(&later), format!("split[0].epochs: found 4, {}", wanted.replace("5 epochs", "4 epochs")));
    let message = refused("sampler = { kind = \"sandwich\", inner = { kind = \"shift\", warm_up = 9 } } }");
    assert!(message.starts_with("train.epochs: found 5, wanted more than the warm_up of train.sampler, 9 epochs"), "{message}");
    let message = refused("loss = [{ kind = \"cross_path\" }] }");
    assert!(message.starts_with("train.loss: found a term of two paths with a sampler that gives others"), "{message}");
}

#[test]
fn a_loss_of_the_largest_path_alone_needs_a_sampler_that_gives_it() {
    let text = "validation = 16\nspace = { kind = \"nb201\" }\ntrain = { loss = [{ kind = \"task\", of = \"largest\" }] }";
    let message = Recipe::from_toml(text).unwrap_err().to_string();
    assert!(message.starts_with("train.loss: found a term of the largest path") && message.contains("sandwich"), "{message}");
}

const SHIFT: &str = "sampler = { kind = \"shift\", metric = \"params\", bins = 4, warm_up = 1, every = 3, hidden = 8 }\n";

#[test]
fn shifted_shares_go_on_to_the_same_bytes() {
    COMBINATIONS.iter().for_each(|combination| check_resume(&format!("{combination}{SHIFT}")));
}

#[test]
fn shares_move_after_the_warm_up_and_a_path_of_each_cost_is_picked() {
    let recipe = recipe(&format!("{}{SHIFT}", COMBINATIONS[0]));
    let mut trainer = trainer(&recipe).unwrap();
    let shares = |trainer: &Trainer| trainer.saved().states["sampler"].values[0].clone();
    let logit = |shares: &serde_json::Value, bin: usize| shares[bin]["logit"].as_f64().unwrap();
    (0..9).for_each(|_| _ = trainer.advance().unwrap()); // an epoch has 8 steps, the next move comes with step 9
    assert!((0..4).all(|bin| logit(&shares(&trainer), bin) == 0.0));
    trainer.advance().unwrap();
    let moved = shares(&trainer);
    assert!((0..4).any(|bin| logit(&moved, bin) > 0.0) && (0..4).any(|bin| logit(&moved, bin) < 0.0), "{moved}");
    let picks = trainer.result().unwrap()["picks"].clone();
    let picks: Vec<&str> = picks.as_array().unwrap().iter().map(|pick| pick.as_str().unwrap()).collect();
    assert!(picks.len() == 4 && picks.iter().all(|pick| recipe.space.parse(pick).is_ok()), "{picks:?}");
}

const CROSS: &str = "sampler = { kind = \"disjoint\" }\nloss = [{ kind = \"cross_path\", negatives = 20, hidden = 16, width = 8 }, \
                     { kind = \"probe\" }]\n";

#[test]
fn a_mean_teacher_goes_on_to_the_same_bytes() {
    [COMBINATIONS[0], COMBINATIONS[2]].iter().for_each(|combination| check_resume(&format!("{combination}{CROSS}")));
}

#[test]
fn crossed_paths_have_no_momentum_group() {
    let message = refused(&format!("momentum_separation = true\n{CROSS}"));
    assert!(message.starts_with("train.momentum_separation: found true with the sampler \"disjoint\""), "{message}");
    let fair = recipe(&CROSS.replace("disjoint", "fair"));
    let message = trainer(&fair).unwrap().advance().unwrap_err().to_string();
    assert_eq!(message, "train.loss.cross_path: found 5 paths a step, wanted two: sampler = { kind = \"disjoint\" }");
}

/// The weights after one step of `train`, by the name of the weight, as far as they moved.
fn moved(train: &str) -> Vec<String> {
    let recipe = recipe(&format!("momentum_separation = false\nweight_decay = 0.0\n{train}"));
    let mut trainer = trainer(&recipe).unwrap();
    let flat = |trainer: &Trainer| Vec::<f32>::try_from(trainer.model().network.flat().copy()).unwrap();
    let before = flat(&trainer);
    trainer.advance().unwrap();
    let after = flat(&trainer);
    let slots = trainer.model().network.slots();
    let moves = |range: &std::ops::Range<i64>| (range.start..range.end).any(|at| before[at as usize] != after[at as usize]);
    slots.iter().filter(|slot| moves(&slot.range)).map(|slot| slot.name.clone()).collect()
}

#[test]
fn labels_reach_the_classifier_alone() {
    let probe = "sampler = { kind = \"disjoint\" }\nloss = [{ kind = \"probe\" }]\n";
    assert_eq!(moved(probe), ["classifier.weight", "classifier.bias"]);
    let crossed = moved(&CROSS.replace(", { kind = \"probe\" }", ""));
    assert!(crossed.iter().any(|name| name == "stem.conv.weight"), "{crossed:?}");
    assert!(crossed.iter().all(|name| !name.starts_with("classifier")), "{crossed:?}");
}

#[test]
fn a_step_moves_the_neck_and_replaces_the_oldest_answers() {
    let recipe = recipe(&format!("{}{CROSS}", COMBINATIONS[0]));
    let mut trainer = trainer(&recipe).unwrap();
    let state = |trainer: &Trainer| trainer.saved().states["loss.0"].clone();
    let before = state(&trainer);
    trainer.advance().unwrap();
    let after = state(&trainer);
    let differ = |name: &str| -> Vec<usize> {
        let rows = [&before, &after].map(|state| &state.numbers[name]);
        (0..rows[0].len()).filter(|&at| rows[0][at] != rows[1][at]).collect()
    };
    assert!(differ("neck").len() > 100, "of {}", before.numbers["neck"].len());
    assert_eq!(differ("neck_of_teacher").len(), 0, "at first the teacher is where the student is");
    let columns: std::collections::BTreeSet<usize> = differ("queue").into_iter().map(|at| at % 20).collect();
    assert_eq!((columns.into_iter().collect::<Vec<_>>(), after.values), ((0..8).collect(), 8.into()));
    trainer.advance().unwrap();
    assert!(state(&trainer).numbers["neck_of_teacher"] != before.numbers["neck_of_teacher"], "then it follows");
}

#[test]
fn what_a_part_remembers_must_fit_it() {
    let (folder, recipe) = (tempfile::tempdir().unwrap(), recipe(&format!("{}{CROSS}", COMBINATIONS[0])));
    let path = folder.path().join("net");
    trainer(&recipe).unwrap().save(&path).unwrap();
    let mut saved = checkpoint::load(&path, Device::Cpu).unwrap();
    saved.states.get_mut("loss.0").unwrap().numbers.insert("queue".into(), vec![0.0; 3]);
    let message = Trainer::go_on(recipe.clone(), lessons(&recipe), saved).err().unwrap().to_string();
    assert_eq!(message, "checkpoint state `queue`: found 3 numbers, wanted 160");
}
