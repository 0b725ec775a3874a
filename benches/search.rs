//! What a strategy itself costs: 1,000 candidates of NAS-Bench-201 by a table of figures.
//!
//! `cargo bench --bench search`

use divan::Bencher;
use supernaut::arch::Region;
use supernaut::rank::Truth;
use supernaut::run::job::Job;
use supernaut::run::recipe::Recipe;
use supernaut::run::search::Search;
use supernaut::run::table::Table;
use supernaut::space::{Nb201, Norm, Space, Task};

/// Strategies that judge a thousand.
const STRATEGIES: [&str; 4] = [
    r#"{ kind = "random", trials = 1000 }"#,
    r#"{ kind = "regularised", trials = 1000 }"#,
    r#"{ kind = "evolution" }"#,
    r#"{ kind = "nsga2" }"#,
];

fn main() {
    divan::main();
}

/// All architectures, accurate as far as they are large, with some noise: the bits of their number, turned round.
fn table(space: &Nb201, task: &Task) -> Truth {
    let graph = space.graph(task, Norm::Own).expect("the space suits the images");
    let mut text = String::from("arch,accuracy\n");
    for (index, arch) in (0u32..).zip(Region::whole(graph.genes()).archs()) {
        let noise = f64::from(index.reverse_bits()) / f64::from(u32::MAX);
        let accuracy = (graph.cost(&arch).params as f64).ln() / 20.0 + 0.1 * noise;
        text += &format!("{},{accuracy}\n", space.text(&arch));
    }
    let file = tempfile::Builder::new().suffix(".csv").tempfile().expect("room for a table");
    std::fs::write(file.path(), text).expect("room for a table");
    Truth::read(file.path()).expect("a whole table")
}

#[divan::bench(args = STRATEGIES)]
fn a_thousand_by_a_table(bencher: Bencher, strategy: &str) {
    let task = Task { image: [3, 32, 32], classes: vec![String::new(); 10], mean: vec![0.5; 3], deviation: vec![0.25; 3] };
    let search = format!("strategy = {strategy}\nobjectives = [\"accuracy\", \"macs\"]");
    let recipe = Recipe::from_toml(&format!("validation = 1\nspace = {{ kind = \"nb201\" }}\n[train]\n[search]\n{search}"));
    let (recipe, truth) = (recipe.expect("a whole recipe"), table(&Nb201::default(), &task));
    bencher.bench_local(|| {
        let table = Table::new(&recipe, &task, truth.clone(), "accuracy").expect("the table has the column");
        let mut search = Search::of(&recipe, Box::new(table), None).expect("nothing is asked of the table that it lacks");
        while search.advance().expect("the table has all architectures").is_some() {}
        assert!(search.evaluations().len() >= 1000);
        search.chosen().len()
    });
}
