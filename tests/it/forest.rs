//! Several supernets, each of a part of the space (few-shot NAS).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use supernaut::Error;
use supernaut::arch::{Arch, Gene, Region, stream::stream};
use supernaut::graph::ops::{AvgPool, Conv, GlobalPool, Identity, Linear, Relu};
use supernaut::graph::{Device, GraphBuilder, Network, Plan, Precision, Run, Shape, Statistics};
use supernaut::partition::Probe;
use supernaut::run::checkpoint::Saved;
use supernaut::run::forest::{self, Forest, heir};
use supernaut::run::images::RunData;
use supernaut::run::job::{Cancel, Event, Job};
use supernaut::run::listed::Evaluate;
use supernaut::run::model::{ComplexityRange, Model, Part};
use supernaut::run::probe::Gradients;
use supernaut::run::project::{Project, Watch};
use supernaut::run::recipe::Recipe;
use supernaut::run::trainer::Trainer;
use supernaut::schedule::ComplexityAware;
use supernaut::space::{Nb201, SpaceConfig};
use tch::Tensor;

use crate::common::{archs, dataset, device_pictures, task};

const OPERATIONS: [&str; 5] = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];

const RECIPE: &str = r#"
seed = 5
threads = 1
validation = 8
space = { kind = "nb201", channels = 2, cells = 1 }
train = { epochs = 1, batch = 8, rate = 0.05, augment = { crop = 1, flip = true }, checkpoint_steps = 3 }

[[split]]
by = { kind = "exhaustive", genes = ["1<-0"] }
epochs = 2
"#;

fn recipe(from: &str, to: &str) -> Recipe {
    assert!(RECIPE.contains(from), "{from}");
    Recipe::from_toml(&RECIPE.replace(from, to)).unwrap()
}

fn plain() -> Recipe {
    recipe("", "")
}

fn data(recipe: &Recipe) -> RunData {
    RunData::new(recipe, &dataset(24, 8, 8)).unwrap()
}

/// A supernet of the whole space after so many steps.
fn parent(recipe: &Recipe, steps: u64) -> Saved {
    let data = data(recipe);
    let model = Model::supernet(recipe.space.clone(), data.task.clone(), recipe.seed, Device::Cpu).unwrap();
    let mut trainer = Trainer::new(Arc::new(recipe.clone()), model, data.lessons()).unwrap();
    (0..steps).for_each(|_| _ = trainer.advance().unwrap().unwrap());
    trainer.saved()
}

fn part(option: &str) -> Part {
    Part { level: 1, region: [("1<-0".to_owned(), vec![option.to_owned()])].into() }
}

fn child(recipe: &Recipe, parent: &Saved, option: &str) -> Saved {
    heir(recipe, parent, &part(option), &data(recipe).hash).unwrap()
}

fn trainer(recipe: &Recipe, saved: Saved) -> Trainer {
    Trainer::go_on(Arc::new(recipe.clone()), data(recipe).lessons(), saved).unwrap()
}

fn values(network: &Network) -> Vec<f32> {
    Vec::<f32>::try_from(network.flat().copy()).unwrap()
}

#[test]
fn a_part_has_the_weights_of_its_own_operations_only() {
    let space = SpaceConfig::Nb201(Nb201 { cells: 5, ..Default::default() });
    let count = |option: &str| {
        let model = Model::part(space.clone(), task(32, 10), &part(option), 0, Device::Cpu).unwrap();
        let on_edge = |name: &str| name.contains(".1<-0.") && name.ends_with(".conv.weight");
        model.network.slots().iter().filter(|slot| on_edge(&slot.name)).count()
    };
    assert_eq!(OPERATIONS.map(count), [0, 0, 15, 15, 0]);
}

#[test]
fn a_part_that_inherits_weights_computes_what_the_supernet_computed() {
    let (recipe, images) = (plain(), device_pictures(8, 8, 3));
    let parent = parent(&recipe, 3);
    let logits = |model: &Model, arch: &_| {
        let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
        Plan::new(model.graph(), arch).run(&model.network, &run, &images.slice(0, 8).0)
    };
    for option in OPERATIONS {
        let saved = child(&recipe, &parent, option);
        assert_eq!(saved.model.region.size(), 3125.0);
        for arch in archs(&saved.model, 20) {
            let gap = (logits(&saved.model, &arch) - logits(&parent.model, &arch)).abs().max().double_value(&[]);
            assert_eq!(gap, 0.0, "{option} {arch:?}");
        }
    }
}

