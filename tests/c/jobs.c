/* The life of jobs: who may call what when, and what is left after a cancel. */
#include "common.h"

static const char *const ARCH = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";

/* What an event function has seen, and what it does at a given step. */
enum act { NOTHING, CANCEL, RETURN_1, FREE, MISUSE };
typedef struct {
    snt_job *job;
    snt_model *model;
    uint64_t calls, last, act_at;
    enum act act;
} watch;

static int32_t look(void *user, const snt_event *event) {
    watch *seen = (watch *)user;
    int training = strcmp(event->phase, "train") == 0 || strcmp(event->phase, "retrain") == 0;
    TRUE_(event->struct_size == sizeof *event && event->step <= event->total && event->seconds >= 0.0 && event->eta_seconds >= 0.0);
    TRUE_(isnan(event->loss) != training && isnan(event->accuracy) == training && event->json[0] == '{');
    TRUE_(seen->calls == 0 || event->step == seen->last + 1);
    seen->calls++;
    seen->last = event->step;
    if (event->step != seen->act_at) return 0;
    switch (seen->act) {
        case CANCEL: snt_job_cancel(seen->job); break;
        case RETURN_1: return 1;
        case FREE: snt_job_free(seen->job); break;
        case MISUSE: {
            snt_error *own = NULL;
            snt_job *other = NULL;
            snt_status status = snt_job_step(seen->job, 1, &own);
            TRUE_(status == SNT_E_BUSY || status == SNT_E_INVALID_STATE);
            snt_error_free(own);
            TRUE_(snt_job_wait(seen->job, SNT_WAIT_FOREVER, NULL) == SNT_E_INVALID_STATE);
            TRUE_(snt_job_checkpoint(seen->job, "never", NULL) == SNT_E_INVALID_STATE);
            TRUE_(snt_model_save(seen->model, "never", NULL) == SNT_E_BUSY);
            TRUE_(snt_job_result(seen->job, (snt_result **)&other, NULL) == SNT_NOT_READY && other == NULL);
            break;
        }
        case NOTHING: break;
    }
    return 0;
}

static int holds(const snt_model *model, const char *text) {
    snt_buffer info = {NULL, 0, NULL};
    int found;
    OK(snt_model_info_json(model, &info, &error));
    found = strstr(info.data, text) != NULL;
    snt_buffer_free(&info);
    return found;
}

static snt_model *fresh(snt_context *context, snt_dataset *dataset) {
    snt_model *model = NULL;
    OK(snt_model_create(context, RECIPE, dataset, &model, &error));
    return model;
}

/* Trains without interruption, on this thread: what all other ways have to end in. */
static void whole(snt_context *context, snt_dataset *dataset) {
    watch seen = {NULL, NULL, 0, 0, 5, MISUSE};
    snt_job *second = NULL;
    snt_result *result = NULL;
    snt_model *again = NULL, *model = fresh(context, dataset);
    OK(snt_train_start(model, dataset, look, &seen, &seen.job, &error));
    seen.model = model;
    TRUE_(holds(model, "\"busy\":true") && holds(model, "\"step\":0,\"total\":12"));
    REFUSED(SNT_E_BUSY, "a job", snt_train_start(model, dataset, NULL, NULL, &second, &error));
    REFUSED(SNT_E_BUSY, "a job", snt_search_start(model, dataset, NULL, NULL, NULL, NULL, &second, &error));
    REFUSED(SNT_E_BUSY, "a job", snt_model_save(model, "x", &error));
    REFUSED(SNT_E_BUSY, "a job", snt_export_onnx(model, dataset, NULL, "x", NULL, &error));
    REFUSED(SNT_E_INVALID_STATE, "snt_job_start", snt_job_wait(seen.job, 0, &error));
    GIVES(SNT_NOT_READY, snt_job_result(seen.job, &result, &error));
    TRUE_(result == NULL);
    OK(snt_job_step(seen.job, 0, &error));
    OK(snt_job_step(seen.job, 6, &error));
    TRUE_(seen.calls == 6 && seen.last == 6);
    OK(snt_job_checkpoint(seen.job, "six", &error));
    OK(snt_job_step(seen.job, 6, &error));
    GIVES(SNT_END, snt_job_step(seen.job, 10, &error));
    GIVES(SNT_END, snt_job_step(seen.job, 10, &error));
    OK(snt_job_wait(seen.job, 0, &error));
    OK(snt_job_result(seen.job, &result, &error));
    TRUE_(snt_result_count(result) == 0);
    snt_result_free(result);
    OK(snt_job_model(seen.job, &again, &error));
    snt_job_free(seen.job);
    TRUE_(seen.calls == 12 && holds(again, "\"finished\":true") && holds(again, "\"busy\":false"));
    OK(snt_model_save(model, "whole", &error));
    OK(snt_train_start(model, dataset, NULL, NULL, &second, &error));
    GIVES(SNT_END, snt_job_step(second, 1, &error));
    snt_job_free(second);
    OK(snt_model_save(again, "again", &error));
    same("whole", "again");
    snt_model_free(model);
    snt_model_free(again);
}

