/* conv_layout.h: what conv.c and conv_weight.c share: how maps lie in memory while they are worked
 * on, and how the workspace is divided. */
#ifndef CONV_LAYOUT_H
#define CONV_LAYOUT_H

#include "cpu/simd/variant.h"

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
    bool in_rows; /* vectors lie in rows: together they are the output map */
    int vectors;  /* of one output map */
};

static inline struct geometry geometry_of(int height, int width, int kernel, int padding) {
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

/* Whether maps are read in place: there is nothing to pad, and no vector passes the end. */
static inline bool reads_in_place(const struct geometry *g) {
    return g->kernel == 1 && g->padding == 0 && g->in_rows;
}

/* Short rows are copied in line: a call of memcpy would cost more than the row. */
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
static inline void pad_image(float *padded, const float *x, int channels,
                             const struct geometry *g) {
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

/* ---- workspace ------------------------------------------------------------------------------- */

/* Filters in the order of use: packed[out / OUT_BLOCK][in][tap][OUT_BLOCK], zeros past the last
 * channel. */
static inline size_t packed_size(int in_channels, int out_channels, int taps) {
    return (size_t)((out_channels + OUT_BLOCK - 1) / OUT_BLOCK) * (size_t)(in_channels * taps) *
           OUT_BLOCK;
}

/* Floats of each part; a part is a multiple of 16 floats. */
struct layout {
    size_t packed;               /* filters in the order of use, shared by all threads */
    size_t padded, flat, spread; /* of one thread */
    size_t partial;              /* one chunk's weight gradient */
    int chunk; /* images whose weight gradients one thread sums: fixes the order of sums */
    int chunks;
    size_t total;
};

static inline size_t round_to(size_t count, size_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

static inline size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The geometry of dy as an input: the padding that makes its output as large as x. */
static inline struct geometry transposed_geometry(const struct geometry *g) {
    return geometry_of(g->out_height, g->out_width, g->kernel, g->kernel - 1 - g->padding);
}

static inline size_t spread_plane(const struct geometry *g) {
    size_t plane = (size_t)(g->vectors * LANES);
    return plane % 256 == 0 ? plane + 16 : plane;
}

/* Input planes of an image of a chunk: for 1x1 filters a multiple of a tile's taps; the sums over
 * the extra planes are not used. */
static inline size_t input_planes(const struct conv_args *a) {
    return a->kernel == 1 ? round_to((size_t)a->in_channels, TAPS) : (size_t)a->in_channels;
}

/* Few enough images that a chunk of wide maps stays in the second-level cache, enough that the sums
 * over lanes at the end of a tile do not matter. */
static inline int chunk_images(const struct geometry *g) {
    int pixels = g->out_height * g->out_width, images = pixels > 0 ? 4096 / pixels : 0;
    return images < 4 ? 4 : images > 16 ? 16 : images;
}

static inline struct layout layout_of(const struct device *device, const struct conv_args *a) {
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

/* a->dweight from a->x and a->dy (conv_weight.c). */
void NAME(conv_weight_gradient)(const struct conv_args *a, const struct geometry *g,
                                const struct layout *l, int threads);

#endif
