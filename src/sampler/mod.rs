//! Which paths are trained next? One file per sampler.
//!
//! A recipe names a configuration; [`SamplerConfig::build`] makes the sampler, which may learn from what it is told.

use std::sync::Arc;

use crate::Result;
use crate::arch::{Arch, Cost, Gene, Region};
use crate::state::State;

/// What a sampler is built for.
pub struct Scope<'a> {
    /// What may be chosen.
    pub genes: &'a [Gene],
    /// The part of it that is trained.
    pub region: &'a Region,
    /// The gene whose options are the momentum groups, where there are groups.
    pub momentum_gene: Option<usize>,
    /// Seed of the run.
    pub seed: u64,
    /// Steps of the run in all.
    pub steps: u64,
    /// Epochs of the run in all.
    pub epochs: u64,
    /// The most complex path of a region that reads the image.
    pub largest: Arc<dyn Fn(&Region) -> Arch + 'a>,
    /// The least complex path of a region that reads the image.
    pub smallest: Arc<dyn Fn(&Region) -> Arch + 'a>,
    /// What an architecture costs as a network that stands alone.
    pub cost: Arc<dyn Fn(&Arch) -> Cost + Send + Sync>,
}

impl Scope<'_> {
    /// A path for each momentum group, `of` the part of the region that it is trained on; `None` for those it has no part of.
    pub fn of_groups(&self, of: &dyn Fn(&Region) -> Arch) -> Vec<Option<Arch>> {
        let Self { genes, region, momentum_gene, .. } = self;
        let group = |gene: usize, option: usize| region.with(gene, &[option]).ok().map(|group| of(&group));
        match momentum_gene {
            None => vec![Some(of(region))],
            Some(gene) => (0..genes[*gene].options.len()).map(|option| group(*gene, option)).collect(),
        }
    }
}

/// What a sampler draws from.
pub struct Ask<'a> {
    /// What may be chosen.
    pub genes: &'a [Gene],
    /// The part of it that is trained.
    pub region: &'a Region,
    /// The gene whose options are the momentum groups, where there are groups.
    pub momentum_gene: Option<usize>,
    /// Seed of the run; a sampler draws from its `sample` stream at `step`, so chance leaves no state to save.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
}

/// What became of a path that was trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The path.
    pub arch: Arch,
    /// Its cross entropy on the batch of the step, before the update.
    pub loss: f64,
}

/// Chooses the paths of a training step.
pub trait Sampler: Send {
    /// The paths of step `ask.step`, at least one, all within `ask.region`: one update is made of all of them. They agree on
    /// the gene `ask.momentum_gene`, since an update belongs to one momentum group.
    fn ask(&mut self, ask: &Ask) -> Vec<Arch>;

    /// Whether it wants to be told. Reading losses at once makes a GPU wait, so that nobody is told for nothing.
    fn listens(&self) -> bool {
        false
    }

    /// What became of the paths that it asked for, in their order; after each step if it [`listens`](Self::listens).
    fn tell(&mut self, _ask: &Ask, _trials: &[Trial]) {}

    /// Paths whose gradient on validation images it wants to know before it is asked for those of the step; seldom any.
    fn probe(&mut self, _ask: &Ask) -> Vec<Arch> {
        vec![]
    }

    /// The norm of the gradient of each path that it [probed](Self::probe).
    fn sense(&mut self, _gradients: &[f64]) {}

    /// The architectures that it would pick by what it has learnt; none if it learns nothing about single ones.
    fn picks(&self, _ask: &Ask) -> Vec<Arch> {
        vec![]
    }

    /// What it has learnt, for the checkpoint; `None` if it learns nothing.
    fn state(&self) -> Option<State> {
        None
    }

    /// Goes on with what another had learnt.
    fn restore(&mut self, _state: &State) -> Result<()> {
        Ok(())
    }
}

/// What a recipe says of a sampler.
pub trait Settings {
    /// The sampler at its beginning, or why it can't be used here.
    fn build(&self, scope: &Scope) -> Result<Box<dyn Sampler>>;

