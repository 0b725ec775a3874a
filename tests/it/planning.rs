//! A plan computes what the unplanned graph computes: forward, gradients, and by finite differences.

use supernaut::graph::{Device, Kernels, Network, Plan, Precision, Run, Statistics};
use supernaut::run::model::Model;
use supernaut::space::{Nb201, SpaceConfig, Task};
use tch::{Kind, Tensor};

use crate::common::{archs, device_pictures, small_mobilenet, small_shufflenet, small_supernet, supernet, supernet_of, task};

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

/// Both ways to plan: for libtorch's kernels and for our own.
const KERNELS: [Kernels; 2] = [Kernels::Libtorch, Kernels::Own];

/// Distance from the exact values, relative to the largest of these.
fn gap_of(values: &[Tensor], exact: &[Tensor]) -> f64 {
    let all =
        |tensors: &[Tensor]| Tensor::cat(&tensors.iter().map(|t| t.to_kind(Kind::Double).reshape([-1])).collect::<Vec<_>>(), 0);
    let (values, exact) = (all(values), all(exact));
    ((&values - &exact).norm() / exact.norm().clamp_min(1e-6)).double_value(&[])
}

#[test]
fn plans_are_as_exact_as_what_they_replace() {
    let model = supernet(3, 8);
    let exact_network = model.network.in_double();
    let (images, labels) = device_pictures(16, 8, 5).slice(0, 16);
    let exact_images = images.to_kind(Kind::Double);
    let mut all = [(); 3].map(|()| [vec![], vec![]]); // of unplanned, planned, fused: logits and gradients
    for arch in archs(&model, 200) {
        let unplanned = Plan::unplanned(model.graph(), &arch);
        let slots = model.network.slots_of(&Plan::new(model.graph(), &arch));
        let exact = [
            vec![unplanned.run(&exact_network, &TRAIN, &exact_images)],
            gradients(&unplanned, &slots, &exact_network, &exact_images, &labels),
        ];
        let plans = [unplanned, Plan::with(model.graph(), &arch, KERNELS[0]), Plan::with(model.graph(), &arch, KERNELS[1])];
        let gaps = plans.map(|plan| {
            let logits = vec![plan.run(&model.network, &TRAIN, &images)];
            let gradients = gradients(&plan, &slots, &model.network, &images, &labels);
            [gap_of(&logits, &exact[0]), gap_of(&gradients, &exact[1])]
        });
        for (all, gap) in all.iter_mut().zip(gaps) {
            all.iter_mut().zip(gap).for_each(|(all, gap)| all.push(gap));
        }
    }
    // The middle one, all but one in twenty, the worst: where a ReLU at its kink falls to the other side, a gradient differs more.
    let [unplanned, planned, fused] = all.map(|parts| {
        parts.map(|mut gaps: Vec<f64>| {
            gaps.sort_by(f64::total_cmp);
            [100, 190, 199].map(|at| gaps[at])
        })
    });
    println!("{unplanned:?} {planned:?} {fused:?}");
    for part in 0..2 {
        for (place, most) in [2e-6, 1e-5].into_iter().enumerate() {
            assert!(planned[part][place] < most && fused[part][place] < most, "{planned:?} {fused:?}");
        }
        assert!(planned[part][2] < 3.0 * unplanned[part][2], "{planned:?} {unplanned:?}");
        assert!(fused[part][2] < 10.0 * unplanned[part][2], "{fused:?} {unplanned:?}");
    }
}

