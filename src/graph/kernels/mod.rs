//! Kernels of our own, for training and judging supernets on a CPU.
//!
//! A supernet of small convolutions spends its time on memory, not on products: each norm, ReLU or ReLU6, pool and sum reads and
//! writes whole images. `join` does all that lies between two rounds of convolutions in one pass each way, and
//! `convolutions` computes 3×3 kernels with a quarter of the products (Winograd's F(4×4, 3×3), arXiv:1509.09308).
//! Both have gradients. They compute what the operators compute, in fp32, fp64 and bf16 (products and statistics in fp32),
//! on images in the channels-last layout with a multiple of 8 channels.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// Channels must come in multiples of this.
pub const LANES: i64 = 8;

/// Whose kernels a network is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernels {
    /// Those of this module where they apply, libtorch's for the rest. On a CPU only.
    Own,
    /// libtorch's, operator by operator.
    Libtorch,
}

impl Kernels {
    /// The fastest that `device` can run.
    pub fn fastest(device: Device) -> Self {
        if device == Device::Cpu && cpu_can_run_them() { Self::Own } else { Self::Libtorch }
    }

    /// Those asked for, or the fastest; an error if `device` can't run them.
    pub fn chosen(asked: Option<Self>, device: Device) -> Result<Self> {
        match asked {
            Some(Self::Own) if Self::fastest(device) != Self::Own => {
                let found = format!("\"own\" on {}", if device == Device::Cpu { "a CPU without AVX2" } else { "a GPU" });
                Err(Error::invalid("kernels", found, "\"libtorch\", or nothing for the fastest that the device can run"))
            }
            asked => {
                let chosen = asked.unwrap_or(Self::fastest(device));
                if chosen == Self::Own { check_level().map(|()| chosen) } else { Ok(chosen) }
            }
        }
    }
}

/// Refuses a level of instructions that isn't there, where the environment asks for one.
fn check_level() -> Result<()> {
    const WANTED: &str = r#""base", or "avx512" or "wide" on a CPU that has AVX-512 with bf16"#;
    let Some(asked) = std::env::var_os("SUPERNAUT_LEVEL") else { return Ok(()) };
    // SAFETY: reads a string that ends with a zero.
    let is_there = CString::new(asked.as_bytes()).is_ok_and(|name| unsafe { supernaut_has_level(name.as_ptr()) });
    if is_there { Ok(()) } else { Err(Error::invalid("SUPERNAUT_LEVEL", format!("{asked:?}"), WANTED)) }
}

/// Whether this CPU has the instructions that build.rs compiles the kernels for.
fn cpu_can_run_them() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return true;
}

/// Whether libtorch multiplies bf16 in hardware here, and thus faster than our kernels do in fp32.
pub(super) fn cpu_multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// How an image enters a join, or is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Form {
    /// As it is.
    Plain = 0,
    /// Its 3×3 average with stride 1, without the padding. A join's reader gets the value itself and pools it as it reads.
    Pooled = 1,
    /// Its ReLU.
    Positive = 2,
    /// Its ReLU6. A join has readers of its ReLU or of its ReLU6, not of both.
    Clipped = 3,
}

/// Statistics and own weights of a norm.
pub(super) struct Norm<'a> {
    /// Own scale and shift, by channel.
    pub(super) affine: Option<[&'a Tensor; 2]>,
    /// Running mean and variance, by channel.
    pub(super) running: Option<[&'a Tensor; 2]>,
}

/// One summand of a join.
pub(super) struct Summand<'a> {
    pub(super) image: &'a Tensor,
    pub(super) form: Form,
    pub(super) norm: Option<Norm<'a>>,
}

/// Where the norms of a join take their statistics from.
pub(super) struct NormSettings {
    /// From the batch, else the running ones.
    pub(super) from_batch: bool,
    /// Share of the batch in the running statistics; 0 leaves them as they are.
    pub(super) momentum: f64,
    /// Added to the variance.
    pub(super) epsilon: f64,
}

