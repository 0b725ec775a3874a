//! Few-shot NAS (FSNAS, arXiv:2006.06863): a part for each option of a gene, or for each combination of the options of
//! several genes.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Ground, Partition, Parts, Probe};
use crate::arch::{Gene, Region};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exhaustive {
    /// Names of the genes.
    pub genes: Vec<String>,
}

impl Exhaustive {
    fn positions(&self, genes: &[Gene]) -> Result<Vec<usize>> {
        let position = |name: &String| {
            genes.iter().position(|gene| gene.name == *name).ok_or_else(|| {
                let names = genes.iter().map(|gene| gene.name.as_str()).collect::<Vec<_>>().join(", ");
                Error::invalid("split.by.genes", format!("\"{name}\""), format!("one of {names}"))
            })
        };
        if self.genes.is_empty() {
            return Err(Error::invalid("split.by.genes", "nothing", "the name of at least one gene"));
        }
        self.genes.iter().map(position).collect()
    }
}

impl Partition for Exhaustive {
    fn fixes(&self, genes: &[Gene]) -> Result<Vec<usize>> {
        self.positions(genes)
    }

    fn count(&self, genes: &[Gene]) -> f64 {
        let named = genes.iter().filter(|gene| self.genes.contains(&gene.name));
        named.map(|gene| gene.options.len() as f64).product()
    }

    fn split(&self, ground: &Ground, _: &mut dyn Probe) -> Result<Parts> {
        let mut regions = vec![ground.region.clone()];
        for gene in self.positions(ground.genes)? {
            let each = |region: &Region| {
                region.options(gene).iter().map(|&option| region.with(gene, &[option])).collect::<Result<Vec<_>>>()
            };
            regions = regions.iter().map(each).collect::<Result<Vec<_>>>()?.concat();
        }
        Ok(Parts { regions, report: json!({ "genes": self.genes }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody to ask.
    struct Mute;

    impl Probe for Mute {
        fn products(&mut self, _: usize, _: &[usize], _: u64) -> Result<Vec<Vec<f64>>> {
            unreachable!("an exhaustive split is known beforehand")
        }
    }

    fn genes() -> Vec<Gene> {
        ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
            .map(|name| Gene { name: name.into(), options: ["none", "skip", "1x1", "3x3", "pool"].map(String::from).to_vec() })
            .to_vec()
    }

    fn split(names: &[&str]) -> Result<Vec<Region>> {
        let (genes, partition) = (genes(), Exhaustive { genes: names.iter().map(|name| name.to_string()).collect() });
        let ground = Ground { genes: &genes, region: &Region::whole(&genes), groups: None };
        partition.split(&ground, &mut Mute).map(|parts| parts.regions)
    }

    #[test]
    fn one_edge_gives_a_part_per_operation_and_several_the_product() {
        let one = split(&["1<-0"]).unwrap();
        assert_eq!(one.iter().map(Region::size).collect::<Vec<_>>(), [3125.0; 5]);
        assert_eq!(one.iter().map(|region| region.options(0)).collect::<Vec<_>>(), [[0], [1], [2], [3], [4]]);
        let two = split(&["3<-2", "1<-0"]).unwrap();
        assert_eq!(two.iter().map(Region::size).collect::<Vec<_>>(), [625.0; 25]);
        for regions in [&one, &two] {
            let overlaps = regions.iter().enumerate().any(|(at, a)| regions[..at].iter().any(|b| a.intersect(b).is_some()));
            assert!(!overlaps);
            assert_eq!(regions.iter().map(Region::size).sum::<f64>(), 15_625.0);
        }
    }

    #[test]
    fn a_gene_that_is_not_there_is_named() {
        let message = split(&["0<-1"]).unwrap_err().to_string();
        assert_eq!(message, "split.by.genes: found \"0<-1\", wanted one of 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2");
        assert_eq!(split(&[]).unwrap_err().to_string(), "split.by.genes: found nothing, wanted the name of at least one gene");
    }
}
