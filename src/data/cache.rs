//! Decoded images in a file that is mapped into memory: decoded once, and from then on the system's page cache decides
//! how much of them is in memory.
//!
//! ```text
//! pixels: slots x channels x height x width bytes, from the first byte of the file on
//! note:   JSON, see `Note`
//! end:    length of the note (8 bytes, little endian), then MAGIC
//! ```
//!
//! A file is written beside and renamed. It is stamped with a time of last change that its note repeats: as long as the two
//! agree, nothing has touched the file since, and it is believed as it is. Otherwise all of it is checked by hash.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::images::Pixels;
use super::{Dataset, Images, Summary};
use crate::error::{Error, Result};

/// Of the names of these files.
pub const CACHE_ENDING: &str = ".images";

const MAGIC: &[u8; 16] = b"supernaut images";

/// What a file says of its pixels.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// Names what the images were made from, and how.
    key: String,
    /// When the file was last changed, in seconds since 1970.
    stamp: u64,
    /// `[channels, height, width]`.
    shape: [usize; 3],
    classes: Vec<String>,
    train: Part,
    test: Part,
    validation: Option<Part>,
    summary: Summary,
    /// What a user is told at each start.
    remarks: Vec<String>,
}

/// Which slots, and the class of each.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Part {
    slots: Vec<usize>,
    labels: Vec<u16>,
}

/// A data set out of a cache, and what a user should know of it.
pub(super) struct Cached {
    pub data: Dataset,
    pub remarks: Vec<String>,
}

/// A file that has to be made: `write` fills it with pixels, `finish` makes it whole.
pub(super) struct Draft {
    file: File,
    beside: PathBuf,
    path: PathBuf,
    key: String,
    image: usize, // bytes of one
    _lock: File,
}

/// What there is under a name.
pub(super) enum Found {
    /// The images that `key` names.
    Whole(Box<Cached>),
    /// Nothing.
    Nothing,
    /// Images of other contents.
    Stale,
    /// A damaged file, and what is wrong with it.
    Damaged(String),
}

/// The folder for caches: `$SUPERNAUT_CACHE`, or else `supernaut` in `$XDG_CACHE_HOME`, or else `~/.cache/supernaut`.
pub(super) fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    variable("SUPERNAUT_CACHE").or_else(|| Some(home()?.join("supernaut")))
}

/// Looks for the images that `key` names in the file `path`.
pub(super) fn find(path: &Path, key: &str) -> Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let map = map(&file, path)?;
    let note = match note(&map) {
        Ok(note) => note,
        Err(why) => return Ok(Found::Damaged(why)),
    };
    if note.key != key {
        return Ok(Found::Stale);
    }
    let untouched = file.metadata().and_then(|meta| meta.modified()).map_err(Error::io(path))? == time(note.stamp);
    let Note { stamp, shape, classes, train, test, validation, summary, remarks, .. } = note;
    let pixels = Arc::new(Pixels::Mapped(map));
    let mut data = Dataset::new(train.of(&pixels, shape), test.of(&pixels, shape), classes);
    if let Some(validation) = validation {
        data = data.with_validation(validation.of(&pixels, shape));
    }
    if !untouched {
        if *data.summary() != summary {
            return Ok(Found::Damaged("its contents differ from its checksum".into()));
        }
        // A file that can't be stamped, such as another user's, is checked again next time.
        let _ = File::options().write(true).open(path).and_then(|file| file.set_modified(time(stamp)));
    }
    Ok(Found::Whole(Box::new(Cached { data: data.known(summary), remarks })))
}

