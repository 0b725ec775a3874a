//! Images on the device, as bytes: a batch is gathered and changed there. On a CPU they stay where they are, in memory or in a
//! mapped file, and are only read.

use std::sync::Arc;

use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::augment::{Draw, augmented};
use super::memory::Memory;
use super::recipe::{Augment, Recipe};
use crate::Result;
use crate::arch::stream::stream;
use crate::data::{Dataset, Images, Pixels};
use crate::graph::{channels_last, device, upload};
use crate::hash::hex;
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

impl Task {
    /// Reads the sizes off a data set, and mean and deviation off its training images.
    pub fn of(data: &Dataset) -> Result<Self> {
        let (mean, deviation) = data.channels_mean_std();
        let image = data.train().shape().map(|size| size as i64);
        Ok(Self { image, classes: data.classes().to_vec(), mean, deviation })
    }
}

impl RunData {
    /// Splits `data` as the recipe says, and copies it if the recipe's device has a memory of its own.
    pub fn new(recipe: &Recipe, data: &Dataset) -> Result<Self> {
        recipe.check_channels(data.train().shape()[0] as i64)?;
        let device = device(&recipe.device)?;
        let on = |images: &Images| DeviceImages::new(images, device);
        let [train, validation] = data.holdout(recipe.validation, recipe.seed).map(|(train, held)| [on(&train), on(&held)])?;
        // Data often lie class by class: the first so many, or a batch, shall be a fair part of all.
        let validation = validation.mixed(recipe.seed, "mix/validation");
        let (test, task, hash) = (test_images(data, device, recipe.seed), Task::of(data)?, data.hash());
        recipe.search.images_of(validation.len())?;
        let largest = train.len().max(validation.len()).max(test.len()); // statistics of norms come from images to train on
        let memory = Memory::new(recipe, &task, [largest, test.len()])?;
        Ok(Self { train, validation, test, task, hash, memory })
    }

    /// What a training loop works on; the images aren't copied.
    pub fn lessons(&self) -> Lessons {
        Lessons { train: self.train.all(), validation: self.validation.all(), hash: self.hash.clone() }
    }
}

/// The test images of `data` on `device`, in the order that `seed` draws.
pub fn test_images(data: &Dataset, device: Device, seed: u64) -> DeviceImages {
    DeviceImages::new(data.test(), device).mixed(seed, "mix/test")
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
    pixels: Tensor,             // u8 [stored, channels, height, width], never written to
    rows: Arc<[i64]>,           // [count] positions in `pixels`
    labels: Tensor,             // i64 [count]
    store: Option<Arc<Pixels>>, // what `pixels` borrows from, on a CPU
}

impl DeviceImages {
    /// `images` on `device`: on a CPU not copied, elsewhere copied.
    pub fn new(images: &Images, device: Device) -> Self {
        let labels: Vec<i64> = images.labels().iter().map(|&label| label.into()).collect();
        let labels = Tensor::from_slice(&labels).to_device(device);
        let [channels, height, width] = images.shape().map(|size| size as i64);
        if device == Device::Cpu {
            let (store, rows) = images.store();
            let pixels = borrowed(store, &[channels, height, width]);
            return Self { pixels, rows: rows.iter().map(|&row| row as i64).collect(), labels, store: Some(store.clone()) };
        }
        let count = images.len() as i64;
        let pixels = Tensor::from_data_size(&images.pixels(), &[count, channels, height, width], Kind::Uint8).to_device(device);
        Self { pixels, rows: (0..count).collect(), labels, store: None }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never true: [`Images`] hold at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of pixels and labels.
    pub fn hash(&self) -> String {
        let bytes = |tensor: &Tensor| {
            Vec::<u8>::try_from(tensor.to_device(Device::Cpu).contiguous().view(-1)).expect("a flat tensor of bytes")
        };
        let mut hasher = Sha256::new();
        self.rows.chunks(256).for_each(|rows| hasher.update(bytes(&self.stored(rows))));
        let labels = Vec::<i64>::try_from(&self.labels).expect("a flat tensor of numbers");
        // One byte a label where one is enough.
        let width = if labels.iter().all(|&label| label < 256) { 1 } else { 2 };
        labels.iter().for_each(|label| hasher.update(&label.to_le_bytes()[..width]));
        hex(hasher.finalize())
    }

    /// The same images, not copied.
    pub fn all(&self) -> Self {
        self.first(self.len())
    }

    /// The first `count` images, or all. Nothing is copied.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        self.of(self.rows[..count].into(), self.labels.narrow(0, 0, count as i64))
    }

