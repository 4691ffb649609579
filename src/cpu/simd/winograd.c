/* winograd.c: 3x3 correlation by Winograd's F(2x2, 3x3), forward and backward to x.
 *
 * The output is cut into tiles of 2x2 pixels; each depends on 4x4 inputs. With the matrices of
 * Lavin and Gray 2016, Y = A' [sum over channels of (G g G') o (B' d B)] A: the sum takes 16
 * multiplications for each tile and pair of channels instead of 36.
 *
 * A block of tiles is taken at a time, of one map or of several small ones; a lane is a tile:
 *     x -> lines   the rows of one channel, with zero borders
 *       -> d       [row parity][4][tile row][tile column]: d B, where the even and odd columns of a
 *                  line become vectors of neighbouring tiles
 *       -> v       [16][strip][channel][tile of the strip]: B' d B
 *       -> m       [16][strip][out channel][tile of the strip]: 16 matrix products
 *       -> y       A' m A, whose two columns are interleaved again
 * Every block is computed by one thread: the same bits for any number of threads. */
#include "cpu/simd/winograd.h"

#include <omp.h>

enum {
    POINTS = 16,                                   /* products of a tile */
    STRIP = TILE_VECTORS * LANES,                  /* tiles whose sums are held in registers */
    BLOCK_TILES = LANES == 16 ? STRIP : 2 * STRIP, /* about as many tiles are taken at once */
    AHEAD = 2, /* channels fetched in advance: the hardware does not foresee the next map */
};

/* How maps are cut into blocks, and the parts of a thread's scratch memory, in floats. */
struct plan {
    int tile_rows, tile_columns; /* of a map */
    int rows;                    /* tile rows of a block */
    int images;                  /* of a block; more than one only if it holds whole maps */
    int blocks;                  /* of a map */
    int tiles;                   /* of a block */
    size_t line;                 /* one padded row */
    size_t d_plane;              /* one of the 8 parts of d */
    int strips;                  /* of a block, the last one perhaps not filled */
    size_t v_strip, m_strip;     /* [channel][STRIP] */
    size_t v_point, m_point;     /* [strip] */
    size_t lines, d, v, m, scratch;
    size_t packed;
};

static struct plan plan_of(const struct winograd_job *job) {
    int rows = (job->g.out_height + 1) / 2, columns = (job->g.out_width + 1) / 2;
    struct plan p = {.tile_rows = rows, .tile_columns = columns};
    int fit = BLOCK_TILES / columns;
    p.rows = fit < 1 ? 1 : fit < rows ? fit : rows;
    p.images = p.rows < rows ? 1 : (BLOCK_TILES + rows * columns - 1) / (rows * columns);
    p.blocks = (rows + p.rows - 1) / p.rows;
    p.tiles = p.images * p.rows * columns;
    size_t out = round_to((size_t)job->out_channels, OUT_BLOCK), in = (size_t)job->channels;
    p.line = (size_t)(2 * columns + 2);
    p.d_plane = round_to((size_t)((p.rows + 1) * columns) + LANES, 16);
    p.strips = (p.tiles + STRIP - 1) / STRIP;
    p.v_strip = in * STRIP;
    p.m_strip = out * STRIP;
    /* 16 more: points a multiple of 4 KiB apart would share a few cache sets */
    p.v_point = (size_t)p.strips * p.v_strip + 16;
    p.m_point = (size_t)p.strips * p.m_strip + 16;
    p.lines = round_to((size_t)(2 * p.rows + 2) * p.line + 2 * LANES, 16);
    p.d = 8 * p.d_plane;
    p.v = POINTS * p.v_point;
    p.m = POINTS * p.m_point;
    p.scratch = p.lines + p.d + p.v + p.m;
    p.packed = round_to(POINTS * out * in, 16);
    return p;
}

/* A vector of v holds tiles of one map. */
static bool fits(const struct winograd_job *job) {
    if (job->g.kernel != 3 || job->g.out_width < 2 || job->g.out_height < 2)
        return false;
    struct plan p = plan_of(job);
    return p.rows * p.tile_columns % LANES == 0;
}

