//! Training: what moves, what stands still, and what a checkpoint brings back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rand::seq::SliceRandom;
use supernaut::Error;
use supernaut::arch::{Arch, Region, stream::stream};
use supernaut::graph::{Device, Network, Plan, Precision, Run, Statistics, set_threads};
use supernaut::run::checkpoint;
use supernaut::run::evaluate::Evaluator;
use supernaut::run::forest::Forest;
use supernaut::run::images::{Lessons, RunData};
use supernaut::run::job::{Event, Job};
use supernaut::run::model::{ComplexityRange, Model};
use supernaut::run::recipe::{BnPolicy, Recipe, TrainConfig};
use supernaut::run::trainer::Trainer;
use supernaut::sampler::{Ask, Fair, Sampler, SamplerConfig};
use supernaut::schedule::{Complexity, ComplexityAware};
use tch::{Kind, Tensor};

use crate::common::dataset;

const RECIPE: &str = r#"
seed = 5
threads = 1
validation = 16
space = { kind = "nb201", channels = 2, cells = 1 }
train = { epochs = 2, batch = 8, rate = 0.05, augment = { crop = 1, flip = true } }
retrain = { epochs = 1, batch = 8 }
"#;

fn recipe(change: impl FnOnce(&mut Recipe)) -> Arc<Recipe> {
    let mut recipe = Recipe::from_toml(RECIPE).unwrap();
    change(&mut recipe);
    Arc::new(recipe)
}

fn data(recipe: &Recipe) -> RunData {
    RunData::new(recipe, &dataset(80, 16, 8)).unwrap()
}

fn supernet_trainer(recipe: &Arc<Recipe>, data: RunData) -> Trainer {
    let model = Model::supernet(recipe.space.clone(), data.task.clone(), recipe.seed, Device::Cpu).unwrap();
    Trainer::new(recipe.clone(), model, data.lessons()).unwrap()
}

fn finish(mut trainer: Trainer, path: &Path) -> Vec<u8> {
    while trainer.advance().unwrap().is_some() {}
    trainer.save(path).unwrap();
    std::fs::read(path).unwrap()
}

fn check_resume(recipe: &Arc<Recipe>, stops: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let whole = finish(supernet_trainer(recipe, data(recipe)), &path("whole"));
    for &stop in stops {
        let mut trainer = supernet_trainer(recipe, data(recipe));
        (0..stop).for_each(|_| _ = trainer.advance().unwrap());
        trainer.save(&path("part")).unwrap();
        drop(trainer);
        let data = data(recipe);
        let resumed = Trainer::resume(recipe.clone(), data.lessons(), &path("part")).unwrap();
        assert_eq!(resumed.step(), stop);
        assert!(finish(resumed, &path("resumed")) == whole, "stopped at step {stop}");
    }
}

#[test]
fn a_run_resumed_at_any_step_ends_with_the_same_bytes() {
    check_resume(&recipe(|_| ()), &[0, 1, 7, 8, 15]);
    check_resume(&recipe(|recipe| recipe.train.sampler = SamplerConfig::Fair(Fair {})), &[1, 8]);
}

#[test]
fn a_subnet_resumes_to_the_same_bytes_too() {
    let (recipe, folder) = (recipe(|_| ()), tempfile::tempdir().unwrap());
    let text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|";
    let fresh = || {
        let data = data(&recipe);
        let arch = recipe.space.parse(text).unwrap();
        let model = Model::standalone(recipe.space.clone(), data.task.clone(), arch, recipe.seed, Device::Cpu).unwrap();
        Trainer::new(recipe.clone(), model, data.lessons()).unwrap()
    };
    let whole = finish(fresh(), &folder.path().join("whole"));
    let (mut trainer, path) = (fresh(), folder.path().join("part"));
    (0..3).for_each(|_| _ = trainer.advance().unwrap());
    trainer.save(&path).unwrap();
    let data = data(&recipe);
    assert!(finish(Trainer::resume(recipe.clone(), data.lessons(), &path).unwrap(), &path) == whole);
}

#[test]
fn another_seed_gives_other_weights_and_the_same_seed_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let run = |seed| {
        let recipe = recipe(|recipe| recipe.seed = seed);
        let bytes = finish(supernet_trainer(&recipe, data(&recipe)), &folder.path().join("run"));
        bytes[bytes.len() / 2..].to_vec()
    };
    assert!(run(1) == run(1));
    assert!(run(1) != run(2));
}

