//! A linear classifier on what the paths see, through which nothing is learnt but itself: it says how good features are that were
//! learnt without labels (Π-NAS, ICCV 2021: the supernet is frozen, then a classifier that all paths share is trained on labels).
//!
//! The classifier is the last layer of the network, so that subnets of a supernet without labels are judged, searched and
//! exported as any others are. Ours: it learns all along and not afterwards, with the batch and rate of the run.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Loss, Path, Scope, Settings, Step};
use crate::Result;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {}

impl Settings for Probe {
    /// Itself: the classifier is part of the network.
    fn build(&self, scope: &Scope) -> Result<Box<dyn Loss>> {
        scope.features("train.loss.probe")?;
        Ok(Box::new(self.clone()))
    }
}

impl Loss for Probe {
    fn of_path(&mut self, step: &Step, path: &Path) -> Result<Option<Tensor>> {
        let features = tch::no_grad(|| step.features_of(&step.network, &path.arch, &step.batch.images));
        Ok(Some(step.cross_entropy(&step.classify(&path.arch, &features), &step.batch.labels)))
    }
}
