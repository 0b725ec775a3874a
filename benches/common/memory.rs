//! What a process takes of the machine's memory. A peak can't be taken back, so each is measured in a process of its own.

use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Result;

/// Bytes of a process that does one piece of work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Footprint {
    /// In memory before the model was made: the program and its libraries.
    pub before: u64,
    /// The most that ever was.
    pub peak: u64,
}

/// Bytes of this process that are in memory now.
pub fn resident() -> u64 {
    status("VmRSS")
}

/// The most that ever was.
pub fn peak() -> u64 {
    status("VmHWM")
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.expect("the kernel writes it in kB") * 1024
}

/// Runs this program again with `arguments` and reads the one line of JSON that it prints.
pub fn in_fresh_process<T: DeserializeOwned>(arguments: &[&str]) -> Result<T> {
    let output = Command::new(std::env::current_exe()?).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the process for `{}` ended with {}", arguments.join(" "), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