/// Weights of operations that the first path doesn't use, before and after it was trained for one step.
fn unused_weights(grad_reset: &str) -> (Vec<f32>, Vec<f32>) {
    let text = RECIPE.replace("rate = 0.05", &format!("rate = 0.05, grad_reset = \"{grad_reset}\", weight_decay = 0.1"));
    let recipe = Arc::new(Recipe::from_toml(&text).unwrap());
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    trainer.advance().unwrap();
    let flat = |trainer: &Trainer| Vec::<f32>::try_from(trainer.model().network.flat().copy()).unwrap();
    let before = flat(&trainer);
    trainer.advance().unwrap();
    (before, flat(&trainer))
}

#[test]
fn what_was_never_sampled_stands_still_and_grad_reset_decides_about_the_rest() {
    let moved = |grad_reset| {
        let (before, after) = unused_weights(grad_reset);
        before.iter().zip(&after).filter(|(a, b)| a != b).count()
    };
    let (zero, none) = (moved("zero"), moved("none"));
    assert!(none < zero, "with zeroed gradients the first path's weights move on: {zero}, without {none}");
    assert!(zero < unused_weights("zero").0.len(), "two paths don't reach every weight");
}

#[test]
fn one_group_and_linear_decay_are_plain_sgd_to_the_last_bit() {
    let plain = r#"schedule = { kind = "linear" }, momentum_separation = false"#;
    let text = RECIPE.replace("rate = 0.05", &format!("rate = 0.05, {plain}"));
    let calr = RECIPE.replace(
        "rate = 0.05",
        r#"rate = 0.05, schedule = { kind = "complexity", gamma_max = 1.0 }, momentum_separation = false"#,
    );
    let weights = |text: &str| {
        let recipe = Arc::new(Recipe::from_toml(text).unwrap());
        let mut trainer = supernet_trainer(&recipe, data(&recipe));
        while trainer.advance().unwrap().is_some() {}
        Vec::<f32>::try_from(trainer.model().network.flat().copy()).unwrap()
    };
    assert!(weights(&text) == weights(&calr));
}

#[test]
fn groups_follow_the_operation_on_the_momentum_edge() {
    let recipe = recipe(|recipe| recipe.train.momentum_gene = Some("3<-2".into()));
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    let mut used = BTreeSet::new();
    for _ in 0..6 {
        let event = trainer.advance().unwrap().unwrap();
        used.insert(recipe.space.parse(&event.arch.unwrap()).unwrap().option(5));
    }
    let folder = tempfile::tempdir().unwrap();
    trainer.save(&folder.path().join("net")).unwrap();
    let saved = checkpoint::load(&folder.path().join("net"), Device::Cpu).unwrap();
    let rows: BTreeSet<usize> = (0..saved.rows.len()).filter(|&row| saved.rows[row].is_some()).collect();
    assert_eq!(rows, used);
}

#[test]
fn all_paths_of_a_step_are_in_one_group() {
    let recipe = recipe(|recipe| recipe.train.sampler = SamplerConfig::Fair(Fair {}));
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    for step in 0..3 {
        let archs = paths(&recipe, &trainer.advance().unwrap().unwrap());
        let options = |gene| archs.iter().map(|arch| arch.option(gene)).collect::<BTreeSet<_>>().len();
        let mut widths: Vec<usize> = (0..6).map(options).collect();
        widths.sort_unstable();
        assert_eq!(widths, [1, 5, 5, 5, 5, 5], "step {step}");
    }
}

/// The paths of a training event.
fn paths(recipe: &Recipe, event: &Event) -> Vec<Arch> {
    event.arch.as_ref().unwrap().split(',').map(|text| recipe.space.parse(text).unwrap()).collect()
}

/// Adds `weight` times the gradient of the loss of `arch` to `sum`, and gives the loss.
fn add_gradient(network: &Network, arch: &Arch, weight: f64, (images, labels): &(Tensor, Tensor), sum: &Tensor) -> f64 {
    let plan = Plan::new(network.graph(), arch);
    let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
    let loss = plan.run(network, &run, images).cross_entropy_for_logits(labels);
    let slots = network.slots_of(&plan);
    let leaves: Vec<&Tensor> = slots.iter().map(|&slot| network.leaf(slot)).collect();
    for (slot, gradient) in slots.iter().zip(Tensor::run_backward(&[&loss], &leaves, false, false)) {
        let range = &network.slots()[*slot].range;
        let _ = sum.narrow(0, range.start, range.end - range.start).g_add_(&(gradient.reshape(-1) * weight));
    }
    loss.double_value(&[])
}

