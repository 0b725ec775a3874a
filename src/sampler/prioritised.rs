//! Prioritised subnet sampling (PSS-Net, arXiv:2109.05432): training concentrates on the subnets that are good for what they
//! cost.
//!
//! Costs are cut into buckets, `target(m) = round((m − o) / step) · step + o` with `o = from mod step`, and every bucket has a
//! pool of its best subnets so far. A step draws a bucket uniformly among those of all metrics, then one path: with probability
//! `p`, or while the pool isn't full, from the space, else from the pool with probability `softmax(score / τ)`. `p` and `τ` fall
//! geometrically over the epochs, `first · (last / first)^(e / E)`. A score is minus the loss on the batch of the step; one that
//! is known moves by `0.9 · old + 0.1 · new`, since losses on unlike batches can't be compared. A pool that overflows loses its
//! worst.
//!
//! To draw from the space within a bucket, options are drawn gene by gene with the frequencies that they had among the subnets
//! of the bucket in `draws` uniform draws, until the cost is in the bucket.
//!
//! Departures: a pool is full with as many subnets as its bucket was seen to have, if these are fewer than `size` (a space of
//! choices has small buckets, one of widths has not); a subnet that can't be found in 1,000 tries is the first one
//! that was seen in the bucket; a bucket in which nothing was seen is dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{Ask, Sampler, Scope, Settings, Trial, Uniform, softmax};
use crate::arch::{Arch, Cost, Gene, Metric, stream::stream};
use crate::error::{at_least, within};
use crate::state::State;
use crate::{Error, Result};

/// Tries to hit a bucket.
const TRIES: usize = 1000;

/// Buckets of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buckets {
    /// `params` or `macs`.
    pub metric: Metric,
    /// The smallest target.
    pub from: f64,
    /// The greatest target.
    pub to: f64,
    /// Between two targets.
    pub step: f64,
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prioritised {
    /// The buckets of each metric.
    pub buckets: Vec<Buckets>,
    /// Subnets in a pool.
    pub size: usize,
    /// Uniform draws that the frequencies come from.
    pub draws: usize,
    /// First and last probability of a draw from the space.
    pub chance: [f64; 2],
    /// First and last temperature of the scores.
    pub temperature: [f64; 2],
    /// Share of the old score in a new one.
    pub memory: f64,
}

impl Default for Prioritised {
    fn default() -> Self {
        Self { buckets: vec![], size: 50, draws: 100_000, chance: [1.0, 0.01], temperature: [1.0, 0.01], memory: 0.9 }
    }
}

impl Buckets {
    /// The target that `value` belongs to.
    fn target(&self, value: f64) -> f64 {
        let offset = self.from.rem_euclid(self.step);
        ((value - offset) / self.step).round_ties_even() * self.step + offset
    }

    /// The number of the bucket of a cost, if it has one.
    fn place(&self, cost: Cost) -> Option<usize> {
        let target = self.target(self.metric.of(cost)?);
        let within = target >= self.from - self.step / 2.0 && target <= self.to + self.step / 2.0;
        within.then(|| ((target - self.from) / self.step).round() as usize)
    }

    fn check(&self) -> Result<()> {
        let field = "train.sampler.buckets";
        if self.metric.of(Cost::default()).is_none() {
            return Err(Error::invalid(format!("{field}.metric"), format!("\"{}\"", self.metric.name()), "params or macs"));
        }
        let ordered = self.from >= 0.0 && self.from <= self.to && self.step > 0.0 && self.to.is_finite();
        if !ordered || (self.to - self.from) / self.step > 1e4 {
            let found = format!("from {} to {} by {}", self.from, self.to, self.step);
            return Err(Error::invalid(field, found, "0 ≤ from ≤ to and a step above 0, 10,000 buckets at most"));
        }
        Ok(())
    }
}

/// `first · (last / first)^progress`.
fn falling([first, last]: [f64; 2], progress: f64) -> f64 {
    first * (last / first).powf(progress)
}

