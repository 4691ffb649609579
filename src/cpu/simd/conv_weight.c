/* conv_weight.c: the gradient of a convolution's weights: taps x channels are held in registers
 * while the loop runs over the pixels of a few images. The images of a chunk are summed by one
 * thread, the chunks in their order: the same bits for any number of threads. */
#include "cpu/simd/conv_layout.h"

#include <omp.h>

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

/* Where a block of `size` out of `count` begins: at `start`, or earlier if it would pass the end.
 * The overlap with the previous block is computed twice, with the same result. */
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

/* The weight gradient of the images of one chunk into `partial`. Maps that need neither borders nor
 * extra channels to fill a tile are read in place. */
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

void NAME(conv_weight_gradient)(const struct conv_args *a, const struct geometry *g,
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
