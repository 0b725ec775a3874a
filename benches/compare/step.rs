//! Milliseconds per training step. Our side is the whole loop: sampling, planning, augmentation, CaLR, momentum separation,
//! events. The rival gets its batches ready and does plain SPOS, which favours it.

use std::ops::Range;

use supernaut::arch::Arch;
use supernaut::run::model::Model;
use supernaut::run::trainer::Trainer;

use crate::Options;
use crate::alone::Alone;
use crate::common::Result;
use crate::common::numbers::mean;
use crate::common::work::{Work, advance, pictures};
use crate::contest::{Contender, Length, take_turns};
use crate::report::{Better, Row, Section};
use crate::rival::{Layout, Rival};

/// fp32: the rival in both layouts, the library, and the library without its kernels and without its plans.
pub fn fp32(options: &Options) -> Result<Section> {
    let (work, length) = (options.work(), options.length());
    let (mut trainer, mut planned) = (work.trainer()?, Work { kernels: Some("libtorch"), ..work.clone() }.trainer()?);
    let (archs, texts) = archs(&work, trainer.model(), length)?;
    let mut rivals = rivals(&work, trainer.model())?;
    let mut alone = Alone::new(&work, archs)?;
    let mut contenders = contenders(&mut rivals, &texts, "");
    contenders.push(ours("supernaut", &mut trainer));
    contenders.push(ours("supernaut, libtorch's kernels", &mut planned));
    contenders.push(Contender::new("supernaut, every operation by itself", |range| alone.round(range)));
    let figures = take_turns(contenders, length)?;
    let title = format!("Training step, fp32, batch {}, {} threads, {}", work.batch, work.threads, rounds(length));
    Ok(Section { title, rows: Row::all("ms", Better::Less, &figures, &[0, 1]), ..Section::default() })
}

/// bf16, against the rival's bf16 and against its fp32.
pub fn bf16(options: &Options) -> Result<Section> {
    let fp32 = options.work();
    let bf16 = Work { precision: "bf16", ..fp32.clone() };
    let mut trainer = bf16.trainer()?;
    let (_, texts) = archs(&bf16, trainer.model(), options.length())?;
    let (mut in_bf16, mut in_fp32) = (rivals(&bf16, trainer.model())?, rivals(&fp32, trainer.model())?);
    let length = match is_emulated(&mut in_bf16[0].1, &mut in_fp32[0].1, &texts[0])? {
        true => Length { warm_up: 1, rounds: options.rounds.min(3), steps: options.steps.min(2) },
        false => options.length(),
    };
    let mut contenders = contenders(&mut in_bf16, &texts, ", bf16");
    contenders.push(ours("supernaut, bf16", &mut trainer));
    contenders.extend(self::contenders(&mut in_fp32, &texts, ", fp32"));
    let figures = take_turns(contenders, length)?;
    let mut rows = Row::all("ms", Better::Less, &figures[..3], &[0, 1]);
    let mut against_fp32 = Row::all("ms", Better::Less, &figures[2..], &[1, 2]);
    against_fp32[0].figures.name += ", against the rival's fp32";
    rows.append(&mut against_fp32);
    let title = format!("Training step, bf16, batch {}, {} threads, {}", bf16.batch, bf16.threads, rounds(length));
    Ok(Section { title, rows, ..Section::default() })
}

/// Whether libtorch computes bf16 on a CPU that can't: then a step takes it seconds.
fn is_emulated(in_bf16: &mut Rival, in_fp32: &mut Rival, arch: &str) -> Result<bool> {
    let again = [arch.to_owned(), arch.to_owned()]; // the first time, kernels are made
    Ok(in_bf16.train(&again)?.0[1] > 5.0 * in_fp32.train(&again)?.0[1])
}

/// The architectures of all steps, and their texts.
fn archs(work: &Work, model: &Model, length: Length) -> Result<(Vec<Arch>, Vec<String>)> {
    let archs = work.archs(model, length.total() as u64)?;
    let texts = texts(model, &archs);
    Ok((archs, texts))
}

/// `archs` in the notation of their space.
pub fn texts(model: &Model, archs: &[Arch]) -> Vec<String> {
    archs.iter().map(|arch| model.space.text(arch)).collect()
}

/// The rival in each layout, with the weights of `model`.
pub fn rivals(work: &Work, model: &Model) -> Result<Vec<(Layout, Rival)>> {
    let images = pictures(work.images);
    Layout::ALL.map(|layout| Ok((layout, Rival::trainee(work, layout, model, &images)?))).into_iter().collect()
}

fn contenders<'a>(rivals: &'a mut [(Layout, Rival)], archs: &'a [String], suffix: &str) -> Vec<Contender<'a>> {
    let contender = |(layout, rival): &'a mut (Layout, Rival)| {
        let round = |range: Range<usize>| Ok(mean(&rival.train(&archs[range])?.0));
        Contender::new(format!("rival, {}{suffix}", layout.name()), round)
    };
    rivals.iter_mut().map(contender).collect()
}

/// The library's own loop: milliseconds per step.
pub fn ours<'a>(name: &str, trainer: &'a mut Trainer) -> Contender<'a> {
    Contender::new(name, |range| Ok(mean(&advance(trainer, range.len())?.0)))
}

/// How long a contest was, in words.
pub fn rounds(length: Length) -> String {
    format!("{} rounds of {} steps", length.rounds, length.steps)
}
