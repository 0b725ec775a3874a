//! `supernaut rank`: how well does a score order architectures?

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Place, cancel_on_signals, data_of, supernets};
use crate::arch::Metric;
use crate::rank::{Truth, kendall_tau_b, read_list};
use crate::run::forest;
use crate::run::job::{Job, drive};
use crate::run::project::Watch;
use crate::run::search::Evaluate;
use crate::space::{Nb201, Norm, Space, Task};
use crate::{Error, Result};

#[derive(Args)]
pub struct RankArgs {
    /// `params`, `macs`, a CSV file with columns `arch` and a score, or the checkpoint of a supernet.
    #[arg(long)]
    score: String,
    /// CSV file (plain or .gz) with a column `arch` and the true figures.
    #[arg(long, value_name = "CSV")]
    truth: PathBuf,
    /// Architectures to rank, one a line; all of the truth table if absent.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Column of the truth table.
    #[arg(long, default_value = "cifar10_test")]
    column: String,
    /// Column of the score file, if it has several.
    #[arg(long)]
    score_column: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub fn rank(args: RankArgs) -> Result<()> {
    let truth = Truth::read(&args.truth)?;
    let archs = match &args.list {
        Some(path) => read_list(path)?,
        None => truth.archs().to_vec(),
    };
    let wanted = archs.iter().map(|arch| truth.get(arch, &args.column)).collect::<Result<Vec<f64>>>()?;
    let scores = scores(&args, &archs)?;
    println!(
        "{:.3}  Kendall's tau-b of {} against {} over {} architectures",
        kendall_tau_b(&scores, &wanted)?,
        args.score,
        args.column,
        archs.len()
    );
    Ok(())
}

fn scores(args: &RankArgs, archs: &[String]) -> Result<Vec<f64>> {
    match args.score.as_str() {
        "params" => counted(archs, Metric::Params),
        "macs" => counted(archs, Metric::Macs),
        file if file.ends_with(".safetensors") || file.ends_with(".json") => judged(args, Path::new(file), archs),
        file if Path::new(file).exists() => from_file(args, Path::new(file), archs),
        other => Err(Error::invalid(
            "--score",
            format!("\"{other}\""),
            "params, macs, an existing CSV file or a checkpoint (.safetensors)",
        )),
    }
}

/// Counted in the benchmark's own network: 16 channels, 5 cells per stage, 10 classes.
fn counted(archs: &[String], metric: Metric) -> Result<Vec<f64>> {
    let classes = (0..10).map(|class| class.to_string()).collect();
    let task = Task { image: [3, 32, 32], classes, mean: vec![0.5; 3], deviation: vec![0.25; 3] };
    let graph = Nb201::default().graph(&task, Norm::Own)?;
    let value = |text: &String| Ok(metric.of(graph.cost(&Nb201::default().parse(text)?)).expect("a counted metric"));
    archs.iter().map(value).collect()
}

fn from_file(args: &RankArgs, path: &Path, archs: &[String]) -> Result<Vec<f64>> {
    let table = Truth::read(path)?;
    let only = || match table.columns() {
        [column] => Ok(column.clone()),
        columns => Err(Error::invalid("--score-column", "nothing", format!("one of {}", columns.join(", ")))),
    };
    let column = args.score_column.clone().map_or_else(only, Ok)?;
    archs.iter().map(|arch| table.get(arch, &column)).collect()
}

/// Accuracies of the supernet's subnets on its validation images.
fn judged(args: &RankArgs, path: &Path, archs: &[String]) -> Result<Vec<f64>> {
    let manifest = forest::checkpoints(path)?.remove(0).1;
    let forest = supernets(path, &manifest, &args.place)?;
    let data = data_of(&manifest, &args.place)?;
    let archs = archs.iter().map(|text| manifest.space.parse(text)).collect::<Result<Vec<_>>>()?;
    let mut job = Evaluate::new(&manifest.recipe, forest, archs, &data)?;
    let mut progress = super::Progress::default();
    drive(&mut job as &mut dyn Job, &cancel_on_signals(), |_, event| {
        progress.event(event);
        Ok(())
    })?;
    Ok(job.accuracies().to_vec())
}
