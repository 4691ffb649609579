/* conv.c: direct convolution, stride 1, kernels of 1 and 3.
 *
 * An image is copied into planes with zero borders ("padded"), so that no tap needs a test. Then a
 * tile of TILE_VECTORS vectors of output pixels x OUT_BLOCK output channels is held in registers
 * while all input channels and taps are added to it: each vector of x is used OUT_BLOCK times, each
 * weight TILE_VECTORS times. Where the output width is a multiple of the vector width, vectors lie
 * in rows; elsewhere the image is treated as one long row with the padded width as its stride, and
 * the few values between the rows are dropped. Both cases differ only in vector_offset().
 *
 * The gradient of x is the same correlation of dy with the filters turned by 180 degrees and
 * transposed; the gradient of the weights holds taps x channels in registers and runs over all
 * pixels of a few images.
 *
 * Floor: 2 * multiply-adds / peak; bench/ shows the share reached. */
#include "operations.h"

#include <omp.h>

enum {
    OUT_BLOCK = 4, /* output channels of a tile */
    /* a tile of the weight gradient: TAP_ROWS x 3 taps x GRADIENT_BLOCK output channels */
    TAP_ROWS = LANES == 16 ? 3 : 1,
    TAPS = 3 * TAP_ROWS,
    GRADIENT_BLOCK = LANES == 16 ? 3 : 4,
};

/* How the vectors of an output map lie in the padded input. */
struct geometry {
    int kernel, padding;
    int height, width; /* of the input */
    int out_height, out_width;
    int stride;   /* of a padded row */
    int left;     /* floats before a row's first pixel: the padding, and what aligns the pixels */
    int first;    /* from the start of a padded plane to the first tap of the first output */
    size_t plane; /* floats of a padded plane, with room to read one vector past its end */
    bool in_rows; /* vectors lie in rows and are the output as it is */
    int vectors;  /* of one output map */
};

static struct geometry geometry_of(int height, int width, int kernel, int padding) {
    if (kernel == 1 && padding == 0) { /* the map is one long row */
        width *= height;
        height = 1;
    }
    struct geometry g = {
        .kernel = kernel,
        .padding = padding,
        .height = height,
        .width = width,
        .out_height = height + 2 * padding - kernel + 1,
        .out_width = width + 2 * padding - kernel + 1,
        .stride = width + 2 * padding,
        .left = padding,
    };
    g.in_rows = g.out_width % LANES == 0;
    if (g.in_rows &&
        padding > 0) { /* the middle taps load aligned vectors, the others must split */
        g.left = LANES;
        g.stride = (width + LANES + LANES - 1) / LANES * LANES;
    }
    g.first = g.left - padding;
    size_t pixels = (size_t)(height + 2 * padding) * (size_t)g.stride;
    g.plane = (pixels + 2 * LANES + 2 + 15) / 16 * 16;
    if (g.plane % 256 == 0) /* planes a multiple of 1 KiB apart would share a few cache sets */
        g.plane += 16;
    int flat = (g.out_height - 1) * g.stride + g.out_width;
    g.vectors = g.in_rows ? g.out_height * g.out_width / LANES : (flat + LANES - 1) / LANES;
    return g;
}

/* Where output vector j starts in a padded plane. */
static inline int vector_offset(const struct geometry *g, int j) {
    if (!g->in_rows)
        return j * LANES;
    int in_row = g->out_width / LANES;
    return g->first + j / in_row * g->stride + j % in_row * LANES;
}

/* Whether maps need no copy: there is nothing to pad, and no vector passes the end. */
static bool reads_in_place(const struct geometry *g) {
    return g->kernel == 1 && g->padding == 0 && g->in_rows;
}

/* Short rows are copied in line: a call of memcpy each would cost more than the row. */
static inline void copy_row(float *to, const float *from, int count) {
    int i = 0;
    for (; i + LANES <= count; i += LANES)
        vector_store(to + i, vector_load(from + i));
    for (; i < count; i++)
        to[i] = from[i];
}

static inline void clear_row(float *to, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        vector_store(to + i, (vector){0});
    for (; i < count; i++)
        to[i] = 0;
}

