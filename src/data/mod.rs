//! Labelled images as bytes: what a network is trained and judged on, before anything becomes a tensor.
//!
//! A [`Source`] (the `[data]` table of a recipe) reads a folder into a [`Dataset`]. One file per kind of folder.

mod cifar10;
pub(crate) mod file;
mod idx;
mod size;

use std::fmt;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::hash::hex;

pub use cifar10::Cifar10;
pub use idx::Idx;
pub use size::Size;

/// Where images come from: the `[data]` table of a recipe, told apart by its key `kind`.
///
/// Every kind has the optional keys `path`, the folder (a caller that knows better passes another to [`Source::load`]), and
/// `size`, what images are shrunk to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// The four files of MNIST and its relatives.
    Idx(Idx),
    /// CIFAR-10 in its binary format.
    Cifar10(Cifar10),
}

impl Source {
    /// The folder the recipe names, if it names one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Idx(idx) => idx.path.as_deref(),
            Self::Cifar10(cifar10) => cifar10.path.as_deref(),
        }
    }

    /// What the recipe wants images shrunk to, if anything.
    pub fn size(&self) -> Option<Size> {
        match self {
            Self::Idx(idx) => idx.size,
            Self::Cifar10(cifar10) => cifar10.size,
        }
    }

    /// Reads the whole of `folder` into memory.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing folder or file, [`Error::Io`] for an unreadable one, [`Error::Corrupt`] for a
    /// damaged or foreign one, [`Error::Invalid`] for a label, a list of class names or a size that does not fit.
    pub fn load(&self, folder: &Path) -> Result<Dataset> {
        self.size().map_or(Ok(()), Size::check)?;
        let data = match self {
            Self::Idx(idx) => idx.load(folder)?,
            Self::Cifar10(cifar10) => cifar10.load(folder)?,
        };
        match self.size() {
            Some(size) => size.of(data),
            None => Ok(data),
        }
    }
}

/// Two sets of images and the names of what they show.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// To learn from. Its last word on quality comes from [`Dataset::holdout`], not from `test`.
    pub train: Images,
    /// To report on, once, at the very end.
    pub test: Images,
    /// The name of each label, in the order of the labels.
    pub classes: Vec<String>,
}

impl Dataset {
    /// SHA-256 of shapes, labels, pixels and class names, as 64 lower-case hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for images in [&self.train, &self.test] {
            // Lengths go in too: without them, bytes could wander from one field to the next unnoticed.
            [images.len()].iter().chain(&images.shape).for_each(|&size| hasher.update((size as u64).to_le_bytes()));
            hasher.update(&images.labels);
            hasher.update(&images.pixels);
        }
        for name in &self.classes {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
        }
        hex(hasher.finalize())
    }

    /// Splits `train` into (train, validation), the latter of `count` images drawn by `seed`; both keep their order.
    ///
    /// The same data, `count` and `seed` give the same split on every machine.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `validation` where either part would be empty.
    pub fn holdout(&self, count: usize, seed: u64) -> Result<(Images, Images)> {
        let images = self.train.len();
        if count == 0 || count >= images {
            let wanted = format!("at least 1 and fewer than the {images} images of the training part");
            return Err(Error::invalid("validation", count, wanted));
        }
        let mut order: Vec<usize> = (0..images).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let (validation, train) = order.split_at_mut(count);
        validation.sort_unstable();
        train.sort_unstable();
        Ok((self.train.select(train), self.train.select(validation)))
    }
}

/// At least one image, all of one shape, each with a label.
#[derive(Clone, Eq, PartialEq)]
pub struct Images {
    pixels: Vec<u8>, // [count, channels, height, width]
    labels: Vec<u8>, // [count]
    shape: [usize; 3],
}

impl Images {
    /// Checks and takes `pixels` of layout `[count, channels, height, width]`, `labels` of layout `[count]`, where
    /// `shape` is `[channels, height, width]` and each label is below `classes`; `field` names the data in errors.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `field` where these do not fit each other, or there is no image.
    pub fn new(field: &str, pixels: Vec<u8>, labels: Vec<u8>, shape: [usize; 3], classes: usize) -> Result<Self> {
        let [channels, height, width] = shape;
        let Some(size) = channels.checked_mul(height).and_then(|n| n.checked_mul(width)).filter(|&n| n > 0) else {
            let found = format!("images of {channels} x {height} x {width}");
            return Err(Error::invalid(field, found, "channels, height and width of at least 1"));
        };
        if pixels.is_empty() {
            return Err(Error::invalid(field, "no images", "at least one"));
        }
        if !pixels.len().is_multiple_of(size) {
            let wanted = format!("a multiple of {size} ({channels} x {height} x {width} for each image)");
            return Err(Error::invalid(field, format!("{} bytes of pixels", pixels.len()), wanted));
        }
        let count = pixels.len() / size;
        if labels.len() != count {
            let wanted = format!("{count}, one for each image");
            return Err(Error::invalid(field, format!("label count {}", labels.len()), wanted));
        }
        check_labels(field, &labels, classes)?;
        Ok(Self { pixels, labels, shape })
    }

