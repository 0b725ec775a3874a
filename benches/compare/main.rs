//! Is it faster than what a user would write instead? supernaut beside plain eager PyTorch (`rival.py`), taking turns in one
//! run: the same threads, batch, architectures, first weights and image bytes.
//!
//! `make bench`, or `SUPERNAUT_BENCH_PYTHON=<a Python with PyTorch> cargo bench --bench compare -- --help`
//!
//! Every row is a median over rounds with its spread; `gain` is how many times as good as the rival's better layout a row
//! is, taken round by round. All figures of all rounds go to `benches/results.json`.

mod agreement;
mod alone;
#[path = "../common/mod.rs"]
mod common;
mod contest;
mod evaluation;
mod footprint;
mod method;
mod overhead;
mod report;
mod rival;
mod step;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::Result;
use common::output;
use common::work::Work;
use contest::Length;
use report::Section;
use serde_json::json;

/// What the command line says.
#[derive(Debug, Parser)]
#[command(about = "Times supernaut beside plain eager PyTorch")]
pub struct Options {
    /// Rounds of each contest.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Steps of each contender in a round.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Threads of either side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Images per training step.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Architectures to evaluate, of those in the list.
    #[arg(long, default_value_t = 12)]
    archs: usize,
    /// Images to evaluate them on.
    #[arg(long, default_value_t = 1000)]
    images: usize,
    /// A file with an architecture on each line; without it 327 are drawn.
    #[arg(long)]
    list: Option<PathBuf>,
    /// Only these parts, and no file of results unless --out says where.
    #[arg(long, value_enum, num_args = 1..)]
    only: Vec<Part>,
    /// The file of results.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Prints the memory of our side, for the process that asked.
    #[arg(long, hide = true)]
    footprint: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured, in order.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    Agreement,
    Fp32,
    Bf16,
    Evaluation,
    Separation,
    Fair,
    Overhead,
    Memory,
    Throughput,
}

impl Part {
    fn run(self, options: &Options) -> Result<Section> {
        match self {
            Self::Agreement => agreement::section(options),
            Self::Fp32 => step::fp32(options),
            Self::Bf16 => step::bf16(options),
            Self::Evaluation => evaluation::section(options),
            Self::Separation => method::separation(options),
            Self::Fair => method::fair(options),
            Self::Overhead => overhead::section(options),
            Self::Memory => footprint::section(options),
            Self::Throughput => throughput::section(options),
        }
    }
}

impl Options {
    fn parts(&self) -> Vec<Part> {
        if self.only.is_empty() { Part::value_variants().to_vec() } else { self.only.clone() }
    }

    /// The work of a training step at full size.
    fn work(&self) -> Work {
        Work { device: self.device.clone(), threads: self.threads, batch: self.batch, ..Work::default() }
    }

    fn length(&self) -> Length {
        Length { warm_up: 2, rounds: self.rounds, steps: self.steps }
    }

    /// Where the results go; nowhere if they aren't whole.
    fn out(&self) -> Option<PathBuf> {
        self.out.clone().or_else(|| self.only.is_empty().then(|| output::file("results.json")))
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    supernaut::graph::set_threads(options.threads);
    if options.footprint {
        println!("{}", json!(footprint::ours(options)?));
        return Ok(());
    }
    report::print_head();
    let (out, machine) = (options.out(), output::machine(options.threads, &options.device));
    let list = options.list.as_ref().map(|list| list.display().to_string());
    let mut results = json!({ "machine": machine, "list": list, "parts": {} });
    for part in options.parts() {
        let section = part.run(options)?;
        section.print();
        let name = part.to_possible_value().expect("no part is hidden");
        results["parts"][name.get_name()] = section.json();
        // After each, so that what is measured isn't lost by what comes later.
        out.iter().try_for_each(|path| output::write(path, &results))?;
    }
    out.iter().for_each(|path| println!("\nall figures: {}", path.display()));
    Ok(())
}