/* From a checkpoint to the end, on a thread of its own. */
static void resume(snt_context *context, snt_dataset *dataset, const char *path) {
    watch seen = {NULL, NULL, 0, 0, 0, NOTHING};
    OK(snt_train_resume(context, path, dataset, look, &seen, &seen.job, &error));
    OK(snt_job_start(seen.job, &error));
    REFUSED(SNT_E_INVALID_STATE, "snt_job_wait", snt_job_step(seen.job, 1, &error));
    REFUSED(SNT_E_INVALID_STATE, "snt_job_wait", snt_job_start(seen.job, &error));
    OK(snt_job_wait(seen.job, SNT_WAIT_FOREVER, &error));
    TRUE_(seen.last == 12);
    OK(snt_job_checkpoint(seen.job, "resumed", &error));
    same("whole", "resumed");
    snt_job_free(seen.job);
}

/* Cancels a training in several ways; each leaves a model and a checkpoint to go on from. */
static void stop(snt_context *context, snt_dataset *dataset, int act, int threaded) {
    watch seen = {NULL, NULL, 0, 0, 5, NOTHING};
    snt_model *model = fresh(context, dataset);
    snt_job *job = NULL;
    seen.act = act == 0 ? CANCEL : act == 1 ? RETURN_1 : FREE;
    OK(snt_train_start(model, dataset, look, &seen, &job, &error));
    seen.job = job;
    if (seen.act == FREE) {
        /* In its own event function: the step that calls goes on and is the last. */
        GIVES(SNT_CANCELLED, snt_job_step(job, 100, &error));
    } else {
        if (threaded) {
            OK(snt_job_start(job, &error));
            GIVES(SNT_CANCELLED, snt_job_wait(job, SNT_WAIT_FOREVER, &error));
        } else {
            GIVES(SNT_CANCELLED, snt_job_step(job, 100, &error));
        }
        GIVES(SNT_CANCELLED, snt_job_wait(job, 0, &error));
        OK(snt_job_checkpoint(job, "stopped", &error));
        snt_job_free(job);
        resume(context, dataset, "stopped");
    }
    TRUE_(seen.calls == 5 && holds(model, "\"step\":5") && holds(model, "\"busy\":false"));
    /* The model itself can go on, too. */
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 100, &error));
    snt_job_free(job);
    OK(snt_model_save(model, "went on", &error));
    same("whole", "went on");
    snt_model_free(model);
}

