//! The evolution of SPOS (arXiv:1904.00420, released code): the best so far have children by mutation and crossover.
//!
//! With several objectives, "best" is NSGA-II's order: front first, then the lonelier within it. Two departures from the
//! release: the last generation counts too, and what was tried is remembered by what it computes, not by how it is
//! written.

use serde::{Deserialize, Serialize};

use super::draw::{self, RANDOM_TRIES, TRIES};
use super::{Ask, Query, Settings, Strategy, best_first};
use crate::arch::{Arch, Gene};
use crate::error::{at_least, within};
use crate::{Error, Result};

/// The numbers of the method. Where mutation and crossover leave a generation short, the rest is drawn at random.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evolution {
    /// P: architectures per generation.
    pub population: usize,
    /// G: generations after the first.
    pub generations: usize,
    /// k: how many of the best have children.
    pub parents: usize,
    /// Children by mutation per generation.
    pub mutations: usize,
    /// Children by crossover per generation.
    pub crossovers: usize,
    /// p: chance of each gene to be drawn anew in a mutation.
    pub mutation_rate: f64,
}

impl Default for Evolution {
    fn default() -> Self {
        Self { population: 50, generations: 20, parents: 10, mutations: 25, crossovers: 25, mutation_rate: 0.1 }
    }
}

impl Settings for Evolution {
    fn check(&self, field: &str) -> Result<()> {
        at_least(&format!("{field}.population"), self.population as f64, 1.0)?;
        at_least(&format!("{field}.parents"), self.parents as f64, 1.0)?;
        if self.mutations == 0 && self.crossovers == 0 {
            let wanted = "children by either, or strategy = { kind = \"random\" }";
            return Err(Error::invalid(format!("{field}.mutations"), "0 with crossovers = 0", wanted));
        }
        within(&format!("{field}.mutation_rate"), self.mutation_rate, 0.0, 1.0)
    }

    fn total(&self, _: &[Gene]) -> u64 {
        (self.population * (self.generations + 1)) as u64
    }

    fn start(&self, _: &[Gene]) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(self.clone()))
    }
}

impl Strategy for Evolution {
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query> {
        let Self { population, generations, mutations, crossovers, mutation_rate, .. } = *self;
        let mut children = vec![];
        let mut wanted = population;
        if ask.round > generations as u64 {
            return vec![];
        }
        if ask.round == 0 && ask.trials.len() < population {
            wanted -= ask.trials.len();
        } else if let parents @ [_, ..] = &*self.parents(ask) {
            ask.fill(&mut children, mutations.min(population), mutations * TRIES, |genes, rng| {
                draw::mutant(draw::one(parents, rng), mutation_rate, genes, rng)
            });
            let until = (children.len() + crossovers).min(population);
            ask.fill(&mut children, until, crossovers * TRIES, |genes, rng| {
                draw::cross(draw::one(parents, rng), draw::one(parents, rng), genes, rng)
            });
        }
        ask.fill(&mut children, wanted, wanted * RANDOM_TRIES, draw::random);
        children.into_iter().map(Query::full).collect()
    }
}

impl Evolution {
    fn parents(&self, ask: &Ask) -> Vec<Arch> {
        let points: Vec<&[f64]> = ask.trials.iter().map(|trial| &*trial.figures).collect();
        best_first(&points).into_iter().take(self.parents).map(|at| ask.trials[at].query.arch.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::StrategyConfig;
    use super::super::study::tests::{genes, run, sum};
    use super::*;

    #[test]
    fn it_climbs_and_never_tries_twice() {
        let trials = run(&StrategyConfig::Evolution(Evolution::default()), &genes(20, 4), 7, sum);
        let least = |trials: &[super::super::Trial]| trials.iter().map(|trial| trial.figures[0]).fold(f64::INFINITY, f64::min);
        let bests: Vec<f64> = (1..=21).map(|generation| least(&trials[..50 * generation])).collect();
        assert!(bests.is_sorted_by(|a, b| a >= b), "{bests:?}");
        assert!(bests[20] < -55.0 && bests[0] > -48.0, "60 is the greatest sum, 30 the mean: {bests:?}");
        let mut archs: Vec<_> = trials.iter().map(|trial| trial.query.arch.clone()).collect();
        let count = archs.len();
        archs.sort();
        archs.dedup();
        assert_eq!((archs.len(), count), (1050, 1050));
    }

    #[test]
    fn numbers_that_make_no_evolution_are_refused() {
        let check = |settings: Evolution, wanted: &str| {
            assert_eq!(settings.check("strategy").unwrap_err().to_string(), wanted);
        };
        let none = Evolution { mutations: 0, crossovers: 0, ..Evolution::default() };
        let wanted = "wanted children by either, or strategy = { kind = \"random\" }";
        check(none.clone(), &format!("strategy.mutations: found 0 with crossovers = 0, {wanted}"));
        Evolution { crossovers: 1, ..none }.check("strategy").unwrap();
    }
}
