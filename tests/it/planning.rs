//! A plan computes what the unplanned graph computes: forward, gradients, and by finite differences.

use supernaut::graph::{Device, Network, Plan, Precision, Run, Statistics};
use tch::{Kind, Tensor};

use crate::common::{archs, device_pictures, small_supernet};

const TRAIN: Run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };

fn loss(plan: &Plan, network: &Network, images: &Tensor, labels: &Tensor) -> Tensor {
    plan.run(network, &TRAIN, images).cross_entropy_loss::<Tensor>(labels, None, tch::Reduction::Mean, -100, 0.0)
}

/// Gradient of every weight that the planned network uses.
fn gradients(plan: &Plan, slots: &[usize], network: &Network, images: &Tensor, labels: &Tensor) -> Vec<Tensor> {
    let leaves: Vec<&Tensor> = slots.iter().map(|&slot| network.leaf(slot)).collect();
    Tensor::run_backward(&[loss(plan, network, images, labels)], &leaves, false, false)
}

fn gap(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).abs().max().double_value(&[])) / b.abs().max().double_value(&[]).max(1e-3)
}

#[test]
fn passes_change_neither_logits_nor_gradients() {
    let model = small_supernet(3);
    let (images, labels) = device_pictures(16, 8, 5).slice(0, 16);
    for arch in archs(&model, 200) {
        let (plan, reference) = (Plan::new(model.graph(), &arch), Plan::unplanned(model.graph(), &arch));
        let logits = [&plan, &reference].map(|plan| plan.run(&model.network, &TRAIN, &images));
        assert!(gap(&logits[0], &logits[1]) < 1e-4, "{arch:?}: {}", gap(&logits[0], &logits[1]));
        let slots = model.network.slots_of(&plan);
        let [fast, slow] = [&plan, &reference].map(|plan| gradients(plan, &slots, &model.network, &images, &labels));
        for ((fast, slow), slot) in fast.iter().zip(&slow).zip(&slots) {
            assert!(gap(fast, slow) < 1e-2, "{arch:?} {}: {}", model.network.slots()[*slot].name, gap(fast, slow));
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let model = small_supernet(4);
    let network = model.network.in_double();
    let (images, labels) = device_pictures(16, 8, 6).slice(0, 16);
    let images = images.to_kind(Kind::Double);
    let arch =
        model.parse("|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|").unwrap();
    let plan = Plan::new(model.graph(), &arch);
    let slots = network.slots_of(&plan);
    let analytic = gradients(&plan, &slots, &network, &images, &labels);
    for (&slot, gradient) in slots.iter().zip(&analytic) {
        let direction = gradient / gradient.norm(); // where the slope is steepest
        let mut weight = network.leaf(slot).detach();
        let mut at = |offset: f64| {
            let _ = weight.g_add_(&(&direction * offset));
            let value = tch::no_grad(|| loss(&plan, &network, &images, &labels)).double_value(&[]);
            let _ = weight.g_sub_(&(&direction * offset));
            value
        };
        let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
        let wanted = gradient.norm().double_value(&[]);
        let name = &network.slots()[slot].name;
        assert!((slope - wanted).abs() < 1e-6 + 1e-5 * wanted, "{name}: {slope} by differences, {wanted} by backward");
    }
}

#[test]
fn dead_branches_are_never_computed() {
    let model = small_supernet(1);
    let parse = |text: &str| model.parse(text).unwrap();
    let all_none = Plan::new(model.graph(), &parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"));
    let names: Vec<String> =
        model.network.slots_of(&all_none).iter().map(|&slot| model.network.slots()[slot].name.clone()).collect();
    assert_eq!(names, ["classifier.weight", "classifier.bias"]);
    let (images, labels) = device_pictures(4, 8, 1).slice(0, 4);
    let logits = all_none.run(&model.network, &TRAIN, &images);
    assert!((0..4).all(|row| logits.get(row) == logits.get(0)), "the logits are constant");
    assert!(gradients(&all_none, &model.network.slots_of(&all_none), &model.network, &images, &labels).len() == 2);
    // A convolution into a node that nothing reads, and one out of a node that nothing reaches.
    let half_dead = Plan::new(model.graph(), &parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"));
    let cells =
        model.network.slots_of(&half_dead).iter().filter(|&&slot| model.network.slots()[slot].name.contains(".cell")).count();
    assert_eq!(cells, 0);
}

#[test]
fn shared_and_merged_calls_are_made_once() {
    let model = small_supernet(1);
    let arch =
        model.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|").unwrap();
    let count = |plan: &Plan, kind: &str| plan.steps().iter().filter(|step| format!("{:?}", step.op).starts_with(kind)).count();
    let (plan, unplanned) = (Plan::new(model.graph(), &arch), Plan::unplanned(model.graph(), &arch));
    // A stem, and in each of two reductions three convolutions of which none are siblings.
    let fixed = 1 + 2 * 3;
    assert_eq!((count(&unplanned, "Conv"), count(&plan, "Conv")), (fixed + 3 * 6, fixed + 3 * 3));
    assert_eq!((count(&unplanned, "Relu"), count(&plan, "Relu")), (5 + 3 * 6, 5 + 3 * 3));
}

#[test]
fn bf16_stays_within_its_precision() {
    let model = small_supernet(2);
    let (images, _) = device_pictures(32, 8, 3).slice(0, 32);
    let dead = model.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").unwrap();
    for arch in archs(&model, 20).into_iter().chain([dead]) {
        let plan = Plan::new(model.graph(), &arch);
        let [exact, rounded] = [Precision::Fp32, Precision::Bf16]
            .map(|precision| tch::no_grad(|| plan.run(&model.network, &Run { precision, ..TRAIN }, &images)));
        assert_eq!(rounded.kind(), Kind::Float);
        let error = (&exact - &rounded).norm().double_value(&[]) / exact.norm().double_value(&[]).max(1e-3);
        assert!(error < 0.08, "{arch:?}: {error}"); // 8 bits a product, some twenty layers deep
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    assert_eq!(supernaut::graph::device("cpu").unwrap(), Device::Cpu);
    for (name, wanted) in [("cuda:99", "cuda:99"), ("gpu", "\"cpu\" or \"cuda:N\""), ("cuda:x", "\"cpu\" or \"cuda:N\"")] {
        let message = supernaut::graph::device(name).unwrap_err().to_string();
        assert!(message.starts_with("device: found") && message.contains(wanted), "{message}");
    }
}
