//! Judging many architectures with the weights of one supernet, norms by the batch. A whole list on all images would take
//! the rival half an hour, so a sample is measured, evenly chosen by cost, and the rest is projected.

use std::collections::HashSet;

use serde_json::json;
use supernaut::arch::Arch;
use supernaut::graph::Plan;
use supernaut::rank::List;
use supernaut::run::evaluate::Evaluator;
use supernaut::run::forest::Forest;
use supernaut::run::images::DeviceImages;
use supernaut::run::model::Model;
use supernaut::run::recipe::SearchConfig;

use crate::Options;
use crate::common::Result;
use crate::common::numbers::{greatest, least, mean, timed};
use crate::common::work::{advance, draw, pictures};
use crate::contest::{Contender, Length, take_turns};
use crate::report::{Better, Figures, Row, Section};
use crate::rival::{Layout, Rival};
use crate::step::texts;

/// Architectures of a list that is drawn: as many as in the paper's.
const LIST: u64 = 327;
/// Images that the projection is for.
const WHOLE: f64 = 5000.0;
/// Share of the images on which the two sides may differ in an architecture: logits that rounding decides.
const TOLERANCE: f64 = 0.003;

pub fn section(options: &Options) -> Result<Section> {
    let work = options.work();
    let mut trainer = work.trainer()?;
    advance(&mut trainer, 20)?; // fresh weights would guess
    let model = trainer.model();
    let list = list(options, model)?;
    let length = length(options, list.len());
    let sample = Sample::of(model, &list, length);
    let (figures, judged) = measure(options, model, &sample.archs, length)?;
    let difference = agreement(&judged, options.images)?;
    let title = format!(
        "Evaluation of one architecture on {} images, fp32, {} rounds of {}",
        options.images, length.rounds, length.steps
    );
    let section = Section { title, rows: Row::all("ms", Better::Less, &figures, &[0, 1]), ..Section::default() };
    Ok(project(section, &sample, &judged, options.images, difference))
}

/// Milliseconds of one architecture, and how many images it has right.
#[derive(Clone, Copy, Debug)]
struct Judged {
    ms: f64,
    correct: f64,
}

/// What each contender measured, our side last: milliseconds per architecture by round, and the architectures one by one.
fn measure(options: &Options, model: &Model, archs: &[Arch], length: Length) -> Result<(Vec<Figures>, Vec<Vec<Judged>>)> {
    let (work, texts) = (options.work(), texts(model, archs));
    let recipe = work.recipe()?;
    // Images that the weights have not been trained on.
    let images = pictures(work.images + options.images).select(&(work.images..work.images + options.images).collect::<Vec<_>>());
    let ours_device = work.device()?;
    let ours = DeviceImages::new(&images, ours_device);
    let mut rivals = Layout::ALL.map(|layout| Rival::start(&work, layout)).into_iter().collect::<Result<Vec<_>>>()?;
    let mut judged = vec![vec![]; rivals.len() + 1];
    let (by_us, by_rivals) = judged.split_last_mut().expect("one more than rivals");
    let forest = Forest::from(model.shallow_clone());
    let mut contenders = vec![];
    for ((rival, layout), judged) in rivals.iter_mut().zip(Layout::ALL).zip(by_rivals) {
        rival.load(&work, model)?;
        rival.show(&images, recipe.search.batch)?;
        contenders.push(Contender::new(format!("rival, {}", layout.name()), |range| {
            let (ms, correct) = rival.evaluate(&texts[range])?;
            judged.extend(ms.iter().zip(correct).map(|(&ms, correct)| Judged { ms, correct }));
            Ok(mean(&ms))
        }));
    }
    contenders.push(Contender::new("supernaut", |range| {
        let first = by_us.len();
        for arch in &archs[range] {
            // An evaluator of its own for each, since it remembers what it has judged.
            let SearchConfig { bn, batch, .. } = &recipe.search;
            let mut evaluator = Evaluator::new(ours.all(), &ours, bn, *batch, recipe.compute(ours_device)?, recipe.seed);
            let (ms, accuracy) = timed(|| evaluator.accuracy(&forest, arch));
            by_us.push(Judged { ms, correct: (accuracy? * ours.len() as f64).round() });
        }
        Ok(mean(&by_us[first..].iter().map(|judged| judged.ms).collect::<Vec<_>>()))
    }));
    Ok((take_turns(contenders, length)?, judged))
}

