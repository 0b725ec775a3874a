//! Probability shift (ShiftNAS, arXiv:2307.08300): training goes where it is still wanted, and a generator learns to write
//! architectures of a wanted cost.
//!
//! Costs of the space are cut into bins. A step draws a bin `b` from `softmax(B)` and asks the generator for a path of the bin's
//! cost `C`; its loss and its cost teach the generator (Adam). After a warm-up, every so many steps, `B` moves (Adam) up the
//! slope of `Σ softmax(B)_b s_b`, where `s_b = ‖∇_w L_validation(w, α_b)‖` says how far the paths of a bin are from having learnt
//! enough.
//!
//! The generator is an LSTM that is given `C` and what it chose last, and chooses option by option with straight-through
//! Gumbel-softmax. It is taught by `L_task + λ L_RC` with `L_RC = (Σ_i Σ_j c_ij p_ij − C)²`, `c_ij` the cost of option `j` of
//! gene `i`.
//!
//! Ours, since the paper doesn't say or its space is another: `λ` and the temperature; costs in units of one bin; what a gene
//! costs is counted as if costs added up over genes; `s_b` from one path and one batch, without finite differences; of 16 drafts
//! the one of the nearest cost is picked in the end; and the slope of `L_task`, which is the score function
//! `(L − mean of the bin) ∇ log p(α)`, for in a space of choices its slope through the path would need every option to be run.
//! The mapping of one-hot choices to masks belongs to widths, which no space here has.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Ask, Sampler, Scope, Settings, Trial, Uniform, softmax};
use crate::arch::{Arch, Cost, Metric, stream::stream};
use crate::error::at_least;
use crate::state::State;
use crate::{Error, Result};

/// Share of the last loss in the mean of its bin.
const MEAN_MOMENTUM: f64 = 0.1;
/// Drafts that a pick is chosen from.
const DRAFTS: usize = 16;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shift {
    /// What costs are: `macs` or `params`.
    pub metric: Metric,
    /// Bins, from the smallest path of the space to the largest.
    pub bins: usize,
    /// Epochs in which all bins are drawn alike.
    pub warm_up: u64,
    /// Steps between two moves of the probabilities.
    pub every: u64,
    /// Rate of both Adams.
    pub rate: f64,
    /// `λ`: how strongly a wrong cost counts beside the loss.
    pub cost_weight: f64,
    /// Temperature of the Gumbel-softmax.
    pub temperature: f64,
    /// Width of the generator.
    pub hidden: usize,
}

impl Default for Shift {
    fn default() -> Self {
        Self {
            metric: Metric::Macs,
            bins: 10,
            warm_up: 50,
            every: 100,
            rate: 1e-3,
            cost_weight: 1.0,
            temperature: 1.0,
            hidden: 64,
        }
    }
}

impl Settings for Shift {
    fn build(&self, scope: &Scope) -> Result<Box<dyn Sampler>> {
        self.check()?;
        let figure = |arch: &Arch| self.metric.of((scope.cost)(arch)).expect("a counted metric");
        let (least, most) = (figure(&(scope.smallest)(scope.region)), figure(&(scope.largest)(scope.region)));
        // A part of the space may have paths of one cost only: then no cost is to be preferred.
        if most <= least && scope.region.is_part(scope.genes) {
            return Uniform {}.build(scope);
        }
        if most <= least {
            return Err(Error::invalid(
                "train.sampler.metric",
                format!("{} from {least} to {most}", self.metric.name()),
                "a range",
            ));
        }
        let bin = (most - least) / (self.bins - 1) as f64;
        let costs = slopes(scope, figure, bin);
        let allowed = (0..scope.genes.len()).map(|gene| scope.region.options(gene).to_vec()).collect();
        let start = (figure(&first(scope)) - least) / bin;
        let generator = Generator::new(costs, allowed, start, self.hidden, scope.seed);
        let bins = (0..self.bins).map(|_| Bin::default()).collect();
        let warm_up = self.warm_up * (scope.steps / scope.epochs.max(1)).max(1);
        Ok(Box::new(Shifting { config: self.clone(), warm_up, generator, bins, moves: 0, asked: None }))
    }

