//! The figures by which a ranking is judged, each with its bootstrap interval over architectures.
//!
//! *Which architectures were asked about is chance*: the interval says what other lists of the same kind would have given. A
//! resample draws as many architectures as there are, with replacement; the interval holds the middle 95 % of the figures of
//! [`RESAMPLES`] resamples (percentile bootstrap: Efron, *Bootstrap methods*, 1979).

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::correlation::{Levels, check, correlation, differ, tau_b_of_sorted};
use crate::arch::stream::stream;
use crate::error::{Error, Result};

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 1000;
/// An interval is given where at least this share of the resamples has the figure: in a resample of few architectures all
/// may be equal.
const LEAST_DEFINED: f64 = 0.9;

/// One way to judge a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// Kendall's tau-b of score and truth.
    KendallTauB,
    /// Spearman's rank correlation of score and truth.
    Spearman,
    /// Tau-b with the truth rounded to multiples of this step, so that differences below the noise of training don't
    /// count (Yu et al., arXiv:2104.05309, where the step is 0.1 %).
    SparseTau(f64),
    /// Share of the `k` best by score that are among the `k` truly best. Ties are broken at random: the expectation.
    Precision(usize),
    /// The truth of what scores best; of several that tie, the mean.
    TopTruth,
    /// How many are truly better than what scores best, plus 1; of several that tie, the mean.
    TopRank,
    /// Tau-b of rank error and (the log of) params; the rank error is the rank by score less the true rank, 1 being the
    /// best. **Positive: large networks stand too low, small ones are favoured.** Noise alone is no zero of this
    /// figure, since it moves everything to the middle, and what is truly best is large.
    ComplexityBias,
    /// Kendall's partial tau of score and params, the truth held fixed, with the sign turned: positive favours small ones,
    /// and mere noise gives about 0.
    ///
    /// ```text
    /// -(tau_sp - tau_st tau_pt) / sqrt((1 - tau_st²)(1 - tau_pt²))    s score, p params, t truth
    /// ```
    PartialBias,
}

impl Figure {
    /// The name in files.
    pub fn name(self) -> String {
        match self {
            Self::KendallTauB => "kendall_tau_b".into(),
            Self::Spearman => "spearman".into(),
            Self::SparseTau(_) => "sparse_tau".into(),
            Self::Precision(k) => format!("precision_at_{k}"),
            Self::TopTruth => "top_pick_truth".into(),
            Self::TopRank => "top_pick_rank".into(),
            Self::ComplexityBias => "complexity_bias".into(),
            Self::PartialBias => "complexity_bias_partial".into(),
        }
    }

    /// The name for a person.
    pub fn title(self) -> String {
        match self {
            Self::KendallTauB => "Kendall's tau-b".into(),
            Self::Spearman => "Spearman".into(),
            Self::SparseTau(step) => format!("sparse tau ({step})"),
            Self::Precision(k) => format!("precision at {k}"),
            Self::TopTruth => "top pick, truth".into(),
            Self::TopRank => "top pick, true rank".into(),
            Self::ComplexityBias => "complexity bias".into(),
            Self::PartialBias => "the same, partial".into(),
        }
    }

    /// What it says, in one sentence for a reader of the figure.
    pub fn meaning(self) -> String {
        match self {
            Self::KendallTauB => {
                "Of all pairs of architectures, the share that the score puts in the true order less the share that it puts in the \
                 wrong one, corrected for ties: 1 all right, 0 no better than chance, −1 all wrong."
                    .into()
            }
            Self::Spearman => "The correlation of the two ranks: as tau, but a pair that lies far apart weighs more.".into(),
            Self::SparseTau(step) => format!("Tau with the truth rounded to {step}: differences below that don't count."),
            Self::Precision(1) => "Whether what scores best is truly the best.".into(),
            Self::Precision(k) => format!("The share of the {k} best by score that are among the {k} truly best."),
            Self::TopTruth => "The truth of what scores best: what a search by this score alone would find in the list.".into(),
            Self::TopRank => "How many of the list are truly better than that, plus 1.".into(),
            Self::ComplexityBias => {
                "Tau of rank error (rank by score less true rank, the best being 1) and log params: positive where large \
                 networks stand too low and small ones are favoured. Mere noise is positive too where large networks are truly \
                 better, for it moves everything to the middle."
                    .into()
            }
            Self::PartialBias => {
                "Tau of score and params with the truth held fixed, with the sign turned: positive where small networks are \
                 favoured, about 0 for mere noise."
                    .into()
            }
        }
    }

