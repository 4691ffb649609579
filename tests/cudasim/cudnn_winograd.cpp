// cudnn_winograd.cpp: the stand-in for cuDNN: 3 x 3 convolution by Winograd's minimal filtering, as
// in Lavin and Gray 2015 (arXiv:1509.09308), with the rounding errors of float32 that come with it.
//
// Tiles have 6 x 6 points: F(4 x 4, 3 x 3) for maps, F(3 x 3, 4 x 4) for the filters' gradient. For
// input d and filter g, y = A^T ((G g G^T) * (B^T d B)) A; channels are summed between the
// transforms. cuDNN does not say which tiles it uses: these are the largest in common use, and the
// least accurate.
#include "cudnn_internal.hpp"

#include <algorithm>
#include <vector>

#pragma GCC optimize("O3")

using namespace cudasim;

enum { POINTS = 6, PRODUCTS = POINTS * POINTS };
enum { ENOUGH_TILES = 64 }; // at once, so that the inner loops are long

// ---- transforms ---------------------------------------------------------------------------------

// The points 0, 1, -1, 2, -2 and infinity. G is scaled so that B has integers only.
static const float points[POINTS - 1] = {0, 1, -1, 2, -2};
static const float scales[POINTS - 1] = {4, -6, -6, 24, 24};

// A row of A^T or a column of G: the powers of the points; for infinity, the highest one only.
static void powers(float row[POINTS], int power, bool highest) {
    for (int j = 0; j < POINTS - 1; j++) {
        row[j] = 1;
        for (int i = 0; i < power; i++)
            row[j] *= points[j];
    }
    row[POINTS - 1] = highest ? 1 : 0;
}

// A [outputs][6] and G [taps][6], both transposed to that form.
struct transforms {
    int outputs, taps;
    float a[4][POINTS], g[4][POINTS];

    explicit transforms(int outputs_) : outputs(outputs_), taps(POINTS + 1 - outputs_) {
        for (int i = 0; i < outputs; i++)
            powers(a[i], i, i == outputs - 1);
        for (int i = 0; i < taps; i++) {
            powers(g[i], i, i == taps - 1);
            for (int j = 0; j < POINTS - 1; j++)
                g[i][j] /= scales[j];
        }
    }
};

// B^T times six values that lie `step` apart, in place.
static void input_line(float *d, int step) {
    float d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
          d5 = d[5 * step];
    d[0] = 4 * d0 - 5 * d2 + d4;
    d[step] = d4 + d3 - 4 * (d2 + d1);
    d[2 * step] = d4 - d3 - 4 * (d2 - d1);
    d[3 * step] = d4 - d2 + 2 * (d3 - d1);
    d[4 * step] = d4 - d2 - 2 * (d3 - d1);
    d[5 * step] = 4 * d1 - 5 * d3 + d5;
}

static void input_transform(float d[PRODUCTS]) {
    for (int i = 0; i < POINTS; i++)
        input_line(d + i, POINTS);
    for (int i = 0; i < POINTS; i++)
        input_line(d + i * POINTS, 1);
}

// out [6][6] = G g G^T
static void filter_transform(float out[PRODUCTS], const float *g, const transforms &t) {
    float half[POINTS][4];
    for (int j = 0; j < POINTS; j++)
        for (int column = 0; column < t.taps; column++) {
            half[j][column] = 0;
            for (int i = 0; i < t.taps; i++)
                half[j][column] += t.g[i][j] * g[i * t.taps + column];
        }
    for (int j = 0; j < POINTS; j++)
        for (int k = 0; k < POINTS; k++) {
            out[j * POINTS + k] = 0;
            for (int i = 0; i < t.taps; i++)
                out[j * POINTS + k] += half[j][i] * t.g[i][k];
        }
}

