//! What may be chosen, apart from any weights.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::boundary::{borrow, boundary, copy_text, drop_handle, give, optional_text, text, values};
use super::context::{Context, snt_context};
use super::dataset::snt_dataset;
use super::error::{Result, snt_error};
use super::status::snt_status;
use super::version::{give_json, give_json_as, snt_buffer};
use crate::arch::{Region, count};
use crate::graph::{Graph, onnx};
use crate::reading::parse_json;
use crate::run::described::space_file;
use crate::run::export::latency_as_shipped as as_shipped;
use crate::run::model::graph_hash;
use crate::run::recipe::LatencyConfig;
use crate::sampler::{Ask, Sampler, Uniform};
use crate::space::{Custom, Norm, SpaceConfig, Task};

/// A search space on images of given sizes. It never changes, so every thread may use it.
pub struct snt_space {
    pub(super) config: SpaceConfig,
    /// With norms as a network that stands alone has them: what is counted.
    pub(super) graph: Graph,
    pub(super) context: Arc<Context>,
    task: Task,
}

/// Builds the space called `name`, such as "nb201", for the images and classes of `dataset`. `options_json` may be NULL or hold
/// the keys that a recipe's [space] table has beside `kind`.
///
/// `out` receives a handle that the caller frees with snt_space_free; NULL on failure. Any thread. Blocks while mean and hash of
/// the images are computed, the first time.
///
/// Errors: SNT_E_INVALID_ARGUMENT for a name that isn't known, and for a space that can't be built for such images. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_builtin(
    context: *const snt_context,
    name: *const c_char,
    options_json: *const c_char,
    dataset: *const snt_dataset,
    out: *mut *mut snt_space,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let name = text(name, "name")?;
        let options = optional_text(options_json, "options_json")?.unwrap_or("{}");
        let mut table: Map<String, Value> = parse_json("options", options)?;
        table.insert("kind".into(), name.into());
        let config: SpaceConfig = parse_json("space", &Value::Object(table).to_string())?;
        built(context, config, dataset)
    })
}

/// The space of `config` on the images of `dataset`.
fn built(context: Arc<Context>, config: SpaceConfig, dataset: *const snt_dataset) -> Result<snt_space> {
    let task = Task::of(&borrow(dataset, "dataset")?.data)?;
    snt_space::new(context, config, task)
}

impl snt_space {
    fn new(context: Arc<Context>, config: SpaceConfig, task: Task) -> Result<Self> {
        let graph = config.graph(&task, Norm::Own)?;
        Ok(Self { config, graph, context, task })
    }
}

/// Builds a space for images that nobody has yet: to count and to time what networks would cost, before there are data.
///
/// `space_json` holds a recipe's [space] table, such as {"kind": "nb201", "channels": 8}, of any kind but "file"; `image` points
/// to channels, height and width of the images, each 1 to 65536 and together at most 67108864 values; there are 1 to 1000000
/// classes. `out` receives a handle that the caller frees with snt_space_free; NULL on failure. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT for other sizes, and for a space that can't be built for such images. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_for_shape(
    context: *const snt_context,
    space_json: *const c_char,
    image: *const u32,
    classes: u32,
    out: *mut *mut snt_space,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let config: SpaceConfig = parse_json("space", text(space_json, "space_json")?)?;
        let image = *values(image, 3, "image")?.first_chunk::<3>().expect("three were asked for");
        snt_space::new(context, config, Task::stand_in(image.map(i64::from), classes as usize)?)
    })
}

/// Builds the space that `space_text` describes, for the images and classes of `dataset`: a space file in TOML, or the same keys
/// in JSON if its first character is '{'. docs/spaces.md tells what stands in it.
///
/// A mistake in TOML is told with the line, as in `space:12: edge "2<-5": found node 5, wanted one of 0 to 3`. In a recipe the
/// same tables stand in [space], beside kind = "custom". `out` receives a handle that the caller frees with snt_space_free; NULL
/// on failure. Any thread. Blocks while mean and hash of the images are computed, the first time.
///
/// Errors: SNT_E_INVALID_ARGUMENT for a text that describes no space, and for a space that can't be built for such images.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_from_text(
    context: *const snt_context,
    space_text: *const c_char,
    dataset: *const snt_dataset,
    out: *mut *mut snt_space,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let text = text(space_text, "space_text")?;
        let is_json = text.trim_start().starts_with('{');
        let space = if is_json { Custom::from_json(text)? } else { Custom::from_toml("space", text)? };
        let config = SpaceConfig::Custom(space);
        built(context, config, dataset)
    })
}

