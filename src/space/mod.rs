//! Search spaces: descriptions that build a graph. One file each.

mod block;
mod layers;

use serde::{Deserialize, Serialize};

use crate::arch::{Arch, Region};
use crate::error::within;
use crate::graph::{Graph, Shape};
use crate::{Error, Result};

pub use block::MbConv;
pub use layers::Stage;

/// Values of an image that nobody has, at most: 256 MB.
const MOST_VALUES: i64 = 1 << 26;

/// What a space has to know of the data: it decides the first and the last layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// `[channels, height, width]` of an image.
    pub image: [i64; 3],
    /// Names of the classes; their number is the width of the logits.
    pub classes: Vec<String>,
    /// Mean of each channel, pixels in 0…1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub deviation: Vec<f32>,
}

impl Task {
    /// Of images that nobody has: for counting and timing what networks would cost.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `image` or `classes` for a size below 1 or beyond what such images may have.
    pub fn stand_in(image: [i64; 3], classes: usize) -> Result<Self> {
        for (name, size) in ["image.channels", "image.height", "image.width"].into_iter().zip(image) {
            within(name, size, 1, 65_536)?;
        }
        within("values of an image", image.iter().product::<i64>(), 1, MOST_VALUES)?;
        within("classes", classes, 1, 1_000_000)?;
        let channels = image[0] as usize;
        let classes = (0..classes).map(|class| class.to_string()).collect();
        Ok(Self { image, classes, mean: vec![0.5; channels], deviation: vec![0.25; channels] })
    }

    /// The shape of an image.
    pub fn shape(&self) -> Shape {
        Shape(self.image.to_vec())
    }
}

/// Whether norms have an own scale and shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// They don't: the form that subnets can share.
    Shared,
    /// They do: the form of a network that stands alone. Costs are counted in it.
    Own,
}

/// What may be chosen?
pub trait Space {
    /// The network with choices, for `task`, or why it can't be built.
    fn graph(&self, task: &Task, norm: Norm) -> Result<Graph>;

    /// Reads an architecture in the notation of this space.
    fn parse(&self, text: &str) -> Result<Arch>;

    /// Writes it.
    fn text(&self, arch: &Arch) -> String;

    /// A drawing: nodes from left to right, and edges with the operation they do. Empty if there is nothing to draw.
    fn drawing(&self, arch: &Arch) -> serde_json::Value;

    /// The one that is reported of all architectures of `region` that compute the same as `arch`, as far as the space can tell:
    /// without operations that compute nothing for the logits. `graph` is this space's.
    fn canonical(&self, _graph: &Graph, _region: &Region, arch: &Arch) -> Arch {
        arch.clone()
    }
}

registry! {
    /// The `[space]` table of a recipe.
    pub enum SpaceConfig: Space {
        /// NAS-Bench-201.
        "nb201" => nb201::Nb201,
        /// Inverted residuals: ProxylessNAS, FairNAS.
        "mobilenet" => mobilenet::MobileNet,
        /// Shuffle blocks: SPOS.
        "shufflenet" => shufflenet::ShuffleNet,
        /// What a user describes, here or in a file.
        "custom" => custom::Custom,
    }
}

/// `arch` with the option that is nothing, for every gene that has one, where the graph stays the same and `region` allows it:
/// nothing reaches or nothing reads what was there.
fn without_dead(graph: &Graph, region: &Region, arch: &Arch, nothing: impl Fn(usize) -> Option<usize>) -> Arch {
    let key = |arch: &Arch| crate::graph::Plan::live(graph, arch).key();
    let wanted = key(arch);
    let mut canonical = arch.clone();
    let is_worth_a_try = |gene, nothing: &usize| *nothing != arch.option(gene) && region.options(gene).contains(nothing);
    let may_be_nothing = |gene| nothing(gene).filter(|nothing| is_worth_a_try(gene, nothing));
    for (gene, nothing) in (0..graph.genes().len()).filter_map(|gene| Some((gene, may_be_nothing(gene)?))) {
        let without = canonical.with(gene, nothing);
        if key(&without) == wanted {
            canonical = without;
        }
    }
    canonical
}

/// An error for a notation that can't be read.
fn unreadable(text: &str, wanted: impl Into<String>) -> Error {
    Error::invalid("arch", format!("\"{text}\""), wanted)
}
