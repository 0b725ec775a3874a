//! GM-NAS (arXiv:2203.15207): options whose gradients on the shared weights point the same way may go on sharing them.
//!
//! ```text
//! d_ij    = 1 − g_i·g_j / (‖g_i‖ ‖g_j‖ + 1e-6)      mean over samples; g_i: gradient where the gene has option i
//! cut(Γ)  = Σ over groups of Σ_{i<j in group} d_ij   the grouping with the least is the best of a gene
//! S       = Σ_{i<j} d_ij − min cut                   the gene with the greatest is split
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Ground, Partition, Parts, Probe};
use crate::arch::Gene;
use crate::error::at_least;
use crate::{Error, Result};

/// Keeps the cosine of vanishing gradients finite.
const EPSILON: f64 = 1e-6;
/// Options of a gene at most: all their groupings are tried, 1.4 million of 12 options in 5 groups.
const MOST: usize = 12;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientMatching {
    /// Groups that the options are put into: the branching factor.
    pub ways: usize,
    /// Options of a group at least. A gene with too few for that isn't split.
    pub smallest: usize,
    /// Options of a group at most; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<usize>,
    /// Batches, each with an architecture of its own, that distances are averaged over.
    pub samples: u64,
    /// How unlike two gradients are.
    pub distance: Distance,
    /// Which gene is split.
    pub gene: Rule,
    /// A mistake of the official code to repeat; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quirk: Option<Quirk>,
}

impl Default for GradientMatching {
    fn default() -> Self {
        let (distance, gene) = (Distance::Cosine, Rule::Between);
        Self { ways: 2, smallest: 2, largest: None, samples: 100, distance, gene, quirk: None }
    }
}

/// How unlike two gradients are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// One minus the cosine of their angle.
    #[default]
    Cosine,
    /// The square of the length of their difference.
    Euclidean,
}

/// Which gene is split: the first of those that are best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The one whose groups are the most unlike: the greatest sum of distances between groups.
    #[default]
    Between,
    /// The one whose groups are the most alike within: the least sum of distances within groups.
    Within,
}

/// A mistake of the official code, by which it may miss the best grouping. Groupings are tried in our order, not in its.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quirk {
    /// What a grouping has within is compared with what the best so far has between.
    Mixed,
    /// The sum within is never set back from one grouping to the next, so that the first can't be beaten.
    Running,
}

/// Options in groups, and the distances within.
#[derive(Clone, Debug, PartialEq)]
struct Cut {
    groups: Vec<Vec<usize>>,
    within: f64,
}

/// Of one gene.
struct Score {
    gene: usize,
    distances: Vec<Vec<f64>>,
    cut: Cut,
}

impl Score {
    fn between(&self) -> f64 {
        total(&self.distances) - self.cut.within
    }
}

impl GradientMatching {
    /// The genes that may be split: whole as yet, with enough options, and not those that momentum groups follow.
    fn candidates(&self, ground: &Ground) -> Vec<usize> {
        let whole = |gene: usize| ground.region.options(gene).len() == ground.genes[gene].options.len();
        let enough = |gene: usize| self.fits(ground.genes[gene].options.len());
        (0..ground.genes.len()).filter(|&gene| whole(gene) && enough(gene) && ground.groups != Some(gene)).collect()
    }

    /// Whether so many options can be grouped.
    fn fits(&self, options: usize) -> bool {
        self.ways * self.smallest <= options && options <= self.ways.saturating_mul(self.largest.unwrap_or(usize::MAX))
    }

    fn score(&self, gene: usize, options: &[usize], probe: &mut dyn Probe) -> Result<Score> {
        let mut sum = vec![vec![0.0; options.len()]; options.len()];
        for sample in 0..self.samples {
            let of_sample = self.distances(&probe.products(gene, options, sample)?);
            for (sums, distances) in sum.iter_mut().zip(of_sample) {
                sums.iter_mut().zip(distances).for_each(|(sum, distance)| *sum += distance);
            }
        }
        sum.iter_mut().flatten().for_each(|sum| *sum /= self.samples as f64);
        Ok(Score { gene, cut: self.cut(&sum), distances: sum })
    }

    /// From the inner products of gradients.
    fn distances(&self, products: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let square = |i: usize| products[i][i].max(0.0);
        let distance = |i: usize, j: usize| match self.distance {
            Distance::Cosine => 1.0 - products[i][j] / (square(i).sqrt() * square(j).sqrt() + EPSILON),
            Distance::Euclidean => (square(i) + square(j) - 2.0 * products[i][j]).max(0.0),
        };
        (0..products.len()).map(|i| (0..products.len()).map(|j| distance(i, j)).collect()).collect()
    }

