//! Compiles the kernels, and tells the linker where libtorch lies, so that programs and the shared library find it without
//! LD_LIBRARY_PATH.

use std::env;

fn main() {
    for variable in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/graph/kernels");
    let folder = |name: &str| env::var(name).or_else(|_| env::var("LIBTORCH"));
    let (Ok(include), Ok(lib)) = (folder("LIBTORCH_INCLUDE"), folder("LIBTORCH_LIB")) else {
        panic!("LIBTORCH: found nothing, wanted the folder of libtorch 2.11 (`make setup` fetches it and sets this)");
    };
    compile_kernels(&include);
    println!("cargo:rustc-link-search=native={lib}/lib");
    println!("cargo:rustc-link-lib=gomp");
    let libtorch = format!(":{lib}/lib");
    // $ORIGIN first: an installed tree carries its libraries with it.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN:$ORIGIN/../lib{libtorch}");
    // C functions of the libraries that are linked in are nobody else's business.
    println!("cargo:rustc-link-arg-cdylib=-Wl,--exclude-libs,ALL");
    println!("cargo:rustc-link-arg-cdylib=-Wl,-soname,libsupernaut.so.0.1,-z,nodelete");
}

/// The kernels proper, for the instructions that they check for when they run, and apart from them what speaks to libtorch.
fn compile_kernels(include: &str) {
    let source = |name: &str| format!("src/graph/kernels/{name}.cpp");
    let mut kernels = cc::Build::new();
    kernels.cpp(true).pic(true).std("c++17").opt_level(3).files(["conv", "join", "sgd"].map(source));
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        kernels.flag("-mavx2").flag("-mfma");
    }
    let mut autograd = cc::Build::new();
    autograd.cpp(true).pic(true).std("c++17").opt_level(2).file(source("autograd"));
    if autograd.get_compiler().is_like_clang() {
        panic!("CXX: found clang, wanted g++: libtorch's threads are those of GCC's OpenMP");
    }
    // libtorch splits its work by OpenMP, in a header that is compiled here, too.
    autograd.flag("-fopenmp").flag("-D_GLIBCXX_USE_CXX11_ABI=1").flag("-DGLOG_USE_GLOG_EXPORT");
    for folder in ["include", "include/torch/csrc/api/include"] {
        autograd.flag(format!("-isystem{include}/{folder}"));
    }
    autograd.compile("supernaut_autograd");
    kernels.compile("supernaut_kernels");
}