    fn warm_up(&self) -> u64 {
        self.warm_up
    }
}

impl Shift {
    fn check(&self) -> Result<()> {
        if self.metric.of(Cost::default()).is_none() {
            return Err(Error::invalid("train.sampler.metric", format!("\"{}\"", self.metric.name()), "params or macs"));
        }
        for (name, value, least) in
            [("bins", self.bins as f64, 2.0), ("every", self.every as f64, 1.0), ("hidden", self.hidden as f64, 1.0)]
        {
            at_least(&format!("train.sampler.{name}"), value, least)?;
        }
        for (name, value) in [("rate", self.rate), ("temperature", self.temperature), ("cost_weight", self.cost_weight)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::invalid(format!("train.sampler.{name}"), value, "above 0"));
            }
        }
        Ok(())
    }
}

/// The architecture of the first options that are allowed.
fn first(scope: &Scope) -> Arch {
    let options: Vec<usize> = (0..scope.genes.len()).map(|gene| scope.region.options(gene)[0]).collect();
    Arch::new(scope.genes, &options).expect("a region has options of the space")
}

/// What each option costs more than the first one of its gene, in bins.
fn slopes(scope: &Scope, figure: impl Fn(&Arch) -> f64, bin: f64) -> Vec<Vec<f64>> {
    let first = first(scope);
    let base = figure(&first);
    let gene = |gene: usize| {
        let options = 0..scope.genes[gene].options.len();
        options.map(|option| (figure(&first.with(gene, option)) - base) / bin).collect()
    };
    (0..scope.genes.len()).map(gene).collect()
}

/// Moments of Adam (arXiv:1412.6980) for one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    first: f64,
    second: f64,
}

impl Moments {
    /// How far `slope` moves the number, in units of the rate; `time` counts from 1.
    fn step(&mut self, slope: f64, time: u64) -> f64 {
        self.first = 0.9 * self.first + 0.1 * slope;
        self.second = 0.999 * self.second + 0.001 * slope * slope;
        let [first, second] =
            [(self.first, 0.9f64), (self.second, 0.999)].map(|(moment, beta)| moment / (1.0 - beta.powf(time as f64)));
        first / (second.sqrt() + 1e-8)
    }
}

/// What is known of one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    /// Its entry of `B`.
    logit: f64,
    moments: Moments,
    /// Mean loss of its paths, once there is one.
    mean: Option<f64>,
}

/// `softmax(B)`.
fn probabilities(bins: &[Bin]) -> Vec<f64> {
    softmax(&bins.iter().map(|bin| bin.logit).collect::<Vec<_>>(), 1.0)
}

/// Moves probability to the bins with the greater signals: up the slope `p_b (s_b − Σ p s)` of the expected signal.
fn shift(bins: &mut [Bin], signals: &[f64], rate: f64, time: u64) {
    let shares = probabilities(bins);
    let expected: f64 = shares.iter().zip(signals).map(|(share, signal)| share * signal).sum();
    for ((bin, share), signal) in bins.iter_mut().zip(shares).zip(signals) {
        bin.logit += rate * bin.moments.step(share * (signal - expected), time);
    }
}

/// Gumbel noise: `argmax(logits + noise)` is drawn from `softmax(logits)`.
fn gumbel(rng: &mut impl Rng) -> f64 {
    -(-rng.random_range(f64::MIN_POSITIVE..1.0).ln()).ln()
}

