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
    cublasHandle_t cublas;
    void *cublas_workspace; /* its own would be allocated inside a step */
    struct cudnn_state *cudnn;
    int multiprocessors;
    int shared_bytes; /* dynamic shared memory that a block may have, after opting in */
    struct device_options options;
    char description[256];
    bool recording_failed; /* an operation failed since record_begin */
};

/* ---- the device itself ------------------------------------------------------------------------
 */

/* As backend.h's `open` and `close` (open_device.c). */
enum status cuda_open(struct error *, struct device **out, const struct device_options *);
void cuda_close(struct device *);

/* cudaErrorNoKernelImageForDevice where the kernels of this build were not compiled for the current
 * device (architecture.cu). */
cudaError_t cuda_kernel_image(void);

/* The table of the operations below (operations.c). */
extern const struct operations cuda_operations;

/* ---- operations, one file each; shapes and formulas are those of backend.h --------------------
 */

/* input.cu */
enum status cuda_input(struct error *, struct device *, const struct input_args *);
/* filter.cu */
enum status cuda_filter_forward(struct error *, struct device *, const struct filter_args *);
enum status cuda_filter_backward(struct error *, struct device *, const struct filter_args *);
/* group_norm.cu */
enum status cuda_group_norm_forward(struct error *, struct device *, const struct norm_args *);
enum status cuda_group_norm_backward(struct error *, struct device *, const struct norm_args *);
size_t cuda_group_norm_workspace(const struct device *, const struct norm_args *);
/* layer_norm.cu */
enum status cuda_layer_norm_forward(struct error *, struct device *, const struct norm_args *);
enum status cuda_layer_norm_backward(struct error *, struct device *, const struct norm_args *);
size_t cuda_layer_norm_workspace(const struct device *, const struct norm_args *);
/* batch_norm.cu */
enum status cuda_batch_norm_forward(struct error *, struct device *, const struct norm_args *);
enum status cuda_batch_norm_backward(struct error *, struct device *, const struct norm_args *);
size_t cuda_batch_norm_workspace(const struct device *, const struct norm_args *);
/* pool.cu */
enum status cuda_pool_forward(struct error *, struct device *, const struct pool_args *);
enum status cuda_pool_backward(struct error *, struct device *, const struct pool_args *);
enum status cuda_average_forward(struct error *, struct device *, const struct average_args *);
enum status cuda_average_backward(struct error *, struct device *, const struct average_args *);
/* linear.c */
enum status cuda_linear_forward(struct error *, struct device *, const struct linear_args *);
enum status cuda_linear_backward(struct error *, struct device *, const struct linear_args *);
/* loss.cu */
enum status cuda_loss(struct error *, struct device *, const struct loss_args *);
/* sgd.cu */
enum status cuda_sgd(struct error *, struct device *, const struct sgd_args *);
/* cudnn_ops.c */
enum status cuda_conv_forward(struct error *, struct device *, const struct conv_args *);
enum status cuda_conv_backward(struct error *, struct device *, const struct conv_args *);
size_t cuda_conv_workspace(struct device *, const struct conv_args *);

#endif
