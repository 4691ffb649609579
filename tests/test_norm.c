/* test_norm.c: batch, group and layer norm of each backend, with ReLU on either side and dropout,
 * against the double loops. */
#include "compare.h"
#include "device_fixture.h"
#include "offset_buffers.h"
#include "reference_ops.h"

#include <math.h>

/* How many elements after a 256-byte boundary the arrays start: x and dx, y and dy, weight and bias
 * and their gradients. In place, dx starts where dy does. */
struct norm_starts {
    size_t x, y, weight;
};

/* One case: the operation's arguments, the values of x, and how exact the result must be. */
struct norm_case {
    enum norm_kind kind;
    struct norm_args a; /* shapes and settings */
    double offset;      /* the centre of x */
    double spread;      /* x is uniform, this far to both sides; 0: constant */
    uint64_t step;
    struct norm_starts start;
    bool in_place;     /* backward with dx == dy */
    bool at_the_kink;  /* bias 0: with spread 0, v is 0 exactly */
    bool dead_channel; /* channel 1 is negative: ReLU before the norm makes it constant */
    size_t count, sets, weights;
    struct norm_tensors host;
};

/* With ReLU last, a device may round |v| below this to either side of zero, so such dy are left
 * out. */
static const double kink = 2e-3;

static void make_numbers(struct norm_case *c) {
    c->count = (size_t)c->a.batch * (size_t)c->a.channels * (size_t)c->a.pixels;
    c->sets = norm_statistics(c->kind, &c->a);
    c->weights = norm_weights(&c->a);
    double *x = random_doubles(c->count, c->offset - c->spread, c->offset + c->spread);
    for (size_t i = 0; i < c->count && c->offset == 0; i++) {
        if (random_below(8) == 0)
            x[i] = 0; /* ReLU's gradient at zero is zero */
        if (c->dead_channel && i / (size_t)c->a.pixels % (size_t)c->a.channels == 1)
            x[i] = -fabs(x[i]) - 0.125;
    }
    c->host = (struct norm_tensors){.x = x,
                                    .weight = random_doubles(c->weights, -1.5, 1.5),
                                    .bias = random_doubles(c->weights, -1, 1),
                                    .y = doubles(c->count),
                                    .before_relu = doubles(c->count),
                                    .mean = doubles(c->sets),
                                    .rstd = doubles(c->sets),
                                    .running_mean = random_doubles((size_t)c->a.channels, -1, 1),
                                    .running_var = random_doubles((size_t)c->a.channels, 0.5, 2),
                                    .dx = doubles(c->count),
                                    .dweight = doubles(c->weights),
                                    .dbias = doubles(c->weights)};
    if (c->at_the_kink)
        c->host.bias = doubles(c->weights);
}

/* Whether cuDNN normalizes, on a GPU or a stand-in that is as inaccurate. */
static bool rough_norm(const struct fixture *f, const struct norm_case *c) {
    return c->kind == NORM_BATCH && f->options.batch_norm == BATCH_NORM_CUDNN && c->a.training &&
           !device_is_exact(f);
}

/* The relative error of rstd: exact, or with the variance as E[x^2] - E[x]^2 of float32 sums. The
 * error of such a variance is 1e-6 of E[x^2] at most: partial sums of up to 128 terms are off by
 * some roundings of 2^-24. */
static double rstd_error(const struct fixture *f, const struct norm_case *c) {
    double largest = 0;
    if (!rough_norm(f, c))
        return 0;
    for (size_t i = 0; i < c->sets; i++) { /* E[x^2] / (variance + epsilon) */
        double ratio = c->host.mean[i] * c->host.rstd[i];
        largest = fmax(largest, ratio * ratio + 1);
    }
    return 1e-6 * largest;
}

/* The rounding error of xhat. A mean that is off by 2^-23 of its size counts rstd times; an error of
 * rstd counts as often as the largest xhat says. */
static double xhat_error(const struct fixture *f, const struct norm_case *c) {
    double rstd = largest_magnitude(c->host.rstd, c->sets);
    double mean = largest_magnitude(c->host.mean, c->sets);
    double xhat = fmin(2 * c->spread * rstd, sqrt((double)c->count / (double)c->sets));
    return 3e-6 + 4e-7 * mean * rstd + rstd_error(f, c) * xhat;
}