/* Freed while it runs, before it runs, half way in steps; and checkpoints while it runs. */
static void freed(snt_context *context, snt_dataset *dataset) {
    snt_model *model = fresh(context, dataset), *loaded = NULL;
    snt_job *job = NULL;
    int i;
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    snt_job_free(job);
    for (i = 0; i < 3; i++) {
        OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
        OK(snt_job_step(job, 2, &error));
        snt_job_free(job);
    }
    TRUE_(holds(model, "\"step\":6"));
    for (i = 0; i < 10; i++) {
        snt_model *brief = fresh(context, dataset);
        OK(snt_train_start(brief, dataset, NULL, NULL, &job, &error));
        snt_model_free(brief);
        OK(snt_job_start(job, &error));
        snt_job_free(job);
    }
    OK(snt_model_save(model, "six again", &error));
    same("six", "six again");
    OK(snt_train_start(model, dataset, NULL, NULL, &job, &error));
    OK(snt_job_start(job, &error));
    OK(snt_job_checkpoint(job, "running", &error));
    snt_job_free(job);
    TRUE_(holds(model, "\"busy\":false"));
    OK(snt_model_load(context, "running", &loaded, &error));
    resume(context, dataset, "running");
    snt_model_free(loaded);
    snt_model_free(model);
}

