//! A whole comparison: several scores on one list of architectures, each by itself, their means over seeds, and the
//! differences between two groups of runs.

use serde::Serialize;
use serde_json::{Value, json};

use super::correlation::differ;
use super::figures::{Figure, Judged, Questions, RESAMPLES, judge, percentiles};
use super::seeds::{Mean, mean};
use crate::error::{Error, Result};

/// Version of the JSON.
const FORMAT: u32 = 1;

/// An architecture that is asked about.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// As it stands in the list.
    pub arch: String,
    /// Its true figure, the larger the better.
    pub truth: f64,
    /// Trainable numbers, where they are known.
    pub params: Option<u64>,
    /// Multiply-accumulates for one image, where they are known.
    pub macs: Option<u64>,
}

/// Where a score comes from.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// Counted from the graph.
    Counted,
    /// Read from a table.
    Table {
        /// Which column.
        column: String,
    },
    /// Shares of validation images that the subnets of a supernet classify correctly.
    Supernet {
        /// The recipe's name.
        recipe: String,
        /// Its hash.
        recipe_hash: String,
        /// Its seed.
        seed: u64,
        /// Steps that the supernet was trained.
        step: u64,
        /// Steps that it is to be trained.
        total: u64,
        /// SHA-256 of its weights.
        weights: String,
        /// Validation images that each subnet was judged on.
        images: usize,
        /// Where the statistics of the norms came from.
        bn: String,
        /// How many distinct networks the list holds.
        networks: usize,
    },
}

/// A score for every architecture of a list.
#[derive(Clone, Debug)]
pub struct Scores {
    /// What it is called: a file, mostly.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// One for each architecture; the larger the better.
    pub values: Vec<f64>,
}

impl Scores {
    /// The name, and the seed if there is one.
    fn named_seed(&self) -> (&str, Option<u64>) {
        let seed = match self.source {
            Source::Supernet { seed, .. } => Some(seed),
            Source::Counted | Source::Table { .. } => None,
        };
        (&self.name, seed)
    }
}

/// A score and its figures.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was judged.
    pub scores: Scores,
    /// The figures, in the order of every other run.
    pub figures: Vec<Judged>,
}

/// Runs that differ in their seed alone.
#[derive(Clone, Debug)]
pub struct Group {
    /// `score` or `against`.
    pub name: &'static str,
    /// Each by itself.
    pub runs: Vec<Run>,
    /// The mean of each figure; absent where a run lacks it.
    pub means: Vec<Option<OverSeeds>>,
}

/// A figure of several runs: their mean, or the mean of differences between pairs of them.
#[derive(Clone, Debug)]
pub struct OverSeeds {
    /// Which figure.
    pub figure: Figure,
    /// Over the runs or pairs, with Student's interval.
    pub mean: Mean,
    /// The bootstrap interval of the mean over architectures, the runs as they are.
    pub over_architectures: Option<[f64; 2]>,
}

/// `score` less `against`, pair by pair in the order given.
#[derive(Clone, Debug)]
pub struct Difference {
    /// How many pairs.
    pub pairs: usize,
    /// The mean difference of each figure; absent where a run lacks it.
    pub figures: Vec<Option<OverSeeds>>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Ranking {
    /// What is taken for the truth, for a person.
    pub truth: String,
    /// What is asked about.
    pub entries: Vec<Entry>,
    /// What was asked.
    pub questions: Questions,
    /// The group `score` and, where there is one, the group `against`.
    pub groups: Vec<Group>,
    /// Between the two.
    pub difference: Option<Difference>,
}

impl Ranking {
    /// Judges `score`, and the difference between it and `against` if that isn't empty: it then has a partner for each.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer than 2 architectures, a `k` beyond their number, a group without a partner for
    /// each run, or supernets of different seeds paired; [`Error::Numeric`] where all values are equal.
    pub fn new(
        truth: String,
        entries: Vec<Entry>,
        score: Vec<Scores>,
        against: Vec<Scores>,
        questions: Questions,
    ) -> Result<Self> {
        check(&truth, &entries, &questions)?;
        check_pairs(&score, &against)?;
        let groups = [("score", score), ("against", against)].into_iter().filter(|(_, runs)| !runs.is_empty());
        let groups = groups.map(|(name, runs)| group(name, runs, &entries, &questions)).collect::<Result<Vec<_>>>()?;
        let difference = match &groups[..] {
            [score, against] => Some(difference(score, against)),
            _ => None,
        };
        Ok(Self { truth, entries, questions, groups, difference })
    }

