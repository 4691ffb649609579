/* winograd_weight.c: the gradient of 3x3 filters by Winograd's F(3x3, 2x2).
 *
 * The output is cut into tiles of 2x2 pixels; each depends on 4x4 inputs. With the matrices of
 * Lavin and Gray 2016, the gradient of a filter is G' [sum over tiles of (B' d B) o (A e A')] G,
 * where d is a tile of x and e the same tile of dy: the sum takes 16 multiplications for each tile
 * and pair of channels instead of 36.
 *
 * A lane is a channel. A block is a few rows of tiles of one image:
 *     x  -> rows   [row][column][channel], with zero borders
 *        -> v      [16][tile][channel]: B' d B
 *     dy -> rows   [row][column][out channel]
 *        -> e      [16][tile][out channel]: A dy A'
 *     sums         [16][channel][out channel] or [16][out channel][channel] += e and v, an outer
 *                  product for each tile: whichever side fills vectors better is held in lanes
 * The images of a chunk are summed by one thread, the chunks in their order: the same bits for any
 * number of threads. */
#include "cpu/simd/winograd.h"

#include <omp.h>

enum {
    POINTS = 16,                     /* products of a tile */
    BLOCK_TILES = 32,                /* about as many tiles are taken at once */
    LANE_VECTORS = 2,                /* of a block of sums in registers */
    BROADCAST = LANES == 16 ? 8 : 4, /* channels of the other side in that block */
};

/* One of the two maps while it is worked on. */
struct side {
    int channels;
    size_t lanes; /* channels rounded to whole vectors */
    size_t line;  /* [column][channel] */
    size_t rows;  /* floats of the rows of a block */
    size_t point; /* [tile][channel] */
};

/* How the maps are cut into blocks, and the parts of a thread's scratch memory, in floats. */
struct plan {
    int tile_rows, tile_columns; /* of a map */
    int block_rows;              /* tile rows of a block */
    struct side x, dy;
    bool x_in_lanes; /* of the sums */
    size_t sums_row, sums_point, sums;
    size_t scratch;
    int chunk, chunks; /* images of a chunk */
};

static struct side side_of(int channels, int columns, int rows, int tiles) {
    struct side side = {.channels = channels, .lanes = round_to((size_t)channels, LANES)};
    side.line = (size_t)columns * side.lanes;
    side.rows = round_to((size_t)rows * side.line, 16);
    /* 16 more: points a multiple of 4 KiB apart would share a few cache sets */
    side.point = round_to((size_t)tiles * side.lanes, 16) + 16;
    return side;
}

static struct plan plan_of(const struct conv_args *a, const struct geometry *g) {
    struct plan p = {.tile_rows = (g->out_height + 1) / 2, .tile_columns = (g->out_width + 1) / 2};
    int fit = BLOCK_TILES / p.tile_columns;
    p.block_rows = fit < 1 ? 1 : fit < p.tile_rows ? fit : p.tile_rows;
    int tiles = p.block_rows * p.tile_columns;
    p.x = side_of(a->in_channels, 2 * p.tile_columns + 2, 2 * p.block_rows + 2, tiles);
    p.dy = side_of(a->out_channels, 2 * p.tile_columns, 2 * p.block_rows, tiles);
    size_t in = (size_t)a->in_channels, out = (size_t)a->out_channels;
    p.x_in_lanes = p.x.lanes * out <= p.dy.lanes * in;
    p.sums_row = p.x_in_lanes ? p.x.lanes : p.dy.lanes;
    p.sums_point = (p.x_in_lanes ? out : in) * p.sums_row;
    p.sums = POINTS * p.sums_point;
    p.scratch = p.x.rows + p.dy.rows + POINTS * (p.x.point + p.dy.point);
    p.chunk = chunk_images(g);
    p.chunks = (a->batch + p.chunk - 1) / p.chunk;
    return p;
}

/* Measured for the networks' convolutions (bench/README.md). */
bool NAME(winograd_weight_pays)(const struct conv_args *a, const struct geometry *g) {
    return a->kernel == 3 && a->in_channels >= 16 && a->out_channels >= 16 && g->out_width > 1 &&
           g->out_height > 1;
}

size_t NAME(winograd_weight_workspace)(const struct conv_args *a, const struct geometry *g,
                                       int threads) {
    struct plan p = plan_of(a, g);
    return (size_t)threads * p.scratch + (size_t)p.chunks * p.sums;
}

