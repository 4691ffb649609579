/* device_copy.c: a plain copy within a device's memory, for each backend of this build. */
#include "device_copy.h"

#include "timing.h"

#include <string.h>

#ifdef HAVE_CUDA
#include "kernels/check.h"
#include "kernels/device.h"

static enum status copy_cuda(struct error *error, const struct device_copy *copy) {
    return CUDA(error, cudaMemcpyAsync(copy->to, copy->from, copy->bytes, cudaMemcpyDeviceToDevice,
                                       copy->device->compute));
}
#endif

static enum status launch_copy(struct error *error, const void *context, int index) {
    const struct device_copy *copy = context;
    (void)error;
    (void)index;
#ifdef HAVE_CUDA
    if (copy->backend == &cuda_backend)
        return copy_cuda(error, copy);
#endif
    const int threads = copy->backend->threads(copy->device);
    const size_t part = copy->bytes / (size_t)threads;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < threads; i++) {
        size_t start = (size_t)i * part;
        memcpy((char *)copy->to + start, (const char *)copy->from + start,
               i + 1 < threads ? part : copy->bytes - start);
    }
    return STATUS_OK;
}

enum status copy_rate(struct error *error, double *rate, const struct device_copy *copy,
                      int samples) {
    struct work work = {.backend = copy->backend,
                        .device = copy->device,
                        .event = copy->event,
                        .launch = launch_copy,
                        .context = copy,
                        .least = 1,
                        .most = 200};
    double seconds = 0;
    if (time_work(error, &seconds, &work, samples) != STATUS_OK)
        return error->status;
    *rate = 2 * (double)copy->bytes / seconds;
    return STATUS_OK;
}
