//! Where and how: the device, the threads, the logger.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::sync::Arc;

use super::boundary::{Growing, User, caught, drop_handle, give, init, optional_text, sized};
use super::error::{Result, c_text, snt_error};
use super::status::snt_status;
use crate::Error;
use crate::graph::{Device, device};
use crate::run::recipe::Recipe;

/// Where and how things are computed. Everything that is made in a context keeps it alive.
pub struct snt_context(pub(super) Arc<Context>);

/// Only failures.
pub const SNT_LOG_ERROR: i32 = 1;
/// Failures, and the beginning and end of every job.
pub const SNT_LOG_INFO: i32 = 3;

/// Receives a line of log. `target` and `message` are valid during the call. Called on any thread that works for the context; it
/// must not unwind.
pub type snt_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, level: i32, target: *const c_char, message: *const c_char)>;

/// What a context is made of. Call snt_context_params_init first, so that members of later versions are zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct snt_context_params {
    /// sizeof this struct.
    pub struct_size: usize,
    /// "cpu" or "cuda:N", in place of what a recipe or a loaded checkpoint says; NULL to leave it to these. Read during the call
    /// only.
    pub device: *const c_char,
    /// Threads of one operation, in place of what a recipe says; 0 to leave it to that.
    pub threads: i32,
    /// SNT_LOG_ERROR, SNT_LOG_INFO, or 0 for silence.
    pub log_level: i32,
    /// Where log lines go; NULL for nowhere.
    pub log: snt_log_fn,
    /// Handed to `log`; has to stay valid until the context and all that was made in it is freed.
    pub log_user: *mut c_void,
}

impl Growing for snt_context_params {
    // `log_user` is the last member of 0.1.
    const LEAST: usize = offset_of!(Self, log_user) + size_of::<*mut c_void>();
}

pub(super) struct Context {
    device: Option<(String, Device)>,
    threads: usize,
    log: Option<(i32, unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char), User)>,
}

impl Context {
    fn new(params: &snt_context_params) -> Result<Self> {
        let name = optional_text(params.device, "params.device")?;
        let device = name.map(|name| device(name).map(|device| (name.to_owned(), device))).transpose()?;
        let refused = |_| Error::invalid("params.threads", params.threads, "0 or more");
        let threads = usize::try_from(params.threads).map_err(refused)?;
        let log = params.log.map(|log| (params.log_level, log, User(params.log_user)));
        Ok(Self { device, threads, log })
    }

    /// The device that this context insists on.
    pub fn device(&self) -> Option<Device> {
        self.device.as_ref().map(|(_, device)| *device)
    }

    /// Puts what this context insists on into `recipe`.
    pub fn insist(&self, recipe: &mut Recipe) {
        if let Some((name, _)) = &self.device {
            recipe.device.clone_from(name);
        }
        if self.threads > 0 {
            recipe.threads = self.threads;
        }
    }

    /// Tells the logger, if it wants to know.
    pub fn log(&self, level: i32, target: &str, message: &str) {
        if let Some((_, log, user)) = self.log.filter(|(wanted, ..)| level <= *wanted) {
            let (target, message) = (c_text(target), c_text(message));
            // SAFETY: the caller's function, called as its type says.
            unsafe { log(user.0, level, target.as_ptr(), message.as_ptr()) }
        }
    }
}

/// Fills `params` with defaults: the recipe decides, no log. Pass sizeof(snt_context_params).
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_context_params_init(params: *mut snt_context_params, struct_size: usize) {
    let _ = caught(|| {
        init(params, struct_size);
        Ok(())
    });
}

/// Makes a context. `params` may be NULL for the defaults.
///
/// `out` receives a handle that the caller frees with snt_context_free; NULL on failure. Any thread. Blocks while the device is
/// looked for.
///
/// Errors: SNT_E_INVALID_ARGUMENT for a device that isn't called "cpu" or "cuda:N" and for threads below 0;
/// SNT_E_DEVICE_UNAVAILABLE if the device isn't there. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_context_create(
    params: *const snt_context_params,
    out: *mut *mut snt_context,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = match params.is_null() {
            true => Context { device: None, threads: 0, log: None },
            false => Context::new(&sized(params, "params")?)?,
        };
        Ok(snt_context(Arc::new(context)))
    })
}

/// Frees a context; NULL is fine. What was made in it goes on living.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_context_free(context: *mut snt_context) {
    drop_handle(context);
}