/// As snt_space_from_text, from a space file in TOML. A mistake is told with the path and the line.
///
/// `path` is UTF-8.
///
/// Errors: those of snt_space_from_text, and SNT_E_NOT_FOUND if there is no such file, SNT_E_IO if it can't be read,
/// SNT_E_CORRUPT if it isn't UTF-8. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_load(
    context: *const snt_context,
    path: *const c_char,
    dataset: *const snt_dataset,
    out: *mut *mut snt_space,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let space = space_file(Path::new(text(path, "path")?))?;
        built(context, SpaceConfig::Custom(space), dataset)
    })
}

/// The space: {"space", "genes": [{"name", "options"}], "image": [channels, height, width], "graph_hash", "architectures"}; how
/// many of the latter there are is text, to the last digit or as in "1.26e40".
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block. No errors of its own.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_info_json(
    space: *const snt_space,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || {
        let snt_space { config, graph, .. } = borrow(space, "space")?;
        Ok(json!({
            "space": config,
            "genes": graph.genes(),
            "image": graph.input_shape(),
            "graph_hash": graph_hash(graph),
            "architectures": count(graph.genes()),
        }))
    })
}

/// Draws an architecture, uniformly; the same seed draws the same.
///
/// Writes text and a NUL to `buffer` if `capacity` suffices. `needed`, if not NULL, receives the size with the NUL in both cases;
/// with `buffer` NULL and `capacity` 0 the call only asks for it. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if `capacity` doesn't suffice. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_sample(
    space: *const snt_space,
    seed: u64,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let snt_space { config, graph, .. } = borrow(space, "space")?;
        let region = Region::whole(graph.genes());
        let paths = Uniform {}.ask(&Ask { genes: graph.genes(), region: &region, momentum_gene: None, seed, step: 0 });
        copy_text(&config.text(&paths[0]), buffer, capacity, needed)
    })
}

/// Writes `arch` without operations that nothing reaches or nothing reads: equal texts for most equal networks.
///
/// `buffer`, `capacity` and `needed` are those of snt_space_sample. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space, or `capacity` doesn't suffice. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_canonical(
    space: *const snt_space,
    arch: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let snt_space { config, graph, .. } = borrow(space, "space")?;
        let arch = config.canonical(graph, &Region::whole(graph.genes()), &config.parse(text(arch, "arch")?)?);
        copy_text(&config.text(&arch), buffer, capacity, needed)
    })
}

/// What `arch` costs as a network that stands alone, for one image: {"params": all trainable numbers, "macs":
/// multiply-accumulates of convolutions and linear layers, "complexity": the weights of these layers alone, without norms and
/// biases (a classifier's bias counts in spaces that say "in_complexity", as "mobilenet" does); CaLR, the schedule "complexity",
/// sets the learning rate by it}. Every operation counts that is written, also one that nothing reaches: what a search reports
/// and what is trained and exported is what snt_space_canonical gives.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block.
///
/// Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_cost_json(
    space: *const snt_space,
    arch: *const c_char,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || {
        let snt_space { config, graph, .. } = borrow(space, "space")?;
        Ok(json!(graph.cost(&config.parse(text(arch, "arch")?)?)))
    })
}

/// Times `arch` as it would be shipped, without dead operations and with fresh weights, which make no difference: on one image,
/// in ONNX Runtime on this machine's CPU.
///
/// `config_json` may be NULL, or hold a recipe's [latency] table. `report` receives {"median", "p90": milliseconds, "half_width":
/// half the width of the median's 95 % interval, as a share of the median, "runs": how many counted, "threads": how many ONNX
/// Runtime used}, freed by the caller with snt_buffer_free. Any thread. Blocks for at most twice the table's `seconds` (2 by
/// default), longer only if six runs take longer.
///
/// Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space; SNT_E_NOT_FOUND if ONNX Runtime can't be loaded. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_space_latency(
    space: *const snt_space,
    arch: *const c_char,
    config_json: *const c_char,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json_as("report", report, err, || {
        let snt_space { config, graph, task, .. } = borrow(space, "space")?;
        let arch = config.canonical(graph, &Region::whole(graph.genes()), &config.parse(text(arch, "arch")?)?);
        let table = optional_text(config_json, "config_json")?.unwrap_or("{}");
        let how: LatencyConfig = parse_json("latency", table)?;
        how.check()?;
        Ok(json!(as_shipped(config, task, &arch, onnx::OPSET_MIN, &how)?))
    })
}

/// Frees a space; NULL is fine.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_space_free(space: *mut snt_space) {
    drop_handle(space);
}