/// Writes an architecture of a wanted cost.
struct Generator {
    /// Of each option of each gene, in bins, beyond the first one's.
    costs: Vec<Vec<f64>>,
    /// The options of each gene that may be written.
    allowed: Vec<Vec<usize>>,
    /// What the first options cost, in bins above the smallest path.
    start: f64,
    hidden: i64,
    /// All weights: those of the cell, then a head per gene.
    weights: Tensor,
    /// Adam's moments of all weights, `[2, weights]`, and how often they moved.
    moments: Tensor,
    time: u64,
}

/// What the generator wrote, with slopes.
struct Written {
    options: Vec<usize>,
    log_probability: Tensor,
    /// `L_RC`.
    cost_error: Tensor,
}

impl Generator {
    fn new(costs: Vec<Vec<f64>>, allowed: Vec<Vec<usize>>, start: f64, hidden: usize, seed: u64) -> Self {
        let hidden = hidden as i64;
        let count = sizes(&costs, hidden).iter().map(|size| size.iter().product::<i64>()).sum::<i64>();
        let mut rng = stream(seed, "init/generator", 0);
        let bound = (hidden as f32).sqrt().recip();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-bound..bound)).collect();
        let weights = Tensor::from_slice(&values).set_requires_grad(true);
        let moments = Tensor::zeros([2, count], (Kind::Float, tch::Device::Cpu));
        Self { costs, allowed, start, hidden, weights, moments, time: 0 }
    }

    /// Writes for `target`, in bins; without noise the likeliest.
    fn write(&self, target: f64, temperature: f64, mut noise: impl FnMut() -> f64) -> Written {
        let sizes = sizes(&self.costs, self.hidden);
        let lengths: Vec<i64> = sizes.iter().map(|size| size.iter().product()).collect();
        let parts = self.weights.split_with_sizes(&lengths[..], 0);
        let part = |at: usize| parts[at].view(&sizes[at][..]);
        let (cell, bias) = (part(0), part(1));
        let width = sizes[0][0] - self.hidden - 1;
        let options = (Kind::Float, tch::Device::Cpu);
        let (mut h, mut c) = (Tensor::zeros([1, self.hidden], options), Tensor::zeros([1, self.hidden], options));
        let mut last = Tensor::zeros([1, width], options);
        let mut written = Written { options: vec![], log_probability: Tensor::from(0f32), cost_error: Tensor::from(0f32) };
        let mut cost = Tensor::from((self.start - target) as f32);
        let wanted = Tensor::from_slice(&[self.scaled(target) as f32]).view([1, 1]);
        for (gene, costs) in self.costs.iter().enumerate() {
            let gates = (Tensor::cat(&[&last, &wanted, &h], 1).matmul(&cell) + &bias).chunk(4, 1);
            c = gates[0].sigmoid() * &c + gates[1].sigmoid() * gates[2].tanh();
            h = gates[3].sigmoid() * c.tanh();
            let logits = h.matmul(&part(2 + 2 * gene)) + part(3 + 2 * gene) + self.mask(gene); // [1, options]
            let drawn: Vec<f32> = costs.iter().map(|_| noise() as f32).collect();
            let soft = ((&logits + Tensor::from_slice(&drawn)) / temperature).softmax(1, Kind::Float);
            let option = soft.argmax(1, false);
            let hard = option.one_hot(costs.len() as i64).to_kind(Kind::Float) - soft.detach() + &soft;
            let prices: Vec<f32> = costs.iter().map(|&cost| cost as f32).collect();
            cost += (&hard * Tensor::from_slice(&prices)).sum(Kind::Float);
            written.log_probability += logits.log_softmax(1, Kind::Float).gather(1, &option.view([1, 1]), false).sum(Kind::Float);
            written.options.push(option.int64_value(&[0]) as usize);
            last = hard.constant_pad_nd([0, width - costs.len() as i64]);
        }
        written.cost_error = cost.square();
        written
    }

    /// Makes what isn't allowed as good as impossible.
    fn mask(&self, gene: usize) -> Tensor {
        let unlikely = |option| if self.allowed[gene].contains(&option) { 0.0f32 } else { -1e9 };
        Tensor::from_slice(&(0..self.costs[gene].len()).map(unlikely).collect::<Vec<f32>>())
    }

    /// `target` in −1…1, over all that can be written.
    fn scaled(&self, target: f64) -> f64 {
        let ends = |end: fn(f64, f64) -> f64| {
            let genes = self.costs.iter().zip(&self.allowed);
            let of_gene = |(costs, allowed): (&Vec<f64>, &Vec<usize>)| allowed.iter().map(|&option| costs[option]).reduce(end);
            self.start + genes.filter_map(of_gene).sum::<f64>()
        };
        let (least, most) = (ends(f64::min), ends(f64::max));
        (2.0 * target - least - most) / (most - least)
    }

    /// Of some drafts, the likeliest among them, the one whose cost is nearest to `target`.
    fn pick(&self, target: f64, rng: &mut impl Rng) -> Vec<usize> {
        let draft = |at: usize| self.write(target, 1.0, || if at == 0 { 0.0 } else { gumbel(rng) });
        let drafts = tch::no_grad(|| {
            (0..DRAFTS).map(draft).map(|draft| (draft.cost_error.double_value(&[]), draft.options)).collect::<Vec<_>>()
        });
        drafts.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are drafts").1
    }

    /// One step of Adam down the slope of `loss`.
    fn learn(&mut self, loss: &Tensor, rate: f64) {
        let slope = Tensor::run_backward(&[loss], &[&self.weights], false, false).remove(0);
        self.time += 1;
        let (mut first, mut second) = (self.moments.get(0), self.moments.get(1));
        let [left_first, left_second] = [0.9f64, 0.999].map(|beta| 1.0 - beta.powf(self.time as f64));
        tch::no_grad(|| {
            let _ = first.g_mul_scalar_(0.9).g_add_(&(&slope * 0.1));
            let _ = second.g_mul_scalar_(0.999).g_add_(&(slope.square() * 0.001));
            let _ = self.weights.g_sub_(&(rate * (&first / left_first) / ((&second / left_second).sqrt() + 1e-8)));
        });
    }
}

