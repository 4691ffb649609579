/* reference_ops.c: every operation of backend.h as a plain loop in double precision. */
#include "reference_ops.h"

#include "compare.h"

#include "philox.h"

#include <math.h>
#include <stdbool.h>

/* Flat index of [n][c][h][w] in a tensor of C channels of H x W. */
static size_t at(int n, int c, int h, int w, int C, int H, int W) {
    return (((size_t)n * (size_t)C + (size_t)c) * (size_t)H + (size_t)h) * (size_t)W + (size_t)w;
}

/* ---- input ----------------------------------------------------------------------------------- */

enum { SIDE = 32 };

/* A position outside the image, reflected about the border pixel: -1 is 1, 32 is 30. */
static int reflected(int place) {
    if (place < 0)
        return -place;
    if (place >= SIDE)
        return 2 * (SIDE - 1) - place;
    return place;
}

void reference_input(double *y, const struct input_args *a, uint64_t step, const uint8_t *images) {
    static const double mean[3] = {0.49139968, 0.48215827, 0.44653124};
    static const double std[3] = {0.24703233, 0.24348505, 0.26158768};
    for (int n = 0; n < a->batch; n++) {
        int dx = 0, dy = 0;
        bool flip = false;
        if (a->augment) {
            struct philox_block w = philox(a->seed, PHILOX_AUGMENT, step, (uint32_t)n);
            dx = (int)philox_below(w.word[0], 2 * (uint32_t)a->crop + 1) - a->crop;
            dy = (int)philox_below(w.word[1], 2 * (uint32_t)a->crop + 1) - a->crop;
            flip = w.word[2] >= 0x80000000u;
        }
        for (int c = 0; c < 3; c++)
            for (int row = 0; row < SIDE; row++)
                for (int column = 0; column < SIDE; column++) {
                    int from_row = reflected(row + dy);
                    int from_column = reflected((flip ? SIDE - 1 - column : column) + dx);
                    double pixel = images[at(n, c, from_row, from_column, 3, SIDE, SIDE)];
                    y[at(n, c, row, column, 3, SIDE, SIDE)] = (pixel / 255 - mean[c]) / std[c];
                }
    }
}

/* ---- convolution ----------------------------------------------------------------------------- */

static int out_height(const struct conv_args *a) {
    return a->height + 2 * a->padding - a->kernel + 1;
}

static int out_width(const struct conv_args *a) {
    return a->width + 2 * a->padding - a->kernel + 1;
}

/* A term of the sum that defines a convolution: y[o] += x[i] * weight[w]. */
typedef void term_function(void *context, size_t o, size_t i, size_t w);

/* Visits every term: for each output, each tap of the kernel that lies inside the image. */
static void for_each_term(const struct conv_args *a, term_function *term, void *context) {
    const int K = a->kernel, H = out_height(a), W = out_width(a);
    for (int n = 0; n < a->batch; n++)
        for (int o = 0; o < a->out_channels; o++)
            for (int h = 0; h < H; h++)
                for (int w = 0; w < W; w++)
                    for (int i = 0; i < a->in_channels; i++)
                        for (int kh = 0; kh < K; kh++)
                            for (int kw = 0; kw < K; kw++) {
                                int row = h + kh - a->padding, column = w + kw - a->padding;
                                if (row < 0 || row >= a->height || column < 0 || column >= a->width)
                                    continue;
                                term(context, at(n, o, h, w, a->out_channels, H, W),
                                     at(n, i, row, column, a->in_channels, a->height, a->width),
                                     at(o, i, kh, kw, a->in_channels, K, K));
                            }
}

struct conv_terms {
    const double *x, *weight, *dy;
    double *y, *dx, *dweight;
};

static void forward_term(void *context, size_t o, size_t i, size_t w) {
    const struct conv_terms *t = context;
    t->y[o] += t->x[i] * t->weight[w];
}

static void backward_term(void *context, size_t o, size_t i, size_t w) {
    const struct conv_terms *t = context;
    t->dweight[w] += t->x[i] * t->dy[o];
    if (t->dx != NULL)
        t->dx[i] += t->weight[w] * t->dy[o];
}

