//! What the program does in a folder, as calls: everything is written down as it comes, and goes on where it was stopped.

use std::ffi::{c_char, c_void};
use std::path::Path;

use super::boundary::{User, borrow, give, text};
use super::context::snt_context;
use super::dataset::snt_dataset;
use super::error::{Result, snt_error};
use super::job::{snt_event_fn, tell};
use super::model::{Shared, loaded, recipe, snt_model};
use super::status::snt_status;
use super::version::{give_json_as, snt_buffer};
use crate::graph::Process;
use crate::run::forest;
use crate::run::job::{Cancel, Event};
use crate::run::project::{Project, Watch};

/// The caller's event function, which may stop the work.
struct Onlooker {
    function: snt_event_fn,
    user: User,
    cancel: Cancel,
    process: Process,
    /// What the last event was about, and how many of its steps were done before.
    about: (String, Option<String>),
    before: u64,
}

impl Watch for Onlooker {
    fn event(&mut self, event: &Event) {
        let about = (event.phase.clone(), event.subnet.clone());
        if self.about != about {
            (self.about, self.before) = (about, event.step.saturating_sub(1));
        }
        if tell(self.function, self.user, event, self.before) {
            self.cancel.cancel();
        }
        self.process.apply(); // the caller's function may have begun a job with other settings
    }
}

/// The run that `folder` holds, or a new one, and who looks on.
fn opened(
    context: *const snt_context,
    recipe_text: *const c_char,
    dataset: *const snt_dataset,
    folder: *const c_char,
    event: snt_event_fn,
    user: *mut c_void,
) -> Result<(Project, Onlooker)> {
    let mut recipe = recipe(text(recipe_text, "recipe_text")?)?;
    borrow(context, "context")?.0.insist(&mut recipe);
    let data = &borrow(dataset, "dataset")?.data;
    let (cancel, process) = (Cancel::default(), recipe.process());
    let project = Project::open(recipe, data, Path::new(text(folder, "folder")?), cancel.clone())?;
    let about = (String::new(), None);
    Ok((project, Onlooker { function: event, user: User(user), cancel, process, about, before: 0 }))
}

/// Trains the supernet of a recipe and all that its [[split]] tables make of it, in `folder`, with a checkpoint every
/// train.checkpoint_steps; goes on where it was stopped or killed, to the same bytes.
///
/// `recipe_text` and `dataset` are those of snt_model_create; `folder` is UTF-8, and made if it isn't there. It holds
/// supernet.safetensors and, where there are splits, forest.json and the checkpoints it names. `event` may be NULL; it is called
/// on this thread, and non-zero stops the work: SNT_CANCELLED, and the next call goes on (a split by gradients that wasn't
/// finished begins again). `out` receives what snt_model_load gives for the folder's forest.json or supernet; NULL on failure.
/// The context's device and threads count as the recipe's own. Any thread. Blocks for the training.
///
/// Errors: those of snt_model_create, for [[split]] tables only where they don't fit the space; SNT_E_NOT_FOUND whenever ONNX
/// Runtime can't be loaded; SNT_E_INVALID_ARGUMENT also for a folder of another recipe or data set, and if the loss doesn't go
/// with the sampler; SNT_E_BUSY while another run uses the folder; SNT_E_NUMERIC if a loss, a gradient or a weight is not finite;
/// SNT_E_IO if the folder can't be read or written; SNT_E_CORRUPT and SNT_E_VERSION if a file in it is damaged or of another
/// version or run. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_folder_train(
    context: *const snt_context,
    recipe_text: *const c_char,
    dataset: *const snt_dataset,
    folder: *const c_char,
    event: snt_event_fn,
    user: *mut c_void,
    out: *mut *mut snt_model,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let (mut project, mut onlooker) = opened(context, recipe_text, dataset, folder, event, user)?;
        let trained = project.train(&mut onlooker)?;
        let file = if trained.leaves().len() > 1 { forest::FILE } else { forest::ROOT_FILE };
        drop(trained); // it is read again, with its recipe and progress
        let context = borrow(context, "context")?.0.clone();
        let (saved, others) = loaded(Some(&context), &Path::new(text(folder, "folder")?).join(file))?;
        Ok(snt_model(Shared::forest(context, saved, others)))
    })
}

/// Everything that a recipe says, in `folder`, as `supernaut run` does: train, search, retrain, export, prove, report. Goes on
/// where it was stopped.
///
/// `report` receives what result.json holds, freed by the caller with snt_buffer_free; report.html lies beside it. The rest is as
/// in snt_folder_train.
///
/// Errors: those of snt_folder_train, SNT_E_CONSTRAINT also if the search finds nothing within the limits; SNT_E_VERIFY_FAILED if
/// an exported file doesn't compute what its network computes. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_folder_run(
    context: *const snt_context,
    recipe_text: *const c_char,
    dataset: *const snt_dataset,
    folder: *const c_char,
    event: snt_event_fn,
    user: *mut c_void,
    report: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json_as("report", report, err, || {
        let (mut project, mut onlooker) = opened(context, recipe_text, dataset, folder, event, user)?;
        Ok(project.run(&mut onlooker)?)
    })
}
