//! Compiles the kernels, and tells the linker where libtorch lies, so that programs and the shared library find it without
//! LD_LIBRARY_PATH.

use std::env;
use std::path::Path;

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
    compile_cuda(&include, &lib);
    println!("cargo:rustc-link-lib=gomp");
    let libtorch = format!(":{lib}/lib");
    // $ORIGIN first: an installed tree carries its libraries with it.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN:$ORIGIN/../lib{libtorch}");
    // C functions of the libraries that are linked in are nobody else's business.
    println!("cargo:rustc-link-arg-cdylib=-Wl,--exclude-libs,ALL");
    println!("cargo:rustc-link-arg-cdylib=-Wl,-soname,libsupernaut.so.0.1,-z,nodelete");
}

/// What only libtorch's CUDA half can do, where it is there.
fn compile_cuda(include: &str, lib: &str) {
    println!("cargo:rustc-check-cfg=cfg(has_cuda)");
    if !Path::new(&format!("{lib}/lib/libtorch_cuda.so")).exists() {
        return;
    }
    println!("cargo:rustc-cfg=has_cuda");
    let mut cuda = beside_libtorch(include);
    // The folder that setup.py makes keeps CUDA's headers as its wheels have them.
    cuda.flag(format!("-isystem{include}/nvidia/cu13/include")).file("src/graph/kernels/cuda.cpp");
    cuda.compile("supernaut_cuda");
    println!("cargo:rustc-link-lib=torch_cuda");
    println!("cargo:rustc-link-lib=c10_cuda");
    // Inline functions of the headers call CUDA's runtime itself, of which the wheel has no plain libcudart.so.
    println!("cargo:rustc-link-search=native={lib}/nvidia/cu13/lib");
    println!("cargo:rustc-link-lib=dylib:+verbatim=libcudart.so.13");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}/nvidia/cu13/lib");
}

/// A compiler of what includes libtorch's headers.
fn beside_libtorch(include: &str) -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).pic(true).std("c++17").opt_level(2).flag("-D_GLIBCXX_USE_CXX11_ABI=1").flag("-DGLOG_USE_GLOG_EXPORT");
    for folder in ["include", "include/torch/csrc/api/include"] {
        build.flag(format!("-isystem{include}/{folder}"));
    }
    build
}

/// The kernels proper, once for each level of instructions that they check for when they run, and apart from them what speaks
/// to libtorch.
fn compile_kernels(include: &str) {
    let source = |name: &str| format!("src/graph/kernels/{name}.cpp");
    let is_x86 = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64");
    let level = |name: &str, flags: &[&str]| {
        let mut kernels = cc::Build::new();
        kernels.cpp(true).pic(true).std("c++17").opt_level(3).files(["conv", "join", "sgd", "level"].map(source));
        kernels.define("SUPERNAUT_LEVEL", name);
        flags.iter().for_each(|flag| _ = kernels.flag(flag));
        kernels.compile(&format!("supernaut_kernels_{name}"));
    };
    let mut autograd = beside_libtorch(include);
    autograd.files(["autograd", "conv_shape", "pool"].map(source));
    if autograd.get_compiler().is_like_clang() {
        panic!("CXX: found clang, wanted g++: libtorch's threads are those of GCC's OpenMP");
    }
    // libtorch splits its work by OpenMP, in a header that is compiled here, too.
    autograd.flag("-fopenmp");
    if is_x86 {
        autograd.define("SUPERNAUT_HAS_AVX512", None);
    }
    // The linker looks into a library for what those before it lack.
    autograd.compile("supernaut_autograd");
    level("base", if is_x86 { &["-mavx2", "-mfma"] } else { &[] });
    if is_x86 {
        let avx512 = ["-march=x86-64-v4", "-mavx512bf16"];
        level("avx512", &[&avx512[..], &["-mprefer-vector-width=256"]].concat());
        level("wide", &[&avx512[..], &["-mprefer-vector-width=512", "-DSUPERNAUT_VECTOR=64"]].concat());
    }
}
