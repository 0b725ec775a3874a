//! A whole run in one folder: train, search, retrain, export, prove, report. Every phase leaves files that the next one
//! starts from, so a run that was stopped anywhere goes on from there.
//!
//! `supernet.safetensors` (and `forest.json` with `supernet-N.safetensors` where it is split), `supernet.picks.txt` (what a
//! sampler would pick that has learnt that), `evaluations.jsonl`, `subnet-N.safetensors`, `subnet-N.onnx`, `events.jsonl`,
//! `result.json`, `report.html`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::checkpoint;
use super::checkpoint::Saved;
use super::evaluate::{chosen, cut_out};
use super::evaluations::Evaluation;
use super::export;
use super::forest::{self, Branching, Forest, Named, Tree, heir};
use super::images::RunData;
use super::job::{Cancel, Event, Job, drive};
use super::limits;
use super::model::{Model, Part, space_hash};
use super::probe::Gradients;
use super::recipe::{BnPolicy, LatencyConfig, Recipe, Start};
use super::search::Search;
use super::trainer::{Trainer, seed_of_level};
use super::{report, runtime, versions};
use crate::arch::{Arch, Region};
use crate::data::Dataset;
use crate::graph::{Device, device, give_back};
use crate::partition::{Ground, Parts};
use crate::space::Norm;
use crate::{Error, Result, files};

/// Training images that running statistics are made from where a subnet isn't trained on.
pub const CALIBRATION_IMAGES: usize = 2000;
/// Lines of `events.jsonl` for one phase, about.
const LOGGED: u64 = 200;

/// Who looks on while a run goes.
pub trait Watch {
    /// Called after every step of every phase.
    fn event(&mut self, event: &Event);
}

/// Looks away.
impl Watch for () {
    fn event(&mut self, _: &Event) {}
}

/// What a search leaves.
pub struct Searched {
    /// Every evaluation, as the report shows it.
    pub result: Value,
    /// The kept architectures, most accurate first.
    pub found: Vec<(Arch, Evaluation)>,
    /// The supernets, handed back.
    pub forest: Forest,
}

/// See the [module](self).
pub struct Project {
    recipe: Arc<Recipe>,
    data: RunData,
    device: Device,
    folder: PathBuf,
    seconds: Map<String, Value>,
    log: File,
    cancel: Cancel,
    _lock: File,
}

