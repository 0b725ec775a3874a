/* A search whose loop and metric are the caller's: strategies are asked and told, in any order, by any thread. */
#include "common.h"

#define NULLS(word, call) REFUSED(SNT_E_INVALID_ARGUMENT, word, call)

/* The metric: how often the name of an operation is not in the architecture, out of six edges. */
static double without(const char *arch, const char *operation) {
    double count = 0.0;
    while ((arch = strstr(arch, operation)) != NULL) {
        count += 1.0;
        arch += strlen(operation);
    }
    return 6.0 - count;
}

static double macs(const snt_space *space, const char *arch) {
    snt_buffer json = {NULL, 0, NULL};
    double value;
    OK(snt_space_cost_json(space, arch, &json, &error));
    value = atof(strstr(json.data, "\"macs\":") + 7);
    snt_buffer_free(&json);
    return value;
}

/* Drives a search to its end; gives the least figure and how many were judged. */
static double drive(const snt_space *space, const char *topic, uint64_t seed, double limit, int *count) {
    snt_strategy *strategy = NULL;
    char arch[256];
    double figure, best = 100.0;
    snt_status status;
    *count = 0;
    OK(snt_strategy_create(space, topic, seed, &strategy, &error));
    while ((status = snt_strategy_ask(strategy, arch, sizeof arch, NULL, NULL, &error)) == SNT_OK) {
        TRUE_(macs(space, arch) <= limit);
        figure = without(arch, "nor_conv_3x3");
        best = figure < best ? figure : best;
        *count += 1;
        OK(snt_strategy_tell(strategy, arch, &figure, 1, &error));
    }
    TRUE_(status == SNT_END && error == NULL);
    GIVES(SNT_END, snt_strategy_ask(strategy, arch, sizeof arch, NULL, NULL, &error));
    snt_strategy_free(strategy);
    return best;
}

static void loops(const snt_space *space) {
    int count = 0, again = 0;
    const char *topic = "{\"strategy\": {\"kind\": \"regularised\", \"population\": 10, \"sample\": 5, \"trials\": 200}}";
    TRUE_(drive(space, topic, 1, 1e12, &count) == 0.0 && count == 200);
    TRUE_(drive(space, "{\"strategy\": {\"kind\": \"random\", \"trials\": 50}}", 1, 1e12, &count) > 0.0 && count == 50);
    TRUE_(drive(space, NULL, 1, 1e12, &count) == 0.0 && count == 1050);
    topic = "{\"strategy\": {\"kind\": \"random\", \"trials\": 100}, \"limits\": {\"macs\": {\"max\": 20000}}}";
    TRUE_(drive(space, topic, 1, 20000.0, &count) > 0.0 && count > 20);
    TRUE_(drive(space, topic, 1, 20000.0, &again) > 0.0 && again == count);
}

/* Two figures, a whole round asked for ahead, answered backwards. */
static void rounds(const snt_space *space) {
    enum { POPULATION = 8 };
    const char *topic = "{\"strategy\": {\"kind\": \"nsga2\", \"population\": 8, \"generations\": 2}}";
    static char archs[POPULATION][256];
    double figures[2];
    snt_strategy *strategy = NULL;
    snt_buffer result = {NULL, 0, NULL};
    size_t needed = 0, same = 0;
    uint64_t images = 7;
    int round, i;
    OK(snt_strategy_create(space, topic, 3, &strategy, &error));
    OK(snt_strategy_ask(strategy, NULL, 0, &needed, NULL, &error));
    NULLS("capacity", snt_strategy_ask(strategy, archs[0], needed - 1, NULL, NULL, &error));
    for (round = 0; round < 3; round++) {
        for (i = 0; i < POPULATION; i++) OK(snt_strategy_ask(strategy, archs[i], sizeof archs[i], &same, &images, &error));
        TRUE_(round > 0 || strlen(archs[0]) + 1 == needed);
        TRUE_(images == 0);
        GIVES(SNT_NOT_READY, snt_strategy_ask(strategy, archs[0], sizeof archs[0], NULL, NULL, &error));
        for (i = POPULATION - 1; i >= 0; i--) {
            figures[0] = without(archs[i], "skip_connect");
            figures[1] = i == 3 ? INFINITY : macs(space, archs[i]);
            OK(snt_strategy_tell(strategy, archs[i], figures, 2, &error));
        }
        NULLS("asked for", snt_strategy_tell(strategy, archs[0], figures, 2, &error));
    }
    GIVES(SNT_END, snt_strategy_ask(strategy, archs[0], sizeof archs[0], NULL, NULL, &error));
    OK(snt_strategy_result_json(strategy, &result, &error));
    TRUE_(strstr(result.data, "\"front\":true") != NULL && strstr(result.data, "\"images\":null") != NULL);
    snt_buffer_free(&result);
    snt_strategy_free(strategy);

    topic = "{\"strategy\": {\"kind\": \"rounds\", \"rounds\": 1, \"candidates\": 2, \"images\": 5, \"again\": 1}}";
    OK(snt_strategy_create(space, topic, 3, &strategy, &error));
    for (i = 0; i < 3; i++) {
        OK(snt_strategy_ask(strategy, archs[i], sizeof archs[i], NULL, &images, &error));
        TRUE_(images == (i < 2 ? 5u : 0u));
        figures[0] = (double)i;
        OK(snt_strategy_tell(strategy, archs[i], figures, 1, &error));
    }
    TRUE_(strcmp(archs[2], archs[0]) == 0);
    snt_strategy_free(strategy);
}

