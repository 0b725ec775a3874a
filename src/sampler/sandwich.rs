//! The sandwich rule (US-Net, arXiv:1903.05134): beside the paths of an inner sampler, each step trains the largest and the
//! smallest path there is.
//!
//! Under momentum separation these take the option that the inner path has for the gene of the momentum groups, since all paths
//! of a step are in one group: they are the largest and the smallest of the group.

use serde::{Deserialize, Serialize};

use super::{Ask, Sampler, SamplerConfig, Scope, Settings, Trial};
use crate::Result;
use crate::arch::Arch;
use crate::state::State;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandwich {
    /// What lies between.
    pub inner: Box<SamplerConfig>,
}

impl Settings for Sandwich {
    fn build(&self, scope: &Scope) -> Result<Box<dyn Sampler>> {
        let [largest, smallest] = [&scope.largest, &scope.smallest].map(|extreme| scope.of_groups(&**extreme));
        Ok(Box::new(Layers { inner: self.inner.build(scope)?, largest, smallest }))
    }

    fn warm_up(&self) -> u64 {
        self.inner.warm_up()
    }
}

/// The sampler at work.
struct Layers {
    inner: Box<dyn Sampler>,
    /// Of each momentum group, as far as the region has it.
    largest: Vec<Option<Arch>>,
    smallest: Vec<Option<Arch>>,
}

impl Sampler for Layers {
    /// The largest, those between, the smallest.
    fn ask(&mut self, ask: &Ask) -> Vec<Arch> {
        let mut paths = self.inner.ask(ask);
        let group = ask.momentum_gene.map_or(0, |gene| paths[0].option(gene));
        let of_group = |paths: &[Option<Arch>]| paths[group].clone().expect("the group of a path is in its region");
        paths.insert(0, of_group(&self.largest));
        paths.push(of_group(&self.smallest));
        paths
    }

    fn listens(&self) -> bool {
        self.inner.listens()
    }

    fn tell(&mut self, ask: &Ask, trials: &[Trial]) {
        self.inner.tell(ask, &trials[1..trials.len() - 1]);
    }

    fn probe(&mut self, ask: &Ask) -> Vec<Arch> {
        self.inner.probe(ask)
    }

    fn sense(&mut self, gradients: &[f64]) {
        self.inner.sense(gradients);
    }

    fn picks(&self, ask: &Ask) -> Vec<Arch> {
        self.inner.picks(ask)
    }

    fn state(&self) -> Option<State> {
        self.inner.state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.inner.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;

    #[test]
    fn the_extremes_lie_around_and_stay_in_the_group() {
        let toy = toy(&[3, 3, 3]);
        let [mut whole, mut grouped] = [None, Some(1)].map(|gene| Sandwich::default().build(&toy.scope(gene)).unwrap());
        for step in 0..20 {
            let paths = whole.ask(&toy.ask(None, step));
            assert_eq!([paths[0].options(), paths[2].options(), vec![paths.len()]], [vec![2; 3], vec![0; 3], vec![3]]);
            let paths = grouped.ask(&toy.ask(Some(1), step));
            let option = paths[1].option(1);
            assert_eq!([paths[0].options(), paths[2].options()], [vec![2, option, 2], vec![0, option, 0]]);
        }
    }
}