    /// Decimals that are worth reading.
    pub fn decimals(self) -> usize {
        match self {
            Self::TopRank => 0,
            Self::TopTruth => 2,
            _ => 3,
        }
    }

    /// `value` as a person reads it, a difference with its sign.
    pub fn written(self, value: f64, is_difference: bool) -> String {
        let decimals = self.decimals();
        if is_difference { format!("{value:+.decimals$}") } else { format!("{value:.decimals$}") }
    }

    /// The ends of an interval of it.
    pub fn range(self, [low, high]: [f64; 2], is_difference: bool) -> String {
        format!("{} … {}", self.written(low, is_difference), self.written(high, is_difference))
    }
}

/// What is asked of every ranking, beside what always is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Questions {
    /// The `k` of precision at `k`, each from 1 to the number of architectures.
    pub top: Vec<usize>,
    /// The step of sparse tau.
    pub sparse: Option<f64>,
    /// Seed of the resamples. All rankings are judged on the same ones.
    pub seed: u64,
}

impl Questions {
    /// Refuses what can't be asked of `count` architectures; names of fields begin with `mark`.
    pub fn check(&self, count: usize, mark: &str) -> Result<()> {
        if let Some(k) = self.top.iter().find(|&&k| !(1..=count).contains(&k)) {
            return Err(Error::invalid(format!("{mark}top"), k, format!("1…{count}, as many as there are architectures")));
        }
        if let Some(step) = self.sparse.filter(|step| !(*step > 0.0 && step.is_finite())) {
            return Err(Error::invalid(format!("{mark}sparse"), step, "a step above 0"));
        }
        Ok(())
    }

    fn figures(&self, params: bool) -> Vec<Figure> {
        let mut figures = vec![Figure::KendallTauB, Figure::Spearman];
        figures.extend(self.sparse.map(Figure::SparseTau));
        figures.extend(self.top.iter().map(|&k| Figure::Precision(k)));
        figures.extend([Figure::TopTruth, Figure::TopRank]);
        figures.extend([Figure::ComplexityBias, Figure::PartialBias].into_iter().filter(|_| params));
        figures
    }
}

/// A figure of one ranking.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Which.
    pub figure: Figure,
    /// Its value; absent where it is 0/0, such as the bias of a ranking without an error.
    pub value: Option<f64>,
    /// Its value in each resample; NaN where it is 0/0.
    pub resampled: Vec<f64>,
}

impl Judged {
    /// The 95 % interval over architectures.
    pub fn interval(&self) -> Option<[f64; 2]> {
        percentiles(&self.resampled)
    }
}

/// The middle 95 % of the values that are numbers, if enough are.
pub(super) fn percentiles(values: &[f64]) -> Option<[f64; 2]> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    if sorted.is_empty() || (sorted.len() as f64) < LEAST_DEFINED * values.len() as f64 {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Some([at(0.025), at(0.975)])
}

/// All figures of `scores` against `truth`, both with one value for each architecture; those of bias where `params` are known and
/// aren't all equal.
///
/// # Errors
/// [`Error::Invalid`] for lists of different length, of fewer than 2 values, or with a NaN, and for questions that so many can't
/// answer; [`Error::Numeric`] where all scores or all truths are equal.
pub fn judge(scores: &[f64], truth: &[f64], params: Option<&[f64]>, questions: &Questions) -> Result<Vec<Judged>> {
    check(scores, truth, 2)?;
    questions.check(scores.len(), "")?;
    differ("scores", scores)?;
    differ("truth", truth)?;
    let params = params.filter(|params| params.iter().any(|one| *one != params[0]));
    let table = Table::new(scores, truth, params);
    let figures = questions.figures(params.is_some()).into_iter().map(|figure| table.prepare(figure));
    let mut figures: Vec<(Prepared, Judged)> = figures
        .map(|prepared| {
            let value = table.measure(&prepared, &mut Sample::all(scores.len()));
            let judged = Judged { figure: prepared.figure, value, resampled: Vec::with_capacity(RESAMPLES) };
            (prepared, judged)
        })
        .collect();
    for resample in 0..RESAMPLES {
        let mut sample = Sample::draw(scores.len(), questions.seed, resample as u64);
        for (prepared, judged) in &mut figures {
            judged.resampled.push(table.measure(prepared, &mut sample).unwrap_or(f64::NAN));
        }
    }
    Ok(figures.into_iter().map(|(_, judged)| judged).collect())
}

