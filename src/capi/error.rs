//! What went wrong, as C sees it.

use std::ffi::{CString, c_char};
use std::ptr;

use serde_json::{Value, json};

use super::boundary::{drop_handle, peek};
use super::status::*;
use crate::Error;

/// What went wrong in one call. The caller owns it; it never changes, so every thread may read it.
pub struct snt_error {
    failure: Failure,
    message: CString,
    json: CString,
}

/// A status, a sentence, and the names in it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub status: snt_status,
    pub message: String,
    field: Option<String>,
    found: Option<String>,
    wanted: Option<String>,
    /// Whether work broke off at an unknown place.
    pub panicked: bool,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(status: snt_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None, found: None, wanted: None, panicked: false }
    }

    /// What a caught panic says. libtorch's errors arrive like this too, a lack of memory among them.
    pub fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let text =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        let lack =
            ["out of memory", "can't allocate memory", "not enough memory", "bad_alloc"].iter().any(|words| text.contains(words));
        let failure = match (lack, text.contains("CUDA error")) {
            (true, _) => Self::new(SNT_E_OUT_OF_MEMORY, text),
            (false, true) => Self::new(SNT_E_DEVICE, text),
            (false, false) => Error::Internal(text.into()).into(),
        };
        Self { panicked: true, ..failure }
    }

    fn json(&self) -> Value {
        let name = name(self.status).to_str().expect("names are ASCII");
        let mut json = json!({ "code": name, "status": self.status, "message": self.message });
        for (key, value) in [("field", &self.field), ("found", &self.found), ("wanted", &self.wanted)] {
            if let Some(value) = value {
                json[key] = value.as_str().into();
            }
        }
        json
    }

    pub fn into_handle(self) -> *mut snt_error {
        let message = c_text(&self.message);
        let json = c_text(&self.json().to_string());
        Box::into_raw(Box::new(snt_error { failure: self, message, json }))
    }
}

/// Text for C, which can't hold a NUL.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).expect("no NUL is left")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let (status, field, found, wanted) = match error {
            Error::Invalid { field, found, wanted } => (SNT_E_INVALID_ARGUMENT, Some(field), Some(found), Some(wanted)),
            Error::State(_) => (SNT_E_INVALID_STATE, None, None, None),
            Error::NotFound { what, found, wanted } => (SNT_E_NOT_FOUND, Some(what.into()), Some(found), Some(wanted)),
            Error::Unsupported(_) => (SNT_E_UNSUPPORTED, None, None, None),
            Error::DeviceUnavailable { found, wanted } => {
                (SNT_E_DEVICE_UNAVAILABLE, Some("device".into()), Some(found), Some(wanted))
            }
            Error::Io { path, source } => (SNT_E_IO, Some(path.display().to_string()), Some(source.to_string()), None),
            Error::Corrupt { path, what } => (SNT_E_CORRUPT, Some(path.display().to_string()), Some(what), None),
            Error::Version { what, found, wanted } => (SNT_E_VERSION, Some(what), Some(found), Some(wanted)),
            Error::Constraint { metric, wanted, nearest } => {
                (SNT_E_CONSTRAINT, Some(format!("search.limits.{metric}")), Some(nearest), Some(wanted))
            }
            Error::Numeric(_) => (SNT_E_NUMERIC, None, None, None),
            Error::VerifyFailed(_) => (SNT_E_VERIFY_FAILED, None, None, None),
            Error::Library { library, looked, .. } => (SNT_E_NOT_FOUND, Some(library.into()), None, Some(looked)),
            Error::Cancelled => (SNT_CANCELLED, None, None, None),
            Error::Busy(_) => (SNT_E_BUSY, None, None, None),
            Error::Internal(_) => (SNT_E_INTERNAL, None, None, None),
        };
        Self { status, message, field, found, wanted, panicked: false }
    }
}

/// The status that the failed call returned; SNT_OK for NULL.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_error_status(error: *const snt_error) -> snt_status {
    peek(error).map_or(SNT_OK, |error| error.failure.status)
}

/// One sentence that names the field, what was found and what is wanted; "" for NULL.
///
/// Valid until snt_error_free. Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_error_message(error: *const snt_error) -> *const c_char {
    peek(error).map_or(c"".as_ptr(), |error| error.message.as_ptr())
}

/// The same for programs: {"code", "status", "message"} and, where there are such, "field", "found", "wanted"; "{}" for NULL.
///
/// Valid until snt_error_free. Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_error_json(error: *const snt_error) -> *const c_char {
    peek(error).map_or(c"{}".as_ptr(), |error| error.json.as_ptr())
}

/// Frees an error; NULL is fine.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_error_free(error: *mut snt_error) {
    drop_handle(error);
}

/// Hands `failure` to a caller who asked for it.
pub(super) fn hand_over(err: *mut *mut snt_error, failure: Failure) {
    if !err.is_null() {
        // SAFETY: not NULL, and the caller gave it to be written to.
        unsafe { ptr::write(err, failure.into_handle()) };
    }
}
