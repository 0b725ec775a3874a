//! Searches: strategies over a table, in stages, and what is answered to mistakes.

use std::fs;

use supernaut::arch::{Arch, Region};
use supernaut::rank::Truth;
use supernaut::run::dialogue::{Dialogue, Next, Topic};
use supernaut::run::job::Job;
use supernaut::run::recipe::Recipe;
use supernaut::run::search::Search;
use supernaut::run::table::Table;
use supernaut::search::Query;
use supernaut::space::{Custom, Nb201, Norm, SpaceConfig};

use crate::cli::{Place, RECIPE, benchmark, contains};
use crate::common::{small_space, task};

/// The shared recipe with another `[search]` table.
fn recipe(search: &str) -> String {
    let (before, rest) = RECIPE.split_once("[search]").unwrap();
    format!("{before}[search]\n{search}\n\n[retrain]{}", rest.split_once("[retrain]").unwrap().1)
}

/// Searches the benchmark by validation accuracy; gives the test accuracy of the winner and how many were asked for.
fn on_the_benchmark(truth: &Truth, search: &str, seed: u64) -> (f64, usize) {
    let recipe = Recipe { seed, ..Recipe::from_toml(&recipe(search)).unwrap() };
    let table = Table::new(&recipe, &task(32, 10), truth.clone(), "cifar10_valid").unwrap();
    let mut search = Search::of(&recipe, Box::new(table), None).unwrap();
    while search.advance().unwrap().is_some() {}
    let archs: std::collections::BTreeSet<&str> = search.evaluations().iter().map(|one| &*one.arch).collect();
    (truth.get(&search.chosen()[0].1.arch, "cifar10_test").unwrap(), archs.len())
}

