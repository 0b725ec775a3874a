//! Strict fairness (FairNAS, arXiv:1907.01845): each step trains every allowed option of every gene exactly once.
//!
//! Path `k` of a step takes the `k`-th option of a permutation drawn for each gene, and there are as many paths as the widest gene
//! has options. A gene with fewer options goes through its permutation again from the start, so its options differ by one in a
//! step. The gene of the momentum groups has one drawn option in all paths: it is fair over many steps only.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{Ask, Sampler, Scope, Settings};
use crate::Result;
use crate::arch::{Arch, stream::stream};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fair {}

impl Settings for Fair {
    fn build(&self, _: &Scope) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(self.clone()))
    }
}

impl Sampler for Fair {
    fn ask(&mut self, ask: &Ask) -> Vec<Arch> {
        let mut rng = stream(ask.seed, "sample", ask.step);
        let mut orders: Vec<Vec<usize>> = (0..ask.genes.len()).map(|gene| ask.region.options(gene).to_vec()).collect();
        orders.iter_mut().for_each(|order| order.shuffle(&mut rng));
        if let Some(gene) = ask.momentum_gene {
            orders[gene].truncate(1);
        }
        let paths = orders.iter().map(Vec::len).max().unwrap_or(1);
        let path = |k: usize| orders.iter().map(|order| order[k % order.len()]).collect::<Vec<_>>();
        (0..paths).map(|k| Arch::new(ask.genes, &path(k)).expect("drawn within the options")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Uniform;
    use super::*;
    use crate::arch::{Gene, Region};

    fn genes(widths: &[usize]) -> Vec<Gene> {
        let gene = |&width: &usize| Gene { name: String::new(), options: vec![String::new(); width] };
        widths.iter().map(gene).collect()
    }

    /// How often each option of each gene comes in the first `steps` steps.
    fn counts(sampler: &mut dyn Sampler, widths: &[usize], momentum_gene: Option<usize>, steps: u64) -> Vec<Vec<u64>> {
        let genes = genes(widths);
        let region = Region::whole(&genes);
        let mut counts: Vec<Vec<u64>> = widths.iter().map(|&width| vec![0; width]).collect();
        for arch in (0..steps).flat_map(|step| sampler.ask(&Ask { genes: &genes, region: &region, momentum_gene, seed: 7, step }))
        {
            (0..widths.len()).for_each(|gene| counts[gene][arch.option(gene)] += 1);
        }
        counts
    }

    #[test]
    fn every_option_is_trained_once_a_step() {
        for steps in [1, 2, 100] {
            assert_eq!(counts(&mut Fair {}, &[5; 6], None, steps), vec![vec![steps; 5]; 6]);
        }
    }

    #[test]
    fn drawing_paths_one_by_one_is_not_fair() {
        // 100 expected, the deviation of each count is about 9: all thirty exact would be a marvel.
        let drawn = counts(&mut Uniform {}, &[5; 6], None, 500);
        assert!(drawn.iter().flatten().any(|&count| count != 100), "{drawn:?}");
        assert!(drawn.iter().flatten().all(|&count| count.abs_diff(100) < 40), "{drawn:?}");
    }

    #[test]
    fn narrow_genes_repeat_theirs_evenly() {
        let counts = counts(&mut Fair {}, &[2, 5, 1, 3], None, 1);
        assert_eq!(counts[1..3], [vec![1; 5], vec![5]]);
        for (gene, allowed) in [(0, 2..=3), (3, 1..=2)] {
            assert!(counts[gene].iter().all(|count| allowed.contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn the_split_gene_has_one_option_a_step_and_all_in_the_long_run() {
        let genes = genes(&[3, 5, 3]);
        let region = Region::whole(&genes);
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..60 {
            let paths = Fair {}.ask(&Ask { genes: &genes, region: &region, momentum_gene: Some(1), seed: 7, step });
            assert_eq!(paths.len(), 3, "the widest gene that is permuted");
            assert!(paths.iter().all(|arch| arch.option(1) == paths[0].option(1)), "{paths:?}");
            seen.insert(paths[0].option(1));
        }
        assert_eq!(seen.len(), 5);
        assert_eq!(counts(&mut Fair {}, &[5; 6], Some(2), 40)[3], [40; 5]);
    }

    #[test]
    fn within_a_region_every_allowed_option_is_trained_once_a_step() {
        let genes = genes(&[5; 3]);
        let region = Region::whole(&genes).with(0, &[3]).unwrap().with(1, &[0, 2, 4]).unwrap();
        for step in 0..20 {
            let paths = Fair {}.ask(&Ask { genes: &genes, region: &region, momentum_gene: None, seed: 7, step });
            assert!(paths.len() == 5 && paths.iter().all(|arch| region.contains(arch)), "{paths:?}");
            let count = |gene: usize, option| paths.iter().filter(|arch| arch.option(gene) == option).count();
            assert!([0, 2, 4].map(|option| count(1, option)).iter().all(|count| (1..=2).contains(count)), "{paths:?}");
            let grouped = Fair {}.ask(&Ask { genes: &genes, region: &region, momentum_gene: Some(2), seed: 7, step });
            assert_eq!(grouped.iter().map(|arch| arch.option(1)).collect::<std::collections::BTreeSet<_>>(), [0, 2, 4].into());
        }
    }

    #[test]
    fn permutations_are_drawn_anew_for_each_gene_and_step() {
        let genes = genes(&[5; 6]);
        let region = Region::whole(&genes);
        let paths = |step| Fair {}.ask(&Ask { genes: &genes, region: &region, momentum_gene: None, seed: 7, step });
        assert_ne!(paths(0), paths(1));
        assert_eq!(paths(3), paths(3));
        let order = |gene| paths(0).iter().map(|arch| arch.option(gene)).collect::<Vec<_>>();
        assert!((1..6).any(|gene| order(gene) != order(0)));
    }
}