/// `image` `[batch, in, height, width]` convolved with each of `weights` `[out, in, kernel, kernel]`: stride 1, kernel 1, or 3
/// with padding 1.
pub(super) fn convolutions(image: &Tensor, weights: &[Tensor]) -> Vec<Tensor> {
    let weights: Vec<*const c_void> = weights.iter().map(address).collect();
    let mut results = vec![std::ptr::null_mut(); weights.len()];
    // SAFETY: the pointers are live tensors, `results` has room for one tensor per weight.
    check(unsafe { supernaut_convolutions(address(image), weights.as_ptr(), weights.len() as i64, results.as_mut_ptr()) });
    results.into_iter().map(taken).collect()
}

/// The sum of `summands`, once for each reader in the form that it wants.
pub(super) fn join(summands: &[Summand], settings: &NormSettings, readers: &[Form]) -> Vec<Tensor> {
    let of = |pair: Option<[&Tensor; 2]>, at: usize| pair.map_or(std::ptr::null(), |pair| address(pair[at]));
    let term = |summand: &Summand| {
        let (affine, running) = summand.norm.as_ref().map_or((None, None), |norm| (norm.affine, norm.running));
        RawTerm {
            tensor: address(summand.image),
            form: summand.form,
            is_normed: summand.norm.is_some(),
            scale: of(affine, 0),
            shift: of(affine, 1),
            mean: of(running, 0),
            variance: of(running, 1),
        }
    };
    let terms: Vec<RawTerm> = summands.iter().map(term).collect();
    let settings = RawSettings {
        terms: terms.as_ptr(),
        count: terms.len() as i64,
        readers: readers.as_ptr(),
        reader_count: readers.len() as i64,
        from_batch: settings.from_batch,
        momentum: settings.momentum,
        epsilon: settings.epsilon,
    };
    let mut results = vec![std::ptr::null_mut(); readers.len()];
    // SAFETY: `settings` points at live tensors and at slices of the lengths it names; `results` has room for every reader.
    check(unsafe { supernaut_join(&settings, results.as_mut_ptr()) });
    results.into_iter().map(taken).collect()
}

/// The constants of one SGD step, as the kernel has them.
#[repr(C)]
pub(crate) struct SgdStep {
    pub(crate) rate: f32,
    pub(crate) momentum: f32,
    pub(crate) decay: f32,
    /// Factor on the gradient.
    pub(crate) scale: f32,
    pub(crate) nesterov: bool,
}

/// Updates the flat fp32 CPU tensors `weights` and `momentum` at the slices `starts…ends`, each with its gradient, or with
/// zeros. The gradients are scaled so that their common norm is at most `clip`, if that isn't 0.
pub(crate) fn sgd(
    [weights, momentum]: [&Tensor; 2],
    [starts, ends]: [&[i64]; 2],
    gradients: &[Option<&Tensor>],
    step: &SgdStep,
    clip: f64,
) -> f64 {
    let length = weights.size()[0];
    assert!(starts.len() == ends.len() && starts.len() == gradients.len(), "a start, an end and a gradient per slice");
    assert!(starts.iter().zip(ends).all(|(start, end)| 0 <= *start && start <= end && *end <= length), "slices lie within");
    let is_flat = |tensor: &Tensor| tensor.kind() == Kind::Float && tensor.device() == Device::Cpu && tensor.is_contiguous();
    assert!(is_flat(weights) && is_flat(momentum) && momentum.size() == [length], "flat fp32 tensors on the CPU, equally long");
    for (gradient, (start, end)) in gradients.iter().zip(starts.iter().zip(ends)) {
        let fits = |gradient: &Tensor| gradient.kind() == Kind::Float && gradient.numel() as i64 == end - start;
        assert!(gradient.is_none_or(fits), "a gradient is as long as its slice, in fp32");
        assert!(gradient.is_none_or(|gradient| gradient.device() == Device::Cpu), "a gradient is on the CPU");
    }
    let gradients: Vec<*const c_void> = gradients.iter().map(|one| one.map_or(std::ptr::null(), address)).collect();
    let mut norm = 0.0;
    // SAFETY: live tensors on the CPU; the slices lie within them and fit their gradients, as just checked.
    check(unsafe {
        supernaut_sgd(
            address(weights),
            address(momentum),
            starts.as_ptr(),
            ends.as_ptr(),
            gradients.as_ptr(),
            starts.len() as i64,
            step,
            clip,
            &mut norm,
        )
    });
    norm
}

