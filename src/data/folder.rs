//! A folder of pictures: `train/<class>/*.jpg`, `.jpeg` or `.png`, and `val` and `test` like it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::cache::{self, CACHE_ENDING, Cached, Draft, Found};
use super::decode::{self, Unusable};
use super::listing::{Entry, Listing};
use super::split::tenth;
use super::{Dataset, Format, Images, Size};
use crate::error::{Error, Result};
use crate::hash::sha256;

/// Of the layout of a cache and of what is in it: another one, and every cache is made anew.
const FORMAT: u32 = 1;

/// A folder with a folder `train`, in it a folder of pictures for each class, and `val` and `test` built like it.
///
/// Where `val` is missing, validation images are held out of `train` as the recipe's `validation` says; where `test` is
/// missing, a tenth of each class is held out of `train`, drawn by `seed`. Classes are the names of the folders, in the order
/// of their bytes. Names that begin with a dot are ignored; other files that are no pictures are left out, with a word.
///
/// Pictures are decoded once, turned as their EXIF data say, brought to `size` and kept in a cache, a file that is mapped
/// into memory; it is made anew when names, sizes or times of the pictures or the settings change. Transparency is dropped.
///
/// There may be more pictures than memory: on a CPU only labels and positions (some 20 bytes a picture) are kept in it, and
/// the disk has to hold the decoded pixels. A GPU gets a copy of all of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What the pictures are brought to: the shorter side is shrunk and the middle is cut out; see [`Size`]. Absent: as they
    /// are, and then all must have the same size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// 3: grey pictures among coloured ones become coloured, all three channels alike. 1: coloured ones become grey, by their
    /// luminance (Rec. 709 weights).
    #[serde(default, skip_serializing_if = "Channels::is_colour")]
    pub channels: Channels,
    /// Whether pictures that can't be read or are smaller than `size` are left out, and counted, instead of refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_unusable: bool,
    /// Of the draw of test images where there is no `test`. Not the recipe's seed, so that runs with other seeds are tested
    /// on the same images.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// The folder for the cache; absent: `images` in `$SUPERNAUT_CACHE`, or `~/.cache/supernaut/images`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

/// How many channels pictures have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Channels {
    /// 1.
    Grey,
    /// 3: red, green, blue.
    #[default]
    Colour,
}

impl Channels {
    fn is_colour(&self) -> bool {
        *self == Self::Colour
    }
}

impl TryFrom<u8> for Channels {
    type Error = String;

    fn try_from(channels: u8) -> std::result::Result<Self, String> {
        match channels {
            1 => Ok(Self::Grey),
            3 => Ok(Self::Colour),
            _ => Err(format!("{channels} channels, which are neither 1 (grey) nor 3 (colour)")),
        }
    }
}

impl From<Channels> for u8 {
    fn from(channels: Channels) -> Self {
        match channels {
            Channels::Grey => 1,
            Channels::Colour => 3,
        }
    }
}

fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

impl Format for Folder {
    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn size(&self) -> Option<Size> {
        self.size
    }

    fn shrinks(&self) -> bool {
        true
    }

