//! Reading JSON and TOML that a person wrote: what serde says of a mistake becomes one sentence of ours, with the nearest name
//! to one that isn't known.

use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use toml::Spanned;
use toml::de::DeTable;

use crate::{Error, Result};

/// Reads JSON `text` into `T`, with the path of the offending key in the error; `what` names the whole.
pub fn parse_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| misread(what, text, &error))?;
    json.end().map_err(|error| Error::invalid(what, error, "one JSON document"))?;
    Ok(value)
}

/// The error for JSON `text` that doesn't read.
fn misread(what: &str, text: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let whole: Value = match serde_json::from_str(text) {
        Ok(whole) => whole,
        Err(error) => return Error::invalid(what, error, "valid JSON"),
    };
    let (path, error) = (error.path(), error.inner());
    // The path says more than a place in a text that a program may have made.
    let (place, message) = (format!(" at line {} column {}", error.line(), error.column()), error.to_string());
    let message = message.strip_suffix(place.as_str()).unwrap_or(&message);
    Mistake::of(&path.to_string(), message).narrowed(path, &whole).in_whole(what)
}

/// Reads a TOML `document` into `T`; otherwise as [`parse_json`].
pub fn parse_toml<'de, T: Deserialize<'de>>(what: &str, document: Spanned<DeTable<'de>>) -> Result<T> {
    let read = serde_path_to_error::deserialize(toml::Deserializer::from(document.clone()));
    read.map_err(|error| {
        let whole = Value::deserialize(toml::Deserializer::from(document)).unwrap_or_default();
        let path = error.path();
        Mistake::of(&path.to_string(), error.inner().message()).narrowed(path, &whole).in_whole(what)
    })
}

/// The error for the `text` of `file` that isn't TOML.
pub fn not_toml(file: &str, text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map_or(1, |span| line(text, span));
    Error::invalid(format!("{file}:{line}"), one_line(error.message()), "valid TOML")
}

/// The line, counted from 1, on which `span` begins.
pub(crate) fn line(text: &str, span: Range<usize>) -> usize {
    1 + text.as_bytes()[..span.start.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}

/// Keys that stood in `[search]` before there were strategies.
const MOVED_TO_STRATEGY: [&str; 6] = ["population", "generations", "parents", "mutations", "crossovers", "mutation_rate"];

/// Tables that a recipe or a space file can't do without.
const TABLES: [&str; 5] = ["a [train] table", "a [space] table", "an [operations] table", "a [stem] table", "a [[stage]] table"];

/// What serde found wrong.
#[derive(Debug, PartialEq)]
pub(crate) struct Mistake {
    /// Path of the value or of the unknown key; empty for the whole.
    pub path: String,
    /// What stood there.
    pub found: String,
    /// What would do.
    pub wanted: String,
}

impl Mistake {
    /// From serde's path, `.` for the whole, and its message.
    pub fn of(path: &str, message: &str) -> Self {
        let (path, message) = (if path == "." { "" } else { path }, one_line(message));
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match (message.split('`').next().unwrap_or("").trim_end(), quoted.split_first()) {
            ("missing field", Some((&name, _))) => Self::missing(path, name),
            ("unknown field", Some((&name, known))) => Self::unknown(path, name, known),
            ("unknown variant", Some((&name, known))) => Self::new(path, format!("{name:?}"), one_of(name, known)),
            ("duplicate field", Some((&name, _))) => Self::new(join(path, name), "it twice", "it once"),
            _ => {
                let (found, wanted) = unfit(&message);
                Self::new(path, found, wanted)
            }
        }
    }

    fn new(path: impl Into<String>, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { path: path.into(), found: found.into(), wanted: wanted.into() }
    }

    /// A key that `path` doesn't have.
    fn missing(path: &str, name: &str) -> Self {
        let header = format!("[{name}]");
        let table = TABLES.into_iter().find(|table| path.is_empty() && table.contains(header.as_str()));
        Self::new(join(path, name), "nothing", table.unwrap_or("a value"))
    }

    /// A key that there isn't. The path ends in it where serde got that far, and in its table elsewhere.
    fn unknown(path: &str, name: &str, known: &[&str]) -> Self {
        let table = path.strip_suffix(name).filter(|table| table.is_empty() || table.ends_with('.'));
        let path = join(table.map_or(path, |table| table.trim_end_matches('.')), name);
        if known.contains(&"strategy") && MOVED_TO_STRATEGY.contains(&name) {
            let wanted = format!("it in the strategy's own table: strategy = {{ kind = \"evolution\", {name} = … }}");
            return Self::new(path, "a key that has moved", wanted);
        }
        if name == "split" && known.contains(&"momentum_gene") {
            return Self::new(path, "a key that has another name now", "momentum_gene");
        }
        Self::new(path, "an unknown key", if known.is_empty() { "none".into() } else { one_of(name, known) })
    }

    /// With the place of the value itself, if only one in `whole` is written so: serde's `path` ends at a table that is told apart
    /// by its `kind`.
    fn narrowed(mut self, path: &Path, whole: &Value) -> Self {
        let places = at(path, whole).map_or(vec![], |value| places_of(&self.found, value, &self.path));
        if let [place] = &places[..] {
            self.path.clone_from(place);
        }
        self
    }

    /// The error where `what` names the whole.
    fn in_whole(self, what: &str) -> Error {
        let Self { path, found, wanted } = self;
        Error::invalid(if path.is_empty() { what.to_owned() } else { path }, found, wanted)
    }
}

fn at<'a>(path: &Path, whole: &'a Value) -> Option<&'a Value> {
    path.iter().try_fold(whole, |value, segment| match segment {
        Segment::Seq { index } => value.get(*index),
        Segment::Map { key } | Segment::Enum { variant: key } => value.get(key.as_str()),
        Segment::Unknown => None,
    })
}

