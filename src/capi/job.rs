//! Work that takes time: one life cycle for training, search and evaluation.
//!
//! A job is `Ready`, `Running` on some thread, or `Ended`. Whoever runs it takes the work out of the lock, so that the
//! caller's event function is called with no lock held.

use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::boundary::{User, borrow, boundary, caught, drop_handle, give, optional_text, peek, text, values};
use super::context::{SNT_LOG_ERROR, SNT_LOG_INFO, snt_context};
use super::dataset::snt_dataset;
use super::error::{Failure, Result, c_text, snt_error};
use super::model::{Claim, Shared, resumed, snt_model};
use super::result::{Entry, Found, snt_result};
use super::status::*;
use super::version::{give_json, snt_buffer};
use crate::Error;
use crate::arch::Metric;
use crate::graph::{Process, give_back};
use crate::reading::parse_json;
use crate::run::checkpoint::Saved;
use crate::run::images::RunData;
use crate::run::job::{Cancel, Event, Job};
use crate::run::listed::Evaluate;
use crate::run::project::subnet;
use crate::run::recipe::{Recipe, SearchConfig};
use crate::run::search::Search;
use crate::run::trainer::Trainer;

/// Training, search or evaluation: made by a `_start` function, then either stepped by the caller (snt_job_step) or given a
/// thread of its own (snt_job_start). Every thread may use it.
pub struct snt_job(Arc<Engine>);

/// Timeout of snt_job_wait: none.
pub const SNT_WAIT_FOREVER: u32 = u32::MAX;

/// What happened in one step. The library's; valid during the call of the event function.
#[repr(C)]
pub struct snt_event {
    /// sizeof the struct as the library knows it; members beyond it aren't there.
    pub struct_size: usize,
    /// "train", "search", "retrain" or "evaluate"; of the snt_folder_ functions also "split" and "export".
    pub phase: *const c_char,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Seconds since the job was made; in the snt_folder_ functions, since this phase or network began in this call.
    pub seconds: f64,
    /// Seconds that the rest will take, by the pace so far.
    pub eta_seconds: f64,
    /// Training loss of the step; NaN where there is none.
    pub loss: f64,
    /// Accuracy of the architecture, 0 to 1; NaN where there is none.
    pub accuracy: f64,
    /// All of it, with "arch" and "rate".
    pub json: *const c_char,
}

/// Called after every step, on the thread that does the steps, with no lock held; non-zero asks the job to stop. It may call
/// snt_job_cancel and everything that doesn't need this job or its model; those give SNT_E_INVALID_STATE or SNT_E_BUSY. It must
/// not unwind.
pub type snt_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: *const snt_event) -> i32>;

/// Calls `function` with what happened; whether it asks to stop. `before` steps were done before the clock began.
pub(super) fn tell(function: snt_event_fn, user: User, event: &Event, before: u64) -> bool {
    let Some(function) = function else { return false };
    let pace = event.seconds / event.step.saturating_sub(before).max(1) as f64;
    let (phase, json) = (c_text(&event.phase), c_text(&serde_json::to_string(event).expect("an event is plain data")));
    let event = snt_event {
        struct_size: size_of::<snt_event>(),
        phase: phase.as_ptr(),
        step: event.step,
        total: event.total,
        seconds: event.seconds,
        eta_seconds: pace * event.total.saturating_sub(event.step) as f64,
        loss: event.loss.unwrap_or(f64::NAN),
        accuracy: event.accuracy.unwrap_or(f64::NAN),
        json: json.as_ptr(),
    };
    // SAFETY: the caller's function, called as its type says.
    unsafe { function(user.0, &event) != 0 }
}

/// What is done.
enum Work {
    Train(Box<Trainer>),
    Search(Box<Search>),
    Evaluate(Box<Evaluate>, Vec<Entry>),
}

