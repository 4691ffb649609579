/* cifar10.h: CIFAR-10 from its six binary files. */
#ifndef CIFAR10_H
#define CIFAR10_H

#include "data/dataset.h"
#include "error.h"

#include <stdbool.h>

/* Maps the training set, the test set or both, as asked for, from the files in `folder` into two
 * empty sets; the files of the other one are not opened. *modified says whether the MD5 of a file differs from the official one; a warning on
 * standard error names the first such file. On failure the caller frees the sets, which may be partly filled. Errors:
 * STATUS_BAD_DATA naming the file; STATUS_FAILED: no memory. */
enum status cifar10_open(struct error *error, struct image_set *train, struct image_set *test,
                         bool *modified, const char *folder, bool with_train, bool with_test);

#endif
