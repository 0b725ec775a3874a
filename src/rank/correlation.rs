//! Rank correlation: do two figures put architectures in the same order?
//!
//! ```text
//! Kendall    tau-b = (C - D) / sqrt((n0 - n1)(n0 - n2))    n0 = n(n - 1)/2 pairs, n1 tied in x, n2 tied in y
//! Spearman   rho   = Pearson's correlation of the ranks    tied values share the mean of their ranks
//! ```

use crate::error::{Error, Result};

/// Kendall's tau-b of two lists of equal length, from -1 (opposite order) to 1 (same order); with ties.
///
/// Knight's algorithm (J. Am. Stat. Assoc. 61, 1966): the discordant pairs are the exchanges that sorting `y` takes
/// once the pairs lie in the order of `x`, so O(n log n) steps suffice.
///
/// # Errors
/// [`Error::Invalid`] for lists of different length, of fewer than 2 values, or with a NaN; [`Error::Numeric`] where
/// all values of a list are equal and the measure is 0/0.
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Result<f64> {
    let (x, y) = levels_of_both(x, y)?;
    let mut pairs: Vec<(u32, u32)> = x.of.iter().copied().zip(y.of.iter().copied()).collect();
    pairs.sort_unstable();
    tau_b_of_sorted(&pairs).ok_or_else(|| without_order(&x))
}

/// Spearman's rank correlation of two lists of equal length, from -1 (opposite order) to 1 (same order); with ties.
///
/// # Errors
/// As [`kendall_tau_b`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64> {
    let (x, y) = levels_of_both(x, y)?;
    let once = vec![1; x.of.len()];
    correlation(&x.ranks(&once), &y.ranks(&once), &once).ok_or_else(|| without_order(&x))
}

/// Tau-b of pairs in ascending order; nothing where all of one side are equal.
pub(super) fn tau_b_of_sorted<X: Ord>(pairs: &[(X, u32)]) -> Option<f64> {
    let n0 = pairs_among(pairs.len());
    let n1 = tied_pairs(pairs, |a, b| a.0 == b.0);
    let tied_in_both = tied_pairs(pairs, |a, b| a == b);
    let mut y: Vec<u32> = pairs.iter().map(|&(_, y)| y).collect();
    let discordant = sort_counting_exchanges(&mut y);
    let n2 = tied_pairs(&y, |a, b| a == b);
    let concordant = n0 + tied_in_both - n1 - n2 - discordant;
    ratio(concordant as f64 - discordant as f64, (n0 - n1) as f64, (n0 - n2) as f64)
}

/// Pearson's correlation, value `i` taken `times[i]` times; nothing where all values of one side are equal.
pub(super) fn correlation(x: &[u64], y: &[u64], times: &[u32]) -> Option<f64> {
    let sum = |value: &dyn Fn(usize) -> u128| (0..times.len()).map(|i| u128::from(times[i]) * value(i)).sum::<u128>() as i128;
    let count = sum(&|_| 1);
    // n² times the covariance, in whole numbers.
    let spread = |a: &[u64], b: &[u64]| {
        let products = sum(&|i| u128::from(a[i]) * u128::from(b[i]));
        (count * products - sum(&|i| a[i].into()) * sum(&|i| b[i].into())) as f64
    };
    ratio(spread(x, y), spread(x, x), spread(y, y))
}

/// `common / sqrt(x y)`; where `x` equals `y` the root is exact, so perfect agreement gives 1 and not nearly 1.
fn ratio(common: f64, x: f64, y: f64) -> Option<f64> {
    (x > 0.0 && y > 0.0).then(|| common / (x * y).sqrt())
}

/// Why there is no figure: one of the two lists is all equal, `scores` or else the truth.
fn without_order(scores: &Levels) -> Error {
    let name = if scores.count == 1 { "scores" } else { "truth" };
    Error::Numeric(format!("all values of {name} are equal, so they have no order to correlate; wanted two that differ"))
}

