/* backend.h: the interface between the program and a device.
 *
 * A backend is a table of functions: memory and copies, events, and the operations of these
 * networks, each with one argument struct and a forward and a backward entry. src/cpu and
 * src/kernels implement it.
 *
 * Pointers are host pointers or device pointers. Device pointers come from `alloc`, and only the
 * backend may dereference them (on the CPU they point to host memory, but no host file relies on
 * that).
 *
 * Work is ordered by streams. Operations run on STREAM_COMPUTE in the order they are called; copies
 * run on the stream that they name; a call may return before its work is done. Only events order
 * work between streams, and between a stream and the host. No operation allocates or waits for the
 * device, and none reads a host value that changes from step to step: step number and learning rate
 * come from struct step_state in device memory. So a whole step can be recorded once and replayed.
 *
 * Layouts: images and maps are NCHW, float32; filters are [out][in][kh][kw].
 * Results are bit-identical from run to run on one device; on the CPU for any number of threads.
 *
 * An operation returns STATUS_OK or fills `error` (STATUS_FAILED; STATUS_NO_DEVICE from open). */
#ifndef BACKEND_H
#define BACKEND_H

#include "error.h"
#include "norm_kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each backend defines its own: */
struct device;    /* an opened device */
struct event;     /* a mark in a stream */
struct recording; /* a sequence of operations that can be replayed */

enum stream { STREAM_COMPUTE, STREAM_COPY };

/* In device memory; written by a copy together with each batch. */
struct step_state {
    uint64_t step; /* optimizer step, from 0: the `step` of every Philox draw */
    float learning_rate;
    uint32_t unused; /* keeps the size a multiple of 8 */
};

/* In device memory; operations add to it, the host reads it at log points only. */
struct counters {
    double loss;      /* sum of the images' losses */
    uint64_t correct; /* images whose largest logit is the label's; of equal logits, the first
                         counts */
    uint64_t images;
};

/* ---- operations ------------------------------------------------------------------------------ */

/* uint8 images to normalized floats: y = (pixel / 255 - mean[c]) / std[c]. With `augment`, image n
 * is first shifted by up to `crop` pixels with reflected borders (pixel -1 is pixel 1) and flipped
 * left-right: w = philox(seed, PHILOX_AUGMENT, step, n): dx = w0 mod' (2 crop + 1) - crop, dy from w1
 * likewise, flip = top bit of w2, where mod' is philox_below; y(row, column) = x(row + dy, (flip ? 31 -
 * column : column) + dx). */
struct input_args {
    int batch;
    const uint8_t *images; /* [batch][3][32][32] */
    float *y;              /* [batch][3][32][32] */
    bool augment;
    int crop; /* below 32 */
    uint64_t seed;
    const struct step_state *state;
};

/* Convolution, stride 1, square kernel of size 1 or 3, `padding` < kernel zeros on each side, no
 * bias; anything else is refused.
 * Output height and width: height + 2 * padding - kernel + 1.
 * Backward: dx (+)= conv_transpose(dy, weight), dweight = sum over images; each is not computed
 * when NULL. With a `filter_workspace`, dweight may be left to finish_gradients. */
struct conv_args {
    int batch, in_channels, height, width, out_channels, kernel, padding;
    const float *x, *weight;
    float *y;            /* forward */
    const float *dy;     /* backward */
    float *dx, *dweight; /* backward */
    bool accumulate;     /* backward: add to dx instead of overwriting it */
    void *workspace;     /* conv_workspace(args) bytes, scratch memory */
    /* Backward: as many bytes again, which all convolutions may share; or NULL. */
    void *filter_workspace;
};

/* Filters standardized to zero mean and an L2 norm of `gain` (Qiao et al. 2019, "Weight
 * Standardization", with a gain as in Brock et al. 2021): y_o = gain * (w_o - mean_o) / sqrt(sum
 * (w_o - mean_o)^2 + 1e-10). Backward overwrites the gradient in place: d holds dL/dy, then
 * dL/dw. */
struct filter_args {
    int filters, elements; /* weight is [filters][elements] */
    float gain;
    const float *weight;
    float *y; /* forward */
    float *d; /* backward: [filters][elements] */
};

/* The filters of several layers, standardized at once. */
struct filter_list {
    int count;
    const struct filter_args *layers;
};

