/* dataset.h: a training set and a test set in host memory: CIFAR-10 from its six binary files, or the built-in
 * synthetic set. */
#ifndef DATASET_H
#define DATASET_H

#include "data/image_set.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

struct dataset {
    const char *name;               /* as all output shows it: "CIFAR-10", "synthetic", or, if a
                                       file is not the official one, "CIFAR-10 (modified)" */
    const char *const *class_names; /* [CLASS_COUNT] */
    bool synthetic;
    uint64_t seed; /* of the synthetic set */
    struct image_set train, test;
    int validation; /* above 0: `test` holds so many training images, which `train` lacks, and the
                       test set is not used */
};

/* What figures are measured on, "test" or "validation", for all output; at the begin of a title,
 * "Test" or "Validation". */
const char *evaluated_word(bool validation);
const char *evaluated_title(bool validation);

/* The set called `name` ("synthetic", "CIFAR-10 (modified)"), without its images; CIFAR-10 for any
 * other name and for NULL. */
struct dataset dataset_named(const char *name);

/* Whether `where` is "synthetic:SEED" with a decimal 64-bit seed, which goes to *seed. */
bool dataset_is_synthetic(uint64_t *seed, const char *where);

/* Opens the set that `where` names: "synthetic:SEED", or a folder with data_batch_1.bin ...
 * data_batch_5.bin and test_batch.bin in the CIFAR-10 binary format
 * (https://www.cs.toronto.edu/~kriz/cifar.html): 10,000 records per file, each a label byte and
 * 3072 pixel bytes. These files are mapped and must not be changed while the set is open
 * (file_map.h). If a file is not the official one, the set is "CIFAR-10 (modified)", with a
 * warning. The synthetic set has 10,000 training images and, following them, 2,000 test images. On
 * failure *out is empty. Errors: STATUS_BAD_DATA, naming the file and the byte of a bad label;
 * STATUS_FAILED: no memory. */
enum status dataset_open(struct error *error, struct dataset *out, const char *where);

/* The same for training, with `validation` training images held out as out->test; 0: none, which is
 * dataset_open. These are the last ones of a shuffled order that depends on the number of training
 * images alone, so all runs share them, whatever their seeds, and of two numbers the smaller one
 * holds out a part of the larger. Both sets stay in the order of the files. test_batch.bin is not
 * opened then. Further errors: STATUS_USAGE: no image would be left to train on. */
enum status dataset_open_split(struct error *error, struct dataset *out, const char *where,
                               int validation);

/* The same for the test images alone: out->train stays empty, and test_batch.bin is the only file
 * needed. */
enum status dataset_open_test(struct error *error, struct dataset *out, const char *where);

/* Releases the images and labels and empties *dataset; an empty one is fine. */
void dataset_close(struct dataset *dataset);

/* Fills one set of `count` images of the synthetic data set (synthetic.c), starting with image
 * number `first` of the seed's endless sequence. An image
 * depends only on the seed and its number; its class is the number mod 10, so any ten in a row are
 * balanced. Errors: STATUS_FAILED: no memory; *out is then empty. */
enum status synthetic_fill(struct error *error, struct image_set *out, uint64_t seed, int first,
                           int count);

extern const char *const synthetic_class_names[CLASS_COUNT];

#endif
