//! Nesterov SGD over the flat weight vector, with one momentum row per group of paths.
//!
//! With one group it is plain SGD. With a group per operation of one edge it is momentum separation (CVPR 2025,
//! arXiv:2503.10740): `d = g + λw; μ_j ← β μ_j + d; w ← w − η (d + β μ_j)`, where `j` is the group of the sampled path;
//! the rows of other groups neither decay nor change. (Fresh rows are zero, for which `μ_j ← d` comes out by itself.)

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::graph::kernels::{self, SgdStep};
use crate::graph::{Kernels, Later};

/// What a gradient is before a step: it decides whether weights that this step's path doesn't use move all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradReset {
    /// Zeros, as in the torch of the papers: a weight that was ever used moves on by momentum and weight decay.
    #[default]
    Zero,
    /// Nothing: a weight that isn't used stands still.
    None,
}

/// The constants of the update.
#[derive(Clone, Debug, PartialEq)]
pub struct SgdConfig {
    /// β; 0 for none.
    pub momentum: f64,
    /// Whether the step looks ahead along the momentum.
    pub nesterov: bool,
    /// λ, on every weight.
    pub weight_decay: f64,
    /// Greatest norm of the whole gradient; 0 for no limit.
    pub clip: f64,
    /// See [`GradReset`].
    pub grad_reset: GradReset,
}

/// See the [module](self).
pub struct Sgd {
    config: SgdConfig,
    weights: Tensor,
    places: Vec<Range<i64>>,
    kernels: Kernels,
    rows: Vec<Option<Tensor>>,
    touched: Vec<bool>,
}

impl Sgd {
    /// An optimiser of the flat vector `weights`, in which weight `i` lies at `places[i]` (ascending), with `groups`
    /// momentum rows. A row takes memory once its group is first stepped.
    pub fn new(config: SgdConfig, weights: &Tensor, places: Vec<Range<i64>>, groups: usize, kernels: Kernels) -> Self {
        let (rows, touched) = ((0..groups).map(|_| None).collect(), vec![false; places.len()]);
        Self { config, weights: weights.detach(), places, kernels, rows, touched }
    }

    /// One step of `group` at rate `rate`, from the gradients of the weights numbered `used`. Gives the norm of the whole
    /// gradient, before it was clipped. If that isn't finite, nothing moves on a CPU, and on a GPU, where nobody has looked, what
    /// moves by momentum and decay alone.
    pub fn step(&mut self, group: usize, rate: f64, used: &[usize], gradients: &[Tensor]) -> Later {
        used.iter().for_each(|&weight| self.touched[weight] = true);
        let moving = match self.config.grad_reset {
            GradReset::Zero => self.touched.clone(),
            GradReset::None => flags(used, self.touched.len()),
        };
        tch::no_grad(|| {
            self.rows[group].get_or_insert_with(|| self.weights.zeros_like());
            match self.kernels {
                Kernels::Own => self.step_in_place(group, rate, &moving, used, gradients),
                Kernels::Libtorch => self.step_by_tensors(group, rate, &moving, used, gradients),
            }
        })
    }

    /// One pass over the moving weights and their momentum; the gradients stay where they are.
    fn step_in_place(&mut self, group: usize, rate: f64, moving: &[bool], used: &[usize], gradients: &[Tensor]) -> Later {
        let mut of_weight: Vec<Option<&Tensor>> = vec![None; self.places.len()];
        used.iter().zip(gradients).for_each(|(&weight, gradient)| of_weight[weight] = Some(gradient));
        let moving = || (0..moving.len()).filter(|&weight| moving[weight]);
        let starts: Vec<i64> = moving().map(|weight| self.places[weight].start).collect();
        let ends: Vec<i64> = moving().map(|weight| self.places[weight].end).collect();
        let slices: Vec<Option<&Tensor>> = moving().map(|weight| of_weight[weight]).collect();
        let SgdConfig { momentum, nesterov, weight_decay, clip, .. } = self.config;
        let (momentum, decay) = (momentum as f32, weight_decay as f32);
        let step = SgdStep { rate: rate as f32, momentum, decay, scale: 1.0, nesterov };
        let row = self.rows[group].as_ref().expect("made before");
        Later::from(kernels::sgd([&self.weights, row], [&starts, &ends], &slices, &step, clip))
    }

    /// The same as a handful of calls whatever the network, which is what a GPU wants.
    fn step_by_tensors(&mut self, group: usize, rate: f64, moving: &[bool], used: &[usize], gradients: &[Tensor]) -> Later {
        let mut gradient = self.collected(used, gradients);
        let norm = Later::new(&self.clip(&mut gradient));
        if gradient.device() == Device::Cpu && !norm.read().is_finite() {
            return norm;
        }
        let row = self.rows[group].as_mut().expect("made before");
        for range in joined(&self.places, moving) {
            let part = |tensor: &Tensor| tensor.narrow(0, range.start, range.end - range.start);
            update(&self.config, rate, &mut part(&self.weights), &mut part(row), part(&gradient));
        }
        norm
    }

