//! Subnets of given supernets, judged on given images and remembered: a file of JSON lines keeps every evaluation, so that
//! nothing is judged twice.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::evaluate::Evaluator;
use super::forest::Forest;
use super::images::{DeviceImages, RunData};
use super::recipe::Recipe;
use super::runtime::Latency;
use crate::arch::{Arch, Cost, Metric};
use crate::graph::Graph;
use crate::hash::sha256;
use crate::space::Norm;
use crate::{Error, Result};

/// One architecture and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// In the notation of the space; without dead operations where a search found it.
    pub arch: String,
    /// Name of what it computes: equal for strings that compute the same.
    pub key: String,
    /// Trainable numbers as a network that stands alone, without dead operations.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Share of the validation images that the supernet classifies correctly with it; absent beyond a limit.
    pub accuracy: Option<f64>,
    /// Where the statistics of the norms came from.
    pub bn: String,
    /// How many images it was judged on, if not on all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Milliseconds for one image, where the search needs them.
    pub latency_ms: Option<Latency>,
}

impl Evaluation {
    /// The value of a metric, if it is known.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => self.accuracy,
            Metric::LatencyMs => self.latency_ms.map(|latency| latency.median),
            Metric::Params => Some(self.params as f64),
            Metric::Macs => Some(self.macs as f64),
        }
    }
}

/// See the [module](self).
pub(super) struct Evaluations {
    pub forest: Forest,
    /// The same space with own norms: what is counted and timed.
    counted: Graph,
    evaluator: Evaluator,
    /// By key and number of images.
    known: HashMap<(String, Option<usize>), Evaluation>,
    memory: Option<PathBuf>,
    /// Validation images that an architecture is judged on, if nothing else is asked for.
    pub images: usize,
    /// Where the statistics of the norms come from, in words.
    pub bn: String,
}

impl Evaluations {
    /// For subnets of `forest`, judged as the `[search]` table says.
    ///
    /// `place` gives the file that keeps the evaluations, if any: who asks again, with the same recipe, weights and images, gets
    /// the same answer.
    pub fn new(
        recipe: &Recipe,
        forest: Forest,
        data: &RunData,
        place: Option<impl FnOnce(&Identity) -> PathBuf>,
    ) -> Result<Self> {
        let mut config = recipe.search.clone();
        let counted = forest.space().graph(forest.task(), Norm::Own)?;
        let images = config.images_of(data.validation.len())?;
        let validation = data.validation.first(images);
        let batch = data.memory.batch(config.batch)?;
        let Remembered { batch, known, file: memory } = remembered(recipe, &forest, &validation, batch, place)?;
        config.batch = batch;
        let compute = recipe.compute(forest.device())?;
        let evaluator = Evaluator::new(validation, &data.train, &config.bn, batch, compute, recipe.seed);
        let known = known.into_iter().map(|evaluation| ((evaluation.key.clone(), evaluation.images), evaluation)).collect();
        Ok(Self { forest, counted, evaluator, known, memory, images, bn: config.bn_text() })
    }

    /// What `arch` costs as it is shipped, without dead operations.
    pub fn cost(&self, arch: &Arch) -> Cost {
        self.counted.cost(&self.forest.canonical(arch))
    }

    /// Everything that is known, in no order.
    pub fn known(&self) -> impl Iterator<Item = &Evaluation> {
        self.known.values()
    }

    /// What is known of the network called `key`, judged on so many images or on all.
    pub fn recall(&self, key: &str, images: Option<usize>) -> Option<&Evaluation> {
        self.known.get(&(key.to_owned(), images))
    }

