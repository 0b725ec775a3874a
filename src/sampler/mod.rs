//! Which paths are trained next? One file per sampler.

use serde::{Deserialize, Serialize};

use crate::arch::{Arch, Gene};

/// What a sampler draws from.
pub struct Ask<'a> {
    /// What may be chosen.
    pub genes: &'a [Gene],
    /// The gene whose options are the momentum groups, where there are groups.
    pub split: Option<usize>,
    /// Seed of the run; a sampler draws from its `sample` stream at `step`, so it has no state to save.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
}

/// Chooses the paths of a training step.
pub trait Sampler: Send {
    /// The paths of step `ask.step`, at least one: one update is made of all of them. They agree on the gene `ask.split`,
    /// since an update belongs to one momentum group.
    fn ask(&self, ask: &Ask) -> Vec<Arch>;
}

/// One row per sampler: its kind in a recipe, its file, its type.
macro_rules! samplers {
    ($($(#[$doc:meta])* $name:literal => $file:ident :: $kind:ident),+ $(,)?) => {
        $(mod $file; pub use $file::$kind;)+

        /// The `sampler` of a recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum SamplerConfig { $($(#[$doc])* #[serde(rename = $name)] $kind($kind)),+ }

        impl std::ops::Deref for SamplerConfig {
            type Target = dyn Sampler;
            fn deref(&self) -> &Self::Target {
                match self { $(Self::$kind(sampler) => sampler),+ }
            }
        }
    };
}

samplers! {
    /// Every path equally often (SPOS).
    "uniform" => uniform::Uniform,
    /// Every option of every gene once a step (FairNAS).
    "fair" => fair::Fair,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Uniform(Uniform {})
    }
}
