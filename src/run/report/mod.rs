//! Reports: HTML files that are whole by themselves, without scripts or network. That of a run says what was chosen and why;
//! that of a ranking is in `ranking.rs`.
//!
//! The pictures are written as SVG here rather than by `plotters`, which bakes colours and pixels into each element:
//! its pictures follow neither a dark page nor a narrow one and carry no tooltips. Here a plot's drawing area is the box
//! of its `<svg>`; points stand at percentages of its width, so that text keeps its size on any screen.

mod cell;
mod plot;
mod ranking;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

pub use ranking::write_ranking;

use cell::*;
use plot::*;
use text::*;

use crate::error::{Error, Result};

/// The version of `result.json` read here.
const FORMAT: u32 = 1;
/// How many colours `report.css` has for subnets.
const TONES: usize = 6;

/// Writes `report.html` in `folder` from the `result.json` and `events.jsonl` there, and returns its path.
///
/// Sections for which the two files hold nothing are left out; `events.jsonl` may be missing.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let (source, log) = (folder.join("result.json"), folder.join("events.jsonl"));
    let text = fs::read_to_string(&source).map_err(Error::io(&source))?;
    let run: Run = serde_json::from_str(&text).map_err(|error| Error::corrupt(&source, error.to_string()))?;
    if run.format != FORMAT {
        let what = format!("{}: format", source.display());
        return Err(Error::Version { what, found: run.format.to_string(), wanted: FORMAT.to_string() });
    }
    let events = match fs::read_to_string(&log) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        text => parse(&text.map_err(Error::io(&log))?),
    };
    let target = folder.join("report.html");
    crate::files::write_whole(&target, page(&run, &events).as_bytes())?;
    Ok(target)
}

/// A run that was killed leaves half a line; a line that cannot be read costs a curve one point, not the report.
fn parse(events: &str) -> Vec<Event> {
    events.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Run {
    format: u32,
    name: String,
    finished: bool,
    seed: u64,
    device: String,
    seconds: Map<String, Value>,
    search: Option<Search>,
    subnets: Vec<Subnet>,
    recipe: Value,
    /// Hashes, versions, the machine and whatever else is told.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Search {
    objectives: Vec<String>,
    #[serde(default)]
    limits: BTreeMap<String, Bound>,
    bn: Option<String>,
    evaluations: Vec<Evaluation>,
}

#[derive(Deserialize)]
struct Bound {
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Deserialize)]
struct Evaluation {
    arch: String,
    params: u64,
    macs: u64,
    accuracy: Option<f64>,
    latency_ms: Option<Latency>,
    front: bool,
}

#[derive(Deserialize)]
struct Latency {
    median: f64,
    p90: Option<f64>,
}

#[derive(Deserialize)]
struct Subnet {
    name: String,
    arch: String,
    params: u64,
    macs: u64,
    latency_ms: Option<Latency>,
    supernet_accuracy: Option<f64>,
    accuracy: Option<f64>,
    test_images: Option<u64>,
    onnx: Option<String>,
    verify: Option<Verify>,
    drawing: Option<Drawing>,
}

#[derive(Deserialize)]
struct Verify {
    max_abs_diff: Option<f64>,
    top1_agreement: Option<f64>,
    images: Option<u64>,
}

#[derive(Deserialize)]
struct Drawing {
    nodes: Vec<String>,
    edges: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    from: usize,
    to: usize,
    op: String,
}

#[derive(Deserialize)]
struct Event {
    phase: String,
    subnet: Option<String>,
    step: u64,
    loss: Option<f64>,
}

/// An evaluation where it is drawn: its cost and its accuracy in per cent.
type Point<'a> = (&'a Evaluation, f64, f64);

impl Evaluation {
    /// The figure that an objective or a limit names.
    fn figure(&self, name: &str) -> Option<f64> {
        match name {
            "accuracy" => self.accuracy,
            "latency_ms" => self.latency_ms.as_ref().map(|latency| latency.median),
            "params" => Some(self.params as f64),
            "macs" => Some(self.macs as f64),
            _ => None,
        }
    }

