/* winograd_weight.c: the gradient of 3x3 filters by Winograd's F(3x3, 4x4).
 *
 * The output is cut into tiles of 4x4 pixels; each depends on 6x6 inputs. With the matrices of
 * winograd_tiles.h, the gradient of a filter is G' [sum over tiles of (B' d B) o (A e A')] G, where
 * d is a tile of x and e the same tile of dy (Lavin and Gray 2016): the sum takes 36
 * multiplications for each tile and pair of channels instead of 144.
 *
 * A block is a few rows of tiles of one image, or several small images; a lane is a channel:
 *     x  -> rows   [row][column][channel], with zero borders
 *        -> v      [36][tile][channel]: B' d B
 *     dy -> rows   [row][column][out channel]
 *        -> e      [36][tile][out channel]: A dy A'
 *     sums         [36][out channel][channel] or [36][channel][out channel] += e and v, an outer
 *                  product for each tile: the side that fills vectors better is held in lanes
 * The images of a chunk are summed by one thread, the chunks in their order: the same bits for any
 * number of threads. */
#include "cpu/simd/winograd_tiles.h"

#include <omp.h>

/* How the maps are cut into blocks, and the parts of a thread's scratch memory, in floats. */
struct plan {
    struct blocks blocks;
    struct side x, dy;
    bool x_in_lanes; /* of the sums */
    int rows;        /* channels of the other side */
    size_t sums_row, sums_point, sums;
    size_t partial; /* the sums' filters, [9][row][lanes], of one chunk */
    size_t columns, scratch;
    int chunk, chunks; /* images of a chunk */
};

static struct plan plan_of(const struct conv_args *a, const struct geometry *g) {
    struct plan p = {.blocks = blocks_of(g)};
    const struct blocks *b = &p.blocks;
    p.x = side_of(a->in_channels, TILE * b->tile_columns + 2, TILE * b->rows + 2, b->tiles);
    p.dy = side_of(a->out_channels, TILE * b->tile_columns, TILE * b->rows, b->tiles);
    p.x_in_lanes = p.x.lanes * (size_t)a->out_channels <= p.dy.lanes * (size_t)a->in_channels;
    p.rows = p.x_in_lanes ? a->out_channels : a->in_channels;
    p.sums_row = p.x_in_lanes ? p.x.lanes : p.dy.lanes;
    p.sums_point = (size_t)p.rows * p.sums_row;
    p.sums = round_to(POINTS * p.sums_point, 16);
    p.partial = round_to(9 * p.sums_point, 16);
    p.columns = round_to(SPAN * p.x.line, 16);
    p.scratch = p.x.rows + p.columns + p.dy.rows + POINTS * (p.x.point + p.dy.point) + p.sums;
    p.chunk = chunk_images(g);
    p.chunks = (a->batch + p.chunk - 1) / p.chunk;
    return p;
}

/* Measured for the networks' convolutions (bench/README.md). */
bool NAME(winograd_weight_pays)(const struct conv_args *a, const struct geometry *g) {
    return a->kernel == 3 && fills_lanes(a->in_channels) && fills_lanes(a->out_channels) &&
           g->out_width > 1 && g->out_height > 1;
}

