//! Spaces that are described in a file: the built-in ones as files give the same graphs, the example of the manual works as it
//! says, and mistakes are told with the line.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use supernaut::arch::{Gene, count};
use supernaut::graph::{Device, Graph, Plan, Precision, Run, Statistics};
use supernaut::run::evaluate::cut_out;
use supernaut::run::export::{onnx_bytes, verify};
use supernaut::run::images::{Lessons, RunData};
use supernaut::run::job::Job;
use supernaut::run::model::{Model, space_hash};
use supernaut::run::recipe::Recipe;
use supernaut::run::search::Search;
use supernaut::run::trainer::Trainer;
use supernaut::space::{Custom, MobileNet, Nb201, Norm, ShuffleNet, Space, SpaceConfig, Stage, Task};

use crate::common::{archs, dataset, device_pictures, task};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn custom(text: &str) -> Custom {
    Custom::from_toml("my-space.toml", text).unwrap()
}

/// The `position`-th block of TOML in the manual: the example's space, then its recipe.
fn example(position: usize) -> String {
    let manual = read("docs/spaces.md");
    let block = manual.split("```toml\n").nth(position + 1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn model(space: impl Into<SpaceConfig>, task: &Task) -> Model {
    Model::supernet(space.into(), task.clone(), 7, Device::Cpu).unwrap()
}

/// One space, told twice: graphs, notation, weights and logits.
fn are_the_same(file: Custom, builtin: SpaceConfig, task: &Task) {
    for norm in [Norm::Shared, Norm::Own] {
        let [told, built] = [file.graph(task, norm).unwrap(), builtin.graph(task, norm).unwrap()];
        let differs = told.nodes().iter().zip(built.nodes()).find(|(told, built)| told != built);
        assert!(told == built, "{differs:?}");
    }
    let [told, built] = [model(SpaceConfig::Custom(file), task), model(builtin, task)];
    assert_eq!((told.graph_hash(), told.network.hash()), (built.graph_hash(), built.network.hash()));
    let (images, _) = device_pictures(2, task.image[1] as usize, 3).slice(0, 2);
    let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
    for arch in archs(&told, 8) {
        let text = built.space.text(&arch);
        assert_eq!((told.space.text(&arch), told.parse(&text).unwrap()), (text, arch.clone()));
        assert_eq!(told.canonical(&arch), built.canonical(&arch));
        assert_eq!(told.space.drawing(&arch), built.space.drawing(&arch));
        let [a, b] = [&told, &built].map(|model| Plan::new(model.graph(), &arch).run(&model.network, &run, &images));
        assert!(a.equal(&b));
    }
}

/// The graph alone, in full size: all weights would take a while.
fn have_one_graph(file: &Custom, builtin: &dyn Space, task: &Task) {
    let [told, built] = [file.graph(task, Norm::Own).unwrap(), builtin.graph(task, Norm::Own).unwrap()];
    assert!(told == built, "{:?}", told.nodes().iter().zip(built.nodes()).find(|(told, built)| told != built));
}

/// `text` with other numbers for these keys.
fn with_numbers(text: &str, key: &str, numbers: &[(i64, i64)]) -> String {
    let line = |line: &str| {
        let number: Option<i64> =
            line.strip_prefix(key).and_then(|rest| rest.trim_start_matches(" = ").split(' ').next()?.parse().ok());
        let changed = number.and_then(|number| numbers.iter().find(|(from, _)| *from == number));
        changed.map_or(line.to_owned(), |(_, to)| format!("{key} = {to}")) + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn nb201_as_a_file_is_nb201() {
    let text = read("spaces/nb201.toml");
    have_one_graph(&custom(&text), &Nb201::default(), &task(32, 10));
    let small = Nb201 { channels: 4, cells: 1, ..Default::default() };
    let text = with_numbers(&with_numbers(&text, "cells", &[(5, 1)]), "width", &[(16, 4), (32, 8), (64, 16)]);
    are_the_same(custom(&text), SpaceConfig::Nb201(small), &task(9, 10));
}

#[test]
fn the_mobilenet_space_as_a_file_is_the_mobilenet_space() {
    let (text, large) = (read("spaces/mobilenet.toml"), task(224, 1000));
    have_one_graph(&custom(&text), &MobileNet::default(), &large);
    // FairNAS: two layers of 32 channels in the first stage, nothing is skipped.
    let fair =
        text.replace("width = 24\nstride = 2\nlayers = 4", "width = 32\nstride = 2\nlayers = 2").replace(", \"skip\"]", "]");
    have_one_graph(&custom(&fair), &MobileNet::fairnas(), &large);
    let widths = [(32, 8), (16, 4), (24, 8), (40, 8), (80, 16), (96, 16), (192, 16), (320, 24), (1280, 32)];
    let small = MobileNet {
        stem_channels: 8,
        first_channels: 4,
        stages: [(8, 2), (8, 2), (16, 2), (16, 1), (16, 2), (24, 1)].map(|(width, stride)| Stage::new(width, 3, stride)).to_vec(),
        last_channels: 32,
        ..Default::default()
    };
    let text = with_numbers(&text, "width", &widths).replace(
        "width = 24\nlayers = 1\ncandidates = \"blocks\"",
        "width = 24\nlayers = 3\nfirst = \"blocks\"\ncandidates = \"blocks_or_skip\"",
    );
    are_the_same(custom(&with_numbers(&text, "layers", &[(4, 3)])), SpaceConfig::MobileNet(small), &task(32, 10));
}

#[test]
fn the_shufflenet_space_as_a_file_is_the_shufflenet_space() {
    let text = read("spaces/shufflenet.toml");
    have_one_graph(&custom(&text), &ShuffleNet::default(), &task(224, 1000));
    let small = ShuffleNet {
        stem_channels: 8,
        stages: [(16, 2), (24, 2), (32, 3), (48, 2)].map(|(width, layers)| Stage::new(width, layers, 2)).to_vec(),
        last_channels: 64,
        ..Default::default()
    };
    let text = with_numbers(&text, "width", &[(16, 8), (64, 16), (160, 24), (320, 32), (640, 48), (1024, 64)]);
    are_the_same(custom(&with_numbers(&text, "layers", &[(4, 2), (8, 3)])), SpaceConfig::ShuffleNet(small), &task(32, 10));
}

#[test]
fn comments_spacing_and_the_order_of_keys_make_no_difference() {
    let hash = |text: &str| space_hash(&SpaceConfig::Custom(custom(text)));
    let text = example(0);
    let (operations, rest) = text.split_once("\n[candidates]").unwrap();
    let reversed: Vec<&str> = operations.lines().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
    let other = format!(
        "# Another text.\n[candidates]{}\n[operations]\n{}\n",
        rest.replace("width = 16\nstride = 2", "stride   = 2 # two\nwidth = 16"),
        reversed.join("\n").replace("kernel = 5, expand = 4", "expand=4,kernel=5")
    );
    assert_ne!(other, text);
    assert_eq!(hash(&other), hash(&text));
    assert_ne!(hash(&text.replace("expand = 4", "expand = 3")), hash(&text));
    assert_ne!(hash(&text.replace("[\"slim\", \"wide\", \"pass\"]", "[\"wide\", \"slim\", \"pass\"]")), hash(&text));
    let json = serde_json::to_string(custom(&text).description()).unwrap();
    assert_eq!(space_hash(&SpaceConfig::Custom(Custom::from_json(&json).unwrap())), hash(&text));
}

#[test]
fn the_example_of_the_manual_is_read_trained_exported_and_proved() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my-space.toml"), example(0)).unwrap();
    fs::write(folder.path().join("recipe.toml"), example(1)).unwrap();
    let mut recipe = Recipe::read(&folder.path().join("recipe.toml")).unwrap();
    fs::remove_file(folder.path().join("my-space.toml")).unwrap();
    assert_eq!(recipe.space, SpaceConfig::Custom(custom(&example(0))));
    assert_eq!(recipe.space, SpaceConfig::Custom(custom(&read("spaces/example.toml"))), "the shipped file is the example");
    let again = Recipe::from_json(&serde_json::to_string(&recipe).unwrap()).unwrap();
    assert_eq!((&again, again.hash()), (&recipe, recipe.hash()), "the recipe holds the space");

    recipe.train.batch = 4;
    let (images, seed) = (device_pictures(16, 16, 1), recipe.seed);
    let supernet = Model::supernet(recipe.space.clone(), task(16, 16), seed, Device::Cpu).unwrap();
    assert_eq!(count(supernet.graph().genes()), "900");
    let lessons = Lessons { train: images.all(), validation: images.all(), hash: "data".into() };
    let mut trainer = Trainer::new(Arc::new(recipe), supernet, lessons).unwrap();
    for _ in 0..2 {
        assert!(trainer.advance().unwrap().unwrap().loss.unwrap().is_finite());
    }
    let supernet = trainer.into_model();
    for arch in archs(&supernet, 10) {
        let arch = supernet.canonical(&arch);
        assert_eq!(supernet.parse(&supernet.space.text(&arch)).unwrap(), arch);
        let model = cut_out(&supernet, &arch, &images, 8, 0).unwrap();
        verify(&onnx_bytes(&model, "hash", 17).unwrap(), &model, &images, 1e-4).unwrap();
    }
}

#[test]
fn what_computes_the_same_is_written_in_one_way() {
    let supernet = model(SpaceConfig::Custom(custom(&example(0))), &task(16, 16));
    let canonical = |text: &str| supernet.space.text(&supernet.canonical(&supernet.parse(text).unwrap()));
    // Node 1 isn't read, but an edge without `none` can't say so; skips go last.
    assert_eq!(canonical("|conv1~0|+|pool~0|cut~1| ; slim pass wide"), "|conv1~0|+|pool~0|cut~1| ; slim wide pass");
    // Nothing reads the image.
    assert_eq!(canonical("|conv3~0|+|cut~0|cut~1| ; wide slim slim"), "|conv3~0|+|cut~0|cut~1| ; wide slim slim");
    let refused = |text: &str| supernet.parse(text).unwrap_err().to_string();
    for (text, hint) in [
        ("|conv3~0|+|cut~0|pool~1|", "the cell and the layers, separated by `;`"),
        ("|conv3~0|+|cut~0| ; slim wide pass", "the form |op~0|+|op~0|op~1|"),
        ("|conv3~0|+|cut~1|pool~1| ; slim wide pass", "`~0` after `cut` on the edge 2<-0"),
        ("|pool~0|+|cut~0|pool~1| ; slim wide pass", "one of conv1, conv3 for the edge 1<-0, not `pool`"),
        ("|conv3~0|+|cut~0|pool~1| ; slim wide", "3 layers in stage 1, not 2"),
        ("|conv3~0|+|cut~0|pool~1| ; pass wide slim", "one of slim, wide for stage3.layer1, not `pass`"),
        ("|conv3~0|+|cut~0|pool~1| ; slim | wide pass", "1 stages of 3 layers, separated by `|`, not 2"),
    ] {
        assert!(refused(text).contains(hint), "{text}: {}", refused(text));
    }
    let drawing = supernet.space.drawing(&supernet.parse("|conv3~0|+|cut~0|pool~1| ; slim wide pass").unwrap());
    assert_eq!(drawing["nodes"], serde_json::json!(["input", "1", "output"]));
    assert_eq!(drawing["edges"].as_array().unwrap().len(), 2);
}

/// The refusal of the manual's example with `from` replaced by `to`. What is wrong stands where the text has `marker`.
fn refused(from: &str, to: &str, marker: &str, wanted: &str) {
    let text = example(0);
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let text = text.replace(from, to);
    let at = text.find(marker).unwrap_or_else(|| panic!("{marker}"));
    let line = 1 + text[..at].matches('\n').count();
    let space = Custom::from_toml("my-space.toml", &text);
    let outcome = space.and_then(|space| space.graph(&task(2, 4), Norm::Own).map(|_| ()));
    assert_eq!(outcome.unwrap_err().to_string(), format!("my-space.toml:{line}: {wanted}"));
}

#[test]
fn cells_with_mistakes() {
    let wanted = "wanted edges from a lower number to a higher one";
    refused("\"2<-1\" =", "\"2<-5\" =", "\"2<-5\"", "edge \"2<-5\": found node 5, wanted one of 0 to 2");
    refused(
        "\"2<-1\" =",
        "\"two<-1\" =",
        "\"two<-1\"",
        "edge \"two<-1\": found the name \"two<-1\", wanted two nodes as in \"2<-0\"",
    );
    refused(
        "\"2<-1\" =",
        "\"2<-01\" =",
        "\"2<-01\"",
        "edge \"2<-01\": found the name \"2<-01\", wanted two nodes as in \"2<-0\"",
    );
    let cycle = "\"1<-2\" = \"any\"\n\"2<-1\" =";
    refused("\"2<-1\" =", cycle, "\"1<-2\"", &format!("edge \"1<-2\": found a cycle 2<-1<-2, {wanted}"));
    let cycle = "\"1<-1\" = \"any\"\n\"2<-1\" =";
    refused("\"2<-1\" =", cycle, "\"1<-1\"", &format!("edge \"1<-1\": found a cycle 1<-1, {wanted}"));
    refused("\"2<-1\" =", "\"1<-2\" =", "\"1<-2\"", &format!("edge \"1<-2\": found node 2 read by node 1, {wanted}"));
    let unreachable = "cell: node 2: found an output that nothing reaches, wanted a way from node 0 to node 2";
    refused("\"2<-0\" = \"any\"\n\"2<-1\" = \"any\"\n", "", "edges]", unreachable);
    let dead = "\"2<-0\" = [\"cut\"]\n\"2<-1\" = [\"cut\"]\n"; // edges there are, but nothing that goes through
    refused("\"2<-0\" = \"any\"\n\"2<-1\" = \"any\"\n", dead, "edges]", unreachable);
    let lost = "cell: node 1: found no way to it from node 0, wanted an edge \"1<-…\" from a node that is reached";
    refused("\"1<-0\" = [\"conv1\", \"conv3\"]\n", "", "edges]", lost);
    let idle = "cell: node 1: found no way from it to the output, wanted an edge \"…<-1\", or no such node";
    refused("\"2<-1\" = \"any\"\n", "", "edges]", idle);
    refused("nodes = 3", "nodes = 1", "nodes", "cell: nodes: found 1, wanted 2…64");
    refused(
        "nodes = 3",
        "nodes = 3\ncandidates = \"any\"",
        "candidates = \"any\"",
        "cell: found `candidates` beside `edges`, wanted one of the two",
    );
}

#[test]
fn candidates_with_mistakes() {
    refused("[\"conv1\", \"conv3\"]", "[]", "\"1<-0\"", "edge \"1<-0\": found no candidates, wanted one operation at least");
    refused(
        "[\"conv1\", \"conv3\"]",
        "[\n  \"conv1\",\n  \"conv1\",\n]",
        "  \"conv1\",\n]",
        "edge \"1<-0\": found \"conv1\" twice, wanted each candidate once",
    );
    let known = "one of conv1, conv3, cut, final, first, halve, pass, pool, slim, wide";
    refused(
        "[\"conv1\", \"conv3\"]",
        "[\"conv1\", \"konv3\"]",
        "konv3",
        &format!("edge \"1<-0\": found the unknown operation \"konv3\", wanted {known} (did you mean `conv3`?)"),
    );
    refused(
        "\"2<-0\" = \"any\"",
        "\"2<-0\" = \"all\"",
        "\"all\"",
        "edge \"2<-0\": found the unknown list in [candidates] \"all\", wanted one of any",
    );
    refused(
        "\"2<-0\" = \"any\"",
        "\"2<-0\" = 3",
        "\"2<-0\"",
        "cell.edges.2<-0: found 3, wanted a list of operations, or the name of a list in [candidates]",
    );
    refused(
        "any = [\"cut\"",
        "any = [\"kut\"",
        "kut",
        &format!("candidates \"any\": found the unknown operation \"kut\", wanted {known} (did you mean `cut`?)"),
    );
    refused(
        "operation = \"final\"",
        "operation = \"last\"",
        "\"last\"",
        &format!("head: found the unknown operation \"last\", wanted {known}"),
    );
}

#[test]
fn operations_with_mistakes() {
    let kinds = "none, skip, relu_conv_norm, conv_norm, norm, avg_pool, residual, mb_conv, shuffle, shuffle_triple";
    refused(
        "slim = { kind = \"mb_conv\"",
        "slim = { kind = \"mbconv\"",
        "slim",
        &format!("operations.slim.kind: found \"mbconv\", wanted one of {kinds} (did you mean `mb_conv`?)"),
    );
    refused(
        "kernel = 5, expand",
        "kernal = 5, expand",
        "kernal",
        "operations.wide.kernal: found an unknown key, wanted one of kernel, expand (did you mean `kernel`?)",
    );
    refused(
        "kernel = 5, expand",
        "kernel = 4, expand",
        "kernel = 4",
        "operation \"wide\": kernel: found 4, wanted an odd number from 1 to 31",
    );
    refused("expand = 4", "expand = 0", "expand = 0", "operation \"wide\": expand: found 0, wanted 1…16");
    refused(
        "final = {",
        "\"the end\" = {",
        "\"the end\"",
        "operation \"the end\": found the name \"the end\", wanted letters, digits and _, starting with a letter",
    );
    refused("final = {", "first = {", "first = { kind = \"norm\"", "found duplicate key, wanted valid TOML");
    refused("[operations]", "[operations", "[operations", "found unclosed table, expected `]`, wanted valid TOML");
}

#[test]
fn widths_and_sizes_that_do_not_fit() {
    refused(
        "reduction = \"halve\" # cells change neither width nor size\n",
        "",
        "width = 16",
        "stage \"stage2\": found width 16, stride 2 behind width 8, and no `reduction`, \
         wanted `reduction = \"…\"`, or width 8 and stride 1: a cell changes neither",
    );
    refused(
        "reduction = \"halve\"",
        "reduction = \"pool\"",
        "reduction",
        "stage \"stage2\": found \"pool\" from width 8 to 16 with stride 2, \
         wanted an operation that changes width and size, or width 8 and stride 1",
    );
    refused(
        "first = [\"slim\", \"wide\"]",
        "first = [\"slim\", \"pass\"]",
        "first = [\"slim\"",
        "stage \"stage3\", layer 1: found \"pass\" from width 16 to 24 with stride 2, \
         wanted an operation that changes width and size, or width 16 and stride 1",
    );
    refused(
        "operation = \"first\"",
        "operation = \"pool\"",
        "operation = \"pool\"",
        "stem: found \"pool\" to width 8, wanted an operation that changes width and size",
    );
    // The images are 2×2 here; they are halved twice.
    refused(
        "width = 8\n\n",
        "width = 8 # not wrong\n\n",
        "stride = 2\nlayers",
        "stage \"stage3\": found stride 2 on what is left of 2×2 pixels, 1, wanted larger images, or smaller strides",
    );
}

#[test]
fn stages_with_mistakes() {
    let taken = "a name other than normalize, stem, last, pool, classifier";
    refused(
        "cells = 2",
        "cells = 2\nname = \"last\"",
        "name = \"last\"",
        &format!("stage \"last\": found the name \"last\", wanted {taken}"),
    );
    let classifier = "[classifier]\ndeviation = -1.0\n\n[head]";
    refused("[head]", classifier, "deviation", "classifier: deviation: found -1, wanted 0.000001…10");
    // Told there, and not by what the cell can't do with it.
    refused("width = 16", "width = 0", "width = 0", "stage \"stage2\": width: found 0, wanted 1…65536");
    let nothing = "\"cut\", behind which there is nothing, wanted an operation that lets the image through";
    refused("reduction = \"halve\"", "reduction = \"cut\"", "reduction", &format!("stage \"stage2\": found {nothing}"));
    refused("operation = \"final\"", "operation = \"cut\"", "operation = \"cut\"", &format!("head: found {nothing}"));
    refused("width = 8\ncells = 2", "width = 8\ncells = 0", "cells = 0", "stage \"stage1\": cells: found 0, wanted 1…1000");
    refused(
        "width = 8\ncells = 2",
        "width = 8",
        "[[stage]]",
        "stage \"stage1\": found neither `cells` nor `layers`, wanted one of the two",
    );
    refused(
        "cells = 2",
        "cells = 2\nlayers = 2",
        "layers = 2",
        "stage \"stage1\": found `layers` beside `cells`, wanted one of the two",
    );
    refused(
        "cells = 2",
        "cells = 2\nname = \"stage2\"",
        "[[stage]]\nreduction",
        "stage \"stage2\": found the name \"stage2\" twice, wanted a different name for each stage",
    );
    refused(
        "cells = 2",
        "cells = 2\nfirst = \"any\"",
        "first = \"any\"",
        "stage \"stage1\": found `first` beside `cells`, wanted `layers`, or candidates in [cell]",
    );
    refused(
        "candidates = [\"slim\", \"wide\", \"pass\"]\n",
        "",
        "[[stage]]\nwidth = 24",
        "stage \"stage3\": found `layers` without `candidates`, wanted what a layer may be",
    );
    refused(
        "[\"slim\", \"wide\", \"pass\"]",
        "[\"slim\", \"cut\"]",
        "candidates = [\"slim\"",
        "stage \"stage3\", layer 2: found \"cut\", behind which there is nothing, wanted an operation that lets the image through",
    );
    refused(
        "layers = 3",
        "layer = 3",
        "layer = 3",
        "stage[2].layer: found an unknown key, wanted one of name, width, stride, cells, reduction, layers, candidates, first (did you mean `layers`?)",
    );
    refused("width = 24", "width = \"24\"", "width = \"24\"", "stage[2].width: found \"24\", wanted a whole number");
    refused("width = 24\n", "", "[[stage]]\nstride = 2\nlayers", "stage[2].width: found nothing, wanted a value");
}

#[test]
fn a_space_without_a_choice_or_without_its_cell() {
    let (head, tail) = ("[operations]\nc = { kind = \"conv_norm\", kernel = 3 }\n", "[stem]\noperation = \"c\"\nwidth = 4\n");
    let refusal = |stage: &str| Custom::from_toml("my-space.toml", &format!("{head}{tail}{stage}")).unwrap_err().to_string();
    let fixed = refusal("[[stage]]\nwidth = 4\nlayers = 2\ncandidates = [\"c\"]");
    assert_eq!(fixed, "my-space.toml: space: found nothing to choose, wanted a place with at least two candidates");
    let cell = refusal("[[stage]]\nwidth = 4\ncells = 2");
    assert_eq!(cell, "my-space.toml:8: stage \"stage1\": found `cells` without a cell, wanted a [cell] table");
}

#[test]
fn ten_to_the_thirty_architectures_are_trained_exported_and_searched_like_a_few() {
    let operations: String =
        (0..10).map(|n| format!("o{n} = {{ kind = \"conv_norm\", kernel = {} }}\n", 1 + 2 * (n % 2))).collect();
    let names: Vec<String> = (0..10).map(|n| format!("\"o{n}\"")).collect();
    let list = names.join(", ");
    let text = format!(
        "[operations]\n{operations}[stem]\noperation = \"o1\"\nwidth = 4\n[[stage]]\nwidth = 4\nlayers = 30\ncandidates = [{list}]"
    );
    let space = SpaceConfig::Custom(custom(&text));
    let data = dataset(40, 8, 8);
    let settings = "search = { strategy = { kind = \"evolution\", population = 4, generations = 1 }, limits = { macs = { max = 150000 } } }\nspace = { kind = \"nb201\" }";
    let mut recipe = Recipe::from_toml(&format!("validation = 8\n{settings}\n[train]\n")).unwrap();
    recipe.space = space.clone();
    let images = RunData::new(&recipe, &data).unwrap();
    let supernet = Model::supernet(space, images.task.clone(), 0, Device::Cpu).unwrap();
    assert_eq!(count(supernet.graph().genes()), format!("1{}", "0".repeat(30)));
    let recipe = Arc::new(recipe);
    let mut trainer = Trainer::new(recipe.clone(), supernet, images.lessons()).unwrap();
    (0..2).for_each(|_| assert!(trainer.advance().unwrap().unwrap().loss.unwrap().is_finite()));
    let supernet = trainer.into_model();
    let pictures = device_pictures(16, 8, 2);
    let subnet = cut_out(&supernet, &archs(&supernet, 1)[0], &pictures, 8, 0).unwrap();
    assert_eq!(verify(&onnx_bytes(&subnet, "hash", 17).unwrap(), &subnet, &pictures, 1e-4).unwrap().top1_agreement, 1.0);
    let mut search = Search::new(recipe, supernet, &images, None).unwrap();
    while search.advance().unwrap().is_some() {}
    assert!(search.evaluations().len() >= 4 && search.evaluations().iter().all(|found| found.macs <= 150_000));
}

#[test]
fn counts_are_exact_as_long_as_they_can_be() {
    let genes = |count: usize, options: usize| -> Vec<Gene> {
        (0..count).map(|gene| Gene { name: gene.to_string(), options: vec![String::new(); options] }).collect()
    };
    assert_eq!(count(&[]), "1");
    assert_eq!(count(&genes(6, 5)), "15625");
    assert_eq!(count(&genes(60, 4)), (1u128 << 120).to_string());
    assert_eq!(count(&genes(100, 4)), "1.60e60"); // 2²⁰⁰ = 1.6069…·10⁶⁰
}

#[test]
fn a_recipe_can_describe_a_space_itself() {
    let inline = example(0).replace("[[stage]]", "[[space.stage]]");
    let inline = ["operations", "candidates", "cell", "cell.edges", "stem", "head"]
        .iter()
        .fold(inline, |text, table| text.replace(&format!("[{table}]"), &format!("[space.{table}]")));
    let recipe = |space: &str| Recipe::from_toml(&format!("validation = 1\n[train]\n[space]\nkind = \"custom\"\n{space}"));
    assert_eq!(recipe(&inline).unwrap().space, SpaceConfig::Custom(custom(&example(0))));
    let line = 1 + format!("validation = 1\n[train]\n[space]\nkind = \"custom\"\n{inline}")
        .split("\"2<-0\"")
        .next()
        .unwrap()
        .matches('\n')
        .count();
    let message = recipe(&inline.replace("\"2<-0\"", "\"2<-7\"")).unwrap_err().to_string();
    assert_eq!(message, format!("recipe:{line}: edge \"2<-7\": found node 7, wanted one of 0 to 2"));
    let json = serde_json::json!({
        "validation": 1, "train": {}, "space": { "kind": "custom", "stem": { "operation": "x", "width": 8 }, "operations": {}, "stage": [] }
    });
    let message = Recipe::from_json(&json.to_string()).unwrap_err().to_string();
    assert!(message.starts_with("space: stem: found the unknown operation \"x\", wanted "), "{message}");
    for (space, hint) in [
        ("kind = \"file\"", "space.path: found nothing, wanted the path of a space file"),
        ("kind = \"file\"\npaht = \"x\"", "space.paht: found an unknown key, wanted one of kind, path"),
        ("kind = \"file\"\npath = \"/nowhere.toml\"", "file not found: /nowhere.toml"),
        ("kind = \"fille\"", "wanted one of nb201, mobilenet, shufflenet, custom, file (did you mean `file`?)"),
    ] {
        let message = Recipe::from_toml(&format!("validation = 1\n[train]\n[space]\n{space}")).unwrap_err().to_string();
        assert!(message.contains(hint), "{space}: {message}");
    }
}

/// Every graph of a described space can be planned, whatever was chosen.
#[test]
fn plans_of_the_example_compute_what_the_graph_says() {
    let supernet = model(SpaceConfig::Custom(custom(&example(0))), &task(16, 16));
    let network = supernet.network.in_double();
    let graph: &Graph = supernet.graph();
    let (images, _) = device_pictures(6, 16, 5).slice(0, 6);
    let images = images.to_kind(tch::Kind::Double);
    let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
    for arch in archs(&supernet, 30) {
        let [planned, unplanned] =
            [Plan::new(graph, &arch), Plan::unplanned(graph, &arch)].map(|plan| plan.run(&network, &run, &images));
        assert!((planned - &unplanned).abs().max().double_value(&[]) < 1e-9, "{}", supernet.space.text(&arch));
    }
}
