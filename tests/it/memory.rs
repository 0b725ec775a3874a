//! What the estimate of memory is worth: the architecture that takes most is found, and counts are those of the plans.

use supernaut::arch::Region;
use supernaut::graph::{Activations, Graph};
use supernaut::space::{Nb201, Norm, Space};

use crate::common::{takes_no_more, task};

fn graph(cells: usize) -> Graph {
    Nb201 { channels: 16, cells, ..Default::default() }.graph(&task(32, 10), Norm::Shared).unwrap()
}

#[test]
fn no_architecture_takes_more_than_the_one_that_is_found() {
    let graph = graph(1);
    let most = Activations::most(&graph);
    for arch in Region::whole(graph.genes()).archs() {
        let found = Activations::of(&graph, &arch);
        assert!(takes_no_more(&found, &most), "{arch:?}: {found:?}, most {most:?}");
    }
}

#[test]
fn counts_of_nas_bench_201() {
    let image = 16 * 32 * 32; // numbers in an image of the first stage; each stage has half as many as the one before
    let [one, five] = [1, 5].map(|cells| Activations::most(&graph(cells)));
    // A cell of convolutions: 3 ReLUs, 6 convolutions, 6 norms and 2 sums.
    let cells = |values: u64| 4 * values * (image + image / 2 + image / 4);
    assert_eq!(five.all - one.all, cells(17));
    assert_eq!(five.kept - one.kept, cells(9), "ReLUs for themselves and for the convolutions, convolutions for the norms");
    assert_eq!((one.peak, one.greatest, one.unfolded), (five.peak, image, five.unfolded));
    assert_eq!(one.peak, 8 * image, "node 1 is the cell's input, so four convolutions read it; and their norms");
    assert_eq!(one.unfolded, 9 * image);
}
