/* group_norm.cu: normalization over the channels of a group, H and W for each image (Wu and He
 * 2018), and layer norm as group norm with one group.
 *
 * A block keeps its group in registers, or part of it in shared memory, from the first access to
 * the last, so that nothing crosses the memory bus twice. Groups too large for a block are
 * streamed. */
#include "kernels/image_norm.cuh"

enum { STREAM_THREADS = 512 }; /* at most, of the kernels for groups of any size */
enum { STATIC_SHARED = 1024 }; /* bytes, more than backward_shared has besides its dynamic ones */

/* ---- forward kernels ------------------------------------------------------------------------- */

/* Each thread keeps K vectors of V elements in registers. One pass: reads x, writes y; 8 bytes per
 * element is the floor. */
template <int V, int K>
__global__ void __launch_bounds__(MOST_THREADS) forward_kept(const struct image_norm n) {
    const struct row row = row_of<V>(n, first_row(n));
    const int first = first_position(n);
    struct values<V> u[K];
    float sum = 0, square = 0;
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        u[k] = position < row.length ? load_input<V>(n, row, position) : broadcast<V>(0);
        sum += total<V>(u[k]);
    }
    const float mean = group_mean(n, V, block_sum<0>(sum));
    UNROLL
    for (int k = 0; k < K; k++)
        square += first + k * n.row_threads < row.length ? squares<V>(u[k], mean) : 0;
    const float rstd = group_rstd(n, V, block_sum<1>(square));
    if (threadIdx.x == 0) {
        n.a.mean[blockIdx.x] = mean;
        n.a.rstd[blockIdx.x] = rstd;
    }
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        if (position < row.length)
            store_output<V>(n, row, position, u[k], mean, rstd);
    }
}

/* Groups of any size. Three passes: reads x for the mean, again for the variance, again for y; 16
 * bytes per element, of which the second and third read may hit a cache. */
template <int V>
__global__ void __launch_bounds__(STREAM_THREADS, 1) forward_streamed(const struct image_norm n) {
    const int rows_at_once = (int)blockDim.x / n.row_threads;
    float sum = 0, square = 0;
    for (int r = first_row(n); r < n.rows; r += rows_at_once) {
        const struct row row = row_of<V>(n, r);
        UNROLL_BY(4)
        for (int p = first_position(n); p < row.length; p += n.row_threads)
            sum += total<V>(load_input<V>(n, row, p));
    }
    const float mean = group_mean(n, V, block_sum<0>(sum));
    for (int r = first_row(n); r < n.rows; r += rows_at_once) {
        const struct row row = row_of<V>(n, r);
        UNROLL_BY(4)
        for (int p = first_position(n); p < row.length; p += n.row_threads)
            square += squares<V>(load_input<V>(n, row, p), mean);
    }
    const float rstd = group_rstd(n, V, block_sum<1>(square));
    if (threadIdx.x == 0) {
        n.a.mean[blockIdx.x] = mean;
        n.a.rstd[blockIdx.x] = rstd;
    }
    for (int r = first_row(n); r < n.rows; r += rows_at_once) {
        const struct row row = row_of<V>(n, r);
        for (int p = first_position(n); p < row.length; p += n.row_threads)
            store_output<V>(n, row, p, load_input<V>(n, row, p), mean, rstd);
    }
}

/* ---- backward kernels ------------------------------------------------------------------------ */

/* Per channel: each warp's part of the row's sums goes to the workspace, [dweight, dbias][channels]
 * [batch][partials], for norm_gradients.cu. Returns the thread's share of the group's weighted
 * sums. */
__device__ static struct row_sums weigh_row(const struct image_norm &n, const struct row &row,
                                            struct row_sums sums) {
    if (n.a.per_element)
        return sums;
    const int width = n.row_threads < WARP ? n.row_threads : WARP;
    const int position = first_position(n);
    sums.d = lanes_sum(sums.d, width);
    sums.d_hat = lanes_sum(sums.d_hat, width);
    if (position % width != 0 || row.length == 0)
        return {0, 0};
    const size_t columns = (size_t)n.a.batch * (size_t)n.partials;
    const size_t column =
        blockIdx.x / (unsigned)n.a.groups * (size_t)n.partials + (size_t)(position / width);
    float *dweight = static_cast<float *>(n.a.workspace);
    float *dbias = dweight + (size_t)n.a.channels * columns;
    dweight[row.affine * columns + column] = sums.d_hat;
    dbias[row.affine * columns + column] = sums.d;
    return {sums.d * row.weight, sums.d_hat * row.weight};
}