/* ---- channels last --------------------------------------------------------------------------- */

/* 4 columns of 4 channels. */
static inline void transpose_quads(float *to, size_t pixel, const float *from, size_t plane) {
    quad a = quad_load(from), b = quad_load(from + plane);
    quad c = quad_load(from + 2 * plane), d = quad_load(from + 3 * plane);
    quad ab = SHUFFLE_QUADS(a, b, 0, 4, 1, 5), cd = SHUFFLE_QUADS(c, d, 0, 4, 1, 5);
    quad_store(to, SHUFFLE_QUADS(ab, cd, 0, 1, 4, 5));
    quad_store(to + pixel, SHUFFLE_QUADS(ab, cd, 2, 3, 6, 7));
    ab = SHUFFLE_QUADS(a, b, 2, 6, 3, 7), cd = SHUFFLE_QUADS(c, d, 2, 6, 3, 7);
    quad_store(to + 2 * pixel, SHUFFLE_QUADS(ab, cd, 0, 1, 4, 5));
    quad_store(to + 3 * pixel, SHUFFLE_QUADS(ab, cd, 2, 3, 6, 7));
}

/* to [column][channel] = from [channel][column]. */
static void transpose_row(float *to, const float *from, size_t plane, int width,
                          const struct side *side) {
    int c = 0;
    for (; c + 4 <= side->channels; c += 4, from += 4 * plane) {
        int column = 0;
        for (; column + 4 <= width; column += 4)
            transpose_quads(to + (size_t)column * side->lanes + c, side->lanes, from + column,
                            plane);
        for (; column < width; column++)
            for (int i = 0; i < 4; i++)
                to[(size_t)column * side->lanes + c + i] = from[(size_t)i * plane + column];
    }
    for (; c < side->channels; c++, from += plane)
        for (int column = 0; column < width; column++)
            to[(size_t)column * side->lanes + c] = from[column];
}

/* Rows first .. first + count of an image; rows outside are zero. The columns before `left` and
 * behind the map are zero already. */
static void fill_rows(float *to, const float *from, int first, int count, int left, int height,
                      int width, const struct side *side) {
    size_t plane = (size_t)(height * width);
    for (int row = first; row < first + count; row++, to += side->line) {
        float *inside = to + (size_t)left * side->lanes;
        if (row >= 0 && row < height)
            transpose_row(inside, from + row * width, plane, width, side);
        else
            clear_row(inside, (size_t)width * side->lanes);
    }
}

/* ---- transforms ------------------------------------------------------------------------------ */

/* B' of one column of 4 pixels. The last row has the opposite sign, here and in A: this saves a
 * negation. */
static inline void transform_column(vector to[4], const float *pixel, size_t line) {
    vector row0 = vector_load(pixel), row1 = vector_load(pixel + line);
    vector row2 = vector_load(pixel + 2 * line), row3 = vector_load(pixel + 3 * line);
    to[0] = row0 - row2;
    to[1] = row1 + row2;
    to[2] = row2 - row1;
    to[3] = row3 - row1;
}

/* v = B' d B of a row of tiles. Neighbouring tiles share two columns. */
static void transform_x(float *v, const float *rows, int tiles, const struct side *side) {
    for (size_t c = 0; c < side->lanes; c += LANES) {
        const float *pixel = rows + c;
        float *to = v + c;
        vector column0[4], column1[4];
        transform_column(column0, pixel, side->line);
        transform_column(column1, pixel + side->lanes, side->line);
        for (int t = 0; t < tiles; t++, to += side->lanes) {
            pixel += 2 * side->lanes;
            vector column2[4], column3[4];
            transform_column(column2, pixel, side->line);
            transform_column(column3, pixel + side->lanes, side->line);
            for (size_t i = 0; i < 4; i++) {
                float *row = to + 4 * i * side->point;
                vector_store(row, column0[i] - column2[i]);
                vector_store(row + side->point, column1[i] + column2[i]);
                vector_store(row + 2 * side->point, column2[i] - column1[i]);
                vector_store(row + 3 * side->point, column3[i] - column1[i]);
                column0[i] = column2[i];
                column1[i] = column3[i];
            }
        }
    }
}

