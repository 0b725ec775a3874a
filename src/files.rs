//! Whole files: read plain or gzip, with errors that say which file and what would do; written whole or not at all.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Serialize;

use crate::{Error, Result};

/// Writes `bytes` beside `path`, flushes them to the disk and renames. Until then, and on any error, what stood under
/// `path` is untouched.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = beside(path);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside); // the first error is the one to tell
    }
    renamed.map_err(Error::io(path))
}

/// The same of plain data as JSON that a person can read.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("plain data") + "\n";
    write_whole(path, text.as_bytes())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(unread(path))
}

/// Why a file can't be read.
fn unread(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::NotFound { what: "file", found: path.display().to_string(), wanted: "an existing file".into() }
        }
        io::ErrorKind::IsADirectory => reworded(path, &error, "found a folder, wanted a file"),
        _ => Error::io(path)(error),
    }
}

/// What the operating system said, in words of ours.
fn reworded(path: &Path, error: &io::Error, words: &str) -> Error {
    Error::io(path)(io::Error::new(error.kind(), words))
}

/// Makes a folder and those above it, and checks that files can be written there.
pub fn make_writable_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => reworded(path, &error, "found a file, wanted a folder"),
        io::ErrorKind::NotADirectory => reworded(path, &error, "found a file on the way there, wanted a folder"),
        _ => Error::io(path)(error),
    })?;
    let probe = path.join(".supernaut-probe.tmp");
    File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(Error::io(path))
}

/// The first of `names` that is a file in `folder`; `wanted` tells all that is looked for there.
pub fn find(folder: &Path, names: &[&str], wanted: &str) -> Result<PathBuf> {
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
pub fn unpacked(path: &Path) -> Result<Vec<u8>> {
    if !is_gzip(path) {
        return read(path);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unread(path))?;
    match MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // What the decoder says of its input; all else comes from the operating system.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => broken(path, &e),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => broken(path, &"it ends too early"),
        Err(e) => Err(unread(path)(e)),
    }
}

/// All of a text file, unpacked where its name ends in `.gz`, without the byte order mark that some editors put first.
pub fn text(path: &Path) -> Result<String> {
    match String::from_utf8(unpacked(path)?) {
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

    #[test]
    fn files_and_folders_in_each_others_place_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder.gz")).unwrap();
        fs::write(path("file"), b"").unwrap();
        let check = |message: String, wanted: &str| assert_eq!(message, wanted);
        check(sentence(read(folder.path()), folder.path()), "DIR: found a folder, wanted a file");
        check(sentence(text(&path("folder.gz")), folder.path()), "DIR/folder.gz: found a folder, wanted a file");
        check(sentence(read(&path("file/x")), folder.path()), "file not found: DIR/file/x; wanted an existing file");
        let made = |name: &str| sentence(make_writable_folder(&path(name)), folder.path());
        check(made("file"), "DIR/file: found a file, wanted a folder");
        check(made("file/x"), "DIR/file/x: found a file on the way there, wanted a folder");
    }
}
