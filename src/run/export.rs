//! From a network to an ONNX file that provably computes the same.
//!
//! The file is proved before it exists under its name: it is run in ONNX Runtime on real images and compared with the
//! network in memory; if they differ, the first node that differs is named and nothing is written.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::images::DeviceImages;
use super::model::Model;
use super::recipe::{ExportConfig, LatencyConfig};
use super::runtime::{self, Latency, Runtime, RuntimeValue};
use crate::arch::Arch;
use crate::graph::onnx::{self, OnnxBuilder, ValueId};
use crate::graph::ops::{self, Op, Operator};
use crate::graph::{Device, Graph, Node, NodeId, Plan, Precision, Run, Statistics, Value};
use crate::space::{SpaceConfig, Task};
use crate::{Error, Result, files};

/// Images that go through file and network at a time.
pub(super) const BATCH: usize = 32;

/// The ONNX file of a network that stands alone, as bytes. `recipe_hash` goes into its metadata.
pub fn onnx_bytes(model: &Model, recipe_hash: &str, opset: i64) -> Result<Vec<u8>> {
    let arch = standing_alone(model)?;
    let graph = model.graph();
    let plan = Plan::live(graph, arch);
    let mut builder = OnnxBuilder::default();
    let mut writer =
        Writer { model, builder: &mut builder, values: HashMap::from([(0, "image".to_owned())]), readers: readers(&plan) };
    writer.write(&plan)?;
    let logits = writer.values[&plan.output()].clone();
    let classes = serde_json::to_string(&model.task.classes).expect("names are plain data");
    let space = serde_json::to_string(&model.space).expect("a space is plain data");
    let metadata = [
        ("arch", model.space.text(arch)),
        ("classes", classes),
        ("recipe_hash", recipe_hash.to_owned()),
        ("space", space),
        ("supernaut", env!("CARGO_PKG_VERSION").to_owned()),
        ("input", "float32 NCHW pixel values in 0..1; normalisation is part of the network".to_owned()),
    ];
    builder.finish(opset, graph.input_shape(), (&logits, graph.shape(graph.output())), &metadata)
}

fn standing_alone(model: &Model) -> Result<&Arch> {
    let advice = "a supernet has no running statistics: retrain the subnet, or cut it out with recalibration";
    model.arch.as_ref().ok_or_else(|| Error::State(format!("export: {advice}")))
}

/// Walks a plan and writes each call.
struct Writer<'a> {
    model: &'a Model,
    builder: &'a mut OnnxBuilder,
    values: HashMap<Value, ValueId>,
    readers: HashMap<Value, usize>,
}

fn readers(plan: &Plan) -> HashMap<Value, usize> {
    let mut readers = HashMap::from([(plan.output(), 1)]);
    plan.steps().iter().flat_map(|step| &step.inputs).for_each(|&input| *readers.entry(input).or_default() += 1);
    readers
}

impl Writer<'_> {
    fn write(&mut self, plan: &Plan) -> Result<()> {
        let mut folded: HashMap<Value, (ops::Conv, NodeId, ValueId)> = HashMap::new();
        for (position, step) in plan.steps().iter().enumerate() {
            let output = step.outputs[0];
            let next_is_norm = || {
                plan.steps()[position + 1..]
                    .iter()
                    .any(|next| matches!(next.op(), Some(Op::BatchNorm(_))) && next.inputs == [output])
            };
            let value = match (step.op().expect("a live plan has an operator per step"), step.members.first()) {
                (Op::Conv(conv), Some(&node)) if self.readers.get(&output) == Some(&1) && next_is_norm() => {
                    folded.insert(output, (conv.clone(), node, self.values[&step.inputs[0]].clone()));
                    continue;
                }
                (Op::BatchNorm(norm), Some(&node)) if folded.contains_key(&step.inputs[0]) => {
                    let (conv, conv_node, input) = folded.remove(&step.inputs[0]).expect("just seen");
                    let (weight, bias) =
                        fold(norm, &self.model.network.export_tensors(conv_node), &self.model.network.export_tensors(node));
                    let conv = ops::Conv { bias: true, ..conv };
                    conv.export(self.builder, name(self.model.graph(), node), &[weight, bias], &[input])?
                }
                (op, member) => {
                    let inputs: Vec<ValueId> = step.inputs.iter().map(|input| self.values[input].clone()).collect();
                    let name =
                        member.map_or_else(|| format!("zeros{position}"), |&node| name(self.model.graph(), node).to_owned());
                    let tensors = member.map_or(vec![], |&node| self.model.network.export_tensors(node));
                    op.export(self.builder, &name, &tensors, &inputs)?
                }
            };
            self.values.insert(output, value);
        }
        Ok(())
    }
}

