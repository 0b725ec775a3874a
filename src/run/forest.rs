//! Several supernets, each of a part of the space and with weights of its own (few-shot NAS, arXiv:2006.06863). An
//! architecture belongs to the only one whose region contains it.
//!
//! `forest.json` lies beside their checkpoints: every split, and which regions it made. One supernet is a forest of one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, Tensor};

use super::checkpoint::{self, Manifest, Progress, Saved};
use super::model::{Model, Part};
use super::recipe::Recipe;
use super::splits::Inherit;
use crate::arch::{Arch, NamedRegion, Region};
use crate::graph::{Graph, Network};
use crate::hash::sha256;
use crate::space::{SpaceConfig, Task};
use crate::{Error, Result, files};

/// Version of the file's format.
const FORMAT: u32 = 1;
/// Name of the file, in the folder of the checkpoints.
pub const FILE: &str = "forest.json";
/// Name of the supernet of the whole space.
pub const ROOT: &str = "supernet";
/// Its file.
pub const ROOT_FILE: &str = "supernet.safetensors";

/// See the [module](self).
pub struct Forest {
    /// At least one.
    leaves: Vec<Model>,
    /// What they serve together.
    region: Region,
}

impl From<Model> for Forest {
    fn from(model: Model) -> Self {
        Self { region: model.region.clone(), leaves: vec![model] }
    }
}

impl Forest {
    /// Supernets of disjoint regions that are the whole space together, all of one run.
    pub fn new(mut leaves: Vec<Model>) -> Result<Self> {
        if leaves.len() == 1 {
            return Ok(leaves.remove(0).into());
        }
        let first = leaves.first().ok_or_else(|| Error::invalid("forest", "no supernet", "one at least"))?;
        let region = Region::whole(first.graph().genes());
        let overlap = |at: usize| leaves[..at].iter().any(|other| other.region.intersect(&leaves[at].region).is_some());
        let size: f64 = leaves.iter().map(|leaf| leaf.region.size()).sum();
        // Sizes of large spaces aren't exact in floating point; that regions overlap is found exactly.
        let is_whole = (size / region.size() - 1.0).abs() < 1e-9;
        if (0..leaves.len()).any(overlap) || !is_whole {
            let wanted = format!("disjoint ones that are all {} of the space", region.size());
            return Err(Error::invalid("forest", format!("regions with {size} architectures"), wanted));
        }
        Ok(Self { leaves, region })
    }

    /// The supernets.
    pub fn leaves(&self) -> &[Model] {
        &self.leaves
    }

    /// The number of the supernet that `arch` belongs to.
    ///
    /// # Errors
    /// If a single supernet of a part doesn't contain it.
    pub fn position(&self, arch: &Arch) -> Result<usize> {
        let found = self.leaves.iter().position(|leaf| leaf.region.contains(arch));
        // Only a lone one leaves anything out, and it says what it serves.
        found.map_or_else(|| self.leaves[0].within(arch.clone()).map(|_| 0), Ok)
    }

    /// The supernet that `arch` belongs to; errors as [`position`](Self::position).
    pub fn of(&self, arch: &Arch) -> Result<&Model> {
        Ok(&self.leaves[self.position(arch)?])
    }

    /// What they serve together.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Where architectures come from.
    pub fn space(&self) -> &SpaceConfig {
        &self.leaves[0].space
    }

    /// Images and classes.
    pub fn task(&self) -> &Task {
        &self.leaves[0].task
    }

    /// The graph of the whole space.
    pub fn graph(&self) -> &Graph {
        self.leaves[0].graph()
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.leaves[0].network.device()
    }

    /// `arch` without operations that nothing reaches or reads, as far as that stays within the region.
    pub fn canonical(&self, arch: &Arch) -> Arch {
        self.space().canonical(self.graph(), &self.region, arch)
    }

    /// Hash of all weights.
    pub fn hash(&self) -> String {
        let hashes: Vec<String> = self.leaves.iter().map(|leaf| leaf.network.hash()).collect();
        if hashes.len() == 1 { hashes.concat() } else { sha256(hashes.concat()) }
    }
}

/// What `forest.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    format: u32,
    recipe_hash: String,
    data_hash: String,
    /// In the order in which they were made.
    pub splits: Vec<Branching>,
}

/// One supernet that became several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branching {
    /// Its name.
    pub of: String,
    /// Which gene, and why.
    pub because: Value,
    /// What it became.
    pub parts: Vec<Named>,
}

/// A supernet and the name of its checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The file is `NAME.safetensors`.
    pub name: String,
    /// What it serves.
    pub region: NamedRegion,
}

impl Named {
    /// The supernet of the whole space.
    pub fn root() -> Self {
        Self { name: ROOT.into(), region: NamedRegion::new() }
    }

    /// The file of its checkpoint in `folder`.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.safetensors", self.name))
    }
}