impl Work {
    fn job(&mut self) -> &mut dyn Job {
        match self {
            Self::Train(job) => &mut **job,
            Self::Search(job) => &mut **job,
            Self::Evaluate(job, _) => &mut **job,
        }
    }

    fn found(&mut self) -> Result<Found> {
        let json = self.job().result()?;
        let entries = match self {
            Self::Train(_) => vec![],
            Self::Search(search) => search.chosen().into_iter().map(|(_, evaluation)| evaluation.into()).collect(),
            Self::Evaluate(evaluate, entries) => {
                let with = |(entry, accuracy): (&Entry, f64)| {
                    let mut entry = entry.clone();
                    entry.figures.push((Metric::Accuracy, accuracy));
                    entry
                };
                entries.iter().zip(evaluate.accuracies()).map(with).collect()
            }
        };
        Ok(Found { json, entries })
    }
}

/// Work and the right to the model that it is done on.
struct Task {
    work: Work,
    claim: Claim,
    /// Steps that were done before this job.
    before: Option<u64>,
}

impl Task {
    /// Whether nobody knows what the model is now.
    fn is_torn(&self) -> bool {
        matches!(&self.work, Work::Train(trainer) if trainer.is_torn())
    }

    /// Lets the model know how far it has come.
    fn put_back(&self) {
        if let Work::Train(trainer) = &self.work {
            self.claim.put(trainer.saved());
        }
    }
}

enum Stage {
    Ready(Task),
    Running,
    Ended(End),
}

/// How it ended, and what it has found: nothing if it failed.
#[derive(Clone)]
struct End {
    outcome: Result<()>,
    found: Option<Arc<Found>>,
}

struct State {
    stage: Stage,
    /// Whether it has a thread of its own.
    started: bool,
    thread: Option<JoinHandle<()>>,
    /// The thread that does steps now.
    runner: Option<ThreadId>,
    /// What happened in the last step.
    last: Option<Event>,
    /// A checkpoint that was asked for, and what became of the last.
    order: Option<PathBuf>,
    answer: Option<Result<()>>,
}

struct Engine {
    kind: &'static str,
    cancel: Cancel,
    model: Arc<Shared>,
    process: Process,
    saves: bool,
    event: snt_event_fn,
    user: User,
    state: Mutex<State>,
    changed: Condvar,
}

fn state_error(message: &str) -> Failure {
    Error::State(format!("job: {message}")).into()
}

