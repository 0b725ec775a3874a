//! The memory of training at full size: five steps of each side, in processes of their own.

use crate::Options;
use crate::common::Result;
use crate::common::memory::{Footprint, in_fresh_process, peak, resident};
use crate::common::work::{Work, advance, pictures};
use crate::report::{Better, Figures, Row, Section};
use crate::rival::{Layout, Rival};
use crate::step::texts;

const STEPS: usize = 5;

pub fn section(options: &Options) -> Result<Section> {
    let mut footprints = vec![];
    for layout in Layout::ALL {
        footprints.push((format!("rival, {}", layout.name()), theirs(options, layout)?));
    }
    let [threads, batch] = [options.threads, options.batch].map(|number| number.to_string());
    let arguments = ["--footprint", "--device", &options.device, "--threads", &threads, "--batch", &batch];
    footprints.push(("supernaut".into(), in_fresh_process(&arguments)?));
    let mut rows = megabytes(&footprints, "the whole process", |footprint| footprint.peak);
    rows.extend(megabytes(&footprints, "less what was there before", |footprint| footprint.peak - footprint.before));
    let title = format!("Peak memory of a training step, fp32, batch {}, after {STEPS} steps", options.batch);
    let on_device = "on a GPU these are the bytes of the process, not those of the GPU".to_owned();
    let notes = if options.device == "cpu" { vec![] } else { vec![on_device] };
    Ok(Section { title, rows, notes, ..Section::default() })
}

fn megabytes(footprints: &[(String, Footprint)], what: &str, bytes: fn(&Footprint) -> u64) -> Vec<Row> {
    let figures = |(name, footprint): &(String, Footprint)| Figures {
        name: format!("{name}: {what}"),
        rounds: vec![bytes(footprint) as f64 / 1e6],
    };
    Row::all("MB", Better::Less, &footprints.iter().map(figures).collect::<Vec<_>>(), &[0, 1])
}

/// As many images as are used, so that the data weigh nothing on either side.
fn work(options: &Options) -> Work {
    Work { images: STEPS * options.batch, ..options.work() }
}

fn theirs(options: &Options, layout: Layout) -> Result<Footprint> {
    let work = work(options);
    let model = work.model()?;
    let archs = texts(&model, &work.archs(&model, STEPS as u64)?);
    let mut rival = Rival::trainee(&work, layout, &model, &pictures(work.images))?;
    rival.train(&archs)?;
    rival.footprint()
}

/// Our side, run in a process of its own.
pub fn ours(options: &Options) -> Result<Footprint> {
    let before = resident();
    let mut trainer = work(options).trainer()?;
    advance(&mut trainer, STEPS)?;
    Ok(Footprint { before, peak: peak() })
}
