//! What is known of architectures, and which of them are asked about: tables and lists from files.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::reading::did_you_mean;

/// Figures of architectures that were trained one by one: a CSV file, plain or `.gz`, with a header.
///
/// The column `arch` holds the architecture as text; every other column holds finite numbers.
#[derive(Clone, Debug)]
pub struct Truth {
    path: PathBuf,
    columns: Vec<String>,
    archs: Vec<String>,
    lines: Vec<usize>,               // [archs], counted from 1
    rows: HashMap<String, Vec<f64>>, // by arch, [columns]
}

impl Truth {
    /// Reads and checks the whole table.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be read, [`Error::Corrupt`] (with the line, counted from 1) where it isn't such a
    /// table.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = files::text(path)?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let at = |position: Option<&csv::Position>, what| match position {
            Some(position) => Error::corrupt(path, format!("line {}: {what}", line(&text, position))),
            None => Error::corrupt(path, what),
        };
        let header = reader.headers().map_err(|e| at(e.position(), ragged(&e)))?.clone();
        let arch_column = arch_column(path, &header)?;
        let mut table = Self {
            path: path.to_owned(),
            columns: header.iter().filter(|&name| name != "arch").map(String::from).collect(),
            archs: Vec::new(),
            lines: Vec::new(),
            rows: HashMap::new(),
        };
        let mut counted = (0, 1); // up to which byte, and its line
        for record in reader.records() {
            let record = record.map_err(|e| at(e.position(), ragged(&e)))?;
            table.add(&header, arch_column, &record).map_err(|what| at(record.position(), what))?;
            let start = record.position().map_or(0, |position| start(&text, position));
            counted.1 += newlines(&text.as_bytes()[counted.0..start]);
            counted.0 = start;
            table.lines.push(counted.1);
        }
        if table.archs.is_empty() {
            return Err(Error::corrupt(path, "found a header and no rows, wanted at least one architecture"));
        }
        Ok(table)
    }

    /// Takes one row, or says what is wrong with it.
    fn add(
        &mut self,
        header: &csv::StringRecord,
        arch_column: usize,
        record: &csv::StringRecord,
    ) -> std::result::Result<(), String> {
        let arch = &record[arch_column];
        let mut row = Vec::with_capacity(self.columns.len());
        for (name, cell) in header.iter().zip(record).filter(|&(name, _)| name != "arch") {
            match cell.parse::<f64>() {
                Ok(figure) if figure.is_finite() => row.push(figure),
                _ => return Err(format!("found `{cell}` in column {name}, wanted a finite number")),
            }
        }
        if self.rows.insert(arch.to_owned(), row).is_some() {
            return Err(format!("found architecture {arch} a second time, wanted each once"));
        }
        self.archs.push(arch.to_owned());
        Ok(())
    }

    /// The figure in this column of this architecture, in the unit of the file.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a column or an architecture that isn't in the table.
    pub fn get(&self, arch: &str, column: &str) -> Result<f64> {
        let at = self.position(column)?;
        let Some(row) = self.rows.get(arch) else {
            let wanted = format!("one of the {} in {}, written as there", self.archs.len(), self.path.display());
            return Err(Error::NotFound { what: "architecture", found: arch.into(), wanted });
        };
        Ok(row[at])
    }

    /// The figures in this column of all architectures of a list.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a column that isn't in the table; [`Error::Corrupt`] with the line of the list for an
    /// architecture that isn't.
    pub fn column(&self, column: &str, list: &List) -> Result<Vec<f64>> {
        let at = self.position(column)?;
        let figure = |(index, arch): (usize, &String)| match self.rows.get(arch) {
            Some(row) => Ok(row[at]),
            None => {
                let known = format!("wanted one of the {} in {}, written as there", self.archs.len(), self.path.display());
                Err(list.corrupt(index, format!("found architecture {arch}, {known}")))
            }
        };
        list.archs.iter().enumerate().map(figure).collect()
    }

    /// All architectures of the table, as a list.
    pub fn list(&self) -> List {
        List { path: self.path.clone(), archs: self.archs.clone(), lines: self.lines.clone(), left_out: vec![] }
    }

    /// Where the table was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the figures, in the order of the file.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The architectures, in the order of the file.
    pub fn archs(&self) -> &[String] {
        &self.archs
    }

    fn position(&self, column: &str) -> Result<usize> {
        self.columns.iter().position(|name| name == column).ok_or_else(|| self.no_column(column))
    }

    fn no_column(&self, column: &str) -> Error {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let wanted = format!("one of {} in {}{}", columns.join(", "), self.path.display(), did_you_mean(column, &columns));
        Error::NotFound { what: "column", found: column.into(), wanted }
    }
}

