//! What a result was made with.

use serde_json::{Value, json};

/// The libtorch that this crate is built against; its C++ interface changes from release to release.
pub const LIBTORCH: &str = "2.11.0";

/// Versions of everything that numbers depend on.
pub fn versions() -> Value {
    json!({ "supernaut": env!("CARGO_PKG_VERSION"), "libtorch": LIBTORCH, "onnxruntime": super::runtime::version() })
}

/// The processor's name and the number of cores this process may use.
pub fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    json!({ "cpu": name.unwrap_or(std::env::consts::ARCH), "cores": cores })
}
