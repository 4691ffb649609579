/* run_fixture.c: short training runs on a handful of synthetic images. */
#include "run_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dataset small_set(void) {
    struct error error;
    struct dataset dataset = {.name = "synthetic", .class_names = synthetic_class_names};
    assert_succeeded(synthetic_fill(&error, &dataset.train, 5, 0, TRAIN_IMAGES), &error);
    assert_succeeded(synthetic_fill(&error, &dataset.test, 5, TRAIN_IMAGES, TEST_IMAGES), &error);
    return dataset;
}

bool on_cuda(void) {
    const char *only = getenv("TEST_BACKEND");
    return only != NULL && strcmp(only, "cuda") == 0;
}

struct options small_run(const char *folder, enum recipe_kind kind, enum norm_kind norm) {
    struct options options = {
        .recipe = *recipe_find(kind, norm),
        .data = "synthetic:3",
        .device = {.kind = on_cuda() ? DEVICE_CUDA : DEVICE_CPU, .threads = 1},
        .seed = SMALL_SEED,
        .quiet = true,
        .no_report = true,
        .misclassified = 10,
        .no_progress = true};
    options.recipe.epochs = EPOCHS;
    options.recipe.batch_size = BATCH;
    snprintf(options.out, sizeof options.out, "%s/run", folder);
    return options;
}

enum status run(struct error *error, const struct options *options) {
    struct dataset dataset = small_set();
    dataset.validation = options->validation; /* the test images stand for those held out */
    enum status status = train_on(error, options, &dataset);
    dataset_close(&dataset);
    return status;
}

void run_ok(const struct options *options) {
    struct error error;
    assert_succeeded(run(&error, options), &error);
}

bool is_there(const char *folder, const char *name) {
    return access(in_folder(folder, name), F_OK) == 0;
}

/* ---- reading what they wrote ----------------------------------------------------------------- */

struct metrics_file read_metrics(const char *folder) {
    struct metrics_file file = {0};
    char line[1024];
    FILE *stream = fopen(in_folder(folder, "metrics.jsonl"), "r");
    assert_non_null(stream);
    while (fgets(line, sizeof line, stream) != NULL) {
        assert_non_null(strchr(line, '\n'));
        assert_true(file.count < MAX_LINES);
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(object));
        file.lines[file.count++] = object;
    }
    fclose(stream);
    return file;
}

void free_metrics(struct metrics_file *file) {
    for (int i = 0; i < file->count; i++)
        json_decref(file->lines[i]);
}

double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail_msg("no number %s", key);
    return json_number_value(value);
}

unsigned char *slurp(size_t *size, const char *path) {
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    unsigned char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 20, stream);
    assert_true(*size < 1 << 20);
    fclose(stream);
    return bytes;
}

bool same_files(const char *a, const char *b) {
    size_t a_size, b_size;
    unsigned char *a_bytes = slurp(&a_size, a), *b_bytes = slurp(&b_size, b);
    bool same = a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0;
    free(a_bytes);
    free(b_bytes);
    return same;
}
