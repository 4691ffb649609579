/* winograd_tiles.h: what the Winograd passes share: maps with the channels last, the transform of
 * 6x6 pixels, and the products.
 *
 * The matrices are those of Toom and Cook for the points 0, 1, -1, 1/2, -2 and infinity. With 2 and
 * -1/2 or 1/2 and -2 errors are half as large as with 2 and -2 (Barabasz et al. 2018). */
#ifndef WINOGRAD_TILES_H
#define WINOGRAD_TILES_H

#include "cpu/simd/winograd.h"

enum {
    TILE = 4,             /* a tile has 4x4 pixels of the output */
    SPAN = TILE + 2,      /* and depends on 6x6 of the input */
    POINTS = SPAN * SPAN, /* products of a tile */
    AHEAD = 2,            /* rows fetched in advance */
    BLOCK_TILES = 32,     /* about as many tiles are worked on at once */
    LANE_VECTORS = 2,     /* of a block of sums in registers */
    ROWS = LANES == 16  ? 8
           : LANES == 8 ? 6
                        : 4, /* of that block */
};

/* A map while it is worked on, in floats. A lane is a channel. */
struct side {
    int channels;
    size_t lanes; /* channels rounded to whole vectors */
    size_t line;  /* one row: [column][channel] */
    size_t rows;  /* those of a block, of one image */
    size_t point; /* [tile][channel] */
};

static inline struct side side_of(int channels, int columns, int rows, int tiles) {
    struct side side = {.channels = channels, .lanes = round_to((size_t)channels, LANES)};
    side.line = (size_t)columns * side.lanes;
    side.rows = round_to((size_t)rows * side.line, 16);
    /* 16 more: points a multiple of 4 KiB apart would share a few cache sets */
    side.point = round_to((size_t)tiles * side.lanes, 16) + 16;
    return side;
}

/* Whether a pass pays for maps of so many channels: enough of them, and more than half of the lanes in
 * use. Measured for the 3x3 convolutions of the networks (bench/README.md). */
static inline bool fills_lanes(int channels) {
    return channels >= 8 && 2 * channels > LANES;
}

/* How maps are cut into blocks of tiles. */
struct blocks {
    int tile_rows, tile_columns; /* of a map */
    int rows;                    /* tile rows of a block */
    int images;                  /* of a block; more than one only if it holds whole maps */
    int tiles;                   /* of a block */
    int of_map;                  /* blocks */
};

static inline struct blocks blocks_of(const struct geometry *g) {
    int rows = (g->out_height + TILE - 1) / TILE, columns = (g->out_width + TILE - 1) / TILE;
    int fit = BLOCK_TILES / columns;
    struct blocks b = {.tile_rows = rows, .tile_columns = columns};
    b.rows = fit < 1 ? 1 : fit < rows ? fit : rows;
    b.images = b.rows < rows ? 1 : (BLOCK_TILES + rows * columns - 1) / (rows * columns);
    b.tiles = b.images * b.rows * columns;
    b.of_map = (rows + b.rows - 1) / b.rows;
    return b;
}

/* ---- channels last --------------------------------------------------------------------------- */

/* One row of 4 channels, `plane` floats apart, to [column][lanes]. */
static inline void gather_row(float *to, const float *from, size_t plane, int width, size_t lanes) {
    int column = 0;
    for (; column + LANES <= width; column += LANES, from += LANES, to += LANES * lanes) {
        vector columns[4]; /* quad q of columns[i] is column 4 * q + i */
        transpose_quads(columns, vector_load(from), vector_load(from + plane),
                        vector_load(from + 2 * plane), vector_load(from + 3 * plane));
        for (size_t i = 0; i < 4; i++)
            store_quads(to + i * lanes, 4 * lanes, columns[i]);
    }
    for (; LANES == 16 && column + 4 <= width; column += 4, from += 4, to += 4 * lanes)
        store_quads(to, lanes, transpose_square(load_quads(from, plane)));
    for (; column < width; column++, from++, to += lanes)
        for (size_t i = 0; i < 4; i++)
            to[i] = from[i * plane];
}

/* The part of an image that a block works on: rows first ... first + count, of which those outside
 * of the image are zero. */
struct window {
    int first, count, left; /* columns before the image */
    int height, width;      /* of the image */
};

/* Those rows of `side->channels` maps to [row][column][channel]. The columns beside the image are
 * zero already. */
static inline void gather(float *to, const float *from, const struct window *w,
                          const struct side *side) {
    size_t plane = (size_t)(w->height * w->width);
    to += (size_t)w->left * side->lanes;
    for (int row = w->first; row < w->first + w->count; row++, to += side->line) {
        if (row < 0 || row >= w->height) {
            clear_row(to, (size_t)w->width * side->lanes);
            continue;
        }
        const float *pixels = from + row * w->width;
        int c = 0;
        for (; c + 4 <= side->channels; c += 4, pixels += 4 * plane) {
            for (size_t i = 0; i < 4; i++) /* the hardware does not foresee rows of other maps */
                for (int column = 0; column < w->width; column += 16)
                    __builtin_prefetch(pixels + i * plane + AHEAD * w->width + column);
            gather_row(to + c, pixels, plane, w->width, side->lanes);
        }
        for (; c < side->channels; c++, pixels += plane)
            for (int column = 0; column < w->width; column++)
                to[(size_t)column * side->lanes + (size_t)c] = pixels[column];
    }
}