/// See [`Figure::Precision`].
///
/// # Errors
/// [`Error::Invalid`] for lists of different length or with a NaN, and for a `k` beyond them.
pub fn precision_at(k: usize, scores: &[f64], truth: &[f64]) -> Result<f64> {
    check(scores, truth, 0)?;
    if !(1..=scores.len()).contains(&k) {
        return Err(Error::invalid("k", k, format!("1…{}, as many as there are", scores.len())));
    }
    Ok(Table::new(scores, truth, None).precision(k, &mut Sample::all(scores.len())))
}

/// Which architectures are looked at.
struct Sample {
    /// How often each is.
    times: Vec<u32>,
    /// Breaks ties. Absent where all are looked at once: then expectations are exact.
    rng: Option<ChaCha8Rng>,
}

impl Sample {
    fn all(count: usize) -> Self {
        Self { times: vec![1; count], rng: None }
    }

    fn draw(count: usize, seed: u64, resample: u64) -> Self {
        let mut rng = stream(seed, "bootstrap", resample);
        let mut times = vec![0; count];
        (0..count).for_each(|_| times[rng.random_range(0..count)] += 1);
        Self { times, rng: Some(rng) }
    }
}

/// Score, truth and size of every architecture, as levels.
struct Table<'a> {
    truth: &'a [f64],
    scores: Levels,
    truths: Levels,
    params: Option<Levels>,
    /// Positions, the best first.
    best_by_score: Vec<usize>,
    best_by_truth: Vec<usize>,
}

/// A figure with what can be made ready for all resamples.
struct Prepared {
    figure: Figure,
    /// The two sides of each tau that is needed, sorted, with the position of the architecture.
    taus: Vec<Vec<(u32, u32, usize)>>,
}

impl<'a> Table<'a> {
    fn new(scores: &[f64], truth: &'a [f64], params: Option<&[f64]>) -> Self {
        let (scores, truths) = (Levels::of(scores), Levels::of(truth));
        let (best_by_score, best_by_truth) = (best_first(&scores), best_first(&truths));
        Self { truth, scores, truths, params: params.map(Levels::of), best_by_score, best_by_truth }
    }

    fn prepare(&self, figure: Figure) -> Prepared {
        let params = || self.params.as_ref().expect("bias is asked for where params are known");
        let taus = match figure {
            Figure::KendallTauB => vec![sorted(&self.scores, &self.truths)],
            Figure::SparseTau(step) => {
                let rounded: Vec<f64> = self.truth.iter().map(|truth| (truth / step).round()).collect();
                vec![sorted(&self.scores, &Levels::of(&rounded))]
            }
            Figure::PartialBias => {
                let pairs = [(&self.scores, params()), (&self.scores, &self.truths), (params(), &self.truths)];
                pairs.map(|(x, y)| sorted(x, y)).into()
            }
            _ => vec![],
        };
        Prepared { figure, taus }
    }

    fn measure(&self, prepared: &Prepared, sample: &mut Sample) -> Option<f64> {
        match prepared.figure {
            Figure::KendallTauB | Figure::SparseTau(_) => tau(&prepared.taus[0], &sample.times),
            Figure::Spearman => {
                let times = &sample.times;
                correlation(&self.scores.ranks(times), &self.truths.ranks(times), times)
            }
            Figure::Precision(k) => Some(self.precision(k, sample)),
            Figure::TopTruth => Some(self.of_top(&sample.times, |at| self.truth[at])),
            Figure::TopRank => {
                let totals = self.truths.totals(&sample.times);
                let above = |level: u32| totals[level as usize + 1..].iter().sum::<u64>();
                Some(self.of_top(&sample.times, |at| (1 + above(self.truths.of[at])) as f64))
            }
            Figure::ComplexityBias => self.bias(&sample.times),
            Figure::PartialBias => {
                let taus: Option<Vec<f64>> = prepared.taus.iter().map(|pairs| tau(pairs, &sample.times)).collect();
                partial(taus?).map(|partial| -partial)
            }
        }
    }

