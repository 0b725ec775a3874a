//! Does a run fit into the memory that its recipe allows? Worked out before the work starts, for whatever architecture of
//! the space takes most.
//!
//! A phase needs what the process has once its images are loaded, what the libraries take at their first calls, the weights
//! and what goes with them, and the greater of the activations of a batch and a checkpoint on its way to the disk.

use std::ops::Add;

use super::export;
use super::recipe::Recipe;
use crate::data::CACHE_ENDING;
use crate::graph::{Activations, Device, Graph, Kernels, Node, Op, Precision, give_back, in_pool, threads};
use crate::loss::{self, LossConfig};
use crate::space::{Norm, Task};
use crate::{Error, Result};

const MEGABYTE: u64 = 1_000_000;
/// Code, tables and threads of libtorch and ONNX Runtime, beyond what loading libtorch takes.
const LIBRARIES: u64 = 64 * MEGABYTE;
/// Evaluation isn't cut below so many images at a time: statistics from fewer say little.
const LEAST_BATCH: usize = 16;
/// Vectors as long as the weights, beside momentum: a supernet and what is trained, its gradient, that of a path and the sum
/// over paths, two in an update.
const VECTORS: u64 = 7;

/// Our kernels' gradients of 3×3 weights before they are collapsed: four numbers for each, by every thread. So few threads add up
/// in autograd.cpp that it doesn't come to more than `MOST_EXPANDED`.
const EXPANDED: u64 = 4;
const MOST_EXPANDED: u64 = 256 << 20;

/// What a run may take. Without a limit everything fits.
pub struct Memory(Option<Bounds>);

/// In bytes, unless something else is said.
struct Bounds {
    limit: u64,
    /// Of the process, the libraries, and all supernets but one, before there is a network.
    before: u64,
    weights: u64,
    /// Gradients that our kernels expand.
    expanded: u64,
    activations: Activations,
    precision: Precision,
    kernels: Kernels,
    /// Momentum groups there may be.
    groups: u64,
    /// Paths that a training step of the supernet keeps at once.
    passes: u64,
    /// What the terms of its loss take beside them.
    terms: loss::Memory,
    /// The most images that a network is judged on or calibrated with, and how many prove its file.
    counts: [usize; 2],
}

/// What some work takes.
struct Need {
    bytes: u64,
    /// The work, and what would take less.
    work: String,
}

impl Memory {
    /// For `recipe`, in this process as it is now, with its images loaded. `counts`: how many are in the largest set that a network
    /// is judged on or calibrated with, and how many prove its file.
    pub fn new(recipe: &Recipe, task: &Task, counts: [usize; 2]) -> Result<Self> {
        let Some(megabytes) = recipe.memory_limit else { return Ok(Self(None)) };
        if recipe.device != "cpu" {
            let found = format!("{megabytes} on device \"{}\"", recipe.device);
            return Err(Error::invalid(
                "memory_limit",
                found,
                "no limit there: a GPU's memory isn't looked at; or device \"cpu\"",
            ));
        }
        let graph = recipe.space.graph(task, Norm::Shared)?;
        let leaves: f64 = recipe.split.iter().map(|split| split.by.count(graph.genes())).product();
        let weights = 4 * (0..graph.nodes().len()).map(|node| graph.node_cost(node).params).sum::<u64>();
        let kernels = Kernels::chosen(recipe.kernels, Device::Cpu)?;
        let groups = graph.genes().iter().map(|gene| gene.options.len() as u64).max().unwrap_or(1);
        let ground = loss::Ground { graph: &graph, weights, groups };
        give_back(); // what waits in the pool is free
        Ok(Self(Some(Bounds {
            limit: megabytes * MEGABYTE,
            before: resident() + LIBRARIES + (leaves - 1.0) as u64 * weights,
            weights,
            expanded: if kernels == Kernels::Own { expanded(&graph, threads() as u64) } else { 0 },
            activations: Activations::most(&graph),
            precision: recipe.precision,
            kernels,
            groups,
            passes: passes(&recipe.train.loss),
            terms: recipe.train.loss.iter().map(|term| term.memory(&ground)).fold(loss::Memory::default(), Add::add),
            counts,
        })))
    }