// y [outputs][outputs] = A^T m A, where m's values lie `step` apart
static void output_transform(float *y, const float *m, size_t step, const transforms &t) {
    float half[4][POINTS];
    for (int i = 0; i < t.outputs; i++)
        for (size_t k = 0; k < POINTS; k++) {
            half[i][k] = 0;
            for (size_t j = 0; j < POINTS; j++)
                half[i][k] += t.a[i][j] * m[(j * POINTS + k) * step];
        }
    for (int i = 0; i < t.outputs; i++)
        for (int o = 0; o < t.outputs; o++) {
            y[i * t.outputs + o] = 0;
            for (int k = 0; k < POINTS; k++)
                y[i * t.outputs + o] += half[i][k] * t.a[o][k];
        }
}

// ---- tiles --------------------------------------------------------------------------------------

// The square of `size` whose first element is (row, column) of a map; zeros outside.
static void read_tile(float *out, const float *map, int h, int w, int row, int column, int size) {
    for (int i = row; i < row + size; i++)
        for (int j = column; j < column + size; j++)
            *out++ = i >= 0 && i < h && j >= 0 && j < w ? map[i * w + j] : 0;
}

// The tiles of some images, 4 x 4 pixels apart.
struct tiling {
    int images, down, across;

    tiling(int images_, int h, int w) : images(images_), down((h + 3) / 4), across((w + 3) / 4) {
    }
    size_t count() const {
        return (size_t)images * (size_t)(down * across);
    }
    static int images_at_once(int n, int h, int w) {
        int tiles = tiling(1, h, w).down * tiling(1, h, w).across;
        return std::min(n, (ENOUGH_TILES + tiles - 1) / tiles);
    }
};

// Calls work(tile's number, image, first row, first column).
template <typename function> static void each_tile(const tiling &tiles, function work) {
    size_t number = 0;
    for (int n = 0; n < tiles.images; n++)
        for (int row = 0; row < tiles.down; row++)
            for (int column = 0; column < tiles.across; column++)
                work(number++, n, 4 * row, 4 * column);
}

// to [36][channels][tiles]: the transformed tiles of x, [images][channels][h][w]
static std::vector<float> input_tiles(const float *x, int channels, int h, int w, int pad_h,
                                      int pad_w, const tiling &tiles) {
    size_t count = tiles.count(), step = (size_t)channels * count;
    std::vector<float> to(PRODUCTS * step);
    for (int c = 0; c < channels; c++)
        each_tile(tiles, [&](size_t number, int n, int row, int column) {
            float d[PRODUCTS];
            const float *map = x + (size_t)(n * channels + c) * (size_t)(h * w);
            read_tile(d, map, h, w, row - pad_h, column - pad_w, POINTS);
            input_transform(d);
            for (size_t i = 0; i < PRODUCTS; i++)
                to[i * step + (size_t)c * count + number] = d[i];
        });
    return to;
}

#define VECTORIZED __attribute__((no_sanitize("alignment"), optimize("O3")))

VECTORIZED static void add_scaled(float *__restrict sum, const float *__restrict x, float by,
                                  size_t count) {
    for (size_t i = 0; i < count; i++)
        sum[i] += by * x[i];
}

VECTORIZED static float dot(const float *a, const float *b, size_t count) {
    enum { LANES = 8 };
    float lanes[LANES] = {}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (; i < count; i++)
        sum += a[i] * b[i];
    for (float lane : lanes)
        sum += lane;
    return sum;
}

// ---- the passes ---------------------------------------------------------------------------------

// One channel of the images' outputs from m [36][tiles].
static void write_tiles(float *y, const std::vector<float> &m, const problem &p, int k,
                        const tiling &tiles, const transforms &t, blend blend) {
    each_tile(tiles, [&](size_t number, int n, int row, int column) {
        float out[16];
        float *map = y + (size_t)(n * p.k + k) * (size_t)(p.out_h * p.out_w);
        output_transform(out, &m[number], tiles.count(), t);
        for (int i = 0; i < 4 && row + i < p.out_h; i++)
            for (int j = 0; j < 4 && column + j < p.out_w; j++) {
                float &to = map[(row + i) * p.out_w + column + j];
                to = blended(out[4 * i + j], to, blend);
            }
    });
}

