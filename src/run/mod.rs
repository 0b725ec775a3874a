//! Putting the parts to work: recipes, training, search, export, checkpoints, reports.

pub mod checkpoint;
pub mod evaluate;
pub mod export;
pub mod images;
pub mod job;
pub mod model;
pub mod recipe;
pub mod runtime;
pub mod trainer;
pub mod versions;