static void upload_common(struct fixture *f, const struct norm_case *c, struct norm_args *a) {
    size_t channels = (size_t)a->channels;
    a->x = offset_floats(f, c->host.x, c->count, c->start.x);
    a->weight = offset_floats(f, c->host.weight, c->weights, c->start.weight);
    a->bias = offset_floats(f, c->host.bias, c->weights, c->start.weight);
    a->mean = device_output(f, c->sets);
    a->rstd = device_output(f, c->sets);
    a->state = device_state(f, c->step, 0);
    a->workspace = device_workspace(f, f->ops->norm[c->kind].workspace(f->device, a));
    if (c->kind != NORM_BATCH)
        return;
    a->running_mean = device_in_out(f, c->host.running_mean, channels);
    a->running_var = device_in_out(f, c->host.running_var, channels);
    if (!a->training) {
        device_freeze(f, a->running_mean);
        device_freeze(f, a->running_var);
    }
}

static void check_forward(struct fixture *f, const struct norm_case *c, struct norm_args *a) {
    a->y = offset_output(f, c->count, c->start.y);
    reference_norm_forward(&c->host, c->kind, a, c->step);
    must(f, "norm forward", f->ops->norm[c->kind].forward(&f->error, f->device, a));
    double error = xhat_error(f, c), relative = 1e-5 + 0.1 * error + 2 * rstd_error(f, c);
    check_offset(f, "y", a->y, c->start.y, c->host.y, 1e-5, error * 1.5 / (1 - (double)a->dropout));
    if (!a->training)
        return; /* mean and rstd are not read then */
    check_device(f, "mean", a->mean, c->host.mean, 1e-6, 1e-6 * (c->spread + 0.1));
    check_device(f, "rstd", a->rstd, c->host.rstd, relative, 0);
    device_freeze(f, a->mean);
    device_freeze(f, a->rstd);
    if (c->kind != NORM_BATCH)
        return;
    check_device(f, "running_mean", a->running_mean, c->host.running_mean, 2e-6, 1e-6);
    check_device(f, "running_var", a->running_var, c->host.running_var, relative, 1e-6);
}

/* Random dy, but zero where v is too close to the kink. dx is a difference of larger numbers, hence
 * its tolerance by the largest of them. */
static void check_backward(struct fixture *f, struct norm_case *c, struct norm_args *a) {
    double *dy = random_doubles(c->count, -1, 1);
    for (size_t i = 0; i < c->count; i++)
        if (a->activation == RELU_AFTER && !c->at_the_kink && fabs(c->host.before_relu[i]) < kink)
            dy[i] = 0;
    c->host.dy = dy;
    reference_norm_backward(&c->host, c->kind, a, c->step);
    device_freeze(f, a->y - c->start.y);
    a->running_mean = a->running_var = NULL; /* backward does not read them */
    device_poison(f, a->workspace);
    a->dweight = offset_output(f, c->weights, c->start.weight);
    a->dbias = offset_output(f, c->weights, c->start.weight);
    size_t dx_start = c->in_place ? c->start.y : c->start.x;
    if (c->in_place) {
        a->dx = offset_in_out(f, dy, c->count, dx_start);
        a->dy = a->dx;
    } else {
        a->dx = offset_output(f, c->count, dx_start);
        a->dy = offset_floats(f, dy, c->count, c->start.y);
    }
    must(f, "norm backward", f->ops->norm[c->kind].backward(&f->error, f->device, a));
    double error = xhat_error(f, c), terms = (double)c->count / (double)c->weights;
    double slope_error = a->activation == SILU_AFTER ? error : 0; /* dv depends on v */
    check_offset(f, "dx", a->dx, dx_start, c->host.dx, 1e-4,
                 (3e-6 + 2 * error) * largest_magnitude(c->host.dx, c->count) +
                     5e-7 * largest_magnitude(c->host.rstd, c->sets));
    check_offset(f, "dweight", a->dweight, c->start.weight, c->host.dweight, 1e-5,
                 error * (sqrt(terms) + largest_magnitude(c->host.dbias, c->weights)) + 1e-6);
    check_offset(f, "dbias", a->dbias, c->start.weight, c->host.dbias, 1e-5,
                 (1e-6 + slope_error) * sqrt(terms) + 1e-6);
}

