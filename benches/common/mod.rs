//! What the benchmarks share: the work that is timed, figures and their spread, memory, and files of results.

#![allow(dead_code, reason = "every benchmark is a program of its own and uses its part of this")]

pub mod memory;
pub mod numbers;
pub mod output;
pub mod parts;
pub mod pass;
pub mod work;

/// Any failure; a benchmark prints it and stops.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
