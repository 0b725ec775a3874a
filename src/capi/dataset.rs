//! Images and labels: from files, or from the caller's memory.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::boundary::{Growing, borrow, caught, drop_handle, give, init, optional_text, sized, text, values};
use super::context::{Context, snt_context};
use super::error::{Failure, Result, snt_error};
use super::status::{SNT_E_UNSUPPORTED, snt_status};
use super::version::{give_json, snt_buffer};
use crate::Error;
use crate::data::{Dataset, Images, Source};
use crate::reading::parse_json;

/// Labelled images, in two parts: to learn from and to report on. It never changes, so every thread may use it.
pub struct snt_dataset {
    pub(super) data: Arc<Dataset>,
    /// What a user should know of how it was read.
    remarks: Vec<String>,
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
    /// How many classes there are; at most 65536.
    pub classes: i32,
    /// SNT_LAYOUT_NCHW or SNT_LAYOUT_NHWC.
    pub layout: i32,
    /// SNT_DTYPE_UINT8.
    pub dtype: i32,
    /// Called exactly once when the library no longer needs the memory, if the call that took the view succeeds. If that fails,
    /// it is never called and the memory stays the caller's affair. NULL if nobody has to know. This version copies what it needs
    /// and calls it before the call returns.
    pub release: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Handed to `release`.
    pub user: *mut c_void,
}

impl Growing for snt_data_view {
    // `user` is the last member of 0.1.
    const LEAST: usize = offset_of!(Self, user) + size_of::<*mut c_void>();
}

/// Where `snt_dataset_from_iter` gets its images from, one at a time. Call snt_data_iter_init first, so that members of later
/// versions are zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct snt_data_iter {
    /// sizeof this struct.
    pub struct_size: usize,
    /// Writes the next image, channels * height * width bytes of brightness, to `pixels` and its label to `label`. Gives 1 for an
    /// image, 0 after the last, and anything else for a failure, which ends the call with SNT_E_INVALID_ARGUMENT.
    pub next: Option<unsafe extern "C" fn(user: *mut c_void, pixels: *mut u8, label: *mut i64) -> i32>,
    /// Handed to `next`.
    pub user: *mut c_void,
    /// Channels of an image: 1 for grey, 3 for colour.
    pub channels: i32,
    /// Rows of an image.
    pub height: i32,
    /// Columns of an image.
    pub width: i32,
    /// How many classes there are; at most 65536.
    pub classes: i32,
    /// SNT_LAYOUT_NCHW or SNT_LAYOUT_NHWC; without N, for there is one image at a time.
    pub layout: i32,
    /// SNT_DTYPE_UINT8.
    pub dtype: i32,
}

impl Growing for snt_data_iter {
    // `dtype` is the last member of 0.1.
    const LEAST: usize = offset_of!(Self, dtype) + size_of::<i32>();
}

/// A label is a number of 16 bits.
const MOST_CLASSES: usize = 1 << 16;
/// Of one image that a function is asked for: more is a mistake.
const MOST_BYTES: usize = 1 << 30;

/// The options of `snt_dataset_from_view` and `snt_dataset_from_iter`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    classes: Option<Vec<String>>,
    test: usize,
    seed: u64,
}

/// Images to train on or to test on, as C gives them.
trait Part: Growing {
    fn classes(&self) -> i32;

    /// All images, checked.
    fn images(&self, name: &str) -> Result<Images>;
}

impl Part for snt_data_view {
    fn classes(&self) -> i32 {
        self.classes
    }

    /// Copies them.
    fn images(&self, name: &str) -> Result<Images> {
        let field = |member: &str| format!("{name}.{member}");
        let (shape, classes) = checked_sizes(name, [self.channels, self.height, self.width], self.classes, self.layout)?;
        check_dtype(name, self.dtype)?;
        let too_many = || Error::invalid(field("count"), self.count, "as many images as fit into memory");
        let count = usize::try_from(self.count).map_err(|_| too_many())?;
        let bytes = shape.iter().try_fold(count, |bytes, &size| bytes.checked_mul(size));
        let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize / size_of::<i64>()).ok_or_else(too_many)?;
        let pixels = values(self.images, bytes, &field("images"))?;
        let labels = labels(values(self.labels, count, &field("labels"))?, classes, &field("labels"))?;
        let pixels = if self.layout == SNT_LAYOUT_NHWC { channels_first(pixels, shape) } else { pixels.to_vec() };
        Ok(Images::new(name, pixels, labels, shape, classes)?)
    }
}

impl snt_data_view {
    fn let_go(&self) {
        if let Some(release) = self.release {
            // SAFETY: the caller's function, called as its type says, once.
            unsafe { release(self.user) }
        }
    }
}