impl Engine {
    fn job(kind: &'static str, claim: Claim, recipe: &Recipe, work: Work, event: snt_event_fn, user: *mut c_void) -> snt_job {
        let (model, saves) = (claim.shared().clone(), matches!(work, Work::Train(_)));
        let stage = Stage::Ready(Task { work, claim, before: None });
        let state = State { stage, started: false, thread: None, runner: None, last: None, order: None, answer: None };
        model.context.log(SNT_LOG_INFO, "job", &format!("{kind} is ready"));
        let (cancel, process, user) = (Cancel::default(), recipe.process(), User(user));
        let (state, changed) = (Mutex::new(state), Condvar::new());
        snt_job(Arc::new(Self { kind, cancel, model, process, saves, event, user, state, changed }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_change<'a>(&self, state: MutexGuard<'a, State>, timeout: Option<Duration>) -> MutexGuard<'a, State> {
        match timeout {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    /// Takes the work out, to do some of it on this thread; nothing if the job has ended.
    fn take(&self) -> Result<Option<Task>> {
        let mut state = self.state();
        if state.started {
            return Err(state_error("it has a thread of its own; wait for it with snt_job_wait"));
        }
        match std::mem::replace(&mut state.stage, Stage::Running) {
            Stage::Ready(task) => {
                state.runner = Some(thread::current().id());
                Ok(Some(task))
            }
            Stage::Running => Err(Error::Busy("job: another call is at work on it".into()).into()),
            ended @ Stage::Ended(_) => {
                state.stage = ended;
                Ok(None)
            }
        }
    }

    fn set(&self, stage: Stage) {
        let mut state = self.state();
        (state.stage, state.runner) = (stage, None);
        self.changed.notify_all();
    }

    /// How it ended; nothing if it hasn't.
    fn ended(&self) -> Option<End> {
        match &self.state().stage {
            Stage::Ended(end) => Some(end.clone()),
            _ => None,
        }
    }

    /// Does up to `steps` steps on this thread.
    fn advance(&self, mut task: Task, steps: u64) {
        self.process.apply();
        match caught(|| self.steps(&mut task, steps)) {
            Ok(true) => self.end(task, Ok(())),
            Ok(false) => self.set(Stage::Ready(task)),
            Err(failure) => self.end(task, Err(failure)),
        }
    }

    /// Whether nothing is left to do after up to `steps` steps.
    fn steps(&self, task: &mut Task, steps: u64) -> Result<bool> {
        for _ in 0..steps {
            self.cancel.check()?;
            self.deliver(task);
            let Some(event) = task.work.job().advance()? else { return Ok(true) };
            self.state().last = Some(event.clone());
            self.show(task, &event);
        }
        Ok(false)
    }

    fn show(&self, task: &mut Task, event: &Event) {
        let before = *task.before.get_or_insert(event.step.saturating_sub(1));
        if tell(self.event, self.user, event, before) {
            self.cancel.cancel();
        }
        self.process.apply(); // the caller's function may have begun a job with other settings
    }

    /// Writes the checkpoint that another thread waits for.
    fn deliver(&self, task: &mut Task) {
        // The order stays till it is answered, so that nobody places another meanwhile.
        let order = self.state().order.clone();
        if let Some(path) = order {
            let answer = caught(|| Ok(task.work.job().save(&path)?));
            let mut state = self.state();
            (state.order, state.answer) = (None, Some(answer));
            self.changed.notify_all();
        }
    }

    fn end(&self, mut task: Task, outcome: Result<()>) {
        let end = match outcome {
            // Bad input is told before anything is changed for good.
            Err(failure) if (failure.panicked || failure.status == SNT_E_NUMERIC) && task.is_torn() => {
                task.claim.poison();
                End { outcome: Err(failure), found: None }
            }
            outcome => {
                let failed = outcome.as_ref().is_err_and(|failure| failure.status != SNT_CANCELLED);
                let found = caught(|| {
                    task.put_back();
                    if failed { Ok(None) } else { task.work.found().map(|found| Some(Arc::new(found))) }
                });
                match found {
                    Ok(found) => End { outcome, found },
                    Err(failure) => End { outcome: outcome.and(Err(failure)), found: None },
                }
            }
        };
        drop(task); // the model is free before anybody learns that the job has ended
        give_back();
        let (level, words) = match &end.outcome {
            Ok(()) => (SNT_LOG_INFO, "finished".to_owned()),
            Err(failure) if failure.status == SNT_CANCELLED => (SNT_LOG_INFO, "cancelled".to_owned()),
            Err(failure) => (SNT_LOG_ERROR, format!("failed: {}", failure.message)),
        };
        self.model.context.log(level, "job", &format!("{} {words}", self.kind));
        self.set(Stage::Ended(end));
    }

    fn step(&self, steps: u64) -> Result<snt_status> {
        if let Some(task) = self.take()? {
            self.advance(task, steps);
        }
        match self.ended() {
            Some(end) => end.outcome.map(|()| SNT_END),
            None => Ok(SNT_OK),
        }
    }

    fn start(self: &Arc<Self>) -> Result<()> {
        let Some(task) = self.take()? else { return Ok(()) }; // ended already: wait tells how
        task.put_back(); // it is lost if there is no thread
        let mut state = self.state();
        let engine = self.clone();
        let work = move || {
            engine.state().runner = Some(thread::current().id());
            engine.advance(task, u64::MAX);
        };
        let thread = thread::Builder::new().name("supernaut".into()).spawn(work);
        (state.started, state.runner) = (true, None);
        match thread {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => {
                let failure = Failure::new(SNT_E_OUT_OF_MEMORY, format!("job: no thread: {error}"));
                state.stage = Stage::Ended(End { outcome: Err(failure.clone()), found: None });
                return Err(failure);
            }
        }
        Ok(())
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<snt_status> {
        let started = Instant::now();
        let mut state = self.state();
        loop {
            match &state.stage {
                Stage::Ended(end) => return end.outcome.clone().map(|()| SNT_OK),
                _ if !state.started => return Err(state_error("nothing to wait for: call snt_job_start first, or snt_job_step")),
                _ if state.runner == Some(thread::current().id()) => {
                    return Err(state_error("its event function can't wait for its end"));
                }
                _ => {}
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            if left == Some(Duration::ZERO) {
                return Ok(SNT_NOT_READY);
            }
            state = self.wait_for_change(state, left);
        }
    }

    fn checkpoint(&self, path: &Path) -> Result<()> {
        if !self.saves {
            let advice = "has nothing to save; a search remembers its evaluations in the file `memory_path`";
            return Err(Error::Unsupported(format!("job: {} {advice}", self.kind)).into());
        }
        let mut state = self.state();
        match &state.stage {
            Stage::Ready(_) => {
                drop(state);
                let Some(mut task) = self.take()? else { return self.checkpoint(path) };
                let saved = caught(|| Ok(task.work.job().save(path)?));
                self.set(Stage::Ready(task));
                return saved;
            }
            Stage::Running if state.runner == Some(thread::current().id()) => {
                return Err(state_error(
                    "its event function can't ask for a checkpoint; call it from another thread or between two steps",
                ));
            }
            Stage::Running if !state.started || state.order.is_some() || state.answer.is_some() => {
                return Err(Error::Busy("job: another call is at work on it".into()).into());
            }
            Stage::Running => state.order = Some(path.to_owned()),
            Stage::Ended(_) => {
                drop(state);
                return self.checkpoint_of_model(path);
            }
        }
        loop {
            if let Some(answer) = state.answer.take() {
                return answer;
            }
            if let Stage::Ended(_) = state.stage {
                state.order = None; // it ended before the next border
                drop(state);
                return self.checkpoint_of_model(path);
            }
            state = self.wait_for_change(state, None);
        }
    }

    fn checkpoint_of_model(&self, path: &Path) -> Result<()> {
        Ok(self.model.claim()?.saved().write(path)?)
    }

    fn info(&self) -> Value {
        let state = self.state();
        let stage = match &state.stage {
            Stage::Ready(_) if !state.started => "ready",
            Stage::Ready(_) | Stage::Running => "running",
            Stage::Ended(End { outcome: Ok(()), .. }) => "finished",
            Stage::Ended(End { outcome: Err(failure), .. }) if failure.status == SNT_CANCELLED => "cancelled",
            Stage::Ended(_) => "failed",
        };
        json!({ "kind": self.kind, "state": stage, "last": state.last })
    }

    /// Cancels and waits, unless the job's own event function asks.
    fn stop(&self) {
        self.cancel.cancel();
        let mut state = self.state();
        while matches!(state.stage, Stage::Running) && state.runner != Some(thread::current().id()) {
            state = self.wait_for_change(state, None);
        }
        let thread = state.thread.take().filter(|thread| thread.thread().id() != thread::current().id());
        drop(state);
        if let Some(thread) = thread {
            let _ = thread.join(); // a panic has been caught and told before
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Ready(task) = &state.stage {
            task.put_back();
        }
    }
}

/// What every job starts from.
struct Begin {
    claim: Claim,
    saved: Saved,
    recipe: Recipe,
    data: RunData,
}

impl Begin {
    fn new(model: &Arc<Shared>, dataset: *const snt_dataset) -> Result<Self> {
        let claim = model.claim()?;
        let saved = claim.saved();
        let recipe = saved.manifest.recipe.clone();
        recipe.process().apply();
        let data = RunData::new(&recipe, &borrow(dataset, "dataset")?.data)?;
        saved.manifest.check_data(&data.hash)?;
        Ok(Self { claim, saved, recipe, data })
    }

    /// Trains on where the model stands.
    fn train(self, event: snt_event_fn, user: *mut c_void) -> Result<snt_job> {
        let Self { claim, saved, recipe, data } = self;
        claim.alone("training")?;
        data.memory.check(&recipe)?;
        let kind = if saved.model.arch.is_some() { "retrain" } else { "train" };
        let trainer = Trainer::go_on(Arc::new(recipe.clone()), data.lessons(), saved)?;
        Ok(Engine::job(kind, claim, &recipe, Work::Train(Box::new(trainer)), event, user))
    }
}

/// Trains a model by its recipe, from where its training stands: the [train] table for a supernet, the [retrain] table for a
/// subnet that stands alone.
///
/// `dataset` must be the one the model was made for. `event` may be NULL; `user` is handed to it and has to stay valid until the
/// job is freed. `out` receives a handle that the caller frees with snt_job_free; NULL on failure. From here to the job's end the
/// model is busy. Any thread. Blocks while images are copied to the device.
///
/// Errors: SNT_E_BUSY while a job or another call has the model; SNT_E_POISONED once a job has broken off in the middle of a
/// step; SNT_E_VERSION for another data set, or SNT_E_INVALID_ARGUMENT if the recipe can't be used on it at all;
/// SNT_E_INVALID_ARGUMENT also if the recipe needs more than its memory_limit or can't be used on the device; SNT_E_UNSUPPORTED
/// for the supernets of a forest. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_train_start(
    model: *const snt_model,
    dataset: *const snt_dataset,
    event: snt_event_fn,
    user: *mut c_void,
    out: *mut *mut snt_job,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || Begin::new(&borrow(model, "model")?.0, dataset)?.train(event, user))
}

/// Goes on where a checkpoint was written, with its recipe, device and threads, whatever the context says: the end is the same,
/// byte for byte, as without the interruption. snt_job_model gives the model.
///
/// `path` is UTF-8. The rest is as in snt_train_start.
///
/// Errors: those of snt_model_load for the file, SNT_E_VERSION also if this version reads its recipe differently; SNT_E_VERSION,
/// SNT_E_INVALID_ARGUMENT and SNT_E_UNSUPPORTED as in snt_train_start. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_train_resume(
    context: *const snt_context,
    path: *const c_char,
    dataset: *const snt_dataset,
    event: snt_event_fn,
    user: *mut c_void,
    out: *mut *mut snt_job,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let model = resumed(borrow(context, "context")?, text(path, "path")?)?;
        Begin::new(&model, dataset)?.train(event, user)
    })
}

/// Makes the subnet `arch` of a supernet stand alone and trains it. snt_job_model gives the new model; the supernet is needed
/// during this call only.
///
/// `retrain_json` may be NULL for the recipe's [retrain] table, or hold one to take its place: {"epochs": 0, "start": "supernet"}
/// cuts the subnet out as it is, in a job without steps. The rest is as in snt_train_start.
///
/// Errors: SNT_E_INVALID_STATE for a model that stands alone; SNT_E_INVALID_ARGUMENT if `arch` is none of the space or beyond
/// what the supernet serves, and if the recipe needs more than its memory_limit; SNT_E_BUSY, SNT_E_POISONED and, for `dataset`,
/// SNT_E_VERSION and SNT_E_INVALID_ARGUMENT as in snt_train_start. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_retrain_start(
    model: *const snt_model,
    dataset: *const snt_dataset,
    arch: *const c_char,
    retrain_json: *const c_char,
    event: snt_event_fn,
    user: *mut c_void,
    out: *mut *mut snt_job,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let supernet = &borrow(model, "model")?.0;
        let mut begin = Begin::new(supernet, dataset)?;
        if begin.saved.model.arch.is_some() {
            return Err(
                Error::State("model: it stands alone; a supernet is wanted, or snt_train_start to train it on".into()).into()
            );
        }
        if let Some(table) = optional_text(retrain_json, "retrain_json")? {
            begin.recipe.retrain = parse_json("retrain", table)?;
            begin.recipe.check()?;
            begin.recipe.check_channels(begin.data.task.image[0])?;
        }
        let forest = begin.claim.forest()?;
        let arch = forest.canonical(&begin.saved.model.parse(text(arch, "arch")?)?);
        let Begin { recipe, data, .. } = &begin;
        let model = subnet(recipe, forest.of(&arch)?, &arch, data)?;
        let fresh = Trainer::new(Arc::new(recipe.clone()), model, data.lessons())?.saved();
        let claim = Shared::new(supernet.context.clone(), fresh).claim()?;
        let saved = claim.saved();
        Begin { claim, saved, ..begin }.train(event, user)
    })
}

