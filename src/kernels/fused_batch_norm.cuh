/* fused_batch_norm.cuh: batch norm in training without cuDNN (--batch-norm own), with ReLU and
 * dropout in the same pass. batch_norm.cu calls these. */
#ifndef KERNELS_FUSED_BATCH_NORM_CUH
#define KERNELS_FUSED_BATCH_NORM_CUH

#include "kernels/kernel.cuh"

enum status fused_batch_norm_forward(struct error *error, struct device *device,
                                     const struct norm_args *args);
enum status fused_batch_norm_backward(struct error *error, struct device *device,
                                      const struct norm_args *args);
size_t fused_batch_norm_workspace(const struct device *device);

#endif
