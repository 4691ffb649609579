/* winograd.c: 3x3 correlation by Winograd's F(4x4, 3x3), forward and backward to x.
 *
 * The output is cut into tiles of 4x4 pixels; each depends on 6x6 inputs. With the matrices of
 * winograd_tiles.h, Y = A' [sum over channels of (G g G') o (B' d B)] A (Lavin and Gray 2016): the
 * sum takes 36 multiplications for each tile and pair of channels instead of 144.
 *
 * A block of tiles is taken at a time, of one map or of several small ones; a lane is a channel:
 *     x -> rows   [row][column][channel], with zero borders
 *       -> v      [36][tile][channel]: B' d B
 *       -> m      [36][tile][out channel]: 36 matrix products with the filters
 *       -> rows   [row][column][out channel]: A' m A
 *       -> y
 * Every block is computed by one thread: the same bits for any number of threads. */
#include "cpu/simd/winograd_tiles.h"

#include <omp.h>

/* How maps are cut into blocks, and the parts of a thread's scratch memory, in floats. */
struct plan {
    struct blocks blocks;
    struct side x, y;
    size_t columns, scratch;
    size_t packed_point, packed; /* [in][out channel], [36] */
};

static struct plan plan_of(const struct winograd_job *job) {
    struct plan p = {.blocks = blocks_of(&job->g)};
    const struct blocks *b = &p.blocks;
    p.x = side_of(job->channels, TILE * b->tile_columns + 2, TILE * b->rows + 2, b->tiles);
    p.y = side_of(job->out_channels, TILE * b->tile_columns, TILE * b->rows, b->tiles);
    p.columns = round_to(SPAN * p.x.line, 16);
    p.scratch = p.x.rows + p.columns + POINTS * p.x.point + p.y.rows + POINTS * p.y.point;
    p.packed_point = (size_t)job->channels * p.y.lanes;
    p.packed = round_to(POINTS * p.packed_point, 16);
    return p;
}

/* Measured for the 3x3 convolutions of the networks (bench/README.md). */
bool NAME(winograd_pays)(const struct winograd_job *job) {
    return job->g.kernel == 3 && fills_lanes(job->channels) && fills_lanes(job->out_channels) &&
           job->g.out_width > 1 && job->g.out_height > 1;
}

size_t NAME(winograd_workspace)(const struct winograd_job *job, int threads) {
    struct plan p = plan_of(job);
    return p.packed + (size_t)threads * p.scratch;
}

/* ---- filters --------------------------------------------------------------------------------- */

/* G of 3 taps. */
static inline void transform_taps(vector to[SPAN], vector a, vector b, vector c) {
    vector outer = (a + c) / 3, middle = b / 3;
    to[0] = a;
    to[1] = outer + middle;
    to[2] = middle - outer;
    to[3] = -(16 * a + 8 * b + 4 * c) / 15;
    to[4] = (a - 2 * b + 4 * c) / 15;
    to[5] = c;
}

/* u [36], each `point` floats apart, = G g G' of the filters in the lanes. */
static void transform_filters(float *u, size_t point, const vector tap[9]) {
    vector columns[3][SPAN];
    for (int j = 0; j < 3; j++)
        transform_taps(columns[j], tap[j], tap[3 + j], tap[6 + j]);
    for (size_t i = 0; i < SPAN; i++) {
        vector row[SPAN];
        transform_taps(row, columns[0][i], columns[1][i], columns[2][i]);
        for (size_t j = 0; j < SPAN; j++)
            vector_store(u + (SPAN * i + j) * point, row[j]);
    }
}

