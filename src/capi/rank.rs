//! How far two figures put things in the same order: pure functions of arrays.

use std::ffi::c_char;

use super::boundary::{boundary, optional_text, values, write};
use super::error::{Result, snt_error};
use super::status::snt_status;
use super::version::{give_json, snt_buffer};
use crate::rank::{self, Questions};
use crate::reading::parse_json;

/// Kendall's tau-b of `count` scores and their true figures, from -1 (opposite order) to 1 (same order); with ties.
///
/// Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT for fewer than 2 or a NaN; SNT_E_NUMERIC where all scores or all true figures are equal.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_rank_kendall(
    scores: *const f64,
    truth: *const f64,
    count: usize,
    value: *mut f64,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || measure(scores, truth, count, value, rank::kendall_tau_b))
}

/// Spearman's rank correlation of the same, from -1 to 1.
///
/// Any thread. Does not block. Errors: those of snt_rank_kendall. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_rank_spearman(
    scores: *const f64,
    truth: *const f64,
    count: usize,
    value: *mut f64,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || measure(scores, truth, count, value, rank::spearman))
}

/// The share, 0 to 1, of the `k` best by score that are among the `k` truly best, the greatest being the best; where there are
/// ties, its expectation if chance breaks them. `k` is 1 to `count`.
///
/// Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT for another `k` or a NaN. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_rank_precision(
    scores: *const f64,
    truth: *const f64,
    count: usize,
    k: usize,
    value: *mut f64,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || measure(scores, truth, count, value, |scores, truth| rank::precision_at(k, scores, truth)))
}

/// Every figure of the same with its 95 % interval, by a bootstrap over the `count` architectures: {"kendall_tau_b": {"value",
/// "interval": [low, high]}, "spearman", "top_pick_truth", "top_pick_rank", …}; docs/ranking.md says what each means. A value is
/// null where it is 0/0, an interval where more than a tenth of the resamples have none.
///
/// `params` may be NULL, or hold the size of each architecture: unless all are equal, "complexity_bias" and
/// "complexity_bias_partial" are there, too. `questions_json` may be NULL or hold {"top" (a list: precision at each k), "sparse"
/// (tau-b with the truth rounded to this step), "seed" (of the bootstrap)}. `out` receives a buffer that the caller frees with
/// snt_buffer_free. Any thread. Blocks while resamples are judged.
///
/// Errors: those of snt_rank_kendall, and SNT_E_INVALID_ARGUMENT for a k outside 1 to `count` and a step that isn't above 0.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_rank_json(
    scores: *const f64,
    truth: *const f64,
    params: *const u64,
    count: usize,
    questions_json: *const c_char,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || {
        let (scores, truth) = (values(scores, count, "scores")?, values(truth, count, "truth")?);
        let params: Option<Vec<f64>> = match params.is_null() {
            true => None,
            false => Some(values(params, count, "params")?.iter().map(|&params| params as f64).collect()),
        };
        let questions: Questions = parse_json("questions", optional_text(questions_json, "questions_json")?.unwrap_or("{}"))?;
        Ok(rank::figures_json(&rank::judge(scores, truth, params.as_deref(), &questions)?))
    })
}

fn measure(
    scores: *const f64,
    truth: *const f64,
    count: usize,
    value: *mut f64,
    figure: impl FnOnce(&[f64], &[f64]) -> crate::Result<f64>,
) -> Result<()> {
    write(value, figure(values(scores, count, "scores")?, values(truth, count, "truth")?)?, "value")
}