/* The means that store_gradient needs, from all threads' shares. */
__device__ static struct row_sums gradient_means(const struct image_norm &n, int vector,
                                                 struct row_sums share) {
    const float d = block_sum<0>(share.d), d_hat = block_sum<1>(share.d_hat);
    return {group_mean(n, vector, d), group_mean(n, vector, d_hat)};
}

/* Each thread keeps K vectors of V elements of x, and as many of weight dv, in registers. A block
 * has at most T threads, and a multiprocessor has room for B such blocks. One pass: reads x and dy,
 * writes dx; 12 bytes per element is the floor. */
template <int V, int K, int T, int B, bool DROPS>
__global__ void __launch_bounds__(T, B) backward_kept(const struct image_norm n) {
    const struct row row = row_of<V>(n, first_row(n));
    const int first = first_position(n);
    const float mean = n.a.mean[blockIdx.x], rstd = n.a.rstd[blockIdx.x];
    struct values<V> x[K], d[K];
    struct row_sums sums = {0, 0};
    UNROLL
    for (int k = 0; k < K; k++) { /* a loop of its own, so that all loads overlap */
        const int position = first + k * n.row_threads;
        x[k] = position < row.length ? load_at<V>(n.a.x, row, position) : broadcast<V>(0);
        d[k] = position < row.length ? load_at<V>(n.a.dy, row, position) : broadcast<V>(0);
    }
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        if (position < row.length)
            weigh_gradient<V, DROPS>(d[k], sums, n, row, position, x[k], mean, rstd);
    }
    const struct row_sums means = gradient_means(n, V, weigh_row(n, row, sums));
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        if (position < row.length)
            store_gradient<V>(n, row, position, x[k], d[k], mean, rstd, means);
    }
}

/* As backward_kept with V = 4, for groups where registers hold x but not all of weight dv: a thread
 * keeps the first S of its K vectors in shared memory, where no other thread reads them. No
 * dropout. The same 12 bytes per element. */
template <int K, int S, int T>
__global__ void __launch_bounds__(T, 1) backward_shared(const struct image_norm n) {
    SHARED_DYNAMIC(float4, kept);
    const struct row row = row_of<4>(n, first_row(n));
    const int first = first_position(n), thread = (int)threadIdx.x, threads = (int)blockDim.x;
    const float mean = n.a.mean[blockIdx.x], rstd = n.a.rstd[blockIdx.x];
    struct values<4> x[K], d[K - S];
    struct row_sums sums = {0, 0};
    UNROLL_BY(6)
    for (int k = 0; k < S; k++) {
        const int position = first + k * n.row_threads;
        if (position < row.length)
            kept[k * threads + thread] = packed(load_at<4>(n.a.dy, row, position));
    }
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        x[k] = position < row.length ? load_at<4>(n.a.x, row, position) : broadcast<4>(0);
        if (k >= S)
            d[k - S] = position < row.length ? load_at<4>(n.a.dy, row, position) : broadcast<4>(0);
    }
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        if (position >= row.length)
            continue;
        struct values<4> g = k < S ? unpacked(kept[k * threads + thread]) : d[k - S];
        weigh_gradient<4, false>(g, sums, n, row, position, x[k], mean, rstd);
        if (k < S)
            kept[k * threads + thread] = packed(g);
        else
            d[k - S] = g;
    }
    const struct row_sums means = gradient_means(n, 4, weigh_row(n, row, sums));
    UNROLL
    for (int k = 0; k < K; k++) {
        const int position = first + k * n.row_threads;
        if (position >= row.length)
            continue;
        const struct values<4> g = k < S ? unpacked(kept[k * threads + thread]) : d[k - S];
        store_gradient<4>(n, row, position, x[k], g, mean, rstd, means);
    }
}

/* Groups of any size. Two passes: reads x and dy for the sums, and again for dx; 20 bytes per
 * element, of which the second read may hit a cache. A warp has whole rows, or the whole block
 * shares a single row. */
template <int V>
__global__ void __launch_bounds__(STREAM_THREADS, 1) backward_streamed(const struct image_norm n) {
    const int rows_at_once = (int)blockDim.x / n.row_threads;
    const float mean = n.a.mean[blockIdx.x], rstd = n.a.rstd[blockIdx.x];
    struct row_sums share = {0, 0};
    for (int r = first_row(n); r < n.rows; r += rows_at_once) {
        const struct row row = row_of<V>(n, r);
        struct row_sums sums = {0, 0};
        UNROLL_BY(2)
        for (int p = first_position(n); p < row.length; p += n.row_threads) {
            const struct values<V> x = load_at<V>(n.a.x, row, p);
            struct values<V> d = load_at<V>(n.a.dy, row, p);
            weigh_gradient<V, true>(d, sums, n, row, p, x, mean, rstd);
        }
        sums = weigh_row(n, row, sums);
        share.d += sums.d;
        share.d_hat += sums.d_hat;
    }
    const struct row_sums means = gradient_means(n, V, share);
    for (int r = first_row(n); r < n.rows; r += rows_at_once) {
        const struct row row = row_of<V>(n, r);
        UNROLL_BY(2)
        for (int p = first_position(n); p < row.length; p += n.row_threads) {
            struct row_sums again = {0, 0};
            const struct values<V> x = load_at<V>(n.a.x, row, p);
            struct values<V> d = load_at<V>(n.a.dy, row, p);
            weigh_gradient<V, true>(d, again, n, row, p, x, mean, rstd);
            store_gradient<V>(n, row, p, x, d, mean, rstd, means);
        }
    }
}

