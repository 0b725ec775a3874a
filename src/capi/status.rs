//! What a call returns.

use std::ffi::{CStr, c_char};

/// What a call returns. 0 to 99 are not errors; a number never changes its meaning.
///
/// The comment of a function names the errors it gives, and when. What holds for all isn't repeated there: any of them may give
/// SNT_E_INVALID_ARGUMENT for a NULL where something is needed, for text that is not UTF-8, for JSON or TOML with a mistake (its
/// syntax, an unknown key, a value that will not do) and for a struct_size that is too small; SNT_E_UNSUPPORTED for a struct that
/// sets members this version doesn't know; SNT_E_OUT_OF_MEMORY and SNT_E_DEVICE where it works on tensors; and SNT_E_INTERNAL.
pub type snt_status = i32;

/// Done.
pub const SNT_OK: snt_status = 0;
/// The job was cancelled. Not an error.
pub const SNT_CANCELLED: snt_status = 1;
/// Not finished yet: ask again later. Not an error.
pub const SNT_NOT_READY: snt_status = 2;
/// Nothing is left to do. Not an error.
pub const SNT_END: snt_status = 3;
/// An argument or a value in a recipe will not do: the error says which, what was found and what is wanted.
pub const SNT_E_INVALID_ARGUMENT: snt_status = 100;
/// The call does not fit what the object is, or what it is doing.
pub const SNT_E_INVALID_STATE: snt_status = 101;
/// A name or file that isn't there, or ONNX Runtime where it can't be loaded.
pub const SNT_E_NOT_FOUND: snt_status = 102;
/// Legal, but not built here.
pub const SNT_E_UNSUPPORTED: snt_status = 103;
/// Memory ran out, of the host or of the device. A training job that finds none for a step leaves its model as it was before that
/// step, unless the step had begun to change it, by its update, by running statistics (a retraining) or by what a sampler or a
/// loss remembers: calls on the model give SNT_E_POISONED then.
pub const SNT_E_OUT_OF_MEMORY: snt_status = 104;
/// The device asked for isn't there; nothing falls back to another.
pub const SNT_E_DEVICE_UNAVAILABLE: snt_status = 105;
/// The device failed.
pub const SNT_E_DEVICE: snt_status = 106;
/// The operating system refused.
pub const SNT_E_IO: snt_status = 107;
/// A file is damaged or isn't what its name says.
pub const SNT_E_CORRUPT: snt_status = 108;
/// A file or model of another version, space, recipe or data set.
pub const SNT_E_VERSION: snt_status = 109;
/// No architecture meets the limits; the error names the nearest.
pub const SNT_E_CONSTRAINT: snt_status = 110;
/// A loss, a gradient, a weight or a measure is not a finite number.
pub const SNT_E_NUMERIC: snt_status = 111;
/// An ONNX file doesn't compute what the network computes.
pub const SNT_E_VERIFY_FAILED: snt_status = 112;
/// Time ran out. Reserved: nothing gives it yet.
pub const SNT_E_TIMEOUT: snt_status = 113;
/// A job or another call has the object, or another run has the folder: wait for its end.
pub const SNT_E_BUSY: snt_status = 114;
/// An error in the middle of a training step left the model unusable: free it. The job has ended with that error:
/// SNT_E_OUT_OF_MEMORY, SNT_E_DEVICE, SNT_E_NUMERIC or SNT_E_INTERNAL.
pub const SNT_E_POISONED: snt_status = 115;
/// A bug of this library, or a failure of libtorch or ONNX Runtime that has no status of its own.
pub const SNT_E_INTERNAL: snt_status = 116;

/// The name of a status, such as "SNT_E_BUSY", or "unknown".
///
/// Static text. Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn snt_status_name(status: snt_status) -> *const c_char {
    name(status).as_ptr()
}

pub(super) fn name(status: snt_status) -> &'static CStr {
    match status {
        SNT_OK => c"SNT_OK",
        SNT_CANCELLED => c"SNT_CANCELLED",
        SNT_NOT_READY => c"SNT_NOT_READY",
        SNT_END => c"SNT_END",
        SNT_E_INVALID_ARGUMENT => c"SNT_E_INVALID_ARGUMENT",
        SNT_E_INVALID_STATE => c"SNT_E_INVALID_STATE",
        SNT_E_NOT_FOUND => c"SNT_E_NOT_FOUND",
        SNT_E_UNSUPPORTED => c"SNT_E_UNSUPPORTED",
        SNT_E_OUT_OF_MEMORY => c"SNT_E_OUT_OF_MEMORY",
        SNT_E_DEVICE_UNAVAILABLE => c"SNT_E_DEVICE_UNAVAILABLE",
        SNT_E_DEVICE => c"SNT_E_DEVICE",
        SNT_E_IO => c"SNT_E_IO",
        SNT_E_CORRUPT => c"SNT_E_CORRUPT",
        SNT_E_VERSION => c"SNT_E_VERSION",
        SNT_E_CONSTRAINT => c"SNT_E_CONSTRAINT",
        SNT_E_NUMERIC => c"SNT_E_NUMERIC",
        SNT_E_VERIFY_FAILED => c"SNT_E_VERIFY_FAILED",
        SNT_E_TIMEOUT => c"SNT_E_TIMEOUT",
        SNT_E_BUSY => c"SNT_E_BUSY",
        SNT_E_POISONED => c"SNT_E_POISONED",
        SNT_E_INTERNAL => c"SNT_E_INTERNAL",
        _ => c"unknown",
    }
}
