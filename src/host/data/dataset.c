/* dataset.c: opens a data set by name: CIFAR-10 (cifar10.c) or the synthetic set (synthetic.c). */
#include "data/dataset.h"

#include "data/cifar10.h"
#include "data/shuffle.h"
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VALIDATION_SEED = 0 };
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

const char *evaluated_word(bool validation) {
    return validation ? "validation" : "test";
}

const char *evaluated_title(bool validation) {
    return validation ? "Validation" : "Test";
}

/* ---- the sets -------------------------------------------------------------------------------- */

/* What is opened. */
enum parts { PART_TRAIN, PART_TEST, PARTS };

static enum status open_cifar(struct error *error, struct dataset *out, const char *folder,
                              enum parts parts) {
    bool modified = false;
    *out = dataset_named(cifar_name);
    enum status status = cifar10_open(error, &out->train, &out->test, &modified, folder,
                                      parts != PART_TEST, parts != PART_TRAIN);
    if (modified)
        out->name = modified_name;
    return status;
}

/* The test images follow the training images in the seed's sequence, so no image is in both. */
static enum status open_synthetic(struct error *error, struct dataset *out, uint64_t seed,
                                  enum parts parts) {
    *out = dataset_named(synthetic_name);
    out->seed = seed;
    if (parts != PART_TEST &&
        synthetic_fill(error, &out->train, seed, 0, SYNTHETIC_TRAIN) != STATUS_OK)
        return error->status;
    if (parts == PART_TRAIN)
        return STATUS_OK;
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
                              enum parts parts) {
    uint64_t seed;
    *out = (struct dataset){.name = NULL};
    enum status status = dataset_is_synthetic(&seed, where)
                             ? open_synthetic(error, out, seed, parts)
                             : open_cifar(error, out, where, parts);
    if (status != STATUS_OK)
        dataset_close(out);
    return status;
}

enum status dataset_open(struct error *error, struct dataset *out, const char *where) {
    return open_parts(error, out, where, PARTS);
}

enum status dataset_open_test(struct error *error, struct dataset *out, const char *where) {
    return open_parts(error, out, where, PART_TEST);
}

/* ---- the split ------------------------------------------------------------------------------- */

/* Moves the images that order[0 ... out->count - 1] names from `train` to `out`. Both sets keep the
 * order of `train`, which still owns what holds the images. */
static void move_images(struct image_set *out, struct image_set *train, bool *moves,
                        const int32_t *order) {
    int kept = 0, moved = 0;
    for (int i = 0; i < out->count; i++)
        moves[order[i]] = true;
    for (int i = 0; i < train->count; i++) {
        struct image_set *set = moves[i] ? out : train;
        int place = moves[i] ? moved++ : kept++;
        set->images[place] = train->images[i];
        set->labels[place] = train->labels[i];
    }
    train->count = kept;
}

static enum status hold_out(struct error *error, struct dataset *dataset, int validation) {
    struct image_set *train = &dataset->train;
    int count = train->count;
    int32_t *order = NULL;
    bool *moves = NULL; /* [count], false at first */
    if (validation >= count)
        return error_set(error, STATUS_USAGE,
                         "%d images cannot be held out for validation: %s has %d training images, "
                         "and one at least must be left to train on; hold out %d at most",
                         validation, dataset->name, count, count - 1);
    if (memory_alloc(error, &order, (size_t)count, sizeof *order, "the split") == STATUS_OK &&
        memory_alloc(error, &moves, (size_t)count, sizeof *moves, "the split") == STATUS_OK &&
        image_set_make_list(error, &dataset->test, validation, "the list of validation images") ==
            STATUS_OK) {
        shuffle(order, count, VALIDATION_SEED, PHILOX_VALIDATION, 0);
        move_images(&dataset->test, train, moves, order + count - validation);
        dataset->validation = validation;
    }
    memory_free(order);
    memory_free(moves);
    return dataset->validation > 0 ? STATUS_OK : error->status;
}

enum status dataset_open_split(struct error *error, struct dataset *out, const char *where,
                               int validation) {
    if (open_parts(error, out, where, validation > 0 ? PART_TRAIN : PARTS) != STATUS_OK)
        return error->status;
    if (validation == 0 || hold_out(error, out, validation) == STATUS_OK)
        return STATUS_OK;
    dataset_close(out);
    return error->status;
}

void dataset_close(struct dataset *dataset) {
    image_set_free(&dataset->train);
    image_set_free(&dataset->test);
    *dataset = (struct dataset){.name = NULL};
}
