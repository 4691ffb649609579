/* cudnn_choices.c: the choice of cuDNN's algorithms for the convolutions. */
#include "kernels/cudnn_choices.h"

#include "kernels/check.h"

#include <stdio.h>
#include <string.h>

/* More than cuDNN has: each of up to 8 algorithms with 2 kinds of arithmetic. */
enum { MAX_CANDIDATES = 32 };

/* Bytes. The fastest algorithm may want gigabytes, for which a smaller GPU has no room; the next
 * one in the list then costs little time. */
static const size_t most_workspace = (size_t)256 << 20;

/* An entry of cuDNN's lists, which have a type for each pass. */
struct candidate {
    int number;
    cudnnStatus_t status;
    cudnnDeterminism_t determinism;
    cudnnMathType_t math;
};

struct candidates {
    int count;
    struct candidate list[MAX_CANDIDATES];
};

static const char *const pass_names[CONV_PASSES] = {"forward", "backward data", "backward filter"};

static const char *algorithm_name(enum conv_pass pass, int number) {
    static const char *const names[CONV_PASSES][8] = {
        {"IMPLICIT_GEMM", "IMPLICIT_PRECOMP_GEMM", "GEMM", "DIRECT", "FFT", "FFT_TILING",
         "WINOGRAD", "WINOGRAD_NONFUSED"},
        {"ALGO_0", "ALGO_1", "FFT", "FFT_TILING", "WINOGRAD", "WINOGRAD_NONFUSED"},
        {"ALGO_0", "ALGO_1", "FFT", "ALGO_3", "WINOGRAD", "WINOGRAD_NONFUSED", "FFT_TILING"}};
    if (number < 0 || number >= 8 || names[pass][number] == NULL)
        return "an algorithm without a name";
    return names[pass][number];
}

/* ---- cuDNN's lists --------------------------------------------------------------------------- */

enum status conv_describe(struct error *error, struct cudnn_state *s, const struct conv_shape *c,
                          cudnnMathType_t math) {
    int shrink = c->kernel - 1 - 2 * c->padding;
    if (CUDNN(error, cudnnSetTensor4dDescriptor(s->x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, c->batch,
                                                c->in_channels, c->height, c->width)) !=
            STATUS_OK ||
        CUDNN(error, cudnnSetTensor4dDescriptor(s->y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, c->batch,
                                                c->out_channels, c->height - shrink,
                                                c->width - shrink)) != STATUS_OK ||
        CUDNN(error, cudnnSetFilter4dDescriptor(s->weight, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW,
                                                c->out_channels, c->in_channels, c->kernel,
                                                c->kernel)) != STATUS_OK ||
        CUDNN(error, cudnnSetConvolution2dDescriptor(s->conv, c->padding, c->padding, 1, 1, 1, 1,
                                                     CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)) !=
            STATUS_OK ||
        CUDNN(error, cudnnSetConvolutionMathType(s->conv, math)) != STATUS_OK)
        return error->status;
    return STATUS_OK;
}

/* The three types differ only in the type of algo. */
#define CANDIDATE(result)                                                                          \
    ((struct candidate){(int)(result).algo, (result).status, (result).determinism,                 \
                        (result).mathType})

/* Fastest first: ranked by the heuristics, or `timed` on the device in memory that cuDNN
 * allocates. */
static enum status list_forward(struct error *error, struct candidates *out, struct cudnn_state *s,
                                bool timed) {
    cudnnConvolutionFwdAlgoPerf_t results[MAX_CANDIDATES];
    enum status status =
        timed ? CUDNN(error, cudnnFindConvolutionForwardAlgorithm(s->handle, s->x, s->weight,
                                                                  s->conv, s->y, MAX_CANDIDATES,
                                                                  &out->count, results))
              : CUDNN(error, cudnnGetConvolutionForwardAlgorithm_v7(s->handle, s->x, s->weight,
                                                                    s->conv, s->y, MAX_CANDIDATES,
                                                                    &out->count, results));
    for (int i = 0; status == STATUS_OK && i < out->count; i++)
        out->list[i] = CANDIDATE(results[i]);
    return status;
}