#[test]
fn our_own_kernels_are_exact_in_double() {
    // libtorch is slow at grouped convolutions in double: a few of these will do.
    let of = |space| (Model::supernet(space, task(8, 10), 6, Device::Cpu).unwrap(), 6);
    let mobile = [of(SpaceConfig::MobileNet(small_mobilenet())), of(SpaceConfig::ShuffleNet(small_shufflenet()))];
    let nb201 = [(3, 8, 8), (4, 16, 7), (5, 8, 13)].map(|(seed, channels, size)| (supernet_of(seed, channels, size), 30));
    for (model, count) in nb201.into_iter().chain(mobile) {
        let network = model.network.in_double();
        let (images, labels) = device_pictures(6, model.task.image[1] as usize, 5).slice(0, 6);
        let images = images.to_kind(Kind::Double);
        for arch in archs(&model, count) {
            let [fused, reference] = [Plan::with(model.graph(), &arch, Kernels::Own), Plan::unplanned(model.graph(), &arch)];
            let logits = [&fused, &reference].map(|plan| plan.run(&network, &TRAIN, &images));
            assert!(gap(&logits[0], &logits[1]) < 1e-10, "{arch:?}: {}", gap(&logits[0], &logits[1]));
            let slots = network.slots_of(&fused);
            assert_eq!(slots, network.slots_of(&Plan::new(model.graph(), &arch)));
            let [fast, slow] = [&fused, &reference].map(|plan| gradients(plan, &slots, &network, &images, &labels));
            for ((fast, slow), slot) in fast.iter().zip(&slow).zip(&slots) {
                assert!(gap(fast, slow) < 1e-8, "{arch:?} {}: {}", network.slots()[*slot].name, gap(fast, slow));
            }
        }
    }
}

/// A network that stands alone, on images that are not square.
fn standalone(seed: u64, text: &str) -> Model {
    let space = SpaceConfig::Nb201(Nb201 { channels: 24, cells: 1, ..Default::default() });
    let task = Task { image: [3, 12, 9], ..task(8, 10) };
    let arch = space.parse(text).unwrap();
    Model::standalone(space, task, arch, seed, Device::Cpu).unwrap()
}

const RICH: &str = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|";

fn noise(count: i64) -> (Tensor, Tensor) {
    let pixels = (Tensor::arange(count * 3 * 12 * 9, (Kind::Double, Device::Cpu)) * 12.9898).sin() * 0.5 + 0.5;
    (pixels.view([count, 3, 12, 9]), Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(10))
}

#[test]
fn norms_of_their_own_have_the_gradients_of_libtorch() {
    let model = standalone(1, RICH);
    let network = model.network.in_double();
    let arch = model.parse(RICH).unwrap();
    let (images, labels) = noise(6);
    let [fused, reference] = KERNELS.map(|kernels| Plan::with(model.graph(), &arch, kernels));
    let slots = network.slots_of(&reference);
    for &slot in &slots {
        // Scales of 1 and shifts of 0 would hide mistakes.
        let shaken = (Tensor::arange(network.leaf(slot).numel() as i64, (Kind::Double, Device::Cpu)) * 7.0).sin() * 0.3;
        let _ = tch::no_grad(|| network.leaf(slot).detach().g_add_(&shaken.view(network.leaf(slot).size().as_slice())));
    }
    let [fast, slow] = [&fused, &reference].map(|plan| gradients(plan, &slots, &network, &images, &labels));
    for ((fast, slow), slot) in fast.iter().zip(&slow).zip(&slots) {
        assert!(gap(fast, slow) < 1e-9, "{}: {}", network.slots()[*slot].name, gap(fast, slow));
    }
}

#[test]
fn running_statistics_move_and_hold_as_those_of_libtorch() {
    let model = standalone(2, RICH);
    let arch = model.parse(RICH).unwrap();
    let (images, labels) = noise(6);
    let images = images.to_kind(Kind::Float);
    let [own, libtorch] = KERNELS.map(|kernels| {
        let plan = Plan::with(model.graph(), &arch, kernels);
        let network = model.network.with_own_statistics(&plan);
        let pass = |statistics| plan.run(&network, &Run { statistics, ..TRAIN }, &images);
        let moved = [0.3; 3].map(|momentum| pass(Statistics::Update { momentum })).into_iter().next_back().unwrap();
        let loss = pass(Statistics::Fixed).cross_entropy_loss::<Tensor>(&labels, None, tch::Reduction::Mean, -100, 0.0);
        let slots = network.slots_of(&plan);
        let leaves: Vec<&Tensor> = slots.iter().map(|&slot| network.leaf(slot)).collect();
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        (vec![moved, pass(Statistics::Fixed)], gradients)
    });
    assert!(gap_of(&own.0, &libtorch.0) < 1e-5, "logits: {}", gap_of(&own.0, &libtorch.0));
    assert!(gap_of(&own.1, &libtorch.1) < 1e-4, "gradients: {}", gap_of(&own.1, &libtorch.1));
}

