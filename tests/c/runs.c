/* Runs in a folder, files of recipes and spaces, what a job says of itself, and a training that finds no memory. */
#ifndef __cplusplus
#define _XOPEN_SOURCE 600
#endif
#include "common.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const SPACE =
    "[operations]\nnone = { kind = \"none\" }\nconv = { kind = \"relu_conv_norm\", kernel = 3 }\n"
    "first = { kind = \"conv_norm\", kernel = 3 }\n"
    "[cell]\nnodes = 3\ncandidates = [\"none\", \"conv\"]\n[stem]\noperation = \"first\"\nwidth = 2\n"
    "[[stage]]\nwidth = 2\ncells = 1\n";

static const char *const ARCH = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    TRUE_(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static int exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file != NULL) fclose(file);
    return file != NULL;
}

/* What events were about, and how many there were; asks to stop at number `stop`. */
typedef struct {
    int calls, stop, train, search, retrain, other;
} phases;

static int32_t count(void *user, const snt_event *event) {
    phases *seen = (phases *)user;
    seen->train += strcmp(event->phase, "train") == 0;
    seen->search += strcmp(event->phase, "search") == 0;
    seen->retrain += strcmp(event->phase, "retrain") == 0;
    seen->other += strcmp(event->phase, "export") == 0;
    TRUE_(event->step <= event->total && event->eta_seconds >= 0.0);
    return ++seen->calls == seen->stop;
}

static int holds(snt_buffer *json, const char *word) {
    int found = strstr(json->data, word) != NULL;
    if (!found) fprintf(stderr, "no %s in %s\n", word, json->data);
    snt_buffer_free(json);
    return found;
}

/* Few-shot NAS: a supernet, then one for each operation of an edge, stopped twice on the way. */
static void forest(snt_context *context, snt_dataset *dataset) {
    char recipe[2048];
    const char *split = "\"split\": [{\"by\": {\"kind\": \"exhaustive\", \"genes\": [\"1<-0\"]}, \"epochs\": 1}],";
    const char *archs[1] = {ARCH};
    phases seen = {0, 2, 0, 0, 0, 0};
    snt_model *model = NULL;
    snt_job *job = NULL;
    snt_result *result = NULL;
    snt_buffer info = {NULL, 0, NULL};
    double accuracy = -1.0;
    sprintf(recipe, "{%s%s", split, RECIPE + 1);
    REFUSED(SNT_E_INVALID_ARGUMENT, "snt_folder_train", snt_model_create(context, recipe, dataset, &model, &error));
    GIVES(SNT_CANCELLED, snt_folder_train(context, recipe, dataset, "forest", count, &seen, &model, &error));
    TRUE_(model == NULL && seen.calls == 2 && exists("forest/supernet.safetensors"));
    seen.stop = 3 + 4;
    GIVES(SNT_CANCELLED, snt_folder_train(context, recipe, dataset, "forest", count, &seen, &model, &error));
    OK(snt_folder_train(context, recipe, dataset, "forest", count, &seen, &model, &error));
    /* 3 steps of the first supernet, 12 of each of the five. */
    TRUE_(seen.train == 3 + 5 * 12 && exists("forest/forest.json"));
    OK(snt_model_info_json(model, &info, &error));
    TRUE_(holds(&info, "\"supernets\":5"));
    REFUSED(SNT_E_INVALID_ARGUMENT, "search.images: found 17",
            snt_evaluate_start(model, dataset, archs, 1, "{\"images\": 17}", NULL, NULL, &job, &error));
    OK(snt_evaluate_start(model, dataset, archs, 1, "{\"images\": 4}", NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 2, &error));
    OK(snt_job_result(job, &result, &error));
    OK(snt_result_metric(result, 0, "accuracy", &accuracy, &error));
    TRUE_(4.0 * accuracy == floor(4.0 * accuracy));
    snt_result_free(result);
    snt_job_free(job);
    snt_model_free(model);
    REFUSED(SNT_E_INVALID_ARGUMENT, "a run of a different recipe",
            snt_folder_train(context, RECIPE, dataset, "forest", NULL, NULL, &model, &error));
}