static void set_zero(double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = 0;
}

void reference_conv_forward(double *y, const struct conv_args *a, const double *x,
                            const double *weight) {
    set_zero(y, at(a->batch, 0, 0, 0, a->out_channels, out_height(a), out_width(a)));
    struct conv_terms terms = {.x = x, .weight = weight, .y = y};
    for_each_term(a, forward_term, &terms);
}

void reference_conv_backward(double *dx, double *dweight, const struct conv_args *a,
                             const double *x, const double *weight, const double *dy) {
    set_zero(dweight, at(a->out_channels, 0, 0, 0, a->in_channels, a->kernel, a->kernel));
    if (dx != NULL && !a->accumulate)
        set_zero(dx, at(a->batch, 0, 0, 0, a->in_channels, a->height, a->width));
    struct conv_terms terms = {.x = x, .weight = weight, .dy = dy, .dx = dx, .dweight = dweight};
    for_each_term(a, backward_term, &terms);
}

/* ---- filter standardization ------------------------------------------------------------------ */

/* Centers w into c and returns sqrt(sum c^2 + 1e-10). */
static double center(double *c, const double *w, int elements) {
    double mean = 0, squares = 0;
    for (int i = 0; i < elements; i++)
        mean += w[i] / elements;
    for (int i = 0; i < elements; i++) {
        c[i] = w[i] - mean;
        squares += c[i] * c[i];
    }
    return sqrt(squares + 1e-10);
}

void reference_filter_forward(double *y, const struct filter_args *a, const double *weight) {
    for (int o = 0; o < a->filters; o++) {
        double *c = y + (size_t)o * (size_t)a->elements;
        double norm = center(c, weight + (size_t)o * (size_t)a->elements, a->elements);
        for (int i = 0; i < a->elements; i++)
            c[i] = (double)a->gain * c[i] / norm;
    }
}

/* y = gain c / r with r = sqrt(c.c + 1e-10): dc = gain (dy / r - c (dy.c) / r^3), dw = dc -
 * mean(dc). */
void reference_filter_backward(double *d, const struct filter_args *a, const double *weight) {
    const int n = a->elements;
    const double gain = (double)a->gain;
    for (int o = 0; o < a->filters; o++) {
        const double *w = weight + (size_t)o * (size_t)n;
        double *g = d + (size_t)o * (size_t)n;
        double c[n];
        double r = center(c, w, n), dot = 0, mean = 0;
        for (int i = 0; i < n; i++)
            dot += g[i] * c[i];
        for (int i = 0; i < n; i++) {
            g[i] = gain * (g[i] / r - c[i] * dot / (r * r * r));
            mean += g[i] / n;
        }
        for (int i = 0; i < n; i++)
            g[i] -= mean;
    }
}

/* ---- normalization --------------------------------------------------------------------------- */

size_t norm_statistics(enum norm_kind kind, const struct norm_args *a) {
    return kind == NORM_BATCH ? (size_t)a->channels : (size_t)a->batch * (size_t)a->groups;
}

size_t norm_weights(const struct norm_args *a) {
    return (size_t)a->channels * (a->per_element ? (size_t)a->pixels : 1);
}

/* Where element i of x belongs. */
struct place {
    size_t set;    /* the elements of a set share mean and rstd */
    size_t weight; /* index into weight and bias */
};

static struct place place_of(enum norm_kind kind, const struct norm_args *a, size_t i) {
    size_t pixels = (size_t)a->pixels, channels = (size_t)a->channels;
    size_t pixel = i % pixels, channel = i / pixels % channels, image = i / pixels / channels;
    size_t groups = (size_t)a->groups;
    struct place place = {channel, a->per_element ? channel * pixels + pixel : channel};
    if (kind != NORM_BATCH)
        place.set = image * groups + channel / (channels / groups);
    return place;
}

