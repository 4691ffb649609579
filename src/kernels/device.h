/* device.h: what a CUDA device is, for the files of this folder. */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include "backend.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

struct cudnn_state; /* descriptors and algorithms (cudnn_ops.c) */

struct device {
    cudaStream_t compute, copy; /* STREAM_COMPUTE, STREAM_COPY */
    cudaStream_t side;          /* what may run beside STREAM_COMPUTE (side_stream.c) */
    cudaEvent_t forked, joined;
    bool side_busy; /* the side stream has work that STREAM_COMPUTE does not wait for yet */
    cublasHandle_t cublas;
    void *cublas_workspace; /* its own would be allocated inside a step */
    struct cudnn_state *cudnn;
    int multiprocessors;
    int shared_bytes; /* dynamic shared memory that a block may have, after opting in */
    struct device_options options;
    bool poison; /* poison.h */
    char description[256];
};

/* ---- the device itself ----------------------------------------------------------------------- */

/* As backend.h's `open` and `close` (open_device.c). */
enum status cuda_open(struct error *, struct device **out, const struct device_options *);
void cuda_close(struct device *);

/* cudaErrorNoKernelImageForDevice where the kernels of this build were not compiled for the current
 * device (architecture.cu). */
cudaError_t cuda_kernel_image(void);

/* Later work of the side stream waits for all work of STREAM_COMPUTE so far (side_stream.c). */
enum status side_fork(struct error *error, struct device *device);
/* Later work of STREAM_COMPUTE waits for the side stream, if it has work. */
enum status side_join(struct error *error, struct device *device);

/* As backend.h's finish_gradients (norm_gradients.cu). */
enum status cuda_finish_gradients(struct error *error, struct device *device,
                                  const struct finish_args *a);

/* The operations, each in a file of its own: cuda_conv_forward, cuda_group_norm_backward ... */
#define NAME(operation) cuda_##operation
#include "operations.h"

#endif
