//! A search whose loop and metric are the caller's: asked for architectures of a space, told their figures.
//!
//! The caller may ask for several before it tells of the first, and tell in any order: what is asked for next depends on
//! the order of the questions alone, so the same answers give the same search.
//!
//! Architectures are handed out without dead operations, as they would be trained and exported, and are counted like that.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::limits::meeting;
use super::recipe::{Limits, SearchConfig};
use crate::arch::{Arch, Region};
use crate::graph::{Graph, Plan};
use crate::search::{Query, StrategyConfig, Study, Trial, fronts};
use crate::space::SpaceConfig;
use crate::{Error, Result};

/// What a dialogue is about: two keys of a recipe's `[search]` table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topic {
    /// What is tried next.
    pub strategy: StrategyConfig,
    /// What is allowed: limits on params and MACs, which can be counted.
    pub limits: Limits,
}

impl Topic {
    fn check(&self) -> Result<()> {
        if self.limits.latency_ms.is_some() {
            let wanted = "limits on params or macs; report what is too slow as worse than all others";
            return Err(Error::invalid("search.limits.latency_ms", "a limit on what the caller would have to measure", wanted));
        }
        SearchConfig { strategy: self.strategy.clone(), limits: self.limits, ..Default::default() }.check()
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This is to be judged.
    Judge(Query),
    /// All questions are asked, but not all are answered.
    Wait,
    /// Nothing is left to ask.
    End,
}

/// A question and what became of it.
struct Asked {
    /// As the strategy has it, dead operations included: what children inherit.
    query: Query,
    /// As the caller has it.
    shown: Query,
    handed_out: bool,
    figures: Option<Vec<f64>>,
}

/// See the [module](self).
pub struct Dialogue {
    space: SpaceConfig,
    /// With norms as a network that stands alone has them: what is counted.
    graph: Graph,
    limits: Limits,
    study: Study,
    /// What was told in rounds that are over.
    told: Vec<Trial>,
    /// The questions of this round, in order.
    round: Vec<Asked>,
    /// Names of everything that was drawn, since draws repeat.
    names: HashMap<Arch, Option<String>>,
}

impl Dialogue {
    /// Begins with nothing asked. `graph` is that of `space` with own norms. All chance comes from streams of `seed`.
    ///
    /// # Errors
    /// For settings that make no sense, and limits that no architecture meets.
    pub fn new(space: SpaceConfig, graph: Graph, topic: &Topic, seed: u64) -> Result<Self> {
        topic.check()?;
        let first = meeting(&space, &graph, &topic.limits)?;
        let study = Study::new(&topic.strategy, graph.genes(), seed)?.beginning_with(first);
        let mut dialogue = Self { space, graph, limits: topic.limits, study, told: vec![], round: vec![], names: HashMap::new() };
        if dialogue.peek() == Next::End {
            let wanted = "a strategy and limits that leave some: no architecture within was drawn";
            return Err(Error::invalid("search", "nothing to ask for", wanted));
        }
        Ok(dialogue)
    }

    /// The next question, and it is taken: it will be answered.
    pub fn ask(&mut self) -> Next {
        let next = self.peek();
        if let Some(asked) = self.round.iter_mut().find(|asked| !asked.handed_out) {
            asked.handed_out = true;
        }
        next
    }

    /// The next question, which stays the next.
    pub fn peek(&mut self) -> Next {
        if self.round.is_empty() {
            self.refill();
        }
        match self.round.iter().find(|asked| !asked.handed_out) {
            Some(asked) => Next::Judge(asked.shown.clone()),
            None if self.round.is_empty() => Next::End,
            None => Next::Wait,
        }
    }

    fn refill(&mut self) {
        let Self { space, graph, limits, names, .. } = self;
        let (limits, whole) = (limits.set(), Region::whole(graph.genes()));
        let canonical = |arch: &Arch| space.canonical(graph, &whole, arch);
        let allowed = |arch: &Arch| {
            let cost = graph.cost(&canonical(arch));
            limits.iter().all(|(metric, limit)| metric.of(cost).is_none_or(|value| limit.allows(value)))
        };
        let look_at = |arch: &Arch| (graph.reads_image(arch) && allowed(arch)).then(|| Plan::live(graph, arch).key());
        let queries = self.study.ask(|arch| names.entry(arch.clone()).or_insert_with(|| look_at(arch)).clone());
        let asked = |query: Query| {
            let shown = Query { arch: canonical(&query.arch), ..query };
            Asked { query, shown, handed_out: false, figures: None }
        };
        self.round = queries.into_iter().map(asked).collect();
    }

    /// Answers the oldest open question about `arch`: one figure per objective, the smaller the better. Infinity is for what
    /// can't be judged.
    ///
    /// # Errors
    /// If there is no such question, a figure is NaN, or there are more or fewer figures than before.
    pub fn tell(&mut self, arch: &Arch, figures: Vec<f64>) -> Result<()> {
        let open = |asked: &&mut Asked| asked.handed_out && asked.figures.is_none() && asked.shown.arch == *arch;
        let asked = self
            .round
            .iter_mut()
            .find(open)
            .ok_or_else(|| Error::invalid("arch", self.space.text(arch), "one that was asked for and is not answered yet"))?;
        self.study.check(&figures)?;
        asked.figures = Some(figures);
        if self.round.iter().all(|asked| asked.figures.is_some()) {
            for Asked { query, shown, figures, .. } in self.round.drain(..) {
                let figures = figures.expect("all are told");
                self.told.push(Trial { query: shown, figures: figures.clone() });
                self.study.tell(Trial { query, figures })?;
            }
        }
        Ok(())
    }

    /// The space.
    pub fn space(&self) -> &SpaceConfig {
        &self.space
    }

    /// Everything told in rounds that are over, in the order of the questions.
    pub fn trials(&self) -> &[Trial] {
        &self.told
    }

    /// Positions in [`trials`](Self::trials) of what was judged on all images and is beaten by none in every figure.
    pub fn front(&self) -> Vec<usize> {
        let trials = self.trials();
        let full: Vec<usize> = (0..trials.len()).filter(|&at| trials[at].query.images.is_none()).collect();
        let points: Vec<&[f64]> = full.iter().map(|&at| &*trials[at].figures).collect();
        fronts(&points).first().map_or(vec![], |front| front.iter().map(|&at| full[at]).collect())
    }

    /// `{"trials": [{"arch", "images", "figures", "front"}]}`.
    pub fn result(&self) -> Value {
        let front = self.front();
        let one = |(at, Trial { query, figures }): (usize, &Trial)| {
            let arch = self.space.text(&query.arch);
            json!({ "arch": arch, "images": query.images, "figures": figures, "front": front.contains(&at) })
        };
        json!({ "trials": self.trials().iter().enumerate().map(one).collect::<Vec<_>>() })
    }
}