#[test]
fn a_step_of_one_part_leaves_the_others_as_they_are() {
    let recipe = plain();
    let parent = parent(&recipe, 3);
    let (one, two) = (child(&recipe, &parent, "none"), child(&recipe, &parent, "nor_conv_3x3"));
    let before = [&parent, &one, &two].map(|saved| values(&saved.model.network));
    trainer(&recipe, one.shallow_clone()).advance().unwrap();
    let after = [&parent, &one, &two].map(|saved| values(&saved.model.network));
    assert!(before[1] != after[1]);
    assert!(before[0] == after[0] && before[2] == after[2]);
}

#[test]
fn what_a_part_inherits_is_what_the_recipe_says() {
    for (inherit, weights, momentum) in [("nothing", false, false), ("weights", true, false), ("all", true, true)] {
        let recipe = recipe("epochs = 2\n", &format!("epochs = 2\ninherit = \"{inherit}\"\n"));
        let parent = parent(&recipe, 4);
        let saved = child(&recipe, &parent, "skip_connect");
        let fresh = Model::part(recipe.space.clone(), saved.model.task.clone(), &part("skip_connect"), recipe.seed, Device::Cpu);
        let (theirs, own) = (named(&parent.model.network, parent.model.network.flat()), &saved.model.network);
        let mine = named(own, own.flat());
        assert_eq!(mine.iter().all(|(name, values)| theirs[name] == *values), weights, "{inherit}");
        assert_eq!(values(own) == values(&fresh.unwrap().network), !weights, "{inherit}");
        let used: Vec<usize> = (0..parent.rows.len()).filter(|&row| parent.rows[row].is_some()).collect();
        for (row, old) in saved.rows.iter().zip(&parent.rows) {
            assert_eq!(row.is_some(), momentum && old.is_some(), "{inherit}: of the rows {used:?}");
            if let (Some(row), Some(old)) = (row, old) {
                let old = named(&parent.model.network, old);
                assert!(named(own, row).iter().all(|(name, values)| old[name] == *values));
            }
        }
        assert_eq!(saved.touched.iter().any(|&touched| touched), momentum);
    }
}

/// So many architectures of a region.
fn draws(region: &Region, count: u64) -> Vec<Arch> {
    (0..count).map(|step| region.draw(&mut stream(4, "draws", step))).collect()
}

/// The values of a vector that lies as the weights do, by weight.
fn named(network: &Network, flat: &Tensor) -> BTreeMap<String, Vec<f32>> {
    let flat = Vec::<f32>::try_from(flat.copy()).unwrap();
    let of = |slot: &supernaut::graph::Slot| flat[slot.range.start as usize..slot.range.end as usize].to_vec();
    network.slots().iter().map(|slot| (slot.name.clone(), of(slot))).collect()
}

#[test]
fn a_part_is_trained_within_its_region_by_a_schedule_of_the_whole_space() {
    for (inherit, before, total) in [("weights", 0.0, 2.0), ("all", 4.0, 6.0)] {
        let recipe = recipe("epochs = 2\n", &format!("epochs = 2\ninherit = \"{inherit}\"\n"));
        let mut trainer = trainer(&recipe, child(&recipe, &parent(&recipe, 4), "avg_pool_3x3"));
        let (graph, region) = (trainer.model().graph().clone(), trainer.model().region.clone());
        let range = ComplexityRange::of(&graph); // of 15,625 architectures
        assert_eq!(trainer.total(), 2);
        for step in 0..2 {
            let event = trainer.advance().unwrap().unwrap();
            let arch = recipe.space.parse(&event.arch.unwrap()).unwrap();
            assert!(region.contains(&arch));
            let gamma = ComplexityAware::default().exponent(&range.place(&graph, &arch));
            let wanted = 0.05 * (1.0 - (before + step as f64) / total).powf(gamma);
            assert!((event.rate.unwrap() / wanted - 1.0).abs() < 1e-9, "{inherit}, step {step}");
        }
    }
}

/// Asks a run to stop after so many events.
struct Stop(Cancel, u64);

impl Watch for Stop {
    fn event(&mut self, _: &Event) {
        self.1 = self.1.saturating_sub(1);
        if self.1 == 0 {
            self.0.cancel();
        }
    }
}

