//! How a plan is run: on which device, at which precision, with which statistics. All of it is an argument, never a mode.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Kernels, kernels};
use crate::{Error, Result};

pub use tch::Device;

/// Where the mean and variance of a norm come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistics {
    /// From the batch; nothing is remembered.
    Batch,
    /// From the batch, and the running statistics move: `running ← (1 − momentum) running + momentum batch`.
    Update {
        /// Share of the new batch; `1 / n` for the `n`-th batch gives the plain mean over batches.
        momentum: f64,
    },
    /// From the running statistics.
    Fixed,
}

impl Statistics {
    /// Whether they are the batch's, and its share in the running ones.
    pub(super) fn source(&self) -> (bool, f64) {
        match *self {
            Self::Batch => (true, 0.0),
            Self::Update { momentum } => (true, momentum),
            Self::Fixed => (false, 0.0),
        }
    }
}

/// The number type of activations and of the products; weights, statistics and the loss are always fp32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// bfloat16: 8 bits of exponent as fp32 has, 8 of precision.
    Bf16,
}

/// How numbers are computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compute {
    /// In which type.
    pub precision: Precision,
    /// By whose kernels.
    pub kernels: Kernels,
    /// Bytes that pieces of work may take together which run side by side.
    pub together: u64,
}

/// The arguments of one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Statistics of the norms.
    pub statistics: Statistics,
    /// Number type of the activations.
    pub precision: Precision,
}

impl Run {
    /// `tensor` in the type that products are computed in.
    pub fn compute(&self, tensor: &Tensor) -> Tensor {
        match self.precision {
            Precision::Fp32 => tensor.shallow_clone(),
            Precision::Bf16 => tensor.to_kind(Kind::BFloat16),
        }
    }

    /// `tensor` in the type that activations are kept in.
    pub fn store(&self, tensor: Tensor) -> Tensor {
        match self.precision {
            Precision::Fp32 => tensor,
            Precision::Bf16 => tensor.to_kind(Kind::BFloat16),
        }
    }
}

/// The same image batch with the channels of a pixel side by side in memory, which convolutions on CPUs and on tensor
/// cores prefer. The shape stays `[batch, channels, height, width]`; every later value keeps the layout.
pub fn channels_last(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// The device called `name`: `cpu` or `cuda:N`. One that is not there is an error; nothing falls back to the CPU.
pub fn device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = name.strip_prefix("cuda").map(|rest| rest.strip_prefix(':').unwrap_or(if rest.is_empty() { "0" } else { "?" }));
    let Some(index) = index.and_then(|index| index.parse::<usize>().ok()) else {
        return Err(Error::invalid("device", format!("\"{name}\""), "\"cpu\" or \"cuda:N\""));
    };
    let count = cuda_devices();
    if index >= count as usize {
        let wanted = match count {
            0 => "\"cpu\": this libtorch finds no usable CUDA device".to_owned(),
            _ => format!("\"cpu\" or \"cuda:0\"…\"cuda:{}\"", count - 1),
        };
        return Err(Error::DeviceUnavailable { found: format!("\"{name}\""), wanted });
    }
    Ok(Device::Cuda(index))
}

fn cuda_devices() -> i64 {
    load_cuda();
    if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 }
}

/// Loads libtorch's CUDA half if it is installed beside the CPU one. The linker drops it, since no symbol of it is named.
#[allow(unsafe_code)]
fn load_cuda() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: a library of libtorch's own is loaded, once, whose initialisers only register the CUDA backend.
    ONCE.call_once(|| unsafe {
        libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
    });
}

/// Settings of libtorch, which has them for the whole process. With them comes another allocator of its tensors on the CPU, which
/// keeps what is freed for the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Threads of one operation; 0 for all cores.
    pub threads: usize,
    /// On a GPU: algorithms that give the same bits each time, and fp32 products in full. Else the algorithm that is the
    /// fastest in a trial, and products of fp32 in TF32 (10 bits of mantissa). A CPU is always reproducible.
    pub reproducible: bool,
}

impl Process {
    /// Sets them.
    pub fn apply(self) {
        set_threads(self.threads);
        kernels::set_reproducible(self.reproducible);
        kernels::install_pool();
    }
}

/// Runs `work` with gradients on, whatever the thread's mode was and however `work` ends: what panics without gradients would
/// leave the thread like that.
pub fn with_gradients<T>(work: impl FnOnce() -> T) -> T {
    tch::with_grad(work)
}

/// How many threads one operation may use; 0 for all cores. Process-wide, as libtorch has it.
pub fn set_threads(threads: usize) {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    tch::set_num_threads(if threads == 0 { cores } else { threads } as i32);
}

/// How many threads one operation uses.
pub fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}
