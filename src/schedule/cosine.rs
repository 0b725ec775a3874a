//! Half a cosine from 1 to `least` (arXiv:1608.03983, without restarts), stepped at every iteration.

use serde::{Deserialize, Serialize};

use super::{Complexity, Schedule};
use crate::Result;
use crate::error::within;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// The factor at the end.
    pub least: f64,
}

impl Schedule for Cosine {
    fn check(&self, field: &str) -> Result<()> {
        within(&format!("{field}.least"), self.least, 0.0, 1.0)
    }

    fn factor(&self, progress: f64, _: &Complexity) -> f64 {
        self.least + (1.0 - self.least) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0
    }
}