/// The list of the command line, or one that is drawn.
fn list(options: &Options, model: &Model) -> Result<Vec<Arch>> {
    let Some(path) = &options.list else {
        return Ok((0..LIST).map(|step| draw(model.graph().genes(), 0, step)).collect());
    };
    List::read(path)?.archs().iter().map(|text| Ok(model.parse(text)?)).collect()
}

/// Each round judges architectures that no other round does.
fn length(options: &Options, listed: usize) -> Length {
    let rounds = options.rounds.min(4).min(listed).max(1);
    Length { warm_up: 1, rounds, steps: options.archs.div_ceil(rounds).min(listed / rounds).max(1) }
}

/// The list is sorted by cost and cut into parts; the middle one of each part is judged and stands for its part.
struct Sample {
    archs: Vec<Arch>,
    /// Architectures of the list that each stands for.
    listed: Vec<f64>,
    /// Graphs among them that no part before has: the others are known already.
    distinct: Vec<f64>,
}

impl Sample {
    /// One to warm up, which stands for nothing, then those of all rounds, dealt out so that each round has cheap and
    /// costly ones.
    fn of(model: &Model, list: &[Arch], length: Length) -> Self {
        let mut sorted = list.to_vec();
        sorted.sort_by_cached_key(|arch| Plan::live(model.graph(), arch).cost(model.graph()).macs);
        let (count, mut seen) = (length.rounds * length.steps, HashSet::new());
        let (mut listed, mut distinct) = (vec![0.0; count], vec![0.0; count]);
        for (position, arch) in sorted.iter().enumerate() {
            let part = position * count / sorted.len();
            listed[part] += 1.0;
            distinct[part] += f64::from(u8::from(seen.insert(Plan::live(model.graph(), arch).key())));
        }
        let middle = |part: usize| sorted[(2 * part + 1) * sorted.len() / (2 * count)].clone();
        let mut sample = Self { archs: vec![middle(count / 2)], listed: vec![0.0], distinct: vec![0.0] };
        for part in (0..length.rounds).flat_map(|round| (0..length.steps).map(move |step| step * length.rounds + round)) {
            sample.archs.push(middle(part));
            sample.listed.push(listed[part]);
            sample.distinct.push(distinct[part]);
        }
        sample
    }
}

/// The greatest difference in the number of correct images between our side and the others.
fn agreement(judged: &[Vec<Judged>], images: usize) -> Result<f64> {
    let (ours, theirs) = judged.split_last().expect("there are contenders");
    let pairs = theirs.iter().flat_map(|theirs| ours.iter().zip(theirs));
    let difference = greatest(&pairs.map(|(a, b)| (a.correct - b.correct).abs()).collect::<Vec<_>>());
    if difference > (TOLERANCE * images as f64).ceil() {
        return Err(format!("the two sides don't judge alike: {judged:?} of {images} images").into());
    }
    Ok(difference)
}

/// What the whole list would take, if each part is like its middle.
fn project(mut section: Section, sample: &Sample, judged: &[Vec<Judged>], images: usize, difference: f64) -> Section {
    let seconds = |judged: &[Judged], weights: &[f64]| {
        let ms: f64 = judged.iter().zip(weights).map(|(judged, weight)| judged.ms * weight).sum();
        ms / 1e3 * WHOLE / images as f64
    };
    let (ours, theirs) = judged.split_last().expect("there are contenders");
    let rival = least(&theirs.iter().map(|theirs| seconds(theirs, &sample.listed)).collect::<Vec<_>>());
    let ours = seconds(ours, &sample.distinct);
    let [listed, distinct]: [f64; 2] = [sample.listed.iter().sum(), sample.distinct.iter().sum()];
    section.notes = vec![
        format!("correct images differ by at most {difference} of {images}"),
        format!("{distinct} distinct graphs among the {listed} architectures of the list: equal ones are judged once here"),
        format!(
            "projected for the whole list on {WHOLE} images: rival {rival:.0} s, supernaut {ours:.0} s, {:.2} times",
            rival / ours
        ),
    ];
    section.facts = [
        ("images", json!(images)),
        ("largest_difference", json!(difference)),
        ("architectures", json!(listed)),
        ("distinct_graphs", json!(distinct)),
        ("projected_images", json!(WHOLE)),
        ("projected_seconds_rival", json!(rival)),
        ("projected_seconds_ours", json!(ours)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    section
}