static void found(snt_context *context, snt_dataset *dataset) {
    watch seen = {NULL, NULL, 0, 0, 3, RETURN_1};
    const char *archs[2] = {NULL, NULL};
    snt_model *supernet = NULL, *subnet = NULL;
    snt_job *job = NULL;
    snt_result *result = NULL, *part = NULL;
    snt_buffer file = {NULL, 0, NULL}, report = {NULL, 0, NULL};
    char arch[256];
    double value = -1.0;
    size_t needed;
    FILE *written;
    OK(snt_model_load(context, "whole", &supernet, &error));
    OK(snt_search_start(supernet, dataset, NULL, "memory", look, &seen, &job, &error));
    GIVES(SNT_CANCELLED, snt_job_step(job, 100, &error));
    REFUSED(SNT_E_UNSUPPORTED, "memory_path", snt_job_checkpoint(job, "x", &error));
    OK(snt_job_result(job, &part, &error));
    snt_job_free(job);
    TRUE_(snt_result_count(part) == 1 && seen.calls == 3);
    snt_result_free(part);
    OK(snt_search_start(supernet, dataset, NULL, "memory", NULL, NULL, &job, &error));
    OK(snt_job_start(job, &error));
    OK(snt_job_wait(job, 60000, &error));
    OK(snt_job_result(job, &result, &error));
    snt_job_free(job);
    TRUE_(snt_result_count(result) == 1);
    OK(snt_result_arch(result, 0, NULL, 0, &needed, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "capacity", snt_result_arch(result, 0, arch, needed - 1, NULL, &error));
    OK(snt_result_arch(result, 0, arch, needed, NULL, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "index: found 1, wanted 0 to 0", snt_result_arch(result, 1, arch, needed, NULL, &error));
    OK(snt_result_metric(result, 0, "accuracy", &value, &error));
    TRUE_(value >= 0.0 && value <= 1.0);
    OK(snt_result_metric(result, 0, "macs", &value, &error));
    TRUE_(value >= 1.0);
    REFUSED(SNT_E_NOT_FOUND, "wanted accuracy, params, macs", snt_result_metric(result, 0, "latency_ms", &value, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "name", snt_result_metric(result, 0, NULL, &value, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "value", snt_result_metric(result, 0, "macs", NULL, &error));
    OK(snt_result_json(result, &report, &error));
    TRUE_(strstr(report.data, "\"evaluations\":[") != NULL);
    snt_buffer_free(&report);
    snt_result_free(result);

    archs[0] = arch;
    archs[1] = ARCH;
    OK(snt_evaluate_start(supernet, dataset, archs, 2, NULL, NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 100, &error));
    OK(snt_job_result(job, &result, &error));
    TRUE_(snt_result_count(result) == 2);
    OK(snt_result_arch(result, 1, arch, sizeof arch, NULL, &error));
    OK(snt_result_metric(result, 1, "accuracy", &value, &error));
    TRUE_(strcmp(arch, ARCH) == 0);
    snt_result_free(result);
    snt_job_free(job);

    seen.calls = 0;
    seen.act = NOTHING;
    OK(snt_retrain_start(supernet, dataset, ARCH, NULL, look, &seen, &job, &error));
    OK(snt_job_model(job, &subnet, &error));
    TRUE_(holds(supernet, "\"busy\":false") && holds(subnet, "\"busy\":true"));
    GIVES(SNT_END, snt_job_step(job, 100, &error));
    snt_job_free(job);
    /* What leads nowhere in ARCH is not trained. */
    TRUE_(seen.calls == 6 && holds(subnet, "\"arch\":\"|none~0|+|skip_connect~0|"));
    REFUSED(SNT_E_INVALID_STATE, "stands alone", snt_retrain_start(subnet, dataset, ARCH, NULL, NULL, NULL, &job, &error));
    REFUSED(SNT_E_INVALID_STATE, "stands alone", snt_search_start(subnet, dataset, NULL, NULL, NULL, NULL, &job, &error));
    OK(snt_evaluate_start(subnet, dataset, NULL, 0, NULL, NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 100, &error));
    snt_job_free(job);

    OK(snt_export_onnx(subnet, dataset, "{\"opset\": 18}", "net.onnx", &report, &error));
    TRUE_(strstr(report.data, "\"top1_agreement\":1.0") != NULL && strstr(report.data, "\"test_images\":8") != NULL);
    snt_buffer_free(&report);
    OK(snt_export_onnx_memory(subnet, dataset, "{\"opset\": 18}", &file, NULL, &error));
    written = fopen("copy.onnx", "wb");
    TRUE_(written != NULL && fwrite(file.data, 1, file.len, written) == file.len);
    fclose(written);
    snt_buffer_free(&file);
    same("net.onnx", "copy.onnx");
    OK(snt_verify(subnet, dataset, "net.onnx", NULL, &report, &error));
    snt_buffer_free(&report);
    OK(snt_latency(subnet, "net.onnx", "{\"seconds\": 0.05}", &report, &error));
    TRUE_(strstr(report.data, "\"median\":") != NULL);
    snt_buffer_free(&report);
    REFUSED(SNT_E_INVALID_ARGUMENT, "report", snt_latency(subnet, "net.onnx", NULL, NULL, &error));
    REFUSED(SNT_E_INVALID_ARGUMENT, "ONNX file", snt_verify(subnet, dataset, "whole", NULL, NULL, &error));
    TRUE_(snt_export_onnx(subnet, dataset, "{\"tolerance\": 1e-9}", "exact.onnx", NULL, NULL) == SNT_E_VERIFY_FAILED);
    TRUE_(fopen("exact.onnx", "rb") == NULL);
    snt_model_free(subnet);
    snt_model_free(supernet);
}

static int lines = 0;

static void count_line(void *user, int32_t level, const char *target, const char *message) {
    TRUE_(user == &lines && level <= SNT_LOG_INFO && target[0] != '\0' && message[0] != '\0');
    lines++;
}

int main(void) {
    snt_context *context = NULL;
    snt_context_params params;
    snt_dataset *dataset = NULL, *other = NULL;
    snt_data_view train = view();
    snt_job *job = NULL;
    int act;
    snt_context_params_init(&params, sizeof params);
    params.device = "cpu";
    params.threads = 1;
    params.log = count_line;
    params.log_user = &lines;
    params.log_level = SNT_LOG_INFO;
    OK(snt_context_create(&params, &context, &error));
    OK(snt_dataset_from_view(context, &train, NULL, "{\"test\": 8}", &dataset, &error));
    OK(snt_dataset_from_view(context, &train, NULL, "{\"test\": 4}", &other, &error));
    whole(context, dataset);
    TRUE_(lines >= 2);
    REFUSED(SNT_E_VERSION, "data", snt_train_resume(context, "whole", other, NULL, NULL, &job, &error));
    for (act = 0; act < 3; act++) {
        stop(context, dataset, act, 0);
        stop(context, dataset, act, 1);
    }
    freed(context, dataset);
    found(context, dataset);
    snt_dataset_free(dataset);
    snt_dataset_free(other);
    snt_context_free(context);
    return 0;
}