/// The places of what is written as `found`, among `value`, which is at `path`, and all that is in it.
fn places_of(found: &str, value: &Value, path: &str) -> Vec<String> {
    let mut places = vec![];
    let written: String = match value {
        Value::Array(items) => {
            let inside = items.iter().zip(0..).map(|(item, index)| places_of(found, item, &format!("{path}[{index}]")));
            places.extend(inside.flatten());
            "a list".into()
        }
        Value::Object(table) => {
            places.extend(table.iter().flat_map(|(key, item)| places_of(found, item, &join(path, key))));
            "a table".into()
        }
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    if written == found {
        places.push(path.to_owned());
    }
    places
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// What was found and what would do, from a message about a value.
fn unfit(message: &str) -> (String, String) {
    // Types of ours have their own words.
    if let Some((found, wanted)) = message.strip_prefix("found ").and_then(|rest| rest.split_once(", wanted ")) {
        return (found.into(), wanted.into());
    }
    // A name, which neither TOML nor JSON tells more of.
    if message.starts_with("wanted string or table") || message.starts_with("wanted exactly 1") || message == "expected value" {
        return ("no text".into(), "a text in quotes".into());
    }
    let invalid = message.strip_prefix("invalid ").and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, expected)) = invalid else { return (message.into(), "a value of the right kind".into()) };
    let found = match found.split_once(' ') {
        Some(("length", count)) => format!("a list of {count}"),
        Some((_, value)) => as_written(value),
        None => found.into(),
    };
    let wanted = in_words(expected, &found);
    (found, wanted)
}

/// What serde calls a value, such as ``integer `3` ``, as a person writes it.
fn as_written(value: &str) -> String {
    match (value, value.strip_prefix("string "), value.split('`').nth(1)) {
        ("sequence", ..) => "a list".into(),
        ("map", ..) => "a table".into(),
        (_, Some(text), _) => text.into(),
        (_, None, Some(text)) => text.into(),
        _ => value.into(),
    }
}

/// What serde `expected`, in plain words, where `found` stood.
fn in_words(expected: &str, found: &str) -> String {
    if let Some(count) = expected.strip_prefix("an array of length ") {
        return format!("a list of {count}");
    }
    if expected.starts_with("internally tagged enum ") && found.starts_with('"') {
        return format!("a table such as {{ kind = {found} }}");
    }
    let words = match expected {
        "u8" => "a whole number, 0…255",
        "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" | "string or map" | "variant identifier" => "a text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        _ if expected.starts_with("internally tagged enum ") => "a table with a key `kind`",
        _ => expected,
    };
    words.into()
}

