/* NULL for every pointer, text that is no text, structs and buffers of wrong sizes: errors, never crashes. */
#include "common.h"

static const char *const BAD = "\xff\xfe";
#define NULLS(word, call) REFUSED(SNT_E_INVALID_ARGUMENT, word, call)

static int released;
static void release(void *user) { *(int *)user += 1; }

static void contexts(void) {
    struct { snt_context_params known; char unknown[16]; } later;
    snt_context_params params;
    snt_context *context = (snt_context *)&params;
    NULLS("out", snt_context_create(NULL, NULL, &error));
    snt_context_params_init(NULL, 8);
    snt_context_params_init(&params, sizeof params);
    TRUE_(params.struct_size == sizeof params && params.device == NULL && params.log == NULL);
    params.struct_size = sizeof params - 1;
    NULLS("params.struct_size", snt_context_create(&params, &context, &error));
    TRUE_(context == NULL);
    params.struct_size = 0;
    NULLS("params.struct_size", snt_context_create(&params, &context, &error));
    TRUE_(snt_context_create(&params, &context, NULL) == SNT_E_INVALID_ARGUMENT);
    snt_context_params_init(&later.known, sizeof later);
    OK(snt_context_create(&later.known, &context, &error));
    snt_context_free(context);
    later.unknown[15] = 1;
    REFUSED(SNT_E_UNSUPPORTED, "beyond byte", snt_context_create(&later.known, &context, &error));
    snt_context_params_init(&params, sizeof params);
    params.device = BAD;
    NULLS("params.device", snt_context_create(&params, &context, &error));
    params.device = "gpu";
    NULLS("wanted \"cpu\" or", snt_context_create(&params, &context, &error));
    params.device = "cuda:99";
    REFUSED(SNT_E_DEVICE_UNAVAILABLE, "cuda:99", snt_context_create(&params, &context, &error));
    params.device = "cpu";
    params.threads = -1;
    NULLS("params.threads", snt_context_create(&params, &context, &error));
}

/* Gives the pictures of `view` one by one, in turn until `from` reaches `to`; fails at `bad`. */
struct source { int from, to, bad; };
static int32_t next(void *user, uint8_t *image, int64_t *label) {
    struct source *source = (struct source *)user;
    if (source->from == source->bad) return -7;
    if (source->from == source->to) return 0;
    memcpy(image, pixels + source->from * 3 * SIDE * SIDE, 3 * SIDE * SIDE);
    *label = labels[source->from++];
    return 1;
}

static void iterators(snt_context *context) {
    snt_data_view all = view();
    snt_dataset *dataset = NULL, *same = NULL;
    snt_buffer info = {NULL, 0, NULL}, info2 = {NULL, 0, NULL};
    struct source source = {0, COUNT, -1}, few = {0, 4, -1};
    snt_data_iter train, test;
    snt_data_iter_init(NULL, 8);
    snt_data_iter_init(&train, sizeof train);
    NULLS("train.channels", snt_dataset_from_iter(context, &train, NULL, NULL, &dataset, &error));
    train.channels = 3, train.height = train.width = SIDE, train.classes = CLASSES;
    NULLS("train.next", snt_dataset_from_iter(context, &train, NULL, NULL, &dataset, &error));
    train.next = next, train.user = &source;
    NULLS("context", snt_dataset_from_iter(NULL, &train, NULL, NULL, &dataset, &error));
    NULLS("train", snt_dataset_from_iter(context, NULL, NULL, NULL, &dataset, &error));
    NULLS("out", snt_dataset_from_iter(context, &train, NULL, NULL, NULL, &error));
    source.bad = 5;
    NULLS("found -7 after 5 images", snt_dataset_from_iter(context, &train, NULL, "{\"test\": 8}", &dataset, &error));
    TRUE_(dataset == NULL);
    source.from = 0, source.bad = -1;
    OK(snt_dataset_from_iter(context, &train, NULL, "{\"test\": 8}", &dataset, &error));
    OK(snt_dataset_from_view(context, &all, NULL, "{\"test\": 8}", &same, &error));
    OK(snt_dataset_info_json(dataset, &info, &error));
    OK(snt_dataset_info_json(same, &info2, &error));
    TRUE_(strcmp(info.data, info2.data) == 0);
    snt_buffer_free(&info);
    snt_buffer_free(&info2);
    snt_dataset_free(same);
    snt_dataset_free(dataset);
    source.from = 0, test = train, test.user = &few;
    OK(snt_dataset_from_iter(context, &train, &test, NULL, &dataset, &error));
    OK(snt_dataset_info_json(dataset, &info, &error));
    TRUE_(strstr(info.data, "\"test\":4") != NULL);
    snt_buffer_free(&info);
    snt_dataset_free(dataset);
    NULLS("no images", snt_dataset_from_iter(context, &train, &test, NULL, &dataset, &error)); /* both are at their end */
}

