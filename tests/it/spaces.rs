//! The MobileNet and ShuffleNet spaces: counts to the last digit, notation, and the whole way to a proven file.

use std::path::Path;
use std::sync::Arc;

use supernaut::arch::{Arch, Region};
use supernaut::graph::{Activations, Device, Graph, Plan};
use supernaut::run::evaluate::cut_out;
use supernaut::run::export::{onnx_bytes, verify};
use supernaut::run::images::RunData;
use supernaut::run::job::{Cancel, Job};
use supernaut::run::model::{ComplexityRange, Model};
use supernaut::run::project::Project;
use supernaut::run::recipe::Recipe;
use supernaut::run::trainer::Trainer;
use supernaut::sampler::{Fair, SamplerConfig};
use supernaut::schedule::ComplexityAware;
use supernaut::space::{MbConv, MobileNet, Norm, ShuffleNet, Space, SpaceConfig, Stage};

use crate::common::{archs, dataset, device_pictures, small_mobilenet, small_shufflenet, takes_no_more, task};

fn on_imagenet(space: &dyn Space, norm: Norm) -> Graph {
    space.graph(&task(224, 1000), norm).unwrap()
}

/// The same option in every layer, or in the first ones of the stages and skips behind them.
fn uniform(space: &MobileNet, option: usize, skips: bool) -> Arch {
    let graph = space.graph(&task(32, 10), Norm::Own).unwrap();
    let skip = space.candidates.len();
    let chosen = |options: usize| if skips && options > skip { skip } else { option };
    let options: Vec<usize> = graph.genes().iter().map(|gene| chosen(gene.options.len())).collect();
    Arch::new(graph.genes(), &options).unwrap()
}

/// 32 channels in the first stage.
fn wide() -> MobileNet {
    let mut space = MobileNet::default();
    space.stages[0].channels = 32;
    space
}

const K3E3: usize = 0;
const K3E6: usize = 1;
const K7E6: usize = 5;

#[test]
fn counts_of_the_mobilenet_space() {
    let narrow = MobileNet::default();
    for (space, option, skips, macs, weights) in [
        (&narrow, K3E3, true, 102_528_896, 2_145_384),
        (&narrow, K3E3, false, 257_422_208, 3_164_184),
        (&narrow, K3E6, false, 472_620_800, 4_636_104),
        (&narrow, K7E6, false, 606_590_720, 5_054_664),
        (&wide(), K3E3, true, 108_869_888, 2_148_288),
        (&wide(), K3E6, false, 539_944_448, 4_659_336),
    ] {
        let cost = on_imagenet(space, Norm::Own).cost(&uniform(space, option, skips));
        // The papers count the weights of convolutions and the classifier with its bias.
        assert_eq!((cost.macs, cost.complexity), (macs, weights), "option {option}");
    }
    // Norms have two numbers a channel: 32 + 32 + 16, of each layer 6·from + 6·from + to, and 1280.
    let layers = [(16, 24), (24, 40), (40, 80), (80, 96), (96, 192)].map(|(from, to)| 12 * (from + 3 * to) + 4 * to);
    let channels = 80 + layers.iter().sum::<u64>() + 12 * 192 + 320 + 1280;
    let cost = on_imagenet(&narrow, Norm::Own).cost(&uniform(&narrow, K3E6, false));
    assert_eq!(cost.params, 4_636_104 + 2 * channels);
    assert_eq!(on_imagenet(&narrow, Norm::Shared).cost(&uniform(&narrow, K3E6, false)).params, cost.complexity);
}

#[test]
fn complexities_and_exponents_of_the_mobilenet_space() {
    let (space, graph) = (MobileNet::default(), on_imagenet(&MobileNet::default(), Norm::Shared));
    let (range, calr) = (ComplexityRange::of(&graph), ComplexityAware::default());
    for (option, complexity, gamma) in [(K3E3, 3_164_184, 2.299_680), (K3E6, 4_636_104, 0.628_228), (K7E6, 5_054_664, 0.25)] {
        let place = range.place(&graph, &uniform(&space, option, false));
        assert_eq!((place.least, place.of_path, place.greatest), (2_145_384, complexity, 5_054_664));
        assert!((calr.exponent(&place) - gamma).abs() < 1e-6, "{}", calr.exponent(&place));
    }
}