    /// The mean of `value` over those that score best.
    fn of_top(&self, times: &[u32], value: impl Fn(usize) -> f64) -> f64 {
        let mut drawn = self.best_by_score.iter().copied().filter(|&at| times[at] > 0).peekable();
        let best = self.scores.of[*drawn.peek().expect("a sample isn't empty")];
        let top: Vec<usize> = drawn.take_while(|&at| self.scores.of[at] == best).collect();
        let weight: f64 = top.iter().map(|&at| f64::from(times[at])).sum();
        top.iter().map(|&at| f64::from(times[at]) * value(at)).sum::<f64>() / weight
    }

    fn precision(&self, k: usize, sample: &mut Sample) -> f64 {
        let mut found = vec![0.0; sample.times.len()];
        let exact = sample.rng.is_none();
        best(k, &self.best_by_score, &self.scores, sample).into_iter().for_each(|(at, times)| found[at] = times);
        let both = |(at, times): (usize, f64)| if exact { found[at] * times } else { f64::min(found[at], times) };
        best(k, &self.best_by_truth, &self.truths, sample).into_iter().map(both).sum::<f64>() / k as f64
    }

    fn bias(&self, times: &[u32]) -> Option<f64> {
        let (by_score, by_truth) = (self.scores.ranks(times), self.truths.ranks(times));
        let params = self.params.as_ref()?;
        // Ranks are counted from the least here, thus the difference is taken the other way round.
        let error = |at: usize| (by_truth[at] as i64 - by_score[at] as i64, params.of[at]);
        let taken = (0..times.len()).flat_map(|at| std::iter::repeat_n(at, times[at] as usize));
        let mut pairs: Vec<(i64, u32)> = taken.map(error).collect();
        pairs.sort_unstable();
        tau_b_of_sorted(&pairs)
    }
}

fn best_first(levels: &Levels) -> Vec<usize> {
    let mut order: Vec<usize> = (0..levels.of.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(levels.of[at]));
    order
}

/// The `k` best of the sample, as position and how often. Where a tie is only in part among them, chance decides; without
/// chance each has its expected share.
fn best(k: usize, best_first: &[usize], levels: &Levels, sample: &mut Sample) -> Vec<(usize, f64)> {
    let (mut chosen, mut room) = (vec![], k as u32);
    for tied in best_first.chunk_by(|&a, &b| levels.of[a] == levels.of[b]) {
        let total: u32 = tied.iter().map(|&at| sample.times[at]).sum();
        match &mut sample.rng {
            None if total > room => {
                let share = f64::from(room) / f64::from(total);
                chosen.extend(tied.iter().map(|&at| (at, share * f64::from(sample.times[at]))));
                room = 0;
            }
            Some(rng) if total > room => {
                let mut tied = tied.to_vec();
                tied.shuffle(rng);
                for at in tied {
                    let times = sample.times[at].min(room);
                    chosen.push((at, times.into()));
                    room -= times;
                }
            }
            _ => {
                chosen.extend(tied.iter().map(|&at| (at, sample.times[at].into())));
                room -= total;
            }
        }
        if room == 0 {
            break;
        }
    }
    chosen
}

fn sorted(x: &Levels, y: &Levels) -> Vec<(u32, u32, usize)> {
    let mut pairs: Vec<_> = (0..x.of.len()).map(|at| (x.of[at], y.of[at], at)).collect();
    pairs.sort_unstable();
    pairs
}

fn tau(sorted: &[(u32, u32, usize)], times: &[u32]) -> Option<f64> {
    let taken = sorted.iter().flat_map(|&(x, y, at)| std::iter::repeat_n((x, y), times[at] as usize));
    tau_b_of_sorted(&taken.collect::<Vec<_>>())
}

