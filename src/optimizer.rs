//! Nesterov SGD over the flat weight vector, with one momentum row per group of paths.
//!
//! With one group it is plain SGD. With a group per operation of one edge it is momentum separation (CVPR 2025,
//! arXiv:2503.10740): `d = g + λw; μ_j ← β μ_j + d; w ← w − η (d + β μ_j)`, where `j` is the group of the sampled path;
//! the rows of other groups neither decay nor change. (Fresh rows are zero, for which `μ_j ← d` comes out by itself.)

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::Tensor;

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
    gradient: Tensor,
    rows: Vec<Option<Tensor>>,
    touched: Vec<bool>,
}

impl Sgd {
    /// An optimiser of the flat vector `weights`, in which weight `i` lies at `places[i]` (ascending), with `groups`
    /// momentum rows. A row takes memory once its group is first stepped.
    pub fn new(config: SgdConfig, weights: &Tensor, places: Vec<Range<i64>>, groups: usize) -> Self {
        let (rows, touched) = ((0..groups).map(|_| None).collect(), vec![false; places.len()]);
        Self { config, weights: weights.detach(), places, gradient: weights.detach().zeros_like(), rows, touched }
    }

    /// One step of `group` at rate `rate`, from the gradients of the weights numbered `used`.
    pub fn step(&mut self, group: usize, rate: f64, used: &[usize], gradients: &[Tensor]) {
        tch::no_grad(|| {
            self.collect(used, gradients);
            self.clip();
            let row = self.rows[group].get_or_insert_with(|| self.weights.zeros_like());
            let moving = match self.config.grad_reset {
                GradReset::Zero => self.touched.clone(),
                GradReset::None => flags(used, self.touched.len()),
            };
            for range in joined(&self.places, &moving) {
                let part = |tensor: &Tensor| tensor.narrow(0, range.start, range.end - range.start);
                update(&self.config, rate, &mut part(&self.weights), &mut part(row), part(&self.gradient));
            }
        });
    }

    fn collect(&mut self, used: &[usize], gradients: &[Tensor]) {
        let _ = self.gradient.zero_();
        for (&weight, gradient) in used.iter().zip(gradients) {
            let range = &self.places[weight];
            let place = self.gradient.narrow(0, range.start, range.end - range.start);
            place.view(gradient.size().as_slice()).copy_(gradient);
            self.touched[weight] = true;
        }
    }

    /// Scales the gradient so that its norm is at most the limit; the norm never leaves the device.
    fn clip(&mut self) {
        if self.config.clip > 0.0 {
            let scale = (self.config.clip / (self.gradient.norm() + 1e-6)).clamp_max(1.0);
            let _ = self.gradient.g_mul_(&scale);
        }
    }

    /// Which weights ever had a gradient.
    pub fn touched(&self) -> &[bool] {
        &self.touched
    }

    /// The momentum rows; `None` for a group that was never stepped.
    pub fn rows(&self) -> &[Option<Tensor>] {
        &self.rows
    }

    /// Takes up where [`touched`](Self::touched) and [`rows`](Self::rows) left off.
    pub fn restore(&mut self, touched: Vec<bool>, rows: Vec<Option<Tensor>>) {
        (self.touched, self.rows) = (touched, rows);
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

    const PLAIN: SgdConfig =
        SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 0.0, clip: 0.0, grad_reset: GradReset::Zero };

    /// One scalar weight that starts at 1; gives its value after each (group, gradient, rate). `None`: not sampled.
    fn path(config: &SgdConfig, groups: usize, steps: &[(usize, Option<f32>, f64)]) -> Vec<f64> {
        let weight = Tensor::from_slice(&[1.0f32]);
        let mut sgd = Sgd::new(config.clone(), &weight, place(), groups);
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
        let weights = Tensor::from_slice(&[0.0f32, 0.0]);
        let config = SgdConfig { momentum: 0.0, clip: 5.0, ..PLAIN };
        let mut sgd = Sgd::new(config, &weights, vec![0..1, 1..2], 1);
        sgd.step(0, 1.0, &[0, 1], &[Tensor::from_slice(&[30.0f32]), Tensor::from_slice(&[40.0f32])]);
        check(&[weights.double_value(&[0]), weights.double_value(&[1])], &[-3.0, -4.0]);
    }

    #[test]
    fn a_row_is_allocated_when_its_group_is_first_stepped() {
        let weight = Tensor::from_slice(&[1.0f32]);
        let mut sgd = Sgd::new(PLAIN, &weight, place(), 3);
        sgd.step(1, 0.1, &[0], &[Tensor::from_slice(&[1.0f32])]);
        assert_eq!(sgd.rows().iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    }
}