static enum status list_backward_data(struct error *error, struct candidates *out,
                                      struct cudnn_state *s, bool timed) {
    cudnnConvolutionBwdDataAlgoPerf_t results[MAX_CANDIDATES];
    enum status status = timed ? CUDNN(error, cudnnFindConvolutionBackwardDataAlgorithm(
                                                  s->handle, s->weight, s->y, s->conv, s->x,
                                                  MAX_CANDIDATES, &out->count, results))
                               : CUDNN(error, cudnnGetConvolutionBackwardDataAlgorithm_v7(
                                                  s->handle, s->weight, s->y, s->conv, s->x,
                                                  MAX_CANDIDATES, &out->count, results));
    for (int i = 0; status == STATUS_OK && i < out->count; i++)
        out->list[i] = CANDIDATE(results[i]);
    return status;
}

static enum status list_backward_filter(struct error *error, struct candidates *out,
                                        struct cudnn_state *s, bool timed) {
    cudnnConvolutionBwdFilterAlgoPerf_t results[MAX_CANDIDATES];
    enum status status = timed ? CUDNN(error, cudnnFindConvolutionBackwardFilterAlgorithm(
                                                  s->handle, s->x, s->y, s->conv, s->weight,
                                                  MAX_CANDIDATES, &out->count, results))
                               : CUDNN(error, cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                                                  s->handle, s->x, s->y, s->conv, s->weight,
                                                  MAX_CANDIDATES, &out->count, results));
    for (int i = 0; status == STATUS_OK && i < out->count; i++)
        out->list[i] = CANDIDATE(results[i]);
    return status;
}

static enum status list(struct error *error, struct candidates *out, struct cudnn_state *state,
                        enum conv_pass pass, bool timed) {
    enum status status = STATUS_OK;
    out->count = 0;
    switch (pass) {
    case CONV_FORWARD:
        status = list_forward(error, out, state, timed);
        break;
    case CONV_BACKWARD_DATA:
        status = list_backward_data(error, out, state, timed);
        break;
    case CONV_BACKWARD_FILTER:
        status = list_backward_filter(error, out, state, timed);
        break;
    }
    return status;
}

/* For an algorithm and the shape in the descriptors, which it may not support. */
static cudnnStatus_t workspace_bytes(size_t *out, struct cudnn_state *s, enum conv_pass pass,
                                     int number) {
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    *out = 0;
    switch (pass) {
    case CONV_FORWARD:
        status = cudnnGetConvolutionForwardWorkspaceSize(s->handle, s->x, s->weight, s->conv, s->y,
                                                         (cudnnConvolutionFwdAlgo_t)number, out);
        break;
    case CONV_BACKWARD_DATA:
        status = cudnnGetConvolutionBackwardDataWorkspaceSize(
            s->handle, s->weight, s->y, s->conv, s->x, (cudnnConvolutionBwdDataAlgo_t)number, out);
        break;
    case CONV_BACKWARD_FILTER:
        status = cudnnGetConvolutionBackwardFilterWorkspaceSize(
            s->handle, s->x, s->y, s->conv, s->weight, (cudnnConvolutionBwdFilterAlgo_t)number,
            out);
        break;
    }
    return status;
}

/* ---- the choice ------------------------------------------------------------------------------ */

/* The documentation of cudnnMathType_t: CUDNN_FMA_MATH uses fused multiply-adds of float32 only;
 * CUDNN_DEFAULT_MATH permits TF32 from compute capability 8.0 on and is the same as CUDNN_FMA_MATH
 * before. */
static cudnnMathType_t wanted_math(const struct cudnn_state *state) {
    cudnnMathType_t math = CUDNN_FMA_MATH;
    switch (state->precision) {
    case PRECISION_FP32:
        break;
    case PRECISION_TF32:
        math = CUDNN_DEFAULT_MATH;
        break;
    }
    return math;
}

/* Whether the options allow what cuDNN proposes. For float32 a proposal with default arithmetic is
 * accepted too, since the descriptor then says CUDNN_FMA_MATH anyway; one with tensor cores is not.
 * No option allows conversion to half precision. */