/* Measured for the 3x3 convolutions of the networks (bench/README.md): from 16 channels on it is
 * 1.02 to 1.46 times as fast as the direct loops, with fewer slower or about as fast. */
bool NAME(winograd_pays)(const struct winograd_job *job) {
    return job->channels >= 16 && job->out_channels >= 16 && fits(job);
}

size_t NAME(winograd_workspace)(const struct winograd_job *job, int threads) {
    struct plan p = plan_of(job);
    return p.packed + (size_t)threads * p.scratch;
}

/* ---- filters --------------------------------------------------------------------------------- */

/* G g G' of one filter, `step` floats from tap to tap (-1 for a rotated one). */
static void transform_filter(float u[POINTS], const float *tap, int step) {
    float rows[4][3];
    for (int j = 0; j < 3; j++) {
        float a = tap[j * step], b = tap[(3 + j) * step], c = tap[(6 + j) * step];
        rows[0][j] = a;
        rows[1][j] = 0.5f * (a + b + c);
        rows[2][j] = 0.5f * (a - b + c);
        rows[3][j] = c;
    }
    for (int i = 0; i < 4; i++) {
        float a = rows[i][0], b = rows[i][1], c = rows[i][2];
        u[4 * i] = a;
        u[4 * i + 1] = 0.5f * (a + b + c);
        u[4 * i + 2] = 0.5f * (a - b + c);
        u[4 * i + 3] = c;
    }
}

/* Filters in the order of use: [16][out / OUT_BLOCK][in][OUT_BLOCK], zeros past the last
 * channel. */
static void pack(float *packed, const float *weight, bool transposed,
                 const struct winograd_job *job) {
    size_t in = (size_t)job->channels, out = (size_t)job->out_channels;
    size_t rounded = round_to(out, OUT_BLOCK);
    for (size_t o = 0; o < rounded; o++)
        for (size_t i = 0; i < in; i++) {
            float u[POINTS] = {0};
            if (o < out && transposed)
                transform_filter(u, weight + (i * out + o) * 9 + 8, -1);
            else if (o < out)
                transform_filter(u, weight + (o * in + i) * 9, 1);
            size_t at = (o / OUT_BLOCK * in + i) * OUT_BLOCK + o % OUT_BLOCK;
            for (size_t point = 0; point < POINTS; point++)
                packed[point * rounded * in + at] = u[point];
        }
}

/* ---- input ----------------------------------------------------------------------------------- */

/* Copies the rows of x that a block needs, from `first` on. The zeros around the map are there. */
static void fill_lines(float *line, const float *x, int first, const struct plan *p,
                       const struct geometry *g) {
    int end = first + 2 * p->rows + 2 < g->height ? first + 2 * p->rows + 2 : g->height;
    int row = first > 0 ? first : 0;
    line += (size_t)(row - first) * p->line + (size_t)g->padding;
    for (; row < end; row++, line += p->line)
        copy_row(line, x + row * g->width, g->width);
}

static void prefetch_rows(const float *x, int first, const struct plan *p,
                          const struct geometry *g) {
    int end = first + 2 * p->rows + 2 < g->height ? first + 2 * p->rows + 2 : g->height;
    for (int i = (first > 0 ? first : 0) * g->width; i < end * g->width; i += 16)
        __builtin_prefetch(x + i);
}

/* d B. A vector may pass the end of a tile row: the next row is written later. */
static void transform_columns(float *d, const float *line, const struct plan *p) {
    for (int row = 0; row < 2 * p->rows + 2; row++, line += p->line) {
        float *to = d + (size_t)(row % 2) * 4 * p->d_plane + row / 2 * p->tile_columns;
        for (int t = 0; t < p->tile_columns; t += LANES, to += LANES) {
            const float *from = line + 2 * t;
            vector a = vector_load(from), b = vector_load(from + LANES);
            vector c = vector_load(from + 2), e = vector_load(from + 2 + LANES);
            vector column0 = SHUFFLE(a, b, EVEN_LANES), column1 = SHUFFLE(a, b, ODD_LANES);
            vector column2 = SHUFFLE(c, e, EVEN_LANES), column3 = SHUFFLE(c, e, ODD_LANES);
            vector_store(to, column0 - column2);
            vector_store(to + p->d_plane, column1 + column2);
            vector_store(to + 2 * p->d_plane, column2 - column1);
            vector_store(to + 3 * p->d_plane, column1 - column3);
        }
    }
}