/// Of the weights: the cell's for inputs (last choice, wanted cost, state), its bias, then a matrix and a bias per gene.
fn sizes(costs: &[Vec<f64>], hidden: i64) -> Vec<Vec<i64>> {
    let width = costs.iter().map(Vec::len).max().unwrap_or(0) as i64;
    let heads = costs.iter().flat_map(|costs| [vec![hidden, costs.len() as i64], vec![costs.len() as i64]]);
    [vec![width + 1 + hidden, 4 * hidden], vec![4 * hidden]].into_iter().chain(heads).collect()
}

/// The sampler at work.
struct Shifting {
    config: Shift,
    /// Steps before the first move.
    warm_up: u64,
    generator: Generator,
    bins: Vec<Bin>,
    /// Moves of the probabilities so far.
    moves: u64,
    /// The bin of the path that was asked for last, and what the generator wrote.
    asked: Option<(usize, Written)>,
}

impl Shifting {
    fn draw_bin(&self, rng: &mut impl Rng) -> usize {
        let keys: Vec<f64> = self.bins.iter().map(|bin| bin.logit + gumbel(rng)).collect();
        (0..keys.len()).max_by(|&a, &b| keys[a].total_cmp(&keys[b])).expect("there are two bins at least")
    }

    fn written(&self, bin: usize, mut rng: impl Rng) -> Written {
        self.generator.write(bin as f64, self.config.temperature, || gumbel(&mut rng))
    }
}

impl Sampler for Shifting {
    fn ask(&mut self, ask: &Ask) -> Vec<Arch> {
        let mut rng = stream(ask.seed, "sample", ask.step);
        let bin = self.draw_bin(&mut rng);
        let written = self.written(bin, rng);
        let arch = Arch::new(ask.genes, &written.options).expect("written within the options");
        self.asked = Some((bin, written));
        vec![arch]
    }