    /// How many images; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty: the constructor sees to it")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// `[channels, height, width]` of each image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Brightness from 0 to 255, laid out as `[count, channels, height, width]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The class of each image, counted from 0, laid out as `[count]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Mean and standard deviation (of the population) of each channel over all pixels, where 1.0 is full brightness.
    ///
    /// A channel of one brightness throughout reports a deviation of 1: dividing by it turns the channel into zeros,
    /// where its true deviation, 0, would turn it into NaN.
    pub fn channels_mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let [channels, height, width] = self.shape;
        let mut sums = vec![(0u64, 0u64); channels]; // of x and of x²
        for (plane, pixels) in self.pixels.chunks_exact(height * width).enumerate() {
            let (sum, squares) = &mut sums[plane % channels];
            *sum += pixels.iter().map(|&x| u64::from(x)).sum::<u64>();
            *squares += pixels.iter().map(|&x| u64::from(x).pow(2)).sum::<u64>();
        }
        let n = (self.len() * height * width) as u64;
        sums.into_iter().map(|(sum, squares)| mean_std(n, sum, squares)).unzip()
    }

    /// The images at these positions, in this order; a position may come more than once.
    ///
    /// # Panics
    /// If `indices` is empty, or one of them is not below [`Images::len`].
    pub fn select(&self, indices: &[usize]) -> Self {
        assert!(!indices.is_empty(), "a selection has at least one image");
        let size: usize = self.shape.iter().product();
        let mut pixels = Vec::with_capacity(indices.len() * size);
        indices.iter().for_each(|&i| pixels.extend_from_slice(&self.pixels[i * size..][..size]));
        Self { pixels, labels: indices.iter().map(|&i| self.labels[i]).collect(), shape: self.shape }
    }
}

impl fmt::Debug for Images {
    // Derived, this would print a hundred million bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").field("len", &self.len()).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Refuses the first label that is not below `classes`.
fn check_labels(field: &str, labels: &[u8], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(index) => {
            let wanted = classes.checked_sub(1).map_or("at least one class".into(), |last| format!("0 to {last}"));
            Err(Error::invalid(field, format!("label {} of image {index} (counted from 0)", labels[index]), wanted))
        }
    }
}

