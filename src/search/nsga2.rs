//! NSGA-II (Deb et al. 2002, IEEE Trans. Evol. Comp. 6(2)), on options instead of numbers.
//!
//! A population of P has P children: parents win binary tournaments by (front, crowding), are crossed gene by gene, and
//! each gene of the child is drawn anew with a small chance. Parents and children together are cut to P: front by front,
//! the last one by crowding. Departures: no child is tried twice; where ten tries each don't give P, the rest is drawn at
//! random.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::draw::{self, RANDOM_TRIES, TRIES};
use super::{Ask, Query, Settings, Strategy, Trial, best_first};
use crate::Result;
use crate::arch::{Arch, Gene};
use crate::error::{at_least, within};

/// The numbers of the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nsga2 {
    /// P: architectures per generation, and how many survive one.
    pub population: usize,
    /// Generations after the first.
    pub generations: usize,
    /// Chance of a child to have two parents.
    pub crossover: f64,
    /// Chance of each gene to be drawn anew; absent: one over the number of genes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutation_rate: Option<f64>,
}

impl Default for Nsga2 {
    fn default() -> Self {
        Self { population: 50, generations: 20, crossover: 0.9, mutation_rate: None }
    }
}

impl Settings for Nsga2 {
    fn check(&self, field: &str) -> Result<()> {
        at_least(&format!("{field}.population"), self.population as f64, 1.0)?;
        within(&format!("{field}.crossover"), self.crossover, 0.0, 1.0)?;
        within(&format!("{field}.mutation_rate"), self.mutation_rate.unwrap_or(0.0), 0.0, 1.0)
    }

    fn total(&self, _: &[Gene]) -> u64 {
        (self.population * (self.generations + 1)) as u64
    }

    fn start(&self, _: &[Gene]) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(Population { settings: self.clone(), members: vec![], merged: 0 }))
    }
}

/// Who survived so far.
struct Population {
    settings: Nsga2,
    /// Positions of the survivors in the trials, best first.
    members: Vec<usize>,
    /// Trials that have had their chance to survive.
    merged: usize,
}

impl Strategy for Population {
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query> {
        self.merge(ask.trials);
        let Nsga2 { population, generations, .. } = self.settings;
        if ask.round > generations as u64 {
            return vec![];
        }
        let (mut wanted, mut children) = (population, vec![]);
        if ask.round == 0 && ask.trials.len() < population {
            wanted -= ask.trials.len();
        } else if !self.members.is_empty() {
            let trials = ask.trials;
            ask.fill(&mut children, wanted, wanted * TRIES, |genes, rng| self.child(trials, genes, rng));
        }
        ask.fill(&mut children, wanted, wanted * RANDOM_TRIES, draw::random);
        children.into_iter().map(Query::full).collect()
    }
}

impl Population {
    /// Lets the new trials in and cuts to P. Fronts are filled in whole; the last is cut by crowding.
    fn merge(&mut self, trials: &[Trial]) {
        self.members.extend(self.merged..trials.len());
        self.merged = trials.len();
        let points: Vec<&[f64]> = self.members.iter().map(|&at| &*trials[at].figures).collect();
        let order = best_first(&points);
        self.members = order.into_iter().take(self.settings.population).map(|at| self.members[at]).collect();
    }

    fn child(&self, trials: &[Trial], genes: &[Gene], rng: &mut ChaCha8Rng) -> Arch {
        let rate = self.settings.mutation_rate.unwrap_or(1.0 / genes.len().max(1) as f64);
        let mother = self.winner(trials, rng);
        let crossed = rng.random_bool(self.settings.crossover);
        let child = if crossed { draw::cross(mother, self.winner(trials, rng), genes, rng) } else { mother.clone() };
        draw::mutant(&child, rate, genes, rng)
    }

    /// The better of two members: they are in order.
    fn winner<'a>(&self, trials: &'a [Trial], rng: &mut ChaCha8Rng) -> &'a Arch {
        let mut draw = || rng.random_range(0..self.members.len());
        &trials[self.members[draw().min(draw())]].query.arch
    }
}

#[cfg(test)]
mod tests {
    use super::super::StrategyConfig;
    use super::super::fronts;
    use super::super::study::tests::{genes, run};
    use super::*;

    /// How many options are 0 or 1 (to be made small), and the sum: the front has 21 points, from all 2s … to all 0s.
    fn figures(arch: &Arch) -> Vec<f64> {
        let options = arch.options();
        vec![options.iter().filter(|&&option| option < 2).count() as f64, options.iter().sum::<usize>() as f64]
    }

    #[test]
    fn it_spreads_over_the_front() {
        let nsga2 = Nsga2 { population: 40, generations: 60, ..Default::default() };
        let trials = run(&StrategyConfig::Nsga2(nsga2), &genes(20, 4), 1, figures);
        assert_eq!(trials.len(), 40 * 61);
        let points: Vec<&[f64]> = trials.iter().map(|trial| &*trial.figures).collect();
        let mut front: Vec<&[f64]> = fronts(&points)[0].iter().map(|&at| points[at]).collect();
        front.sort_by(|a, b| a.partial_cmp(b).unwrap());
        front.dedup();
        // (k, 2 · (20 - k)): k options of 0, the others 2.
        let wanted: Vec<Vec<f64>> = (0..=20).map(|k| vec![k as f64, 2.0 * (20 - k) as f64]).collect();
        let found = wanted.iter().filter(|point| front.contains(&&***point)).count();
        assert!(found >= 18, "{found} of 21: {front:?}");
    }

    #[test]
    fn survivors_are_whole_fronts_and_the_lonely_of_the_last() {
        let points = [[1.0, 5.0], [2.0, 3.0], [4.0, 1.0], [3.0, 4.0], [5.0, 5.0], [2.1, 2.9]];
        let query = Query::full(Arch::new(&genes(1, 1), &[0]).unwrap());
        let trials: Vec<Trial> = points.iter().map(|point| Trial { query: query.clone(), figures: point.to_vec() }).collect();
        let survivors = |population| {
            let settings = Nsga2 { population, ..Default::default() };
            let mut population = Population { settings, members: vec![], merged: 0 };
            population.merge(&trials[..3]);
            population.merge(&trials);
            population.members.sort_unstable();
            population.members
        };
        assert_eq!(survivors(5), [0, 1, 2, 3, 5]);
        // Of the first front (1,5) (2,3) (2.1,2.9) (4,1) the ends stay, then the one with the wider gap beside it.
        assert_eq!(survivors(3), [0, 2, 5]);
        assert_eq!(survivors(2), [0, 2]);
    }
}
