/*
 * supernaut: train a supernet, search it for the subnets that fit a device, export these to ONNX and prove the files.
 * examples/embed.c shows it all in use.
 *
 * What holds for every function, unless its comment says otherwise:
 * - A pointer is valid for what its type says. A NULL where something is needed is an error, not a crash.
 * - A handle is the caller's: freed once, in any order, with the _free function of its type. NULL is fine there.
 * - Arguments are read during the call only. Text is UTF-8 and ends in a NUL, paths too.
 * - A call that can fail returns a status: 0 is success, 100 and above are errors. `err` may be NULL; if not, it receives
 *   NULL, or an error that the caller frees with snt_error_free.
 * - `out` and its like are written on success only; on failure handles are set to NULL, and buffers are empty.
 * - Structs begin with struct_size. Members are only ever added, at the end; set what you don't know to zero (_init does).
 * - Every function may be called from every thread. After fork() nothing may be called in the child.
 * - `user` pointers are handed back and never looked into.
 */

#ifndef SUPERNAUT_H
#define SUPERNAUT_H

#include <stddef.h>
#include <stdint.h>

#define SNT_VERSION_MAJOR 0
#define SNT_VERSION_MINOR 1
#define SNT_VERSION_PATCH 0
#define SNT_VERSION (((uint32_t)SNT_VERSION_MAJOR << 16) | ((uint32_t)SNT_VERSION_MINOR << 8) | (uint32_t)SNT_VERSION_PATCH)

#if defined(_WIN32)
#  define SNT_API __declspec(dllimport)
#elif defined(__GNUC__)
#  define SNT_API __attribute__((visibility("default")))
#else
#  define SNT_API
#endif
#if defined(__GNUC__)
#  define SNT_MUST_USE __attribute__((warn_unused_result))
#else
#  define SNT_MUST_USE
#endif

/**
 * Only failures.
 */
#define SNT_LOG_ERROR 1

/**
 * Failures, and the beginning and end of every job.
 */
#define SNT_LOG_INFO 3

/**
 * Images in the layout [count][channels][height][width].
 */
#define SNT_LAYOUT_NCHW 0

/**
 * Images in the layout [count][height][width][channels].
 */
#define SNT_LAYOUT_NHWC 1

/**
 * Pixels of one byte, 0 to 255.
 */
#define SNT_DTYPE_UINT8 0

/**
 * Timeout of snt_job_wait: none.
 */
#define SNT_WAIT_FOREVER UINT32_MAX

/**
 * Where and how things are computed. Everything that is made in a context keeps it alive.
 */
typedef struct snt_context snt_context;

/**
 * Labelled images, in two parts: to learn from and to report on. It never changes, so every thread may use it.
 */
typedef struct snt_dataset snt_dataset;

/**
 * What went wrong in one call. The caller owns it; it never changes, so every thread may read it.
 */
typedef struct snt_error snt_error;

/**
 * Training, search or evaluation: made by a `_start` function, then either stepped by the caller (snt_job_step) or given a
 * thread of its own (snt_job_start). Every thread may use it.
 */
typedef struct snt_job snt_job;

/**
 * A network with weights, the recipe it was made by, and how far its training has come: a supernet, or a subnet that stands
 * alone. Every thread may use it; a job has it for itself, and other calls get SNT_E_BUSY at once.
 */
typedef struct snt_model snt_model;

/**
 * What a job has found: of a search the chosen architectures, most accurate first; of an evaluation its list, as far as it came;
 * of a training none. It never changes, so every thread may use it.
 */
typedef struct snt_result snt_result;

/**
 * A search space on images of given sizes. It never changes, so every thread may use it.
 */
typedef struct snt_space snt_space;

/**
 * A search strategy whose loop and metric are the caller's. Every thread may use it; calls take turns.
 */
typedef struct snt_strategy snt_strategy;

/**
 * What a call returns. 0 to 99 are not errors; a number never changes its meaning.
 *
 * The comment of a function names the errors it gives, and when. What holds for all isn't repeated there: any of them may give
 * SNT_E_INVALID_ARGUMENT for a NULL where something is needed, for text that is not UTF-8, for JSON or TOML with a mistake (its
 * syntax, an unknown key, a value that will not do) and for a struct_size that is too small; SNT_E_UNSUPPORTED for a struct that
 * sets members this version doesn't know; SNT_E_OUT_OF_MEMORY and SNT_E_DEVICE where it works on tensors; and SNT_E_INTERNAL.
 */
typedef int32_t snt_status;

/**
 * Memory of the library's, freed with snt_buffer_free and never with free(). A NUL that `len` doesn't count follows the bytes,
 * so JSON is a C string.
 */
typedef struct {
  /**
   * The bytes.
   */
  const char *data;
  /**
   * How many.
   */
  size_t len;
  /**
   * The library's own.
   */
  void *reserved;
} snt_buffer;

/**
 * Receives a line of log. `target` and `message` are valid during the call. Called on any thread that works for the context; it
 * must not unwind.
 */
typedef void (*snt_log_fn)(void *user, int32_t level, const char *target, const char *message);

/**
 * What a context is made of. Call snt_context_params_init first, so that members of later versions are zero.
 */
typedef struct {
  /**
   * sizeof this struct.
   */
  size_t struct_size;
  /**
   * "cpu" or "cuda:N", in place of what a recipe or a loaded checkpoint says; NULL to leave it to these. Read during the call
   * only.
   */
  const char *device;
  /**
   * Threads of one operation, in place of what a recipe says; 0 to leave it to that.
   */
  int32_t threads;
  /**
   * SNT_LOG_ERROR, SNT_LOG_INFO, or 0 for silence.
   */
  int32_t log_level;
  /**
   * Where log lines go; NULL for nowhere.
   */
  snt_log_fn log;
  /**
   * Handed to `log`; has to stay valid until the context and all that was made in it is freed.
   */
  void *log_user;
} snt_context_params;

/**
 * Images and labels in the caller's memory. Call snt_data_view_init first, so that members of later versions are zero.
 */