/* Copies `channels` maps of `g`'s input size into planes with zero borders. */
static void pad_image(float *padded, const float *x, int channels, const struct geometry *g) {
    size_t above = (size_t)(g->padding * g->stride + g->left); /* zeros before the first pixel */
    size_t between = (size_t)(g->stride - g->width);
    for (int c = 0; c < channels; c++) {
        float *end = padded + g->plane;
        clear_row(padded, above);
        padded += above;
        for (int row = 0; row < g->height; row++) {
            copy_row(padded, x, g->width);
            clear_row(padded + g->width, between);
            padded += g->stride;
            x += g->width;
        }
        clear_row(padded, (size_t)(end - padded));
        padded = end;
    }
}

/* ---- forward, and backward to x -------------------------------------------------------------- */

/* Filters in the order of use: packed[out / OUT_BLOCK][in][tap][OUT_BLOCK], zeros past the last
 * channel. */
static size_t packed_size(int in_channels, int out_channels, int taps) {
    return (size_t)((out_channels + OUT_BLOCK - 1) / OUT_BLOCK) * (size_t)(in_channels * taps) *
           OUT_BLOCK;
}

static void pack_forward(float *packed, const float *weight, int in_channels, int out_channels,
                         int taps) {
    int blocks = (out_channels + OUT_BLOCK - 1) / OUT_BLOCK;
    for (int block = 0; block < blocks; block++)
        for (int i = 0; i < in_channels * taps; i++)
            for (int o = 0; o < OUT_BLOCK; o++) {
                int out = block * OUT_BLOCK + o;
                *packed++ = out < out_channels ? weight[out * in_channels * taps + i] : 0;
            }
}

/* The filters of the gradient: turned by 180 degrees, input and output channels exchanged. */
static void pack_transposed(float *packed, const float *weight, int in_channels, int out_channels,
                            int taps) {
    int blocks = (in_channels + OUT_BLOCK - 1) / OUT_BLOCK;
    for (int block = 0; block < blocks; block++)
        for (int out = 0; out < out_channels; out++)
            for (int tap = 0; tap < taps; tap++)
                for (int i = 0; i < OUT_BLOCK; i++) {
                    int in = block * OUT_BLOCK + i;
                    *packed++ = in < in_channels
                                    ? weight[(out * in_channels + in) * taps + taps - 1 - tap]
                                    : 0;
                }
}

/* One tile of a correlation: what tile() reads and writes. */
struct tile_job {
    float *out; /* [valid] rows of vectors, `out_plane` floats apart */
    size_t out_plane;
    int valid; /* output channels of the block that exist */
    bool accumulate;
    const float *x[TILE_VECTORS]; /* where each vector's first tap lies in the first padded plane */
    size_t plane;                 /* of the padded input */
    int stride;
    int channels;
    const float *packed;
};

/* Adds all channels and taps up in registers. `kernel` and `count` are constants at every call. */
static inline __attribute__((always_inline)) void tile(const struct tile_job *job, int kernel,
                                                       int count) {
    vector sum[OUT_BLOCK][TILE_VECTORS], zero = {0};
    IN_REGISTER(zero); /* else the compiler clears the sums in memory first */
    const float *x[TILE_VECTORS];
    const float *packed = job->packed;
    for (int v = 0; v < count; v++) {
        x[v] = job->x[v];
        for (int o = 0; o < OUT_BLOCK; o++)
            sum[o][v] = zero;
    }
    for (int c = 0; c < job->channels; c++) {
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                vector value[TILE_VECTORS];
                for (int v = 0; v < count; v++)
                    value[v] = vector_load(x[v] + ky * job->stride + kx);
                for (int o = 0; o < OUT_BLOCK; o++)
                    for (int v = 0; v < count; v++)
                        sum[o][v] += value[v] * packed[o];
                packed += OUT_BLOCK;
            }
        for (int v = 0; v < count; v++)
            x[v] += job->plane;
    }
    for (int o = 0; o < OUT_BLOCK; o++) {
        if (o >= job->valid)
            continue;
        float *out = job->out + (size_t)o * job->out_plane;
        for (int v = 0; v < count; v++) {
            if (job->accumulate)
                sum[o][v] += vector_load(out + v * LANES);
            vector_store(out + v * LANES, sum[o][v]);
        }
    }
}