static void data(snt_context *context) {
    static uint8_t mixed[COUNT * 3 * SIDE * SIDE];
    struct { snt_data_view known; char unknown[8]; } later;
    snt_data_view train = view(), other, test;
    snt_dataset *dataset = NULL, *same = NULL;
    snt_buffer info = {NULL, 0, NULL}, info2 = {NULL, 0, NULL};
    const char *held = "{\"test\": 8}";
    int i, c;
    train.release = release;
    train.user = &released;
#define VIEW(v) snt_dataset_from_view(context, &v, NULL, held, &dataset, &error)
    NULLS("context", snt_dataset_from_view(NULL, &train, NULL, held, &dataset, &error));
    NULLS("train", snt_dataset_from_view(context, NULL, NULL, held, &dataset, &error));
    NULLS("out", snt_dataset_from_view(context, &train, NULL, held, NULL, &error));
    NULLS("options.test", snt_dataset_from_view(context, &train, NULL, NULL, &dataset, &error));
    NULLS("options.test", snt_dataset_from_view(context, &train, NULL, "{\"test\": 48}", &dataset, &error));
    NULLS("options_json", snt_dataset_from_view(context, &train, NULL, BAD, &dataset, &error));
    NULLS("did you mean `test`", snt_dataset_from_view(context, &train, NULL, "{\"tset\": 4}", &dataset, &error));
    NULLS("options.classes", snt_dataset_from_view(context, &train, NULL, "{\"test\": 4, \"classes\": [\"a\"]}", &dataset, &error));
    other = train, other.images = NULL, NULLS("train.images", VIEW(other));
    other = train, other.labels = NULL, NULLS("train.labels", VIEW(other));
    other = train, other.count = 0, NULLS("no images", VIEW(other));
    other = train, other.count = UINT64_MAX, NULLS("train.count", VIEW(other));
    other = train, other.channels = 0, NULLS("train.channels", VIEW(other));
    other = train, other.height = -1, NULLS("train.height", VIEW(other));
    other = train, other.classes = 1, NULLS("label 1 of image 1 (counted from 0), wanted 0 to 0", VIEW(other));
    other = train, other.classes = 70000, REFUSED(SNT_E_UNSUPPORTED, "train.classes", VIEW(other));
    other = train, other.layout = 2, NULLS("train.layout", VIEW(other));
    other = train, other.dtype = 1, REFUSED(SNT_E_UNSUPPORTED, "train.dtype", VIEW(other));
    other = train, other.struct_size = 8, NULLS("train.struct_size", VIEW(other));
    memset(&later, 1, sizeof later);
    later.known = train;
    later.known.struct_size = sizeof later;
    REFUSED(SNT_E_UNSUPPORTED, "beyond byte", VIEW(later.known));
    test = train, test.width = 4, test.count = 4;
    NULLS("test: found images of", snt_dataset_from_view(context, &train, &test, NULL, &dataset, &error));
    test = train, test.classes = 3;
    NULLS("test.classes", snt_dataset_from_view(context, &train, &test, NULL, &dataset, &error));
    TRUE_(released == 0 && dataset == NULL);

    OK(VIEW(train));
    TRUE_(released == 1);
    OK(snt_dataset_from_view(context, &train, &train, NULL, &same, &error));
    TRUE_(released == 3);
    snt_dataset_free(same);
    /* The other layout is the same data. */
    for (i = 0; i < COUNT * SIDE * SIDE; i++)
        for (c = 0; c < 3; c++) {
            int image = i / (SIDE * SIDE), at = i % (SIDE * SIDE);
            mixed[i * 3 + c] = pixels[(image * 3 + c) * SIDE * SIDE + at];
        }
    other = train, other.layout = SNT_LAYOUT_NHWC, other.images = mixed, other.release = NULL;
    OK(snt_dataset_from_view(context, &other, NULL, held, &same, &error));
    OK(snt_dataset_info_json(dataset, &info, &error));
    OK(snt_dataset_info_json(same, &info2, &error));
    TRUE_(strcmp(info.data, info2.data) == 0 && strlen(info.data) == info.len && strstr(info.data, "\"train\":40") != NULL);
    snt_buffer_free(&info);
    snt_buffer_free(&info);
    snt_buffer_free(&info2);
    snt_dataset_free(same);
    NULLS("dataset", snt_dataset_info_json(NULL, &info, &error));
    NULLS("out", snt_dataset_info_json(dataset, NULL, &error));
    snt_dataset_free(dataset);

    iterators(context);
    NULLS("context", snt_dataset_open(NULL, "{}", &dataset, &error));
    NULLS("source_json", snt_dataset_open(context, NULL, &dataset, &error));
    NULLS("source_json", snt_dataset_open(context, BAD, &dataset, &error));
    NULLS("kind", snt_dataset_open(context, "{\"kind\": \"pgm\"}", &dataset, &error));
    NULLS("source.path", snt_dataset_open(context, "{\"kind\": \"idx\"}", &dataset, &error));
    REFUSED(SNT_E_NOT_FOUND, "/nowhere", snt_dataset_open(context, "{\"kind\": \"idx\", \"path\": \"/nowhere\"}", &dataset, &error));
    NULLS("out", snt_dataset_open(context, "{}", NULL, &error));
}