/* clang-format off */
/* Normalization with an activation on one side of it, then dropout:
 *     u = activation == RELU_BEFORE ? max(x, 0) : x          (NaN passes ReLU)
 *     v = (u - mean) * rstd * weight + bias,  rstd = 1 / sqrt(variance + epsilon), biased variance
 *     y = dropout(f(v)),  f(v) = max(v, 0) for RELU_AFTER, v / (1 + exp(-v)) for SILU_AFTER, else v
 * over N, H, W for each channel (batch norm: Ioffe and Szegedy 2015), or for each image over the
 * channels of a group, H and W (group norm: Wu and He 2018; layer norm, Ba et al. 2016, is the same
 * with one group). Mean first, then the variance of the differences from it. ReLU's gradient at
 * zero is zero. Backward may be given dx == dy and then works in place.
 *
 * `deferred`: the gradients dweight and dbias of group and layer norm, sums over the batch, may be
 * left to finish_gradients. (Batch norm needs the same sums for dx.)
 *
 * Batch norm, training: running = (1 - stat_momentum) * running + stat_momentum * new, the new
 * variance unbiased (times n / (n - 1)), as in PyTorch; in evaluation, these normalize.
 *
 * Dropout, training only: element i of the batch is kept, and scaled by 1 / (1 - dropout), when
 * h >= dropout * 65536, where h is 16 bits of philox(seed, PHILOX_DROPOUT + layer, step, i / 8): of
 * word (i mod 8) / 2 the lower half for even i, the upper for odd i. (16 bits, since the draws cost
 * more than the norm itself.) */
/* clang-format on */
struct norm_args {
    int batch, channels, pixels; /* x is [batch][channels][pixels] */
    int groups;                  /* group norm; 1 for layer norm, unused by batch norm */
    bool per_element;            /* weight and bias are [channels][pixels] instead of [channels];
                                  * batch norm refuses it */
    bool training;
    bool deferred; /* backward of group and layer norm; see finish_args */
    enum activation activation;
    float epsilon, stat_momentum;
    float dropout; /* probability of a zero; 0: none */
    int layer;
    uint64_t seed;
    const struct step_state *state;
    const float *x, *weight, *bias;
    float *y;           /* out in forward, in in backward */
    float *mean, *rstd; /* out in forward, in in backward: [channels] or [batch][groups] */
    float *running_mean,
        *running_var; /* batch norm: [channels], read in evaluation, updated in training */
    const float *dy;  /* backward */
    float *dx, *dweight, *dbias; /* backward, overwritten */
    void *workspace;             /* norm_workspace(args) bytes */
};

/* Ends a backward pass: computes the gradients of weights that conv_backward and the norms'
 * backward left for later, so that they ran beside other operations or run for all layers at once.
 * Until then the arrays that a deferred backward pass reads, and its workspace, must stay as they
 * are.
 * There is one exception: a conv_backward with `accumulate` may add to the dy of an earlier one.
 * Where weights are per element, a deferred norm cannot work in place. */
struct finish_args {
    int count;
    const struct norm_args *norms; /* those whose backward was deferred */
};

/* 2x2 max pooling, stride 2, of s, where s = x, or s = max(x + skip, 0) with a skip. Odd last rows
 * and columns are dropped. For each output, `code` keeps what backward needs: 0-3, the place of the
 * (first) maximum, row by row, or POOL_STOPPED where ReLU let nothing through. Backward writes
 * every element of ds, the gradient of both x and skip. */
enum { POOL_STOPPED = 4 };
struct pool_args {
    int batch, channels, height, width; /* of x */
    const float *x, *skip;              /* skip may be NULL */
    float *y;                           /* [batch][channels][height / 2][width / 2] */
    uint8_t *code;                      /* the same shape; NULL in evaluation: not written */
    const float *dy;
    float *ds; /* the shape of x */
};

/* Average over the map: y [batch][channels]. Backward writes dx, [batch][channels][pixels]. */
struct average_args {
    int batch, channels, pixels;
    const float *x;
    float *y;
    const float *dy;
    float *dx;
};

/* y = x weight^T: x [batch][inputs], weight [outputs][inputs], y [batch][outputs]. Backward
 * overwrites dx and dweight. */
