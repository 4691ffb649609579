/* dataset.h: images and labels in host memory: CIFAR-10 from its six binary files, or the built-in
 * synthetic set. */
#ifndef DATASET_H
#define DATASET_H

#include "error.h"
#include "image_format.h"

#include <stdbool.h>
#include <stdint.h>

struct image_set {
    int count;
    uint8_t *images; /* [count][3][32][32] */
    uint8_t *labels; /* [count], below CLASS_COUNT */
};

struct dataset {
    const char *name;               /* for every output: "CIFAR-10", "CIFAR-10 (modified)" where
                                       its files are not the official ones, or "synthetic" */
    const char *const *class_names; /* [CLASS_COUNT] */
    bool synthetic;
    uint64_t seed; /* of the synthetic set */
    struct image_set train, test;
};

/* The set that is called `name`, without its images: "synthetic" or "CIFAR-10 (modified)"; with any
 * other name, or NULL, CIFAR-10. */
struct dataset dataset_named(const char *name);

/* Whether `where` names the synthetic set of a seed, as "synthetic:SEED" with digits that fit. */
bool dataset_is_synthetic(uint64_t *seed, const char *where);

/* Reads the set that `where` names: "synthetic:SEED", or a folder with data_batch_1.bin ...
 * data_batch_5.bin and test_batch.bin in the CIFAR-10 binary format
 * (https://www.cs.toronto.edu/~kriz/cifar.html): 10,000 records a file, each a label byte and 3072
 * pixel bytes. Files that are not the official ones make "CIFAR-10 (modified)", with a warning. The
 * synthetic set has 10,000 training images, and the 2,000 that follow them as test images. On
 * failure *out is empty. Errors: STATUS_BAD_DATA, naming the file and a bad
 * label's byte; STATUS_FAILED: no memory. */
enum status dataset_open(struct error *error, struct dataset *out, const char *where);

/* The same with the test images alone: out->train is empty, and of the six files only
 * test_batch.bin is needed. */
enum status dataset_open_test(struct error *error, struct dataset *out, const char *where);

/* Releases the images and labels and empties *dataset; an empty one is fine. */
void dataset_close(struct dataset *dataset);

/* Fills one set of `count` images of the synthetic data set (synthetic.c), starting with image
 * number `first` of the seed's endless sequence; out->images and out->labels are allocated. An
 * image depends on the seed and its number alone; its class is the number mod 10, so that any ten
 * in a row are balanced.
 * Errors: STATUS_FAILED: no memory; *out is then empty. */
enum status synthetic_fill(struct error *error, struct image_set *out, uint64_t seed, int first,
                           int count);

extern const char *const synthetic_class_names[CLASS_COUNT];

#endif
