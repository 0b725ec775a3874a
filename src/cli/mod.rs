//! The program `supernaut`: parse, call, print.

mod progress;
mod rank;
mod ranking;
mod space;
mod table;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand};
use serde_json::Value;

use crate::data::Dataset;
use crate::graph::device;
use crate::run::checkpoint;
use crate::run::evaluate::{chosen, cut_out};
use crate::run::evaluations::Evaluation;
use crate::run::export;
use crate::run::forest::{self, Forest};
use crate::run::images::RunData;
use crate::run::job::Cancel;
use crate::run::project::{CALIBRATION_IMAGES, Project, Searched};
use crate::run::recipe::Recipe;
use crate::run::report;
use crate::{Error, Result, files};
use progress::Progress;

/// Exit status of a run that somebody stopped.
const STOPPED: i32 = 130;
/// What errors call standard output.
const STDOUT: &str = "standard output";

/// Trains a supernet, searches it for the subnets that fit a device, exports these to ONNX and proves the files.
#[derive(Parser)]
#[command(name = "supernaut", version, max_term_width = 110)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Do everything a recipe says: train, search, retrain, export, prove, report. Goes on where it was stopped.
    Run(RunArgs),
    /// Train the supernet of a recipe; writes DIR/supernet.safetensors, and DIR/forest.json if it is split.
    Train(RunArgs),
    /// Search a trained supernet, or a table of figures; writes DIR/search.json.
    Search(SearchArgs),
    /// Go on training one architecture of a supernet; writes DIR/NAME.safetensors.
    Retrain(RetrainArgs),
    /// Write a checkpoint's network as ONNX, but only if the file is shown to compute the same.
    Export(ExportArgs),
    /// Prove that an ONNX file computes what a checkpoint's network computes, and test it.
    Verify(VerifyArgs),
    /// Say how far a supernet's ranking of architectures can be trusted: τ-b and other figures, with intervals.
    Rank(Box<rank::RankArgs>),
    /// Say what a space file describes: genes, counts, the smallest and the largest architectures.
    Space(space::SpaceArgs),
    /// Redraw DIR/report.html from the files of a run.
    Report {
        /// Folder of a finished run.
        dir: PathBuf,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Recipe, a TOML file.
    recipe: PathBuf,
    /// Folder for all files of the run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Seed to use instead of the recipe's.
    #[arg(long)]
    seed: Option<u64>,
}

/// Where the images are and what computes.
#[derive(Args)]
struct Place {
    /// Folder of the images, instead of the recipe's `data.path`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// `cpu` or `cuda:N`, instead of the recipe's.
    #[arg(long)]
    device: Option<String>,
    /// Threads of one operation, instead of the recipe's.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Args)]
#[command(group(ArgGroup::new("searched").args(["supernet", "table"]).required(true)))]
struct SearchArgs {
    /// Checkpoint of a trained supernet, or the forest.json of several.
    supernet: Option<PathBuf>,
    /// Folder for search.json and what was evaluated.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Recipe whose [search], [latency] and memory_limit are used instead of the checkpoint's own; with --table its [space],
    /// [search] and seed.
    #[arg(long)]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    table: table::TableArgs,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct RetrainArgs {
    /// Checkpoint of a trained supernet, or the forest.json of several.
    supernet: PathBuf,
    /// Architecture, in the notation of its space.
    #[arg(long)]
    arch: String,
    /// Folder for the checkpoint.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the checkpoint.
    #[arg(long, default_value = "subnet-1")]
    name: String,
    /// Recipe whose [retrain] and memory_limit are used instead of the checkpoint's own.
    #[arg(long)]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct ExportArgs {
    /// Checkpoint of a subnet; or, with --arch, that of a supernet or the forest.json of several.
    checkpoint: PathBuf,
    /// Architecture to cut out of a supernet; its statistics are made from training images.
    #[arg(long)]
    arch: Option<String>,
    /// ONNX file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct VerifyArgs {
    /// ONNX file.
    onnx: PathBuf,
    /// Checkpoint of the subnet that it was exported from.
    checkpoint: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Runs the program on `arguments` (its own name first) and gives its exit status: 0 done, 2 something to correct,
/// 130 stopped, 1 a mistake of the program's own.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> i32 {
    let program = match Program::try_parse_from(arguments) {
        Ok(program) => program,
        Err(message) => {
            let _ = message.print(); // help goes to stdout, complaints to stderr
            return message.exit_code();
        }
    };
    match dispatch(program.command) {
        Ok(()) => 0,
        // Whoever read the output has read enough, as `head` does.
        Err(Error::Io { path, source }) if path == Path::new(STDOUT) && source.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Error::Cancelled) => {
            eprintln!("stopped; run the same command again to resume");
            STOPPED
        }
        Err(error) => {
            eprintln!("error: {error}");
            if matches!(error, Error::Internal(_)) { 1 } else { 2 }
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run(args) => run(args),
        Command::Train(args) => train(args),
        Command::Search(args) => search(args),
        Command::Retrain(args) => retrain(args),
        Command::Export(args) => write_onnx(args),
        Command::Verify(args) => verify(args),
        Command::Rank(args) => rank::rank(*args),
        Command::Space(args) => space::space(args),
        Command::Report { dir } => redraw(&dir),
    }
}

/// Prints a line. Unlike `println!` it doesn't panic where nobody reads on or a disk is full.
fn print(line: impl Display) -> Result<()> {
    writeln!(io::stdout(), "{line}").map_err(Error::io(STDOUT))
}

fn redraw(dir: &Path) -> Result<()> {
    if !dir.join("result.json").is_file() {
        return Err(Error::invalid(dir.display().to_string(), "no result.json in it", "the folder of a finished run"));
    }
    print(report::write(dir)?.display())
}

/// A flag that Ctrl-C and SIGTERM raise. A second Ctrl-C ends the program at once.
fn cancel_on_signals() -> Cancel {
    let cancel = Cancel::default();
    let raised = cancel.clone();
    let handler = move || {
        if raised.is_cancelled() {
            std::process::exit(STOPPED);
        }
        raised.cancel();
    };
    // Fails only if a handler is set already, and then that one decides.
    let _ = ctrlc::set_handler(handler);
    cancel
}

impl Place {
    fn apply(&self, recipe: &mut Recipe) {
        recipe.device = self.device.clone().unwrap_or_else(|| recipe.device.clone());
        recipe.threads = self.threads.unwrap_or(recipe.threads);
    }