/// Calls `work`, which must not panic, with 0…`count`, each on one of libtorch's threads as far as there are so many. What
/// libtorch does within is done by that thread alone.
pub(super) fn on_threads(count: usize, work: &(dyn Fn(usize) + Sync)) {
    extern "C" fn call(work: *const c_void, at: i64) {
        // SAFETY: the reference below, which outlives the call that it is handed to.
        let work = unsafe { &*work.cast::<&(dyn Fn(usize) + Sync)>() };
        work(at as usize);
    }
    // SAFETY: `call` gets back what is handed over with it, shared between threads as `Sync` allows.
    check(unsafe { supernaut_on_threads(count as i64, call, (&raw const work).cast()) });
}

/// See [`Process::reproducible`](super::Process).
pub(super) fn set_reproducible(yes: bool) {
    // SAFETY: sets four flags of libtorch.
    unsafe { supernaut_reproducible(yes) }
}

/// The most that tensors which come to `bytes` at once, in whole pages, take from the system: see pool.cpp.
pub fn in_pool(bytes: u64) -> u64 {
    bytes + bytes / 4
}

/// From now on tensors on the CPU lie in blocks that are kept when they are freed.
pub(super) fn install_pool() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: libtorch stores a pointer, once. A tensor is freed by the allocator that it is from.
    ONCE.call_once(|| unsafe { supernaut_pool_install() });
}

/// Gives the blocks that no tensor uses back to the system.
pub(super) fn clear_pool() {
    // SAFETY: locks what it changes.
    unsafe { supernaut_pool_clear() }
}

/// Whether this build can record graphs and events.
pub(super) const HAS_CUDA: bool = cfg!(has_cuda);

/// The launches that `work` made on a CUDA device, to be made again as one.
pub(super) struct CudaGraph(*mut c_void);

#[cfg(has_cuda)]
impl CudaGraph {
    /// Records what `work` launches on CUDA device `device`. Nothing runs yet.
    pub(super) fn record(device: usize, work: impl FnOnce()) -> Self {
        let mut recording = std::ptr::null_mut();
        // SAFETY: `recording` has room for the pointer, which `CudaGraph` owns.
        check(unsafe { supernaut_graph_begin(device as i32, &mut recording) });
        let graph = Self(recording);
        work();
        // SAFETY: begun just now, on this thread.
        check(unsafe { supernaut_graph_end(graph.0) });
        graph
    }

    /// Launches all of it.
    pub(super) fn replay(&self) {
        // SAFETY: a whole recording.
        check(unsafe { supernaut_graph_replay(self.0) });
    }
}

#[cfg(has_cuda)]
impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: made by `record`, freed once.
        unsafe { supernaut_graph_free(self.0) }
    }
}

#[cfg(not(has_cuda))]
impl CudaGraph {
    /// Never called: see [`HAS_CUDA`].
    pub(super) fn record(_: usize, _: impl FnOnce()) -> Self {
        unreachable!("this build has no CUDA")
    }

    /// Never called.
    pub(super) fn replay(&self) {
        unreachable!("this build has no CUDA: {:?}", self.0)
    }
}

/// A copy of `tensor`, which is on the CPU, that a CUDA device can fetch in the background.
#[cfg(has_cuda)]
pub(super) fn pinned(tensor: &Tensor) -> Tensor {
    let mut pinned = std::ptr::null_mut();
    // SAFETY: a live tensor; `pinned` has room for the pointer, which becomes a tensor of ours.
    check(unsafe { supernaut_pinned(address(tensor), &mut pinned) });
    taken(pinned)
}

/// Without CUDA nobody fetches it.
#[cfg(not(has_cuda))]
pub(super) fn pinned(tensor: &Tensor) -> Tensor {
    tensor.shallow_clone()
}

/// A mark among the launches on a CUDA device.
pub(super) struct CudaEvent(*mut c_void);

// SAFETY: CUDA's calls on events may come from any thread, and an event has one owner.
unsafe impl Send for CudaEvent {}

