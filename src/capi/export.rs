//! From a subnet to a proven ONNX file. These calls are no jobs: they block, and can't be cancelled.

use std::ffi::c_char;
use std::path::Path;

use serde_json::{Value, json};

use super::boundary::{borrow, boundary, optional_text, text, writable};
use super::dataset::snt_dataset;
use super::error::{Result, snt_error};
use super::model::{Claim, snt_model};
use super::status::snt_status;
use super::version::{snt_buffer, write_bytes, write_json};
use crate::Error;
use crate::files;
use crate::reading::parse_json;
use crate::run::checkpoint::Saved;
use crate::run::export::{Verification, accuracy, export, proved, verify};
use crate::run::images::DeviceImages;
use crate::run::recipe::{ExportConfig, LatencyConfig, Recipe};
use crate::run::runtime::latency;

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
        let test = DeviceImages::new(data.test(), saved.model.network.device());
        Ok(Self { _claim: claim, saved, test, config: recipe.export })
    }

    /// Writes the report to `report`, if it is wanted.
    fn report(&self, file: &[u8], verification: Verification, report: *mut snt_buffer) -> Result<()> {
        if report.is_null() {
            return Ok(());
        }
        let mut json: Value = json!(verification);
        json["accuracy"] = accuracy(file, &self.test)?.into();
        json["test_images"] = self.test.len().into();
        write_json(report, &json)
    }
}

/// Exports a subnet that stands alone to an ONNX file. The file appears under `path` only if ONNX Runtime computes from it
/// what the network computes, on the test images of `dataset`; SNT_E_VERIFY_FAILED names the first node that differs.
///
/// `config_json` may be NULL for the recipe's [export] table. `report` may be NULL; else it receives {"max_abs_diff",
/// "max_rel_diff", "top1_agreement", "images", "accuracy" on all test images, "test_images"}, freed by the caller with
/// snt_buffer_free. Any thread. Blocks. @since 0.1
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
        let path = Path::new(text(path, "path")?);
        let job = Exported::new(model, dataset, config_json)?;
        let verification = export(path, &job.saved.model, &job.saved.manifest.recipe_hash, &job.test, &job.config)?;
        job.report(&files::read(path)?, verification, report)
    })
}

/// As snt_export_onnx, into memory: `out` receives the bytes of the file, freed by the caller with snt_buffer_free.
///
/// Any thread. Blocks. @since 0.1
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
        writable(out, "out")?;
        let job = Exported::new(model, dataset, config_json)?;
        let (bytes, verification) = proved(&job.saved.model, &job.saved.manifest.recipe_hash, &job.test, &job.config)?;
        job.report(&bytes, verification, report)?;
        write_bytes(out, bytes)
    })
}

/// Compares an ONNX file with the model it was exported from, on the test images of `dataset`.
///
/// `config_json` and `report` are those of snt_export_onnx. Any thread. Blocks. @since 0.1
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
        let file = files::read(Path::new(text(onnx_path, "onnx_path")?))?;
        let job = Exported::new(model, dataset, config_json)?;
        let images = job.test.first(job.config.images_of(job.test.len()));
        let verification = verify(&file, &job.saved.model, &images, job.config.tolerance)?;
        job.report(&file, verification, report)
    })
}

/// Times an ONNX file of `model` on one image, in ONNX Runtime on this machine's CPU.
///
/// `config_json` may be NULL for the recipe's [latency] table. `report` receives {"median", "p90" (milliseconds),
/// "half_width", "runs", "threads"}, freed by the caller with snt_buffer_free. Any thread. Blocks for the seconds that the
/// table says, at most. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_latency(
    model: *const snt_model,
    onnx_path: *const c_char,
    config_json: *const c_char,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let file = files::read(Path::new(text(onnx_path, "onnx_path")?))?;
        let saved = borrow(model, "model")?.0.claim()?.saved();
        let mut recipe = saved.manifest.recipe;
        if let Some(text) = optional_text(config_json, "config_json")? {
            recipe.latency = parse_json::<LatencyConfig>("latency", text)?;
            recipe.check()?;
        }
        writable(report, "report")?;
        write_json(report, &json!(latency(&file, saved.model.task.image, &recipe.latency)?))
    })
}
