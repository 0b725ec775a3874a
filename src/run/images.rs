//! Images on the device, as bytes: a batch is gathered, cropped and mirrored there, and becomes floats last.

use rand::{Rng, RngExt};
use tch::{Device, Kind, Tensor};

use super::memory::Memory;
use super::recipe::{Augment, Recipe};
use crate::Result;
use crate::arch::stream::stream;
use crate::data::{Dataset, Images};
use crate::graph::{channels_last, device};
use crate::hash::sha256;
use crate::space::Task;

/// The images of a run, on its device.
pub struct RunData {
    /// What is learnt from.
    pub train: DeviceImages,
    /// What subnets are compared on.
    pub validation: DeviceImages,
    /// What is reported on.
    pub test: DeviceImages,
    /// Sizes and classes.
    pub task: Task,
    /// Names the whole data set.
    pub hash: String,
    /// What may be taken beside them.
    pub memory: Memory,
}

impl RunData {
    /// Splits `data` as the recipe says and copies it to the recipe's device.
    pub fn new(recipe: &Recipe, data: &Dataset) -> Result<Self> {
        let device = device(&recipe.device)?;
        let on = |images: &Images| DeviceImages::new(images, device);
        let [train, validation] = data.holdout(recipe.validation, recipe.seed).map(|(train, held)| [on(&train), on(&held)])?;
        let (test, task, hash) = (on(&data.test), Task::of(data)?, data.hash());
        recipe.search.images_of(validation.len())?;
        let memory = Memory::new(recipe, &task, [train.len(), validation.len(), test.len()])?;
        Ok(Self { train, validation, test, task, hash, memory })
    }

    /// What a training loop works on; the images aren't copied.
    pub fn lessons(&self) -> Lessons {
        Lessons { train: self.train.all(), validation: self.validation.all(), hash: self.hash.clone() }
    }
}

/// What a training loop works on.
pub struct Lessons {
    /// What is learnt from.
    pub train: DeviceImages,
    /// What a method may look at beside, if its recipe says so.
    pub validation: DeviceImages,
    /// Names the data set.
    pub hash: String,
}

/// Labelled images on a device.
pub struct DeviceImages {
    pixels: Tensor, // u8 [count, channels, height, width]
    labels: Tensor, // i64 [count]
}

impl DeviceImages {
    /// Copies `images` to `device`.
    pub fn new(images: &Images, device: Device) -> Self {
        let [channels, height, width] = images.shape().map(|size| size as i64);
        let size = [images.len() as i64, channels, height, width];
        let pixels = Tensor::from_data_size(images.pixels(), &size, Kind::Uint8).to_device(device);
        let labels = Tensor::from_slice(images.labels()).to_kind(Kind::Int64).to_device(device);
        Self { pixels, labels }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.labels.size()[0] as usize
    }

    /// Never true: [`Images`] hold at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of pixels and labels.
    pub fn hash(&self) -> String {
        let bytes =
            |tensor: &Tensor| Vec::<u8>::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Uint8).contiguous().view(-1));
        let parts = [&self.pixels, &self.labels].map(|tensor| bytes(tensor).expect("a flat tensor of bytes"));
        sha256(parts.concat())
    }

    /// The same images, not copied.
    pub fn all(&self) -> Self {
        self.first(self.len())
    }

    /// The first `count` images, or all.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len()) as i64;
        Self { pixels: self.pixels.narrow(0, 0, count), labels: self.labels.narrow(0, 0, count) }
    }

    /// The images at `indices`, as a set of their own.
    pub fn pick(&self, indices: &[i64]) -> Self {
        let indices = Tensor::from_slice(indices).to_device(self.pixels.device());
        Self { pixels: self.pixels.index_select(0, &indices), labels: self.labels.index_select(0, &indices) }
    }

    /// Images `start..start + count` (cut at the end) as floats in 0…1, and their labels.
    pub fn slice(&self, start: usize, count: usize) -> (Tensor, Tensor) {
        let count = count.min(self.len() - start) as i64;
        let pixels = self.pixels.narrow(0, start as i64, count);
        (floats(&pixels), self.labels.narrow(0, start as i64, count))
    }

    /// The images at `indices` as floats in 0…1, and their labels.
    pub fn gather(&self, indices: &[i64]) -> (Tensor, Tensor) {
        let indices = Tensor::from_slice(indices).to_device(self.pixels.device());
        (floats(&self.pixels.index_select(0, &indices)), self.labels.index_select(0, &indices))
    }

    /// As [`gather`](Self::gather), with the random changes that step `step` of `seed` draws.
    pub fn augmented(&self, indices: &[i64], augment: Augment, seed: u64, step: u64) -> (Tensor, Tensor) {
        if augment == Augment::default() {
            return self.gather(indices);
        }
        let chosen = Tensor::from_slice(indices).to_device(self.pixels.device());
        let pixels = augmented(&self.pixels.index_select(0, &chosen), augment, &mut stream(seed, "augment", step));
        (floats(&pixels), self.labels.index_select(0, &chosen))
    }

    /// View `view` of the images at `indices`: other random changes than those of [`augmented`](Self::augmented).
    pub fn view(&self, indices: &[i64], augment: Augment, seed: u64, step: u64, view: usize) -> Tensor {
        let chosen = Tensor::from_slice(indices).to_device(self.pixels.device());
        let mut rng = stream(seed, &format!("augment/{view}"), step);
        floats(&augmented(&self.pixels.index_select(0, &chosen), augment, &mut rng))
    }
}

