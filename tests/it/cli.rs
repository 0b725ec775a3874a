//! The program as a person uses it: real processes, real files, every mistake answered by one sentence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use supernaut::graph::{Device, Kernels};

use crate::capi;
use crate::common::pictures;

pub const RECIPE: &str = r#"
name = "tiny"
seed = 3
threads = 1
validation = 64
data = { kind = "idx", classes = ["a", "b", "c", "d", "e", "f", "g", "h"] }
space = { kind = "nb201", channels = 4, cells = 1 }

[train]
epochs = 16
batch = 16
rate = 0.2
augment = { crop = 1, flip = false }
checkpoint_steps = 2

[search]
strategy = { kind = "evolution", population = 6, generations = 2, parents = 3, mutations = 3, crossovers = 2 }
objectives = ["accuracy", "macs"]
limits.macs.max = 400000
keep = 2

[retrain]
start = "supernet"
epochs = 2
batch = 16
rate = 0.05
augment = { crop = 0 }

[latency]
seconds = 0.02
"#;

/// A folder with data, a recipe and room for runs.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.idx("train", 320, 1);
        place.idx("t10k", 40, 2);
        place.recipe("recipe.toml", RECIPE);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn recipe(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Grey images of 8×8 pixels: the first channel of the shared pictures.
    fn idx(&self, part: &str, count: usize, seed: u64) {
        self.idx_of(part, count, 8, seed);
    }

    fn idx_of(&self, part: &str, count: usize, side: usize, seed: u64) {
        let (images, pixels) = (pictures(count, side, 8, seed), side * side);
        let grey: Vec<u8> = images.pixels().chunks(3 * pixels).flat_map(|image| image[..pixels].to_vec()).collect();
        let header = |magic: u32, sizes: &[u32]| {
            [&[magic], sizes].concat().iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
        };
        fs::create_dir_all(self.path("data")).unwrap();
        let write = |name: &str, bytes: Vec<u8>| fs::write(self.path("data").join(format!("{part}-{name}")), bytes).unwrap();
        write("images-idx3-ubyte", [header(0x803, &[count as u32, side as u32, side as u32]), grey].concat());
        write(
            "labels-idx1-ubyte",
            [header(0x801, &[count as u32]), images.labels().iter().map(|&label| label as u8).collect()].concat(),
        );
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supernaut"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A successful call's standard output.
    pub fn works(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one sentence of a refused call.
    pub fn refused(&self, arguments: &[&str]) -> String {
        refusal(&self.run(arguments))
    }

    /// The refusal of the recipe with `from` replaced by `to`.
    fn refused_recipe(&self, from: &str, to: &str) -> String {
        assert!(RECIPE.contains(from), "{from}");
        self.recipe("changed.toml", &RECIPE.replace(from, to));
        let _ = fs::remove_dir_all(self.path("changed"));
        self.refused(&["run", "changed.toml", "--data", "data", "--out", "changed"])
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    errors[0].to_owned()
}

pub fn contains(message: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| message.contains(part)), "{message}\nshould contain {parts:?}");
}

/// The words of a table, one blank apart.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const RUN: [&str; 6] = ["run", "recipe.toml", "--data", "data", "--out", "out"];

#[test]
fn a_run_leaves_everything_it_promises_and_the_parts_work_alone() {
    let place = Place::new();
    let printed = place.works(&RUN);
    contains(&printed, &["subnet-1", "report.html"]);
    let result = place.json("out/result.json");
    assert_eq!(result["finished"], true);
    let subnets = result["subnets"].as_array().unwrap();
    assert_eq!(subnets.len(), 2);
    for subnet in subnets {
        assert!(subnet["macs"].as_u64().unwrap() <= 400_000);
        assert!(subnet["latency_ms"]["median"].as_f64().unwrap() <= subnet["latency_ms"]["p90"].as_f64().unwrap());
        assert_eq!(subnet["verify"]["top1_agreement"], 1.0);
        assert!(subnet["verify"]["max_rel_diff"].as_f64().unwrap() <= 1e-4);
        assert!(place.path("out").join(subnet["onnx"].as_str().unwrap()).exists());
        assert!(subnet["accuracy"].as_f64().unwrap() >= 0.0);
    }
    let evaluations = result["search"]["evaluations"].as_array().unwrap();
    let keys: std::collections::BTreeSet<&str> =
        evaluations.iter().map(|evaluation| evaluation["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), evaluations.len(), "nothing is evaluated twice");
    assert!(
        evaluations.iter().all(|evaluation| evaluation["bn"] == "from batches of 256"),
        "each accuracy says how it was measured"
    );
    for file in ["supernet.safetensors", "subnet-1.safetensors", "events.jsonl", "report.html"] {
        assert!(place.path("out").join(file).exists(), "{file}");
    }
    let report = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(report.contains("<svg") && !report.contains("http://") && !report.contains("<script src"));

    let arch = subnets[0]["arch"].as_str().unwrap();
    place.works(&["search", "out/supernet.safetensors", "--data", "data", "--out", "again"]);
    assert_eq!(place.json("again/search.json")["evaluations"], result["search"]["evaluations"]);
    place.works(&["retrain", "out/supernet.safetensors", "--arch", arch, "--data", "data", "--out", "again"]);
    let bytes = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(bytes("again/subnet-1.safetensors") == bytes("out/subnet-1.safetensors"), "retrained alone, the same bytes");
    for command in [&["search"][..], &["retrain", "--arch", arch]] {
        let refused = place.refused(&[command, &["out/subnet-1.safetensors", "--data", "data", "--out", "again"]].concat());
        contains(&refused, &["out/subnet-1.safetensors", "found a network that stands alone", "wanted a supernet"]);
    }
    place.works(&["export", "out/subnet-1.safetensors", "--data", "data", "--out", "again.onnx"]);
    assert!(bytes("again.onnx") == bytes("out/subnet-1.onnx"), "exported alone, the same bytes");
    contains(
        &place.works(&["verify", "again.onnx", "out/subnet-1.safetensors", "--data", "data"]),
        &["agree on 100.00 % of 40 images"],
    );
    place.works(&["export", "out/supernet.safetensors", "--arch", arch, "--data", "data", "--out", "cut.onnx"]);
    let mut tampered = bytes("again.onnx");
    let middle = tampered.len() / 2;
    tampered[middle..middle + 64].iter_mut().for_each(|byte| *byte = 0x3f);
    fs::write(place.path("tampered.onnx"), tampered).unwrap();
    contains(
        &place.refused(&["verify", "tampered.onnx", "out/subnet-1.safetensors", "--data", "data"]),
        &["first node that differs is `"],
    );
}

#[test]
fn the_same_recipe_seed_and_data_give_the_same_bytes() {
    let place = Place::new();
    place.works(&RUN);
    place.works(&["run", "recipe.toml", "--data", "data", "--out", "twin"]);
    for file in ["supernet.safetensors", "subnet-1.safetensors", "subnet-1.onnx", "subnet-2.onnx", "evaluations.jsonl"] {
        assert!(fs::read(place.path("out").join(file)).unwrap() == fs::read(place.path("twin").join(file)).unwrap(), "{file}");
    }
}

#[test]
fn every_level_of_instructions_gives_the_same_bytes() {
    if Kernels::fastest(Device::Cpu) == Kernels::Libtorch {
        return; // no kernels of ours, no levels
    }
    let place = Place::new();
    // 8 channels are too few for the widest vectors, 16 and 32 aren't; 7 pixels leave something over wherever several are taken at a time.
    let recipe = RECIPE.replace("channels = 4", "channels = 8").replace("epochs = 16", "epochs = 2");
    place.recipe("recipe.toml", &recipe.replace("kind = \"idx\",", "kind = \"idx\", size = 7,"));
    let train = |level: &str| {
        let arguments = ["train", "recipe.toml", "--data", "data", "--out", level];
        place.command(&arguments).env("SUPERNAUT_LEVEL", level).output().unwrap()
    };
    let supernet = |level: &str| fs::read(place.path(level).join("supernet.safetensors")).unwrap();
    contains(&refusal(&train("sse")), &["SUPERNAUT_LEVEL: found \"sse\", wanted \"base\""]);
    assert!(train("base").status.success());
    for level in ["avx512", "wide"] {
        let output = train(level);
        if output.status.success() {
            assert!(supernet(level) == supernet("base"), "{level}");
        } else {
            contains(&refusal(&output), &["SUPERNAUT_LEVEL: found", level, "on a CPU that has AVX-512"]);
        }
    }
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bytes() {
    let place = Place::new();
    place.works(&["run", "recipe.toml", "--data", "data", "--out", "whole"]);
    let (mut kills, mut wait) = (0, 150);
    loop {
        let mut child = place.command(&RUN).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        wait += 60;
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 1);
    place.works(&RUN);
    for file in ["supernet.safetensors", "subnet-1.safetensors", "subnet-1.onnx", "subnet-2.onnx", "evaluations.jsonl"] {
        assert!(
            fs::read(place.path("out").join(file)).unwrap() == fs::read(place.path("whole").join(file)).unwrap(),
            "{file} after {kills} kills"
        );
    }
}

#[test]
fn ctrl_c_leaves_a_checkpoint_and_says_so() {
    let place = Place::new();
    place.recipe("long.toml", &RECIPE.replace("epochs = 16", "epochs = 3000"));
    let mut child =
        place.command(&["train", "long.toml", "--data", "data", "--out", "out"]).stderr(Stdio::piped()).spawn().unwrap();
    while !place.path("out/supernet.safetensors").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let unfinished = place.refused(&["search", "out/supernet.safetensors", "--data", "data", "--out", "search"]);
    contains(&unfinished, &["training at step", "of 48000", "train it to its end"]);
}

#[test]
fn recipes_with_mistakes() {
    let place = Place::new();
    contains(&place.refused_recipe("epochs = 16", "epoch = 8"), &["train.epoch: found an unknown key", "did you mean `epochs`?"]);
    contains(&place.refused_recipe("seed = 3", "sed = 3"), &["error: sed: found an unknown key", "did you mean `seed`?"]);
    contains(&place.refused_recipe("kind = \"nb201\"", "kind = \"nb202\""), &["space", "\"nb202\"", "did you mean `nb201`?"]);
    contains(&place.refused_recipe("channels = 4", "chanels = 4"), &["space.chanels", "did you mean `channels`?"]);
    contains(&place.refused_recipe("channels = 4", "channels = \"four\""), &["space", "\"four\"", "wanted"]);
    contains(&place.refused_recipe("channels = 4", "channels = 0"), &["space.channels: found 0", "1…4096"]);
    contains(&place.refused_recipe("channels = 4", "channels = 4, classes = 9"), &["space.classes: found 9, wanted 8"]);
    contains(&place.refused_recipe("rate = 0.2", "rate = -1.0"), &["train.rate: found -1"]);
    contains(&place.refused_recipe("batch = 16", "batch = 0"), &["train.batch: found 0, wanted at least 1"]);
    contains(&place.refused_recipe("\"macs\"]", "\"speed\"]"), &["search.objectives", "\"speed\"", "accuracy"]);
    contains(
        &place.refused_recipe("objectives =", "population = 6\nobjectives ="),
        &["search.population: found a key that has moved, wanted it in", "strategy = { kind = \"evolution\", population = … }"],
    );
    contains(
        &place.refused_recipe("population = 6", "populaton = 6"),
        &["search.strategy.populaton: found an unknown key", "did you mean `population`?"],
    );
    contains(
        &place.refused_recipe("population = 6", "population = 0"),
        &["search.strategy.population: found 0, wanted at least 1"],
    );
    contains(
        &place.refused_recipe("\"evolution\"", "\"evolutoin\""),
        &["search.strategy", "\"evolutoin\"", "did you mean `evolution`?", "nsga2"],
    );
    let exhaustive = "strategy = { kind = \"exhaustive\", most = 15000 }\nobjectives =";
    let (first, rest) = RECIPE.split_once("strategy =").unwrap();
    let without = format!("{first}{}", rest.split_once('\n').unwrap().1);
    place.recipe("exhaustive.toml", &without.replace("objectives =", exhaustive));
    contains(
        &place.refused(&["run", "exhaustive.toml", "--data", "data", "--out", "changed"]),
        &["search.strategy: found exhaustive over 15625 architectures, wanted at most 15000"],
    );
    contains(&place.refused_recipe("limits.macs.max", "limits.flops.max"), &["search.limits.flops", "params"]);
    contains(&place.refused_recipe("validation = 64", "validation = 320"), &["validation: found 320"]);
    contains(&place.refused_recipe("seed = 3", "seed = 3\ndevice = \"cuda:7\""), &["device: found \"cuda:7\"", "\"cpu\""]);
    let unclosed = "error: changed.toml:9: found unclosed table, expected `]`, wanted valid TOML";
    assert_eq!(place.refused_recipe("[train]", "[train"), unclosed);
    let plain = [
        ("epochs = 16", "epochs = -1", "train.epochs: found -1, wanted a whole number from 0"),
        (
            "epochs = 16",
            "schedule = \"cosine\"",
            "train.schedule: found \"cosine\", wanted a table such as { kind = \"cosine\" }",
        ),
        ("flip = false", "flip = 0", "train.augment.flip: found 0, wanted true or false"),
        ("channels = 4", "channels = \"four\"", "space.channels: found \"four\", wanted a whole number"),
        ("kind = \"nb201\", ", "", "space.kind: found nothing, wanted a value"),
        (
            "mutations = 3, crossovers = 2",
            "mutations = 0, crossovers = 0",
            "search.strategy.mutations: found 0 with crossovers = 0, wanted children by either",
        ),
    ];
    for (from, to, wanted) in plain {
        contains(&place.refused_recipe(from, to), &[wanted]);
    }
    place.recipe("headless.toml", RECIPE.split("[train]").next().unwrap());
    let headless = place.refused(&["run", "headless.toml", "--data", "data", "--out", "out"]);
    assert_eq!(headless, "error: train: found nothing, wanted a [train] table");
    contains(&place.refused_recipe("seed = 3", "seed = 3\nmemory_limit = 0"), &["memory_limit: found 0, wanted 1…"]);
    contains(&place.refused_recipe("seed = 3", "seed = 3\nmemory_limit = \"1 GB\""), &["memory_limit", "1 GB"]);
    contains(
        &place.refused_recipe(
            "batch = 16\nrate = 0.2\naugment = { crop = 1",
            "momentum_gene = \"9<-0\"\nbatch = 16\nrate = 0.2\naugment = { crop = 1",
        ),
        &["train.momentum_gene", "3<-2"],
    );
    let augments = [
        (
            "zoom = [0.5, 0.2]",
            "train.augment.zoom: found [0.5, 0.2], wanted two shares of the area above 0 and at most 1, the least first",
        ),
        ("zoom = [0.0, 1.0]", "train.augment.zoom: found [0, 1]"),
        ("gray = 1.5", "train.augment.gray: found 1.5, wanted 0…1"),
        ("jitter = { hue = 0.6 }", "train.augment.jitter.hue: found 0.6, wanted 0…0.5"),
        ("jitter = { strenght = 0.6 }", "train.augment.jitter.strenght: found an unknown key"),
        // The images have one channel.
        ("gray = 0.2", "train.augment.gray: found 0.2 for images of 1 channel, wanted 0: colours are made of three"),
        ("jitter = {}", "train.augment.jitter.hue: found 0.1 for images of 1 channel, wanted 0"),
    ];
    for (augment, wanted) in augments {
        contains(&place.refused_recipe("flip = false", &format!("flip = false, {augment}")), &[wanted]);
    }
    fs::write(place.path("binary.toml"), [0xff, 0xfe, 0x00]).unwrap();
    contains(&place.refused(&["run", "binary.toml", "--data", "data", "--out", "out"]), &["not UTF-8"]);
    contains(&place.refused(&["run", "absent.toml", "--data", "data", "--out", "out"]), &["file not found: absent.toml"]);
    assert!(!place.path("out").exists() && !place.path("changed/supernet.safetensors").exists());
}

#[test]
fn limits_that_nothing_meets_name_the_nearest() {
    let place = Place::new();
    contains(
        &place.refused_recipe("macs.max = 400000", "macs.max = 1000"),
        &["search.limits.macs", "<= 1000", "nearest reachable is", "|none~0|"],
    );
    contains(&place.refused_recipe("macs.max = 400000", "params.min = 1e9"), &["search.limits.params", ">= 1000000000"]);
    contains(
        &place.refused_recipe("macs.max = 400000", "latency_ms.max = 1e-9"),
        &["search.limits.latency_ms", "nearest reachable is"],
    );
    // Above the empty network, below everything that reads the image.
    contains(
        &place.refused_recipe("macs.max = 400000", "latency_ms.max = 1e-4"),
        &["search.limits.latency_ms", "skip_connect~0|none~1|none~2|"],
    );
    assert!(!place.path("changed/supernet.safetensors").exists(), "told before any training");
}

#[test]
fn a_limit_that_one_architecture_meets_finds_it() {
    let place = Place::new();
    let all = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";
    let message = place.refused_recipe("macs.max = 400000", "macs.min = 1e12");
    contains(&message, &["nearest reachable is", all]);
    let greatest = message.split("nearest reachable is ").nth(1).unwrap().split(' ').next().unwrap();
    let text = RECIPE.replace("macs.max = 400000", &format!("macs.min = {greatest}")).replace("epochs = 16", "epochs = 1");
    place.recipe("rare.toml", &text);
    place.works(&["run", "rare.toml", "--data", "data", "--out", "rare"]);
    assert_eq!(place.json("rare/result.json")["subnets"][0]["arch"], all);
}

/// The most memory that `command` had till its successful end, in bytes.
fn peak(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    peak
}

impl Place {
    /// The recipe under the least limit that its refusal names, as `limited.toml`; gives the limit and the refusal.
    fn least_limit(&self, recipe: &str) -> (u64, String) {
        self.recipe("limited.toml", &format!("memory_limit = 1\n{recipe}"));
        let message = self.refused(&["run", "limited.toml", "--data", "data", "--out", "limited"]);
        assert!(!self.path("limited").exists(), "refused before the work starts");
        let wanted = message.split("wanted at least ").nth(1).and_then(|rest| rest.split(' ').next());
        let megabytes = wanted.unwrap().parse::<u64>().unwrap() + 5; // no two processes start with quite the same memory
        self.recipe("limited.toml", &format!("memory_limit = {megabytes}\n{recipe}"));
        (megabytes, message)
    }
}

#[test]
fn a_run_stays_within_the_least_limit_that_is_named() {
    let place = Place::new();
    place.idx_of("train", 320, 16, 1);
    place.idx_of("t10k", 64, 16, 2);
    let recipe = RECIPE.replace("epochs = 16", "epochs = 3").replace("channels = 4", "channels = 16");
    let recipe = recipe.replace("batch = 16", "batch = 256").replace("macs.max = 400000", "macs.min = 0");
    let (megabytes, message) = place.least_limit(&recipe);
    contains(&message, &["memory_limit: found 1 MB", "MB for a training step of batch 256"]);
    let peak = peak(&mut place.command(&["run", "limited.toml", "--data", "data", "--out", "limited"]));
    assert!((60_000_000..megabytes * 1_000_000).contains(&peak), "{peak} bytes under a limit of {megabytes} MB");
    let found = megabytes - 60; // a third of what the activations need
    place.recipe("limited.toml", &format!("memory_limit = {found}\n{recipe}"));
    let message = place.refused(&["train", "limited.toml", "--data", "data", "--out", "less"]);
    contains(&message, &[&format!("found {found} MB"), "batch 256 (or a smaller train.batch, at most 1"]);
}

#[test]
fn a_limit_on_memory_makes_evaluation_batches_smaller_and_says_so() {
    let place = Place::new();
    place.idx_of("train", 128, 32, 1);
    place.idx_of("t10k", 4, 32, 2);
    let recipe = RECIPE.replace("epochs = 16", "epochs = 1").replace("channels = 4", "channels = 16");
    let recipe = recipe.replace("batch = 16", "batch = 2").replace("macs.max = 400000", "macs.min = 0");
    let (megabytes, _) = place.least_limit(&recipe.replace("[search]", "[search]\nbatch = 64"));
    let peak = peak(&mut place.command(&["run", "limited.toml", "--data", "data", "--out", "limited"]));
    assert!(peak < megabytes * 1_000_000, "{peak} bytes under a limit of {megabytes} MB");
    let result = place.json("limited/result.json");
    let bn = result["search"]["bn"].as_str().unwrap();
    assert!(["from batches of 16", "from batches of 32"].contains(&bn), "{bn}");
    assert!(result["search"]["evaluations"].as_array().unwrap().iter().all(|evaluation| evaluation["bn"] == bn));
    assert_eq!(result["subnets"][0]["supernet_bn"], bn);
    let printed = place.run(&["search", "limited/supernet.safetensors", "--data", "data", "--out", "again"]).stderr;
    contains(&String::from_utf8(printed).unwrap(), &["best", bn]);
    // A search that goes on keeps to the batch that it was begun with.
    let memory = place.path("again/evaluations.jsonl");
    let text = fs::read_to_string(&memory).unwrap();
    assert!(text.lines().next().unwrap().contains("\"batch\":"), "{text}");
    fs::write(&memory, text.lines().next().unwrap().split("\"batch\":").next().unwrap().to_owned() + "\"batch\":8}\n").unwrap();
    place.works(&["search", "limited/supernet.safetensors", "--data", "data", "--out", "again"]);
    assert_eq!(place.json("again/search.json")["bn"], "from batches of 8");
}

#[test]
fn remembered_evaluations_are_for_one_supernet_and_whole() {
    let place = Place::new();
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let search = ["search", "out/supernet.safetensors", "--data", "data", "--out", "search"];
    place.works(&search);
    let memory = place.path("search/evaluations.jsonl");
    let whole = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, &whole[..whole.len() - 20]).unwrap(); // a crash in the middle of the last line
    place.works(&search);
    assert_eq!(fs::read_to_string(&memory).unwrap(), whole);
    let damaged = whole.replacen("\"params\":", "\"parms\":", 1);
    fs::write(&memory, &damaged).unwrap();
    contains(&place.refused(&search), &["evaluations.jsonl: line 2", "wanted an evaluation"]);
    assert_eq!(fs::read_to_string(&memory).unwrap(), damaged, "what can't be read is left alone");
    fs::write(&memory, whole.replacen("\"weights\":\"", "\"weights\":\"0", 1)).unwrap();
    contains(&place.refused(&search), &["a different recipe, supernet or data"]);
}

#[test]
fn data_with_mistakes() {
    let place = Place::new();
    let run = || place.refused(&["run", "recipe.toml", "--data", "data", "--out", "out"]);
    let images = place.path("data/train-images-idx3-ubyte");
    let whole = fs::read(&images).unwrap();
    fs::write(&images, &whole[..1000]).unwrap();
    contains(&run(), &["train-images-idx3-ubyte", "1000", "20496"]);
    fs::write(&images, b"GIF89a, not IDX at all").unwrap();
    contains(&run(), &["train-images-idx3-ubyte", "wanted"]);
    fs::write(&images, &whole).unwrap();
    let labels = place.path("data/train-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[20] = 8;
    fs::write(&labels, &bytes).unwrap();
    contains(&run(), &["label", "8", "0"]);
    place.idx("train", 300, 1);
    fs::write(&images, &whole).unwrap();
    contains(&run(), &["300", "320"]);
    fs::remove_dir_all(place.path("data")).unwrap();
    contains(&run(), &["data"]);
}

#[test]
fn earlier_work_is_never_overwritten_by_another_run() {
    let place = Place::new();
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let before = fs::read(place.path("out/supernet.safetensors")).unwrap();
    place.recipe("other.toml", &RECIPE.replace("seed = 3", "seed = 4"));
    contains(&place.refused(&["run", "other.toml", "--data", "data", "--out", "out"]), &["a different recipe", "empty folder"]);
    place.idx("train", 328, 9);
    contains(&place.refused(&RUN), &["different data"]);
    assert!(fs::read(place.path("out/supernet.safetensors")).unwrap() == before);
}

#[test]
fn a_loss_that_explodes_keeps_the_last_checkpoint() {
    let place = Place::new();
    // Without norms in the way nothing bounds the classifier: a huge rate and decay drive it to infinity. No checkpoint falls
    // on the step between infinite weights and the loss that they give: that one would be refused first.
    let message = place.refused_recipe(
        "rate = 0.2\naugment = { crop = 1, flip = false }\ncheckpoint_steps = 2",
        "rate = 1000.0\nweight_decay = 1.0\nclip = 0.0\naugment = { crop = 1, flip = false }\ncheckpoint_steps = 1000",
    );
    contains(&message, &["loss is", "at step", "on |", "the last checkpoint is kept"]);
    contains(
        &place.refused(&["search", "changed/supernet.safetensors", "--data", "data", "--out", "search"]),
        &["training at step"],
    );
}

#[test]
fn places_that_cannot_be_written() {
    let place = Place::new();
    contains(&place.refused(&["run", "recipe.toml", "--data", "data", "--out", "/proc/nowhere"]), &["/proc/nowhere"]);
    let run = |recipe: &str, out: &str| place.refused(&["run", recipe, "--data", "data", "--out", out]);
    assert_eq!(run("recipe.toml", "recipe.toml"), "error: recipe.toml: found a file, wanted a folder");
    assert_eq!(run("data", "out"), "error: data: found a folder, wanted a file");
    let report = place.refused(&["report", "nothere"]);
    assert_eq!(report, "error: nothere: found no result.json in it, wanted the folder of a finished run");
    // A limit on the size of files stands for a full disk: the write fails half way.
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let before = fs::read(place.path("out/supernet.safetensors")).unwrap();
    place.recipe("wide.toml", &RECIPE.replace("channels = 4", "channels = 40").replace("macs.max = 400000", "macs.min = 0"));
    let script =
        format!("trap '' XFSZ; ulimit -f 40; exec '{}' train wide.toml --data data --out full", env!("CARGO_BIN_EXE_supernaut"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.folder.path()).output().unwrap();
    contains(&refusal(&output), &["full/supernet.safetensors", "File too large"]);
    let left: Vec<_> = fs::read_dir(place.path("full")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("safetensors")), "{left:?}");
    assert!(fs::read(place.path("out/supernet.safetensors")).unwrap() == before);
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let place = Place::new();
    place.recipe("long.toml", &RECIPE.replace("epochs = 16", "epochs = 3000"));
    let arguments = ["train", "long.toml", "--data", "data", "--out", "out"];
    let mut first = place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("out/supernet.safetensors").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let message = place.refused(&arguments);
    first.kill().unwrap();
    first.wait().unwrap();
    contains(&message, &["another run is using this folder"]);
}

#[test]
fn a_missing_onnx_runtime_is_told_before_any_training() {
    let place = Place::new();
    let output = place.command(&RUN).env("SUPERNAUT_ONNXRUNTIME", "/nowhere/libonnxruntime.so").output().unwrap();
    contains(&refusal(&output), &["ONNX Runtime", "/nowhere/libonnxruntime.so", "SUPERNAUT_ONNXRUNTIME"]);
    assert!(!place.path("out/supernet.safetensors").exists());
}

pub fn benchmark(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nb201").join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn params_rank_the_benchmarks_list_with_637() {
    let (Some(truth), Some(list)) = (benchmark("nb201-cifar10.csv.gz"), benchmark("kendall-327.txt")) else {
        return;
    };
    let (truth, list) = (truth.to_str().unwrap(), list.to_str().unwrap());
    let place = Place::new();
    let rank = |score: &str| place.works(&["rank", "--score", score, "--truth", truth, "--list", list]);
    contains(&squeezed(&rank("params")), &["327 architectures of", "Kendall's tau-b 0.637 ["]);
    contains(&squeezed(&rank("macs")), &["Kendall's tau-b 0.63"]);
    contains(&place.refused(&["rank", "--score", "parms", "--truth", truth, "--list", list]), &["\"parms\"", "params, macs"]);
    contains(
        &place.refused(&["rank", "--score", "params", "--truth", truth, "--list", list, "--column", "cifar10_tst"]),
        &["did you mean `cifar10_test`?"],
    );
}

#[test]
fn output_that_nobody_takes_is_no_bug() {
    let place = Place::new();
    place.recipe("my-space.toml", SPACE);
    let space = || place.command(&["space", "my-space.toml"]);
    let mut child = space().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take()); // as `head` does once it has its lines
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    contains(&refusal(&space().stdout(full).output().unwrap()), &["standard output: No space left on device"]);
}

#[test]
fn a_table_holds_shares_or_per_cent() {
    let place = Place::new();
    for (scores, line) in [([50.0, 150.0, 20.0, 0.9], "line 3: found 150"), ([0.5, 0.6, -3.0, 0.9], "line 4: found -3")] {
        place.table("table.csv", scores);
        let search = ["search", "--table", "table.csv", "--column", "score", "--recipe", "recipe.toml", "--out", "out"];
        let wanted = format!("error: table.csv: {line} in column score, wanted a share (0…1) or per cent (0…100)");
        assert_eq!(place.refused(&search), wanted);
    }
    let neither = place.run(&["search", "--out", "out"]).stderr;
    contains(&String::from_utf8(neither).unwrap(), &["SUPERNET", "--table <CSV>"]);
}

const ARCHS: [&str; 4] = ["none~0|none~1", "skip_connect~0|none~1", "nor_conv_3x3~0|none~1", "avg_pool_3x3~0|nor_conv_1x1~1"];

impl Place {
    /// Writes a table of four architectures and a column `score`.
    fn table(&self, name: &str, scores: [f64; 4]) {
        let row = |text: String, (edges, score)| {
            format!("{text}|nor_conv_3x3~0|+|{edges}|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|,{score}\n")
        };
        fs::write(self.path(name), ARCHS.iter().zip(scores).fold("arch,score\n".into(), row)).unwrap();
    }
}

const RANK: [&str; 7] = ["rank", "--truth", "truth.csv", "--column", "score", "--data", "data"];

#[test]
fn scores_of_several_seeds_are_ranked_and_compared() {
    let place = Place::new();
    place.table("truth.csv", [1.0, 2.0, 3.0, 4.0]);
    place.table("score.csv", [1.0, 2.0, 4.0, 3.0]);
    let one = place.works(&[&RANK[..], &["--score", "score.csv", "--top", "1,2", "--sparse"]].concat());
    let cells = ["Kendall's tau-b 0.667", "sparse tau (0.1) 0.667", "precision at 2 1.000", "top pick, true rank 2 of 4"];
    contains(&squeezed(&one), &cells);
    place.recipe("other.toml", &RECIPE.replace("seed = 3", "seed = 4"));
    for (recipe, out) in [("recipe.toml", "a"), ("other.toml", "b")] {
        place.works(&["train", recipe, "--data", "data", "--out", out]);
    }
    let (a, b) = ("a/supernet.safetensors", "b/supernet.safetensors");
    let files = ["--json", "all.json"];
    let printed = place.works(&[&RANK[..], &["--score", a, b, "--against", "params", "score.csv"], &files].concat());
    contains(
        &printed,
        &["1  a/supernet.safetensors, seed 3: 4 networks on 64 images", "mean", "score less against, mean of 2 pairs"],
    );
    let json = place.json("all.json");
    let runs = json["groups"][0]["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[1]["source"]["seed"], &runs[0]["source"]["images"]), (2, &4.into(), &64.into()));
    let scores: Vec<f64> = runs[0]["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    assert!(scores.len() == 4 && scores.iter().all(|score| (score * 64.0).fract() == 0.0), "shares of 64 images: {scores:?}");
    assert!(json["architectures"].as_array().unwrap().iter().all(|entry| entry["params"].as_u64().unwrap() > 1000));
    contains(
        &place.refused(&[&RANK[..], &["--score", a, "--against", b]].concat()),
        &["--against: found b/supernet.safetensors of seed 4 beside a/supernet.safetensors of seed 3"],
    );
    contains(&place.refused(&[&RANK[..], &["--score", a, "--images", "65"]].concat()), &["search.images: found 65", "64"]);
}

#[test]
fn a_ranking_remembers_what_it_judged() {
    let place = Place::new();
    place.table("truth.csv", [1.0, 2.0, 3.0, 4.0]);
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let rank = |json: &str| {
        let files = ["--score", "out/supernet.safetensors", "--out", "ranked", "--json", json];
        place.works(&[&RANK[..], &files].concat())
    };
    let printed = rank("first.json");
    let mut files = fs::read_dir(place.path("ranked")).unwrap().map(|entry| entry.unwrap().path());
    let memory = files.next().unwrap();
    assert!(files.next().is_none());
    // Killed before the last: three lines of four, and the first says what no evaluation would.
    let whole = fs::read_to_string(&memory).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 5, "{whole}");
    let accuracy = lines[1].split("\"accuracy\":").nth(1).unwrap().split(',').next().unwrap();
    let changed = lines[1].replace(&format!("\"accuracy\":{accuracy}"), "\"accuracy\":0.0078125");
    fs::write(&memory, format!("{}\n{changed}\n{}\n{}", lines[0], lines[2], &lines[3][..40])).unwrap();
    rank("second.json");
    let score = |file: &str, at: usize| place.json(file)["groups"][0]["runs"][0]["scores"][at].as_f64().unwrap();
    assert_eq!(score("second.json", 0), 0.0078125, "what is remembered isn't judged again");
    assert!((1..4).all(|at| score("second.json", at) == score("first.json", at)));
    assert_eq!(fs::read_to_string(&memory).unwrap().lines().count(), 5);
    fs::write(&memory, whole).unwrap();
    assert_eq!(rank("third.json"), printed);
}

#[test]
fn a_ranking_judges_what_computes_the_same_once() {
    let place = Place::new();
    place.recipe("recipe.toml", &RECIPE.replace("epochs = 16", "epochs = 1"));
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let archs = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|", // the same at the other end
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
    ];
    place.recipe("truth.csv", &format!("arch,truth\n{},1\n{},2\n{},3\n", archs[0], archs[1], archs[2]));
    let rank = ["rank", "--truth", "truth.csv", "--column", "truth", "--data", "data", "--out", "ranked", "--json", "all.json"];
    let printed = place.works(&[&rank[..], &["--score", "out/supernet.safetensors"]].concat());
    contains(&printed, &["3 architectures of truth.csv", "2 networks on 64 images"]);
    let memory = fs::read_dir(place.path("ranked")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(memory).unwrap().lines().count(), 1 + 2);
    let scores = &place.json("all.json")["groups"][0]["runs"][0]["scores"];
    assert!(scores[0] == scores[1] && scores[2].is_number(), "{scores}");
}

#[test]
fn landmarks_are_left_out_of_a_ranking() {
    let place = Place::new();
    let archs = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|", // computes what the first does
        "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
        "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|",
        "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|",
    ];
    let landmarks = format!("{{ kind = \"landmark\", on = \"train\", archs = [\"{}\", \"{}\"] }}", archs[0], archs[3]);
    let loss = format!("batch = 16\nrate = 0.2\nloss = [{{ kind = \"task\" }}, {landmarks}]");
    place.recipe("recipe.toml", &RECIPE.replace("epochs = 16", "epochs = 1").replace("batch = 16\nrate = 0.2", &loss));
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let truth: String = archs.iter().enumerate().map(|(at, arch)| format!("{arch},{at}\n")).collect();
    place.recipe("truth.csv", &format!("arch,truth\n{truth}"));
    let rank = ["rank", "--truth", "truth.csv", "--column", "truth", "--data", "data", "--json", "all.json", "--score"];
    let printed = place.works(&[&rank[..], &["out/supernet.safetensors"]].concat());
    contains(&printed, &["3 architectures of truth.csv", "3 left out: landmarks"]);
    assert_eq!(place.json("all.json")["left_out"], serde_json::json!([archs[0], archs[2], archs[3]]));
    contains(&place.works(&[&rank[..], &["params"]].concat()), &["6 architectures of truth.csv"]);
}

#[test]
fn a_space_without_a_table_gets_its_own_truth() {
    let place = Place::new();
    place.recipe("recipe.toml", &RECIPE.replace("start = \"supernet\"", "start = \"scratch\""));
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let rank = |out: &str, more: &[&str]| {
        let all = ["rank", "--score", "out/supernet.safetensors", "--ground", "5", "--out", out, "--data", "data"];
        place.works(&[&all[..], more].concat())
    };
    let printed = rank("ranked", &["--json", "ranked/all.json", "--report", "ranked/all.html"]);
    contains(&printed, &["5 architectures of ranked/ground/ground.csv, truth: accuracy in ranked/ground/ground.csv"]);
    let entries = place.json("ranked/all.json")["architectures"].clone();
    let of = |name: &str| entries.as_array().unwrap().iter().map(|entry| entry[name].as_f64().unwrap()).collect::<Vec<f64>>();
    assert!(of("truth").iter().all(|truth| (truth * 40.0).fract() == 0.0), "per cent of 40 test images: {entries}");
    assert!(of("params").is_sorted(), "in the order of size: {entries}");
    let table = fs::read_to_string(place.path("ranked/ground/ground.csv")).unwrap();
    // Killed while it trained: the same table, and each network is trained once.
    let mut child = place
        .command(&["rank", "--score", "macs", "--recipe", "recipe.toml", "--ground", "5", "--out", "killed", "--data", "data"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(rank("killed", &["--json", "again.json"]).replace("killed/", "ranked/"), printed);
    assert_eq!(fs::read_to_string(place.path("killed/ground/ground.csv")).unwrap(), table);
    // The table serves as any other.
    let again = ["rank", "--truth", "ranked/ground/ground.csv", "--column", "accuracy", "--data", "data", "--score"];
    let again = place.works(&[&again[..], &["out/supernet.safetensors"]].concat());
    assert_eq!(again.lines().skip(1).collect::<Vec<_>>(), printed.lines().skip(1).collect::<Vec<_>>());
    let page = fs::read_to_string(place.path("ranked/all.html")).unwrap();
    assert_eq!(page.matches("<circle").count(), 10, "five networks in two pictures");
    contains(&page, &["out/supernet.safetensors, seed 3", "Complexity bias", "<title>|"]);
    assert!(!page.contains("http://") && !page.contains("<script"));
    let refused = |more: &[&str]| place.refused(&[&["rank", "--ground", "5", "--data", "data"], more].concat());
    contains(&refused(&["--score", "params", "--out", "x"]), &["--ground: found no recipe"]);
    // Told before anything is trained.
    let untrained = |more: &[&str], parts: &[&str]| {
        contains(&refused(&[&["--recipe", "recipe.toml", "--out", "none", "--score"], more].concat()), parts);
        assert!(!place.path("none/ground").exists());
    };
    untrained(&["absent.csv"], &["--score: found \"absent.csv\""]);
    untrained(&["params", "--against", "macs", "macs"], &["--against: found 2 runs, wanted 1, one for each --score"]);
    untrained(&["params", "--top", "6"], &["--top: found 6, wanted 1…5"]);
    untrained(&["params", "--json", "nowhere/all.json"], &["nowhere/all.json: found no such folder"]);
    let message = place.run(&["rank", "--score", "params", "--ground", "5"]).stderr;
    contains(&String::from_utf8(message).unwrap(), &["--out"]);
}

#[test]
fn truth_and_lists_with_mistakes() {
    let place = Place::new();
    place.table("truth.csv", [1.0, 2.0, 3.0, 4.0]);
    let text = fs::read_to_string(place.path("truth.csv")).unwrap();
    let refused = |more: &[&str]| place.refused(&[&RANK[..], &["--score", "params"], more].concat());
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from));
        fs::write(place.path("truth.csv"), text.replacen(from, to, 1)).unwrap();
        let message = refused(&[]);
        fs::write(place.path("truth.csv"), &text).unwrap();
        message
    };
    contains(&changed(",3\n", ",nan\n"), &["truth.csv: line 4: found `nan` in column score, wanted a finite number"]);
    contains(&changed("skip_connect~0", "skip~0"), &["truth.csv: line 3: arch: found", "not `skip`"]);
    contains(&changed("skip_connect~0|none", "none~0|none"), &["truth.csv: line 3: found architecture", "a second time"]);
    contains(&changed("arch,score", "arch,sore"), &["column not found: score", "did you mean `sore`?"]);
    let all_equal = [",2\n", ",3\n", ",4\n"].iter().fold(text.clone(), |text, cell| text.replace(cell, ",1\n"));
    fs::write(place.path("equal.csv"), all_equal).unwrap();
    contains(&place.refused(&[&RANK[..], &["--score", "equal.csv"]].concat()), &["equal.csv: found 1 for all 4", "no order"]);
    let list = |text: &str| {
        fs::write(place.path("list.txt"), text).unwrap();
        refused(&["--list", "list.txt"])
    };
    let first = text.lines().nth(1).unwrap().split(',').next().unwrap();
    contains(&list(&format!("# two\n{first}\n|no~0|\n")), &["list.txt: line 3: found architecture |no~0|", "4 in truth.csv"]);
    contains(&list(&format!("{first}\n\n{first}\n")), &["list.txt: line 3", "a second time (first on line 1)"]);
    contains(&list(first), &["list.txt: found 1 architectures, wanted at least 2"]);
    contains(&list(""), &["list.txt: found 0 architectures"]);
    contains(&refused(&["--top", "5"]), &["--top: found 5, wanted 1…4"]);
    contains(&refused(&["--sparse", "0"]), &["--sparse: found 0"]);
}

#[test]
fn a_missing_library_is_one_sentence_that_says_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("supernaut");
    fs::copy(env!("CARGO_BIN_EXE_supernaut"), &program).unwrap();
    let run = || refusal(&Command::new(&program).arg("--version").output().unwrap());
    contains(&run(), &["libsupernaut.so: not found; looked in", &folder.path().display().to_string()]);
    // A library that needs a libtorch which isn't there: the real one, its path to libtorch blotted out.
    let bytes = fs::read(capi::library()).unwrap();
    let needle = b"libtorch_cpu.so";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    let mut blotted = bytes.clone();
    blotted[at..at + needle.len()].copy_from_slice(b"libtorch_xyz.so");
    fs::write(folder.path().join("libsupernaut.so"), blotted).unwrap();
    contains(&run(), &["libtorch_xyz.so", "libtorch was looked for in", "make setup"]);
}

