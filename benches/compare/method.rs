//! What a method costs: our own training loop with it and without.

use std::ops::Range;

use supernaut::arch::{Arch, Region};
use supernaut::graph::Plan;
use supernaut::sampler::{Ask, Fair, Sampler, Uniform};

use crate::Options;
use crate::common::Result;
use crate::common::work::{Work, advance};
use crate::contest::{Contender, Length, take_turns};
use crate::report::{Better, Row, Section};
use crate::step::{ours, rounds};

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

/// FairNAS, which trains as many paths a step as an edge has operations and makes one update of them, beside SPOS. Both draw
/// their paths, so what is compared is time by the arithmetic of the paths that were drawn.
pub fn fair(options: &Options) -> Result<Section> {
    let fair = Work { train: format!("{PLAIN}sampler = {{ kind = \"fair\" }}\n"), ..options.work() };
    let plain = Work { train: PLAIN.into(), ..options.work() };
    let (one, five) = (by_arithmetic(&plain, Uniform {}, 5)?, by_arithmetic(&fair, Fair {}, 1)?);
    let contenders =
        vec![Contender::new("SPOS, 5 steps of a path each", one), Contender::new("FairNAS, 1 step of 5 paths", five)];
    let figures = take_turns(contenders, Length { warm_up: 1, rounds: 2 * options.rounds, steps: 1 })?;
    let title = format!(
        "FairNAS beside SPOS, fp32, {} rounds of 5 paths: per 10⁹ multiply-accumulates of the forward pass",
        2 * options.rounds
    );
    Ok(Section { title, rows: Row::all("ms", Better::Less, &figures, &[0]), ..Section::default() })
}

/// Milliseconds by 10⁹ multiply-accumulates of the paths, `steps` steps at a time.
fn by_arithmetic(work: &Work, mut sampler: impl Sampler, steps: usize) -> Result<impl FnMut(Range<usize>) -> Result<f64>> {
    let (mut trainer, seed, batch) = (work.trainer()?, work.recipe()?.seed, work.batch);
    Ok(move |range: Range<usize>| {
        let (first, steps) = (trainer.step(), steps * range.len());
        let ms: f64 = advance(&mut trainer, steps)?.0.iter().sum();
        let graph = trainer.model().graph();
        let (genes, region) = (graph.genes(), Region::whole(graph.genes()));
        let mut paths = |step| sampler.ask(&Ask { genes, region: &region, momentum_gene: None, seed, step });
        let macs = |arch: &Arch| Plan::live(graph, arch).cost(graph).macs as f64;
        let images: f64 = (first..first + steps as u64).flat_map(&mut paths).map(|arch| macs(&arch)).sum();
        Ok(ms / (images * batch as f64 / 1e9))
    })
}
