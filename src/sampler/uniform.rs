//! Single-path one-shot training (SPOS, arXiv:1904.00420): every path is drawn with equal probability.

use serde::{Deserialize, Serialize};

use super::{Ask, Sampler, Scope, Settings};
use crate::Result;
use crate::arch::{Arch, stream::stream};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uniform {}

impl Settings for Uniform {
    fn build(&self, _: &Scope) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(self.clone()))
    }
}

impl Sampler for Uniform {
    fn ask(&mut self, ask: &Ask) -> Vec<Arch> {
        vec![ask.region.draw(&mut stream(ask.seed, "sample", ask.step))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{Gene, Region};

    #[test]
    fn every_option_is_drawn_equally_often() {
        let genes: Vec<Gene> = (0..20).map(|gene| Gene { name: gene.to_string(), options: vec![String::new(); 4] }).collect();
        let (draws, region) = (4000, Region::whole(&genes));
        let mut counts = [[0u32; 4]; 20];
        for step in 0..draws {
            let paths = Uniform {}.ask(&Ask { genes: &genes, region: &region, momentum_gene: None, seed: 1, step });
            (0..20).for_each(|gene| counts[gene][paths[0].option(gene)] += 1);
        }
        // 80 counts; 4σ leaves a chance of 1 in 200 that any of them is out by luck, and the seed is fixed.
        let sigma = (0.1875 / draws as f64).sqrt();
        for count in counts.iter().flatten() {
            assert!((f64::from(*count) / draws as f64 - 0.25).abs() < 4.0 * sigma, "{counts:?}");
        }
    }
}
