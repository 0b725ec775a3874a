//! ONNX Runtime: loading it, running a file, timing a file. The only user of `ort`.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorRef};
use serde::{Deserialize, Serialize};

use super::recipe::LatencyConfig;
use crate::{Error, Result};

/// The environment variable that names the library; if set, it is looked for there and nowhere else.
pub const LIBRARY_VARIABLE: &str = "SUPERNAUT_ONNXRUNTIME";
/// Its usual name, found beside this library or on the loader's path.
const LIBRARY_NAME: &str = "libonnxruntime.so";

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("ONNX Runtime: {error}"))
}

/// Loads ONNX Runtime, once per process.
fn environment() -> Result<&'static Environment> {
    static LOADED: OnceLock<std::result::Result<Environment, (String, String)>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| {
        let places = places();
        let mut reasons = vec![];
        for place in &places {
            let found = ort::init_from(place).map_err(|error| error.to_string());
            match found.and_then(|builder| {
                builder.with_name("supernaut").with_telemetry(false).build().map_err(|error| error.to_string())
            }) {
                Ok(environment) => return Ok(environment),
                Err(reason) => reasons.push(reason.split_whitespace().collect::<Vec<_>>().join(" ")),
            }
        }
        let looked = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
        Err((reasons.join("; "), looked))
    });
    loaded.as_ref().map_err(|(reason, looked)| Error::Library {
        library: "ONNX Runtime",
        reason: reason.clone(),
        looked: format!("{looked}; name the file in {LIBRARY_VARIABLE}"),
    })
}

fn places() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os(LIBRARY_VARIABLE).filter(|name| !name.is_empty()) {
        return vec![named.into()];
    }
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(LIBRARY_NAME)));
    let built_with = option_env!("SUPERNAUT_ONNXRUNTIME").map(PathBuf::from);
    beside.filter(|path| path.exists()).into_iter().chain([LIBRARY_NAME.into()]).chain(built_with).collect()
}

/// The loaded library's version, or `not loaded`.
pub fn version() -> String {
    if environment().is_err() {
        return "not loaded".into();
    }
    let branch = ort::info().split("git-branch=").nth(1).and_then(|rest| rest.split(',').next());
    branch.map_or("unknown", |branch| branch.trim_start_matches("rel-")).to_owned()
}

/// Whether ONNX Runtime can be used, or why not.
pub fn check() -> Result<()> {
    environment().map(|_| ())
}

/// One file, ready to run on the CPU.
pub struct Runtime {
    session: Session,
}

/// A value that a file computed.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeValue {
    /// Its name in the file.
    pub name: String,
    /// Its sizes, batch first.
    pub shape: Vec<i64>,
    /// Its numbers, row by row.
    pub values: Vec<f32>,
}

impl Runtime {
    /// Loads an ONNX file from memory; 0 threads for all cores.
    pub fn new(file: &[u8], threads: usize) -> Result<Self> {
        let environment = environment()?;
        let build = || -> std::result::Result<Session, String> {
            let builder = Session::builder(environment).map_err(|error| error.to_string())?;
            let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|error| error.to_string())?;
            let builder = builder.with_inter_threads(1).map_err(|error| error.to_string())?;
            // Spinning threads would take cores from whatever runs beside.
            let builder = builder.with_intra_op_spinning(false).map_err(|error| error.to_string())?;
            let mut builder = builder.with_intra_threads(threads).map_err(|error| error.to_string())?;
            builder.commit_from_memory(file).map_err(|error| error.to_string())
        };
        build()
            .map(|session| Self { session })
            .map_err(|reason| Error::invalid("ONNX file", reason, "a model that ONNX Runtime loads"))
    }

    /// An error unless the file takes one input `image` that images of this shape fit.
    fn takes(&self, shape: [i64; 4]) -> Result<()> {
        let fits = |found: &[i64]| found.len() == 4 && (1..4).all(|at| [-1, shape[at]].contains(&found[at]));
        let inputs = self.session.inputs();
        let is_it = |input: &Outlet| input.name() == "image" && input.dtype().tensor_shape().is_some_and(|found| fits(found));
        if let [input] = inputs
            && is_it(input)
        {
            return Ok(());
        }
        let found = inputs.iter().map(|input| format!("{}: {:?}", input.name(), input.dtype())).collect::<Vec<_>>().join(", ");
        let wanted = format!("one `image` of [batch, {}, {}, {}]", shape[1], shape[2], shape[3]);
        Err(Error::invalid("ONNX file", format!("inputs {found}"), wanted))
    }

    /// Runs the file on images `[batch, channels, height, width]`, pixels in 0…1; gives all its outputs.
    pub fn run(&mut self, shape: [i64; 4], pixels: &[f32]) -> Result<Vec<RuntimeValue>> {
        let input = TensorRef::from_array_view((shape, pixels)).map_err(failed)?;
        let names: Vec<String> = self.session.outputs().iter().map(|output| output.name().to_owned()).collect();
        self.takes(shape)?;
        let outputs = self.session.run(ort::inputs!["image" => input]).map_err(failed)?;
        let value = |name: &String| {
            let (shape, values) = outputs[name.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
            Ok(RuntimeValue { name: name.clone(), shape: shape.to_vec(), values: values.to_vec() })
        };
        names.iter().map(value).collect()
    }

    /// The logits alone: `[batch, classes]`.
    pub fn logits(&mut self, shape: [i64; 4], pixels: &[f32]) -> Result<RuntimeValue> {
        let outputs = self.run(shape, pixels)?;
        let missing = || Error::invalid("ONNX file", "no output `logits`", "a file with input `image` and output `logits`");
        outputs.into_iter().find(|output| output.name == "logits").ok_or_else(missing)
    }
}