    /// At least as good in every objective and better in one.
    fn beats(&self, other: &Self, objectives: &[String]) -> bool {
        let gain = |name: &String| {
            let more = self.figure(name)? - other.figure(name)?;
            Some(if name == "accuracy" { more } else { -more })
        };
        let gains: Option<Vec<f64>> = objectives.iter().map(gain).collect();
        gains.is_some_and(|gains| gains.iter().all(|gain| *gain >= 0.0) && gains.iter().any(|gain| *gain > 0.0))
    }
}

impl Search {
    /// The figure drawn against accuracy: the first cost among the objectives that the whole front has, else latency,
    /// else MACs.
    fn cost(&self) -> &str {
        let known = |name: &str| {
            self.evaluations.iter().any(|each| each.figure(name).is_some())
                && self.evaluations.iter().filter(|each| each.front).all(|each| each.figure(name).is_some())
        };
        let names = self.objectives.iter().map(String::as_str).chain(["latency_ms"]);
        names.filter(|name| *name != "accuracy").find(|name| known(name)).unwrap_or("macs")
    }

    fn find(&self, arch: &str) -> Option<&Evaluation> {
        self.evaluations.iter().find(|each| each.arch == arch)
    }

    fn misses_limits(&self, each: &Evaluation) -> bool {
        let misses = |value, bound: &Bound| bound.min.is_some_and(|min| value < min) || bound.max.is_some_and(|max| value > max);
        self.limits.iter().any(|(name, bound)| each.figure(name).is_some_and(|value| misses(value, bound)))
    }

    fn points(&self) -> Vec<Point<'_>> {
        let point = |each| Some((each, Evaluation::figure(each, self.cost())?, each.accuracy? * 100.0));
        self.evaluations.iter().filter_map(point).collect()
    }

    /// The front from cheap to dear. A third objective can put a member behind this line; it is then left out of it.
    fn stairs(&self) -> Vec<Point<'_>> {
        let mut front: Vec<_> = self.points().into_iter().filter(|(each, ..)| each.front).collect();
        front.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.2.total_cmp(&a.2)));
        let mut best = f64::NEG_INFINITY;
        front.retain(|(.., accuracy)| {
            let better = *accuracy > best;
            best = best.max(*accuracy);
            better
        });
        front
    }

    fn objectives(&self) -> String {
        self.objectives.iter().map(|name| noun(name)).collect::<Vec<_>>().join(" and ")
    }
}

fn page(run: &Run, events: &[Event]) -> String {
    let parts = [header(run), choice(run), table(run), one_by_one(run), curves(run, events), times(run), details(run)];
    document(&escape(&run.name), &parts.concat())
}

/// A page by itself: `title` and `main` are HTML.
fn document(title: &str, main: &str) -> String {
    let style = include_str!("report.css");
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – supernaut</title>
<style>
{style}</style>
<main>{main}
</main>
</html>
"#
    )
}

fn section(title: &str, content: &str) -> String {
    format!("\n<section>\n<h2>{title}</h2>\n{content}\n</section>")
}

fn header(run: &Run) -> String {
    let total = duration(run.seconds.values().filter_map(Value::as_f64).sum());
    let (name, device, seed, headline) = (escape(&run.name), escape(&run.device), run.seed, headline(run));
    let unfinished = r#"<p class="note">This run has not finished. The report shows what there is.</p>"#;
    let note = if run.finished { "" } else { unfinished };
    format!(
        r#"<header><h1>{name}</h1>
<p class="meta">{device} · seed {seed} · {total}</p>
<p class="lede">{headline}</p>{note}</header>"#
    )
}

/// How many of how many, and the best and the least accurate of them.
fn headline(run: &Run) -> String {
    let of = match run.search.as_ref().map_or(0, |search| search.evaluations.len()) {
        0 => String::new(),
        tried => format!(" of {} evaluated architectures", exact(tried as u64)),
    };
    let mut rated: Vec<_> = run.subnets.iter().filter_map(|subnet| Some((subnet.accuracy?, subnet))).collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    let said = |(accuracy, subnet): &(f64, &Subnet), images: &str| {
        let latency = subnet.latency_ms.as_ref().map(|latency| show("latency_ms", latency.median));
        let latency = latency.map(|latency| format!(" at <b>{latency}</b>")).unwrap_or_default();
        format!("<b>{}</b>{images}{latency}", percent(*accuracy))
    };
    let best = rated.first().map(|best| {
        let images = best.1.test_images.map_or("the test images".into(), |images| plural(images, "test image"));
        format!(": {}", said(best, &format!(" on {images}")))
    });
    let least = rated.iter().skip(1).next_back().map(|least| format!(", down to {}", said(least, "")));
    let count = plural(run.subnets.len() as u64, "subnet");
    format!("{count}{of}{}{}.", best.unwrap_or_default(), least.unwrap_or_default())
}

