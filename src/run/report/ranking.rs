//! The page of a ranking: score against truth, coloured by size, and who is ranked too low.

use std::path::Path;

use super::plot::*;
use super::text::{escape, exact, human, plural};
use super::{document, section};
use crate::error::Result;
use crate::rank::{Difference, Figure, Group, Judged, Mean, OverSeeds, RESAMPLES, Ranking, Run, Scores, Source};

/// How many colours `report.css` has for sizes.
const SIZES: usize = 7;
/// So many dots a picture has at most; of more architectures, every n-th by truth is drawn.
const DOTS: usize = 3000;
/// Groups of like size whose median errors are joined by a line.
const MEDIANS: usize = 10;

/// Writes the report of `ranking` to the file `target`.
pub fn write_ranking(ranking: &Ranking, target: &Path) -> Result<()> {
    crate::files::write_whole(target, page(ranking).as_bytes())
}

fn page(ranking: &Ranking) -> String {
    let sizes = Sizes::of(ranking);
    let groups: String =
        ranking.groups.iter().map(|group| agreement(ranking, group, &sizes) + &errors(ranking, group, &sizes)).collect();
    let main = [header(ranking), groups, figures(ranking), sources(ranking)].concat();
    document(&question(ranking), &main)
}

fn question(ranking: &Ranking) -> String {
    match &ranking.groups[..] {
        [group] if group.runs.len() == 1 => {
            format!("How far can the ranking by {} be trusted?", named(&group.runs[0].scores))
        }
        _ => "How far can these rankings be trusted?".into(),
    }
}

fn header(ranking: &Ranking) -> String {
    let (count, truth) = (plural(ranking.entries.len() as u64, "architecture"), escape(&ranking.truth));
    format!(
        r#"<header><h1>{}</h1>
<p class="meta">{count} · truth: {truth}</p>
<p class="lede">{}</p></header>"#,
        question(ranking),
        lede(ranking)
    )
}

/// The answer in two sentences.
fn lede(ranking: &Ranking) -> String {
    let group = &ranking.groups[0];
    let find = |figure| group.means.iter().flatten().find(|over| over.figure == figure);
    let Some(tau) = find(Figure::KendallTauB) else { return String::new() };
    let count = group.runs.len();
    let (who, interval) = match tau.mean.interval {
        Some(seeds) => (format!("Over {count} runs, Kendall’s τ"), Some(seeds)),
        None => ("Kendall’s τ".into(), tau.over_architectures),
    };
    let interval = interval.map(|ends| format!(" ({})", range(tau.figure, ends, false))).unwrap_or_default();
    let against = ranking.difference.as_ref().and_then(|difference| difference.figures.first()?.as_ref()).map(|over| {
        let ends = over.mean.interval.or(over.over_architectures);
        let ends = ends.map(|ends| format!(" ({})", range(over.figure, ends, true))).unwrap_or_default();
        format!(", <b>{}</b>{ends} against the others", number(over.figure, over.mean.mean, true))
    });
    let pick = find(Figure::TopTruth).zip(find(Figure::TopRank)).map(|(truth, rank)| {
        let best = ranking.entries.iter().map(|entry| entry.truth).fold(f64::NEG_INFINITY, f64::max);
        let (truth, rank) = (number(truth.figure, truth.mean.mean, false), number(rank.figure, rank.mean.mean, false));
        format!(" What it puts first is truly number <b>{rank}</b>, at <b>{truth}</b> where the best has {best:.2}.")
    });
    let value = number(tau.figure, tau.mean.mean, false);
    format!("{who} is <b>{value}</b>{interval}{}.{}", against.unwrap_or_default(), pick.unwrap_or_default())
}

/// Colours for sizes: equal steps of the logarithm.
struct Sizes {
    /// ln params of the smallest and the largest; absent where not every size is known.
    ends: Option<(f64, f64)>,
}

