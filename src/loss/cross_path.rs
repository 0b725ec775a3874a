//! Cross-path learning with a nontrivial mean teacher (Π-NAS, ICCV 2021, arXiv:2108.09671): labels aren't needed.
//!
//! A step has two paths `a` and `b` and four views of its images. The student sees the first with `a` and the third with `b`; the
//! teacher, a mean of the student over time, sees the second with `a` and the fourth with `b`. What one path says of an image is
//! to be like what the teacher says with the *other* one, and unlike what it said of images before:
//!
//! `ℓ(q, k) = −log (e^{q·k/T} / (e^{q·k/T} + Σ_n e^{q·Q_n/T}))`, `L = ℓ(q_a, k_b) + ℓ(q_b, k_a)`,
//!
//! each the mean over the batch, `q` and `k` of length one behind a neck of two linear layers. Afterwards `(k_a + k_b) / 2`,
//! which is shorter than one, takes the place of the oldest in the queue `Q`.
//!
//! The teacher moves, `θ_k ← m θ_k + (1 − m) θ_q`, with what `a` uses before it answers with `a`, then with what `b` uses: what
//! both use moves twice a step, what neither uses rests.
//!
//! Departures: views differ by the run's own `augment`, which has MoCo-v2's resized crops, colours and grey, but no blur: its width of
//! up to a hundredth of an image would be a third of a pixel of CIFAR; one machine, so batches aren't shuffled between devices; a queue
//! may be any length. With CaLR `ℓ` is weighed by the factor of the student's path.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::{Ground, Loss, Memory, Scope, Settings, Step, Wants, features};
use crate::arch::stream::stream;
use crate::error::within;
use crate::graph::{Network, upload};
use crate::state::State;
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossPath {
    /// `m`: how much of the teacher stays.
    pub momentum: f64,
    /// `T`.
    pub temperature: f64,
    /// Answers in the queue.
    pub negatives: i64,
    /// Numbers between the two layers of the neck.
    pub hidden: i64,
    /// Numbers of an answer.
    pub width: i64,
}

impl Default for CrossPath {
    fn default() -> Self {
        Self { momentum: 0.999, temperature: 0.2, negatives: 49_152, hidden: 2048, width: 128 }
    }
}

impl Settings for CrossPath {
    /// The term, with a fresh neck, teacher and queue.
    fn build(&self, scope: &Scope) -> Result<Box<dyn Loss>> {
        let features = scope.features("train.loss.cross_path")?;
        let device = scope.network.device();
        let sizes = sizes(features, self.hidden, self.width);
        let neck = Tensor::from_slice(&fresh(&sizes, scope.seed)).to_device(device);
        let queue = Tensor::from_slice(&noise(self.negatives * self.width, scope.seed)).view([self.width, self.negatives]);
        Ok(Box::new(Crossing {
            config: self.clone(),
            sizes,
            teacher: scope.network.copy(),
            neck_of_teacher: neck.copy(),
            neck: neck.set_requires_grad(true),
            queue: unit(&queue.to_device(device), 0),
            oldest: 0,
        }))
    }

    fn check(&self) -> Result<()> {
        let field = |name: &str| format!("train.loss.cross_path.{name}");
        within(&field("momentum"), self.momentum, 0.0, 1.0)?;
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(Error::invalid(field("temperature"), self.temperature, "above 0"));
        }
        for (name, value) in [("negatives", self.negatives), ("hidden", self.hidden), ("width", self.width)] {
            within(&field(name), value, 1, 1 << 20)?;
        }
        Ok(())
    }

    fn passes_of_path(&self) -> u64 {
        0
    }

    fn needs_pair(&self) -> bool {
        true
    }

    /// Both paths of the student.
    fn passes_of_step(&self) -> u64 {
        2
    }

    fn memory(&self, ground: &Ground) -> Memory {
        let neck =
            4 * sizes(features(ground.graph).unwrap_or(0), self.hidden, self.width).iter().map(|size| numel(size)).sum::<i64>();
        let (neck, queue) = (neck as u64, 4 * (self.negatives * self.width) as u64);
        let kept = ground.weights + 2 * neck + queue;
        // Beside what is kept: the neck's gradient, its update and momentum, and the queue after the step.
        let always = kept + (2 + ground.groups) * neck + queue;
        // Of both directions what the backward pass wants, and of the one that is worked on how the logits came about and their slopes.
        let per_image = 4 * (2 + 4) * (self.negatives + 1) as u64 + 4 * 8 * (self.hidden + self.width) as u64;
        Memory { always, per_image, kept }
    }
}

/// Of the neck: weight and bias of the first layer, then of the second.
fn sizes(features: i64, hidden: i64, width: i64) -> [Vec<i64>; 4] {
    [vec![hidden, features], vec![hidden], vec![width, hidden], vec![width]]
}

fn numel(size: &[i64]) -> i64 {
    size.iter().product()
}

