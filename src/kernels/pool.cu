/* pool.cu: [skip add, ReLU,] 2x2 max pooling, and the average over a map.
 *
 * Pooling, forward: reads x and skip once, writes y and one code byte per output once; the sum
 * before the pool stays in registers. With a skip and even sides the floor is 4 + 4 + 1 + 1/4 bytes
 * for each element of x (without: 5.25). Backward: reads dy and code once and writes ds once, 5.25
 * bytes per element. Average: forward reads x once, backward writes dx once, 4 bytes per
 * element. */
#include "kernels/reduce.cuh"
#include "kernels/vectors.cuh"

enum { THREADS = 256 };

/* ---- max pool -------------------------------------------------------------------------------- */

/* A thread works on a cell: two rows of WIDTH numbers, WIDTH / 2 outputs, with one access per row.
 * WIDTH is 4 or 2 where the maps' width and alignment allow. Otherwise WIDTH is 1: a cell is two
 * rows of two, accessed number by number, and only one row or column of that at an odd edge of the
 * map. */
template <int WIDTH> struct cell_shape {
    static constexpr int OUTPUTS = WIDTH == 4 ? 2 : 1, COLUMNS = 2 * OUTPUTS;
};

/* The codes of a cell. */
template <int OUTPUTS> struct codes { uint8_t at[OUTPUTS]; };

template <int OUTPUTS> __device__ static struct codes<OUTPUTS> load_codes(const uint8_t *p) {
    if constexpr (OUTPUTS == 2) {
        const uchar2 both = *reinterpret_cast<const uchar2 *>(p);
        return {{both.x, both.y}};
    } else {
        return {{*p}};
    }
}

template <int OUTPUTS>
__device__ static void store_codes(uint8_t *p, struct codes<OUTPUTS> c) {
    if constexpr (OUTPUTS == 2)
        *reinterpret_cast<uchar2 *>(p) = make_uchar2(c.at[0], c.at[1]);
    else
        *p = c.at[0];
}

/* An image's cells lie in the order of its memory, shared out to `blocks` blocks. */
struct cell {
    bool inside;
    unsigned plane, row, column; /* plane: of the batch; row and column: in cells */
};

/* The block's number gives the image and the block within it: that division is the same for all
 * threads of a block, and the other indices fit into 32 bits. */
__device__ static struct cell find_cell(unsigned channels, unsigned rows, unsigned columns,
                                        unsigned blocks) {
    const unsigned image = blockIdx.x / blocks;
    const unsigned index = blockIdx.x % blocks * THREADS + threadIdx.x;
    const unsigned line = index / columns, channel = line / rows;
    return {channel < channels, image * channels + channel, line % rows, index % columns};
}

static unsigned blocks_for(size_t cells) {
    return (unsigned)((cells + THREADS - 1) / THREADS);
}

/* COLUMNS neighbours in each of two rows of a map. */
template <int WIDTH> struct square { float row[2][cell_shape<WIDTH>::COLUMNS]; };

template <int WIDTH>
__device__ static struct square<WIDTH> load_square(const float *map, size_t from, unsigned width) {
    struct square<WIDTH> s;
    for (int row = 0; row < 2; row++)
        for (int i = 0; i < cell_shape<WIDTH>::COLUMNS; i += WIDTH) {
            const struct values<WIDTH> v = load<WIDTH>(map + from + row * width + i);
            for (int k = 0; k < WIDTH; k++)
                s.row[row][i + k] = v.at[k];
        }
    return s;
}

/* What is pooled: x, or max(x + skip, 0). NaN passes ReLU. All loads come before the sums, so that
 * the thread waits for memory once. */
template <int WIDTH>
__device__ static struct square<WIDTH> load_sums(const struct pool_args *a, size_t from) {
    struct square<WIDTH> s = load_square<WIDTH>(a->x, from, (unsigned)a->width);
    if (a->skip == NULL)
        return s;
    const struct square<WIDTH> t = load_square<WIDTH>(a->skip, from, (unsigned)a->width);
    for (int row = 0; row < 2; row++)
        for (int i = 0; i < cell_shape<WIDTH>::COLUMNS; i++) {
            const float sum = s.row[row][i] + t.row[row][i];
            s.row[row][i] = sum < 0 ? 0 : sum;
        }
    return s;
}

/* One step of a running maximum: the first of equal values stays, and a NaN wins. */
__device__ static void
take_larger(float *best, int *place, float candidate, int where) {
    const bool larger = candidate > *best || candidate != candidate;
    *best = larger ? candidate : *best;
    *place = larger ? where : *place;
}

