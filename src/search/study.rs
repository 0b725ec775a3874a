//! A search without its loop: asks a strategy, remembers what was tried, never tries anything twice.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;

use super::{Strategy, StrategyConfig};
use crate::arch::stream::stream;
use crate::arch::{Arch, Gene};
use crate::{Error, Result};

/// What a strategy wants to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What to judge.
    pub arch: Arch,
    /// On how many validation images; `None` for all of them.
    pub images: Option<usize>,
}

impl Query {
    /// Wants `arch` judged on all images.
    pub fn full(arch: Arch) -> Self {
        Self { arch, images: None }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was asked.
    pub query: Query,
    /// One figure per objective, the smaller the better.
    pub figures: Vec<f64>,
}

/// What a strategy chooses from.
pub struct Ask<'a> {
    /// What may be chosen.
    pub genes: &'a [Gene],
    /// All answers so far, in the order in which they were told.
    pub trials: &'a [Trial],
    /// How many rounds there were before.
    pub round: u64,
    /// The `search` stream of the study's seed, at this round.
    pub rng: ChaCha8Rng,
    /// Whether an architecture is new and may be tried; it is no longer new then.
    admit: &'a mut dyn FnMut(&Arch) -> bool,
}

impl Ask<'_> {
    /// Whether `arch` is new and may be tried. From here on it isn't new.
    pub fn admit(&mut self, arch: &Arch) -> bool {
        (self.admit)(arch)
    }

    /// Draws until `archs` holds `until`, or `tries` were made, and keeps what is new and may be tried.
    pub fn fill(
        &mut self,
        archs: &mut Vec<Arch>,
        until: usize,
        tries: usize,
        mut draw: impl FnMut(&[Gene], &mut ChaCha8Rng) -> Arch,
    ) {
        for _ in 0..tries {
            if archs.len() >= until {
                return;
            }
            let arch = draw(self.genes, &mut self.rng);
            if self.admit(&arch) {
                archs.push(arch);
            }
        }
    }
}

/// See the [module](self).
pub struct Study {
    strategy: Box<dyn Strategy>,
    genes: Vec<Gene>,
    seed: u64,
    round: u64,
    first: Option<Arch>,
    seen: HashSet<String>,
    trials: Vec<Trial>,
    /// How many figures there are, once that is known.
    objectives: Option<usize>,
}

impl Study {
    /// Begins with nothing tried. All chance comes from streams of `seed`.
    ///
    /// # Errors
    /// If the strategy's settings make no sense, or not for these genes.
    pub fn new(strategy: &StrategyConfig, genes: &[Gene], seed: u64) -> Result<Self> {
        strategy.check("strategy")?;
        let (strategy, genes) = (strategy.start(genes)?, genes.to_vec());
        Ok(Self { strategy, genes, seed, round: 0, first: None, seen: HashSet::new(), trials: vec![], objectives: None })
    }

    /// Asks for `first` before the strategy does: an architecture that is known to meet limits which random draws may miss.
    pub fn beginning_with(self, first: Option<Arch>) -> Self {
        Self { first, ..self }
    }

    /// What to judge next, nothing at the end; ask again once all of it was told. `admit` gives a name to what may be tried,
    /// and `None` to what may not; architectures of one name are the same, and the first of them stands for all.
    pub fn ask(&mut self, mut admit: impl FnMut(&Arch) -> Option<String>) -> Vec<Query> {
        let Self { strategy, genes, seed, round, first, seen, trials, .. } = self;
        let mut admit = |arch: &Arch| admit(arch).is_some_and(|name| seen.insert(name));
        if let Some(first) = first.take().filter(|first| admit(first)) {
            return vec![Query::full(first)];
        }
        let rng = stream(*seed, "search", *round);
        let queries = strategy.ask(&mut Ask { genes, trials, round: *round, rng, admit: &mut admit });
        *round += 1;
        queries
    }

