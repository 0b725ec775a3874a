//! The command line program as a function.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

use super::boundary::caught;

/// Runs the program `supernaut` on `argc` texts, its own name first, and gives its exit status: 0 done, 2 something to
/// correct, 130 stopped, 1 a mistake of the library's own. Prints on the standard streams and takes over SIGINT.
///
/// Once per process. Blocks until the program has ended. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_main(argc: c_int, argv: *const *const c_char) -> c_int {
    let count = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or(0) };
    // SAFETY: as many texts as the caller says, each ending in a NUL.
    let text = |index: usize| unsafe { CStr::from_ptr(*argv.add(index)) }.to_bytes().to_vec();
    let arguments: Vec<OsString> = (0..count).map(|index| OsString::from_vec(text(index))).collect();
    caught(|| Ok(crate::cli::main(arguments))).unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.message);
        1
    })
}
