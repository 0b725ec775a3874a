//! Can a score be trusted to order architectures? Figures of its agreement with the truth, their intervals over
//! architectures and over seeds, and the tables of truth to compare with.

mod correlation;
mod figures;
mod ranking;
mod seeds;
mod truth;

pub use correlation::{kendall_tau_b, spearman};
pub use figures::{Figure, Judged, Questions, RESAMPLES, judge, precision_at};
pub use ranking::{Difference, Entry, Group, OverSeeds, Ranking, Run, Scores, Source, check_partners, check_seeds, figures_json};
pub use seeds::{Mean, mean};
pub use truth::{List, Truth};
