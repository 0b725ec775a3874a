//! What is tried next, and what is kept? Pure functions of numbers: nothing here knows of networks. One file per strategy.
//!
//! A strategy asks and is told; the caller owns the loop and says what "good" means. Here, few options per gene:
//!
//! ```
//! use supernaut::arch::{Arch, Gene};
//! use supernaut::search::{Regularised, StrategyConfig, Study, Trial};
//!
//! fn main() -> supernaut::Result<()> {
//!     let gene = |number: usize| Gene { name: number.to_string(), options: vec!["a".into(), "b".into(), "c".into()] };
//!     let genes: Vec<Gene> = (0..8).map(gene).collect();
//!     let strategy = StrategyConfig::Regularised(Regularised { population: 20, sample: 5, trials: 200 });
//!     let cost = |arch: &Arch| arch.options().iter().sum::<usize>() as f64;
//!
//!     let mut study = Study::new(&strategy, &genes, 0)?;
//!     loop {
//!         // What may be tried has a name; what has none, or one that was tried, is never asked for.
//!         let queries = study.ask(|arch| (arch.option(0) > 0).then(|| format!("{arch:?}")));
//!         if queries.is_empty() {
//!             break;
//!         }
//!         for query in queries {
//!             let figures = vec![cost(&query.arch)]; // one per objective, the smaller the better
//!             study.tell(Trial { query, figures })?;
//!         }
//!     }
//!     let best = study.trials().iter().map(|trial| trial.figures[0]).fold(f64::INFINITY, f64::min);
//!     assert_eq!(best, 1.0);
//!     Ok(())
//! }
//! ```

mod draw;
mod pareto;
mod study;

pub use pareto::{best_first, fronts, spread};
pub use study::{Ask, Query, Study, Trial};

use crate::Result;
use crate::arch::Gene;

/// What is tried next?
pub trait Strategy: Send {
    /// What to judge in this round, in view of `ask.trials`, which hold all that was asked for before; nothing at the end.
    /// It may ask less than it wants where no more is found that is new and may be tried.
    fn ask(&mut self, ask: &mut Ask) -> Vec<Query>;
}

/// What a recipe says of a strategy.
pub trait Settings {
    /// Refuses values that make no sense. `field` is where they stand, such as `search.strategy`.
    fn check(&self, field: &str) -> Result<()>;

    /// How many judgements there will be, at most.
    fn total(&self, genes: &[Gene]) -> u64;

    /// On how many images it wants architectures judged, where it doesn't want all.
    fn images(&self) -> Option<usize> {
        None
    }

    /// The strategy at its beginning, or why it can't be used on these genes.
    fn start(&self, genes: &[Gene]) -> Result<Box<dyn Strategy>>;
}

registry! {
    /// The `strategy` of a recipe's `[search]` table.
    pub enum StrategyConfig: Settings {
        /// Draws, each as likely as any other.
        "random" => random::Random,
        /// The best so far have children (SPOS).
        "evolution" => evolution::Evolution,
        /// The best of a few has a child, the oldest dies (ageing evolution).
        "regularised" => regularised::Regularised,
        /// A population that keeps to the Pareto front (NSGA-II).
        "nsga2" => nsga2::Nsga2,
        /// Many on few images, the best of these on all (RSPS).
        "rounds" => rounds::Rounds,
        /// Everything, one after the other.
        "exhaustive" => exhaustive::Exhaustive,
    }
}

impl Default for StrategyConfig {
    fn default() -> Self {
        Self::Evolution(Evolution::default())
    }
}
