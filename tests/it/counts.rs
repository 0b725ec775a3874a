//! Params, MACs and notation of NAS-Bench-201, to the last digit.

use std::collections::BTreeSet;
use std::path::Path;

use supernaut::arch::{Arch, Region};
use supernaut::graph::{Device, Graph, Op, Plan, PlanStep};
use supernaut::rank::Truth;
use supernaut::run::model::{ComplexityRange, Model};
use supernaut::space::{Nb201, Norm, Space};

use crate::common::task;

fn space() -> Nb201 {
    Nb201::default()
}

fn graph() -> Graph {
    space().graph(&task(32, 10), Norm::Own).unwrap()
}

fn arch(options: [usize; 6]) -> Arch {
    Arch::new(graph().genes(), &options).unwrap()
}

#[test]
fn figures_of_the_benchmark() {
    let table = [
        ([0; 6], 73_306, 7_783_050),
        ([2; 6], 241_306, 31_376_010),
        ([3; 6], 1_531_546, 220_119_690),
        ([3, 3, 3, 1, 2, 3], 1_073_466, 153_272_970),
        ([3, 3, 3, 1, 3, 3], 1_288_506, 184_730_250),
    ];
    for (options, params, macs) in table {
        let cost = graph().cost(&arch(options));
        assert_eq!((cost.params, cost.macs), (params, macs), "{options:?}");
    }
}

#[test]
fn architectures_are_counted_up_in_the_order_of_the_benchmark() {
    let graph = graph();
    let archs: Vec<Arch> = Region::whole(graph.genes()).archs().collect();
    for (index, options) in [(11_663, [3, 3, 3, 1, 2, 3]), (11_668, [3, 3, 3, 1, 3, 3]), (7_918, [2, 2, 3, 1, 3, 3])] {
        assert_eq!(
            (archs[index].options(), archs.iter().position(|other| *other == arch(options))),
            (options.to_vec(), Some(index))
        );
    }
}

#[test]
fn a_network_reads_the_image_where_a_call_of_its_plan_does() {
    let graph = graph();
    let mut dead = 0;
    for arch in Region::whole(graph.genes()).archs() {
        let plan = Plan::live(&graph, &arch);
        let reads = |step: &PlanStep| step.inputs.contains(&0) && !matches!(step.op(), Some(Op::Zero(_)));
        assert_eq!(graph.reads_image(&arch), plan.steps().iter().any(reads), "{}", space().text(&arch));
        dead += usize::from(!graph.reads_image(&arch));
    }
    assert!(dead > 0);
}

#[test]
fn closed_form_of_the_counts() {
    for (index, options) in [[3, 0, 2, 1, 4, 2], [1, 2, 3, 2, 3, 0], [4, 3, 3, 2, 0, 1]].into_iter().enumerate() {
        let count = |operation| options.iter().filter(|&&option| option == operation).count() as u64;
        let (n1, n3) = (count(2), count(3));
        let params = 73_306 + [16u64, 32, 64].map(|c| 5 * (n1 * (c * c + 2 * c) + n3 * (9 * c * c + 2 * c))).iter().sum::<u64>();
        let cost = graph().cost(&arch(options));
        assert_eq!((cost.params, cost.macs), (params, 7_783_050 + 3_932_160 * (n1 + 9 * n3)), "row {index}");
        assert_eq!(cost.complexity, 72_752 + 26_880 * n1 + 241_920 * n3, "row {index}");
    }
}

#[test]
fn complexity_spans_the_space() {
    let supernet =
        Model::supernet(supernaut::space::SpaceConfig::Nb201(Nb201 { cells: 5, ..space() }), task(32, 10), 0, Device::Cpu);
    let model = supernet.unwrap();
    let place = ComplexityRange::of(model.graph()).place(model.graph(), &arch([2, 0, 0, 0, 0, 0]));
    assert_eq!((place.least, place.of_path, place.greatest), (72_752, 99_632, 1_524_272));
    // The reference supernet has 1,692,474 numbers, 6,912 of which are biases that a norm cancels at once.
    assert_eq!(model.network.flat().numel(), 1_692_474 - 6_912);
}

