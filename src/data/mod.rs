//! Labelled images as bytes: what a network is trained and judged on, before anything becomes a tensor.
//!
//! A [`Source`] (the `[data]` table of a recipe) reads a folder into a [`Dataset`]. One file per kind of folder.

mod cache;
mod decode;
mod images;
mod listing;
mod size;
mod split;

use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::hash::hex;

pub use cache::CACHE_ENDING;
pub use cifar100::Labels;
pub use folder::Channels;
pub use images::{Images, Pixels};
pub use size::Size;
pub use split::Validation;

/// A kind of folder that images are read from.
pub trait Format {
    /// The folder the recipe names, if it names one.
    fn path(&self) -> Option<&Path>;

    /// What the recipe wants images shrunk to, if anything.
    fn size(&self) -> Option<Size>;

    /// Whether [`read`](Self::read) shrinks every image before it is kept. Elsewhere all are read first.
    fn shrinks(&self) -> bool {
        false
    }

    /// Reads the images of `folder`; see [`Source::load`].
    fn read(&self, folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<Dataset>;
}

registry! {
    /// Where images come from: the `[data]` table of a recipe.
    ///
    /// Every kind has the optional keys `path`, the folder (a caller that knows better passes another to [`Source::load`]), and
    /// `size`, what images are shrunk to.
    #[derive(Eq)]
    #[non_exhaustive]
    pub enum Source: Format {
        /// The four files of MNIST and its relatives.
        "idx" => idx::Idx,
        /// CIFAR-10 in its binary format.
        "cifar10" => cifar10::Cifar10,
        /// CIFAR-100 in its binary format.
        "cifar100" => cifar100::Cifar100,
        /// Pictures, a folder for each class.
        "folder" => folder::Folder,
    }
}

impl Source {
    /// Reads the images of `folder`: into memory, or, for a folder of pictures, through a cache that is mapped into memory.
    /// `tell` hears, in sentences, what a user should know: what takes long, what was left out, what was held out.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) for a missing folder or file, [`Error::Io`](crate::Error::Io) for an
    /// unreadable one, [`Error::Corrupt`](crate::Error::Corrupt) for a damaged or foreign one,
    /// [`Error::Invalid`](crate::Error::Invalid) for a label, a class or a size that does not fit.
    pub fn load(&self, folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<Dataset> {
        self.size().map_or(Ok(()), Size::check)?;
        let data = self.read(folder, tell)?;
        match self.size().filter(|_| !self.shrinks()) {
            Some(size) => size.of(data),
            None => Ok(data),
        }
    }
}

/// Two or three sets of images of one shape, and the names of what they show.
#[derive(Clone, Debug)]
pub struct Dataset {
    train: Images,
    test: Images,
    validation: Option<Images>,
    classes: Vec<String>,
    /// Once it is known: all pixels are read for it.
    summary: OnceLock<Summary>,
}

/// What is worked out of all pixels of a data set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Summary {
    hash: String,
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Dataset {
    /// Images of one shape to learn from and to report on, and the name of each label in the order of the labels.
    pub fn new(train: Images, test: Images, classes: Vec<String>) -> Self {
        Self { train, test, validation: None, classes, summary: OnceLock::new() }
    }

    /// The same with images of their own to compare subnets on.
    pub fn with_validation(self, validation: Images) -> Self {
        Self { validation: Some(validation), summary: OnceLock::new(), ..self }
    }

    /// To learn from. Its last word on quality comes from [`Dataset::holdout`], not from `test`.
    pub fn train(&self) -> &Images {
        &self.train
    }

    /// To report on, once, at the very end.
    pub fn test(&self) -> &Images {
        &self.test
    }

    /// To compare subnets on, where the data bring such images along.
    pub fn validation(&self) -> Option<&Images> {
        self.validation.as_ref()
    }

    /// The name of each label, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// SHA-256 of shapes, labels, pixels and class names, as 64 lower-case hexadecimal digits.
    /// Read off the data once.
    pub fn hash(&self) -> String {
        self.summary().hash.clone()
    }

    fn hashed(&self) -> String {
        let mut hasher = Sha256::new();
        for images in [&self.train, &self.test].into_iter().chain(&self.validation) {
            // Lengths go in too: without them, bytes could wander from one field to the next unnoticed.
            [images.len()].iter().chain(&images.shape()).for_each(|&size| hasher.update((size as u64).to_le_bytes()));
            // One byte a label where one is enough.
            let width = if self.classes.len() <= 256 { 1 } else { 2 };
            images.labels().iter().for_each(|label| hasher.update(&label.to_le_bytes()[..width]));
            images.iter().for_each(|pixels| hasher.update(pixels));
        }
        for name in &self.classes {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
        }
        hex(hasher.finalize())
    }

    /// Mean and standard deviation of each channel over the training images; see [`Images::channels_mean_std`].
    pub fn channels_mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let Summary { mean, deviation, .. } = self.summary();
        (mean.clone(), deviation.clone())
    }

