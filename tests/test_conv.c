/* test_conv.c: convolution, filter standardization and the linear layer of each backend against the
 * double loops. */
#include "compare.h"
#include "device_fixture.h"
#include "reference_ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The rounding error of a sum of `terms` products of numbers in [-1, 1]: errors of 2^-24 that grow
 * like a random walk, and for a sum in one long row, whose partial sums grow too, like the number of
 * terms: of 3,000 such sums of 8,192 terms one was off by 3.7e-4. One term left out is 0.1. */
static double sum_tolerance(double terms) {
    return 2e-6 * sqrt(terms) + 5e-8 * terms + 1e-6;
}

/* ---- convolution ----------------------------------------------------------------------------- */

struct conv_sizes {
    size_t x, weight, y;
};

static struct conv_sizes conv_sizes(const struct conv_args *a) {
    int shrink = a->kernel - 1 - 2 * a->padding;
    size_t out_pixels = (size_t)(a->height - shrink) * (size_t)(a->width - shrink);
    return (struct conv_sizes){
        (size_t)a->batch * (size_t)a->in_channels * (size_t)(a->height * a->width),
        (size_t)a->out_channels * (size_t)a->in_channels * (size_t)(a->kernel * a->kernel),
        (size_t)a->batch * (size_t)a->out_channels * out_pixels};
}

/* The passes, as a line of a backend's `choice` calls them. */
static const char *const forward_pass = ": forward ", *const data_pass = ", backward data ",
                         *const filter_pass = ", backward filter ";

/* The name of the algorithm that the device chose, and more text; "" on a device without a
 * choice. */
static const char *algorithm_of(struct fixture *f, const struct conv_args *a, const char *pass) {
    char start[128];
    int shrink = a->kernel - 1 - 2 * a->padding;
    snprintf(start, sizeof start, "conv %dx%dx%d -> %dx%dx%d, %dx%d, batch %d:", a->in_channels,
             a->height, a->width, a->out_channels, a->height - shrink, a->width - shrink, a->kernel,
             a->kernel, a->batch);
    const char *line = NULL;
    for (int i = 0; (line = f->backend->choice(f->device, i)) != NULL; i++) {
        const char *name = strstr(line, pass);
        if (strncmp(line, start, strlen(start)) == 0 && name != NULL)
            return name + strlen(pass);
    }
    return "";
}

/* sum_tolerance of a pass with the algorithm that the device chose for it.
 *
 * Winograd's minimal filtering multiplies transformed tiles, whose numbers are larger than the
 * result and cancel. Lavin and Gray 2015 (arXiv:1509.09308) find F(4x4, 3x3), the largest tiles in
 * common use, an order of magnitude less accurate in float32 than direct sums. The stand-in's stay
 * within 6 times the tolerance; cuDNN's tiles and their scale are not documented.
 *
 * The error of an FFT, relative to the L2 norm of a tile, grows with the logarithm of its size
 * (Higham 2002, Accuracy and Stability of Numerical Algorithms, chapter 24): ten roundings for
 * tiles of 32 x 32, both ways. */
static double conv_tolerance(struct fixture *f, const struct conv_args *a, const char *pass,
                             double terms) {
    const char *name = algorithm_of(f, a, pass);
    double factor = strncmp(name, "WINOGRAD", 8) == 0 ? 20 : strncmp(name, "FFT", 3) == 0 ? 5 : 1;
    return factor * sum_tolerance(terms);
}

static void check_conv_forward(struct fixture *f, struct conv_args a, const double *x,
                               const double *weight) {
    struct conv_sizes size = conv_sizes(&a);
    double *y = doubles(size.y);
    reference_conv_forward(y, &a, x, weight);
    a.x = device_floats(f, x, size.x);
    a.weight = device_floats(f, weight, size.weight);
    a.y = device_output(f, size.y);
    a.workspace = device_workspace(f, f->ops->conv_workspace(f->device, &a));
    RUN(f, conv_forward, &a);
    check_device(f, "y", a.y, y, 1e-5,
                 conv_tolerance(f, &a, forward_pass, a.in_channels * a.kernel * a.kernel));
}

/* batch, in channels, height, width, out channels, kernel, padding */
static struct conv_args conv_of(const int s[7]) {
    return (struct conv_args){.batch = s[0],
                              .in_channels = s[1],
                              .height = s[2],
                              .width = s[3],
                              .out_channels = s[4],
                              .kernel = s[5],
                              .padding = s[6]};
}

/* DX_ALONE: overwritten, and dweight is not computed. */
enum dx_kind { DX_NONE, DX_OVERWRITE, DX_ACCUMULATE, DX_ALONE, DX_KINDS };

