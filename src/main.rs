//! The program `supernaut`: finds `libsupernaut.so` and calls the program in it.
//!
//! Linked the usual way, a missing libtorch would be the loader's riddle before any of our code runs. Loaded here, it is one
//! sentence that says which library, why, and where it was looked for.

#![allow(unsafe_code)] // loading a library and calling into it is all that this file does

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// `snt_main` of supernaut.h.
type Main = unsafe extern "C" fn(c_int, *const *const c_char) -> c_int;

fn main() {
    let status = match library().and_then(entry) {
        Ok(entry) => call(entry),
        Err(sentence) => {
            eprintln!("error: {sentence}");
            2
        }
    };
    std::process::exit(status);
}

/// Beside the program, where Cargo puts it, and where an installed tree has it.
fn places() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(std::path::Path::new("."));
    ["deps/libsupernaut.so", "libsupernaut.so", "../lib/libsupernaut.so"].map(|place| folder.join(place)).to_vec()
}

fn library() -> Result<*mut c_void, String> {
    let places = places();
    let Some(path) = places.iter().find(|place| place.exists()) else {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(format!("libsupernaut.so: not found; looked in {}", looked.join(", ")));
    };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: our own library, whose initialisers and libtorch's only register themselves.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(handle);
    }
    let built_with = option_env!("LIBTORCH").map_or(String::new(), |folder| format!(", {folder}/lib"));
    let folder = path.parent().unwrap_or(path).display();
    Err(format!(
        "{}: not loadable ({}); libtorch was looked for in {folder}, {folder}/../lib{built_with}; `make setup` fetches it",
        path.display(),
        reason()
    ))
}

/// What the loader said last.
fn reason() -> String {
    // SAFETY: dlerror gives NULL or a text that lives until the next call of the loader.
    let text = unsafe { libc::dlerror() };
    if text.is_null() { "no reason given".into() } else { unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned() }
}

fn entry(library: *mut c_void) -> Result<Main, String> {
    // SAFETY: the handle was just opened, and snt_main has this type since version 0.1.
    let symbol = unsafe { libc::dlsym(library, c"snt_main".as_ptr()) };
    if symbol.is_null() {
        return Err(format!("libsupernaut.so: found no snt_main ({}), wanted the library of this program's version", reason()));
    }
    Ok(unsafe { std::mem::transmute::<*mut c_void, Main>(symbol) })
}

fn call(entry: Main) -> c_int {
    let arguments: Vec<CString> = std::env::args_os().filter_map(|argument| CString::new(argument.into_vec()).ok()).collect();
    let mut pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: as many valid texts as the count says, alive until the call returns.
    unsafe { entry(arguments.len() as c_int, pointers.as_ptr()) }
}
