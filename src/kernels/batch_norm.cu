/* batch_norm.cu: normalization over N, H, W for each channel (Ioffe and Szegedy 2015). In training
 * either the kernels of fused_batch_norm.cu do everything, or cuDNN normalizes (cudnn_ops.h) and
 * the kernels here apply ReLU and dropout around it. In evaluation, where elements are independent,
 * one kernel here does everything.
 *
 * A block processes one tile of elements at a time. Each thread has two vectors of four elements,
 * half a tile apart, so that neighbouring lanes access neighbouring 16 bytes. Each kernel passes
 * over the batch once; its comment gives the bytes per element that it reads and writes, which are
 * also its floor. */
#include "kernels/fused_batch_norm.cuh"
#include "kernels/norm_math.cuh"

extern "C" {
#include "kernels/cudnn_ops.h"
#include "operation_checks.h"
}

enum { THREADS = 256, PER_THREAD = 8, BLOCKS_A_MULTIPROCESSOR = 8 };
enum { TILE = THREADS * PER_THREAD, HALF = TILE / 2 };

/* A thread's part of a tile: its vector of the first half, then that of the second. */
struct eight {
    float at[PER_THREAD];
};

/* How a kernel passes over the batch. */
struct span {
    size_t count; /* elements */
    bool vectors; /* all pointers are multiples of 16 bytes */
};

/* ---- eight elements -------------------------------------------------------------------------- */

/* Where at[i] is in the batch; `tile` is the tile's first element. */
__device__ static size_t place(size_t tile, int i) {
    return tile + (size_t)(i / 4 * HALF) + threadIdx.x * 4 + (size_t)(i % 4);
}

/* If not, access is element by element: the last tile is incomplete, or a pointer unaligned. */
__device__ static bool whole_vectors(size_t tile, const struct span &s) {
    return s.vectors && tile + TILE <= s.count;
}

/* Zeros past the end. */
__device__ static struct eight load_eight(const float *p, size_t tile, const struct span &s) {
    struct eight v;
    if (whole_vectors(tile, s)) {
        const struct values<4> first = load<4>(p + place(tile, 0)),
                               second = load<4>(p + place(tile, 4));
        UNROLL
        for (int i = 0; i < 4; i++)
            v.at[i] = first.at[i], v.at[i + 4] = second.at[i];
    } else {
        UNROLL
        for (int i = 0; i < PER_THREAD; i++)
            v.at[i] = place(tile, i) < s.count ? p[place(tile, i)] : 0;
    }
    return v;
}

__device__ static void store_eight(float *p, size_t tile, const struct span &s,
                                   const struct eight &v) {
    if (whole_vectors(tile, s)) {
        store4(p + place(tile, 0), make_float4(v.at[0], v.at[1], v.at[2], v.at[3]));
        store4(p + place(tile, 4), make_float4(v.at[4], v.at[5], v.at[6], v.at[7]));
        return;
    }
    UNROLL
    for (int i = 0; i < PER_THREAD; i++)
        if (place(tile, i) < s.count)
            p[place(tile, i)] = v.at[i];
}

__device__ static struct eight relu_eight(struct eight v) {
    UNROLL
    for (int i = 0; i < PER_THREAD; i++)
        v.at[i] = relu(v.at[i]);
    return v;
}

__device__ static struct eight silu_eight(struct eight v) {
    UNROLL
    for (int i = 0; i < PER_THREAD; i++)
        v.at[i] = silu(v.at[i]);
    return v;
}

/* An even lane and the odd one after it have the lower and the upper elements of the same two
 * blocks of draws. The even lane draws the first block, the odd one the second, and each passes on
 * the two words that the other needs, so that no block is drawn twice. Whole warps must call it. */
__device__ static struct eight drop_eight(struct eight v, const struct dropout &d, size_t tile) {
    const bool odd = threadIdx.x % 2 != 0;
    const struct philox_block block =
        philox(d.seed, d.stream, d.state->step, (uint32_t)(place(tile, odd ? 4 : 0) / 8));
    UNROLL
    for (int i = 0; i < 2; i++) {
        const uint32_t lower = block.word[i], upper = block.word[i + 2];
        const uint32_t other = __shfl_xor_sync(ALL_LANES, odd ? lower : upper, 1);
        const uint32_t first = odd ? other : lower, second = odd ? upper : other;
        v.at[2 * i] *= dropout_low(d, first);
        v.at[2 * i + 1] *= dropout_high(d, first);
        v.at[2 * i + 4] *= dropout_low(d, second);
        v.at[2 * i + 5] *= dropout_high(d, second);
    }
    return v;
}

/* Tiles, unlike elements, are the same for all threads of a block: whole warps leave the loops. */
__device__ static size_t first_tile(void) {
    return (size_t)blockIdx.x * TILE;
}

