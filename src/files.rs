//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

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
    fs::read(path).map_err(Error::io(path))
}

/// Makes a folder and those above it, and checks that files can be written there.
pub fn make_writable_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(path))?;
    let probe = path.join(".supernaut-probe.tmp");
    File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(Error::io(path))
}