/* Filters in the order of use: [36][in][out channel], zeros past the last channel. */
static void pack(float *packed, const float *weight, bool transposed,
                 const struct winograd_job *job, const struct plan *p) {
    int in = job->channels, out = job->out_channels;
    for (int i = 0; i < in; i++)
        for (int first = 0; first < out; first += LANES, packed += LANES) {
            vector taps[9] = {{0}};
            for (int lane = 0; lane < LANES && first + lane < out; lane++) {
                int o = first + lane;
                const float *filter = weight + (transposed ? i * out + o : o * in + i) * 9;
                for (int tap = 0; tap < 9; tap++)
                    taps[tap][lane] = filter[transposed ? 8 - tap : tap];
            }
            transform_filters(packed, p->packed_point, taps);
        }
}

/* ---- output ---------------------------------------------------------------------------------- */

/* A' of 6 values. */
static inline void transform_values(vector to[TILE], const vector m[SPAN]) {
    vector sum = m[1] + m[2], difference = m[1] - m[2];
    to[0] = m[0] + sum + (m[3] + m[4]);
    to[1] = difference + 0.5f * m[3] - 2 * m[4];
    to[2] = sum + 0.25f * m[3] + 4 * m[4];
    to[3] = difference + 0.125f * m[3] - 8 * m[4] + m[5];
}

/* rows = A' m A of a row of tiles. */
static void transform_output(float *rows, const float *m, int tiles, const struct side *side) {
    for (int t = 0; t < tiles; t++)
        for (size_t c = 0; c < side->lanes; c += LANES) {
            const float *from = m + (size_t)t * side->lanes + c;
            float *to = rows + (size_t)(TILE * t) * side->lanes + c;
            vector columns[TILE][SPAN];
            for (size_t j = 0; j < SPAN; j++) {
                vector values[SPAN], column[TILE];
                for (size_t i = 0; i < SPAN; i++)
                    values[i] = vector_load(from + (SPAN * i + j) * side->point);
                transform_values(column, values);
                for (int i = 0; i < TILE; i++)
                    columns[i][j] = column[i];
            }
            for (size_t i = 0; i < TILE; i++) {
                vector pixels[TILE];
                transform_values(pixels, columns[i]);
                for (size_t j = 0; j < TILE; j++)
                    vector_store(to + i * side->line + j * side->lanes, pixels[j]);
            }
        }
}

/* One row of 4 channels from [column][lanes], (+)= y. */
static inline __attribute__((always_inline)) void
scatter_row(float *y, const float *from, size_t plane, int width, size_t lanes, bool accumulate) {
    int column = 0;
    for (; column + LANES <= width; column += LANES, from += LANES * lanes, y += LANES) {
        vector channels[4];
        transpose_quads(channels, load_quads(from, 4 * lanes), load_quads(from + lanes, 4 * lanes),
                        load_quads(from + 2 * lanes, 4 * lanes),
                        load_quads(from + 3 * lanes, 4 * lanes));
        for (size_t i = 0; i < 4; i++)
            vector_store(y + i * plane,
                         accumulate ? vector_load(y + i * plane) + channels[i] : channels[i]);
    }
    for (; LANES == 16 && column + 4 <= width; column += 4, from += 4 * lanes, y += 4) {
        vector channels = transpose_square(load_quads(from, lanes));
        store_quads(y, plane, accumulate ? load_quads(y, plane) + channels : channels);
    }
    for (; column < width; column++, from += lanes, y++)
        for (size_t i = 0; i < 4; i++)
            y[i * plane] = accumulate ? y[i * plane] + from[i] : from[i];
}

/* Rows of all channels, [row][column][channel], to output rows `first` on. */
static void scatter(float *y, const float *rows, int first, int count, bool accumulate,
                    const struct geometry *g, const struct side *side) {
    size_t plane = (size_t)(g->out_height * g->out_width);
    int end = first + count < g->out_height ? first + count : g->out_height;
    for (int c = 0; c < side->channels; c += 4, y += 4 * plane) {
        const float *line = rows + c;
        for (int row = first; row < end; row++, line += side->line) {
            float *pixels = y + row * g->out_width;
            if (c + 4 > side->channels)
                for (int i = 0; i < side->channels - c; i++)
                    for (int column = 0; column < g->out_width; column++) {
                        float value = line[(size_t)column * side->lanes + (size_t)i];
                        float *to = pixels + (size_t)i * plane + column;
                        *to = accumulate ? *to + value : value;
                    }
            else if (accumulate)
                scatter_row(pixels, line, plane, g->out_width, side->lanes, true);
            else
                scatter_row(pixels, line, plane, g->out_width, side->lanes, false);
        }
    }
}