/// Searches a supernet. The result lists the chosen architectures, most accurate first.
///
/// `search_json` may be NULL for the recipe's [search] table, or hold one to take its place. `memory_path` may be NULL, or name a
/// file (UTF-8) that keeps every evaluation: a search that is started again on it repeats none. The rest is as in
/// snt_train_start.
///
/// Errors: SNT_E_INVALID_STATE for a model that stands alone; SNT_E_CONSTRAINT if no architecture meets the limits;
/// SNT_E_INVALID_ARGUMENT for more images than there are, for a strategy that the space is too large for, and if judging needs
/// more than memory_limit; SNT_E_NOT_FOUND if latency counts and ONNX Runtime can't be loaded; for the file, SNT_E_IO if it can't
/// be read or written, SNT_E_VERSION if it is of another recipe, supernet or data set, SNT_E_CORRUPT if it is damaged;
/// SNT_E_BUSY, SNT_E_POISONED and, for `dataset`, SNT_E_VERSION and SNT_E_INVALID_ARGUMENT as in snt_train_start. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_search_start(
    model: *const snt_model,
    dataset: *const snt_dataset,
    search_json: *const c_char,
    memory_path: *const c_char,
    event: snt_event_fn,
    user: *mut c_void,
    out: *mut *mut snt_job,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let table = optional_text(search_json, "search_json")?;
        let memory = optional_text(memory_path, "memory_path")?.map(PathBuf::from);
        let Begin { claim, saved, mut recipe, data } = Begin::new(&borrow(model, "model")?.0, dataset)?;
        if saved.model.arch.is_some() {
            return Err(Error::State("model: it stands alone; a search wants a supernet".into()).into());
        }
        if let Some(table) = table {
            recipe.search = parse_json::<SearchConfig>("search", table)?;
            recipe.check()?;
        }
        let search = Search::new(Arc::new(recipe.clone()), claim.forest()?, &data, memory)?;
        Ok(Engine::job("search", claim, &recipe, Work::Search(Box::new(search)), event, user))
    })
}