/* The factor of dropout for element i. */
static double dropout_factor(const struct norm_args *a, uint64_t step, size_t i) {
    if (!a->training)
        return 1;
    uint32_t stream = (uint32_t)PHILOX_DROPOUT + (uint32_t)a->layer;
    uint32_t word = philox(a->seed, stream, step, (uint32_t)(i / 8)).word[i % 8 / 2];
    uint32_t half = i % 2 == 0 ? word % 65536 : word / 65536;
    return half >= (double)a->dropout * 65536 ? 1 / (1 - (double)a->dropout) : 0;
}

static double relu_before(const struct norm_args *a, double x) {
    return a->activation == RELU_BEFORE ? fmax(x, 0) : x;
}

/* What follows the norm, and its slope. */
static double activate(const struct norm_args *a, double v) {
    return a->activation == SILU_AFTER   ? v / (1 + exp(-v))
           : a->activation == RELU_AFTER ? fmax(v, 0)
                                         : v;
}

static double slope(const struct norm_args *a, double v) {
    double s = 1 / (1 + exp(-v));
    return a->activation == SILU_AFTER               ? s * (1 + v * (1 - s))
           : a->activation == RELU_AFTER && !(v > 0) ? 0
                                                     : 1;
}

static void batch_statistics(const struct norm_tensors *t, enum norm_kind kind,
                             const struct norm_args *a) {
    size_t count = (size_t)a->batch * (size_t)a->channels * (size_t)a->pixels;
    size_t sets = norm_statistics(kind, a);
    double n = (double)(count / sets);
    double *variance = t->rstd;
    set_zero(t->mean, sets);
    set_zero(variance, sets);
    for (size_t i = 0; i < count; i++)
        t->mean[place_of(kind, a, i).set] += relu_before(a, t->x[i]) / n;
    for (size_t i = 0; i < count; i++) {
        size_t set = place_of(kind, a, i).set;
        double difference = relu_before(a, t->x[i]) - t->mean[set];
        variance[set] += difference * difference / n;
    }
    if (kind == NORM_BATCH) {
        double m = (double)a->stat_momentum;
        for (size_t c = 0; c < sets; c++) {
            double unbiased = variance[c] * n / (n - 1);
            t->running_mean[c] = (1 - m) * t->running_mean[c] + m * t->mean[c];
            t->running_var[c] = (1 - m) * t->running_var[c] + m * unbiased;
        }
    }
    for (size_t set = 0; set < sets; set++)
        t->rstd[set] = 1 / sqrt(variance[set] + (double)a->epsilon);
}

static void running_statistics(const struct norm_tensors *t, const struct norm_args *a) {
    for (int c = 0; c < a->channels; c++) {
        t->mean[c] = t->running_mean[c];
        t->rstd[c] = 1 / sqrt(t->running_var[c] + (double)a->epsilon);
    }
}

void reference_norm_forward(const struct norm_tensors *t, enum norm_kind kind,
                            const struct norm_args *a, uint64_t step) {
    size_t count = (size_t)a->batch * (size_t)a->channels * (size_t)a->pixels;
    if (kind == NORM_BATCH && !a->training)
        running_statistics(t, a);
    else
        batch_statistics(t, kind, a);
    for (size_t i = 0; i < count; i++) {
        struct place p = place_of(kind, a, i);
        double u = relu_before(a, t->x[i]);
        double v = (u - t->mean[p.set]) * t->rstd[p.set] * t->weight[p.weight] + t->bias[p.weight];
        if (t->before_relu != NULL)
            t->before_relu[i] = v;
        t->y[i] = activate(a, v) * dropout_factor(a, step, i);
    }
}

/* With h = dL/d xhat and n elements in a set (Ioffe and Szegedy 2015, section 3, with the three
 * partial derivatives combined): du = rstd (h - sum(h) / n - xhat sum(h xhat) / n). */