fn choice(run: &Run) -> String {
    match &run.search {
        Some(search) if !search.points().is_empty() => {
            section("The search", &format!("<p>{}</p>\n{}", funnel(run, search), pareto(run, search)))
        }
        _ => String::new(),
    }
}

/// How the many became few.
fn funnel(run: &Run, search: &Search) -> String {
    let total = search.evaluations.len();
    let front = search.evaluations.iter().filter(|each| each.front).count();
    let missed = search.evaluations.iter().filter(|each| !each.front && search.misses_limits(each)).count();
    let limits: Vec<_> = search.limits.iter().map(|(name, bound)| limit(name, bound)).collect();
    let outside = match missed {
        0 => String::new(),
        _ => format!("{} of them miss the limit {}. ", exact(missed as u64), limits.join(" or ")),
    };
    format!(
        "The search tried {} with the weights of the supernet. {outside}{} are matched or beaten by another in {}. \
         The {} left are the front, of which {} chosen.",
        plural(total as u64, "architecture"),
        exact((total - front - missed) as u64),
        search.objectives(),
        exact(front as u64),
        if run.subnets.len() == 1 { "1 was".into() } else { format!("{} were", run.subnets.len()) },
    )
}

fn pareto(run: &Run, search: &Search) -> String {
    let (points, cost) = (search.points(), search.cost());
    let picked = |each: &Evaluation| run.subnets.iter().any(|subnet| subnet.arch == each.arch);
    let keep = |each: &Evaluation| each.front || picked(each);
    let dearest = points.iter().map(|(_, x, _)| *x).fold(0.0, f64::max);
    let end = search.limits.get(cost).and_then(|bound| bound.max).filter(|end| *end < 1.25 * dearest);
    let x = points.iter().map(|(each, x, _)| (*x, keep(each))).chain(end.map(|end| (end, true)));
    let y = points.iter().map(|(each, _, y)| (*y, keep(each)));
    let plot = Plot { x: Axis::of(x).wider(0.12, 0.04), y: Axis::of(y).wider(0.04, 0.1), height: 360.0 };
    let dots: String = points.iter().filter(|(each, ..)| !picked(each)).map(|point| dot(&plot, point)).collect();
    let limit = end.map(|end| plot.upright(end, &format!("limit {}", show(cost, end)))).unwrap_or_default();
    let (front, chosen) = (front(&plot, &search.stairs()), chosen(&plot, run, search));
    let unit = match cost {
        "latency_ms" => "Latency, ms (median)",
        "params" => "Parameters",
        _ => "MACs",
    };
    let marks = format!(r#"<g class="dots">{dots}</g>{front}{limit}{chosen}"#);
    let picture = plot.frame("Validation accuracy in the supernet, %", unit, &marks);
    let outside = match points.iter().filter(|(_, x, y)| !plot.x.holds(*x) || !plot.y.holds(*y)).count() {
        0 => String::new(),
        count => format!(" {count} outside the range of the picture stand on its edge."),
    };
    let bn = search.bn.as_deref().map(|bn| format!(" (batch-norm statistics: {})", escape(bn))).unwrap_or_default();
    format!(
        "<figure>{picture}<figcaption>Each dot is one architecture, rated with the weights of the supernet{bn}. The line \
         is the front: whatever lies below it is matched or beaten by something on it.{outside}</figcaption></figure>"
    )
}

fn dot(plot: &Plot, (each, x, y): &Point) -> String {
    let (class, radius) = if each.front { ("front", 3.5) } else { ("", 3.0) };
    let (x, y, tip) = (plot.left(plot.x.nearest(*x)), plot.top(plot.y.nearest(*y)), tip(each));
    format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"><title>{tip}</title></circle>\n")
}

