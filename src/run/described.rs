//! Spaces that a recipe describes itself (`kind = "custom"`) or names the file of (`kind = "file"`).
//!
//! Either becomes part of the recipe, and so of its hash and of every checkpoint: the file is needed once. They are read before
//! the rest, so that mistakes in them are told with the line.

use std::path::Path;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::reading::one_of;
use crate::space::{Custom, KINDS};
use crate::{Error, Result, files};

/// Reads a space file.
pub fn space_file(path: &Path) -> Result<Custom> {
    Custom::from_toml(&path.display().to_string(), &toml_text(path, "a space file")?)
}

/// The text of a TOML file that should be `what`.
pub(super) fn toml_text(path: &Path, what: &str) -> Result<String> {
    let bytes = files::read(path)?;
    String::from_utf8(bytes).map_err(|_| Error::corrupt(path, format!("found bytes that are not UTF-8, wanted {what} in TOML")))
}

/// The space of `recipe`, which stands in `text`, if it is described. In its place `recipe` gets the plainest one that reads.
pub(super) fn in_toml(recipe: &mut DeTable, text: &str, file: &str, folder: &Path) -> Result<Option<Custom>> {
    let Some(space) = recipe.get_mut("space") else { return Ok(None) };
    let span = space.span();
    let DeValue::Table(table) = space.get_mut() else { return Ok(None) };
    let unplaced = |text: &'static str| Spanned::new(0..0, text.into());
    let plainest = Spanned::new(0..0, DeValue::String("nb201".into()));
    let described = match table.get("kind").and_then(|kind| kind.get_ref().as_str()) {
        Some("custom") => {
            let mut description = std::mem::take(table);
            description.remove("kind");
            Custom::from_table(file, text, Spanned::new(span, description))?
        }
        Some("file") => {
            let keys = table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref().as_str()));
            space_file(&folder.join(path(keys)?))?
        }
        other => return known(other).map(|()| None),
    };
    *table = DeTable::from_iter([(unplaced("kind"), plainest)]);
    Ok(Some(described))
}

/// As [`in_toml`], relative to the current folder.
pub(super) fn in_json(recipe: &mut Value) -> Result<Option<Custom>> {
    let Some(table) = recipe.get_mut("space").and_then(Value::as_object_mut) else { return Ok(None) };
    let described = match table.get("kind").and_then(Value::as_str) {
        Some("custom") => {
            let mut description = std::mem::take(table);
            description.shift_remove("kind");
            Custom::from_json(&Value::Object(description).to_string())?
        }
        Some("file") => space_file(path(table.iter().map(|(key, value)| (key.as_str(), value.as_str())))?.as_ref())?,
        other => return known(other).map(|()| None),
    };
    recipe["space"] = json!({ "kind": "nb201" });
    Ok(Some(described))
}

/// An error for a kind of space that there isn't. What has no kind is told where it is read.
fn known(kind: Option<&str>) -> Result<()> {
    let Some(kind) = kind.filter(|kind| !KINDS.contains(kind)) else { return Ok(()) };
    let kinds = [KINDS, &["file"]].concat();
    Err(Error::invalid("space.kind", format!("\"{kind}\""), one_of(kind, &kinds)))
}

/// The path of `{ kind = "file", path = "…" }`.
fn path<'a>(keys: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<String> {
    let mut path = None;
    for (key, value) in keys {
        match key {
            "kind" => {}
            "path" => path = value.map(str::to_owned),
            _ => return Err(Error::invalid(format!("space.{key}"), "an unknown key", "one of kind, path")),
        }
    }
    path.ok_or_else(|| Error::invalid("space.path", "nothing", "the path of a space file"))
}