void reference_norm_backward(const struct norm_tensors *t, enum norm_kind kind,
                             const struct norm_args *a, uint64_t step) {
    size_t count = (size_t)a->batch * (size_t)a->channels * (size_t)a->pixels;
    size_t sets = norm_statistics(kind, a);
    double n = (double)(count / sets);
    double sum_h[sets], sum_h_xhat[sets];
    set_zero(sum_h, sets);
    set_zero(sum_h_xhat, sets);
    set_zero(t->dweight, norm_weights(a));
    set_zero(t->dbias, norm_weights(a));
    for (size_t i = 0; i < count; i++) {
        struct place p = place_of(kind, a, i);
        double xhat = (relu_before(a, t->x[i]) - t->mean[p.set]) * t->rstd[p.set];
        double v = xhat * t->weight[p.weight] + t->bias[p.weight];
        double dv = t->dy[i] * dropout_factor(a, step, i) * slope(a, v);
        double h = dv * t->weight[p.weight];
        t->dweight[p.weight] += dv * xhat;
        t->dbias[p.weight] += dv;
        sum_h[p.set] += h;
        sum_h_xhat[p.set] += h * xhat;
        t->dx[i] = h;
    }
    for (size_t i = 0; i < count; i++) {
        struct place p = place_of(kind, a, i);
        double xhat = (relu_before(a, t->x[i]) - t->mean[p.set]) * t->rstd[p.set];
        double h = t->dx[i];
        double du = t->rstd[p.set] * (h - sum_h[p.set] / n - xhat * sum_h_xhat[p.set] / n);
        t->dx[i] = a->activation == RELU_BEFORE && t->x[i] <= 0 ? 0 : du;
    }
}

/* ---- pooling and average --------------------------------------------------------------------- */

void reference_pool_forward(double *y, uint8_t *code, const struct pool_args *a, const double *x,
                            const double *skip) {
    const int H = a->height / 2, W = a->width / 2;
    for (int n = 0; n < a->batch; n++)
        for (int c = 0; c < a->channels; c++)
            for (int h = 0; h < H; h++)
                for (int w = 0; w < W; w++) {
                    double best = -INFINITY;
                    int place = 0;
                    for (int k = 0; k < 4; k++) {
                        size_t i = at(n, c, 2 * h + k / 2, 2 * w + k % 2, a->channels, a->height,
                                      a->width);
                        double s = skip == NULL ? x[i] : fmax(x[i] + skip[i], 0);
                        if (s > best) {
                            best = s;
                            place = k;
                        }
                    }
                    size_t o = at(n, c, h, w, a->channels, H, W);
                    y[o] = best;
                    if (code != NULL)
                        code[o] = skip != NULL && best == 0 ? 4 : (uint8_t)place;
                }
}

void reference_pool_backward(double *ds, const struct pool_args *a, const uint8_t *code,
                             const double *dy) {
    const int H = a->height / 2, W = a->width / 2;
    set_zero(ds, at(a->batch, 0, 0, 0, a->channels, a->height, a->width));
    for (int n = 0; n < a->batch; n++)
        for (int c = 0; c < a->channels; c++)
            for (int h = 0; h < H; h++)
                for (int w = 0; w < W; w++) {
                    size_t o = at(n, c, h, w, a->channels, H, W);
                    int k = code[o];
                    if (k < 4)
                        ds[at(n, c, 2 * h + k / 2, 2 * w + k % 2, a->channels, a->height,
                              a->width)] = dy[o];
                }
}

void reference_average_forward(double *y, const struct average_args *a, const double *x) {
    for (int map = 0; map < a->batch * a->channels; map++) {
        y[map] = 0;
        for (int p = 0; p < a->pixels; p++)
            y[map] += x[(size_t)map * (size_t)a->pixels + (size_t)p] / a->pixels;
    }
}

void reference_average_backward(double *dx, const struct average_args *a, const double *dy) {
    for (int map = 0; map < a->batch * a->channels; map++)
        for (int p = 0; p < a->pixels; p++)
            dx[(size_t)map * (size_t)a->pixels + (size_t)p] = dy[map] / a->pixels;
}

/* ---- linear, loss, SGD ----------------------------------------------------------------------- */

void reference_linear_forward(double *y, const struct linear_args *a, const double *x,
                              const double *weight) {
    for (int n = 0; n < a->batch; n++)
        for (int o = 0; o < a->outputs; o++) {
            y[n * a->outputs + o] = 0;
            for (int i = 0; i < a->inputs; i++)
                y[n * a->outputs + o] += x[n * a->inputs + i] * weight[o * a->inputs + i];
        }
}

