/* side_stream.c: the second stream of computation. The gradients of filters are computed there,
 * since nothing needs them before the end of the backward pass. In a recorded step the two streams
 * become two branches of the graph. */
#include "kernels/check.h"
#include "kernels/device.h"

enum status side_fork(struct error *error, struct device *device) {
    if (CUDA(error, cudaEventRecord(device->forked, device->compute)) != STATUS_OK ||
        CUDA(error, cudaStreamWaitEvent(device->side, device->forked, 0)) != STATUS_OK)
        return error->status;
    device->side_busy = true;
    return STATUS_OK;
}

enum status side_join(struct error *error, struct device *device) {
    if (!device->side_busy)
        return STATUS_OK;
    device->side_busy = false;
    if (CUDA(error, cudaEventRecord(device->joined, device->side)) != STATUS_OK)
        return error->status;
    return CUDA(error, cudaStreamWaitEvent(device->compute, device->joined, 0));
}
