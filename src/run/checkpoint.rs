//! Checkpoints: a safetensors file whose metadata is a manifest, written beside and renamed.
//!
//! Tensors: every weight and running statistic by its name, `optimizer.momentum.J` for each momentum row in use, and
//! `optimizer.touched`, and `state.PART.NAME` for each row of numbers that a sampler or a term of the loss remembers. The
//! random streams are functions of the step, so there is nothing else to a run's state. The same run writes the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::model::{Model, Part};
use super::recipe::Recipe;
use crate::hash::hex;
use crate::space::{SpaceConfig, Task};
use crate::state::State;
use crate::{Error, Result, files};

/// Version of the format.
pub const FORMAT: u32 = 1;
/// The key of the manifest in the file's metadata.
const KEY: &str = "supernaut";

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
}

impl Progress {
    /// Whether nothing is left to do.
    pub fn finished(&self) -> bool {
        self.step >= self.total
    }
}

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// The space, from which the graph is built again.
    pub space: SpaceConfig,
    /// Images and classes.
    pub task: Task,
    /// The architecture of a network that stands alone; `null` for a supernet.
    pub arch: Option<String>,
    /// Where a supernet stands among several; absent for one of the whole space.
    #[serde(default, skip_serializing_if = "Part::is_root")]
    pub part: Part,
    /// Hash of the graph that the tensors belong to.
    pub graph_hash: String,
    /// The recipe of the run.
    pub recipe: Recipe,
    /// Its hash.
    pub recipe_hash: String,
    /// Hash of the images and labels.
    pub data_hash: String,
    /// How far the run had come.
    pub progress: Progress,
    /// What parts of the run remember, by the name of the part; their rows of numbers are tensors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, serde_json::Value>,
    /// Version of supernaut that wrote it.
    pub supernaut: String,
    /// Version of libtorch that trained it.
    pub libtorch: String,
    /// SHA-256 over all of the above and every tensor.
    pub sha256: String,
}

impl Manifest {
    /// The manifest of a model in a run.
    pub fn of(model: &Model, recipe: &Recipe, data_hash: &str, progress: Progress) -> Self {
        Self {
            format: FORMAT,
            space: model.space.clone(),
            task: model.task.clone(),
            arch: model.arch.as_ref().map(|arch| model.space.text(arch)),
            part: model.place(),
            graph_hash: model.graph_hash(),
            recipe: recipe.clone(),
            recipe_hash: recipe.hash(),
            data_hash: data_hash.to_owned(),
            progress,
            states: BTreeMap::new(),
            supernaut: env!("CARGO_PKG_VERSION").into(),
            libtorch: super::versions::LIBTORCH.into(),
            sha256: String::new(),
        }
    }

    /// An error unless it was trained by the recipe of this hash.
    pub fn check_recipe(&self, wanted: &str) -> Result<()> {
        check_hash("a different recipe (recipe hash)", &self.recipe_hash, wanted)
    }

    /// An error unless it was trained on the data of this hash.
    pub fn check_data(&self, wanted: &str) -> Result<()> {
        check_hash("different data (data hash)", &self.data_hash, wanted)
    }

    /// An error if the checkpoint, which lies at `path`, isn't a supernet's.
    pub fn check_supernet(&self, path: &Path) -> Result<()> {
        match &self.arch {
            None => Ok(()),
            Some(arch) => {
                let what = format!("found a network that stands alone, {arch}, wanted a supernet, which has all architectures");
                Err(Error::corrupt(path, what))
            }
        }
    }

    /// An error unless its tensors belong to the graph of this hash.
    fn check_graph(&self, wanted: &str) -> Result<()> {
        check_hash("a different space (space hash)", &self.graph_hash, wanted)
    }
}

fn check_hash(what: &str, found: &str, wanted: &str) -> Result<()> {
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
    match found == wanted {
        true => Ok(()),
        false => Err(Error::Version { what: format!("checkpoint of {what}"), found: short(found), wanted: short(wanted) }),
    }
}

