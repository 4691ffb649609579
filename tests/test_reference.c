/* test_reference.c: the tests' own tools. The gradients of the reference loops against central
 * finite differences, some results computed by hand, and comparisons that must notice a NaN. */
#include "compare.h"
#include "philox.h"
#include "reference_ops.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>

/* An operation as a function of the values under test, found through its context. Returns the sum
 * of its outputs times fixed random numbers; its gradient is backward's result for dy = those
 * numbers. */
typedef double objective(void *context);

/* Compares gradient[count] with (f(v + h) - f(v - h)) / 2h for every element of values. */
static void check_gradient(const char *what, const double *gradient, double *values, size_t count,
                           objective *f, void *context) {
    const double h = 1e-5;
    double *numeric = doubles(count);
    for (size_t i = 0; i < count; i++) {
        double kept = values[i];
        values[i] = kept + h;
        double above = f(context);
        values[i] = kept - h;
        double below = f(context);
        values[i] = kept;
        numeric[i] = (above - below) / (2 * h);
    }
    check_doubles(what, gradient, numeric, count, 1e-6, 1e-7);
}

static double dot(const double *a, const double *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static int teardown(void **state) {
    (void)state;
    numbers_free();
    return 0;
}

/* ---- convolution, filters, linear ------------------------------------------------------------ */

struct conv_case {
    struct conv_args a;
    double *x, *weight, *y, *dy;
    size_t outputs;
};

static double conv_objective(void *context) {
    struct conv_case *t = context;
    reference_conv_forward(t->y, &t->a, t->x, t->weight);
    return dot(t->y, t->dy, t->outputs);
}

static void conv_gradient(void **state) {
    (void)state;
    for (int kernel = 1; kernel <= 3; kernel += 2)
        for (int padding = 0; padding <= 1; padding++) {
            case_name("conv kernel %d padding %d", kernel, padding);
            struct conv_case t = {.a = {2, 3, 4, 5, 2, kernel, padding, .accumulate = true}};
            size_t inputs = 2 * 3 * 4 * 5, weights = (size_t)(2 * 3 * kernel * kernel);
            int shrink = kernel - 1 - 2 * padding;
            t.outputs = (size_t)(2 * 2 * (4 - shrink) * (5 - shrink));
            t.x = random_doubles(inputs, -1, 1);
            t.weight = random_doubles(weights, -1, 1);
            t.dy = random_doubles(t.outputs, -1, 1);
            t.y = doubles(t.outputs);
            double *dx = random_doubles(inputs, -1, 1), *before = copied_doubles(dx, inputs);
            double *dweight = random_doubles(weights, -1, 1); /* overwritten */
            reference_conv_backward(dx, dweight, &t.a, t.x, t.weight, t.dy);
            for (size_t i = 0; i < inputs; i++)
                dx[i] -= before[i]; /* it was accumulated */
            check_gradient("dx", dx, t.x, inputs, conv_objective, &t);
            check_gradient("dweight", dweight, t.weight, weights, conv_objective, &t);
        }
}

struct filter_case {
    struct filter_args a;
    double *weight, *y, *dy;
};

static double filter_objective(void *context) {
    struct filter_case *t = context;
    reference_filter_forward(t->y, &t->a, t->weight);
    return dot(t->y, t->dy, 3 * 18);
}

static void filter_gradient(void **state) {
    (void)state;
    case_name("filter");
    struct filter_case t = {.a = {.filters = 3, .elements = 18, .gain = 1.5f}};
    t.weight = random_doubles(3 * 18, -1, 1);
    t.dy = random_doubles(3 * 18, -1, 1);
    t.y = doubles(3 * 18);
    double *d = copied_doubles(t.dy, 3 * 18);
    reference_filter_backward(d, &t.a, t.weight);
    check_gradient("dweight", d, t.weight, 3 * 18, filter_objective, &t);
    for (size_t o = 0; o < 3; o++) { /* the purpose of standardization */
        const double *y = t.y + o * 18;
        double sum = 0;
        for (size_t i = 0; i < 18; i++)
            sum += y[i];
        check_close("sum of a filter", sum, 0, 0, 1e-12);
        check_close("norm of a filter", sqrt(dot(y, y, 18)), 1.5, 1e-9, 0);
    }
}

struct linear_case {
    struct linear_args a;
    double *x, *weight, *y, *dy;
};

static double linear_objective(void *context) {
    struct linear_case *t = context;
    reference_linear_forward(t->y, &t->a, t->x, t->weight);
    return dot(t->y, t->dy, 3 * 4);
}

static void linear_gradient(void **state) {
    (void)state;
    case_name("linear");
    struct linear_case t = {.a = {.batch = 3, .inputs = 5, .outputs = 4}};
    t.x = random_doubles(3 * 5, -1, 1);
    t.weight = random_doubles(4 * 5, -1, 1);
    t.dy = random_doubles(3 * 4, -1, 1);
    t.y = doubles(3 * 4);
    double *dx = doubles(3 * 5), *dweight = doubles(4 * 5);
    reference_linear_backward(dx, dweight, &t.a, t.x, t.weight, t.dy);
    check_gradient("dx", dx, t.x, 3 * 5, linear_objective, &t);
    check_gradient("dweight", dweight, t.weight, 4 * 5, linear_objective, &t);
}

/* ---- normalization --------------------------------------------------------------------------- */

struct norm_case {
    struct norm_args a;
    enum norm_kind kind;
    struct norm_tensors t;
    double *x, *weight, *bias, *dy;
    size_t count;
};

static double norm_objective(void *context) {
    struct norm_case *c = context;
    reference_norm_forward(&c->t, c->kind, &c->a, 3);
    return dot(c->t.y, c->dy, c->count);
}

static void check_norm_gradient(enum norm_kind kind, int groups, bool per_element,
                                enum activation place, float dropout) {
    case_name("norm %d groups %d per element %d relu %d dropout %g", (int)kind, groups, per_element,
              (int)place, (double)dropout);
    struct norm_case c = {.kind = kind, .count = 3 * 4 * 5};
    c.a = (struct norm_args){.batch = 3,
                             .channels = 4,
                             .pixels = 5,
                             .groups = groups,
                             .per_element = per_element,
                             .training = true,
                             .activation = place,
                             .epsilon = 1e-2f,
                             .stat_momentum = 0.1f,
                             .dropout = dropout,
                             .seed = 5,
                             .layer = 2};
    size_t weights = norm_weights(&c.a), sets = norm_statistics(kind, &c.a);
    c.x = random_doubles(c.count, -1, 1);
    c.weight = random_doubles(weights, 0.5, 1.5);
    c.bias = random_doubles(weights, -1, 1);
    c.dy = random_doubles(c.count, -1, 1);
    c.t = (struct norm_tensors){.x = c.x,
                                .weight = c.weight,
                                .bias = c.bias,
                                .y = doubles(c.count),
                                .before_relu = doubles(c.count),
                                .mean = doubles(sets),
                                .rstd = doubles(sets),
                                .running_mean = doubles(sets),
                                .running_var = doubles(sets),
                                .dy = c.dy,
                                .dx = doubles(c.count),
                                .dweight = doubles(weights),
                                .dbias = doubles(weights)};
    norm_objective(&c);
    for (size_t i = 0; i < c.count; i++) { /* finite differences fail across the kink of ReLU */
        assert_true(fabs(c.x[i]) > 1e-4);
        if (fabs(c.t.before_relu[i]) < 1e-2)
            c.dy[i] = 0;
    }
    reference_norm_backward(&c.t, kind, &c.a, 3);
    check_gradient("dx", c.t.dx, c.x, c.count, norm_objective, &c);
    check_gradient("dweight", c.t.dweight, c.weight, weights, norm_objective, &c);
    check_gradient("dbias", c.t.dbias, c.bias, weights, norm_objective, &c);
}

static void norm_gradient(void **state) {
    (void)state;
    for (int place = RELU_BEFORE; place <= SILU_AFTER; place++)
        for (int per_element = 0; per_element <= 1; per_element++)
            for (int half = 0; half <= 1; half++) {
                float dropout = 0.5f * (float)half;
                check_norm_gradient(NORM_BATCH, 1, per_element, (enum activation)place, dropout);
                check_norm_gradient(NORM_LAYER, 1, per_element, (enum activation)place, dropout);
                for (int groups = 1; groups <= 4; groups *= 2)
                    check_norm_gradient(NORM_GROUP, groups, per_element, (enum activation)place,
                                        dropout);
            }
}

/* Batch norm by hand: two channels, one of them 1 2 3 4. */
static void batch_norm_by_hand(void **state) {
    (void)state;
    case_name("batch norm by hand");
    struct norm_args a = {.batch = 2,
                          .channels = 2,
                          .pixels = 2,
                          .groups = 1,
                          .training = true,
                          .activation = RELU_BEFORE,
                          .epsilon = 0,
                          .stat_momentum = 0.5f};
    double x[] = {1, 2, 10, 10, 3, 4, 10, 20}, weight[] = {2, 1}, bias[] = {1, 0};
    double y[8], mean[2], rstd[2], running_mean[2] = {1, 1}, running_var[2] = {1, 1};
    struct norm_tensors t = {.x = x,
                             .weight = weight,
                             .bias = bias,
                             .y = y,
                             .mean = mean,
                             .rstd = rstd,
                             .running_mean = running_mean,
                             .running_var = running_var};
    reference_norm_forward(&t, NORM_BATCH, &a, 0);
    check_close("mean", mean[0], 2.5, 1e-12, 0);
    check_close("rstd", rstd[0], 1 / sqrt(1.25), 1e-12, 0);
    check_close("running mean", running_mean[0], 1.75, 1e-12, 0);
    check_close("running variance", running_var[0], 0.5 + 0.5 * 5 / 3, 1e-12, 0);
    check_close("y", y[5], 1 + 2 * 1.5 / sqrt(1.25), 1e-12, 0);
    check_close("y of channel 1", y[7], sqrt(3), 1e-12, 0);
    a.training = false;
    reference_norm_forward(&t, NORM_BATCH, &a, 0);
    check_close("y in evaluation", y[0], 1 + 2 * (1 - 1.75) / sqrt(0.5 + 2.5 / 3), 1e-12, 0);
    check_close("running mean kept", running_mean[0], 1.75, 1e-12, 0);
}

/* ---- pool, average, loss, SGD ---------------------------------------------------------------- */

struct map_case {
    struct pool_args pool;
    struct average_args average;
    struct loss_args loss;
    double *x, *skip, *y, *dy;
    const uint8_t *labels;
    size_t outputs;
};

static double pool_objective(void *context) {
    struct map_case *t = context;
    reference_pool_forward(t->y, NULL, &t->pool, t->x, t->skip);
    return dot(t->y, t->dy, t->outputs);
}

static void pool_gradient(void **state) {
    (void)state;
    for (int with_skip = 0; with_skip <= 1; with_skip++) {
        case_name("pool skip %d", with_skip);
        struct map_case t = {.pool = {.batch = 2, .channels = 2, .height = 5, .width = 4}};
        t.outputs = 2 * 2 * 2 * 2;
        t.x = random_doubles(80, -1, 1);
        t.skip = with_skip ? random_doubles(80, -1, 1) : NULL;
        t.dy = random_doubles(t.outputs, -1, 1);
        t.y = doubles(t.outputs);
        uint8_t *code = zeroed_bytes(t.outputs);
        double *ds = random_doubles(80, -1, 1);
        reference_pool_forward(t.y, code, &t.pool, t.x, t.skip);
        reference_pool_backward(ds, &t.pool, code, t.dy);
        check_gradient("ds by x", ds, t.x, 80, pool_objective, &t);
        if (with_skip)
            check_gradient("ds by skip", ds, t.skip, 80, pool_objective, &t);
    }
}

static double average_objective(void *context) {
    struct map_case *t = context;
    reference_average_forward(t->y, &t->average, t->x);
    return dot(t->y, t->dy, t->outputs);
}

static void average_gradient(void **state) {
    (void)state;
    case_name("average");
    struct map_case t = {.average = {.batch = 2, .channels = 3, .pixels = 7}, .outputs = 6};
    t.x = random_doubles(42, -1, 1);
    t.dy = random_doubles(6, -1, 1);
    t.y = doubles(6);
    double *dx = doubles(42);
    reference_average_backward(dx, &t.average, t.dy);
    check_gradient("dx", dx, t.x, 42, average_objective, &t);
}

static double loss_objective(void *context) {
    struct map_case *t = context;
    struct counters counters = {0};
    reference_loss(NULL, &counters, &t->loss, t->x, t->labels);
    return counters.loss / t->loss.batch;
}

static void loss_gradient(void **state) {
    (void)state;
    static const uint8_t labels[3] = {0, 9, 4};
    case_name("loss");
    struct map_case t = {.loss = {.batch = 3, .classes = 10}, .labels = labels};
    struct counters counters = {.loss = 1, .correct = 2, .images = 3};
    t.x = random_doubles(30, -2, 2);
    t.x[4 + 20] = 3;
    double *d = doubles(30);
    reference_loss(d, &counters, &t.loss, t.x, labels);
    check_gradient("dlogits", d, t.x, 30, loss_objective, &t);
    assert_int_equal(counters.images, 6);
    assert_true(counters.correct >= 3);
    check_close("loss", counters.loss, 1 + 3 * loss_objective(&t), 1e-12, 0);

    double equal[10] = {0};
    counters = (struct counters){0};
    t.loss.batch = 1;
    reference_loss(d, &counters, &t.loss, equal, labels);
    check_close("loss of equal logits", counters.loss, log(10), 1e-12, 0);
    assert_int_equal(counters.correct, 1);
}

/* Two steps by hand: g = 1 + 0.5 w for the first of two weights. */
/* A matrix of one number has one singular value, itself: each step is a polynomial of it. */
static void muon_by_hand(void **state) {
    (void)state;
    case_name("muon by hand");
    const struct muon_matrix m = {.rows = 1, .columns = 1};
    const double g = -2;
    double w = 4, v = 2, x = -1; /* u = -2 + 0.5 (0.5 * 2 - 2) < 0, normalized */
    reference_muon(&w, &v, &m, 0.5, 0.25, &g);
    for (int step = 0; step < 3; step++)
        x = 3.4445 * x - 4.7750 * pow(x, 3) + 2.0315 * pow(x, 5);
    check_close("velocity", v, -1, 1e-12, 0);
    check_close("weight", w, 1 - 0.25 * x, 1e-6, 0);
}

/* The rows become nearly orthonormal: the singular values come into 0.5 to 1.3. */
static void muon_orthonormal(void **state) {
    (void)state;
    case_name("muon makes rows orthonormal");
    const struct muon_matrix m = {.rows = 2, .columns = 3};
    const double g[] = {3, 0, 1, 0, 2, 1};
    double w[6] = {0}, v[6] = {0}, gram[3] = {0};
    reference_muon(w, v, &m, 0, 1, g);
    for (int i = 0; i < 3; i++) {
        gram[0] += w[i] * w[i];
        gram[1] += w[3 + i] * w[3 + i];
        gram[2] += w[i] * w[3 + i];
    }
    double mean = (gram[0] + gram[1]) / 2;
    double spread = sqrt(pow((gram[0] - gram[1]) / 2, 2) + gram[2] * gram[2]);
    check_close("largest singular value", sqrt(mean + spread), 0.9, 0, 0.4);
    check_close("smallest singular value", sqrt(mean - spread), 0.9, 0, 0.4);
}

static void sgd_by_hand(void **state) {
    (void)state;
    case_name("sgd by hand");
    struct sgd_args a = {.count = 2, .decayed = 1, .momentum = 0.5f, .decay = 0.5f};
    double w[2] = {2, 2}, v[2] = {0, 0}, gradient[2] = {1, 1};
    reference_sgd(w, v, &a, 0.25, gradient);
    check_close("decayed weight", w[0], 2 - 0.25 * 2, 1e-12, 0);
    check_close("other weight", w[1], 2 - 0.25, 1e-12, 0);
    a.nesterov = true;
    reference_sgd(w, v, &a, 0.25, gradient);
    check_close("velocity", v[0], 0.5 * 2 + 1.75, 1e-12, 0);
    check_close("nesterov", w[0], 1.5 - 0.25 * (1.75 + 0.5 * 2.75), 1e-12, 0);
    check_close("nesterov without decay", w[1], 1.75 - 0.25 * (1 + 0.5 * 1.5), 1e-12, 0);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void input_by_hand(void **state) {
    (void)state;
    case_name("input by hand");
    struct input_args a = {.batch = 64, .seed = 9};
    uint8_t *images = zeroed_bytes(64 * 3072);
    for (size_t i = 0; i < 64 * 3072; i++)
        images[i] = (uint8_t)(i % 1024 % 32 + i % 1024 / 32); /* row + column */
    double *y = doubles(64 * 3072);
    reference_input(y, &a, 0, images);
    check_close("plain", y[3072 + 1024 + 5 * 32 + 7], (12 / 255.0 - 0.48215827) / 0.24348505, 1e-12,
                0);
    a.augment = true;
    a.crop = 4;
    reference_input(y, &a, 4, images);
    int flipped = 0, shifts[9] = {0};
    for (size_t n = 0; n < 64; n++) {
        struct philox_block w = philox(9, PHILOX_AUGMENT, 4, (uint32_t)n);
        int dx = (int)(w.word[0] * 9ull >> 32) - 4, dy = (int)(w.word[1] * 9ull >> 32) - 4;
        bool flip = w.word[2] >> 31 == 1;
        double middle = (flip ? 31 - 10 : 10) + dx + 16 + dy; /* far from every border */
        check_close("row 16, column 10", y[n * 3072 + 16 * 32 + 10],
                    (middle / 255 - 0.49139968) / 0.24703233, 1e-12, 0);
        double corner = abs(dy) + (flip ? 31 - abs(dx) : abs(dx)); /* reflected */
        check_close("corner", y[n * 3072], (corner / 255 - 0.49139968) / 0.24703233, 1e-12, 0);
        flipped += flip;
        shifts[dx + 4]++;
    }
    assert_in_range(flipped, 20, 44);
    for (int i = 0; i < 9; i++)
        assert_true(shifts[i] > 0);
}

/* ---- comparisons ----------------------------------------------------------------------------- */

static void comparisons(void **state) {
    (void)state;
    const double nan_value = (double)NAN, infinite = (double)INFINITY;
    assert_true(close_to(1.0, 1.0, 0, 0));
    assert_true(close_to(1.01, 1.0, 0.02, 0));
    assert_true(close_to(0.01, 0, 0, 0.02));
    assert_false(close_to(1.03, 1.0, 0.02, 0));
    assert_false(close_to(nan_value, 1, 1, 1));
    assert_false(close_to(1, nan_value, 1, 1));
    assert_false(close_to(nan_value, nan_value, 1, 1));
    assert_false(close_to(infinite, 1, 1e-5, 1e-5));
    assert_false(close_to(infinite, infinite, 1e-5, 1e-5));

    float actual[4] = {1, 2, 3, NAN};
    double expected[4] = {1, 2.5, 3.5, 4};
    struct difference found = compare_floats(actual, expected, 4, 0.01, 0.01);
    assert_int_equal(found.bad, 3);
    assert_int_equal(found.first, 1);
    assert_true(found.actual == 2 && found.expected == 2.5);
    found = compare_floats(actual, expected, 1, 0, 0);
    assert_int_equal(found.bad, 0);
}

#define TEST(function) cmocka_unit_test_teardown(function, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(comparisons),        TEST(input_by_hand),   TEST(conv_gradient),
        TEST(filter_gradient),    TEST(linear_gradient), TEST(norm_gradient),
        TEST(batch_norm_by_hand), TEST(pool_gradient),   TEST(average_gradient),
        TEST(loss_gradient),      TEST(sgd_by_hand),     TEST(muon_by_hand),
        TEST(muon_orthonormal),
    };
    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
