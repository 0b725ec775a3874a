/*
 * A program that brings its own pictures, and gets a network that fits: train a supernet, search it under a limit, train
 * the winner, export it and prove the file. Ctrl-C stops the training; started again, the program goes on from there.
 * After `make build`:
 *
 *   cc -std=c99 examples/embed.c -Iinclude -Ltarget/release -lsupernaut -Wl,-rpath,$PWD/target/release -o embed
 *   ./embed                 pictures drawn here
 *   ./embed folder          the four IDX files of an MNIST family in a folder
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernaut.h"

enum { COUNT = 400, SIDE = 16, CLASSES = 3 };
static const char *const CHECKPOINT = "embed.safetensors";
static const char *const RECIPE =
    "seed = 1\n"
    "validation = 60\n"
    "space = { kind = 'nb201', channels = 4, cells = 1 }\n"
    "train = { epochs = 8, batch = 32, augment = { crop = 1, flip = true } }\n"
    "retrain = { epochs = 8, batch = 32, augment = { crop = 1, flip = true }, start = 'supernet' }\n"
    "[search]\n"
    "strategy = { kind = 'evolution', population = 12, generations = 2, mutations = 6, crossovers = 6 }\n"
    "limits = { macs = { max = 250_000 } }\n";

/* 1. Ctrl-C: cancelling is one atomic store, so a signal handler may do it. */
static snt_job *volatile current = NULL;

static void on_interrupt(int number) {
    (void)number;
    snt_job_cancel(current);
}

/* 2. Every error is a status and a sentence. */
static snt_error *error = NULL;

static void check(snt_status status) {
    if (status < SNT_E_INVALID_ARGUMENT) return;
    fprintf(stderr, "%s: %s\n", snt_status_name(status), snt_error_message(error));
    exit(1);
}

/* 3. Pictures in our own memory: a frame, a cross or a disc, somewhere, over noise. */
static uint8_t pixels[COUNT][SIDE][SIDE];
static int64_t labels[COUNT];

static void draw(void) {
    srand(7);
    for (int i = 0; i < COUNT; i++) {
        int cx = 5 + rand() % 6, cy = 5 + rand() % 6;
        labels[i] = i % CLASSES;
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                int dx = abs(x - cx), dy = abs(y - cy), far = dx > dy ? dx : dy;
                int frame = far == 4, cross = far <= 4 && (dx == 0 || dy == 0), disc = dx * dx + dy * dy <= 12;
                int ink = labels[i] == 0 ? frame : labels[i] == 1 ? cross : disc;
                pixels[i][y][x] = (uint8_t)(rand() % 100 + (ink ? 140 : 0));
            }
        }
    }
}

static snt_dataset *own_pictures(snt_context *context) {
    snt_dataset *dataset = NULL;
    snt_data_view view;
    draw();
    snt_data_view_init(&view, sizeof view);
    view.images = &pixels[0][0][0];
    view.labels = labels;
    view.count = COUNT;
    view.channels = 1;
    view.height = view.width = SIDE;
    view.classes = CLASSES;
    check(snt_dataset_from_view(context, &view, NULL, "{\"classes\": [\"frame\", \"cross\", \"disc\"], \"test\": 60}", &dataset, &error));
    return dataset;
}

static snt_dataset *folder(snt_context *context, const char *path) {
    char source[4096];
    snt_dataset *dataset = NULL;
    snprintf(source, sizeof source, "{\"kind\": \"idx\", \"path\": \"%s\"}", path);
    check(snt_dataset_open(context, source, &dataset, &error));
    return dataset;
}

/* 4. Progress, a line for every tenth of the work. */
static int32_t show(void *user, const snt_event *event) {
    (void)user;
    if (event->step % (event->total / 10 + 1) == 0 || event->step == event->total) {
        printf("%-8s %3.0f %%  ", event->phase, 100.0 * (double)event->step / (double)event->total);
        if (event->loss == event->loss) printf("loss %.3f, ", event->loss); /* NaN where there is none */
        if (event->accuracy == event->accuracy) printf("accuracy %.3f, ", event->accuracy);
        printf("%.0f s left\n", event->eta_seconds);
        fflush(stdout);
    }
    return 0; /* anything else would cancel the job */
}

/* 5. All jobs live alike. A training that is cancelled leaves a checkpoint. */
static void finish(snt_job *job, const char *checkpoint) {
    current = job;
    check(snt_job_start(job, &error));
    snt_status status = snt_job_wait(job, SNT_WAIT_FOREVER, &error);
    check(status);
    current = NULL;
    if (checkpoint != NULL) check(snt_job_checkpoint(job, checkpoint, &error));
    if (status != SNT_CANCELLED) return;
    printf("cancelled; start me again to go on\n");
    exit(0);
}

int main(int count, char **arguments) {
    snt_context *context = NULL;
    check(snt_context_create(NULL, &context, &error));
    snt_dataset *dataset = count > 1 ? folder(context, arguments[1]) : own_pictures(context);
    signal(SIGINT, on_interrupt);

    /* 6. Train a supernet, or go on where Ctrl-C stopped. */
    snt_model *supernet = NULL, *subnet = NULL;
    snt_job *job = NULL;
    FILE *file = fopen(CHECKPOINT, "rb");
    if (file != NULL) { /* one that will not do is an error: a fresh start would overwrite it */
        fclose(file);
        check(snt_train_resume(context, CHECKPOINT, dataset, show, NULL, &job, &error));
    } else {
        check(snt_model_create(context, RECIPE, dataset, &supernet, &error));
        check(snt_train_start(supernet, dataset, show, NULL, &job, &error));
        snt_model_free(supernet);
    }
    check(snt_job_model(job, &supernet, &error));
    finish(job, CHECKPOINT);
    snt_job_free(job);

    /* 7. Search it: the best within the limits of the recipe. */
    char arch[256];
    double macs = 0.0;
    snt_result *result = NULL;
    check(snt_search_start(supernet, dataset, NULL, NULL, show, NULL, &job, &error));
    finish(job, NULL);
    check(snt_job_result(job, &result, &error));
    check(snt_result_arch(result, 0, arch, sizeof arch, NULL, &error));
    check(snt_result_metric(result, 0, "macs", &macs, &error));
    printf("found %s with %.0f multiply-accumulates\n", arch, macs);
    snt_result_free(result);
    snt_job_free(job);

    /* 8. Train the winner on its own, and export it: the file appears only if ONNX Runtime agrees with the network. */
    snt_buffer report = {NULL, 0, NULL};
    check(snt_retrain_start(supernet, dataset, arch, NULL, show, NULL, &job, &error));
    check(snt_job_model(job, &subnet, &error));
    finish(job, NULL);
    check(snt_export_onnx(subnet, dataset, NULL, "embed.onnx", NULL, &error));
    check(snt_verify(subnet, dataset, "embed.onnx", NULL, &report, &error));
    printf("embed.onnx, with its accuracy on the test images: %s\n", report.data);

    snt_buffer_free(&report);
    snt_job_free(job);
    snt_model_free(subnet);
    snt_model_free(supernet);
    snt_dataset_free(dataset);
    snt_context_free(context);
    return 0;
}