typedef struct {
  /**
   * sizeof this struct.
   */
  size_t struct_size;
  /**
   * count * channels * height * width pixels.
   */
  const uint8_t *images;
  /**
   * count labels, each from 0 to classes - 1.
   */
  const int64_t *labels;
  /**
   * How many images.
   */
  uint64_t count;
  /**
   * Channels of an image: 1 for grey, 3 for colour.
   */
  int32_t channels;
  /**
   * Rows of an image.
   */
  int32_t height;
  /**
   * Columns of an image.
   */
  int32_t width;
  /**
   * How many classes there are; at most 65536.
   */
  int32_t classes;
  /**
   * SNT_LAYOUT_NCHW or SNT_LAYOUT_NHWC.
   */
  int32_t layout;
  /**
   * SNT_DTYPE_UINT8.
   */
  int32_t dtype;
  /**
   * Called exactly once when the library no longer needs the memory, if the call that took the view succeeds. If that fails,
   * it is never called and the memory stays the caller's affair. NULL if nobody has to know. This version copies what it needs
   * and calls it before the call returns.
   */
  void (*release)(void *user);
  /**
   * Handed to `release`.
   */
  void *user;
} snt_data_view;

/**
 * Where `snt_dataset_from_iter` gets its images from, one at a time. Call snt_data_iter_init first, so that members of later
 * versions are zero.
 */
typedef struct {
  /**
   * sizeof this struct.
   */
  size_t struct_size;
  /**
   * Writes the next image, channels * height * width bytes of brightness, to `pixels` and its label to `label`. Gives 1 for an
   * image, 0 after the last, and anything else for a failure, which ends the call with SNT_E_INVALID_ARGUMENT.
   */
  int32_t (*next)(void *user, uint8_t *pixels, int64_t *label);
  /**
   * Handed to `next`.
   */
  void *user;
  /**
   * Channels of an image: 1 for grey, 3 for colour.
   */
  int32_t channels;
  /**
   * Rows of an image.
   */
  int32_t height;
  /**
   * Columns of an image.
   */
  int32_t width;
  /**
   * How many classes there are; at most 65536.
   */
  int32_t classes;
  /**
   * SNT_LAYOUT_NCHW or SNT_LAYOUT_NHWC; without N, for there is one image at a time.
   */
  int32_t layout;
  /**
   * SNT_DTYPE_UINT8.
   */
  int32_t dtype;
} snt_data_iter;

/**
 * What happened in one step. The library's; valid during the call of the event function.
 */
typedef struct {
  /**
   * sizeof the struct as the library knows it; members beyond it aren't there.
   */
  size_t struct_size;
  /**
   * "train", "search", "retrain" or "evaluate"; of the snt_folder_ functions also "split" and "export".
   */
  const char *phase;
  /**
   * Steps done.
   */
  uint64_t step;
  /**
   * Steps in all.
   */
  uint64_t total;
  /**
   * Seconds since the job was made; in the snt_folder_ functions, since this phase or network began in this call.
   */
  double seconds;
  /**
   * Seconds that the rest will take, by the pace so far.
   */
  double eta_seconds;
  /**
   * Training loss of the step; NaN where there is none.
   */
  double loss;
  /**
   * Accuracy of the architecture, 0 to 1; NaN where there is none.
   */
  double accuracy;
  /**
   * All of it, with "arch" and "rate".
   */
  const char *json;
} snt_event;

/**
 * Called after every step, on the thread that does the steps, with no lock held; non-zero asks the job to stop. It may call
 * snt_job_cancel and everything that doesn't need this job or its model; those give SNT_E_INVALID_STATE or SNT_E_BUSY. It must
 * not unwind.
 */
typedef int32_t (*snt_event_fn)(void *user, const snt_event *event);

/**
 * Done.
 */
#define SNT_OK 0

/**
 * The job was cancelled. Not an error.
 */
#define SNT_CANCELLED 1

/**
 * Not finished yet: ask again later. Not an error.
 */
#define SNT_NOT_READY 2

/**
 * Nothing is left to do. Not an error.
 */
#define SNT_END 3

/**
 * An argument or a value in a recipe will not do: the error says which, what was found and what is wanted.
 */
#define SNT_E_INVALID_ARGUMENT 100

/**
 * The call does not fit what the object is, or what it is doing.
 */
#define SNT_E_INVALID_STATE 101

/**
 * A name or file that isn't there, or ONNX Runtime where it can't be loaded.
 */
#define SNT_E_NOT_FOUND 102

/**
 * Legal, but not built here.
 */
#define SNT_E_UNSUPPORTED 103

/**
 * Memory ran out, of the host or of the device. A training job that finds none for a step leaves its model as it was before that
 * step, unless the step had begun to change it, by its update, by running statistics (a retraining) or by what a sampler or a
 * loss remembers: calls on the model give SNT_E_POISONED then.
 */
#define SNT_E_OUT_OF_MEMORY 104

/**
 * The device asked for isn't there; nothing falls back to another.
 */
#define SNT_E_DEVICE_UNAVAILABLE 105

/**
 * The device failed.
 */
#define SNT_E_DEVICE 106

/**
 * The operating system refused.
 */
#define SNT_E_IO 107

/**
 * A file is damaged or isn't what its name says.
 */
#define SNT_E_CORRUPT 108

/**
 * A file or model of another version, space, recipe or data set.
 */
#define SNT_E_VERSION 109

/**
 * No architecture meets the limits; the error names the nearest.
 */
#define SNT_E_CONSTRAINT 110

/**
 * A loss, a gradient, a weight or a measure is not a finite number.
 */
#define SNT_E_NUMERIC 111

/**
 * An ONNX file doesn't compute what the network computes.
 */
#define SNT_E_VERIFY_FAILED 112

/**
 * Time ran out. Reserved: nothing gives it yet.
 */
#define SNT_E_TIMEOUT 113

/**
 * A job or another call has the object, or another run has the folder: wait for its end.
 */
#define SNT_E_BUSY 114

/**
 * An error in the middle of a training step left the model unusable: free it. The job has ended with that error:
 * SNT_E_OUT_OF_MEMORY, SNT_E_DEVICE, SNT_E_NUMERIC or SNT_E_INTERNAL.
 */
#define SNT_E_POISONED 115

/**
 * A bug of this library, or a failure of libtorch or ONNX Runtime that has no status of its own.
 */
#define SNT_E_INTERNAL 116

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status, such as "SNT_E_BUSY", or "unknown".
 *
 * Static text. Any thread. Does not block. @since 0.1
 */
SNT_API const char *snt_status_name(snt_status status);