static void run_tile(const struct tile_job *job, int kernel, int count) {
    enum { TWO = 2, THREE = TILE_VECTORS < 3 ? 2 : 3, FOUR = TILE_VECTORS < 4 ? 2 : 4 };
    switch ((kernel == 3) * 4 + count - 1) {
    case 0:
        tile(job, 1, 1);
        break;
    case 1:
        tile(job, 1, TWO);
        break;
    case 2:
        tile(job, 1, THREE);
        break;
    case 3:
        tile(job, 1, FOUR);
        break;
    case 4:
        tile(job, 3, 1);
        break;
    case 5:
        tile(job, 3, TWO);
        break;
    case 6:
        tile(job, 3, THREE);
        break;
    case 7:
        tile(job, 3, FOUR);
        break;
    }
}

/* Copies (or adds) the long rows of `flat`, [channels][vectors * LANES], into maps without the
 * padding. */
static void unpad(float *y, const float *flat, int channels, bool accumulate,
                  const struct geometry *g) {
    for (int c = 0; c < channels; c++)
        for (int row = 0; row < g->out_height; row++) {
            const float *from = flat + (size_t)c * (size_t)(g->vectors * LANES) + row * g->stride;
            for (int column = 0; column < g->out_width; column++, y++)
                *y = accumulate ? *y + from[column] : from[column];
        }
}

/* y[out] (+)= correlation of the padded maps with the packed filters. `flat` has room for
 * [out_channels][vectors * LANES]. */
static void correlate(float *y, bool accumulate, const float *padded, const float *packed,
                      int channels, int out_channels, const struct geometry *g, float *flat) {
    int taps = g->kernel * g->kernel;
    struct tile_job job = {
        .out_plane = (size_t)(g->in_rows ? g->out_height * g->out_width : g->vectors * LANES),
        .accumulate = accumulate && g->in_rows,
        .plane = g->plane,
        .stride = g->stride,
        .channels = channels,
    };
    for (int first = 0; first < g->vectors; first += TILE_VECTORS) {
        int count = g->vectors - first < TILE_VECTORS ? g->vectors - first : TILE_VECTORS;
        for (int v = 0; v < count; v++)
            job.x[v] = padded + vector_offset(g, first + v);
        for (int out = 0; out < out_channels; out += OUT_BLOCK) {
            job.out = (g->in_rows ? y : flat) + (size_t)out * job.out_plane + first * LANES;
            job.valid = out_channels - out < OUT_BLOCK ? out_channels - out : OUT_BLOCK;
            job.packed = packed + (size_t)out * (size_t)(channels * taps);
            run_tile(&job, g->kernel, count);
        }
    }
    if (!g->in_rows)
        unpad(y, flat, out_channels, accumulate, g);
}

/* ---- backward to the weights ----------------------------------------------------------------- */

/* dy in the order of the vectors: planes of vectors * LANES floats, zero where there is no output.
 * The planes up to a multiple of GRADIENT_BLOCK are left as they are: nothing uses their sums. */
static void spread(float *to, size_t plane, const float *dy, int channels,
                   const struct geometry *g) {
    size_t pixels = (size_t)(g->out_height * g->out_width);
    for (int c = 0; c < channels; c++, to += plane, dy += pixels) {
        if (g->in_rows) {
            copy_row(to, dy, (int)pixels);
            continue;
        }
        clear_row(to, plane);
        for (int row = 0; row < g->out_height; row++)
            copy_row(to + row * g->stride, dy + row * g->out_width, g->out_width);
    }
}

/* The padded inputs and spread gradients of up to CHUNK images. */
struct chunk {
    int images;
    const float *x;  /* [images][in_channels][plane] */
    const float *dy; /* [images][out rounded up][dy_plane] */
    size_t x_image, dy_image, dy_plane;
    const struct geometry *geometry;
};

/* sums[tap][out] of TAPS taps x GRADIENT_BLOCK output channels over all pixels and images of the
 * chunk. Tap (r, t) lies r * row_step + t * tap_step floats from the first one. */
