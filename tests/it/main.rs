//! One binary for all integration tests: linking libtorch once is enough.

mod capi;
mod cli;
mod common;
mod counts;
mod exporting;
mod forest;
mod header;
mod memory;
mod pictures;
mod planning;
mod recipes;
mod tidy;
mod training;