size_t NAME(winograd_weight_workspace)(const struct conv_args *a, const struct geometry *g,
                                       int threads) {
    struct plan p = plan_of(a, g);
    return (size_t)threads * p.scratch + (size_t)p.chunks * p.partial;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* A of 4 values. */
static inline void spread_values(vector to[SPAN], const vector y[TILE]) {
    vector even = y[0] + y[2], odd = y[1] + y[3];
    to[0] = y[0];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = y[0] + 0.5f * y[1] + 0.25f * y[2] + 0.125f * y[3];
    to[4] = y[0] - 2 * y[1] + 4 * y[2] - 8 * y[3];
    to[5] = y[3];
}

/* e = A dy A' of a row of tiles. */
static void transform_gradient(float *e, const float *rows, int tiles, const struct side *side) {
    for (int t = 0; t < tiles; t++)
        for (size_t c = 0; c < side->lanes; c += LANES) {
            const float *pixel = rows + (size_t)(TILE * t) * side->lanes + c;
            float *to = e + (size_t)t * side->lanes + c;
            vector columns[SPAN][TILE];
            for (size_t j = 0; j < TILE; j++) {
                vector pixels[TILE], column[SPAN];
                for (size_t i = 0; i < TILE; i++)
                    pixels[i] = vector_load(pixel + i * side->line + j * side->lanes);
                spread_values(column, pixels);
                for (int i = 0; i < SPAN; i++)
                    columns[i][j] = column[i];
            }
            for (size_t i = 0; i < SPAN; i++) {
                vector values[SPAN];
                spread_values(values, columns[i]);
                for (size_t j = 0; j < SPAN; j++)
                    vector_store(to + (SPAN * i + j) * side->point, values[j]);
            }
        }
}

static void add_block(float *sums, const float *v, const float *e, const struct plan *p,
                      int tiles) {
    const struct side *lane_side = p->x_in_lanes ? &p->x : &p->dy;
    const struct side *other_side = p->x_in_lanes ? &p->dy : &p->x;
    const float *lanes = p->x_in_lanes ? v : e, *other = p->x_in_lanes ? e : v;
    const struct product product = {.sums_row = p->sums_row,
                                    .lanes_term = lane_side->lanes,
                                    .factor_row = 1,
                                    .factor_term = other_side->lanes,
                                    .terms = tiles};
    for (int point = 0; point < POINTS; point++) {
        multiply(sums, lanes, other, &product, true, p->rows, p->sums_row);
        sums += p->sums_point;
        lanes += lane_side->point;
        other += other_side->point;
    }
}

/* `images` maps from x and dy on, tile rows from `tile_row` on. */
static void add_maps(float *sums, const float *x, const float *dy, int images, int tile_row,
                     const struct conv_args *a, const struct geometry *g, const struct plan *p,
                     float *scratch) {
    const struct blocks *b = &p->blocks;
    float *x_rows = scratch, *columns = x_rows + p->x.rows, *dy_rows = columns + p->columns;
    float *v = dy_rows + p->dy.rows, *e = v + POINTS * p->x.point;
    int count = b->tile_rows - tile_row < b->rows ? b->tile_rows - tile_row : b->rows, tile = 0;
    const struct window x_window = {TILE * tile_row - g->padding, TILE * count + 2, g->padding,
                                    g->height, g->width};
    const struct window dy_window = {TILE * tile_row, TILE * count, 0, g->out_height, g->out_width};
    for (int i = 0; i < images; i++) {
        gather(x_rows, x, &x_window, &p->x);
        gather(dy_rows, dy, &dy_window, &p->dy);
        for (size_t row = 0; row < (size_t)count; row++, tile += b->tile_columns) {
            transform_input(v + (size_t)tile * p->x.lanes, x_rows + TILE * row * p->x.line,
                            b->tile_columns, &p->x, columns);
            transform_gradient(e + (size_t)tile * p->dy.lanes, dy_rows + TILE * row * p->dy.line,
                               b->tile_columns, &p->dy);
        }
        x += a->in_channels * g->height * g->width;
        dy += a->out_channels * g->out_height * g->out_width;
    }
    add_block(sums, v, e, p, tile);
}

/* ---- filters --------------------------------------------------------------------------------- */

/* G' of 6 values. */
static inline void transform_values(vector to[3], const vector m[SPAN]) {
    vector sum = (m[1] + m[2]) * (1 / 3.0f), difference = (m[1] - m[2]) * (1 / 3.0f);
    vector large = m[3] * (-4 / 15.0f), small = m[4] * (1 / 15.0f);
    to[0] = m[0] + difference + (4 * large + small);
    to[1] = sum + (2 * large - 2 * small);
    to[2] = difference + (large + 4 * small) + m[5];
}

/* partial [9][row][lanes] = G' sums G. */
static void transform_sums(float *partial, const float *sums, const struct plan *p) {
    for (size_t at = 0; at < p->sums_point; at += LANES) {
        vector columns[3][SPAN];
        for (size_t j = 0; j < SPAN; j++) {
            vector values[SPAN], column[3];
            for (size_t i = 0; i < SPAN; i++)
                values[i] = vector_load(sums + (SPAN * i + j) * p->sums_point + at);
            transform_values(column, values);
            for (int i = 0; i < 3; i++)
                columns[i][j] = column[i];
        }
        for (size_t i = 0; i < 3; i++) {
            vector taps[3];
            transform_values(taps, columns[i]);
            for (size_t j = 0; j < 3; j++)
                vector_store(partial + (3 * i + j) * p->sums_point + at, taps[j]);
        }
    }
}

static void sum_chunk(float *partial, const struct conv_args *a, int first,
                      const struct geometry *g, const struct plan *p, float *scratch) {
    const struct blocks *b = &p->blocks;
    float *sums = scratch + p->scratch - p->sums;
    int end = a->batch - first < p->chunk ? a->batch : first + p->chunk;
    clear_row(scratch, p->scratch);
    for (int image = first; image < end; image += b->images) {
        const float *x = a->x + (size_t)image * (size_t)(a->in_channels * g->height * g->width);
        const float *dy =
            a->dy + (size_t)image * (size_t)(a->out_channels * g->out_height * g->out_width);
        int images = end - image < b->images ? end - image : b->images;
        for (int row = 0; row < b->tile_rows; row += b->rows)
            add_maps(sums, x, dy, images, row, a, g, p, scratch);
    }
    transform_sums(partial, sums, p);
}

/* dweight of the filters of one channel of the side that is not in lanes: the sum of the chunks. */
static void write_filters(float *dweight, const float *partials, int row, const struct conv_args *a,
                          const struct plan *p) {
    int channels = p->x_in_lanes ? a->in_channels : a->out_channels;
    for (int c = 0; c < channels; c += LANES)
        for (size_t tap = 0; tap < 9; tap++) {
            const float *from =
                partials + tap * p->sums_point + (size_t)row * p->sums_row + (size_t)c;
            vector sum = {0};
            for (int i = 0; i < p->chunks; i++)
                sum += vector_load(from + (size_t)i * p->partial);
            for (int lane = 0; lane < LANES && c + lane < channels; lane++) {
                int out = p->x_in_lanes ? row : c + lane, in = p->x_in_lanes ? c + lane : row;
                dweight[(out * a->in_channels + in) * 9 + (int)tap] = sum[lane];
            }
        }
}

void NAME(winograd_weight_gradient)(const struct conv_args *a, const struct geometry *g,
                                    int threads) {
    struct plan p = plan_of(a, g);
    float *all_scratch = a->workspace, *partials = all_scratch + (size_t)threads * p.scratch;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(dynamic)
        for (int c = 0; c < p.chunks; c++)
            sum_chunk(partials + (size_t)c * p.partial, a, c * p.chunk, g, &p,
                      all_scratch + (size_t)omp_get_thread_num() * p.scratch);
#pragma omp for
        for (int row = 0; row < p.rows; row++)
            write_filters(a->dweight, partials, row, a, &p);
    }
}