fn train(recipe: &Recipe, folder: &Path, stop: u64) -> supernaut::Result<Forest> {
    let cancel = Cancel::default();
    Project::open(recipe.clone(), &dataset(24, 8, 8), folder, cancel.clone())?.train(&mut Stop(cancel, stop))
}

/// Everything that training leaves, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| path.extension().is_some_and(|end| end == "safetensors") || path.ends_with("forest.json"));
    kept.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())).collect()
}

fn check_resume(recipe: &Recipe, stops: &[u64]) -> BTreeMap<String, Vec<u8>> {
    let whole = tempfile::tempdir().unwrap();
    train(recipe, whole.path(), u64::MAX).unwrap();
    let wanted = files(whole.path());
    for &stop in stops {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(train(recipe, folder.path(), stop), Err(Error::Cancelled)), "at event {stop}");
        assert!(files(folder.path()) != wanted);
        train(recipe, folder.path(), u64::MAX).unwrap();
        let found = files(folder.path());
        assert!(found.keys().eq(wanted.keys()) && found == wanted, "stopped after event {stop}");
    }
    wanted
}

#[test]
fn a_forest_is_a_partition_and_resumes_at_any_step_to_the_same_bytes() {
    let (recipe, folder) = (plain(), tempfile::tempdir().unwrap());
    // 4 steps of the one supernet, then 2 of each of the five.
    let files = check_resume(&recipe, &[1, 3, 4, 5, 6, 7, 13]);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let leaf = |number: usize| format!("supernet-{number}.safetensors");
    assert_eq!(names, ["forest.json".into(), leaf(1), leaf(2), leaf(3), leaf(4), leaf(5), "supernet.safetensors".into()]);
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let read = forest::load(&folder.path().join("forest.json"), Device::Cpu).unwrap();
    let sizes: Vec<f64> = read.leaves().iter().map(|leaf| leaf.region.size()).collect();
    assert_eq!((sizes, read.region().size()), (vec![3125.0; 5], 15_625.0));
    for arch in draws(&Region::whole(read.graph().genes()), 200) {
        assert_eq!(read.of(&arch).unwrap().region.options(0), [arch.option(0)]);
    }
}

#[test]
fn parts_that_start_fresh_need_no_training_before() {
    let recipe = recipe("epochs = 2\n", "epochs = 0\ninherit = \"nothing\"\n");
    check_resume(&recipe, &[1, 2, 9]);
}

#[test]
fn several_edges_are_split_at_once_or_one_after_the_other() {
    let second = "\n[[split]]\nby = { kind = \"exhaustive\", genes = [\"3<-2\"] }\nepochs = 1\ninherit = \"all\"\n";
    let recipe = Recipe::from_toml(&format!("{RECIPE}{second}")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let forest = train(&recipe, folder.path(), u64::MAX).unwrap();
    assert_eq!(forest.leaves().iter().map(|leaf| leaf.region.size()).collect::<Vec<_>>(), [625.0; 25]);
    let files = files(folder.path());
    assert_eq!(files.len(), 1 + 1 + 5 + 25);
    assert!(files.contains_key("supernet-3-5.safetensors"));
}

#[test]
fn an_architecture_is_judged_by_its_own_supernet_and_no_other() {
    let (recipe, folder) = (plain(), tempfile::tempdir().unwrap());
    let forest = train(&recipe, folder.path(), u64::MAX).unwrap();
    // Enough that no two supernets are right equally often by chance.
    let images = RunData::new(&self::recipe("validation = 8", "validation = 500"), &dataset(600, 8, 8)).unwrap();
    let mut archs = draws(&Region::whole(forest.graph().genes()), 12);
    // Nothing reads what comes over the edge 1<-0: the canonical form has no such edge, but it was trained where it is written.
    let dead = "|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|";
    let both = [dead, &dead.replacen("avg_pool_3x3", "none", 1)].map(|text| recipe.space.parse(text).unwrap());
    assert_eq!(forest.canonical(&both[0]), both[1]);
    archs.extend(both);
    let judge = |forest: Forest, archs: Vec<_>| {
        let mut job = Evaluate::new(&recipe, forest, archs, &images, None).unwrap();
        while job.advance().unwrap().is_some() {}
        job.accuracies().to_vec()
    };
    let leaves: Vec<Model> = forest.leaves().iter().map(Model::shallow_clone).collect();
    let alone: Vec<f64> =
        archs.iter().flat_map(|arch| judge(leaves[arch.option(0)].shallow_clone().into(), vec![arch.clone()])).collect();
    assert_ne!(alone[12], alone[13], "the two supernets differ");
    assert_eq!(judge(forest, archs.clone()), alone);
    let other = archs.iter().find(|arch| arch.option(0) != 1).unwrap();
    let message =
        Evaluate::new(&recipe, leaves[1].shallow_clone(), vec![other.clone()], &images, None).err().unwrap().to_string();
    assert_eq!(message, format!("arch: found {}, wanted one with 1<-0: skip_connect", recipe.space.text(other)));
}

#[test]
fn what_cannot_be_is_told_before_any_work() {
    let refused = |from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        let message = train(&recipe(from, to), folder.path(), u64::MAX).err().expect("it must be refused").to_string();
        assert!(files(folder.path()).is_empty());
        message
    };
    let wanted =
        "train.momentum_gene: found \"1<-0\", which a [[split]] fixes to one option in each supernet, wanted one of 2<-0, ";
    assert!(refused("rate = 0.05", "rate = 0.05, momentum_gene = \"1<-0\"").starts_with(wanted));
    assert!(refused("[\"1<-0\"]", "[\"0<-1\"]").starts_with("split.by.genes: found \"0<-1\", wanted one of 1<-0, "));
}

