/* operation_checks.h: what every backend refuses, in the same words. Header only, since the CUDA
 * files compile it too. */
#ifndef OPERATION_CHECKS_H
#define OPERATION_CHECKS_H

#include "backend.h"

static inline enum status check_conv(struct error *error, const struct conv_args *a) {
    int smallest = a->height < a->width ? a->height : a->width;
    if ((a->kernel == 1 || a->kernel == 3) && a->padding >= 0 && a->padding < a->kernel &&
        smallest + 2 * a->padding >= a->kernel)
        return STATUS_OK;
    return error_set(
        error, STATUS_FAILED,
        "convolution: kernel %d with padding %d of a map of %d x %d; supported: kernel "
        "size 1 or 3, padding smaller than the kernel, padded map at least as large as "
        "the kernel",
        a->kernel, a->padding, a->height, a->width);
}

static inline enum status check_batch_norm(struct error *error, const struct norm_args *a) {
    if (!a->per_element)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "batch norm: weight and bias are per channel, not per element");
}

#endif
