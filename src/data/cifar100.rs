//! CIFAR-100 in its binary format: records of a coarse label, a fine label and 3 x 32 x 32 bytes, nothing between them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cifar10::{Layout, images, names};
use super::{Dataset, Format, Size};
use crate::error::Result;
use crate::files;

const FILES: &str = "train.bin, test.bin, fine_label_names.txt and coarse_label_names.txt";

/// A folder with the files of CIFAR-100's binary version.
///
/// Files with fewer images than the original's 50,000 and 10,000 are welcome.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cifar100 {
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What the images are shrunk to; absent: 32 x 32, as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Which of an image's two labels counts.
    #[serde(default, skip_serializing_if = "Labels::are_fine")]
    pub labels: Labels,
}

/// The two labels of an image.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 groups of five classes.
    Coarse,
}

impl Labels {
    fn are_fine(&self) -> bool {
        *self == Self::Fine
    }
}

impl Format for Cifar100 {
    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn size(&self) -> Option<Size> {
        self.size
    }

    fn read(&self, folder: &Path, _: &mut dyn FnMut(&str)) -> Result<Dataset> {
        let (classes, label, list) = match self.labels {
            Labels::Fine => (100, 1, "fine_label_names.txt"),
            Labels::Coarse => (20, 0, "coarse_label_names.txt"),
        };
        let layout = Layout { labels: 2, label, classes, files: FILES };
        let names = names(&files::find(folder, &[list], FILES)?, classes)?;
        Ok(Dataset::new(images(folder, &["train.bin"], &layout)?, images(folder, &["test.bin"], &layout)?, names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::sentence;
    use expect_test::expect;
    use std::fs;
    use tempfile::TempDir;

    fn record(coarse: u8, fine: u8) -> Vec<u8> {
        [vec![coarse, fine], vec![fine; 3072]].concat()
    }

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("train.bin", &[record(19, 99), record(0, 7)].concat());
        write("test.bin", &record(3, 50));
        let names = |count: usize| (0..count).map(|i| format!("name {i}\n")).collect::<String>();
        write("fine_label_names.txt", names(100).as_bytes());
        write("coarse_label_names.txt", names(20).as_bytes());
        folder
    }

    #[test]
    fn either_label_counts() {
        let folder = folder();
        let fine = Cifar100::default().read(folder.path(), &mut |_| {}).unwrap();
        assert_eq!((fine.train().labels(), fine.test().labels(), fine.classes().len()), (&[99, 7][..], &[50][..], 100));
        assert_eq!(fine.classes()[99], "name 99");
        assert!(fine.train().iter().zip([99, 7]).all(|(image, x)| image.len() == 3072 && image.iter().all(|&y| y == x)));
        let coarse = Cifar100 { labels: Labels::Coarse, ..Default::default() }.read(folder.path(), &mut |_| {}).unwrap();
        assert_eq!((coarse.train().labels(), coarse.test().labels(), coarse.classes().len()), (&[19, 0][..], &[3][..], 20));
        assert_eq!(coarse.train().pixels(), fine.train().pixels());
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = folder();
        let refusal = |name: &str, bytes: &[u8]| {
            let (path, good) = (folder.path().join(name), fs::read(folder.path().join(name)).unwrap());
            fs::write(&path, bytes).unwrap();
            let said = sentence(Cifar100::default().read(folder.path(), &mut |_| {}), folder.path());
            fs::write(&path, good).unwrap();
            said
        };
        expect!["DIR/train.bin: found 3073 bytes, wanted a multiple of 3074 (2 labels and 3 x 32 x 32 pixels)"]
            .assert_eq(&refusal("train.bin", &record(0, 0)[1..]));
        expect!["DIR/test.bin: found label 100 of image 0 (counted from 0), wanted 0 to 99"]
            .assert_eq(&refusal("test.bin", &record(0, 100)));
        expect!["DIR/fine_label_names.txt: found 1 class names, wanted 100, one per line"]
            .assert_eq(&refusal("fine_label_names.txt", b"apple\n"));
    }
}