/// What samplers and losses remember was learnt of the whole space: parts begin without.
#[test]
fn parts_of_methods_that_remember_train_and_resume_to_the_same_bytes() {
    let pools = "{ kind = \"prioritised\", size = 3, draws = 200, chance = [0.5, 0.5], \
                 buckets = [{ metric = \"params\", from = 0.0, to = 20000.0, step = 2000.0 }] }";
    let landmarks = "[\"|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|\", \
                     \"|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|\"]";
    for train in [
        &format!("sampler = {pools}"),
        &format!(
            "sampler = {{ kind = \"sandwich\", inner = {pools} }}, loss = [{{ kind = \"task\", of = \"largest\" }}, {{ kind = \"distil\" }}]"
        ),
        "sampler = { kind = \"shift\", metric = \"params\", bins = 3, warm_up = 0, every = 2, hidden = 4 }",
        &format!("loss = [{{ kind = \"task\" }}, {{ kind = \"landmark\", on = \"train\", archs = {landmarks} }}]"),
        "momentum_separation = false, sampler = { kind = \"disjoint\" }, loss = [{ kind = \"cross_path\", negatives = 16, hidden = 8, \
         width = 4 }, { kind = \"probe\" }]",
    ] {
        // 2 steps of the root, 2 · 2 of each of the five parts.
        check_resume(&recipe("batch = 8", &format!("batch = 8, {train}")), &[3, 5]);
    }
}

/// The number of architectures isn't exact in floating point, and neither is the sum over the parts.
#[test]
fn all_parts_of_a_large_space_are_a_forest() {
    let names: Vec<String> = (0..9).map(|at| format!("c{at}")).collect();
    let operations: String =
        names.iter().map(|name| format!("{name} = {{ kind = \"conv_norm\", kernel = 1, activation = \"relu\" }}\n")).collect();
    let text = format!(
        "[stem]\nwidth = 1\noperation = \"c0\"\n[operations]\n{operations}[[stage]]\nwidth = 1\nlayers = 19\ncandidates = {names:?}\n"
    );
    let space = SpaceConfig::Custom(supernaut::space::Custom::from_toml("space", &text).unwrap());
    let gene = space.graph(&task(8, 2), supernaut::space::Norm::Shared).unwrap().genes()[0].name.clone();
    let leaf = |option: &String| {
        let part = Part { level: 1, region: [(gene.clone(), vec![option.clone()])].into() };
        Model::part(space.clone(), task(8, 2), &part, 1, Device::Cpu).unwrap()
    };
    let mut leaves: Vec<Model> = names.iter().map(leaf).collect();
    let sum: f64 = leaves.iter().map(|leaf| leaf.region.size()).sum();
    assert_ne!(sum, 9f64.powi(19), "or there is nothing to see here");
    assert_eq!(Forest::new(leaves.iter().map(Model::shallow_clone).collect()).unwrap().leaves().len(), 9);
    leaves.pop();
    assert!(Forest::new(leaves).err().unwrap().to_string().starts_with("forest: found regions with 12007570"));
}