#[test]
fn sizes_of_the_spaces() {
    let count = |space: &dyn Space| {
        let graph = space.graph(&task(32, 10), Norm::Shared).unwrap();
        graph.genes().iter().map(|gene| gene.options.len() as u64).product::<u64>()
    };
    assert_eq!(count(&MobileNet::default()), 6u64.pow(6) * 7u64.pow(15));
    assert_eq!(count(&MobileNet::fairnas()), 6u64.pow(19));
    assert_eq!(count(&ShuffleNet::default()), 4u64.pow(20));
}

#[test]
fn fairnas_a_has_its_published_cost() {
    let text = "k7e3 k3e3 | k7e3 k3e6 k7e6 k3e3 | k3e3 k7e6 k7e6 k5e3 | k3e6 k5e3 k5e3 k3e6 | k3e6 k7e6 k3e6 k7e6 | k5e6";
    let space = MobileNet::fairnas();
    let arch = space.parse(text).unwrap();
    assert_eq!(space.text(&arch), text);
    let cost = on_imagenet(&space, Norm::Own).cost(&arch);
    assert_eq!((cost.macs, cost.complexity), (388_122_848, 4_608_696)); // 388 M and 4.6 M in the paper
    assert!(space.parse(&text.replacen("k3e3", "skip", 1)).unwrap_err().to_string().contains("not `skip`"));
}

/// Multiply-accumulates and weights of SPOS's network on 224×224 pixels, layer by layer; kernel 0 is the block of three.
fn shufflenet_by_hand(kernels: [u64; 20]) -> (u64, u64) {
    let (mut side, mut from) = (112u64, 16u64);
    let (mut weights, mut macs) = (16 * 27, 16 * 27 * side * side);
    let stages = [(64, 4), (160, 4), (320, 8), (640, 4)];
    let layers = stages.iter().flat_map(|&(to, layers)| (0..layers).map(move |layer| (to, layer == 0)));
    for ((to, first), kernel) in layers.zip(kernels) {
        let (before, inner) = (side * side, to / 2);
        let input = if first { from } else { from / 2 };
        side = if first { side / 2 } else { side };
        let (after, k2, rest) = (side * side, kernel.max(3).pow(2), to - input);
        let beside = if first { input * k2 + input * input } else { 0 };
        let (at_before, at_after) = match kernel {
            0 => (0, 9 * input + input * inner + 9 * inner + inner * inner + 9 * inner + inner * rest),
            _ => (input * inner, inner * k2 + inner * rest),
        };
        weights += beside + at_before + at_after;
        macs += at_before * before + (beside + at_after) * after;
        from = to;
    }
    (macs + 49 * 640 * 1024 + 1_024_000, weights + 640 * 1024 + 1_024_000)
}

#[test]
fn counts_of_the_shufflenet_space() {
    let (space, graph) = (ShuffleNet::default(), on_imagenet(&ShuffleNet::default(), Norm::Own));
    // The architecture that SPOS released: 323 M multiply-accumulates and 3.5 M weights.
    let released = "k7 k5 k3 k5 | k7 k3 k7 k3 | k7 k3 k7 x k3 k3 k3 k3 | x k7 x x";
    let cost = graph.cost(&space.parse(released).unwrap());
    assert_eq!((cost.macs, cost.complexity), (322_918_720, 3_529_312));
    for options in [[0; 20], [1; 20], [2; 20], [3; 20], std::array::from_fn(|at| at % 4), std::array::from_fn(|at| (at * at) % 4)]
    {
        let cost = graph.cost(&Arch::new(graph.genes(), &options).unwrap());
        assert_eq!((cost.macs, cost.complexity), shufflenet_by_hand(options.map(|option| [3, 5, 7, 0][option])), "{options:?}");
    }
    // Three in a row weigh most, but for the first layer: there the kernel counts in both branches.
    let greatest = shufflenet_by_hand(std::array::from_fn(|layer| if layer == 0 { 7 } else { 0 }));
    let place = ComplexityRange::of(&graph).place(&graph, &space.parse(released).unwrap());
    assert_eq!((place.least, place.greatest), (shufflenet_by_hand([3; 20]).1, greatest.1));
}