/* ---- which kernel ---------------------------------------------------------------------------- */

/* A compiled kernel, for groups that need at most `most_threads` threads. */
struct variant {
    int vector, per_thread; /* V and K; K = 0: streamed */
    int most_threads;
    int shared; /* S: vectors per thread in shared memory */
    bool drops; /* supports dropout */
    void (*kernel)(const struct image_norm);
    const char *name;
};

/* The first row that fits is taken. Small blocks are preferred: several of them share a
 * multiprocessor, and one loads while another computes. */
static const struct variant forward_variants[] = {
    {4, 1, 256, 0, true, forward_kept<4, 1>, "group norm forward"},
    {4, 2, 256, 0, true, forward_kept<4, 2>, "group norm forward"},
    {4, 4, MOST_THREADS, 0, true, forward_kept<4, 4>, "group norm forward"},
    {4, 8, MOST_THREADS, 0, true, forward_kept<4, 8>, "group norm forward"},
    {4, 0, STREAM_THREADS, 0, true, forward_streamed<4>, "group norm forward, streamed"},
    {1, 4, MOST_THREADS, 0, true, forward_kept<1, 4>, "group norm forward"},
    {1, 16, MOST_THREADS, 0, true, forward_kept<1, 16>, "group norm forward"},
    {1, 0, STREAM_THREADS, 0, true, forward_streamed<1>, "group norm forward, streamed"},
};

static const struct variant backward_variants[] = {
    {4, 1, 256, 0, false, backward_kept<4, 1, 256, 4, false>, "group norm backward"},
    {4, 2, 256, 0, false, backward_kept<4, 2, 256, 4, false>, "group norm backward"},
    {4, 4, 512, 0, false, backward_kept<4, 4, 512, 2, false>, "group norm backward"},
    {4, 8, 512, 0, false, backward_kept<4, 8, 512, 1, false>, "group norm backward"},
    {4, 16, 512, 12, false, backward_shared<16, 12, 512>, "group norm backward"},
    {4, 4, 512, 0, true, backward_kept<4, 4, 512, 1, true>, "group norm backward"},
    {4, 8, 512, 0, true, backward_kept<4, 8, 512, 1, true>, "group norm backward"},
    {4, 0, STREAM_THREADS, 0, true, backward_streamed<4>, "group norm backward, streamed"},
    {1, 4, MOST_THREADS, 0, true, backward_kept<1, 4, MOST_THREADS, 1, true>,
     "group norm backward"},
    {1, 16, 512, 0, true, backward_kept<1, 16, 512, 1, true>, "group norm backward"},
    {1, 0, STREAM_THREADS, 0, true, backward_streamed<1>, "group norm backward, streamed"},
};

struct choice {
    const struct variant *variant;
    struct image_norm n;
    int threads;
    int shared_bytes;
};

static int round_up(int number, int multiple) {
    return (number + multiple - 1) / multiple * multiple;
}

static int row_threads(int length, int per_thread) {
    const int least = (length + per_thread - 1) / per_thread;
    if (least > WARP)
        return least < MOST_THREADS ? round_up(least, WARP) : least;
    int threads = FEWEST_ROW_THREADS;
    while (threads < least)
        threads *= 2;
    return threads;
}

/* Divides a group among the threads of a block for variant `v`; false if that is impossible.
 * `shared_limit`: bytes of shared memory that a block may have. */