/**
 * The version of the library that is loaded: major << 16 | minor << 8 | patch. Compare it with SNT_VERSION, the version of the
 * header.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API
uint32_t snt_version(void);

/**
 * Versions of this library and of those it uses, and the machine: {"supernaut", "libtorch", "onnxruntime": "not loaded" where it
 * can't be loaded, "machine": {"cpu", "cores"}}.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while ONNX Runtime is loaded, the first
 * time. No errors of its own. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_build_info_json(snt_buffer *out,
                               snt_error **err);

/**
 * What can be asked for here: {"devices", "spaces", "data", "samplers", "losses", "schedules", "splits", "strategies" (the kinds
 * that a recipe may name), "precisions", "opsets": [least, greatest], "onnxruntime": whether it can be loaded, "cancel"}. A job
 * looks at its cancel flag before every step.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while devices are looked for and ONNX
 * Runtime is loaded. No errors of its own. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_capabilities_json(snt_buffer *out,
                                 snt_error **err);

/**
 * Frees what a call wrote to `buffer`, and makes it empty, so that a second time is harmless. NULL is fine.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_buffer_free(snt_buffer *buffer);

/**
 * The status that the failed call returned; SNT_OK for NULL.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API snt_status snt_error_status(const snt_error *error);

/**
 * One sentence that names the field, what was found and what is wanted; "" for NULL.
 *
 * Valid until snt_error_free. Any thread. Does not block. @since 0.1
 */
SNT_API const char *snt_error_message(const snt_error *error);

/**
 * The same for programs: {"code", "status", "message"} and, where there are such, "field", "found", "wanted"; "{}" for NULL.
 *
 * Valid until snt_error_free. Any thread. Does not block. @since 0.1
 */
SNT_API
const char *snt_error_json(const snt_error *error);