/* Where tile t of a channel lies in v or m. */
static inline size_t tile_offset(int t, size_t strip) {
    return (size_t)(t / STRIP) * strip + (size_t)(t % STRIP);
}

/* B' (d B) of the tiles of one map, from tile `first` of the block on: rows 0 and 2 of a tile are
 * even, 1 and 3 odd ones. */
static void transform_rows(float *v, int first, const float *d, const struct plan *p) {
    size_t point = 4 * p->v_point;
    int tiles = p->rows * p->tile_columns;
    for (int j = 0; j < 4; j++, d += p->d_plane, v += p->v_point)
        for (int t = 0; t < tiles; t += LANES) {
            const float *even = d + t, *odd = even + 4 * p->d_plane;
            float *to = v + tile_offset(first + t, p->v_strip);
            vector row0 = vector_load(even), row2 = vector_load(even + p->tile_columns);
            vector row1 = vector_load(odd), row3 = vector_load(odd + p->tile_columns);
            vector_store(to, row0 - row2);
            vector_store(to + point, row1 + row2);
            vector_store(to + 2 * point, row2 - row1);
            vector_store(to + 3 * point, row1 - row3);
        }
}

/* ---- products and output --------------------------------------------------------------------- */

/* m [OUT_BLOCK][STRIP] = sum over channels of packed [OUT_BLOCK] x v [STRIP]. */
static inline void multiply_strip(float *m, const float *v, const float *packed, int channels) {
    vector sum[OUT_BLOCK][TILE_VECTORS], zero = {0};
    IN_REGISTER(zero); /* else the compiler clears the sums in memory first */
    for (int o = 0; o < OUT_BLOCK; o++)
        for (int i = 0; i < TILE_VECTORS; i++)
            sum[o][i] = zero;
#pragma GCC unroll 4
    for (int c = 0; c < channels; c++, v += STRIP, packed += OUT_BLOCK) {
        vector value[TILE_VECTORS];
        for (int i = 0; i < TILE_VECTORS; i++)
            value[i] = vector_load(v + i * LANES);
        for (int o = 0; o < OUT_BLOCK; o++)
            for (int i = 0; i < TILE_VECTORS; i++)
                sum[o][i] += value[i] * packed[o];
    }
    for (int o = 0; o < OUT_BLOCK; o++)
        for (int i = 0; i < TILE_VECTORS; i++)
            vector_store(m + o * STRIP + i * LANES, sum[o][i]);
}

static void multiply(float *m, const float *v, const float *packed, const struct winograd_job *job,
                     const struct plan *p) {
    size_t filters = (size_t)(OUT_BLOCK * job->channels);
    for (int point = 0; point < POINTS; point++, m += p->m_point, v += p->v_point)
        for (int out = 0; out < job->out_channels; out += OUT_BLOCK, packed += filters)
            for (int strip = 0; strip < p->strips; strip++)
                multiply_strip(m + (size_t)strip * p->m_strip + out * STRIP,
                               v + (size_t)strip * p->v_strip, packed, job->channels);
}

/* A' m A of LANES tiles of one channel: to[row][half] are the two rows of pixels. */
static inline void transform_output(vector to[2][2], const float *m, size_t point) {
    vector row[2][4];
    for (int j = 0; j < 4; j++) {
        const float *from = m + (size_t)j * point;
        vector row1 = vector_load(from + 4 * point), row2 = vector_load(from + 8 * point);
        row[0][j] = vector_load(from) + row1 + row2;
        row[1][j] = row1 - row2 - vector_load(from + 12 * point);
    }
    for (int i = 0; i < 2; i++) {
        vector even = row[i][0] + row[i][1] + row[i][2], odd = row[i][1] - row[i][2] - row[i][3];
        to[i][0] = SHUFFLE(even, odd, LOWER_PAIRS);
        to[i][1] = SHUFFLE(even, odd, UPPER_PAIRS);
    }
}

