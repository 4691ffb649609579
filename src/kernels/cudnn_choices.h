/* cudnn_choices.h: for cudnn_choices.c and cudnn_ops.c: the descriptors of cuDNN, and the
 * algorithms of each convolution.
 *
 * cuDNN has several algorithms for each of the three passes of a convolution. Which one is best
 * depends on the shape and on the GPU; cuDNN's heuristics rank them, or all are timed. The first
 * algorithm in cuDNN's list that the options allow and that needs no more than 256 MiB of workspace
 * is chosen, once for each shape, and kept in a table. */
#ifndef KERNELS_CUDNN_CHOICES_H
#define KERNELS_CUDNN_CHOICES_H

#include "kernels/device.h"

/* The most choices of a device: a network has ten convolutions and a few batch sizes; tests have
 * more. */
enum { MAX_CONV_CHOICES = 512, CONV_CHOICE_TEXT = 256 };

enum conv_pass { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_FILTER };
enum { CONV_PASSES = 3 };

struct conv_shape {
    int batch, in_channels, height, width, out_channels, kernel, padding;
};

/* An algorithm is a cudnnConvolutionFwdAlgo_t, ...BwdDataAlgo_t or ...BwdFilterAlgo_t. */
struct conv_algorithm {
    int number;
    cudnnMathType_t math;
    size_t bytes; /* of workspace */
};

struct conv_choice {
    struct conv_shape shape;
    struct conv_algorithm algorithm[CONV_PASSES];
    size_t bytes;                /* of workspace: the most that a pass needs */
    bool granted;                /* conv_workspace was called for exactly this shape ... */
    size_t granted_bytes;        /* ... and returned this */
    char text[CONV_CHOICE_TEXT]; /* as backend.h's `choice` */
};

struct cudnn_state {
    cudnnHandle_t handle;
    /* Made once and set to the shape of each call, which takes a few stores; cuDNN reads them
     * during the call only. */
    cudnnTensorDescriptor_t x, y, channel;
    cudnnFilterDescriptor_t weight;
    cudnnConvolutionDescriptor_t conv;
    enum precision precision;
    bool fast_algorithms;
    char version[32];
    int choice_count;
    struct conv_choice choices[MAX_CONV_CHOICES];
    /* The first failure of cuda_conv_workspace, which cannot return it: the next convolution
     * does. */
    struct error failure;
};

/* The choice of a shape, made at its first use; NULL: the error says why there is none. `granted`
 * says that the caller is conv_workspace: then up to 256 MiB of workspace are allowed. But where it
 * was called for a larger batch of the shape before, the limit is what it granted for the next
 * larger one, whose algorithms are preferred. Other callers have no workspace without such a
 * batch. */
const struct conv_choice *conv_choice_for(struct error *error, struct cudnn_state *state,
                                          const struct conv_args *a, bool granted);

/* Sets x, y, weight and conv to a convolution and the arithmetic of one of its algorithms. */
enum status conv_describe(struct error *error, struct cudnn_state *state,
                          const struct conv_shape *shape, cudnnMathType_t math);

#endif