/**
 * Frees an error; NULL is fine.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_error_free(snt_error *error);

/**
 * Fills `params` with defaults: the recipe decides, no log. Pass sizeof(snt_context_params).
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_context_params_init(snt_context_params *params, size_t struct_size);

/**
 * Makes a context. `params` may be NULL for the defaults.
 *
 * `out` receives a handle that the caller frees with snt_context_free; NULL on failure. Any thread. Blocks while the device is
 * looked for.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for a device that isn't called "cpu" or "cuda:N" and for threads below 0;
 * SNT_E_DEVICE_UNAVAILABLE if the device isn't there. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_context_create(const snt_context_params *params,
                              snt_context **out,
                              snt_error **err);

/**
 * Frees a context; NULL is fine. What was made in it goes on living.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_context_free(snt_context *context);

/**
 * Reads a folder of images. `source_json` is the [data] table of a recipe: {"kind": "idx", "cifar10", "cifar100" or "folder",
 * "path": ...}, and all else that a recipe may say there. "folder" reads JPEG and PNG files: a folder for each class in train,
 * and val and test like it, decoded once and kept in a file that is mapped into memory. snt_dataset_info_json tells what was
 * left out or held out.
 *
 * `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any thread. Blocks while files are read.
 *
 * Errors: SNT_E_NOT_FOUND for a folder or file that isn't there, SNT_E_IO for one that can't be read and for decoded images that
 * can't be written, SNT_E_CORRUPT for one that is damaged or something else, and for a picture smaller than "size" or, without
 * it, of another size than the first (unless "skip_unusable" leaves it out); SNT_E_INVALID_ARGUMENT without a path, for a label
 * that is no class, for a "size" above that of the images, for folders that aren't laid out like that, for classes that differ
 * between the parts or have too few pictures, and if the folder for decoded images can't be made. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_dataset_open(const snt_context *context,
                            const char *source_json,
                            snt_dataset **out,
                            snt_error **err);

/**
 * Takes images from the caller's memory.
 *
 * `test` may be NULL: then options_json says how many images of `train` are held out for testing. `options_json` may be NULL or
 * {"classes": [names], "test": count, "seed": of the draw}. The views are read during the call; see snt_data_view.release for
 * how long their memory is needed. `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any
 * thread. Blocks while images are copied.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for no images, a size below 1, another layout, more images than memory can hold, a label
 * outside 0 to classes - 1, parts of different sizes or classes, names that aren't one for each class, and a "test" that leaves
 * either part without images or stands beside `test`; SNT_E_UNSUPPORTED for more than 65536 classes and for another dtype.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_dataset_from_view(const snt_context *context,
                                 const snt_data_view *train,
                                 const snt_data_view *test,
                                 const char *options_json,
                                 snt_dataset **out,
                                 snt_error **err);

/**
 * Takes images from functions of the caller, one at a time: for images that lie nowhere in one piece.
 *
 * `test` and `options_json` are those of snt_dataset_from_view. The functions are called on this thread, `train` first, until
 * they give 0. `out` receives a handle that the caller frees with snt_dataset_free; NULL on failure. Any thread. Blocks while
 * images are asked for.
 *
 * Errors: those of snt_dataset_from_view, and SNT_E_INVALID_ARGUMENT if `next` is NULL or fails, and for an image above 1 GiB.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_dataset_from_iter(const snt_context *context,
                                 const snt_data_iter *train,
                                 const snt_data_iter *test,
                                 const char *options_json,
                                 snt_dataset **out,
                                 snt_error **err);

/**
 * Fills `iter` with zeros and its size. Pass sizeof(snt_data_iter).
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_data_iter_init(snt_data_iter *iter, size_t struct_size);

/**
 * Fills `view` with zeros and its size. Pass sizeof(snt_data_view).
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_data_view_init(snt_data_view *view, size_t struct_size);

/**
 * Sizes of a data set: {"train", "test", "validation": 0 where it is held out of train, "image": [channels, height, width],
 * "classes", "hash", "remarks": what a user should know of how it was read, in sentences}.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while the hash is computed, the first
 * time. No errors of its own. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_dataset_info_json(const snt_dataset *dataset,
                                 snt_buffer *out,
                                 snt_error **err);

/**
 * Frees a data set; NULL is fine. Jobs that use it go on.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_dataset_free(snt_dataset *dataset);

/**
 * Builds the space called `name`, such as "nb201", for the images and classes of `dataset`. `options_json` may be NULL or hold
 * the keys that a recipe's [space] table has beside `kind`.
 *
 * `out` receives a handle that the caller frees with snt_space_free; NULL on failure. Any thread. Blocks while mean and hash of
 * the images are computed, the first time.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for a name that isn't known, and for a space that can't be built for such images. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_builtin(const snt_context *context,
                             const char *name,
                             const char *options_json,
                             const snt_dataset *dataset,
                             snt_space **out,
                             snt_error **err);

/**
 * Builds a space for images that nobody has yet: to count and to time what networks would cost, before there are data.
 *
 * `space_json` holds a recipe's [space] table, such as {"kind": "nb201", "channels": 8}, of any kind but "file"; `image` points
 * to channels, height and width of the images, each 1 to 65536 and together at most 67108864 values; there are 1 to 1000000
 * classes. `out` receives a handle that the caller frees with snt_space_free; NULL on failure. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for other sizes, and for a space that can't be built for such images. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_for_shape(const snt_context *context,
                               const char *space_json,
                               const uint32_t *image,
                               uint32_t classes,
                               snt_space **out,
                               snt_error **err);

/**
 * Builds the space that `space_text` describes, for the images and classes of `dataset`: a space file in TOML, or the same keys
 * in JSON if its first character is '{'. docs/spaces.md tells what stands in it.
 *
 * A mistake in TOML is told with the line, as in `space:12: edge "2<-5": found node 5, wanted one of 0 to 3`. In a recipe the
 * same tables stand in [space], beside kind = "custom". `out` receives a handle that the caller frees with snt_space_free; NULL
 * on failure. Any thread. Blocks while mean and hash of the images are computed, the first time.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for a text that describes no space, and for a space that can't be built for such images.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_from_text(const snt_context *context,
                               const char *space_text,
                               const snt_dataset *dataset,
                               snt_space **out,
                               snt_error **err);

/**
 * As snt_space_from_text, from a space file in TOML. A mistake is told with the path and the line.
 *
 * `path` is UTF-8.
 *
 * Errors: those of snt_space_from_text, and SNT_E_NOT_FOUND if there is no such file, SNT_E_IO if it can't be read,
 * SNT_E_CORRUPT if it isn't UTF-8. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_load(const snt_context *context,
                          const char *path,
                          const snt_dataset *dataset,
                          snt_space **out,
                          snt_error **err);

/**
 * The space: {"space", "genes": [{"name", "options"}], "image": [channels, height, width], "graph_hash", "architectures"}; how
 * many of the latter there are is text, to the last digit or as in "1.26e40".
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block. No errors of its own.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_info_json(const snt_space *space,
                               snt_buffer *out,
                               snt_error **err);

/**
 * Draws an architecture, uniformly; the same seed draws the same.
 *
 * Writes text and a NUL to `buffer` if `capacity` suffices. `needed`, if not NULL, receives the size with the NUL in both cases;
 * with `buffer` NULL and `capacity` 0 the call only asks for it. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if `capacity` doesn't suffice. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_sample(const snt_space *space,
                            uint64_t seed,
                            char *buffer,
                            size_t capacity,
                            size_t *needed,
                            snt_error **err);

/**
 * Writes `arch` without operations that nothing reaches or nothing reads: equal texts for most equal networks.
 *
 * `buffer`, `capacity` and `needed` are those of snt_space_sample. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space, or `capacity` doesn't suffice. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_canonical(const snt_space *space,
                               const char *arch,
                               char *buffer,
                               size_t capacity,
                               size_t *needed,
                               snt_error **err);

/**
 * What `arch` costs as a network that stands alone, for one image: {"params": all trainable numbers, "macs":
 * multiply-accumulates of convolutions and linear layers, "complexity": the weights of these layers alone, without norms and
 * biases (a classifier's bias counts in spaces that say "in_complexity", as "mobilenet" does); CaLR, the schedule "complexity",
 * sets the learning rate by it}. Every operation counts that is written, also one that nothing reaches: what a search reports
 * and what is trained and exported is what snt_space_canonical gives.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_cost_json(const snt_space *space,
                               const char *arch,
                               snt_buffer *out,
                               snt_error **err);

/**
 * Times `arch` as it would be shipped, without dead operations and with fresh weights, which make no difference: on one image,
 * in ONNX Runtime on this machine's CPU.
 *
 * `config_json` may be NULL, or hold a recipe's [latency] table. `report` receives {"median", "p90": milliseconds, "half_width":
 * half the width of the median's 95 % interval, as a share of the median, "runs": how many counted, "threads": how many ONNX
 * Runtime used}, freed by the caller with snt_buffer_free. Any thread. Blocks for at most twice the table's `seconds` (2 by
 * default), longer only if six runs take longer.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space; SNT_E_NOT_FOUND if ONNX Runtime can't be loaded. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_space_latency(const snt_space *space,
                             const char *arch,
                             const char *config_json,
                             snt_buffer *report,
                             snt_error **err);

/**
 * Frees a space; NULL is fine.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_space_free(snt_space *space);

/**
 * Begins a search of `space`. `topic_json` may be NULL or hold two keys of a recipe's [search] table: "strategy", such as
 * {"kind": "nsga2", "population": 50}, and "limits" on params and macs, which count without dead operations. All chance comes
 * from `seed`: the same answers give the same questions.
 *
 * `out` receives a handle that the caller frees with snt_strategy_free; NULL on failure. The space may be freed before. Any
 * thread. Does not block.
 *
 * Errors: SNT_E_CONSTRAINT if no architecture meets the limits; SNT_E_INVALID_ARGUMENT for a limit on latency_ms, for a strategy
 * that the space is too large for, and if there is nothing to ask for. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_strategy_create(const snt_space *space,
                               const char *topic_json,
                               uint64_t seed,
                               snt_strategy **out,
                               snt_error **err);

/**
 * The next architecture to judge, without operations that nothing reaches or reads: as it would be trained and exported. You may
 * ask for several before you answer the first.
 *
 * SNT_OK with an architecture; SNT_NOT_READY if earlier ones have to be answered first; SNT_END if nothing is left to try.
 * `buffer`, `capacity` and `needed` are those of snt_space_sample: a call that only asks for the size, or fails, leaves the
 * architecture the next. `images`, if not NULL, receives how many validation images the strategy wants it judged on, 0 for all;
 * most strategies always want all. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if `capacity` doesn't suffice. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_strategy_ask(const snt_strategy *strategy,
                            char *buffer,
                            size_t capacity,
                            size_t *needed,
                            uint64_t *images,
                            snt_error **err);

/**
 * Tells how good `arch` is that was asked for: `count` figures, one per objective, each the smaller the better, the same number
 * every time. INFINITY is for what can't be judged.
 *
 * Architectures may be told of in any order. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if `arch` is none of the space, wasn't asked for or was told of before, for NaN, for no figure,
 * and for more or fewer than the first time. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_strategy_tell(const snt_strategy *strategy,
                             const char *arch,
                             const double *figures,
                             size_t count,
                             snt_error **err);

/**
 * Everything told so far: {"trials": [{"arch", "images": how many it was judged on, null for all, "figures", "front"}]}, in the
 * order of the questions. "front" marks what was judged on all images and is beaten by nothing in every figure.
 *
 * Of a round that is not all told of, nothing is in it yet. `out` receives a buffer that the caller frees with snt_buffer_free.
 * Any thread. Does not block. No errors of its own. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_strategy_result_json(const snt_strategy *strategy,
                                    snt_buffer *out,
                                    snt_error **err);

/**
 * Frees a strategy; NULL is fine.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_strategy_free(snt_strategy *strategy);

/**
 * Reads a recipe file in TOML and gives it as JSON, with every default filled in and with the space file and the landmarks it
 * names, so that the text is all that snt_model_create and the snt_folder_ functions need.
 *
 * `path` is UTF-8. `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Blocks while the files are
 * read.
 *
 * Errors, for the recipe and the files it names: SNT_E_INVALID_ARGUMENT for a mistake in the recipe or the space file;
 * SNT_E_NOT_FOUND for a file that isn't there, and for landmarks without the column asked for; SNT_E_IO for one that can't be
 * read; SNT_E_CORRUPT for one that isn't UTF-8, and for landmarks that are damaged or no table. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_recipe_json(const char *path,
                           snt_buffer *out,
                           snt_error **err);

/**
 * Makes a supernet with fresh weights.
 *
 * `recipe_text` is a recipe in TOML, or in JSON if its first character is '{'; files that it names are looked for from the
 * current folder (snt_recipe_json reads a recipe with its files). The data come from `dataset`, checkpoints from who asks a job
 * for them: "data" and "checkpoint_steps" say nothing here. `out` receives a handle that the caller frees with snt_model_free;
 * NULL on failure. Any thread. Blocks while weights are drawn.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for a recipe that can't be used on `dataset` or on its device, that needs more than its
 * memory_limit, or that has [[split]] tables (snt_folder_train has them); SNT_E_CONSTRAINT if no architecture meets its limits;
 * SNT_E_DEVICE_UNAVAILABLE if its device isn't there; SNT_E_NOT_FOUND if it limits latency and ONNX Runtime can't be loaded; for
 * files that it names, SNT_E_NOT_FOUND, SNT_E_IO and SNT_E_CORRUPT as in snt_recipe_json. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_model_create(const snt_context *context,
                            const char *recipe_text,
                            const snt_dataset *dataset,
                            snt_model **out,
                            snt_error **err);

/**
 * Reads a model from a checkpoint, with the recipe and the progress in it, onto the device of `context` if that names one. A
 * forest.json gives all its trained supernets in one handle, to search, evaluate and retrain from.
 *
 * `path` is UTF-8. `out` receives a handle that the caller frees with snt_model_free; NULL on failure. Any thread. Blocks while
 * the file is read and checked.
 *
 * Errors: SNT_E_NOT_FOUND if there is no such file, SNT_E_IO if it can't be read, SNT_E_CORRUPT if it is damaged or neither of
 * the two, SNT_E_VERSION if its format is another or this version builds its space differently; SNT_E_DEVICE_UNAVAILABLE if the
 * device isn't there. Of a forest.json also SNT_E_INVALID_ARGUMENT if it isn't finished, SNT_E_VERSION if a checkpoint is of
 * another recipe or data set, and SNT_E_CORRUPT if one is of another region. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_model_load(const snt_context *context,
                          const char *path,
                          snt_model **out,
                          snt_error **err);

/**
 * Writes a checkpoint: safetensors, beside `path` and renamed, so a whole file stands there at any time. Training can go on from
 * it.
 *
 * `path` is UTF-8. Any thread. Blocks while the file is written.
 *
 * Errors: SNT_E_BUSY while a job or another call has the model (ask the job with snt_job_checkpoint); SNT_E_POISONED once a job
 * has broken off in the middle of a step; SNT_E_UNSUPPORTED for the supernets of a forest; SNT_E_NUMERIC if a weight is not
 * finite; SNT_E_IO if the file can't be written. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_model_save(const snt_model *model,
                          const char *path,
                          snt_error **err);

/**
 * What a model is: {"arch": null for a supernet, "step", "total": steps of its training, done and in all, "finished", "busy",
 * "poisoned", "supernets": how many, 0 for a subnet that stands alone, "weights": how many numbers, "params", "macs": of one
 * image, both null for a supernet, "space", "image": [channels, height, width], "classes", "graph_hash", "data_hash",
 * "recipe_hash", "recipe"}; of a forest, its first. While a job trains it, as it was before.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block. No errors of its own.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_model_info_json(const snt_model *model,
                               snt_buffer *out,
                               snt_error **err);

/**
 * Frees a model; NULL is fine. A job on it goes on.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_model_free(snt_model *model);

/**
 * Trains a model by its recipe, from where its training stands: the [train] table for a supernet, the [retrain] table for a
 * subnet that stands alone.
 *
 * `dataset` must be the one the model was made for. `event` may be NULL; `user` is handed to it and has to stay valid until the
 * job is freed. `out` receives a handle that the caller frees with snt_job_free; NULL on failure. From here to the job's end the
 * model is busy. Any thread. Blocks while images are copied to the device.
 *
 * Errors: SNT_E_BUSY while a job or another call has the model; SNT_E_POISONED once a job has broken off in the middle of a
 * step; SNT_E_VERSION for another data set, or SNT_E_INVALID_ARGUMENT if the recipe can't be used on it at all;
 * SNT_E_INVALID_ARGUMENT also if the recipe needs more than its memory_limit or can't be used on the device; SNT_E_UNSUPPORTED
 * for the supernets of a forest. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_train_start(const snt_model *model,
                           const snt_dataset *dataset,
                           snt_event_fn event,
                           void *user,
                           snt_job **out,
                           snt_error **err);

/**
 * Goes on where a checkpoint was written, with its recipe, device and threads, whatever the context says: the end is the same,
 * byte for byte, as without the interruption. snt_job_model gives the model.
 *
 * `path` is UTF-8. The rest is as in snt_train_start.
 *
 * Errors: those of snt_model_load for the file, SNT_E_VERSION also if this version reads its recipe differently; SNT_E_VERSION,
 * SNT_E_INVALID_ARGUMENT and SNT_E_UNSUPPORTED as in snt_train_start. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_train_resume(const snt_context *context,
                            const char *path,
                            const snt_dataset *dataset,
                            snt_event_fn event,
                            void *user,
                            snt_job **out,
                            snt_error **err);

/**
 * Makes the subnet `arch` of a supernet stand alone and trains it. snt_job_model gives the new model; the supernet is needed
 * during this call only.
 *
 * `retrain_json` may be NULL for the recipe's [retrain] table, or hold one to take its place: {"epochs": 0, "start": "supernet"}
 * cuts the subnet out as it is, in a job without steps. The rest is as in snt_train_start.
 *
 * Errors: SNT_E_INVALID_STATE for a model that stands alone; SNT_E_INVALID_ARGUMENT if `arch` is none of the space or beyond
 * what the supernet serves, and if the recipe needs more than its memory_limit; SNT_E_BUSY, SNT_E_POISONED and, for `dataset`,
 * SNT_E_VERSION and SNT_E_INVALID_ARGUMENT as in snt_train_start. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_retrain_start(const snt_model *model,
                             const snt_dataset *dataset,
                             const char *arch,
                             const char *retrain_json,
                             snt_event_fn event,
                             void *user,
                             snt_job **out,
                             snt_error **err);

/**
 * Searches a supernet. The result lists the chosen architectures, most accurate first.
 *
 * `search_json` may be NULL for the recipe's [search] table, or hold one to take its place. `memory_path` may be NULL, or name a
 * file (UTF-8) that keeps every evaluation: a search that is started again on it repeats none. The rest is as in
 * snt_train_start.
 *
 * Errors: SNT_E_INVALID_STATE for a model that stands alone; SNT_E_CONSTRAINT if no architecture meets the limits;
 * SNT_E_INVALID_ARGUMENT for more images than there are, for a strategy that the space is too large for, and if judging needs
 * more than memory_limit; SNT_E_NOT_FOUND if latency counts and ONNX Runtime can't be loaded; for the file, SNT_E_IO if it can't
 * be read or written, SNT_E_VERSION if it is of another recipe, supernet or data set, SNT_E_CORRUPT if it is damaged;
 * SNT_E_BUSY, SNT_E_POISONED and, for `dataset`, SNT_E_VERSION and SNT_E_INVALID_ARGUMENT as in snt_train_start. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_search_start(const snt_model *model,
                            const snt_dataset *dataset,
                            const char *search_json,
                            const char *memory_path,
                            snt_event_fn event,
                            void *user,
                            snt_job **out,
                            snt_error **err);

/**
 * Judges `count` architectures of a supernet on the validation images, as a search would; or a model that stands alone, with
 * `archs` NULL and `count` 0. Equal networks are judged once.
 *
 * `search_json` may be NULL for the recipe's [search] table, or hold one to take its place: "images", "batch" and "bn" count.
 * The result lists the architectures as they were given; "params" and "macs" are those of what snt_space_canonical gives. The
 * rest is as in snt_train_start.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for a supernet with `count` 0, if an architecture is none of the space, beyond what the
 * supernet serves or not that of a model that stands alone, for more images than there are, and if judging needs more than
 * memory_limit; SNT_E_BUSY, SNT_E_POISONED and, for `dataset`, SNT_E_VERSION and SNT_E_INVALID_ARGUMENT as in snt_train_start.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_evaluate_start(const snt_model *model,
                              const snt_dataset *dataset,
                              const char *const *archs,
                              size_t count,
                              const char *search_json,
                              snt_event_fn event,
                              void *user,
                              snt_job **out,
                              snt_error **err);

/**
 * Does up to `max_steps` steps on the calling thread, where the events come from too.
 *
 * SNT_OK if more may be left, SNT_END if the job has finished, SNT_CANCELLED, or the job's error; after its end always the same.
 * Any thread, one at a time. Blocks for the steps.
 *
 * A job's error: SNT_E_NUMERIC if a loss or a gradient of a training is not finite; SNT_E_CONSTRAINT if a search finds nothing
 * within its limits; SNT_E_INVALID_ARGUMENT if it finds nothing to judge, or if a training's loss doesn't go with its sampler;
 * SNT_E_IO if the file of a search can't be written. Errors of the call: SNT_E_BUSY while another call is at work on the job;
 * SNT_E_INVALID_STATE after snt_job_start. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_step(const snt_job *job,
                        uint32_t max_steps,
                        snt_error **err);

/**
 * Gives the job a thread of its own, which does all steps that are left; events come from there. A job that has ended by its
 * steps has none left: SNT_OK.
 *
 * Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_STATE if it has a thread; SNT_E_BUSY while another call is at work on it; SNT_E_OUT_OF_MEMORY if the
 * system gives no thread, which ends the job. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_start(const snt_job *job,
                         snt_error **err);

/**
 * Waits for the end of a job that has a thread of its own.
 *
 * SNT_OK if it has finished, SNT_NOT_READY after `timeout_ms` milliseconds (0 only looks, SNT_WAIT_FOREVER has no end),
 * SNT_CANCELLED, or the job's error (see snt_job_step). Any thread, also several. Blocks.
 *
 * Errors of the call: SNT_E_INVALID_STATE before the end without snt_job_start, and in the job's event function. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_wait(const snt_job *job,
                        uint32_t timeout_ms,
                        snt_error **err);

/**
 * Asks a job to stop before its next step. A model that was trained keeps what it learnt. NULL is fine.
 *
 * One atomic store: any thread, signal handlers too, as often as you like. Does not wait. @since 0.1
 */
