//! How time and memory of a training step grow with batch, cells, channels, candidates per edge and momentum groups, each
//! with the others fixed at a modest size. Every point is measured in a process of its own, for a peak can't be taken back.
//!
//! `make curves`, or `cargo bench --bench scaling`; writes `benches/scaling.json` and prints tables in Markdown.

mod common;

use std::process::ExitCode;

use clap::Parser;
use common::memory::{Footprint, in_fresh_process, peak, resident};
use common::numbers::{mean, timed};
use common::pass::{gradients, optimizer};
use common::work::{Work, draw, pictures, synchronize};
use common::{Result, output};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use supernaut::arch::Gene;
use supernaut::graph::ops::{BatchNorm, Conv, GlobalPool, Linear, Relu, Sum};
use supernaut::graph::{Graph, GraphBuilder, Network, NodeId, Plan, Shape};
use supernaut::run::images::DeviceImages;

/// What the command line says.
#[derive(Debug, Parser)]
#[command(about = "Time and memory of a training step against its sizes")]
struct Options {
    /// Steps of each point that are timed.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Threads of one operation.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Measures one point, for the process that asked.
    #[arg(long, hide = true)]
    point: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One setting of everything that is varied.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Point {
    batch: usize,
    cells: usize,
    channels: usize,
    /// Convolutions to choose from on each edge; none: the operations of NAS-Bench-201.
    candidates: Option<usize>,
    /// Momentum groups, each with a row of its own.
    groups: usize,
}

const MODEST: Point = Point { batch: 32, cells: 2, channels: 16, candidates: None, groups: 1 };

/// Steps before the first that is timed.
const WARM_UP: usize = 2;

/// What was measured at a point.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    /// Milliseconds per step, the mean over the paths.
    ms: f64,
    footprint: Footprint,
    /// All weights of the supernet.
    params: usize,
}

/// What is varied, over which values.
type Curve = (&'static str, &'static [usize], fn(&mut Point, usize));

const CURVES: [Curve; 5] = [
    ("batch", &[8, 16, 32, 64, 128], |point, value| point.batch = value),
    ("cells", &[1, 2, 3, 4, 5], |point, value| point.cells = value),
    ("channels", &[8, 16, 24, 32], |point, value| point.channels = value),
    ("candidates", &[1, 2, 5, 10], |point, value| point.candidates = Some(value)),
    ("groups", &[1, 2, 5, 10], |point, value| point.groups = value),
];

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    supernaut::graph::set_threads(options.threads);
    if let Some(point) = &options.point {
        println!("{}", json!(measure(options, serde_json::from_str(point)?)?));
        return Ok(());
    }
    let mut curves = Map::new();
    for (name, values, set) in CURVES {
        curves.insert(name.into(), curve(options, name, values, set)?);
    }
    let machine = output::machine(options.threads, &options.device);
    let path = output::file("scaling.json");
    output::write(&path, &json!({ "machine": machine, "fixed": MODEST, "steps": options.steps, "curves": curves }))?;
    println!("\nall figures: {}", path.display());
    Ok(())
}

/// Measures and prints one curve.
fn curve(options: &Options, name: &str, values: &[usize], set: fn(&mut Point, usize)) -> Result<Value> {
    println!("\n| {name} | ms per step | peak MB | less what was there before | weights |");
    println!("|--:|--:|--:|--:|--:|");
    let mut points = vec![];
    for &value in values {
        let mut point = MODEST;
        set(&mut point, value);
        let measured = in_process(options, point)?;
        let Measured { ms, footprint: Footprint { before, peak }, params } = measured;
        let [whole, own] = [peak, peak - before].map(|bytes| bytes as f64 / 1e6);
        println!("| {value} | {ms:.1} | {whole:.0} | {own:.0} | {params} |");
        points.push(json!({ name: value, "measured": measured }));
    }
    Ok(points.into())
}

fn in_process(options: &Options, point: Point) -> Result<Measured> {
    let [steps, threads] = [options.steps, options.threads].map(|number| number.to_string());
    let point = serde_json::to_string(&point)?;
    in_fresh_process(&["--steps", &steps, "--threads", &threads, "--device", &options.device, "--point", &point])
}