#define OPERATIONS "[operations]\nc = {kind = \"conv_norm\", kernel = 3}\ns = {kind = \"skip\"}\n[stem]\noperation = \"c\"\nwidth = 4\n"
#define CELL "[cell]\nnodes = 2\n[cell.edges]\n\"1<-0\" = [\"c\", \"s\"]\n[[stage]]\nwidth = 4\ncells = 1\n"

/* A space in the caller's own words. */
static void described(snt_context *context, snt_dataset *dataset) {
    snt_space *space = NULL;
    snt_buffer json = {NULL, 0, NULL};
    char arch[64];
    NULLS("context", snt_space_from_text(NULL, OPERATIONS CELL, dataset, &space, &error));
    NULLS("space_text", snt_space_from_text(context, NULL, dataset, &space, &error));
    NULLS("space_text", snt_space_from_text(context, BAD, dataset, &space, &error));
    NULLS("dataset", snt_space_from_text(context, OPERATIONS CELL, NULL, &space, &error));
    NULLS("out", snt_space_from_text(context, OPERATIONS CELL, dataset, NULL, &error));
    NULLS("valid TOML", snt_space_from_text(context, "= 3", dataset, &space, &error));
    NULLS("space:10: edge \"1<-7\": found node 7, wanted one of 0 to 1",
          snt_space_from_text(context, OPERATIONS "[cell]\nnodes = 2\n[cell.edges]\n\"1<-7\" = [\"c\"]\n[[stage]]\nwidth = 4\ncells = 1\n",
                              dataset, &space, &error));
    NULLS("operations", snt_space_from_text(context, "{}", dataset, &space, &error));
    OK(snt_space_from_text(context, OPERATIONS CELL, dataset, &space, &error));
    OK(snt_space_canonical(space, "|s~0|", arch, sizeof arch, NULL, &error));
    TRUE_(strcmp(arch, "|s~0|") == 0);
    OK(snt_space_info_json(space, &json, &error));
    TRUE_(strstr(json.data, "\"kind\":\"custom\"") != NULL && strstr(json.data, "\"architectures\":\"2\"") != NULL);
    snt_buffer_free(&json);
    snt_space_free(space);
}

/* NAS-Bench-201 without any images, with the costs that the benchmark names. */
static void imagined(snt_context *context) {
    snt_space *space = NULL;
    snt_buffer json = {NULL, 0, NULL};
    const char *arch = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|";
    const uint32_t image[3] = {3, 32, 32}, flat[3] = {0, 32, 32}, wide[3] = {3, 32, 70000}, huge[3] = {3, 65536, 65536};
    const char *kind = "{\"kind\": \"nb201\"}";
    NULLS("context", snt_space_for_shape(NULL, kind, image, 10, &space, &error));
    NULLS("space_json", snt_space_for_shape(context, NULL, image, 10, &space, &error));
    NULLS("image", snt_space_for_shape(context, kind, NULL, 10, &space, &error));
    NULLS("kind", snt_space_for_shape(context, "{}", image, 10, &space, &error));
    NULLS("image.channels", snt_space_for_shape(context, kind, flat, 10, &space, &error));
    NULLS("image.width", snt_space_for_shape(context, kind, wide, 10, &space, &error));
    NULLS("67108864", snt_space_for_shape(context, kind, huge, 10, &space, &error));
    NULLS("nb201", snt_space_for_shape(context, "{\"kind\": \"file\", \"path\": \"space.toml\"}", image, 10, &space, &error));
    NULLS("classes", snt_space_for_shape(context, kind, image, 0, &space, &error));
    NULLS("out", snt_space_for_shape(context, kind, image, 10, NULL, &error));
    OK(snt_space_for_shape(context, kind, image, 10, &space, &error));
    OK(snt_space_cost_json(space, arch, &json, &error));
    TRUE_(strstr(json.data, "\"params\":1288506") != NULL);
    snt_buffer_free(&json);
    snt_space_free(space);
}