#[test]
fn a_width_scales_all_channels_to_multiples_of_eight() {
    let of = |width| {
        let graph = on_imagenet(&MobileNet { width, ..MobileNet::default() }, Norm::Own);
        let channels = |name: &str| {
            let is_named =
                |node: &&supernaut::graph::Node| matches!(node, supernaut::graph::Node::Op { name: own, .. } if own == name);
            graph.shape(graph.nodes().iter().position(|node| is_named(&node)).unwrap()).0[0]
        };
        ["stem.conv", "first.project.conv", "stage1.layer1.k3e3.project.conv", "stage5.layer1.k3e3.project.conv", "last.conv"]
            .map(channels)
    };
    assert_eq!(of(1.0), [32, 16, 24, 192, 1280]);
    assert_eq!(of(1.4), [48, 24, 32, 272, 1792]); // 33.6 → 32; 22.4 → 24
    assert_eq!(of(0.35), [16, 8, 8, 64, 1280]); // 11.2 → 8 would take more than a tenth; 67.2 → 64
}

#[test]
fn skips_are_all_alike_within_a_stage() {
    let space = small_mobilenet();
    let graph = space.graph(&task(8, 10), Norm::Shared).unwrap();
    let key = |text: &str| Plan::live(&graph, &space.parse(text).unwrap()).key();
    let whole = Region::whole(graph.genes());
    let canonical_in = |region: &Region, text: &str| space.text(&space.canonical(&graph, region, &space.parse(text).unwrap()));
    let canonical = |text: &str| canonical_in(&whole, text);
    for (text, reported) in [
        ("k3e3 k5e2 | k3e3 skip k5e2", "k3e3 k5e2 | k3e3 k5e2 skip"),
        ("k3e3 skip | k5e2 skip skip", "k3e3 skip | k5e2 skip skip"),
    ] {
        assert_eq!(canonical(text), reported);
        assert_eq!(key(text), key(reported));
    }
    let busy = whole.with(3, &[0, 2]).unwrap(); // k3e3 or a skip in stage2.layer2
    assert_eq!(canonical_in(&busy, "k3e3 skip | k3e3 skip k5e2"), "k3e3 skip | k3e3 skip k5e2", "a region is never left");
    // A chain has an order, and what stands in another stage is another thing.
    assert_ne!(key("k3e3 skip | k3e3 k5e2 k3e3"), key("k3e3 skip | k3e3 k3e3 k5e2"));
    assert_ne!(key("k3e3 k3e3 | k3e3 skip skip"), key("k3e3 skip | k3e3 k3e3 skip"));
    let skipped = Plan::live(&graph, &space.parse("k3e3 skip | k3e3 skip skip").unwrap());
    assert!(skipped.steps().iter().all(|step| !matches!(step.op(), Some(supernaut::graph::Op::Identity(_)))));
    assert_eq!(skipped.nodes().filter(|&node| supernaut::run::export::name(&graph, node).contains(".layer2")).count(), 0);
}

#[test]
fn concatenated_halves_are_not_swapped_by_the_key() {
    let space = small_shufflenet();
    let graph = space.graph(&task(8, 10), Norm::Shared).unwrap();
    let keys: std::collections::BTreeSet<String> = (0..4usize.pow(4))
        .map(|index| std::array::from_fn::<usize, 4, _>(|gene| index / 4usize.pow(gene as u32) % 4))
        .map(|options| Plan::live(&graph, &Arch::new(graph.genes(), &options).unwrap()).key())
        .collect();
    assert_eq!(keys.len(), 4usize.pow(4), "every architecture computes something of its own");
}