/// Warms up and times steps: sampling, planning, forward, backward, update, on batches that are ready.
fn measure(options: &Options, point: Point) -> Result<Measured> {
    let Point { batch, cells, channels, groups, .. } = point;
    let (device, threads) = (options.device.clone(), options.threads);
    let work = Work { device, threads, batch, cells, channels, images: batch, ..Work::default() };
    let images = DeviceImages::new(&pictures(batch), work.device()?).slice(0, batch);
    let before = resident();
    let (network, kernels) = (network(&work, point.candidates)?, work.chosen_kernels()?);
    let mut sgd = optimizer(&network, &work.recipe()?.train.sgd(), groups, kernels);
    let mut step = |index: usize| {
        let plan = Plan::with(network.graph(), &draw(network.graph().genes(), 0, index as u64), kernels);
        let used = network.slots_of(&plan);
        sgd.step(index % groups, 1e-3, &used, &gradients(&network, &plan, &used, &images));
        synchronize(network.device());
    };
    (0..WARM_UP.max(groups)).for_each(&mut step);
    let ms: Vec<f64> = (0..options.steps).map(|index| timed(|| step(index)).0).collect();
    let params = network.flat().numel();
    Ok(Measured { ms: mean(&ms), footprint: Footprint { before, peak: peak() }, params })
}

fn network(work: &Work, candidates: Option<usize>) -> Result<Network> {
    match candidates {
        None => Ok(work.model()?.network),
        Some(candidates) => Ok(Network::supernet(convolutions(work, candidates)?, 0, work.device()?)),
    }
}

/// The edges (to, from) of a cell, as in NAS-Bench-201.
const EDGES: [(usize, usize); 6] = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];

/// The network of NAS-Bench-201 with `candidates` 3×3 convolutions to choose from on each edge.
fn convolutions(work: &Work, candidates: usize) -> Result<Graph> {
    let options: Vec<String> = (0..candidates).map(|option| format!("conv{option}")).collect();
    let genes = EDGES.map(|(to, from)| Gene { name: format!("{to}<-{from}"), options: options.clone() });
    let mut builder = GraphBuilder::image(Shape::of_image(3, 32, 32), genes.to_vec());
    let mut x = relu_conv_norm(&mut builder, "stem", Conv::new(work.channels as i64, 3, 1), 0)?;
    for stage in 0..3 {
        if stage > 0 {
            let halved = Conv::new((work.channels << stage) as i64, 3, 2);
            x = relu_conv_norm(&mut builder, &format!("stage{stage}.reduction"), halved, x)?;
        }
        for cell in 0..work.cells {
            x = choose(&mut builder, &format!("stage{stage}.cell{cell}"), candidates, x)?;
        }
    }
    x = builder.op("pool", GlobalPool, &[x])?;
    x = builder.op("classifier", Linear::new(10), &[x])?;
    Ok(builder.finish(x))
}

/// A cell: each node is the sum of the chosen convolutions of the nodes before it.
fn choose(builder: &mut GraphBuilder, name: &str, candidates: usize, input: NodeId) -> Result<NodeId> {
    let channels = builder.shape(input).image()?[0];
    let mut nodes = vec![input];
    for to in 1..4 {
        let mut terms = vec![];
        for (gene, (_, from)) in EDGES.into_iter().enumerate().filter(|(_, edge)| edge.0 == to) {
            let name = |option| format!("{name}.{to}<-{from}.conv{option}");
            let mut option = |option| relu_conv_norm(builder, &name(option), Conv::new(channels, 3, 1), nodes[from]);
            let options = (0..candidates).map(&mut option).collect::<Result<Vec<_>>>()?;
            terms.push(builder.choice(gene, options)?);
        }
        nodes.push(if terms.len() == 1 { terms[0] } else { builder.op(format!("{name}.node{to}"), Sum, &terms)? });
    }
    Ok(nodes[3])
}

fn relu_conv_norm(builder: &mut GraphBuilder, name: &str, conv: Conv, input: NodeId) -> Result<NodeId> {
    let relu = builder.op(format!("{name}.relu"), Relu, &[input])?;
    let conv = builder.op(format!("{name}.conv"), conv, &[relu])?;
    Ok(builder.op(format!("{name}.norm"), BatchNorm { affine: false }, &[conv])?)
}
