//! The pieces of a training step by hand, for what the training loop itself doesn't show.

use supernaut::graph::{Kernels, Network, Plan, Precision, Run, Statistics};
use supernaut::optimizer::{Sgd, SgdConfig};
use tch::{Reduction, Tensor};

/// The optimiser of a training loop over the weights of `network`.
pub fn optimizer(network: &Network, config: &SgdConfig, groups: usize, kernels: Kernels) -> Sgd {
    let places = network.slots().iter().map(|slot| slot.range.clone()).collect();
    Sgd::new(config.clone(), network.flat(), places, groups, kernels)
}

/// Gradients of the weights `used` for the mean loss of a batch, run as `plan` says in fp32.
pub fn gradients(network: &Network, plan: &Plan, used: &[usize], (images, labels): &(Tensor, Tensor)) -> Vec<Tensor> {
    let run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };
    let logits = plan.run(network, &run, images);
    let loss = logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0);
    let leaves: Vec<&Tensor> = used.iter().map(|&slot| network.leaf(slot)).collect();
    Tensor::run_backward(&[&loss], &leaves, false, false)
}