    /// An error unless every phase of `recipe` fits, evaluation in the smallest batches.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        let Some(bounds) = &self.0 else { return Ok(()) };
        let least = recipe.search.batch.min(LEAST_BATCH);
        let Bounds { passes, terms, .. } = *bounds;
        let alone = loss::Memory::default();
        let retraining = (recipe.retrain.epochs > 0).then(|| bounds.training("retrain", recipe.retrain.batch, 1, alone));
        let training = bounds.training("train", recipe.train.batch, passes, terms);
        let needs = [bounds.proof(), bounds.evaluation(least), training];
        let greatest = retraining.into_iter().chain(needs).max_by_key(|need| need.bytes);
        bounds.allow(greatest.expect("there are three at least"))
    }

    /// How many images are evaluated at a time where `wanted` are asked for: so many, or half as many, or a quarter, …
    /// until they fit. By halves, so that a measure doesn't hang on each megabyte that a process happens to have.
    pub fn batch(&self, wanted: usize) -> Result<usize> {
        let Some(bounds) = &self.0 else { return Ok(wanted) };
        let least = wanted.min(LEAST_BATCH);
        let halves = std::iter::successors(Some(wanted), |batch| Some(batch / 2)).take_while(|&batch| batch > least);
        match halves.into_iter().find(|&batch| bounds.fits(&bounds.evaluation(batch))) {
            Some(batch) => Ok(batch),
            None => bounds.allow(bounds.evaluation(least)).map(|()| least),
        }
    }
}

impl Bounds {
    /// A step that keeps the values of `passes` paths at once, and what the terms of the loss want beside.
    fn training(&self, table: &str, batch: usize, passes: u64, terms: loss::Memory) -> Need {
        let per_image = in_pool(passes * self.activations.training(self.precision, self.kernels) + terms.per_image);
        let fixed = self.before + in_pool((VECTORS + self.groups) * self.weights + self.expanded + terms.always);
        let checkpoint = self.checkpoint() + 2 * terms.kept;
        let most = self.limit.saturating_sub(fixed) / per_image;
        let smaller = match most >= 1 && fixed + checkpoint <= self.limit {
            true => format!(" (or a smaller {table}.batch, at most {most})"),
            false => String::new(),
        };
        Need {
            bytes: fixed + (batch as u64 * per_image).max(checkpoint),
            work: format!("a {table}ing step of batch {batch}{smaller}"),
        }
    }

    fn evaluation(&self, batch: usize) -> Need {
        let images = in_pool(batch.min(self.counts[0]) as u64 * self.activations.evaluation(self.precision));
        Need { bytes: self.judging() + images.max(self.checkpoint()), work: format!("evaluation in batches of {batch}") }
    }

    /// A network and its file side by side. ONNX Runtime lays out its memory before it runs.
    fn proof(&self) -> Need {
        let images = export::BATCH.min(self.counts[1]);
        let each = self.activations.evaluation(Precision::Fp32);
        let both = images as u64 * (in_pool(each) + each);
        Need { bytes: self.judging() + both, work: format!("the proof of a file on {images} images at a time") }
    }

    /// Before there is an image.
    fn judging(&self) -> u64 {
        self.before + in_pool(VECTORS * self.weights)
    }

    /// Weights and momentum as they are written or read: as tensors, and as a file.
    fn checkpoint(&self) -> u64 {
        2 * (1 + self.groups) * self.weights
    }

    fn fits(&self, need: &Need) -> bool {
        need.bytes <= self.limit
    }

    fn allow(&self, need: Need) -> Result<()> {
        if self.fits(&need) {
            return Ok(());
        }
        let (found, wanted) = (self.limit / MEGABYTE, need.bytes.div_ceil(MEGABYTE));
        Err(Error::invalid("memory_limit", format!("{found} MB"), format!("at least {wanted} MB for {}", need.work)))
    }
}

/// Paths whose values a training step keeps at once: a term's own while it looks at a path, then those of all that look at the
/// step.
fn passes(terms: &[LossConfig]) -> u64 {
    let of_path = terms.iter().map(|term| term.passes_of_path()).max().unwrap_or(1);
    of_path.max(terms.iter().map(|term| term.passes_of_step()).sum())
}

/// Bytes of the gradients that our kernels expand on so many threads. The convolutions that read one image share a pass: at most
/// one for each gene, since an edge has one operation, and in all cells it's the same genes.
fn expanded(graph: &Graph, threads: u64) -> u64 {
    let dense = |node: usize| match &graph.nodes()[node] {
        Node::Op { op: Op::Conv(conv), .. } if conv.kernel == 3 && conv.groups == 1 => 4 * graph.node_cost(node).params,
        _ => 0,
    };
    let weights: Vec<u64> = (0..graph.nodes().len()).map(dense).collect();
    let sharing = graph.genes().len().max(1) as u64 * weights.iter().max().copied().unwrap_or(0);
    (EXPANDED * threads * sharing.min(weights.iter().sum())).min(MOST_EXPANDED)
}