/* From nothing to a page and proven files, stopped on the way. */
static void everything(snt_context *context, snt_dataset *dataset) {
    phases seen = {0, 14, 0, 0, 0, 0};
    snt_buffer report = {(const char *)&seen, 7, NULL};
    GIVES(SNT_CANCELLED, snt_folder_run(context, RECIPE, dataset, "run", count, &seen, &report, &error));
    TRUE_(report.data == NULL && report.len == 0 && !exists("run/report.html"));
    OK(snt_folder_run(context, RECIPE, dataset, "run", count, &seen, &report, &error));
    TRUE_(holds(&report, "\"finished\":true") && exists("run/report.html") && exists("run/subnet-1.onnx"));
    TRUE_(seen.train == 12 && seen.search > 0 && seen.retrain == 6 && seen.other == 1);
    report.data = (const char *)&seen;
    REFUSED(SNT_E_INVALID_ARGUMENT, "path", snt_export_onnx(NULL, dataset, NULL, NULL, &report, &error));
    TRUE_(report.data == NULL);
    REFUSED(SNT_E_INVALID_ARGUMENT, "context", snt_folder_run(NULL, RECIPE, dataset, "run", NULL, NULL, &report, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "recipe_text", snt_folder_run(context, NULL, dataset, "run", NULL, NULL, &report, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "dataset", snt_folder_run(context, RECIPE, NULL, "run", NULL, NULL, &report, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "folder", snt_folder_run(context, RECIPE, dataset, NULL, NULL, NULL, &report, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "report", snt_folder_run(context, RECIPE, dataset, "run", NULL, NULL, NULL, &error));
}

/* A recipe that names a space file is one text, wherever it is used. */
static void files(snt_context *context, snt_dataset *dataset) {
    snt_buffer recipe = {NULL, 0, NULL}, latency = {NULL, 0, NULL};
    snt_model *model = NULL;
    snt_space *space = NULL;
    snt_strategy *strategy = NULL;
    snt_status status;
    char arch[64];
    double figure;
    int asked = 0;
    put("space.toml", SPACE);
    put("recipe.toml", "validation = 16\nspace = { kind = \"file\", path = \"space.toml\" }\ntrain = { batch = 8 }\n");
    OK(snt_recipe_json("recipe.toml", &recipe, &error));
    TRUE_(remove("space.toml") == 0);
    OK(snt_model_create(context, recipe.data, dataset, &model, &error));
    snt_buffer_free(&recipe);
    snt_model_free(model);
    REFUSED(SNT_E_NOT_FOUND, "space.toml", snt_recipe_json("recipe.toml", &recipe, &error));
    put("space.toml", SPACE);
    OK(snt_space_load(context, "space.toml", dataset, &space, &error));
    OK(snt_space_latency(space, "|conv~0|+|none~0|conv~1|", "{\"seconds\": 0.05, \"warm_up\": 1}", &latency, &error));
    TRUE_(holds(&latency, "\"median\":"));
    REFUSED(SNT_E_INVALID_ARGUMENT, "latency.seconds", snt_space_latency(space, "|conv~0|+|none~0|conv~1|", "{\"seconds\": 0}", &latency, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "arch", snt_space_latency(space, "|what~0|", NULL, &latency, &error));
    OK(snt_strategy_create(space, "{\"strategy\": {\"kind\": \"exhaustive\"}}", 0, &strategy, &error));
    while ((status = snt_strategy_ask(strategy, arch, sizeof arch, NULL, NULL, &error)) == SNT_OK) {
        asked++;
        figure = (double)asked;
        OK(snt_strategy_tell(strategy, arch, &figure, 1, &error));
    }
    /* Of the eight, three read nothing, and three are the edge from the input to the output alone. */
    TRUE_(status == SNT_END && asked == 3);
    snt_strategy_free(strategy);
    snt_space_free(space);
    put("space.toml", "[operations]\nnone = { kind = \"nothing\" }\n");
    REFUSED(SNT_E_INVALID_ARGUMENT, "space.toml:2: operations.none.kind", snt_space_load(context, "space.toml", dataset, &space, &error));
    REFUSED(SNT_E_NOT_FOUND, "nowhere.safetensors", snt_model_load(context, "nowhere.safetensors", &model, &error));
}

/* Asks for checkpoints of a running job: each is there once the call has succeeded, and others may be told that it is busy. */
typedef struct {
    snt_job *job;
    const char *path;
    int written;
} asker;

static void *ask(void *user) {
    asker *self = (asker *)user;
    int i;
    for (i = 0; i < 20; i++) {
        snt_status status = snt_job_checkpoint(self->job, self->path, NULL);
        TRUE_(status == SNT_OK || status == SNT_E_BUSY);
        if (status == SNT_OK) {
            TRUE_(remove(self->path) == 0);
            self->written++;
        }
    }
    return NULL;
}

static void together(snt_context *context, snt_dataset *dataset) {
    asker askers[2] = {{NULL, "left", 0}, {NULL, "right", 0}};
    pthread_t threads[2];
    snt_model *model = NULL;
    snt_job *job = NULL;
    int i;
    OK(snt_model_create(context, RECIPE, dataset, &model, &error));
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    OK(snt_job_start(job, &error));
    for (i = 0; i < 2; i++) {
        askers[i].job = job;
        TRUE_(pthread_create(&threads[i], NULL, ask, &askers[i]) == 0);
    }
    for (i = 0; i < 2; i++) TRUE_(pthread_join(threads[i], NULL) == 0);
    TRUE_(askers[0].written + askers[1].written > 0);
    OK(snt_job_wait(job, SNT_WAIT_FOREVER, &error));
    snt_job_free(job);
    snt_model_free(model);
}

/* A job tells how it stands, and a subnet is cut out in a job without steps. */
static void told(snt_context *context, snt_dataset *dataset) {
    snt_model *model = NULL, *subnet = NULL;
    snt_job *job = NULL;
    snt_buffer info = {NULL, 0, NULL};
    OK(snt_model_create(context, RECIPE, dataset, &model, &error));
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    OK(snt_job_info_json(job, &info, &error));
    TRUE_(holds(&info, "{\"kind\":\"train\",\"state\":\"ready\",\"last\":null}"));
    OK(snt_job_step(job, 2, &error));
    OK(snt_job_info_json(job, &info, &error));
    TRUE_(holds(&info, "\"step\":2,\"total\":12"));
    GIVES(SNT_END, snt_job_step(job, 100, &error));
    OK(snt_job_info_json(job, &info, &error));
    TRUE_(holds(&info, "\"state\":\"finished\""));
    snt_job_free(job);
    REFUSED(SNT_E_INVALID_ARGUMENT, "retrain.epochs",
            snt_retrain_start(model, dataset, ARCH, "{\"epochs\": 0}", NULL, NULL, &job, &error));
    OK(snt_retrain_start(model, dataset, ARCH, "{\"epochs\": 0, \"start\": \"supernet\"}", NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 1, &error));
    OK(snt_job_model(job, &subnet, &error));
    snt_job_free(job);
    OK(snt_export_onnx(subnet, dataset, NULL, "cut.onnx", NULL, &error));
    snt_model_free(subnet);
    snt_model_free(model);
}

/* Leaves the process so many MB more than it has; gives what it was allowed before. A picture of 16 channels is 8 MB for the batch. */
static struct rlimit tightened(int megabytes) {
    struct rlimit before, tight;
    unsigned long pages = 0;
    FILE *sizes = fopen("/proc/self/statm", "r");
    TRUE_(sizes != NULL && fscanf(sizes, "%lu", &pages) == 1 && fclose(sizes) == 0);
    TRUE_(getrlimit(RLIMIT_AS, &before) == 0);
    tight = before;
    tight.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)megabytes << 20);
    TRUE_(setrlimit(RLIMIT_AS, &tight) == 0);
    return before;
}

/* A step that finds no memory leaves the model as it was, to go on once there is some. */
static void poor(snt_context *context) {
    enum { WIDE = 64 };
    static uint8_t pictures[COUNT * 3 * WIDE * WIDE];
    const char *full = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";
    const char *recipe = "validation = 16\nthreads = 1\nspace = { kind = \"nb201\", channels = 16, cells = 1 }\ntrain = { batch = 32, epochs = 2 }\n";
    snt_data_view large = view();
    snt_dataset *dataset = NULL;
    snt_model *model = NULL, *subnet = NULL;
    snt_job *job = NULL;
    snt_buffer info = {NULL, 0, NULL};
    struct rlimit limit;
    int i;
    for (i = 0; i < (int)sizeof pictures; i++) pictures[i] = (uint8_t)(i * 31 % 251);
    large.images = pictures;
    large.height = large.width = WIDE;
    OK(snt_dataset_from_view(context, &large, NULL, "{\"test\": 8}", &dataset, &error));
    OK(snt_model_create(context, recipe, dataset, &model, &error));
    OK(snt_model_save(model, "before", &error));
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    limit = tightened(24);
    REFUSED(SNT_E_OUT_OF_MEMORY, "memory", snt_job_step(job, 1, &error));
    TRUE_(setrlimit(RLIMIT_AS, &limit) == 0);
    OK(snt_job_info_json(job, &info, &error));
    TRUE_(holds(&info, "\"state\":\"failed\""));
    OK(snt_job_checkpoint(job, "poor", &error));
    snt_job_free(job);
    same("before", "poor");
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    OK(snt_job_step(job, 1, &error));
    snt_job_free(job);
    /* A network that stands alone changes its running statistics on the way: half a step is no state to go on from. */
    OK(snt_retrain_start(model, dataset, full, "{\"batch\": 32, \"epochs\": 1}", NULL, NULL, &job, &error));
    OK(snt_job_model(job, &subnet, &error));
    limit = tightened(4);
    REFUSED(SNT_E_OUT_OF_MEMORY, "memory", snt_job_step(job, 1, &error));
    TRUE_(setrlimit(RLIMIT_AS, &limit) == 0);
    REFUSED(SNT_E_POISONED, "free it", snt_job_checkpoint(job, "never", &error));
    REFUSED(SNT_E_POISONED, "free it", snt_model_save(subnet, "never", &error));
    OK(snt_model_info_json(subnet, &info, &error));
    TRUE_(holds(&info, "\"poisoned\":true"));
    snt_job_free(job);
    snt_model_free(subnet);
    snt_model_free(model);
    snt_dataset_free(dataset);
}

int main(void) {
    snt_context *context = NULL;
    snt_dataset *dataset = NULL;
    snt_data_view train = view();
    OK(snt_context_create(NULL, &context, &error));
    OK(snt_dataset_from_view(context, &train, NULL, "{\"test\": 8}", &dataset, &error));
    poor(context);
    forest(context, dataset);
    everything(context, dataset);
    files(context, dataset);
    told(context, dataset);
    together(context, dataset);
    snt_dataset_free(dataset);
    snt_context_free(context);
    return 0;
}