static void check_conv_backward(struct fixture *f, struct conv_args a, const double *x,
                                const double *weight, enum dx_kind kind) {
    struct conv_sizes size = conv_sizes(&a);
    double *dy = random_doubles(size.y, -1, 1), *dweight = doubles(size.weight);
    double *dx = kind == DX_NONE ? NULL : random_doubles(size.x, -1, 1);
    a.accumulate = kind == DX_ACCUMULATE;
    a.x = device_floats(f, x, size.x);
    a.weight = device_floats(f, weight, size.weight);
    a.dy = device_floats(f, dy, size.y);
    if (kind != DX_ALONE)
        a.dweight = device_output(f, size.weight);
    if (kind == DX_ACCUMULATE)
        a.dx = device_in_out(f, dx, size.x);
    if (kind == DX_OVERWRITE || kind == DX_ALONE)
        a.dx = device_output(f, size.x);
    a.workspace = device_workspace(f, f->ops->conv_workspace(f->device, &a));
    reference_conv_backward(dx, dweight, &a, x, weight, dy);
    RUN(f, conv_backward, &a);
    double terms = (double)size.y / a.out_channels;
    if (a.dweight != NULL)
        check_device(f, "dweight", a.dweight, dweight, 1e-5,
                     conv_tolerance(f, &a, filter_pass, terms));
    if (a.dx != NULL)
        check_device(f, "dx", a.dx, dx, 1e-5,
                     conv_tolerance(f, &a, data_pass, a.out_channels * a.kernel * a.kernel));
}

static void check_conv(struct fixture *f, struct conv_args a, enum dx_kind kind) {
    case_begin(f, "conv batch %d, %d x %d x %d to %d, kernel %d, padding %d, dx %d", a.batch,
               a.in_channels, a.height, a.width, a.out_channels, a.kernel, a.padding, (int)kind);
    struct conv_sizes size = conv_sizes(&a);
    double *x = random_doubles(size.x, -1, 1), *weight = random_doubles(size.weight, -1, 1);
    check_conv_forward(f, a, x, weight);
    check_conv_backward(f, a, x, weight, kind);
    case_end(f);
}

/* Every convolution of the networks once. */
static void conv_of_the_networks(void **state) {
    static const int shapes[][7] = {
        {2, 3, 32, 32, 16, 3, 1},  {1, 3, 32, 32, 8, 3, 0},   {1, 3, 32, 32, 24, 3, 1},
        {2, 16, 32, 32, 32, 3, 1}, {1, 24, 32, 32, 32, 3, 1}, {2, 8, 30, 30, 10, 3, 0},
        {2, 32, 32, 32, 16, 1, 0}, {1, 32, 32, 32, 24, 1, 0}, {2, 10, 28, 28, 8, 1, 0},
        {5, 16, 16, 16, 24, 3, 1}, {2, 24, 16, 16, 28, 3, 1}, {2, 28, 16, 16, 32, 3, 1},
        {9, 32, 16, 16, 16, 1, 0}, {5, 8, 14, 14, 10, 3, 1},  {2, 10, 14, 14, 12, 3, 1},
        {9, 12, 14, 14, 14, 3, 1}, {2, 14, 14, 14, 8, 1, 0},  {17, 16, 8, 8, 20, 3, 1},
        {9, 20, 8, 8, 26, 3, 1},   {5, 26, 8, 8, 32, 3, 1},   {2, 20, 8, 8, 28, 3, 1},
        {2, 24, 8, 8, 24, 3, 1},   {17, 8, 7, 7, 10, 3, 1},   {9, 10, 7, 7, 12, 3, 1},
        {5, 12, 7, 7, 14, 3, 1},   {128, 16, 8, 8, 20, 3, 1}, {128, 8, 7, 7, 10, 3, 1},
        {128, 32, 8, 8, 16, 1, 0},
    };
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_conv(f, conv_of(shapes[i]), shapes[i][1] == 3 ? DX_NONE : (enum dx_kind)(1 + i % 3));
}

/* Every width up to 40, so that every remainder of a vector, a tile or a warp occurs. */
static void conv_of_every_width(void **state) {
    struct fixture *f = fixture_of(state);
    for (int width = 1; width <= 40; width++)
        for (int kernel = 1; kernel <= 3; kernel += 2) {
            int padding = kernel == 3 && (width < 3 || width % 3 > 0) ? 1 : 0;
            int height = 3 + width % 5, in = 1 + width % 4, out = 1 + (width * 7) % 13;
            int shape[7] = {1 + width % 3, in, height, width, out, kernel, padding};
            check_conv(f, conv_of(shape), (enum dx_kind)((width + kernel) % DX_KINDS));
        }
}

/* Every number of channels up to 33, in and out. */
static void conv_of_every_channel_count(void **state) {
    struct fixture *f = fixture_of(state);
    for (int channels = 1; channels <= 33; channels++) {
        check_conv(f, conv_of((int[]){2, channels, 5, 6, 34 - channels, 3, 1}), DX_OVERWRITE);
        check_conv(f, conv_of((int[]){3, 34 - channels, 4, 3, channels, 1, 0}), DX_ACCUMULATE);
    }
}