static void spaces(snt_context *context, snt_dataset *dataset) {
    snt_space *space = NULL;
    snt_buffer json = {NULL, 0, NULL};
    char arch[256], canonical[256];
    size_t needed = 0;
    NULLS("context", snt_space_builtin(NULL, "nb201", NULL, dataset, &space, &error));
    NULLS("name", snt_space_builtin(context, NULL, NULL, dataset, &space, &error));
    NULLS("name", snt_space_builtin(context, BAD, NULL, dataset, &space, &error));
    NULLS("did you mean", snt_space_builtin(context, "nb101", NULL, dataset, &space, &error));
    NULLS("options_json", snt_space_builtin(context, "nb201", BAD, dataset, &space, &error));
    NULLS("channel", snt_space_builtin(context, "nb201", "{\"channel\": 3}", dataset, &space, &error));
    NULLS("dataset", snt_space_builtin(context, "nb201", NULL, NULL, &space, &error));
    NULLS("out", snt_space_builtin(context, "nb201", NULL, dataset, NULL, &error));
    OK(snt_space_builtin(context, "nb201", "{\"channels\": 4}", dataset, &space, &error));
    NULLS("space", snt_space_sample(NULL, 1, arch, sizeof arch, &needed, &error));
    NULLS("buffer", snt_space_sample(space, 1, NULL, 10, &needed, &error));
    NULLS("buffer", snt_space_sample(space, 1, NULL, 0, NULL, &error));
    OK(snt_space_sample(space, 1, NULL, 0, &needed, &error));
    strcpy(arch, "untouched");
    NULLS("capacity", snt_space_sample(space, 1, arch, needed - 1, NULL, &error));
    TRUE_(strcmp(arch, "untouched") == 0);
    OK(snt_space_sample(space, 1, arch, needed, &needed, &error));
    TRUE_(strlen(arch) + 1 == needed);
    NULLS("space", snt_space_canonical(NULL, arch, canonical, sizeof canonical, NULL, &error));
    NULLS("arch", snt_space_canonical(space, NULL, canonical, sizeof canonical, NULL, &error));
    NULLS("arch", snt_space_canonical(space, BAD, canonical, sizeof canonical, NULL, &error));
    OK(snt_space_canonical(space, arch, canonical, sizeof canonical, NULL, &error));
    NULLS("space", snt_space_cost_json(NULL, arch, &json, &error));
    NULLS("arch", snt_space_cost_json(space, NULL, &json, &error));
    NULLS("arch", snt_space_cost_json(space, "|none~1|", &json, &error));
    NULLS("out", snt_space_cost_json(space, arch, NULL, &error));
    OK(snt_space_cost_json(space, arch, &json, &error));
    TRUE_(strstr(json.data, "\"macs\":") != NULL);
    snt_buffer_free(&json);
    NULLS("space", snt_space_info_json(NULL, &json, &error));
    NULLS("out", snt_space_info_json(space, NULL, &error));
    OK(snt_space_info_json(space, &json, &error));
    snt_buffer_free(&json);
    snt_space_free(space);
    described(context, dataset);
    imagined(context);
}