    fn listens(&self) -> bool {
        true
    }

    fn tell(&mut self, _: &Ask, trials: &[Trial]) {
        let (Some((bin, written)), [Trial { loss, .. }]) = (self.asked.take(), trials) else { return };
        let mean = self.bins[bin].mean.unwrap_or(*loss);
        let task = written.log_probability * (loss - mean);
        self.generator.learn(&(task + written.cost_error * self.config.cost_weight), self.config.rate);
        self.bins[bin].mean = Some(mean + MEAN_MOMENTUM * (loss - mean));
    }

    /// One path of each bin.
    fn probe(&mut self, ask: &Ask) -> Vec<Arch> {
        if ask.step < self.warm_up || !ask.step.is_multiple_of(self.config.every) {
            return vec![];
        }
        let mut rng = stream(ask.seed, "probe", ask.step);
        let path = |bin| tch::no_grad(|| self.written(bin, &mut rng)).options;
        let paths: Vec<Vec<usize>> = (0..self.bins.len()).map(path).collect();
        paths.iter().map(|options| Arch::new(ask.genes, options).expect("written within the options")).collect()
    }

    fn sense(&mut self, gradients: &[f64]) {
        self.moves += 1;
        shift(&mut self.bins, gradients, self.config.rate, self.moves);
    }

    /// What the generator writes for the cost of each bin.
    fn picks(&self, ask: &Ask) -> Vec<Arch> {
        let mut rng = stream(ask.seed, "pick", ask.step);
        let mut pick = |bin| Arch::new(ask.genes, &self.generator.pick(bin as f64, &mut rng));
        (0..self.bins.len()).map(|bin| pick(bin).expect("written within the options")).collect()
    }

    fn state(&self) -> Option<State> {
        let row = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach().contiguous().view(-1)).expect("a flat fp32 tensor");
        let Generator { weights, moments, time, .. } = &self.generator;
        let numbers = BTreeMap::from([("weights".to_owned(), row(weights)), ("moments".to_owned(), row(moments))]);
        Some(State { numbers, ..State::of((&self.bins, self.moves, time)) })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let (bins, moves, time): (Vec<Bin>, u64, u64) = state.read()?;
        if bins.len() != self.bins.len() {
            return Err(Error::invalid(
                "checkpoint state `sampler`",
                format!("{} bins", bins.len()),
                format!("{}", self.bins.len()),
            ));
        }
        let Generator { weights, moments, .. } = &mut self.generator;
        for (name, tensor) in [("weights", weights), ("moments", moments)] {
            let row = Tensor::from_slice(state.row(name, tensor.numel())?);
            tch::no_grad(|| tensor.copy_(&row.view_as(tensor)));
        }
        (self.bins, self.moves, self.generator.time) = (bins, moves, time);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;

    #[test]
    fn a_wrong_cost_counts_squared() {
        // One gene with costs 1, 2, 3: the first one's are the start.
        let mut generator = Generator::new(vec![vec![0.0, 1.0, 2.0]], vec![vec![0, 1, 2]], 1.0, 4, 1);
        let shape = generator.weights.size();
        let weights = Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
        let _ = weights.narrow(0, weights.size()[0] - 2, 1).fill_(9.0); // the bias of option 2
        generator.weights = weights.set_requires_grad(true);
        let written = generator.write(3.0, 1.0, || 0.0);
        assert_eq!((written.options, written.cost_error.double_value(&[])), (vec![1], 1.0));
    }