    /// All of it as JSON: every architecture with its truth, every run with its score of each, every figure with its
    /// interval.
    pub fn json(&self) -> Value {
        let group = |group: &Group| {
            let runs: Vec<Value> = group.runs.iter().map(Run::json).collect();
            json!({ "name": group.name, "runs": runs, "mean": over_seeds_json(&group.means) })
        };
        let difference =
            |difference: &Difference| json!({ "pairs": difference.pairs, "mean": over_seeds_json(&difference.figures) });
        json!({
            "format": FORMAT,
            "supernaut": env!("CARGO_PKG_VERSION"),
            "truth": self.truth,
            "confidence": 0.95,
            "resamples": RESAMPLES,
            "seed": self.questions.seed,
            "architectures": self.entries,
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
            "difference": self.difference.as_ref().map(difference),
        })
    }
}

fn check(truth: &str, entries: &[Entry], questions: &Questions) -> Result<()> {
    if entries.len() < 2 {
        return Err(Error::invalid("architectures", entries.len(), "at least 2: one alone has no rank"));
    }
    questions.check(entries.len(), "")?;
    differ(truth, &entries.iter().map(|entry| entry.truth).collect::<Vec<_>>())
}

fn check_pairs(score: &[Scores], against: &[Scores]) -> Result<()> {
    if against.is_empty() {
        return Ok(());
    }
    check_partners("against", score.len(), against.len(), "score")?;
    let mut pairs = score.iter().zip(against);
    pairs.try_for_each(|(ours, theirs)| check_seeds("against", ours.named_seed(), theirs.named_seed()))
}

/// Refuses runs `against` others where not each has a partner; `field` and `partner` name the two in the message.
pub fn check_partners(field: &str, score: usize, against: usize, partner: &str) -> Result<()> {
    if score != against {
        return Err(Error::invalid(field, format!("{against} runs"), format!("{score}, one for each {partner}")));
    }
    Ok(())
}

/// Refuses to pair runs, each a name and a seed if it has one, of different seeds.
pub fn check_seeds(field: &str, ours: (&str, Option<u64>), theirs: (&str, Option<u64>)) -> Result<()> {
    if let ((our_name, Some(our_seed)), (name, Some(seed))) = (ours, theirs)
        && seed != our_seed
    {
        let found = format!("{name} of seed {seed} beside {our_name} of seed {our_seed}");
        return Err(Error::invalid(field, found, "the same seeds in the same order, for they are compared in pairs"));
    }
    Ok(())
}

fn group(name: &'static str, runs: Vec<Scores>, entries: &[Entry], questions: &Questions) -> Result<Group> {
    let truth: Vec<f64> = entries.iter().map(|entry| entry.truth).collect();
    let params: Option<Vec<f64>> = entries.iter().map(|entry| entry.params.map(|params| params as f64)).collect();
    let judged = |scores: Scores| {
        differ(&scores.name, &scores.values)?;
        let figures = judge(&scores.values, &truth, params.as_deref(), questions)?;
        Ok(Run { scores, figures })
    };
    let runs = runs.into_iter().map(judged).collect::<Result<Vec<Run>>>()?;
    let means = (0..runs[0].figures.len()).map(|at| over_seeds(&runs.iter().map(|run| &run.figures[at]).collect::<Vec<_>>()));
    Ok(Group { name, means: means.collect(), runs })
}

fn difference(score: &Group, against: &Group) -> Difference {
    let less = |ours: &Judged, theirs: &Judged| Judged {
        figure: ours.figure,
        value: ours.value.zip(theirs.value).map(|(ours, theirs)| ours - theirs),
        resampled: ours.resampled.iter().zip(&theirs.resampled).map(|(ours, theirs)| ours - theirs).collect(),
    };
    let pairs: Vec<_> = score.runs.iter().zip(&against.runs).collect();
    let of_figure = |at: usize| {
        let differences: Vec<Judged> = pairs.iter().map(|(ours, theirs)| less(&ours.figures[at], &theirs.figures[at])).collect();
        over_seeds(&differences.iter().collect::<Vec<_>>())
    };
    Difference { pairs: pairs.len(), figures: (0..score.means.len()).map(of_figure).collect() }
}

/// The mean of one figure over runs.
fn over_seeds(figures: &[&Judged]) -> Option<OverSeeds> {
    let values: Vec<f64> = figures.iter().map(|figure| figure.value).collect::<Option<_>>()?;
    let of_resample = |at: usize| figures.iter().map(|figure| figure.resampled[at]).sum::<f64>() / figures.len() as f64;
    let resampled: Vec<f64> = (0..RESAMPLES).map(of_resample).collect();
    Some(OverSeeds { figure: figures[0].figure, mean: mean(&values), over_architectures: percentiles(&resampled) })
}

impl Run {
    fn json(&self) -> Value {
        let Scores { name, source, values } = &self.scores;
        json!({ "name": name, "source": source, "figures": figures_json(&self.figures), "scores": values })
    }
}

/// Figures as JSON, each with its interval over architectures.
pub fn figures_json(figures: &[Judged]) -> Value {
    let figure = |judged: &Judged| (judged.figure.name(), json!({ "value": judged.value, "interval": judged.interval() }));
    Value::Object(figures.iter().map(figure).collect())
}

fn over_seeds_json(figures: &[Option<OverSeeds>]) -> Value {
    let figure = |over: &OverSeeds| {
        let Mean { mean, deviation, interval } = over.mean;
        let value = json!({
            "mean": mean,
            "deviation": deviation,
            "interval": interval,
            "interval_over_architectures": over.over_architectures,
        });
        (over.figure.name(), value)
    };
    Value::Object(figures.iter().flatten().map(figure).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn entries(truth: &[f64]) -> Vec<Entry> {
        let entry = |(at, &truth): (usize, &f64)| Entry { arch: at.to_string(), truth, params: Some(at as u64), macs: None };
        truth.iter().enumerate().map(entry).collect()
    }

    fn table(name: &str, values: &[f64]) -> Scores {
        Scores { name: name.into(), source: Source::Table { column: "score".into() }, values: values.into() }
    }

    fn supernet(name: &str, seed: u64, values: &[f64]) -> Scores {
        let text = String::new;
        let source = Source::Supernet {
            recipe: text(),
            recipe_hash: text(),
            seed,
            step: 1,
            total: 1,
            weights: text(),
            images: 1,
            bn: text(),
            networks: 1,
        };
        Scores { source, ..table(name, values) }
    }

    const UP: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
    const SWAPPED: [f64; 4] = [1.0, 3.0, 2.0, 4.0];

    #[test]
    fn means_are_over_runs_and_differences_over_pairs() {
        let (score, against) = (vec![table("a", &UP), table("b", &SWAPPED)], vec![table("c", &SWAPPED), table("d", &SWAPPED)]);
        let ranking = Ranking::new("t".into(), entries(&UP), score, against, Questions { top: vec![2], ..Default::default() });
        let json = ranking.unwrap().json();
        let tau = &json["groups"][0]["mean"]["kendall_tau_b"];
        assert!((tau["mean"].as_f64().unwrap() - 5.0 / 6.0).abs() < 1e-12, "1 and 4/6");
        // Two runs: t = 12.706, deviation 1/3 / sqrt(2), so half a width of 12.706 / 6.
        assert!((tau["interval"][1].as_f64().unwrap() - (5.0 + 12.7062) / 6.0).abs() < 1e-4, "{tau}");
        let difference = &json["difference"];
        assert_eq!(difference["pairs"], 2);
        assert!((difference["mean"]["kendall_tau_b"]["mean"].as_f64().unwrap() - 1.0 / 6.0).abs() < 1e-12, "2/6 and 0");
        assert_eq!(difference["mean"]["precision_at_2"]["mean"], 0.25);
        assert!(difference["mean"].get("complexity_bias").is_none(), "a ranking without error has none");
        assert_eq!(json["groups"][1]["runs"][0]["scores"][1], 3.0);
        assert_eq!(json["architectures"][3]["truth"], 4.0);
    }

    #[test]
    fn a_ranking_is_resampled_alike_whatever_stands_beside_it() {
        let of = |score: Vec<Scores>| Ranking::new("t".into(), entries(&UP), score, vec![], Questions::default()).unwrap();
        let (alone, last) = (of(vec![table("b", &SWAPPED)]), of(vec![table("a", &UP), table("b", &SWAPPED)]));
        assert_eq!(alone.json()["groups"][0]["runs"][0], last.json()["groups"][0]["runs"][1]);
        let less =
            Ranking::new("t".into(), entries(&UP), vec![table("b", &SWAPPED)], vec![table("b", &SWAPPED)], Questions::default());
        let same = &less.unwrap().json()["difference"]["mean"]["kendall_tau_b"];
        assert_eq!((&same["mean"], &same["interval_over_architectures"]), (&json!(0.0), &json!([0.0, 0.0])));
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        let check = |truth: &[f64], score: Vec<Scores>, against: Vec<Scores>, top: Vec<usize>, message: Expect| {
            let questions = Questions { top, ..Default::default() };
            message.assert_eq(&Ranking::new("truth".into(), entries(truth), score, against, questions).unwrap_err().to_string());
        };
        let up = || vec![table("a", &UP)];
        check(&[1.0], up(), vec![], vec![], expect!["architectures: found 1, wanted at least 2: one alone has no rank"]);
        check(&UP, up(), vec![], vec![5], expect!["top: found 5, wanted 1…4, as many as there are architectures"]);
        check(
            &[2.0; 4],
            up(),
            vec![],
            vec![],
            expect!["truth: found 2 for all 4 architectures, wanted values that differ: equal ones have no order"],
        );
        check(
            &UP,
            vec![table("flat", &[0.1; 4])],
            vec![],
            vec![],
            expect!["flat: found 0.1 for all 4 architectures, wanted values that differ: equal ones have no order"],
        );
        check(
            &UP,
            up(),
            vec![table("b", &UP), table("c", &UP)],
            vec![],
            expect!["against: found 2 runs, wanted 1, one for each score"],
        );
        check(
            &UP,
            vec![supernet("a", 1, &UP)],
            vec![supernet("b", 2, &UP)],
            vec![],
            expect![
                "against: found b of seed 2 beside a of seed 1, wanted the same seeds in the same order, for they are compared in pairs"
            ],
        );
    }
}
