//! A part of a space: the options that are still allowed for each gene.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};

use super::{Arch, Gene};
use crate::{Error, Result};

/// The architectures whose every option is among those allowed for its gene; there is at least one.
///
/// It exists only for the genes it was checked against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Vec<Vec<usize>>); // ascending, never empty

/// A region as a file says it: the allowed options of each gene that isn't free, all by name.
pub type NamedRegion = BTreeMap<String, Vec<String>>;

impl Region {
    /// The whole space.
    pub fn whole(genes: &[Gene]) -> Self {
        Self(genes.iter().map(|gene| (0..gene.options.len()).collect()).collect())
    }

    /// Reads names. Genes that aren't named are free.
    pub fn from_names(genes: &[Gene], names: &NamedRegion) -> Result<Self> {
        let mut region = Self::whole(genes);
        for (name, options) in names {
            let gene = position(genes, name)?;
            let number = |option: &String| {
                let known = genes[gene].options.iter().position(|known| known == option);
                known.ok_or_else(|| {
                    Error::invalid("region", format!("\"{option}\" for {name}"), one_of(genes[gene].options.iter()))
                })
            };
            region = region.with(gene, &options.iter().map(number).collect::<Result<Vec<_>>>()?)?;
        }
        Ok(region)
    }

    /// Writes the genes that aren't free.
    pub fn names(&self, genes: &[Gene]) -> NamedRegion {
        let bound = genes.iter().zip(&self.0).filter(|(gene, options)| options.len() < gene.options.len());
        let names = |(gene, options): (&Gene, &Vec<usize>)| {
            (gene.name.clone(), options.iter().map(|&option| gene.options[option].clone()).collect())
        };
        bound.map(names).collect()
    }

    /// The allowed options of `gene`, ascending.
    pub fn options(&self, gene: usize) -> &[usize] {
        &self.0[gene]
    }

    /// Whether it leaves anything out.
    pub fn is_part(&self, genes: &[Gene]) -> bool {
        self.0.iter().zip(genes).any(|(options, gene)| options.len() < gene.options.len())
    }

    /// Whether `gene` has one allowed option only.
    pub fn fixes(&self, gene: usize) -> bool {
        self.0[gene].len() == 1
    }

    /// The part in which `gene` has one of `options`, which must be allowed now.
    pub fn with(&self, gene: usize, options: &[usize]) -> Result<Self> {
        let mut kept = options.to_vec();
        kept.sort_unstable();
        kept.dedup();
        if kept.is_empty() || kept.iter().any(|option| !self.0[gene].contains(option)) {
            let wanted = format!("some of {:?}, which are allowed", self.0[gene]);
            return Err(Error::invalid("region", format!("options {options:?}"), wanted));
        }
        let mut part = self.clone();
        part.0[gene] = kept;
        Ok(part)
    }

    /// Whether `arch` lies within.
    pub fn contains(&self, arch: &Arch) -> bool {
        self.0.iter().enumerate().all(|(gene, options)| options.binary_search(&arch.option(gene)).is_ok())
    }

    /// What lies in both; `None` if nothing does.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let both = |(mine, theirs): (&Vec<usize>, &Vec<usize>)| mine.iter().copied().filter(|x| theirs.contains(x)).collect();
        let options: Vec<Vec<usize>> = self.0.iter().zip(&other.0).map(both).collect();
        options.iter().all(|options| !options.is_empty()).then_some(Self(options))
    }

    /// All that lie within, one after the other: for few genes.
    pub fn archs(&self) -> impl Iterator<Item = Arch> {
        let mut next = Some(vec![0; self.0.len()]);
        std::iter::from_fn(move || {
            let places = next.clone()?;
            let arch = Arch(places.iter().zip(&self.0).map(|(&at, options)| options[at] as u16).collect());
            // Counts up, the last gene fastest.
            let turns = (0..places.len()).rev().find(|&gene| places[gene] + 1 < self.0[gene].len());
            next = turns.map(|gene| {
                let mut places = places;
                places[gene] += 1;
                places[gene + 1..].fill(0);
                places
            });
            Some(arch)
        })
    }

    /// How many architectures lie within: exact up to 2⁵³, and never counted one by one.
    pub fn size(&self) -> f64 {
        self.0.iter().map(|options| options.len() as f64).product()
    }

    /// The genes of a space of its own, which has the allowed options only.
    pub fn genes(&self, genes: &[Gene]) -> Vec<Gene> {
        let allowed = |(gene, options): (&Gene, &Vec<usize>)| Gene {
            name: gene.name.clone(),
            options: options.iter().map(|&option| gene.options[option].clone()).collect(),
        };
        genes.iter().zip(&self.0).map(allowed).collect()
    }

    /// The architecture of the region that `arch` is among [its own genes](Self::genes).
    pub fn lift(&self, arch: &Arch) -> Arch {
        Arch(self.0.iter().enumerate().map(|(gene, options)| options[arch.option(gene)] as u16).collect())
    }

    /// What [`lift`](Self::lift) makes `arch` of; `None` if it lies outside.
    pub fn lower(&self, arch: &Arch) -> Option<Arch> {
        let place = |(gene, options): (usize, &Vec<usize>)| options.binary_search(&arch.option(gene)).ok();
        let places: Option<Vec<usize>> = self.0.iter().enumerate().map(place).collect();
        places.map(|places| Arch(places.into_iter().map(|place| place as u16).collect()))
    }

    /// One of them, all equally likely.
    pub fn draw(&self, rng: &mut impl Rng) -> Arch {
        Arch(self.0.iter().map(|options| options[rng.random_range(0..options.len())] as u16).collect())
    }
}