#[test]
fn spaces_that_cannot_be_built_say_why() {
    let mobile = |change: fn(&mut MobileNet)| {
        let mut space = MobileNet::default();
        change(&mut space);
        space.graph(&task(32, 10), Norm::Own).unwrap_err().to_string()
    };
    let shuffle = |change: fn(&mut ShuffleNet)| {
        let mut space = ShuffleNet::default();
        change(&mut space);
        space.graph(&task(32, 10), Norm::Own).unwrap_err().to_string()
    };
    for (found, wanted) in [
        (mobile(|space| space.stages.clear()), "space.stages: found none, wanted at least one"),
        (mobile(|space| space.stages[1].layers = 0), "space.stages[1].layers: found 0, wanted 1…64"),
        (mobile(|space| space.stages[2].stride = 3), "space.stages[2].stride: found 3, wanted 1…2"),
        (mobile(|space| space.stem_channels = 0), "space.stem_channels: found 0, wanted 1…8192"),
        (mobile(|space| space.width = f64::NAN), "space.width: found NaN, wanted 0.05…16"),
        (
            mobile(|space| space.candidates.clear()),
            "space.candidates: found none, wanted at least one, such as { kernel = 3, expand = 6 }",
        ),
        (mobile(|space| space.candidates[1].kernel = 4), "space.candidates[1].kernel: found 4, wanted an odd number up to 15"),
        (mobile(|space| space.candidates[1].expand = 3), "space.candidates: found k3e3 twice, wanted each once"),
        (
            shuffle(|space| space.stages[1].channels = 63),
            "space.stages[1].channels: found 63, wanted an even number above the 64 before, or the same with stride 1",
        ),
        (
            shuffle(|space| space.stages[0] = Stage::new(16, 4, 2)),
            "space.stages[0].channels: found 16, wanted an even number above the 16 before, or the same with stride 1",
        ),
    ] {
        assert_eq!(found, wanted);
    }
    let unknown =
        Recipe::from_toml("validation = 1\ntrain = {}\nspace = { kind = \"mobilenet\", widht = 1.0 }").unwrap_err().to_string();
    assert!(unknown.contains("space") && unknown.contains("widht") && unknown.contains("`width`"), "{unknown}");
}

#[test]
fn subnets_agree_with_onnx_runtime() {
    let (train, test) = (device_pictures(48, 8, 1), device_pictures(40, 8, 2));
    for space in [SpaceConfig::MobileNet(small_mobilenet()), SpaceConfig::ShuffleNet(small_shufflenet())] {
        let supernet = Model::supernet(space, task(8, 10), 11, Device::Cpu).unwrap();
        for (index, arch) in archs(&supernet, 12).into_iter().enumerate() {
            let model = cut_out(&supernet, &arch, &train, 24, 0).unwrap();
            let file = onnx_bytes(&model, "hash", [17, 22][index % 2]).unwrap();
            let verification = verify(&file, &model, &test, 1e-4).unwrap_or_else(|error| panic!("{arch:?}: {error}"));
            assert_eq!((verification.top1_agreement, verification.images), (1.0, 40));
        }
    }
}

#[test]
fn no_architecture_takes_more_memory_than_the_one_that_is_found() {
    for space in [SpaceConfig::MobileNet(MobileNet::default()), SpaceConfig::ShuffleNet(ShuffleNet::default())] {
        let supernet = Model::supernet(space, task(32, 10), 0, Device::Cpu).unwrap();
        let most = Activations::most(supernet.graph());
        for arch in archs(&supernet, 200) {
            let found = Activations::of(supernet.graph(), &arch);
            assert!(takes_no_more(&found, &most), "{arch:?}: {found:?}, most {most:?}");
        }
    }
}

/// A recipe on small pictures: two steps of training.
fn recipe(space: SpaceConfig) -> Recipe {
    let text = r#"
        seed = 5
        threads = 1
        validation = 16
        space = { kind = "nb201" }
        train = { epochs = 1, batch = 20, augment = { flip = true } }
        retrain = { epochs = 1, batch = 20, start = "supernet" }
        search = { strategy = { kind = "evolution", population = 4, generations = 1 }, batch = 16, objectives = ["accuracy", "params"], keep = 2 }
    "#;
    Recipe { space, ..Recipe::from_toml(text).unwrap() }
}