static bool allowed(const struct cudnn_state *state, const struct candidate *c) {
    bool math_fits = c->math == CUDNN_FMA_MATH || c->math == CUDNN_DEFAULT_MATH ||
                     (c->math == CUDNN_TENSOR_OP_MATH && state->precision == PRECISION_TF32);
    return c->status == CUDNN_STATUS_SUCCESS && math_fits &&
           (c->determinism == CUDNN_DETERMINISTIC || state->fast_algorithms);
}

/* Limits of a choice. */
struct wish {
    bool timed;
    int preferred; /* an algorithm, taken before those higher in the list; -1: none */
    size_t limit;  /* bytes of workspace */
};

/* Whether cuDNN says that an algorithm does not support this shape. No other failure may silently
 * lead to another algorithm: the results would have other bits. */
static bool refused(cudnnStatus_t answer) {
    switch (CUDNN_STATUS_CATEGORY(answer)) {
    case CUDNN_STATUS_BAD_PARAM:
    case CUDNN_STATUS_NOT_SUPPORTED:
        return true;
    default:
        return false;
    }
}

/* Chooses candidate `c` if it is allowed, supports the shape and stays within the limit. */
static enum status try_candidate(struct error *error, bool *taken, struct conv_algorithm *out,
                                 struct cudnn_state *state, enum conv_pass pass,
                                 const struct candidate *c, size_t limit) {
    *taken = false;
    if (!allowed(state, c))
        return STATUS_OK;
    *out = (struct conv_algorithm){
        c->number, state->precision == PRECISION_FP32 ? CUDNN_FMA_MATH : c->math, 0};
    if (CUDNN(error, cudnnSetConvolutionMathType(state->conv, out->math)) != STATUS_OK)
        return error->status;
    cudnnStatus_t answer = workspace_bytes(&out->bytes, state, pass, c->number);
    *taken = answer == CUDNN_STATUS_SUCCESS && out->bytes <= limit;
    return refused(answer) ? STATUS_OK
                           : check_cudnn(error, answer, "cudnnGetConvolution...WorkspaceSize",
                                         __FILE__, __LINE__);
}

/* The first candidate of the list that fits, the preferred one before the others. */
static enum status choose(struct error *error, struct conv_algorithm *out,
                          struct cudnn_state *state, const struct conv_shape *shape,
                          enum conv_pass pass, const struct wish *wish) {
    struct candidates found;
    bool taken = false;
    if (conv_describe(error, state, shape, wanted_math(state)) != STATUS_OK ||
        list(error, &found, state, pass, wish->timed) != STATUS_OK)
        return error->status;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < found.count; i++) {
            bool preferred = found.list[i].number == wish->preferred;
            if (preferred != (round == 0))
                continue;
            if (try_candidate(error, &taken, out, state, pass, &found.list[i], wish->limit) !=
                STATUS_OK)
                return error->status;
            if (taken)
                return STATUS_OK;
        }
    return error_set(error, STATUS_FAILED,
                     "cuDNN has no %salgorithm for the %s pass of a %dx%d convolution of %dx%dx%d "
                     "to %d channels, batch %d, with at most %zu bytes of workspace%s",
                     state->fast_algorithms ? "" : "reproducible ", pass_names[pass], shape->kernel,
                     shape->kernel, shape->in_channels, shape->height, shape->width,
                     shape->out_channels, shape->batch, wish->limit,
                     wish->limit > 0 ? "; a smaller batch needs less" : "");
}

/* ---- the table ------------------------------------------------------------------------------- */

static bool same_but_batch(const struct conv_shape *a, const struct conv_shape *b) {
    return a->in_channels == b->in_channels && a->height == b->height && a->width == b->width &&
           a->out_channels == b->out_channels && a->kernel == b->kernel && a->padding == b->padding;
}

static struct conv_choice *find(struct cudnn_state *state, const struct conv_shape *shape) {
    for (int i = 0; i < state->choice_count; i++)
        if (state->choices[i].shape.batch == shape->batch &&
            same_but_batch(&state->choices[i].shape, shape))
            return &state->choices[i];
    return NULL;
}

/* The granted choice of the smallest batch that is no smaller, whose workspace a caller may have;
 * NULL: none. Larger batches were granted no less. */