/// Judges `count` architectures of a supernet on the validation images, as a search would; or a model that stands alone, with
/// `archs` NULL and `count` 0. Equal networks are judged once.
///
/// `search_json` may be NULL for the recipe's [search] table, or hold one to take its place: "images", "batch" and "bn" count.
/// The result lists the architectures as they were given; "params" and "macs" are those of what snt_space_canonical gives. The
/// rest is as in snt_train_start.
///
/// Errors: SNT_E_INVALID_ARGUMENT for a supernet with `count` 0, if an architecture is none of the space, beyond what the
/// supernet serves or not that of a model that stands alone, for more images than there are, and if judging needs more than
/// memory_limit; SNT_E_BUSY, SNT_E_POISONED and, for `dataset`, SNT_E_VERSION and SNT_E_INVALID_ARGUMENT as in snt_train_start.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_evaluate_start(
    model: *const snt_model,
    dataset: *const snt_dataset,
    archs: *const *const c_char,
    count: usize,
    search_json: *const c_char,
    event: snt_event_fn,
    user: *mut c_void,
    out: *mut *mut snt_job,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let Begin { claim, saved, mut recipe, data } = Begin::new(&borrow(model, "model")?.0, dataset)?;
        if let Some(table) = optional_text(search_json, "search_json")? {
            recipe.search = parse_json("search", table)?;
            recipe.check()?;
        }
        let texts = values(archs, count, "archs")?.iter().map(|&arch| text(arch, "archs")).collect::<Result<Vec<_>>>()?;
        let mut archs = texts.iter().map(|text| saved.model.parse(text)).collect::<crate::Result<Vec<_>>>()?;
        match (&saved.model.arch, archs.is_empty()) {
            (Some(own), true) => archs.push(own.clone()),
            (Some(own), false) if archs.iter().all(|arch| arch == own) => {}
            (Some(own), false) => {
                return Err(Error::invalid("archs", texts.join(", "), saved.model.space.text(own)).into());
            }
            (None, true) => return Err(Error::invalid("count", 0, "at least 1: a supernet has many architectures").into()),
            (None, false) => {}
        }
        let forest = claim.forest()?;
        let entry = |arch| -> Result<Entry> {
            let cost = saved.model.cost(&forest.canonical(arch))?;
            let figures = vec![(Metric::Params, cost.params as f64), (Metric::Macs, cost.macs as f64)];
            Ok(Entry { arch: saved.model.space.text(arch), figures })
        };
        let entries = archs.iter().map(entry).collect::<Result<Vec<_>>>()?;
        let evaluate = Evaluate::new(&recipe, forest, archs, &data, None)?;
        Ok(Engine::job("evaluate", claim, &recipe, Work::Evaluate(Box::new(evaluate), entries), event, user))
    })
}