/// Two splits by gradient matching on top of the short recipe.
fn matching(inherit: [&str; 2], change: &str) -> Recipe {
    let split = |inherit: &str| {
        let by = format!("{{ kind = \"gradient_matching\", samples = 2{change} }}");
        format!("\n[[split]]\nby = {by}\nepochs = 1\ninherit = \"{inherit}\"\n")
    };
    let text = RECIPE.split("\n[[split]]").next().unwrap();
    Recipe::from_toml(&format!("{text}{}{}", split(inherit[0]), split(inherit[1]))).unwrap()
}

#[test]
fn gradient_matching_makes_four_regions_and_resumes_to_the_same_bytes() {
    let recipe = matching(["all", "nothing"], "");
    // 2 steps, 5 genes (the sixth carries the momentum groups) of 2 samples, 2 · 2 steps, 2 · 4 genes of 2 samples, 4 · 2 steps.
    let files = check_resume(&recipe, &[1, 2, 7, 12, 14, 17, 31, 32, 33, 39]);
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let forest = forest::load(&folder.path().join("forest.json"), Device::Cpu).unwrap();
    let momentum = recipe.momentum_gene(forest.graph().genes()).unwrap().unwrap();
    let regions: Vec<&Region> = forest.leaves().iter().map(|leaf| &leaf.region).collect();
    assert_eq!(regions.iter().map(|region| region.size()).sum::<f64>(), 15_625.0);
    assert!(regions.len() == 4 && regions.iter().all(|region| region.options(momentum).len() == 5));
    assert!(regions.iter().enumerate().all(|(at, a)| regions[..at].iter().all(|b| a.intersect(b).is_none())));
    let tree: serde_json::Value = serde_json::from_slice(&files["forest.json"]).unwrap();
    let because = &tree["splits"][0]["because"];
    let genes = because["genes"].as_object().unwrap();
    let between = |gene: &str| genes[gene]["between"].as_f64().unwrap();
    let chosen = because["gene"].as_str().unwrap();
    assert!(genes.len() == 5 && genes.keys().all(|gene| between(gene) <= between(chosen)), "{because}");
}

#[test]
fn a_restart_changes_the_weights_and_inheriting_all_does_not() {
    for (inherit, same) in [("nothing", false), ("all", true)] {
        let (recipe, folder) = (matching(["all", inherit], ""), tempfile::tempdir().unwrap());
        let cancel = Cancel::default();
        // Till the first of the last supernets has been begun: it takes one step, and its first checkpoint was before that.
        let mut project = Project::open(recipe.clone(), &dataset(24, 8, 8), folder.path(), cancel.clone()).unwrap();
        assert!(project.train(&mut Stop(cancel, 33)).is_err());
        drop(project);
        let read = |name: &str| supernaut::run::checkpoint::load(&folder.path().join(name), Device::Cpu).unwrap();
        let parent = read("supernet-1.safetensors");
        let region = read("supernet-1-1.safetensors").manifest.part;
        let saved = heir(&recipe, &parent, &region, &data(&recipe).hash).unwrap();
        let theirs = named(&parent.model.network, parent.model.network.flat());
        let mine = named(&saved.model.network, saved.model.network.flat());
        assert_eq!(mine.iter().all(|(name, values)| theirs[name] == *values), same, "{inherit}");
    }
}

#[test]
fn every_setting_of_gradient_matching_splits() {
    for change in [
        ", gene = \"within\"",
        ", distance = \"euclidean\"",
        ", quirk = \"mixed\"",
        ", quirk = \"running\"",
        ", smallest = 1, ways = 3, largest = 2",
    ] {
        let (recipe, folder) = (matching(["weights", "weights"], change), tempfile::tempdir().unwrap());
        let forest = train(&recipe, folder.path(), u64::MAX).unwrap();
        assert_eq!(forest.leaves().len(), if change.contains("ways = 3") { 9 } else { 4 }, "{change}");
    }
}

#[test]
fn the_options_of_a_gene_share_what_lies_between_choices_and_is_not_theirs() {
    let graph = Model::supernet(plain().space, task(8, 8), 0, Device::Cpu).unwrap().network.graph().clone();
    for (gene, edge) in [(0, "1<-0"), (5, "3<-2")] {
        let model = Model::supernet(plain().space, task(8, 8), 0, Device::Cpu).unwrap();
        let shared = model.network.slots_among(&graph.shared_by_options(gene));
        for (slot, place) in model.network.slots().iter().enumerate() {
            let outside = ["stem.", "last.", "classifier."].iter().any(|part| place.name.starts_with(part));
            let wanted = !outside && !place.name.contains(&format!(".{edge}."));
            assert_eq!(shared[slot], wanted, "{} for {edge}", place.name);
        }
    }
}

