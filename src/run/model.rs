//! A network together with what it is: its space, its task, and the one architecture it has if it stands alone.

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::arch::{Arch, Cost, Gene, NamedRegion, Region};
use crate::graph::{Graph, Network, Plan};
use crate::hash::sha256;
use crate::schedule::Complexity;
use crate::space::{Norm, SpaceConfig, Task};
use crate::{Error, Result};

/// Where a supernet stands among those that a space is split into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How many splits led to it.
    pub level: usize,
    /// What it serves.
    pub region: NamedRegion,
}

impl Part {
    /// Whether it is the supernet of the whole space.
    pub fn is_root(&self) -> bool {
        *self == Self::default()
    }
}

/// See the [module](self).
pub struct Model {
    /// Where its architectures come from.
    pub space: SpaceConfig,
    /// Images and classes.
    pub task: Task,
    /// The one architecture it can run; `None` for a supernet, which runs all of its region.
    pub arch: Option<Arch>,
    /// The part of the space that a supernet serves; the whole space for a network that stands alone.
    pub region: Region,
    /// How many splits led to it.
    pub level: usize,
    /// Graph and weights.
    pub network: Network,
}

impl Model {
    /// A supernet with fresh weights.
    pub fn supernet(space: SpaceConfig, task: Task, seed: u64, device: Device) -> Result<Self> {
        Self::part(space, task, &Part::default(), seed, device)
    }

    /// A supernet of a part of the space, with fresh weights: of these operations alone, and each as it starts in a
    /// supernet of the whole.
    pub fn part(space: SpaceConfig, task: Task, part: &Part, seed: u64, device: Device) -> Result<Self> {
        let graph = space.graph(&task, Norm::Shared)?;
        let (region, level) = (Region::from_names(graph.genes(), &part.region)?, part.level);
        Ok(Self { network: Network::within(graph, &region, seed, device), space, task, arch: None, region, level })
    }

    /// One architecture with fresh weights, own norms and running statistics.
    pub fn standalone(space: SpaceConfig, task: Task, arch: Arch, seed: u64, device: Device) -> Result<Self> {
        let graph = space.graph(&task, Norm::Own)?;
        let plan = Plan::live(&graph, &arch);
        let region = Region::whole(graph.genes());
        Ok(Self { network: Network::standalone(graph, &plan, seed, device), space, task, arch: Some(arch), region, level: 0 })
    }

    /// The same model: weights are shared, not copied.
    pub fn shallow_clone(&self) -> Self {
        let (space, task, arch, region) = (self.space.clone(), self.task.clone(), self.arch.clone(), self.region.clone());
        Self { space, task, arch, region, level: self.level, network: self.network.shallow_clone() }
    }

    /// Where it stands among the supernets of its space.
    pub fn place(&self) -> Part {
        Part { level: self.level, region: self.region.names(self.graph().genes()) }
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        self.network.graph()
    }

    /// `arch`, or an error if it lies beyond what a supernet serves.
    pub fn within(&self, arch: Arch) -> Result<Arch> {
        if self.region.contains(&arch) {
            return Ok(arch);
        }
        Err(Error::invalid("arch", self.space.text(&arch), format!("one with {}", words(&self.region, self.graph().genes()))))
    }

    /// Reads an architecture in the notation of its space.
    pub fn parse(&self, text: &str) -> Result<Arch> {
        self.space.parse(text)
    }

    /// What `arch` costs as a network that stands alone.
    pub fn cost(&self, arch: &Arch) -> Result<Cost> {
        Ok(self.space.graph(&self.task, Norm::Own)?.cost(arch))
    }

    /// `arch` without operations that nothing reaches or reads, as far as that stays within the region.
    pub fn canonical(&self, arch: &Arch) -> Arch {
        self.space.canonical(self.graph(), &self.region, arch)
    }

    /// Hash of the whole graph: equal for equal spaces on equal tasks.
    pub fn graph_hash(&self) -> String {
        graph_hash(self.graph())
    }
}

/// A region as a person says it: `1<-0: none or skip_connect; 3<-2: avg_pool_3x3`.
pub fn words(region: &Region, genes: &[Gene]) -> String {
    let words = region.names(genes).into_iter().map(|(gene, options)| format!("{gene}: {}", options.join(" or ")));
    words.collect::<Vec<_>>().join("; ")
}

/// SHA-256 of a graph's description.
pub fn graph_hash(graph: &Graph) -> String {
    let json = serde_json::to_vec(graph).expect("a graph is plain data");
    sha256(json)
}

/// SHA-256 of the description of a space: equal for texts that differ in comments, spacing or the order of keys only.
pub fn space_hash(space: &SpaceConfig) -> String {
    sha256(serde_json::to_vec(space).expect("a space is plain data"))
}

/// How complex the paths of a graph are.
pub struct ComplexityRange {
    least: u64,
    greatest: u64,
}

impl ComplexityRange {
    /// Of the whole space.
    pub fn of(graph: &Graph) -> Self {
        let at = |arch: &Arch| graph.cost(arch).complexity;
        let least = at(&graph.least(|arch| at(arch) as f64));
        let greatest = at(&graph.least(|arch| -(at(arch) as f64)));
        Self { least, greatest }
    }

    /// Where `arch` stands.
    pub fn place(&self, graph: &Graph, arch: &Arch) -> Complexity {
        Complexity { of_path: graph.cost(arch).complexity, least: self.least, greatest: self.greatest }
    }
}