#[cfg(has_cuda)]
impl CudaEvent {
    /// Behind all that was launched on CUDA device `device`.
    pub(super) fn record(device: usize) -> Self {
        let mut event = std::ptr::null_mut();
        // SAFETY: `event` has room for the pointer, which `CudaEvent` owns.
        check(unsafe { supernaut_event_record(device as i32, &mut event) });
        Self(event)
    }

    /// Returns when the device has done what was launched before the mark.
    pub(super) fn wait(&self) {
        // SAFETY: made by `record`.
        check(unsafe { supernaut_event_wait(self.0) });
    }
}

#[cfg(has_cuda)]
impl Drop for CudaEvent {
    fn drop(&mut self) {
        // SAFETY: made by `record`, freed once.
        unsafe { supernaut_event_free(self.0) }
    }
}

#[cfg(not(has_cuda))]
impl CudaEvent {
    /// Never called: see [`HAS_CUDA`].
    pub(super) fn record(_: usize) -> Self {
        unreachable!("this build has no CUDA")
    }

    /// Never called.
    pub(super) fn wait(&self) {
        unreachable!("this build has no CUDA: {:?}", self.0)
    }
}

// In cuda.cpp.
#[cfg(has_cuda)]
unsafe extern "C" {
    fn supernaut_graph_begin(device: i32, recording: *mut *mut c_void) -> *mut c_char;
    fn supernaut_graph_end(recording: *mut c_void) -> *mut c_char;
    fn supernaut_graph_replay(recording: *mut c_void) -> *mut c_char;
    fn supernaut_graph_free(recording: *mut c_void);
    fn supernaut_pinned(tensor: *const c_void, result: *mut *mut c_void) -> *mut c_char;
    fn supernaut_event_record(device: i32, event: *mut *mut c_void) -> *mut c_char;
    fn supernaut_event_wait(event: *mut c_void) -> *mut c_char;
    fn supernaut_event_free(event: *mut c_void);
}

#[repr(C)]
struct RawTerm {
    tensor: *const c_void,
    form: Form,
    is_normed: bool,
    scale: *const c_void,
    shift: *const c_void,
    mean: *const c_void,
    variance: *const c_void,
}

#[repr(C)]
struct RawSettings {
    terms: *const RawTerm,
    count: i64,
    readers: *const Form,
    reader_count: i64,
    from_batch: bool,
    momentum: f64,
    epsilon: f64,
}

// In pool.cpp.
unsafe extern "C" {
    fn supernaut_pool_install();
    fn supernaut_pool_clear();
    #[cfg(test)]
    fn supernaut_pool_taken() -> usize;
}

// In autograd.cpp. Those that give a string give null, or a message that was allocated by malloc.
unsafe extern "C" {
    fn supernaut_has_level(name: *const c_char) -> bool;
    fn supernaut_convolutions(
        image: *const c_void,
        weights: *const *const c_void,
        count: i64,
        results: *mut *mut c_void,
    ) -> *mut c_char;
    fn supernaut_join(settings: *const RawSettings, results: *mut *mut c_void) -> *mut c_char;
    fn supernaut_on_threads(count: i64, work: extern "C" fn(*const c_void, i64), context: *const c_void) -> *mut c_char;
    fn supernaut_reproducible(yes: bool);
    fn supernaut_sgd(
        weights: *const c_void,
        momentum: *const c_void,
        starts: *const i64,
        ends: *const i64,
        gradients: *const *const c_void,
        count: i64,
        step: *const SgdStep,
        clip: f64,
        norm: *mut f64,
    ) -> *mut c_char;
}

fn address(tensor: &Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}

fn taken(tensor: *mut c_void) -> Tensor {
    // SAFETY: a fresh libtorch tensor on the heap, as tch has them, that nobody else owns.
    unsafe { Tensor::from_ptr(tensor.cast()) }
}

