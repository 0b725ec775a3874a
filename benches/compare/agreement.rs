//! Do both sides compute the same? From the same weights, on the same images and architectures, their losses must agree.

use serde_json::json;

use crate::Options;
use crate::common::Result;
use crate::common::numbers::greatest;
use crate::common::work::{Work, advance, pictures};
use crate::report::Section;
use crate::rival::{Layout, Rival};
use crate::step::texts;

const STEPS: usize = 20;
/// Greatest relative difference of two losses.
const TOLERANCE: f64 = 1e-3;

/// As many images as a batch has, unchanged: each step sees them all on both sides, and their order changes no mean. One
/// momentum and a constant rate, as on the other side.
///
/// The rate is a small one. A fresh network this deep is chaotic: at the paper's rate a difference in the last bit grows
/// tenfold with each step, and PyTorch's two layouts part from each other by a hundredth within ten steps. At this rate
/// rounding stays small, and a wrong momentum still shows as a hundredth.
const PLAIN: &str = "rate = 0.0002
augment = {}
momentum_separation = false
schedule = { kind = \"cosine\", least = 1.0 }
sampler = { kind = \"uniform\" }";

pub fn section(options: &Options) -> Result<Section> {
    let work = Work { images: options.batch, train: PLAIN.into(), ..options.work() };
    let mut trainer = work.trainer()?;
    trainer.read_losses_behind(0);
    let archs = texts(trainer.model(), &work.archs(trainer.model(), STEPS as u64)?);
    let mut rival = Rival::trainee(&work, Layout::ChannelsLast, trainer.model(), &pictures(work.images))?;
    let (_, theirs) = rival.train(&archs)?;
    let (_, ours) = advance(&mut trainer, STEPS)?;
    let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / b.abs()).collect();
    let largest = greatest(&differences);
    if largest.is_nan() || largest > TOLERANCE || theirs.len() != STEPS {
        return Err(
            format!("the two sides don't train alike: the relative differences of the losses are {differences:.6?}").into()
        );
    }
    let (first, last) = (ours[0], ours[STEPS - 1]);
    Ok(Section {
        title: format!("Agreement: losses of the first {STEPS} steps, fp32"),
        notes: vec![
            format!("largest relative difference {largest:.1e} (allowed: {TOLERANCE:.0e})"),
            format!("loss {first:.3} at the first step, {last:.3} at the last"),
        ],
        facts: [
            ("largest_relative_difference".into(), json!(largest)),
            ("ours".into(), json!(ours)),
            ("theirs".into(), json!(theirs)),
        ]
        .into_iter()
        .collect(),
        ..Section::default()
    })
}