static void begin_norm_case(struct fixture *f, const struct norm_case *c) {
    static const char *const words[] = {"batch", "group", "layer"};
    static const char *const activations[] = {"relu before", "relu after", "silu after"};
    case_begin(f,
               "%s norm %d x %d x %d, groups %d, %s, %s, %s, epsilon %g, dropout %g, "
               "x %g +- %g, step %d%s, starts %zu %zu %zu",
               words[c->kind], c->a.batch, c->a.channels, c->a.pixels, c->a.groups,
               c->a.per_element ? "per element" : "per channel",
               c->a.training ? "training" : "evaluation", activations[c->a.activation],
               (double)c->a.epsilon, (double)c->a.dropout, c->offset, c->spread, (int)c->step,
               c->in_place ? ", in place" : "", c->start.x, c->start.y, c->start.weight);
}

/* Up to a multiple of 16 bytes. */
static void align(size_t *start) {
    *start = (*start + 3) / 4 * 4;
}

static void check_norm(struct fixture *f, struct norm_case c) {
    if (f->options.batch_norm == BATCH_NORM_OWN && c.kind != NORM_BATCH)
        return; /* the option changes nothing else */
    if (rough_norm(f, &c)) {
        align(&c.start.x);
        align(&c.start.y);
        align(&c.start.weight);
    }
    begin_norm_case(f, &c);
    make_numbers(&c);
    struct norm_args a = c.a;
    upload_common(f, &c, &a);
    check_forward(f, &c, &a);
    if (a.training)
        check_backward(f, &c, &a);
    case_end(f);
}

/* A case of a shape, in training, with x uniform in [-1, 1]. */
static struct norm_case norm_of(enum norm_kind kind, int batch, int channels, int pixels,
                                int groups) {
    return (struct norm_case){.kind = kind,
                              .spread = 1,
                              .step = 6,
                              .a = {.batch = batch,
                                    .channels = channels,
                                    .pixels = pixels,
                                    .groups = groups,
                                    .training = true,
                                    .activation = RELU_BEFORE,
                                    .epsilon = 1e-5f,
                                    .stat_momentum = 0.1f,
                                    .seed = 11,
                                    .layer = 3}};
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* All activations, in place and not, in training. */
static void check_training(struct fixture *f, struct norm_case c) {
    for (int place = RELU_BEFORE; place <= SILU_AFTER; place++) {
        c.a.activation = (enum activation)place;
        c.in_place = place != RELU_BEFORE;
        check_norm(f, c);
    }
}

/* And all in evaluation. */
static void check_shape(struct fixture *f, struct norm_case c) {
    check_training(f, c);
    c.a.training = false;
    c.a.dropout = 0.25f; /* evaluation ignores it */
    for (int place = RELU_BEFORE; place <= SILU_AFTER; place++) {
        c.a.activation = (enum activation)place;
        check_norm(f, c);
    }
}

/* batch, channels, pixels of every norm of the networks */
static const int network_shapes[][3] = {{2, 16, 1024}, {1, 32, 1024}, {2, 24, 1024}, {5, 24, 256},
                                        {2, 28, 256},  {3, 32, 256},  {17, 20, 64},  {9, 28, 64},
                                        {5, 24, 64},   {128, 32, 64}, {17, 16, 256}, {128, 20, 64}};

static void batch_norm_of_the_networks(void **state) {
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof network_shapes / sizeof network_shapes[0]; i++) {
        const int *s = network_shapes[i];
        check_shape(f, norm_of(NORM_BATCH, s[0], s[1], s[2], 1));
    }
    check_shape(f, norm_of(NORM_BATCH, 9, 26, 64, 1));
}

static void group_norm_of_the_networks(void **state) {
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof network_shapes / sizeof network_shapes[0]; i++) {
        const int *s = network_shapes[i];
        check_shape(f, norm_of(NORM_GROUP, s[0], s[1], s[2], 4));
        check_shape(f, norm_of(NORM_GROUP, 1 + (int)i % 2, s[1], s[2], 1 + (int)i % 2));
    }
}