/// Where `arch` stands in the header, whose names must differ.
fn arch_column(path: &Path, header: &csv::StringRecord) -> Result<usize> {
    let names: Vec<&str> = header.iter().collect();
    if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        return Err(Error::corrupt(path, format!("found column {} twice, wanted different names", names[i])));
    }
    names
        .iter()
        .position(|&name| name == "arch")
        .ok_or_else(|| Error::corrupt(path, format!("found the header `{}`, wanted one with a column `arch`", names.join(","))))
}

/// What the reader dislikes. The text is UTF-8 and in memory, so that can only be a row of another length.
fn ragged(e: &csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("found a row of length {len}, wanted {expected_len} as in the header")
        }
        _ => e.to_string(),
    }
}

/// The line, counted from 1, of the record at this position. The reader's own count includes neither the blank lines
/// it skips before the record nor the second half of a preceding `\r\n`.
fn line(text: &str, position: &csv::Position) -> usize {
    1 + newlines(&text.as_bytes()[..start(text, position)])
}

/// The first byte of the record at this position, after the blank lines before it.
fn start(text: &str, position: &csv::Position) -> usize {
    let from = position.byte() as usize;
    from + text.as_bytes()[from..].iter().take_while(|byte| b"\r\n".contains(byte)).count()
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// Architectures, each once, and where they were read.
#[derive(Clone, Debug)]
pub struct List {
    path: PathBuf,
    archs: Vec<String>,
    lines: Vec<usize>, // [archs], counted from 1
    left_out: Vec<String>,
}

impl List {
    /// Reads a text file with one architecture on each line, plain or `.gz`; blank lines and lines with `#` first don't
    /// count.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be read, [`Error::Corrupt`] where it isn't text or names an architecture twice.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let (path, text) = (path.as_ref(), files::text(path.as_ref())?);
        let mut list = Self { path: path.to_owned(), archs: vec![], lines: vec![], left_out: vec![] };
        let mut first: HashMap<&str, usize> = HashMap::new();
        let numbered = text.lines().map(str::trim).zip(1..);
        for (arch, line) in numbered.filter(|(arch, _)| !arch.is_empty() && !arch.starts_with('#')) {
            list.archs.push(arch.into());
            list.lines.push(line);
            if let Some(before) = first.insert(arch, line) {
                let what = format!("found architecture {arch} a second time (first on line {before}), wanted each once");
                return Err(list.corrupt(list.archs.len() - 1, what));
            }
        }
        Ok(list)
    }

    /// The architectures, in the order of the file.
    pub fn archs(&self) -> &[String] {
        &self.archs
    }

    /// What `parse` makes of each.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it makes nothing of one, or the same of two that are written differently.
    pub fn parsed<T: Clone + Eq + Hash>(&self, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
        let mut first: HashMap<T, &String> = HashMap::new();
        let one = |(at, text): (usize, &String)| {
            let value = parse(text).map_err(|error| self.corrupt(at, error))?;
            match first.insert(value.clone(), &self.archs[at]) {
                Some(first) => {
                    let what = format!("found {text}, wanted each architecture once: it is the same as {first}");
                    Err(self.corrupt(at, what))
                }
                None => Ok(value),
            }
        };
        self.archs.iter().enumerate().map(one).collect()
    }

    /// Where they were read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Without those for whose index `keep` is false.
    pub fn keeping(mut self, keep: &[bool]) -> Self {
        let kept = |at: &usize| keep[*at];
        self.left_out.extend((0..keep.len()).filter(|at| !keep[*at]).map(|at| self.archs[at].clone()));
        self.lines = (0..keep.len()).filter(kept).map(|at| self.lines[at]).collect();
        self.archs = (0..keep.len()).filter(kept).map(|at| self.archs[at].clone()).collect();
        self
    }

    /// What the file has and the list hasn't.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// An error about the architecture at `index`, with its line.
    pub fn corrupt(&self, index: usize, what: impl std::fmt::Display) -> Error {
        Error::corrupt(&self.path, format!("line {}: {what}", self.lines[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::kendall_tau_b;
    use super::*;
    use crate::files::tests::{gzip, sentence};
    use expect_test::{Expect, expect};
    use std::fs;

    fn truth(text: &str) -> (Result<Truth>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.csv");
        fs::write(&path, text).unwrap();
        (Truth::read(path), folder)
    }

    #[test]
    fn a_table_answers_by_architecture_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let text = "params, arch, accuracy\n12, |a~0|, 91.5\n7, |b~0|, 1e1\n";
        fs::write(folder.path().join("t.csv"), text).unwrap();
        fs::write(folder.path().join("t.csv.gz"), gzip(text.as_bytes())).unwrap();
        for name in ["t.csv", "t.csv.gz"] {
            let truth = Truth::read(folder.path().join(name)).unwrap();
            assert_eq!((truth.columns().join(" "), truth.archs().join(" ")), ("params accuracy".into(), "|a~0| |b~0|".into()));
            assert_eq!((truth.get("|a~0|", "accuracy").unwrap(), truth.get("|b~0|", "params").unwrap()), (91.5, 7.0));
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        let (truth, folder) = truth("arch,size,score\na,1,2\n");
        let truth = truth.unwrap();
        let check = |arch, column, message: Expect| {
            message.assert_eq(&sentence(truth.get(arch, column), folder.path()));
        };
        check("a", "scor", expect!["column not found: scor; wanted one of size, score in DIR/truth.csv (did you mean `score`?)"]);
        check("a", "latency", expect!["column not found: latency; wanted one of size, score in DIR/truth.csv"]);
        check("a", "arch", expect!["column not found: arch; wanted one of size, score in DIR/truth.csv"]);
        check("b", "size", expect!["architecture not found: b; wanted one of the 1 in DIR/truth.csv, written as there"]);
    }

    #[test]
    fn tables_with_a_flaw_are_refused() {
        let check = |text, message: Expect| {
            let (truth, folder) = truth(text);
            message.assert_eq(sentence(truth, folder.path()).strip_prefix("DIR/truth.csv: ").unwrap());
        };
        check("arch,params\na,1\nb,many\n", expect!["line 3: found `many` in column params, wanted a finite number"]);
        check("arch,params\na,1\nb,\n", expect!["line 3: found `` in column params, wanted a finite number"]);
        check("arch,params\r\na,1\r\n\r\nb,\r\n", expect!["line 4: found `` in column params, wanted a finite number"]);
        check("\u{feff}arch,params\n\na,1,2", expect!["line 3: found a row of length 3, wanted 2 as in the header"]);
        check("arch,params\n\na,nan\n", expect!["line 3: found `nan` in column params, wanted a finite number"]);
        check("arch,params\na,1\nb,2\na,1\n", expect!["line 4: found architecture a a second time, wanted each once"]);
        check("arch,params\na,1\nb\n", expect!["line 3: found a row of length 1, wanted 2 as in the header"]);
        check("name,params\na,1\n", expect!["found the header `name,params`, wanted one with a column `arch`"]);
        check("arch,params,params\na,1,1\n", expect!["found column params twice, wanted different names"]);
        check("arch,params\n", expect!["found a header and no rows, wanted at least one architecture"]);
        check("", expect!["found the header ``, wanted one with a column `arch`"]);
    }

    #[test]
    fn a_list_skips_blanks_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        fs::write(&path, "# mine\n|a~0|\r\n\n  |b~0| \n").unwrap();
        let list = List::read(&path).unwrap();
        assert_eq!((list.archs(), &*list.lines), (&["|a~0|".into(), "|b~0|".into()][..], &[2, 4][..]));
        fs::write(&path, "a\n#\nb\na\n").unwrap();
        expect!["DIR/list.txt: line 4: found architecture a a second time (first on line 1), wanted each once"]
            .assert_eq(&sentence(List::read(&path), folder.path()));
        let missing = sentence(List::read(folder.path().join("none")), folder.path());
        assert!(missing.starts_with("file not found: DIR/none;"), "{missing}");
    }

    #[test]
    fn what_is_written_in_two_ways_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        let parsed = |text: &str| {
            fs::write(&path, text).unwrap();
            let number = |text: &str| text.parse::<u8>().map_err(|_| Error::invalid("arch", text, "a number"));
            List::read(&path).unwrap().parsed(number)
        };
        assert_eq!(parsed("3\n1\n").unwrap(), [3, 1]);
        expect!["DIR/list.txt: line 3: found 03, wanted each architecture once: it is the same as 3"]
            .assert_eq(&sentence(parsed("3\n1\n03\n"), folder.path()));
        expect!["DIR/list.txt: line 2: arch: found x, wanted a number"].assert_eq(&sentence(parsed("3\nx\n"), folder.path()));
    }

    #[test]
    fn nb201_gives_the_published_figures() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nb201");
        if !folder.is_dir() {
            return eprintln!("skipped: {} is not there", folder.display());
        }
        let truth = Truth::read(folder.join("nb201-cifar10.csv.gz")).unwrap();
        let list = List::read(folder.join("kendall-327.txt")).unwrap();
        assert_eq!((truth.archs().len(), list.archs().len()), (15_625, 327));
        let check = |list: &List, x: &str, expected: Expect| {
            let column = |name| truth.column(name, list).unwrap();
            expected.assert_eq(&format!("{:.3}", kendall_tau_b(&column(x), &column("cifar10_test")).unwrap()));
        };
        check(&list, "params", expect!["0.637"]);
        check(&truth.list(), "params", expect!["0.578"]); // .5777; given as .577 where cut, not rounded
        check(&list, "cifar10_valid", expect!["0.927"]);
    }
}
