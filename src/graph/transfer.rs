//! Between this program and a GPU, without waiting for the work that is queued there: a copy of ordinary memory, or a look at a
//! value, would hold the queue up until it is empty. On a CPU all of this is nothing.

use std::cell::RefCell;
use std::collections::HashMap;

use tch::{Device, Tensor};

use super::kernels::{CudaEvent, HAS_CUDA, pinned};

/// `tensor`, which lies in this program's memory, on `device`. Nothing waits: what is launched later finds it there.
pub fn upload(tensor: &Tensor, device: Device) -> Tensor {
    match device {
        Device::Cpu => tensor.shallow_clone(),
        // Pinned memory is copied in the background, and kept by libtorch until it was.
        _ => pinned(tensor).to_device_(device, tensor.kind(), true, false),
    }
}

/// These numbers on `device`, uploaded once per thread: a recording of launches can't hold an upload.
pub(super) fn constant(values: &[f32], device: Device) -> Tensor {
    thread_local! {
        static UPLOADED: RefCell<HashMap<(i64, Vec<u32>), Tensor>> = RefCell::default();
    }
    let Device::Cuda(index) = device else { return Tensor::from_slice(values) };
    let key = (index as i64, values.iter().map(|value| value.to_bits()).collect());
    let upload = || upload(&Tensor::from_slice(values), device);
    UPLOADED.with_borrow_mut(|uploaded| uploaded.entry(key).or_insert_with(upload).shallow_clone())
}

/// One number that a device has been told to compute, to be read when it is there.
pub struct Later {
    /// On its way to this program's memory, or there.
    value: Tensor,
    /// When it has arrived.
    arrived: Option<CudaEvent>,
}

impl Later {
    /// `value`, a tensor of one number.
    pub fn new(value: &Tensor) -> Self {
        match value.device() {
            Device::Cuda(index) if HAS_CUDA => {
                let copy = value.to_device_(Device::Cpu, value.kind(), true, true); // into pinned memory
                Self { value: copy, arrived: Some(CudaEvent::record(index)) }
            }
            _ => Self { value: value.shallow_clone(), arrived: None },
        }
    }

    /// The number. Waits for what was launched before [`new`](Self::new), and for nothing since.
    pub fn read(&self) -> f64 {
        if let Some(arrived) = &self.arrived {
            arrived.wait();
        }
        self.value.double_value(&[])
    }
}

impl From<f64> for Later {
    /// A number that is there.
    fn from(value: f64) -> Self {
        Self { value: Tensor::from(value), arrived: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_cpu_nothing_is_copied() {
        let tensor = Tensor::from_slice(&[1.5f32]);
        assert_eq!(upload(&tensor, Device::Cpu).data_ptr(), tensor.data_ptr());
        assert_eq!(Later::new(&tensor.get(0)).read(), 1.5);
        assert_eq!(constant(&[0.25, -2.0], Device::Cpu), Tensor::from_slice(&[0.25f32, -2.0]));
    }
}
