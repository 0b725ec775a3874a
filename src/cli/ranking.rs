//! A ranking as tables in a terminal.

use super::print;
use crate::Result;
use crate::rank::{Figure, Group, Judged, List, OverSeeds, Ranking, Scores, Source};

/// Prints every figure of every run, the means, and the differences.
pub fn print_ranking(ranking: &Ranking, list: &List) -> Result<()> {
    let count = ranking.entries.len();
    print(format!("{count} architectures of {}, truth: {}", list.path().display(), ranking.truth))?;
    if !list.left_out().is_empty() {
        print(format!("{} left out: landmarks, whose order a supernet was taught, and their equals", list.left_out().len()))?;
    }
    print("[…] holds 95 % over architectures (bootstrap), (…) 95 % over seeds (Student's t)")?;
    ranking.groups.iter().try_for_each(|group| print_group(group, count))?;
    let Some(difference) = &ranking.difference else { return Ok(()) };
    let pairs = if difference.pairs == 1 { "one pair".into() } else { format!("mean of {} pairs", difference.pairs) };
    print(format!("\nscore less against, {pairs}"))?;
    let titles = difference.figures.iter().flatten().map(|over| over.figure.title());
    let cells = difference.figures.iter().flatten().map(|over| mean_cell(over, true, count));
    print_columns(&[column("", titles), column("difference", cells)])
}

fn print_group(group: &Group, count: usize) -> Result<()> {
    print(format!("\n{}", group.name))?;
    for (run, number) in group.runs.iter().zip(1..) {
        print(format!("  {number}  {}", described(&run.scores)))?;
    }
    let titles = group.runs[0].figures.iter().map(|judged| judged.figure.title());
    let mut columns = vec![column("", titles)];
    for (run, number) in group.runs.iter().zip(1..) {
        columns.push(column(&number.to_string(), run.figures.iter().map(|judged| cell(judged, count))));
    }
    if group.runs.len() > 1 {
        let none = || "–".to_owned();
        let means = group.means.iter().map(|over| over.as_ref().map_or_else(none, |over| mean_cell(over, false, count)));
        columns.push(column("mean", means));
    }
    print_columns(&columns)
}

fn described(scores: &Scores) -> String {
    let name = &scores.name;
    match &scores.source {
        Source::Counted => format!("{name}, counted"),
        Source::Table { column } => format!("{name}, column {column}"),
        Source::Supernet { seed, step, total, images, bn, networks, .. } => {
            let trained = if step == total { String::new() } else { format!(", step {step} of {total}") };
            format!("{name}, seed {seed}{trained}: {networks} networks on {images} images, statistics {bn}")
        }
    }
}

fn cell(judged: &Judged, count: usize) -> String {
    let Some(value) = judged.value else { return "–".into() };
    let interval = judged.interval().map(|ends| format!(" [{}]", judged.figure.range(ends, false)));
    format!("{}{}", number(judged.figure, value, false, count), interval.unwrap_or_default())
}

fn mean_cell(over: &OverSeeds, signed: bool, count: usize) -> String {
    let (figure, interval) = (over.figure, over.mean.interval);
    let seeds = interval.map(|ends| format!(" ({})", figure.range(ends, signed))).unwrap_or_default();
    let archs = over.over_architectures.map(|ends| format!(" [{}]", figure.range(ends, signed))).unwrap_or_default();
    format!("{}{seeds}{archs}", number(figure, over.mean.mean, signed, if signed { 0 } else { count }))
}

/// `of` is how many there are to have a rank among, where that is to be said.
fn number(figure: Figure, value: f64, signed: bool, of: usize) -> String {
    let text = figure.written(value, signed);
    if figure == Figure::TopRank && of > 0 { format!("{text} of {of}") } else { text }
}

fn column(head: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    [head.to_owned()].into_iter().chain(cells).collect()
}

fn print_columns(columns: &[Vec<String>]) -> Result<()> {
    let width = |column: &Vec<String>| column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(width).collect();
    for row in 0..columns[0].len() {
        let cells = columns.iter().zip(&widths).map(|(column, &width)| format!("{:<width$}", column[row]));
        print(format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end()))?;
    }
    Ok(())
}