static void layer_norm_of_the_networks(void **state) {
    static const int reference_shapes[][3] = {{2, 8, 900},  {3, 10, 784}, {5, 10, 196},
                                              {2, 12, 196}, {9, 14, 196}, {17, 10, 49},
                                              {5, 12, 49},  {128, 14, 49}};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof reference_shapes / sizeof reference_shapes[0]; i++) {
        const int *s = reference_shapes[i];
        struct norm_case c = norm_of(NORM_LAYER, s[0], s[1], s[2], 1);
        c.a.per_element = true;
        check_shape(f, c);
    }
    for (size_t i = 0; i < sizeof network_shapes / sizeof network_shapes[0]; i += 2) {
        const int *s = network_shapes[i];
        check_shape(f, norm_of(NORM_LAYER, s[0], s[1], s[2], 1));
    }
}

/* A channel for all warps of a GPU, and more channels than it has warps; more numbers than it keeps
 * on chip: an H200 has room for 4.3 million. */
static void batch_norm_of_odd_divisions(void **state) {
    struct fixture *f = fixture_of(state);
    check_training(f, norm_of(NORM_BATCH, 64, 1, 1024, 1));
    check_training(f, norm_of(NORM_BATCH, 3, 1, 1023, 1));
    check_training(f, norm_of(NORM_BATCH, 1, 3, 1000, 1));
    check_training(f, norm_of(NORM_BATCH, 2, 70, 12, 1));
    check_training(f, norm_of(NORM_BATCH, 2, 2200, 3, 1));
    check_training(f, norm_of(NORM_BATCH, 130, 33, 68, 1));
    check_training(f, norm_of(NORM_BATCH, 131, 33, 65, 1));
    struct norm_case c = norm_of(NORM_BATCH, 130, 33, 68, 1);
    c.a.dropout = 0.2f;
    check_training(f, c);
    if (f->options.batch_norm == BATCH_NORM_OWN)
        check_norm(f, norm_of(NORM_BATCH, 150, 32, 1024, 1));
}

/* Groups from the networks' largest to those too large for a block of threads: a GPU block keeps at
 * most 32,768 numbers. */
static void norms_of_large_groups(void **state) {
    struct fixture *f = fixture_of(state);
    check_training(f, norm_of(NORM_LAYER, 2, 32, 1024, 1));
    check_training(f, norm_of(NORM_LAYER, 1, 10, 900, 1));
    check_training(f, norm_of(NORM_GROUP, 2, 32, 900, 4));
    check_training(f, norm_of(NORM_LAYER, 2, 8, 1023, 1));  /* no vectors */
    check_training(f, norm_of(NORM_LAYER, 2, 17, 1017, 1)); /* and too large */
    check_training(f, norm_of(NORM_GROUP, 2, 66, 1024, 2)); /* too large for a block */
    check_training(f, norm_of(NORM_LAYER, 2, 300, 4, 1)); /* more channels than a block has parts */
    check_training(f, norm_of(NORM_LAYER, 2, 1100, 1, 1));
    struct norm_case c = norm_of(NORM_LAYER, 2, 36, 1000, 1);
    c.a.per_element = true;
    check_training(f, c);
    c = norm_of(NORM_LAYER, 3, 20, 1024, 1); /* fits into a block, with shared memory */
    c.a.per_element = true;
    check_training(f, c);
    c = norm_of(NORM_LAYER, 2, 31, 1057, 1); /* 32,767 */
    c.a.per_element = true;
    check_training(f, c);
    for (int channels = 8; channels <= 24; channels += 8) {
        c = norm_of(NORM_LAYER, 1, channels, 1024, 1);
        c.a.dropout = 0.125f;
        check_training(f, c);
    }
}

/* Batches up to thousands: sums over the batch, and launches of many blocks. */
static void norms_of_large_batches(void **state) {
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++) {
        check_norm(f, norm_of((enum norm_kind)kind, 2048, 4, 4, kind == NORM_GROUP ? 2 : 1));
        check_norm(f, norm_of((enum norm_kind)kind, 301, 8, 49, kind == NORM_GROUP ? 4 : 1));
        if (kind == NORM_BATCH)
            continue;
        struct norm_case c = norm_of((enum norm_kind)kind, 515, 6, 6, kind == NORM_GROUP ? 3 : 1);
        c.a.per_element = true;
        check_training(f, c);
    }
}