static void mistakes(const snt_space *space) {
    snt_strategy *strategy = NULL;
    snt_buffer result = {NULL, 0, NULL};
    char arch[256];
    double figures[2] = {1.0, 2.0}, nothing = nan("");
    size_t needed = 0;
    NULLS("space", snt_strategy_create(NULL, NULL, 0, &strategy, &error));
    NULLS("out", snt_strategy_create(space, NULL, 0, NULL, &error));
    NULLS("topic_json", snt_strategy_create(space, "\xff", 0, &strategy, &error));
    NULLS("did you mean `nsga2`", snt_strategy_create(space, "{\"strategy\": {\"kind\": \"nsga\"}}", 0, &strategy, &error));
    NULLS("population: found 0", snt_strategy_create(space, "{\"strategy\": {\"kind\": \"nsga2\", \"population\": 0}}", 0, &strategy, &error));
    NULLS("exhaustive over 15625", snt_strategy_create(space, "{\"strategy\": {\"kind\": \"exhaustive\", \"most\": 9}}", 0, &strategy, &error));
    NULLS("latency_ms", snt_strategy_create(space, "{\"limits\": {\"latency_ms\": {\"max\": 9}}}", 0, &strategy, &error));
    REFUSED(SNT_E_CONSTRAINT, "nearest", snt_strategy_create(space, "{\"limits\": {\"macs\": {\"max\": 1}}}", 0, &strategy, &error));
    TRUE_(strategy == NULL);
    OK(snt_strategy_create(space, NULL, 0, &strategy, &error));
    NULLS("strategy", snt_strategy_ask(NULL, arch, sizeof arch, &needed, NULL, &error));
    NULLS("buffer", snt_strategy_ask(strategy, NULL, 0, NULL, NULL, &error));
    OK(snt_strategy_ask(strategy, arch, sizeof arch, &needed, NULL, &error));
    NULLS("strategy", snt_strategy_tell(NULL, arch, figures, 2, &error));
    NULLS("arch", snt_strategy_tell(strategy, NULL, figures, 2, &error));
    NULLS("arch", snt_strategy_tell(strategy, "|none~1|", figures, 2, &error));
    NULLS("figures", snt_strategy_tell(strategy, arch, NULL, 2, &error));
    NULLS("figures: found 0", snt_strategy_tell(strategy, arch, figures, 0, &error));
    NULLS("NaN", snt_strategy_tell(strategy, arch, &nothing, 1, &error));
    OK(snt_strategy_tell(strategy, arch, figures, 2, &error));
    OK(snt_strategy_ask(strategy, arch, sizeof arch, &needed, NULL, &error));
    NULLS("figures: found 1, wanted 2", snt_strategy_tell(strategy, arch, figures, 1, &error));
    NULLS("strategy", snt_strategy_result_json(NULL, &result, &error));
    NULLS("out", snt_strategy_result_json(strategy, NULL, &error));
    snt_strategy_free(strategy);
    snt_strategy_free(NULL);
}

int main(void) {
    snt_context *context = NULL;
    snt_dataset *dataset = NULL;
    snt_space *space = NULL;
    snt_data_view train = view();
    OK(snt_context_create(NULL, &context, &error));
    OK(snt_dataset_from_view(context, &train, NULL, "{\"test\": 8}", &dataset, &error));
    OK(snt_space_builtin(context, "nb201", "{\"channels\": 2, \"cells\": 1}", dataset, &space, &error));
    snt_context_free(context);
    loops(space);
    rounds(space);
    mistakes(space);
    snt_space_free(space);
    snt_dataset_free(dataset);
    return 0;
}
