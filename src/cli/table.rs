//! `supernaut search --table`: a search without a supernet.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Progress, SearchArgs, cancel_on_signals, print};
use crate::rank::Truth;
use crate::run::job::{Job, drive};
use crate::run::project::Watch;
use crate::run::recipe::Recipe;
use crate::run::search::Search;
use crate::run::table::Table;
use crate::space::Task;
use crate::{Error, Result, files};

#[derive(Args)]
pub struct TableArgs {
    /// Search a table instead of a supernet: a CSV file, plain or .gz, with a column `arch`. Figures come from the columns
    /// called params, macs and latency_ms; the first two are counted where there is none (for images like CIFAR-10's, unless
    /// --data is given).
    #[arg(long, value_name = "CSV", requires_all = ["recipe", "column"])]
    table: Option<PathBuf>,
    /// Column of the table that is the accuracy: shares, or per cent.
    #[arg(long, requires = "table")]
    column: Option<String>,
    /// Another column to print for the chosen architectures.
    #[arg(long, value_name = "COLUMN", requires = "table")]
    report: Option<String>,
    /// Seed to use instead of the recipe's.
    #[arg(long, requires = "table")]
    seed: Option<u64>,
}

pub fn search(args: &SearchArgs) -> Result<()> {
    let missing = |name| Error::invalid(name, "nothing", "a value together with --table");
    let TableArgs { table, column, report, seed } = &args.table;
    let (path, column) = (table.as_ref().ok_or(missing("--table"))?, column.as_ref().ok_or(missing("--column"))?);
    let mut recipe = Recipe::read(args.recipe.as_ref().ok_or(missing("--recipe"))?)?;
    recipe.seed = seed.unwrap_or(recipe.seed);
    let truth = Truth::read(path)?;
    let told: Vec<&String> = [column].into_iter().chain(report).collect();
    told.iter().try_for_each(|name| truth.get(&truth.archs()[0], name).map(drop))?;
    let mut table = Table::new(&recipe, &task(args, &recipe)?, truth.clone(), column)?;
    let first = table.check(&recipe)?;
    files::make_writable_folder(&args.out)?;
    let mut search = Search::of(&recipe, Box::new(table), first)?;
    let mut progress = Progress::default();
    drive(&mut search, &cancel_on_signals(), |_, event| {
        progress.event(event);
        Ok(())
    })?;
    let mut result = search.result()?;
    (result["table"], result["column"]) = (json!(path), json!(column));
    let mut lines = vec![];
    for (_, evaluation) in search.chosen() {
        // Rows are called by their text in the table.
        let figures = told.iter().map(|name| Ok((name.to_string(), truth.get(&evaluation.key, name)?)));
        let figures = figures.collect::<Result<Vec<_>>>()?;
        let words: String = figures.iter().map(|(name, figure)| format!("{name} {figure}, ")).collect();
        lines.push(format!("{words}{} params, {} MACs: {}", evaluation.params, evaluation.macs, evaluation.arch));
        result["told"][&evaluation.arch] = figures.into_iter().collect();
    }
    let path = args.out.join("search.json");
    files::write_json(&path, &result)?;
    lines.iter().try_for_each(print)?;
    print(format!("{} of {} architectures, {}", search.evaluations().len(), truth.archs().len(), path.display()))
}

/// What the networks would be for: the images of --data, or like CIFAR-10's.
fn task(args: &SearchArgs, recipe: &Recipe) -> Result<Task> {
    if args.place.data.is_some() {
        return Task::of(&args.place.dataset(recipe)?);
    }
    Task::stand_in([3, 32, 32], 10)
}