static inline __attribute__((always_inline)) void gradient_tile(float sums[TAPS][GRADIENT_BLOCK],
                                                                const struct chunk *chunk,
                                                                const float *x, const float *dy,
                                                                size_t row_step, size_t tap_step) {
    const struct geometry *g = chunk->geometry;
    vector sum[TAPS][GRADIENT_BLOCK];
    for (int t = 0; t < TAPS; t++)
        for (int o = 0; o < GRADIENT_BLOCK; o++)
            sum[t][o] = (vector){0};
    int in_row = g->in_rows ? g->out_width / LANES : g->vectors;
    int rows = g->vectors / in_row;
    for (int image = 0; image < chunk->images; image++) {
        const float *dy_vector = dy + (size_t)image * chunk->dy_image;
        for (int row = 0; row < rows; row++) {
            const float *x_vector = x + (size_t)image * chunk->x_image + row * g->stride;
            for (int j = 0; j < in_row; j++) {
                vector d[GRADIENT_BLOCK];
                for (int o = 0; o < GRADIENT_BLOCK; o++)
                    d[o] = vector_load(dy_vector + (size_t)o * chunk->dy_plane);
                for (int t = 0; t < TAPS; t++) {
                    vector value = vector_load(x_vector + (size_t)(t / 3) * row_step +
                                               (size_t)(t % 3) * tap_step);
                    IN_REGISTER(value);
                    for (int o = 0; o < GRADIENT_BLOCK; o++)
                        sum[t][o] += value * d[o];
                }
                x_vector += LANES;
                dy_vector += LANES;
            }
        }
    }
    for (int t = 0; t < TAPS; t++)
        for (int o = 0; o < GRADIENT_BLOCK; o++)
            sums[t][o] = vector_sum(sum[t][o]);
}

/* The block of `size` of `count` that begins at `start`, moved back where it would pass the end:
 * what it shares with the one before comes out the same twice. */
static int block_start(int start, int size, int count) {
    int last = count - size;
    return start <= last ? start : last > 0 ? last : 0;
}

/* dweight [out][in][tap] of a chunk. The taps of a tile are neighbours in the filter's in_channels
 * x taps elements: rows of one 3x3 filter, or, for 1x1 filters, input channels. */
static void chunk_gradient(float *dweight, const struct chunk *chunk, int in_channels,
                           int out_channels) {
    const struct geometry *g = chunk->geometry;
    int elements = in_channels * g->kernel * g->kernel;
    for (int i = 0; i < out_channels; i += GRADIENT_BLOCK)
        for (int j = 0; j < elements; j += TAPS) {
            float sums[TAPS][GRADIENT_BLOCK];
            int out = block_start(i, GRADIENT_BLOCK, out_channels);
            int first = block_start(j, TAPS, elements);
            const float *dy = chunk->dy + (size_t)out * chunk->dy_plane;
            if (g->kernel == 3)
                gradient_tile(sums, chunk,
                              chunk->x + (size_t)(first / 9) * g->plane + first % 9 / 3 * g->stride,
                              dy, (size_t)g->stride, 1);
            else
                gradient_tile(sums, chunk, chunk->x + (size_t)first * g->plane, dy, 3 * g->plane,
                              g->plane);
            for (int o = 0; o < GRADIENT_BLOCK && out + o < out_channels; o++)
                for (int t = 0; t < TAPS && first + t < elements; t++)
                    dweight[(out + o) * elements + first + t] = sums[t][o];
        }
}

/* ---- workspace ------------------------------------------------------------------------------- */

/* Floats of each part; a part is a multiple of 16 floats. */
struct layout {
    size_t packed;               /* filters in the order of use, shared by all threads */
    size_t padded, flat, spread; /* of one thread */
    size_t partial;              /* one chunk's weight gradient */
    int chunk; /* images whose weight gradients one thread sums: fixes the order of sums */
    int chunks;
    size_t total;
};

