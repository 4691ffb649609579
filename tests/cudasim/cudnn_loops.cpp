// cudnn_loops.cpp: the stand-in for cuDNN: convolution of stride 1 as plain loops.
//
// Whole training runs use them, so the inner loops are long and the compiler can vectorize them: an
// image is copied into planes with zero borders, and a plane is then treated as one row. An output
// map is computed with the planes' row length, too; values between its rows are dropped.
#include "cudnn_internal.hpp"

#include <algorithm>
#include <vector>

#pragma GCC optimize("O3")

using namespace cudasim;

enum { LANES = 8 }; // partial sums of a dot product

// ---- planes with zero borders -------------------------------------------------------------------

struct planes {
    int top, left;
    size_t stride; // floats of a row
    size_t plane;  // floats of a map: a multiple of LANES, with zeros after the last row
    std::vector<float> data;

    // Maps of h x w within a border of zeros. A vector may read past the last map.
    planes(int channels, int h, int w, int top_, int left_, int bottom, int right)
        : top(top_), left(left_), stride((size_t)(left + w + right)),
          plane(((size_t)(top + h + bottom) * stride + LANES - 1) / LANES * LANES),
          data((size_t)channels * plane + LANES + stride) {
    }

    void fill(const float *x, int channels, int h, int w, bool tf32) {
        for (int c = 0; c < channels; c++)
            for (int row = 0; row < h; row++, x += w) {
                float *to = &data[(size_t)c * plane + (size_t)(row + top) * stride + (size_t)left];
                for (int i = 0; i < w; i++)
                    to[i] = tf32 ? to_tf32(x[i]) : x[i];
            }
    }

    const float *row(int channel, int index) const {
        return &data[(size_t)channel * plane + (size_t)index * stride];
    }
};

static std::vector<float> rounded(const float *w, size_t count, bool tf32) {
    std::vector<float> out(w, w + count);
    if (tf32)
        std::transform(out.begin(), out.end(), out.begin(), to_tf32);
    return out;
}

// ---- forward, and backward to x -----------------------------------------------------------------

// For the two inner loops, which take much of the tests' time: vectors. The alignment check would
// rule them out; it finds nothing here, since the rows are memory of this file.
#define VECTORIZED __attribute__((no_sanitize("alignment"), optimize("O3")))

// sum[i] += the taps of one filter row at x[i]
VECTORIZED static void add_row(float *__restrict sum, const float *__restrict x, const float *w,
                               int taps, size_t count) {
    if (taps == 3) {
        float a = w[0], b = w[1], c = w[2];
        for (size_t i = 0; i < count; i++)
            sum[i] += a * x[i] + b * x[i + 1] + c * x[i + 2];
        return;
    }
    for (int s = 0; s < taps; s++) {
        float a = w[s];
        for (size_t i = 0; i < count; i++)
            sum[i] += a * x[i + (size_t)s];
    }
}

// One map: y[h][w] = the correlation of all planes with the filter [channels][r][s]. Channels and
// filter rows are added in another order for each `order`.
static void correlate(float *y, int h, int w, const planes &x, int channels, const float *filter,
                      int r, int s, blend blend, unsigned order) {
    size_t count = (size_t)(h - 1) * x.stride + (size_t)w;
    std::vector<float> sum(count);
    for (int i = 0; i < channels; i++) {
        int c = (int)(((unsigned)i + order) % (unsigned)channels);
        for (int j = 0; j < r; j++) {
            int row = (int)(((unsigned)j + order) % (unsigned)r);
            add_row(sum.data(), x.row(c, row), filter + (c * r + row) * s, s, count);
        }
    }
    for (int row = 0; row < h; row++)
        for (int i = 0; i < w; i++)
            y[row * w + i] =
                blended(sum[(size_t)row * x.stride + (size_t)i], y[row * w + i], blend);
}

void cudasim::convolve(float *y, const float *x, const float *w, const problem &p, blend blend) {
    if (p.winograd)
        return winograd(y, x, w, p, blend);
    planes image(p.c, p.h, p.w, p.pad_h, p.pad_w, p.pad_h, p.pad_w);
    std::vector<float> filters = rounded(w, p.w_count(), p.tf32());
    size_t map = (size_t)p.out_h * (size_t)p.out_w, filter = (size_t)(p.c * p.r * p.s);
    for (int n = 0; n < p.n; n++) {
        image.fill(x + (size_t)n * (p.x_count() / (size_t)p.n), p.c, p.h, p.w, p.tf32());
        for (int k = 0; k < p.k; k++, y += map)
            correlate(y, p.out_h, p.out_w, image, p.c, &filters[(size_t)k * filter], p.r, p.s,
                      blend, 0);
    }
}

