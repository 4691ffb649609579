/* cudnn_ops.h: what cudnn_ops.c offers the other files of this folder: the state of cuDNN, and
 * batch norm without ReLU and dropout, which batch_norm.cu adds around it. (The convolutions of
 * that file are operations themselves, declared by device.h.) cudnn_ops.c and cudnn_choices.c are
 * the only files that call cuDNN. */
#ifndef KERNELS_CUDNN_OPS_H
#define KERNELS_CUDNN_OPS_H

#include "kernels/device.h"

enum status cudnn_state_create(struct error *error, struct cudnn_state **out,
                               const struct device *device);
void cudnn_state_destroy(struct cudnn_state *state);
/* As backend.h's `choice`. */
const char *cudnn_state_choice(const struct cudnn_state *state, int index);
/* "9.28.0" */
const char *cudnn_state_version(const struct cudnn_state *state);

/* y = batch norm of x with the statistics of x; mean, rstd and the running statistics of `a` are
 * written. x and y: [batch][channels][pixels], not the same memory. */
enum status cudnn_batch_norm_forward(struct error *error, struct device *device,
                                     const struct norm_args *a, const float *x, float *y);
/* dx, dweight and dbias (of `a`) from x and dy, with mean and rstd as forward wrote them; dx
 * overlaps neither x nor dy. */
enum status cudnn_batch_norm_backward(struct error *error, struct device *device,
                                      const struct norm_args *a, float *dx, const float *x,
                                      const float *dy);

#endif