/* e = A dy A' of a row of tiles. */
static void transform_dy(float *e, const float *rows, int tiles, const struct side *side) {
    for (int t = 0; t < tiles; t++)
        for (size_t c = 0; c < side->lanes; c += LANES) {
            const float *pixel = rows + 2 * (size_t)t * side->lanes + c;
            float *to = e + (size_t)t * side->lanes + c;
            vector column[2][4];
            for (int j = 0; j < 2; j++, pixel += side->lanes) {
                vector row0 = vector_load(pixel), row1 = vector_load(pixel + side->line);
                column[j][0] = row0;
                column[j][1] = row0 + row1;
                column[j][2] = row0 - row1;
                column[j][3] = row1;
            }
            for (size_t i = 0; i < 4; i++) {
                float *row = to + 4 * i * side->point;
                vector_store(row, column[0][i]);
                vector_store(row + side->point, column[0][i] + column[1][i]);
                vector_store(row + 2 * side->point, column[0][i] - column[1][i]);
                vector_store(row + 3 * side->point, column[1][i]);
            }
        }
}

/* ---- products -------------------------------------------------------------------------------- */

/* sums[broadcast][vectors of lanes] += the outer products of the tiles. Both counts are constants
 * at every call. */
static inline __attribute__((always_inline)) void
add_products(float *sums, size_t sums_row, const float *lanes, const struct side *lane_side,
             const float *other, const struct side *other_side, int tiles, int vectors, int count) {
    vector sum[BROADCAST][LANE_VECTORS];
    for (int i = 0; i < count; i++)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = vector_load(sums + (size_t)i * sums_row + j * LANES);
    for (int t = 0; t < tiles; t++, lanes += lane_side->lanes, other += other_side->lanes) {
        vector value[LANE_VECTORS];
        for (int j = 0; j < vectors; j++)
            value[j] = vector_load(lanes + j * LANES);
        for (int i = 0; i < count; i++)
            for (int j = 0; j < vectors; j++)
                sum[i][j] += value[j] * other[i];
    }
    for (int i = 0; i < count; i++)
        for (int j = 0; j < vectors; j++)
            vector_store(sums + (size_t)i * sums_row + j * LANES, sum[i][j]);
}

/* All channels of the other side with `vectors` vectors of lanes. */
static inline __attribute__((always_inline)) void
add_column(float *sums, size_t sums_row, const float *lanes, const struct side *lane_side,
           const float *other, const struct side *other_side, int tiles, int vectors) {
    int i = 0;
    for (; i + BROADCAST <= other_side->channels; i += BROADCAST)
        add_products(sums + (size_t)i * sums_row, sums_row, lanes, lane_side, other + i, other_side,
                     tiles, vectors, BROADCAST);
    for (; i + 4 <= other_side->channels; i += 4)
        add_products(sums + (size_t)i * sums_row, sums_row, lanes, lane_side, other + i, other_side,
                     tiles, vectors, 4);
    for (; i < other_side->channels; i++)
        add_products(sums + (size_t)i * sums_row, sums_row, lanes, lane_side, other + i, other_side,
                     tiles, vectors, 1);
}

static void add_block(float *sums, const float *v, const float *e, const struct plan *p,
                      int tiles) {
    const struct side *lane_side = p->x_in_lanes ? &p->x : &p->dy;
    const struct side *other_side = p->x_in_lanes ? &p->dy : &p->x;
    const float *lanes = p->x_in_lanes ? v : e, *other = p->x_in_lanes ? e : v;
    for (int point = 0; point < POINTS; point++) {
        size_t c = 0;
        for (; c + LANE_VECTORS * LANES <= lane_side->lanes; c += LANE_VECTORS * LANES)
            add_column(sums + c, p->sums_row, lanes + c, lane_side, other, other_side, tiles,
                       LANE_VECTORS);
        for (; c < lane_side->lanes; c += LANES)
            add_column(sums + c, p->sums_row, lanes + c, lane_side, other, other_side, tiles, 1);
        sums += p->sums_point;
        lanes += lane_side->point;
        other += other_side->point;
    }
}

/* ---- a chunk --------------------------------------------------------------------------------- */