/// The name of an operation; the ONNX value it computes is called the same.
pub fn name(graph: &Graph, node: NodeId) -> &str {
    match &graph.nodes()[node] {
        Node::Op { name, .. } => name,
        Node::Input => "image",
        Node::Choice { .. } => unreachable!("a plan has no choices"),
    }
}

/// A convolution and the norm behind it as one convolution: `w' = w s/√(v+ε)`, `b' = shift − mean s/√(v+ε)`.
/// `norm_tensors`: [scale, shift,] mean, variance. Computed in fp64.
fn fold(norm: &ops::BatchNorm, conv_tensors: &[Tensor], norm_tensors: &[Tensor]) -> (Tensor, Tensor) {
    let double: Vec<Tensor> = norm_tensors.iter().map(|tensor| tensor.to_kind(Kind::Double)).collect();
    let [mean, variance] = &double[double.len() - 2..] else { unreachable!("two statistics") };
    let (scale, shift) = match norm.affine {
        true => (double[0].shallow_clone(), double[1].shallow_clone()),
        false => (mean.ones_like(), mean.zeros_like()),
    };
    let factor = scale / (variance + ops::BatchNorm::EPSILON).sqrt();
    let weight = conv_tensors[0].to_kind(Kind::Double) * factor.view([-1, 1, 1, 1]);
    let own = conv_tensors.get(1).map_or_else(|| mean.zeros_like(), |bias| bias.to_kind(Kind::Double));
    let bias = shift + (own - mean) * factor;
    (weight.to_kind(Kind::Float), bias.to_kind(Kind::Float))
}

/// How well a file and a network agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Greatest difference between two logits.
    pub max_abs_diff: f64,
    /// The same, relative to the largest logit.
    pub max_rel_diff: f64,
    /// Share of the images whose first class is the same, ties aside.
    pub top1_agreement: f64,
    /// How many images were compared.
    pub images: usize,
}

/// Compares the ONNX `file` with `model` on `images`.
///
/// # Errors
/// [`Error::VerifyFailed`] if a logit differs by more than `tolerance` (relative to the largest logit) or a first class
/// differs that isn't a tie; the message names the first node that differs.
pub fn verify(file: &[u8], model: &Model, images: &DeviceImages, tolerance: f64) -> Result<Verification> {
    let arch = standing_alone(model)?;
    let plan = Plan::live(model.graph(), arch);
    // On the CPU: a GPU may round products to TF32, which is coarser than what is to be proved.
    let model = &Model { network: model.network.on_cpu(), ..model.shallow_clone() };
    let mut runtime = Runtime::new(file, 0)?;
    let mut pairs = vec![];
    for start in (0..images.len()).step_by(BATCH) {
        let pixels = images.slice(start, BATCH).0.to_device(Device::Cpu);
        let theirs = runtime.logits(shape_of(&pixels), &floats(&pixels))?;
        let ours = tch::no_grad(|| plan.run(&model.network, &exact(), &pixels));
        let classes = *theirs.shape.last().unwrap_or(&0);
        if theirs.shape != ours.size() {
            let found = format!("logits of shape {:?}", theirs.shape);
            return Err(Error::VerifyFailed(format!("verification: found {found}, wanted {:?}", ours.size())));
        }
        pairs.extend(
            floats(&ours)
                .chunks(classes as usize)
                .map(<[f32]>::to_vec)
                .zip(theirs.values.chunks(classes as usize).map(<[f32]>::to_vec)),
        );
    }
    let (verification, agrees) = compare(&pairs, tolerance);
    if agrees {
        return Ok(verification);
    }
    let culprit = first_difference(file, model, &plan, images, tolerance)?;
    let Verification { max_abs_diff, max_rel_diff, top1_agreement, images } = verification;
    Err(Error::VerifyFailed(format!(
        "verification: found logits that differ by {max_abs_diff:.3e} ({max_rel_diff:.3e} of the largest; {:.2} % of the first classes \
         agree on {images} images), wanted at most {tolerance:.0e} of the largest and the same first classes; {culprit}",
        100.0 * top1_agreement
    )))
}