fn levels_of_both(x: &[f64], y: &[f64]) -> Result<(Levels, Levels)> {
    check(x, y, 2)?;
    Ok((Levels::of(x), Levels::of(y)))
}

/// Refuses what has no order: lists of different length, of fewer than `least` values, or with a NaN.
pub(super) fn check(scores: &[f64], truth: &[f64], least: usize) -> Result<()> {
    if scores.len() != truth.len() {
        let wanted = format!("{}, as many as the scores", scores.len());
        return Err(Error::invalid("truth", format!("length {}", truth.len()), wanted));
    }
    for (name, values) in [("scores", scores), ("truth", truth)] {
        if values.len() < least {
            return Err(Error::invalid(name, format!("length {}", values.len()), format!("{least} or more")));
        }
        if let Some(index) = values.iter().position(|value| value.is_nan()) {
            return Err(Error::invalid(name, format!("NaN at index {index} (counted from 0)"), "numbers"));
        }
    }
    Ok(())
}

/// An error where all of `values` are equal.
pub(super) fn differ(name: &str, values: &[f64]) -> Result<()> {
    match values.iter().all(|value| *value == values[0]) {
        true => Err(Error::Numeric(format!(
            "{name}: found {} for all {} architectures, wanted values that differ: equal ones have no order",
            values[0],
            values.len()
        ))),
        false => Ok(()),
    }
}

/// Values as whole numbers in the same order: equal values share one, and no number is left out.
pub(super) struct Levels {
    /// The level of each value, the least is 0.
    pub(super) of: Vec<u32>,
    /// How many levels there are.
    pub(super) count: usize,
}

impl Levels {
    /// Of numbers that are not NaN.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
        let (mut of, mut count) = (vec![0; values.len()], 0);
        for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
            tied.iter().for_each(|&i| of[i] = count as u32);
            count += 1;
        }
        Self { of, count }
    }

    /// How many values of each level there are, value `i` taken `times[i]` times.
    pub(super) fn totals(&self, times: &[u32]) -> Vec<u64> {
        let mut totals = vec![0; self.count];
        self.of.iter().zip(times).for_each(|(&level, &times)| totals[level as usize] += u64::from(times));
        totals
    }

    /// Twice the rank of each value, counted from 0 for the least, where tied values share the mean of theirs: whole, so
    /// that sums are exact. Value `i` is taken `times[i]` times.
    pub(super) fn ranks(&self, times: &[u32]) -> Vec<u64> {
        let mut below = 0;
        let ranks: Vec<u64> = (self.totals(times).into_iter())
            .map(|total| {
                below += total;
                (2 * below - total).saturating_sub(1)
            })
            .collect();
        self.of.iter().map(|&level| ranks[level as usize]).collect()
    }
}

