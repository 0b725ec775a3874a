//! One binary for all integration tests: linking libtorch once is enough.

mod capi;
mod cli;
mod common;
mod counts;
mod exporting;
mod forest;
mod header;
mod memory;
mod methods;
mod operators;
mod pictures;
mod planning;
mod recipes;
mod searching;
mod space_files;
mod spaces;
mod tidy;
mod training;