// w [k][c][r][s] as [c][k][r][s], each filter rotated by 180 degrees.
static std::vector<float> transposed(const std::vector<float> &w, const problem &p) {
    std::vector<float> out(w.size());
    size_t taps = (size_t)(p.r * p.s);
    for (size_t k = 0; k < (size_t)p.k; k++)
        for (size_t c = 0; c < (size_t)p.c; c++)
            for (size_t tap = 0; tap < taps; tap++)
                out[(c * (size_t)p.k + k) * taps + tap] =
                    w[(k * (size_t)p.c + c) * taps + taps - 1 - tap];
    return out;
}

void cudasim::convolve_backward_data(float *dx, const float *w, const float *dy, const problem &p,
                                     blend blend, unsigned order) {
    int pad_h = p.r - 1 - p.pad_h, pad_w = p.s - 1 - p.pad_w;
    if (p.winograd) {
        std::vector<float> turned = transposed(rounded(w, p.w_count(), false), p);
        const problem back = {p.n,   p.k,   p.out_h, p.out_w, p.c,    p.r, p.s,
                              pad_h, pad_w, p.h,     p.w,     p.math, true};
        return winograd(dx, dy, turned.data(), back, blend);
    }
    planes image(p.k, p.out_h, p.out_w, pad_h, pad_w, pad_h, pad_w);
    std::vector<float> filters = transposed(rounded(w, p.w_count(), p.tf32()), p);
    size_t map = (size_t)p.h * (size_t)p.w, filter = (size_t)(p.k * p.r * p.s);
    for (int n = 0; n < p.n; n++) {
        image.fill(dy + (size_t)n * (p.y_count() / (size_t)p.n), p.k, p.out_h, p.out_w, p.tf32());
        for (int c = 0; c < p.c; c++, dx += map)
            correlate(dx, p.h, p.w, image, p.k, &filters[(size_t)c * filter], p.r, p.s, blend,
                      order);
    }
}

// ---- backward to the filters --------------------------------------------------------------------

// The sum of a dot product's partial sums, in the caller's order.
static float sum_of(const float *lanes, unsigned order) {
    float sum = 0;
    for (unsigned i = 0; i < LANES; i++)
        sum += lanes[(i + order) % LANES];
    return sum;
}

// count is a multiple of LANES
VECTORIZED static float dot(const float *a, const float *b, size_t count, unsigned order) {
    float lanes[LANES] = {};
    for (size_t i = 0; i < count; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    return sum_of(lanes, order);
}

// sums[k][c][r][s] += what one image adds. dy has the row length of the planes of x and zeros
// between its rows, so that the values of x there do not count (unless they are not finite).
static void add_image(float *sums, const planes &x, const planes &dy, const problem &p,
                      unsigned order) {
    for (int k = 0; k < p.k; k++)
        for (int c = 0; c < p.c; c++)
            for (int row = 0; row < p.r; row++)
                for (int s = 0; s < p.s; s++)
                    *sums++ += dot(dy.row(k, 0), x.row(c, row) + s, dy.plane, order);
}

void cudasim::convolve_backward_filter(float *dw, const float *x, const float *dy, const problem &p,
                                       blend blend, unsigned order) {
    if (p.winograd)
        return winograd_backward_filter(dw, x, dy, p, blend);
    planes image(p.c, p.h, p.w, p.pad_h, p.pad_w, p.pad_h, p.pad_w);
    planes gradient(p.k, p.out_h, p.out_w, 0, 0, 0, p.s - 1);
    std::vector<float> sums(p.w_count());
    for (int i = 0; i < p.n; i++) {
        size_t n = ((size_t)i + order) % (size_t)p.n;
        image.fill(x + n * (p.x_count() / (size_t)p.n), p.c, p.h, p.w, p.tf32());
        gradient.fill(dy + n * (p.y_count() / (size_t)p.n), p.k, p.out_h, p.out_w, p.tf32());
        add_image(sums.data(), image, gradient, p, order);
    }
    for (size_t i = 0; i < sums.size(); i++)
        dw[i] = blended(sums[i], dw[i], blend);
}
