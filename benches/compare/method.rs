//! What a method costs: our own training loop with it and without.

use std::ops::Range;

use supernaut::arch::{Arch, Region};
use supernaut::graph::{Graph, Plan};
use supernaut::run::model::Model;
use supernaut::sampler::{Ask, Fair, Sampler, Uniform};

use crate::Options;
use crate::common::Result;
use crate::common::work::{Work, advance};
use crate::contest::{Contender, Length, take_turns};
use crate::report::{Better, Row, Section};
use crate::rival::{Layout, Rival};
use crate::step::{ours, rivals, rounds, texts};

const PLAIN: &str = "momentum_separation = false\nschedule = { kind = \"linear\" }\n";
const BOTH: &str = "momentum_separation = true\nschedule = { kind = \"complexity\" }\n";

/// Momentum separation and CaLR beside plain SPOS.
pub fn separation(options: &Options) -> Result<Section> {
    let trainer = |train: &str| Work { train: train.into(), ..options.work() }.trainer();
    let (mut plain, mut both, length) = (trainer(PLAIN)?, trainer(BOTH)?, options.length());
    let contenders = vec![ours("plain SPOS", &mut plain), ours("with momentum separation and CaLR", &mut both)];
    let figures = take_turns(contenders, length)?;
    let title = format!("Momentum separation and CaLR, fp32, {}", rounds(length));
    Ok(Section { title, rows: Row::all("ms", Better::Less, &figures, &[0]), ..Section::default() })
}

/// Paths that FairNAS trains in a step: as many as an edge has operations.
const PATHS: usize = 5;

/// FairNAS, which trains [`PATHS`] paths and makes one update of them, beside as many steps of SPOS, ours and the rival's. All
/// draw their paths, so what is compared is time by the arithmetic of the paths that were drawn.
pub fn fair(options: &Options) -> Result<Section> {
    let fair = Work { train: format!("{PLAIN}sampler = {{ kind = \"fair\" }}\n"), ..options.work() };
    let plain = Work { train: PLAIN.into(), ..options.work() };
    let length = Length { warm_up: 1, rounds: 2 * options.rounds, steps: 1 };
    let model = plain.model()?;
    let archs = plain.archs(&model, (PATHS * length.total()) as u64)?;
    let mut rivals = rivals(&plain, &model)?;
    let mut contenders: Vec<Contender> = rivals.iter_mut().map(|rival| spos(rival, &model, &archs, plain.batch)).collect();
    contenders.push(Contender::new("SPOS, 5 steps of a path each", by_arithmetic(&plain, Uniform {}, PATHS)?));
    contenders.push(Contender::new("FairNAS, 1 step of 5 paths", by_arithmetic(&fair, Fair {}, 1)?));
    let figures = take_turns(contenders, length)?;
    let mut rows = Row::all("ms", Better::Less, &figures, &[0, 1]);
    let mut against_ours = Row::all("ms", Better::Less, &figures[2..], &[0]).swap_remove(1);
    against_ours.figures.name += ", against SPOS above";
    rows.push(against_ours);
    let title = format!(
        "FairNAS beside SPOS, fp32, {} rounds of 5 paths: per 10⁹ multiply-accumulates of the forward pass",
        length.rounds
    );
    Ok(Section { title, rows, ..Section::default() })
}

/// The rival, which takes [`PATHS`] steps where FairNAS takes one.
fn spos<'a>((layout, rival): &'a mut (Layout, Rival), model: &'a Model, archs: &'a [Arch], batch: usize) -> Contender<'a> {
    Contender::new(format!("rival, {}: SPOS, 5 steps", layout.name()), move |range| {
        let archs = &archs[PATHS * range.start..PATHS * range.end];
        let ms: f64 = rival.train(&texts(model, archs))?.0.iter().sum();
        Ok(ms / (giga(model.graph(), archs) * batch as f64))
    })
}

/// Milliseconds by 10⁹ multiply-accumulates of the paths, `steps` steps at a time.
fn by_arithmetic(work: &Work, mut sampler: impl Sampler, steps: usize) -> Result<impl FnMut(Range<usize>) -> Result<f64>> {
    let (mut trainer, seed, batch) = (work.trainer()?, work.recipe()?.seed, work.batch);
    Ok(move |range: Range<usize>| {
        let (first, steps) = (trainer.step(), steps * range.len());
        let ms: f64 = advance(&mut trainer, steps)?.0.iter().sum();
        let graph = trainer.model().graph();
        let (genes, region) = (graph.genes(), Region::whole(graph.genes()));
        let paths = |step| sampler.ask(&Ask { genes, region: &region, momentum_gene: None, seed, step });
        let archs: Vec<Arch> = (first..first + steps as u64).flat_map(paths).collect();
        Ok(ms / (giga(graph, &archs) * batch as f64))
    })
}

/// 10⁹ multiply-accumulates of the forward pass of `archs`, one image each.
fn giga(graph: &Graph, archs: &[Arch]) -> f64 {
    archs.iter().map(|arch| Plan::live(graph, arch).cost(graph).macs as f64 / 1e9).sum()
}