#[test]
fn groups_follow_a_gene_of_any_width_and_training_resumes_to_the_same_bytes() {
    for (gene, groups) in [("stage1.layer1", 2), ("stage2.layer3", 3)] {
        let mut recipe = recipe(SpaceConfig::MobileNet(small_mobilenet()));
        (recipe.train.momentum_gene, recipe.train.sampler) = (Some(gene.into()), SamplerConfig::Fair(Fair {}));
        let recipe = Arc::new(recipe);
        let data = || RunData::new(&recipe, &dataset(76, 16, 8)).unwrap();
        let fresh = || {
            let model = Model::supernet(recipe.space.clone(), data().task, recipe.seed, Device::Cpu).unwrap();
            Trainer::new(recipe.clone(), model, data().lessons()).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let bytes = |mut trainer: Trainer, name: &str| {
            while trainer.advance().unwrap().is_some() {}
            trainer.save(&path(name)).unwrap();
            (trainer.saved().rows.len(), std::fs::read(path(name)).unwrap())
        };
        let mut half = fresh();
        half.advance().unwrap();
        half.save(&path("half")).unwrap();
        let resumed = Trainer::resume(recipe.clone(), data().lessons(), &path("half")).unwrap();
        let (whole, resumed) = (bytes(fresh(), "whole"), bytes(resumed, "resumed"));
        assert_eq!(whole.0, groups);
        assert!(whole == resumed, "the same bytes");
    }
}

#[test]
fn a_run_ends_in_proven_files_with_the_stems_for_small_images_and_for_those_of_imagenet() {
    for (stem_stride, side) in [(1, 8), (2, 16)] {
        for space in [
            SpaceConfig::MobileNet(MobileNet { stem_stride, ..small_mobilenet() }),
            SpaceConfig::ShuffleNet(ShuffleNet { stem_stride, ..small_shufflenet() }),
        ] {
            let (folder, recipe) = (tempfile::tempdir().unwrap(), recipe(space.clone()));
            let mut project = Project::open(recipe, &dataset(56, 20, side), folder.path(), Cancel::default()).unwrap();
            let result = project.run(&mut ()).unwrap();
            let subnet = &result["subnets"][0];
            let arch = space.parse(subnet["arch"].as_str().unwrap()).unwrap();
            let graph = space.graph(&task(side as i64, side), Norm::Own).unwrap();
            assert_eq!(space.canonical(&graph, &Region::whole(graph.genes()), &arch), arch);
            assert_eq!(subnet["verify"]["top1_agreement"], 1.0);
            assert!(folder.path().join(subnet["onnx"].as_str().unwrap()).exists());
            let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
            assert!(page.contains("<svg role=\"img\"") && page.contains(">stem</text>"), "the chain of layers is drawn");
        }
    }
}

#[test]
fn the_shipped_recipes_search_within_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for (name, size) in [("mobilenet-cifar10", 6u64.pow(4) * 7u64.pow(7)), ("shufflenet-cifar10", 4u64.pow(12))] {
        let recipe = Recipe::read(&folder.join(format!("{name}.toml"))).unwrap();
        let graph = recipe.space.graph(&task(32, 10), Norm::Own).unwrap();
        assert_eq!(graph.genes().iter().map(|gene| gene.options.len() as u64).product::<u64>(), size, "{name}");
        let macs = |arch: &Arch| graph.cost(arch).macs as f64;
        let [least, most] = [macs(&graph.least(macs)), macs(&graph.least(|arch| -macs(arch)))];
        let limit = recipe.search.limits.macs.unwrap_or_default();
        let ends = [limit.min, limit.max].into_iter().flatten();
        assert!(ends.clone().count() > 0 || name.starts_with("mobilenet"), "{name}");
        ends.for_each(|end| assert!(least < end && end < most, "{name}: {end} within {least} to {most}"));
    }
    let candidate = MbConv { kernel: 5, expand: 4 };
    assert_eq!(candidate.name(), "k5e4");
}