/// Does up to `max_steps` steps on the calling thread, where the events come from too.
///
/// SNT_OK if more may be left, SNT_END if the job has finished, SNT_CANCELLED, or the job's error; after its end always the same.
/// Any thread, one at a time. Blocks for the steps.
///
/// A job's error: SNT_E_NUMERIC if a loss or a gradient of a training is not finite; SNT_E_CONSTRAINT if a search finds nothing
/// within its limits; SNT_E_INVALID_ARGUMENT if it finds nothing to judge, or if a training's loss doesn't go with its sampler;
/// SNT_E_IO if the file of a search can't be written. Errors of the call: SNT_E_BUSY while another call is at work on the job;
/// SNT_E_INVALID_STATE after snt_job_start. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_step(job: *const snt_job, max_steps: u32, err: *mut *mut snt_error) -> snt_status {
    boundary(err, || {
        let engine = borrow(job, "job")?.0.clone(); // the event function may free the handle
        engine.step(max_steps.into())
    })
}

/// Gives the job a thread of its own, which does all steps that are left; events come from there. A job that has ended by its
/// steps has none left: SNT_OK.
///
/// Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_STATE if it has a thread; SNT_E_BUSY while another call is at work on it; SNT_E_OUT_OF_MEMORY if the
/// system gives no thread, which ends the job. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_start(job: *const snt_job, err: *mut *mut snt_error) -> snt_status {
    boundary(err, || borrow(job, "job")?.0.start())
}

