//! `1 − t/T`.

use serde::{Deserialize, Serialize};

use super::{Complexity, Schedule};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {}

impl Schedule for Linear {
    fn factor(&self, progress: f64, _: &Complexity) -> f64 {
        1.0 - progress
    }
}