    /// The grouping with the least distances within: all are tried.
    fn cut(&self, distances: &[Vec<f64>]) -> Cut {
        let (total, mut running) = (total(distances), 0.0);
        let mut best: Option<(f64, Cut)> = None;
        self.groupings(distances.len(), &mut vec![], &mut |groups| {
            let within = within(groups, distances);
            running += within;
            let value = if self.quirk == Some(Quirk::Running) { running } else { within };
            if best.as_ref().is_none_or(|(bound, _)| value < *bound) {
                let bound = if self.quirk == Some(Quirk::Mixed) { total - within } else { value };
                best = Some((bound, Cut { groups: groups.to_vec(), within }));
            }
        });
        best.expect("a candidate has a grouping").1
    }

    /// Shows every grouping of `count` options once: each option joins a group that there is, or begins the next.
    fn groupings(&self, count: usize, groups: &mut Vec<Vec<usize>>, see: &mut impl FnMut(&[Vec<usize>])) {
        let placed = groups.iter().map(Vec::len).sum::<usize>();
        let missing: usize = groups.iter().map(|group| self.smallest.saturating_sub(group.len())).sum();
        if missing + (self.ways - groups.len()) * self.smallest > count - placed {
            return; // not enough are left
        }
        if placed == count {
            return see(groups);
        }
        for at in 0..groups.len() {
            if groups[at].len() < self.largest.unwrap_or(usize::MAX) {
                groups[at].push(placed);
                self.groupings(count, groups, see);
                groups[at].pop();
            }
        }
        if groups.len() < self.ways {
            groups.push(vec![placed]);
            self.groupings(count, groups, see);
            groups.pop();
        }
    }

    fn best(&self, scores: Vec<Score>) -> Score {
        let value = |score: &Score| match self.gene {
            Rule::Between => -score.between(),
            Rule::Within => score.cut.within,
        };
        scores.into_iter().min_by(|a, b| value(a).total_cmp(&value(b))).expect("some candidate")
    }
}

impl Partition for GradientMatching {
    fn fixes(&self, genes: &[Gene]) -> Result<Vec<usize>> {
        let invalid = |field: &str, found: String, wanted: &str| Err(Error::invalid(format!("split.by.{field}"), found, wanted));
        let counts =
            [("ways", self.ways as f64, 2.0), ("smallest", self.smallest as f64, 1.0), ("samples", self.samples as f64, 1.0)];
        for (name, value, least) in counts {
            at_least(&format!("split.by.{name}"), value, least)?;
        }
        if let Some(most) = genes.iter().map(|gene| gene.options.len()).find(|&count| self.fits(count) && count > MOST) {
            return invalid("kind", format!("\"gradient_matching\" with a gene of {most} options"), "12 options at most");
        }
        if !genes.iter().any(|gene| self.fits(gene.options.len())) {
            let found = format!("{} groups of at least {} options", self.ways, self.smallest);
            return invalid("smallest", found, "groups that the options of some gene can make");
        }
        Ok(vec![])
    }

    fn splits_one_of(&self, genes: &[Gene]) -> Option<Vec<usize>> {
        Some((0..genes.len()).filter(|&gene| self.fits(genes[gene].options.len())).collect())
    }

    fn count(&self, _: &[Gene]) -> f64 {
        self.ways as f64
    }

    fn questions(&self, ground: &Ground) -> u64 {
        self.samples * self.candidates(ground).len() as u64
    }

    fn split(&self, ground: &Ground, probe: &mut dyn Probe) -> Result<Parts> {
        let (genes, region) = (ground.genes, ground.region);
        let candidates = self.candidates(ground);
        if candidates.is_empty() {
            let wanted = "fewer splits: no gene is left that is whole and has the options for it";
            return Err(Error::invalid("split", "one more split by gradient matching", wanted));
        }
        let score = |&gene: &usize| self.score(gene, region.options(gene), probe);
        let scores = candidates.iter().map(score).collect::<Result<Vec<_>>>()?;
        let named: Map<String, Value> =
            scores.iter().map(|score| (genes[score.gene].name.clone(), report(score, genes))).collect();
        let best = self.best(scores);
        let regions = best.cut.groups.iter().map(|group| region.with(best.gene, group)).collect::<Result<_>>()?;
        Ok(Parts { regions, report: json!({ "gene": genes[best.gene].name, "genes": named }) })
    }
}

fn report(score: &Score, genes: &[Gene]) -> Value {
    let names = |group: &Vec<usize>| group.iter().map(|&option| &*genes[score.gene].options[option]).collect::<Vec<_>>();
    json!({
        "groups": score.cut.groups.iter().map(names).collect::<Vec<_>>(),
        "within": score.cut.within,
        "between": score.between(),
        "distances": score.distances,
    })
}

