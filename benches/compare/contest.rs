//! Contenders take turns: A B C, A B C, … A change of the machine's speed meets them all alike, and ratios are taken within
//! a round.

use std::ops::Range;

use crate::common::Result;
use crate::report::Figures;

/// Does the steps of this range and gives one figure for them.
type Round<'a> = Box<dyn FnMut(Range<usize>) -> Result<f64> + 'a>;

/// One of those who take turns.
pub struct Contender<'a> {
    name: String,
    round: Round<'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: impl Into<String>, round: impl FnMut(Range<usize>) -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), round: Box::new(round) }
    }
}

/// How long a contest takes.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Steps before the first that counts.
    pub warm_up: usize,
    pub rounds: usize,
    /// Steps of each contender in a round.
    pub steps: usize,
}

impl Length {
    /// Steps of each contender in all.
    pub fn total(self) -> usize {
        self.warm_up + self.rounds * self.steps
    }
}

/// Lets `contenders` take turns; all do the same steps.
pub fn take_turns(mut contenders: Vec<Contender>, length: Length) -> Result<Vec<Figures>> {
    for contender in &mut contenders {
        (contender.round)(0..length.warm_up)?;
    }
    let mut figures: Vec<Figures> =
        contenders.iter().map(|contender| Figures { name: contender.name.clone(), rounds: vec![] }).collect();
    for round in 0..length.rounds {
        let start = length.warm_up + round * length.steps;
        for (contender, figures) in contenders.iter_mut().zip(&mut figures) {
            figures.rounds.push((contender.round)(start..start + length.steps)?);
        }
    }
    Ok(figures)
}
