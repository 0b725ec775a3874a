//! Random numbers as a function of (seed, name, step).
//!
//! Every use of chance has a stream of its own: `init`, `shuffle`, `augment`, `sample`, … Drawing more from one never
//! disturbs another, and there is no generator state to save: a step number brings it all back.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator of stream `name` at `step`. Equal arguments give equal numbers on every platform.
pub fn stream(seed: u64, name: &str, step: u64) -> ChaCha8Rng {
    let key: [u8; 32] = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize().into();
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(step);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_depends_on_each_of_its_keys_and_on_nothing_else() {
        let first = |seed, name, step| stream(seed, name, step).next_u64();
        assert_eq!(first(1, "init", 2), first(1, "init", 2));
        let others = [first(2, "init", 2), first(1, "sample", 2), first(1, "init", 3)];
        assert!(others.iter().all(|&other| other != first(1, "init", 2)));
    }
}
