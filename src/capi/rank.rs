//! How far two figures put things in the same order: pure functions of arrays.

use super::boundary::{boundary, values, write};
use super::error::{Result, snt_error};
use super::status::snt_status;
use crate::rank;

/// Kendall's tau-b of `count` scores and their true figures, from -1 (opposite order) to 1 (same order); with ties.
///
/// SNT_E_INVALID_ARGUMENT for fewer than 2 or a NaN, SNT_E_NUMERIC where all scores or all true figures are equal. Any
/// thread. Does not block. @since 0.1
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

/// Spearman's rank correlation of the same; it fails as snt_rank_kendall does.
///
/// Any thread. Does not block. @since 0.1
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

/// The share of the `k` best by score that are among the `k` truly best, the greatest being the best; where there are ties,
/// its expectation if chance breaks them. `k` is 1 to `count`.
///
/// Any thread. Does not block. @since 0.1
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

fn measure(
    scores: *const f64,
    truth: *const f64,
    count: usize,
    value: *mut f64,
    figure: impl FnOnce(&[f64], &[f64]) -> crate::Result<f64>,
) -> Result<()> {
    write(value, figure(values(scores, count, "scores")?, values(truth, count, "truth")?)?, "value")
}