template <int WIDTH> __global__ void pool_forward_kernel(struct pool_args a, unsigned blocks) {
    constexpr int OUTPUTS = cell_shape<WIDTH>::OUTPUTS, COLUMNS = cell_shape<WIDTH>::COLUMNS;
    const unsigned out_height = (unsigned)a.height / 2, out_width = (unsigned)a.width / 2;
    const struct cell c = find_cell((unsigned)a.channels, out_height, out_width / OUTPUTS, blocks);
    if (!c.inside)
        return;
    const size_t from =
        ((size_t)c.plane * (unsigned)a.height + 2 * c.row) * (unsigned)a.width + c.column * COLUMNS;
    const size_t to = ((size_t)c.plane * out_height + c.row) * out_width + c.column * OUTPUTS;
    const struct square<WIDTH> s = load_sums<WIDTH>(&a, from);
    struct values<OUTPUTS> y;
    struct codes<OUTPUTS> code;
    for (int i = 0; i < OUTPUTS; i++) {
        float best = s.row[0][2 * i];
        int place = 0;
        take_larger(&best, &place, s.row[0][2 * i + 1], 1);
        take_larger(&best, &place, s.row[1][2 * i], 2);
        take_larger(&best, &place, s.row[1][2 * i + 1], 3);
        y.at[i] = best;
        /* ReLU stops a maximum of zero, wherever it was. */
        code.at[i] = (uint8_t)(a.skip != NULL && best <= 0 ? POOL_STOPPED : place);
    }
    store(a.y + to, y);
    if (a.code != NULL)
        store_codes(a.code + to, code);
}

template <int WIDTH> __global__ void pool_backward_kernel(struct pool_args a, unsigned blocks) {
    constexpr int OUTPUTS = cell_shape<WIDTH>::OUTPUTS, COLUMNS = cell_shape<WIDTH>::COLUMNS;
    const unsigned height = (unsigned)a.height, width = (unsigned)a.width;
    const unsigned rows = (height + 1) / 2, columns = (width + COLUMNS - 1) / COLUMNS;
    const struct cell c = find_cell((unsigned)a.channels, rows, columns, blocks);
    if (!c.inside)
        return;
    struct values<OUTPUTS> dy = {};
    struct codes<OUTPUTS> code = {};
    if (c.row < height / 2 && c.column * OUTPUTS < width / 2) { /* else the pool dropped it */
        const size_t at =
            ((size_t)c.plane * (height / 2) + c.row) * (width / 2) + c.column * OUTPUTS;
        dy = load<OUTPUTS>(a.dy + at);
        code = load_codes<OUTPUTS>(a.code + at);
    }
    float *ds = a.ds + ((size_t)c.plane * height + 2 * c.row) * width + c.column * COLUMNS;
    for (unsigned row = 0; row < 2 && 2 * c.row + row < height; row++)
        for (unsigned i = 0; i < COLUMNS && c.column * COLUMNS + i < width; i += WIDTH) {
            struct values<WIDTH> out;
            for (unsigned k = 0; k < WIDTH; k++) {
                const unsigned place = 2 * row + (i + k) % 2;
                out.at[k] = code.at[(i + k) / 2] == place ? dy.at[(i + k) / 2] : 0;
            }
            store(ds + row * width + i, out);
        }
}

/* The widest access that the arrays allow; `big` and `skip` have the shape of x, `small` and `code`
 * that of y. */
static int access_width(int width, const void *big, const void *skip, const void *small,
                        const void *code) {
    const size_t pair = sizeof(float2);
    if (width % 4 == 0 && vectors_allowed(big) && vectors_allowed(skip) && aligned(small, pair) &&
        aligned(code, 2))
        return 4;
    return width % 2 == 0 && aligned(big, pair) && aligned(skip, pair) ? 2 : 1;
}

typedef void pool_kernel(struct pool_args, unsigned blocks);

enum status cuda_pool_forward(struct error *error, struct device *device,
                              const struct pool_args *a) {
    const int width = access_width(a->width, a->x, a->skip, a->y, a->code);
    const size_t outputs = (size_t)a->channels * (size_t)(a->height / 2) * (size_t)(a->width / 2);
    const unsigned blocks = blocks_for(width == 4 ? outputs / 2 : outputs);
    pool_kernel *pool_forward = pool_forward_kernel<1>;
    if (width == 4)
        pool_forward = pool_forward_kernel<4>;
    else if (width == 2)
        pool_forward = pool_forward_kernel<2>;
    LAUNCH(pool_forward, (unsigned)a->batch * blocks, THREADS, 0, device->compute, *a, blocks);
    return check_launch(error, "pool_forward");
}

