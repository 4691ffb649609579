/* test_pool_loss.c: max pool with and without a skip, average pool, and the loss of each backend
 * against the double loops. */
#include "compare.h"
#include "device_fixture.h"
#include "offset_buffers.h"
#include "reference_ops.h"

#include <math.h>
#include <string.h>

/* ---- max pool -------------------------------------------------------------------------------- */

/* Eighths in [-1, 1]: sums are exact in float, and many of them are equal. */
static double *coarse_doubles(size_t count) {
    double *values = doubles(count);
    for (size_t i = 0; i < count; i++)
        values[i] = ((double)random_below(17) - 8) / 8;
    return values;
}

struct pool_sizes {
    size_t in, out;
};

static struct pool_sizes pool_sizes(const struct pool_args *a) {
    size_t maps = (size_t)a->batch * (size_t)a->channels;
    return (struct pool_sizes){maps * (size_t)(a->height * a->width),
                               maps * (size_t)(a->height / 2) * (size_t)(a->width / 2)};
}

/* How many elements after a 256-byte boundary the arrays start: x and ds, skip, y and dy, code. */
struct pool_offsets {
    size_t x, skip, y, code;
};

/* x and skip as given; evaluation, training, backward. */
static void check_pool_numbers(struct fixture *f, struct pool_args a, const double *x,
                               const double *skip, struct pool_offsets offset) {
    struct pool_sizes size = pool_sizes(&a);
    double *y = doubles(size.out), *ds = doubles(size.in);
    double *dy = random_doubles(size.out, -1, 1);
    uint8_t *code = zeroed_bytes(size.out);
    reference_pool_forward(y, code, &a, x, skip);
    reference_pool_backward(ds, &a, code, dy);

    a.x = offset_floats(f, x, size.in, offset.x);
    a.skip = skip == NULL ? NULL : offset_floats(f, skip, size.in, offset.skip);
    a.y = offset_output(f, size.out, offset.y);
    RUN(f, pool_forward, &a); /* evaluation: no code */
    check_offset(f, "y in evaluation", a.y, offset.y, y, 0, 0);
    device_poison(f, a.y - offset.y);
    a.code = offset_output_bytes(f, size.out, offset.code);
    RUN(f, pool_forward, &a);
    check_offset(f, "y", a.y, offset.y, y, 0, 0);
    check_offset_bytes(f, "code", a.code, offset.code, code);

    device_freeze(f, a.code - offset.code);
    a.x = a.skip = NULL; /* backward does not read them */
    a.y = NULL;
    a.dy = offset_floats(f, dy, size.out, offset.y);
    a.ds = offset_output(f, size.in, offset.x);
    RUN(f, pool_backward, &a);
    check_offset(f, "ds", a.ds, offset.x, ds, 0, 0);
}

static void check_pool_at(struct fixture *f, int batch, int channels, int height, int width,
                          struct pool_offsets offset) {
    struct pool_args a = {.batch = batch, .channels = channels, .height = height, .width = width};
    size_t count = pool_sizes(&a).in;
    for (int with_skip = 0; with_skip <= 1; with_skip++)
        for (int coarse = 0; coarse <= 1; coarse++) {
            case_begin(f, "pool %d x %d x %d x %d, skip %d, %s numbers, offsets %zu %zu %zu %zu",
                       batch, channels, height, width, with_skip, coarse ? "equal" : "different",
                       offset.x, offset.skip, offset.y, offset.code);
            double *x = coarse ? coarse_doubles(count) : random_doubles(count, -1, 1);
            /* rounded to 2^-20, so that sums with the skip are exact */
            double *skip = coarse_doubles(count);
            for (size_t i = 0; i < count && !coarse; i++)
                x[i] = floor(x[i] * 0x1p20) * 0x1p-20;
            check_pool_numbers(f, a, x, with_skip ? skip : NULL, offset);
            case_end(f);
        }
}

static void check_pool(struct fixture *f, int batch, int channels, int height, int width) {
    check_pool_at(f, batch, channels, height, width, (struct pool_offsets){0});
}

static void pool_of_the_networks(void **state) {
    struct fixture *f = fixture_of(state);
    check_pool(f, 2, 16, 32, 32);
    check_pool(f, 1, 24, 32, 32);
    check_pool(f, 9, 8, 28, 28);
    check_pool(f, 5, 16, 16, 16);
    check_pool(f, 17, 24, 16, 16);
    check_pool(f, 128, 8, 14, 14);
}

