/* device_copy.h: a plain copy within a device's memory, to compare the bandwidth of kernels with.
 * The backend interface has none, since training does not need it. */
#ifndef DEVICE_COPY_H
#define DEVICE_COPY_H

#include "backend.h"

struct device_copy {
    const struct backend *backend;
    struct device *device;
    struct event *event;
    void *to;
    const void *from;
    size_t bytes;
};

/* Bytes a second, read and written; on the CPU with all threads. The median of several samples. */
enum status copy_rate(struct error *error, double *rate, const struct device_copy *copy,
                      int samples);

#endif
