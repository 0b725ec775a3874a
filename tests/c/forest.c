/* Several supernets in one handle: arguments are the [data] table, a forest.json, and the checkpoint of its second supernet. */
#include "common.h"

static const char *const ARCHS[2] = {
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"};

/* Judges the first `count` architectures. */
static void judge(snt_model *model, snt_dataset *dataset, size_t count, double *accuracies) {
    snt_job *job = NULL;
    snt_result *result = NULL;
    size_t i;
    OK(snt_evaluate_start(model, dataset, ARCHS, count, NULL, NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 100, &error));
    OK(snt_job_result(job, &result, &error));
    for (i = 0; i < count; i++) OK(snt_result_metric(result, i, "accuracy", &accuracies[i], &error));
    snt_result_free(result);
    snt_job_free(job);
}

int main(int argc, char **argv) {
    snt_context *context = NULL;
    snt_dataset *dataset = NULL;
    snt_model *forest = NULL, *part = NULL;
    snt_buffer info = {NULL, 0, NULL};
    snt_job *job = NULL;
    double of_forest[2], of_part[2];
    TRUE_(argc == 4);
    (void)view;
    OK(snt_context_create(NULL, &context, &error));
    OK(snt_dataset_open(context, argv[1], &dataset, &error));
    OK(snt_model_load(context, argv[2], &forest, &error));
    OK(snt_model_load(context, argv[3], &part, &error));
    OK(snt_model_info_json(forest, &info, &error));
    TRUE_(strstr(info.data, "\"supernets\":5") != NULL);
    snt_buffer_free(&info);

    judge(forest, dataset, 2, of_forest);
    judge(part, dataset, 1, of_part);
    TRUE_(of_forest[0] == of_part[0]);
    REFUSED(SNT_E_INVALID_ARGUMENT, "wanted one with 1<-0: skip_connect",
            snt_evaluate_start(part, dataset, ARCHS, 2, NULL, NULL, NULL, &job, &error));

    OK(snt_search_start(forest, dataset, NULL, NULL, NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 1000, &error));
    snt_job_free(job);
    OK(snt_retrain_start(forest, dataset, ARCHS[1], NULL, NULL, NULL, &job, &error));
    GIVES(SNT_END, snt_job_step(job, 1000, &error));
    snt_job_free(job);
    REFUSED(SNT_E_UNSUPPORTED, "the 5 supernets of a forest", snt_train_start(forest, dataset, NULL, NULL, &job, &error));
    REFUSED(SNT_E_UNSUPPORTED, "the 5 supernets of a forest", snt_model_save(forest, "x", &error));
    snt_model_free(forest);
    snt_model_free(part);
    snt_dataset_free(dataset);
    snt_context_free(context);
    return 0;
}
