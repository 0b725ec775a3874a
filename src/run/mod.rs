//! Putting the parts to work: recipes, training, search, export, checkpoints, reports.

pub mod augment;
pub mod checkpoint;
pub mod described;
pub mod dialogue;
pub mod evaluate;
pub mod evaluations;
pub mod export;
mod feed;
pub mod forest;
pub mod ground;
pub mod images;
pub mod job;
pub mod judge;
pub mod limits;
pub mod listed;
pub mod memory;
pub mod model;
pub mod probe;
pub mod project;
pub mod recipe;
pub mod report;
pub mod runtime;
pub mod search;
pub mod splits;
pub mod table;
pub mod trainer;
pub mod versions;
