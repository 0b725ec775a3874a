//! The selection of RSPS (Li & Talwalkar 2019, arXiv:1902.07638, released code): each round judges many random
//! architectures on few validation images, and the best of these again on all; the best of all rounds wins.
//!
//! The release makes a round of every 10,000 training steps and draws other images for each candidate. Here the rounds are
//! a number, and all are judged on the same images: what one of them gets by luck, all get.

use serde::{Deserialize, Serialize};

use super::draw::{self, RANDOM_TRIES};
use super::{Ask, Query, Settings, Strategy, best_first};
use crate::Result;
use crate::arch::Gene;
use crate::error::at_least;

/// The numbers of the method; the defaults are the release's, its ten batches of 64 as images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rounds {
    /// How many rounds.
    pub rounds: usize,
    /// Architectures that a round draws.
    pub candidates: usize,
    /// Images that these are judged on.
    pub images: usize,
    /// How many of the best are judged again, on all images.
    pub again: usize,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { rounds: 3, candidates: 1000, images: 640, again: 10 }
    }
}

impl Settings for Rounds {
    fn check(&self, field: &str) -> Result<()> {
        let all = [("rounds", self.rounds), ("candidates", self.candidates), ("images", self.images), ("again", self.again)];
        all.into_iter().try_for_each(|(name, value)| at_least(&format!("{field}.{name}"), value as f64, 1.0))
    }

    fn total(&self, _: &[Gene]) -> u64 {
        (self.rounds * (self.candidates + self.again.min(self.candidates))) as u64
    }

    fn images(&self) -> Option<usize> {
        Some(self.images)
    }

    fn start(&self, _: &[Gene]) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(self.clone()))
    }
}

impl Strategy for Rounds {
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query> {
        // Even rounds of the study draw, odd ones judge again.
        if ask.round >= 2 * self.rounds as u64 {
            return vec![];
        }
        if ask.round % 2 == 1 {
            return self.best(ask);
        }
        let mut archs = vec![];
        ask.fill(&mut archs, self.candidates, self.candidates * RANDOM_TRIES, draw::random);
        archs.into_iter().map(|arch| Query { arch, images: Some(self.images) }).collect()
    }
}

impl Rounds {
    /// The best of those that were drawn last, once more.
    fn best(&self, ask: &Ask) -> Vec<Query> {
        let before = ask.trials.iter().rposition(|trial| trial.query.images.is_none()).map_or(0, |at| at + 1);
        let drawn = &ask.trials[before..];
        let points: Vec<&[f64]> = drawn.iter().map(|trial| &*trial.figures).collect();
        best_first(&points).into_iter().take(self.again).map(|at| Query::full(drawn[at].query.arch.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::study::tests::{genes, run};
    use super::super::{StrategyConfig, Trial};
    use super::*;
    use crate::arch::Arch;

    /// A figure that no two architectures share.
    fn oracle(arch: &Arch) -> Vec<f64> {
        vec![arch.options().iter().fold(0.0, |sum, &option| (sum * 4.0 + option as f64) * 1.37 % 1000.0)]
    }

    fn least(trials: &[&Trial]) -> Vec<f64> {
        trials.iter().map(|trial| trial.figures.clone()).min_by(|a, b| a[0].total_cmp(&b[0])).unwrap()
    }

    #[test]
    fn a_noiseless_oracle_is_asked_for_the_best_of_all_that_were_drawn() {
        let trials = run(&StrategyConfig::Rounds(Rounds::default()), &genes(20, 4), 1, oracle);
        let (drawn, again): (Vec<&Trial>, Vec<&Trial>) = trials.iter().partition(|trial| trial.query.images == Some(640));
        assert_eq!((drawn.len(), again.len()), (3000, 30));
        assert_eq!(least(&again), least(&drawn));
        for round in 0..3 {
            let mut figures: Vec<f64> = drawn[1000 * round..][..1000].iter().map(|trial| trial.figures[0]).collect();
            figures.sort_by(f64::total_cmp);
            let found: Vec<f64> = again[10 * round..][..10].iter().map(|trial| trial.figures[0]).collect();
            assert_eq!(found, figures[..10], "the ten best of round {round}");
        }
    }
}