/// Waits for the end of a job that has a thread of its own.
///
/// SNT_OK if it has finished, SNT_NOT_READY after `timeout_ms` milliseconds (0 only looks, SNT_WAIT_FOREVER has no end),
/// SNT_CANCELLED, or the job's error (see snt_job_step). Any thread, also several. Blocks.
///
/// Errors of the call: SNT_E_INVALID_STATE before the end without snt_job_start, and in the job's event function. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_wait(job: *const snt_job, timeout_ms: u32, err: *mut *mut snt_error) -> snt_status {
    boundary(err, || {
        let engine = borrow(job, "job")?.0.clone();
        engine.wait((timeout_ms != SNT_WAIT_FOREVER).then(|| Duration::from_millis(timeout_ms.into())))
    })
}

/// Asks a job to stop before its next step. A model that was trained keeps what it learnt. NULL is fine.
///
/// One atomic store: any thread, signal handlers too, as often as you like. Does not wait. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_job_cancel(job: *const snt_job) {
    if let Some(job) = peek(job) {
        job.0.cancel.cancel();
    }
}

/// Writes a checkpoint of a training that snt_train_resume goes on from: now, at the next border of two steps if the job has a
/// thread, or of its model as it is if the job has ended.
///
/// `path` is UTF-8; the file is replaced whole or not at all. Any thread. Blocks until the file is on the disk.
///
/// Errors: SNT_E_UNSUPPORTED for other jobs; SNT_E_INVALID_STATE in the job's event function; SNT_E_BUSY while another thread
/// steps the job, waits for a checkpoint, or, after the end, has the model; SNT_E_POISONED if the job broke off in the middle of
/// a step; SNT_E_NUMERIC if a loss, a gradient or a weight is not finite; SNT_E_IO if the file can't be written. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_checkpoint(job: *const snt_job, path: *const c_char, err: *mut *mut snt_error) -> snt_status {
    boundary(err, || {
        let engine = borrow(job, "job")?.0.clone();
        engine.checkpoint(Path::new(text(path, "path")?))
    })
}

