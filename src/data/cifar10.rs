//! CIFAR-10 in its binary format: records of one label and 3 x 32 x 32 bytes, nothing between them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::images::check_labels;
use super::{Dataset, Format, Images, Size};
use crate::error::{Error, Result};
use crate::files;

const TRAIN: [&str; 5] = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: &str = "test_batch.bin";
const NAMES: &str = "batches.meta.txt";
const FILES: &str = "data_batch_1.bin to data_batch_5.bin, test_batch.bin and batches.meta.txt";

const SHAPE: [usize; 3] = [3, 32, 32];
const CLASSES: usize = 10;

/// A folder with the seven files of CIFAR-10's binary version.
///
/// Files with fewer images than the original's 10,000 are welcome.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cifar10 {
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What the images are shrunk to; absent: 32 x 32, as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
}

impl Format for Cifar10 {
    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn size(&self) -> Option<Size> {
        self.size
    }

    fn read(&self, folder: &Path, _: &mut dyn FnMut(&str)) -> Result<Dataset> {
        let layout = Layout { labels: 1, label: 0, classes: CLASSES, files: FILES };
        let classes = names(&files::find(folder, &[NAMES], FILES)?, CLASSES)?;
        Ok(Dataset::new(images(folder, &TRAIN, &layout)?, images(folder, &[TEST], &layout)?, classes))
    }
}

/// `count` names, one on each line.
pub(super) fn names(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = files::text(path)?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
    if names.len() != count {
        let what = format!("found {} class names, wanted {count}, one per line", names.len());
        return Err(Error::corrupt(path, what));
    }
    Ok(names)
}

/// The records of a member of the CIFAR family: labels, then 3 x 32 x 32 pixels.
pub(super) struct Layout {
    /// How many labels an image has, and which of them counts.
    pub labels: usize,
    pub label: usize,
    pub classes: usize,
    /// The names of all files of the folder.
    pub files: &'static str,
}

/// The images of these files, one file after the other.
pub(super) fn images(folder: &Path, names: &[&str], layout: &Layout) -> Result<Images> {
    let size = layout.labels + SHAPE.iter().product::<usize>();
    let (mut pixels, mut labels) = (Vec::new(), Vec::<u8>::new());
    for name in names {
        let path = files::find(folder, &[name], layout.files)?;
        let bytes = files::unpacked(&path)?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(size) {
            let what = if layout.labels == 1 { "label".into() } else { format!("{} labels", layout.labels) };
            let what = format!("found {} bytes, wanted a multiple of {size} ({what} and 3 x 32 x 32 pixels)", bytes.len());
            return Err(Error::corrupt(&path, what));
        }
        let first = labels.len();
        for record in bytes.chunks_exact(size) {
            labels.push(record[layout.label]);
            pixels.extend_from_slice(&record[layout.labels..]);
        }
        check_labels(&path.display().to_string(), &labels[first..], layout.classes)?;
    }
    Images::new(&folder.display().to_string(), pixels, labels, SHAPE, layout.classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::sentence;
    use expect_test::{Expect, expect};
    use std::fs;
    use tempfile::TempDir;

    const RECORD: usize = 1 + 3 * 32 * 32; // label, then pixels

    /// Records with these labels; all pixels of one image are its label times 10.
    fn records(labels: &[u8]) -> Vec<u8> {
        labels.iter().flat_map(|&label| [vec![label], vec![label.wrapping_mul(10); RECORD - 1]].concat()).collect()
    }

    /// Five files of one image, labels 0 to 4; a test file of two, labels 9 and 8.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        TRAIN.iter().zip(0..).for_each(|(name, label)| write(name, &records(&[label])));
        write(TEST, &records(&[9, 8]));
        write(NAMES, b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
        folder
    }

    /// What is said of `name` when these bytes stand in for the good file.
    fn check(name: &str, bytes: &[u8], message: Expect) {
        let folder = folder();
        fs::write(folder.path().join(name), bytes).unwrap();
        let said = sentence(Cifar10::default().read(folder.path(), &mut |_| {}), folder.path());
        message.assert_eq(said.strip_prefix(&format!("DIR/{name}: ")).unwrap());
    }

    #[test]
    fn seven_files_make_a_dataset() {
        let data = Cifar10::default().read(folder().path(), &mut |_| {}).unwrap();
        assert_eq!((data.train().shape(), data.train().labels()), ([3, 32, 32], &[0, 1, 2, 3, 4][..]));
        assert!(data.train().pixels().chunks(3072).zip(0u8..).all(|(image, i)| image.iter().all(|&x| x == 10 * i)));
        assert_eq!((data.test().labels(), data.test().pixels().len()), (&[9, 8][..], 2 * 3072));
        assert_eq!((data.classes().len(), &*data.classes()[9]), (10, "truck"));
    }

    #[test]
    fn missing_things_are_named() {
        let folder = folder();
        let refusal = |path: &Path| sentence(Cifar10::default().read(path, &mut |_| {}), folder.path());
        let message = format!("data folder not found: DIR/nowhere; wanted a folder with {FILES}");
        assert_eq!(refusal(&folder.path().join("nowhere")), message);
        fs::remove_file(folder.path().join(TRAIN[3])).unwrap();
        let message = format!("data file not found: DIR/{}; wanted a folder with {FILES}", TRAIN[3]);
        assert_eq!(refusal(folder.path()), message);
    }

    #[test]
    fn damaged_files_are_named() {
        check(
            TRAIN[1],
            &records(&[1, 2])[..5000],
            expect!["found 5000 bytes, wanted a multiple of 3073 (label and 3 x 32 x 32 pixels)"],
        );
        check(TRAIN[1], &[], expect!["found 0 bytes, wanted a multiple of 3073 (label and 3 x 32 x 32 pixels)"]);
        check(TRAIN[2], &records(&[1, 2, 10]), expect!["found label 10 of image 2 (counted from 0), wanted 0 to 9"]);
        check(NAMES, b"cat\ndog\n", expect!["found 2 class names, wanted 10, one per line"]);
    }

    #[test]
    fn the_real_one_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cifar10");
        if !folder.is_dir() {
            return eprintln!("skipped: {} is not there", folder.display());
        }
        let data = Cifar10::default().read(&folder, &mut |_| {}).unwrap();
        for (images, each) in [(data.train(), 5000), (data.test(), 1000)] {
            let of_class = |class| images.labels().iter().filter(|&&label| label == class).count();
            assert!((0..10).all(|class| of_class(class) == each));
        }
        assert_eq!((&*data.classes()[0], &*data.classes()[9]), ("airplane", "truck"));
        // The figures everybody normalises CIFAR-10 with.
        let (mean, std) = data.train().channels_mean_std();
        expect!["[0.4914, 0.4822, 0.4465] [0.2470, 0.2435, 0.2616]"].assert_eq(&format!("{mean:.4?} {std:.4?}"));
    }
}
