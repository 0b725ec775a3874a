/* Pictures out of a folder, which is the first argument: described, and a mistake in it named. */
#include "common.h"

static int holds(snt_buffer info, const char *word) {
    int found = strstr(info.data, word) != NULL;
    if (!found) fprintf(stderr, "no %s in %s\n", word, info.data);
    return found;
}

int main(int count, char **arguments) {
    snt_context *context;
    snt_dataset *dataset;
    snt_buffer info = {NULL, 0, NULL};
    char source[2048];
    const char *form = "{\"kind\": \"folder\", \"path\": \"%s\", \"size\": %d, \"cache\": \"%s-cache\"}";
    TRUE_(count == 2 && strlen(arguments[1]) < 900);
    TRUE_(view().count == COUNT);
    OK(snt_context_create(NULL, &context, &error));
    sprintf(source, form, arguments[1], 8, arguments[1]);
    OK(snt_dataset_open(context, source, &dataset, &error));
    OK(snt_dataset_info_json(dataset, &info, &error));
    TRUE_(holds(info, "\"train\":72") && holds(info, "\"validation\":24") && holds(info, "\"test\":8"));
    TRUE_(holds(info, "\"image\":[3,8,8]") && holds(info, "\"dog\"") && holds(info, "has no folder `test`"));
    snt_buffer_free(&info);
    snt_dataset_free(dataset);
    sprintf(source, form, arguments[1], 25, arguments[1]);
    REFUSED(SNT_E_CORRUPT, "wanted at least 25 x 25", snt_dataset_open(context, source, &dataset, &error));
    TRUE_(dataset == NULL);
    snt_context_free(context);
    return 0;
}