#[test]
fn the_example_of_an_own_loop_ends_with_a_front() {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().unwrap().with_file_name("examples").join("own_loop");
    let output = std::process::Command::new(&example)
        .output()
        .unwrap_or_else(|error| panic!("{}, which `cargo build --examples` makes: {error}", example.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    contains(&text, &["200 architectures were tried; the front:\n"]);
    let figures = |line: &str| -> [f64; 2] {
        let mut words = line.split_whitespace().map(|word| word.parse().unwrap());
        [words.next().unwrap(), words.next().unwrap()]
    };
    let mut front: Vec<[f64; 2]> = text.lines().skip(1).map(figures).collect();
    front.sort_by(|a, b| a[0].total_cmp(&b[0]));
    front.dedup();
    assert!(front.len() > 1 && front.windows(2).all(|two| two[1][1] < two[0][1]), "worse in one, better in the other: {front:?}");
}

#[test]
fn regularised_evolution_finds_94_37_in_300_queries() {
    let Some(path) = benchmark("nb201-cifar10.csv.gz") else { return };
    let truth = Truth::read(path).unwrap();
    let strategy = r#"strategy = { kind = "regularised", population = 25, sample = 10, trials = 300 }"#;
    let ends: Vec<(f64, usize)> = (0..20).map(|seed| on_the_benchmark(&truth, strategy, seed)).collect();
    assert!(ends.iter().all(|&(_, asked)| asked == 300), "{ends:?}");
    let mut accuracies: Vec<f64> = ends.into_iter().map(|(accuracy, _)| accuracy).collect();
    accuracies.sort_by(f64::total_cmp);
    assert_eq!((accuracies[9] + accuracies[10]) / 2.0, 94.37, "{accuracies:?}");
}

#[test]
fn every_strategy_searches_the_benchmark() {
    let Some(path) = benchmark("nb201-cifar10.csv.gz") else { return };
    let truth = Truth::read(path).unwrap();
    let (exhaustive, all) = on_the_benchmark(&truth, r#"strategy = { kind = "exhaustive" }"#, 0);
    let best = |a: &&String, b: &&String| {
        let valid = |arch: &str| truth.get(arch, "cifar10_valid").unwrap();
        valid(a).total_cmp(&valid(b))
    };
    let winner = truth.archs().iter().max_by(best).unwrap();
    assert_eq!((exhaustive, all), (truth.get(winner, "cifar10_test").unwrap(), 15_625));
    for strategy in [
        r#"{ kind = "random", trials = 1000 }"#,
        r#"{ kind = "evolution" }"#,
        r#"{ kind = "nsga2" }"#,
        r#"{ kind = "rounds", rounds = 1, candidates = 1000 }"#,
    ] {
        let (accuracy, asked) = on_the_benchmark(&truth, &format!("strategy = {strategy}"), 1);
        assert!(accuracy > 93.5 && (1000..=1050).contains(&asked), "{strategy}: {accuracy} after {asked}");
    }
}

/// A table of all of NAS-Bench-201: accuracy grows with the options' numbers, so the last architecture is the best.
fn table(place: &Place, columns: &str, figures: impl Fn(usize, &Arch) -> String) {
    let space = small_space();
    let graph = space.graph(&task(8, 10), Norm::Own).unwrap();
    let mut text = format!("arch,{columns}\n");
    for (index, arch) in Region::whole(graph.genes()).archs().enumerate() {
        text += &format!("{},{}\n", space.text(&arch), figures(index, &arch));
    }
    fs::write(place.path("table.csv"), text).unwrap();
}

const SEARCH: [&str; 8] = ["search", "--table", "table.csv", "--column", "score", "--recipe", "table.toml", "--out"];

fn options(arch: &Arch) -> f64 {
    arch.options().iter().sum::<usize>() as f64
}

#[test]
fn a_table_is_searched_under_limits_and_repeats_itself() {
    let place = Place::new();
    table(&place, "score,test,latency_ms,macs", |index, arch| {
        format!("{},{},{},{}", 50.0 + options(arch), index, options(arch), 100 + index)
    });
    let strategy = r#"strategy = { kind = "nsga2", population = 30, generations = 10 }"#;
    let objectives = r#"objectives = ["accuracy", "latency_ms"]"#;
    place.recipe("table.toml", &recipe(&format!("{strategy}\n{objectives}\nlimits.latency_ms.max = 12\nkeep = 3")));
    let printed = place.works(&[&SEARCH[..], &["out", "--report", "test"]].concat());
    contains(&printed, &["score 62, test ", " params, ", "330 of 15625 architectures, out/search.json"]);
    let result = place.json("out/search.json");
    let evaluations = result["evaluations"].as_array().unwrap();
    assert_eq!(evaluations.len(), 330);
    for evaluation in evaluations {
        let (accuracy, latency) =
            (evaluation["accuracy"].as_f64().unwrap(), evaluation["latency_ms"]["median"].as_f64().unwrap());
        assert!(latency <= 12.0 && (accuracy - (0.5 + latency / 100.0)).abs() < 1e-12, "per cent are shares: {evaluation}");
    }
    let chosen = result["chosen"].as_array().unwrap();
    assert_eq!(chosen.len(), 3);
    assert_eq!(result["told"][chosen[0].as_str().unwrap()]["score"], 62.0);
    place.works(&[&SEARCH[..], &["again", "--report", "test"]].concat());
    assert_eq!(place.json("again/search.json"), result);
    place.works(&[&SEARCH[..], &["other", "--seed", "4"]].concat());
    assert_ne!(place.json("other/search.json")["evaluations"], result["evaluations"]);
}

#[test]
fn tables_with_mistakes() {
    let place = Place::new();
    let write = |text: &str| fs::write(place.path("table.csv"), text).unwrap();
    place.recipe("table.toml", &recipe(r#"strategy = { kind = "exhaustive" }"#));
    let refused = |more: &[&str]| place.refused(&[&SEARCH[..], &["out"], more].concat());
    let arch = |first: &str| format!("|{first}~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|");
    write(&format!("arch,score\n{},0.1\n\n{},0.2\n", arch("none"), arch("nor_conv_5x5")));
    contains(&refused(&[]), &["table.csv: line 4: ", "nor_conv_5x5"]);
    write(&format!("arch,score\n{},0.1\n{},NaN\n", arch("none"), arch("skip_connect")));
    contains(&refused(&[]), &["table.csv: line 3: found `NaN` in column score, wanted a finite number"]);
    write(&format!("arch,scores\n{},0.1\n", arch("none")));
    contains(&refused(&[]), &["column not found: score", "did you mean `scores`?"]);
    write(&format!("arch,score\n{},0.1\n", arch("none")));
    contains(&refused(&["--report", "test"]), &["column not found: test"]);
    place.recipe("table.toml", &recipe("limits.latency_ms.max = 3"));
    contains(&refused(&[]), &["column not found: latency_ms"]);
    place.recipe("table.toml", &recipe("limits.macs.max = 3"));
    contains(&refused(&[]), &["search.limits.macs", "<= 3", "nearest reachable is", "|none~0|+"]);
    place.recipe("table.toml", &recipe(r#"strategy = { kind = "exhaustive", most = 15_000 }"#));
    contains(&refused(&[]), &["search.strategy: found exhaustive over 15625 architectures"]);
    assert!(!place.path("out").exists());
    let output = place.run(&["search", "--table", "table.csv", "--out", "out"]);
    contains(&String::from_utf8(output.stderr).unwrap(), &["--recipe", "--column"]);
}

#[test]
fn rounds_screen_on_few_images_and_choose_on_all() {
    let place = Place::new();
    let strategy = r#"strategy = { kind = "rounds", rounds = 2, candidates = 8, images = 16, again = 3 }"#;
    place.recipe("recipe.toml", &recipe(&format!("{strategy}\nkeep = 2")).replace("epochs = 16", "epochs = 1"));
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    let search = |out: &str| {
        place.works(&["search", "out/supernet.safetensors", "--data", "data", "--out", out]);
        place.json(&format!("{out}/search.json"))
    };
    let result = search("once");
    let [full, screened] = ["evaluations", "screened"].map(|name| result[name].as_array().unwrap().clone());
    assert_eq!((full.len(), screened.len()), (6, 16));
    let accuracy = |evaluation: &serde_json::Value| evaluation["accuracy"].as_f64().unwrap();
    assert!(screened.iter().all(|one| one["images"] == 16 && (16.0 * accuracy(one)).fract() == 0.0));
    for round in 0..2 {
        let mut best: Vec<f64> = screened[8 * round..][..8].iter().map(accuracy).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        for again in &full[3 * round..][..3] {
            let first = screened[8 * round..][..8].iter().find(|one| one["key"] == again["key"]).unwrap();
            assert!(accuracy(first) >= best[2], "{again} was among the three best");
        }
    }
    let winner = full.iter().map(accuracy).fold(0.0, f64::max);
    assert!(full.iter().any(|one| one["arch"] == result["chosen"][0] && accuracy(one) == winner));
    // Half of it remembered, the same end.
    let memory = fs::read_to_string(place.path("once/evaluations.jsonl")).unwrap();
    let half = memory.lines().take(12).fold(String::new(), |text, line| text + line + "\n");
    fs::create_dir(place.path("twice")).unwrap();
    fs::write(place.path("twice/evaluations.jsonl"), half).unwrap();
    fs::copy(place.path("once/run.json"), place.path("twice/run.json")).unwrap();
    assert_eq!(search("twice"), result);
    assert_eq!(fs::read_to_string(place.path("twice/evaluations.jsonl")).unwrap(), memory);

    place.recipe("greedy.toml", &recipe(&strategy.replace("images = 16", "images = 65")));
    let message = place.refused(&["run", "greedy.toml", "--data", "data", "--out", "greedy"]);
    contains(&message, &["search.strategy.images: found 65, wanted at most 64, as many as `search.images` gives"]);
    assert!(!place.path("greedy").exists(), "told before any training");
}

/// 694 strings of the benchmark's network have three to six 1×1 and nothing heavier, but gene by gene the way to them is blocked.
#[test]
fn a_window_that_is_not_found_gene_by_gene_is_no_error() {
    let (space, task) = (SpaceConfig::Nb201(Nb201::default()), task(32, 10));
    let graph = space.graph(&task, Norm::Own).unwrap();
    let topic = |min: f64, max: f64| -> Topic {
        let json =
            format!(r#"{{"strategy": {{"kind": "random", "trials": 5}}, "limits": {{"macs": {{"min": {min}, "max": {max}}}}}}}"#);
        serde_json::from_str(&json).unwrap()
    };
    let mut dialogue = Dialogue::new(space.clone(), graph.clone(), &topic(1.6e7, 4.2e7), 1).unwrap();
    let Next::Judge(query) = dialogue.ask() else { panic!("some are within") };
    assert!((1.6e7..4.2e7).contains(&(graph.cost(&query.arch).macs as f64)));
    let message = Dialogue::new(space.clone(), graph.clone(), &topic(8.0e6, 8.1e6), 1).err().unwrap().to_string();
    contains(
        &message,
        &["search.limits.macs: no architecture has macs >= 8000000 and <= 8100000", "nearest reachable is 7783050"],
    );
    let message = Dialogue::new(space, graph, &topic(1.6e9, 4.2e9), 1).err().unwrap().to_string();
    contains(&message, &["search.limits.macs: no architecture has macs", ">= 1600000000", "nearest reachable is"]);
}

/// From the first options every way down ends at the convolution, although a skip by the other way is smaller.
#[test]
fn the_least_architecture_is_the_least_of_all_ways() {
    let text = "[operations]\ncut = { kind = \"none\" }\npass = { kind = \"skip\" }\nconv = { kind = \"relu_conv_norm\", kernel = 3 }\n\
                first = { kind = \"conv_norm\", kernel = 3 }\n[cell]\nnodes = 3\n[cell.edges]\n\"1<-0\" = [\"cut\", \"pass\"]\n\
                \"2<-0\" = [\"cut\", \"conv\"]\n\"2<-1\" = [\"cut\", \"pass\"]\n[stem]\noperation = \"first\"\nwidth = 4\n\
                [[stage]]\nwidth = 4\ncells = 1\n";
    let space = SpaceConfig::Custom(Custom::from_toml("space", text).unwrap());
    let graph = space.graph(&task(8, 2), Norm::Own).unwrap();
    let whole = Region::whole(graph.genes());
    let least = graph.least_living(&whole, |arch| graph.cost(arch).params as f64);
    assert_eq!(space.text(&least), "|pass~0|+|cut~0|pass~1|");
    let all = whole.archs().filter(|arch| graph.reads_image(arch));
    assert_eq!(all.map(|arch| graph.cost(&arch).params).min(), Some(graph.cost(&least).params));
}

#[test]
fn a_network_is_timed_once_on_however_many_images_it_is_judged() {
    let place = Place::new();
    let strategy = r#"strategy = { kind = "rounds", rounds = 1, candidates = 6, images = 16, again = 3 }"#;
    let search = format!("{strategy}\nobjectives = [\"accuracy\", \"latency_ms\"]");
    place.recipe("recipe.toml", &recipe(&search).replace("epochs = 16", "epochs = 1"));
    place.works(&["train", "recipe.toml", "--data", "data", "--out", "out"]);
    place.works(&["search", "out/supernet.safetensors", "--data", "data", "--out", "out"]);
    let result = place.json("out/search.json");
    let [full, screened] = ["evaluations", "screened"].map(|name| result[name].as_array().unwrap().clone());
    for again in &full {
        let first = screened.iter().find(|one| one["key"] == again["key"]).unwrap();
        assert!(again["latency_ms"].is_object() && first["latency_ms"] == again["latency_ms"], "{first} {again}");
    }
}

#[test]
fn a_dialogue_does_not_care_about_the_order_of_answers() {
    let (space, task) = (small_space(), task(8, 10));
    let graph = space.graph(&task, Norm::Own).unwrap();
    let json = r#"{"strategy": {"kind": "evolution", "population": 10, "generations": 5}, "limits": {"params": {"max": 8000}}}"#;
    let topic: Topic = serde_json::from_str(json).unwrap();
    let run = |ahead: usize, backwards: bool| {
        let mut dialogue = Dialogue::new(space.clone(), graph.clone(), &topic, 1).unwrap();
        loop {
            let mut queries: Vec<Query> = vec![];
            let next = loop {
                match if queries.len() < ahead { dialogue.ask() } else { Next::Wait } {
                    Next::Judge(query) => queries.push(query),
                    next => break next,
                }
            };
            if backwards {
                queries.reverse();
            }
            for Query { arch, .. } in &queries {
                assert!(graph.cost(arch).params <= 8000);
                dialogue.tell(arch, vec![-options(arch)]).unwrap();
            }
            if next == Next::End {
                return dialogue.trials().to_vec();
            }
        }
    };
    let one_by_one = run(1, false);
    assert!(one_by_one.len() > 50);
    assert_eq!(run(4, true), one_by_one);
    assert_eq!(run(100, true), one_by_one);

    let refused = |json: &str| {
        let topic: Topic = serde_json::from_str(json).unwrap();
        Dialogue::new(space.clone(), graph.clone(), &topic, 1).err().unwrap().to_string()
    };
    contains(&refused(r#"{"limits": {"params": {"max": 1}}}"#), &["search.limits.params", "nearest reachable is"]);
    contains(&refused(r#"{"limits": {"latency_ms": {"max": 1}}}"#), &["search.limits.latency_ms", "as worse than all others"]);
    contains(&refused(r#"{"strategy": {"kind": "random", "trials": 0}}"#), &["search.strategy.trials: found 0"]);
    let mut dialogue = Dialogue::new(space.clone(), graph.clone(), &Topic::default(), 1).unwrap();
    let Next::Judge(query) = dialogue.ask() else { panic!("nothing asked") };
    let mut tell = |figures: &[f64]| dialogue.tell(&query.arch, figures.to_vec()).map_err(|error| error.to_string());
    contains(&tell(&[f64::NAN]).unwrap_err(), &["figures: found [NaN]"]);
    tell(&[1.0, f64::INFINITY]).unwrap();
    contains(&tell(&[1.0, 1.0]).unwrap_err(), &["wanted one that was asked for"]);
    let Next::Judge(query) = dialogue.ask() else { panic!("nothing asked") };
    contains(&dialogue.tell(&query.arch, vec![1.0]).unwrap_err().to_string(), &["figures: found 1, wanted 2"]);
}