SNT_API void snt_job_cancel(const snt_job *job);

/**
 * Writes a checkpoint of a training that snt_train_resume goes on from: now, at the next border of two steps if the job has a
 * thread, or of its model as it is if the job has ended.
 *
 * `path` is UTF-8; the file is replaced whole or not at all. Any thread. Blocks until the file is on the disk.
 *
 * Errors: SNT_E_UNSUPPORTED for other jobs; SNT_E_INVALID_STATE in the job's event function; SNT_E_BUSY while another thread
 * steps the job, waits for a checkpoint, or, after the end, has the model; SNT_E_POISONED if the job broke off in the middle of
 * a step; SNT_E_NUMERIC if a loss, a gradient or a weight is not finite; SNT_E_IO if the file can't be written. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_checkpoint(const snt_job *job,
                              const char *path,
                              snt_error **err);

/**
 * How a job stands: {"kind": "train", "retrain", "search" or "evaluate", "state": "ready", "running", "finished", "cancelled" or
 * "failed", "last": the "json" of its last event, or null}.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread, the event function too. Does not block. No
 * errors of its own. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_info_json(const snt_job *job,
                             snt_buffer *out,
                             snt_error **err);

/**
 * The model that a job works on: the one it was given, or the new one of snt_train_resume and snt_retrain_start. It is busy
 * until the job ends.
 *
 * `out` receives a handle of its own that the caller frees with snt_model_free; NULL on failure. Any thread. Does not block. No
 * errors of its own. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_model(const snt_job *job,
                         snt_model **out,
                         snt_error **err);

/**
 * What a job has found; of a cancelled one, what it had found till then.
 *
 * SNT_NOT_READY before its end, the job's error (see snt_job_step) if it failed. `out` receives a handle that the caller frees
 * with snt_result_free; NULL if there is none. Any thread. Does not block. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_job_result(const snt_job *job,
                          snt_result **out,
                          snt_error **err);

/**
 * Frees a job; NULL is fine. A running job is cancelled and waited for, except in its own event function, where it goes on to
 * its next step's border and is freed there.
 *
 * Any thread. Blocks until the step that is being done is over. @since 0.1
 */