static void add_image(float *sums, const float *x, const float *dy, const struct geometry *g,
                      const struct plan *p, float *scratch) {
    float *x_rows = scratch, *dy_rows = x_rows + p->x.rows;
    float *v = dy_rows + p->dy.rows, *e = v + POINTS * p->x.point;
    for (int first = 0; first < p->tile_rows; first += p->block_rows) {
        int count = p->tile_rows - first < p->block_rows ? p->tile_rows - first : p->block_rows;
        int kept = first == 0 ? 0 : 2; /* rows of the block before */
        if (kept > 0)
            memmove(x_rows, x_rows + 2 * (size_t)p->block_rows * p->x.line,
                    2 * p->x.line * sizeof(float));
        fill_rows(x_rows + (size_t)kept * p->x.line, x, 2 * first - g->padding + kept,
                  2 * count + 2 - kept, g->padding, g->height, g->width, &p->x);
        fill_rows(dy_rows, dy, 2 * first, 2 * count, 0, g->out_height, g->out_width, &p->dy);
        for (int row = 0; row < count; row++) {
            size_t tile = (size_t)(row * p->tile_columns);
            transform_x(v + tile * p->x.lanes, x_rows + 2 * (size_t)row * p->x.line,
                        p->tile_columns, &p->x);
            transform_dy(e + tile * p->dy.lanes, dy_rows + 2 * (size_t)row * p->dy.line,
                         p->tile_columns, &p->dy);
        }
        add_block(sums, v, e, p, count * p->tile_columns);
    }
}

static void add_chunk(float *sums, const struct conv_args *a, int first, const struct geometry *g,
                      const struct plan *p, float *scratch) {
    int end = a->batch - first < p->chunk ? a->batch : first + p->chunk;
    clear_row(sums, p->sums);
    clear_row(scratch, p->x.rows + p->dy.rows);
    for (int image = first; image < end; image++)
        add_image(sums, a->x + (size_t)image * (size_t)(a->in_channels * g->height * g->width),
                  a->dy + (size_t)image * (size_t)(a->out_channels * g->out_height * g->out_width),
                  g, p, scratch);
}

/* ---- filters --------------------------------------------------------------------------------- */

/* The sum of the chunks at one vector of filters, and G' sum G of it: taps [9]. */
static void transform_sums(vector taps[9], const float *sums, const struct plan *p) {
    vector m[POINTS];
    for (size_t point = 0; point < POINTS; point++) {
        m[point] = vector_load(sums + point * p->sums_point);
        for (int c = 1; c < p->chunks; c++)
            m[point] += vector_load(sums + (size_t)c * p->sums + point * p->sums_point);
    }
    vector rows[3][4];
    for (int j = 0; j < 4; j++) {
        vector sum = 0.5f * (m[4 + j] + m[8 + j]);
        rows[0][j] = m[j] + sum;
        rows[1][j] = 0.5f * (m[4 + j] - m[8 + j]);
        rows[2][j] = sum + m[12 + j];
    }
    for (int i = 0; i < 3; i++) {
        vector sum = 0.5f * (rows[i][1] + rows[i][2]);
        taps[3 * i] = rows[i][0] + sum;
        taps[3 * i + 1] = 0.5f * (rows[i][1] - rows[i][2]);
        taps[3 * i + 2] = sum + rows[i][3];
    }
}

/* dweight of the filters of one channel of the side that is not in lanes. */
static void write_filters(float *dweight, const float *sums, int other, const struct conv_args *a,
                          const struct plan *p) {
    int channels = p->x_in_lanes ? a->in_channels : a->out_channels;
    for (int c = 0; c < channels; c += LANES) {
        vector taps[9];
        transform_sums(taps, sums + (size_t)other * p->sums_row + c, p);
        for (int lane = 0; lane < LANES && c + lane < channels; lane++) {
            int out = p->x_in_lanes ? other : c + lane, in = p->x_in_lanes ? c + lane : other;
            for (int tap = 0; tap < 9; tap++)
                dweight[(out * a->in_channels + in) * 9 + tap] = taps[tap][lane];
        }
    }
}

void NAME(winograd_weight_gradient)(const struct conv_args *a, const struct geometry *g,
                                    int threads) {
    struct plan p = plan_of(a, g);
    float *all_scratch = a->workspace, *sums = all_scratch + (size_t)threads * p.scratch;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(dynamic)
        for (int c = 0; c < p.chunks; c++)
            add_chunk(sums + (size_t)c * p.sums, a, c * p.chunk, g, &p,
                      all_scratch + (size_t)omp_get_thread_num() * p.scratch);
#pragma omp for
        for (int other = 0; other < (p.x_in_lanes ? a->out_channels : a->in_channels); other++)
            write_filters(a->dweight, sums, other, a, &p);
    }
}
