//! What spaces have in common that are a chain of layers in stages: stages as a recipe has them, genes, notation.
//!
//! An architecture is written layer by layer, stages separated by `|`: `k3e6 k5e3 skip skip | k7e6 k3e3`. A layer that is
//! skipped computes nothing, so it doesn't matter which of a stage's layers are: of the strings that compute the same, the one
//! with the skips last in each stage is reported.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::unreadable;
use crate::arch::{Arch, Gene};
use crate::error::within;
use crate::{Error, Result};

/// The option of a layer that computes nothing.
pub const SKIP: &str = "skip";

/// Layers of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Channels that each layer gives.
    pub channels: i64,
    /// How many layers.
    pub layers: usize,
    /// Stride of the first layer; that of the others is 1.
    pub stride: i64,
}

impl Stage {
    /// Of so many channels and layers, the first layer with this stride.
    pub const fn new(channels: i64, layers: usize, stride: i64) -> Self {
        Self { channels, layers, stride }
    }
}

/// An error unless the stages can be built.
pub fn check(stages: &[Stage]) -> Result<()> {
    if stages.is_empty() {
        return Err(Error::invalid("space.stages", "none", "at least one"));
    }
    for (at, stage) in stages.iter().enumerate() {
        let field = |name: &str| format!("space.stages[{at}].{name}");
        within(&field("channels"), stage.channels, 1, 8192)?;
        within(&field("layers"), stage.layers as i64, 1, 64)?;
        within(&field("stride"), stage.stride, 1, 2)?;
    }
    Ok(())
}

/// One gene per layer: `options` says which there are, for the first layer of a stage and for the others.
pub fn genes(stages: &[Stage], options: impl Fn(bool) -> Vec<String>) -> Vec<Gene> {
    let of_stage = |(at, stage): (usize, &Stage)| {
        let gene = |layer| Gene { name: format!("stage{}.layer{}", at + 1, layer + 1), options: options(layer == 0) };
        (0..stage.layers).map(gene).collect::<Vec<_>>()
    };
    stages.iter().enumerate().flat_map(of_stage).collect()
}

/// Channels and stride of each layer.
pub fn shapes(stages: &[Stage]) -> impl Iterator<Item = (i64, i64)> {
    let of_stage = |stage: &Stage| {
        let Stage { channels, layers, stride } = *stage;
        (0..layers).map(move |layer| (channels, if layer == 0 { stride } else { 1 }))
    };
    stages.iter().flat_map(of_stage)
}

/// The genes of each stage.
fn of_stages(stages: &[Stage]) -> impl Iterator<Item = std::ops::Range<usize>> {
    stages.iter().scan(0, |first, stage| {
        let range = *first..*first + stage.layers;
        *first = range.end;
        Some(range)
    })
}

/// Writes an architecture.
pub fn text(stages: &[Stage], genes: &[Gene], arch: &Arch) -> String {
    let word = |gene: usize| genes[gene].options[arch.option(gene)].as_str();
    of_stages(stages).map(|range| range.map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(" | ")
}

/// The words of all layers of stages with so many layers each; `whole` is the architecture that `text` is part of.
pub fn words<'a>(whole: &str, text: &'a str, stages: &[usize]) -> Result<Vec<&'a str>> {
    let parts: Vec<Vec<&str>> = text.split('|').map(|part| part.split_whitespace().collect()).collect();
    if parts.len() != stages.len() {
        let lengths: Vec<String> = stages.iter().map(usize::to_string).collect();
        let wanted = format!("{} stages of {} layers, separated by `|`", stages.len(), lengths.join(", "));
        return Err(unreadable(whole, format!("{wanted}, not {}", parts.len())));
    }
    if let Some(at) = (0..parts.len()).find(|&at| parts[at].len() != stages[at]) {
        return Err(unreadable(whole, format!("{} layers in stage {}, not {}", stages[at], at + 1, parts[at].len())));
    }
    Ok(parts.concat())
}

/// Reads an architecture.
pub fn parse(stages: &[Stage], genes: &[Gene], text: &str) -> Result<Arch> {
    let lengths: Vec<usize> = stages.iter().map(|stage| stage.layers).collect();
    let option = |(word, gene): (&str, &Gene)| {
        let wanted = || format!("one of {} for {}, not `{word}`", gene.options.join(", "), gene.name);
        gene.options.iter().position(|option| option == word).ok_or_else(|| unreadable(text, wanted()))
    };
    let options = words(text, text, &lengths)?.into_iter().zip(genes).map(option).collect::<Result<Vec<_>>>()?;
    Arch::new(genes, &options)
}

/// The same architecture with what is skipped last in each stage.
pub fn skips_last(stages: &[Stage], genes: &[Gene], arch: &Arch) -> Arch {
    let skips = |gene: usize| genes[gene].options[arch.option(gene)] == SKIP;
    let order: Vec<usize> = of_stages(stages)
        .flat_map(|range| range.clone().filter(|&gene| !skips(gene)).chain(range.filter(|&gene| skips(gene))).collect::<Vec<_>>())
        .collect();
    let options: Vec<usize> = order.into_iter().map(|gene| arch.option(gene)).collect();
    Arch::new(genes, &options).expect("the first layer of a stage isn't skipped, and the others have the same options")
}

/// A chain of what is between the layers; those that are skipped are left out.
pub fn drawing(genes: &[Gene], arch: &Arch) -> serde_json::Value {
    let word = |gene: usize| genes[gene].options[arch.option(gene)].as_str();
    let layers: Vec<usize> = (0..genes.len()).filter(|&gene| word(gene) != SKIP).collect();
    let short = |gene: &usize| genes[*gene].name.replace("stage", "").replace("layer", "");
    let nodes: Vec<String> = std::iter::once("stem".to_owned()).chain(layers.iter().map(short)).collect();
    let edge = |(at, &gene): (usize, &usize)| json!({ "from": at, "to": at + 1, "op": word(gene) });
    json!({ "nodes": nodes, "edges": layers.iter().enumerate().map(edge).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 2] = [Stage::new(8, 3, 2), Stage::new(16, 2, 1)];

    fn genes() -> Vec<Gene> {
        let options = |is_first| if is_first { vec!["a", "b"] } else { vec!["a", "b", SKIP] };
        super::genes(&STAGES, |is_first| options(is_first).into_iter().map(String::from).collect())
    }

    #[test]
    fn notation_round_trips_whatever_the_blanks() {
        let genes = genes();
        let arch = parse(&STAGES, &genes, " b skip  a|a b ").unwrap();
        assert_eq!(arch.options(), [1, 2, 0, 0, 1]);
        assert_eq!(text(&STAGES, &genes, &arch), "b skip a | a b");
        assert_eq!(text(&STAGES, &genes, &skips_last(&STAGES, &genes, &arch)), "b a skip | a b");
        assert_eq!(drawing(&genes, &arch)["nodes"], json!(["stem", "1.1", "1.3", "2.1", "2.2"]));
        assert_eq!(drawing(&genes, &arch)["edges"][1], json!({ "from": 1, "to": 2, "op": "a" }));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, hint) in [
            ("", "2 stages of 3, 2 layers, separated by `|`, not 1"),
            ("a a a | a", "2 layers in stage 2, not 1"),
            ("skip a a | a a", "one of a, b for stage1.layer1, not `skip`"),
            ("a a a | a c", "one of a, b, skip for stage2.layer2, not `c`"),
        ] {
            let message = parse(&STAGES, &genes(), text).unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