SNT_API
void snt_job_free(snt_job *job);

/**
 * How many architectures it lists; 0 for NULL.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API size_t snt_result_count(const snt_result *result);

/**
 * Architecture number `index`, counted from 0, in the notation of its space.
 *
 * `buffer`, `capacity` and `needed` are those of snt_space_sample. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if there is no such index, or `capacity` doesn't suffice. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_result_arch(const snt_result *result,
                           size_t index,
                           char *buffer,
                           size_t capacity,
                           size_t *needed,
                           snt_error **err);

/**
 * A figure of architecture number `index`: "accuracy" (0 to 1, on the validation images), "params" (trainable numbers), "macs"
 * (multiply-accumulates for one image) or "latency_ms" (median for one image, in milliseconds; of a search that looks at it).
 *
 * `value` is written on success only. Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT if there is no such index; SNT_E_NOT_FOUND for a figure that wasn't measured. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_result_metric(const snt_result *result,
                             size_t index,
                             const char *name,
                             double *value,
                             snt_error **err);

/**
 * Everything the job has found. Of a training {"step", "total": steps done and in all, "loss": the last, or null, "picks": which
 * architectures its sampler would pick, where it has learnt that}; of an evaluation {"evaluations": [evaluation]}; of a search
 * {"objectives", "limits": those of [search], "bn": where the statistics of the norms came from, in words, "chosen": [arch],
 * most accurate first, "evaluations": [evaluation], "screened": [evaluation], what was judged on a part of the images, where
 * there is such}.
 *
 * An evaluation is {"arch", "key": equal for networks that compute the same, "params", "macs": of one image, both without dead
 * operations, "accuracy": 0 to 1, null beyond a limit on latency, where it isn't judged, "bn", "images": on how many, where not
 * on all, "latency_ms": as in snt_space_latency, or null, "front": in "evaluations" of a search, whether it is within the limits
 * and none beats it in every objective}.
 *
 * `out` receives a buffer that the caller frees with snt_buffer_free. Any thread. Does not block. No errors of its own.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_result_json(const snt_result *result,
                           snt_buffer *out,
                           snt_error **err);

/**
 * Frees a result; NULL is fine.
 *
 * Any thread. Does not block. @since 0.1
 */