/* Arrays that start anywhere: the interface requires no more than a float's alignment. */
static void norms_of_any_start(void **state) {
    static const struct norm_starts starts[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {2, 2, 2},
                                                {3, 3, 3}, {4, 8, 4}, {0, 0, 0}};
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
            struct norm_case c =
                norm_of((enum norm_kind)kind, 9, 12, 20, kind == NORM_GROUP ? 3 : 1);
            c.start = starts[i];
            c.a.dropout = i % 2 == 0 ? 0.25f : 0;
            check_training(f, c);
            c.a.training = kind != NORM_BATCH; /* the others evaluate with the same code */
            c.a.per_element = c.a.training;
            check_norm(f, c);
        }
}

/* Numbers of pixels with every remainder of a vector or a warp; few channels; single pixels. */
static void norms_of_odd_shapes(void **state) {
    struct fixture *f = fixture_of(state);
    for (int pixels = 1; pixels <= 70; pixels += pixels < 36 ? 1 : 11) {
        int channels = 4 * (1 + pixels % 3), batch = 2 + pixels % 4;
        for (int kind = 0; kind < NORM_COUNT; kind++) {
            int groups = kind == NORM_GROUP ? 1 << pixels % 3 : 1;
            struct norm_case c = norm_of((enum norm_kind)kind, batch, channels, pixels, groups);
            c.a.per_element = kind != NORM_BATCH && (pixels + kind) % 2 == 0;
            c.a.activation = (enum activation)(pixels / 2 % 3);
            c.a.epsilon = pixels % 3 == 0 ? 1e-2f : 1e-5f;
            c.in_place = pixels % 4 < 2;
            check_norm(f, c);
        }
    }
}

static void norms_of_small_shapes(void **state) {
    struct fixture *f = fixture_of(state);
    check_shape(f, norm_of(NORM_BATCH, 2, 1, 1, 1)); /* two numbers in a channel */
    check_shape(f, norm_of(NORM_BATCH, 1, 1, 2, 1));
    check_shape(f, norm_of(NORM_BATCH, 1, 5, 9, 1));
    check_shape(f, norm_of(NORM_BATCH, 17, 5, 1, 1));
    check_shape(f, norm_of(NORM_GROUP, 1, 1, 9, 1));
    check_shape(f, norm_of(NORM_GROUP, 3, 5, 7, 5)); /* a group of one channel */
    check_shape(f, norm_of(NORM_GROUP, 3, 4, 1, 2)); /* a group of two numbers */
    check_shape(f, norm_of(NORM_GROUP, 2, 6, 35, 3));
    check_shape(f, norm_of(NORM_LAYER, 1, 1, 2, 1));
    check_shape(f, norm_of(NORM_LAYER, 3, 5, 1, 1));
    check_shape(f,
                norm_of(NORM_LAYER, 2, 5, 1517, 1)); /* 41 x 37: longer than any row of threads */
}

/* One number in a group: its variance is 0, and nothing passes to dx. */
static void norms_of_single_numbers(void **state) {
    struct fixture *f = fixture_of(state);
    struct norm_case c = norm_of(NORM_GROUP, 3, 4, 1, 4);
    c.a.epsilon = 1e-2f;
    check_shape(f, c);
    c = norm_of(NORM_LAYER, 5, 1, 1, 1);
    c.a.epsilon = 1e-2f;
    check_shape(f, c);
}

/* ---- settings -------------------------------------------------------------------------------- */

/* The kinds with a typical shape, and per-element weights where a network has them. */
static struct norm_case typical(int kind) {
    struct norm_case c = norm_of((enum norm_kind)kind, 5, 8, 49, kind == NORM_GROUP ? 4 : 1);
    c.a.per_element = kind == NORM_LAYER;
    c.dead_channel = true;
    return c;
}

static void norms_by_epsilon_and_momentum(void **state) {
    static const float epsilons[] = {1e-5f, 1e-2f, 1};
    static const float momenta[] = {0.1f, 0, 1};
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (int i = 0; i < 3; i++) {
            struct norm_case c = typical(kind);
            c.a.epsilon = epsilons[i];
            c.a.stat_momentum = momenta[i];
            c.spread = 0.1; /* so that epsilon matters */
            check_shape(f, c);
        }
}