    /// Splits the training images into (train, validation), the latter as `how` says and drawn by `seed`; both keep their
    /// order. Images that the data bring along for validation are taken as they are.
    ///
    /// The same data, `how` and `seed` give the same split on every machine.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) on `validation` where either part would be empty, a class too small, or
    /// there are two answers.
    pub fn holdout(&self, how: Validation, seed: u64) -> Result<(Images, Images)> {
        split::holdout(self, how, seed)
    }

    fn summary(&self) -> &Summary {
        self.summary.get_or_init(|| {
            let (mean, deviation) = self.train.channels_mean_std();
            Summary { hash: self.hashed(), mean, deviation }
        })
    }

    /// The same, its summary taken on trust.
    fn known(self, summary: Summary) -> Self {
        Self { summary: summary.into(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    /// `count` images of 1 x 1 x 2, whose pixels and labels tell their position.
    pub(super) fn numbered(count: u8) -> Images {
        Images::new("toy", (0..2 * count).collect(), 0..count, [1, 1, 2], count.into()).unwrap()
    }

    pub(super) fn toy() -> Dataset {
        Dataset::new(numbered(10), numbered(3), (0..10).map(|i| i.to_string()).collect())
    }

    #[test]
    fn the_hash_sees_every_part() {
        let toy = toy();
        expect!["84e9a1fb363abd5beffb8f5742f71ada60f244228dcb3a43cbd61ef33c45389f"].assert_eq(&toy.hash());
        let images = |pixels: Vec<u8>, labels: [u8; 3], shape| Images::new("toy", pixels, labels, shape, 10).unwrap();
        let named = |names: [&str; 2]| [&names.map(String::from)[..], &toy.classes()[2..]].concat();
        let (train, test, classes) = (toy.train(), toy.test(), toy.classes());
        let mut brighter = train.pixels();
        brighter[3] ^= 1;
        let brighter = Images::new("toy", brighter, 0..10u8, [1, 1, 2], 10).unwrap();
        let others = [
            Dataset::new(brighter, test.clone(), classes.to_vec()),
            Dataset::new(train.clone(), images(test.pixels(), [1, 1, 2], [1, 1, 2]), classes.to_vec()),
            Dataset::new(train.clone(), images(test.pixels(), [0, 1, 2], [2, 1, 1]), classes.to_vec()),
            Dataset::new(train.clone(), test.clone(), named(["zero", "1"])),
            Dataset::new(train.clone(), test.clone(), named(["01", ""])),
            toy.clone().with_validation(test.clone()),
            toy.clone().with_validation(train.clone()),
        ];
        let hashes: Vec<String> = others.iter().chain([&toy]).map(Dataset::hash).collect();
        (0..hashes.len()).for_each(|i| assert!(!hashes[..i].contains(&hashes[i]), "{i}"));
    }

    #[test]
    fn beyond_256_classes_the_hash_sees_all_of_a_label() {
        let of = |label: u16| {
            let images = Images::new("toy", vec![0], [label], [1, 1, 1], 300).unwrap();
            Dataset::new(images.clone(), images, (0..300).map(|i| i.to_string()).collect()).hash()
        };
        assert_ne!(of(1), of(257));
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
        expect!["unknown variant `cifar`, expected one of `idx`, `cifar10`, `cifar100`, `folder`"]
            .assert_eq(&refusal("kind = \"cifar\""));
        expect!["unknown field `clases`, expected one of `path`, `size`, `classes`"]
            .assert_eq(&refusal("kind = \"idx\"\nclases = []"));
        expect!["unknown field `classes`, expected `path` or `size`"].assert_eq(&refusal("kind = \"cifar10\"\nclasses = []"));
    }
}