    /// What the answer to a query was.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn tell(&mut self, trial: Trial) -> Result<()> {
        self.check(&trial.figures)?;
        self.trials.push(trial);
        Ok(())
    }

    /// Refuses NaN, which has no place in an order, and more or fewer figures than were told before.
    pub fn check(&mut self, figures: &[f64]) -> Result<()> {
        let wanted = self.objectives.unwrap_or(figures.len().max(1));
        if figures.len() != wanted {
            return Err(Error::invalid("figures", figures.len(), format!("{wanted}, one per objective")));
        }
        if figures.iter().any(|figure| figure.is_nan()) {
            return Err(Error::invalid("figures", format!("{figures:?}"), "numbers: NaN has no place in an order"));
        }
        self.objectives = Some(wanted);
        Ok(())
    }

    /// Everything told, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `count` genes of `width` options.
    pub fn genes(count: usize, width: usize) -> Vec<Gene> {
        (0..count).map(|gene| Gene { name: gene.to_string(), options: vec![String::new(); width] }).collect()
    }

    /// All trials of a search that stops by itself, where everything may be tried.
    pub fn run(strategy: &StrategyConfig, genes: &[Gene], seed: u64, figures: impl Fn(&Arch) -> Vec<f64>) -> Vec<Trial> {
        run_where(strategy, genes, seed, figures, |_| true)
    }

    /// The same, of what `may` be tried.
    pub fn run_where(
        strategy: &StrategyConfig,
        genes: &[Gene],
        seed: u64,
        figures: impl Fn(&Arch) -> Vec<f64>,
        may: impl Fn(&Arch) -> bool,
    ) -> Vec<Trial> {
        let mut study = Study::new(strategy, genes, seed).unwrap();
        loop {
            let queries = study.ask(|arch| may(arch).then(|| format!("{arch:?}")));
            if queries.is_empty() {
                return study.trials().to_vec();
            }
            for query in queries {
                let figures = figures(&query.arch);
                study.tell(Trial { query, figures }).unwrap();
            }
        }
    }

    /// Minus the sum of the options, to be made small.
    pub fn sum(arch: &Arch) -> Vec<f64> {
        vec![-(arch.options().iter().sum::<usize>() as f64)]
    }

    /// What holds for every strategy on a small space: it ends, draws by its seed, keeps to what may be tried, tries
    /// nothing twice and not more than it said.
    fn check(strategy: &str) {
        let config: StrategyConfig = serde_json::from_str(strategy).unwrap();
        let genes = genes(4, 3);
        let figures = |arch: &Arch| vec![sum(arch)[0], arch.option(0) as f64];
        let may = |arch: &Arch| arch.option(1) != 2;
        let trials = run_where(&config, &genes, 3, figures, may);
        assert_eq!(trials, run_where(&config, &genes, 3, figures, may), "{strategy}");
        assert!(trials.iter().all(|trial| may(&trial.query.arch)), "{strategy}");
        assert!((1..=config.total(&genes)).contains(&(trials.len() as u64)), "{strategy}: {}", trials.len());
        let mut queries: Vec<_> = trials.iter().map(|trial| (trial.query.arch.clone(), trial.query.images)).collect();
        queries.sort();
        queries.dedup();
        assert_eq!(queries.len(), trials.len(), "{strategy}");
        let exhaustive = matches!(config, StrategyConfig::Exhaustive(_));
        assert_eq!(trials == run_where(&config, &genes, 4, figures, may), exhaustive, "{strategy}");
        assert!(run_where(&config, &genes, 3, figures, |_| false).is_empty(), "{strategy}");
    }

    #[test]
    fn every_strategy_keeps_the_rules() {
        check(r#"{"kind": "random", "trials": 20}"#);
        check(r#"{"kind": "evolution", "population": 8, "generations": 3, "parents": 3, "mutations": 4, "crossovers": 4}"#);
        check(r#"{"kind": "regularised", "population": 8, "sample": 3, "trials": 30}"#);
        check(r#"{"kind": "nsga2", "population": 8, "generations": 3}"#);
        check(r#"{"kind": "rounds", "rounds": 2, "candidates": 6, "images": 8, "again": 2}"#);
        check(r#"{"kind": "exhaustive"}"#);
    }

    #[test]
    fn every_strategy_tries_a_small_space_once_and_stops() {
        for strategy in ["random", "evolution", "regularised", "nsga2", "exhaustive"] {
            let config: StrategyConfig = serde_json::from_str(&format!(r#"{{"kind": "{strategy}"}}"#)).unwrap();
            assert_eq!(run(&config, &genes(2, 4), 1, sum).len(), 16, "{strategy}");
        }
    }

    #[test]
    fn the_first_is_asked_for_first_and_once() {
        let (genes, config) = (genes(2, 3), StrategyConfig::default());
        let first = Arch::new(&genes, &[2, 1]).unwrap();
        let mut study = Study::new(&config, &genes, 0).unwrap().beginning_with(Some(first.clone()));
        assert_eq!(study.ask(|arch| Some(format!("{arch:?}"))), [Query::full(first.clone())]);
        study.tell(Trial { query: Query::full(first.clone()), figures: vec![0.0] }).unwrap();
        let rest = study.ask(|arch| Some(format!("{arch:?}")));
        assert_eq!(rest.len(), 8);
        assert!(rest.iter().all(|query| query.arch != first));
    }

    #[test]
    fn figures_that_have_no_order_are_refused() {
        let genes = genes(2, 3);
        let mut study = Study::new(&StrategyConfig::default(), &genes, 0).unwrap();
        let mut tell = |figures: &[f64]| {
            let query = Query::full(Arch::new(&genes, &[0, 0]).unwrap());
            study.tell(Trial { query, figures: figures.to_vec() }).map_err(|error| error.to_string())
        };
        assert_eq!(tell(&[]).unwrap_err(), "figures: found 0, wanted 1, one per objective");
        assert_eq!(
            tell(&[1.0, f64::NAN]).unwrap_err(),
            "figures: found [1.0, NaN], wanted numbers: NaN has no place in an order"
        );
        tell(&[1.0, f64::INFINITY]).unwrap();
        assert_eq!(tell(&[1.0]).unwrap_err(), "figures: found 1, wanted 2, one per objective");
    }
}
