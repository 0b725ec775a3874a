//! Small networks and made-up images that the tests share.

use rand::Rng;
use supernaut::arch::{Arch, stream::stream};
use supernaut::data::{Dataset, Images};
use supernaut::graph::{Activations, Device};
use supernaut::run::images::DeviceImages;
use supernaut::run::model::Model;
use supernaut::space::{MbConv, MobileNet, Nb201, ShuffleNet, SpaceConfig, Stage, Task};

/// A task on square colour images.
pub fn task(side: i64, classes: usize) -> Task {
    let classes = (0..classes).map(|class| class.to_string()).collect();
    Task { image: [3, side, side], classes, mean: vec![0.49, 0.48, 0.45], deviation: vec![0.25, 0.24, 0.26] }
}

/// A small NAS-Bench-201 space.
pub fn small_space() -> SpaceConfig {
    SpaceConfig::Nb201(Nb201 { channels: 4, cells: 1, ..Default::default() })
}

/// A small supernet.
pub fn small_supernet(seed: u64) -> Model {
    Model::supernet(small_space(), task(8, 10), seed, Device::Cpu).unwrap()
}

/// A supernet of so many channels, with which our own kernels can work.
pub fn supernet(seed: u64, channels: i64) -> Model {
    supernet_of(seed, channels, 8)
}

/// The same for images of `side`×`side` pixels.
pub fn supernet_of(seed: u64, channels: i64, side: i64) -> Model {
    let space = SpaceConfig::Nb201(Nb201 { channels, cells: 1, ..Default::default() });
    Model::supernet(space, task(side, side.max(10) as usize), seed, Device::Cpu).unwrap()
}

/// A small MobileNet space, whose channels our own kernels can work with.
pub fn small_mobilenet() -> MobileNet {
    MobileNet {
        stem_channels: 8,
        stem_stride: 1,
        first_channels: 8,
        stages: vec![Stage::new(8, 2, 1), Stage::new(16, 3, 2)],
        candidates: vec![MbConv { kernel: 3, expand: 3 }, MbConv { kernel: 5, expand: 2 }],
        last_channels: 32,
        ..Default::default()
    }
}

/// A small ShuffleNet space, likewise.
pub fn small_shufflenet() -> ShuffleNet {
    let stages = vec![Stage::new(16, 2, 1), Stage::new(32, 2, 2)];
    ShuffleNet { stem_channels: 8, stem_stride: 1, stages, last_channels: 32 }
}

/// Whether each count of memory is at most that of `most`.
pub fn takes_no_more(found: &Activations, most: &Activations) -> bool {
    let counts = |of: &Activations| [of.all, of.kept, of.peak, of.greatest, of.unfolded];
    counts(found).iter().zip(counts(most)).all(|(found, most)| *found <= most)
}

/// `count` architectures drawn uniformly.
pub fn archs(model: &Model, count: u64) -> Vec<Arch> {
    (0..count).map(|step| model.region.draw(&mut stream(99, "sample", step))).collect()
}

/// Images whose class can be seen: class `k` is bright in column `k`, over noise.
pub fn pictures(count: usize, side: usize, classes: usize, seed: u64) -> Images {
    let mut rng = stream(seed, "pictures", 0);
    let (mut pixels, mut labels) = (vec![], vec![]);
    for index in 0..count {
        let label = index % classes;
        for at in 0..3 * side * side {
            let noise = (rng.next_u32() % 120) as u8;
            pixels.push(if at % side == label % side { noise + 130 } else { noise });
        }
        labels.push(label as u16);
    }
    Images::new("pictures", pixels, labels, [3, side, side], classes).unwrap()
}

/// The same on the CPU device.
pub fn device_pictures(count: usize, side: usize, seed: u64) -> DeviceImages {
    DeviceImages::new(&pictures(count, side, side, seed), Device::Cpu)
}

/// A data set of such images.
pub fn dataset(train: usize, test: usize, side: usize) -> Dataset {
    let classes = (0..side).map(|class| format!("class {class}")).collect();
    Dataset::new(pictures(train, side, side, 1), pictures(test, side, side, 2), classes)
}