/// The number of the gene called `name`.
fn position(genes: &[Gene], name: &str) -> Result<usize> {
    let found = genes.iter().position(|gene| gene.name == name);
    found.ok_or_else(|| Error::invalid("region", format!("gene \"{name}\""), one_of(genes.iter().map(|gene| &gene.name))))
}

fn one_of<'a>(names: impl Iterator<Item = &'a String>) -> String {
    format!("one of {}", names.cloned().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::stream::stream;
    use super::*;

    #[test]
    fn all_are_counted_once() {
        let region = Region::whole(&genes()).with(0, &[0, 2]).unwrap();
        let all: Vec<Arch> = region.archs().collect();
        assert!(all.len() as f64 == region.size() && all.iter().all(|arch| region.contains(arch)));
        assert!((0..all.len()).all(|at| !all[..at].contains(&all[at])));
    }

    fn genes() -> Vec<Gene> {
        let gene = |name: &str, options: &str| Gene { name: name.into(), options: options.split(' ').map(Into::into).collect() };
        vec![gene("a", "x y z"), gene("b", "p q")]
    }

    fn archs() -> Vec<Arch> {
        (0..6).map(|index| Arch::new(&genes(), &[index / 2, index % 2]).unwrap()).collect()
    }

    #[test]
    fn a_region_contains_what_it_counts() {
        let whole = Region::whole(&genes());
        for (region, size) in [(whole.clone(), 6.0), (whole.with(0, &[2, 0]).unwrap(), 4.0), (whole.with(1, &[1]).unwrap(), 3.0)]
        {
            assert_eq!(archs().iter().filter(|arch| region.contains(arch)).count() as f64, size);
            assert_eq!(region.size(), size);
        }
        let wide: Vec<Gene> = (0..100).map(|gene| Gene { name: gene.to_string(), options: vec![String::new(); 10] }).collect();
        assert!((Region::whole(&wide).size() / 1e100 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_intersection_contains_what_both_contain() {
        let whole = Region::whole(&genes());
        let (left, right) = (whole.with(0, &[0, 1]).unwrap(), whole.with(0, &[1, 2]).unwrap().with(1, &[0]).unwrap());
        let both = left.intersect(&right).unwrap();
        assert!(archs().iter().all(|arch| both.contains(arch) == (left.contains(arch) && right.contains(arch))));
        assert_eq!(left.with(0, &[0]).unwrap().intersect(&right), None);
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let region = Region::whole(&genes()).with(0, &[0, 2]).unwrap();
        let names = region.names(&genes());
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"{"a":["x","z"]}"#);
        assert_eq!(Region::from_names(&genes(), &names).unwrap(), region);
        assert!(Region::whole(&genes()).names(&genes()).is_empty());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let refused = |json: &str| {
            let names: NamedRegion = serde_json::from_str(json).unwrap();
            Region::from_names(&genes(), &names).unwrap_err().to_string()
        };
        assert_eq!(refused(r#"{"c":["x"]}"#), "region: found gene \"c\", wanted one of a, b");
        assert_eq!(refused(r#"{"a":["w"]}"#), "region: found \"w\" for a, wanted one of x, y, z");
        assert_eq!(refused(r#"{"a":[]}"#), "region: found options [], wanted some of [0, 1, 2], which are allowed");
        let narrow = Region::whole(&genes()).with(0, &[1]).unwrap();
        assert!(narrow.with(0, &[1, 2]).is_err());
    }

    #[test]
    fn a_region_is_a_space_of_its_own() {
        let region = Region::whole(&genes()).with(0, &[0, 2]).unwrap();
        let own = region.genes(&genes());
        assert_eq!(own.iter().map(|gene| gene.options.join(" ")).collect::<Vec<_>>(), ["x z", "p q"]);
        for arch in archs() {
            assert_eq!(region.lower(&arch).map(|own| region.lift(&own)), region.contains(&arch).then_some(arch));
        }
        assert_eq!(region.lift(&Arch::new(&own, &[1, 0]).unwrap()), Arch::new(&genes(), &[2, 0]).unwrap());
    }

    #[test]
    fn draws_stay_within_and_reach_everything() {
        let region = Region::whole(&genes()).with(0, &[0, 2]).unwrap();
        let drawn: std::collections::BTreeSet<Arch> = (0..100).map(|step| region.draw(&mut stream(1, "draw", step))).collect();
        assert!(drawn.iter().all(|arch| region.contains(arch)));
        assert_eq!(drawn.len(), 4);
    }
}
