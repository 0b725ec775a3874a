//! supernaut: train a supernet, search it for the subnets that fit a device, export these to ONNX and prove the files.
pub mod arch;
mod capi;
pub mod cli;
pub mod data;
mod error;
mod files;
pub mod graph;
pub mod optimizer;
pub mod rank;
pub mod run;
pub mod sampler;
pub mod schedule;
pub mod search;
pub mod space;
pub use error::{Error, Result};
