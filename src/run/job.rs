//! One life cycle for training, search and everything else that takes time: advance, look at events, save, ask for the result.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// What happened in one step of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `train`, `split`, `search`, `retrain`, `evaluate`, `export`.
    pub phase: String,
    /// The subnet it is about, in `retrain` and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Seconds since the job was started or resumed.
    pub seconds: f64,
    /// Training loss of this step; on a GPU, where losses are read one step late, of the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Learning rate of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The architecture of the step; of a training step on several paths all of them, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Its accuracy, in search and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Where the statistics of the norms came from for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bn: Option<String>,
}

/// Work in steps. Dropping a job loses what wasn't saved, and nothing else.
pub trait Job: Send {
    /// Does one step; `None` when there is nothing left to do.
    fn advance(&mut self) -> Result<Option<Event>>;

    /// Writes a checkpoint that the job can be resumed from, beside `path` and renamed.
    fn save(&mut self, path: &Path) -> Result<()> {
        Err(Error::Unsupported(format!("{}: this kind of job has nothing to save; run it again instead", path.display())))
    }

    /// What it has found so far.
    fn result(&self) -> Result<Value>;
}

/// Asks a running job to stop, from any thread or signal handler.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks. Looked at before every step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// An error if somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Runs `job` to its end, showing every event; stops with [`Error::Cancelled`] between two steps.
pub fn drive(job: &mut dyn Job, cancel: &Cancel, mut see: impl FnMut(&mut dyn Job, &Event) -> Result<()>) -> Result<()> {
    loop {
        cancel.check()?;
        match job.advance()? {
            Some(event) => see(job, &event)?,
            None => return Ok(()),
        }
    }
}
