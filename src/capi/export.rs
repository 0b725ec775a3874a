//! From a subnet to a proven ONNX file. These calls are no jobs: they block, and can't be cancelled.

use std::ffi::c_char;
use std::path::Path;

use serde_json::{Value, json};

use super::boundary::{borrow, boundary, optional_text, text, write};
use super::dataset::snt_dataset;
use super::error::{Result, snt_error};
use super::model::{Claim, snt_model};
use super::status::snt_status;
use super::version::{give_json_as, snt_buffer, write_bytes, write_json};
use crate::Error;
use crate::files;
use crate::reading::parse_json;
use crate::run::checkpoint::Saved;
use crate::run::export::{Verification, accuracy, proved, verify};
use crate::run::images::{DeviceImages, test_images};
use crate::run::recipe::{ExportConfig, Recipe};
use crate::run::runtime::latency;

/// Nothing to free in `report` until something is, if it is wanted.
fn empty(report: *mut snt_buffer) {
    let _ = write(report, snt_buffer::EMPTY, "report");
}

/// Writes what is known to `report`, if it is wanted.
fn tell(report: *mut snt_buffer, known: &Value) -> Result<()> {
    if report.is_null() { Ok(()) } else { write_json(report, known) }
}

/// What the calls here start from.
struct Exported {
    _claim: Claim,
    saved: Saved,
    test: DeviceImages,
    config: ExportConfig,
}

impl Exported {
    fn new(model: *const snt_model, dataset: *const snt_dataset, config_json: *const c_char) -> Result<Self> {
        let claim = borrow(model, "model")?.0.claim()?;
        let data = &borrow(dataset, "dataset")?.data;
        let saved = claim.saved();
        let (shape, task) = (data.test().shape().map(|size| size as i64), &saved.model.task);
        if shape != task.image {
            return Err(
                Error::invalid("dataset", format!("images of {shape:?}"), format!("{:?}, as the model has", task.image)).into()
            );
        }
        if data.classes().len() != task.classes.len() {
            let wanted = format!("{}, as the model has", task.classes.len());
            return Err(Error::invalid("dataset", format!("{} classes", data.classes().len()), wanted).into());
        }
        let mut recipe: Recipe = saved.manifest.recipe.clone();
        if let Some(text) = optional_text(config_json, "config_json")? {
            recipe.export = parse_json("export", text)?;
            recipe.check()?;
        }
        let test = test_images(data, saved.model.network.device(), recipe.seed);
        Ok(Self { _claim: claim, saved, test, config: recipe.export })
    }

    /// The file, proved.
    fn proved(&self) -> Result<(Vec<u8>, Verification)> {
        Ok(proved(&self.saved.model, &self.saved.manifest.recipe_hash, &self.test, &self.config)?)
    }

    /// What is known of a file, if anybody wants to know: `report` may be NULL.
    fn known(&self, file: &[u8], verification: Verification, report: *const snt_buffer) -> Result<Value> {
        if report.is_null() {
            return Ok(Value::Null);
        }
        let mut json: Value = json!(verification);
        json["accuracy"] = accuracy(file, &self.test)?.into();
        json["test_images"] = self.test.len().into();
        Ok(json)
    }
}

/// Exports a subnet that stands alone to an ONNX file. The file appears under `path` only if ONNX Runtime computes from it what
/// the network computes, on the test images of `dataset`; SNT_E_VERIFY_FAILED names the first node that differs.
///
/// `config_json` may be NULL for the recipe's [export] table. `report` may be NULL; else it receives {"max_abs_diff": greatest
/// difference between a logit of the file and of the network, "max_rel_diff": the same as a share of the network's largest logit
/// in amount, "top1_agreement": 0 to 1, share of the images whose first class is the same or a tie, "images": how many were
/// compared, "accuracy": 0 to 1, of the file on all test images, "test_images": how many these are}, freed by the caller with
/// snt_buffer_free. Any thread. Blocks.
///
/// Errors: SNT_E_VERIFY_FAILED; SNT_E_INVALID_STATE for a supernet; SNT_E_BUSY while a job or another call has the model;
/// SNT_E_POISONED once a job has broken off in the middle of a step; SNT_E_INVALID_ARGUMENT for images of another size and for
/// another number of classes than the model's, and if ONNX Runtime can't read the opset; SNT_E_NOT_FOUND if ONNX Runtime can't be
/// loaded; SNT_E_IO if the file can't be written. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_export_onnx(
    model: *const snt_model,
    dataset: *const snt_dataset,
    config_json: *const c_char,
    path: *const c_char,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        empty(report);
        let path = Path::new(text(path, "path")?);
        let job = Exported::new(model, dataset, config_json)?;
        let (bytes, verification) = job.proved()?;
        let known = job.known(&bytes, verification, report)?;
        files::write_whole(path, &bytes)?; // last, so that a file that exists is a call that succeeded
        tell(report, &known)
    })
}

/// As snt_export_onnx, into memory: `out` receives the bytes of the file, freed by the caller with snt_buffer_free.
///
/// Any thread. Blocks. Errors: those of snt_export_onnx but SNT_E_IO. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_export_onnx_memory(
    model: *const snt_model,
    dataset: *const snt_dataset,
    config_json: *const c_char,
    out: *mut snt_buffer,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        empty(report);
        write(out, snt_buffer::EMPTY, "out")?;
        let job = Exported::new(model, dataset, config_json)?;
        let (bytes, verification) = job.proved()?;
        let known = job.known(&bytes, verification, report)?;
        write_bytes(out, bytes)?;
        tell(report, &known)
    })
}

/// Compares an ONNX file with the model it was exported from, on the test images of `dataset`.
///
/// `config_json` and `report` are those of snt_export_onnx. Any thread. Blocks.
///
/// Errors: those of snt_export_onnx; here SNT_E_INVALID_ARGUMENT is also for a file that is no ONNX model, takes other images or
/// has no output `logits`, SNT_E_NOT_FOUND for one that isn't there, SNT_E_IO for one that can't be read. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_verify(
    model: *const snt_model,
    dataset: *const snt_dataset,
    onnx_path: *const c_char,
    config_json: *const c_char,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        empty(report);
        let file = files::read(Path::new(text(onnx_path, "onnx_path")?))?;
        let job = Exported::new(model, dataset, config_json)?;
        let images = job.test.first(job.config.images_of(job.test.len()));
        let verification = verify(&file, &job.saved.model, &images, job.config.tolerance)?;
        tell(report, &job.known(&file, verification, report)?)
    })
}

/// Times an ONNX file of `model` on one image, in ONNX Runtime on this machine's CPU.
///
/// `config_json` may be NULL for the recipe's [latency] table. `report` receives what that of snt_space_latency does, freed by
/// the caller with snt_buffer_free. Any thread, also while a job has the model. Blocks for at most twice the table's `seconds`,
/// longer only if six runs take longer.
///
/// Errors: SNT_E_NOT_FOUND if there is no such file or ONNX Runtime can't be loaded; SNT_E_IO if the file can't be read;
/// SNT_E_INVALID_ARGUMENT if it is no ONNX model or takes other images. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_latency(
    model: *const snt_model,
    onnx_path: *const c_char,
    config_json: *const c_char,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json_as("report", report, err, || {
        let file = files::read(Path::new(text(onnx_path, "onnx_path")?))?;
        let (image, config) = borrow(model, "model")?.0.latency(optional_text(config_json, "config_json")?)?;
        Ok(json!(latency(&file, image, &config)?))
    })
}
