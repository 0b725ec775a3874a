//! Which paths share weights? One file per way to split the region of a supernet into parts with weights of their own.
//!
//! What a partition has to know of the supernet it asks a [`Probe`], so that it is plain arithmetic itself.

use serde_json::Value;

use crate::Result;
use crate::arch::{Gene, Region};

/// What is split.
pub struct Ground<'a> {
    /// What may be chosen.
    pub genes: &'a [Gene],
    /// The region of the supernet.
    pub region: &'a Region,
    /// The gene whose options are the momentum groups, where there are groups: it must keep several options.
    pub groups: Option<usize>,
}

/// What a partition may ask the trained supernet of the region.
pub trait Probe {
    /// Inner products `[option][option]` of the gradients that the options of `gene` give to the weights which all of them
    /// share: sample number `sample` is one batch of training images and one architecture of the region, in which `gene`
    /// has each of `options` in turn.
    fn products(&mut self, gene: usize, options: &[usize], sample: u64) -> Result<Vec<Vec<f64>>>;
}

/// The parts of a region.
pub struct Parts {
    /// Disjoint, and together the region.
    pub regions: Vec<Region>,
    /// What a person may want to know: which gene, and why.
    pub report: Value,
}

/// Splits regions.
pub trait Partition {
    /// The genes that have one option in each part, whatever the supernet: known before any training.
    ///
    /// # Errors
    /// If the partition can't be used in a space of `genes`.
    fn fixes(&self, genes: &[Gene]) -> Result<Vec<usize>>;

    /// The genes of which it will split one that is whole until then, where which one is found by training.
    fn splits_one_of(&self, _: &[Gene]) -> Option<Vec<usize>> {
        None
    }

    /// Parts that a region is split into, at most.
    fn count(&self, genes: &[Gene]) -> f64;

    /// How many samples it will ask for.
    fn questions(&self, _: &Ground) -> u64 {
        0
    }

    /// The parts.
    fn split(&self, ground: &Ground, probe: &mut dyn Probe) -> Result<Parts>;
}

registry! {
    /// The `by` of a `[[split]]` in a recipe.
    pub enum PartitionConfig: Partition {
        /// A part for each option of a gene, or for each combination of options of several (few-shot NAS).
        "exhaustive" => exhaustive::Exhaustive,
        /// Groups of options of one gene, both chosen by how alike their gradients are (GM-NAS).
        "gradient_matching" => gradient_matching::GradientMatching,
    }
}
