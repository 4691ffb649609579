/* device_copy.h: a plain copy within a device's memory, to compare the bandwidth of kernels with.
 * The backend interface has none, since training does not need it. */
#ifndef DEVICE_COPY_H
#define DEVICE_COPY_H

#include "backend.h"

/* On STREAM_COMPUTE; may return before the copy is done. */
enum status device_copy(struct error *error, const struct backend *backend, struct device *device,
                        void *to, const void *from, size_t bytes);

#endif
