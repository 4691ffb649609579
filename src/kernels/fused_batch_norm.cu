/* fused_batch_norm.cu: normalization over N, H, W for each channel (Ioffe and Szegedy 2015) in
 * training, in one launch per direction.
 *
 * A channel of the batch is divided into parts, one for each warp, so that all multiprocessors have
 * the same work whatever the number of channels. A warp keeps its part on chip, sums it, and leaves
 * the sums in the workspace. After a barrier of the grid each warp combines the sums of all parts
 * of its channel, in the order of the parts, and finishes its own part. What a warp cannot keep is
 * read a second time.
 *
 * The grid has at most one block for each multiprocessor, and __launch_bounds__ makes sure that one
 * fits: so all blocks run at once, as the barrier needs. The bits of the sums depend on the shape of
 * the batch, the number of multiprocessors, and whether the arrays allow vectors of four; on
 * nothing else. */
#include "kernels/fused_batch_norm.cuh"

#include "kernels/norm_math.cuh"
#include "kernels/reduce.cuh"

#include <cooperative_groups.h>

enum { THREADS = 512, WARPS = THREADS / WARP };
enum { KEPT = 16 }; /* vectors that a thread keeps at most */
enum { GROUP = 4 }; /* vectors that are read before the first is used; it divides KEPT */
enum { REST = 2 };  /* the same for x and dy that are not kept */

/* A kernel's arguments, passed by value. */
struct batch_parts {
    struct norm_args a;
    struct dropout dropout;
    int first_channel, channels; /* of this launch */
    int row;                     /* vectors of a map */
    int length;                  /* vectors of a channel: batch * row */
    int part;                    /* vectors of a part, a multiple of WARP; the last may have less */
    int parts;                   /* of a channel */
    int kept;                    /* vectors that a thread keeps, a multiple of GROUP */
};

/* ---- a warp's part --------------------------------------------------------------------------- */

struct part {
    int channel, number; /* number: of the part in its channel */
    int length;          /* vectors; 0: this warp has none */
};

__device__ static int part_length(const struct batch_parts &n, int number) {
    const int rest = n.length - number * n.part;
    return rest < n.part ? rest : n.part;
}

__device__ static struct part part_of_warp(const struct batch_parts &n) {
    const int warp = ((int)blockIdx.x * THREADS + (int)threadIdx.x) / WARP;
    struct part part;
    part.number = warp % n.parts;
    part.length = warp / n.parts < n.channels ? part_length(n, part.number) : 0;
    part.channel = n.first_channel + (part.length > 0 ? warp / n.parts : 0);
    return part;
}

/* A thread's place in the part: the thread takes every WARP-th vector. */
struct cursor {
    int left;    /* vectors from here to the end of the part; none if this is not positive */
    int pixel;   /* vector within the map */
    unsigned at; /* element within the batch: 50,000 images have 1.6 billion at most */
};

template <int V>
__device__ static struct cursor first_vector(const struct batch_parts &n, const struct part &part) {
    const int lane = (int)threadIdx.x % WARP, vector = part.number * n.part + lane;
    const int map = vector / n.row * n.a.channels + part.channel;
    struct cursor c;
    c.left = part.length - lane;
    c.pixel = vector % n.row;
    c.at = ((unsigned)map * (unsigned)n.row + (unsigned)c.pixel) * V;
    return c;
}

/* To the thread's next vector. Where a map ends, the next one of the channel follows. */
template <int V> __device__ static void advance(struct cursor &c, const struct batch_parts &n) {
    const int image = n.a.channels * n.row; /* vectors */
    c.left -= WARP;
    c.pixel += WARP % n.row;
    c.at += (unsigned)(WARP / n.row * image + WARP % n.row) * V;
    if (c.pixel >= n.row) {
        c.pixel -= n.row;
        c.at += (unsigned)(image - n.row) * V;
    }
}

/* Reads the next `limit` vectors, a multiple of GROUP; zeros past the end of the part. Nothing but
 * loads, so that they overlap. */