#[test]
fn a_forest_is_named_by_its_file_and_works_like_one_supernet() {
    let place = Place::new();
    let split = "\n[[split]]\nby = { kind = \"exhaustive\", genes = [\"1<-0\"] }\nepochs = 2\n";
    place
        .recipe("recipe.toml", &RECIPE.replace("epochs = 16", "epochs = 2").replace("\n[search]", &format!("{split}\n[search]")));
    contains(&place.works(&["train", "recipe.toml", "--data", "data", "--out", "trained"]), &["trained/forest.json"]);
    place.works(&RUN);
    let bytes = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(bytes("trained/supernet-5.safetensors") == bytes("out/supernet-5.safetensors"));

    let result = place.json("out/result.json");
    let arch = result["subnets"][0]["arch"].as_str().unwrap();
    place.works(&["search", "out/forest.json", "--data", "data", "--out", "again"]);
    assert_eq!(place.json("again/search.json")["evaluations"], result["search"]["evaluations"]);
    place.works(&["retrain", "out/forest.json", "--arch", arch, "--data", "data", "--out", "again"]);
    assert!(bytes("again/subnet-1.safetensors") == bytes("out/subnet-1.safetensors"));
    place.works(&["export", "out/forest.json", "--arch", arch, "--data", "data", "--out", "cut.onnx"]);

    // One of the five alone serves its own part.
    let own = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|";
    let leaf = "out/supernet-2.safetensors";
    place.works(&["export", leaf, "--arch", own, "--data", "data", "--out", "own.onnx"]);
    place.works(&["export", "out/forest.json", "--arch", own, "--data", "data", "--out", "same.onnx"]);
    assert!(bytes("own.onnx") == bytes("same.onnx"));
    let foreign = own.replace("|skip_connect~0|+", "|nor_conv_3x3~0|+");
    let message = place.refused(&["export", leaf, "--arch", &foreign, "--data", "data", "--out", "no.onnx"]);
    contains(&message, &["arch: found |nor_conv_3x3~0|", "wanted one with 1<-0: skip_connect"]);
    place.works(&["search", leaf, "--data", "data", "--out", "part"]);
    let evaluations = place.json("part/search.json")["evaluations"].as_array().unwrap().clone();
    assert!(evaluations.iter().all(|evaluation| { evaluation["arch"].as_str().unwrap().starts_with("|skip_connect~0|") }));

    fs::remove_file(place.path("trained/supernet-4.safetensors")).unwrap();
    contains(
        &place.refused(&["search", "trained/forest.json", "--data", "data", "--out", "search"]),
        &["trained/forest.json: found no trained/supernet-4.safetensors yet, wanted a finished forest"],
    );
}