    /// Epochs before it uses what it learns.
    fn warm_up(&self) -> u64 {
        0
    }
}

registry! {
    /// The `sampler` of a recipe.
    pub enum SamplerConfig: Settings {
        /// Every path equally often (SPOS).
        "uniform" => uniform::Uniform,
        /// Every option of every gene once a step (FairNAS).
        "fair" => fair::Fair,
        /// Two paths that have nothing in common (Π-NAS).
        "disjoint" => disjoint::Disjoint,
        /// The largest and the smallest path around those of another sampler.
        "sandwich" => sandwich::Sandwich,
        /// The best paths of each bucket of costs, more and more (PSS).
        "prioritised" => prioritised::Prioritised,
        /// Bins of costs that still have much to learn, by a generator that learns to hit them (ShiftNAS).
        "shift" => shift::Shift,
    }
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Uniform(Uniform {})
    }
}

/// `exp(score / τ) / Σ exp(score / τ)`.
fn softmax(scores: &[f64], temperature: f64) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| ((score - most) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A space whose costs can be summed in the head: an architecture has as many params as its options add up to.
    pub struct Toy {
        pub genes: Vec<Gene>,
        pub region: Region,
    }

    pub fn toy(widths: &[usize]) -> Toy {
        let gene = |&width: &usize| Gene { name: String::new(), options: vec![String::new(); width] };
        let genes: Vec<Gene> = widths.iter().map(gene).collect();
        Toy { region: Region::whole(&genes), genes }
    }

    impl Toy {
        /// For a run of 1,000 steps in 10 epochs.
        pub fn scope(&self, momentum_gene: Option<usize>) -> Scope<'_> {
            let sum = |arch: &Arch| arch.options().iter().sum::<usize>() as u64;
            let path = |options: &dyn Fn(usize) -> usize| {
                Arch::new(&self.genes, &(0..self.genes.len()).map(options).collect::<Vec<_>>()).unwrap()
            };
            Scope {
                genes: &self.genes,
                region: &self.region,
                momentum_gene,
                seed: 7,
                steps: 1000,
                epochs: 10,
                largest: Arc::new(move |region| path(&|gene| *region.options(gene).last().expect("never empty"))),
                smallest: Arc::new(move |region| path(&|gene| region.options(gene)[0])),
                cost: Arc::new(move |arch| Cost { params: sum(arch), ..Default::default() }),
            }
        }

        pub fn ask(&self, momentum_gene: Option<usize>, step: u64) -> Ask<'_> {
            Ask { genes: &self.genes, region: &self.region, momentum_gene, seed: 7, step }
        }
    }

    #[test]
    fn every_sampler_stays_within_the_region() {
        let mut toy = toy(&[3; 4]);
        toy.region = toy.region.with(0, &[2]).unwrap().with(2, &[0, 1]).unwrap();
        let buckets = r#"buckets = [{ metric = "params", from = 0, to = 8, step = 1 }], draws = 500"#;
        let prioritised = format!(r#"kind = "prioritised", {buckets}"#);
        let sandwich = format!(r#"kind = "sandwich", inner = {{ {prioritised} }}"#);
        let shift = r#"kind = "shift", metric = "params", hidden = 4"#;
        for kind in [r#"kind = "uniform""#, r#"kind = "fair""#, r#"kind = "disjoint""#, &prioritised, &sandwich, shift] {
            let config: std::collections::BTreeMap<String, SamplerConfig> =
                toml::from_str(&format!("sampler = {{ {kind} }}")).unwrap();
            let mut sampler = config["sampler"].build(&toy.scope(None)).unwrap();
            for step in 0..100 {
                let ask = toy.ask(None, step);
                let paths = sampler.ask(&ask);
                assert!(paths.iter().all(|path| toy.region.contains(path)), "{kind}: {paths:?}");
                sampler.tell(&ask, &paths.iter().map(|path| Trial { arch: path.clone(), loss: 1.0 }).collect::<Vec<_>>());
            }
        }
    }
}
