/* dataset.c: opens a data set by name: CIFAR-10 (cifar10.c) or the synthetic set (synthetic.c). */
#include "data/dataset.h"

#include "data/cifar10.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SYNTHETIC_TRAIN = 10000, SYNTHETIC_TEST = 2000 };

static const char *const cifar_class_names[CLASS_COUNT] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

/* ---- the names ------------------------------------------------------------------------------- */

static const char synthetic_name[] = "synthetic", cifar_name[] = "CIFAR-10",
                  modified_name[] = "CIFAR-10 (modified)";

struct dataset dataset_named(const char *name) {
    if (name != NULL && strcmp(name, synthetic_name) == 0)
        return (struct dataset){
            .name = synthetic_name, .class_names = synthetic_class_names, .synthetic = true};
    bool modified = name != NULL && strcmp(name, modified_name) == 0;
    return (struct dataset){.name = modified ? modified_name : cifar_name,
                            .class_names = cifar_class_names};
}

/* ---- the sets -------------------------------------------------------------------------------- */

static enum status open_cifar(struct error *error, struct dataset *out, const char *folder,
                              bool with_train) {
    bool modified = false;
    *out = dataset_named(cifar_name);
    enum status status =
        cifar10_open(error, &out->train, &out->test, &modified, folder, with_train);
    if (modified)
        out->name = modified_name;
    return status;
}

/* The test images follow the training images in the seed's sequence, so no image is in both. */
static enum status open_synthetic(struct error *error, struct dataset *out, uint64_t seed,
                                  bool with_train) {
    *out = dataset_named(synthetic_name);
    out->seed = seed;
    if (with_train && synthetic_fill(error, &out->train, seed, 0, SYNTHETIC_TRAIN) != STATUS_OK)
        return error->status;
    return synthetic_fill(error, &out->test, seed, SYNTHETIC_TRAIN, SYNTHETIC_TEST);
}

bool dataset_is_synthetic(uint64_t *seed, const char *where) {
    const size_t length = sizeof synthetic_name - 1;
    if (strncmp(where, synthetic_name, length) != 0 || where[length] != ':' ||
        where[length + 1] < '0' || where[length + 1] > '9')
        return false;
    char *end;
    errno = 0;
    *seed = strtoull(where + length + 1, &end, 10);
    return *end == '\0' && errno == 0;
}

static enum status open_parts(struct error *error, struct dataset *out, const char *where,
                              bool with_train) {
    uint64_t seed;
    *out = (struct dataset){.name = NULL};
    enum status status = dataset_is_synthetic(&seed, where)
                             ? open_synthetic(error, out, seed, with_train)
                             : open_cifar(error, out, where, with_train);
    if (status != STATUS_OK)
        dataset_close(out);
    return status;
}

enum status dataset_open(struct error *error, struct dataset *out, const char *where) {
    return open_parts(error, out, where, true);
}

enum status dataset_open_test(struct error *error, struct dataset *out, const char *where) {
    return open_parts(error, out, where, false);
}

void dataset_close(struct dataset *dataset) {
    image_set_free(&dataset->train);
    image_set_free(&dataset->test);
    *dataset = (struct dataset){.name = NULL};
}
