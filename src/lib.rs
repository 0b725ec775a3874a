//! Embeddable neural architecture search: train a supernet, search it for the subnets that fit a device, export these to
//! ONNX and prove the files.
//!
//! *A space is a graph with choices, an architecture fills them, a method is a recipe.*
//!
//! A whole run, from a recipe and a folder of images to proven ONNX files:
//!
//! ```no_run
//! use std::path::Path;
//! use supernaut::run::{job::Cancel, project::Project, recipe::Recipe};
//!
//! fn main() -> supernaut::Result<()> {
//!     let recipe = Recipe::read(Path::new("recipes/demo.toml"))?;
//!     let folder = recipe.data_folder(Some(Path::new("fashion-mnist")))?;
//!     let data = recipe.data.as_ref().expect("the recipe has a [data] table").load(&folder, &mut |remark| eprintln!("{remark}"))?;
//!     let result = Project::open(recipe, &data, Path::new("out"), Cancel::default())?.run(&mut ())?;
//!     println!("{}", result["subnets"][0]["onnx"]);
//!     Ok(())
//! }
//! ```
//!
//! In reading order:
//! - [`arch`]: genes, architectures, costs, random streams; plain data.
//! - [`graph`]: networks with choices, their tensors, the plans that run them, ONNX.
//! - [`space`]: the search spaces, one file each.
//! - [`sampler`], [`loss`], [`schedule`], [`optimizer`], [`partition`], [`search`]: the parts that methods are composed of.
//! - [`run`]: recipes, training, search, export, checkpoints, reports.
//! - [`data`], [`rank`]: images; rank correlation against a truth table.
//! - [`reading`]: mistakes in JSON and TOML, told in one sentence.
//!
//! The C interface is `include/supernaut.h`.

#[macro_use]
mod registry;

pub mod arch;
mod capi;
pub mod cli;
pub mod data;
mod error;
mod files;
pub mod graph;
mod hash;
pub mod loss;
pub mod optimizer;
pub mod partition;
pub mod rank;
pub mod reading;
pub mod run;
pub mod sampler;
pub mod schedule;
pub mod search;
pub mod space;
pub mod state;

pub use error::{Error, Result};