/// U(−1/√fan_in, 1/√fan_in) for both layers.
fn fresh(sizes: &[Vec<i64>; 4], seed: u64) -> Vec<f32> {
    let mut rng = stream(seed, "init/neck", 0);
    let fan_ins = [sizes[0][1], sizes[0][1], sizes[2][1], sizes[2][1]];
    let mut values = vec![];
    for (size, fan_in) in sizes.iter().zip(fan_ins) {
        let bound = (fan_in as f32).sqrt().recip();
        values.extend((0..numel(size)).map(|_| rng.random_range(-bound..bound)));
    }
    values
}

/// Normal numbers (Box and Muller): their columns point in every direction alike.
fn noise(count: i64, seed: u64) -> Vec<f32> {
    let mut rng = stream(seed, "init/queue", 0);
    let mut normal = || {
        let (radius, angle): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
        ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
    };
    (0..count).map(|_| normal()).collect()
}

/// Of length one along `axis`.
fn unit(tensor: &Tensor, axis: i64) -> Tensor {
    tensor / tensor.norm_scalaropt_dim(2.0, [axis], true).clamp_min(1e-12)
}

/// `ℓ`, the mean over the batch: answers `q` and `k` `[batch, width]`, `queue` `[width, negatives]`.
fn contrast(q: &Tensor, k: &Tensor, queue: &Tensor, temperature: f64) -> Tensor {
    let alike = (q * k).sum_dim_intlist([1i64].as_slice(), true, Kind::Float); // [batch, 1]
    let logits = Tensor::cat(&[alike, q.matmul(queue)], 1) / temperature;
    let first = Tensor::zeros([q.size()[0]], (Kind::Int64, q.device()));
    logits.cross_entropy_loss::<Tensor>(&first, None, Reduction::Mean, -100, 0.0)
}

/// The queue with `answers` `[batch, width]` in the place of the oldest; the queue given stays as it is, for a backward pass
/// reads it.
fn enqueued(queue: &Tensor, oldest: i64, answers: &Tensor) -> Tensor {
    let (length, count) = (queue.size()[1], answers.size()[0]);
    let kept = answers.narrow(0, (count - length).max(0), count.min(length));
    let places: Vec<i64> = (0..kept.size()[0]).map(|at| (oldest + at) % length).collect();
    queue.index_copy(1, &upload(&Tensor::from_slice(&places), queue.device()), &kept.tr())
}

/// `teacher ← m teacher + (1 − m) student`, in place; where both are equal, to the last bit, they stay so.
fn follow(mut teacher: Tensor, student: &Tensor, momentum: f64) {
    tch::no_grad(|| {
        let gap = student.detach() - &teacher;
        let _ = teacher.g_add_(&(gap * (1.0 - momentum)));
    });
}

/// The weights numbered `slots` of the teacher follow.
fn follow_path(teacher: &Network, student: &Network, slots: &[usize], momentum: f64) {
    for &slot in slots {
        let range = &student.slots()[slot].range;
        let part = |flat: &Tensor| flat.narrow(0, range.start, range.end - range.start);
        follow(part(teacher.flat()), &part(student.flat()), momentum);
    }
}

/// The term at work.
struct Crossing {
    config: CrossPath,
    sizes: [Vec<i64>; 4],
    teacher: Network,
    neck: Tensor,
    neck_of_teacher: Tensor,
    /// `[width, negatives]`.
    queue: Tensor,
    /// The column that is replaced next.
    oldest: i64,
}

impl Crossing {
    /// What is said of features `[batch, features]`: `[batch, width]`, of length one.
    fn answer(&self, neck: &Tensor, features: &Tensor) -> Tensor {
        let lengths: Vec<i64> = self.sizes.iter().map(|size| numel(size)).collect();
        let parts = neck.split_with_sizes(&lengths[..], 0);
        let part = |at: usize| parts[at].view(&self.sizes[at][..]);
        unit(&features.linear(&part(0), Some(&part(1))).relu().linear(&part(2), Some(&part(3))), 1)
    }

    /// What student and teacher say with one path; the teacher follows first.
    fn both(&self, step: &Step, path: usize, student_sees: &Tensor, teacher_sees: &Tensor) -> [Tensor; 2] {
        let arch = &step.paths[path].arch;
        let q = self.answer(&self.neck, &step.features(arch, student_sees));
        follow_path(&self.teacher, &step.network, &step.slots_below(arch), self.config.momentum);
        follow(self.neck_of_teacher.shallow_clone(), &self.neck, self.config.momentum);
        let k = tch::no_grad(|| self.answer(&self.neck_of_teacher, &step.features_of(&self.teacher, arch, teacher_sees)));
        [q, k]
    }

    /// Everything that moves, by name.
    fn tensors(&self) -> [(&'static str, Tensor); 4] {
        let own = [("neck", &self.neck), ("neck_of_teacher", &self.neck_of_teacher), ("queue", &self.queue)];
        let [neck, neck_of_teacher, queue] = own.map(|(name, tensor)| (name, tensor.detach()));
        [("teacher", self.teacher.flat().shallow_clone()), neck, neck_of_teacher, queue]
    }
}

impl Loss for Crossing {
    fn wants(&self) -> Wants {
        Wants { views: 3, ..Wants::default() }
    }

