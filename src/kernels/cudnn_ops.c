/* cudnn_ops.c: the operations that cuDNN computes: convolution, and batch norm without ReLU and
 * dropout, through its legacy interface (fixed functions instead of graphs). */
#include "kernels/cudnn_ops.h"

#include "kernels/check.h"
#include "kernels/cudnn_choices.h"
#include "memory.h"
#include "operation_checks.h"

#include <stdio.h>

/* ---- the state ------------------------------------------------------------------------------- */

enum status cudnn_state_create(struct error *error, struct cudnn_state **out,
                               const struct device *device) {
    struct cudnn_state *s;
    size_t version = cudnnGetVersion();
    *out = NULL;
    if (memory_alloc(error, &s, 1, sizeof *s, "the state of cuDNN") != STATUS_OK)
        return error->status;
    s->precision = device->options.precision;
    s->fast_algorithms = device->options.fast_algorithms;
    snprintf(s->version, sizeof s->version, "%zu.%zu.%zu", version / 10000, version / 100 % 100,
             version % 100);
    if (CUDNN(error, cudnnCreate(&s->handle)) != STATUS_OK ||
        CUDNN(error, cudnnSetStream(s->handle, device->compute)) != STATUS_OK ||
        CUDNN(error, cudnnCreateTensorDescriptor(&s->x)) != STATUS_OK ||
        CUDNN(error, cudnnCreateTensorDescriptor(&s->y)) != STATUS_OK ||
        CUDNN(error, cudnnCreateTensorDescriptor(&s->channel)) != STATUS_OK ||
        CUDNN(error, cudnnCreateFilterDescriptor(&s->weight)) != STATUS_OK ||
        CUDNN(error, cudnnCreateConvolutionDescriptor(&s->conv)) != STATUS_OK) {
        cudnn_state_destroy(s);
        return error->status;
    }
    *out = s;
    return STATUS_OK;
}

/* Nothing could be done about a failure here. */
void cudnn_state_destroy(struct cudnn_state *s) {
    struct error unheard;
    if (s == NULL)
        return;
    if (s->conv != NULL)
        (void)CUDNN(&unheard, cudnnDestroyConvolutionDescriptor(s->conv));
    if (s->weight != NULL)
        (void)CUDNN(&unheard, cudnnDestroyFilterDescriptor(s->weight));
    if (s->channel != NULL)
        (void)CUDNN(&unheard, cudnnDestroyTensorDescriptor(s->channel));
    if (s->y != NULL)
        (void)CUDNN(&unheard, cudnnDestroyTensorDescriptor(s->y));
    if (s->x != NULL)
        (void)CUDNN(&unheard, cudnnDestroyTensorDescriptor(s->x));
    if (s->handle != NULL)
        (void)CUDNN(&unheard, cudnnDestroy(s->handle));
    memory_free(s);
}

const char *cudnn_state_choice(const struct cudnn_state *state, int index) {
    return index >= 0 && index < state->choice_count ? state->choices[index].text : NULL;
}

const char *cudnn_state_version(const struct cudnn_state *state) {
    return state->version;
}

/* ---- convolution ----------------------------------------------------------------------------- */

/* The factors of cuDNN's results: result = one * new + (zero or one) * old. */
static const float zero = 0, one = 1;

/* The choice for this shape; NULL and the error if backend.h excludes the shape or
 * cuda_conv_workspace failed. */
static const struct conv_choice *begin(struct error *error, struct cudnn_state *state,
                                       const struct conv_args *a) {
    if (check_conv(error, a) != STATUS_OK)
        return NULL;
    if (state->failure.status != STATUS_OK) {
        *error = state->failure;
        return NULL;
    }
    return conv_choice_for(error, state, a, false);
}

size_t cuda_conv_workspace(struct device *device, const struct conv_args *a) {
    struct cudnn_state *state = device->cudnn;
    struct error error;
    if (check_conv(&error, a) != STATUS_OK)
        return 0;
    const struct conv_choice *choice = conv_choice_for(&error, state, a, true);
    if (choice != NULL)
        return choice->granted_bytes;
    if (state->failure.status == STATUS_OK)
        state->failure = error;
    return 0;
}

enum status cuda_conv_forward(struct error *error, struct device *device,
                              const struct conv_args *a) {
    struct cudnn_state *s = device->cudnn;
    const struct conv_choice *choice = begin(error, s, a);
    if (choice == NULL)
        return error->status;
    const struct conv_algorithm *algorithm = &choice->algorithm[CONV_FORWARD];
    if (conv_describe(error, s, &choice->shape, algorithm->math) != STATUS_OK)
        return error->status;
    return CUDNN(error,
                 cudnnConvolutionForward(s->handle, &one, s->x, a->x, s->weight, a->weight, s->conv,
                                         (cudnnConvolutionFwdAlgo_t)algorithm->number, a->workspace,
                                         algorithm->bytes, &zero, s->y, a->y));
}

