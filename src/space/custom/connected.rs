//! Whether the edges of a cell lead from its input, node 0, through every node to its output, the last one.

use std::collections::HashSet;

use super::source::{Fault, Spot};

/// An edge: the node it leads to, and the one it comes from.
type Edge = (usize, usize);

/// An error if the edges make a cycle, lead backwards, or leave a node out of the way from the input to the output. `edges` are
/// in ascending order.
pub(super) fn connected(nodes: usize, edges: &[Edge]) -> Result<(), Fault> {
    if let Some(&(to, from)) = edges.iter().find(|(to, from)| from >= to) {
        let found = match way(edges, from, to) {
            Some(way) => {
                let names: Vec<String> = way.iter().chain([&from]).map(usize::to_string).collect();
                format!("a cycle {}", names.join("<-"))
            }
            None => format!("node {from} read by node {to}"),
        };
        let spot = Spot::new(format!("cell.edges.{to}<-{from}"), format!("edge \"{to}<-{from}\""));
        return Err(spot.fault(found, "edges from a lower number to a higher one"));
    }
    let output = nodes - 1;
    let reached = walk(nodes, 0, edges.iter().map(|&(to, from)| (from, to)));
    let read = walk(nodes, output, edges.iter().rev().copied());
    let fault = |node: usize, found: &str, wanted: String| {
        Err(Spot::new("cell.edges", format!("cell: node {node}")).fault(found, wanted))
    };
    if !reached[output] {
        return fault(output, "an output that nothing reaches", format!("a way from node 0 to node {output}"));
    }
    match (0..nodes).find(|&node| !reached[node] || !read[node]) {
        Some(lost) if !reached[lost] => {
            fault(lost, "no way to it from node 0", format!("an edge \"{lost}<-…\" from a node that is reached"))
        }
        Some(idle) => fault(idle, "no way from it to the output", format!("an edge \"…<-{idle}\", or no such node")),
        None => Ok(()),
    }
}

/// The nodes on a way against the edges' direction, from `start` to `end`; a node by itself is a way.
fn way(edges: &[Edge], start: usize, end: usize) -> Option<Vec<usize>> {
    let mut ways = vec![vec![start]];
    let mut seen = HashSet::from([start]);
    while let Some(way) = ways.pop() {
        let last = *way.last().expect("a way has a start");
        if last == end {
            return Some(way);
        }
        for &(_, from) in edges.iter().filter(|(to, _)| *to == last) {
            if seen.insert(from) {
                ways.push([way.as_slice(), &[from]].concat());
            }
        }
    }
    None
}

/// Which nodes a walk from `start` comes to, by steps that are in an order in which one pass is enough.
fn walk(nodes: usize, start: usize, steps: impl Iterator<Item = (usize, usize)>) -> Vec<bool> {
    let mut seen = vec![false; nodes];
    seen[start] = true;
    steps.for_each(|(from, to)| seen[to] |= seen[from]);
    seen
}