/* The same for all tiles of a channel, as lines: [2][2 * STRIP * strips]. */
static void output_lines(float *lines, const float *m, const struct plan *p) {
    for (int t = 0; t < p->tiles; t += LANES) {
        vector rows[2][2];
        transform_output(rows, m + tile_offset(t, p->m_strip), p->m_point);
        float *to = lines + 2 * t;
        for (int i = 0; i < 2; i++, to += 2 * STRIP * p->strips) {
            vector_store(to, rows[i][0]);
            vector_store(to + LANES, rows[i][1]);
        }
    }
}

static void put_row(float *y, const float *line, int width, bool accumulate) {
    if (!accumulate) {
        copy_row(y, line, width);
        return;
    }
    for (int i = 0; i < width; i++)
        y[i] += line[i];
}

/* The lines of one map into y from output row `first` on. */
static void put_lines(float *y, const float *lines, int first, bool accumulate,
                      const struct plan *p, const struct geometry *g) {
    int end = first + 2 * p->rows < g->out_height ? first + 2 * p->rows : g->out_height;
    for (int row = first; row < end; row++) {
        const float *line = lines + (size_t)((row - first) % 2 * 2 * STRIP * p->strips) +
                            (row - first) / 2 * 2 * p->tile_columns;
        put_row(y + row * g->out_width, line, g->out_width, accumulate);
    }
}

/* ---- a block --------------------------------------------------------------------------------- */

/* Maps from `image` on, tile rows from `tile_row` on. */
static void correlate_block(float *y, bool accumulate, const float *x, const float *packed,
                            int image, int tile_row, const struct winograd_job *job,
                            const struct plan *p, float *scratch) {
    const struct geometry *g = &job->g;
    size_t x_plane = (size_t)(g->height * g->width),
           y_plane = (size_t)(g->out_height * g->out_width);
    size_t in = (size_t)job->channels, out = (size_t)job->out_channels;
    float *lines = scratch, *d = lines + p->lines, *v = d + p->d, *m = v + p->v;
    int images = job->batch - image < p->images ? job->batch - image : p->images;
    int map_tiles = p->rows * p->tile_columns;
    x += (size_t)image * in * x_plane;
    y += (size_t)image * out * y_plane;
    int first = 2 * tile_row - g->padding;
    clear_row(lines, p->lines);
    for (int i = 0; i < images; i++)
        for (size_t c = 0; c < in; c++, x += x_plane) {
            if (c + AHEAD < in)
                prefetch_rows(x + AHEAD * x_plane, first, p, g);
            fill_lines(lines, x, first, p, g);
            transform_columns(d, lines, p);
            transform_rows(v + c * STRIP, i * map_tiles, d, p);
        }
    multiply(m, v, packed, job, p);
    for (size_t o = 0; o < out; o++) {
        output_lines(v, m + o * STRIP, p); /* v has been used */
        for (int i = 0; i < images; i++)
            put_lines(y + ((size_t)i * out + o) * y_plane, v + 2 * i * map_tiles, 2 * tile_row,
                      accumulate, p, g);
    }
}

void NAME(winograd_correlate)(float *y, bool accumulate, const float *x, const float *weight,
                              bool transposed, const struct winograd_job *job, float *workspace,
                              int threads) {
    struct plan p = plan_of(job);
    float *packed = workspace, *scratch = packed + p.packed;
    pack(packed, weight, transposed, job);
    int groups = (job->batch + p.images - 1) / p.images;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int i = 0; i < groups * p.blocks; i++)
        correlate_block(y, accumulate, x, packed, i / p.blocks * p.images, i % p.blocks * p.rows,
                        job, &p, scratch + (size_t)omp_get_thread_num() * p.scratch);
}