    /// The gradients as one flat vector.
    fn collected(&self, used: &[usize], gradients: &[Tensor]) -> Tensor {
        let flat = self.weights.zeros_like();
        for (&weight, gradient) in used.iter().zip(gradients) {
            let range = &self.places[weight];
            let place = flat.narrow(0, range.start, range.end - range.start);
            place.view(gradient.size().as_slice()).copy_(gradient);
        }
        flat
    }

    /// Scales the gradient so that its norm is at most the limit, and makes it zero if it isn't finite: on a GPU nobody has
    /// looked at the loss yet. Gives the norm, which nobody waits for.
    fn clip(&self, gradient: &mut Tensor) -> Tensor {
        let norm = gradient.norm();
        *gradient = gradient.where_self(&norm.isfinite(), &gradient.zeros_like());
        if self.config.clip > 0.0 {
            let _ = gradient.g_mul_(&(self.config.clip / (norm.nan_to_num(0.0, 0.0, 0.0) + 1e-6)).clamp_max(1.0));
        }
        norm
    }

    /// Which weights ever had a gradient.
    pub fn touched(&self) -> &[bool] {
        &self.touched
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.weights.device()
    }

    /// The momentum rows; `None` for a group that was never stepped.
    pub fn rows(&self) -> &[Option<Tensor>] {
        &self.rows
    }

    /// Takes up where [`touched`](Self::touched) and [`rows`](Self::rows) left off. Rows beyond the groups there are were
    /// never stepped.
    pub fn restore(&mut self, touched: Vec<bool>, rows: Vec<Option<Tensor>>) {
        self.touched = touched;
        self.rows.iter_mut().zip(rows).for_each(|(own, row)| *own = row);
    }
}

fn update(config: &SgdConfig, rate: f64, weights: &mut Tensor, row: &mut Tensor, mut gradient: Tensor) {
    if config.weight_decay != 0.0 {
        gradient += &*weights * config.weight_decay;
    }
    let _ = row.g_mul_scalar_(config.momentum).g_add_(&gradient);
    let direction = if config.nesterov { gradient + &*row * config.momentum } else { row.shallow_clone() };
    let _ = weights.g_sub_(&(direction * rate));
}

fn flags(used: &[usize], count: usize) -> Vec<bool> {
    let mut flags = vec![false; count];
    used.iter().for_each(|&weight| flags[weight] = true);
    flags
}

