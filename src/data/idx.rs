//! IDX, the format of MNIST, Fashion-MNIST, KMNIST and EMNIST: big-endian sizes, then bytes.
//!
//! ```text
//! images: 0x00000803, count, height, width, then count x height x width bytes
//! labels: 0x00000801, count, then count bytes
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::images::check_labels;
use super::{Dataset, Format, Images, Size};
use crate::error::{Error, Result};
use crate::files;

const FILES: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and \
                     t10k-labels-idx1-ubyte, each plain or with .gz";

/// A folder with the four files of the MNIST family under their usual names, each plain or `.gz`; one channel.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Idx {
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What the images are shrunk to; absent: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The name of each label, in order; without it, names are `0`, `1` and so on, up to the last label in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

impl Format for Idx {
    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn size(&self) -> Option<Size> {
        self.size
    }

    fn read(&self, folder: &Path, _: &mut dyn FnMut(&str)) -> Result<Dataset> {
        let train = Part::read(folder, "train")?;
        let test = Part::read(folder, "t10k")?;
        if test.shape != train.shape {
            let [[_, height, width], [_, wanted_height, wanted_width]] = [test.shape, train.shape];
            let train = train.images_path.display();
            let what =
                format!("found images of {height} x {width} pixels, wanted {wanted_height} x {wanted_width} as in {train}");
            return Err(Error::corrupt(&test.images_path, what));
        }
        let classes = match &self.classes {
            Some(names) => checked_names(names)?,
            None => (0..=train.labels.iter().copied().max().unwrap_or(0)).map(|label| label.to_string()).collect(),
        };
        let parts = (train.images(classes.len())?, test.images(classes.len())?);
        Ok(Dataset::new(parts.0, parts.1, classes))
    }
}

fn checked_names(names: &[String]) -> Result<Vec<String>> {
    let refused = |found| Err(Error::invalid("data.classes", found, "1 to 256 different names, one for each label"));
    if names.is_empty() || names.len() > 256 {
        return refused(format!("{} names", names.len()));
    }
    match (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        Some(i) => refused(format!("`{}` twice", names[i])),
        None => Ok(names.to_vec()),
    }
}

/// A file of images and its file of labels.
struct Part {
    images_path: PathBuf,
    labels_path: PathBuf,
    shape: [usize; 3], // [1, height, width]
    pixels: Vec<u8>,   // [count, 1, height, width]
    labels: Vec<u8>,   // [count]
}

impl Part {
    fn read(folder: &Path, name: &str) -> Result<Self> {
        let find = |name: String| files::find(folder, &[&name, &format!("{name}.gz")], FILES);
        let images_path = find(format!("{name}-images-idx3-ubyte"))?;
        let labels_path = find(format!("{name}-labels-idx1-ubyte"))?;
        let ([images, height, width], pixels) = read(&images_path)?;
        let ([count], labels) = read(&labels_path)?;
        if count != images {
            let what = format!("found {count} labels, wanted {images}, one for each image of {}", images_path.display());
            return Err(Error::corrupt(&labels_path, what));
        }
        Ok(Self { images_path, labels_path, shape: [1, height, width], pixels, labels })
    }

    fn images(self, classes: usize) -> Result<Images> {
        check_labels(&self.labels_path.display().to_string(), &self.labels, classes)?;
        Images::new(&self.images_path.display().to_string(), self.pixels, self.labels, self.shape, classes)
    }
}

