//! Files of results, and what they were measured on.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use supernaut::run::versions;

use super::Result;

/// The file `name` in `benches/`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name)
}

/// Writes `value` beside `path` and renames: whoever reads it finds the old results or the new ones, whole.
pub fn write(path: &Path, value: &Value) -> Result<()> {
    let beside = path.with_extension("json.tmp");
    std::fs::write(&beside, format!("{value:#}\n"))?;
    Ok(std::fs::rename(&beside, path)?)
}

/// The machine, the libraries and the day.
pub fn machine(threads: usize, device: &str) -> Value {
    let mut machine = versions::machine();
    machine["threads"] = json!(threads);
    machine["device"] = json!(device);
    machine["libtorch"] = json!(versions::LIBTORCH);
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    machine["date"] = date.map_or(Value::Null, |output| json!(String::from_utf8_lossy(&output.stdout).trim()));
    machine
}
