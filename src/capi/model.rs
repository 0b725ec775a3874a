//! Networks with weights: supernets, and subnets that stand alone.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::boundary::{borrow, boundary, drop_handle, give, text};
use super::context::{Context, snt_context};
use super::dataset::snt_dataset;
use super::error::{Failure, Result, snt_error};
use super::status::{SNT_E_POISONED, snt_status};
use super::version::{give_json, snt_buffer};
use crate::Error;
use crate::data::Dataset;
use crate::graph::device;
use crate::reading::parse_json;
use crate::run::checkpoint::{self, Saved};
use crate::run::forest::{self, Forest};
use crate::run::images::RunData;
use crate::run::limits;
use crate::run::model::Model;
use crate::run::recipe::{LatencyConfig, Recipe};
use crate::run::trainer::Trainer;

/// A network with weights, the recipe it was made by, and how far its training has come: a supernet, or a subnet that stands
/// alone. Every thread may use it; a job has it for itself, and other calls get SNT_E_BUSY at once.
pub struct snt_model(pub(super) Arc<Shared>);

/// What a model handle and the jobs on it share.
pub(super) struct Shared {
    pub context: Arc<Context>,
    state: Mutex<State>,
}

struct State {
    saved: Saved,
    /// The other supernets of a forest.
    others: Vec<Model>,
    busy: bool,
    poisoned: bool,
}

impl Shared {
    pub fn new(context: Arc<Context>, saved: Saved) -> Arc<Self> {
        Self::forest(context, saved, vec![])
    }

