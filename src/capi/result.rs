//! What a job has found.

use std::ffi::c_char;
use std::sync::Arc;

use serde_json::Value;

use super::boundary::{borrow, boundary, copy_text, drop_handle, peek, text, write};
use super::error::{Result, snt_error};
use super::status::snt_status;
use super::version::{give_json, snt_buffer};
use crate::Error;
use crate::arch::Metric;
use crate::run::evaluations::Evaluation;

/// What a job has found: of a search the chosen architectures, most accurate first; of an evaluation its list, as far as it came;
/// of a training none. It never changes, so every thread may use it.
pub struct snt_result(pub(super) Arc<Found>);

pub(super) struct Found {
    pub json: Value,
    pub entries: Vec<Entry>,
}

/// One architecture and the figures that are known of it.
#[derive(Clone)]
pub(super) struct Entry {
    pub arch: String,
    pub figures: Vec<(Metric, f64)>,
}

impl From<Evaluation> for Entry {
    fn from(evaluation: Evaluation) -> Self {
        let metrics = [Metric::Accuracy, Metric::Params, Metric::Macs, Metric::LatencyMs];
        let figures = metrics.into_iter().filter_map(|metric| Some((metric, evaluation.figure(metric)?))).collect();
        Self { arch: evaluation.arch, figures }
    }
}

impl snt_result {
    fn entry(&self, index: usize) -> Result<&Entry> {
        let count = self.0.entries.len();
        let wanted = || if count == 0 { "a result with architectures".into() } else { format!("0 to {}", count - 1) };
        self.0.entries.get(index).ok_or_else(|| Error::invalid("index", index, wanted()).into())
    }
}

/// How many architectures it lists; 0 for NULL.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_result_count(result: *const snt_result) -> usize {
    peek(result).map_or(0, |result| result.0.entries.len())
}

/// Architecture number `index`, counted from 0, in the notation of its space.
///
/// `buffer`, `capacity` and `needed` are those of snt_space_sample. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if there is no such index, or `capacity` doesn't suffice. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_result_arch(
    result: *const snt_result,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || copy_text(&borrow(result, "result")?.entry(index)?.arch, buffer, capacity, needed))
}

/// A figure of architecture number `index`: "accuracy" (0 to 1, on the validation images), "params" (trainable numbers), "macs"
/// (multiply-accumulates for one image) or "latency_ms" (median for one image, in milliseconds; of a search that looks at it).
///
/// `value` is written on success only. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if there is no such index; SNT_E_NOT_FOUND for a figure that wasn't measured. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_result_metric(
    result: *const snt_result,
    index: usize,
    name: *const c_char,
    value: *mut f64,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let (entry, name) = (borrow(result, "result")?.entry(index)?, text(name, "name")?);
        let figure = entry.figures.iter().find(|(metric, _)| metric.name() == name).map(|&(_, figure)| figure);
        let known = || entry.figures.iter().map(|(metric, _)| metric.name()).collect::<Vec<_>>().join(", ");
        let missing = || Error::NotFound { what: "metric", found: format!("\"{name}\""), wanted: known() };
        write(value, figure.ok_or_else(missing)?, "value")
    })
}

/// Everything the job has found. Of a training {"step", "total": steps done and in all, "loss": the last, or null, "picks": which
/// architectures its sampler would pick, where it has learnt that}; of an evaluation {"evaluations": [evaluation]}; of a search
/// {"objectives", "limits": those of [search], "bn": where the statistics of the norms came from, in words, "chosen": [arch],
/// most accurate first, "evaluations": [evaluation], "screened": [evaluation], what was judged on a part of the images, where
/// there is such}.
///
/// An evaluation is {"arch", "key": equal for networks that compute the same, "params", "macs": of one image, both without dead
/// operations, "accuracy": 0 to 1, null beyond a limit on latency, where it isn't judged, "bn", "images": on how many, where not
/// on all, "latency_ms": as in snt_space_latency, or null, "front": in "evaluations" of a search, whether it is within the limits
/// and none beats it in every objective}.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block. No errors of its own.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_result_json(
    result: *const snt_result,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || Ok(borrow(result, "result")?.0.json.clone()))
}

/// Frees a result; NULL is fine.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_result_free(result: *mut snt_result) {
    drop_handle(result);
}