impl Project {
    /// Opens `folder` for a run of `recipe` on `data`, or for going on with one that was stopped.
    ///
    /// # Errors
    /// If the folder isn't writable, holds a run of a different recipe or data, or is in use by another process.
    pub fn open(recipe: Recipe, data: &Dataset, folder: &Path, cancel: Cancel) -> Result<Self> {
        recipe.check()?;
        let device = device(&recipe.device)?;
        recipe.process().apply();
        let data = RunData::new(&recipe, data)?;
        // Better now than after an hour of training.
        runtime::check()?;
        limits::check(&recipe, &data.task)?;
        recipe.check_splits(recipe.space.graph(&data.task, Norm::Shared)?.genes())?;
        data.memory.check(&recipe)?;
        files::make_writable_folder(folder)?;
        let lock = lock(folder)?;
        claim(folder, &recipe, &data.hash)?;
        let log = folder.join("events.jsonl");
        let log = OpenOptions::new().create(true).append(true).open(&log).map_err(Error::io(&log))?;
        let seconds = std::fs::read(folder.join("seconds.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(Self { recipe: Arc::new(recipe), data, device, folder: folder.to_owned(), seconds, log, cancel, _lock: lock })
    }

    /// The images of the run.
    pub fn data(&self) -> &RunData {
        &self.data
    }

    /// The gene whose options have momentum buffers of their own, if momentum is separated.
    pub fn momentum_gene(&self) -> Result<Option<String>> {
        let graph = self.recipe.space.graph(&self.data.task, Norm::Shared)?;
        let gene = self.recipe.momentum_gene(graph.genes())?;
        Ok(gene.map(|gene| graph.genes()[gene].name.clone()))
    }

    /// All phases. Gives what `result.json` holds.
    pub fn run(&mut self, watch: &mut dyn Watch) -> Result<Value> {
        let forest = self.train(watch)?;
        let Searched { result: search, found, forest } = self.search(forest, watch)?;
        let mut subnets = vec![];
        for (index, (arch, evaluation)) in found.into_iter().enumerate() {
            let name = format!("subnet-{}", index + 1);
            let model = self.retrain(forest.of(&arch)?, &name, &arch, watch)?;
            subnets.push(self.export(&name, &model, &evaluation, watch)?);
        }
        let result = self.result(search, subnets);
        files::write_json(&self.folder.join("result.json"), &result)?;
        report::write(&self.folder)?;
        Ok(result)
    }

    /// The trained supernet, or all that it is split into: each from its finished checkpoint, or trained from where its
    /// checkpoint stands.
    pub fn train(&mut self, watch: &mut dyn Watch) -> Result<Forest> {
        let mut tree = self.tree()?;
        let mut models = vec![self.train_supernet(&Named::root(), watch)?];
        let mut parts = vec![Named::root()];
        for level in 0..self.recipe.split.len() {
            let mut next = vec![];
            for (part, model) in parts.iter().zip(&models) {
                next.extend(self.parts(part, model, &mut tree, watch)?.into_iter().map(|child| (part.clone(), child)));
            }
            models.clear(); // their checkpoints are what the next ones begin with
            for (parent, part) in &next {
                models.push(self.train_part(level + 1, parent, part, watch)?);
            }
            parts = next.into_iter().map(|(_, part)| part).collect();
        }
        Forest::new(models)
    }

    /// What has been split so far.
    fn tree(&self) -> Result<Tree> {
        let path = self.folder.join(forest::FILE);
        match path.exists() {
            true => Tree::read(&path),
            false => Ok(Tree::new(self.recipe.hash(), self.data.hash.clone())),
        }
    }

    /// The parts of a trained supernet: as they were found, or found now and written down.
    fn parts(&mut self, part: &Named, model: &Model, tree: &mut Tree, watch: &mut dyn Watch) -> Result<Vec<Named>> {
        if let Some(parts) = tree.parts(&part.name) {
            return Ok(parts.to_vec());
        }
        let found = self.split(part, model, watch)?;
        let genes = model.graph().genes();
        let named =
            |(at, region): (usize, &Region)| Named { name: format!("{}-{}", part.name, at + 1), region: region.names(genes) };
        let parts: Vec<Named> = found.regions.iter().enumerate().map(named).collect();
        tree.splits.push(Branching { of: part.name.clone(), because: found.report, parts: parts.clone() });
        tree.write(&self.folder.join(forest::FILE))?;
        Ok(parts)
    }

    /// Splits the region of a trained supernet as the recipe says.
    fn split(&mut self, part: &Named, model: &Model, watch: &mut dyn Watch) -> Result<Parts> {
        let (recipe, genes, mut clock) = (&self.recipe, model.graph().genes(), Clock::start("split"));
        let groups = recipe.momentum_gene(genes)?;
        let ground = Ground { genes, region: &model.region, groups };
        let by = &recipe.split[model.level].by;
        let (mut step, total) = (0, by.questions(&ground));
        let mut before = || {
            self.cancel.check()?;
            step += 1;
            let (phase, subnet, seconds) = ("split".into(), Some(part.name.clone()), clock.since.elapsed().as_secs_f64());
            watch.event(&Event { phase, subnet, step, total, seconds, ..Default::default() });
            Ok(())
        };
        let mut probe = Gradients {
            model,
            images: &self.data.train,
            batch: recipe.train.batch,
            augment: recipe.train.augment,
            compute: recipe.compute(self.device)?,
            seed: seed_of_level(recipe.seed, model.level),
            before: &mut before,
        };
        let parts = by.split(&ground, &mut probe)?;
        clock.add_to(&mut self.seconds, &self.folder)?;
        Ok(parts)
    }

    fn train_supernet(&mut self, root: &Named, watch: &mut dyn Watch) -> Result<Model> {
        let path = root.path(&self.folder);
        let fresh = || {
            let model = Model::supernet(self.recipe.space.clone(), self.data.task.clone(), self.recipe.seed, self.device)?;
            Trainer::new(self.recipe.clone(), model, self.data.lessons())
        };
        let trainer = if path.exists() { self.resumed(&path)? } else { fresh()? };
        self.train_to_end(trainer, &path, None, watch)
    }

    /// Trains one part, which begins with what it inherits.
    fn train_part(&mut self, level: usize, parent: &Named, part: &Named, watch: &mut dyn Watch) -> Result<Model> {
        let path = part.path(&self.folder);
        let wanted = Part { level, region: part.region.clone() };
        let begun = || -> Result<Trainer> {
            let parent: Saved = checkpoint::load(&parent.path(&self.folder), self.device)?;
            let saved = heir(&self.recipe, &parent, &wanted, &self.data.hash)?;
            Trainer::begin(self.recipe.clone(), self.data.lessons(), saved)
        };
        let trainer = if path.exists() { self.resumed(&path)? } else { begun()? };
        if trainer.model().place() != wanted {
            return Err(Error::corrupt(&path, "found a supernet of another region, wanted that of forest.json"));
        }
        self.train_to_end(trainer, &path, Some(&part.name), watch)
    }

    /// Trains one chosen architecture on, by the `[retrain]` table.
    pub fn retrain(&mut self, supernet: &Model, name: &str, arch: &Arch, watch: &mut dyn Watch) -> Result<Model> {
        let path = self.folder.join(format!("{name}.safetensors"));
        let fresh = || {
            let model = subnet(&self.recipe, supernet, arch, &self.data)?;
            Trainer::new(self.recipe.clone(), model, self.data.lessons())
        };
        let trainer = if path.exists() { self.resumed(&path)? } else { fresh()? };
        if trainer.model().arch.as_ref() != Some(arch) {
            let wanted = supernet.space.text(arch);
            let found = trainer.model().arch.as_ref().map_or("a supernet".into(), |found| supernet.space.text(found));
            return Err(Error::Version { what: format!("{} (architecture)", path.display()), found, wanted });
        }
        self.train_to_end(trainer, &path, Some(name), watch)
    }

    fn resumed(&self, path: &Path) -> Result<Trainer> {
        Trainer::resume(self.recipe.clone(), self.data.lessons(), path)
    }

    /// Trains with checkpoints; a cancelled run saves one more.
    fn train_to_end(&mut self, mut trainer: Trainer, path: &Path, name: Option<&str>, watch: &mut dyn Watch) -> Result<Model> {
        let (phase, every) = match trainer.model().arch {
            Some(_) => ("retrain", self.recipe.retrain.checkpoint_steps),
            None => ("train", self.recipe.train.checkpoint_steps),
        };
        let mut clock = Clock::start(phase);
        let mut thin = Thin::default();
        let cancel = self.cancel.clone();
        if !path.exists() {
            trainer.save(path)?; // so that there is always one to go on from
        }
        let outcome = drive(&mut trainer, &cancel, |job, event| {
            let event = Event { subnet: name.map(str::to_owned), ..event.clone() };
            watch.event(&event);
            thin.log(&mut self.log, &event);
            if event.step.is_multiple_of(every) || event.step == event.total {
                job.save(path)?;
                clock.add_to(&mut self.seconds, &self.folder)?;
            }
            Ok(())
        });
        if matches!(outcome, Err(Error::Cancelled)) {
            trainer.save(path)?;
            clock.add_to(&mut self.seconds, &self.folder)?;
        }
        outcome?;
        let picks = trainer.picks();
        if !picks.is_empty() {
            files::write_whole(&path.with_extension("picks.txt"), (picks.join("\n") + "\n").as_bytes())?;
        }
        let model = trainer.into_model();
        give_back();
        Ok(model)
    }

    /// Searches a supernet, or several. Gives what the report shows, the kept architectures, and the supernets back.
    pub fn search(&mut self, forest: Forest, watch: &mut dyn Watch) -> Result<Searched> {
        let memory = Some(self.folder.join("evaluations.jsonl"));
        let mut search = Search::new(self.recipe.clone(), forest, &self.data, memory)?;
        let (mut clock, mut thin, cancel) = (Clock::start("search"), Thin::default(), self.cancel.clone());
        drive(&mut search, &cancel, |_, event| {
            watch.event(event);
            thin.log(&mut self.log, event);
            Ok(())
        })?;
        clock.add_to(&mut self.seconds, &self.folder)?;
        let (result, found) = (search.result()?, search.chosen());
        let forest = search.into_forest().expect("supernets were searched");
        give_back();
        Ok(Searched { result, found, forest })
    }

    /// Exports a subnet, proves the file, times it and tests it. Gives its entry in `result.json`.
    pub fn export(&mut self, name: &str, model: &Model, evaluation: &Evaluation, watch: &mut dyn Watch) -> Result<Value> {
        self.cancel.check()?;
        let arch = model.arch.as_ref().expect("a retrained model has an architecture");
        let mut clock = Clock::start("export");
        let file_name = format!("{name}.onnx");
        let path = self.folder.join(&file_name);
        let verify = export::export(&path, model, &self.recipe.hash(), &self.data.test, &self.recipe.export)?;
        let file = files::read(&path)?;
        let accuracy = export::accuracy(&file, &self.data.test)?;
        let image = model.task.image;
        let latency = runtime::latency(&file, image, &self.recipe.latency)?;
        let all_threads = runtime::latency(&file, image, &LatencyConfig { threads: 0, ..self.recipe.latency.clone() })?;
        clock.add_to(&mut self.seconds, &self.folder)?;
        give_back();
        let (phase, subnet, seconds) = ("export".into(), Some(name.into()), clock.total);
        let event = Event { phase, subnet, step: 1, total: 1, seconds, accuracy: Some(accuracy), ..Default::default() };
        watch.event(&event);
        Thin::default().log(&mut self.log, &event);
        let cost = model.graph().cost(arch);
        Ok(json!({
            "name": name,
            "arch": model.space.text(arch),
            "params": cost.params,
            "macs": cost.macs,
            "latency_ms": latency,
            "latency_ms_all_threads": all_threads,
            "supernet_accuracy": evaluation.accuracy,
            "supernet_bn": evaluation.bn,
            "accuracy": accuracy,
            "test_images": self.data.test.len(),
            "onnx": file_name,
            "verify": verify,
            "drawing": model.space.drawing(arch),
        }))
    }

    fn result(&self, search: Value, subnets: Vec<Value>) -> Value {
        let recipe = &*self.recipe;
        let graph_hash = checkpoint::manifest(&Named::root().path(&self.folder)).map(|manifest| manifest.graph_hash);
        json!({
            "format": 1,
            "name": recipe.name,
            "finished": true,
            "seed": recipe.seed,
            "device": recipe.device,
            "threads": recipe.threads,
            "precision": recipe.precision,
            "recipe_hash": recipe.hash(),
            "data_hash": self.data.hash,
            "space_hash": graph_hash.unwrap_or_default(),
            "recipe": recipe,
            "versions": versions::versions(),
            "machine": versions::machine(),
            "seconds": self.seconds,
            "search": search,
            "subnets": subnets,
        })
    }
}

/// The network of `arch` that `[retrain]` begins with: fresh, or with the supernet's weights.
pub fn subnet(recipe: &Recipe, supernet: &Model, arch: &Arch, data: &RunData) -> Result<Model> {
    match recipe.retrain.start {
        Start::Scratch => {
            let (space, task, device) = (supernet.space.clone(), supernet.task.clone(), supernet.network.device());
            Model::standalone(space, task, arch.clone(), recipe.seed, device)
        }
        Start::Supernet => {
            let images = match recipe.search.bn {
                BnPolicy::Recalibrate { images } => images,
                BnPolicy::Batch {} => CALIBRATION_IMAGES,
            };
            let images = chosen(&data.train, images, recipe.seed);
            cut_out(supernet, arch, &images, data.memory.batch(recipe.search.batch)?, recipe.seed)
        }
    }
}

/// The lock of the folder, held as long as the file is open.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::Busy(format!("{}: another run is using this folder", folder.display())))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(Error::io(&path)(error)),
    }
}