/// Whether the second of two steps on all images, without momentum, decay and clip, moves the weights by `rate` times the
/// sum of the paths' gradients, each times its weight; and whether the event says so.
fn check_sum(schedule: &str, rate: f64, weight: impl Fn(&Complexity) -> f64) {
    let plain = "batch = 64, momentum = 0.0, nesterov = false, weight_decay = 0.0, clip = 0.0, augment = { crop = 0 }";
    let train = format!("{plain}, rate = 0.05, momentum_separation = false, sampler = {{ kind = \"fair\" }}, {schedule}");
    let text = RECIPE.replace("batch = 8, rate = 0.05, augment = { crop = 1, flip = true }", &train);
    let recipe = Arc::new(Recipe::from_toml(&text).unwrap());
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    trainer.advance().unwrap();
    let network = trainer.model().network.shallow_clone();
    let (genes, region) = (network.graph().genes(), Region::whole(network.graph().genes()));
    let archs = Fair {}.ask(&Ask { genes, region: &region, momentum_gene: None, seed: recipe.seed, step: 1 });
    let mut order: Vec<i64> = (0..64).collect();
    order.shuffle(&mut stream(recipe.seed, "shuffle", 1)); // the step's order, so that every ReLU rounds to the same side
    let images = data(&recipe).train.gather(&order);
    let (range, sum, before) = (ComplexityRange::of(network.graph()), network.flat().zeros_like(), network.flat().copy());
    let loss = |arch| add_gradient(&network, arch, weight(&range.place(network.graph(), arch)), &images, &sum);
    let mean = archs.iter().map(loss).sum::<f64>() / 5.0;
    let event = trainer.advance().unwrap().unwrap();
    assert_eq!((paths(&recipe, &event), event.rate), (archs, Some(rate)));
    assert!((event.loss.unwrap() / mean - 1.0).abs() < 1e-6, "{:?}, wanted {mean}", event.loss);
    let moved = (before - network.flat()) / rate;
    let (gap, size) = ((&moved - &sum).abs().max().double_value(&[]), sum.abs().max().double_value(&[]));
    assert!(gap < 1e-4 * size, "{schedule}: off by {gap} of {size}");
}

/// Ways to compute: by our kernels and by libtorch's, which oneDNN spreads over threads of its own accord.
const COMPUTED: [&str; 3] = ["kernels = \"own\"", "kernels = \"libtorch\"", "precision = \"bf16\""];

#[test]
fn paths_side_by_side_learn_what_they_learn_in_turn() {
    let train = "epochs = 1, batch = 8, rate = 0.05, sampler = { kind = \"fair\" }";
    let text = RECIPE.replace("epochs = 2, batch = 8, rate = 0.05", train).replace("channels = 2", "channels = 8");
    let folder = tempfile::tempdir().unwrap();
    for (computed, tolerance) in COMPUTED.into_iter().zip([1e-6, 1e-6, 1e-2]) {
        let recipe = |more: &str| Arc::new(Recipe::from_toml(&format!("{computed}\n{more}\n{text}")).unwrap());
        let trained = |recipe: &Arc<Recipe>, threads| {
            set_threads(threads);
            let mut trainer = supernet_trainer(recipe, data(recipe));
            (0..4).for_each(|_| _ = trainer.advance().unwrap());
            (trainer.model().network.flat().copy(), finish(trainer, &folder.path().join("whole")))
        };
        let [turns, side, again] = [1, 2, 2].map(|threads| trained(&recipe(""), threads));
        let gap = (&turns.0 - &side.0).abs().max().double_value(&[]);
        assert!(gap < tolerance, "{computed}: {gap}");
        assert!(side.1 == again.1, "the same threads give the same bytes");
        let together = |more| recipe(more).compute(Device::Cpu).unwrap().together;
        assert!(together("") > 0 && together("memory_limit = 8000") == 0, "a limit keeps them in turn");
    }
}

#[test]
fn batches_side_by_side_count_what_batches_in_turn_count() {
    COMPUTED.iter().for_each(|computed| check_batches(computed));
}