/// A checkpoint, read and checked.
pub struct Saved {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Graph and weights.
    pub model: Model,
    /// Which weights ever had a gradient.
    pub touched: Vec<bool>,
    /// The momentum rows.
    pub rows: Vec<Option<Tensor>>,
    /// What parts of the run remember, by the name of the part.
    pub states: BTreeMap<String, State>,
}

impl Saved {
    /// Writes it as a checkpoint.
    pub fn write(&self, path: &Path) -> Result<()> {
        let blobs = self.blobs()?;
        let states = self.states.iter().map(|(part, state)| (part.clone(), state.values.clone())).collect();
        let manifest = Manifest { states, ..self.manifest.clone() };
        let sha256 = checksum(&manifest, blobs.iter().map(|blob| (blob.name.as_str(), &*blob.bytes)));
        let json = serde_json::to_string(&Manifest { sha256, ..manifest }).map_err(|error| Error::Internal(error.to_string()))?;
        let views = blobs.iter().map(|blob| {
            let view = TensorView::new(blob.kind, blob.shape.clone(), &blob.bytes);
            (blob.name.as_str(), view.expect("the bytes are as many as the shape says"))
        });
        let file = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)])))
            .map_err(|error| Error::Internal(format!("safetensors: {error}")))?;
        files::write_whole(path, &file)
    }

    /// Every tensor, sorted by name.
    fn blobs(&self) -> Result<Vec<Blob>> {
        let mut blobs = vec![];
        for (name, tensor) in self.model.network.named() {
            blobs.push(Blob::of_floats(name, &tensor)?);
        }
        for (group, row) in self.rows.iter().enumerate().filter_map(|(group, row)| Some((group, row.as_ref()?))) {
            blobs.push(Blob::of_floats(format!("optimizer.momentum.{group}"), row)?);
        }
        for (part, state) in &self.states {
            for (name, numbers) in &state.numbers {
                blobs.push(Blob::of_floats(format!("{}{name}", prefix(part)), &Tensor::from_slice(numbers))?);
            }
        }
        let flags: Vec<u8> = self.touched.iter().map(|&flag| flag.into()).collect();
        blobs.push(Blob { name: "optimizer.touched".into(), kind: Dtype::U8, shape: vec![flags.len()], bytes: flags });
        blobs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(blobs)
    }

    /// The same state: tensors are shared, not copied.
    pub fn shallow_clone(&self) -> Self {
        let rows = self.rows.iter().map(|row| row.as_ref().map(Tensor::shallow_clone)).collect();
        let (manifest, touched, states) = (self.manifest.clone(), self.touched.clone(), self.states.clone());
        Self { manifest, model: self.model.shallow_clone(), touched, rows, states }
    }
}

/// Bytes of one tensor.
struct Blob {
    name: String,
    kind: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// How the tensors of a part's state are called.
fn prefix(part: &str) -> String {
    format!("state.{part}.")
}

impl Blob {
    fn of_floats(name: String, tensor: &Tensor) -> Result<Self> {
        let flat = tensor.to_device(Device::Cpu).contiguous().view(-1);
        let values = Vec::<f32>::try_from(&flat).map_err(|error| Error::Internal(error.to_string()))?;
        if values.iter().any(|value| !value.is_finite()) {
            let advice = "the last checkpoint is kept; try a lower learning rate, or gradient clipping (`clip`)";
            return Err(Error::Numeric(format!("`{name}` holds numbers that are not finite, so it is not saved; {advice}")));
        }
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(Self { name, kind: Dtype::F32, shape: tensor.size().iter().map(|&size| size as usize).collect(), bytes })
    }
}

/// Over the manifest (without the checksum) and every tensor, in the order of the names.
fn checksum<'a>(manifest: &Manifest, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let bare = Manifest { sha256: String::new(), ..manifest.clone() };
    let mut hasher = Sha256::new_with_prefix(serde_json::to_vec(&bare).expect("a manifest is plain data"));
    for (name, bytes) in tensors {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hex(hasher.finalize())
}

/// Reads the manifest alone, unchecked against the tensors.
pub fn manifest(path: &Path) -> Result<Manifest> {
    let bytes = files::read(path)?;
    manifest_of(path, &bytes)
}

fn manifest_of(path: &Path, bytes: &[u8]) -> Result<Manifest> {
    let wanted = "wanted a checkpoint (safetensors with a supernaut manifest)";
    let (_, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| Error::corrupt(path, format!("found {error}, {wanted}")))?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let text = text.ok_or_else(|| Error::corrupt(path, format!("found no manifest, {wanted}")))?;
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Error::corrupt(path, format!("found {error}, {wanted}")))?;
    let format = value.get("format").and_then(|format| format.as_u64()).unwrap_or(0);
    if format != u64::from(FORMAT) {
        let what = format!("checkpoint format of {}", path.display());
        return Err(Error::Version { what, found: format.to_string(), wanted: FORMAT.to_string() });
    }
    serde_json::from_value(value).map_err(|error| Error::corrupt(path, format!("found a manifest with {error}, {wanted}")))
}