/// Of `n` bytes with this sum and sum of squares, in units of 255. Whole numbers up to the last step, hence exact.
fn mean_std(n: u64, sum: u64, squares: u64) -> (f32, f32) {
    let spread = u128::from(n) * u128::from(squares) - u128::from(sum).pow(2); // n² times the variance
    let std = if spread == 0 { 1.0 } else { (spread as f64).sqrt() / (n as f64 * 255.0) };
    ((sum as f64 / (n as f64 * 255.0)) as f32, std as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// `count` images of 1 x 1 x 2, whose pixels and labels tell their position.
    fn numbered(count: u8) -> Images {
        Images::new("toy", (0..2 * count).collect(), (0..count).collect(), [1, 1, 2], count.into()).unwrap()
    }

    fn toy() -> Dataset {
        Dataset { train: numbered(10), test: numbered(3), classes: (0..10).map(|i| i.to_string()).collect() }
    }

    fn check_refused(pixels: usize, labels: &[u8], shape: [usize; 3], classes: usize, message: Expect) {
        let refused = Images::new("toy", vec![0; pixels], labels.to_vec(), shape, classes).unwrap_err();
        message.assert_eq(&refused.to_string());
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        check_refused(8, &[0], [1, 2, 2], 2, expect!["toy: found label count 1, wanted 2, one for each image"]);
        check_refused(8, &[1, 2], [1, 2, 2], 2, expect!["toy: found label 2 of image 1 (counted from 0), wanted 0 to 1"]);
        check_refused(
            8,
            &[0, 0],
            [1, 2, 2],
            0,
            expect!["toy: found label 0 of image 0 (counted from 0), wanted at least one class"],
        );
        check_refused(
            7,
            &[0],
            [1, 2, 2],
            2,
            expect!["toy: found 7 bytes of pixels, wanted a multiple of 4 (1 x 2 x 2 for each image)"],
        );
        check_refused(0, &[], [1, 2, 2], 2, expect!["toy: found no images, wanted at least one"]);
        check_refused(
            4,
            &[0],
            [1, 0, 2],
            2,
            expect!["toy: found images of 1 x 0 x 2, wanted channels, height and width of at least 1"],
        );
    }

    #[test]
    fn mean_and_deviation_are_per_channel() {
        let pixels = vec![0, 255, 51, 51, 255, 0, 51, 51]; // two images, [2, 1, 2] each
        let images = Images::new("toy", pixels, vec![0, 0], [2, 1, 2], 1).unwrap();
        assert_eq!(images.channels_mean_std(), (vec![0.5, 0.2], vec![0.5, 1.0]));
    }

    #[test]
    fn a_selection_keeps_the_order_asked_for() {
        let some = numbered(5).select(&[4, 0, 4]);
        assert_eq!((some.len(), some.shape()), (3, [1, 1, 2]));
        assert_eq!((some.labels(), some.pixels()), (&[4, 0, 4][..], &[8, 9, 0, 1, 8, 9][..]));
    }

    #[test]
    fn a_holdout_is_a_partition_drawn_by_its_seed() {
        let (train, validation) = toy().holdout(3, 1).unwrap();
        // Fixed for good: another split would make recorded results impossible to repeat.
        expect!["[3, 5, 8]"].assert_eq(&format!("{:?}", validation.labels()));
        let mut all = [train.labels(), validation.labels()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<u8>>());
        assert_eq!(toy().holdout(3, 1).unwrap(), (train, validation.clone()));
        assert_ne!(toy().holdout(3, 2).unwrap().1, validation);
    }

    #[test]
    fn a_holdout_leaves_both_parts_an_image() {
        assert!(toy().holdout(9, 0).is_ok());
        let message = "wanted at least 1 and fewer than the 10 images of the training part";
        for count in [0, 10, 11] {
            let refused = toy().holdout(count, 0).unwrap_err().to_string();
            assert_eq!(refused, format!("validation: found {count}, {message}"));
        }
    }

    #[test]
    fn the_hash_sees_every_part() {
        let toy = toy();
        expect!["84e9a1fb363abd5beffb8f5742f71ada60f244228dcb3a43cbd61ef33c45389f"].assert_eq(&toy.hash());
        let mut others = [toy.clone(), toy.clone(), toy.clone(), toy.clone(), toy.clone()];
        others[0].train.pixels[3] ^= 1;
        others[1].test.labels[0] ^= 1;
        others[2].test.shape = [2, 1, 1];
        others[3].classes[0] = "zero".into();
        (others[4].classes[0], others[4].classes[1]) = ("01".into(), String::new());
        let hashes: Vec<String> = others.iter().chain([&toy]).map(Dataset::hash).collect();
        (0..hashes.len()).for_each(|i| assert!(!hashes[..i].contains(&hashes[i]), "{i}"));
    }

    #[test]
    fn a_recipe_names_a_source() {
        let source: Source = toml::from_str("kind = \"idx\"\npath = \"here\"\nclasses = [\"a\", \"b\"]").unwrap();
        assert_eq!(source.path(), Some(Path::new("here")));
        assert_eq!(toml::from_str::<Source>(&toml::to_string(&source).unwrap()).unwrap(), source);
        let source: Source = toml::from_str("kind = \"cifar10\"").unwrap();
        assert_eq!(source.path(), None);
        assert_eq!(toml::to_string(&source).unwrap(), "kind = \"cifar10\"\n");
    }

    #[test]
    fn a_misspelt_source_is_refused() {
        let refusal = |text| toml::from_str::<Source>(text).unwrap_err().message().to_owned();
        expect!["unknown variant `cifar`, expected `idx` or `cifar10`"].assert_eq(&refusal("kind = \"cifar\""));
        expect!["unknown field `clases`, expected one of `path`, `size`, `classes`"]
            .assert_eq(&refusal("kind = \"idx\"\nclases = []"));
        expect!["unknown field `classes`, expected `path` or `size`"].assert_eq(&refusal("kind = \"cifar10\"\nclasses = []"));
    }
}