/// The comparison, and whether it passes. A pair is (ours, theirs), the logits of one image.
fn compare(pairs: &[(Vec<f32>, Vec<f32>)], tolerance: f64) -> (Verification, bool) {
    let largest = pairs.iter().flat_map(|(ours, _)| ours).fold(f32::MIN_POSITIVE, |most, logit| most.max(logit.abs()));
    let gaps = pairs.iter().flat_map(|(ours, theirs)| ours.iter().zip(theirs).map(|(a, b)| f64::from((a - b).abs())));
    let max_abs_diff = gaps.fold(0.0, |most: f64, gap| if gap.is_nan() { f64::INFINITY } else { most.max(gap) });
    let allowed = tolerance * f64::from(largest);
    let agree = |(ours, theirs): &&(Vec<f32>, Vec<f32>)| {
        let (mine, other) = (first(ours), first(theirs));
        // Within twice the allowed difference either of two logits may rightly come first.
        mine == other || f64::from((ours[mine] - ours[other]).abs()) <= 2.0 * allowed
    };
    let agreeing = pairs.iter().filter(agree).count();
    let verification = Verification {
        max_abs_diff,
        max_rel_diff: max_abs_diff / f64::from(largest),
        top1_agreement: agreeing as f64 / pairs.len() as f64,
        images: pairs.len(),
    };
    (verification, max_abs_diff <= allowed && agreeing == pairs.len())
}

fn first(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, index| if logits[index] > logits[best] { index } else { best })
}

/// Shows every value of the file and says which is the first to differ.
fn first_difference(file: &[u8], model: &Model, plan: &Plan, images: &DeviceImages, tolerance: f64) -> Result<String> {
    let known = onnx::inspect(file)?.values;
    let names: Vec<String> =
        plan.nodes().map(|node| name(model.graph(), node).to_owned()).filter(|name| known.contains(name)).collect();
    let mut runtime = Runtime::new(&onnx::with_all_values(file, &names)?, 0)?;
    let pixels = images.slice(0, BATCH).0.to_device(Device::Cpu);
    let theirs: HashMap<String, RuntimeValue> =
        runtime.run(shape_of(&pixels), &floats(&pixels))?.into_iter().map(|value| (value.name.clone(), value)).collect();
    let mut culprit = None;
    let _ = tch::no_grad(|| {
        plan.run_with(&model.network, &exact(), &pixels, |step, value| {
            let Some(found) = step.members.first().map(|&node| name(model.graph(), node)).and_then(|name| theirs.get(name))
            else {
                return;
            };
            if culprit.is_none() && differs(&floats(value), found, value.size(), tolerance) {
                culprit = Some(found.name.clone());
            }
        })
    });
    let name = culprit.unwrap_or_else(|| "logits".into());
    Ok(format!("the first node that differs is `{name}`"))
}

fn differs(ours: &[f32], theirs: &RuntimeValue, shape: Vec<i64>, tolerance: f64) -> bool {
    let largest = ours.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let near = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) <= tolerance * f64::from(largest);
    theirs.shape != shape || !ours.iter().zip(&theirs.values).all(near)
}

fn exact() -> Run {
    Run { statistics: Statistics::Fixed, precision: Precision::Fp32 }
}