impl Sizes {
    fn of(ranking: &Ranking) -> Self {
        let sizes: Option<Vec<f64>> =
            ranking.entries.iter().map(|entry| entry.params.map(|params| (params as f64).ln())).collect();
        let ends = sizes.map(|sizes| {
            sizes.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &size| (low.min(size), high.max(size)))
        });
        Self { ends: ends.filter(|(low, high)| low < high) }
    }

    fn class(&self, params: Option<u64>) -> String {
        let Some(((low, high), params)) = self.ends.zip(params) else { return "p3".into() };
        let share = ((params as f64).ln() - low) / (high - low);
        format!("p{}", ((share * SIZES as f64) as usize).min(SIZES - 1))
    }

    fn legend(&self) -> String {
        let Some((low, high)) = self.ends else { return String::new() };
        let edge = |at: usize| human((low + (high - low) * at as f64 / SIZES as f64).exp());
        let colour = |at: usize| format!(r#"<i class="p{at}" title="{} … {}"></i>"#, edge(at), edge(at + 1));
        let colours: String = (0..SIZES).map(colour).collect();
        format!(r#"<p class="sizes"><span>{} params</span>{colours}<span>{}</span></p>"#, edge(0), edge(SIZES))
    }
}

fn agreement(ranking: &Ranking, group: &Group, sizes: &Sizes) -> String {
    let pictures: String = group.runs.iter().map(|run| scatter(ranking, run, sizes)).collect();
    let many = if group.runs.len() > 1 { r#" class="pair""# } else { "" };
    let title = match (ranking.groups.len(), group.name) {
        (1, _) => "Score against truth".to_owned(),
        (_, name) => format!("Score against truth: {name}"),
    };
    let thinned = match thin(ranking.entries.len()) {
        1 => String::new(),
        step => format!(" Every {step}th architecture by truth is drawn."),
    };
    let note = format!(
        r#"<p class="meta">Each dot is one architecture. A ranking without an error climbs from left to right and never falls. Where the score favours small networks, their colours float above the others at the same truth.{thinned}</p>"#
    );
    section(&title, &format!("{}<div{many}>{pictures}</div>\n{note}", sizes.legend()))
}

fn thin(count: usize) -> usize {
    count.div_ceil(DOTS).max(1)
}

/// Positions from the least true to the best, without those that aren't drawn.
fn drawn(ranking: &Ranking) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ranking.entries.len()).collect();
    order.sort_by(|&a, &b| ranking.entries[b].truth.total_cmp(&ranking.entries[a].truth));
    order.into_iter().step_by(thin(ranking.entries.len())).collect()
}

fn shown(scores: &Scores) -> (String, f64) {
    match scores.source {
        Source::Supernet { .. } => ("Accuracy in the supernet, %".into(), 100.0),
        _ => (named(scores), 1.0),
    }
}