impl Tree {
    /// That of a run that hasn't split anything yet.
    pub fn new(recipe_hash: String, data_hash: String) -> Self {
        Self { format: FORMAT, recipe_hash, data_hash, splits: vec![] }
    }

    /// Reads `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let wanted = "wanted the forest.json of a run";
        let tree: Self = serde_json::from_slice(&files::read(path)?)
            .map_err(|error| Error::corrupt(path, format!("found {error}, {wanted}")))?;
        if tree.format != FORMAT {
            let what = format!("forest format of {}", path.display());
            return Err(Error::Version { what, found: tree.format.to_string(), wanted: FORMAT.to_string() });
        }
        Ok(tree)
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }

    /// What became of the supernet called `name`, if it was split.
    pub fn parts(&self, name: &str) -> Option<&[Named]> {
        self.splits.iter().find(|split| split.of == name).map(|split| &*split.parts)
    }

    /// The supernets that were not split, and how many splits led to each.
    fn leaves(&self) -> Vec<(Named, usize)> {
        let mut leaves = vec![];
        let mut open = vec![(Named::root(), 0)];
        while let Some((named, level)) = open.pop() {
            match self.parts(&named.name) {
                None => leaves.push((named, level)),
                Some(parts) => open.extend(parts.iter().rev().map(|part| (part.clone(), level + 1))),
            }
        }
        leaves
    }
}

/// The checkpoints of the supernets that `path` names, with what they say of themselves: one `.safetensors` file, or those of
/// a `forest.json`, which have to be there and of one run.
pub fn checkpoints(path: &Path) -> Result<Vec<(PathBuf, Manifest)>> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(vec![(path.to_owned(), checkpoint::manifest(path)?)]);
    }
    let tree = Tree::read(path)?;
    let unfinished = |what: String| Error::invalid(path.display().to_string(), what, "a finished forest: train it to its end");
    let one = |(named, level): (Named, usize)| {
        let file = named.path(path.parent().unwrap_or(Path::new("")));
        if !file.exists() {
            return Err(unfinished(format!("no {} yet", file.display())));
        }
        let manifest = checkpoint::manifest(&file)?;
        manifest.check_recipe(&tree.recipe_hash)?;
        manifest.check_data(&tree.data_hash)?;
        if manifest.part != (Part { level, region: named.region }) {
            return Err(Error::corrupt(&file, format!("found another region than in {}, wanted the same", path.display())));
        }
        if level < manifest.recipe.split.len() {
            return Err(unfinished(format!("{} not split yet", named.name)));
        }
        Ok((file, manifest))
    };
    tree.leaves().into_iter().map(one).collect()
}

/// The supernets that `path` names, as in [`checkpoints`], on `device`.
pub fn load(path: &Path, device: Device) -> Result<Forest> {
    let files = checkpoints(path)?;
    Forest::new(files.iter().map(|(file, _)| Ok(checkpoint::load(file, device)?.model)).collect::<Result<_>>()?)
}

/// The beginning of a part: its supernet, with what the recipe lets it inherit from `parent`.
pub fn heir(recipe: &Recipe, parent: &Saved, part: &Part, data_hash: &str) -> Result<Saved> {
    let Saved { model: old, touched, rows, .. } = parent;
    let (space, task, device) = (old.space.clone(), old.task.clone(), old.network.device());
    let inherit = recipe.split[part.level - 1].inherit;
    let mut model = Model::part(space, task, part, recipe.seed, device)?;
    let of: HashMap<&str, usize> = old.network.slots().iter().enumerate().map(|(at, slot)| (&*slot.name, at)).collect();
    let same: Vec<usize> = model.network.slots().iter().map(|slot| of[&*slot.name]).collect();
    if inherit != Inherit::Nothing {
        model.network.copy_from(&old.network);
    }
    let (touched, rows) = match inherit {
        Inherit::All => {
            let row = |row: &Option<Tensor>| row.as_ref().map(|row| carried(row, &old.network, &model.network, &same));
            (same.iter().map(|&slot| touched[slot]).collect(), rows.iter().map(row).collect())
        }
        Inherit::Nothing | Inherit::Weights => (vec![false; same.len()], rows.iter().map(|_| None).collect()),
    };
    let manifest = Manifest::of(&model, recipe, data_hash, Progress::default());
    Ok(Saved { manifest, model, touched, rows, states: BTreeMap::new() })
}

/// The values of `row`, which lie as the weights of `old` do, in the places of `new`, whose weight `i` is `same[i]` of `old`.
fn carried(row: &Tensor, old: &Network, new: &Network, same: &[usize]) -> Tensor {
    let moved = new.flat().zeros_like();
    for (slot, &other) in new.slots().iter().zip(same) {
        let (to, from, length) = (slot.range.start, old.slots()[other].range.start, slot.range.end - slot.range.start);
        moved.narrow(0, to, length).copy_(&row.narrow(0, from, length));
    }
    moved
}