static void models(snt_context *context, snt_dataset *dataset) {
    snt_model *model = NULL;
    snt_job *job = NULL;
    snt_result *result = NULL;
    snt_buffer out = {NULL, 0, NULL};
    double value = 0.5;
    char text[256];
    const char *archs[2] = {NULL, BAD};
    NULLS("context", snt_model_create(NULL, RECIPE, dataset, &model, &error));
    NULLS("recipe_text", snt_model_create(context, NULL, dataset, &model, &error));
    NULLS("recipe_text", snt_model_create(context, BAD, dataset, &model, &error));
    NULLS("[space] table", snt_model_create(context, "{}", dataset, &model, &error));
    NULLS("valid TOML", snt_model_create(context, "= 3", dataset, &model, &error));
    NULLS("dataset", snt_model_create(context, RECIPE, NULL, &model, &error));
    NULLS("out", snt_model_create(context, RECIPE, dataset, NULL, &error));
    NULLS("path", snt_model_load(context, NULL, &model, &error));
    NULLS("path", snt_model_load(context, BAD, &model, &error));
    NULLS("context", snt_model_load(NULL, "x", &model, &error));
    NULLS("out", snt_model_load(context, "x", NULL, &error));
    REFUSED(SNT_E_NOT_FOUND, "/nowhere", snt_model_load(context, "/nowhere", &model, &error));
    OK(snt_model_create(context, RECIPE, dataset, &model, &error));
    NULLS("model", snt_model_save(NULL, "x", &error));
    NULLS("path", snt_model_save(model, NULL, &error));
    REFUSED(SNT_E_IO, "/nowhere", snt_model_save(model, "/nowhere/x", &error));
    NULLS("model", snt_model_info_json(NULL, &out, &error));
    NULLS("out", snt_model_info_json(model, NULL, &error));

    NULLS("model", snt_train_start(NULL, dataset, NULL, NULL, &job, &error));
    NULLS("dataset", snt_train_start(model, NULL, NULL, NULL, &job, &error));
    NULLS("out", snt_train_start(model, dataset, NULL, NULL, NULL, &error));
    NULLS("context", snt_train_resume(NULL, "x", dataset, NULL, NULL, &job, &error));
    NULLS("path", snt_train_resume(context, NULL, dataset, NULL, NULL, &job, &error));
    REFUSED(SNT_E_NOT_FOUND, "/nowhere", snt_train_resume(context, "/nowhere", dataset, NULL, NULL, &job, &error));
    NULLS("out", snt_train_resume(context, "x", dataset, NULL, NULL, NULL, &error));
    NULLS("arch", snt_retrain_start(model, dataset, NULL, NULL, NULL, NULL, &job, &error));
    NULLS("arch", snt_retrain_start(model, dataset, "|nothing|", NULL, NULL, NULL, &job, &error));
    NULLS("model", snt_retrain_start(NULL, dataset, "x", NULL, NULL, NULL, &job, &error));
    NULLS("dataset", snt_retrain_start(model, NULL, "x", NULL, NULL, NULL, &job, &error));
    NULLS("out", snt_retrain_start(model, dataset, "x", NULL, NULL, NULL, NULL, &error));
    NULLS("model", snt_search_start(NULL, dataset, NULL, NULL, NULL, NULL, &job, &error));
    NULLS("dataset", snt_search_start(model, NULL, NULL, NULL, NULL, NULL, &job, &error));
    NULLS("search_json", snt_search_start(model, dataset, BAD, NULL, NULL, NULL, &job, &error));
    NULLS("key that has moved", snt_search_start(model, dataset, "{\"population\": 3}", NULL, NULL, NULL, &job, &error));
    NULLS("strategy.sample: found 0", snt_search_start(model, dataset, "{\"strategy\": {\"kind\": \"regularised\", \"sample\": 0}}", NULL, NULL, NULL, &job, &error));
    NULLS("memory_path", snt_search_start(model, dataset, NULL, BAD, NULL, NULL, &job, &error));
    NULLS("out", snt_search_start(model, dataset, NULL, NULL, NULL, NULL, NULL, &error));
    REFUSED(SNT_E_CONSTRAINT, "nearest", snt_search_start(model, dataset, "{\"limits\": {\"macs\": {\"max\": 1}}}", NULL, NULL, NULL, &job, &error));
    NULLS("model", snt_evaluate_start(NULL, dataset, NULL, 0, NULL, NULL, NULL, &job, &error));
    NULLS("dataset", snt_evaluate_start(model, NULL, NULL, 0, NULL, NULL, NULL, &job, &error));
    NULLS("archs", snt_evaluate_start(model, dataset, NULL, 1, NULL, NULL, NULL, &job, &error));
    NULLS("archs", snt_evaluate_start(model, dataset, archs, 1, NULL, NULL, NULL, &job, &error));
    NULLS("archs", snt_evaluate_start(model, dataset, archs + 1, 1, NULL, NULL, NULL, &job, &error));
    NULLS("count", snt_evaluate_start(model, dataset, NULL, 0, NULL, NULL, NULL, &job, &error));
    NULLS("out", snt_evaluate_start(model, dataset, NULL, 0, NULL, NULL, NULL, NULL, &error));
    TRUE_(job == NULL);

    NULLS("job", snt_job_step(NULL, 1, &error));
    NULLS("job", snt_job_start(NULL, &error));
    NULLS("job", snt_job_wait(NULL, 0, &error));
    NULLS("job", snt_job_checkpoint(NULL, "x", &error));
    NULLS("job", snt_job_model(NULL, &model, &error));
    TRUE_(model == NULL);
    NULLS("job", snt_job_result(NULL, &result, &error));
    NULLS("result", snt_result_arch(NULL, 0, text, sizeof text, NULL, &error));
    NULLS("result", snt_result_metric(NULL, 0, "macs", &value, &error));
    NULLS("result", snt_result_json(NULL, &out, &error));
    TRUE_(snt_result_count(NULL) == 0 && value == 0.5);
}

