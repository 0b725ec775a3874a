//! A network together with what it is: its space, its task, and the one architecture it has if it stands alone.

use tch::Device;

use crate::Result;
use crate::arch::{Arch, Cost, NamedRegion, Region};
use crate::graph::{Graph, Network, Plan};
use crate::hash::sha256;
use crate::schedule::Complexity;
use crate::space::{Norm, SpaceConfig, Task, canonical};

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
    /// Graph and weights.
    pub network: Network,
}

impl Model {
    /// A supernet with fresh weights.
    pub fn supernet(space: SpaceConfig, task: Task, seed: u64, device: Device) -> Result<Self> {
        Self::part(space, task, &NamedRegion::new(), seed, device)
    }

    /// A supernet of a part of the space, with fresh weights: of these operations alone, and each as it starts in a
    /// supernet of the whole.
    pub fn part(space: SpaceConfig, task: Task, region: &NamedRegion, seed: u64, device: Device) -> Result<Self> {
        let graph = space.graph(&task, Norm::Shared)?;
        let region = Region::from_names(graph.genes(), region)?;
        Ok(Self { network: Network::within(graph, &region, seed, device), space, task, arch: None, region })
    }

    /// One architecture with fresh weights, own norms and running statistics.
    pub fn standalone(space: SpaceConfig, task: Task, arch: Arch, seed: u64, device: Device) -> Result<Self> {
        let graph = space.graph(&task, Norm::Own)?;
        let plan = Plan::live(&graph, &arch);
        let region = Region::whole(graph.genes());
        Ok(Self { network: Network::standalone(graph, &plan, seed, device), space, task, arch: Some(arch), region })
    }

    /// The same model: weights are shared, not copied.
    pub fn shallow_clone(&self) -> Self {
        let (space, task, arch, region) = (self.space.clone(), self.task.clone(), self.arch.clone(), self.region.clone());
        Self { space, task, arch, region, network: self.network.shallow_clone() }
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        self.network.graph()
    }

    /// Reads an architecture in the notation of its space.
    pub fn parse(&self, text: &str) -> Result<Arch> {
        self.space.parse(text)
    }

    /// What `arch` costs as a network that stands alone.
    pub fn cost(&self, arch: &Arch) -> Result<Cost> {
        Ok(self.space.graph(&self.task, Norm::Own)?.cost(arch))
    }

    /// `arch` without operations that nothing reaches or reads.
    pub fn canonical(&self, arch: &Arch) -> Arch {
        canonical(&*self.space, self.graph(), arch)
    }

    /// Hash of the whole graph: equal for equal spaces on equal tasks.
    pub fn graph_hash(&self) -> String {
        graph_hash(self.graph())
    }
}

/// SHA-256 of a graph's description.
pub fn graph_hash(graph: &Graph) -> String {
    let json = serde_json::to_vec(graph).expect("a graph is plain data");
    sha256(json)
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