/// Milliseconds for one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the runs were faster.
    pub median: f64,
    /// Nine of ten runs were faster.
    pub p90: f64,
    /// Half width of the median's 95 % interval, as a share of the median.
    pub half_width: f64,
    /// Runs that counted.
    pub runs: usize,
    /// Threads that ONNX Runtime used; 0 for all cores.
    pub threads: usize,
}

impl Latency {
    /// A median that somebody else has measured; nothing more is known.
    pub fn told(median: f64) -> Self {
        Self { median, p90: median, half_width: 0.0, runs: 0, threads: 0 }
    }
}

/// Of fewer runs the median has no 95 % interval: all six are on one side of it in 1 of 32 cases, five in 1 of 16.
const LEAST_RUNS: usize = 6;

/// Times a file on one image of shape `[channels, height, width]`: warm-up, then runs until the interval of the median is
/// as narrow as `config` wants or its time is up, six at least.
pub fn latency(file: &[u8], image: [i64; 3], config: &LatencyConfig) -> Result<Latency> {
    let mut runtime = Runtime::new(file, config.threads)?;
    let shape = [1, image[0], image[1], image[2]];
    let pixels = vec![0.5f32; image.iter().product::<i64>() as usize];
    let started = Instant::now();
    for _ in 0..config.warm_up {
        if started.elapsed().as_secs_f64() < config.seconds {
            runtime.run(shape, &pixels)?;
        }
    }
    let (mut times, started) = (vec![], Instant::now());
    loop {
        let run = Instant::now();
        runtime.run(shape, &pixels)?;
        times.push(run.elapsed().as_secs_f64() * 1e3);
        let late = started.elapsed().as_secs_f64() > config.seconds && times.len() >= LEAST_RUNS;
        // Looked at now and then only, since a look sorts.
        if late || (times.len() >= 30 && times.len().is_multiple_of(10)) {
            let (median, half_width) = median_interval(&mut times);
            if late || half_width <= config.half_width {
                let p90 = times[(times.len() * 9 / 10).min(times.len() - 1)];
                return Ok(Latency { median, p90, half_width, runs: times.len(), threads: config.threads });
            }
        }
    }
}

/// Sorts `times`; gives their median and the half width of its 95 % interval as a share of it. The interval is that of the
/// order statistics `n/2 ± 0.98 √n`, which supposes nothing about the shape of the distribution.
fn median_interval(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let n = times.len();
    let median = if n % 2 == 1 { times[n / 2] } else { (times[n / 2 - 1] + times[n / 2]) / 2.0 };
    let reach = 0.98 * (n as f64).sqrt();
    let at = |rank: f64| times[(rank.max(0.0) as usize).min(n - 1)];
    (median, (at(n as f64 / 2.0 + reach) - at(n as f64 / 2.0 - reach)) / 2.0 / median)
}

#[cfg(test)]
mod tests {
    use super::median_interval;

    #[test]
    fn the_median_and_its_interval_by_hand() {
        // 100 sorted times 1…100: ranks 50 ± 9.8 are the 41st and the 60th value.
        let mut times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let (median, half_width) = median_interval(&mut times);
        assert_eq!(median, 50.5);
        assert!((half_width - (60.0 - 41.0) / 2.0 / 50.5).abs() < 1e-12, "{half_width}");
        assert_eq!(median_interval(&mut [3.0, 1.0, 2.0]).0, 2.0);
    }
}