/// Kendall's partial tau of x and y with z held fixed, from tau of xy, xz and yz.
fn partial(taus: Vec<f64>) -> Option<f64> {
    let [xy, xz, yz] = taus[..] else { unreachable!("there are three pairs") };
    let scale = (1.0 - xz * xz) * (1.0 - yz * yz);
    (scale > 0.0).then(|| (xy - xz * yz) / scale.sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::{kendall_tau_b, spearman};
    use super::*;

    fn value(scores: &[f64], truth: &[f64], params: Option<&[f64]>, figure: Figure) -> Option<f64> {
        let table = Table::new(scores, truth, params);
        table.measure(&table.prepare(figure), &mut Sample::all(scores.len()))
    }

    #[test]
    fn figures_by_hand() {
        let (scores, truth) = ([9.0, 8.0, 7.0, 7.0, 1.0], [93.0, 90.0, 94.0, 80.0, 10.0]);
        let of = |figure| value(&scores, &truth, None, figure).unwrap();
        // The best three by score are 0, 1 and one of 2 and 3; the truly best three are 2, 0, 1.
        let precision = [1, 2, 3, 5].map(|k| of(Figure::Precision(k)));
        assert_eq!(precision, [0.0, 0.5, 2.5 / 3.0, 1.0]);
        assert_eq!([of(Figure::TopTruth), of(Figure::TopRank)], [93.0, 2.0]);
        // Both of the tied are the top pick: the means of 94 and 80, and of ranks 1 and 4.
        let tied = [1.0, 1.0, 7.0, 7.0, 1.0];
        assert_eq!([Figure::TopTruth, Figure::TopRank].map(|figure| value(&tied, &truth, None, figure).unwrap()), [87.0, 2.5]);
    }

    #[test]
    fn sparse_tau_ignores_differences_below_the_step() {
        let (scores, truth) = ([1.0, 2.0, 3.0, 4.0], [90.02, 90.01, 90.04, 91.0]);
        let exact = [1.0, 1.0, 1.0, 2.0];
        assert_eq!(value(&scores, &truth, None, Figure::SparseTau(0.1)), kendall_tau_b(&scores, &exact).ok());
        assert_eq!(value(&scores, &truth, None, Figure::SparseTau(0.01)), kendall_tau_b(&scores, &truth).ok());
        assert_eq!(value(&scores, &truth, None, Figure::SparseTau(10.0)), None, "all equal after rounding");
    }

    #[test]
    fn bias_is_positive_where_small_networks_are_favoured() {
        let (params, truth) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
        let both = |scores: [f64; 4]| {
            [Figure::ComplexityBias, Figure::PartialBias].map(|figure| value(&scores, &truth, Some(&params), figure))
        };
        // Ranks by score 1 2 3 4, true ranks 4 3 2 1: errors -3 -1 1 3.
        assert_eq!(both([4.0, 3.0, 2.0, 1.0])[0], Some(1.0));
        assert_eq!(both([1.0, 2.0, 3.0, 4.0]), [None, None], "no error, no bias");
        // Sizes say nothing about this truth (tau 0), and they are the score: ranks by score 4 3 2 1, true ranks 3 1 4 2,
        // errors 1 2 -2 -1, of whose pairs two rise with size and four fall.
        let truth = [20.0, 40.0, 10.0, 30.0];
        let large = [Figure::ComplexityBias, Figure::PartialBias].map(|figure| value(&params, &truth, Some(&params), figure));
        assert_eq!(large, [Some(-2.0 / 6.0), Some(-1.0)]);
    }

    /// Noise over a truth that grows with size.
    fn noisy(count: usize, noise: f64, small: f64, seed: u64) -> [Vec<f64>; 3] {
        let mut rng = stream(seed, "noisy", 0);
        let mut uniform = || rng.random_range(-1.0..1.0);
        let params: Vec<f64> = (0..count).map(|_| uniform()).collect();
        let truth: Vec<f64> = params.iter().map(|size| size + uniform()).collect();
        let score = truth.iter().zip(&params).map(|(truth, size)| truth + noise * uniform() - small * size).collect();
        [score, truth, params]
    }

    #[test]
    fn noise_looks_like_a_bias_but_not_like_a_partial_one() {
        let both = |noise, small| {
            let [score, truth, params] = noisy(600, noise, small, 5);
            [Figure::ComplexityBias, Figure::PartialBias].map(|figure| value(&score, &truth, Some(&params), figure).unwrap())
        };
        let [whole, partial] = both(1e6, 0.0);
        assert!(whole > 0.2 && partial.abs() < 0.06, "mere noise: {whole} {partial}");
        let [whole, partial] = both(0.5, 1.0);
        assert!(whole > 0.2 && partial > 0.2, "small ones favoured: {whole} {partial}");
        let [whole, partial] = both(0.5, -1.0);
        assert!(whole < -0.2 && partial < -0.2, "large ones favoured: {whole} {partial}");
    }

    #[test]
    fn a_resample_is_the_list_written_out() {
        let [score, truth, params] = noisy(40, 2.0, 0.5, 1);
        let coarse = |values: Vec<f64>| values.into_iter().map(|value| (value * 3.0).round()).collect::<Vec<f64>>();
        let (score, truth, params) = (coarse(score), coarse(truth), coarse(params));
        let table = Table::new(&score, &truth, Some(&params));
        let close = |a: Option<f64>, b: Option<f64>| {
            a.zip(b).map_or_else(|| assert_eq!(a, b), |(a, b)| assert!((a - b).abs() < 1e-12, "{a} {b}"))
        };
        for resample in 0..200 {
            let sample = || Sample::draw(40, 7, resample);
            let times = sample().times;
            assert_eq!(times.iter().sum::<u32>(), 40);
            let out = |values: &[f64]| -> Vec<f64> {
                values.iter().zip(&times).flat_map(|(&value, &times)| std::iter::repeat_n(value, times as usize)).collect()
            };
            let (score, truth, params) = (out(&score), out(&truth), out(&params));
            let measured = |figure| table.measure(&table.prepare(figure), &mut sample());
            close(measured(Figure::KendallTauB), kendall_tau_b(&score, &truth).ok());
            close(measured(Figure::Spearman), spearman(&score, &truth).ok());
            let same = [Figure::SparseTau(2.0), Figure::TopTruth, Figure::TopRank, Figure::ComplexityBias, Figure::PartialBias];
            same.into_iter().for_each(|figure| close(measured(figure), value(&score, &truth, Some(&params), figure)));
        }
    }

    #[test]
    fn ties_are_broken_at_random_on_average_as_expected() {
        let (scores, truth) = ([3.0, 3.0, 3.0, 1.0, 1.0, 0.0], [5.0, 1.0, 5.0, 5.0, 0.0, 0.0]);
        let table = Table::new(&scores, &truth, None);
        for k in 1..=6 {
            let draw = |step| {
                let mut sample = Sample { times: vec![1; 6], rng: Some(stream(0, "ties", step)) };
                table.precision(k, &mut sample)
            };
            let mean = (0..20_000).map(draw).sum::<f64>() / 20_000.0;
            let expected = precision_at(k, &scores, &truth).unwrap();
            assert!((mean - expected).abs() < 0.015, "at {k}: {mean}, expected {expected}");
        }
        assert!(precision_at(7, &scores, &truth).is_err() && precision_at(0, &scores, &truth).is_err());
    }

    #[test]
    fn copies_of_one_architecture_do_not_lower_its_precision() {
        let table = Table::new(&[1.0, 2.0], &[1.0, 2.0], None);
        let mut sample = Sample { times: vec![0, 5], rng: Some(stream(0, "ties", 0)) };
        assert_eq!(table.precision(1, &mut sample), 1.0);
    }

    /// Tau of pairs with correlation r is 2/π asin r, for normal ones; here sums of two uniform numbers share one: 0.4.
    #[test]
    fn intervals_hold_the_truth_nineteen_times_in_twenty() {
        let mut held = 0;
        let exact = {
            let [score, truth, _] = noisy(20_000, 1.0, 1.0, 1000);
            kendall_tau_b(&score, &truth).unwrap()
        };
        for seed in 0..60 {
            let [score, truth, _] = noisy(80, 1.0, 1.0, seed);
            let questions = Questions { seed, ..Questions::default() };
            let [low, high] = judge(&score, &truth, None, &questions).unwrap()[0].interval().unwrap();
            held += usize::from((low..=high).contains(&exact));
        }
        assert!((52..=60).contains(&held), "{held} of 60");
    }

    #[test]
    fn percentiles_lie_between_the_values() {
        let values: Vec<f64> = (0..=1000).rev().map(f64::from).collect();
        assert_eq!(percentiles(&values), Some([25.0, 975.0]));
        let some = |numbers: usize| [vec![1.0; numbers], vec![f64::NAN; 100 - numbers]].concat();
        assert_eq!((percentiles(&some(90)), percentiles(&some(89))), (Some([1.0, 1.0]), None));
    }
}