__device__ static size_t tile_step(void) {
    return (size_t)gridDim.x * TILE;
}

/* ---- training -------------------------------------------------------------------------------- */

/* Before cuDNN, where ReLU comes first: u = relu(x), 8 bytes; in a backward pass with dropout also
 * dv = dy through the dropout mask, 8 more. dv may be dy. */
__global__ void __launch_bounds__(THREADS)
    batch_norm_input(float *u, float *dv, const float *x, const float *dy,
                     const struct dropout dropout, const struct span s) {
    for (size_t tile = first_tile(); tile < s.count; tile += tile_step()) {
        const struct eight in = load_eight(x, tile, s);
        if (dv != NULL)
            store_eight(dv, tile, s, drop_eight(load_eight(dy, tile, s), dropout, tile));
        store_eight(u, tile, s, relu_eight(in));
    }
}

/* After cuDNN: an activation that follows the norm, and dropout, in place; 8 bytes. */
__global__ void __launch_bounds__(THREADS)
    batch_norm_output(float *y, enum activation activation, const struct dropout dropout,
                      const struct span s) {
    for (size_t tile = first_tile(); tile < s.count; tile += tile_step()) {
        struct eight v = load_eight(y, tile, s);
        if (activation == RELU_AFTER)
            v = relu_eight(v);
        if (activation == SILU_AFTER)
            v = silu_eight(v);
        if (dropout.on)
            v = drop_eight(v, dropout, tile);
        store_eight(y, tile, s, v);
    }
}

/* dv = dy through the masks of dropout and a ReLU after the norm; 12 bytes. The mask need not be
 * drawn again: y > 0 says that v > 0 and that dropout kept it. */
__global__ void __launch_bounds__(THREADS)
    batch_norm_output_gradient(float *dv, const float *y, const float *dy,
                               const struct dropout dropout, const struct span s) {
    const float scale = dropout.on ? dropout.scale : 1;
    for (size_t tile = first_tile(); tile < s.count; tile += tile_step()) {
        const struct eight out = load_eight(y, tile, s);
        struct eight d = load_eight(dy, tile, s);
        UNROLL
        for (int j = 0; j < PER_THREAD; j++)
            d.at[j] = out.at[j] > 0 ? d.at[j] * scale : 0;
        store_eight(dv, tile, s, d);
    }
}

/* dx = du where the ReLU before the norm let x through; 12 bytes. */
__global__ void __launch_bounds__(THREADS)
    batch_norm_input_gradient(float *dx, const float *x, const float *du, const struct span s) {
    for (size_t tile = first_tile(); tile < s.count; tile += tile_step()) {
        const struct eight in = load_eight(x, tile, s);
        struct eight d = load_eight(du, tile, s);
        UNROLL
        for (int j = 0; j < PER_THREAD; j++)
            d.at[j] = in.at[j] > 0 ? d.at[j] : 0;
        store_eight(dx, tile, s, d);
    }
}

/* dv = dy through the mask of dropout and SiLU's slope at v, which is computed again; 12 bytes.
 * Planes are shared among threads as in batch_norm_evaluate. */
template <int V>
__global__ void __launch_bounds__(THREADS)
    batch_norm_silu_gradient(float *dv, const struct norm_args a, const struct dropout dropout,
                             int row_threads) {
    const int planes = a.batch * a.channels, planes_at_once = THREADS / row_threads;
    const int first = (int)threadIdx.x % row_threads;
    for (int plane = (int)blockIdx.x * planes_at_once + (int)threadIdx.x / row_threads;
         plane < planes; plane += (int)gridDim.x * planes_at_once) {
        const int c = plane % a.channels;
        const float mean = a.mean[c], rstd = a.rstd[c];
        const struct values<V> weight = broadcast<V>(a.weight[c]), bias = broadcast<V>(a.bias[c]);
        const size_t start = (size_t)plane * (size_t)a.pixels;
        for (int p = first * V; p < a.pixels; p += row_threads * V) {
            const size_t at = start + (size_t)p;
            const struct values<V> hat = hat_of<V>(load<V>(a.x + at), a, mean, rstd);
            struct values<V> d = load<V>(a.dy + at);
            undo_output<V, true>(d, a, dropout, at, hat, weight, bias);
            store<V>(dv + at, d);
        }
    }
}

static bool all_aligned(const void *p, const void *q, const void *r, const void *s) {
    return vectors_allowed(p) && vectors_allowed(q) && vectors_allowed(r) && vectors_allowed(s);
}

static struct span span_of(const struct norm_args *a, bool vectors) {
    struct span s;
    s.count = (size_t)a->batch * (size_t)a->channels * (size_t)a->pixels;
    s.vectors = vectors;
    return s;
}