struct linear_args {
    int batch, inputs, outputs;
    const float *x, *weight;
    float *y;
    const float *dy;
    float *dx, *dweight;
};

/* Mean softmax cross-entropy: adds the batch to the counters and, when dlogits is not NULL, writes
 * dlogits = (softmax(logits) - onehot(label)) / batch. Forward and backward at once. */
struct loss_args {
    int batch, classes;
    const float *logits;   /* [batch][classes] */
    const uint8_t *labels; /* [batch] */
    float *dlogits;        /* [batch][classes] or NULL */
    struct counters *counters;
};

/* SGD as PyTorch defines it (torch.optim.SGD), over one arena: g = gradient + decay * w for the
 * first `decayed` elements, gradient for the rest; v = momentum * v + g; w -= rate * (nesterov ? g
 * + momentum * v : v). */
struct sgd_args {
    size_t count, decayed;
    float *weight, *velocity;
    const float *gradient;
    float momentum, decay;
    bool nesterov;
    const struct step_state *state;
};

/* A matrix that Muon updates: the filters of a convolution, a row for each. */
struct muon_matrix {
    int rows, columns;
    float *weight, *velocity; /* [rows][columns] */
    const float *gradient;
};

/* Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon), the optimizer for matrices,
 * as in airbench94_muon: with gradient g,
 *     v = momentum * v + g,  u = g + momentum * v
 *     X = u / (|u| + 1e-7), then three times X = (3.4445 + A (-4.7750 + 2.0315 A)) X, A = X X^T
 *     w = w * sqrt(rows) / (|w| + 1e-9) - rate * X
 * where |.| is the root of the sum of squares. The steps are Newton and Schulz's: they bring the
 * singular values of X near 1. The rate is rate_scale times the step's learning rate. */
struct muon_args {
    int count;
    const struct muon_matrix *matrices;
    float momentum, rate_scale;
    const struct step_state *state;
    void *workspace; /* muon_workspace(args) bytes */
};

/* ---- the table of operations ----------------------------------------------------------------- */

/* Every operation is one row: ROW(name, arguments) stands for
 *
 *     enum status name(struct error *, struct device *, const struct arguments *);
 *
 * These rows and those of NORM_LIST (norm_kind.h) generate the table below, and each backend's
 * declarations and table (operations.h). */
#define OPERATION_LIST(ROW)                                                                        \
    ROW(input, input_args)                                                                         \
    ROW(conv_forward, conv_args)                                                                   \
    ROW(conv_backward, conv_args)                                                                  \
    ROW(filter_forward, filter_list)                                                               \
    ROW(filter_backward, filter_list)                                                              \
    ROW(pool_forward, pool_args)                                                                   \
    ROW(pool_backward, pool_args)                                                                  \
    ROW(average_forward, average_args)                                                             \
    ROW(average_backward, average_args)                                                            \
    ROW(linear_forward, linear_args)                                                               \
    ROW(linear_backward, linear_args)                                                              \
    ROW(loss, loss_args)                                                                           \
    ROW(sgd, sgd_args)                                                                             \
    ROW(muon, muon_args)

/* The operations of a norm. */
struct norm_operations {
    enum status (*forward)(struct error *, struct device *, const struct norm_args *);
    enum status (*backward)(struct error *, struct device *, const struct norm_args *);
    /* Bytes of workspace for these shapes; the pointers in args are not read. */
    size_t (*workspace)(const struct device *, const struct norm_args *);
};

struct operations {
#define OPERATION_ENTRY(name, arguments)                                                           \
    enum status (*name)(struct error *, struct device *, const struct arguments *); // NOLINT
    OPERATION_LIST(OPERATION_ENTRY)
#undef OPERATION_ENTRY
    struct norm_operations norm[NORM_COUNT];

    /* NULL in a backend that leaves nothing for later. */
    enum status (*finish_gradients)(struct error *, struct device *, const struct finish_args *);

    /* As a norm's `workspace`, and enough for every smaller batch of the same shape. Called before
     * the first step: a backend may choose its algorithm here, which may take a while. */
    size_t (*conv_workspace)(struct device *, const struct conv_args *);

    /* Bytes of workspace for these matrices; the pointers in them are not read. */
    size_t (*muon_workspace)(const struct device *, const struct muon_args *);
};

/* ---- the backend ----------------------------------------------------------------------------- */