#[test]
fn notation_round_trips_and_says_what_is_wrong() {
    let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|";
    let parsed = space().parse(text).unwrap();
    assert_eq!(parsed, arch([3, 3, 3, 1, 2, 3]));
    assert_eq!(space().text(&parsed), text);
    for (wrong, hint) in [
        ("", "the form"),
        ("|none~0|", "the form"),
        (&text.replace("nor_conv_1x1", "conv1"), "not `conv1`"),
        (&text.replace("1x1~1", "1x1~2"), "`~1` after"),
        (&format!("{text}+|none~0|"), "the form"),
    ] {
        let message = space().parse(wrong).unwrap_err().to_string();
        assert!(message.contains(hint), "{wrong}: {message}");
    }
}

#[test]
fn strings_that_compute_the_same_have_one_key() {
    let graph = graph();
    let key = |options| Plan::live(&graph, &arch(options)).key();
    // Node 1 is unread, so what leads to it is dead.
    assert_eq!(key([3, 3, 0, 1, 0, 3]), key([0, 3, 0, 1, 0, 3]));
    // Node 1 is a copy of node 0, so reading either is the same.
    assert_eq!(key([1, 3, 0, 0, 0, 2]), key([1, 0, 3, 0, 0, 2]));
    // Sums commute.
    assert_eq!(key([1, 0, 0, 3, 2, 0]), key([1, 0, 0, 2, 3, 0]));
    assert_ne!(key([3, 3, 3, 1, 2, 3]), key([3, 3, 3, 1, 3, 3]));
    let dead = arch([3, 3, 0, 1, 0, 3]);
    assert_eq!(space().canonical(&graph, &Region::whole(graph.genes()), &dead), arch([0, 3, 0, 1, 0, 3]));
    // What is really computed costs what the canonical string says.
    assert_eq!(
        Plan::live(&graph, &dead).cost(&graph),
        graph.cost(&space().canonical(&graph, &Region::whole(graph.genes()), &dead))
    );
}

/// A cell as an expression, worked out without any graph: the sorted terms of node 3, sums of sums opened.
fn expression(options: [usize; 6]) -> Vec<String> {
    let edges = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];
    let mut nodes = vec![vec!["x".to_owned()]];
    for to in 1..4 {
        let mut terms = vec![];
        for (&(_, from), option) in edges.iter().zip(options).filter(|(edge, _)| edge.0 == to) {
            match (option, nodes[from].as_slice()) {
                (0, _) | (_, []) => {}
                (1, source) => terms.extend(source.to_vec()),
                (_, source) => terms.push(format!("{option}({})", source.join("+"))),
            }
        }
        terms.sort();
        nodes.push(terms);
    }
    nodes.remove(3)
}

#[test]
fn keys_tell_graphs_apart_as_expressions_do() {
    let small = Nb201 { channels: 1, cells: 1, ..Default::default() }.graph(&task(8, 2), Norm::Shared).unwrap();
    let all = (0..15_625usize).map(|index| std::array::from_fn::<usize, 6, _>(|gene| index / 5usize.pow(5 - gene as u32) % 5));
    assert_eq!(all.clone().map(expression).collect::<BTreeSet<_>>().len(), 4_930);
    let sample: Vec<_> = all.step_by(8).collect();
    let keys: Vec<String> = sample.iter().map(|&options| Plan::live(&small, &arch(options)).key()).collect();
    let pairs: BTreeSet<_> = sample.iter().map(|&options| expression(options)).zip(&keys).collect();
    let distinct = [
        sample.iter().map(|&options| expression(options)).collect::<BTreeSet<_>>().len(),
        keys.iter().collect::<BTreeSet<_>>().len(),
    ];
    assert_eq!(distinct, [pairs.len(), pairs.len()], "equal keys and equal expressions go together");
}

#[test]
fn every_count_of_the_benchmark_when_its_table_is_there() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nb201/nb201-cifar10.csv.gz");
    if !table.exists() {
        println!("skipped: {} is not there", table.display());
        return;
    }
    let (truth, graph) = (Truth::read(&table).unwrap(), graph());
    for text in truth.archs() {
        let cost = graph.cost(&space().parse(text).unwrap());
        let wanted = [truth.get(text, "params").unwrap() as u64, truth.get(text, "macs").unwrap() as u64];
        assert_eq!([cost.params, cost.macs], wanted, "{text}");
    }
}
