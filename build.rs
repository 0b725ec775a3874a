//! Tells the linker where libtorch lies, so that programs and the shared library find it without LD_LIBRARY_PATH.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch = env::var("LIBTORCH").map(|folder| format!(":{folder}/lib")).unwrap_or_default();
    // $ORIGIN first: an installed tree carries its libraries with it.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN:$ORIGIN/../lib{libtorch}");
    // C functions of the libraries that are linked in are nobody else's business.
    println!("cargo:rustc-link-arg-cdylib=-Wl,--exclude-libs,ALL");
    println!("cargo:rustc-link-arg-cdylib=-Wl,-soname,libsupernaut.so.0.1,-z,nodelete");
}