    pub fn forest(context: Arc<Context>, saved: Saved, others: Vec<Model>) -> Arc<Self> {
        Arc::new(Self { context, state: Mutex::new(State { saved, others, busy: false, poisoned: false }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model for oneself, until the claim is dropped.
    pub fn claim(self: &Arc<Self>) -> Result<Claim> {
        let mut state = self.state();
        if state.poisoned {
            return Err(Failure::new(SNT_E_POISONED, "model: a job on it broke off by an internal error; free it"));
        }
        if state.busy {
            return Err(Error::Busy("model: a job or another call has it; wait for its end, or free the job".into()).into());
        }
        state.busy = true;
        Ok(Claim(self.clone()))
    }

    /// Sizes of an image, and how files are timed: as `table` says, or else the recipe.
    pub fn latency(&self, table: Option<&str>) -> Result<([i64; 3], LatencyConfig)> {
        let (image, mut recipe) = {
            let Saved { manifest, model, .. } = &self.state().saved;
            (model.task.image, manifest.recipe.clone())
        };
        if let Some(table) = table {
            recipe.latency = parse_json("latency", table)?;
            recipe.check()?;
        }
        Ok((image, recipe.latency))
    }

    fn info(&self) -> Value {
        let state = self.state();
        let Saved { manifest, model, .. } = &state.saved;
        let cost = model.arch.as_ref().map(|arch| model.graph().cost(arch));
        json!({
            "arch": manifest.arch,
            "step": manifest.progress.step,
            "total": manifest.progress.total,
            "finished": manifest.progress.finished(),
            "busy": state.busy,
            "poisoned": state.poisoned,
            "supernets": if model.arch.is_some() { 0 } else { 1 + state.others.len() },
            "weights": model.network.flat().size()[0],
            "params": cost.map(|cost| cost.params),
            "macs": cost.map(|cost| cost.macs),
            "space": manifest.space,
            "image": manifest.task.image,
            "classes": manifest.task.classes,
            "graph_hash": manifest.graph_hash,
            "data_hash": manifest.data_hash,
            "recipe_hash": manifest.recipe_hash,
            "recipe": manifest.recipe,
        })
    }
}

/// The right to use a model, held by one job or call.
pub(super) struct Claim(Arc<Shared>);

impl Claim {
    /// Its state; the tensors are the model's own.
    pub fn saved(&self) -> Saved {
        self.0.state().saved.shallow_clone()
    }

    /// Its supernets, of which there may be one; or what stands alone.
    pub fn forest(&self) -> crate::Result<Forest> {
        let state = self.0.state();
        Forest::new(std::iter::once(&state.saved.model).chain(&state.others).map(Model::shallow_clone).collect())
    }

    /// An error for what is done to one network only; `what` names it.
    pub fn alone(&self, what: &str) -> Result<()> {
        match self.0.state().others.len() {
            0 => Ok(()),
            others => Err(Error::Unsupported(format!(
                "model: {what} wants one network, not the {} supernets of a forest; load the checkpoint of one",
                others + 1
            ))
            .into()),
        }
    }

    /// How far it has come now.
    pub fn put(&self, saved: Saved) {
        self.0.state().saved = saved;
    }

    /// Nobody knows what it is now.
    pub fn poison(&self) {
        self.0.state().poisoned = true;
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.state().busy = false;
    }
}

/// Reads a recipe, JSON or TOML.
pub(super) fn recipe(text: &str) -> crate::Result<Recipe> {
    if text.trim_start().starts_with('{') { Recipe::from_json(text) } else { Recipe::from_toml(text) }
}

/// A supernet that hasn't been trained.
fn fresh(recipe: Recipe, data: &Dataset) -> Result<Saved> {
    let device = device(&recipe.device)?;
    let images = RunData::new(&recipe, data)?;
    limits::check(&recipe, &images.task)?; // better now than after the training
    if !recipe.split.is_empty() {
        let wanted = "none: snt_folder_train trains several supernets";
        return Err(Error::invalid("split", format!("{} splits", recipe.split.len()), wanted).into());
    }
    images.memory.check(&recipe)?;
    let model = Model::supernet(recipe.space.clone(), images.task.clone(), recipe.seed, device)?;
    Ok(Trainer::new(Arc::new(recipe), model, images.lessons())?.saved())
}

/// Reads a checkpoint, or all that a forest.json names, onto its own device, or onto that of `context`.
pub(super) fn loaded(context: Option<&Context>, path: &Path) -> Result<(Saved, Vec<Model>)> {
    let files = forest::checkpoints(path)?;
    let (first, manifest) = &files[0];
    let device = context.and_then(Context::device).map_or_else(|| device(&manifest.recipe.device), Ok)?;
    let mut saved = checkpoint::load(first, device)?;
    if let Some(context) = context {
        context.insist(&mut saved.manifest.recipe);
        saved.manifest.recipe_hash = saved.manifest.recipe.hash();
    }
    let others = files[1..].iter().map(|(file, _)| Ok(checkpoint::load(file, device)?.model));
    Ok((saved, others.collect::<crate::Result<_>>()?))
}

/// As [`snt_model_load`], exactly as it was saved.
pub(super) fn resumed(context: &snt_context, path: &str) -> Result<Arc<Shared>> {
    let (saved, others) = loaded(None, Path::new(path))?;
    Ok(Shared::forest(context.0.clone(), saved, others))
}

/// Reads a recipe file in TOML and gives it as JSON, with every default filled in and with the space file and the landmarks it
/// names, so that the text is all that snt_model_create and the snt_folder_ functions need.
///
/// `path` is UTF-8. `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while the files are
/// read.
///
/// Errors, for the recipe and the files it names: SNT_E_INVALID_ARGUMENT for a mistake in the recipe or the space file;
/// SNT_E_NOT_FOUND for a file that isn't there, and for landmarks without the column asked for; SNT_E_IO for one that can't be
/// read; SNT_E_CORRUPT for one that isn't UTF-8, and for landmarks that are damaged or no table. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_recipe_json(path: *const c_char, out: *mut snt_buffer, err: *mut *mut snt_error) -> snt_status {
    give_json(out, err, || {
        let recipe = Recipe::read(Path::new(text(path, "path")?))?;
        Ok(serde_json::to_value(recipe).expect("a recipe is plain data"))
    })
}

/// Makes a supernet with fresh weights.
///
/// `recipe_text` is a recipe in TOML, or in JSON if its first character is '{'; files that it names are looked for from the
/// current folder (snt_recipe_json reads a recipe with its files). The data come from `dataset`, checkpoints from who asks a job
/// for them: "data" and "checkpoint_steps" say nothing here. `out` receives a handle that the caller frees with snt_model_free;
/// NULL on failure. Any thread. Blocks while weights are drawn.
///
/// Errors: SNT_E_INVALID_ARGUMENT for a recipe that can't be used on `dataset` or on its device, that needs more than its
/// memory_limit, or that has [[split]] tables (snt_folder_train has them); SNT_E_CONSTRAINT if no architecture meets its limits;
/// SNT_E_DEVICE_UNAVAILABLE if its device isn't there; SNT_E_NOT_FOUND if it limits latency and ONNX Runtime can't be loaded; for
/// files that it names, SNT_E_NOT_FOUND, SNT_E_IO and SNT_E_CORRUPT as in snt_recipe_json. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_model_create(
    context: *const snt_context,
    recipe_text: *const c_char,
    dataset: *const snt_dataset,
    out: *mut *mut snt_model,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let mut recipe = recipe(text(recipe_text, "recipe_text")?)?;
        context.insist(&mut recipe);
        Ok(snt_model(Shared::new(context, fresh(recipe, &borrow(dataset, "dataset")?.data)?)))
    })
}

