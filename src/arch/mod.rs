//! Plain data about architectures: what may be chosen, what was chosen, what it costs. No tensors here.

mod cost;
mod region;
pub mod stream;

pub use cost::{Cost, Metric};
pub use region::{NamedRegion, Region};

use crate::{Error, Result};

/// One named choice of a space and its options, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gene {
    /// Name that a person can read, such as `1<-0`.
    pub name: String,
    /// Names of the options.
    pub options: Vec<String>,
}

/// How many architectures there are: to the last digit below 10³⁸, and as in `1.26e40` above.
pub fn count(genes: &[Gene]) -> String {
    let exact = genes.iter().try_fold(1u128, |product, gene| product.checked_mul(gene.options.len() as u128));
    let rounded = || {
        let digits: f64 = genes.iter().map(|gene| (gene.options.len() as f64).log10()).sum();
        format!("{:.2}e{}", (10f64.powf(digits.fract()) * 100.0).floor() / 100.0, digits.floor())
    };
    exact.map_or_else(rounded, |count| count.to_string())
}

/// One option per gene. It exists only for the genes it was checked against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arch(Vec<u16>);

impl Arch {
    /// Checks that there is one legal option per gene.
    pub fn new(genes: &[Gene], options: &[usize]) -> Result<Self> {
        if options.len() != genes.len() {
            return Err(Error::invalid("arch", format!("{} options", options.len()), format!("{}, one per gene", genes.len())));
        }
        for (gene, &option) in genes.iter().zip(options) {
            if option >= gene.options.len() {
                let wanted = format!("0…{} (gene {})", gene.options.len() - 1, gene.name);
                return Err(Error::invalid("arch", format!("option {option}"), wanted));
            }
        }
        Ok(Self(options.iter().map(|&option| option as u16).collect()))
    }

    /// The option chosen for `gene`.
    pub fn option(&self, gene: usize) -> usize {
        self.0[gene].into()
    }

    /// All options, in the order of the genes.
    pub fn options(&self) -> Vec<usize> {
        self.0.iter().map(|&option| option.into()).collect()
    }

    /// The same architecture with another option for one gene. `option` must be legal for it.
    pub fn with(&self, gene: usize, option: usize) -> Self {
        let mut changed = self.clone();
        changed.0[gene] = option as u16;
        changed
    }
}