    fn read(&self, folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<Dataset> {
        let listing = Listing::of(folder)?;
        let (path, key) = (self.cache_file(folder)?, self.key(&listing));
        let Cached { data, remarks } = match self.usable(&path, &key, folder, tell)? {
            Some(cached) => cached,
            None => {
                let lock = cache::lock(&path)?;
                // Another process may have made it while this one waited.
                match cache::find(&path, &key)? {
                    Found::Whole(cached) => *cached,
                    _ => {
                        tell(&format!("reading {} pictures of {} into {}", listing.len(), folder.display(), path.display()));
                        self.decode(&listing, &path, &key, lock)?
                    }
                }
            }
        };
        remarks.iter().for_each(|remark| tell(remark));
        Ok(data)
    }
}

impl Folder {
    fn usable(&self, path: &Path, key: &str, folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<Option<Cached>> {
        match cache::find(path, key)? {
            Found::Whole(cached) => return Ok(Some(*cached)),
            Found::Nothing => {}
            Found::Stale => tell(&format!("{} has changed since its pictures were read: they are read again", folder.display())),
            Found::Damaged(why) => tell(&format!("the cache {} is damaged ({why}): the pictures are read again", path.display())),
        }
        Ok(None)
    }

    /// One file for each folder and settings.
    fn cache_file(&self, folder: &Path) -> Result<PathBuf> {
        let own = self.cache.clone().or_else(|| cache::folder().map(|folder| folder.join("images")));
        let missing = || Error::invalid("data.cache", "nothing, and no home directory", "a folder for decoded images");
        let caches = own.ok_or_else(missing)?;
        let refused =
            |error| Error::invalid("data.cache", format!("{} ({error})", caches.display()), "a folder to write files to");
        std::fs::create_dir_all(&caches).map_err(refused)?;
        let whole = folder.canonicalize().map_err(Error::io(folder))?;
        let name = sha256([whole.as_os_str().as_encoded_bytes(), self.settings().as_bytes()].concat());
        Ok(caches.join(format!("{}{CACHE_ENDING}", &name[..32])))
    }

    /// All that the images depend on beside the files.
    fn settings(&self) -> String {
        let settings = Self { path: None, cache: None, ..self.clone() };
        format!("{FORMAT} {} {}", env!("CARGO_PKG_VERSION"), serde_json::to_string(&settings).expect("plain data"))
    }

    fn key(&self, listing: &Listing) -> String {
        sha256(format!("{}\n{}", self.settings(), listing.text()))
    }

    fn decode(&self, listing: &Listing, path: &Path, key: &str, lock: std::fs::File) -> Result<Cached> {
        let entries = listing.entries();
        let size = self.size.map_or_else(|| self.common_size(&entries), Ok)?;
        let shape = [u8::from(self.channels).into(), size.height, size.width];
        let draft = Draft::begin(path, key, lock, shape.iter().product())?;
        let outcomes = self.decode_all(&entries, size, &draft)?;
        let pixels = draft.pixels(entries.len())?;
        let images = |part: &str| -> Result<Option<Images>> {
            let good = |&(at, entry): &(usize, &Entry)| entry.part == part && outcomes[at].is_ok();
            let of_part = || entries.iter().copied().enumerate().filter(good);
            let labels: Vec<u16> = of_part().map(|(_, entry)| entry.label).collect();
            listing.check_classes(part, &labels)?;
            let slots = of_part().map(|(at, _)| at).collect();
            Ok((!labels.is_empty()).then(|| Images::stored(pixels.clone(), slots, labels, shape)))
        };
        let mut remarks: Vec<String> = listing.remarks().into_iter().collect();
        remarks.extend(self.remarks(&entries, &outcomes));
        let train = images("train")?.expect("the listing has training images");
        let (train, test) = match images("test")? {
            Some(test) => (train, test),
            None => {
                let (train, test) = tenth(&train, listing.classes(), "data", self.seed)?;
                let folder = listing.folder().display();
                remarks.push(format!(
                    "{folder} has no folder `test`: {} images of `train`, a tenth of each class, are kept for testing",
                    test.len()
                ));
                (train, test)
            }
        };
        let mut data = Dataset::new(train, test, listing.classes().to_vec());
        if let Some(validation) = images("val")? {
            data = data.with_validation(validation);
        }
        draft.finish(data, remarks)
    }

    /// The size of the first picture that can be read: the others must have it too.
    fn common_size(&self, entries: &[&Entry]) -> Result<Size> {
        for entry in entries {
            match decode::picture(&entry.path, self.channels) {
                Ok(picture) => return Ok(Size { height: picture.size[0], width: picture.size[1] }),
                Err(_) if self.skip_unusable => {}
                Err(unusable) => return Err(unusable.error(&entry.path)),
            }
        }
        Err(Error::invalid("data", format!("{} pictures that can't be read", entries.len()), "at least one that can"))
    }

    /// Decodes every picture into its slot. Gives whether each was grey, or why it is left out.
    fn decode_all(&self, entries: &[&Entry], size: Size, draft: &Draft) -> Result<Vec<std::result::Result<bool, Unusable>>> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done = Mutex::new(Vec::with_capacity(entries.len()));
        let work = || {
            while !failed.load(Relaxed) {
                let at = next.fetch_add(1, Relaxed);
                let Some(entry) = entries.get(at) else { break };
                let outcome = self.decode_one(entry, size, draft, at);
                failed.fetch_or(outcome.is_err(), Relaxed);
                done.lock().expect("no worker panics while it holds the lock").push((at, outcome));
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(entries.len());
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        // Pictures are begun in order, so the first failure is the same whatever the threads do.
        let mut done = done.into_inner().expect("no worker panics while it holds the lock");
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn decode_one(&self, entry: &Entry, size: Size, draft: &Draft, slot: usize) -> Result<std::result::Result<bool, Unusable>> {
        let fitted = decode::picture(&entry.path, self.channels).and_then(|picture| {
            let pixels = picture.fitted(size, self.size.is_some())?;
            Ok((picture.grey, pixels))
        });
        match fitted {
            Ok((grey, pixels)) => draft.write(slot, &pixels).map(|()| Ok(grey)),
            Err(unusable) if self.skip_unusable => Ok(Err(unusable)),
            Err(unusable) => Err(unusable.error(&entry.path)),
        }
    }

    /// What a user should know of how the pictures were read.
    fn remarks(&self, entries: &[&Entry], outcomes: &[std::result::Result<bool, Unusable>]) -> Vec<String> {
        let mut remarks = vec![];
        let skipped: Vec<&Path> =
            entries.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_err()).map(|(entry, _)| &*entry.path).collect();
        if let Some(first) = skipped.first() {
            let such = if skipped.len() == 1 { "namely" } else { "such as" };
            remarks.push(format!(
                "{} unusable of {} pictures left out, {such} {}",
                skipped.len(),
                entries.len(),
                first.display()
            ));
        }
        let (grey, read) = (outcomes.iter().filter(|outcome| matches!(outcome, Ok(true))).count(), entries.len() - skipped.len());
        match self.channels {
            Channels::Colour if grey == read => {
                remarks.push("all pictures are grey: `channels = 1` in [data] would save two thirds of the memory".into());
            }
            Channels::Colour if grey > 0 => remarks.push(format!("{grey} grey of {read} pictures are taken as coloured ones")),
            Channels::Grey if grey < read => {
                remarks.push(format!("{} coloured of {read} pictures are taken as grey ones", read - grey))
            }
            _ => {}
        }
        remarks
    }
}