impl Settings for Prioritised {
    fn build(&self, scope: &Scope) -> Result<Box<dyn Sampler>> {
        self.check()?;
        let seen = self.look(scope);
        // A part of the space may hold nothing of any bucket: it is drawn from as if there were none.
        if seen.is_empty() && scope.region.is_part(scope.genes) {
            return Uniform {}.build(scope);
        }
        if seen.is_empty() {
            let wanted = "buckets that hold some architecture of the space";
            return Err(Error::invalid("train.sampler.buckets", "none that was met by any draw", wanted));
        }
        let pools = seen.iter().map(|_| BTreeMap::new()).collect();
        let (genes, cost, epochs) = (scope.genes.to_vec(), scope.cost.clone(), scope.epochs);
        let steps_per_epoch = (scope.steps / scope.epochs.max(1)).max(1);
        let (config, asked) = (self.clone(), None);
        Ok(Box::new(Pools { config, genes, cost, epochs, steps_per_epoch, seen, pools, asked }))
    }
}

impl Prioritised {
    fn check(&self) -> Result<()> {
        if self.buckets.is_empty() {
            let wanted = "at least one of the form { metric = \"macs\", from = 1e7, to = 2e8, step = 1e7 }";
            return Err(Error::invalid("train.sampler.buckets", "nothing", wanted));
        }
        self.buckets.iter().try_for_each(Buckets::check)?;
        for (name, count) in [("size", self.size), ("draws", self.draws)] {
            at_least(&format!("train.sampler.{name}"), count as f64, 1.0)?;
        }
        within("train.sampler.memory", self.memory, 0.0, 1.0)?;
        let shares = [("chance", self.chance), ("temperature", self.temperature)];
        for (name, ends) in shares {
            if ends.iter().any(|end| !(*end > 0.0 && *end <= 1.0)) {
                return Err(Error::invalid(format!("train.sampler.{name}"), format!("{ends:?}"), "above 0, at most 1"));
            }
        }
        Ok(())
    }

    /// The number of each bucket that a cost belongs to: one per metric at most.
    fn places(&self, cost: Cost) -> Vec<(usize, usize)> {
        let place = |(metric, buckets): (usize, &Buckets)| Some((metric, buckets.place(cost)?));
        self.buckets.iter().enumerate().filter_map(place).collect()
    }

    /// What uniform draws show of the buckets.
    fn look(&self, scope: &Scope) -> Vec<Seen> {
        let mut known: HashMap<Arch, Vec<(usize, usize)>> = HashMap::new();
        let mut seen: BTreeMap<(usize, usize), (Seen, BTreeSet<Arch>)> = BTreeMap::new();
        let mut rng = stream(scope.seed, "prior", 0);
        for _ in 0..self.draws {
            let arch = scope.region.draw(&mut rng);
            let places = known.entry(arch.clone()).or_insert_with(|| self.places((scope.cost)(&arch)));
            for &place in &*places {
                let (seen, distinct) =
                    seen.entry(place).or_insert_with(|| (Seen::new(place, scope.genes, &arch), BTreeSet::new()));
                seen.counts.iter_mut().enumerate().for_each(|(gene, counts)| counts[arch.option(gene)] += 1);
                if distinct.len() < self.size {
                    distinct.insert(arch.clone());
                }
                seen.full = distinct.len();
            }
        }
        seen.into_values().map(|(seen, _)| seen).collect()
    }
}

/// What was seen of one bucket.
struct Seen {
    /// Which metric and which bucket of it.
    place: (usize, usize),
    /// How often each option of each gene was met.
    counts: Vec<Vec<u32>>,
    /// The first subnet.
    first: Arch,
    /// Subnets that a full pool has.
    full: usize,
}

impl Seen {
    fn new(place: (usize, usize), genes: &[Gene], first: &Arch) -> Self {
        let counts = genes.iter().map(|gene| vec![0; gene.options.len()]).collect();
        Self { place, counts, first: first.clone(), full: 0 }
    }

    /// Draws option by option with the frequencies that were seen.
    fn draw(&self, genes: &[Gene], rng: &mut impl Rng) -> Arch {
        let options: Vec<usize> = self.counts.iter().map(|counts| weighted(counts.iter().map(|&n| f64::from(n)), rng)).collect();
        Arch::new(genes, &options).expect("drawn within the options")
    }
}