const SPACE: &str = r#"
[operations]
conv = { kind = "relu_conv_norm", kernel = 3 }
pass = { kind = "skip" }
stem = { kind = "conv_norm", kernel = 3 }
block = { kind = "mb_conv", kernel = 3, expand = 2 }
[cell]
nodes = 3
candidates = ["conv", "pass"]
[stem]
operation = "stem"
width = 4
[[stage]]
width = 4
cells = 1
[[stage]]
width = 8
stride = 2
layers = 2
first = ["block", "stem"]
candidates = ["block", "pass"]
"#;

#[test]
fn a_space_from_a_file_goes_the_whole_way_and_the_file_is_needed_once() {
    let place = Place::new();
    fs::create_dir(place.path("recipes")).unwrap();
    place.recipe("recipes/my-space.toml", SPACE);
    let text = RECIPE.replace("kind = \"nb201\", channels = 4, cells = 1", "kind = \"file\", path = \"my-space.toml\"");
    place.recipe("recipes/own.toml", &text);
    let run = ["run", "recipes/own.toml", "--data", "data", "--out", "out"];
    place.works(&run);
    let result = place.json("out/result.json");
    let arch = result["subnets"][0]["arch"].as_str().unwrap();
    contains(arch, &["|+|", "~0|", " ; "]);
    assert_eq!(result["subnets"][0]["verify"]["top1_agreement"], 1.0);
    contains(&fs::read_to_string(place.path("out/report.html")).unwrap(), &["class=\"wire", "output"]);

    place.recipe("recipes/my-space.toml", &format!("# Only a comment.\n{SPACE}"));
    place.works(&run);
    place.recipe("recipes/my-space.toml", &SPACE.replace("expand = 2", "expand = 3"));
    contains(&place.refused(&run), &["out: found a run of a different space (`tiny`)"]);
    place.recipe("recipes/my-space.toml", &SPACE.replace("\"block\", \"stem\"", "\"block\", \"stemm\""));
    contains(
        &place.refused(&run),
        &["recipes/my-space.toml:20: stage \"stage2\": found the unknown operation \"stemm\"", "did you mean `stem`?"],
    );
    fs::remove_file(place.path("recipes/my-space.toml")).unwrap();
    contains(&place.refused(&run), &["file not found: recipes/my-space.toml"]);
    place.works(&["search", "out/supernet.safetensors", "--data", "data", "--out", "again"]);
    assert_eq!(place.json("again/search.json")["evaluations"], result["search"]["evaluations"]);
    place.works(&["export", "out/supernet.safetensors", "--arch", arch, "--data", "data", "--out", "cut.onnx"]);
}

