//! How strongly does a path learn at this time? One file per schedule.

use crate::Result;

/// How complex a path is among the paths of its space, by [`Cost::complexity`](crate::arch::Cost).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Complexity {
    /// C(α) of the path.
    pub of_path: u64,
    /// The smallest of the space.
    pub least: u64,
    /// The greatest of the space.
    pub greatest: u64,
}

/// A learning rate that changes over a run.
pub trait Schedule {
    /// Refuses settings that make no sense. `field` is where they stand, such as `train.schedule`.
    fn check(&self, _field: &str) -> Result<()> {
        Ok(())
    }

    /// The factor on the base rate after `progress` (0…1) of the run.
    fn factor(&self, progress: f64, complexity: &Complexity) -> f64;

    /// Whether the factor depends on the path. Paths that are trained in one step share its rate, so their factors then
    /// become weights of their losses.
    fn tells_paths_apart(&self) -> bool {
        false
    }
}

registry! {
    /// The `schedule` of a recipe.
    pub enum ScheduleConfig: Schedule {
        /// Half a cosine, for all paths alike.
        "cosine" => cosine::Cosine,
        /// A straight line to zero, for all paths alike.
        "linear" => linear::Linear,
        /// CaLR: the decay depends on the path's complexity.
        "complexity" => complexity_aware::ComplexityAware,
    }
}
