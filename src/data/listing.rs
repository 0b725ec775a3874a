//! What lies in a folder of pictures, before any is opened.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::{Error, Result};

const PARTS: [&str; 3] = ["train", "val", "test"];
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];
const WANTED: &str = "train/<class>/*.jpg, .jpeg or .png, and val and test like it";

/// One picture.
pub(super) struct Entry {
    pub path: PathBuf,
    /// `train`, `val` or `test`.
    pub part: &'static str,
    pub label: u16,
    bytes: u64,
    nanoseconds: u128, // since 1970
}

/// The pictures of a folder, part by part and class by class, by the bytes of their names.
pub(super) struct Listing {
    folder: PathBuf,
    classes: Vec<String>,
    entries: Vec<Entry>,
    left_out: Vec<PathBuf>,
}

impl Listing {
    pub fn of(folder: &Path) -> Result<Self> {
        let train = folder.join("train");
        if let Some(missing) = [folder, &train].into_iter().find(|path| !path.is_dir()) {
            let (found, wanted) = (missing.display().to_string(), format!("a folder with {WANTED}"));
            return Err(Error::NotFound { what: "data folder", found, wanted });
        }
        let mut listing = Self { folder: folder.to_owned(), classes: vec![], entries: vec![], left_out: vec![] };
        listing.classes = listing.class_names(&train)?;
        for part in PARTS {
            listing.add(part)?;
        }
        Ok(listing)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn entries(&self) -> Vec<&Entry> {
        self.entries.iter().collect()
    }

    /// One line for each class and picture: another text, other pictures.
    pub fn text(&self) -> String {
        let classes = self.classes.iter().map(|class| format!("{class:?}\n"));
        let line = |entry: &Entry| {
            let name = entry.path.strip_prefix(&self.folder).unwrap_or(&entry.path);
            format!("{name:?} {} {}\n", entry.bytes, entry.nanoseconds)
        };
        classes.chain(self.entries.iter().map(line)).collect()
    }

    /// What a user should know of what was passed over.
    pub fn remarks(&self) -> Option<String> {
        let first = self.left_out.first()?.display();
        Some(match self.left_out.len() {
            1 => format!("{first} is no .jpg, .jpeg or .png and is left out"),
            count => format!("{count} files that are no .jpg, .jpeg or .png are left out, such as {first}"),
        })
    }

    /// Refuses a part, if it is there at all, in which a class has no picture. `labels` are those of its pictures.
    pub fn check_classes(&self, part: &str, labels: &[u16]) -> Result<()> {
        let folder = self.folder.join(part);
        let mut counts = vec![0; self.classes.len()];
        labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        match counts.iter().position(|&count| count == 0).filter(|_| folder.is_dir()) {
            None => Ok(()),
            Some(class) => {
                let field = folder.join(&self.classes[class]).display().to_string();
                Err(Error::invalid(field, "no pictures that can be used", "at least one, or no such class in any part"))
            }
        }
    }

    fn class_names(&mut self, train: &Path) -> Result<Vec<String>> {
        let mut names = vec![];
        for entry in self.folders(train)? {
            let refused = |found| {
                Err(Error::invalid(
                    entry.path().display().to_string().escape_debug().to_string(),
                    found,
                    "a name of a class in UTF-8, without control characters",
                ))
            };
            match entry.file_name().into_string() {
                Ok(name) if !name.contains(char::is_control) => names.push(name),
                Ok(_) => return refused("control characters"),
                Err(_) => return refused("bytes that are not UTF-8"),
            }
        }
        match names.len() {
            0 => Err(Error::invalid(train.display().to_string(), "no folders", format!("one for each class: {WANTED}"))),
            1..=65_536 => Ok(names),
            count => Err(Error::invalid(train.display().to_string(), format!("{count} classes"), "at most 65536")),
        }
    }

    fn add(&mut self, part: &'static str) -> Result<()> {
        let folder = self.folder.join(part);
        if !folder.exists() {
            return Ok(());
        }
        let train = self.folder.join("train").display().to_string();
        if part != "train" {
            // Those of `train` have been looked at with the class names.
            let names: Vec<String> =
                self.folders(&folder)?.iter().map(|class| class.file_name().to_string_lossy().into_owned()).collect();
            if let Some(name) = names.iter().find(|&name| !self.classes.contains(name)) {
                let wanted = format!("the classes of {train}: {}", shortened(&self.classes));
                return Err(Error::invalid(folder.display().to_string(), format!("a class `{}`", name.escape_debug()), wanted));
            }
            if let Some(name) = self.classes.iter().find(|&name| !names.contains(name)) {
                return Err(Error::invalid(
                    folder.display().to_string(),
                    format!("no class `{name}`"),
                    format!("all classes of {train}"),
                ));
            }
        }
        for (label, name) in self.classes.clone().iter().enumerate() {
            let (class, before) = (folder.join(name), self.entries.len());
            self.add_class(&class, part, label as u16)?;
            if self.entries.len() == before {
                let wanted = "at least one .jpg, .jpeg or .png, or no such folder";
                return Err(Error::invalid(class.display().to_string(), "no pictures", wanted));
            }
        }
        Ok(())
    }

    fn add_class(&mut self, class: &Path, part: &'static str, label: u16) -> Result<()> {
        for entry in visible(class)? {
            let path = entry.path();
            if !is_picture(&path) {
                if path.is_dir() {
                    return Err(Error::invalid(path.display().to_string(), "a folder in a class", "pictures only"));
                }
                self.left_out.push(path);
                continue;
            }
            // What can't be looked at has a stamp of nothing here; opening it tells why.
            let (bytes, nanoseconds) = fs::metadata(&path).map_or((0, 0), |meta| {
                let time = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                (meta.len(), time.map_or(0, |time| time.as_nanos()))
            });
            self.entries.push(Entry { path, part, label, bytes, nanoseconds });
        }
        Ok(())
    }

    /// The folders in `folder`. Pictures beside them belong to no class; other files are left out.
    fn folders(&mut self, folder: &Path) -> Result<Vec<DirEntry>> {
        let mut folders = vec![];
        for entry in visible(folder)? {
            let path = entry.path();
            if fs::metadata(&path).map_err(Error::io(&path))?.is_dir() {
                folders.push(entry);
            } else if is_picture(&path) {
                return Err(Error::invalid(
                    path.display().to_string(),
                    "a picture outside of a class",
                    "it in the folder of its class",
                ));
            } else {
                self.left_out.push(path);
            }
        }
        Ok(folders)
    }
}

/// What lies in `folder` and doesn't hide, by the bytes of the names.
fn visible(folder: &Path) -> Result<Vec<DirEntry>> {
    let entries: std::io::Result<Vec<DirEntry>> = fs::read_dir(folder).and_then(Iterator::collect);
    let mut entries = entries.map_err(Error::io(folder))?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_ascii_lowercase();
    ENDINGS.contains(&&*ending)
}

fn shortened(names: &[String]) -> String {
    match names.len() {
        0..=10 => names.join(", "),
        _ => format!("{}, …", names[..10].join(", ")),
    }
}