static void files(snt_context *context, snt_dataset *dataset) {
    snt_model *model = NULL;
    snt_buffer out = {NULL, 0, NULL};
    OK(snt_model_create(context, RECIPE, dataset, &model, &error));
    NULLS("model", snt_export_onnx(NULL, dataset, NULL, "x", NULL, &error));
    NULLS("dataset", snt_export_onnx(model, NULL, NULL, "x", NULL, &error));
    NULLS("path", snt_export_onnx(model, dataset, NULL, NULL, NULL, &error));
    NULLS("config_json", snt_export_onnx(model, dataset, BAD, "x", NULL, &error));
    NULLS("export.opset", snt_export_onnx(model, dataset, "{\"opset\": 3}", "x", NULL, &error));
    REFUSED(SNT_E_INVALID_STATE, "supernet", snt_export_onnx(model, dataset, NULL, "x", NULL, &error));
    NULLS("out", snt_export_onnx_memory(model, dataset, NULL, NULL, NULL, &error));
    NULLS("model", snt_export_onnx_memory(NULL, dataset, NULL, &out, NULL, &error));
    NULLS("onnx_path", snt_verify(model, dataset, NULL, NULL, NULL, &error));
    REFUSED(SNT_E_NOT_FOUND, "/nowhere", snt_verify(model, dataset, "/nowhere", NULL, NULL, &error));
    NULLS("onnx_path", snt_latency(model, NULL, NULL, &out, &error));
    REFUSED(SNT_E_NOT_FOUND, "/nowhere", snt_latency(model, "/nowhere", NULL, &out, &error));
    TRUE_(out.data == NULL);
    snt_model_free(model);
}

/* One pair of 28 is in the wrong order. */
static void all_figures(void) {
    const double scores[8] = {1, 2, 3, 4, 5, 6, 8, 7}, truth[8] = {1, 2, 3, 4, 5, 6, 7, 8}, odd[2] = {1, 0.0 / 0.0}, flat[2] = {5, 5};
    const uint64_t params[8] = {10, 30, 20, 40, 50, 60, 70, 80}, same[8] = {7, 7, 7, 7, 7, 7, 7, 7};
    snt_buffer json = {NULL, 0, NULL};
    OK(snt_rank_json(scores, truth, params, 8, "{\"top\": [2], \"sparse\": 2}", &json, &error));
    TRUE_(strstr(json.data, "\"kendall_tau_b\":{\"value\":0.92857") != NULL && strstr(json.data, ",\"interval\":[0.") != NULL);
    TRUE_(strstr(json.data, "\"precision_at_2\"") != NULL && strstr(json.data, "\"sparse_tau\"") != NULL);
    TRUE_(strstr(json.data, "\"complexity_bias\"") != NULL);
    snt_buffer_free(&json);
    OK(snt_rank_json(scores, truth, NULL, 8, NULL, &json, &error));
    TRUE_(strstr(json.data, "\"complexity_bias\"") == NULL && strstr(json.data, "\"top_pick_rank\"") != NULL);
    snt_buffer_free(&json);
    NULLS("scores", snt_rank_json(NULL, truth, NULL, 8, NULL, &json, &error));
    NULLS("scores: found NaN at index 1", snt_rank_json(odd, truth, NULL, 2, NULL, &json, &error));
    NULLS("truth: found NaN at index 1", snt_rank_json(truth, odd, NULL, 2, NULL, &json, &error));
    REFUSED(SNT_E_NUMERIC, "truth: found 5 for all 2", snt_rank_json(scores, flat, NULL, 2, NULL, &json, &error));
    OK(snt_rank_json(scores, truth, same, 8, NULL, &json, &error));
    TRUE_(strstr(json.data, "\"complexity_bias\"") == NULL);
    snt_buffer_free(&json);
    NULLS("2 or more", snt_rank_json(scores, truth, NULL, 1, NULL, &json, &error));
    NULLS("1…8", snt_rank_json(scores, truth, NULL, 8, "{\"top\": [9]}", &json, &error));
    NULLS("tops", snt_rank_json(scores, truth, NULL, 8, "{\"tops\": [1]}", &json, &error));
    NULLS("out", snt_rank_json(scores, truth, NULL, 8, NULL, NULL, &error));
}