static void norms_with_dropout(void **state) {
    static const float dropouts[] = {0.05f, 0.5f, 0.9f};
    static const uint64_t steps[] = {0, 6, 0x100000001u};
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (int i = 0; i < 9; i++) {
            struct norm_case c = typical(kind);
            c.a.dropout = dropouts[i % 3];
            c.step = steps[i / 3];
            c.a.seed = i % 2 == 0 ? 1 : 0x123456789ABCDEFu;
            c.a.layer = i;
            c.a.activation = (enum activation)(i % 3 == 1 ? i / 3 : i % 2);
            c.a.pixels = i < 3 ? 49 : 62 + i; /* not a multiple of four elements */
            c.in_place = i % 3 > 0;
            check_norm(f, c);
        }
    for (int place = RELU_BEFORE; place <= SILU_AFTER;
         place++) { /* more than a block processes at once */
        struct norm_case c = norm_of(NORM_BATCH, 128, 32, 64, 1);
        c.a.dropout = 0.3f;
        c.a.activation = (enum activation)place;
        c.in_place = place != RELU_BEFORE;
        check_training(f, c);
    }
}

/* Variance 0 exactly: v is the bias, and dx has no component along the sum. Mean 1000: E[x^2] -
 * mean^2 in float would be off by a tenth, so cuDNN is not asked. Tiny and huge numbers. */
static void norms_of_hard_numbers(void **state) {
    static const double offsets[] = {0.5, 1000, -1000, 0, 30};
    static const double spreads[] = {0, 1.7, 1.7, 1e-4, 1e4};
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (int i = 0; i < 5; i++)
            for (int place = RELU_BEFORE; place <= SILU_AFTER; place++) {
                struct norm_case c = typical(kind);
                c.a.activation = (enum activation)place;
                c.offset = offsets[i];
                c.spread = spreads[i];
                if (fabs(c.offset) < 100 || !rough_norm(f, &c))
                    check_norm(f, c);
            }
}

/* The gradient of a ReLU after the norm is 0 at v = 0: with constant x and bias 0, all of it. cuDNN
 * may compute v as x * (rstd * weight) + (bias - mean * rstd * weight), which is not 0 exactly. */
static void norms_at_the_kink(void **state) {
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (int per_element = 0; per_element <= (kind == NORM_BATCH ? 0 : 1); per_element++) {
            struct norm_case c =
                norm_of((enum norm_kind)kind, 2, 4, 16, kind == NORM_GROUP ? 2 : 1);
            c.a.activation = RELU_AFTER;
            c.a.per_element = per_element;
            c.offset = 0.5;
            c.spread = 0;
            c.at_the_kink = true;
            if (!rough_norm(f, &c))
                check_norm(f, c);
        }
}

/* NaN passes ReLU and the statistics: in y exactly its set is NaN. */
static void norms_of_nan(void **state) {
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (int place = RELU_BEFORE; place <= SILU_AFTER; place++) {
            struct norm_case c = typical(kind);
            c.a.activation = (enum activation)place;
            begin_norm_case(f, &c);
            make_numbers(&c);
            double *x = copied_doubles(c.host.x, c.count);
            x[0] = (double)NAN;
            c.host.x = x;
            struct norm_args a = c.a;
            upload_common(f, &c, &a);
            a.y = device_output(f, c.count);
            must(f, "norm forward", f->ops->norm[kind].forward(&f->error, f->device, &a));
            const float *y = device_read(f, a.y);
            size_t pixels = (size_t)a.pixels, image = pixels * (size_t)a.channels;
            size_t own = image / (size_t)a.groups; /* the first of this many of all */
            for (size_t i = 0; i < c.count; i++) {
                bool expected = kind == NORM_BATCH ? i % image < pixels : i < own;
                if ((isnan(y[i]) != 0) != expected)
                    fail_msg("%s: y[%zu] is %g", case_text(), i, (double)y[i]);
            }
            case_end(f);
        }
}

