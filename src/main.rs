//! The program `supernaut`.

fn main() {
    std::process::exit(supernaut::cli::main(std::env::args_os()));
}