static void pool_of_odd_shapes(void **state) {
    struct fixture *f = fixture_of(state);
    for (int width = 2; width <= 40; width++)
        check_pool(f, 1 + width % 3, 1 + width % 5, 2 + width % 7, width);
    check_pool(f, 1, 26, 7, 7);
    check_pool(f, 2, 26, 15, 15);
    check_pool(f, 2, 3, 9, 16); /* odd height, even width */
    check_pool(f, 2, 3, 2, 2);
    check_pool(f, 2, 3, 3, 3);
    check_pool(f, 1, 1, 41, 2);
    check_pool(f, 3, 1, 2, 41);
}

/* Each array alone, and all together, at every offset from a 16-byte boundary. */
static void pool_of_offset_arrays(void **state) {
    static const int widths[] = {8, 6, 5};
    struct fixture *f = fixture_of(state);
    for (int w = 0; w < 3; w++)
        for (size_t by = 1; by < 4; by++) {
            const struct pool_offsets offsets[] = {
                {by, 0, 0, 0}, {0, by, 0, 0}, {0, 0, by, 0}, {0, 0, 0, by}, {by, by, by, by}};
            for (int i = 0; i < 5; i++)
                check_pool_at(f, 2, 3, 6 + w, widths[w], offsets[i]);
        }
}

/* A NaN wins anywhere, passes ReLU, and its gradient goes to its place. */
static void pool_of_nan(void **state) {
    struct fixture *f = fixture_of(state);
    for (int width = 2; width <= 4; width++)
        for (int k = 0; k < 8; k++) {
            int place = k / 2, row = place / 2, column = place % 2;
            case_begin(f, "pool of a NaN at %d, width %d, skip %d", place, width, k % 2);
            struct pool_args a = {.batch = 1, .channels = 1, .height = 2, .width = width};
            size_t outputs = (size_t)(width / 2), count = 2 * (size_t)width;
            double *x = random_doubles(count, -1, 1), *dy = random_doubles(outputs, 1, 2);
            double *ds = doubles(count);
            uint8_t *code = zeroed_bytes(outputs);
            for (size_t i = 0; i < outputs; i++) {
                size_t at = (size_t)(row * width + column) + 2 * i;
                x[at] = (double)NAN;
                ds[at] = dy[i];
                code[i] = (uint8_t)place;
            }
            a.x = device_floats(f, x, count);
            a.skip = k % 2 ? device_floats(f, random_doubles(count, -1, 1), count) : NULL;
            a.y = device_output(f, outputs);
            a.code = device_output_bytes(f, outputs);
            a.dy = device_floats(f, dy, outputs);
            a.ds = device_output(f, count);
            RUN(f, pool_forward, &a);
            const float *y = device_read(f, a.y);
            for (size_t i = 0; i < outputs; i++)
                assert_true(isnan(y[i]));
            check_bytes("code", device_read(f, a.code), code, outputs);
            RUN(f, pool_backward, &a);
            check_device(f, "ds", a.ds, ds, 0, 0);
            case_end(f);
        }
}

/* All numbers equal; all sums negative; sums of zero, which ReLU's gradient does not pass. */
static void pool_of_ties(void **state) {
    static const double xs[] = {0, 0.5, -0.5, 0.5, 0.25}, skips[] = {0, 0.5, 0.25, -0.5, -0.5};
    struct fixture *f = fixture_of(state);
    struct pool_args a = {.batch = 2, .channels = 3, .height = 5, .width = 6};
    size_t count = pool_sizes(&a).in;
    for (int i = 0; i < 5; i++)
        for (int with_skip = 0; with_skip <= 1; with_skip++) {
            case_begin(f, "pool of all %g + %g, skip %d", xs[i], skips[i], with_skip);
            double *x = doubles(count), *skip = doubles(count);
            for (size_t k = 0; k < count; k++) {
                x[k] = xs[i];
                skip[k] = skips[i];
            }
            check_pool_numbers(f, a, x, with_skip ? skip : NULL, (struct pool_offsets){0});
            case_end(f);
        }
}

/* ---- average --------------------------------------------------------------------------------- */

static void check_average(struct fixture *f, int batch, int channels, int pixels, double around,
                          size_t offset) {
    case_begin(f, "average %d x %d x %d around %g, offset %zu", batch, channels, pixels, around,
               offset);
    struct average_args a = {.batch = batch, .channels = channels, .pixels = pixels};
    size_t maps = (size_t)(batch * channels), count = maps * (size_t)pixels;
    double *x = random_doubles(count, around - 1, around + 1), *y = doubles(maps);
    double *dy = random_doubles(maps, -1, 1), *dx = doubles(count);
    a.x = offset_floats(f, x, count, offset);
    a.y = device_output(f, maps);
    reference_average_forward(y, &a, x);
    RUN(f, average_forward, &a);
    check_device(f, "y", a.y, y, 2e-6, 1e-6);
    a.x = NULL;
    a.y = NULL;
    a.dy = device_floats(f, dy, maps);
    a.dx = offset_output(f, count, offset);
    reference_average_backward(dx, &a, dy);
    RUN(f, average_backward, &a);
    check_offset(f, "dx", a.dx, offset, dx, 1e-6, 0);
    case_end(f);
}

