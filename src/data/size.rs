//! Smaller images: each new pixel is the mean of the box of old pixels that it covers.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Dataset, Images};
use crate::error::{Error, Result};

/// What images are shrunk to: `size = 16` for 16 x 16 pixels, or `size = [height, width]`.
///
/// The largest window in the middle that has the new proportions is cut into `height` x `width` boxes of equal size. Where
/// the old size is a multiple of the new one, a new pixel is the plain mean of the old pixels in its box; elsewhere a pixel
/// that a border crosses counts in each box by the share of its area. Means are worked out in whole numbers and rounded
/// half up, so they are the same on every machine. Nothing is enlarged: a size above that of an image is an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// Refuses a size of nothing.
    pub(super) fn check(self) -> Result<()> {
        match self.height.min(self.width) {
            0 => Err(Error::invalid("data.size", self, "at least 1 x 1 pixel")),
            _ => Ok(()),
        }
    }

    /// All images of `data` at this size.
    pub(super) fn of(self, data: Dataset) -> Result<Dataset> {
        Ok(Dataset::new(self.of_images(data.train())?, self.of_images(data.test())?, data.classes().to_vec()))
    }

    fn of_images(self, images: &Images) -> Result<Images> {
        let [channels, height, width] = images.shape();
        if self.height > height || self.width > width {
            return Err(Error::invalid("data.size", self, format!("at most {height} x {width}, as large as the images are")));
        }
        if [self.height, self.width] == [height, width] {
            return Ok(images.clone());
        }
        let shrinker = self.shrinker([height, width]);
        let mut pixels = Vec::with_capacity(images.len() * channels * self.height * self.width);
        let planes = images.iter().flat_map(|image| image.chunks_exact(height * width));
        planes.for_each(|plane| shrinker.shrink(plane, &mut pixels));
        Ok(images.with_pixels(pixels, [channels, self.height, self.width]))
    }

    /// What brings planes of `[height, width]` pixels, no smaller than this size, to this size.
    pub(super) fn shrinker(self, [height, width]: [usize; 2]) -> Shrinker {
        let [rows, columns] = self.window([height, width]);
        Shrinker {
            corner: (height - rows) / 2 * width + (width - columns) / 2,
            width,
            columns,
            down: overlaps(rows, self.height),
            across: overlaps(columns, self.width),
            area: (rows * columns) as u64,
        }
    }

    /// Rows and columns of the largest window of these proportions in an image of `height` x `width`.
    fn window(self, [height, width]: [usize; 2]) -> [usize; 2] {
        let scaled = |length: usize, by: usize, of: usize| ((2 * length * by + of) / (2 * of)).max(1);
        if height * self.width >= width * self.height {
            [scaled(width, self.height, self.width).min(height), width]
        } else {
            [height, scaled(height, self.width, self.height).min(width)]
        }
    }
}

/// Makes planes of one size smaller.
pub(super) struct Shrinker {
    /// Where the window begins that is kept.
    corner: usize,
    /// Of a plane, and of the window.
    width: usize,
    columns: usize,
    /// What each new row and column is made of.
    down: Vec<Vec<(usize, u64)>>,
    across: Vec<Vec<(usize, u64)>>,
    /// Of a box, in the units of `overlaps`.
    area: u64,
}

impl Shrinker {
    /// Adds what becomes of `plane` to `out`.
    pub(super) fn shrink(&self, plane: &[u8], out: &mut Vec<u8>) {
        let mut sums = vec![0u64; self.across.len()];
        for down in &self.down {
            sums.fill(0);
            for (row, part) in down {
                let line = &plane[self.corner + row * self.width..][..self.columns];
                let box_sum = |pieces: &[(usize, u64)]| pieces.iter().map(|&(x, part)| part * u64::from(line[x])).sum::<u64>();
                sums.iter_mut().zip(&self.across).for_each(|(sum, pieces)| *sum += part * box_sum(pieces));
            }
            out.extend(sums.iter().map(|sum| ((2 * sum + self.area) / (2 * self.area)) as u8));
        }
    }
}