template <int V, int K>
__device__ static void load_next(struct values<V> (&out)[K], const float *tensor, struct cursor &c,
                                 const struct batch_parts &n, int limit) {
    UNROLL
    for (int k = 0; k < K; k++) {
        if (k % GROUP == 0 && k >= limit)
            break;
        out[k] = c.left > 0 ? load<V>(tensor + c.at) : broadcast<V>(0);
        advance<V>(c, n);
    }
}

/* Sums of the parts: [channels][parts] pairs of numbers. */
__device__ static float2 *sums_of_channel(const struct batch_parts &n, const struct part &part) {
    return static_cast<float2 *>(n.a.workspace) +
           (size_t)(part.channel - n.first_channel) * (size_t)n.parts;
}

/* Leaves the sums of the part for the other warps, and waits for theirs. All threads call it. */
__device__ static void exchange_sums(const struct batch_parts &n, const struct part &part,
                                     float2 sums) {
    if (threadIdx.x % WARP == 0 && part.length > 0)
        sums_of_channel(n, part)[part.number] = sums;
    cooperative_groups::this_grid().sync();
}

/* One thread writes the results of each channel. */
__device__ static bool speaks_for_channel(const struct part &part) {
    return threadIdx.x % WARP == 0 && part.number == 0 && part.length > 0;
}

/* What all elements of a channel share. */
template <int V> struct channel {
    float mean, rstd;
    struct values<V> weight, bias;
};

