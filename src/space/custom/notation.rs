//! How an architecture of a described space is written.
//!
//! The cell as in NAS-Bench-201: `|op~0|+|op~0|op~1|`, nodes separated by `+`, each with its operations and the nodes they read.
//! Layers as in the MobileNet space: `k3e6 k5e3 | k7e6`, stages separated by `|`. Where a space has both, ` ; ` stands between.
//! Places without a choice are left out of the layers, and stages without any.

use super::layout::{Edge, Layout, Place};
use crate::arch::Arch;
use crate::space::{layers, unreadable};
use crate::{Error, Result};

impl Layout {
    /// Writes an architecture.
    pub fn text(&self, arch: &Arch) -> String {
        let stages: Vec<String> = self.stages_to_choose().map(|layers| words(&layers, arch).join(" ")).collect();
        let parts = [self.cell_text(arch), stages.join(" | ")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ; ")
    }

    fn cell_text(&self, arch: &Arch) -> String {
        let node = |edges: &[Edge]| {
            let words: String = edges.iter().map(|edge| format!("{}~{}|", edge.place.chosen(arch), edge.from)).collect();
            format!("|{words}")
        };
        self.edges.chunk_by(|a, b| a.to == b.to).map(node).collect::<Vec<_>>().join("+")
    }

    /// The layers with a choice, stage by stage.
    fn stages_to_choose(&self) -> impl Iterator<Item = Vec<&Place>> {
        let stages = self.stages.iter().map(|stage| stage.layers().iter().filter(|layer| layer.gene.is_some()).collect());
        stages.filter(|layers: &Vec<&Place>| !layers.is_empty())
    }

    /// Reads an architecture.
    pub fn parse(&self, text: &str) -> Result<Arch> {
        let has_layers = self.stages_to_choose().next().is_some();
        let (cell, layers) = match (self.edges.is_empty(), has_layers) {
            (true, _) => ("", text),
            (false, false) => (text, ""),
            (false, true) => {
                let wanted = || unreadable(text, "the cell and the layers, separated by `;`");
                text.split_once(';').ok_or_else(wanted)?
            }
        };
        let mut options = vec![0; self.genes.len()];
        if !self.edges.is_empty() {
            self.read_cell(text, cell.trim(), &mut options)?;
        }
        if has_layers {
            self.read_layers(text, layers, &mut options)?;
        }
        Arch::new(&self.genes, &options)
    }

    fn read_cell(&self, text: &str, cell: &str, options: &mut [usize]) -> Result<()> {
        let form = self.cell_form();
        let wanted = || unreadable(text, format!("the form {form}"));
        let mut words = cell.split(['|', '+']).filter(|word| !word.is_empty());
        for Edge { to, from, place } in &self.edges {
            let (name, source) = words.next().and_then(|word| word.split_once('~')).ok_or_else(wanted)?;
            if source != from.to_string() {
                return Err(unreadable(text, format!("`~{from}` after `{name}` on the edge {to}<-{from}; the form {form}")));
            }
            place.read(text, name, &format!("the edge {to}<-{from}"), options)?;
        }
        let arch = Arch::new(&self.genes, options)?;
        if words.next().is_some() || self.cell_text(&arch) != cell { Err(wanted()) } else { Ok(()) }
    }

    /// The notation of the cell with `op` for every operation.
    fn cell_form(&self) -> String {
        let node = |edges: &[Edge]| {
            let words: String = edges.iter().map(|edge| format!("op~{}|", edge.from)).collect();
            format!("|{words}")
        };
        self.edges.chunk_by(|a, b| a.to == b.to).map(node).collect::<Vec<_>>().join("+")
    }

    fn read_layers(&self, text: &str, written: &str, options: &mut [usize]) -> Result<()> {
        let stages: Vec<Vec<&Place>> = self.stages_to_choose().collect();
        let lengths: Vec<usize> = stages.iter().map(Vec::len).collect();
        for (word, layer) in layers::words(text, written, &lengths)?.into_iter().zip(stages.concat()) {
            let gene = layer.gene.expect("only layers with a choice are written");
            layer.read(text, word, &self.genes[gene].name, options)?;
        }
        Ok(())
    }
}

fn words<'a>(layers: &[&'a Place], arch: &Arch) -> Vec<&'a str> {
    layers.iter().map(|layer| layer.chosen(arch)).collect()
}

impl Place {
    /// The name of the operation that `arch` has here.
    pub fn chosen(&self, arch: &Arch) -> &str {
        &self.candidates[self.gene.map_or(0, |gene| arch.option(gene))]
    }

    /// Notes the option called `name`.
    fn read(&self, text: &str, name: &str, place: &str, options: &mut [usize]) -> Result<()> {
        let unknown =
            || -> Error { unreadable(text, format!("one of {} for {place}, not `{name}`", self.candidates.join(", "))) };
        let option = self.candidates.iter().position(|candidate| candidate == name).ok_or_else(unknown)?;
        if let Some(gene) = self.gene {
            options[gene] = option;
        }
        Ok(())
    }
}