/// The note of a whole file, every position in it checked; or what is wrong.
fn note(map: &[u8]) -> std::result::Result<Note, String> {
    let (rest, magic) = map.split_last_chunk::<16>().ok_or("it ends too early")?;
    if magic != MAGIC {
        return Err("it ends too early, or is something else".into());
    }
    let (rest, length) = rest.split_last_chunk::<8>().ok_or("it ends too early")?;
    let start = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.len().checked_sub(length));
    let (pixels, json) = rest.split_at(start.ok_or("it ends too early")?);
    let note: Note = serde_json::from_slice(json).map_err(|error| format!("its note can't be read: {error}"))?;
    let size = note.shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side)).filter(|&size| size > 0);
    let slots = pixels.len() / size.ok_or("its images have no size")?;
    let fits = |part: &Part| {
        let labels_fit = part.labels.iter().all(|&label| usize::from(label) < note.classes.len());
        let slots_fit = part.slots.iter().all(|&slot| slot < slots);
        labels_fit && slots_fit && !part.slots.is_empty() && part.slots.len() == part.labels.len()
    };
    let all_fit = [&note.train, &note.test].into_iter().chain(&note.validation).all(fits);
    if all_fit { Ok(note) } else { Err("its note contradicts itself".into()) }
}

impl Part {
    fn of(self, pixels: &Arc<Pixels>, shape: [usize; 3]) -> Images {
        Images::stored(pixels.clone(), self.slots, self.labels, shape)
    }

    fn from(images: &Images) -> Self {
        Self { slots: images.store().1.to_vec(), labels: images.labels().to_vec() }
    }
}

impl Draft {
    /// Begins a file for images of `image` bytes. `lock` is that of [`lock`], held until the file is whole.
    pub fn begin(path: &Path, key: &str, lock: File, image: usize) -> Result<Self> {
        let beside = path.with_extension("tmp");
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&beside).map_err(Error::io(&beside))?;
        Ok(Self { file, beside, path: path.to_owned(), key: key.into(), image, _lock: lock })
    }

    /// Puts an image into a slot. Slots may be filled in any order, from several threads.
    pub fn write(&self, slot: usize, pixels: &[u8]) -> Result<()> {
        self.file.write_all_at(pixels, (slot * self.image) as u64).map_err(Error::io(&self.path))
    }

    /// The pixels of `slots` slots.
    pub fn pixels(&self, slots: usize) -> Result<Arc<Pixels>> {
        self.file.set_len((slots * self.image) as u64).map_err(Error::io(&self.path))?;
        Ok(Arc::new(Pixels::Mapped(map(&self.file, &self.path)?)))
    }

    /// Notes down that the file holds `data`, whose images lie in its [`pixels`](Self::pixels), and gives it its name.
    pub fn finish(mut self, data: Dataset, remarks: Vec<String>) -> Result<Cached> {
        // Even seconds: what every file system can keep.
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 2 * 2);
        let note = Note {
            key: self.key.clone(),
            stamp,
            shape: data.train().shape(),
            classes: data.classes().to_vec(),
            train: Part::from(data.train()),
            test: Part::from(data.test()),
            validation: data.validation().map(Part::from),
            summary: data.summary().clone(),
            remarks,
        };
        let json = serde_json::to_vec(&note).expect("a note is plain data");
        let end = [&json[..], &(json.len() as u64).to_le_bytes(), MAGIC].concat();
        let mut write = || {
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(&end)?;
            self.file.sync_all()?;
            self.file.set_modified(time(stamp))?;
            fs::rename(&self.beside, &self.path)
        };
        write().map_err(Error::io(&self.path))?;
        Ok(Cached { data, remarks: note.remarks })
    }
}

impl Drop for Draft {
    // After `finish` there is nothing under this name.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.beside);
    }
}

/// Keeps other processes from making the file `path` too, as long as the result lives.
pub(super) fn lock(path: &Path) -> Result<File> {
    let path = path.with_extension("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(Error::io(&path))?;
    file.lock().map_err(Error::io(&path))?;
    Ok(file)
}

fn time(stamp: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(stamp)
}

#[expect(unsafe_code, reason = "mapping a file")]
fn map(file: &File, path: &Path) -> Result<Mmap> {
    // SAFETY: sound as long as nobody shortens the file or writes into it. We never do: a new one takes its name by renaming.
    unsafe { Mmap::map(file) }.map_err(Error::io(path))
}
