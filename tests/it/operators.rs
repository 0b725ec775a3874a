//! Each operator of the mobile spaces by itself: what it computes, and the same in ONNX Runtime.

use supernaut::graph::onnx::OnnxBuilder;
use supernaut::graph::ops::{Bias, Channels, Concat, Conv, Init, Linear, NodeTensors, Op, Operator, Relu6};
use supernaut::graph::{Device, Precision, Run, Shape, Statistics, channels_last};
use supernaut::run::runtime::Runtime;
use tch::{Kind, Tensor};

const RUN: Run = Run { statistics: Statistics::Batch, precision: Precision::Fp32 };

/// Numbers in −9…9 that differ.
fn numbers(size: &[i64]) -> Tensor {
    let count = size.iter().product::<i64>();
    ((Tensor::arange(count, (Kind::Float, Device::Cpu)) * 12.9898).sin() * 9.0).view(size)
}

/// Runs `op` on `copies` of one image batch here, in a file, and compares; gives the result.
fn check(op: impl Into<Op>, image: [i64; 3], copies: usize) -> Tensor {
    let op: Op = op.into();
    let shape = Shape(image.to_vec());
    let shapes = vec![&shape; copies];
    let weights: Vec<Tensor> = op.weights(&shapes).iter().map(|spec| numbers(&spec.shape) * 0.1).collect();
    let pixels = channels_last(&numbers(&[2, image[0], image[1], image[2]]));
    let tensors = NodeTensors { weights: weights.iter().map(Tensor::shallow_clone).collect(), buffers: vec![] };
    let ours = op.forward(&RUN, &tensors, &vec![&pixels; copies]);
    let out = op.shape(&shapes).unwrap();
    assert_eq!(ours.size()[1..], out.0, "{op:?}");
    for opset in [17, 22] {
        let mut onnx = OnnxBuilder::default();
        let value = op.export(&mut onnx, "node", &weights, &vec!["image".to_owned(); copies]).unwrap();
        let file = onnx.finish(opset, &shape, (&value, &out), &[]).unwrap();
        let flat = Vec::<f32>::try_from(pixels.contiguous().view(-1)).unwrap();
        let theirs = Runtime::new(&file, 1).unwrap().logits([2, image[0], image[1], image[2]], &flat).unwrap();
        let theirs = Tensor::from_slice(&theirs.values).view(theirs.shape.as_slice());
        let gap = (&theirs - &ours).abs().max().double_value(&[]);
        assert!(gap < 1e-4 * ours.abs().max().double_value(&[]), "{op:?}: {gap}");
    }
    ours
}

#[test]
fn a_grouped_convolution_sums_over_its_group_alone() {
    for (channels, kernel, stride, groups) in
        [(6, 3, 1, 6), (6, 5, 2, 6), (6, 7, 1, 6), (12, 3, 2, 6), (9, 1, 1, 3), (4, 3, 1, 2)]
    {
        let image = [if groups == 2 { 10 } else { 6 }, 9, 7];
        let conv = Conv { groups, ..Conv::new(channels, kernel, stride) };
        let found = check(conv.clone(), image, 1);
        let (input, weight) = (numbers(&[2, image[0], 9, 7]), numbers(&conv.weights(&[&Shape(image.to_vec())])[0].shape) * 0.1);
        let share = |tensor: &Tensor, axis: i64, group: i64| {
            let each = tensor.size()[axis as usize] / groups;
            tensor.narrow(axis, group * each, each)
        };
        let of_group = |group| {
            share(&input, 1, group).conv2d::<Tensor>(&share(&weight, 0, group), None, [stride; 2], [kernel / 2; 2], [1, 1], 1)
        };
        let wanted = Tensor::cat(&(0..groups).map(of_group).collect::<Vec<_>>(), 1);
        assert!((found - wanted).abs().max().double_value(&[]) < 1e-4, "{conv:?}");
    }
}

#[test]
fn a_grouped_convolution_costs_what_its_groups_cost() {
    let image = Shape::of_image(12, 10, 9);
    let conv = Conv { groups: 3, ..Conv::new(6, 5, 2) };
    let weight = &conv.weights(&[&image])[0];
    assert_eq!((weight.shape.clone(), weight.init), (vec![6, 4, 5, 5], Init::Uniform { fan_in: 4 * 25 }));
    assert_eq!(conv.macs(&[&image]), 6 * 5 * 5 * 4 * 25);
    assert_eq!(Conv::depthwise(12, 3, 1).macs(&[&image]), 12 * 90 * 9);
    for (groups, channels) in [(0, 6), (5, 10), (12, 6)] {
        let message = Conv { groups, ..Conv::new(channels, 3, 1) }.shape(&[&image]).unwrap_err().to_string();
        assert!(message.contains("wanted groups that divide both"), "{message}");
    }
}

#[test]
fn relu6_cuts_at_both_ends() {
    let found = check(Relu6, [3, 5, 4], 1);
    assert_eq!((found.min().double_value(&[]), found.max().double_value(&[])), (0.0, 6.0));
    assert_eq!(found, numbers(&[2, 3, 5, 4]).relu().minimum(&Tensor::from(6.0f32)));
    assert!(Relu6.forward(&RUN, &NodeTensors::default(), &[&Tensor::from(f32::NAN)]).double_value(&[]).is_nan());
}

#[test]
fn channels_and_concat_are_each_others_inverse_up_to_the_shuffle() {
    let image = numbers(&[2, 6, 3, 4]);
    let halves = [0, 1].map(|first| check(Channels { first, step: 2 }, [6, 3, 4], 1));
    let shuffled = Tensor::cat(&halves, 1);
    // The shuffle of two groups as its paper has it: [2, 3] channels become [3, 2] and back.
    assert_eq!(shuffled, image.view([2, 3, 2, 3, 4]).transpose(1, 2).reshape([2, 6, 3, 4]));
    assert_eq!(check(Channels { first: 2, step: 3 }, [6, 3, 4], 1), image.index_select(1, &Tensor::from_slice(&[2i64, 5])));
    assert_eq!(check(Concat, [3, 4, 5], 3).size(), [2, 9, 4, 5]);
    let sizes = [Shape::of_image(2, 4, 4), Shape::of_image(2, 2, 4)];
    let message = Concat.shape(&[&sizes[0], &sizes[1]]).unwrap_err().to_string();
    assert_eq!(message, "concat: found images of 4×4 and 2×4 pixels, wanted one size");
    for (first, step) in [(6, 2), (-1, 2), (0, 0)] {
        assert!(Channels { first, step }.shape(&[&Shape::of_image(6, 1, 1)]).is_err());
    }
}

#[test]
fn a_linear_layer_counts_its_bias_as_it_says() {
    let vector = Shape(vec![5]);
    for (bias, params, macs, complexity) in
        [(Bias::InMacs, 18, 18, 15), (Bias::InComplexity, 18, 15, 18), (Bias::Absent, 15, 15, 15)]
    {
        let linear = Linear { bias, ..Linear::new(3) };
        let weights = linear.weights(&[&vector]);
        let count = |complex: bool| {
            weights
                .iter()
                .filter(|weight| weight.complex || !complex)
                .map(|weight| weight.shape.iter().product::<i64>())
                .sum::<i64>()
        };
        assert_eq!((count(false), linear.macs(&[&vector]), count(true)), (params, macs, complexity), "{bias:?}");
    }
}
