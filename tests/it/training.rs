//! Training: what moves, what stands still, and what a checkpoint brings back.