impl Part for snt_data_iter {
    fn classes(&self) -> i32 {
        self.classes
    }

    /// Asks for them, one at a time.
    fn images(&self, name: &str) -> Result<Images> {
        let (shape, classes) = checked_sizes(name, [self.channels, self.height, self.width], self.classes, self.layout)?;
        check_dtype(name, self.dtype)?;
        let next = self.next.ok_or_else(|| Error::invalid(format!("{name}.next"), "NULL", "a function"))?;
        let size = shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side)).filter(|&size| size <= MOST_BYTES);
        let wanted = format!("images of at most {MOST_BYTES} bytes");
        let size = size.ok_or_else(|| Error::invalid(format!("{name}.height"), self.height, wanted))?;
        let (mut image, mut pixels, mut found) = (vec![0; size], vec![], vec![]);
        loop {
            let mut label = 0;
            // SAFETY: the caller's function, called as its type says; `image` has room for an image.
            match unsafe { next(self.user, image.as_mut_ptr(), &mut label) } {
                1 if self.layout == SNT_LAYOUT_NHWC => pixels.extend(channels_first(&image, shape)),
                1 => pixels.extend_from_slice(&image),
                0 => break,
                status => {
                    let given = format!("{status} after {} images", found.len());
                    return Err(Error::invalid(format!("{name}.next"), given, "1 for an image, 0 after the last").into());
                }
            }
            found.push(label);
        }
        let labels = labels(&found, classes, &format!("{name}.next"))?;
        Ok(Images::new(name, pixels, labels, shape, classes)?)
    }
}

/// One byte a pixel is all there is.
fn check_dtype(name: &str, dtype: i32) -> Result<()> {
    match dtype {
        SNT_DTYPE_UINT8 => Ok(()),
        other => {
            let message = format!("{name}.dtype: found {other}, wanted {SNT_DTYPE_UINT8} (one byte a pixel)");
            Err(Failure::new(SNT_E_UNSUPPORTED, message))
        }
    }
}

/// Shape and number of classes, if they and the layout can be.
fn checked_sizes(name: &str, shape: [i32; 3], classes: i32, layout: i32) -> Result<([usize; 3], usize)> {
    let size = |member: &str, value: i32| -> Result<usize> {
        let refused = || Error::invalid(format!("{name}.{member}"), value, "1 or more").into();
        usize::try_from(value).ok().filter(|&value| value > 0).ok_or_else(refused)
    };
    let shape = [size("channels", shape[0])?, size("height", shape[1])?, size("width", shape[2])?];
    let classes = size("classes", classes)?;
    if classes > MOST_CLASSES {
        let message = format!("{name}.classes: found {classes}, wanted at most {MOST_CLASSES}");
        return Err(Failure::new(SNT_E_UNSUPPORTED, message));
    }
    match layout {
        SNT_LAYOUT_NCHW | SNT_LAYOUT_NHWC => Ok((shape, classes)),
        _ => Err(Error::invalid(format!("{name}.layout"), layout, "0 (NCHW) or 1 (NHWC)").into()),
    }
}

fn labels(labels: &[i64], classes: usize, field: &str) -> Result<Vec<u16>> {
    let label = |(index, &label): (usize, &i64)| {
        let wanted = || format!("0 to {}", classes - 1);
        let refused = || Error::invalid(field, format!("label {label} of image {index} (counted from 0)"), wanted()).into();
        u16::try_from(label).ok().filter(|&label| usize::from(label) < classes).ok_or_else(refused)
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

/// Both parts must name the same number of classes.
fn same_classes(train: i32, test: Option<i32>) -> Result<()> {
    match test.filter(|&test| test != train) {
        Some(test) => Err(Error::invalid("test.classes", test, format!("{train}, as in train")).into()),
        None => Ok(()),
    }
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
        Some(test) => Ok(Dataset::new(train, test, classes)),
        None if options.test == 0 || options.test >= train.len() => {
            let wanted = format!("from 1 to {}, or a view of test images", train.len() - 1);
            Err(Error::invalid("options.test", options.test, wanted).into())
        }
        None => {
            let all = Dataset::new(train.clone(), train, classes);
            let (train, test) = all.holdout(options.test.into(), options.seed)?;
            Ok(Dataset::new(train, test, all.classes().to_vec()))
        }
    }
}

/// Reads a folder of images. `source_json` is the [data] table of a recipe: {"kind": "idx", "cifar10", "cifar100" or "folder",
/// "path": ...}, and all else that a recipe may say there. "folder" reads JPEG and PNG files: a folder for each class in train,
/// and val and test like it, decoded once and kept in a file that is mapped into memory. snt_dataset_info_json tells what was
/// left out or held out.
///
/// `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any thread. Blocks while files are read.
///
/// Errors: SNT_E_NOT_FOUND for a folder or file that isn't there, SNT_E_IO for one that can't be read and for decoded images that
/// can't be written, SNT_E_CORRUPT for one that is damaged or something else, and for a picture smaller than "size" or, without
/// it, of another size than the first (unless "skip_unusable" leaves it out); SNT_E_INVALID_ARGUMENT without a path, for a label
/// that is no class, for a "size" above that of the images, for folders that aren't laid out like that, for classes that differ
/// between the parts or have too few pictures, and if the folder for decoded images can't be made. @since 0.1
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
        let mut remarks = vec![];
        let data = Arc::new(source.load(folder, &mut |remark| remarks.push(remark.to_owned()))?);
        Ok(snt_dataset { data, remarks, _context: context })
    })
}

