//! The command line program as a function.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

use super::boundary::{caught, peek};

/// Runs the program `supernaut` on `argc` texts, its own name first, and gives its exit status: 0 done, 2 an input to correct,
/// 130 stopped, 1 a bug of the library. Prints on the standard streams.
///
/// Takes SIGINT, SIGTERM and SIGHUP over for the rest of the process, from whoever had them: for a program that does nothing
/// else. Others call the functions above; snt_folder_run and snt_folder_train do in a folder what the commands `run` and `train`
/// do. Once per process. Blocks until the program has ended. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_main(argc: c_int, argv: *const *const c_char) -> c_int {
    let count = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or(0) };
    // SAFETY: as many pointers as the caller says, each to a text that ends in a NUL, or NULL.
    let text = |index: usize| unsafe { peek(*argv.add(index)).map(|text| CStr::from_ptr(text).to_bytes().to_vec()) };
    let arguments: Option<Vec<OsString>> = (0..count).map(|index| text(index).map(OsString::from_vec)).collect();
    let Some(arguments) = arguments else {
        eprintln!("error: argv: found NULL, wanted a string");
        return 2;
    };
    caught(|| Ok(crate::cli::main(arguments))).unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.message);
        1
    })
}