/// Reads a model from a checkpoint, with the recipe and the progress in it, onto the device of `context` if that names one. A
/// forest.json gives all its trained supernets in one handle, to search, evaluate and retrain from.
///
/// `path` is UTF-8. `out` receives a handle that the caller frees with snt_model_free; NULL on failure. Any thread. Blocks while
/// the file is read and checked.
///
/// Errors: SNT_E_NOT_FOUND if there is no such file, SNT_E_IO if it can't be read, SNT_E_CORRUPT if it is damaged or neither of
/// the two, SNT_E_VERSION if its format is another or this version builds its space differently; SNT_E_DEVICE_UNAVAILABLE if the
/// device isn't there. Of a forest.json also SNT_E_INVALID_ARGUMENT if it isn't finished, SNT_E_VERSION if a checkpoint is of
/// another recipe or data set, and SNT_E_CORRUPT if one is of another region. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_model_load(
    context: *const snt_context,
    path: *const c_char,
    out: *mut *mut snt_model,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let (saved, others) = loaded(Some(&context), Path::new(text(path, "path")?))?;
        Ok(snt_model(Shared::forest(context, saved, others)))
    })
}

/// Writes a checkpoint: safetensors, beside `path` and renamed, so a whole file stands there at any time. Training can go on from
/// it.
///
/// `path` is UTF-8. Any thread. Blocks while the file is written.
///
/// Errors: SNT_E_BUSY while a job or another call has the model (ask the job with snt_job_checkpoint); SNT_E_POISONED once a job
/// has broken off in the middle of a step; SNT_E_UNSUPPORTED for the supernets of a forest; SNT_E_NUMERIC if a weight is not
/// finite; SNT_E_IO if the file can't be written. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_model_save(model: *const snt_model, path: *const c_char, err: *mut *mut snt_error) -> snt_status {
    boundary(err, || {
        let (model, path) = (borrow(model, "model")?, text(path, "path")?);
        let claim = model.0.claim()?;
        claim.alone("a checkpoint")?;
        Ok(claim.saved().write(Path::new(path))?)
    })
}

/// What a model is: {"arch": null for a supernet, "step", "total": steps of its training, done and in all, "finished", "busy",
/// "poisoned", "supernets": how many, 0 for a subnet that stands alone, "weights": how many numbers, "params", "macs": of one
/// image, both null for a supernet, "space", "image": [channels, height, width], "classes", "graph_hash", "data_hash",
/// "recipe_hash", "recipe"}; of a forest, its first. While a job trains it, as it was before.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block. No errors of its own.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_model_info_json(
    model: *const snt_model,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || Ok(borrow(model, "model")?.0.info()))
}

/// Frees a model; NULL is fine. A job on it goes on.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_model_free(model: *mut snt_model) {
    drop_handle(model);
}
