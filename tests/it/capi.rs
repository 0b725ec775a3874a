//! The C ABI as C programs see it: each is compiled, as C99 and as C++11, and run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::pictures::sample;

/// The shared library that this test was built with.
pub fn library() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let places = [deps.join("libsupernaut.so"), deps.join("../libsupernaut.so")];
    places.into_iter().find(|path| path.exists()).expect("Cargo builds it together with the tests")
}

/// A folder with the library under its soname, and nothing else yet.
pub fn workshop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["libsupernaut.so", "libsupernaut.so.0.1"] {
        std::os::unix::fs::symlink(library(), folder.path().join(name)).unwrap();
    }
    folder
}

fn succeeds(output: &Output, what: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Compiles `source` with every warning an error; gives the program.
pub fn compiled(folder: &Path, source: &str, language: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join(format!("program{}", language.concat().replace(['+', '='], "_")));
    let mut compiler = Command::new(std::env::var("CC").unwrap_or("cc".into()));
    compiler.args(language).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g"]);
    compiler.arg(root.join(source)).arg("-I").arg(root.join("include")).arg("-o").arg(&program);
    compiler.arg("-L").arg(folder).arg(format!("-Wl,-rpath,{}", folder.display())).args(["-lsupernaut", "-lpthread", "-lm"]);
    // libtorch's own dependencies are found by its rpath, when it is loaded.
    compiler.arg("-Wl,--allow-shlib-undefined").arg("-Wl,--unresolved-symbols=ignore-in-shared-libs");
    succeeds(&compiler.output().expect("a C compiler"), source);
    program
}

pub const C99: &[&str] = &["-std=c99", "-Wstrict-prototypes"];
const CPP11: &[&str] = &["-xc++", "-std=c++11"];

fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    // Cargo's own path may lead to the library of an earlier build, and goes before the program's rpath.
    let others = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    command.current_dir(folder).env("OMP_NUM_THREADS", "1").env("LD_LIBRARY_PATH", format!("{}:{others}", folder.display()));
    command
}

pub fn run(program: &Path, folder: &Path, arguments: &[&str]) -> String {
    succeeds(&command(program, folder).args(arguments).output().unwrap(), &program.display().to_string())
}

/// Compiles a program in both languages and runs it in both.
fn check(source: &str) {
    for language in [C99, CPP11] {
        let folder = workshop();
        let program = compiled(folder.path(), source, language);
        run(&program, folder.path(), &[]);
    }
}

#[test]
fn wrong_arguments_are_errors_and_never_crashes() {
    check("tests/c/arguments.c");
}

#[test]
fn jobs_live_and_end_as_the_header_says() {
    check("tests/c/jobs.c");
}

#[test]
fn runs_in_a_folder_go_on_and_a_lack_of_memory_loses_nothing() {
    check("tests/c/runs.c");
}

#[test]
fn a_loop_of_the_callers_own_is_asked_and_told() {
    check("tests/c/strategy.c");
}

#[test]
fn a_folder_of_pictures_is_a_data_set() {
    let folder = workshop();
    sample(&folder.path().join("pictures"));
    let program = compiled(folder.path(), "tests/c/folder.c", C99);
    run(&program, folder.path(), &["pictures"]);
}

#[test]
fn the_example_finds_exports_and_proves_a_network() {
    for language in [C99, CPP11] {
        let folder = workshop();
        let program = compiled(folder.path(), "examples/embed.c", language);
        let output = run(&program, folder.path(), &[]);
        assert!(output.contains("accuracy on the test images"), "{output}");
        assert!(folder.path().join("embed.onnx").exists(), "{output}");
    }
}

#[test]
fn the_example_goes_on_after_an_interrupt() {
    let folder = workshop();
    let program = compiled(folder.path(), "examples/embed.c", C99);
    let mut child = command(&program, folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("train"), "{first}");
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success() && child.wait().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.last().is_some_and(|line| line.starts_with("cancelled")), "{rest:?}");
    assert!(!folder.path().join("embed.onnx").exists());
    let output = run(&program, folder.path(), &[]);
    let percent = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u32>().ok()).unwrap();
    let (stopped, resumed) = (percent(rest.iter().rev().nth(1).unwrap_or(&first)), percent(output.lines().next().unwrap()));
    assert!(resumed > stopped, "stopped at {stopped} %, went on at {resumed} %");
    assert!(folder.path().join("embed.onnx").exists(), "{output}");
}
