//! The images of each step: every epoch goes through all of them once, in an order of its own.

use rand::seq::SliceRandom;
use tch::Tensor;

use super::augment::Draw;
use super::images::DeviceImages;
use super::recipe::Augment;
use crate::arch::stream::stream;
use crate::loss::Batch;

/// See the [module](self).
pub struct Feed {
    images: DeviceImages,
    batch: usize,
    seed: u64,
    /// The stream of the orders.
    name: &'static str,
    /// The order of one epoch.
    order: (u64, Vec<i64>),
}

impl Feed {
    /// `batch` of `images` a step, in orders from the stream `name` of `seed`.
    pub fn new(images: DeviceImages, batch: usize, seed: u64, name: &'static str) -> Self {
        Self { images, batch, seed, name, order: (u64::MAX, vec![]) }
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> u64 {
        self.images.len().div_ceil(self.batch) as u64
    }

    /// The images of a step, changed at random, and their labels.
    pub fn batch(&mut self, step: u64, augment: Augment) -> Batch {
        let (seed, (images, indices)) = (self.seed, self.indices(step));
        let (images, labels) = images.augmented(indices, augment, Draw { seed, step, view: 0 });
        Batch { images, labels }
    }

    /// `count` further views of the same images.
    pub fn views(&mut self, step: u64, augment: Augment, count: usize) -> Vec<Tensor> {
        let (seed, (images, indices)) = (self.seed, self.indices(step));
        (1..=count).map(|view| images.view(indices, augment, Draw { seed, step, view })).collect()
    }

    /// Which images a step has.
    fn indices(&mut self, step: u64) -> (&DeviceImages, &[i64]) {
        let (epoch, position) = (step / self.steps(), (step % self.steps()) as usize);
        if self.order.0 != epoch {
            let mut order: Vec<i64> = (0..self.images.len() as i64).collect();
            order.shuffle(&mut stream(self.seed, self.name, epoch));
            self.order = (epoch, order);
        }
        let start = position * self.batch;
        let end = (start + self.batch).min(self.images.len());
        (&self.images, &self.order.1[start..end])
    }
}
