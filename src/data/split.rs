//! Which training images are held out to compare subnets on.

use std::fmt;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Dataset, Images};
use crate::error::{Error, Result};

/// The key `validation` of a recipe: `5000`, or `{ images = 5000, balanced = true }`, or nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Validation {
    /// The part that the data bring along for it (`val/` of a folder), or else a tenth of each class.
    #[default]
    Own,
    /// So many, drawn from all training images.
    Drawn(usize),
    /// So many, of each class the same number. What is left over by the division is one more of some classes, drawn too.
    Balanced(usize),
}

impl Validation {
    /// Refuses a number of 0.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Drawn(0) | Self::Balanced(0) => Err(Error::invalid("validation", 0, "at least 1")),
            _ => Ok(()),
        }
    }

    /// Whether the recipe leaves it to the data.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

impl From<usize> for Validation {
    fn from(images: usize) -> Self {
        Self::Drawn(images)
    }
}

/// Splits the training part of `data` as `how` says into (train, validation); see [`Dataset::holdout`].
pub(super) fn holdout(data: &Dataset, how: Validation, seed: u64) -> Result<(Images, Images)> {
    match (how, data.validation()) {
        (Validation::Own, Some(validation)) => Ok((data.train().clone(), validation.clone())),
        (Validation::Drawn(count) | Validation::Balanced(count), Some(validation)) => {
            let wanted = format!("the key left out: the data set has {} validation images of its own", validation.len());
            Err(Error::invalid("validation", format!("{count} images to hold out"), wanted))
        }
        (Validation::Own, None) => tenth(data.train(), data.classes(), "validation", seed),
        (Validation::Drawn(count), None) => drawn(data.train(), count, seed),
        (Validation::Balanced(count), None) => balanced(data.train(), data.classes(), count, seed),
    }
}

fn drawn(images: &Images, count: usize, seed: u64) -> Result<(Images, Images)> {
    if count == 0 || count >= images.len() {
        let wanted = format!("at least 1 and fewer than the {} images of the training part", images.len());
        return Err(Error::invalid("validation", count, wanted));
    }
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (held, rest) = order.split_at(count);
    Ok(parted(images, rest.to_vec(), held.to_vec()))
}

/// A tenth of each class, rounded, but at least one image. `part` is what the images are held out for.
pub(super) fn tenth(images: &Images, classes: &[String], part: &str, seed: u64) -> Result<(Images, Images)> {
    let quota = |count: usize| if count == 0 { 0 } else { ((count + 5) / 10).max(1) };
    let members = members(images, classes.len());
    by_class(images, classes, &members.iter().map(|of_class| quota(of_class.len())).collect::<Vec<_>>(), part, seed)
}

fn balanced(images: &Images, classes: &[String], count: usize, seed: u64) -> Result<(Images, Images)> {
    if count < classes.len() {
        let wanted = format!("at least {}, one of each class", classes.len());
        return Err(Error::invalid("validation", format!("{count} images, balanced"), wanted));
    }
    let mut quotas = vec![count / classes.len(); classes.len()];
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order[..count % classes.len()].iter().for_each(|&class| quotas[class] += 1);
    by_class(images, classes, &quotas, "validation", seed)
}

/// Holds out `quotas[class]` images of each class, and leaves each at least one.
fn by_class(images: &Images, classes: &[String], quotas: &[usize], part: &str, seed: u64) -> Result<(Images, Images)> {
    let (mut rng, mut held, mut rest) = (ChaCha8Rng::seed_from_u64(seed), vec![], vec![]);
    for ((mut members, &quota), name) in members(images, classes.len()).into_iter().zip(quotas).zip(classes) {
        if quota > 0 && members.len() <= quota {
            let found = format!("{} of class `{name}` in the training part", members.len());
            let wanted = format!("at least {}: {quota} to hold out and one to learn from", quota + 1);
            return Err(Error::invalid(part, found, wanted));
        }
        members.shuffle(&mut rng);
        held.extend_from_slice(&members[..quota]);
        rest.extend_from_slice(&members[quota..]);
    }
    Ok(parted(images, rest, held))
}

/// Positions of the images of each class.
fn members(images: &Images, classes: usize) -> Vec<Vec<usize>> {
    let mut members = vec![vec![]; classes];
    images.labels().iter().enumerate().for_each(|(at, &label)| members[usize::from(label)].push(at));
    members
}

/// Both parts in their old order.
fn parted(images: &Images, mut rest: Vec<usize>, mut held: Vec<usize>) -> (Images, Images) {
    rest.sort_unstable();
    held.sort_unstable();
    (images.select(&rest), images.select(&held))
}

impl Serialize for Validation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match *self {
            Self::Own => serializer.serialize_none(), // recipes leave the key out
            Self::Drawn(images) => images.serialize(serializer),
            Self::Balanced(images) => Table { images, balanced: true }.serialize(serializer),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Table {
    images: usize,
    #[serde(default)]
    balanced: bool,
}

impl<'de> Deserialize<'de> for Validation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ValidationVisitor;

        impl<'de> Visitor<'de> for ValidationVisitor {
            type Value = Validation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number of images, or {{ images = 5000, balanced = true }}")
            }