fn floats(pixels: &Tensor) -> Tensor {
    channels_last(pixels).to_kind(Kind::Float) / 255.0
}

/// One gather does crop and flip: each image reads the rows and columns that its draw says, out of a black border.
fn augmented(pixels: &Tensor, augment: Augment, rng: &mut impl Rng) -> Tensor {
    let (size, device) = (pixels.size(), pixels.device());
    let [count, channels, height, width] = size[..] else { unreachable!("images have four axes") };
    let (mut rows, mut columns) = (vec![], vec![]);
    for _ in 0..count {
        let (top, left) = (rng.random_range(0..=2 * augment.crop), rng.random_range(0..=2 * augment.crop));
        let mirrored = augment.flip && rng.random_range(0..2) == 1;
        rows.extend(top..top + height);
        columns.extend((0..width).map(|x| left + if mirrored { width - 1 - x } else { x }));
    }
    let padded = pixels.constant_pad_nd([augment.crop; 4]);
    let axis = |values: &[i64], shape: [i64; 4]| Tensor::from_slice(values).view(shape).to_device(device);
    let along = |length: i64, shape: [i64; 4]| Tensor::arange(length, (Kind::Int64, device)).view(shape);
    padded.index(&[
        Some(along(count, [count, 1, 1, 1])),
        Some(along(channels, [1, channels, 1, 1])),
        Some(axis(&rows, [count, 1, height, 1])),
        Some(axis(&columns, [count, 1, 1, width])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_is_a_window_of_the_bordered_image_and_a_flip_its_mirror() {
        let (height, width) = (4i64, 5i64);
        let bytes: Vec<u8> = (1..=40).collect();
        let images = Tensor::from_data_size(&bytes, &[2, 1, height, width], Kind::Uint8);
        let pixel = |image: i64, y: i64, x: i64| {
            if (0..height).contains(&y) && (0..width).contains(&x) { image * 20 + y * width + x + 1 } else { 0 }
        };
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..60 {
            let changed = augmented(&images, Augment { crop: 1, flip: true }, &mut stream(3, "augment", step));
            for image in 0..2 {
                let draws = (-1..=1).flat_map(|dy| (-1..=1).flat_map(move |dx| [(dy, dx, false), (dy, dx, true)]));
                let is = |&(dy, dx, mirrored): &(i64, i64, bool)| {
                    (0..height * width).all(|at| {
                        let (y, x) = (at / width, at % width);
                        let from = if mirrored { width - 1 - x } else { x };
                        changed.int64_value(&[image, 0, y, x]) == pixel(image, y + dy, from + dx)
                    })
                };
                let draw = draws.clone().find(is);
                seen.insert(draw.unwrap_or_else(|| panic!("step {step} image {image} is no window")));
            }
        }
        assert_eq!(seen.len(), 18, "every window and its mirror is drawn");
    }
}