/// The flagged places, neighbours joined.
fn joined(places: &[Range<i64>], flags: &[bool]) -> Vec<Range<i64>> {
    let mut joined: Vec<Range<i64>> = vec![];
    for place in places.iter().zip(flags).filter(|(_, flag)| **flag).map(|(place, _)| place) {
        match joined.last_mut() {
            Some(last) if last.end == place.start => last.end = place.end,
            _ => joined.push(place.clone()),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the only weight lies.
    fn place() -> Vec<Range<i64>> {
        std::iter::once(0..1).collect()
    }

    /// Both ways to compute a step, which must agree.
    const KERNELS: [Kernels; 2] = [Kernels::Own, Kernels::Libtorch];

    const PLAIN: SgdConfig =
        SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 0.0, clip: 0.0, grad_reset: GradReset::Zero };

    /// One scalar weight that starts at 1; gives its value after each (group, gradient, rate). `None`: not sampled.
    fn path(config: &SgdConfig, groups: usize, steps: &[(usize, Option<f32>, f64)]) -> Vec<f64> {
        let [own, libtorch] = KERNELS.map(|kernels| path_with(kernels, config, groups, steps));
        check(&own, &libtorch);
        own
    }

    fn path_with(kernels: Kernels, config: &SgdConfig, groups: usize, steps: &[(usize, Option<f32>, f64)]) -> Vec<f64> {
        let weight = Tensor::from_slice(&[1.0f32]);
        let mut sgd = Sgd::new(config.clone(), &weight, place(), groups, kernels);
        let step = |&(group, gradient, rate): &(usize, Option<f32>, f64)| {
            let gradients: Vec<Tensor> = gradient.iter().map(|&gradient| Tensor::from_slice(&[gradient])).collect();
            sgd.step(group, rate, if gradient.is_some() { &[0] } else { &[] }, &gradients);
            weight.double_value(&[0])
        };
        steps.iter().map(step).collect()
    }

    fn check(found: &[f64], wanted: &[f64]) {
        let close = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(found.len() == wanted.len() && close, "found {found:?}, wanted {wanted:?}");
    }

    #[test]
    fn unlike_groups_disturb_each_other_in_a_shared_buffer_only() {
        let gradients = [(0, Some(1.0), 0.1), (1, Some(-1.0), 0.1), (0, Some(1.0), 0.1), (1, Some(-1.0), 0.1)];
        let shared = gradients.map(|(_, gradient, rate)| (0, gradient, rate));
        check(&path(&PLAIN, 1, &shared), &[0.81, 0.919, 0.7371, 0.85339]);
        check(&path(&PLAIN, 2, &gradients), &[0.81, 1.0, 0.729, 1.0]);
    }

    #[test]
    fn a_weight_that_is_not_sampled_moves_under_zeroed_gradients_only() {
        let none = SgdConfig { grad_reset: GradReset::None, ..PLAIN };
        let then = |group| [(0, Some(1.0), 0.1), (group, None, 0.1)];
        check(&path(&PLAIN, 1, &then(0)), &[0.81, 0.729]);
        check(&path(&none, 1, &then(0)), &[0.81, 0.81]);
        check(&path(&PLAIN, 2, &then(1)), &[0.81, 0.81]);
    }

    #[test]
    fn a_weight_that_was_never_sampled_stands_still_whatever_the_decay() {
        let decay = SgdConfig { weight_decay: 0.5, ..PLAIN };
        check(&path(&decay, 1, &[(0, None, 0.1), (0, None, 0.1)]), &[1.0, 1.0]);
        check(&path(&decay, 1, &[(0, Some(0.0), 0.1)]), &[1.0 - 0.1 * 1.9 * 0.5]);
    }

    #[test]
    fn scaling_the_rate_is_not_scaling_the_loss() {
        let config = SgdConfig { nesterov: false, ..PLAIN };
        check(&path(&config, 1, &[(0, Some(1.0), 0.1), (0, Some(1.0), 0.05)]), &[0.9, 0.805]);
        check(&path(&config, 1, &[(0, Some(1.0), 0.1), (0, Some(0.5), 0.1)]), &[0.9, 0.76]);
    }

    #[test]
    fn clipping_bounds_the_norm_of_the_whole_gradient() {
        for kernels in KERNELS {
            let weights = Tensor::from_slice(&[0.0f32, 0.0]);
            let config = SgdConfig { momentum: 0.0, clip: 5.0, ..PLAIN };
            let mut sgd = Sgd::new(config, &weights, vec![0..1, 1..2], 1, kernels);
            let norm = sgd.step(0, 1.0, &[0, 1], &[Tensor::from_slice(&[30.0f32]), Tensor::from_slice(&[40.0f32])]);
            assert!((norm.read() - 50.0).abs() < 1e-5, "before it was clipped");
            check(&[weights.double_value(&[0]), weights.double_value(&[1])], &[-3.0, -4.0]);
        }
    }

    #[test]
    fn a_row_is_allocated_when_its_group_is_first_stepped() {
        let weight = Tensor::from_slice(&[1.0f32]);
        let mut sgd = Sgd::new(PLAIN, &weight, place(), 3, Kernels::Own);
        sgd.step(1, 0.1, &[0], &[Tensor::from_slice(&[1.0f32])]);
        assert_eq!(sgd.rows().iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
        for group in [0, 2] {
            sgd.step(group, 0.1, &[0], &[Tensor::from_slice(&[1.0f32])]);
        }
        let numbers: usize = sgd.rows().iter().flatten().map(Tensor::numel).sum();
        assert_eq!(numbers, 3 * weight.numel(), "as many as groups and weights, and nothing else");
    }

    #[test]
    fn both_ways_agree_on_long_vectors() {
        let places: Vec<Range<i64>> = [0..5, 5..20_000, 20_000..20_001, 20_001..60_003].into();
        let config = SgdConfig { weight_decay: 0.01, clip: 1.0, ..PLAIN };
        let gradient = |weight: usize| {
            (Tensor::arange(places[weight].end - places[weight].start, (tch::Kind::Float, Device::Cpu)) * 1e-3).sin()
        };
        let [own, libtorch] = KERNELS.map(|kernels| {
            let weights = (Tensor::arange(60_003, (tch::Kind::Float, Device::Cpu)) * 1e-2).cos();
            let mut sgd = Sgd::new(config.clone(), &weights, places.clone(), 2, kernels);
            for (group, used) in [(0, vec![1, 3]), (1, vec![0, 2]), (0, vec![1])] {
                sgd.step(group, 0.1, &used, &used.iter().map(|&weight| gradient(weight)).collect::<Vec<_>>());
            }
            weights
        });
        assert!((own - libtorch).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn a_gradient_that_is_no_number_poisons_nothing() {
        for (kernels, clip) in KERNELS.into_iter().flat_map(|kernels| [(kernels, 0.0), (kernels, 5.0)]) {
            let weight = Tensor::from_slice(&[1.0f32, 1.0]);
            let mut sgd = Sgd::new(SgdConfig { clip, ..PLAIN }, &weight, std::iter::once(0..2).collect(), 1, kernels);
            let norm = sgd.step(0, 0.1, &[0], &[Tensor::from_slice(&[f32::NAN, 1.0])]);
            assert!(norm.read().is_nan());
            check(&[weight.double_value(&[0]), weight.double_value(&[1])], &[1.0, 1.0]);
        }
    }
}
