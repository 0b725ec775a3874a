//! What every call does at the border: pointers, text, structs that grow, panics.
//!
//! The functions here take raw pointers without being `unsafe`: each is called with arguments of an exported function
//! only, and what holds of those is promised by the C caller, in the header's first comment. To say so once is the
//! purpose of this file.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use super::error::{Failure, Result, hand_over, snt_error};
use super::status::*;
use crate::Error;
use crate::graph::with_gradients;

/// What a call may end in if it doesn't fail.
pub(super) trait Ending {
    fn status(self) -> snt_status;
}

impl Ending for () {
    fn status(self) -> snt_status {
        SNT_OK
    }
}

impl Ending for snt_status {
    fn status(self) -> snt_status {
        self
    }
}

/// Runs the body of an exported function.
pub(super) fn boundary<E: Ending>(err: *mut *mut snt_error, body: impl FnOnce() -> Result<E>) -> snt_status {
    if !err.is_null() {
        // SAFETY: not NULL, and given to be written to.
        unsafe { ptr::write(err, ptr::null_mut()) };
    }
    match caught(body) {
        Ok(ending) => ending.status(),
        Err(failure) if failure.status < SNT_E_INVALID_ARGUMENT => failure.status,
        Err(failure) => {
            let status = failure.status;
            hand_over(err, failure);
            status
        }
    }
}

/// As [`boundary`], for a function whose output is a handle: NULL on failure.
pub(super) fn give<T>(out: *mut *mut T, err: *mut *mut snt_error, body: impl FnOnce() -> Result<T>) -> snt_status {
    boundary(err, || {
        write(out, ptr::null_mut(), "out")?;
        write(out, Box::into_raw(Box::new(body()?)), "out")
    })
}

/// Turns a panic into a failure.
pub(super) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    with_gradients(|| catch_unwind(AssertUnwindSafe(body))).unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
}

fn null(name: &str, wanted: &str) -> Failure {
    Error::invalid(name, "NULL", wanted).into()
}

/// The object behind a handle, or nothing for NULL.
pub(super) fn peek<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: a handle is NULL or what its constructor gave and its `_free` hasn't taken.
    unsafe { pointer.as_ref() }
}

/// The object behind a handle.
pub(super) fn borrow<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    peek(pointer).ok_or_else(|| null(name, "a handle"))
}

/// Checks an output before work is done for it.
pub(super) fn writable<T>(out: *mut T, name: &str) -> Result<()> {
    if out.is_null() { Err(null(name, "where to write the result")) } else { Ok(()) }
}

/// Writes an output.
pub(super) fn write<T>(out: *mut T, value: T, name: &str) -> Result<()> {
    writable(out, name)?;
    // SAFETY: not NULL, and given to be written to. What stood there may never have been a value.
    unsafe { ptr::write(out, value) };
    Ok(())
}

/// Frees a handle; NULL is fine.
pub(super) fn drop_handle<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: it came from `give`, and a handle is freed once. A panic in a destructor must not unwind into C.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(pointer) })));
    }
}

/// Text that has to be there.
pub(super) fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    optional_text(pointer, name)?.ok_or_else(|| null(name, "a string"))
}

/// Text, or nothing for NULL.
pub(super) fn optional_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and strings end in a NUL and stay as they are during the call.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map(Some).map_err(|error| Error::invalid(name, error, "UTF-8 text").into())
}

/// `count` values that the caller lends for the call.
pub(super) fn values<'a, T>(pointer: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(name, "an array"));
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::invalid("count", count, format!("as many as there are values in `{name}`")).into());
    }
    // SAFETY: not NULL, and the caller says that so many values lie there.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// A struct of plain data that begins with its size, and may get members at its end in a later version.
pub(super) trait Growing: Copy {
    /// Its size in the first version that had it.
    const LEAST: usize;
}

/// A copy of a struct that begins with its size. What an earlier header doesn't have is zero; what a later one has beyond this
/// library's knowledge has to be zero.
pub(super) fn sized<T: Growing>(pointer: *const T, name: &str) -> Result<T> {
    if pointer.is_null() {
        return Err(null(name, "a struct"));
    }
    // SAFETY: not NULL, and the first member is its size.
    let size = unsafe { ptr::read(pointer.cast::<usize>()) };
    if !(T::LEAST..=isize::MAX as usize).contains(&size) {
        let wanted = format!("sizeof the struct, at least {}", T::LEAST);
        return Err(Error::invalid(format!("{name}.struct_size"), size, wanted).into());
    }
    // SAFETY: so many bytes lie there, by its own word.
    let bytes = unsafe { slice::from_raw_parts(pointer.cast::<u8>(), size) };
    let known = size.min(size_of::<T>());
    if bytes[known..].iter().any(|&byte| byte != 0) {
        let message = format!("{name}: members beyond byte {known} are set, and this version doesn't know them");
        return Err(Failure::new(SNT_E_UNSUPPORTED, message));
    }
    // SAFETY: plain data, for which zeros are a value; no more is copied than there is on either side.
    unsafe {
        let mut copy: T = std::mem::zeroed();
        ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut copy).cast::<u8>(), known);
        Ok(copy)
    }
}