    /// The images at `indices`, as a set of their own. Nothing is copied.
    pub fn pick(&self, indices: &[i64]) -> Self {
        self.of(self.rows(indices).into(), self.labels_of(indices))
    }

    /// The same images in the order that the random stream `name` of `seed` draws. Nothing is copied.
    pub fn mixed(&self, seed: u64, name: &str) -> Self {
        let mut order: Vec<i64> = (0..self.len() as i64).collect();
        order.shuffle(&mut stream(seed, name, 0));
        self.pick(&order)
    }

    /// Images `start..start + count` (cut at the end) as floats in 0…1, and their labels.
    pub fn slice(&self, start: usize, count: usize) -> (Tensor, Tensor) {
        let count = count.min(self.len() - start);
        let pixels = self.stored(&self.rows[start..][..count]);
        (floats(&pixels), self.labels.narrow(0, start as i64, count as i64))
    }

    /// The images at `indices` as floats in 0…1, and their labels.
    pub fn gather(&self, indices: &[i64]) -> (Tensor, Tensor) {
        (floats(&self.stored(&self.rows(indices))), self.labels_of(indices))
    }

    /// As [`gather`](Self::gather), with random changes.
    pub fn augmented(&self, indices: &[i64], augment: Augment, draw: Draw) -> (Tensor, Tensor) {
        (self.view(indices, augment, draw), self.labels_of(indices))
    }

    /// The same without the labels.
    pub fn view(&self, indices: &[i64], augment: Augment, draw: Draw) -> Tensor {
        augmented(&self.stored(&self.rows(indices)), augment, draw)
    }

    fn of(&self, rows: Arc<[i64]>, labels: Tensor) -> Self {
        Self { pixels: self.pixels.shallow_clone(), rows, labels, store: self.store.clone() }
    }

    fn rows(&self, indices: &[i64]) -> Vec<i64> {
        indices.iter().map(|&index| self.rows[index as usize]).collect()
    }

    fn labels_of(&self, indices: &[i64]) -> Tensor {
        self.labels.index_select(0, &upload(&Tensor::from_slice(indices), self.labels.device()))
    }

    /// A copy of the images at these positions of the store.
    fn stored(&self, rows: &[i64]) -> Tensor {
        self.pixels.index_select(0, &upload(&Tensor::from_slice(rows), self.pixels.device()))
    }
}

/// All images of a store, `shape` each, as a tensor that reads the store's own memory.
#[expect(unsafe_code, reason = "a tensor that doesn't own its memory")]
fn borrowed(store: &Arc<Pixels>, shape: &[i64; 3]) -> Tensor {
    let image: i64 = shape.iter().product();
    let size = [&[store.len() as i64 / image][..], shape].concat();
    let strides = [image, shape[1] * shape[2], shape[2], 1];
    // SAFETY: `DeviceImages` keeps the store as long as this tensor, gives it to nobody and only reads it; copies of its
    // rows are what goes out. The store is never changed.
    unsafe { Tensor::from_blob(store.as_ptr(), &size, &strides, Kind::Uint8, Device::Cpu) }
}

/// Bytes as floats in 0…1.
pub(super) fn floats(pixels: &Tensor) -> Tensor {
    channels_last(pixels).to_kind(Kind::Float) / 255.0
}