static void ranks(void) {
    const double scores[4] = {1, 2, 2, 3}, truth[4] = {1, 2, 3, 3}, flat[4] = {5, 5, 5, 5};
    double value = -7;
    OK(snt_rank_kendall(scores, truth, 4, &value, &error));
    TRUE_(value == 0.8);
    OK(snt_rank_spearman(scores, scores, 4, &value, &error));
    TRUE_(value == 1.0);
    /* One of the two that tie at 2 is among the two best by score; 3 and 3 are the truly best. */
    OK(snt_rank_precision(scores, truth, 4, 2, &value, &error));
    TRUE_(value == 0.75);
    REFUSED(SNT_E_INVALID_ARGUMENT, "k", snt_rank_precision(scores, truth, 4, 5, &value, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "scores", snt_rank_kendall(scores, truth, 1, &value, &error));
    REFUSED(SNT_E_NUMERIC, "equal", snt_rank_spearman(scores, flat, 4, &value, &error));
    NULLS("scores", snt_rank_kendall(NULL, truth, 4, &value, &error));
    NULLS("value", snt_rank_kendall(scores, truth, 4, NULL, &error));
    TRUE_(value == 0.75);
    all_figures();
}

int main(void) {
    snt_context *context = NULL;
    snt_dataset *dataset = NULL;
    snt_data_view train = view();
    snt_buffer json = {NULL, 0, NULL};
    TRUE_(snt_version() == SNT_VERSION);
    NULLS("out", snt_build_info_json(NULL, &error));
    NULLS("out", snt_capabilities_json(NULL, &error));
    OK(snt_build_info_json(&json, &error));
    TRUE_(strstr(json.data, "\"libtorch\"") != NULL);
    snt_buffer_free(&json);
    OK(snt_capabilities_json(&json, &error));
    TRUE_(strstr(json.data, "\"cpu\"") != NULL && strstr(json.data, "nb201") != NULL);
    snt_buffer_free(&json);
    TRUE_(strcmp(snt_status_name(SNT_E_BUSY), "SNT_E_BUSY") == 0 && strcmp(snt_status_name(99), "unknown") == 0);
    TRUE_(strcmp(snt_error_message(NULL), "") == 0 && strcmp(snt_error_json(NULL), "{}") == 0);
    contexts();
    ranks();
    OK(snt_context_create(NULL, &context, &error));
    data(context);
    OK(snt_dataset_from_view(context, &train, NULL, "{\"test\": 8}", &dataset, &error));
    spaces(context, dataset);
    models(context, dataset);
    files(context, dataset);
    TRUE_(snt_model_create(context, "{}", dataset, NULL, &error) == SNT_E_INVALID_ARGUMENT);
    TRUE_(strstr(snt_error_json(error), "\"code\":\"SNT_E_INVALID_ARGUMENT\"") != NULL);
    TRUE_(strstr(snt_error_json(error), "\"field\":\"out\",\"found\":\"NULL\"") != NULL);
    snt_error_free(error);

    snt_error_free(NULL);
    snt_buffer_free(NULL);
    snt_context_free(NULL);
    snt_dataset_free(NULL);
    snt_space_free(NULL);
    snt_model_free(NULL);
    snt_job_free(NULL);
    snt_result_free(NULL);
    snt_job_cancel(NULL);
    snt_context_free(context); /* before its children */
    snt_dataset_free(dataset);
    return 0;
}
