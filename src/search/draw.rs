//! The moves that strategies share: drawing, changing, crossing.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::arch::{Arch, Gene};

/// Tries for each child that is wanted: most children of good parents have been tried before, late in a search.
pub const TRIES: usize = 10;
/// Tries for each random architecture that is wanted, so that limits which only one in fifty meets leave some.
pub const RANDOM_TRIES: usize = 100;

/// All options alike.
pub fn random(genes: &[Gene], rng: &mut ChaCha8Rng) -> Arch {
    let options: Vec<usize> = genes.iter().map(|gene| rng.random_range(0..gene.options.len())).collect();
    Arch::new(genes, &options).expect("drawn within the options")
}

/// Each gene drawn anew with chance `rate`; it may turn out as it was.
pub fn mutant(parent: &Arch, rate: f64, genes: &[Gene], rng: &mut ChaCha8Rng) -> Arch {
    let mut child = parent.clone();
    for (gene, Gene { options, .. }) in genes.iter().enumerate() {
        if rng.random_bool(rate) {
            child = child.with(gene, rng.random_range(0..options.len()));
        }
    }
    child
}

/// One gene with another option than it has; the parent itself where no gene has two.
pub fn neighbour(parent: &Arch, genes: &[Gene], rng: &mut ChaCha8Rng) -> Arch {
    let free: Vec<usize> = (0..genes.len()).filter(|&gene| genes[gene].options.len() > 1).collect();
    if free.is_empty() {
        return parent.clone();
    }
    let gene = free[rng.random_range(0..free.len())];
    let other = rng.random_range(1..genes[gene].options.len());
    parent.with(gene, (parent.option(gene) + other) % genes[gene].options.len())
}

/// Each gene from one of the two, with equal chance.
pub fn cross(mother: &Arch, father: &Arch, genes: &[Gene], rng: &mut ChaCha8Rng) -> Arch {
    (0..genes.len()).fold(
        mother.clone(),
        |child, gene| {
            if rng.random_bool(0.5) { child } else { child.with(gene, father.option(gene)) }
        },
    )
}

/// One of `from`.
pub fn one<'a, T>(from: &'a [T], rng: &mut ChaCha8Rng) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

#[cfg(test)]
mod tests {
    use super::super::study::tests::genes;
    use super::*;
    use crate::arch::stream::stream;

    fn distance(a: &Arch, b: &Arch) -> usize {
        a.options().iter().zip(b.options()).filter(|&(&a, b)| a != b).count()
    }

    #[test]
    fn a_neighbour_differs_in_one_gene_and_each_is_as_likely() {
        let mut genes = genes(3, 4);
        genes[1].options.truncate(1);
        let (parent, mut rng) = (Arch::new(&genes, &[3, 0, 1]).unwrap(), stream(1, "draw", 0));
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let child = neighbour(&parent, &genes, &mut rng);
            assert_eq!(distance(&child, &parent), 1);
            *counts.entry(child.options()).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 120), "4σ are 115: {counts:?}");
        let one = super::super::study::tests::genes(2, 1);
        let only = Arch::new(&one, &[0, 0]).unwrap();
        assert_eq!(neighbour(&only, &one, &mut rng), only);
    }

    #[test]
    fn a_mutation_of_rate_p_changes_p_of_the_genes_less_those_drawn_as_they_were() {
        let (genes, mut rng) = (genes(1000, 4), stream(2, "draw", 0));
        let parent = random(&genes, &mut rng);
        assert_eq!(mutant(&parent, 0.0, &genes, &mut rng), parent);
        let changed = distance(&mutant(&parent, 0.4, &genes, &mut rng), &parent);
        assert!(changed.abs_diff(300) < 60, "0.4 · 3/4 of 1000: {changed}"); // 4σ
    }

    #[test]
    fn a_child_of_two_has_its_genes_from_both() {
        let (genes, mut rng) = (genes(1000, 2), stream(3, "draw", 0));
        let (mother, father) = (Arch::new(&genes, &[0; 1000]).unwrap(), Arch::new(&genes, &[1; 1000]).unwrap());
        let ones = distance(&cross(&mother, &father, &genes, &mut rng), &mother);
        assert!(ones.abs_diff(500) < 64, "{ones}"); // 4σ
        assert_eq!(cross(&mother, &mother, &genes, &mut rng), mother);
    }
}
