//! `supernaut space`: what a space file describes, before anything is trained on it.

use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::arch::{Cost, Gene, Region, count};
use crate::run::described::space_file;
use crate::run::model::space_hash;
use crate::space::{Norm, Space, SpaceConfig, Task};
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct SpaceArgs {
    /// Space file, in TOML.
    file: PathBuf,
    /// Channels, height and width of the images that costs are counted for.
    #[arg(long, value_name = "CxHxW", default_value = "3x32x32")]
    image: String,
    /// Classes that costs are counted for.
    #[arg(long, default_value_t = 10)]
    classes: usize,
}

/// What is smallest at one end.
type Figure = fn(Cost) -> f64;

/// Prints genes, counts and the ends of what architectures cost.
pub(super) fn space(args: SpaceArgs) -> Result<()> {
    let space = space_file(&args.file)?;
    let task = task(&args.image, args.classes)?;
    let graph = space.graph(&task, Norm::Own)?;
    let genes = space.genes();
    print(format!("{}: {} genes, {} architectures", args.file.display(), genes.len(), count(genes)))?;
    print(format!("hash {}\n", space_hash(&SpaceConfig::Custom(space.clone()))))?;
    let longest = genes.iter().map(|gene| gene.name.len()).max().unwrap_or(0).max("gene".len());
    print(format!("{:<longest$}  options", "gene"))?;
    genes.iter().try_for_each(|Gene { name, options }| print(format!("{name:<longest$}  {}", options.join(", "))))?;
    let [channels, height, width] = task.image;
    print(format!(
        "\nimages of {channels}×{height}×{width}, {} classes; params and MACs as a network that stands alone:",
        args.classes
    ))?;
    print(format!("{:<13} {:>12} {:>15}  architecture", "", "params", "MACs"))?;
    let ends: [(&str, Figure); 4] = [
        ("fewest params", |cost| cost.params as f64),
        ("fewest MACs", |cost| cost.macs as f64),
        ("most params", |cost| -(cost.params as f64)),
        ("most MACs", |cost| -(cost.macs as f64)),
    ];
    for (name, value) in ends {
        let arch = graph.least_living(&Region::whole(graph.genes()), |arch| value(graph.cost(arch)));
        let Cost { params, macs, .. } = graph.cost(&arch);
        print(format!("{name:<13} {params:>12} {macs:>15}  {}", space.text(&arch)))?;
    }
    Ok(())
}

fn task(image: &str, classes: usize) -> Result<Task> {
    let sizes: Vec<i64> = image.split('x').map_while(|size| size.parse().ok()).collect();
    let shape = <[i64; 3]>::try_from(sizes).ok().filter(|shape| shape.map(|size| size.to_string()).join("x") == image);
    let image = shape.ok_or_else(|| Error::invalid("--image", image, "three sizes as in 3x32x32"))?;
    Task::stand_in(image, classes)
}
