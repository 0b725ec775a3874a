//! Judging a given list of architectures, without a search.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::evaluations::{Evaluation, Evaluations, Identity};
use super::forest::Forest;
use super::images::RunData;
use super::job::{Event, Job};
use super::recipe::Recipe;
use crate::Result;
use crate::arch::{Arch, Cost};
use crate::graph::Plan;

/// See the [module](self). Those that compute the same are judged once.
pub struct Evaluate {
    evaluations: Evaluations,
    archs: Vec<Arch>,
    done: Vec<Evaluation>,
    started: Instant,
}

impl Evaluate {
    /// Judges `archs` as a search with the same settings would.
    ///
    /// `memory`, a folder, keeps every evaluation: whoever judges the same weights on the same images by the same recipe
    /// doesn't repeat any.
    pub fn new(
        recipe: &Recipe,
        forest: impl Into<Forest>,
        archs: Vec<Arch>,
        data: &RunData,
        memory: Option<&Path>,
    ) -> Result<Self> {
        let forest = forest.into();
        archs.iter().try_for_each(|arch| forest.position(arch).map(|_| ()))?;
        let place = memory.map(|folder| |identity: &Identity| folder.join(identity.file_name()));
        let evaluations = Evaluations::new(recipe, forest, data, place)?;
        Ok(Self { evaluations, archs, done: vec![], started: Instant::now() })
    }

    /// The accuracies so far, in the order of the list.
    pub fn accuracies(&self) -> Vec<f64> {
        self.done.iter().filter_map(|evaluation| evaluation.accuracy).collect()
    }

    /// How many different networks the list has turned out to hold so far.
    pub fn networks(&self) -> usize {
        self.done.iter().map(|evaluation| &evaluation.key).collect::<HashSet<_>>().len()
    }

    /// Validation images that each is judged on.
    pub fn images(&self) -> usize {
        self.evaluations.images
    }

    /// Where the statistics of the norms come from.
    pub fn bn(&self) -> &str {
        &self.evaluations.bn
    }

    /// Under the name that it was given, by the supernet that it belongs to as it is written.
    fn judge(&mut self, arch: &Arch) -> Result<Evaluation> {
        let forest = &self.evaluations.forest;
        // What two supernets compute alike they compute with other weights.
        let leaf = forest.position(arch)?;
        let key = Plan::live(forest.graph(), arch).key();
        let key = if leaf == 0 { key } else { format!("{leaf} {key}") };
        let known = match self.evaluations.recall(&key, None) {
            Some(known) => known.clone(),
            None => self.evaluations.judge(arch, &key, None, None, true)?,
        };
        let Cost { params, macs, .. } = self.evaluations.cost(arch);
        Ok(Evaluation { arch: self.evaluations.forest.space().text(arch), params, macs, ..known })
    }
}

impl Job for Evaluate {
    fn advance(&mut self) -> Result<Option<Event>> {
        let Some(arch) = self.archs.get(self.done.len()).cloned() else { return Ok(None) };
        let evaluation = self.judge(&arch)?;
        let (arch, accuracy) = (Some(evaluation.arch.clone()), evaluation.accuracy);
        self.done.push(evaluation);
        Ok(Some(Event {
            phase: "evaluate".into(),
            step: self.done.len() as u64,
            total: self.archs.len() as u64,
            seconds: self.started.elapsed().as_secs_f64(),
            arch,
            accuracy,
            bn: Some(self.evaluations.bn.clone()),
            ..Default::default()
        }))
    }

    fn result(&self) -> Result<Value> {
        Ok(json!({ "evaluations": self.done }))
    }
}
