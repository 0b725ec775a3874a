//! The drawing of a cell: nodes in columns, edges in lanes.

use super::text::escape;
use super::{Drawing, Edge};

/// Draws a cell from left to right with one column a node. An edge between neighbours is straight; any other runs in a
/// lane above or below, so that no two labels meet. Edges without an operation are left out.
pub(super) fn cell(drawing: &Drawing) -> Option<String> {
    let nodes = &drawing.nodes;
    let drawn = |edge: &&Edge| edge.from < edge.to && edge.to < nodes.len() && edge.op != "none";
    let wires = lanes(drawing.edges.iter().filter(drawn).collect());
    let deepest = |up: bool| wires.iter().filter(|wire| wire.up == up).map(|wire| wire.lane).max().unwrap_or(0) as f64;
    let (above, below) = (deepest(true), deepest(false));
    let name = nodes.iter().map(|name| name.chars().count()).max()? as f64;
    let op = wires.iter().map(|wire| wire.edge.op.chars().count()).max().unwrap_or(0) as f64;
    let width = (name * 7.6 + 20.0).max(12.0 * above.max(below) + 18.0);
    let grid = Grid { width, pitch: width + op * 7.3 + 30.0, base: above * LANE + 28.0 };
    let (right, bottom) = (grid.column(nodes.len() - 1) + width / 2.0 + 1.0, grid.base + below * LANE + 28.0);
    let lines: String = wires.iter().map(|wire| grid.wire(wire, &wires)).collect();
    let idle = |at: usize| wires.iter().all(|wire| wire.edge.from != at && wire.edge.to != at);
    let boxes: String = nodes.iter().enumerate().map(|(at, name)| grid.node(at, name, idle(at))).collect();
    let size = format!(r#"width="{right:.0}" height="{bottom:.0}" viewBox="0 0 {right:.0} {bottom:.0}""#);
    // A wide cell gets a row of its own, and is scrolled rather than drawn too small to read.
    let (basis, least) = (right * 0.8, right * 0.7);
    let svg = format!(r#"<svg role="img" {size} style="min-width:{least:.0}px">{lines}{boxes}</svg>"#);
    Some(format!(r#"<div class="cell" style="flex-basis:{basis:.0}px">{svg}</div>"#))
}

/// How far two lanes of a cell lie apart.
pub(super) const LANE: f64 = 30.0;

pub(super) struct Wire<'a> {
    edge: &'a Edge,
    up: bool,
    /// 0 is the straight line between neighbours.
    lane: usize,
}

/// Short edges first, each in the lane outside those it overlaps, on the side where it crosses fewer.
pub(super) fn lanes(mut edges: Vec<&Edge>) -> Vec<Wire<'_>> {
    edges.sort_by_key(|edge| edge.to - edge.from);
    let mut wires: Vec<Wire> = Vec::new();
    for edge in edges {
        let side = |up: bool| {
            let overlaps = |wire: &&Wire| wire.edge.from < edge.to && edge.from < wire.edge.to;
            let near = wires.iter().filter(|wire| wire.up == up && wire.lane > 0).filter(overlaps);
            let crossed = near.clone().filter(|wire| wire.edge.from < edge.from || edge.to < wire.edge.to).count();
            (crossed, near.map(|wire| wire.lane).max().unwrap_or(0) + 1, !up)
        };
        let (_, lane, down) = side(true).min(side(false));
        let straight = edge.to == edge.from + 1 && wires.iter().all(|wire| wire.lane > 0 || wire.edge.from != edge.from);
        wires.push(if straight { Wire { edge, up: true, lane: 0 } } else { Wire { edge, up: !down, lane } });
    }
    wires
}

pub(super) struct Grid {
    /// Of a node.
    width: f64,
    /// From one node's middle to the next one's.
    pitch: f64,
    /// The height at which the nodes stand.
    base: f64,
}

impl Grid {
    fn column(&self, at: usize) -> f64 {
        self.width / 2.0 + 1.0 + at as f64 * self.pitch
    }

    fn node(&self, at: usize, name: &str, idle: bool) -> String {
        let (middle, width, name) = (self.column(at), self.width, escape(name));
        let (left, top, foot) = (middle - width / 2.0, self.base - 14.0, self.base + 4.5);
        let class = if idle { "node idle" } else { "node" };
        let shape = format!(r#"<rect x="{left:.1}" y="{top}" width="{width:.1}" height="28" rx="5"/>"#);
        format!(r#"<g class="{class}">{shape}<text class="mid" x="{middle:.1}" y="{foot}">{name}</text></g>"#)
    }

    fn wire(&self, wire: &Wire, all: &[Wire]) -> String {
        let (line, tip, y) = if wire.lane == 0 { self.straight(wire) } else { self.detour(wire) };
        let (x, y, op) = (self.label(wire, all), y - 6.0, escape(&wire.edge.op));
        let class = if op == "skip_connect" { "wire skip" } else { "wire" };
        let text = format!(r#"<text class="mid" x="{x:.1}" y="{y}">{op}</text>"#);
        format!(r#"<g class="{class}"><path d="{line}"/><path class="tip" d="{tip}"/>{text}</g>"#)
    }

    fn straight(&self, wire: &Wire) -> (String, String, f64) {
        let (start, y) = (self.column(wire.edge.from) + self.width / 2.0, self.base);
        let end = self.column(wire.edge.to) - self.width / 2.0;
        (format!("M{start:.1} {y}H{:.1}", end - 7.0), format!("M{end:.1} {y}l-8 -4v8z"), y)
    }

    /// Leaves and enters at the side of the node it heads for; outer lanes stand nearer to its middle, so that lanes nest.
    fn detour(&self, wire: &Wire) -> (String, String, f64) {
        let out = if wire.up { -1.0 } else { 1.0 };
        let port = self.width / 2.0 - 3.0 - 6.0 * wire.lane as f64;
        let (start, end) = (self.column(wire.edge.from) + port, self.column(wire.edge.to) - port);
        let (side, lane) = (self.base + 14.0 * out, self.base + (12.0 + LANE * wire.lane as f64) * out);
        let (first, last, turn, stop) = (start + 10.0, end - 10.0, lane - 10.0 * out, side + 7.0 * out);
        let there = format!("M{start:.1} {side}V{turn}Q{start:.1} {lane} {first:.1} {lane}");
        let back = format!("H{last:.1}Q{end:.1} {lane} {end:.1} {turn}V{stop}");
        (there + &back, format!("M{end:.1} {side}l-4 {}h8z", 8.0 * out), lane)
    }

    /// The middle of the edge, or beside it where an outer lane comes down through the middle.
    fn label(&self, wire: &Wire, all: &[Wire]) -> f64 {
        let ends = wire.edge.from + wire.edge.to;
        let through = |other: &Wire| other.up == wire.up && other.lane > wire.lane;
        let meets = |other: &Wire| 2 * other.edge.from == ends || 2 * other.edge.to == ends;
        let beside = all.iter().any(|other| through(other) && meets(other));
        let middle = (self.column(wire.edge.from) + self.column(wire.edge.to)) / 2.0;
        if beside { middle - self.pitch / 2.0 } else { middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn edges_that_overlap_on_one_side_of_a_cell_lie_in_different_lanes() {
        let edge = |from, to| Edge { from, to, op: "conv".into() };
        let edges: Vec<_> = (0..7).flat_map(|to| (0..to).map(move |from| edge(from, to))).chain([edge(0, 1)]).collect();
        let wires = lanes(edges.iter().collect());
        assert_eq!(wires.len(), edges.len());
        for (at, a) in wires.iter().enumerate() {
            for b in &wires[at + 1..] {
                let overlap = a.edge.from < b.edge.to && b.edge.from < a.edge.to;
                assert!(!overlap || (a.up, a.lane) != (b.up, b.lane) || a.lane == 0 && a.edge.from != b.edge.from);
            }
        }
    }

    #[test]
    fn a_cell_leaves_out_edges_without_an_operation_or_a_node() {
        let edge = |from, to, op: &str| json!({"from": from, "to": to, "op": op});
        let edges = [edge(0, 1, "none"), edge(0, 9, "conv"), edge(0, 1, "skip_connect")];
        let drawing = serde_json::from_value(json!({"nodes": ["input", "output"], "edges": edges})).expect("a drawing");
        let svg = cell(&drawing).expect("a picture");
        assert_eq!((svg.matches(r#"class="wire"#).count(), svg.matches(r#"class="wire skip""#).count()), (1, 1));
    }
}
