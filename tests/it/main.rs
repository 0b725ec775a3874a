//! One binary for all integration tests: linking libtorch once is enough.

mod cli;
mod common;
mod counts;
mod exporting;
mod planning;
mod recipes;
mod tidy;
mod training;