#[test]
fn gradients_agree_with_finite_differences() {
    for kernels in KERNELS {
        let model = supernet(4, 8);
        let network = model.network.in_double();
        let (images, labels) = device_pictures(16, 8, 6).slice(0, 16);
        let images = images.to_kind(Kind::Double);
        let text = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|";
        let plan = Plan::with(model.graph(), &model.parse(text).unwrap(), kernels);
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
    let count = |plan: &Plan, kind: &str| {
        plan.steps().iter().filter(|step| format!("{:?}", step.op()).contains(&format!("Some({kind}("))).count()
    };
    let (plan, unplanned) = (Plan::new(model.graph(), &arch), Plan::unplanned(model.graph(), &arch));
    // A stem, and in each of two reductions three convolutions of which none are siblings.
    let fixed = 1 + 2 * 3;
    assert_eq!((count(&unplanned, "Conv"), count(&plan, "Conv")), (fixed + 3 * 6, fixed + 3 * 3));
    assert_eq!((count(&unplanned, "Relu"), count(&plan, "Relu")), (5 + 3 * 6, 5 + 3 * 3));
}

#[test]
fn activations_behind_a_norm_are_part_of_its_join() {
    let calls = |model: &Model, kernels: Kernels, kind: &str| {
        let plan = Plan::with(model.graph(), &archs(model, 1)[0], kernels);
        plan.steps().iter().filter(|step| format!("{:?}", step.op()).contains(&format!("Some({kind}("))).count()
    };
    for (space, kind) in
        [(SpaceConfig::MobileNet(small_mobilenet()), "Relu6"), (SpaceConfig::ShuffleNet(small_shufflenet()), "Relu")]
    {
        let model = Model::supernet(space, task(8, 10), 1, Device::Cpu).unwrap();
        assert!(calls(&model, Kernels::Libtorch, kind) > 5);
        assert_eq!(calls(&model, Kernels::Own, kind), 0);
    }
}

#[test]
fn bf16_stays_within_its_precision() {
    for (channels, kernels) in [(4, Kernels::Libtorch), (8, Kernels::Libtorch), (8, Kernels::Own)] {
        let model = supernet(2, channels);
        let (images, labels) = device_pictures(32, 8, 3).slice(0, 32);
        let dead = model.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").unwrap();
        for arch in archs(&model, 200).into_iter().chain([dead]) {
            let [unplanned, plan] = [Plan::unplanned(model.graph(), &arch), Plan::with(model.graph(), &arch, kernels)];
            let slots = model.network.slots_of(&plan);
            let [exact, rounded] = [(unplanned, Precision::Fp32), (plan, Precision::Bf16)].map(|(plan, precision)| {
                let logits = plan.run(&model.network, &Run { precision, ..TRAIN }, &images);
                assert_eq!(logits.kind(), Kind::Float);
                let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, tch::Reduction::Mean, -100, 0.0);
                let leaves: Vec<&Tensor> = slots.iter().map(|&slot| model.network.leaf(slot)).collect();
                let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
                assert!(gradients.iter().all(|gradient| gradient.kind() == Kind::Float));
                (logits, gradients)
            });
            let error = gap_of(&[rounded.0], &[exact.0]);
            assert!(error < 0.08, "{arch:?}: {error}"); // 8 bits a product, some twenty layers deep
            let error = gap_of(&rounded.1, &exact.1);
            assert!(error < 0.5, "{arch:?}: {error}"); // norms of small batches and ReLUs at their kink enlarge it
        }
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
