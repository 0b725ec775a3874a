//! A search whose loop and metric are your own: here the metric is a formula that rewards depth and punishes size, in yours
//! it may be a training, a simulator, a board on the desk. `cargo run --release --example own_loop`

use supernaut::Result;
use supernaut::run::dialogue::{Dialogue, Next, Topic};
use supernaut::space::{Nb201, Norm, SpaceConfig, Task};

fn main() -> Result<()> {
    // 1. A space, on images like CIFAR-10's.
    let space = SpaceConfig::Nb201(Nb201::default());
    let classes = (0..10).map(|class| class.to_string()).collect();
    let task = Task { image: [3, 32, 32], classes, mean: vec![0.5; 3], deviation: vec![0.25; 3] };
    let graph = space.graph(&task, Norm::Own)?;

    // 2. What is tried next, and what may be: the keys of a recipe's [search] table.
    let topic: Topic = serde_json::from_str(
        r#"{"strategy": {"kind": "nsga2", "population": 20, "generations": 9}, "limits": {"params": {"max": 8e5}}}"#,
    )
    .expect("written two lines above");

    // 3. Ask, judge, tell. Every figure is the smaller the better.
    let mut dialogue = Dialogue::new(space.clone(), graph.clone(), &topic, 0)?;
    while let Next::Judge(query) = dialogue.ask() {
        let cost = graph.cost(&query.arch);
        let convolutions = query.arch.options().iter().filter(|&&option| option == 2 || option == 3).count();
        let badness = (cost.params as f64 / 1e6 - 0.3 * convolutions as f64).powi(2);
        dialogue.tell(&query.arch, vec![badness, cost.macs as f64])?;
    }

    // 4. The front: what nothing else beats in both.
    println!("{} architectures were tried; the front:", dialogue.trials().len());
    for at in dialogue.front() {
        let trial = &dialogue.trials()[at];
        println!("{:.4} {:>9} MACs  {}", trial.figures[0], trial.figures[1], space.text(&trial.query.arch));
    }
    Ok(())
}