enum status cuda_pool_backward(struct error *error, struct device *device,
                               const struct pool_args *a) {
    const int width = access_width(a->width, a->ds, NULL, a->dy, a->code);
    const size_t rows = (size_t)a->channels * (size_t)((a->height + 1) / 2);
    const unsigned blocks =
        blocks_for(rows * (size_t)(width == 4 ? a->width / 4 : (a->width + 1) / 2));
    pool_kernel *pool_backward = pool_backward_kernel<1>;
    if (width == 4)
        pool_backward = pool_backward_kernel<4>;
    else if (width == 2)
        pool_backward = pool_backward_kernel<2>;
    LAUNCH(pool_backward, (unsigned)a->batch * blocks, THREADS, 0, device->compute, *a, blocks);
    return check_launch(error, "pool_backward");
}

/* ---- average --------------------------------------------------------------------------------- */

/* A thread's map, and its place among the `lanes` threads that share the map, a power of two: the
 * 64 pixels of the networks' last maps need half a warp, with 16 bytes per lane. */
struct map_share {
    size_t map;
    int lane;
};

__device__ static struct map_share find_map(int lanes) {
    const int thread = (int)threadIdx.x;
    return {(size_t)blockIdx.x * (size_t)(THREADS / lanes) + (size_t)(thread / lanes),
            thread % lanes};
}

template <int WIDTH> __global__ void average_forward_kernel(struct average_args a, int lanes) {
    const struct map_share own = find_map(lanes);
    const bool inside = own.map < (size_t)a.batch * (size_t)a.channels;
    const float *x = a.x + own.map * (size_t)a.pixels;
    float sum = 0;
    for (int p = own.lane * WIDTH; inside && p < a.pixels; p += lanes * WIDTH) {
        const struct values<WIDTH> v = load<WIDTH>(x + p);
        for (int i = 0; i < WIDTH; i++)
            sum += v.at[i];
    }
    sum = lanes_sum(sum, lanes); /* all lanes must call, even those past the last map */
    if (inside && own.lane == 0)
        a.y[own.map] = sum / (float)a.pixels;
}

template <int WIDTH> __global__ void average_backward_kernel(struct average_args a, int lanes) {
    const struct map_share own = find_map(lanes);
    if (own.map >= (size_t)a.batch * (size_t)a.channels)
        return;
    float *dx = a.dx + own.map * (size_t)a.pixels;
    struct values<WIDTH> share;
    for (int i = 0; i < WIDTH; i++)
        share.at[i] = a.dy[own.map] / (float)a.pixels;
    for (int p = own.lane * WIDTH; p < a.pixels; p += lanes * WIDTH)
        store(dx + p, share);
}

typedef void average_kernel(struct average_args, int lanes);

/* How an average is launched; `maps` is the array of maps. */
struct average_shape {
    bool wide; /* 16 bytes per lane */
    int lanes; /* of a map */
    unsigned blocks;
};

static struct average_shape shape_of(const struct average_args *a, const float *maps) {
    const bool wide = a->pixels % 4 == 0 && vectors_allowed(maps);
    int lanes = 1;
    while (lanes < WARP && lanes * (wide ? 4 : 1) < a->pixels)
        lanes *= 2;
    return {wide, lanes, blocks_for((size_t)a->batch * (size_t)a->channels * (size_t)lanes)};
}

enum status cuda_average_forward(struct error *error, struct device *device,
                                 const struct average_args *a) {
    const struct average_shape shape = shape_of(a, a->x);
    average_kernel *average_forward =
        shape.wide ? average_forward_kernel<4> : average_forward_kernel<1>;
    LAUNCH(average_forward, shape.blocks, THREADS, 0, device->compute, *a, shape.lanes);
    return check_launch(error, "average_forward");
}

enum status cuda_average_backward(struct error *error, struct device *device,
                                  const struct average_args *a) {
    const struct average_shape shape = shape_of(a, a->dx);
    average_kernel *average_backward =
        shape.wide ? average_backward_kernel<4> : average_backward_kernel<1>;
    LAUNCH(average_backward, shape.blocks, THREADS, 0, device->compute, *a, shape.lanes);
    return check_launch(error, "average_backward");
}
