//! `include/supernaut.h` is what cbindgen makes of `src/capi`, and the library exports what it declares, nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capi::library;

const HEAD: &str = "\
/*
 * supernaut: train a supernet, search it for the subnets that fit a device, export these to ONNX and prove the files.
 * examples/embed.c shows it all in use.
 *
 * What holds for every function, unless its comment says otherwise:
 * - A pointer is valid for what its type says. A NULL where something is needed is an error, not a crash.
 * - A handle is the caller's: freed once, in any order, with the _free function of its type. NULL is fine there.
 * - Arguments are read during the call only. Text is UTF-8 and ends in a NUL, paths too.
 * - A call that can fail returns a status: 0 is success, 100 and above are errors. `err` may be NULL; if not, it receives
 *   NULL, or an error that the caller frees with snt_error_free.
 * - `out` and its like are written on success only; on failure handles are set to NULL, and buffers are empty.
 * - Structs begin with struct_size. Members are only ever added, at the end; set what you don't know to zero (_init does).
 * - Every function may be called from every thread. After fork() nothing may be called in the child.
 * - `user` pointers are handed back and never looked into.
 */";

/// The header as the sources have it.
fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(|part| match part {
        "MAJOR" => env!("CARGO_PKG_VERSION_MAJOR"),
        "MINOR" => env!("CARGO_PKG_VERSION_MINOR"),
        _ => env!("CARGO_PKG_VERSION_PATCH"),
    });
    let preamble = format!(
        "\n#define SNT_VERSION_MAJOR {major}\n#define SNT_VERSION_MINOR {minor}\n#define SNT_VERSION_PATCH {patch}\n\
         #define SNT_VERSION (((uint32_t)SNT_VERSION_MAJOR << 16) | ((uint32_t)SNT_VERSION_MINOR << 8) | (uint32_t)SNT_VERSION_PATCH)\n\n\
         #if defined(_WIN32)\n#  define SNT_API __declspec(dllimport)\n#elif defined(__GNUC__)\n\
         #  define SNT_API __attribute__((visibility(\"default\")))\n#else\n#  define SNT_API\n#endif\n\
         #if defined(__GNUC__)\n#  define SNT_MUST_USE __attribute__((warn_unused_result))\n#else\n#  define SNT_MUST_USE\n#endif"
    );
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(HEAD.into()),
        include_guard: Some("SUPERNAUT_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        after_includes: Some(preamble),
        cpp_compat: true,
        usize_is_size_t: true,
        style: cbindgen::Style::Type,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        line_length: 120,
        sort_by: cbindgen::SortKey::None,
        ..Default::default()
    };
    config.function.prefix = Some("SNT_API".into());
    config.function.must_use = Some("SNT_MUST_USE".into());
    config.function.sort_by = Some(cbindgen::SortKey::None);
    config.constant.sort_by = Some(cbindgen::SortKey::None);
    // In reading order.
    let files = [
        "status", "version", "error", "context", "dataset", "space", "strategy", "model", "job", "result", "export", "folder",
        "rank", "program",
    ];
    let builder = files.iter().fold(cbindgen::Builder::new().with_config(config), |builder, file| {
        builder.with_src(root.join(format!("src/capi/{file}.rs")))
    });
    let mut text = vec![];
    builder.generate().expect("the C layer is readable").write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("include/supernaut.h");
    expect_test::expect_file![path].assert_eq(&generated());
}

#[test]
fn every_source_of_the_c_layer_is_in_the_header() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capi");
    let header = generated();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for name in text.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name) {
            assert!(name.is_empty() || header.contains(&format!("{name}(")), "{name} is not in the header");
        }
    }
}

#[test]
fn the_library_exports_what_the_header_declares() {
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output().expect("nm, of binutils");
    let symbols = String::from_utf8(nm.stdout).unwrap();
    let exported: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let header = generated();
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let code: Vec<&str> = header.lines().filter(|line| !line.trim_start().starts_with(['*', '/', '#'])).collect();
    let declared: BTreeSet<&str> = (code.iter())
        .flat_map(|line| line.match_indices('(').map(|(at, _)| &line[..at]))
        .filter_map(|before| before.rsplit(|character| !is_name(character)).next())
        .filter(|name| name.starts_with("snt_"))
        .collect();
    assert_eq!(exported, declared);
}
