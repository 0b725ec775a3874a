//! Reading JSON and TOML that a person wrote: what serde says of a mistake becomes one sentence of ours, with the nearest name
//! to one that isn't known.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Reads JSON `text` into `T`, with the path of the offending key in the error; `what` names the whole.
pub fn parse_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Mistake::of(&error.path().to_string(), &error.inner().to_string()).in_whole(what))?;
    json.end().map_err(|error| Error::invalid(what, error, "one JSON document"))?;
    Ok(value)
}

/// Reads a TOML `document` into `T`; otherwise as [`parse_json`].
pub fn parse_toml<'de, T: Deserialize<'de>>(what: &str, document: toml::Deserializer<'de>) -> Result<T> {
    serde_path_to_error::deserialize(document)
        .map_err(|error| Mistake::of(&error.path().to_string(), error.inner().message()).in_whole(what))
}

/// Keys that stood in `[search]` before there were strategies.
const MOVED_TO_STRATEGY: [&str; 6] = ["population", "generations", "parents", "mutations", "crossovers", "mutation_rate"];

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
        let unknown = ["unknown field", "unknown variant"].iter().any(|kind| message.starts_with(kind));
        let (Some((&name, options)), true) = (quoted.split_first(), unknown) else {
            return Self { path: path.into(), found: message, wanted: "a value of the right kind".into() };
        };
        // The path ends in the unknown key where serde got that far, and in its table elsewhere.
        let is_field = message.starts_with("unknown field");
        let table = path.strip_suffix(name).map_or(path, |table| table.trim_end_matches('.'));
        let path = match (is_field, table.is_empty()) {
            (true, true) => name.to_owned(),
            (true, false) => format!("{table}.{name}"),
            (false, _) => path.to_owned(),
        };
        if is_field && options.contains(&"strategy") && MOVED_TO_STRATEGY.contains(&name) {
            let wanted = format!("it in the strategy's own table: strategy = {{ kind = \"evolution\", {name} = … }}");
            return Self { path, found: "a key that has moved".into(), wanted };
        }
        if is_field && name == "split" && options.contains(&"momentum_gene") {
            return Self { path, found: "a key that has another name now".into(), wanted: "momentum_gene".into() };
        }
        let found = if is_field { "an unknown key".to_owned() } else { format!("\"{name}\"") };
        Self { path, found, wanted: one_of(name, options) }
    }

    /// The error where `what` names the whole.
    fn in_whole(self, what: &str) -> Error {
        let Self { path, found, wanted } = self;
        Error::invalid(if path.is_empty() { what.to_owned() } else { path }, found, wanted)
    }
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

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