void cudasim::winograd(float *y, const float *x, const float *w, const problem &p, blend blend) {
    const transforms t(4);
    std::vector<float> filters((size_t)(p.k * p.c) * PRODUCTS);
    for (size_t i = 0; i < (size_t)(p.k * p.c); i++)
        filter_transform(&filters[i * PRODUCTS], w + 9 * i, t);
    int most = tiling::images_at_once(p.n, p.out_h, p.out_w);
    for (int n = 0; n < p.n; n += most) {
        const tiling tiles(std::min(most, p.n - n), p.out_h, p.out_w);
        size_t count = tiles.count();
        const float *images = x + (size_t)n * (p.x_count() / (size_t)p.n);
        std::vector<float> d = input_tiles(images, p.c, p.h, p.w, p.pad_h, p.pad_w, tiles);
        for (int k = 0; k < p.k; k++) {
            std::vector<float> m(PRODUCTS * count);
            for (size_t i = 0; i < PRODUCTS; i++)
                for (size_t c = 0; c < (size_t)p.c; c++)
                    add_scaled(&m[i * count], &d[(i * (size_t)p.c + c) * count],
                               filters[((size_t)(k * p.c) + c) * PRODUCTS + i], count);
            write_tiles(y + (size_t)n * (p.y_count() / (size_t)p.n), m, p, k, tiles, t, blend);
        }
    }
}

// Of the tiles of dy, [images][k][out_h][out_w], as filters: [36][k][tiles]
static std::vector<float> gradient_tiles(const float *dy, const problem &p, const tiling &tiles,
                                         const transforms &t) {
    size_t count = tiles.count(), step = (size_t)p.k * count;
    std::vector<float> to(PRODUCTS * step);
    for (int k = 0; k < p.k; k++)
        each_tile(tiles, [&](size_t number, int n, int row, int column) {
            float g[16], out[PRODUCTS];
            const float *map = dy + (size_t)(n * p.k + k) * (size_t)(p.out_h * p.out_w);
            read_tile(g, map, p.out_h, p.out_w, row, column, 4);
            filter_transform(out, g, t);
            for (size_t i = 0; i < PRODUCTS; i++)
                to[i * step + (size_t)k * count + number] = out[i];
        });
    return to;
}

void cudasim::winograd_backward_filter(float *dw, const float *x, const float *dy, const problem &p,
                                       blend blend) {
    const transforms t(3);
    size_t filters = (size_t)(p.k * p.c);
    std::vector<float> sums(PRODUCTS * filters);
    int most = tiling::images_at_once(p.n, p.out_h, p.out_w);
    for (int n = 0; n < p.n; n += most) {
        const tiling tiles(std::min(most, p.n - n), p.out_h, p.out_w);
        size_t count = tiles.count();
        std::vector<float> d = input_tiles(x + (size_t)n * (p.x_count() / (size_t)p.n), p.c, p.h,
                                           p.w, p.pad_h, p.pad_w, tiles);
        std::vector<float> g =
            gradient_tiles(dy + (size_t)n * (p.y_count() / (size_t)p.n), p, tiles, t);
        for (size_t i = 0; i < PRODUCTS; i++)
            for (size_t k = 0; k < (size_t)p.k; k++)
                for (size_t c = 0; c < (size_t)p.c; c++)
                    sums[i * filters + k * (size_t)p.c + c] +=
                        dot(&g[(i * (size_t)p.k + k) * count], &d[(i * (size_t)p.c + c) * count],
                            count);
    }
    for (size_t i = 0; i < filters; i++) {
        float out[9];
        output_transform(out, &sums[i], filters, t);
        for (size_t tap = 0; tap < 9; tap++)
            dw[9 * i + tap] = blended(out[tap], dw[9 * i + tap], blend);
    }
}