fn check_batches(computed: &str) {
    let text = RECIPE.replace("epochs = 2", "epochs = 4").replace("channels = 2", "channels = 8");
    let recipe = Arc::new(Recipe::from_toml(&format!("{computed}\n{text}")).unwrap());
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    while trainer.advance().unwrap().is_some() {}
    let (model, images) = (trainer.into_model(), data(&recipe).train);
    let forest = Forest::from(model.shallow_clone());
    let compute = recipe.compute(Device::Cpu).unwrap();
    for options in [[3, 0, 0, 3, 2, 1], [2, 4, 1, 3, 3, 0], [4, 4, 4, 4, 4, 4]] {
        let arch = Arch::new(model.graph().genes(), &options).unwrap();
        // Eleven batches of six, the last one short; none is left out or counted twice.
        let plan = Plan::with(model.graph(), &arch, compute.kernels);
        let run = Run { statistics: Statistics::Batch, precision: recipe.precision };
        let hits = |start| {
            let (pixels, labels) = images.slice(start, 6);
            plan.run(&model.network, &run, &pixels).argmax(1, false).eq_tensor(&labels).sum(Kind::Int64).int64_value(&[])
        };
        let wanted = (0..64).step_by(6).map(hits).sum::<i64>() as f64 / 64.0;
        let accuracy = |threads, bn: &BnPolicy| {
            set_threads(threads);
            Evaluator::new(images.all(), &images, bn, 6, compute, 1).accuracy(&forest, &arch).unwrap()
        };
        assert_eq!([1, 2, 3].map(|threads| accuracy(threads, &BnPolicy::Batch {})), [wanted; 3]);
        let [one, two] = [1, 2].map(|threads| accuracy(threads, &BnPolicy::Recalibrate { images: 24 }));
        assert_eq!(one, two);
    }
}

