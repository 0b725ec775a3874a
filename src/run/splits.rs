//! The `[[split]]` tables of a recipe: how one supernet becomes several, each of a part of the space and with weights of its
//! own (few-shot NAS, arXiv:2006.06863).
//!
//! ```toml
//! [[split]]
//! by = { kind = "exhaustive", genes = ["1<-0"] } # five supernets, one per operation of this edge
//! epochs = 40                                    # of the one supernet before
//! inherit = "weights"                            # what the five start with; [train] says how they go on
//! ```

use std::collections::BTreeSet;
use std::ops::Range;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::recipe::Recipe;
use crate::arch::Gene;
use crate::arch::stream::stream;
use crate::partition::PartitionConfig;
use crate::{Error, Result};

/// Supernets that a recipe may make at most: each is a training of its own.
const MOST: f64 = 1000.0;

/// A `[[split]]` table: every supernet is trained for some epochs by the `[train]` table, and then split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// Into which parts.
    pub by: PartitionConfig,
    /// Times that every image is seen before; 0: no training, so that there is nothing to inherit.
    pub epochs: u64,
    /// What the parts start with.
    #[serde(default)]
    pub inherit: Inherit,
}

/// What the parts of a supernet start with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inherit {
    /// Fresh weights, and the schedule from its start: what was trained only served to find the parts.
    Nothing,
    /// The weights of the supernet, and the schedule from its start.
    #[default]
    Weights,
    /// Weights and momentum; the schedule goes on, and is as long as the epochs of both.
    All,
}

/// The epochs of one supernet within the schedule that it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the schedule, done by those that it came from.
    pub before: u64,
    /// Its own.
    pub epochs: u64,
    /// Of the schedule in all.
    pub total: u64,
}

impl Span {
    /// A schedule of one's own.
    pub fn alone(epochs: u64) -> Self {
        Self { before: 0, epochs, total: epochs }
    }
}

impl Recipe {
    /// The epochs of a supernet that `level` splits led to.
    pub fn span(&self, level: usize) -> Span {
        let epochs = |level: usize| self.split.get(level).map_or(self.train.epochs, |split| split.epochs);
        let goes_on = |split: &&SplitConfig| split.inherit == Inherit::All;
        let first = level - self.split[..level].iter().rev().take_while(goes_on).count();
        let last = level + self.split[level..].iter().take_while(goes_on).count();
        let sum = |levels: Range<usize>| levels.map(epochs).sum();
        Span { before: sum(first..level), epochs: epochs(level), total: sum(first..last + 1) }
    }

    /// The gene that the recipe names for the momentum groups, or one that is drawn once per run among those that no split is known
    /// to fix. The groups of a supernet in which it is fixed would be one.
    fn named_or_drawn(&self, genes: &[Gene]) -> Result<usize> {
        let fixed = self.fixed(genes)?;
        let free: Vec<usize> = (0..genes.len()).filter(|gene| !fixed.contains(gene)).collect();
        let names = || free.iter().map(|&gene| genes[gene].name.as_str()).collect::<Vec<_>>().join(", ");
        if free.is_empty() {
            let found = "true with splits that fix every gene";
            return Err(Error::invalid("train.momentum_separation", found, "false, or a gene that no split fixes"));
        }
        let Some(name) = &self.train.momentum_gene else {
            return Ok(free[stream(self.seed, "split", 0).random_range(0..free.len())]);
        };
        let unknown = || Error::invalid("train.momentum_gene", format!("\"{name}\""), format!("one of {}", names()));
        let gene = genes.iter().position(|gene| gene.name == *name).ok_or_else(unknown)?;
        if fixed.contains(&gene) {
            let found = format!("\"{name}\", which a [[split]] fixes to one option in each supernet");
            return Err(Error::invalid("train.momentum_gene", found, format!("one of {}", names())));
        }
        Ok(gene)
    }

    /// The gene whose options are the momentum groups, if momentum is separated.
    pub fn momentum_gene(&self, genes: &[Gene]) -> Result<Option<usize>> {
        if self.train.momentum_separation { self.named_or_drawn(genes).map(Some) } else { Ok(None) }
    }

    /// Checks what depends on the space: the genes that splits name, and how many supernets there will be.
    pub fn check_splits(&self, genes: &[Gene]) -> Result<()> {
        self.fixed(genes)?;
        let count: f64 = self.split.iter().map(|split| split.by.count(genes)).product();
        if count > MOST {
            return Err(Error::invalid("split", format!("{count} supernets"), format!("at most {MOST}")));
        }
        let groups = self.momentum_gene(genes)?;
        self.check_matching(genes, groups)
    }

    /// Each split by gradient matching needs a gene of its own, whole till then and without momentum groups.
    fn check_matching(&self, genes: &[Gene], groups: Option<usize>) -> Result<()> {
        let (mut fixed, mut before): (BTreeSet<usize>, Vec<Vec<usize>>) = (groups.into_iter().collect(), vec![]);
        for split in &self.split {
            let Some(fitting) = split.by.splits_one_of(genes) else {
                fixed.extend(split.by.fixes(genes)?);
                continue;
            };
            let rivals = before.iter().filter(|theirs| theirs.iter().any(|gene| fitting.contains(gene))).count();
            let free = fitting.iter().filter(|gene| !fixed.contains(gene)).count();
            if free <= rivals {
                let all = self.split.iter().filter(|split| split.by.splits_one_of(genes).is_some()).count();
                let wanted = format!("fewer: {free} genes are whole and have the options for number {}", before.len() + 1);
                return Err(Error::invalid("split", format!("{all} splits by gradient matching"), wanted));
            }
            before.push(fitting);
        }
        Ok(())
    }