#[test]
fn a_space_file_is_told_before_training() {
    let place = Place::new();
    place.recipe("my-space.toml", SPACE);
    let printed = place.works(&["space", "my-space.toml", "--image", "1x8x8", "--classes", "8"]);
    contains(&printed, &["my-space.toml: 5 genes, 32 architectures", "2<-1           conv, pass", "stage2.layer1  block, stem"]);
    let fewest = printed.lines().find(|line| line.starts_with("fewest params")).unwrap();
    let numbers: Vec<u64> = fewest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Stem 1·4·9 + norm 2·4; block: 4·8 + 2·8, 8·9 + 2·8, 8·8 + 2·8; classifier 8·8 + 8.
    assert_eq!(numbers[0], 44 + 48 + 88 + 80 + 72);
    // Stem 64 pixels; block 64 pixels in, 16 out; classifier 8·9.
    assert_eq!(numbers[1], 64 * 36 + 64 * 32 + 16 * 72 + 16 * 64 + 72);
    contains(fewest, &["|pass~0|+|pass~0|pass~1| ; block pass"]);
    contains(
        &place.refused(&["space", "my-space.toml", "--image", "8x8"]),
        &["--image: found 8x8, wanted three sizes as in 3x32x32"],
    );
    contains(&place.refused(&["space", "my-space.toml", "--classes", "0"]), &["classes: found 0, wanted 1…1000000"]);
    contains(&place.refused(&["space", "absent.toml"]), &["file not found: absent.toml"]);
    contains(
        &place.refused(&["space", "my-space.toml", "--image", "3x1x1"]),
        &["my-space.toml:18: stage \"stage2\": found stride 2 on what is left of 1×1 pixels"],
    );
    fs::write(place.path("binary.toml"), [0xff, 0xfe, 0x00]).unwrap();
    contains(&place.refused(&["space", "binary.toml"]), &["not UTF-8", "a space file"]);
}

#[test]
fn a_c_program_searches_what_the_program_has_split() {
    let place = Place::new();
    let split = "\n[[split]]\nby = { kind = \"exhaustive\", genes = [\"1<-0\"] }\nepochs = 0\n";
    place.recipe("recipe.toml", &RECIPE.replace("epochs = 8", "epochs = 1").replace("\n[search]", &format!("{split}\n[search]")));
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let path = |name: &str| place.path(name).display().to_string();
    let classes = r#"["a", "b", "c", "d", "e", "f", "g", "h"]"#;
    let data = format!(r#"{{"kind": "idx", "path": "{}", "classes": {classes}}}"#, path("data"));
    let folder = capi::workshop();
    let program = capi::compiled(folder.path(), "tests/c/forest.c", capi::C99);
    capi::run(&program, folder.path(), &[&data, &path("out/forest.json"), &path("out/supernet-2.safetensors")]);
}