/// Over all pairs.
fn total(distances: &[Vec<f64>]) -> f64 {
    within(&[(0..distances.len()).collect()], distances)
}

/// Over the pairs of each group.
fn within(groups: &[Vec<usize>], distances: &[Vec<f64>]) -> f64 {
    let pairs = |group: &Vec<usize>| {
        let of = |at: usize| group[..at].iter().map(|&i| distances[i][group[at]]).sum::<f64>();
        (0..group.len()).map(of).sum::<f64>()
    };
    groups.iter().map(pairs).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::arch::Region;

    /// Gives the products of made-up gradients: one per option of each gene, the same in every sample.
    struct Made(BTreeMap<usize, Vec<Vec<f64>>>);

    fn products(gradients: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        gradients.iter().map(|a| gradients.iter().map(|b| dot(a, b)).collect()).collect()
    }

    impl Probe for Made {
        fn products(&mut self, gene: usize, options: &[usize], _: u64) -> Result<Vec<Vec<f64>>> {
            let gradients: Vec<Vec<f64>> = options.iter().map(|&option| self.0[&gene][option].clone()).collect();
            Ok(products(&gradients))
        }
    }

    fn genes(widths: &[usize]) -> Vec<Gene> {
        let gene = |(at, &width): (usize, &usize)| Gene {
            name: format!("gene {at}"),
            options: (0..width).map(|option| option.to_string()).collect(),
        };
        widths.iter().enumerate().map(gene).collect()
    }

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-5, "found {found}, wanted {wanted}");
    }

    /// All pairs .9, but for 01 .1, 04 .2, 14 .2, 23 .1.
    fn toy() -> Vec<Vec<f64>> {
        let mut distances = vec![vec![0.9; 5]; 5];
        (0..5).for_each(|i| distances[i][i] = 0.0);
        for (i, j, d) in [(0, 1, 0.1), (0, 4, 0.2), (1, 4, 0.2), (2, 3, 0.1)] {
            (distances[i][j], distances[j][i]) = (d, d);
        }
        distances
    }

    #[test]
    fn distances_of_the_axes_and_their_diagonal() {
        let products = products(&[vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]]);
        let cosine = GradientMatching::default().distances(&products);
        close(cosine[0][1], 1.0);
        close(cosine[0][2], 0.292_893);
        close(cosine[1][2], 0.292_893);
        close(cosine[0][0], 0.0);
        let euclidean = GradientMatching { distance: Distance::Euclidean, ..Default::default() }.distances(&products);
        assert_eq!([euclidean[0][1], euclidean[0][2], euclidean[1][1]], [2.0, 1.0, 0.0]);
    }

    #[test]
    fn the_cut_of_the_toy_is_the_least_of_all_groupings() {
        let cut = GradientMatching::default().cut(&toy());
        assert_eq!(cut.groups, [vec![0, 1, 4], vec![2, 3]]);
        close(cut.within, 0.6);
        close(total(&toy()) - cut.within, 5.4);
        close(total(&toy()), 6.0);
    }

    #[test]
    fn every_grouping_is_shown_once() {
        let count = |ways, smallest, largest, options| {
            let (matching, mut seen) = (GradientMatching { ways, smallest, largest, ..Default::default() }, vec![]);
            matching.groupings(options, &mut vec![], &mut |groups| seen.push(groups.to_vec()));
            let sizes = |groups: &Vec<Vec<usize>>| groups.iter().all(|group| group.len() >= smallest);
            assert!(seen.iter().all(|groups| groups.len() == ways && sizes(groups)));
            let shown = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), shown);
            shown
        };
        // Stirling numbers of the second kind: S(5, 2), S(5, 3), S(7, 3).
        assert_eq!([count(2, 1, None, 5), count(3, 1, None, 5), count(3, 1, None, 7)], [15, 25, 301]);
        assert_eq!(count(2, 2, None, 5), 10, "two of five");
        assert_eq!(count(3, 2, Some(3), 7), 105, "7! / (3! 2! 2! 2!)");
        assert_eq!(count(2, 3, None, 5), 0);
    }

    #[test]
    fn the_official_quirks_may_miss_the_best_grouping() {
        let cut = |quirk, distances: &[Vec<f64>]| GradientMatching { quirk, ..Default::default() }.cut(distances);
        let groups = |quirk| cut(quirk, &toy()).groups;
        assert_eq!(groups(Some(Quirk::Running)), [vec![0, 1, 2], vec![3, 4]], "the first that is tried");
        // The bound of the best is 5.4, which any grouping after it undercuts.
        assert_eq!(groups(Some(Quirk::Mixed)), [vec![0, 4], vec![1, 2, 3]], "the last that is tried");
        assert_eq!(groups(None), [vec![0, 1, 4], vec![2, 3]]);
    }

    /// Two genes of five options: in the first all gradients are much alike, in the second there are two camps.
    fn camps() -> Made {
        let near = (0..5).map(|option| vec![1.0, 0.01 * option as f64]).collect();
        let camps = [[1.0, 0.0], [1.0, 0.1], [0.1, 1.0], [0.0, 1.0], [1.0, 0.05]].map(Vec::from).to_vec();
        Made([(0, near), (1, camps)].into())
    }

    #[test]
    fn the_gene_is_split_whose_groups_are_most_unlike() {
        let genes = genes(&[5, 5]);
        let region = Region::whole(&genes);
        let split = |gene, groups| {
            let matching = GradientMatching { gene, samples: 3, ..Default::default() };
            let ground = Ground { genes: &genes, region: &region, groups };
            assert_eq!(matching.questions(&ground), if groups.is_some() { 3 } else { 6 });
            let parts = matching.split(&ground, &mut camps()).unwrap();
            parts.regions.iter().map(|region| [region.options(0).to_vec(), region.options(1).to_vec()]).collect::<Vec<_>>()
        };
        let all = vec![0, 1, 2, 3, 4];
        assert_eq!(split(Rule::Between, None), [[all.clone(), vec![0, 1, 4]], [all.clone(), vec![2, 3]]]);
        let within = [[vec![0, 1], all.clone()], [vec![2, 3, 4], all]];
        assert_eq!(split(Rule::Within, None), within);
        assert_eq!(split(Rule::Between, Some(1)), within, "the gene of the momentum groups stays whole");
    }

    #[test]
    fn two_splits_make_a_tree_of_four_regions_that_are_the_space() {
        let genes = genes(&[5; 6]);
        let mut gradients = camps().0;
        for gene in 2..6 {
            gradients.insert(gene, (0..5).map(|option| vec![1.0, 0.3 * ((option + gene) % 5) as f64]).collect());
        }
        let (mut made, matching) = (Made(gradients), GradientMatching { samples: 1, ..Default::default() });
        let mut regions = vec![Region::whole(&genes)];
        for _ in 0..2 {
            let halves = regions
                .iter()
                .flat_map(|region| matching.split(&Ground { genes: &genes, region, groups: None }, &mut made).unwrap().regions);
            regions = halves.collect();
        }
        assert_eq!(regions.len(), 4);
        assert_eq!(regions.iter().map(Region::size).sum::<f64>(), 15_625.0);
        let product = |region: &Region| (0..6).map(|gene| region.options(gene).len()).product::<usize>();
        assert_eq!(regions.iter().map(product).sum::<usize>(), 15_625);
        assert!(regions.iter().enumerate().all(|(at, a)| regions[..at].iter().all(|b| a.intersect(b).is_none())));
    }

    #[test]
    fn an_option_and_its_double_are_at_no_distance_and_stay_together() {
        for scale in [1e-2, 1.0, 1e3] {
            let gradients: Vec<Vec<f64>> =
                [[1.0, 2.0], [3.0, -1.0], [1.0, 2.0], [-2.0, 0.5], [0.2, 3.0]].map(|g| g.map(|x| scale * x).to_vec()).to_vec();
            let matching = GradientMatching::default();
            let distances = matching.distances(&products(&gradients));
            assert!(distances[0][2] <= 1e-6 / (5.0 * scale * scale) + 1e-12, "{scale}: {}", distances[0][2]);
            let cut = matching.cut(&distances);
            assert!(cut.groups.iter().any(|group| group.contains(&0) && group.contains(&2)), "{cut:?}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let refused = |matching: GradientMatching, widths: &[usize]| matching.fixes(&genes(widths)).unwrap_err().to_string();
        let own = GradientMatching::default;
        assert_eq!(refused(GradientMatching { ways: 1, ..own() }, &[5]), "split.by.ways: found 1, wanted at least 2");
        assert_eq!(refused(GradientMatching { samples: 0, ..own() }, &[5]), "split.by.samples: found 0, wanted at least 1");
        let wanted =
            "split.by.smallest: found 3 groups of at least 2 options, wanted groups that the options of some gene can make";
        assert_eq!(refused(GradientMatching { ways: 3, ..own() }, &[5, 3]), wanted);
        assert!(refused(own(), &[13]).starts_with("split.by.kind: found \"gradient_matching\" with a gene of 13 options"));
        let genes = genes(&[5]);
        let region = Region::whole(&genes).with(0, &[1, 2]).unwrap();
        let ground = Ground { genes: &genes, region: &region, groups: None };
        assert!(own().split(&ground, &mut camps()).err().unwrap().to_string().starts_with("split: found one more split"));
    }
}