/// How a job stands: {"kind": "train", "retrain", "search" or "evaluate", "state": "ready", "running", "finished", "cancelled" or
/// "failed", "last": the "json" of its last event, or null}.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread, the event function too. Does not block. No
/// errors of its own. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_info_json(job: *const snt_job, out: *mut snt_buffer, err: *mut *mut snt_error) -> snt_status {
    give_json(out, err, || Ok(borrow(job, "job")?.0.info()))
}

/// The model that a job works on: the one it was given, or the new one of snt_train_resume and snt_retrain_start. It is busy
/// until the job ends.
///
/// `out` receives a handle of its own that the caller frees with snt_model_free; NULL on failure. Any thread. Does not block. No
/// errors of its own. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_model(job: *const snt_job, out: *mut *mut snt_model, err: *mut *mut snt_error) -> snt_status {
    give(out, err, || Ok(snt_model(borrow(job, "job")?.0.model.clone())))
}

/// What a job has found; of a cancelled one, what it had found till then.
///
/// SNT_NOT_READY before its end, the job's error (see snt_job_step) if it failed. `out` receives a handle that the caller frees
/// with snt_result_free; NULL if there is none. Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_job_result(job: *const snt_job, out: *mut *mut snt_result, err: *mut *mut snt_error) -> snt_status {
    give(out, err, || {
        let not_ready = || Failure::new(SNT_NOT_READY, "job: it hasn't ended");
        let End { outcome, found } = borrow(job, "job")?.0.ended().ok_or_else(not_ready)?;
        match found {
            Some(found) => Ok(snt_result(found)),
            None => Err(outcome.err().unwrap_or_else(not_ready)),
        }
    })
}

/// Frees a job; NULL is fine. A running job is cancelled and waited for, except in its own event function, where it goes on to
/// its next step's border and is freed there.
///
/// Any thread. Blocks until the step that is being done is over. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_job_free(job: *mut snt_job) {
    let _ = caught(|| {
        if let Some(job) = peek(job) {
            job.0.clone().stop();
        }
        Ok(())
    });
    drop_handle(job);
}
