//! Images and labels: from files, or from the caller's memory.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::boundary::{borrow, boundary, caught, drop_handle, give, init, optional_text, sized, text, values};
use super::context::{Context, snt_context};
use super::error::{Failure, Result, snt_error};
use super::status::{SNT_E_UNSUPPORTED, snt_status};
use super::version::{snt_buffer, write_json};
use crate::Error;
use crate::data::{Dataset, Images, Source};
use crate::reading::parse_json;

/// Labelled images, in two parts: to learn from and to report on. It never changes, so every thread may use it.
pub struct snt_dataset {
    pub(super) data: Arc<Dataset>,
    _context: Arc<Context>,
}

/// Images in the layout [count][channels][height][width].
pub const SNT_LAYOUT_NCHW: i32 = 0;
/// Images in the layout [count][height][width][channels].
pub const SNT_LAYOUT_NHWC: i32 = 1;
/// Pixels of one byte, 0 to 255.
pub const SNT_DTYPE_UINT8: i32 = 0;

/// Images and labels in the caller's memory. Call snt_data_view_init first, so that members of later versions are zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct snt_data_view {
    /// sizeof this struct.
    pub struct_size: usize,
    /// count * channels * height * width pixels.
    pub images: *const u8,
    /// count labels, each from 0 to classes - 1.
    pub labels: *const i64,
    /// How many images.
    pub count: u64,
    /// Channels of an image: 1 for grey, 3 for colour.
    pub channels: i32,
    /// Rows of an image.
    pub height: i32,
    /// Columns of an image.
    pub width: i32,
    /// How many classes there are; at most 256.
    pub classes: i32,
    /// SNT_LAYOUT_NCHW or SNT_LAYOUT_NHWC.
    pub layout: i32,
    /// SNT_DTYPE_UINT8.
    pub dtype: i32,
    /// Called exactly once when the library no longer needs the memory, if the call that took the view succeeds. If that
    /// fails, it is never called and the memory stays the caller's affair. NULL if nobody has to know. This version copies
    /// what it needs and calls it before the call returns.
    pub release: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Handed to `release`.
    pub user: *mut c_void,
}

/// The options of `snt_dataset_from_view`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    classes: Option<Vec<String>>,
    test: usize,
    seed: u64,
}

impl snt_data_view {
    /// Copies the images, checked.
    fn images(&self, name: &str) -> Result<Images> {
        let field = |member: &str| format!("{name}.{member}");
        let size = |member: &str, value: i32| -> Result<usize> {
            let refused = || Error::invalid(field(member), value, "1 or more").into();
            usize::try_from(value).ok().filter(|&value| value > 0).ok_or_else(refused)
        };
        let shape = [size("channels", self.channels)?, size("height", self.height)?, size("width", self.width)?];
        let classes = size("classes", self.classes)?;
        if classes > 256 {
            return Err(Failure::new(SNT_E_UNSUPPORTED, format!("{}: found {classes}, wanted at most 256", field("classes"))));
        }
        if self.dtype != SNT_DTYPE_UINT8 {
            let message = format!("{}: found {}, wanted {SNT_DTYPE_UINT8} (one byte a pixel)", field("dtype"), self.dtype);
            return Err(Failure::new(SNT_E_UNSUPPORTED, message));
        }
        if ![SNT_LAYOUT_NCHW, SNT_LAYOUT_NHWC].contains(&self.layout) {
            return Err(Error::invalid(field("layout"), self.layout, "0 (NCHW) or 1 (NHWC)").into());
        }
        let too_many = || Error::invalid(field("count"), self.count, "as many images as fit into memory");
        let count = usize::try_from(self.count).map_err(|_| too_many())?;
        let bytes = shape.iter().try_fold(count, |bytes, &size| bytes.checked_mul(size));
        let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize / size_of::<i64>()).ok_or_else(too_many)?;
        let pixels = values(self.images, bytes, &field("images"))?;
        let labels = labels(values(self.labels, count, &field("labels"))?, classes, &field("labels"))?;
        let pixels = if self.layout == SNT_LAYOUT_NHWC { channels_first(pixels, shape) } else { pixels.to_vec() };
        Ok(Images::new(name, pixels, labels, shape, classes)?)
    }

    fn let_go(&self) {
        if let Some(release) = self.release {
            // SAFETY: the caller's function, called as its type says, once.
            unsafe { release(self.user) }
        }
    }
}

fn labels(labels: &[i64], classes: usize, field: &str) -> Result<Vec<u8>> {
    let label = |(index, &label): (usize, &i64)| {
        let wanted = || format!("0 to {}", classes - 1);
        let refused = || Error::invalid(field, format!("label {label} of image {index} (counted from 0)"), wanted()).into();
        u8::try_from(label).ok().filter(|&label| usize::from(label) < classes).ok_or_else(refused)
    };
    labels.iter().enumerate().map(label).collect()
}