static void conv_of_odd_shapes(void **state) {
    static const int shapes[][7] = {
        {1, 1, 1, 1, 1, 1, 0},   {1, 1, 1, 1, 1, 3, 1},   {1, 1, 3, 3, 1, 3, 0},
        {3, 5, 1, 1, 5, 3, 1},   {2, 5, 1, 9, 3, 3, 1},   {2, 5, 9, 1, 3, 3, 1},
        {2, 3, 2, 2, 4, 3, 1},   {1, 1, 40, 3, 1, 3, 0},  {1, 1, 3, 40, 1, 3, 0},
        {2, 5, 33, 17, 3, 3, 1}, {128, 1, 3, 3, 1, 3, 1}, {129, 5, 2, 3, 1, 1, 0},
        {1, 40, 6, 6, 48, 3, 1}, {1, 64, 4, 4, 64, 3, 1}, {2, 3, 1, 1, 4, 3, 2},
        {2, 5, 6, 11, 3, 3, 2},
    };
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int kind = DX_NONE; kind < DX_KINDS; kind++)
            check_conv(f, conv_of(shapes[i]), (enum dx_kind)kind);
}

/* What the blocks of Winograd on the CPU can meet: tile rows that do not fill the last block, maps
 * that do not fill the last group, odd sizes, each padding, one row of tiles wider than a block. */
static void conv_of_blocks_of_tiles(void **state) {
    static const int shapes[][7] = {
        {2, 17, 18, 32, 18, 3, 1}, {1, 16, 31, 31, 16, 3, 1}, {1, 16, 34, 34, 21, 3, 0},
        {1, 16, 30, 30, 16, 3, 2}, {3, 16, 15, 16, 19, 3, 1}, {7, 33, 8, 8, 17, 3, 1},
        {6, 16, 7, 7, 16, 3, 1},   {5, 20, 10, 10, 16, 3, 0}, {9, 16, 6, 6, 16, 3, 2},
        {1, 16, 4, 256, 17, 3, 1}, {1, 16, 2, 64, 16, 3, 1},  {65, 16, 4, 4, 16, 3, 1},
    };
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int kind = DX_OVERWRITE; kind <= DX_ACCUMULATE; kind++)
            check_conv(f, conv_of(shapes[i]), (enum dx_kind)kind);
}

/* Unsupported convolutions are refused, forward and backward, and nothing is written. */
static void conv_refusals(void **state) {
    static const int kernel_padding[][2] = {{1, 1}, {1, -1}, {2, 0}, {2, 1},
                                            {3, 3}, {3, -1}, {5, 2}};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof kernel_padding / sizeof kernel_padding[0]; i++) {
        int kernel = kernel_padding[i][0], padding = kernel_padding[i][1];
        case_begin(f, "refused: kernel %d, padding %d", kernel, padding);
        struct conv_args a = conv_of((int[]){2, 4, 7, 8, 3, kernel, padding});
        double *ones = random_doubles(2000, 1, 2);
        a.x = a.weight = a.dy = device_floats(f, ones, 2000); /* enough for each of them */
        a.y = device_in_out(f, ones, 2000);
        a.dx = device_in_out(f, ones, 2000);
        a.dweight = device_in_out(f, ones, 2000);
        a.workspace = device_workspace(f, 1 << 16);
        assert_refused(f, f->ops->conv_forward(&f->error, f->device, &a));
        f->error = (struct error){0};
        assert_refused(f, f->ops->conv_backward(&f->error, f->device, &a));
        check_device(f, "y", a.y, ones, 0, 0);
        check_device(f, "dx", a.dx, ones, 0, 0);
        check_device(f, "dweight", a.dweight, ones, 0, 0);
        case_end(f);
    }
}

/* The pointers in the arguments are not read: the answer is the same without them. */
static void conv_workspace_by_shape(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "conv workspace");
    struct conv_args a = conv_of((int[]){17, 16, 16, 16, 24, 3, 1}), b = a;
    float nothing = 0;
    b.x = b.weight = b.dy = b.y = b.dx = b.dweight = &nothing;
    b.workspace = &nothing;
    assert_int_equal(f->ops->conv_workspace(f->device, &a), f->ops->conv_workspace(f->device, &b));
    case_end(f);
}

/* ---- filter standardization ------------------------------------------------------------------ */

/* Errors of the mean scale with weight magnitude over r = sqrt(sum c^2 + 1e-10), the norm of a
 * centered filter; `smallest` is that norm of the smallest filter. */
