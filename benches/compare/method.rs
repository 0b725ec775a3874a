//! What a method costs: our own training loop with it and without.

use crate::Options;
use crate::common::Result;
use crate::common::numbers::mean;
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

/// One step of FairNAS, which trains every operation once, beside as many steps of SPOS as it has paths.
pub fn fair(options: &Options) -> Result<Section> {
    const PATHS: usize = 5;
    let title = "FairNAS step (5 paths) beside 5 SPOS steps, fp32".to_owned();
    let fair = Work { train: format!("{PLAIN}sampler = {{ kind = \"fair\" }}\n"), ..options.work() };
    let mut fair = fair.trainer()?;
    let mut plain = Work { train: PLAIN.into(), ..options.work() }.trainer()?;
    let contenders = vec![
        Contender::new("5 SPOS steps", |range| Ok(PATHS as f64 * mean(&advance(&mut plain, PATHS * range.len())?.0))),
        ours("1 FairNAS step", &mut fair),
    ];
    let figures = take_turns(contenders, Length { warm_up: 1, rounds: options.rounds, steps: 1 })?;
    Ok(Section { title, rows: Row::all("ms", Better::Less, &figures, &[0]), ..Section::default() })
}