/// Which of `from` pixels in a row lie in each of `to` equal pieces of the row, and how much of each: in units of 1/`to`
/// of a pixel, of which a piece has `from`.
fn overlaps(from: usize, to: usize) -> Vec<Vec<(usize, u64)>> {
    let piece = |i: usize| {
        let (start, end) = (i * from, (i + 1) * from);
        (start / to..end.div_ceil(to)).map(|x| (x, (end.min((x + 1) * to) - start.max(x * to)) as u64)).collect()
    };
    (0..to).map(piece).collect()
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.height, self.width)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match *self {
            Self { height, width } if height == width => height.serialize(serializer),
            Self { height, width } => [height, width].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct SizeVisitor;

        impl<'de> Visitor<'de> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a size in whole pixels, such as 16, or [height, width]")
            }

            fn visit_u64<E: de::Error>(self, side: u64) -> std::result::Result<Size, E> {
                let side = usize::try_from(side).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(side), &self))?;
                Ok(Size { height: side, width: side })
            }

            fn visit_i64<E: de::Error>(self, side: i64) -> std::result::Result<Size, E> {
                let positive = u64::try_from(side).map_err(|_| E::invalid_value(de::Unexpected::Signed(side), &self))?;
                self.visit_u64(positive)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sides: A) -> std::result::Result<Size, A::Error> {
                let mut side = |index| sides.next_element()?.ok_or_else(|| de::Error::invalid_length(index, &self));
                let (height, width) = (side(0)?, side(1)?);
                match sides.next_element::<de::IgnoredAny>()? {
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                    None => Ok(Size { height, width }),
                }
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use expect_test::{Expect, expect};

    fn shrunk(plane: &[u8], from: [usize; 2], height: usize, width: usize) -> Vec<u8> {
        let mut out = vec![];
        Size { height, width }.shrinker(from).shrink(plane, &mut out);
        out
    }

    #[test]
    fn a_whole_factor_gives_plain_means_rounded_half_up() {
        let plane = [1, 2, 10, 20, 3, 4, 30, 41, 0, 0, 255, 255, 0, 1, 255, 255];
        // (1 + 2 + 3 + 4) / 4 = 2.5, (10 + 20 + 30 + 41) / 4 = 25.25, 1 / 4, 255.
        assert_eq!(shrunk(&plane, [4, 4], 2, 2), [3, 25, 0, 255]);
        assert_eq!(shrunk(&plane, [4, 4], 4, 4), plane);
    }

    #[test]
    fn a_pixel_on_a_border_counts_by_its_share() {
        let plane = [10, 20, 40].repeat(3);
        // Boxes of 1.5 pixels: (10 + 20/2) / 1.5 = 13.3, (20/2 + 40) / 1.5 = 33.3.
        assert_eq!(shrunk(&plane, [3, 3], 2, 2), [13, 33, 13, 33]);
    }

    #[test]
    fn any_size_agrees_with_a_grid_so_fine_that_every_factor_is_whole() {
        let (side, to) = (10, 4); // 20 fine pixels: each old one is 2 x 2 of them, each box 5 x 5
        let plane: Vec<u8> = (0..side * side).map(|at| (at * 37 % 251) as u8).collect();
        let fine: Vec<u8> = (0..20 * 20).map(|at| plane[at / 20 / 2 * side + at % 20 / 2]).collect();
        assert_eq!(shrunk(&plane, [side, side], to, to), shrunk(&fine, [20, 20], to, to));
    }

    #[test]
    fn the_middle_is_kept_where_proportions_differ() {
        let plane: Vec<u8> = (0..2 * 6).map(|at| 10 * (at % 6)).collect(); // 2 rows, columns 0 to 50
        assert_eq!(shrunk(&plane, [2, 6], 1, 1), [25], "columns 2 and 3");
        assert_eq!(shrunk(&plane, [2, 6], 1, 3), [5, 25, 45], "all of them");
        assert_eq!(Size { height: 3, width: 2 }.window([100, 40]), [60, 40]);
        assert_eq!(Size { height: 2, width: 3 }.window([100, 40]), [27, 40]);
        assert_eq!(Size { height: 1, width: 1 }.window([1, 90]), [1, 1]);
    }

    fn data() -> Dataset {
        let images = |count: u8| {
            let pixels = (0..count).flat_map(|image| [[image; 16], [2 * image; 16]].concat()).collect();
            Images::new("toy", pixels, 0..count, [2, 4, 4], 5).unwrap()
        };
        Dataset::new(images(5), images(3), (0..5).map(|class| class.to_string()).collect())
    }

    #[test]
    fn both_parts_shrink_and_the_hash_follows() {
        let size = Size { height: 2, width: 1 };
        let small = size.of(data()).unwrap();
        assert_eq!((small.train().shape(), small.train().labels()), ([2, 2, 1], &[0, 1, 2, 3, 4][..]));
        assert_eq!(small.test().pixels(), [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 4, 4]);
        assert_ne!(small.hash(), data().hash());
        let refused = Size { height: 4, width: 5 }.of(data()).unwrap_err().to_string();
        assert_eq!(refused, "data.size: found 4 x 5, wanted at most 4 x 4, as large as the images are");
        let refused = Size { height: 4, width: 0 }.check().unwrap_err().to_string();
        assert_eq!(refused, "data.size: found 4 x 0, wanted at least 1 x 1 pixel");
    }

    #[test]
    fn a_size_is_a_number_or_a_pair() {
        let written = |text: &str| {
            let source = toml::from_str::<Source>(&format!("kind = \"idx\"\nsize = {text}"));
            source.map(|source| toml::to_string(&source).unwrap().lines().nth(1).unwrap().to_owned())
        };
        assert_eq!(written("16").unwrap(), "size = 16");
        assert_eq!(written("[16, 16]").unwrap(), "size = 16");
        assert_eq!(written("[16, 24]").unwrap(), "size = [16, 24]");
        let check = |text, message: Expect| message.assert_eq(written(text).unwrap_err().message());
        check("-1", expect!["invalid value: integer `-1`, expected a size in whole pixels, such as 16, or [height, width]"]);
        check(
            "16.5",
            expect!["invalid type: floating point `16.5`, expected a size in whole pixels, such as 16, or [height, width]"],
        );
        check(
            "\"16\"",
            expect![[r#"invalid type: string "16", expected a size in whole pixels, such as 16, or [height, width]"#]],
        );
        check("[16]", expect!["invalid length 1, expected a size in whole pixels, such as 16, or [height, width]"]);
        check("[16, 16, 3]", expect!["invalid length 3, expected a size in whole pixels, such as 16, or [height, width]"]);
    }
}