/// Writes down whose run the folder holds, or checks that it is this one's.
fn claim(folder: &Path, recipe: &Recipe, data_hash: &str) -> Result<()> {
    let path = folder.join("run.json");
    let mine = json!({
        "format": 1,
        "name": recipe.name,
        "space_sha256": space_hash(&recipe.space),
        "recipe_hash": recipe.hash(),
        "data_hash": data_hash,
    });
    let Ok(bytes) = std::fs::read(&path) else {
        return files::write_json(&path, &mine);
    };
    let theirs: Value =
        serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(&path, format!("found {error}, wanted JSON")))?;
    // Another space is another recipe too, but the nearer name helps more.
    for (key, what) in
        [("space_sha256", "a different space"), ("recipe_hash", "a different recipe"), ("data_hash", "different data")]
    {
        let is_old = key == "space_sha256" && theirs[key].is_null(); // from before it was written down
        if theirs[key] != mine[key] && !is_old {
            if is_untouched(folder)? {
                return files::write_json(&path, &mine);
            }
            let found = format!("a run of {what} (`{}`)", theirs["name"].as_str().unwrap_or("?"));
            return Err(Error::invalid(folder.display().to_string(), found, "an empty folder, or one of this recipe and data"));
        }
    }
    Ok(())
}

/// Whether a run in `folder` was refused before it had made anything: then there is nothing that another could spoil.
fn is_untouched(folder: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let size = entry.metadata().map_err(Error::io(folder))?.len();
        let name = entry.file_name();
        let is_made = !(name == "run.json" || name == ".lock" || name == "events.jsonl" && size == 0);
        if is_made {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds up the seconds of a phase over all the processes that worked on it.
struct Clock {
    phase: &'static str,
    since: Instant,
    total: f64,
}

impl Clock {
    fn start(phase: &'static str) -> Self {
        Self { phase, since: Instant::now(), total: 0.0 }
    }

    fn add_to(&mut self, seconds: &mut Map<String, Value>, folder: &Path) -> Result<()> {
        let passed = self.since.elapsed().as_secs_f64();
        (self.since, self.total) = (Instant::now(), self.total + passed);
        let before = seconds.get(self.phase).and_then(Value::as_f64).unwrap_or(0.0);
        seconds.insert(self.phase.into(), json!(before + passed));
        files::write_json(&folder.join("seconds.json"), seconds)
    }
}

/// Writes every n-th event, with the mean loss since the last.
#[derive(Default)]
struct Thin {
    losses: Vec<f64>,
}

impl Thin {
    fn log(&mut self, file: &mut File, event: &Event) {
        self.losses.extend(event.loss);
        let every = (event.total / LOGGED).max(1);
        if event.step.is_multiple_of(every) || event.step == event.total {
            let mean = self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64;
            let event = Event { loss: event.loss.map(|_| mean), ..event.clone() };
            self.losses.clear();
            // Events are for onlookers: a full disk will stop the run at its next checkpoint, with the path.
            let _ = writeln!(file, "{}", serde_json::to_string(&event).expect("an event is plain data"));
        }
    }
}