static size_t round_to(size_t count, size_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The geometry of dy as an input: the padding that makes its output as large as x. */
static struct geometry transposed_geometry(const struct geometry *g) {
    return geometry_of(g->out_height, g->out_width, g->kernel, g->kernel - 1 - g->padding);
}

static size_t spread_plane(const struct geometry *g) {
    size_t plane = (size_t)(g->vectors * LANES);
    return plane % 256 == 0 ? plane + 16 : plane;
}

/* Input planes of an image of a chunk: for 1x1 filters a multiple of a tile's taps; nothing uses
 * the sums over the last ones. */
static size_t input_planes(const struct conv_args *a) {
    return a->kernel == 1 ? round_to((size_t)a->in_channels, TAPS) : (size_t)a->in_channels;
}

/* Few enough images that a chunk of wide maps stays in the second-level cache, enough that the sums
 * over lanes at the end of a tile do not matter. */
static int chunk_images(const struct geometry *g) {
    int pixels = g->out_height * g->out_width, images = pixels > 0 ? 4096 / pixels : 0;
    return images < 4 ? 4 : images > 16 ? 16 : images;
}

static struct layout layout_of(const struct device *device, const struct conv_args *a) {
    struct geometry g = geometry_of(a->height, a->width, a->kernel, a->padding);
    struct geometry back = transposed_geometry(&g);
    size_t in = (size_t)a->in_channels, out = (size_t)a->out_channels;
    int taps = a->kernel * a->kernel, chunk = chunk_images(&g);
    struct layout l = {
        .packed = round_to(larger(packed_size(a->in_channels, a->out_channels, taps),
                                  packed_size(a->out_channels, a->in_channels, taps)),
                           16),
        .padded = round_to(larger(input_planes(a) * g.plane * (size_t)chunk, out * back.plane), 16),
        .flat = round_to(larger(out * (size_t)g.vectors, in * (size_t)back.vectors) * LANES, 16),
        .spread = round_to(round_to(out, GRADIENT_BLOCK) * spread_plane(&g) * (size_t)chunk, 16),
        .partial = round_to(in * out * (size_t)taps, 16),
        .chunk = chunk,
        .chunks = (a->batch + chunk - 1) / chunk,
    };
    l.total = l.packed + (size_t)device->threads * (l.padded + l.flat + l.spread) +
              (size_t)l.chunks * l.partial;
    return l;
}

size_t NAME(conv_workspace)(struct device *device, const struct conv_args *a) {
    return layout_of(device, a).total * sizeof(float);
}

/* ---- entries --------------------------------------------------------------------------------- */

static enum status check_kernel(struct error *error, const struct conv_args *a) {
    int smallest = a->height < a->width ? a->height : a->width;
    if ((a->kernel == 1 || a->kernel == 3) && a->padding >= 0 && a->padding < a->kernel &&
        smallest + 2 * a->padding >= a->kernel)
        return STATUS_OK;
    return error_set(
        error, STATUS_FAILED,
        "convolution: kernel %d with padding %d of a map of %d x %d; only kernels of 1 "
        "and 3 with less padding than they are wide, on maps not smaller, are there",
        a->kernel, a->padding, a->height, a->width);
}

/* Correlates each image of `from` with the packed filters into `to`, one image a task. */
static void correlate_batch(float *to, bool accumulate, const float *from, int batch, int channels,
                            int out_channels, const struct geometry *g, const struct layout *l,
                            float *workspace, int threads) {
    const float *packed = workspace;
    float *scratch = workspace + l->packed;
    bool in_place = reads_in_place(g);
    struct geometry used = *g;
    if (in_place)
        used.plane = (size_t)(g->height * g->width);
    size_t from_image = (size_t)(channels * g->height * g->width);
    size_t to_image = (size_t)(out_channels * g->out_height * g->out_width);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int n = 0; n < batch; n++) {
        float *padded = scratch + (size_t)omp_get_thread_num() * (l->padded + l->flat + l->spread);
        const float *image = from + (size_t)n * from_image;
        if (!in_place)
            pad_image(padded, image, channels, g);
        correlate(to + (size_t)n * to_image, accumulate, in_place ? image : padded, packed,
                  channels, out_channels, &used, padded + l->padded);
    }
}

