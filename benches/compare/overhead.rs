//! How much of a step goes to what is not the network: each part called directly, in turn with whole steps.

use std::cell::RefCell;

use serde_json::{Map, json};

use crate::Options;
use crate::common::Result;
use crate::common::numbers::{median, ratios, timed};
use crate::common::parts::Parts;
use crate::common::work::synchronize;
use crate::contest::{Contender, take_turns};
use crate::report::{Better, Row, Section};
use crate::step::{ours, rounds};

/// The groups of momentum separation, one per operation of an edge.
const GROUPS: usize = 5;

pub fn section(options: &Options) -> Result<Section> {
    let (work, length) = (options.work(), options.length());
    let device = work.device()?;
    let mut trainer = work.trainer()?;
    let parts = RefCell::new(Parts::new(&work, GROUPS, length.steps)?);
    // A part is short beside the clock's surroundings, so it is done often; libtorch's memory is warm, as in a step.
    let part = |name: &str, work: fn(&mut Parts, usize)| {
        let parts = &parts;
        Contender::new(name, move |range| {
            let (mut parts, count) = (parts.borrow_mut(), 4 * range.len());
            let (ms, ()) = timed(|| {
                (0..count).for_each(|step| work(&mut parts, step));
                synchronize(device);
            });
            Ok(ms / count as f64)
        })
    };
    let contenders = vec![
        ours("whole step", &mut trainer),
        part("sampling", |parts, step| drop(parts.sample(step))),
        part("learning rate (CaLR)", |parts, step| _ = parts.rate(step)),
        part("planning", |parts, step| drop(parts.plan(step))),
        part("augmentation", |parts, step| drop(parts.augment(step))),
        part("optimiser", |parts, step| parts.update(step)),
        part("event", |parts, step| drop(parts.event(step))),
    ];
    let mut figures = take_turns(contenders, length)?;
    let mut shares = Map::new();
    let mut together = 0.0;
    let whole = figures[0].rounds.clone();
    for figures in &mut figures[1..] {
        let share = median(&ratios(&figures.rounds, &whole));
        together += share;
        shares.insert(figures.name.clone(), json!(share));
        figures.name += &format!(": {:.2} %", 100.0 * share);
    }
    let title = format!("Around the network, fp32, {}", rounds(length));
    let notes = vec![format!("together {:.1} % of a step", 100.0 * together)];
    shares.insert("together".into(), json!(together));
    Ok(Section { title, rows: Row::all("ms", Better::Less, &figures, &[]), notes, facts: shares })
}
