/* norm_gradients.cu: gradients of weight and bias of group and layer norm, which are sums over the
 * batch. Nothing waits for them but the optimizer, so those of all norms of a network are computed
 * in one launch at the end of the backward pass; or those of one norm right after it. */
#include "kernels/image_norm.cuh"

enum { SUM_THREADS = 128 };        /* of sum_partials */
enum { COLUMNS = 8, SLICES = 32 }; /* of element_gradients: a block's threads are their product */

/* The norms of a launch. Norm i has the rows, or blocks, of numbers first[i] to first[i + 1] - 1. A
 * kernel's arguments have 4 KB at most. */
enum { MOST_NORMS = 12 };
struct norm_launch {
    unsigned first[MOST_NORMS + 1];
    struct image_norm norms[MOST_NORMS];
};
static_assert(sizeof(struct norm_launch) + sizeof(unsigned) <= 4096,
              "too large for the arguments of sum_partials");

__device__ static int norm_of(const struct norm_launch &launch, unsigned number) {
    int i = 0;
    while (number >= launch.first[i + 1])
        i++;
    return i;
}

/* ---- kernels --------------------------------------------------------------------------------- */

/* Per channel: sums what the backward pass left, with a warp for each of the 2 [channels] rows of
 * partial sums, tens of kilobytes for each norm. `rows`: of all norms. */
__global__ void __launch_bounds__(SUM_THREADS)
    sum_partials(const BY_VALUE struct norm_launch launch, unsigned rows) {
    const int lane = (int)threadIdx.x % WARP;
    const unsigned number = (blockIdx.x * SUM_THREADS + threadIdx.x) / WARP;
    if (number >= rows)
        return;
    const int i = norm_of(launch, number);
    const struct norm_args &a = launch.norms[i].a;
    const int row = (int)(number - launch.first[i]), columns = a.batch * launch.norms[i].partials;
    const float *partials = static_cast<const float *>(a.workspace) + (size_t)row * (size_t)columns;
    float sum = 0;
    UNROLL_BY(4)
    for (int column = lane; column < columns; column += WARP)
        sum += partials[column];
    sum = warp_sum(sum);
    if (lane == 0)
        *(row < a.channels ? a.dweight + row : a.dbias + (row - a.channels)) = sum;
}

/* The sum over the lanes of a warp that have the same column. */
__device__ static float columns_sum(float v) {
    UNROLL
    for (int distance = COLUMNS; distance < WARP; distance *= 2)
        v += __shfl_xor_sync(ALL_LANES, v, distance);
    return v;
}

/* Per element: reads x and dy once more; 8 bytes per element of the batch is the floor. A block has
 * COLUMNS neighbouring vectors of the weights and reads SLICES images of the batch at a time. A
 * thread sums the images of its slice; then the slices are combined, those of a warp by shuffles,
 * those of the warps in order. */
