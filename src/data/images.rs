//! Labelled images as bytes. Several sets may share one store and name their images by position in it, so that a split
//! copies nothing, and the store may be a file that is mapped into memory.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// At least one image, all of one shape, each with a label.
#[derive(Clone)]
pub struct Images {
    store: Arc<Pixels>,
    rows: Arc<[usize]>, // [count] positions in the store
    labels: Arc<[u16]>, // [count]
    shape: [usize; 3],
}

/// The bytes of images one after the other, each laid out as `[channels, height, width]`.
pub enum Pixels {
    /// In memory.
    Owned(Vec<u8>),
    /// In a file: the system reads what is used and drops it from memory when that is needed for something else.
    Mapped(Mmap),
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

impl Images {
    /// Checks and takes `pixels` of layout `[count, channels, height, width]`, `labels` of layout `[count]`, where
    /// `shape` is `[channels, height, width]` and each label is below `classes`; `field` names the data in errors.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `field` where these do not fit each other, or there is no image.
    pub fn new(
        field: &str,
        pixels: Vec<u8>,
        labels: impl IntoIterator<Item = impl Into<u16>>,
        shape: [usize; 3],
        classes: usize,
    ) -> Result<Self> {
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
        let (count, labels) = (pixels.len() / size, labels.into_iter().map(Into::into).collect::<Arc<[u16]>>());
        if labels.len() != count {
            let wanted = format!("{count}, one for each image");
            return Err(Error::invalid(field, format!("{} labels", labels.len()), wanted));
        }
        check_labels(field, &labels, classes)?;
        Ok(Self { store: Arc::new(Pixels::Owned(pixels)), rows: (0..count).collect(), labels, shape })
    }

    /// The images at `rows` of `store`, checked by the caller: there is at least one, and each is in the store.
    pub(super) fn stored(store: Arc<Pixels>, rows: Vec<usize>, labels: Vec<u16>, shape: [usize; 3]) -> Self {
        Self { store, rows: rows.into(), labels: labels.into(), shape }
    }

    /// The same images with other pixels, checked by the caller: `[count]` times `shape`.
    pub(super) fn with_pixels(&self, pixels: Vec<u8>, shape: [usize; 3]) -> Self {
        let rows = (0..self.len()).collect();
        Self { store: Arc::new(Pixels::Owned(pixels)), rows, labels: self.labels.clone(), shape }
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

    /// The class of each image, counted from 0, laid out as `[count]`.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Brightness of each image in turn, from 0 to 255, laid out as `[channels, height, width]`.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let size: usize = self.shape.iter().product();
        self.rows.iter().map(move |row| &self.store[row * size..][..size])
    }

    /// A copy of all of them, laid out as `[count, channels, height, width]`.
    pub fn pixels(&self) -> Vec<u8> {
        self.iter().collect::<Vec<_>>().concat()
    }

    /// Where the images lie: in a store that other sets may share, at these positions.
    pub fn store(&self) -> (&Arc<Pixels>, &[usize]) {
        (&self.store, &self.rows)
    }

    /// Mean and standard deviation (of the population) of each channel over all pixels, where 1.0 is full brightness.
    ///
    /// A channel of one brightness throughout reports a deviation of 1: dividing by it turns the channel into zeros,
    /// where its true deviation, 0, would turn it into NaN.
    pub fn channels_mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let [channels, height, width] = self.shape;
        let mut sums = vec![(0u64, 0u64); channels]; // of x and of x²
        for image in self.iter() {
            for (pixels, (sum, squares)) in image.chunks_exact(height * width).zip(&mut sums) {
                *sum += pixels.iter().map(|&x| u64::from(x)).sum::<u64>();
                *squares += pixels.iter().map(|&x| u64::from(x).pow(2)).sum::<u64>();
            }
        }
        let n = (self.len() * height * width) as u64;
        sums.into_iter().map(|(sum, squares)| mean_std(n, sum, squares)).unzip()
    }

    /// The images at these positions, in this order; a position may come more than once. Nothing is copied.
    ///
    /// # Panics
    /// If `indices` is empty, or one of them is not below [`Images::len`].
    pub fn select(&self, indices: &[usize]) -> Self {
        assert!(!indices.is_empty(), "a selection has at least one image");
        Self {
            store: self.store.clone(),
            rows: indices.iter().map(|&i| self.rows[i]).collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            shape: self.shape,
        }
    }
}

impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.labels == other.labels && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Images {
    // Derived, this would print a hundred million bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").field("len", &self.len()).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Refuses the first label that is not below `classes`.
pub(super) fn check_labels<L: Copy + Into<u16>>(field: &str, labels: &[L], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| usize::from(label.into()) >= classes) {
        None => Ok(()),
        Some(index) => {
            let wanted = classes.checked_sub(1).map_or("at least one class".into(), |last| format!("0 to {last}"));
            let label: u16 = labels[index].into();
            Err(Error::invalid(field, format!("label {label} of image {index} (counted from 0)"), wanted))
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
    use super::super::tests::numbered;
    use super::*;
    use expect_test::{Expect, expect};

    fn check_refused(pixels: usize, labels: &[u8], shape: [usize; 3], classes: usize, message: Expect) {
        let refused = Images::new("toy", vec![0; pixels], labels.iter().copied(), shape, classes).unwrap_err();
        message.assert_eq(&refused.to_string());
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        check_refused(8, &[0], [1, 2, 2], 2, expect!["toy: found 1 labels, wanted 2, one for each image"]);
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
        let images = Images::new("toy", pixels, [0u8, 0], [2, 1, 2], 1).unwrap();
        assert_eq!(images.channels_mean_std(), (vec![0.5, 0.2], vec![0.5, 1.0]));
    }

    #[test]
    fn a_selection_keeps_the_order_asked_for() {
        let some = numbered(5).select(&[4, 0, 4]);
        assert_eq!((some.len(), some.shape()), (3, [1, 1, 2]));
        assert_eq!((some.labels(), some.pixels()), (&[4, 0, 4][..], vec![8, 9, 0, 1, 8, 9]));
    }
}
