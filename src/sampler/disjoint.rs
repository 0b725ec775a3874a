//! Two paths a step that have no option in common (Π-NAS, arXiv:2108.09671): for each gene two distinct options, every ordered
//! pair equally likely. A gene with one allowed option has it in both.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Ask, Sampler, Scope, Settings};
use crate::arch::{Arch, stream::stream};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disjoint {}

impl Settings for Disjoint {
    fn build(&self, scope: &Scope) -> Result<Box<dyn Sampler>> {
        if scope.momentum_gene.is_some() {
            let found = "true with the sampler \"disjoint\"";
            let wanted = "false: its two paths differ everywhere, and an update belongs to one momentum group";
            return Err(Error::invalid("train.momentum_separation", found, wanted));
        }
        Ok(Box::new(self.clone()))
    }
}

impl Sampler for Disjoint {
    fn ask(&mut self, ask: &Ask) -> Vec<Arch> {
        let mut rng = stream(ask.seed, "sample", ask.step);
        let mut pair = |options: &[usize]| {
            let first = rng.random_range(0..options.len());
            // One of the others: so many places further on, around.
            let further = if options.len() > 1 { rng.random_range(1..options.len()) } else { 0 };
            (options[first], options[(first + further) % options.len()])
        };
        let (first, second): (Vec<usize>, Vec<usize>) = (0..ask.genes.len()).map(|gene| pair(ask.region.options(gene))).unzip();
        [first, second].map(|options| Arch::new(ask.genes, &options).expect("drawn within the options")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;

    #[test]
    fn two_options_of_a_gene_never_meet_and_all_pairs_come_equally_often() {
        let toy = toy(&[4, 1, 4]);
        let (mut counts, draws) = ([[0u32; 4]; 4], 12_000);
        for step in 0..draws {
            let paths = Disjoint {}.ask(&toy.ask(None, step));
            assert_eq!((paths.len(), paths[0].option(1), paths[1].option(1)), (2, 0, 0));
            assert_ne!(paths[0].option(2), paths[1].option(2));
            counts[paths[0].option(0)][paths[1].option(0)] += 1;
        }
        // One in twelve, 1,000 times; four deviations of 30.
        for (first, row) in counts.iter().enumerate() {
            let wanted = |second| if first == second { 0 } else { 1000 };
            assert!((0..4).all(|second| row[second].abs_diff(wanted(second)) < 121), "{counts:?}");
        }
    }

    #[test]
    fn there_is_no_momentum_group_for_two_options() {
        let toy = toy(&[4, 4]);
        let message = Disjoint {}.build(&toy.scope(Some(1))).err().unwrap().to_string();
        assert!(
            message.starts_with("train.momentum_separation: found true with the sampler \"disjoint\", wanted false"),
            "{message}"
        );
    }
}
