//! The other side: `rival.py` in a process of its own, one per layout and precision.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use supernaut::data::Images;
use supernaut::run::model::Model;
use tch::{Device, Tensor};
use tempfile::TempDir;

use crate::common::Result;
use crate::common::memory::Footprint;
use crate::common::work::Work;

/// How a batch of images lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    Nchw,
    ChannelsLast,
}

impl Layout {
    pub const ALL: [Self; 2] = [Self::Nchw, Self::ChannelsLast];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nchw => "NCHW",
            Self::ChannelsLast => "channels last",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::ChannelsLast => "channels_last",
        }
    }
}

/// A running `rival.py`.
pub struct Rival {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What both sides read: weights and images.
    files: TempDir,
    /// Bytes in memory before there was a model.
    before: u64,
    /// Version of its PyTorch.
    pub torch: String,
}

impl Rival {
    /// Starts it. Settings of `work` that say how to compute hold for it too.
    pub fn start(work: &Work, layout: Layout) -> Result<Self> {
        let python = std::env::var("SUPERNAUT_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/rival.py");
        let mut child = Command::new(&python)
            .arg(script)
            .args(["--layout", layout.argument(), "--precision", work.precision, "--device", &work.device])
            .args(["--threads", &work.threads.to_string()])
            .env_remove("LD_LIBRARY_PATH") // PyTorch brings its own libtorch, and must not find ours
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{python} did not start: {error}"))?;
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut rival = Self { child, input, output, files: tempfile::tempdir()?, before: 0, torch: String::new() };
        let hello = rival.answer().map_err(|_| {
            format!("{python} could not run rival.py, see above; `make bench` sets up a Python with PyTorch for it")
        })?;
        rival.before = hello["resident"].as_u64().unwrap_or(0);
        rival.torch = text(&hello["torch"]);
        Ok(rival)
    }

    /// Starts it with the weights of `model` and `images` to train on.
    pub fn trainee(work: &Work, layout: Layout, model: &Model, images: &Images) -> Result<Self> {
        let mut rival = Self::start(work, layout)?;
        rival.load(work, model)?;
        rival.show(images, work.batch)?;
        Ok(rival)
    }

    /// Gives it the weights of `model`.
    pub fn load(&mut self, work: &Work, model: &Model) -> Result<()> {
        let path = self.files.path().join("weights");
        let (mut slots, mut bytes) = (vec![], vec![]);
        for (name, tensor) in model.network.named() {
            slots.push(json!({ "name": name, "shape": tensor.size(), "start": bytes.len() / 4 }));
            bytes.extend(little_endian(&tensor)?);
        }
        std::fs::write(&path, bytes)?;
        let task = &model.task;
        self.ask(json!({
            "command": "model", "weights": path, "slots": slots, "rate": work.recipe()?.train.rate,
            "channels": work.channels, "cells": work.cells, "classes": task.classes.len(),
            "mean": task.mean, "deviation": task.deviation,
        }))?;
        Ok(())
    }

    /// Gives it images, to be used `batch` at a time.
    pub fn show(&mut self, images: &Images, batch: usize) -> Result<()> {
        let (pixels, labels) = (self.files.path().join("pixels"), self.files.path().join("labels"));
        std::fs::write(&pixels, images.pixels())?;
        let bytes: Vec<u8> = images.labels().iter().map(|&label| label as u8).collect(); // there are ten classes
        std::fs::write(&labels, bytes)?;
        let shape = images.shape();
        self.ask(json!({ "command": "images", "pixels": pixels, "labels": labels, "shape": shape, "batch": batch }))?;
        Ok(())
    }

    /// Milliseconds and loss of one training step on each of `archs`.
    pub fn train(&mut self, archs: &[String]) -> Result<(Vec<f64>, Vec<f64>)> {
        let answer = self.ask(json!({ "command": "train", "archs": archs }))?;
        Ok((floats(&answer["ms"]), floats(&answer["losses"])))
    }

    /// Milliseconds of each of `archs` on all images, and how many each classifies correctly.
    pub fn evaluate(&mut self, archs: &[String]) -> Result<(Vec<f64>, Vec<f64>)> {
        let answer = self.ask(json!({ "command": "evaluate", "archs": archs }))?;
        Ok((floats(&answer["ms"]), floats(&answer["correct"])))
    }

    /// What it has taken of the memory so far.
    pub fn footprint(&mut self) -> Result<Footprint> {
        let answer = self.ask(json!({ "command": "memory" }))?;
        Ok(Footprint { before: self.before, peak: answer["peak"].as_u64().ok_or("rival.py gave no peak")? })
    }

    fn ask(&mut self, command: Value) -> Result<Value> {
        writeln!(self.input, "{command}")?;
        self.input.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("rival.py ended before its time, see above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "{}", json!({ "command": "quit" })); // it may be gone already
        let _ = self.child.wait();
    }
}

fn little_endian(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.to_device(Device::Cpu).contiguous().view(-1);
    Ok(Vec::<f32>::try_from(&flat)?.into_iter().flat_map(f32::to_le_bytes).collect())
}

fn floats(list: &Value) -> Vec<f64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