/// Panics with the message of what libtorch threw, as tch does.
fn check(message: *mut c_char) {
    if message.is_null() {
        return;
    }
    // SAFETY: a string from malloc, freed once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        libc::free(message.cast());
        text
    };
    panic!("{text}");
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::graph::channels_last;

    #[test]
    fn a_small_deviation_beside_a_great_mean_keeps_its_digits() {
        let noise = (Tensor::arange(4 * 16 * 9 * 9, (Kind::Float, Device::Cpu)) * 12.9898).sin();
        let image = channels_last(&(noise.view([4, 16, 9, 9]) + 1000.0));
        let norm = Some(Norm { affine: None, running: None });
        let settings = NormSettings { from_batch: true, momentum: 0.0, epsilon: 1e-5 };
        let found = &join(&[Summand { image: &image, form: Form::Plain, norm }], &settings, &[Form::Plain])[0];
        let exact = image.to_kind(Kind::Double);
        let axes: &[i64] = &[0, 2, 3];
        let centred = &exact - exact.mean_dim(axes, true, Kind::Double);
        let wanted = &centred / (centred.square().mean_dim(axes, true, Kind::Double) + 1e-5).sqrt();
        let gap = (found - wanted).abs().max().double_value(&[]);
        assert!(gap < 2e-3, "{gap}"); // 1000 has 5 more bits before the point than fp32 can spare
    }

    /// Bytes that the pool has from the system.
    fn pooled() -> u64 {
        // SAFETY: reads a number.
        unsafe { supernaut_pool_taken() as u64 }
    }

    fn bytes(count: u64) -> Tensor {
        Tensor::empty([count as i64], (Kind::Uint8, Device::Cpu))
    }

    /// Runs `facts`, the body of the test `name`, in a process of its own: the pool has the tensors of all.
    fn in_a_process_of_its_own(name: &str, facts: impl Fn()) {
        const CHILD: &str = "SUPERNAUT_POOL_TEST";
        if std::env::var_os(CHILD).is_some() {
            install_pool();
            return facts();
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", &format!("graph::kernels::tests::{name}")]).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    fn a_block_is_used_again_and_given_back_when_asked_for() {
        in_a_process_of_its_own("a_block_is_used_again_and_given_back_when_asked_for", || {
            let [large, small] = [1 << 20, (1 << 16) - 1].map(bytes);
            let block = (1 << 20) + 4096; // a page for what stands in front of the numbers
            assert_eq!(pooled(), block, "small blocks are malloc's");
            let at = large.data_ptr();
            assert!([at, small.data_ptr()].iter().all(|at| (*at as usize).is_multiple_of(64)), "vectors of 64 bytes");
            drop(large);
            assert_eq!(pooled(), block);
            let shorter = bytes((1 << 20) - 1000);
            assert_eq!((shorter.data_ptr(), pooled()), (at, block));
            let other = bytes(1 << 18);
            assert_ne!(other.data_ptr(), at);
            drop(other);
            clear_pool();
            assert_eq!(pooled(), block, "what is in use stays");
            drop(shorter);
            clear_pool();
            assert_eq!(pooled(), 0);
        });
    }

    #[test]
    fn all_blocks_are_at_most_a_quarter_more_than_was_in_use() {
        in_a_process_of_its_own("all_blocks_are_at_most_a_quarter_more_than_was_in_use", || {
            let mut stream = rand_chacha::ChaCha8Rng::seed_from_u64(3);
            let (mut tensors, mut most): (Vec<(u64, Tensor)>, u64) = (vec![], 0);
            for step in 0..4000 {
                if tensors.len() > 20 || (tensors.len() > 1 && stream.random_bool(0.4)) {
                    _ = tensors.swap_remove(stream.random_range(0..tensors.len()));
                } else {
                    let size = stream.random_range(1 << 16..1 << 20);
                    tensors.push((size, bytes(size)));
                }
                let used = tensors.iter().map(|(size, _)| (size + 64).next_multiple_of(4096)).sum();
                most = most.max(used);
                if step % 500 == 0 {
                    clear_pool();
                    most = pooled();
                }
                assert!((used..=in_pool(most)).contains(&pooled()), "{used} {} {most}", pooled());
                let mut places: Vec<_> = tensors.iter().map(|(size, tensor)| (tensor.data_ptr() as u64, *size)).collect();
                places.sort();
                assert!(places.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "no two tensors share a byte");
            }
        });
    }

    #[test]
    fn a_tensor_that_no_memory_is_left_for_is_told_as_such() {
        in_a_process_of_its_own("a_tensor_that_no_memory_is_left_for_is_told_as_such", || {
            let panic = std::panic::catch_unwind(|| bytes(1 << 60)).unwrap_err();
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(message.contains("not enough memory: the system has no 1152921504606846976 bytes"), "{message}");
            assert_eq!(bytes(1 << 20).size(), [1 << 20], "the next one fits");
        });
    }

    #[test]
    fn what_lies_outside_an_image_is_not_pooled_even_beside_infinity() {
        let settings = NormSettings { from_batch: true, momentum: 0.0, epsilon: 1e-5 };
        let joined = |image: &Tensor, form: Form, reader: Form| {
            join(&[Summand { image, form, norm: None }], &settings, &[reader]).remove(0)
        };
        let of_libtorch = |image: &Tensor| image.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None);
        for (channels, [height, width]) in [(8, [5, 5]), (16, [5, 5]), (16, [1, 4]), (16, [4, 1])] {
            let image = Tensor::arange(channels * height * width, (Kind::Float, Device::Cpu)).view([1, channels, height, width]);
            for [row, column] in [[0, 0], [height - 1, width - 1], [height / 2, width - 1], [0, width / 2]] {
                _ = image.get(0).get(3).get(row).get(column).fill_(f64::INFINITY);
            }
            let image = channels_last(&image);
            for kind in [Kind::Float, Kind::BFloat16] {
                let (found, wanted) =
                    (joined(&image.to_kind(kind), Form::Pooled, Form::Plain).to_kind(Kind::Float), of_libtorch(&image));
                let gap = if kind == Kind::Float { 1e-6 } else { 1e-2 };
                assert!(found.allclose(&wanted, gap, 0.0, false), "{kind:?} {channels} {height} {width}");
            }
            // A gradient that comes back from a reader that pools goes to the neighbours.
            let read_pooled = |image: &Tensor| joined(image, Form::Plain, Form::Pooled);
            let [found, wanted] = [&read_pooled as &dyn Fn(&Tensor) -> Tensor, &of_libtorch].map(|pool| {
                let leaf = image.zeros_like().set_requires_grad(true);
                Tensor::run_backward(&[(pool(&leaf) * &image).sum(None)], &[&leaf], false, false).remove(0)
            });
            assert!(found.allclose(&wanted, 1e-6, 0.0, false), "gradient {channels} {height} {width}");
        }
    }

    #[test]
    fn a_relu_and_a_relu6_are_those_of_libtorch_and_one_join_has_not_both() {
        let settings = NormSettings { from_batch: true, momentum: 0.0, epsilon: 1e-5 };
        let image = channels_last(&(Tensor::arange(16 * 25, (Kind::Double, Device::Cpu)).view([1, 16, 5, 5]) * 0.05 - 8.0)); // 0 and 6, too
        let weights = [0.7, -1.3, 2.1].map(|factor| (&image * factor).cos());
        let gradient = |values: &dyn Fn(&Tensor) -> Vec<Tensor>| {
            let leaf = image.copy().set_requires_grad(true);
            let loss = values(&leaf).iter().zip(&weights).map(|(value, weight)| (value * weight).sum(None)).reduce(|a, b| a + b);
            Tensor::run_backward(&[loss.unwrap()], &[&leaf], false, false).remove(0)
        };
        for (form, active) in [(Form::Positive, Tensor::relu as fn(&Tensor) -> Tensor), (Form::Clipped, Tensor::relu6)] {
            let readers = [form, Form::Plain, form];
            let own = |image: &Tensor| join(&[Summand { image, form: Form::Plain, norm: None }], &settings, &readers);
            let wanted = |image: &Tensor| vec![active(image), image.shallow_clone(), active(image)];
            assert_eq!(own(&image), wanted(&image));
            assert!(gradient(&own).allclose(&gradient(&wanted), 1e-12, 1e-12, false), "{form:?}");
        }
        let both =
            || join(&[Summand { image: &image, form: Form::Plain, norm: None }], &settings, &[Form::Clipped, Form::Positive]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(both)).is_err());
    }
}
