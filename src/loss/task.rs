//! The task itself: the cross entropy of a path's logits against the labels.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Loss, Path, Scope, Settings, Step};
use crate::Result;

/// Which paths of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// All.
    #[default]
    All,
    /// The most complex one alone, from which the others then learn.
    Largest,
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Task {
    /// Of which paths it is asked.
    pub of: Of,
}

impl Settings for Task {
    fn needs_largest(&self) -> bool {
        self.of == Of::Largest
    }

    /// Itself: it has nothing to learn.
    fn build(&self, _: &Scope) -> Result<Box<dyn Loss>> {
        Ok(Box::new(self.clone()))
    }
}

impl Loss for Task {
    fn of_path(&mut self, step: &Step, path: &Path) -> Result<Option<Tensor>> {
        let asked = self.of == Of::All || path.arch == step.largest;
        Ok(asked.then(|| step.cross_entropy(step.logits(path), &step.batch.labels)))
    }

    fn apart(&self) -> Option<Box<dyn Loss>> {
        Some(Box::new(self.clone()))
    }
}