/// Bytes of this process that are in memory; 0 where the system doesn't say. Pictures in a mapped file don't count: they are
/// the page cache's, which drops them when memory is wanted.
fn resident() -> u64 {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let kilobytes = |line: &str, name: &str| {
        let number = line.strip_prefix(name)?.trim().trim_end_matches(" kB");
        number.parse::<u64>().ok()
    };
    let all = read("status").lines().find_map(|line| kilobytes(line, "VmRSS:")).unwrap_or(0);
    let (mut pictures, mut mapped) = (0, false);
    for line in read("smaps").lines() {
        match kilobytes(line, "Rss:") {
            Some(size) if mapped => pictures += size,
            Some(_) => {}
            // A range of addresses begins the next mapping; the other lines begin with a name and a colon.
            None if line.split(' ').next().is_some_and(|word| word.contains('-')) => mapped = line.ends_with(CACHE_ENDING),
            None => {}
        }
    }
    all.saturating_sub(pictures) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{MobileNet, Nb201, SpaceConfig};

    /// 100 MB before anything, a million weights; 800 kB an image to train on, thus blocks of 1 MB, and 320 kB, thus 400, to
    /// judge it.
    fn memory(megabytes: u64) -> Memory {
        Memory(Some(Bounds {
            limit: megabytes * MEGABYTE,
            before: 100 * MEGABYTE,
            weights: 4 * MEGABYTE,
            expanded: 0,
            activations: Activations { all: 0, kept: 100_000, peak: 80_000, greatest: 10_000, unfolded: 0 },
            precision: Precision::Fp32,
            kernels: Kernels::Own,
            groups: 5,
            passes: 1,
            terms: loss::Memory::default(),
            counts: [1000, 40],
        }))
    }

    fn recipe() -> Recipe {
        let text = "validation = 1\nspace = { kind = \"nb201\" }\ntrain = { batch = 64 }\nretrain = { batch = 70 }\n";
        Recipe::from_toml(&format!("{text}search = {{ batch = 256 }}")).unwrap()
    }

    #[test]
    fn the_greatest_need_is_told_with_the_way_out() {
        let refused = |megabytes| memory(megabytes).check(&recipe()).unwrap_err().to_string();
        // 100 + 12 · 4 · 5/4 + 70 MB for the larger of the two training steps.
        let need = "wanted at least 230 MB for a retraining step of batch 70";
        assert_eq!(refused(229), format!("memory_limit: found 229 MB, {need} (or a smaller retrain.batch, at most 69)"));
        assert_eq!(refused(207), format!("memory_limit: found 207 MB, {need}"), "a checkpoint takes 48 MB whatever the batch");
        assert!(memory(230).check(&recipe()).is_ok());
        assert!(Memory(None).check(&recipe()).is_ok());
        // Gradients that are expanded: 16 MB · 5/4 more.
        let more = Memory(Some(Bounds { expanded: 16 * MEGABYTE, ..memory(249).0.unwrap() })).check(&recipe()).unwrap_err();
        assert!(more.to_string().contains("wanted at least 250 MB"), "{more}");
        // 100 + 60 + 2 · 64 MB: the two paths of a pair.
        let pairs = Memory(Some(Bounds { passes: 2, ..memory(287).0.unwrap() })).check(&recipe()).unwrap_err().to_string();
        let need = "wanted at least 288 MB for a training step of batch 64 (or a smaller train.batch, at most 63)";
        assert_eq!(pairs, format!("memory_limit: found 287 MB, {need}"));
    }

    #[test]
    fn terms_are_counted_with_what_they_keep_and_run() {
        let of = |loss: &str| {
            let text = format!(
                "validation = 1\nspace = {{ kind = \"nb201\" }}\ntrain = {{ sampler = {{ kind = \"disjoint\" }}, loss = [{loss}] }}"
            );
            Recipe::from_toml(&text).unwrap().train.loss
        };
        let (task, landmark) = ("{ kind = \"task\" }", "{ kind = \"landmark\", archs = [\"a\", \"b\"], pairs = 3 }");
        let crossing = "{ kind = \"cross_path\", negatives = 1000, hidden = 20, width = 10 }";
        let counts = [task, landmark, crossing].map(|loss| passes(&of(loss)));
        assert_eq!(counts, [1, 6, 2], "a path; three pairs at once; two paths at once");
        assert_eq!(
            passes(&of(&format!("{task}, {landmark}, {crossing}"))),
            8,
            "all that look at the step, after each path alone"
        );
        let task = Task { image: [3, 8, 8], classes: vec![String::new(); 10], mean: vec![0.0; 3], deviation: vec![1.0; 3] };
        let graph = SpaceConfig::Nb201(Nb201::default()).graph(&task, Norm::Shared).unwrap();
        let memory = of(crossing)[0].memory(&loss::Ground { graph: &graph, weights: 1_000_000, groups: 5 });
        // 64 features: a neck of 64 · 20 + 20 + 20 · 10 + 10 numbers and a queue of 10,000.
        let (neck, queue) = (4 * 1510, 40_000);
        assert_eq!(memory.kept, 1_000_000 + 2 * neck + queue, "teacher, two necks, queue");
        assert_eq!(memory.always, memory.kept + 7 * neck + queue);
        assert_eq!(memory.per_image, 4 * 6 * 1001 + 32 * 30);
    }

    #[test]
    fn evaluation_batches_are_halved_until_they_fit() {
        // 100 + 7 · 4 · 5/4 MB, and 0.4 MB an image or 48 MB.
        let batches = [238, 237, 187].map(|megabytes| memory(megabytes).batch(256).unwrap());
        assert_eq!(batches, [256, 128, 128]);
        let bounds = |megabytes| Bounds { groups: 0, ..memory(megabytes).0.unwrap() };
        let small = |megabytes, wanted| Memory(Some(bounds(megabytes))).batch(wanted);
        assert_eq!([small(161, 256).unwrap(), small(148, 256).unwrap(), small(148, 250).unwrap()], [64, 32, 31]);
        assert_eq!(small(143, 8).unwrap(), 8, "what is asked for is never raised");
        assert_eq!(Memory(None).batch(256).unwrap(), 256);
        let wanted = "memory_limit: found 142 MB, wanted at least 143 MB for evaluation in batches of 16";
        assert_eq!(small(142, 256).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn gradients_are_expanded_for_as_many_convolutions_as_read_one_image() {
        let task = Task { image: [3, 32, 32], classes: vec![String::new(); 10], mean: vec![0.0; 3], deviation: vec![1.0; 3] };
        let bytes = |space: SpaceConfig, threads| expanded(&space.graph(&task, Norm::Shared).unwrap(), threads);
        let nb201 = |channels| SpaceConfig::Nb201(Nb201 { channels, ..Default::default() });
        // The widest have 64 × 64 × 9 weights of 4 bytes, six edges share an image at most.
        assert_eq!(bytes(nb201(16), 2), 2 * 4 * 6 * 64 * 64 * 9 * 4);
        assert_eq!(bytes(nb201(512), 64), 256 << 20);
        // A MobileNet has one 3×3 convolution that isn't depthwise: its stem, of 3 → 32 channels.
        assert_eq!(bytes(SpaceConfig::MobileNet(MobileNet::default()), 1), 4 * 32 * 3 * 9 * 4);
    }

    #[test]
    fn a_gpu_is_told_apart() {
        let recipe = Recipe { memory_limit: Some(800), device: "cuda:0".into(), ..recipe() };
        let task = Task { image: [1, 8, 8], classes: vec![], mean: vec![], deviation: vec![] };
        let message = Memory::new(&recipe, &task, [1, 1]).err().unwrap().to_string();
        assert!(message.starts_with("memory_limit: found 800 on device \"cuda:0\", wanted no limit"), "{message}");
    }

    #[test]
    #[expect(unsafe_code, reason = "mapping a file")]
    fn pictures_in_a_mapped_file_are_the_systems() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("some{CACHE_ENDING}"));
        std::fs::write(&path, vec![7; 1 << 26]).unwrap();
        let before = resident();
        // SAFETY: nobody else knows the file.
        let map = unsafe { memmap2::Mmap::map(&std::fs::File::open(&path).unwrap()) }.unwrap();
        assert_eq!(map.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>(), 7 << 14);
        assert!(resident() < before + (1 << 24), "{before} {}", resident());
    }

    #[test]
    fn this_process_is_somewhere() {
        assert!(resident() > MEGABYTE);
    }
}