    #[test]
    fn the_generator_alone_learns_every_cost_there_is() {
        let costs = vec![vec![0.0, 1.0, 2.0]; 5];
        let mut generator = Generator::new(costs, vec![vec![0, 1, 2]; 5], 5.0, 64, 3);
        let mut rng = stream(3, "test", 0);
        // How far off the likeliest architecture is, the worst of all costs.
        let worst = |generator: &Generator| {
            let cost = |target| 5 + generator.write(f64::from(target), 1.0, || 0.0).options.iter().sum::<usize>() as i32;
            (5..=15).map(|target| (cost(target) - target).abs()).max().unwrap()
        };
        assert!(worst(&generator) > 4, "it begins without a notion of costs");
        for step in 0..1500 {
            let target = f64::from(5 + step % 11);
            let written = generator.write(target, 1.0, || gumbel(&mut rng));
            generator.learn(&written.cost_error, 3e-3);
        }
        assert!(worst(&generator) <= 1);
        for target in 5..=15 {
            let options = generator.pick(f64::from(target), &mut rng);
            assert_eq!(5 + options.iter().sum::<usize>(), target as usize, "{options:?}");
        }
    }

    #[test]
    fn probability_goes_where_more_is_left_to_learn() {
        let mut bins = vec![Bin::default(); 2];
        let mut before = 0.5;
        for time in 1..=100 {
            shift(&mut bins, &[2.0, 1.0], 1e-3, time);
            let now = probabilities(&bins)[0];
            assert!(now > before, "move {time}: {now} after {before}");
            before = now;
        }
        let mut bins = vec![Bin::default(); 3];
        (1..=100).for_each(|time| shift(&mut bins, &[0.7; 3], 1e-3, time));
        assert!(probabilities(&bins).iter().all(|share| (share - 1.0 / 3.0).abs() < 1e-9), "{bins:?}");
    }

    #[test]
    fn uniform_paths_gather_in_the_middle() {
        // Irwin and Hall: the cost of 20 genes of 1…3 has mean 40 and variance 20 · 2/3 = 13.33.
        let toy = toy(&[3; 20]);
        let mut uniform = Uniform {}.build(&toy.scope(None)).unwrap();
        let draws = 20_000;
        let cost = |step| 20.0 + uniform.ask(&toy.ask(None, step))[0].options().iter().sum::<usize>() as f64;
        let costs: Vec<f64> = (0..draws).map(cost).collect();
        let mean = costs.iter().sum::<f64>() / draws as f64;
        let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / draws as f64;
        assert!((mean - 40.0).abs() < 0.11 && (variance - 40.0 / 3.0).abs() < 0.55, "{mean} {variance}"); // 4 deviations
    }

    #[test]
    fn bins_are_probed_after_the_warm_up_and_then_every_so_often() {
        let toy = toy(&[3; 4]);
        let config = Shift { metric: Metric::Params, bins: 9, warm_up: 2, every: 100, ..Default::default() };
        let mut sampler = config.build(&toy.scope(None)).unwrap(); // an epoch has 100 steps
        let probed: Vec<u64> = (0..500).filter(|&step| !sampler.probe(&toy.ask(None, step)).is_empty()).collect();
        assert_eq!(probed, [200, 300, 400]);
        assert_eq!(sampler.probe(&toy.ask(None, 200)).len(), 9);
        assert_eq!(sampler.picks(&toy.ask(None, 0)).len(), 9);
    }

    #[test]
    fn bins_that_make_no_sense_are_refused() {
        let toy = toy(&[3; 4]);
        let refused = |config: Shift| config.build(&toy.scope(None)).err().unwrap().to_string();
        assert_eq!(refused(Shift::default()), "train.sampler.metric: found macs from 0 to 0, wanted a range");
        let params = Shift { metric: Metric::Params, ..Default::default() };
        assert_eq!(refused(Shift { bins: 1, ..params.clone() }), "train.sampler.bins: found 1, wanted at least 2");
        assert_eq!(refused(Shift { temperature: 0.0, ..params }), "train.sampler.temperature: found 0, wanted above 0");
        let latency = refused(Shift { metric: Metric::LatencyMs, ..Default::default() });
        assert_eq!(latency, "train.sampler.metric: found \"latency_ms\", wanted params or macs");
    }
}