/// The sizes in the header of an IDX file of bytes, and the bytes behind it.
fn read<const DIMS: usize>(path: &Path) -> Result<([usize; DIMS], Vec<u8>)> {
    let mut bytes = files::unpacked(path)?;
    let header = 4 + 4 * DIMS;
    if bytes.len() < header {
        let what = format!("found {} bytes, wanted {header} bytes of header alone", bytes.len());
        return Err(Error::corrupt(path, what));
    }
    let words = bytes[..header].as_chunks().0;
    let word = |i: usize| u32::from_be_bytes(words[i]);
    let magic = 0x0800 | DIMS as u32; // 08 says unsigned bytes
    if word(0) != magic {
        let what = format!("found magic number {:#010x}, wanted {magic:#010x} (unsigned bytes, dimensions: {DIMS})", word(0));
        return Err(Error::corrupt(path, what));
    }
    let sizes: [usize; DIMS] = std::array::from_fn(|i| word(i + 1) as usize);
    let wanted = header as u128 + sizes.iter().map(|&size| size as u128).product::<u128>();
    if bytes.len() as u128 != wanted {
        let trouble = if (bytes.len() as u128) < wanted { "truncated" } else { "too long" };
        let what = format!("{trouble}: found {} bytes, wanted {wanted} by its header {sizes:?}", bytes.len());
        return Err(Error::corrupt(path, what));
    }
    bytes.drain(..header);
    Ok((sizes, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::{gzip, sentence};
    use expect_test::{Expect, expect};
    use std::fs;
    use tempfile::TempDir;

    const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
    const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
    const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
    const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

    /// An IDX file of these sizes; its last bytes count up from 0.
    fn idx(sizes: &[u32]) -> Vec<u8> {
        let words = [0x0800 + sizes.len() as u32].into_iter().chain(sizes.iter().copied());
        let bytes = sizes.iter().product::<u32>();
        words.flat_map(u32::to_be_bytes).chain((0..bytes).map(|i| i as u8)).collect()
    }

    /// Three images of 2 x 2 with labels 0, 1, 2 to train, two with 0, 1 to test.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let files = [(TRAIN_IMAGES, idx(&[3, 2, 2])), (TRAIN_LABELS, idx(&[3]))];
        let more = [(TEST_IMAGES, idx(&[2, 2, 2])), (TEST_LABELS, idx(&[2]))];
        files.iter().chain(&more).for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
        folder
    }

    fn named(classes: &[&str]) -> Idx {
        Idx { classes: Some(classes.iter().map(|&name| name.into()).collect()), ..Idx::default() }
    }

    /// What is said of `name` when these bytes stand in for the good file.
    fn check(name: &str, bytes: &[u8], message: Expect) {
        let folder = folder();
        fs::remove_file(folder.path().join(name.trim_end_matches(".gz"))).unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
        let said = sentence(Idx::default().read(folder.path(), &mut |_| {}), folder.path());
        message.assert_eq(said.strip_prefix(&format!("DIR/{name}: ")).unwrap());
    }

    #[test]
    fn four_files_make_a_dataset() {
        let data = Idx::default().read(folder().path(), &mut |_| {}).unwrap();
        assert_eq!((data.train().shape(), data.train().labels()), ([1, 2, 2], &[0, 1, 2][..]));
        assert_eq!(data.train().pixels(), (0..12).collect::<Vec<u8>>());
        assert_eq!((data.test().len(), data.test().labels()), (2, &[0, 1][..]));
        assert_eq!(data.classes(), ["0", "1", "2"]);
        assert_eq!(named(&["a", "b", "c", "d"]).read(folder().path(), &mut |_| {}).unwrap().classes(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn gzip_holds_the_same() {
        let (plain, packed) = (folder(), folder());
        for name in [TRAIN_IMAGES, TEST_LABELS] {
            let path = packed.path().join(name);
            fs::write(packed.path().join(format!("{name}.gz")), gzip(&fs::read(&path).unwrap())).unwrap();
            fs::remove_file(path).unwrap();
        }
        let [plain, packed] = [plain, packed].map(|folder| Idx::default().read(folder.path(), &mut |_| {}).unwrap());
        assert_eq!(plain.hash(), packed.hash());
    }

    #[test]
    fn missing_things_are_named() {
        let folder = folder();
        let nowhere = folder.path().join("nowhere");
        let refusal = |path: &Path| sentence(Idx::default().read(path, &mut |_| {}), folder.path());
        assert_eq!(refusal(&nowhere), format!("data folder not found: DIR/nowhere; wanted a folder with {FILES}"));
        fs::remove_file(folder.path().join(TEST_LABELS)).unwrap();
        let message = format!("data file not found: DIR/{TEST_LABELS}; wanted a folder with {FILES}");
        assert_eq!(refusal(folder.path()), message);
    }

    #[test]
    fn damaged_files_are_named() {
        let images = idx(&[3, 2, 2]);
        check(TRAIN_IMAGES, &images[..20], expect!["truncated: found 20 bytes, wanted 28 by its header [3, 2, 2]"]);
        check(TRAIN_IMAGES, &images[..9], expect!["found 9 bytes, wanted 16 bytes of header alone"]);
        check(
            TRAIN_IMAGES,
            &[images.clone(), vec![0]].concat(),
            expect!["too long: found 29 bytes, wanted 28 by its header [3, 2, 2]"],
        );
        check(
            TRAIN_IMAGES,
            &idx(&[12]),
            expect!["found magic number 0x00000801, wanted 0x00000803 (unsigned bytes, dimensions: 3)"],
        );
        check(
            TRAIN_LABELS,
            b"<!DOCTYPE html>",
            expect!["found magic number 0x3c21444f, wanted 0x00000801 (unsigned bytes, dimensions: 1)"],
        );
        check(TRAIN_LABELS, &idx(&[4]), expect!["found 4 labels, wanted 3, one for each image of DIR/train-images-idx3-ubyte"]);
        check(
            TEST_IMAGES,
            &idx(&[2, 2, 3]),
            expect!["found images of 2 x 3 pixels, wanted 2 x 2 as in DIR/train-images-idx3-ubyte"],
        );
        let huge: Vec<u8> = [0x0803, 1 << 31, 1 << 31, 4].into_iter().flat_map(u32::to_be_bytes).collect();
        check(
            TRAIN_IMAGES,
            &huge,
            expect!["truncated: found 16 bytes, wanted 18446744073709551632 by its header [2147483648, 2147483648, 4]"],
        );
        const PACKED: &str = "train-images-idx3-ubyte.gz";
        let packed = gzip(&images);
        check(PACKED, &packed[..packed.len() - 9], expect!["found broken gzip (it ends too early), wanted a whole one"]);
        check(PACKED, &images, expect!["found broken gzip (invalid gzip header), wanted a whole one"]);
        let mut flipped = packed.clone();
        flipped[packed.len() - 8] ^= 1; // the checksum
        check(
            PACKED,
            &flipped,
            expect!["found broken gzip (corrupt gzip stream does not have a matching checksum), wanted a whole one"],
        );
    }

    #[test]
    fn an_empty_file_is_no_data() {
        let folder = folder();
        fs::write(folder.path().join(TRAIN_IMAGES), idx(&[0, 2, 2])).unwrap();
        fs::write(folder.path().join(TRAIN_LABELS), idx(&[0])).unwrap();
        expect!["DIR/train-images-idx3-ubyte: found no images, wanted at least one"]
            .assert_eq(&sentence(Idx::default().read(folder.path(), &mut |_| {}), folder.path()));
    }

    #[test]
    fn labels_fit_the_classes() {
        let folder = folder();
        let refusal = |idx: Idx| sentence(idx.read(folder.path(), &mut |_| {}), folder.path());
        expect!["DIR/train-labels-idx1-ubyte: found label 2 of image 2 (counted from 0), wanted 0 to 1"]
            .assert_eq(&refusal(named(&["a", "b"])));
        expect!["data.classes: found 0 names, wanted 1 to 256 different names, one for each label"]
            .assert_eq(&refusal(named(&[])));
        expect!["data.classes: found `a` twice, wanted 1 to 256 different names, one for each label"]
            .assert_eq(&refusal(named(&["a", "b", "a"])));
        fs::write(folder.path().join(TEST_IMAGES), idx(&[4, 2, 2])).unwrap();
        fs::write(folder.path().join(TEST_LABELS), idx(&[4])).unwrap();
        expect!["DIR/t10k-labels-idx1-ubyte: found label 3 of image 3 (counted from 0), wanted 0 to 2"]
            .assert_eq(&refusal(Idx::default()));
    }
}