static void average(void **state) {
    struct fixture *f = fixture_of(state);
    for (int pixels = 1; pixels <= 70; pixels++)
        check_average(f, 1 + pixels % 5, 1 + pixels % 3, pixels, 0, 0);
    for (size_t offset = 1; offset < 4; offset++)
        check_average(f, 3, 7, 64, 0, offset);
    check_average(f, 128, 32, 64, 0, 0);
    check_average(f, 17, 28, 64, 0, 0);
    check_average(f, 9, 14, 49, 1000, 0);
    check_average(f, 2, 5, 1024, 0, 0);
    check_average(f, 1, 3, 4100, 0, 0);
}

/* ---- loss ------------------------------------------------------------------------------------ */

/* Twice, so that the counters add up, the second time without dlogits. */
static void check_loss(struct fixture *f, int batch, int classes, const double *logits,
                       const uint8_t *labels) {
    struct loss_args a = {.batch = batch, .classes = classes};
    size_t count = (size_t)(batch * classes);
    struct counters start = {.loss = 2.5, .correct = 7, .images = 1000}, expected = start;
    double *dlogits = doubles(count);
    reference_loss(dlogits, &expected, &a, logits, labels);

    a.logits = device_floats(f, logits, count);
    a.labels = device_bytes(f, labels, (size_t)batch);
    a.dlogits = device_output(f, count);
    a.counters = device_in_out_bytes(f, &start, sizeof start);
    RUN(f, loss, &a);
    check_device(f, "dlogits", a.dlogits, dlogits, 1e-5, 1e-6 / batch);
    const struct counters *once = device_read(f, a.counters);
    check_close("loss", once->loss, expected.loss, 1e-6, 1e-6 * batch);
    assert_int_equal(once->correct, expected.correct);
    assert_int_equal(once->images, expected.images);

    device_freeze(f, a.dlogits);
    a.dlogits = NULL;
    RUN(f, loss, &a);
    reference_loss(NULL, &expected, &a, logits, labels);
    const struct counters *twice = device_read(f, a.counters);
    check_close("loss of two", twice->loss, expected.loss, 1e-6, 2e-6 * batch);
    assert_int_equal(twice->correct, expected.correct);
    assert_int_equal(twice->images, expected.images);
}

static uint8_t *labels_in_turn(int batch, int classes) {
    uint8_t *labels = zeroed_bytes((size_t)batch);
    for (int n = 0; n < batch; n++)
        labels[n] = (uint8_t)(n % classes);
    return labels;
}

static void loss_of_random_logits(void **state) {
    static const int batches[] = {1, 2, 5, 9, 10, 17, 33, 128, 1000};
    static const double sizes[] = {1, 20, 1e4};
    struct fixture *f = fixture_of(state);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
        for (int s = 0; s < 3; s++) {
            int batch = batches[b];
            case_begin(f, "loss batch %d, logits +-%g", batch, sizes[s]);
            double *logits = random_doubles((size_t)batch * 10, -sizes[s], sizes[s]);
            check_loss(f, batch, 10, logits, labels_in_turn(batch, 10));
            case_end(f);
        }
}

/* Around the number of threads of a block, and a whole test or training set at once. */
static void loss_of_large_batches(void **state) {
    static const int batches[] = {255, 256, 257, 1023, 1024, 1025, 2049, 10000, 50000};
    struct fixture *f = fixture_of(state);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        int batch = batches[b];
        case_begin(f, "loss of a large batch, %d", batch);
        double *logits = random_doubles((size_t)batch * 10, -5, 5);
        check_loss(f, batch, 10, logits, labels_in_turn(batch, 10));
        case_end(f);
    }
}

static void loss_of_other_class_counts(void **state) {
    static const int counts[] = {1, 2, 3, 9, 11, 31, 32, 33, 100, 257, 1024};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        int classes = counts[i], labels = classes < 256 ? classes : 256;
        case_begin(f, "loss of %d classes", classes);
        double *logits = random_doubles(7 * (size_t)classes, -3, 3);
        check_loss(f, 7, classes, logits, labels_in_turn(7, labels));
        case_end(f);
    }
}

/* The loss once more: replayed, or called on a backend without recordings. */
static void loss_again(struct fixture *f, struct recording *recording, const struct loss_args *a) {
    if (recording != NULL)
        must(f, "replay", f->backend->replay(&f->error, f->device, recording));
    else
        RUN(f, loss, a);
}