static bool divide(struct choice *out, const struct variant *v, const struct norm_args *a,
                   bool vectors, int shared_limit) {
    const int channels = a->channels / a->groups;
    const int row = a->per_element ? channels * a->pixels : a->pixels; /* elements */
    if (v->vector > 1 && (!vectors || row % v->vector != 0))
        return false;
    if (!v->drops && dropout_of(a).on)
        return false;
    struct image_norm *n = &out->n;
    n->a = *a;
    n->dropout = dropout_of(a);
    n->rows = a->per_element ? 1 : channels;
    n->length = row / v->vector;
    int rows_at_once = n->rows;
    if (v->per_thread > 0) {
        n->row_threads = row_threads(n->length, v->per_thread);
    } else {
        n->row_threads = WARP;
        if (n->rows == 1)
            n->row_threads =
                n->length < STREAM_THREADS ? round_up(n->length, WARP) : STREAM_THREADS;
        if (rows_at_once > STREAM_THREADS / n->row_threads)
            rows_at_once = STREAM_THREADS / n->row_threads;
    }
    if (n->row_threads > v->most_threads || rows_at_once > v->most_threads / n->row_threads)
        return false;
    n->partials = a->per_element ? 0 : (n->row_threads + WARP - 1) / WARP;
    out->variant = v;
    out->threads = round_up(rows_at_once * n->row_threads, WARP);
    out->shared_bytes = out->threads * v->shared * (int)sizeof(float4);
    return v->shared == 0 || out->shared_bytes + STATIC_SHARED <= shared_limit;
}

/* The last variant fits every group. */
static struct choice choose(const struct variant *variants, const struct norm_args *a, bool vectors,
                            int shared_limit) {
    struct choice choice = {};
    for (int i = 0; !divide(&choice, &variants[i], a, vectors, shared_limit);)
        i++;
    return choice;
}

/* Dynamic shared memory for the largest block that the variant ever has on this device. Every
 * launch requests this much: the limit belongs to the kernel, not to a launch, so a smaller request
 * would lower it for other launches, recorded ones included. */
static int most_shared(const struct device *device, const struct variant *v) {
    const int wanted = v->most_threads * v->shared * (int)sizeof(float4);
    const int limit = device->shared_bytes - STATIC_SHARED;
    return wanted < limit ? wanted : limit;
}

static enum status launch(struct error *error, struct device *device, const struct choice *c) {
    const struct variant *v = c->variant;
    /* More than 48 KB must be requested: CUDA C++ Programming Guide, "Shared Memory". */
    if (v->shared > 0 &&
        CUDA(error, cudaFuncSetAttribute(reinterpret_cast<const void *>(v->kernel),
                                         cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         most_shared(device, v))) != STATUS_OK)
        return error->status;
    const unsigned groups = (unsigned)c->n.a.batch * (unsigned)c->n.a.groups;
    LAUNCH(v->kernel, groups, c->threads, c->shared_bytes, device->compute, c->n);
    return check_launch(error, v->name);
}

/* ---- the operations -------------------------------------------------------------------------- */

enum status cuda_group_norm_forward(struct error *error, struct device *device,
                                    const struct norm_args *a) {
    const bool vectors =
        vectors_allowed(a->x) && vectors_allowed(a->y) &&
        (!a->per_element || (vectors_allowed(a->weight) && vectors_allowed(a->bias)));
    const struct choice choice = choose(forward_variants, a, vectors, device->shared_bytes);
    return launch(error, device, &choice);
}

static struct choice choose_backward(const struct device *device, const struct norm_args *a) {
    const bool vectors =
        vectors_allowed(a->x) && vectors_allowed(a->dy) && vectors_allowed(a->dx) &&
        (!a->per_element || (vectors_allowed(a->weight) && vectors_allowed(a->bias)));
    return choose(backward_variants, a, vectors, device->shared_bytes);
}

struct division group_norm_division(const struct device *device, const struct norm_args *a) {
    const struct choice choice = choose_backward(device, a);
    return {choice.n, choice.variant->vector};
}

/* Gradients of weights per element are sums over dy, so they come before dx takes its place. */
enum status cuda_group_norm_backward(struct error *error, struct device *device,
                                     const struct norm_args *a) {
    const struct choice choice = choose_backward(device, a);
    if (a->per_element && !a->deferred && group_norm_gradients(error, device, a, 1) != STATUS_OK)
        return error->status;
    if (launch(error, device, &choice) != STATUS_OK)
        return error->status;
    return a->per_element || a->deferred ? STATUS_OK : group_norm_gradients(error, device, a, 1);
}

/* The partial sums of weigh_row: enough with and without dropout, and for any alignment. */
size_t cuda_group_norm_workspace(const struct device *device, const struct norm_args *a) {
    struct norm_args any = *a;
    size_t most = 0;
    any.training = true;
    for (int i = 0; i < 4; i++) {
        any.dropout = i / 2 == 0 ? 0 : 0.5f;
        const struct choice choice =
            choose(backward_variants, &any, i % 2 == 0, device->shared_bytes);
        const size_t columns = (size_t)a->batch * (size_t)choice.n.partials;
        const size_t bytes = 2 * (size_t)a->channels * columns * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return (most + 255) / 256 * 256;
}