            fn visit_u64<E: de::Error>(self, images: u64) -> std::result::Result<Validation, E> {
                usize::try_from(images)
                    .map(Validation::Drawn)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(images), &self))
            }

            fn visit_i64<E: de::Error>(self, images: i64) -> std::result::Result<Validation, E> {
                let positive = u64::try_from(images).map_err(|_| E::invalid_value(de::Unexpected::Signed(images), &self))?;
                self.visit_u64(positive)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Validation, A::Error> {
                let Table { images, balanced } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(if balanced { Validation::Balanced(images) } else { Validation::Drawn(images) })
            }
        }

        deserializer.deserialize_any(ValidationVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn a_holdout_is_a_partition_drawn_by_its_seed() {
        let (train, validation) = toy().holdout(3.into(), 1).unwrap();
        // Fixed for good: another split would make recorded results impossible to repeat.
        expect!["[3, 5, 8]"].assert_eq(&format!("{:?}", validation.labels()));
        let mut all = [train.labels(), validation.labels()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<u16>>());
        assert_eq!(toy().holdout(3.into(), 1).unwrap(), (train, validation.clone()));
        assert_ne!(toy().holdout(3.into(), 2).unwrap().1, validation);
    }

    #[test]
    fn a_holdout_leaves_both_parts_an_image() {
        assert!(toy().holdout(9.into(), 0).is_ok());
        let message = "wanted at least 1 and fewer than the 10 images of the training part";
        for count in [0, 10, 11] {
            let refused = toy().holdout(count.into(), 0).unwrap_err().to_string();
            assert_eq!(refused, format!("validation: found {count}, {message}"));
        }
    }

    /// Three classes of 12, 4 and 3 images; each image tells its position.
    fn uneven() -> Dataset {
        let labels = [[0u8; 12].as_slice(), &[1; 4], &[2; 3]].concat();
        let train = Images::new("toy", (0..19).collect(), labels, [1, 1, 1], 3).unwrap();
        Dataset::new(train.clone(), train, ["a", "b", "c"].map(String::from).to_vec())
    }

    fn counts(images: &Images) -> Vec<usize> {
        (0..3).map(|class| images.labels().iter().filter(|&&label| label == class).count()).collect()
    }

    #[test]
    fn a_balanced_holdout_has_as_many_of_each_class() {
        let (train, validation) = uneven().holdout(Validation::Balanced(6), 1).unwrap();
        assert_eq!((counts(&train), counts(&validation)), (vec![10, 2, 1], vec![2, 2, 2]));
        let mut all = [train.pixels(), validation.pixels()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..19).collect::<Vec<u8>>());
        let again = uneven().holdout(Validation::Balanced(6), 1).unwrap();
        assert_eq!(again, (train, validation.clone()));
        assert_ne!(uneven().holdout(Validation::Balanced(6), 2).unwrap().1, validation);
        // Fixed for good: another split would make recorded results impossible to repeat.
        expect!["[3, 8, 13, 14, 16, 17]"].assert_eq(&format!("{:?}", validation.pixels()));
        let left_over = counts(&uneven().holdout(Validation::Balanced(5), 1).unwrap().1);
        assert_eq!((left_over.iter().min(), left_over.iter().max(), left_over.iter().sum()), (Some(&1), Some(&2), 5));
    }

    #[test]
    fn without_a_word_a_tenth_of_each_class_is_held_out() {
        assert_eq!(counts(&uneven().holdout(Validation::Own, 0).unwrap().1), [1, 1, 1]);
        let validation = uneven().train().select(&[3, 5]);
        let (train, held) = uneven().with_validation(validation.clone()).holdout(Validation::Own, 0).unwrap();
        assert_eq!((train.len(), held), (19, validation));
    }

    #[test]
    fn what_can_not_be_split_is_refused() {
        let check = |data: Dataset, how, message: Expect| message.assert_eq(&data.holdout(how, 0).unwrap_err().to_string());
        check(
            uneven(),
            Validation::Balanced(9),
            expect![
                "validation: found 3 of class `c` in the training part, wanted at least 4: 3 to hold out and one to learn from"
            ],
        );
        check(
            uneven(),
            Validation::Balanced(2),
            expect!["validation: found 2 images, balanced, wanted at least 3, one of each class"],
        );
        let validation = uneven().train().select(&[0]);
        check(
            uneven().with_validation(validation),
            Validation::Drawn(4),
            expect![
                "validation: found 4 images to hold out, wanted the key left out: the data set has 1 validation images of its own"
            ],
        );
        let lonely = uneven().train().select(&[0, 1, 12]);
        let data = Dataset::new(lonely.clone(), lonely, uneven().classes().to_vec());
        check(
            data,
            Validation::Own,
            expect![
                "validation: found 1 of class `b` in the training part, wanted at least 2: 1 to hold out and one to learn from"
            ],
        );
    }

    #[test]
    fn the_key_is_a_number_or_a_table() {
        #[derive(Debug, Deserialize, Serialize)]
        struct Recipe {
            validation: Validation,
        }
        let read = |text: &str| toml::from_str::<Recipe>(&format!("validation = {text}")).map(|recipe| recipe.validation);
        for (text, wanted) in [
            ("5", Validation::Drawn(5)),
            ("{ images = 5 }", Validation::Drawn(5)),
            ("{ images = 5, balanced = true }", Validation::Balanced(5)),
        ] {
            let validation = read(text).unwrap();
            assert_eq!(validation, wanted);
            let json = serde_json::to_string(&Recipe { validation }).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap().validation, wanted);
        }
        assert_eq!(serde_json::to_string(&Validation::Drawn(5)).unwrap(), "5", "recipes keep their hash");
        let check = |text, message: Expect| message.assert_eq(read(text).unwrap_err().message());
        check("-5", expect!["invalid value: integer `-5`, expected a number of images, or { images = 5000, balanced = true }"]);
        check(
            "\"all\"",
            expect![[r#"invalid type: string "all", expected a number of images, or { images = 5000, balanced = true }"#]],
        );
        check("{ balanced = true }", expect!["missing field `images`"]);
        check("{ images = 5, balancd = true }", expect!["unknown field `balancd`, expected `images` or `balanced`"]);
    }
}