/// [count, height, width, channels] as [count, channels, height, width].
fn channels_first(pixels: &[u8], [channels, height, width]: [usize; 3]) -> Vec<u8> {
    let images = pixels.chunks_exact(channels * height * width);
    images
        .flat_map(|image| (0..channels).flat_map(move |channel| image.iter().skip(channel).step_by(channels).copied()))
        .collect()
}

fn joined(train: Images, test: Option<Images>, classes: usize, options: Options) -> Result<Dataset> {
    let classes = match options.classes {
        None => (0..classes).map(|class| class.to_string()).collect(),
        Some(names) if names.len() == classes => names,
        Some(names) => {
            return Err(Error::invalid("options.classes", format!("{} names", names.len()), format!("{classes}")).into());
        }
    };
    match test {
        Some(test) if test.shape() != train.shape() => {
            let wanted = format!("{:?}, as the training images have", train.shape());
            Err(Error::invalid("test", format!("images of {:?} (channels, height, width)", test.shape()), wanted).into())
        }
        Some(_) if options.test > 0 => Err(Error::invalid("options.test", options.test, "0: there are test images").into()),
        Some(test) => Ok(Dataset { train, test, classes }),
        None if options.test == 0 || options.test >= train.len() => {
            let wanted = format!("from 1 to {}, or a view of test images", train.len() - 1);
            Err(Error::invalid("options.test", options.test, wanted).into())
        }
        None => {
            let all = Dataset { test: train.select(&[0]), train, classes };
            let (train, test) = all.holdout(options.test, options.seed)?;
            Ok(Dataset { train, test, classes: all.classes })
        }
    }
}

/// Reads a folder of images. `source_json` is the [data] table of a recipe: {"kind": "idx" or "cifar10", "path": ...}.
///
/// `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any thread. Blocks while files
/// are read. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_dataset_open(
    context: *const snt_context,
    source_json: *const c_char,
    out: *mut *mut snt_dataset,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let source: Source = parse_json("source", text(source_json, "source_json")?)?;
        let folder = source.path().ok_or_else(|| Error::invalid("source.path", "nothing", "the folder of the images"))?;
        Ok(snt_dataset { data: Arc::new(source.load(folder)?), _context: context })
    })
}

/// Takes images from the caller's memory.
///
/// `test` may be NULL: then options_json says how many images of `train` are held out for testing. `options_json` may be
/// NULL or {"classes": [names], "test": count, "seed": of the draw}. The views are read during the call; see
/// snt_data_view.release for how long their memory is needed. `out` receives a handle that the caller frees with
/// snt_dataset_free; NULL on failure. Any thread. Blocks while images are copied. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_dataset_from_view(
    context: *const snt_context,
    train: *const snt_data_view,
    test: *const snt_data_view,
    options_json: *const c_char,
    out: *mut *mut snt_dataset,
    err: *mut *mut snt_error,
) -> snt_status {
    let mut taken: Vec<snt_data_view> = vec![];
    let status = give(out, err, || {
        let context = borrow(context, "context")?.0.clone();
        let options = optional_text(options_json, "options_json")?.map(|text| parse_json("options", text)).transpose()?;
        let train = sized(train, "train")?;
        let test = if test.is_null() { None } else { Some(sized(test, "test")?) };
        if let Some(test) = test.filter(|test| test.classes != train.classes) {
            return Err(Error::invalid("test.classes", test.classes, format!("{}, as in train", train.classes)).into());
        }
        let test_images = test.map(|test| test.images("test")).transpose()?;
        let data = joined(train.images("train")?, test_images, train.classes as usize, options.unwrap_or_default())?;
        taken = [train].into_iter().chain(test).collect();
        Ok(snt_dataset { data: Arc::new(data), _context: context })
    });
    taken.iter().for_each(snt_data_view::let_go);
    status
}

/// Fills `view` with zeros and its size. Pass sizeof(snt_data_view).
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_data_view_init(view: *mut snt_data_view, struct_size: usize) {
    let _ = caught(|| {
        init(view, struct_size);
        Ok(())
    });
}

/// Sizes of a data set: {"train", "test", "image": [channels, height, width], "classes", "hash"}.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while the hash is computed.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_dataset_info_json(
    dataset: *const snt_dataset,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    boundary(err, || {
        let data = &borrow(dataset, "dataset")?.data;
        let Dataset { train, test, classes } = &**data;
        let (sizes, image) = ([train.len(), test.len()], train.shape());
        write_json(out, &json!({ "train": sizes[0], "test": sizes[1], "image": image, "classes": classes, "hash": data.hash() }))
    })
}

/// Frees a data set; NULL is fine. Jobs that use it go on.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_dataset_free(dataset: *mut snt_dataset) {
    drop_handle(dataset);
}
