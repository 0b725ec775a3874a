//! The task itself: the cross entropy of a path's logits against the labels.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Loss, Path, Scope, Step};
use crate::Result;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Task {}

impl Task {
    /// Itself: it has nothing to learn.
    pub fn build(&self, _: &Scope) -> Result<Box<dyn Loss>> {
        Ok(Box::new(self.clone()))
    }
}

impl Loss for Task {
    fn of_path(&mut self, step: &Step, path: &Path) -> Result<Option<Tensor>> {
        Ok(Some(step.cross_entropy(step.logits(path), &step.batch.labels)))
    }
}