static enum status backward_data(struct error *error, struct cudnn_state *s,
                                 const struct conv_choice *choice, const struct conv_args *a) {
    const struct conv_algorithm *algorithm = &choice->algorithm[CONV_BACKWARD_DATA];
    if (conv_describe(error, s, &choice->shape, algorithm->math) != STATUS_OK)
        return error->status;
    return CUDNN(error, cudnnConvolutionBackwardData(
                            s->handle, &one, s->weight, a->weight, s->y, a->dy, s->conv,
                            (cudnnConvolutionBwdDataAlgo_t)algorithm->number, a->workspace,
                            algorithm->bytes, a->accumulate ? &one : &zero, s->x, a->dx));
}

static enum status backward_filter(struct error *error, struct cudnn_state *s,
                                   const struct conv_choice *choice, const struct conv_args *a,
                                   void *workspace) {
    const struct conv_algorithm *algorithm = &choice->algorithm[CONV_BACKWARD_FILTER];
    if (conv_describe(error, s, &choice->shape, algorithm->math) != STATUS_OK)
        return error->status;
    return CUDNN(error, cudnnConvolutionBackwardFilter(
                            s->handle, &one, s->x, a->x, s->y, a->dy, s->conv,
                            (cudnnConvolutionBwdFilterAlgo_t)algorithm->number, workspace,
                            algorithm->bytes, &zero, s->weight, a->dweight));
}

/* On the side stream, beside later operations. cuDNN returns to its stream after a failure, too. */
static enum status backward_filter_beside(struct error *error, struct device *device,
                                          const struct conv_choice *choice,
                                          const struct conv_args *a) {
    struct cudnn_state *s = device->cudnn;
    struct error unheard;
    if (side_fork(error, device) != STATUS_OK ||
        CUDNN(error, cudnnSetStream(s->handle, device->side)) != STATUS_OK)
        return error->status;
    enum status status = backward_filter(error, s, choice, a, a->filter_workspace);
    enum status back =
        CUDNN(status == STATUS_OK ? error : &unheard, cudnnSetStream(s->handle, device->compute));
    return status == STATUS_OK ? back : status;
}

/* What `accumulate` adds to may be the dy of a filter gradient on the side stream. */
enum status cuda_conv_backward(struct error *error, struct device *device,
                               const struct conv_args *a) {
    const struct conv_choice *choice = begin(error, device->cudnn, a);
    if (choice == NULL || (a->accumulate && side_join(error, device) != STATUS_OK))
        return error->status;
    enum status status = STATUS_OK;
    if (a->dweight != NULL && a->filter_workspace != NULL)
        status = backward_filter_beside(error, device, choice, a);
    else if (a->dweight != NULL)
        status = backward_filter(error, device->cudnn, choice, a, a->workspace);
    if (status != STATUS_OK || a->dx == NULL)
        return status;
    return backward_data(error, device->cudnn, choice, a);
}

/* ---- batch norm ------------------------------------------------------------------------------ */

/* The documentation of cudnnBatchNormMode_t: the persistent mode is the same function and can be
 * faster; it may sum in scaled integers with atomic additions, which gives the same bits each time,
 * but overflows to infinities and NaNs for values that the plain mode still takes. */
static cudnnBatchNormMode_t batch_norm_mode(const struct cudnn_state *state) {
    return state->fast_algorithms ? CUDNN_BATCHNORM_SPATIAL_PERSISTENT : CUDNN_BATCHNORM_SPATIAL;
}

/* Sets x to the maps and channel to the values of each channel. Width and height do not matter, so
 * a map is a column of pixels. */
static enum status batch_norm_describe(struct error *error, struct cudnn_state *s,
                                       const struct norm_args *a) {
    if (CUDNN(error, cudnnSetTensor4dDescriptor(s->x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, a->batch,
                                                a->channels, a->pixels, 1)) != STATUS_OK)
        return error->status;
    return CUDNN(error, cudnnDeriveBNTensorDescriptor(s->channel, s->x, batch_norm_mode(s)));
}

enum status cudnn_batch_norm_forward(struct error *error, struct device *device,
                                     const struct norm_args *a, const float *x, float *y) {
    struct cudnn_state *s = device->cudnn;
    if (batch_norm_describe(error, s, a) != STATUS_OK)
        return error->status;
    /* cuDNN uses the unbiased variance for the running one and saves 1 / sqrt(variance + epsilon),
     * as backend.h requires. */
    return CUDNN(error, cudnnBatchNormalizationForwardTraining(
                            s->handle, batch_norm_mode(s), &one, &zero, s->x, x, s->x, y,
                            s->channel, a->weight, a->bias, (double)a->stat_momentum,
                            a->running_mean, a->running_var, (double)a->epsilon, a->mean, a->rstd));
}

enum status cudnn_batch_norm_backward(struct error *error, struct device *device,
                                      const struct norm_args *a, float *dx, const float *x,
                                      const float *dy) {
    struct cudnn_state *s = device->cudnn;
    if (batch_norm_describe(error, s, a) != STATUS_OK)
        return error->status;
    return CUDNN(error, cudnnBatchNormalizationBackward(s->handle, batch_norm_mode(s), &one, &zero,
                                                        &one, &zero, s->x, x, s->x, dy, s->x, dx,
                                                        s->channel, a->weight, a->dweight, a->dbias,
                                                        (double)a->epsilon, a->mean, a->rstd));
}