template <int V>
__global__ void __launch_bounds__(COLUMNS *SLICES, 1)
    element_gradients(const BY_VALUE struct norm_launch launch) {
    const int layer = norm_of(launch, blockIdx.x);
    const struct image_norm &n = launch.norms[layer];
    const size_t block = blockIdx.x - launch.first[layer];
    enum { WARPS = COLUMNS * SLICES / WARP, NUMBERS = COLUMNS * V };
    SHARED(float, slices, 2 * WARPS * NUMBERS);
    const int column = (int)threadIdx.x % COLUMNS, warp = (int)threadIdx.x / WARP;
    const size_t image = (size_t)n.a.groups * (size_t)n.length * V; /* elements */
    const size_t element = (block * COLUMNS + (size_t)column) * V;
    const int end = element < image ? n.a.batch : 0;
    const unsigned group = (unsigned)element / (unsigned)(n.length * V);
    struct values<V> weight = {}, bias = {}, dweight = {}, dbias = {};
    if (n.a.activation != RELU_BEFORE && end > 0) {
        weight = load<V>(n.a.weight + element);
        bias = load<V>(n.a.bias + element);
    }
    UNROLL_BY(2)
    for (int i = (int)threadIdx.x / COLUMNS; i < end; i += SLICES) {
        const size_t at = (size_t)i * image + element, set = (size_t)i * (size_t)n.a.groups + group;
        const struct values<V> hat =
            hat_of<V>(load<V>(n.a.x + at), n.a, n.a.mean[set], n.a.rstd[set]);
        struct values<V> d = load<V>(n.a.dy + at);
        undo_output<V, true>(d, n.a, n.dropout, at, hat, weight, bias);
        UNROLL
        for (int j = 0; j < V; j++) {
            dweight.at[j] = fmaf(d.at[j], hat.at[j], dweight.at[j]);
            dbias.at[j] += d.at[j];
        }
    }
    UNROLL
    for (int j = 0; j < V; j++) {
        const float w = columns_sum(dweight.at[j]), b = columns_sum(dbias.at[j]);
        if ((int)threadIdx.x % WARP < COLUMNS) {
            slices[warp * NUMBERS + column * V + j] = w;
            slices[(WARPS + warp) * NUMBERS + column * V + j] = b;
        }
    }
    __syncthreads();
    const int number = (int)threadIdx.x % NUMBERS, of_bias = (int)threadIdx.x / NUMBERS;
    const size_t out = block * NUMBERS + (size_t)number;
    if (of_bias > 1 || out >= image)
        return;
    float sum = 0;
    for (int i = 0; i < WARPS; i++)
        sum += slices[(of_bias * WARPS + i) * NUMBERS + number];
    (of_bias == 0 ? n.a.dweight : n.a.dbias)[out] = sum;
}

/* ---- launches -------------------------------------------------------------------------------- */

enum kernel { SUM_PARTIALS, ELEMENT_VECTORS, ELEMENTS };
enum { KERNEL_COUNT = 3 };

static enum kernel kernel_for(const struct division &d) {
    if (!d.n.a.per_element)
        return SUM_PARTIALS;
    return d.vector == 4 ? ELEMENT_VECTORS : ELEMENTS;
}

/* Rows of partial sums, or blocks of element_gradients, of a norm. */
static unsigned size_of(const struct division &d) {
    const int vectors = d.n.a.groups * d.n.length;
    return (unsigned)(d.n.a.per_element ? (vectors + COLUMNS - 1) / COLUMNS : 2 * d.n.a.channels);
}

/* The first `count` norms of `launch`; none launches nothing. */
static enum status launch_norms(struct error *error, struct device *device, enum kernel kernel,
                                const struct norm_launch *launch, int count) {
    const unsigned size = launch->first[count], rows_a_block = SUM_THREADS / WARP;
    if (count == 0)
        return STATUS_OK;
    switch (kernel) {
    case SUM_PARTIALS:
        LAUNCH(sum_partials, (size + rows_a_block - 1) / rows_a_block, SUM_THREADS, 0,
               device->compute, *launch, size);
        break;
    case ELEMENT_VECTORS:
        LAUNCH(element_gradients<4>, size, COLUMNS * SLICES, 0, device->compute, *launch);
        break;
    case ELEMENTS:
        LAUNCH(element_gradients<1>, size, COLUMNS * SLICES, 0, device->compute, *launch);
        break;
    }
    return check_launch(error, "gradients of weight and bias");
}

enum status group_norm_gradients(struct error *error, struct device *device,
                                 const struct norm_args *norms, int count) {
    for (int kernel = 0; kernel < KERNEL_COUNT; kernel++) {
        struct norm_launch launch = {};
        int taken = 0;
        for (int i = 0; i < count; i++) {
            const struct division d = group_norm_division(device, &norms[i]);
            if (kernel_for(d) != kernel)
                continue;
            launch.norms[taken] = d.n;
            launch.first[taken + 1] = launch.first[taken] + size_of(d);
            if (++taken < MOST_NORMS)
                continue;
            if (launch_norms(error, device, (enum kernel)kernel, &launch, taken) != STATUS_OK)
                return error->status;
            taken = 0;
        }
        if (launch_norms(error, device, (enum kernel)kernel, &launch, taken) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

/* The sums, then the filter gradients of the side stream. */
enum status cuda_finish_gradients(struct error *error, struct device *device,
                                  const struct finish_args *a) {
    if (group_norm_gradients(error, device, a->norms, a->count) != STATUS_OK)
        return error->status;
    return side_join(error, device);
}