void reference_linear_backward(double *dx, double *dweight, const struct linear_args *a,
                               const double *x, const double *weight, const double *dy) {
    set_zero(dx, (size_t)a->batch * (size_t)a->inputs);
    set_zero(dweight, (size_t)a->outputs * (size_t)a->inputs);
    for (int n = 0; n < a->batch; n++)
        for (int o = 0; o < a->outputs; o++)
            for (int i = 0; i < a->inputs; i++) {
                dx[n * a->inputs + i] += dy[n * a->outputs + o] * weight[o * a->inputs + i];
                dweight[o * a->inputs + i] += dy[n * a->outputs + o] * x[n * a->inputs + i];
            }
}

/* Loss of one image: log(sum exp(z - max)) - (z_label - max). */
void reference_loss(double *dlogits, struct counters *counters, const struct loss_args *a,
                    const double *logits, const uint8_t *labels) {
    for (int n = 0; n < a->batch; n++) {
        const double *z = logits + n * a->classes;
        int best = 0;
        double sum = 0;
        for (int k = 0; k < a->classes; k++)
            if (z[k] > z[best])
                best = k;
        for (int k = 0; k < a->classes; k++)
            sum += exp(z[k] - z[best]);
        counters->loss += log(sum) - (z[labels[n]] - z[best]);
        counters->correct += best == labels[n];
        counters->images += 1;
        for (int k = 0; dlogits != NULL && k < a->classes; k++)
            dlogits[n * a->classes + k] =
                (exp(z[k] - z[best]) / sum - (k == labels[n] ? 1 : 0)) / a->batch;
    }
}

void reference_sgd(double *weight, double *velocity, const struct sgd_args *a, double rate,
                   const double *gradient) {
    const double momentum = (double)a->momentum, decay = (double)a->decay;
    for (size_t i = 0; i < a->count; i++) {
        double g = gradient[i] + (i < a->decayed ? decay * weight[i] : 0);
        velocity[i] = momentum * velocity[i] + g;
        weight[i] -= rate * (a->nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
}

/* to[rows][columns] = a[rows][inner] b; b is [inner][columns], or its transpose. */
static void product(double *to, const double *a, const double *b, int rows, int inner, int columns,
                    bool transposed) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            double sum = 0;
            for (int k = 0; k < inner; k++)
                sum += a[i * inner + k] * (transposed ? b[j * inner + k] : b[k * columns + j]);
            to[i * columns + j] = sum;
        }
}

static double frobenius(const double *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* x = 3.4445 x - 4.7750 A x + 2.0315 A A x, A = x x^T. */
static void newton_schulz(double *x, int rows, int columns) {
    double *a = doubles((size_t)rows * (size_t)rows);
    double *ax = doubles((size_t)rows * (size_t)columns);
    double *aax = doubles((size_t)rows * (size_t)columns);
    product(a, x, x, rows, columns, rows, true);
    product(ax, a, x, rows, rows, columns, false);
    product(aax, a, ax, rows, rows, columns, false);
    for (int i = 0; i < rows * columns; i++)
        x[i] = 3.4445 * x[i] - 4.7750 * ax[i] + 2.0315 * aax[i];
}

void reference_muon(double *weight, double *velocity, const struct muon_matrix *m, double momentum,
                    double rate, const double *gradient) {
    const int count = m->rows * m->columns;
    double *x = doubles((size_t)count);
    for (int i = 0; i < count; i++) {
        velocity[i] = momentum * velocity[i] + gradient[i];
        x[i] = gradient[i] + momentum * velocity[i];
    }
    const double size = frobenius(x, count), before = frobenius(weight, count);
    for (int i = 0; i < count; i++)
        x[i] /= size + 1e-7;
    for (int step = 0; step < 3; step++)
        newton_schulz(x, m->rows, m->columns);
    for (int i = 0; i < count; i++)
        weight[i] = weight[i] * sqrt(m->rows) / (before + 1e-9) - rate * x[i];
}