SNT_API void snt_result_free(snt_result *result);

/**
 * Exports a subnet that stands alone to an ONNX file. The file appears under `path` only if ONNX Runtime computes from it what
 * the network computes, on the test images of `dataset`; SNT_E_VERIFY_FAILED names the first node that differs.
 *
 * `config_json` may be NULL for the recipe's [export] table. `report` may be NULL; else it receives {"max_abs_diff": greatest
 * difference between a logit of the file and of the network, "max_rel_diff": the same as a share of the network's largest logit
 * in amount, "top1_agreement": 0 to 1, share of the images whose first class is the same or a tie, "images": how many were
 * compared, "accuracy": 0 to 1, of the file on all test images, "test_images": how many these are}, freed by the caller with
 * snt_buffer_free. Any thread. Blocks.
 *
 * Errors: SNT_E_VERIFY_FAILED; SNT_E_INVALID_STATE for a supernet; SNT_E_BUSY while a job or another call has the model;
 * SNT_E_POISONED once a job has broken off in the middle of a step; SNT_E_INVALID_ARGUMENT for images of another size and for
 * another number of classes than the model's, and if ONNX Runtime can't read the opset; SNT_E_NOT_FOUND if ONNX Runtime can't be
 * loaded; SNT_E_IO if the file can't be written. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_export_onnx(const snt_model *model,
                           const snt_dataset *dataset,
                           const char *config_json,
                           const char *path,
                           snt_buffer *report,
                           snt_error **err);

/**
 * As snt_export_onnx, into memory: `out` receives the bytes of the file, freed by the caller with snt_buffer_free.
 *
 * Any thread. Blocks. Errors: those of snt_export_onnx but SNT_E_IO. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_export_onnx_memory(const snt_model *model,
                                  const snt_dataset *dataset,
                                  const char *config_json,
                                  snt_buffer *out,
                                  snt_buffer *report,
                                  snt_error **err);

/**
 * Compares an ONNX file with the model it was exported from, on the test images of `dataset`.
 *
 * `config_json` and `report` are those of snt_export_onnx. Any thread. Blocks.
 *
 * Errors: those of snt_export_onnx; here SNT_E_INVALID_ARGUMENT is also for a file that is no ONNX model, takes other images or
 * has no output `logits`, SNT_E_NOT_FOUND for one that isn't there, SNT_E_IO for one that can't be read. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_verify(const snt_model *model,
                      const snt_dataset *dataset,
                      const char *onnx_path,
                      const char *config_json,
                      snt_buffer *report,
                      snt_error **err);

/**
 * Times an ONNX file of `model` on one image, in ONNX Runtime on this machine's CPU.
 *
 * `config_json` may be NULL for the recipe's [latency] table. `report` receives what that of snt_space_latency does, freed by
 * the caller with snt_buffer_free. Any thread, also while a job has the model. Blocks for at most twice the table's `seconds`,
 * longer only if six runs take longer.
 *
 * Errors: SNT_E_NOT_FOUND if there is no such file or ONNX Runtime can't be loaded; SNT_E_IO if the file can't be read;
 * SNT_E_INVALID_ARGUMENT if it is no ONNX model or takes other images. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_latency(const snt_model *model,
                       const char *onnx_path,
                       const char *config_json,
                       snt_buffer *report,
                       snt_error **err);

/**
 * Trains the supernet of a recipe and all that its [[split]] tables make of it, in `folder`, with a checkpoint every
 * train.checkpoint_steps; goes on where it was stopped or killed, to the same bytes.
 *
 * `recipe_text` and `dataset` are those of snt_model_create; `folder` is UTF-8, and made if it isn't there. It holds
 * supernet.safetensors and, where there are splits, forest.json and the checkpoints it names. `event` may be NULL; it is called
 * on this thread, and non-zero stops the work: SNT_CANCELLED, and the next call goes on (a split by gradients that wasn't
 * finished begins again). `out` receives what snt_model_load gives for the folder's forest.json or supernet; NULL on failure.
 * The context's device and threads count as the recipe's own. Any thread. Blocks for the training.
 *
 * Errors: those of snt_model_create, for [[split]] tables only where they don't fit the space; SNT_E_NOT_FOUND whenever ONNX
 * Runtime can't be loaded; SNT_E_INVALID_ARGUMENT also for a folder of another recipe or data set, and if the loss doesn't go
 * with the sampler; SNT_E_BUSY while another run uses the folder; SNT_E_NUMERIC if a loss, a gradient or a weight is not finite;
 * SNT_E_IO if the folder can't be read or written; SNT_E_CORRUPT and SNT_E_VERSION if a file in it is damaged or of another
 * version or run. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_folder_train(const snt_context *context,
                            const char *recipe_text,
                            const snt_dataset *dataset,
                            const char *folder,
                            snt_event_fn event,
                            void *user,
                            snt_model **out,
                            snt_error **err);

/**
 * Everything that a recipe says, in `folder`, as `supernaut run` does: train, search, retrain, export, prove, report. Goes on
 * where it was stopped.
 *
 * `report` receives what result.json holds, freed by the caller with snt_buffer_free; report.html lies beside it. The rest is as
 * in snt_folder_train.
 *
 * Errors: those of snt_folder_train, SNT_E_CONSTRAINT also if the search finds nothing within the limits; SNT_E_VERIFY_FAILED if
 * an exported file doesn't compute what its network computes. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_folder_run(const snt_context *context,
                          const char *recipe_text,
                          const snt_dataset *dataset,
                          const char *folder,
                          snt_event_fn event,
                          void *user,
                          snt_buffer *report,
                          snt_error **err);

/**
 * Kendall's tau-b of `count` scores and their true figures, from -1 (opposite order) to 1 (same order); with ties.
 *
 * Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for fewer than 2 or a NaN; SNT_E_NUMERIC where all scores or all true figures are equal.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_rank_kendall(const double *scores,
                            const double *truth,
                            size_t count,
                            double *value,
                            snt_error **err);

/**
 * Spearman's rank correlation of the same, from -1 to 1.
 *
 * Any thread. Does not block. Errors: those of snt_rank_kendall. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_rank_spearman(const double *scores,
                             const double *truth,
                             size_t count,
                             double *value,
                             snt_error **err);

/**
 * The share, 0 to 1, of the `k` best by score that are among the `k` truly best, the greatest being the best; where there are
 * ties, its expectation if chance breaks them. `k` is 1 to `count`.
 *
 * Any thread. Does not block.
 *
 * Errors: SNT_E_INVALID_ARGUMENT for another `k` or a NaN. @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_rank_precision(const double *scores,
                              const double *truth,
                              size_t count,
                              size_t k,
                              double *value,
                              snt_error **err);

/**
 * Every figure of the same with its 95 % interval, by a bootstrap over the `count` architectures: {"kendall_tau_b": {"value",
 * "interval": [low, high]}, "spearman", "top_pick_truth", "top_pick_rank", …}; docs/ranking.md says what each means. A value is
 * null where it is 0/0, an interval where more than a tenth of the resamples have none.
 *
 * `params` may be NULL, or hold the size of each architecture: unless all are equal, "complexity_bias" and
 * "complexity_bias_partial" are there, too. `questions_json` may be NULL or hold {"top" (a list: precision at each k), "sparse"
 * (tau-b with the truth rounded to this step), "seed" (of the bootstrap)}. `out` receives a buffer that the caller frees with
 * snt_buffer_free. Any thread. Blocks while resamples are judged.
 *
 * Errors: those of snt_rank_kendall, and SNT_E_INVALID_ARGUMENT for a k outside 1 to `count` and a step that isn't above 0.
 * @since 0.1
 */
SNT_API
SNT_MUST_USE
snt_status snt_rank_json(const double *scores,
                         const double *truth,
                         const uint64_t *params,
                         size_t count,
                         const char *questions_json,
                         snt_buffer *out,
                         snt_error **err);

/**
 * Runs the program `supernaut` on `argc` texts, its own name first, and gives its exit status: 0 done, 2 an input to correct,
 * 130 stopped, 1 a bug of the library. Prints on the standard streams.
 *
 * Takes SIGINT, SIGTERM and SIGHUP over for the rest of the process, from whoever had them: for a program that does nothing
 * else. Others call the functions above; snt_folder_run and snt_folder_train do in a folder what the commands `run` and `train`
 * do. Once per process. Blocks until the program has ended. @since 0.1
 */
SNT_API
int snt_main(int argc,
             const char *const *argv);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SUPERNAUT_H */