/* Enough blocks to fill the device; their loops take the rest. */
static unsigned blocks_for(const struct device *device, size_t threads) {
    const size_t wanted = (threads + THREADS - 1) / THREADS;
    const size_t most = (size_t)device->multiprocessors * BLOCKS_A_MULTIPROCESSOR;
    return (unsigned)(wanted < most ? wanted : most);
}

static unsigned blocks_of(const struct device *device, const struct span *s) {
    return blocks_for(device, (s->count + PER_THREAD - 1) / PER_THREAD);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* All of batch norm with the running statistics; 8 bytes. `row_threads` neighbouring threads
 * process a plane, the [pixels] of a channel of an image, V elements at a time. Also writes mean
 * and rstd. */
template <int V>
__global__ void __launch_bounds__(THREADS)
    batch_norm_evaluate(const struct norm_args a, int row_threads) {
    const int planes = a.batch * a.channels, planes_at_once = THREADS / row_threads;
    const int first = (int)threadIdx.x % row_threads;
    for (int plane = (int)blockIdx.x * planes_at_once + (int)threadIdx.x / row_threads;
         plane < planes; plane += (int)gridDim.x * planes_at_once) {
        const int c = plane % a.channels;
        const float mean = a.running_mean[c], weight = a.weight[c], bias = a.bias[c];
        const float rstd = 1 / sqrtf(a.running_var[c] + a.epsilon);
        if (first == 0 && plane < a.channels) {
            a.mean[c] = mean;
            a.rstd[c] = rstd;
        }
        const size_t start = (size_t)plane * (size_t)a.pixels;
        UNROLL_BY(4)
        for (int p = first * V; p < a.pixels; p += row_threads * V) {
            struct values<V> v = load<V>(a.x + start + (size_t)p);
            UNROLL
            for (int i = 0; i < V; i++) {
                const float u = a.activation == RELU_BEFORE ? relu(v.at[i]) : v.at[i];
                v.at[i] = affine(normalized(u, mean, rstd), weight, bias);
                v.at[i] = activate(v.at[i], a.activation);
            }
            store<V>(a.y + start + (size_t)p, v);
        }
    }
}

/* How many threads share a plane; a vector each at a time. */
static int row_threads_of(const struct norm_args *a, int vector) {
    int row_threads = 1;
    while (row_threads < WARP && row_threads * vector < a->pixels)
        row_threads *= 2;
    return row_threads;
}

static unsigned row_blocks(const struct device *device, const struct norm_args *a,
                           int row_threads) {
    return blocks_for(device, (size_t)a->batch * (size_t)a->channels * (size_t)row_threads);
}

static enum status evaluate(struct error *error, struct device *device, const struct norm_args *a) {
    const bool vectors = a->pixels % 4 == 0 && vectors_allowed(a->x) && vectors_allowed(a->y);
    const int row_threads = row_threads_of(a, vectors ? 4 : 1);
    const unsigned blocks = row_blocks(device, a, row_threads);
    if (vectors)
        LAUNCH(batch_norm_evaluate<4>, blocks, THREADS, 0, device->compute, *a, row_threads);
    else
        LAUNCH(batch_norm_evaluate<1>, blocks, THREADS, 0, device->compute, *a, row_threads);
    return check_launch(error, "batch norm evaluation");
}

/* ---- the operations -------------------------------------------------------------------------- */

static enum status launch_input(struct error *error, struct device *device,
                                const struct norm_args *a, float *u, float *dv) {
    const struct span s = span_of(a, all_aligned(u, dv, a->x, dv == NULL ? NULL : a->dy));
    LAUNCH(batch_norm_input, blocks_of(device, &s), THREADS, 0, device->compute, u, dv, a->x, a->dy,
           dropout_of(a), s);
    return check_launch(error, "batch norm input");
}

static enum status launch_output(struct error *error, struct device *device,
                                 const struct norm_args *a) {
    const struct span s = span_of(a, vectors_allowed(a->y));
    const struct dropout dropout = dropout_of(a);
    if (a->activation == RELU_BEFORE && !dropout.on)
        return STATUS_OK;
    LAUNCH(batch_norm_output, blocks_of(device, &s), THREADS, 0, device->compute, a->y,
           a->activation, dropout, s);
    return check_launch(error, "batch norm output");
}

static enum status forward_with_cudnn(struct error *error, struct device *device,
                                      const struct norm_args *a) {
    const float *u = a->x;
    if (a->activation == RELU_BEFORE) {
        u = static_cast<float *>(a->workspace);
        if (launch_input(error, device, a, static_cast<float *>(a->workspace), NULL) != STATUS_OK)
            return error->status;
    }
    if (cudnn_batch_norm_forward(error, device, a, u, a->y) != STATUS_OK)
        return error->status;
    return launch_output(error, device, a);
}

enum status cuda_batch_norm_forward(struct error *error, struct device *device,
                                    const struct norm_args *a) {
    if (check_batch_norm(error, a) != STATUS_OK)
        return error->status;
    if (!a->training)
        return evaluate(error, device, a);
    if (a->batch == 1 && a->pixels == 1)
        return error_set(error, STATUS_FAILED,
                         "batch norm: one value of each channel has no unbiased variance to train "
                         "with");
    switch (device->options.batch_norm) {
    case BATCH_NORM_CUDNN:
        return forward_with_cudnn(error, device, a);
    case BATCH_NORM_OWN:
        return fused_batch_norm_forward(error, device, a);
    }
    return STATUS_OK;
}

/* Bytes of one map of the batch in the workspace. */
static size_t map_bytes(const struct norm_args *a) {
    const size_t bytes = (size_t)a->batch * (size_t)a->channels * (size_t)a->pixels * sizeof(float);
    return (bytes + 255) / 256 * 256;
}

/* With cuDNN: u and du where ReLU comes first, dv where the activation comes last. */
size_t cuda_batch_norm_workspace(const struct device *device, const struct norm_args *a) {
    switch (device->options.batch_norm) {
    case BATCH_NORM_CUDNN:
        return map_bytes(a) * (a->activation == RELU_BEFORE ? 2 : 1);
    case BATCH_NORM_OWN:
        return fused_batch_norm_workspace(device);
    }
    return 0;
}

static enum status backward_relu_before(struct error *error, struct device *device,
                                        const struct norm_args *a) {
    float *u = static_cast<float *>(a->workspace);
    float *du = u + map_bytes(a) / sizeof(float);
    const bool drops = dropout_of(a).on;
    if (launch_input(error, device, a, u, drops ? a->dx : NULL) != STATUS_OK ||
        cudnn_batch_norm_backward(error, device, a, du, u, drops ? a->dx : a->dy) != STATUS_OK)
        return error->status;
    const struct span s = span_of(a, all_aligned(a->dx, a->x, du, NULL));
    LAUNCH(batch_norm_input_gradient, blocks_of(device, &s), THREADS, 0, device->compute, a->dx,
           a->x, static_cast<const float *>(du), s);
    return check_launch(error, "batch norm input gradient");
}

static enum status backward_relu_after(struct error *error, struct device *device,
                                       const struct norm_args *a) {
    float *dv = static_cast<float *>(a->workspace);
    const struct span s = span_of(a, all_aligned(dv, a->y, a->dy, NULL));
    LAUNCH(batch_norm_output_gradient, blocks_of(device, &s), THREADS, 0, device->compute, dv,
           static_cast<const float *>(a->y), a->dy, dropout_of(a), s);
    if (check_launch(error, "batch norm output gradient") != STATUS_OK)
        return error->status;
    return cudnn_batch_norm_backward(error, device, a, a->dx, a->x, dv);
}

static enum status backward_silu_after(struct error *error, struct device *device,
                                       const struct norm_args *a) {
    float *dv = static_cast<float *>(a->workspace);
    const bool vectors = a->pixels % 4 == 0 && all_aligned(dv, a->x, a->dy, NULL);
    const int row_threads = row_threads_of(a, vectors ? 4 : 1);
    const unsigned blocks = row_blocks(device, a, row_threads);
    if (vectors)
        LAUNCH(batch_norm_silu_gradient<4>, blocks, THREADS, 0, device->compute, dv, *a,
               dropout_of(a), row_threads);
    else
        LAUNCH(batch_norm_silu_gradient<1>, blocks, THREADS, 0, device->compute, dv, *a,
               dropout_of(a), row_threads);
    if (check_launch(error, "batch norm SiLU gradient") != STATUS_OK)
        return error->status;
    return cudnn_batch_norm_backward(error, device, a, a->dx, a->x, dv);
}

static enum status backward_with_cudnn(struct error *error, struct device *device,
                                       const struct norm_args *a) {
    switch (a->activation) {
    case RELU_BEFORE:
        return backward_relu_before(error, device, a);
    case RELU_AFTER:
        return backward_relu_after(error, device, a);
    case SILU_AFTER:
        return backward_silu_after(error, device, a);
    }
    return STATUS_OK;
}

enum status cuda_batch_norm_backward(struct error *error, struct device *device,
                                     const struct norm_args *a) {
    if (check_batch_norm(error, a) != STATUS_OK)
        return error->status;
    switch (device->options.batch_norm) {
    case BATCH_NORM_CUDNN:
        return backward_with_cudnn(error, device, a);
    case BATCH_NORM_OWN:
        return fused_batch_norm_backward(error, device, a);
    }
    return STATUS_OK;
}
