/* What the test programs share: pictures, a small recipe, and a check that names its line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernaut.h"

enum { COUNT = 48, SIDE = 8, CLASSES = 2 };
static uint8_t pixels[COUNT * 3 * SIDE * SIDE];
static int64_t labels[COUNT];

static const char *const RECIPE =
    "{\"validation\": 16, \"threads\": 1, \"space\": {\"kind\": \"nb201\", \"channels\": 2, \"cells\": 1},"
    " \"train\": {\"epochs\": 4, \"batch\": 8, \"augment\": {\"crop\": 1, \"flip\": true}},"
    " \"search\": {\"strategy\": {\"kind\": \"evolution\", \"population\": 4, \"generations\": 1, \"parents\": 2, \"mutations\": 2,"
    " \"crossovers\": 2}, \"batch\": 16},"
    " \"retrain\": {\"epochs\": 2, \"batch\": 8}}";

#define TRUE_(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static snt_error *error;

/* The status of the last call, which has to be `wanted`; an error has to speak of `word`. */
static void expect(int line, snt_status found, snt_status wanted, const char *word) {
    int is_error = wanted >= SNT_E_INVALID_ARGUMENT;
    if (found != wanted || (error != NULL) != is_error || snt_error_status(error) != (is_error ? wanted : SNT_OK) ||
        (is_error && strstr(snt_error_message(error), word) == NULL)) {
        fprintf(stderr, "line %d: found %s (%s), wanted %s about \"%s\"\n", line, snt_status_name(found), snt_error_message(error),
                snt_status_name(wanted), word);
        exit(1);
    }
    snt_error_free(error);
    error = NULL;
}

#define OK(call) expect(__LINE__, call, SNT_OK, "")
#define GIVES(status, call) expect(__LINE__, call, status, "")
#define REFUSED(status, word, call) expect(__LINE__, call, status, word)

static snt_data_view view(void) {
    snt_data_view view;
    int i;
    for (i = 0; i < COUNT; i++) labels[i] = i % CLASSES;
    for (i = 0; i < (int)sizeof pixels; i++) {
        int bright = (i / (3 * SIDE * SIDE)) % CLASSES == i % CLASSES;
        pixels[i] = (uint8_t)((i * 7919 + i / 13) % 90 + (bright ? 130 : 0));
    }
    snt_data_view_init(&view, sizeof view);
    view.images = pixels;
    view.labels = labels;
    view.count = COUNT;
    view.channels = 3;
    view.height = view.width = SIDE;
    view.classes = CLASSES;
    return view;
}

/* Two files of the same bytes. */
static inline void same(const char *first, const char *second) {
    FILE *a = fopen(first, "rb"), *b = fopen(second, "rb");
    int left, right;
    TRUE_(a != NULL && b != NULL);
    do {
        left = fgetc(a);
        right = fgetc(b);
        TRUE_(left == right);
    } while (left != EOF);
    fclose(a);
    fclose(b);
}