/// Takes images from the caller's memory.
///
/// `test` may be NULL: then options_json says how many images of `train` are held out for testing. `options_json` may be NULL or
/// {"classes": [names], "test": count, "seed": of the draw}. The views are read during the call; see snt_data_view.release for
/// how long their memory is needed. `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any
/// thread. Blocks while images are copied.
///
/// Errors: SNT_E_INVALID_ARGUMENT for no images, a size below 1, another layout, more images than memory can hold, a label
/// outside 0 to classes - 1, parts of different sizes or classes, names that aren't one for each class, and a "test" that leaves
/// either part without images or stands beside `test`; SNT_E_UNSUPPORTED for more than 65536 classes and for another dtype.
/// @since 0.1
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
        let (data, parts) = assembled(context, train, test, options_json)?;
        taken = parts;
        Ok(data)
    });
    taken.iter().for_each(snt_data_view::let_go);
    status
}

/// A data set of both parts, or of one that is divided, and the parts that were read.
fn assembled<P: Part>(
    context: *const snt_context,
    train: *const P,
    test: *const P,
    options_json: *const c_char,
) -> Result<(snt_dataset, Vec<P>)> {
    let context = borrow(context, "context")?.0.clone();
    let options = optional_text(options_json, "options_json")?.map(|text| parse_json("options", text)).transpose()?;
    let train = sized(train, "train")?;
    let test = if test.is_null() { None } else { Some(sized(test, "test")?) };
    same_classes(train.classes(), test.map(|test| test.classes()))?;
    let images = train.images("train")?;
    let of_test = test.map(|test| test.images("test")).transpose()?;
    let data = joined(images, of_test, train.classes() as usize, options.unwrap_or_default())?;
    Ok((snt_dataset { data: Arc::new(data), remarks: vec![], _context: context }, [train].into_iter().chain(test).collect()))
}

/// Takes images from functions of the caller, one at a time: for images that lie nowhere in one piece.
///
/// `test` and `options_json` are those of snt_dataset_from_view. The functions are called on this thread, `train` first, until
/// they give 0. `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any thread. Blocks while
/// images are asked for.
///
/// Errors: those of snt_dataset_from_view, and SNT_E_INVALID_ARGUMENT if `next` is NULL or fails, and for an image above 1 GiB.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_dataset_from_iter(
    context: *const snt_context,
    train: *const snt_data_iter,
    test: *const snt_data_iter,
    options_json: *const c_char,
    out: *mut *mut snt_dataset,
    err: *mut *mut snt_error,
) -> snt_status {
    give(out, err, || Ok(assembled(context, train, test, options_json)?.0))
}

/// Fills `iter` with zeros and its size. Pass sizeof(snt_data_iter).
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_data_iter_init(iter: *mut snt_data_iter, struct_size: usize) {
    let _ = caught(|| {
        init(iter, struct_size);
        Ok(())
    });
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

/// Sizes of a data set: {"train", "test", "validation": 0 where it is held out of train, "image": [channels, height, width],
/// "classes", "hash", "remarks": what a user should know of how it was read, in sentences}.
///
/// `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while the hash is computed, the first
/// time. No errors of its own. @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn snt_dataset_info_json(
    dataset: *const snt_dataset,
    out: *mut snt_buffer,
    err: *mut *mut snt_error,
) -> snt_status {
    give_json(out, err, || {
        let snt_dataset { data, remarks, .. } = borrow(dataset, "dataset")?;
        let (train, test, validation) = (data.train().len(), data.test().len(), data.validation().map_or(0, Images::len));
        let (image, classes, hash) = (data.train().shape(), data.classes(), data.hash());
        Ok(json!({
            "train": train, "test": test, "validation": validation, "image": image, "classes": classes, "hash": hash,
            "remarks": remarks,
        }))
    })
}

/// Frees a data set; NULL is fine. Jobs that use it go on.
///
/// Any thread. Does not block. @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snt_dataset_free(dataset: *mut snt_dataset) {
    drop_handle(dataset);
}
