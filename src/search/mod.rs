//! What is tried next, and what is kept? Pure functions of numbers: nothing here knows of networks.

mod evolution;
mod pareto;

pub use evolution::{Evolution, Settings, Trial};
pub use pareto::{fronts, rank_and_crowding, spread};