/* ---- transforms ------------------------------------------------------------------------------ */

/* B' of 6 pixels that lie `step` floats apart. */
static inline __attribute__((always_inline)) void transform_pixels(vector to[SPAN],
                                                                   const float *from, size_t step) {
    vector d[SPAN];
    for (size_t i = 0; i < SPAN; i++)
        d[i] = vector_load(from + i * step);
    vector q = d[3] - d[1], p = d[4] - d[2];
    vector z0 = d[2] - d[0] + 1.5f * d[1], z1 = q + 1.5f * d[2];
    vector z2 = p + 1.5f * d[3], z3 = d[5] - d[3] + 1.5f * d[4];
    to[0] = z2 - z0;
    to[1] = z2 + z1;
    to[2] = z2 - z1;
    to[3] = p + 2 * q;
    to[4] = p - 0.5f * q;
    to[5] = z3 - z1;
}

/* v [36][tile][channel] = B' d B of a row of tiles. `columns` has room for 6 * line floats. */
static inline void transform_input(float *v, const float *rows, int tiles, const struct side *side,
                                   float *columns) {
    size_t width = (size_t)(TILE * tiles + 2) * side->lanes;
    for (size_t at = 0; at < width; at += LANES) {
        vector d[SPAN];
        transform_pixels(d, rows + at, side->line);
        for (size_t i = 0; i < SPAN; i++)
            vector_store(columns + i * side->line + at, d[i]);
    }
    for (size_t i = 0; i < SPAN; i++)
        for (int t = 0; t < tiles; t++)
            for (size_t c = 0; c < side->lanes; c += LANES) {
                size_t tile = (size_t)t * side->lanes;
                vector d[SPAN];
                transform_pixels(d, columns + i * side->line + TILE * tile + c, side->lanes);
                for (size_t j = 0; j < SPAN; j++)
                    vector_store(v + (SPAN * i + j) * side->point + tile + c, d[j]);
            }
}

/* ---- products -------------------------------------------------------------------------------- */

/* sums [row][lanes] = or += the sum over `terms` of factor[row] * lanes: a product of matrices. */
struct product {
    size_t sums_row;
    size_t lanes_term;              /* from term to term, in floats */
    size_t factor_row, factor_term; /* one of them is 1 */
    int terms;
    bool add;
};

/* `rows` x `vectors` of it in registers. The last three and p->add are constants at every call. */
static inline __attribute__((always_inline)) void multiply_block(float *sums, const float *lanes,
                                                                 const float *factor,
                                                                 const struct product *p, bool add,
                                                                 int rows, int vectors) {
    vector sum[ROWS][LANE_VECTORS], zero = {0};
    IN_REGISTER(zero); /* else the compiler clears the sums in memory first */
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = add ? vector_load(sums + (size_t)i * p->sums_row + j * LANES) : zero;
#pragma GCC unroll 4
    for (int t = 0; t < p->terms; t++, lanes += p->lanes_term, factor += p->factor_term) {
        vector value[LANE_VECTORS];
        for (int j = 0; j < vectors; j++)
            value[j] = vector_load(lanes + j * LANES);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++)
                sum[i][j] += value[j] * factor[(size_t)i * p->factor_row];
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            vector_store(sums + (size_t)i * p->sums_row + j * LANES, sum[i][j]);
}

static inline __attribute__((always_inline)) void multiply_rows(float *sums, const float *lanes,
                                                                const float *factor,
                                                                const struct product *p, bool add,
                                                                int rows, int vectors) {
    int i = 0;
    for (; i + ROWS <= rows; i += ROWS, sums += ROWS * p->sums_row, factor += ROWS * p->factor_row)
        multiply_block(sums, lanes, factor, p, add, ROWS, vectors);
    for (; i + 4 <= rows; i += 4, sums += 4 * p->sums_row, factor += 4 * p->factor_row)
        multiply_block(sums, lanes, factor, p, add, 4, vectors);
    for (; i < rows; i++, sums += p->sums_row, factor += p->factor_row)
        multiply_block(sums, lanes, factor, p, add, 1, vectors);
}

/* All `rows` and `width` lanes. */
static inline __attribute__((always_inline)) void multiply(float *sums, const float *lanes,
                                                           const float *factor,
                                                           const struct product *p, bool add,
                                                           int rows, size_t width) {
    size_t c = 0;
    for (; c + LANE_VECTORS * LANES <= width; c += LANE_VECTORS * LANES)
        multiply_rows(sums + c, lanes + c, factor, p, add, rows, LANE_VECTORS);
    for (; c < width; c += LANES)
        multiply_rows(sums + c, lanes + c, factor, p, add, rows, 1);
}

#endif