static const struct conv_choice *find_granted(const struct cudnn_state *state,
                                              const struct conv_shape *shape) {
    const struct conv_choice *best = NULL;
    for (int i = 0; i < state->choice_count; i++) {
        const struct conv_choice *choice = &state->choices[i];
        if (choice->granted && choice->shape.batch >= shape->batch &&
            same_but_batch(&choice->shape, shape) &&
            (best == NULL || choice->shape.batch < best->shape.batch))
            best = choice;
    }
    return best;
}

/* From now on callers may bring `granted_bytes` of workspace for this batch and every smaller
 * one. */
static void grant(struct cudnn_state *state, struct conv_choice *choice) {
    choice->granted = true;
    choice->granted_bytes = choice->bytes;
    for (int i = 0; i < state->choice_count; i++) {
        const struct conv_choice *other = &state->choices[i];
        if (same_but_batch(&other->shape, &choice->shape) &&
            other->shape.batch < choice->shape.batch && other->bytes > choice->granted_bytes)
            choice->granted_bytes = other->bytes;
    }
}

static void describe_choice(struct conv_choice *choice) {
    const struct conv_shape *s = &choice->shape;
    int shrink = s->kernel - 1 - 2 * s->padding;
    char workspace[48] = "no workspace";
    if (choice->bytes >= 1 << 20)
        snprintf(workspace, sizeof workspace, "workspace %.1f MiB",
                 (double)choice->bytes / (1 << 20));
    else if (choice->bytes > 0)
        snprintf(workspace, sizeof workspace, "workspace %.1f KiB",
                 (double)choice->bytes / (1 << 10));
    snprintf(choice->text, sizeof choice->text,
             "conv %dx%dx%d -> %dx%dx%d, %dx%d, batch %d: forward %s, backward data %s, backward "
             "filter %s, %s",
             s->in_channels, s->height, s->width, s->out_channels, s->height - shrink,
             s->width - shrink, s->kernel, s->kernel, s->batch,
             algorithm_name(CONV_FORWARD, choice->algorithm[CONV_FORWARD].number),
             algorithm_name(CONV_BACKWARD_DATA, choice->algorithm[CONV_BACKWARD_DATA].number),
             algorithm_name(CONV_BACKWARD_FILTER, choice->algorithm[CONV_BACKWARD_FILTER].number),
             workspace);
}

/* Appends the choice of a shape that has none yet; NULL: the error says why not. */
static struct conv_choice *make_choice(struct error *error, struct cudnn_state *state,
                                       const struct conv_shape *shape, bool granted) {
    const struct conv_choice *larger = find_granted(state, shape);
    struct conv_choice choice = {.shape = *shape};
    if (state->choice_count == MAX_CONV_CHOICES) {
        error_set(error, STATUS_FAILED, "more than %d different convolutions on one device",
                  MAX_CONV_CHOICES);
        return NULL;
    }
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        struct wish wish = {
            .timed = granted && state->fast_algorithms && larger == NULL,
            .preferred = larger == NULL ? -1 : larger->algorithm[pass].number,
            .limit = larger != NULL ? larger->granted_bytes
                     : granted      ? most_workspace
                                    : 0,
        };
        if (choose(error, &choice.algorithm[pass], state, shape, (enum conv_pass)pass, &wish) !=
            STATUS_OK)
            return NULL;
        if (choice.algorithm[pass].bytes > choice.bytes)
            choice.bytes = choice.algorithm[pass].bytes;
    }
    describe_choice(&choice);
    state->choices[state->choice_count] = choice;
    return &state->choices[state->choice_count++];
}

const struct conv_choice *conv_choice_for(struct error *error, struct cudnn_state *state,
                                          const struct conv_args *a, bool granted) {
    struct conv_shape shape = {a->batch,        a->in_channels, a->height, a->width,
                               a->out_channels, a->kernel,      a->padding};
    struct conv_choice *choice = find(state, &shape);
    if (choice == NULL)
        choice = make_choice(error, state, &shape, granted);
    if (choice != NULL && granted && !choice->granted)
        grant(state, choice);
    return choice;
}