template <int V>
__device__ static struct channel<V> channel_of(const struct norm_args &a, int number, float mean,
                                               float rstd) {
    return {mean, rstd, broadcast<V>(a.weight[number]), broadcast<V>(a.bias[number])};
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Of a set of numbers: how many, their mean, and the sum of squared differences from it. */
struct moments {
    float count, mean, square;
};

/* Of two sets together: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm
 * for computing sample variances". An empty set has mean 0. */
__device__ static struct moments together(const struct moments &a, const struct moments &b) {
    const float count = a.count + b.count, delta = b.mean - a.mean;
    const float shift = count > 0 ? delta * (b.count / count) : 0;
    return {count, a.mean + shift, a.square + b.square + delta * a.count * shift};
}

/* Of all lanes, in all of them; each pair has the lower lane first, so that both get the same. */
__device__ static struct moments moments_of_lanes(struct moments m) {
    UNROLL
    for (int distance = 1; distance < WARP; distance *= 2) {
        const struct moments other = {__shfl_xor_sync(ALL_LANES, m.count, distance),
                                      __shfl_xor_sync(ALL_LANES, m.mean, distance),
                                      __shfl_xor_sync(ALL_LANES, m.square, distance)};
        m = threadIdx.x & (unsigned)distance ? together(other, m) : together(m, other);
    }
    return m;
}

/* Of the channel, from what all its warps have left. */
__device__ static struct moments moments_of_channel(const struct batch_parts &n, int vector,
                                                    const struct part &part) {
    struct moments m = {0, 0, 0};
    const float2 *sums = sums_of_channel(n, part);
    UNROLL_BY(4)
    for (int i = (int)threadIdx.x % WARP; i < n.parts; i += WARP) {
        const float2 of_part = sums[i];
        m = together(m, {(float)(part_length(n, i) * vector), of_part.x, of_part.y});
    }
    return moments_of_lanes(m);
}

/* The running variance is the unbiased one. */
__device__ static void store_statistics(const struct norm_args &a, int channel,
                                        const struct moments &m, float rstd) {
    a.mean[channel] = m.mean;
    a.rstd[channel] = rstd;
    a.running_mean[channel] =
        (1 - a.stat_momentum) * a.running_mean[channel] + a.stat_momentum * m.mean;
    a.running_var[channel] = (1 - a.stat_momentum) * a.running_var[channel] +
                             a.stat_momentum * (m.square / (m.count - 1));
}

/* Reads the next `limit` vectors into x; the moments of their u. */
template <int V, int K>
__device__ static struct moments read_inputs(struct values<V> (&x)[K], struct cursor &c,
                                             const struct batch_parts &n, int limit) {
    const int left = c.left;
    struct moments m = {0, 0, 0};
    load_next<V, K>(x, n.a.x, c, n, limit);
    UNROLL
    for (int k = 0; k < K; k++) {
        if (k % GROUP == 0 && k >= limit)
            break;
        m.mean += total<V>(input_of<V>(x[k], n.a));
        m.count += k * WARP < left ? V : 0;
    }
    m.mean = m.count > 0 ? m.mean / m.count : 0;
    UNROLL
    for (int k = 0; k < K; k++) {
        if (k % GROUP == 0 && k >= limit)
            break;
        m.square += k * WARP < left ? squares<V>(input_of<V>(x[k], n.a), m.mean) : 0;
    }
    return m;
}

/* y of the next `limit` vectors, from their x */
template <int V, int K>
__device__ static void write_outputs(const struct values<V> (&x)[K], struct cursor &c,
                                     const struct batch_parts &n, int limit,
                                     const struct channel<V> &channel) {
    UNROLL
    for (int k = 0; k < K; k++) {
        if (k % GROUP == 0 && k >= limit)
            break;
        if (c.left > 0)
            store<V>(n.a.y + c.at,
                     output_of<V>(input_of<V>(x[k], n.a), n.a, n.dropout, c.at, channel.mean,
                                  channel.rstd, channel.weight, channel.bias));
        advance<V>(c, n);
    }
}

/* One pass: reads x, writes y; 8 bytes per element is the floor. What is not kept is read twice: 12
 * bytes. */
template <int V>
__global__ void __launch_bounds__(THREADS, 1) fused_forward(const struct batch_parts n) {
    const struct part part = part_of_warp(n);
    struct values<V> x[KEPT], more[GROUP];
    struct cursor c = first_vector<V>(n, part);
    struct moments m = read_inputs<V, KEPT>(x, c, n, n.kept);
    while (c.left > 0)
        m = together(m, read_inputs<V, GROUP>(more, c, n, GROUP));
    m = moments_of_lanes(m);
    exchange_sums(n, part, make_float2(m.mean, m.square));
    m = moments_of_channel(n, V, part);
    const float rstd = 1 / sqrtf(m.square / m.count + n.a.epsilon);
    if (speaks_for_channel(part))
        store_statistics(n.a, part.channel, m, rstd);
    const struct channel<V> channel = channel_of<V>(n.a, part.channel, m.mean, rstd);
    c = first_vector<V>(n, part);
    write_outputs<V, KEPT>(x, c, n, n.kept, channel);
    while (c.left > 0) {
        struct cursor ahead = c;
        load_next<V, GROUP>(more, n.a.x, ahead, n, GROUP);
        write_outputs<V, GROUP>(more, c, n, GROUP, channel);
    }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* dy becomes dv, and is added to the sums of dv and dv hat: the parts of dbias and dweight. */
template <int V>
__device__ static void add_gradient(struct values<V> &d, float2 &sums, const struct batch_parts &n,
                                    const struct channel<V> &channel, size_t at,
                                    const struct values<V> &x) {
    const struct values<V> hat = hat_of<V>(x, n.a, channel.mean, channel.rstd);
    undo_output<V, true>(d, n.a, n.dropout, at, hat, channel.weight, channel.bias);
    UNROLL
    for (int i = 0; i < V; i++) {
        sums.x += d.at[i];
        sums.y = fmaf(d.at[i], hat.at[i], sums.y);
    }
}

/* The same for the next vectors, whose x is given: their dy is read into d. */
template <int V, int K>
__device__ static void read_gradients(struct values<V> (&d)[K], float2 &sums, struct cursor &c,
                                      const struct batch_parts &n, const struct channel<V> &channel,
                                      const struct values<V> *x) {
    struct cursor ahead = c;
    load_next<V, K>(d, n.a.dy, ahead, n, K);
    UNROLL
    for (int k = 0; k < K; k++) {
        if (c.left > 0)
            add_gradient<V>(d[k], sums, n, channel, c.at, x[k]);
        advance<V>(c, n);
    }
}

/* The means over the channel of dv and dv hat, from what all its warps have left. */
__device__ static float2 gradient_means(const struct batch_parts &n, int vector,
                                        const struct part &part) {
    float2 sums = make_float2(0, 0);
    UNROLL_BY(4)
    for (int i = (int)threadIdx.x % WARP; i < n.parts; i += WARP) {
        const float2 of_part = sums_of_channel(n, part)[i];
        sums.x += of_part.x;
        sums.y += of_part.y;
    }
    sums = make_float2(warp_sum(sums.x), warp_sum(sums.y));
    if (speaks_for_channel(part)) {
        n.a.dbias[part.channel] = sums.x;
        n.a.dweight[part.channel] = sums.y;
    }
    const float count = (float)n.length * (float)vector;
    return make_float2(sums.x / count, sums.y / count);
}

/* dx = rstd weight (dv - mean of dv - hat * mean of dv hat): Ioffe and Szegedy 2015, section 3,
 * with the three partial derivatives combined; zero where RELU_BEFORE let nothing through. */
template <int V>
__device__ static void store_gradient(const struct batch_parts &n, const struct channel<V> &channel,
                                      size_t at, const struct values<V> &x,
                                      const struct values<V> &dv, float2 means) {
    const struct values<V> hat = hat_of<V>(x, n.a, channel.mean, channel.rstd);
    struct values<V> dx;
    UNROLL
    for (int i = 0; i < V; i++) {
        const float du =
            channel.rstd * channel.weight.at[i] * (dv.at[i] - means.x - hat.at[i] * means.y);
        dx.at[i] = n.a.activation != RELU_BEFORE || x.at[i] > 0 ? du : 0;
    }
    store<V>(n.a.dx + at, dx);
}

/* Shared memory has vectors of four. */
template <int V> __device__ static float4 to_shared(const struct values<V> &v) {
    if constexpr (V == 4)
        return packed(v);
    else
        return make_float4(v.at[0], 0, 0, 0);
}

template <int V> __device__ static struct values<V> from_shared(float4 v) {
    if constexpr (V == 4)
        return unpacked(v);
    else
        return {{v.x}};
}

/* A thread keeps x in registers, and dv in shared memory, where no other thread reads it. One pass:
 * reads x and dy, writes dx; 12 bytes per element is the floor. What is not kept is read twice: 20
 * bytes. */
template <int V>
__global__ void __launch_bounds__(THREADS, 1) fused_backward(const struct batch_parts n) {
    SHARED_DYNAMIC(float4, kept);
    const int thread = (int)threadIdx.x;
    const struct part part = part_of_warp(n);
    const struct channel<V> channel =
        channel_of<V>(n.a, part.channel, n.a.mean[part.channel], n.a.rstd[part.channel]);
    struct values<V> x[KEPT], more[REST], d[REST];
    struct cursor c = first_vector<V>(n, part), ahead = c;
    float2 sums = make_float2(0, 0), unused = sums;
    load_next<V, KEPT>(x, n.a.x, ahead, n, n.kept);
    UNROLL
    for (int k = 0; k < KEPT; k += GROUP) {
        struct values<V> dv[GROUP];
        if (k >= n.kept)
            break;
        read_gradients<V, GROUP>(dv, sums, c, n, channel, &x[k]);
        UNROLL
        for (int i = 0; i < GROUP; i++)
            kept[(k + i) * THREADS + thread] = to_shared<V>(dv[i]);
    }
    while (c.left > 0) {
        ahead = c;
        load_next<V, REST>(more, n.a.x, ahead, n, REST);
        read_gradients<V, REST>(d, sums, c, n, channel, more);
    }
    exchange_sums(n, part, make_float2(warp_sum(sums.x), warp_sum(sums.y)));
    const float2 means = gradient_means(n, V, part);
    c = first_vector<V>(n, part);
    UNROLL
    for (int k = 0; k < KEPT; k++) {
        if (k % GROUP == 0 && k >= n.kept)
            break;
        if (c.left > 0)
            store_gradient<V>(n, channel, c.at, x[k], from_shared<V>(kept[k * THREADS + thread]),
                              means);
        advance<V>(c, n);
    }
    while (c.left > 0) {
        ahead = c;
        load_next<V, REST>(more, n.a.x, ahead, n, REST);
        ahead = c;
        read_gradients<V, REST>(d, unused, ahead, n, channel, more);
        UNROLL
        for (int k = 0; k < REST; k++) {
            if (c.left > 0)
                store_gradient<V>(n, channel, c.at, more[k], d[k], means);
            advance<V>(c, n);
        }
    }
}

/* ---- launches -------------------------------------------------------------------------------- */

static int round_up(int number, int multiple) {
    return (number + multiple - 1) / multiple * multiple;
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* Divides the channels from first_channel on, as many as there are warps, into parts for all
 * warps. `most_kept`: vectors that a thread has room for. */
static struct batch_parts divide(const struct device *device, const struct norm_args *a, int vector,
                                 int first_channel, int most_kept) {
    const int warps = device->multiprocessors * WARPS;
    struct batch_parts n;
    n.a = *a;
    n.dropout = dropout_of(a);
    n.first_channel = first_channel;
    n.channels = smaller(a->channels - first_channel, warps);
    n.row = a->pixels / vector;
    n.length = a->batch * n.row;
    n.part = round_up(round_up(n.length, warps / n.channels) / (warps / n.channels), WARP);
    n.parts = round_up(n.length, n.part) / n.part;
    n.kept = smaller(round_up(n.part / WARP, GROUP), most_kept / GROUP * GROUP);
    return n;
}

struct variant {
    int vector;
    void (*kernel)(const struct batch_parts);
    int shared; /* bytes of shared memory for each vector that a thread keeps */
    const char *name;
};

static const struct variant forward_variants[] = {
    {4, fused_forward<4>, 0, "batch norm forward"},
    {1, fused_forward<1>, 0, "batch norm forward"},
};

static const struct variant backward_variants[] = {
    {4, fused_backward<4>, THREADS *(int)sizeof(float4), "batch norm backward"},
    {1, fused_backward<1>, THREADS *(int)sizeof(float4), "batch norm backward"},
};

/* More than 48 KB must be requested: CUDA C++ Programming Guide, "Shared Memory". Each launch
 * requests the same: the limit belongs to the kernel, not to a launch, recorded ones included. */
static enum status allow_shared(struct error *error, const struct variant *v, int most_kept) {
    if (v->shared == 0)
        return STATUS_OK;
    return CUDA(error, cudaFuncSetAttribute(reinterpret_cast<const void *>(v->kernel),
                                            cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            most_kept * v->shared));
}

static enum status launch(struct error *error, struct device *device, const struct variant *v,
                          const struct norm_args *a) {
    const int most_kept = v->shared == 0 ? KEPT : smaller(KEPT, device->shared_bytes / v->shared);
    if (allow_shared(error, v, most_kept) != STATUS_OK)
        return error->status;
    for (int first = 0; first < a->channels; first += device->multiprocessors * WARPS) {
        const struct batch_parts n = divide(device, a, v->vector, first, most_kept);
        const int blocks = round_up(n.channels * n.parts, WARPS) / WARPS;
        LAUNCH_COOPERATIVE(v->kernel, (unsigned)blocks, THREADS, (size_t)(n.kept * v->shared),
                           device->compute, n);
        if (check_launch(error, v->name) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

static const struct variant *choose(const struct variant *variants, const struct norm_args *a,
                                    bool aligned) {
    return &variants[aligned && a->pixels % 4 == 0 ? 0 : 1];
}

enum status fused_batch_norm_forward(struct error *error, struct device *device,
                                     const struct norm_args *a) {
    const bool aligned = vectors_allowed(a->x) && vectors_allowed(a->y);
    return launch(error, device, choose(forward_variants, a, aligned), a);
}

enum status fused_batch_norm_backward(struct error *error, struct device *device,
                                      const struct norm_args *a) {
    const bool aligned = vectors_allowed(a->x) && vectors_allowed(a->dy) && vectors_allowed(a->dx);
    return launch(error, device, choose(backward_variants, a, aligned), a);
}

/* A pair of sums for each warp. */
size_t fused_batch_norm_workspace(const struct device *device) {
    return (size_t)(device->multiprocessors * WARPS) * sizeof(float2);
}
