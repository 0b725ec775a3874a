//! Random search: draws, each architecture as likely as any other, none twice.

use serde::{Deserialize, Serialize};

use super::draw::{self, RANDOM_TRIES};
use super::{Ask, Query, Settings, Strategy};
use crate::Result;
use crate::arch::Gene;
use crate::error::at_least;

/// Asked for at a time, so that a search of millions starts at once.
const ROUND: usize = 64;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Random {
    /// Architectures in all.
    pub trials: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self { trials: 1000 }
    }
}

impl Settings for Random {
    fn check(&self, field: &str) -> Result<()> {
        at_least(&format!("{field}.trials"), self.trials as f64, 1.0)
    }

    fn total(&self, _: &[Gene]) -> u64 {
        self.trials as u64
    }

    fn start(&self, _: &[Gene]) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(self.clone()))
    }
}

impl Strategy for Random {
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query> {
        let wanted = self.trials.saturating_sub(ask.trials.len()).min(ROUND);
        let mut archs = vec![];
        ask.fill(&mut archs, wanted, wanted * RANDOM_TRIES, draw::random);
        archs.into_iter().map(Query::full).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::StrategyConfig;
    use super::super::study::tests::{genes, run, sum};
    use super::*;

    #[test]
    fn it_draws_so_many_and_every_option_equally_often() {
        let trials = run(&StrategyConfig::Random(Random { trials: 1000 }), &genes(10, 4), 1, sum);
        assert_eq!(trials.len(), 1000);
        for gene in 0..10 {
            for option in 0..4 {
                let count = trials.iter().filter(|trial| trial.query.arch.option(gene) == option).count();
                assert!(count.abs_diff(250) < 55, "4σ: {count}");
            }
        }
    }
}
