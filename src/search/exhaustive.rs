//! Every architecture once, the last gene changing fastest. Nothing is listed ahead.

use serde::{Deserialize, Serialize};

use super::{Ask, Query, Settings, Strategy};
use crate::arch::{Arch, Gene, count};
use crate::error::at_least;
use crate::{Error, Result};

/// Asked for at a time.
const ROUND: usize = 64;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exhaustive {
    /// The largest space that it agrees to go through, before limits: a guard against searches without end.
    pub most: u64,
}

impl Default for Exhaustive {
    fn default() -> Self {
        Self { most: 1_000_000 }
    }
}

impl Settings for Exhaustive {
    fn check(&self, field: &str) -> Result<()> {
        at_least(&format!("{field}.most"), self.most as f64, 1.0)
    }

    fn total(&self, genes: &[Gene]) -> u64 {
        genes.iter().fold(1, |count: u64, gene| count.saturating_mul(gene.options.len() as u64))
    }

    fn start(&self, genes: &[Gene]) -> Result<Box<dyn Strategy>> {
        if self.total(genes) > self.most {
            let wanted = format!("at most {} (`most` raises that), or a strategy that draws", self.most);
            return Err(Error::invalid("search.strategy", format!("exhaustive over {} architectures", count(genes)), wanted));
        }
        Ok(Box::new(Odometer { next: Some(vec![0; genes.len()]) }))
    }
}

/// The options that come next; `None` after the last.
struct Odometer {
    next: Option<Vec<usize>>,
}

impl Odometer {
    fn turn(&mut self, genes: &[Gene]) -> Option<Vec<usize>> {
        let now = self.next.clone()?;
        self.next = (0..genes.len()).rev().find(|&gene| now[gene] + 1 < genes[gene].options.len()).map(|gene| {
            let mut next = now.clone();
            next[gene] += 1;
            next[gene + 1..].fill(0);
            next
        });
        Some(now)
    }
}

impl Strategy for Odometer {
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query> {
        let mut queries = vec![];
        while queries.len() < ROUND
            && let Some(options) = self.turn(ask.genes)
        {
            let arch = Arch::new(ask.genes, &options).expect("counted within the options");
            if ask.admit(&arch) {
                queries.push(Query::full(arch));
            }
        }
        queries
    }
}

#[cfg(test)]
mod tests {
    use super::super::StrategyConfig;
    use super::super::study::tests::{genes, run, run_where, sum};
    use super::*;

    #[test]
    fn it_counts_through_mixed_genes() {
        let mut genes = genes(3, 2);
        genes[1].options.truncate(1);
        genes[2].options.push(String::new());
        let trials = run(&StrategyConfig::Exhaustive(Exhaustive::default()), &genes, 0, sum);
        let options: Vec<_> = trials.iter().map(|trial| trial.query.arch.options()).collect();
        assert_eq!(options, [[0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 0, 0], [1, 0, 1], [1, 0, 2]]);
    }

    #[test]
    fn long_gaps_do_not_end_it() {
        let config = StrategyConfig::Exhaustive(Exhaustive::default());
        let trials = run_where(&config, &genes(6, 4), 0, sum, |arch| arch.option(0) % 3 == 0 && arch.option(5) == 3);
        assert_eq!(trials.len(), 2 * 256);
    }

    #[test]
    fn a_space_without_end_is_refused_at_once_with_its_count() {
        let refused = |count| Exhaustive::default().start(&genes(count, 10)).err().unwrap().to_string();
        let wanted = "wanted at most 1000000 (`most` raises that), or a strategy that draws";
        assert_eq!(refused(7), format!("search.strategy: found exhaustive over 10000000 architectures, {wanted}"));
        let digits = format!("1{}", "0".repeat(30));
        assert_eq!(refused(30), format!("search.strategy: found exhaustive over {digits} architectures, {wanted}"));
        assert_eq!(refused(40), format!("search.strategy: found exhaustive over 1.00e40 architectures, {wanted}"));
        assert!(Exhaustive::default().start(&genes(6, 10)).is_ok());
    }
}