/// Fills a struct of `size` bytes with zeros and its size.
pub(super) fn init<T: Copy>(pointer: *mut T, size: usize) {
    if pointer.is_null() || size < size_of::<usize>() {
        return;
    }
    // SAFETY: not NULL, and the caller says how large it is.
    unsafe {
        ptr::write_bytes(pointer.cast::<u8>(), 0, size);
        ptr::write(pointer.cast::<usize>(), size);
    }
}

/// Copies `text` and a NUL to `buffer`; `needed` receives the size of both, also where `capacity` is too small. No buffer at all
/// is a question for the size.
pub(super) fn copy_text(text: &str, buffer: *mut c_char, capacity: usize, needed: *mut usize) -> Result<()> {
    let size = text.len() + 1;
    if !needed.is_null() {
        write(needed, size, "needed")?;
    }
    if buffer.is_null() && capacity == 0 && !needed.is_null() {
        return Ok(());
    }
    if buffer.is_null() {
        return Err(null("buffer", "a buffer, or capacity 0 and `needed`"));
    }
    if capacity < size {
        return Err(Error::invalid("capacity", capacity, format!("at least {size}")).into());
    }
    // SAFETY: the buffer holds `capacity` bytes by the caller's word, and these are enough.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        ptr::write(buffer.add(text.len()), 0);
    }
    Ok(())
}

/// A pointer of the caller's that is only handed back to the caller's functions.
#[derive(Clone, Copy)]
pub(super) struct User(pub *mut c_void);

// SAFETY: the library never looks behind it; the header says which threads the caller's functions are called on.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::error::{snt_error_free, snt_error_message};

    fn check(wanted: snt_status, word: &str, body: fn() -> Result<()>) {
        let mut error = ptr::null_mut();
        assert_eq!(boundary(&mut error, body), wanted);
        // SAFETY: the handle that was just given, used and freed once.
        unsafe {
            let message = CStr::from_ptr(snt_error_message(error)).to_str().unwrap();
            assert!(message.contains(word), "{message}");
            snt_error_free(error);
        }
        assert_eq!(boundary(ptr::null_mut(), body), wanted);
    }

    #[test]
    fn structs_of_earlier_and_later_headers_are_read() {
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Grown {
            size: usize,
            old: u64,
            new: u64,
        }
        impl Growing for Grown {
            const LEAST: usize = 16;
        }
        let read = |values: [u64; 4], size: usize| {
            let mut values = values;
            values[0] = size as u64;
            sized(values.as_ptr().cast::<Grown>(), "grown").map(|grown| (grown.size, grown.old, grown.new))
        };
        assert_eq!(read([0, 7, 8, 9], 16).unwrap(), (16, 7, 0), "of a header without `new`");
        assert_eq!(read([0, 7, 8, 9], 24).unwrap(), (24, 7, 8));
        assert_eq!(read([0, 7, 8, 0], 32).unwrap(), (32, 7, 8));
        assert_eq!(read([0, 7, 8, 9], 32).unwrap_err().status, SNT_E_UNSUPPORTED);
        assert_eq!(
            read([0, 7, 8, 9], 15).unwrap_err().message,
            "grown.struct_size: found 15, wanted sizeof the struct, at least 16"
        );
    }

    #[test]
    fn a_panic_leaves_gradients_on() {
        let caught = caught(|| -> Result<()> { tch::no_grad(|| panic!("without gradients")) });
        assert!(caught.unwrap_err().panicked);
        let one = tch::Tensor::from(1.0f32).set_requires_grad(true);
        assert!((&one * 2.0).requires_grad());
    }

    #[test]
    fn a_panic_is_an_error() {
        check(SNT_E_INTERNAL, "internal error: index out of bounds", || panic!("index out of bounds"));
        check(SNT_E_OUT_OF_MEMORY, "CUDA out of memory", || panic!("CUDA out of memory: tried {} GiB", 7));
        check(SNT_E_DEVICE, "CUDA error", || panic!("CUDA error: device-side assert triggered"));
        check(SNT_E_INTERNAL, "a panic", || std::panic::panic_any(7));
    }

    #[test]
    fn a_cancel_is_a_status_without_an_error() {
        check(SNT_CANCELLED, "", || Err(Error::Cancelled.into()));
    }

    #[test]
    fn a_nul_in_a_message_does_not_cut_it() {
        check(SNT_E_INVALID_STATE, "a\u{fffd}b", || Err(Error::State("a\0b".into()).into()));
    }
}