/* Twice the same arguments give twice the same bits. */
static void norms_repeat(void **state) {
    struct fixture *f = fixture_of(state);
    for (int kind = 0; kind < NORM_COUNT; kind++) {
        struct norm_case c = norm_of((enum norm_kind)kind, 65, 12, 64, kind == NORM_GROUP ? 4 : 1);
        begin_norm_case(f, &c);
        make_numbers(&c);
        struct norm_args a = c.a;
        upload_common(f, &c, &a);
        a.dy = device_floats(f, random_doubles(c.count, -1, 1), c.count);
        float *outputs[2][4];
        for (int round = 0; round < 2; round++) {
            float **out = outputs[round];
            a.y = out[0] = device_output(f, c.count);
            a.dx = out[1] = device_output(f, c.count);
            a.dweight = out[2] = device_output(f, c.weights);
            a.dbias = out[3] = device_output(f, c.weights);
            must(f, "norm forward", f->ops->norm[kind].forward(&f->error, f->device, &a));
            must(f, "norm backward", f->ops->norm[kind].backward(&f->error, f->device, &a));
            device_poison(f, a.workspace);
        }
        for (int i = 0; i < 4; i++)
            check_bytes("the second time", device_read(f, outputs[1][i]),
                        device_read(f, outputs[0][i]), device_size(f, outputs[0][i]));
        case_end(f);
    }
}

/* Batch norm refuses weights for each pixel, forward and backward. */
static void batch_norm_per_element(void **state) {
    struct fixture *f = fixture_of(state);
    struct norm_case c = norm_of(NORM_BATCH, 4, 12, 9, 1);
    c.a.per_element = true;
    begin_norm_case(f, &c);
    make_numbers(&c);
    struct norm_args a = c.a;
    upload_common(f, &c, &a);
    a.y = device_output(f, c.count);
    assert_refused(f, f->ops->norm[NORM_BATCH].forward(&f->error, f->device, &a));
    f->error = (struct error){0};
    a.dy = device_floats(f, c.host.x, c.count);
    a.dx = device_output(f, c.count);
    a.dweight = device_output(f, c.weights);
    a.dbias = device_output(f, c.weights);
    assert_refused(f, f->ops->norm[NORM_BATCH].backward(&f->error, f->device, &a));
    case_end(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_norm_of_the_networks),
        cmocka_unit_test(group_norm_of_the_networks),
        cmocka_unit_test(layer_norm_of_the_networks),
        cmocka_unit_test(batch_norm_of_odd_divisions),
        cmocka_unit_test(norms_of_large_groups),
        cmocka_unit_test(norms_of_large_batches),
        cmocka_unit_test(norms_of_any_start),
        cmocka_unit_test(norms_of_odd_shapes),
        cmocka_unit_test(norms_of_small_shapes),
        cmocka_unit_test(norms_of_single_numbers),
        cmocka_unit_test(norms_by_epsilon_and_momentum),
        cmocka_unit_test(norms_with_dropout),
        cmocka_unit_test(norms_of_hard_numbers),
        cmocka_unit_test(norms_at_the_kink),
        cmocka_unit_test(norms_of_nan),
        cmocka_unit_test(norms_repeat),
        cmocka_unit_test(batch_norm_per_element),
    };
    const struct CMUnitTest of_batch_norm[] = {
        cmocka_unit_test(batch_norm_of_the_networks),
        cmocka_unit_test(batch_norm_of_odd_divisions),
        cmocka_unit_test(norms_of_large_batches),
        cmocka_unit_test(norms_of_any_start),
        cmocka_unit_test(norms_of_odd_shapes),
        cmocka_unit_test(norms_of_small_shapes),
        cmocka_unit_test(norms_by_epsilon_and_momentum),
        cmocka_unit_test(norms_with_dropout),
        cmocka_unit_test(norms_of_hard_numbers),
        cmocka_unit_test(norms_at_the_kink),
        cmocka_unit_test(norms_of_nan),
        cmocka_unit_test(norms_repeat),
        cmocka_unit_test(batch_norm_per_element),
    };
    const struct device_options own = {.batch_norm = BATCH_NORM_OWN};
    int failed = run_on_gpus(of_batch_norm, sizeof of_batch_norm / sizeof of_batch_norm[0], &own,
                             "own batch norm");
    return failed + run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
