//! How near is a step to what the machine can do? Its arithmetic per second beside that of libtorch's own convolution at a
//! size that suits it: 3×3, 64 to 64 channels, 32×32 pixels, batch 128, channels last. Both are counted as direct
//! convolutions; our own kernels need a quarter of these products for a 3×3 kernel, so that a step may exceed the peak.

use std::ops::Range;

use supernaut::graph::{Plan, channels_last};
use tch::{Device, Kind, Tensor};

use crate::Options;
use crate::common::Result;
use crate::common::numbers::timed;
use crate::common::work::{advance, synchronize};
use crate::contest::{Contender, take_turns};
use crate::report::{Better, Row, Section};
use crate::step::rounds;

/// Operations for a multiply-accumulate in forward and backward: two each for the output, and for the gradients of input and
/// weights.
const PER_MAC: f64 = 2.0 * 3.0;

pub fn section(options: &Options) -> Result<Section> {
    let (work, length) = (options.work(), options.length());
    let mut trainer = work.trainer()?;
    let graph = trainer.model().graph();
    let macs = |arch| Plan::live(graph, &arch).cost(graph).macs as f64;
    let operations: Vec<f64> = work
        .archs(trainer.model(), length.total() as u64)?
        .into_iter()
        .map(|arch| macs(arch) * PER_MAC * work.batch as f64)
        .collect();
    let convolution = Convolution::new(work.device()?);
    let contenders = vec![
        Contender::new("libtorch's 3×3 convolution", |range| Ok(convolution.round(range))),
        Contender::new("supernaut, whole step", |range| {
            let (ms, _) = advance(&mut trainer, range.len())?;
            Ok(operations[range].iter().sum::<f64>() / ms.iter().sum::<f64>() / 1e6)
        }),
    ];
    let figures = take_turns(contenders, length)?;
    let title = format!("Arithmetic of convolutions, forward and backward, fp32, {}", rounds(length));
    Ok(Section { title, rows: Row::all("GFLOP/s", Better::More, &figures, &[0]), ..Section::default() })
}

struct Convolution {
    images: Tensor,
    weight: Tensor,
}

impl Convolution {
    fn new(device: Device) -> Self {
        let random = |size: [i64; 4]| channels_last(&Tensor::rand(size, (Kind::Float, device))).set_requires_grad(true);
        Self { images: random([128, 64, 32, 32]), weight: random([64, 64, 3, 3]) }
    }

    /// GFLOP/s.
    fn round(&self, range: Range<usize>) -> f64 {
        let operations = (128u64 * 64 * 32 * 32 * 64 * 3 * 3) as f64 * PER_MAC * range.len() as f64;
        let (ms, ()) = timed(|| {
            for _ in range {
                let output = self.images.conv2d::<Tensor>(&self.weight, None, [1; 2], [1; 2], [1; 2], 1);
                Tensor::run_backward(&[output.sum(Kind::Float)], &[&self.images, &self.weight], false, false);
            }
            synchronize(self.images.device());
        });
        operations / ms / 1e6
    }
}