fn scatter(ranking: &Ranking, run: &Run, sizes: &Sizes) -> String {
    let (unit, scale) = shown(&run.scores);
    let score = |at: usize| run.scores.values[at] * scale;
    let truth = |at: usize| ranking.entries[at].truth;
    let best =
        |value: &dyn Fn(usize) -> f64| (0..ranking.entries.len()).max_by(|&a, &b| value(a).total_cmp(&value(b))).unwrap_or(0);
    let (pick, top) = (best(&score), best(&truth));
    let keep = |at: usize| at == pick || at == top;
    let all = 0..ranking.entries.len();
    let x = Axis::of(all.clone().map(|at| (truth(at), keep(at)))).wider(0.06, 0.06);
    let y = Axis::of(all.map(|at| (score(at), keep(at)))).wider(0.06, 0.14);
    let plot = Plot { x, y, height: 340.0 };
    let mut order = drawn(ranking);
    order.retain(|&at| !keep(at));
    let dot = |&at: &usize| {
        let (left, top, class) =
            (plot.left(plot.x.nearest(truth(at))), plot.top(plot.y.nearest(score(at))), sizes.class(ranking.entries[at].params));
        format!(
            "<circle class=\"{class}\" cx=\"{left}\" cy=\"{top}\" r=\"3.5\"><title>{}</title></circle>\n",
            tip(ranking, run, at)
        )
    };
    let dots: String = order.iter().map(dot).collect();
    let mark = |at: usize, name: &str, rise: f64| {
        let (left, top, class) = (plot.left(truth(at)), plot.top(score(at)), sizes.class(ranking.entries[at].params));
        let text = format!(r#"<text class="end" x="-11" y="{rise}">{name}</text>"#);
        let tip = tip(ranking, run, at);
        format!(
            r#"<svg class="pick {class}" x="{left}" y="{top}" overflow="visible"><title>{name}: {tip}</title><circle r="6"/>{text}</svg>"#
        )
    };
    // Nothing scores above the top pick, so its name stands there, and the other's below where they would meet.
    let rise = if plot.top(score(top)) - plot.top(score(pick)) < 22.0 { 20.0 } else { -9.0 };
    let marks = match pick == top {
        true => mark(pick, "top pick, truly the best", -9.0),
        false => mark(top, "truly best", rise) + &mark(pick, "top pick", -9.0),
    };
    let outside = (0..ranking.entries.len()).filter(|&at| !plot.x.holds(truth(at)) || !plot.y.holds(score(at))).count();
    let outside =
        if outside == 0 { String::new() } else { format!(" · {} beyond the edges stand on them", exact(outside as u64)) };
    let tau =
        run.figures.iter().find(|judged| judged.figure == Figure::KendallTauB).map(|judged| format!("τ {}", cell_text(judged)));
    let caption = format!("<figcaption>{}: {}{outside}</figcaption>", described(&run.scores), tau.unwrap_or_default());
    format!(
        "<figure>{}{caption}</figure>",
        plot.frame(&unit, &escape(&ranking.truth), &format!(r#"<g class="sized">{dots}</g>{marks}"#))
    )
}

fn tip(ranking: &Ranking, run: &Run, at: usize) -> String {
    let (entry, (_, scale)) = (&ranking.entries[at], shown(&run.scores));
    let score = run.scores.values[at];
    let rank = |better: usize| better + 1;
    let by_score = rank(run.scores.values.iter().filter(|&&other| other > score).count());
    let by_truth = rank(ranking.entries.iter().filter(|other| other.truth > entry.truth).count());
    let params = entry.params.map(|params| format!("\n{} params", exact(params))).unwrap_or_default();
    let score = if scale == 1.0 { format!("{score}") } else { format!("{:.2}\u{a0}%", score * scale) };
    format!("{}\ntruth {} (rank {by_truth}) · score {score} (rank {by_score}){params}", escape(&entry.arch), entry.truth)
}

/// Rank error against size: the picture of the complexity bias.
fn errors(ranking: &Ranking, group: &Group, sizes: &Sizes) -> String {
    let params: Option<Vec<f64>> =
        ranking.entries.iter().map(|entry| entry.params.map(|params| (params as f64).log10())).collect();
    let Some(params) = params.filter(|params| params.iter().any(|size| *size != params[0])) else { return String::new() };
    let errors = rank_errors(ranking, group);
    let reach = errors.iter().fold(1.0, |reach, error| f64::max(reach, error.abs()));
    let plot = Plot {
        x: Axis::of(params.iter().map(|&size| (size, true))).wider(0.03, 0.03).logarithmic(),
        y: Axis { low: -reach, high: reach, logarithmic: false }.wider(0.04, 0.04),
        height: 300.0,
    };
    let dot = |&at: &usize| {
        let (left, top, class) = (plot.left(params[at]), plot.top(errors[at]), sizes.class(ranking.entries[at].params));
        let entry = &ranking.entries[at];
        let side = if errors[at] > 0.0 { "too low" } else { "too high" };
        let text = format!(
            "{}\n{:.0} places {side}\ntruth {} · {} params",
            escape(&entry.arch),
            errors[at].abs(),
            entry.truth,
            exact(entry.params.unwrap_or(0))
        );
        format!("<circle class=\"{class}\" cx=\"{left}\" cy=\"{top}\" r=\"3\"><title>{text}</title></circle>\n")
    };
    let dots: String = drawn(ranking).iter().map(dot).collect();
    let zero = format!(r#"<line class="base" x2="100%" y1="{0}" y2="{0}"/>"#, plot.top(0.0));
    let marks = format!(r#"{zero}<g class="sized">{dots}</g>{}"#, plot.layer(&medians(&plot, &params, &errors)));
    let picture = plot.frame("Rank by score less true rank: above 0 stands too low", "Parameters", &marks);
    let bias =
        |figure| group.means.iter().flatten().find(|over| over.figure == figure).map(|over| number(figure, over.mean.mean, true));
    let bias = match (bias(Figure::ComplexityBias), bias(Figure::PartialBias)) {
        (Some(whole), Some(partial)) => format!(" Complexity bias {whole}, partial {partial}; positive favours small networks."),
        (Some(whole), None) => format!(" Complexity bias {whole}; positive favours small networks."),
        _ => String::new(),
    };
    let mean =
        if group.runs.len() > 1 { format!(" Errors are means over the {} runs.", group.runs.len()) } else { String::new() };
    let title = if ranking.groups.len() > 1 { format!("Who is misjudged: {}", group.name) } else { "Who is misjudged".into() };
    let caption =
        format!("The line joins the medians of ten groups of like size; it lies on 0 where size doesn't matter.{bias}{mean}");
    section(&title, &format!("<figure>{picture}<figcaption>{caption}</figcaption></figure>"))
}

/// Rank by score less true rank, the best being 1; means over the runs.
fn rank_errors(ranking: &Ranking, group: &Group) -> Vec<f64> {
    let truth: Vec<f64> = ranking.entries.iter().map(|entry| entry.truth).collect();
    let by_truth = ranks(&truth);
    let by_score: Vec<Vec<f64>> = group.runs.iter().map(|run| ranks(&run.scores.values)).collect();
    let mean = |at: usize| by_score.iter().map(|ranks| ranks[at]).sum::<f64>() / by_score.len() as f64;
    (0..truth.len()).map(|at| mean(at) - by_truth[at]).collect()
}

/// The greatest has rank 1; equal ones share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let (mut ranks, mut above) = (vec![0.0; values.len()], 0);
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        tied.iter().for_each(|&at| ranks[at] = above as f64 + (tied.len() as f64 + 1.0) / 2.0);
        above += tied.len();
    }
    ranks
}

fn medians(plot: &Plot, params: &[f64], errors: &[f64]) -> String {
    let mut order: Vec<usize> = (0..params.len()).collect();
    order.sort_by(|&a, &b| params[a].total_cmp(&params[b]));
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
    };
    let place = |group: &[usize]| {
        let of = |values: &[f64]| median(&mut group.iter().map(|&at| values[at]).collect());
        format!("{:.1} {:.1}", plot.x.share(of(params)) * 1000.0, plot.top(of(errors)))
    };
    let points: Vec<String> = order.chunks(order.len().div_ceil(MEDIANS)).map(place).collect();
    format!(r#"<path class="stairs" d="M{}"/>"#, points.join("L"))
}

/// What sums up comes first: a page with many runs is wider than the screen.
fn figures(ranking: &Ranking) -> String {
    let mut columns: Vec<(String, Vec<String>)> = vec![];
    let means = |over: &[Option<OverSeeds>], signed| over.iter().map(|over| mean_cell(over.as_ref(), signed)).collect();
    if let Some(Difference { figures, .. }) = &ranking.difference {
        columns.push(("difference".into(), means(figures, true)));
    }
    for group in ranking.groups.iter().filter(|group| group.runs.len() > 1) {
        columns.push((format!("mean of {}", group.name), means(&group.means, false)));
    }
    for group in &ranking.groups {
        for (run, number) in group.runs.iter().zip(1..) {
            columns.push((format!("{} {number}", group.name), run.figures.iter().map(cell).collect()));
        }
    }
    let heads: String = columns.iter().map(|(head, _)| format!("<th>{head}</th>")).collect();
    let row = |(at, judged): (usize, &Judged)| {
        let cells: String = columns.iter().map(|(head, cells)| format!(r#"<td data-of="{head}">{}</td>"#, cells[at])).collect();
        let (title, meaning) = (judged.figure.title(), judged.figure.meaning());
        format!("<tbody><tr><td>{title}<span class=\"interval\">{meaning}</span></td>{cells}</tr></tbody>\n")
    };
    let rows: String = ranking.groups[0].runs[0].figures.iter().enumerate().map(row).collect();
    let note = format!(
        r#"<p class="meta">Beneath a figure of one run: 95 % over architectures, from {} resamples. Beneath a mean or a difference: 95 % over seeds, by Student's t; for a single run or pair, over architectures.</p>"#,
        exact(RESAMPLES as u64)
    );
    let table = format!(r#"<table class="figures"><thead><tr><th></th>{heads}</tr></thead>{rows}</table>"#);
    section("Figures", &format!(r#"<div class="wide">{table}</div>{note}"#))
}

fn cell(judged: &Judged) -> String {
    let Some(value) = judged.value else { return "–".into() };
    let interval = judged.interval().map(|ends| beneath(judged.figure, ends, false)).unwrap_or_default();
    format!("<b>{}</b>{interval}", number(judged.figure, value, false))
}

fn mean_cell(over: Option<&OverSeeds>, signed: bool) -> String {
    let Some(OverSeeds { figure, mean: Mean { mean, interval, .. }, over_architectures }) = over else { return "–".into() };
    let interval = interval.or(*over_architectures).map(|ends| beneath(*figure, ends, signed)).unwrap_or_default();
    format!("<b>{}</b>{interval}", number(*figure, *mean, signed))
}

fn beneath(figure: Figure, ends: [f64; 2], signed: bool) -> String {
    format!(r#"<span class="interval">{}</span>"#, range(figure, ends, signed))
}

fn cell_text(judged: &Judged) -> String {
    let value = judged.value.map_or("–".into(), |value| number(judged.figure, value, false));
    let interval = judged.interval().map(|ends| format!(" [{}]", range(judged.figure, ends, false))).unwrap_or_default();
    format!("{value}{interval}")
}

fn range(figure: Figure, ends: [f64; 2], signed: bool) -> String {
    minus(figure.range(ends, signed).replacen(' ', "\u{a0}", 1))
}

fn number(figure: Figure, value: f64, signed: bool) -> String {
    minus(figure.written(value, signed))
}

/// With the sign that stands as wide as a plus.
fn minus(number: String) -> String {
    number.replace('-', "−")
}

fn described(scores: &Scores) -> String {
    let name = named(scores);
    match &scores.source {
        Source::Supernet { seed, step, total, .. } if step == total => format!("{name}, seed {seed}"),
        Source::Supernet { seed, step, total, .. } => format!("{name}, seed {seed}, step {} of {}", exact(*step), exact(*total)),
        _ => name,
    }
}

fn named(scores: &Scores) -> String {
    match &scores.source {
        Source::Table { column } => format!("{} in {}", escape(column), escape(&scores.name)),
        _ => escape(&scores.name),
    }
}

fn sources(ranking: &Ranking) -> String {
    let source = |run: &Run| {
        let text = serde_json::to_string_pretty(&run.scores.source).expect("plain data");
        format!("<dt>{}</dt><dd><pre>{}</pre></dd>\n", escape(&run.scores.name), escape(&text))
    };
    let runs: String = ranking.groups.iter().flat_map(|group| &group.runs).map(source).collect();
    let (seed, version) = (ranking.questions.seed, env!("CARGO_PKG_VERSION"));
    format!(
        "<details>\n<summary>Where the scores come from</summary>\n<dl><dt>supernaut</dt><dd>{version}</dd><dt>seed of the resamples</dt><dd>{seed}</dd>\n{runs}</dl>\n</details>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::{Entry, Questions};

    fn ranking(runs: usize) -> Ranking {
        let entry = |at: usize| {
            let (arch, params) = (format!("<{at}>"), Some(10u64.pow(at as u32 + 3)));
            Entry { arch, truth: [80.0, 90.0, 92.0, 94.0][at], params, macs: None }
        };
        let scores = |run: usize| Scores {
            name: format!("run & {run}"),
            source: Source::Table { column: "score".into() },
            values: vec![4.0, 3.0, 1.0, 2.0 + run as f64],
        };
        let entries = (0..4).map(entry).collect();
        Ranking::new("truth".into(), entries, (0..runs).map(scores).collect(), vec![], Questions::default()).expect("a ranking")
    }

    #[test]
    fn every_architecture_is_drawn_once_a_picture_with_its_ranks() {
        let page = page(&ranking(1));
        assert_eq!(page.matches("<circle").count(), 8, "four in each of two pictures");
        assert!(page.contains("truth 94 (rank 1) · score 2 (rank 3)\n1,000,000 params"), "{page}");
        assert_eq!(page.matches("top pick:").count(), 1);
        assert!(page.contains("&lt;3&gt;") && !page.contains("<3>") && page.contains("run &amp; 0"));
        assert!(page.contains("What it puts first is truly number <b>4</b>, at <b>80.00</b> where the best has 94.00."));
    }

    #[test]
    fn errors_are_by_rank_and_means_over_runs() {
        // Ranks by score 1 2 4 3, and 1 or 2 for the last but 3 with a tie at 3; true ranks 4 3 2 1.
        let one = ranking(1);
        assert_eq!(rank_errors(&one, &one.groups[0]), [-3.0, -1.0, 2.0, 2.0]);
        let two = ranking(2);
        assert_eq!(rank_errors(&two, &two.groups[0]), [-3.0, -0.75, 2.0, 1.75]);
        assert_eq!(page(&two).matches("<circle").count(), 12);
    }

    #[test]
    fn colours_are_equal_steps_of_the_logarithm() {
        let sizes = Sizes::of(&ranking(1));
        let class = |params| sizes.class(Some(params));
        assert_eq!([1_000, 2_500, 3_000, 30_000, 500_000, 1_000_000].map(class), ["p0", "p0", "p1", "p3", "p6", "p6"]);
    }

    #[test]
    fn without_sizes_there_is_one_picture() {
        let mut ranking = ranking(1);
        ranking.entries.iter_mut().for_each(|entry| entry.params = None);
        assert_eq!(page(&ranking).matches("<circle").count(), 4);
    }
}