/* ---- a block --------------------------------------------------------------------------------- */

static void multiply_points(float *m, const float *v, const float *packed, int tiles,
                            const struct winograd_job *job, const struct plan *p) {
    const struct product product = {.sums_row = p->y.lanes,
                                    .lanes_term = p->y.lanes,
                                    .factor_row = p->x.lanes,
                                    .factor_term = 1,
                                    .terms = job->channels};
    for (int point = 0; point < POINTS; point++) {
        multiply(m, packed, v, &product, false, tiles, p->y.lanes);
        m += p->y.point;
        v += p->x.point;
        packed += p->packed_point;
    }
}

/* Maps from `image` on, tile rows from `tile_row` on. */
static void correlate_block(float *y, bool accumulate, const float *x, const float *packed,
                            int image, int tile_row, const struct winograd_job *job,
                            const struct plan *p, float *scratch) {
    const struct geometry *g = &job->g;
    const struct blocks *b = &p->blocks;
    size_t x_map = (size_t)(job->channels * g->height * g->width);
    size_t y_map = (size_t)(job->out_channels * g->out_height * g->out_width);
    float *x_rows = scratch, *columns = x_rows + p->x.rows;
    float *v = columns + p->columns, *m = v + POINTS * p->x.point;
    float *y_rows = m + POINTS * p->y.point;
    int images = job->batch - image < b->images ? job->batch - image : b->images;
    int count = b->tile_rows - tile_row < b->rows ? b->tile_rows - tile_row : b->rows;
    const struct window window = {TILE * tile_row - g->padding, TILE * count + 2, g->padding,
                                  g->height, g->width};
    size_t tile_lines = (size_t)count * (size_t)b->tile_columns;
    clear_row(x_rows, p->x.rows);
    for (int i = 0; i < images; i++) {
        gather(x_rows, x + (size_t)(image + i) * x_map, &window, &p->x);
        for (int row = 0; row < count; row++)
            transform_input(
                v + ((size_t)i * tile_lines + (size_t)(row * b->tile_columns)) * p->x.lanes,
                x_rows + (size_t)(TILE * row) * p->x.line, b->tile_columns, &p->x, columns);
    }
    multiply_points(m, v, packed, images * (int)tile_lines, job, p);
    for (int i = 0; i < images; i++) {
        for (int row = 0; row < count; row++)
            transform_output(y_rows + (size_t)(TILE * row) * p->y.line,
                             m + ((size_t)i * tile_lines + (size_t)(row * b->tile_columns)) *
                                     p->y.lanes,
                             b->tile_columns, &p->y);
        scatter(y + (size_t)(image + i) * y_map, y_rows, TILE * tile_row, TILE * count, accumulate,
                g, &p->y);
    }
}

void NAME(winograd_correlate)(float *y, bool accumulate, const float *x, const float *weight,
                              bool transposed, const struct winograd_job *job, float *workspace,
                              int threads) {
    struct plan p = plan_of(job);
    float *packed = workspace, *scratch = packed + p.packed;
    pack(packed, weight, transposed, job, &p);
    const struct blocks *b = &p.blocks;
    int groups = (job->batch + b->images - 1) / b->images;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int i = 0; i < groups * b->of_map; i++)
        correlate_block(y, accumulate, x, packed, i / b->of_map * b->images,
                        i % b->of_map * b->rows, job, &p,
                        scratch + (size_t)omp_get_thread_num() * p.scratch);
}
