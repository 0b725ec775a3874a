//! What this library is and can do, and the memory it hands out.

use std::ffi::{c_char, c_void};
use std::{ptr, slice};

use serde_json::{Value, json};

use super::boundary::{boundary, caught, writable, write};
use super::error::{Result, snt_error};
use super::status::snt_status;
use crate::graph::{device, onnx};
use crate::run::{runtime, versions};
use crate::{data, loss, partition, sampler, schedule, search, space};

/// Memory of the library's, freed with snt_buffer_free and never with free(). A NUL that `len` doesn't count follows the bytes,
/// so JSON is a C string.
#[repr(C)]
pub struct snt_buffer {
    /// The bytes.
    pub data: *const c_char,
    /// How many.
    pub len: usize,
    /// The library's own.
    pub reserved: *mut c_void,
}

impl snt_buffer {
    /// Nothing to free.
    pub(super) const EMPTY: Self = Self { data: ptr::null(), len: 0, reserved: ptr::null_mut() };

    /// Hands `bytes` to C.
    pub(super) fn of(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        bytes.push(0);
        let data = Box::into_raw(bytes.into_boxed_slice());
        Self { data: data.cast(), len, reserved: ptr::null_mut() }
    }
}

/// Runs the body of a function whose output is JSON: an empty buffer on failure, so that freeing it is harmless.
pub(super) fn give_json(out: *mut snt_buffer, err: *mut *mut snt_error, body: impl FnOnce() -> Result<Value>) -> snt_status {
    give_json_as("out", out, err, body)
}

/// The same for an output of another name.
pub(super) fn give_json_as(
    name: &str,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
    body: impl FnOnce() -> Result<Value>,
) -> snt_status {
    boundary(err, || {
        write(out, snt_buffer::EMPTY, name)?;
        write_json(out, &body()?)
    })
}

/// Writes `json` to `out`.
pub(super) fn write_json(out: *mut snt_buffer, json: &Value) -> Result<()> {
    write_bytes(out, json.to_string().into_bytes())
}

/// Writes `bytes` to `out`.
pub(super) fn write_bytes(out: *mut snt_buffer, bytes: Vec<u8>) -> Result<()> {
    writable(out, "out")?; // nobody would free the bytes
    write(out, snt_buffer::of(bytes), "out")
}

/// The version of the library that is loaded: major << 16 | minor << 8 | patch. Compare it with SNT_VERSION, the version of the
/// header.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn snt_version() -> u32 {
    let part = |text: &str| text.parse::<u32>().expect("Cargo's versions are numbers");
    let [major, minor, patch] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")];
    part(major) << 16 | part(minor) << 8 | part(patch)
}

/// Versions of this library and of those it uses, and the machine: {"supernaut", "libtorch", "onnxruntime": "not loaded" where it
/// can't be loaded, "machine": {"cpu", "cores"}}.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while ONNX Runtime is loaded, the first
/// time. No errors of its own. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_build_info_json(out: *mut snt_buffer, err: *mut *mut snt_error) -> snt_status {
    give_json(out, err, || {
        let mut info = versions::versions();
        info["machine"] = versions::machine();
        Ok(info)
    })
}

/// What can be asked for here: {"devices", "spaces", "data", "samplers", "losses", "schedules", "splits", "strategies" (the kinds
/// that a recipe may name), "precisions", "opsets": [least, greatest], "onnxruntime": whether it can be loaded, "cancel"}. A job
/// looks at its cancel flag before every step.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while devices are looked for and ONNX
/// Runtime is loaded. No errors of its own. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_capabilities_json(out: *mut snt_buffer, err: *mut *mut snt_error) -> snt_status {
    give_json(out, err, || {
        let cuda = (0..).map(|index| format!("cuda:{index}")).take_while(|name| device(name).is_ok());
        let devices: Vec<String> = [String::from("cpu")].into_iter().chain(cuda).collect();
        Ok(json!({
            "devices": devices,
            "spaces": space::KINDS,
            "data": data::KINDS,
            "samplers": sampler::KINDS,
            "losses": loss::KINDS,
            "schedules": schedule::KINDS,
            "splits": partition::KINDS,
            "strategies": search::KINDS,
            "precisions": ["fp32", "bf16"],
            "opsets": [onnx::OPSET_MIN, onnx::OPSET_MAX],
            "onnxruntime": runtime::check().is_ok(),
            "cancel": "before every step",
        }))
    })
}

/// Frees what a call wrote to `buffer`, and makes it empty, so that a second time is harmless. NULL is fine.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_buffer_free(buffer: *mut snt_buffer) {
    let _ = caught(|| {
        // SAFETY: NULL, empty, or as `snt_buffer::of` made it.
        unsafe {
            if let Some(buffer) = buffer.as_mut().filter(|buffer| !buffer.data.is_null()) {
                let bytes = slice::from_raw_parts_mut(buffer.data.cast_mut().cast::<u8>(), buffer.len + 1);
                drop(Box::from_raw(bytes));
                (buffer.data, buffer.len) = (ptr::null(), 0);
            }
        }
        Ok(())
    });
}