enum status NAME(conv_forward)(struct error *error, struct device *device,
                               const struct conv_args *a) {
    if (check_kernel(error, a) != STATUS_OK)
        return error->status;
    struct geometry g = geometry_of(a->height, a->width, a->kernel, a->padding);
    struct layout l = layout_of(device, a);
    pack_forward(a->workspace, a->weight, a->in_channels, a->out_channels, a->kernel * a->kernel);
    correlate_batch(a->y, false, a->x, a->batch, a->in_channels, a->out_channels, &g, &l,
                    a->workspace, device->threads);
    return STATUS_OK;
}

/* The weight gradient of the images of one chunk into `partial`. Maps that need neither borders nor
 * whole tiles past the last channel are read where they are. */
static void backward_chunk(float *partial, const struct conv_args *a, int first,
                           const struct geometry *g, const struct layout *l, float *scratch) {
    size_t x_image = (size_t)(a->in_channels * a->height * a->width);
    size_t dy_image = (size_t)(a->out_channels * g->out_height * g->out_width);
    bool copy_x = !reads_in_place(g) || a->in_channels < TAPS;
    bool copy_dy = !g->in_rows || a->out_channels < GRADIENT_BLOCK;
    float *padded = scratch, *spreads = scratch + l->padded + l->flat;
    const float *x = a->x + (size_t)first * x_image, *dy = a->dy + (size_t)first * dy_image;
    struct geometry used = *g;
    if (!copy_x)
        used.plane = (size_t)(g->height * g->width);
    struct chunk chunk = {
        .images = a->batch - first < l->chunk ? a->batch - first : l->chunk,
        .x = copy_x ? padded + g->first : x,
        .dy = copy_dy ? spreads : dy,
        .x_image = copy_x ? input_planes(a) * g->plane : x_image,
        .dy_image = copy_dy ? round_to((size_t)a->out_channels, GRADIENT_BLOCK) * spread_plane(g)
                            : dy_image,
        .dy_plane = copy_dy ? spread_plane(g) : (size_t)(g->out_height * g->out_width),
        .geometry = &used,
    };
    for (int i = 0; i < chunk.images; i++, x += x_image, dy += dy_image) {
        if (copy_x)
            pad_image(padded + (size_t)i * chunk.x_image, x, a->in_channels, g);
        if (copy_dy)
            spread(spreads + (size_t)i * chunk.dy_image, chunk.dy_plane, dy, a->out_channels, g);
    }
    chunk_gradient(partial, &chunk, a->in_channels, a->out_channels);
}

static void weight_gradient(const struct conv_args *a, const struct geometry *g,
                            const struct layout *l, int threads) {
    size_t thread_floats = l->padded + l->flat + l->spread;
    float *all_scratch = (float *)a->workspace + l->packed;
    float *partials = all_scratch + (size_t)threads * thread_floats;
    int elements = a->in_channels * a->out_channels * a->kernel * a->kernel;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int c = 0; c < l->chunks; c++) {
        float *scratch = all_scratch + (size_t)omp_get_thread_num() * thread_floats;
        backward_chunk(partials + (size_t)c * l->partial, a, c * l->chunk, g, l, scratch);
    }
    memset(a->dweight, 0, (size_t)elements * sizeof(float));
    for (int c = 0; c < l->chunks; c++) {
        const float *restrict partial = partials + (size_t)c * l->partial;
        float *restrict dweight = a->dweight;
        for (int i = 0; i < elements; i++)
            dweight[i] += partial[i];
    }
}

enum status NAME(conv_backward)(struct error *error, struct device *device,
                                const struct conv_args *a) {
    if (check_kernel(error, a) != STATUS_OK)
        return error->status;
    struct geometry g = geometry_of(a->height, a->width, a->kernel, a->padding);
    struct layout l = layout_of(device, a);
    weight_gradient(a, &g, &l, device->threads);
    if (a->dx == NULL)
        return STATUS_OK;
    struct geometry back = transposed_geometry(&g);
    pack_transposed(a->workspace, a->weight, a->in_channels, a->out_channels,
                    a->kernel * a->kernel);
    correlate_batch(a->dx, a->accumulate, a->dy, a->batch, a->out_channels, a->in_channels, &back,
                    &l, a->workspace, device->threads);
    return STATUS_OK;
}