    /// Judges `arch`, which is called `key`, by the supernet that it belongs to as it is written, on so many images or on all, and
    /// remembers it; without judging it if it lies beyond a limit.
    pub fn judge(
        &mut self,
        arch: &Arch,
        key: &str,
        images: Option<usize>,
        latency_ms: Option<Latency>,
        is_within: bool,
    ) -> Result<Evaluation> {
        let Cost { params, macs, .. } = self.cost(arch);
        let accuracy = is_within.then(|| self.evaluator.accuracy_on(&self.forest, arch, images)).transpose()?;
        let (text, key, bn) = (self.forest.space().text(arch), key.to_owned(), self.bn.clone());
        let evaluation = Evaluation { arch: text, key, params, macs, accuracy, bn, images, latency_ms };
        if let Some(path) = &self.memory {
            append(path, &evaluation)?;
        }
        self.known.insert((evaluation.key.clone(), images), evaluation.clone());
        Ok(evaluation)
    }
}

/// Whose evaluations a file keeps: its first line.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    recipe_hash: String,
    weights: String,
    images: String,
    batch: usize,
}

impl Identity {
    /// A name that no other recipe, weights or images share. The batch isn't part of it: work that goes on keeps to the old.
    pub fn file_name(&self) -> String {
        let Self { recipe_hash, weights, images, .. } = self;
        format!("evaluations-{}.jsonl", &sha256(format!("{recipe_hash} {weights} {images}"))[..12])
    }
}

/// What earlier work has left.
struct Remembered {
    /// Images at a time.
    batch: usize,
    known: Vec<Evaluation>,
    /// Where new evaluations go.
    file: Option<PathBuf>,
}

/// What is remembered in the file that `place` gives, if there is one: only then is anything hashed.
fn remembered(
    recipe: &Recipe,
    forest: &Forest,
    validation: &DeviceImages,
    batch: usize,
    place: Option<impl FnOnce(&Identity) -> PathBuf>,
) -> Result<Remembered> {
    let Some(place) = place else { return Ok(Remembered { batch, known: vec![], file: None }) };
    let identity = Identity { recipe_hash: recipe.hash(), weights: forest.hash(), images: validation.hash(), batch };
    let file = place(&identity);
    let (batch, known) = recall(&file, &identity)?;
    Ok(Remembered { batch, known, file: Some(file) })
}

/// Reads what an earlier search on the same recipe, weights and images found out, in batches of what size. A last line that a
/// crash cut short is left out; any other that can't be read is an error, and the file stays as it is.
///
/// A search keeps to the batch that it was begun with: the recipe is the same, and with it the limit that it was cut down to.
fn recall(path: &Path, identity: &Identity) -> Result<(usize, Vec<Evaluation>)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let line = serde_json::to_string(identity).expect("an identity is plain data");
            crate::files::write_whole(path, format!("{line}\n").as_bytes())?;
            return Ok((identity.batch, vec![]));
        }
        Err(error) => return Err(Error::io(path)(error)),
    };
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = whole.lines();
    let theirs = lines.next().and_then(|line| serde_json::from_str::<Identity>(line).ok());
    let same = |theirs: &Identity| theirs.batch > 0 && Identity { batch: identity.batch, ..theirs.clone() } == *identity;
    let Some(Identity { batch, .. }) = theirs.filter(same) else {
        return Err(Error::Version {
            what: path.display().to_string(),
            found: "evaluations of a different recipe, supernet or data, or by an earlier version".into(),
            wanted: "those of this one or no such file".into(),
        });
    };
    let unreadable = |at: usize, error| Error::corrupt(path, format!("line {}: found {error}, wanted an evaluation", at + 2));
    let read = |(at, line): (usize, &str)| serde_json::from_str::<Evaluation>(line).map_err(|error| unreadable(at, error));
    let known = lines.enumerate().map(read).collect::<Result<Vec<_>>>()?;
    if whole.len() < text.len() {
        crate::files::write_whole(path, whole.as_bytes())?;
    }
    Ok((batch, known))
}

fn append(path: &Path, evaluation: &Evaluation) -> Result<()> {
    let mut file = OpenOptions::new().append(true).open(path).map_err(Error::io(path))?;
    let line = serde_json::to_string(evaluation).expect("an evaluation is plain data");
    writeln!(file, "{line}").map_err(Error::io(path))
}