/// `one of …`, with the option that may have been meant.
pub fn one_of(name: &str, options: &[&str]) -> String {
    format!("one of {}{}", options.join(", "), did_you_mean(name, options))
}

/// ` (did you mean …?)`, if one of `options` is near.
pub fn did_you_mean(name: &str, options: &[&str]) -> String {
    let similarity = |option: &&str| strsim::jaro_winkler(name, option);
    let best = options.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    best.filter(|option| similarity(option) > 0.75).map_or(String::new(), |option| format!(" (did you mean `{option}`?)"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::SpaceConfig;
    use expect_test::{Expect, expect};

    #[test]
    fn what_serde_says_is_told_in_plain_words() {
        fn check(path: &str, message: &str, wanted: Expect) {
            wanted.assert_eq(&Mistake::of(path, message).in_whole("recipe").to_string());
        }
        check(".", "missing field `train`", expect!["train: found nothing, wanted a [train] table"]);
        check("train", "missing field `epochs`", expect!["train.epochs: found nothing, wanted a value"]);
        check("a", "invalid value: integer `-1`, expected u64", expect!["a: found -1, wanted a whole number from 0"]);
        check("a", "invalid type: floating point `1.5`, expected i64", expect!["a: found 1.5, wanted a whole number"]);
        check("a", "invalid type: integer `99` as i128, expected u64", expect!["a: found 99, wanted a whole number from 0"]);
        check(
            "a",
            "invalid type: string \"b, expected c\", expected f64",
            expect![[r#"a: found "b, expected c", wanted a number"#]],
        );
        check("a", "invalid type: integer `1`, expected a boolean", expect!["a: found 1, wanted true or false"]);
        check("a", "invalid type: boolean `true`, expected a string", expect!["a: found true, wanted a text in quotes"]);
        check("a", "invalid type: map, expected a sequence", expect!["a: found a table, wanted a list"]);
        check("a", "invalid type: sequence, expected struct Limits", expect!["a: found a list, wanted a table"]);
        check("a", "invalid length 1, expected an array of length 2", expect!["a: found a list of 1, wanted a list of 2"]);
        let kinds = "expected internally tagged enum Kinds";
        let found = |value| format!("invalid type: {value}, {kinds}");
        check("a", &found("string \"b\""), expect![[r#"a: found "b", wanted a table such as { kind = "b" }"#]]);
        check("a", &found("integer `3`"), expect!["a: found 3, wanted a table with a key `kind`"]);
        check("a", "wanted string or table", expect!["a: found no text, wanted a text in quotes"]);
        check("a", "found 2 channels, wanted 1 or 3", expect!["a: found 2 channels, wanted 1 or 3"]);
        check("a", "unknown field `b`, there are no fields", expect!["a.b: found an unknown key, wanted none"]);
        check("space", "unknown field `e`, expected `f`", expect!["space.e: found an unknown key, wanted one of f"]);
    }

    #[test]
    fn json_is_told_with_the_place_of_the_value_where_it_is_the_only_one() {
        let check = |text, wanted: Expect| {
            wanted.assert_eq(&parse_json::<Vec<SpaceConfig>>("spaces", text).unwrap_err().to_string());
        };
        check(r#"[{"kind": "nb201", "channels": "x"}]"#, expect![[r#"[0].channels: found "x", wanted a whole number"#]]);
        check(r#"[{"kind": "nb201", "image": [1, 2, {}]}]"#, expect!["[0]: found a table, wanted a whole number"]);
        check(r#"[{"kind": "nb201"}, {"kind": 3}]"#, expect!["[1].kind: found 3, wanted a text in quotes"]);
        check(r#"{"kind": "nb201"}"#, expect!["spaces: found a table, wanted a list"]);
        check("[", expect!["spaces: found EOF while parsing a list at line 1 column 1, wanted valid JSON"]);
    }
}
