//! Where a description was written, so that what is wrong with it can be told with the file and the line.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Error;
use crate::reading::{Mistake, line};

/// A text and the lines of its values. Nothing is known of a description that didn't come from TOML.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    file: String,
    /// By path, such as `cell.edges.1<-0` or `stage.2.width`.
    lines: HashMap<String, usize>,
}

/// What is wrong with a description.
#[derive(Debug)]
pub(super) struct Fault {
    spot: Spot,
    found: String,
    wanted: String,
}

/// A place in a description.
#[derive(Debug)]
pub(super) struct Spot {
    /// Keys and positions in lists, with dots between.
    pub path: String,
    /// The same in words, such as `edge "1<-0"`.
    pub subject: String,
}

impl Spot {
    pub fn new(path: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { path: path.into(), subject: subject.into() }
    }

    /// What stands under `key` there, or at that position; called as the whole is.
    pub fn key(&self, key: impl ToString) -> Self {
        Self { path: join(&self.path, &key.to_string()), subject: self.subject.clone() }
    }

    /// The same, called by its key too.
    pub fn number(&self, key: &str) -> Self {
        Self { subject: format!("{}: {key}", self.subject), ..self.key(key) }
    }

    pub fn fault(&self, found: impl ToString, wanted: impl Into<String>) -> Fault {
        let Self { path, subject } = self;
        Fault { spot: Self::new(path, subject), found: found.to_string(), wanted: wanted.into() }
    }
}

/// A value that serde couldn't read.
impl From<Mistake> for Fault {
    fn from(Mistake { path, found, wanted }: Mistake) -> Self {
        let subject = if path.is_empty() { "space".into() } else { path.clone() };
        Self { spot: Spot::new(path.replace('[', ".").replace(']', ""), subject), found, wanted }
    }
}

impl Source {
    /// Notes the lines of `table`, which stands in `text`, the contents of `file`.
    pub fn new(file: &str, text: &str, table: &DeTable) -> Self {
        let mut source = Self { file: file.into(), lines: HashMap::new() };
        source.note_table("", table, &|span| line(text, span));
        source
    }

    fn note_table(&mut self, path: &str, table: &DeTable, line: &dyn Fn(Range<usize>) -> usize) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.lines.insert(path.clone(), line(key.span()));
            self.note(&path, value, line);
        }
    }

    fn note(&mut self, path: &str, value: &Spanned<DeValue>, line: &dyn Fn(Range<usize>) -> usize) {
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(path, table, line),
            DeValue::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    let path = join(path, &position.to_string());
                    self.lines.insert(path.clone(), line(item.span()));
                    self.note(&path, item, line);
                }
            }
            _ => {}
        }
    }

    /// The error for a fault. What isn't there has no line of its own: then it is that of what it is missing from.
    pub fn error(&self, fault: Fault) -> Error {
        let Fault { spot: Spot { path, subject }, found, wanted } = fault;
        let mut around = Some(path.as_str());
        while let Some(path) = around {
            if let Some(line) = self.lines.get(path) {
                return Error::invalid(format!("{}:{line}: {subject}", self.file), found, wanted);
            }
            around = path.rsplit_once('.').map(|(parent, _)| parent);
        }
        let place = if self.file.is_empty() { "space" } else { &self.file };
        Error::invalid(format!("{place}: {subject}"), found, wanted)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}
