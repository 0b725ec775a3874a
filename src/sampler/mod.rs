//! Which path is trained next? One file per sampler.

use serde::{Deserialize, Serialize};

use crate::arch::{Arch, Gene};

/// What a sampler draws from.
pub struct Ask<'a> {
    /// What may be chosen.
    pub genes: &'a [Gene],
    /// Seed of the run; a sampler draws from its `sample` stream at `step`, so it has no state to save.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
}

/// Chooses the paths of a training step.
pub trait Sampler: Send {
    /// The path of step `ask.step`.
    fn ask(&self, ask: &Ask) -> Arch;
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
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Uniform(Uniform {})
    }
}