fn tip(each: &Evaluation) -> String {
    let accuracy = each.accuracy.map(|share| format!("{:.2}\u{a0}%", share * 100.0));
    let latency = each.latency_ms.as_ref().map(|latency| show("latency_ms", latency.median));
    let cost = [Some(format!("{} params", exact(each.params))), Some(format!("{} MACs", exact(each.macs)))];
    let facts: Vec<_> = [accuracy, latency].into_iter().chain(cost).flatten().collect();
    format!("{}\n{}", escape(&each.arch), facts.join(" · "))
}

/// The step line and the ground beneath it.
fn front(plot: &Plot, stairs: &[Point]) -> String {
    let step = |(_, x, y): &Point| format!("{:.1}V{}", plot.x.share(*x) * 1000.0, plot.top(*y));
    let Some((_, cheapest, _)) = stairs.first() else {
        return String::new();
    };
    let line = stairs.iter().map(step).collect::<Vec<_>>().join("H").replacen('V', " ", 1);
    let (bottom, left) = (plot.height, plot.x.share(*cheapest) * 1000.0);
    let ground = format!(r#"<path class="beaten" d="M{line}H1000V{bottom}H{left:.1}Z"/>"#);
    plot.layer(&format!(r#"{ground}<path class="stairs" d="M{line}"/>"#)) + "\n"
}

/// The chosen ones with their names. What lies up and left of a point of the front is empty, so that is where names go;
/// one that would touch the name below it moves up.
fn chosen(plot: &Plot, run: &Run, search: &Search) -> String {
    let find = |(at, subnet): (usize, &'_ Subnet)| {
        let each = search.find(&subnet.arch)?;
        let (x, y) = (each.figure(search.cost())?, each.accuracy? * 100.0);
        Some((plot.left(x), plot.top(y), escape(&subnet.name), tip(each), at % TONES))
    };
    let mut marks: Vec<_> = run.subnets.iter().enumerate().filter_map(find).collect();
    marks.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut below = f64::INFINITY;
    let mark = |(x, y, name, tip, tone)| {
        below = f64::min(y - 10.0, below - 17.0);
        let (rise, elbow) = (below - y, below - y + 2.0);
        let text = format!(r#"<text class="end" x="-10" y="{rise:.1}">{name}</text>"#);
        let shape = format!(r#"<path d="M0 0L-9 {elbow:.1}"/><circle r="6.5"/>{text}"#);
        format!(r#"<svg class="chosen s{tone}" x="{x}" y="{y}" overflow="visible"><title>{name}: {tip}</title>{shape}</svg>"#)
    };
    marks.into_iter().map(mark).collect()
}

fn table(run: &Run) -> String {
    if run.subnets.is_empty() {
        return String::new();
    }
    let heads: String = COLUMNS.iter().map(|head| format!("<th>{head}</th>")).collect();
    let rows: String = run.subnets.iter().enumerate().map(row).collect();
    let note = "Test accuracy and latency are those of the ONNX file. Same top-1 and the largest difference |Δ| of an output compare \
                it with the network it was exported from.";
    let table = format!("<table>\n<thead><tr>{heads}</tr></thead>\n{rows}</table>");
    section("The chosen subnets", &format!(r#"{table}<p class="meta">{note}</p>"#))
}

const COLUMNS: [&str; 9] =
    ["Subnet", "Test accuracy", "In the supernet", "Latency, median", "Latency, p90", "Params", "MACs", "Same top-1", "File"];

fn row((at, subnet): (usize, &Subnet)) -> String {
    let latency = subnet.latency_ms.as_ref();
    let verify = subnet.verify.as_ref();
    let cells = [
        subnet.accuracy.map(|share| format!("<b>{}</b>", percent(share))),
        subnet.supernet_accuracy.map(percent),
        latency.map(|latency| show("latency_ms", latency.median)),
        latency.and_then(|latency| latency.p90).map(|p90| show("latency_ms", p90)),
        Some(counted(subnet.params)),
        Some(counted(subnet.macs)),
        verify.and_then(|verify| verify.top1_agreement).map(agreement),
        subnet.onnx.as_deref().map(|file| format!(r#"<a href="./{0}">{0}</a>"#, escape(file))),
    ];
    let cell =
        |(head, text): (&&str, Option<String>)| format!(r#"<td data-of="{head}">{}</td>"#, text.unwrap_or_else(|| "–".into()));
    let cells: String = COLUMNS[1..].iter().zip(cells).map(cell).collect();
    let (name, arch, proof) = (named(at, subnet), breakable(&subnet.arch), verify.map(proof).unwrap_or_default());
    let below = format!(r#"<td class="mono" colspan="7">{arch}</td><td class="small" colspan="2">{proof}</td>"#);
    format!("<tbody><tr><td>{name}</td>{cells}</tr>\n<tr>{below}</tr></tbody>\n")
}

fn proof(verify: &Verify) -> String {
    let images = verify.images.map(|images| plural(images, "image"));
    let apart = verify.max_abs_diff.map(|apart| format!("|Δ| ≤ {}", scientific(apart)));
    [images, apart].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn one_by_one(run: &Run) -> String {
    let part = |(at, subnet): (usize, &Subnet)| {
        let reasons: String = reasons(run, subnet).iter().map(|reason| format!("<li>{reason}</li>")).collect();
        let (name, cell) = (named(at, subnet), subnet.drawing.as_ref().and_then(cell).unwrap_or_default());
        format!(r#"<div class="subnet"><div class="why"><h3>{name}</h3><ul>{reasons}</ul></div>{cell}</div>"#)
    };
    let parts: String = run.subnets.iter().enumerate().map(part).collect();
    if parts.is_empty() { parts } else { section("Why each was chosen", &parts) }
}

/// Why this one: its place on the front, what its neighbours there would cost, and whom it beats.
fn reasons(run: &Run, subnet: &Subnet) -> Vec<String> {
    let mut reasons = Vec::new();
    let found = run.search.as_ref().and_then(|search| Some((search, search.find(&subnet.arch)?)));
    if let Some((search, this)) = found {
        reasons.extend(place(search, this));
        let beaten = search.evaluations.iter().filter(|other| this.beats(other, &search.objectives)).count();
        let others = plural(beaten as u64, "other");
        reasons.extend((beaten > 0).then(|| format!("Matches or beats {others} in {}.", search.objectives())));
    }
    if let (Some(before), Some(after)) = (subnet.supernet_accuracy, subnet.accuracy) {
        reasons.push(format!("{} with the weights of the supernet, {} with its own.", percent(before), percent(after)));
    }
    reasons
}

fn place(search: &Search, this: &Evaluation) -> Vec<String> {
    let (stairs, cost) = (search.stairs(), search.cost());
    let Some(at) = stairs.iter().position(|(each, ..)| each.arch == this.arch) else {
        return Vec::new();
    };
    let (_, x, y) = stairs[at];
    let amount = |value| match cost {
        "latency_ms" => show(cost, value),
        _ => format!("{} {}", show(cost, value), noun(cost)),
    };
    let cheaper = at.checked_sub(1).map(|before| stairs[before]).map(|(_, less, worse)| {
        format!("The next cheaper on the front saves {} and loses {}.", amount(x - less), points(y - worse))
    });
    let dearer = stairs
        .get(at + 1)
        .map(|(_, more, better)| format!("The next better costs {} more and gains {}.", amount(more - x), points(better - y)));
    let (cheapest, best) = ("The cheapest on the front.", "The most accurate on the front.");
    vec![cheaper.unwrap_or_else(|| cheapest.into()), dearer.unwrap_or_else(|| best.into())]
}

fn curves(run: &Run, events: &[Event]) -> String {
    let subnets = || run.subnets.iter().enumerate();
    let supernets: BTreeSet<_> =
        events.iter().filter(|event| event.phase == "train").map(|event| event.subnet.as_deref()).collect();
    let train: Vec<_> = supernets.into_iter().map(|name| Curve::new("ink".into(), events, "train", name)).collect();
    let retrain = subnets().map(|(at, subnet)| Curve::new(format!("s{}", at % TONES), events, "retrain", Some(&subnet.name)));
    let names: String = subnets().map(|(at, subnet)| format!("<li>{}</li>", named(at, subnet))).collect();
    let left = losses("Supernet training loss", "", &train);
    let right = losses("Retraining loss", &format!(r#"<ul class="legend">{names}</ul>"#), &retrain.collect::<Vec<_>>());
    let pair: String = [left, right].into_iter().flatten().collect();
    if pair.is_empty() {
        return pair;
    }
    let note = r#"<p class="meta">Bold: the mean over a thirtieth of the steps. Faint: as reported.</p>"#;
    section("Training", &format!(r#"<div class="pair">{pair}</div>{note}"#))
}

/// A loss over the steps, thinned to at most `Curve::POINTS` points.
struct Curve {
    class: String,
    raw: Vec<(f64, f64)>,
    smooth: Vec<(f64, f64)>,
}

impl Curve {
    const POINTS: usize = 600;

    fn new(class: String, events: &[Event], phase: &str, subnet: Option<&str>) -> Self {
        let own = events.iter().filter(|event| event.phase == phase && event.subnet.as_deref() == subnet);
        // A resumed run repeats the steps since its last checkpoint: the later report of a step stands.
        let losses: BTreeMap<u64, f64> = own.filter_map(|event| Some((event.step, event.loss?))).collect();
        let losses: Vec<_> = losses.into_iter().map(|(step, loss)| (step as f64, loss)).collect();
        let raw: Vec<_> = losses.chunks(losses.len().div_ceil(Self::POINTS).max(1)).map(mean).collect();
        let reach = raw.len() / 60;
        let window = |at: usize| &raw[at.saturating_sub(reach)..(at + reach + 1).min(raw.len())];
        let smooth = (0..raw.len()).map(|at| (raw[at].0, mean(window(at)).1)).collect();
        Self { class, raw, smooth }
    }

    fn draw(&self, plot: &Plot) -> String {
        let line = |points: &[(f64, f64)]| {
            let place = |(x, y): &(f64, f64)| format!("{:.1} {:.1}", plot.x.share(*x) * 1000.0, plot.top(*y));
            points.iter().map(place).collect::<Vec<_>>().join("L")
        };
        let (class, raw, smooth) = (&self.class, line(&self.raw), line(&self.smooth));
        format!(r#"<g class="{class}"><path class="raw" d="M{raw}"/><path class="smooth" d="M{smooth}"/></g>"#)
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (x / points.len() as f64, y / points.len() as f64)
}

fn losses(title: &str, legend: &str, curves: &[Curve]) -> Option<String> {
    let drawn: Vec<_> = curves.iter().filter(|curve| curve.raw.len() > 1).collect();
    let points = || drawn.iter().flat_map(|curve| &curve.smooth);
    points().next()?;
    let x = Axis::of(points().map(|(x, _)| (*x, true)));
    let y = Axis::of(points().map(|(_, y)| (*y, true))).wider(0.15, 0.15);
    let plot = Plot { x, y, height: 240.0 };
    let lines: String = drawn.iter().map(|curve| curve.draw(&plot)).collect();
    Some(format!("<figure>{}{legend}</figure>", plot.frame(title, "Step", &plot.layer(&lines))))
}

fn times(run: &Run) -> String {
    let phases: Vec<_> = run.seconds.iter().filter_map(|(phase, time)| Some((phase, time.as_f64()?))).collect();
    let total: f64 = phases.iter().map(|(_, time)| time).sum();
    if total <= 0.0 {
        return String::new();
    }
    let line = |(phase, time): &(&String, f64)| {
        let (phase, text, share) = (escape(phase), duration(*time), time / total * 100.0);
        format!(r#"<dt>{phase}</dt><dd>{text}</dd><dd><i style="width:{share:.2}%"></i></dd>"#)
    };
    let lines: String = phases.iter().map(line).collect();
    section("Time", &format!(r#"<p>{} in all.</p><dl class="times">{lines}</dl>"#, duration(total)))
}

fn details(run: &Run) -> String {
    let fact = |name: &str, value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("<dt>{}</dt><dd>{}</dd>\n", escape(&name.replace('_', " ")), escape(&text))
    };
    let facts = |(name, value): (&String, &Value)| match value {
        Value::Object(group) => group.iter().map(|(name, value)| fact(name, value)).collect(),
        value => fact(name, value),
    };
    let facts: String = run.rest.iter().map(facts).collect();
    let seed = run.seed;
    let recipe = match &run.recipe {
        Value::Null => String::new(),
        recipe => format!("<pre>{}</pre>", escape(&format!("{recipe:#}"))),
    };
    format!(
        "<details>\n<summary>Recipe, seed, hashes and versions</summary>\n\
         <dl><dt>seed</dt><dd>{seed}</dd>\n{facts}</dl>\n{recipe}\n</details>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(json: Value) -> Run {
        serde_json::from_value(json).expect("a run")
    }

    fn searched() -> Value {
        let rated = |arch: &str, accuracy: Option<f64>, median: f64, front: bool| {
            let latency = json!({"median": median});
            json!({"arch": arch, "params": 7, "macs": 9, "accuracy": accuracy, "latency_ms": latency, "front": front})
        };
        let (a, b) = (rated("a", Some(0.5), 0.2, true), rated("b", Some(0.6), 0.4, true));
        let (c, d) = (rated("c", Some(0.4), 0.5, false), rated("d", None, 1.0, false));
        let subnet = |name: &str, arch: &str| json!({"name": name, "arch": arch, "params": 7, "macs": 9, "accuracy": 0.7});
        let search = json!({"objectives": ["accuracy", "latency_ms"], "evaluations": [a, b, c, d]});
        json!({"name": "<b>&\"", "search": search, "subnets": [subnet("one", "a"), subnet("<two>", "b"), subnet("new", "z")]})
    }

    #[test]
    fn text_from_files_is_escaped() {
        let page = page(&run(searched()), &[]);
        assert!(page.contains("&lt;b&gt;&amp;&quot;") && !page.contains("<b>&"));
        assert!(page.contains("&lt;two&gt;") && !page.contains("<two>"));
    }

    #[test]
    fn each_chosen_architecture_is_marked_once_and_has_no_dot() {
        let page = page(&run(searched()), &[]);
        assert_eq!(page.matches(r#"<svg class="chosen s0""#).count(), 1);
        assert_eq!(page.matches(r#"<svg class="chosen"#).count(), 2);
        assert_eq!(page.matches("<circle").count(), 3, "two marks and the dot of `c`; `d` has no accuracy");
    }

    #[test]
    fn what_is_missing_is_left_out() {
        let empty = json!({"objectives": [], "evaluations": []});
        let bare = json!({"name": "one", "arch": "a", "params": 7, "macs": 9, "accuracy": null, "verify": {}, "drawing": null});
        for part in [json!({}), json!({"search": null}), json!({"search": empty}), json!({"subnets": [bare]})] {
            let page = page(&run(part), &parse("{\"phase\":\"train\",\"step\":1}\n{\"pha"));
            assert!(page.contains("<h1>") && !page.contains("<svg"), "{page}");
        }
    }

    #[test]
    fn reasons_compare_with_the_neighbours_on_the_front() {
        let run = run(searched());
        let said = reasons(&run, &run.subnets[1]).join(" ").replace('\u{a0}', " ");
        let front = "The next cheaper on the front saves 0.20 ms and loses 10.0 points. The most accurate on the front.";
        assert_eq!(said, format!("{front} Matches or beats 1 other in accuracy and latency."));
    }

    #[test]
    fn numbers_are_humanised() {
        let cases = [(7.0, "7"), (999.7, "1 k"), (1_073_466.0, "1.07 M"), (999_999.0, "1 M"), (15.3e6, "15.3 M"), (2e9, "2 G")];
        for (value, text) in cases {
            assert_eq!(human(value).replace('\u{a0}', " "), text);
        }
        assert!(counted(1_073_466).contains(r#"title="1,073,466""#));
        assert_eq!([duration(4.04), duration(75.0), duration(7320.0)], ["4.0 s", "1 min 15 s", "2 h 2 min"]);
        assert_eq!([agreement(0.99999), agreement(1.0)], ["99.99\u{a0}%", "100\u{a0}%"]);
        assert_eq!([scientific(1.37e-6), scientific(0.0)], ["1.4 × 10<sup>−6</sup>", "0"]);
    }

    #[test]
    fn a_step_reported_twice_counts_as_last_reported() {
        let lines = [(1, 9), (2, 8), (1, 3)].map(|(step, loss)| format!(r#"{{"phase":"train","step":{step},"loss":{loss}}}"#));
        let events = parse(&lines.join("\n"));
        assert_eq!(Curve::new(String::new(), &events, "train", None).raw, [(1.0, 3.0), (2.0, 8.0)]);
    }
}
