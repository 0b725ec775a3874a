//! Regularised, or ageing, evolution (Real et al. 2019, arXiv:1802.01548, algorithm 1): the best of a random sample of the
//! population has one child, which joins the population; the oldest leaves it.
//!
//! A population of P that loses its oldest is the last P trials, so nothing has to be remembered. A child differs from its
//! parent in one gene (the paper's hidden-state and operation mutations in one). Departures: no child is tried twice, so
//! a neighbour that is known gives way to another sample's, and the identity mutation is left out. With several
//! objectives the best of a sample is the first in NSGA-II's order of the population.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::draw::{self, RANDOM_TRIES, TRIES};
use super::{Ask, Query, Settings, Strategy, best_first};
use crate::Result;
use crate::arch::Gene;
use crate::error::at_least;

/// The numbers of the method; the defaults are the paper's P and S.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Regularised {
    /// P: how many of the latest may become parents; so many are drawn at random to begin with.
    pub population: usize,
    /// S: how many are drawn from these, with replacement, to find a parent.
    pub sample: usize,
    /// Architectures in all.
    pub trials: usize,
}

impl Default for Regularised {
    fn default() -> Self {
        Self { population: 100, sample: 25, trials: 1000 }
    }
}

impl Settings for Regularised {
    fn check(&self, field: &str) -> Result<()> {
        at_least(&format!("{field}.population"), self.population as f64, 1.0)?;
        at_least(&format!("{field}.sample"), self.sample as f64, 1.0)?;
        at_least(&format!("{field}.trials"), self.trials as f64, 1.0)
    }

    fn total(&self, _: &[Gene]) -> u64 {
        self.trials as u64
    }

    fn start(&self, _: &[Gene]) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(self.clone()))
    }
}

impl Strategy for Regularised {
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query> {
        let (known, trials) = (ask.trials.len(), ask.trials);
        let mut archs = vec![];
        if ask.round == 0 && known < self.population {
            let wanted = self.population.min(self.trials).saturating_sub(known);
            ask.fill(&mut archs, wanted, wanted * RANDOM_TRIES, draw::random);
        } else if known < self.trials {
            let population = &trials[known.saturating_sub(self.population)..];
            let points: Vec<&[f64]> = population.iter().map(|trial| &*trial.figures).collect();
            let order = best_first(&points);
            ask.fill(&mut archs, 1, if order.is_empty() { 0 } else { TRIES * RANDOM_TRIES }, |genes, rng| {
                let best = (0..self.sample).map(|_| rng.random_range(0..order.len())).min().expect("a sample of one or more");
                draw::neighbour(&population[order[best]].query.arch, genes, rng)
            });
            ask.fill(&mut archs, 1, RANDOM_TRIES, draw::random);
        }
        archs.into_iter().map(Query::full).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::study::tests::{genes, run, sum};
    use super::super::{StrategyConfig, Trial};
    use super::*;

    fn config(population: usize, sample: usize, trials: usize) -> StrategyConfig {
        StrategyConfig::Regularised(Regularised { population, sample, trials })
    }

    fn distance(a: &Trial, b: &Trial) -> usize {
        let options = |trial: &Trial| trial.query.arch.options();
        options(a).iter().zip(options(b)).filter(|&(&a, b)| a != b).count()
    }

    #[test]
    fn each_child_is_a_neighbour_of_the_best_among_the_last() {
        // With a sample this large the parent is the best of the population, but for a chance of e^-40.
        let (population, trials) = (8, run(&config(8, 320, 100), &genes(6, 4), 5, sum));
        let least = |trials: &[Trial]| trials.iter().map(|trial| trial.figures[0]).fold(f64::INFINITY, f64::min);
        assert_eq!(trials.len(), 100);
        let mut died = 0;
        for (at, child) in trials.iter().enumerate().skip(population) {
            let last = &trials[at - population..at];
            let parent = |parent: &Trial| parent.figures[0] == least(last) && distance(parent, child) == 1;
            assert!(last.iter().any(parent), "trial {at}");
            died += usize::from(least(last) > least(&trials[..at]));
        }
        assert!(died > 10, "the old leave however good they are: {died}");
    }

    #[test]
    fn it_climbs() {
        let trials = run(&config(50, 10, 1000), &genes(20, 4), 7, sum);
        let best = trials.iter().map(|trial| trial.figures[0]).fold(f64::INFINITY, f64::min);
        assert_eq!((trials.len(), best), (1000, -60.0));
    }
}