#[test]
fn one_update_is_made_of_the_sum_of_the_paths_gradients() {
    check_sum(r#"schedule = { kind = "linear" }"#, 0.025, |_| 1.0);
}

#[test]
fn with_several_paths_calr_weighs_the_losses_and_leaves_the_rate() {
    let gamma = |complexity: &Complexity| ComplexityAware { gamma_max: 2.0 }.exponent(complexity);
    check_sum(r#"schedule = { kind = "complexity", gamma_max = 2.0 }"#, 0.05, |complexity| 0.5f64.powf(gamma(complexity)));
}

#[test]
fn a_loss_that_is_not_a_number_is_named_and_leaves_the_weights() {
    let recipe = recipe(|_| ());
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    trainer.advance().unwrap();
    let mut bias = trainer.model().network.leaf(trainer.model().network.slots().len() - 1).detach();
    let _ = bias.fill_(f64::NAN);
    let error = trainer.advance().unwrap_err();
    assert!(matches!(error, Error::Numeric(_)), "{error}");
    assert!(error.to_string().starts_with("loss is NaN at step 1 on |"), "{error}");
    assert_eq!(trainer.step(), 1);
}

#[test]
fn a_gradient_that_is_not_a_number_is_named_though_the_loss_is_one() {
    let recipe = recipe(|_| ());
    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    for slot in trainer.model().network.slots().iter().map(|slot| slot.name.clone()).enumerate() {
        let mut leaf = trainer.model().network.leaf(slot.0).detach();
        // Huge logits of tiny values: what comes back to the first layers is beyond fp32.
        let factor = if slot.1.starts_with("classifier") { 1e36 } else { 1e-4 };
        let _ = leaf.g_mul_scalar_(factor);
    }
    let error = trainer.advance().unwrap_err().to_string();
    assert!(error.starts_with("norm of the gradient is ") && error.contains(" at step 0 on |"), "{error}");
    assert_eq!(trainer.step(), 0);
}

#[test]
fn data_that_lie_class_by_class_are_judged_on_a_fair_part() {
    let lie = |count: usize| {
        let labels = (0..count).map(|image| (image * 8 / count) as u16);
        supernaut::data::Images::new("sorted", vec![0; count * 3 * 8 * 8], labels, [3, 8, 8], 8).unwrap()
    };
    let data = supernaut::data::Dataset::new(lie(800), lie(400), (0..8).map(|class| class.to_string()).collect());
    let text = "seed = 3\nvalidation = 400\nspace = { kind = \"nb201\" }\ntrain = {}";
    let images = RunData::new(&Recipe::from_toml(text).unwrap(), &data).unwrap();
    for images in [&images.validation, &images.test] {
        let labels = Vec::<i64>::try_from(images.first(100).slice(0, 100).1).unwrap();
        let of_class = |class: i64| labels.iter().filter(|&&label| label == class).count();
        // 12.5 on average, deviation about 2.9.
        assert!((0..8).all(|class| (3..=24).contains(&of_class(class))), "{labels:?}");
    }
}

#[test]
fn losses_that_are_read_late_change_nothing_but_when_an_error_is_seen() {
    let (recipe, folder) = (recipe(|_| ()), tempfile::tempdir().unwrap());
    let at_once = finish(supernet_trainer(&recipe, data(&recipe)), &folder.path().join("at once"));
    let mut late = supernet_trainer(&recipe, data(&recipe));
    late.read_losses_behind(1);
    assert_eq!(late.advance().unwrap().unwrap().loss, None);
    assert!(late.advance().unwrap().unwrap().loss.is_some());
    assert!(finish(late, &folder.path().join("late")) == at_once);

    let mut trainer = supernet_trainer(&recipe, data(&recipe));
    trainer.read_losses_behind(1);
    let mut bias = trainer.model().network.leaf(trainer.model().network.slots().len() - 1).detach();
    let _ = bias.fill_(f64::NAN);
    trainer.advance().unwrap();
    assert!(trainer.save(&folder.path().join("never")).unwrap_err().to_string().starts_with("loss is NaN at step 0 on |"));
    assert!(!folder.path().join("never").exists());
}

#[test]
fn a_damaged_or_foreign_checkpoint_is_refused() {
    let (recipe, folder) = (recipe(|_| ()), tempfile::tempdir().unwrap());
    let path = folder.path().join("net.safetensors");
    let whole = finish(supernet_trainer(&recipe, data(&recipe)), &path);
    let refused = |bytes: &[u8], wanted: &str| {
        std::fs::write(&path, bytes).unwrap();
        let message = checkpoint::load(&path, Device::Cpu).err().expect("it must be refused").to_string();
        assert!(message.contains(wanted), "{message}");
    };
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        refused(&flipped, "");
    }
    let mut last = whole.clone();
    *last.last_mut().unwrap() ^= 1;
    refused(&last, "differ from its checksum");
    refused(&whole[..whole.len() - 10], "found");
    refused(b"hello", "wanted a checkpoint");
    let text = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&whole[..at], to.as_bytes(), &whole[at + to.len()..]].concat()
    };
    refused(&text(r#"\"format\":1"#, r#"\"format\":9"#), "found 9, wanted 1");
    std::fs::write(&path, &whole).unwrap();
    let data = data(&recipe);
    let other = Arc::new(Recipe { seed: 6, ..(*recipe).clone() });
    let message = Trainer::resume(other, data.lessons(), &path).err().unwrap().to_string();
    assert!(message.contains("a different recipe"), "{message}");
    let message = Trainer::resume(recipe, Lessons { hash: "0".repeat(64), ..data.lessons() }, &path).err().unwrap().to_string();
    assert!(message.contains("different data"), "{message}");
}

#[test]
fn a_network_that_stands_alone_learns_what_can_be_seen() {
    let text = RECIPE.replace(
        "retrain = { epochs = 1, batch = 8 }",
        r#"retrain = { epochs = 30, batch = 16, rate = 0.1, augment = { crop = 0 } }"#,
    );
    let recipe =
        Arc::new(Recipe { validation: 16.into(), ..Recipe::from_toml(&text.replace("channels = 2", "channels = 4")).unwrap() });
    let data = data(&recipe);
    let arch = recipe.space.parse("|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|nor_conv_3x3~1|skip_connect~2|").unwrap();
    let model = Model::standalone(recipe.space.clone(), data.task.clone(), arch, 1, Device::Cpu).unwrap();
    let mut trainer = Trainer::new(recipe.clone(), model, data.lessons()).unwrap();
    let first = trainer.advance().unwrap().unwrap().loss.unwrap();
    let mut last = first;
    while let Some(event) = trainer.advance().unwrap() {
        last = event.loss.unwrap();
    }
    assert!(first > 1.5 && last < 0.5, "loss went from {first} to {last}");
}

#[test]
fn the_settings_of_the_paper_are_the_defaults() {
    let TrainConfig { epochs, batch, rate, momentum, nesterov, weight_decay, clip, .. } = TrainConfig::default();
    assert_eq!((epochs, batch, rate, momentum, nesterov, weight_decay, clip), (250, 64, 0.025, 0.9, true, 5e-4, 5.0));
}
