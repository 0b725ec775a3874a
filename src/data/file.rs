//! Finding and reading whole files, plain or gzip, with errors that say which file and what would do.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// The first of `names` that is a file in `folder`; `wanted` tells all that is looked for there.
pub(crate) fn find(folder: &Path, names: &[&str], wanted: &str) -> Result<PathBuf> {
    let not_found = |what, path: &Path| Error::NotFound {
        what,
        found: path.display().to_string(),
        wanted: format!("a folder with {wanted}"),
    };
    if !folder.is_dir() {
        return Err(not_found("data folder", folder));
    }
    let mut paths = names.iter().map(|name| folder.join(name));
    paths.find(|path| path.is_file()).ok_or_else(|| not_found("data file", &folder.join(names[0])))
}

/// All bytes of a file, unpacked where its name ends in `.gz`.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    if !is_gzip(path) {
        return fs::read(path).map_err(Error::io(path));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    match MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // What the decoder says of its input; all else comes from the operating system.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => broken(path, &e),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => broken(path, &"it ends too early"),
        Err(e) => Err(Error::io(path)(e)),
    }
}

/// All of a text file, unpacked where its name ends in `.gz`, without the byte order mark that some editors put first.
pub(crate) fn text(path: &Path) -> Result<String> {
    match String::from_utf8(bytes(path)?) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text)),
        Err(e) => Err(Error::corrupt(path, format!("found {}, wanted UTF-8 text", e.utf8_error()))),
    }
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn broken(path: &Path, reason: &dyn Display) -> Result<Vec<u8>> {
    Err(Error::corrupt(path, format!("found broken gzip ({reason}), wanted a whole one")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// `bytes` as the contents of a gzip file.
    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// An error's sentence, with the folder of this test run cut from its paths.
    pub(crate) fn sentence<T: std::fmt::Debug>(result: Result<T>, folder: &Path) -> String {
        result.unwrap_err().to_string().replace(&format!("{}", folder.display()), "DIR")
    }

    #[test]
    fn text_is_unpacked_by_name_and_must_be_utf8() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).unwrap();
            text(&folder.path().join(name))
        };
        assert_eq!(write("a", "Kürbis".as_bytes()).unwrap(), "Kürbis");
        assert_eq!(write("a", "\u{feff}marked".as_bytes()).unwrap(), "marked");
        assert_eq!(write("a.gz", &gzip(b"two")).unwrap(), "two");
        assert_eq!(write("a.gz", &[gzip(b"one, "), gzip(b"two")].concat()).unwrap(), "one, two");
        expect_test::expect!["DIR/b: found invalid utf-8 sequence of 1 bytes from index 1, wanted UTF-8 text"]
            .assert_eq(&sentence(write("b", b"a\xff"), folder.path()));
    }
}
