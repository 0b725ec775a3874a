//! What is asked of the paths? One file per term; a recipe lists the terms of its loss, and what they ask is added up.
//!
//! A term may look at the paths of a step one by one, at the step as a whole, or both. It may run further paths on the
//! step's images: all it needs is in the [`Step`], which also knows whose gradients are wanted afterwards.

mod step;

use tch::Tensor;

pub use step::{Batch, Path, Step};

use crate::arch::{Arch, Region};
use crate::graph::{Graph, Network, Node, Op};
use crate::state::State;
use crate::{Error, Result};

/// What a term is built for.
pub struct Scope<'a> {
    /// What is trained.
    pub network: &'a Network,
    /// Reads an architecture in the notation of the space.
    pub parse: &'a dyn Fn(&str) -> Result<Arch>,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Epochs of the run in all.
    pub epochs: u64,
    /// Seed of the run.
    pub seed: u64,
    /// The part of the space that is trained.
    pub region: &'a Region,
}

impl Scope<'_> {
    /// How many features the last layer classifies; an error in the name of `field` if it isn't a linear layer.
    pub fn features(&self, field: &str) -> Result<i64> {
        let wanted = || Error::invalid(field, "a space that doesn't end in a linear layer", "features to look at");
        features(self.network.graph()).ok_or_else(wanted)
    }
}

/// How many features the last layer classifies, if it is a linear layer.
fn features(graph: &Graph) -> Option<i64> {
    match &graph.nodes()[graph.output()] {
        Node::Op { op: Op::Linear(_), inputs, .. } => Some(graph.shape(inputs[0]).numel()),
        _ => None,
    }
}

/// Images that a term needs beside the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// A batch of validation images in each step.
    pub validation: bool,
    /// Further views of the training images: so many other random changes of each.
    pub views: usize,
}

/// One term of a loss.
pub trait Loss: Send {
    /// What it needs in each step.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// What it asks of one path of the step, a scalar; `None` for nothing. It is multiplied by the path's weight.
    fn of_path(&mut self, _step: &Step, _path: &Path) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// A copy for another thread, if it has no weights of its own and what it asks of a path depends on that path alone: such
    /// paths may run side by side.
    fn apart(&self) -> Option<Box<dyn Loss>> {
        None
    }

    /// What it asks beside that, once a step, after the paths had their turn.
    fn of_step(&mut self, _step: &Step) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Its own weights in one vector, trained beside the network's; `None` if it has none.
    fn weights(&self) -> Option<&Tensor> {
        None
    }

    /// What it remembers, for the checkpoint; `None` for nothing.
    fn state(&self) -> Option<State> {
        None
    }

    /// Goes on with what another remembered.
    fn restore(&mut self, _state: &State) -> Result<()> {
        Ok(())
    }
}

/// What a recipe says of a term.
pub trait Settings {
    /// Refuses settings that make no sense.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The term, or why it can't be used here.
    fn build(&self, scope: &Scope) -> Result<Box<dyn Loss>>;

    /// Paths whose values are kept at once for the backward pass of what it asks of one path.
    fn passes_of_path(&self) -> u64 {
        1
    }

    /// The same of what it asks of the step as a whole. All terms that ask so share a backward pass.
    fn passes_of_step(&self) -> u64 {
        0
    }

    /// Whether it learns from the largest path alone, so that other steps have nothing of it.
    fn needs_largest(&self) -> bool {
        false
    }

    /// Whether it compares two paths, so that a step needs as many.
    fn needs_pair(&self) -> bool {
        false
    }

    /// Epochs before it says anything.
    fn warm_up(&self) -> u64 {
        0
    }

    /// What it takes beside the paths it runs.
    fn memory(&self, _ground: &Ground) -> Memory {
        Memory::default()
    }

    /// Architectures whose true order a supernet is taught: how well it orders these says nothing of the others.
    fn taught(&self) -> &[String] {
        &[]
    }

    /// A file that it names and that wasn't read.
    fn unread(&self) -> Option<&std::path::Path> {
        None
    }

    /// Reads the files that it names, relative to `folder`, in their place: a run is a function of its recipe.
    fn resolve(&mut self, _folder: &std::path::Path) -> Result<()> {
        Ok(())
    }
}

/// What the memory of a term depends on.
pub struct Ground<'a> {
    /// What is trained.
    pub graph: &'a Graph,
    /// Bytes of all its weights.
    pub weights: u64,
    /// Momentum groups there may be.
    pub groups: u64,
}

/// Bytes that a term takes beside the paths it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All the time.
    pub always: u64,
    /// In a step, for each image of the batch.
    pub per_image: u64,
    /// Of what it always has, the part that a checkpoint keeps.
    pub kept: u64,
}

impl std::ops::Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let Self { always, per_image, kept } = other;
        Self { always: self.always + always, per_image: self.per_image + per_image, kept: self.kept + kept }
    }
}

registry! {
    /// One entry of the `loss` list of a recipe.
    pub enum LossConfig: Settings {
        /// The cross entropy of every path.
        "task" => task::Task,
        /// To answer as a teacher within the supernet does.
        "distil" => distil::Distil,
        /// Architectures whose order is known (landmark regularisation).
        "landmark" => landmark::Landmark,
        /// To see in an image what another path sees in it, without labels (Π-NAS).
        "cross_path" => cross_path::CrossPath,
        /// To classify what paths see, without changing what they see.
        "probe" => probe::Probe,
    }
}