fn shape_of(pixels: &Tensor) -> [i64; 4] {
    pixels.size().try_into().expect("images have four axes")
}

/// The numbers of a tensor, row by row.
fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).expect("a flat fp32 tensor")
}

/// Exports `model` to `path`, if and only if the file proves to compute the same on `images`.
pub fn export(
    path: &Path,
    model: &Model,
    recipe_hash: &str,
    images: &DeviceImages,
    config: &ExportConfig,
) -> Result<Verification> {
    let (bytes, verification) = proved(model, recipe_hash, images, config)?;
    files::write_whole(path, &bytes)?;
    Ok(verification)
}

/// The ONNX file of `model` as bytes, if it proves to compute the same on `images`.
pub fn proved(model: &Model, recipe_hash: &str, images: &DeviceImages, config: &ExportConfig) -> Result<(Vec<u8>, Verification)> {
    let bytes = onnx_bytes(model, recipe_hash, config.opset)?;
    let verification = verify(&bytes, model, &images.first(config.images_of(images.len())), config.tolerance)?;
    Ok((bytes, verification))
}

/// Times `arch` as it will be shipped. What its weights are makes no difference, so they are fresh.
pub fn latency_as_shipped(space: &SpaceConfig, task: &Task, arch: &Arch, opset: i64, config: &LatencyConfig) -> Result<Latency> {
    let model = Model::standalone(space.clone(), task.clone(), arch.clone(), 0, Device::Cpu)?;
    runtime::latency(&onnx_bytes(&model, "", opset)?, task.image, config)
}

/// Share of `images` that the ONNX `file` classifies correctly.
pub fn accuracy(file: &[u8], images: &DeviceImages) -> Result<f64> {
    let mut runtime = Runtime::new(file, 0)?;
    let mut correct = 0;
    for start in (0..images.len()).step_by(BATCH) {
        let (pixels, labels) = images.slice(start, BATCH);
        let logits = runtime.logits(shape_of(&pixels), &floats(&pixels))?;
        let labels = Vec::<i64>::try_from(labels.to_device(Device::Cpu)).map_err(|error| Error::Internal(error.to_string()))?;
        let classes = *logits.shape.last().unwrap_or(&1) as usize;
        correct += logits.values.chunks(classes).zip(labels).filter(|(row, label)| first(row) as i64 == *label).count();
    }
    Ok(correct as f64 / images.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(ours: &[f32], theirs: &[f32]) -> (f64, bool) {
        let (verification, agrees) = compare(&[(ours.to_vec(), theirs.to_vec())], 1e-4);
        (verification.top1_agreement, agrees)
    }

    #[test]
    fn a_tie_may_go_either_way_and_nothing_else() {
        assert_eq!(passes(&[10.0, 1.0], &[10.0005, 1.0]), (1.0, true));
        assert_eq!(passes(&[10.0, 1.0], &[10.002, 1.0]), (1.0, false));
        assert_eq!(passes(&[10.0, 9.9995], &[9.9996, 9.9999]), (1.0, true));
        assert_eq!(passes(&[10.0, 9.99], &[9.99, 10.0]), (0.0, false));
        assert!(!passes(&[10.0, 1.0], &[f32::NAN, 1.0]).1);
    }

    #[test]
    fn folding_by_hand() {
        let conv = [Tensor::from_slice(&[2.0f32]).view([1, 1, 1, 1])];
        let vector = |value: f32| Tensor::from_slice(&[value]);
        // (2x − 3)/√(4 − ε + ε) · 5 + 7 = 5x − 0.5
        let variance = 4.0 - ops::BatchNorm::EPSILON as f32;
        let norm = [vector(5.0), vector(7.0), vector(3.0), vector(variance)];
        let (weight, bias) = fold(&ops::BatchNorm { affine: true }, &conv, &norm);
        assert!((weight.double_value(&[0, 0, 0, 0]) - 5.0).abs() < 1e-6 && (bias.double_value(&[0]) + 0.5).abs() < 1e-6);
    }
}