fn pairs_among(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

/// How many pairs of `sorted` are equal under `same`.
fn tied_pairs<T>(sorted: &[T], same: impl Fn(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(same).map(|run| pairs_among(run.len())).sum()
}

/// Merge sort; returns how many pairs stood in the wrong order.
fn sort_counting_exchanges(values: &mut [u32]) -> u64 {
    merge_sort(values, &mut vec![0; values.len()])
}

fn merge_sort(values: &mut [u32], scratch: &mut [u32]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let mut exchanges = merge_sort(&mut values[..middle], scratch) + merge_sort(&mut values[middle..], scratch);
    let (mut left, mut right) = (0, middle);
    for place in &mut scratch[..values.len()] {
        if right == values.len() || left < middle && values[left] <= values[right] {
            *place = values[left];
            left += 1;
        } else {
            *place = values[right];
            right += 1;
            exchanges += (middle - left) as u64; // it passes what is left of the first half
        }
    }
    values.copy_from_slice(&scratch[..values.len()]);
    exchanges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::stream::stream;
    use expect_test::{Expect, expect};
    use rand::RngExt;

    /// The definition, pair by pair, in O(n²).
    fn naive_tau_b(x: &[f64], y: &[f64]) -> f64 {
        let (mut common, mut untied_x, mut untied_y) = (0.0, 0.0, 0.0);
        for i in 0..x.len() {
            for j in 0..i {
                let sign = |d: f64| if d == 0.0 { 0.0 } else { d.signum() };
                let (dx, dy) = (sign(x[i] - x[j]), sign(y[i] - y[j]));
                (common, untied_x, untied_y) = (common + dx * dy, untied_x + dx.abs(), untied_y + dy.abs());
            }
        }
        common / f64::sqrt(untied_x * untied_y)
    }

    /// Pearson's correlation of ranks found by counting.
    fn naive_spearman(x: &[f64], y: &[f64]) -> f64 {
        let rank = |values: &[f64], v: f64| {
            let count = |keep: &dyn Fn(f64) -> bool| values.iter().filter(|&&other| keep(other)).count() as f64;
            count(&|other| other < v) + (count(&|other| other == v) - 1.0) / 2.0
        };
        let centred =
            |values: &[f64]| -> Vec<f64> { values.iter().map(|&v| rank(values, v) - (values.len() - 1) as f64 / 2.0).collect() };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (x, y) = (centred(x), centred(y));
        dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()
    }

    #[test]
    fn known_answers() {
        assert_eq!(kendall_tau_b(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 3.0]).unwrap(), 0.8);
        assert_eq!(kendall_tau_b(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap(), 4.0 / 6.0);
        // No ties: rho = 1 - 6 sum d² / (n (n² - 1)) = 1 - 6 * 2 / 60.
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap(), 0.8);
        for measure in [kendall_tau_b, spearman] {
            let (up, down) = ([0.1, 0.2, 0.2, 7.0, 9.0], [5.0, 4.0, 4.0, -0.5, f64::NEG_INFINITY]);
            assert_eq!(measure(&up, &up).unwrap(), 1.0);
            assert_eq!(measure(&up, &down).unwrap(), -1.0);
            assert_eq!(measure(&[0.0, -0.0, 1.0], &[2.0, 2.0, 3.0]).unwrap(), 1.0);
        }
    }

    #[test]
    fn random_lists_agree_with_the_definition() {
        let mut rng = stream(0, "lists", 0);
        for round in 0..500 {
            let (n, levels) = (2 + round % 40, 2 + round % 11);
            let mut draw = || (0..n).map(|_| rng.random_range(0..levels) as f64 / 3.0).collect::<Vec<f64>>();
            let (x, y) = (draw(), draw());
            let Ok(tau) = kendall_tau_b(&x, &y) else {
                assert!(naive_tau_b(&x, &y).is_nan(), "{x:?} {y:?}");
                continue;
            };
            assert!((tau - naive_tau_b(&x, &y)).abs() < 1e-12, "{x:?} {y:?}");
            assert!((spearman(&x, &y).unwrap() - naive_spearman(&x, &y)).abs() < 1e-12, "{x:?} {y:?}");
        }
    }

    #[test]
    fn lists_without_an_answer_are_refused() {
        let check = |x: &[f64], y: &[f64], message: Expect| {
            let refused = [kendall_tau_b, spearman].map(|measure| measure(x, y).unwrap_err().to_string());
            assert_eq!(refused[0], refused[1]);
            message.assert_eq(&refused[0]);
        };
        check(&[1.0, 2.0], &[1.0], expect!["truth: found length 1, wanted 2, as many as the scores"]);
        check(&[1.0], &[1.0], expect!["scores: found length 1, wanted 2 or more"]);
        check(&[1.0, 2.0], &[1.0, f64::NAN], expect!["truth: found NaN at index 1 (counted from 0), wanted numbers"]);
        check(
            &[1.0, 2.0],
            &[3.0, 3.0],
            expect!["all values of truth are equal, so they have no order to correlate; wanted two that differ"],
        );
        assert!(matches!(kendall_tau_b(&[3.0, 3.0], &[1.0, 2.0]), Err(Error::Numeric(_))));
    }
}
