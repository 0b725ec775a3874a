//! The rules of `ARCHITECTURE.md` that the compiler can't check inside one crate.

use std::fs;
use std::path::{Path, PathBuf};

/// What each part may use of the crate, besides itself and the errors.
const MAY_USE: &[(&str, &[&str])] = &[
    ("arch", &[]),
    ("files", &[]),
    ("hash", &[]),
    ("registry", &[]),
    ("state", &[]),
    ("reading", &[]),
    ("data", &["files", "hash"]),
    ("rank", &["arch", "files", "reading"]),
    ("optimizer", &["graph"]),
    ("schedule", &["arch"]),
    ("sampler", &["arch", "state"]),
    ("loss", &["arch", "graph", "rank", "state"]),
    ("partition", &["arch"]),
    ("search", &["arch"]),
    ("graph", &["arch", "hash"]),
    ("space", &["arch", "reading", "graph"]),
    (
        "run",
        &[
            "arch",
            "files",
            "reading",
            "hash",
            "data",
            "optimizer",
            "partition",
            "rank",
            "schedule",
            "sampler",
            "loss",
            "search",
            "graph",
            "space",
            "state",
        ],
    ),
    ("cli", &["arch", "files", "reading", "data", "rank", "graph", "space", "run"]),
    (
        "capi",
        &[
            "arch",
            "files",
            "reading",
            "data",
            "graph",
            "rank",
            "space",
            "run",
            "sampler",
            "loss",
            "schedule",
            "partition",
            "search",
            "cli",
        ],
    ),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = vec![];
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

/// Path within `src`, with slashes.
fn name(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/")
}

/// The code before the unit tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn imports_go_down_only() {
    let mut wrong = vec![];
    for (path, text) in sources() {
        let name = name(&path);
        let part = name.split(['/', '.']).next().unwrap();
        if ["lib", "main", "error"].contains(&part) {
            continue;
        }
        let (_, allowed) =
            MAY_USE.iter().find(|(known, _)| *known == part).unwrap_or_else(|| panic!("{part} has no row in MAY_USE"));
        for used in code(&text).split("crate::").skip(1) {
            let used = used.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap();
            let is_part = MAY_USE.iter().any(|(known, _)| *known == used);
            if is_part && used != part && !allowed.contains(&used) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// As the code: tables, blocks of code and pictures aside.
#[test]
fn prose_is_wrapped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut long = vec![];
    for folder in [root.to_owned(), root.join("docs")] {
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
            let text = fs::read_to_string(&path).unwrap();
            let mut in_code = false;
            for (at, line) in text.lines().enumerate() {
                in_code ^= line.trim_start().starts_with("```");
                if !in_code && !line.starts_with(['|', '!']) && line.chars().count() > 130 {
                    long.push(format!("{}:{}", path.display(), at + 1));
                }
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn foreign_libraries_stay_behind_their_module() {
    let only = |word: &str, places: &[&str]| {
        for (path, text) in sources() {
            let name = name(&path);
            let names = |line: &str| {
                line.match_indices(word)
                    .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
            };
            let used = code(&text).lines().any(|line| names(line) && !line.trim_start().starts_with("//"));
            assert!(!used || places.iter().any(|place| name.starts_with(place)), "{name} uses {word}");
        }
    };
    only("onnx_protobuf::", &["graph/onnx/"]);
    only("ort::", &["run/runtime.rs"]);
    // The generator of ShiftNAS is a network of its own, beside the one that is trained.
    only("tch::", &["graph/", "loss/", "optimizer.rs", "run/", "sampler/shift.rs"]);
    only("unsafe ", &["capi/", "data/cache.rs", "graph/kernels/", "graph/memory.rs", "graph/run.rs", "main.rs", "run/images.rs"]);
}