static struct recording *record_loss(struct fixture *f, const struct loss_args *a) {
    const struct backend *b = f->backend;
    struct recording *recording = NULL;
    if (b->record_begin != NULL) {
        must(f, "record_begin", b->record_begin(&f->error, f->device));
        RUN(f, loss, a);
        must(f, "record_end", b->record_end(&f->error, f->device, &recording));
    }
    return recording;
}

/* Each replay counts once more, with the current logits. */
static void loss_replayed(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "loss replayed");
    struct loss_args a = {.batch = 33, .classes = 10};
    struct counters counters = {0}, expected = {0};
    float *logits = device_in_out(f, doubles(330), 330), rounded[330];
    a.logits = logits;
    a.labels = device_bytes(f, labels_in_turn(33, 10), 33);
    a.dlogits = device_output(f, 330);
    a.counters = device_in_out_bytes(f, &counters, sizeof counters);
    struct recording *recording = record_loss(f, &a);
    for (int i = 0; i < 3; i++) {
        double *values = random_doubles(330, -3, 3), *dlogits = doubles(330);
        for (int k = 0; k < 330; k++)
            rounded[k] = (float)values[k];
        upload_now(f, logits, rounded, sizeof rounded);
        loss_again(f, recording, &a);
        reference_loss(dlogits, &expected, &a, values, labels_in_turn(33, 10));
        check_device(f, "dlogits", a.dlogits, dlogits, 1e-5, 1e-6 / 33);
        const struct counters *now = device_read(f, a.counters);
        check_close("loss", now->loss, expected.loss, 1e-6, 1e-4);
        assert_int_equal(now->correct, expected.correct);
        assert_int_equal(now->images, expected.images);
    }
    if (recording != NULL)
        f->backend->recording_destroy(f->device, recording);
    case_end(f);
}

/* Every label against every place of a largest logit of +-1e4, and equal largest logits. */
static void loss_of_extreme_logits(void **state) {
    struct fixture *f = fixture_of(state);
    for (int high = -1; high <= 1; high++) {
        case_begin(f, "loss of logits %d * 1e4", high);
        double *logits = doubles(1000);
        uint8_t *labels = zeroed_bytes(100);
        for (int n = 0; n < 100; n++) {
            labels[n] = (uint8_t)(n % 10);
            logits[n * 10 + n / 10] = 1e4 * high;
        }
        check_loss(f, 100, 10, logits, labels);
        case_end(f);
    }
}

/* Of equal largest logits the first is the answer: only its label is right. */
static void loss_of_equal_logits(void **state) {
    struct fixture *f = fixture_of(state);
    for (int right = 0; right <= 1; right++) {
        case_begin(f, "loss of equal largest logits, labels of the %s", right ? "first" : "last");
        double *logits = doubles(1000);
        uint8_t *labels = zeroed_bytes(100);
        for (int n = 0; n < 100; n++) {
            int first = n / 10 < 4 ? n / 10 : 4;
            logits[n * 10 + n / 10] = logits[n * 10 + 9] = logits[n * 10 + 4] = 3;
            labels[n] = (uint8_t)(right ? first : 9);
        }
        check_loss(f, 100, 10, logits, labels);
        case_end(f);
    }
}

/* A logit that is not finite must show in the loss, so that training stops. */
static void loss_of_broken_logits(void **state) {
    static const double broken[] = {(double)NAN, (double)INFINITY};
    struct fixture *f = fixture_of(state);
    for (int i = 0; i < 2; i++)
        for (int place = 0; place < 10; place += 3) {
            case_begin(f, "loss of a logit %g at %d", broken[i], place);
            double *logits = random_doubles(5 * 10, -1, 1);
            logits[2 * 10 + place] = broken[i];
            struct counters counters = {0};
            struct loss_args a = {.batch = 5, .classes = 10};
            a.logits = device_floats(f, logits, 50);
            a.labels = device_bytes(f, labels_in_turn(5, 10), 5);
            a.dlogits = device_output(f, 50);
            a.counters = device_in_out_bytes(f, &counters, sizeof counters);
            RUN(f, loss, &a);
            const struct counters *after = device_read(f, a.counters);
            assert_false(isfinite(after->loss));
            assert_int_equal(after->images, 5);
            case_end(f);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_of_the_networks),
        cmocka_unit_test(pool_of_odd_shapes),
        cmocka_unit_test(pool_of_offset_arrays),
        cmocka_unit_test(pool_of_nan),
        cmocka_unit_test(pool_of_ties),
        cmocka_unit_test(average),
        cmocka_unit_test(loss_of_random_logits),
        cmocka_unit_test(loss_of_large_batches),
        cmocka_unit_test(loss_of_other_class_counts),
        cmocka_unit_test(loss_replayed),
        cmocka_unit_test(loss_of_extreme_logits),
        cmocka_unit_test(loss_of_equal_logits),
        cmocka_unit_test(loss_of_broken_logits),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