/* Matrix arithmetic on a GPU: float32 throughout, or products of inputs rounded to TF32 (10 bits of
 * mantissa) if the GPU supports it. */
enum precision { PRECISION_FP32, PRECISION_TF32 };

/* What a GPU trains batch norm with: cuDNN and our kernels around it, or our kernels alone. */
enum batch_norm { BATCH_NORM_CUDNN, BATCH_NORM_OWN };

struct device_options {
    int index;   /* which device of the backend; the CPU has 0 only */
    int threads; /* CPU: how many; 0: OMP_NUM_THREADS, or as many as the system allows; other
                  * backends ignore it */
    enum precision precision;
    enum batch_norm batch_norm;
    bool fast_algorithms; /* the fastest algorithms as timed on the device, even if their results
                           * differ from run to run in the last bits */
};

struct backend {
    const char *name;     /* "cpu", "cuda" */
    int evaluation_batch; /* the images of a batch that keep the device busy in evaluation; 0: any
                           * number does */

    /* Opens a device. Errors: STATUS_NO_DEVICE with the remedy. */
    enum status (*open)(struct error *, struct device **out, const struct device_options *);
    void (*close)(struct device *);
    /* One readable line: "CPU, 2 threads, AVX-512". */
    const char *(*describe)(const struct device *);
    /* Host threads that operations run on; NULL in a backend that computes elsewhere. */
    int (*threads)(const struct device *);
    /* Why as many were taken: "affinity mask of 2 of 8 processors"; NULL as above. */
    const char *(*why_threads)(const struct device *);
    /* What the last bits of its results depend on: "AVX-512", or GPU and libraries. */
    const char *(*arithmetic)(const struct device *);
    /* The operations of an opened device: they may depend on what it can do. */
    const struct operations *(*operations)(const struct device *);
    /* Line `index` of the choices made since the device was opened (the algorithm of each
     * convolution); NULL after the last one. */
    const char *(*choice)(const struct device *, int index);
    /* Roughly how many bytes alloc can still give; 0: unknown. */
    size_t (*memory_left)(struct device *);

    /* Device memory, whose content nothing may rely on, and zeroed pinned host memory. `what` names
     * the memory in the message if this fails. (Device memory holds zeros, so that a mistake has
     * the same effect in each run, or NaN: poison.h.) */
    enum status (*alloc)(struct error *, struct device *, void *out, size_t bytes,
                         const char *what);
    void (*release)(struct device *, void *memory);
    enum status (*alloc_pinned)(struct error *, struct device *, void *out, size_t bytes,
                                const char *what);
    void (*release_pinned)(struct device *, void *memory);

    /* Asynchronous copies: the host side must be pinned, and untouched until an event says that the
     * copy is done. */
    enum status (*upload)(struct error *, struct device *, enum stream, void *device_to,
                          const void *host_from, size_t bytes);
    enum status (*download)(struct error *, struct device *, enum stream, void *host_to,
                            const void *device_from, size_t bytes);
    enum status (*clear)(struct error *, struct device *, enum stream, void *device_to,
                         size_t bytes);

    enum status (*event_create)(struct error *, struct device *, struct event **out);
    void (*event_destroy)(struct device *, struct event *);
    enum status (*event_record)(struct error *, struct device *, struct event *, enum stream);
    /* Later work of the stream waits for the event; one that was never recorded counts as
     * reached. */
    enum status (*event_wait)(struct error *, struct device *, struct event *, enum stream);
    /* The host waits for the event. */
    enum status (*event_synchronize)(struct error *, struct device *, struct event *);

    /* Between record_begin and record_end operations on STREAM_COMPUTE are recorded instead of run;
     * nothing but operations may be called. replay runs them again on the same addresses. If one of
     * them fails, record_cancel ends the recording in place of record_end: a backend cannot always
     * tell that an operation is missing. All five are NULL in a backend that gains nothing from
     * recording. */
    enum status (*record_begin)(struct error *, struct device *);
    enum status (*record_end)(struct error *, struct device *, struct recording **out);
    void (*record_cancel)(struct device *);
    enum status (*replay)(struct error *, struct device *, struct recording *);
    void (*recording_destroy)(struct device *, struct recording *);
};

extern const struct backend cpu_backend;
extern const struct backend cuda_backend; /* in builds with CUDA only */

#endif