/// Asks a model for products of its gradients on 8 images.
fn products(model: &Model, gene: usize, options: &[usize], sample: u64) -> Vec<Vec<f64>> {
    let (recipe, images) = (plain(), device_pictures(8, 8, 3));
    let mut probe = Gradients {
        model,
        images: &images,
        batch: 8,
        augment: Default::default(),
        compute: recipe.compute(Device::Cpu).unwrap(),
        seed: 1,
        before: &mut || Ok(()),
    };
    probe.products(gene, options, sample).unwrap()
}

#[test]
fn products_are_those_of_gradients_taken_one_by_one() {
    let model = parent(&plain(), 2).model;
    let (gene, options, sample) = (2, [1, 3, 4], 7);
    let found = products(&model, gene, &options, sample);
    let mut rng = stream(1, "partition/2<-1", sample);
    let arch = model.region.draw(&mut rng);
    let (pixels, labels) = device_pictures(8, 8, 3).slice(0, 8); // in another order, which changes nothing but the rounding
    let gradient = |option: usize| {
        let plan = Plan::live(model.graph(), &arch.with(gene, option));
        let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
        let loss = plan.run(&model.network, &run, &pixels).cross_entropy_for_logits(&labels);
        let kept = |name: &str| !["stem.", "last.", "classifier."].iter().any(|part| name.starts_with(part));
        let slots = model.network.slots_of(&plan).into_iter();
        let slots: Vec<usize> = slots.filter(|&slot| !model.network.slots()[slot].name.contains(".2<-1.")).collect();
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| model.network.leaf(slot)).collect();
        let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);
        let named = slots.iter().zip(gradients).filter(|(slot, _)| kept(&model.network.slots()[**slot].name));
        named.map(|(&slot, gradient)| (slot, gradient)).collect::<BTreeMap<usize, Tensor>>()
    };
    let gradients = options.map(gradient);
    let product = |a: &BTreeMap<usize, Tensor>, b: &BTreeMap<usize, Tensor>| -> f64 {
        a.iter().filter_map(|(slot, x)| Some((x * b.get(slot)?).sum(tch::Kind::Double).double_value(&[]))).sum()
    };
    for (i, a) in gradients.iter().enumerate() {
        for (j, b) in gradients.iter().enumerate() {
            let (wanted, scale) = (product(a, b), (product(a, a) * product(b, b)).sqrt());
            assert!((found[i][j] - wanted).abs() <= 1e-3 * scale, "{i} {j}: found {}, wanted {wanted}", found[i][j]);
        }
    }
}

#[test]
fn an_operation_and_its_double_have_the_same_gradients() {
    let genes = ["first", "second"].map(|name| Gene { name: name.into(), options: ["a", "b", "c"].map(String::from).to_vec() });
    let mut builder = GraphBuilder::image(Shape::of_image(3, 8, 8), genes.to_vec());
    let stem = builder.op("stem", Conv::new(4, 3, 1), &[0]).unwrap();
    let [one, double] = ["one", "double"].map(|name| builder.op(name, Identity, &[stem]).unwrap());
    let pooled = builder.op("pooled", AvgPool { kernel: 3, stride: 1, pad: 1 }, &[stem]).unwrap();
    let first = builder.choice(0, vec![one, pooled, double]).unwrap();
    let middle = builder.op("middle", Conv::new(4, 3, 1), &[first]).unwrap();
    let options = ["x", "y", "z"].map(|name| builder.op(name, Relu, &[middle]).unwrap());
    let second = builder.choice(1, options.to_vec()).unwrap();
    let pool = builder.op("pool", GlobalPool, &[second]).unwrap();
    let logits = builder.op("classifier", Linear::new(8), &[pool]).unwrap();
    let graph = builder.finish(logits);
    let region = Region::whole(graph.genes());
    let network = Network::supernet(graph, 3, Device::Cpu);
    let model = Model { space: plain().space, task: task(8, 8), arch: None, region, level: 0, network };
    let found = products(&model, 0, &[0, 1, 2], 0);
    assert!(found[0][0] > 0.0 && found[0][0] == found[2][2] && found[0][2] == found[0][0]);
    assert!(found[0][1] != found[0][0]);
}