/// A position, with probability in proportion to its weight.
fn weighted(weights: impl Iterator<Item = f64> + Clone, rng: &mut impl Rng) -> usize {
    let mut left = rng.random::<f64>() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (at, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        last = at;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The best subnets of a bucket so far, with their scores.
type Pool = BTreeMap<Arch, f64>;

/// Writes down a new score; a pool of more than `size` loses its worst.
fn enter(pool: &mut Pool, arch: Arch, score: f64, memory: f64, size: usize) {
    pool.entry(arch).and_modify(|old| *old = memory * *old + (1.0 - memory) * score).or_insert(score);
    if pool.len() > size {
        let worst = pool.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(arch, _)| arch.clone());
        worst.map(|worst| pool.remove(&worst));
    }
}

/// The sampler at work.
struct Pools {
    config: Prioritised,
    genes: Vec<Gene>,
    cost: Arc<dyn Fn(&Arch) -> Cost + Send + Sync>,
    epochs: u64,
    steps_per_epoch: u64,
    seen: Vec<Seen>,
    pools: Vec<Pool>,
    /// The bucket of the path that was asked for last.
    asked: Option<usize>,
}

impl Pools {
    fn draw_from_space(&self, bucket: usize, rng: &mut impl Rng) -> Arch {
        let seen = &self.seen[bucket];
        let hits = |arch: &Arch| self.config.places((self.cost)(arch)).contains(&seen.place);
        let mut drawn = (0..TRIES).map(|_| seen.draw(&self.genes, rng));
        drawn.find(hits).unwrap_or_else(|| seen.first.clone())
    }

    fn draw_from_pool(&self, bucket: usize, temperature: f64, rng: &mut impl Rng) -> Arch {
        let (archs, scores): (Vec<&Arch>, Vec<f64>) = self.pools[bucket].iter().unzip();
        archs[weighted(softmax(&scores, temperature).iter().copied(), rng)].clone()
    }
}

impl Sampler for Pools {
    fn ask(&mut self, ask: &Ask) -> Vec<Arch> {
        let mut rng = stream(ask.seed, "sample", ask.step);
        let progress = (ask.step / self.steps_per_epoch) as f64 / self.epochs as f64;
        let bucket = rng.random_range(0..self.seen.len());
        let wants_new = rng.random::<f64>() < falling(self.config.chance, progress);
        self.asked = Some(bucket);
        vec![match wants_new || self.pools[bucket].len() < self.seen[bucket].full {
            true => self.draw_from_space(bucket, &mut rng),
            false => self.draw_from_pool(bucket, falling(self.config.temperature, progress), &mut rng),
        }]
    }

    fn listens(&self) -> bool {
        true
    }

    fn tell(&mut self, _: &Ask, trials: &[Trial]) {
        let (Some(bucket), [Trial { arch, loss }]) = (self.asked.take(), trials) else { return };
        enter(&mut self.pools[bucket], arch.clone(), -loss, self.config.memory, self.config.size);
    }

    /// The best of each pool.
    fn picks(&self, _: &Ask) -> Vec<Arch> {
        let best = |pool: &Pool| pool.iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(arch, _)| arch.clone());
        self.pools.iter().filter_map(best).collect()
    }

    fn state(&self) -> Option<State> {
        let pool = |pool: &Pool| pool.iter().map(|(arch, &score)| (arch.options(), score)).collect::<Vec<_>>();
        Some(State::of(self.pools.iter().map(pool).collect::<Vec<_>>()))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let saved: Vec<Vec<(Vec<usize>, f64)>> = state.read()?;
        if saved.len() != self.seen.len() {
            let found = format!("{} pools", saved.len());
            return Err(Error::invalid("checkpoint state `sampler`", found, format!("{}", self.seen.len())));
        }
        let pool =
            |pool: Vec<(Vec<usize>, f64)>| pool.into_iter().map(|(arch, score)| Ok((Arch::new(&self.genes, &arch)?, score)));
        self.pools = saved.into_iter().map(|saved| pool(saved).collect()).collect::<Result<_>>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-6, "found {found}, wanted {wanted}");
    }

    #[test]
    fn chance_and_temperature_of_250_epochs() {
        for (epoch, wanted) in [(0.0, 1.0), (125.0, 0.1), (249.0, 0.010_185_9)] {
            close(falling([1.0, 0.01], epoch / 250.0), wanted);
        }
    }

    #[test]
    fn buckets_round_and_halves_go_to_the_even_one() {
        let buckets = |from| Buckets { metric: Metric::Macs, from, to: 300.0, step: 10.0 };
        let targets = [114.9, 115.1, 115.0, 125.0].map(|value| buckets(70.0).target(value));
        assert_eq!(targets, [110.0, 120.0, 120.0, 120.0]);
        assert_eq!(buckets(73.0).target(114.0), 113.0, "the offset is 3");
        let place = |macs| buckets(70.0).place(Cost { macs, ..Default::default() });
        assert_eq!(
            [place(64), place(66), place(74), place(76), place(304), place(306)],
            [None, Some(0), Some(0), Some(1), Some(23), None]
        );
    }

    #[test]
    fn a_pool_keeps_the_best_and_moves_what_it_knows() {
        let toy = toy(&[3]);
        let arch = |option| Arch::new(&toy.genes, &[option]).unwrap();
        let mut pool = Pool::new();
        for (option, score) in [(0, -2.0), (1, -1.0), (2, -3.0)] {
            enter(&mut pool, arch(option), score, 0.9, 2);
        }
        assert_eq!(pool.keys().cloned().collect::<Vec<_>>(), [arch(0), arch(1)]);
        enter(&mut pool, arch(0), -1.0, 0.9, 2);
        close(pool[&arch(0)], -1.9);
    }

    #[test]
    fn scores_become_probabilities() {
        let warm = softmax(&[-1.0, -2.0], 1.0);
        close(warm[0], 0.731_059);
        close(warm[1], 0.268_941);
        let cold = softmax(&[-1.0, -2.0], 0.01);
        assert!(cold[0] == 1.0 && (cold[1] / 3.72e-44 - 1.0).abs() < 1e-2, "{cold:?}");
    }

    /// Costs of the toy are sums of the options, so that four genes of three options have costs 0…8.
    fn prioritised() -> Prioritised {
        let buckets = vec![Buckets { metric: Metric::Params, from: 0.0, to: 8.0, step: 1.0 }];
        Prioritised { buckets, size: 3, draws: 3000, ..Default::default() }
    }

    #[test]
    fn buckets_are_drawn_equally_often_and_their_paths_lie_in_them() {
        let toy = toy(&[3; 4]);
        let mut sampler = prioritised().build(&toy.scope(None)).unwrap();
        let mut counts = [0u32; 9];
        for step in 0..900 {
            counts[sampler.ask(&toy.ask(None, step))[0].options().iter().sum::<usize>()] += 1;
        }
        // Uniform paths would have a cost of 8 once in 81; four deviations of 100 ± 9.4.
        assert!(counts.iter().all(|count| count.abs_diff(100) < 38), "{counts:?}");
    }

    #[test]
    fn in_the_end_training_is_about_the_best_of_each_bucket() {
        let toy = toy(&[3; 4]);
        let config = Prioritised { chance: [0.1, 0.1], temperature: [0.01, 0.01], ..prioritised() };
        let mut sampler = config.build(&toy.scope(None)).unwrap();
        // The first gene decides: the greater its option the lower the loss.
        let mut late = vec![];
        for step in 0..4000 {
            let ask = toy.ask(None, step);
            let arch = sampler.ask(&ask).remove(0);
            if step >= 2000 && arch.options().iter().sum::<usize>() == 4 {
                late.push(arch.option(0));
            }
            let loss = 2.0 - arch.option(0) as f64;
            sampler.tell(&ask, &[Trial { arch, loss }]);
        }
        let best = late.iter().filter(|&&option| option == 2).count();
        assert!(best as f64 > 0.9 * late.len() as f64, "{best} of {}", late.len());
    }

    #[test]
    fn what_makes_no_buckets_is_refused() {
        let toy = toy(&[3; 4]);
        let refused = |config: Prioritised| config.build(&toy.scope(None)).err().unwrap().to_string();
        assert!(refused(Prioritised::default()).starts_with("train.sampler.buckets: found nothing, wanted at least one"));
        let with = |change: fn(&mut Buckets)| {
            let mut config = prioritised();
            change(&mut config.buckets[0]);
            refused(config)
        };
        assert_eq!(
            with(|b| b.metric = Metric::LatencyMs),
            "train.sampler.buckets.metric: found \"latency_ms\", wanted params or macs"
        );
        assert!(with(|b| b.step = 0.0).starts_with("train.sampler.buckets: found from 0 to 8 by 0, wanted"));
        let far = with(|b| (b.from, b.to) = (100.0, 110.0));
        assert!(far.starts_with("train.sampler.buckets: found none that was met by any draw"), "{far}");
        let chance = refused(Prioritised { chance: [1.0, 0.0], ..prioritised() });
        assert_eq!(chance, "train.sampler.chance: found [1.0, 0.0], wanted above 0, at most 1");
    }
}