    fn dataset(&self, recipe: &Recipe) -> Result<Dataset> {
        let source = recipe.data.as_ref().ok_or_else(|| Error::invalid("data", "nothing", "a [data] table in the recipe"))?;
        source.load(&recipe.data_folder(self.data.as_deref())?, &mut |remark| eprintln!("note: {remark}"))
    }

    fn project(&self, mut recipe: Recipe, out: &Path) -> Result<Project> {
        self.apply(&mut recipe);
        device(&recipe.device)?;
        let data = self.dataset(&recipe)?;
        let project = Project::open(recipe, &data, out, cancel_on_signals())?;
        let RunData { train, validation, test, task, .. } = project.data();
        let counts = [train.len(), validation.len(), test.len(), task.classes.len()];
        eprintln!("{} training, {} validation and {} test images; {} classes", counts[0], counts[1], counts[2], counts[3]);
        Ok(project)
    }
}

fn project(args: &RunArgs) -> Result<Project> {
    let mut recipe = Recipe::read(&args.recipe)?;
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    let project = args.place.project(recipe, &args.out)?;
    if let Some(gene) = project.momentum_gene()? {
        eprintln!("momentum: a buffer per option of {gene}");
    }
    Ok(project)
}

fn run(args: RunArgs) -> Result<()> {
    let result = project(&args)?.run(&mut Progress::default())?;
    print_subnets(&result)?;
    print(format!("\nreport: {}", args.out.join("report.html").display()))
}

fn print_subnets(result: &Value) -> Result<()> {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    print(format!(
        "\n{:<9} {:>8} {:>9} {:>13} {:>10} {:>13}  architecture",
        "subnet", "params", "MACs", "latency (ms)", "accuracy", "ONNX differs"
    ))?;
    for subnet in result["subnets"].as_array().into_iter().flatten() {
        print(format!(
            "{:<9} {:>8} {:>9} {:>13.3} {:>8.2} % {:>13.1e}  {}",
            subnet["name"].as_str().unwrap_or(""),
            subnet["params"].to_string(),
            subnet["macs"].to_string(),
            number(&subnet["latency_ms"]["median"]),
            100.0 * number(&subnet["accuracy"]),
            number(&subnet["verify"]["max_abs_diff"]),
            subnet["arch"].as_str().unwrap_or(""),
        ))?;
    }
    Ok(())
}

fn train(args: RunArgs) -> Result<()> {
    let forest = project(&args)?.train(&mut Progress::default())?;
    let name = if forest.leaves().len() > 1 { forest::FILE } else { forest::ROOT_FILE };
    print(args.out.join(name).display())
}

fn search(args: SearchArgs) -> Result<()> {
    let Some(supernet) = &args.supernet else { return table::search(&args) };
    let manifest = finished(supernet)?;
    manifest.check_supernet(supernet)?;
    let mut recipe = manifest.recipe.clone();
    if let Some(path) = &args.recipe {
        let other = Recipe::read(path)?;
        (recipe.search, recipe.latency, recipe.memory_limit) = (other.search, other.latency, other.memory_limit);
    }
    let mut project = args.place.project(recipe.clone(), &args.out)?;
    manifest.check_data(&project.data().hash)?;
    let forest = supernets(supernet, &manifest, &args.place)?;
    let Searched { result, found, .. } = project.search(forest, &mut Progress::default())?;
    let path = args.out.join("search.json");
    files::write_json(&path, &result)?;
    for (_, Evaluation { arch, params, macs, accuracy, latency_ms, .. }) in found {
        let latency = latency_ms.map_or(String::new(), |latency| format!(", {:.3} ms", latency.median));
        print(format!(
            "{:.2} % of the validation images, {params} params, {macs} MACs{latency}: {arch}",
            100.0 * accuracy.unwrap_or(f64::NAN)
        ))?;
    }
    print(path.display())
}

/// What the checkpoints that `path` names say of themselves; all of them must be finished, and of several the first speaks.
fn finished(path: &Path) -> Result<checkpoint::Manifest> {
    let mut all = forest::checkpoints(path)?;
    for (file, manifest) in &all {
        let checkpoint::Progress { step, total } = manifest.progress;
        if !manifest.progress.finished() {
            let found = format!("training at step {step} of {total}");
            return Err(Error::invalid(file.display().to_string(), found, "a finished supernet: train it to its end"));
        }
    }
    Ok(all.remove(0).1)
}

/// The trained supernet, or several, that `path` names.
fn supernets(path: &Path, manifest: &checkpoint::Manifest, place: &Place) -> Result<Forest> {
    forest::load(path, device(place.device.as_deref().unwrap_or(&manifest.recipe.device))?)
}

fn retrain(args: RetrainArgs) -> Result<()> {
    let manifest = finished(&args.supernet)?;
    manifest.check_supernet(&args.supernet)?;
    let arch = manifest.space.parse(&args.arch)?;
    let mut recipe = manifest.recipe.clone();
    if let Some(path) = &args.recipe {
        let other = Recipe::read(path)?;
        (recipe.retrain, recipe.memory_limit) = (other.retrain, other.memory_limit);
    }
    let mut project = args.place.project(recipe, &args.out)?;
    manifest.check_data(&project.data().hash)?;
    let forest = supernets(&args.supernet, &manifest, &args.place)?;
    let arch = forest.canonical(&arch);
    project.retrain(forest.of(&arch)?, &args.name, &arch, &mut Progress::default())?;
    print(args.out.join(format!("{}.safetensors", args.name)).display())
}

/// The data of a checkpoint, split as its run split it.
fn data_of(manifest: &checkpoint::Manifest, place: &Place) -> Result<RunData> {
    let mut recipe = manifest.recipe.clone();
    place.apply(&mut recipe);
    recipe.process().apply();
    let data = RunData::new(&recipe, &place.dataset(&recipe)?)?;
    manifest.check_data(&data.hash)?;
    Ok(data)
}

fn write_onnx(args: ExportArgs) -> Result<()> {
    let manifest = finished(&args.checkpoint)?;
    let data = data_of(&manifest, &args.place)?;
    let recipe = &manifest.recipe;
    let forest = supernets(&args.checkpoint, &manifest, &args.place)?;
    let model = match (&args.arch, &manifest.arch) {
        (None, Some(_)) => forest.leaves()[0].shallow_clone(),
        (Some(text), None) => {
            let arch = forest.canonical(&manifest.space.parse(text)?);
            let images = chosen(&data.train, CALIBRATION_IMAGES, recipe.seed);
            cut_out(forest.of(&arch)?, &arch, &images, data.memory.batch(recipe.search.batch)?, recipe.seed)?
        }
        (None, None) => return Err(Error::invalid("--arch", "nothing", "the architecture to cut out of this supernet")),
        (Some(text), Some(_)) => return Err(Error::invalid("--arch", text, "nothing: this checkpoint has one architecture")),
    };
    let proof = export::export(&args.out, &model, &manifest.recipe_hash, &data.test, &recipe.export)?;
    print(format!("{}: {}", args.out.display(), agreement(&proof)))
}

fn agreement(proof: &export::Verification) -> String {
    let export::Verification { max_abs_diff, top1_agreement, images, .. } = proof;
    format!(
        "logits differ by at most {max_abs_diff:.1e}, first classes agree on {:.2} % of {images} images",
        100.0 * top1_agreement
    )
}

fn verify(args: VerifyArgs) -> Result<()> {
    let manifest = finished(&args.checkpoint)?;
    let data = data_of(&manifest, &args.place)?;
    let file = files::read(&args.onnx)?;
    let forest = supernets(&args.checkpoint, &manifest, &args.place)?;
    let proof = export::verify(&file, &forest.leaves()[0], &data.test, manifest.recipe.export.tolerance)?;
    let accuracy = export::accuracy(&file, &data.test)?;
    print(format!("{}: {}; {:.2} % classified correctly", args.onnx.display(), agreement(&proof), 100.0 * accuracy))
}