    fn weights(&self) -> Option<&Tensor> {
        Some(&self.neck)
    }

    fn of_step(&mut self, step: &Step) -> Result<Option<Tensor>> {
        let [a, b] = &step.paths[..] else {
            let found = format!("{} paths a step", step.paths.len());
            return Err(Error::invalid("train.loss.cross_path", found, "two: sampler = { kind = \"disjoint\" }"));
        };
        let [qa, ka] = self.both(step, 0, &step.batch.images, &step.views[0]);
        let [qb, kb] = self.both(step, 1, &step.views[1], &step.views[2]);
        let contrast = |q: &Tensor, k: &Tensor| contrast(q, k, &self.queue, self.config.temperature);
        let loss = contrast(&qa, &kb) * a.weight + contrast(&qb, &ka) * b.weight;
        self.queue = enqueued(&self.queue, self.oldest, &((&ka + &kb) / 2.0));
        self.oldest = (self.oldest + ka.size()[0]) % self.config.negatives;
        Ok(Some(loss))
    }

    fn state(&self) -> Option<State> {
        let row = |tensor: &Tensor| Vec::<f32>::try_from(tensor.to_device(tch::Device::Cpu).contiguous().view(-1));
        let row = |(name, tensor): (&str, Tensor)| (name.to_owned(), row(&tensor).expect("a flat fp32 tensor"));
        let numbers: BTreeMap<String, Vec<f32>> = self.tensors().map(row).into();
        Some(State { numbers, ..State::of(self.oldest) })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        for (name, mut tensor) in self.tensors() {
            let row = Tensor::from_slice(state.row(name, tensor.numel())?);
            tch::no_grad(|| tensor.copy_(&row.view_as(&tensor)));
        }
        self.oldest = state.read()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Plan;
    use crate::space::{Nb201, Norm, Space, Task};

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-6, "found {found}, wanted {wanted}");
    }

    #[test]
    fn the_teacher_follows_where_a_path_has_been() {
        let classes = vec!["a".into(), "b".into()];
        let task = Task { image: [3, 8, 8], classes, mean: vec![0.5; 3], deviation: vec![0.2; 3] };
        let space = Nb201 { channels: 2, cells: 1, ..Default::default() };
        let student = Network::supernet(space.graph(&task, Norm::Shared).unwrap(), 1, tch::Device::Cpu);
        let teacher = student.copy();
        let _ = student.flat().shallow_clone().fill_(1.0);
        let _ = teacher.flat().shallow_clone().fill_(0.0);
        let below = |text: &str| {
            let plan = Plan::new(student.graph(), &space.parse(text).unwrap()).headless().unwrap();
            student.slots_of(&plan)
        };
        let a = below("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|");
        let b = below("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|");
        [&a, &b].into_iter().for_each(|slots| follow_path(&teacher, &student, slots, 0.999));
        for (slot, place) in teacher.slots().iter().enumerate() {
            let wanted = [0.0, 0.001, 0.001_999][usize::from(a.contains(&slot)) + usize::from(b.contains(&slot))];
            close(teacher.flat().double_value(&[place.range.start]), wanted);
        }
        let touched = |text: &str| teacher.slots().iter().position(|slot| slot.name == text).unwrap();
        let [stem, classifier] = ["stem.conv.weight", "classifier.weight"].map(touched);
        assert!(a.contains(&stem) && b.contains(&stem) && !a.contains(&classifier));
    }

    #[test]
    fn one_answer_against_one_negative() {
        let (q, queue) = (Tensor::from_slice2(&[[1.0f32, 0.0]]), Tensor::from_slice2(&[[0.0f32], [1.0]]));
        let loss = contrast(&q, &q, &queue, 0.2).double_value(&[]);
        close(loss, (1.0 + (-5.0f64).exp()).ln());
        close(2.0 * loss, 0.013_431);
    }

    #[test]
    fn the_mean_of_unlike_answers_is_short_and_takes_the_oldest_place() {
        let [ka, kb] = [[1.0f32, 0.0], [0.0, 1.0]].map(|row| Tensor::from_slice2(&[row]));
        let mean = (ka + kb) / 2.0;
        close(mean.norm().double_value(&[]), 0.5f64.sqrt());
        let queue = Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu));
        let fuller = enqueued(&queue, 2, &Tensor::cat(&[&mean, &(&mean * 2.0)], 0));
        assert_eq!(Vec::<f32>::try_from(fuller.get(0)).unwrap(), [1.0, 0.0, 0.5]);
        assert_eq!(queue.abs().sum(Kind::Float).double_value(&[]), 0.0);
    }

    #[test]
    fn columns_of_a_fresh_queue_have_length_one_and_no_direction() {
        let queue = unit(&Tensor::from_slice(&noise(4000 * 16, 1)).view([16, 4000]), 0);
        let lengths = queue.norm_scalaropt_dim(2.0, [0i64], false);
        assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-6);
        let means = queue.mean_dim([1i64].as_slice(), false, Kind::Float);
        assert!(means.abs().max().double_value(&[]) < 0.016, "four deviations of ¼ / √4000");
    }
}