    /// The genes that splits are known to fix; each by one split only.
    fn fixed(&self, genes: &[Gene]) -> Result<BTreeSet<usize>> {
        let mut fixed = BTreeSet::new();
        for split in &self.split {
            for gene in split.by.fixes(genes)? {
                if !fixed.insert(gene) {
                    return Err(Error::invalid("split.by.genes", format!("\"{}\" twice", genes[gene].name), "each gene once"));
                }
            }
        }
        Ok(fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(splits: &str) -> Recipe {
        Recipe::from_toml(&format!("validation = 1\nspace = {{ kind = \"nb201\" }}\ntrain = {{ epochs = 50 }}\n{splits}"))
            .unwrap()
    }

    fn split(gene: &str, epochs: u64, inherit: &str) -> String {
        format!("[[split]]\nby = {{ kind = \"exhaustive\", genes = [\"{gene}\"] }}\nepochs = {epochs}\ninherit = \"{inherit}\"\n")
    }

    fn genes() -> Vec<Gene> {
        ["a", "b", "c"].map(|name| Gene { name: name.into(), options: vec!["x".into(), "y".into()] }).to_vec()
    }

    fn spans(inherits: [&str; 2]) -> Vec<[u64; 3]> {
        let recipe = recipe(&(split("a", 20, inherits[0]) + &split("b", 30, inherits[1])));
        (0..3).map(|level| recipe.span(level)).map(|Span { before, epochs, total }| [before, epochs, total]).collect()
    }

    #[test]
    fn a_schedule_starts_anew_unless_all_is_inherited() {
        assert_eq!(recipe("").span(0), Span::alone(50));
        assert_eq!(spans(["weights", "nothing"]), [[0, 20, 20], [0, 30, 30], [0, 50, 50]]);
        assert_eq!(spans(["all", "nothing"]), [[0, 20, 50], [20, 30, 50], [0, 50, 50]]);
        assert_eq!(spans(["weights", "all"]), [[0, 20, 20], [0, 30, 80], [30, 50, 80]]);
        assert_eq!(spans(["all", "all"]), [[0, 20, 100], [20, 30, 100], [50, 50, 100]]);
    }

    #[test]
    fn the_momentum_gene_is_none_that_a_split_fixes() {
        let recipe = recipe(&(split("a", 1, "all") + &split("c", 1, "all")));
        for seed in 0..20 {
            assert_eq!(Recipe { seed, ..recipe.clone() }.named_or_drawn(&genes()).unwrap(), 1);
        }
        let mut named = recipe;
        named.train.momentum_gene = Some("c".into());
        let message = named.check_splits(&genes()).unwrap_err().to_string();
        assert_eq!(
            message,
            "train.momentum_gene: found \"c\", which a [[split]] fixes to one option in each supernet, wanted one of b"
        );
    }

    #[test]
    fn splits_that_make_no_sense_are_refused() {
        let refused = |splits: &str| recipe(splits).check_splits(&genes()).unwrap_err().to_string();
        assert_eq!(refused(&split("d", 1, "all")), "split.by.genes: found \"d\", wanted one of a, b, c");
        assert_eq!(
            refused(&(split("a", 1, "all") + &split("a", 1, "all"))),
            "split.by.genes: found \"a\" twice, wanted each gene once"
        );
        let wide: Vec<Gene> = (0..3).map(|gene| Gene { name: gene.to_string(), options: vec![String::new(); 11] }).collect();
        let all = "[[split]]\nby = { kind = \"exhaustive\", genes = [\"0\", \"1\", \"2\"] }\nepochs = 0\n";
        assert_eq!(recipe(all).check_splits(&wide).unwrap_err().to_string(), "split: found 1331 supernets, wanted at most 1000");
        let two = "[[split]]\nby = { kind = \"exhaustive\", genes = [\"a\", \"a\"] }\nepochs = 0\n";
        assert_eq!(refused(two), "split.by.genes: found \"a\" twice, wanted each gene once");
        let matching = "[[split]]\nby = { kind = \"gradient_matching\", smallest = 1 }\nepochs = 0\n";
        assert!(recipe(&matching.repeat(2)).check_splits(&genes()).is_ok(), "one of the three carries the momentum groups");
        let wanted = "wanted fewer: 2 genes are whole and have the options for number 3";
        assert_eq!(refused(&matching.repeat(4)), format!("split: found 4 splits by gradient matching, {wanted}"));
        let fixed = split("a", 1, "all") + &matching.repeat(2);
        assert!(
            refused(&fixed).ends_with("wanted fewer: 1 genes are whole and have the options for number 2"),
            "a is fixed before"
        );
        let wide = |gene: usize| Gene { name: gene.to_string(), options: vec![String::new(); 2 + gene] };
        let other = matching.replace("smallest = 1", "smallest = 1, largest = 1, ways = 3");
        let narrow = matching.replace("smallest = 1", "smallest = 1, largest = 1, ways = 2");
        let two_sizes: Vec<Gene> = vec![wide(0), wide(1), Gene { name: "groups".into(), ..wide(3) }];
        let mut recipe_of_two = recipe(&(narrow + &other));
        recipe_of_two.train.momentum_gene = Some("groups".into());
        assert!(recipe_of_two.check_splits(&two_sizes).is_ok(), "they want different genes");
        let every = "[[split]]\nby = { kind = \"exhaustive\", genes = [\"a\", \"b\", \"c\"] }\nepochs = 0\n";
        assert!(refused(every).starts_with("train.momentum_separation: found true with splits that fix every gene"));
    }
}