/// Reads a checkpoint onto `device`: every byte is checked before any is used.
pub fn load(path: &Path, device: Device) -> Result<Saved> {
    let bytes = files::read(path)?;
    let manifest = manifest_of(path, &bytes)?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|error| Error::corrupt(path, format!("found {error}, wanted a whole file")))?;
    let mut views: Vec<(String, TensorView)> = tensors.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    if checksum(&manifest, views.iter().map(|(name, view)| (name.as_str(), view.data()))) != manifest.sha256 {
        return Err(Error::corrupt(path, "found bytes that differ from its checksum, wanted the file as it was written"));
    }
    let mut model = rebuild(&manifest, device)?;
    manifest.check_graph(&model.graph_hash())?;
    let floats: HashMap<String, Tensor> = views
        .iter()
        .filter(|(_, view)| view.dtype() == Dtype::F32)
        .map(|(name, view)| (name.clone(), tensor(view, device)))
        .collect();
    model.network.restore(&floats)?;
    let touched = tensors.tensor("optimizer.touched");
    let touched = touched.map(|view| view.data().iter().map(|&flag| flag != 0).collect::<Vec<bool>>());
    let touched = touched.map_err(|error| Error::corrupt(path, format!("found {error}, wanted `optimizer.touched`")))?;
    let rows = rows(&model, &floats);
    let length = model.network.flat().size();
    if touched.len() != model.network.slots().len() || rows.iter().flatten().any(|row| row.size() != length) {
        return Err(Error::corrupt(path, "found an optimiser of other sizes than the network, wanted those of the same one"));
    }
    let states = states(&manifest, &floats);
    Ok(Saved { manifest, model, touched, rows, states })
}

/// What each part remembers: its values from the manifest, its rows from the tensors.
fn states(manifest: &Manifest, tensors: &HashMap<String, Tensor>) -> BTreeMap<String, State> {
    let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.to_device(Device::Cpu).view(-1)).expect("fp32");
    let rows = |part: &str| {
        let prefix = prefix(part);
        tensors.iter().filter_map(|(name, row)| Some((name.strip_prefix(&prefix)?.to_owned(), numbers(row)))).collect()
    };
    let state =
        |(part, values): (&String, &serde_json::Value)| (part.clone(), State { values: values.clone(), numbers: rows(part) });
    manifest.states.iter().map(state).collect()
}

fn rebuild(manifest: &Manifest, device: Device) -> Result<Model> {
    let Manifest { space, task, arch, part, recipe, .. } = manifest.clone();
    match arch {
        None => Model::part(space, task, &part, recipe.seed, device),
        Some(text) => {
            let arch = space.parse(&text)?;
            Model::standalone(space, task, arch, recipe.seed, device)
        }
    }
}

/// One row for each option that a group may be made of; the unused ones are empty.
fn rows(model: &Model, tensors: &HashMap<String, Tensor>) -> Vec<Option<Tensor>> {
    let groups = model.graph().genes().iter().map(|gene| gene.options.len()).max().unwrap_or(1);
    (0..groups).map(|group| tensors.get(&format!("optimizer.momentum.{group}")).map(Tensor::shallow_clone)).collect()
}

fn tensor(view: &TensorView, device: Device) -> Tensor {
    let size: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Tensor::from_data_size(view.data(), &size, Kind::Float).to_device(device)
}
