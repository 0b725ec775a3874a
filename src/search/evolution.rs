//! The evolution of SPOS (arXiv:1904.00420, released code): the best so far have children by mutation and crossover.
//!
//! With several objectives, "best" is NSGA-II's order: front first, then the lonelier within it. Two departures from the
//! release: the last generation counts too, and what was tried is remembered by what it computes, not by how it is
//! written.

use std::collections::HashSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::pareto::rank_and_crowding;
use crate::arch::stream::stream;
use crate::arch::{Arch, Gene};

/// Tries for each wanted child, before the rest is drawn at random.
const TRIES: usize = 10;

/// The numbers of the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
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
    /// p: chance of each gene to be drawn anew.
    pub mutation_rate: f64,
}

/// An architecture and its figures, the smaller the better.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was tried.
    pub arch: Arch,
    /// One figure per objective.
    pub figures: Vec<f64>,
}

/// Asks for architectures generation by generation, and is told how good they were.
pub struct Evolution {
    settings: Settings,
    genes: Vec<Gene>,
    seed: u64,
    generation: usize,
    first: Option<Arch>,
    trials: Vec<Trial>,
    seen: HashSet<String>,
}

impl Evolution {
    /// Starts with nothing tried, and with `first` in the first generation if it is known to meet limits that random draws
    /// may miss. Draws come from the `evolve` stream of `seed`, one step per generation.
    pub fn new(settings: Settings, genes: Vec<Gene>, first: Option<Arch>, seed: u64) -> Self {
        Self { settings, genes, seed, generation: 0, first, trials: vec![], seen: HashSet::new() }
    }

    /// The next generation, or nothing after the last: architectures that `admit` gives a key for, which is one that was
    /// never seen before. Fewer than wanted where no more are found.
    pub fn ask(&mut self, mut admit: impl FnMut(&Arch) -> Option<String>) -> Vec<Arch> {
        if self.generation > self.settings.generations {
            return vec![];
        }
        let mut rng = stream(self.seed, "evolve", self.generation as u64);
        let parents = self.parents();
        let Settings { population, mutations, crossovers, .. } = self.settings;
        let mut children = vec![];
        if let Some(first) = self.first.take() {
            self.fill(&mut children, 1, 1, &mut admit, |_| first.clone());
        }
        if !parents.is_empty() {
            self.fill(&mut children, mutations.min(population), mutations * TRIES, &mut admit, |own| {
                own.mutant(&parents, &mut rng)
            });
            let until = (children.len() + crossovers).min(population);
            self.fill(&mut children, until, crossovers * TRIES, &mut admit, |own| own.cross(&parents, &mut rng));
        }
        self.fill(&mut children, population, population * TRIES * 10, &mut admit, |own| own.random(&mut rng));
        self.generation += 1;
        children
    }

    /// What the asked-for architectures turned out to be.
    pub fn tell(&mut self, trials: impl IntoIterator<Item = Trial>) {
        self.trials.extend(trials);
    }

    /// Everything tried, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Generations asked for so far.
    pub fn generation(&self) -> usize {
        self.generation
    }

    fn fill(
        &mut self,
        children: &mut Vec<Arch>,
        until: usize,
        tries: usize,
        admit: &mut impl FnMut(&Arch) -> Option<String>,
        mut draw: impl FnMut(&Self) -> Arch,
    ) {
        for _ in 0..tries {
            if children.len() >= until {
                return;
            }
            let child = draw(self);
            if let Some(key) = admit(&child)
                && self.seen.insert(key)
            {
                children.push(child);
            }
        }
    }

    fn parents(&self) -> Vec<Arch> {
        let points: Vec<Vec<f64>> = self.trials.iter().map(|trial| trial.figures.clone()).collect();
        let order = rank_and_crowding(&points);
        let mut best: Vec<usize> = (0..points.len()).collect();
        best.sort_by(|&a, &b| order[a].0.cmp(&order[b].0).then(order[b].1.total_cmp(&order[a].1)).then(a.cmp(&b)));
        best.iter().take(self.settings.parents).map(|&at| self.trials[at].arch.clone()).collect()
    }

    fn mutant(&self, parents: &[Arch], rng: &mut ChaCha8Rng) -> Arch {
        let mut child = parents[rng.random_range(0..parents.len())].clone();
        for (gene, Gene { options, .. }) in self.genes.iter().enumerate() {
            if rng.random_bool(self.settings.mutation_rate) {
                child = child.with(gene, rng.random_range(0..options.len()));
            }
        }
        child
    }

    fn cross(&self, parents: &[Arch], rng: &mut ChaCha8Rng) -> Arch {
        let (mother, father) = (rng.random_range(0..parents.len()), rng.random_range(0..parents.len()));
        let pick = |gene: usize, rng: &mut ChaCha8Rng| parents[if rng.random_bool(0.5) { mother } else { father }].option(gene);
        let options: Vec<usize> = (0..self.genes.len()).map(|gene| pick(gene, rng)).collect();
        Arch::new(&self.genes, &options).expect("the parents' options are legal")
    }

    fn random(&self, rng: &mut ChaCha8Rng) -> Arch {
        let options: Vec<usize> = self.genes.iter().map(|gene| rng.random_range(0..gene.options.len())).collect();
        Arch::new(&self.genes, &options).expect("drawn within the options")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings =
        Settings { population: 50, generations: 20, parents: 10, mutations: 25, crossovers: 25, mutation_rate: 0.1 };

    fn genes(count: usize) -> Vec<Gene> {
        (0..count).map(|gene| Gene { name: gene.to_string(), options: vec![String::new(); 4] }).collect()
    }

    fn sum(arch: &Arch) -> f64 {
        -(arch.options().iter().sum::<usize>() as f64)
    }

    fn run(genes: Vec<Gene>, seed: u64) -> (Evolution, Vec<f64>) {
        let (mut evolution, mut bests) = (Evolution::new(SETTINGS, genes, None, seed), vec![]);
        loop {
            let asked = evolution.ask(|arch| Some(format!("{arch:?}")));
            if asked.is_empty() {
                return (evolution, bests);
            }
            evolution.tell(asked.into_iter().map(|arch| Trial { figures: vec![sum(&arch)], arch }));
            bests.push(evolution.trials().iter().map(|trial| trial.figures[0]).fold(f64::INFINITY, f64::min));
        }
    }

    #[test]
    fn it_climbs_and_never_tries_twice() {
        let (evolution, bests) = run(genes(20), 7);
        assert!(bests.is_sorted_by(|a, b| a >= b), "{bests:?}");
        assert!(bests[20] < -55.0 && bests[0] > -48.0, "60 is the greatest sum, 30 the mean: {bests:?}");
        let mut archs: Vec<_> = evolution.trials().iter().map(|trial| trial.arch.clone()).collect();
        let count = archs.len();
        archs.sort();
        archs.dedup();
        assert_eq!((archs.len(), count), (1050, 1050));
    }

    #[test]
    fn a_small_space_is_exhausted_and_then_it_stops() {
        assert_eq!(run(genes(2), 1).0.trials().len(), 16);
    }

    #[test]
    fn the_same_seed_tries_the_same() {
        assert_eq!(run(genes(6), 3).0.trials(), run(genes(6), 3).0.trials());
        assert_ne!(run(genes(6), 3).0.trials()[0], run(genes(6), 4).0.trials()[0]);
    }
}