static void check_filter(struct fixture *f, int filters, int elements, float gain,
                         const double *weight, double smallest) {
    size_t count = (size_t)filters * (size_t)elements;
    struct filter_args a = {.filters = filters, .elements = elements, .gain = gain};
    const struct filter_list list = {1, &a};
    double *y = doubles(count), *d = random_doubles(count, -1, 1);
    double error = 4e-7 * largest_magnitude(weight, count) / smallest;
    a.weight = device_floats(f, weight, count);
    a.y = device_output(f, count);
    reference_filter_forward(y, &a, weight);
    RUN(f, filter_forward, &list);
    check_device(f, "y", a.y, y, 1e-5, (double)gain * error + 1e-6);
    a.y = NULL;
    a.d = device_in_out(f, d, count);
    reference_filter_backward(d, &a, weight);
    RUN(f, filter_backward, &list);
    check_device(f, "d", a.d, d, 1e-5, (1e-6 + 4 * error) * largest_magnitude(d, count) + 1e-7);
}

static void filter_standardization(void **state) {
    static const int shapes[][2] = {{16, 27}, {32, 216}, {28, 252}, {24, 288}, {1, 9},
                                    {5, 2},   {3, 1},    {7, 33},   {128, 9},  {2, 1000}};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        int filters = shapes[i][0], elements = shapes[i][1];
        case_begin(f, "filter %d x %d", filters, elements);
        size_t count = (size_t)filters * (size_t)elements;
        if (elements > 2) {
            check_filter(f, filters, elements, 1.4f, random_doubles(count, -1, 1), 0.5);
            check_filter(f, filters, elements, 0.5f, random_doubles(count, -1e-2, 3e-2), 5e-3);
        } else {
            double *weight = doubles(count);
            for (size_t k = 0; k < count; k++)
                weight[k] = elements == 1 ? 0.5 : (k % 2 == 0 ? 0.5 : -0.25);
            check_filter(f, filters, elements, 2, weight, elements == 1 ? 1 : 0.5);
        }
        case_end(f);
    }
}

/* Constant filters give zeros, and gradients of finite size (1e5 times gain). */
static void filter_without_variance(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "constant filters");
    double *weight = doubles(3 * 16);
    for (size_t i = 0; i < 3 * 16; i++)
        weight[i] = 0.25 * (double)(i / 16); /* sums and means are exact in float */
    check_filter(f, 3, 16, 1.4f, weight, 1);
    case_end(f);
}

/* ---- linear ---------------------------------------------------------------------------------- */

static void check_linear(struct fixture *f, int batch, int inputs, int outputs) {
    case_begin(f, "linear batch %d, %d to %d", batch, inputs, outputs);
    struct linear_args a = {.batch = batch, .inputs = inputs, .outputs = outputs};
    size_t x_count = (size_t)(batch * inputs), y_count = (size_t)(batch * outputs);
    size_t weights = (size_t)(inputs * outputs);
    double *x = random_doubles(x_count, -1, 1), *weight = random_doubles(weights, -1, 1);
    double *dy = random_doubles(y_count, -1, 1), *y = doubles(y_count);
    double *dx = doubles(x_count), *dweight = doubles(weights);
    a.x = device_floats(f, x, x_count);
    a.weight = device_floats(f, weight, weights);
    a.y = device_output(f, y_count);
    reference_linear_forward(y, &a, x, weight);
    RUN(f, linear_forward, &a);
    check_device(f, "y", a.y, y, 1e-5, sum_tolerance(inputs));
    a.y = NULL;
    a.dy = device_floats(f, dy, y_count);
    a.dx = device_output(f, x_count);
    a.dweight = device_output(f, weights);
    reference_linear_backward(dx, dweight, &a, x, weight, dy);
    RUN(f, linear_backward, &a);
    check_device(f, "dx", a.dx, dx, 1e-5, sum_tolerance(outputs));
    check_device(f, "dweight", a.dweight, dweight, 1e-5, sum_tolerance(batch));
    case_end(f);
}

static void linear(void **state) {
    static const int batches[] = {1, 2, 5, 9, 17, 128, 1000};
    static const int inputs[] = {14, 28, 32, 1, 33};
    struct fixture *f = fixture_of(state);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
        for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
            check_linear(f, batches[b], inputs[i], 10);
    check_linear(f, 1, 1, 1);
    check_linear(f, 3, 7, 17);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_of_the_networks),
        cmocka_unit_test(conv_of_every_width),
        cmocka_unit_test(conv_of_every_channel_count),
        cmocka_unit_test(conv_of_odd_shapes),
        cmocka_unit_test(conv_of_blocks_of_tiles),
        cmocka_unit_test(conv_workspace_by_shape),
        cmocka_unit_test(filter_standardization),
        cmocka_unit_test(filter_without_variance),
        cmocka_unit_test(linear),
        cmocka_unit_test(conv_refusals),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
