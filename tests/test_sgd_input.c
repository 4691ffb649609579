/* test_sgd_input.c: the two ends of a step on each backend against the double loops: images to
 * floats with augmentation, and the SGD update. */
#include "compare.h"
#include "device_fixture.h"
#include "reference_ops.h"

enum { IMAGE = 3 * 32 * 32 };

/* ---- input ----------------------------------------------------------------------------------- */

static void check_input(struct fixture *f, int batch, bool augment, uint64_t seed, uint64_t step) {
    case_begin(f, "input batch %d, augment %d, seed %llx, step %llx", batch, augment,
               (unsigned long long)seed, (unsigned long long)step);
    size_t count = (size_t)batch * IMAGE;
    struct input_args a = {.batch = batch, .augment = augment, .seed = seed};
    uint8_t *images = zeroed_bytes(count);
    for (size_t i = 0; i < count; i++)
        images[i] = i < 256 ? (uint8_t)i : (uint8_t)random_below(256); /* every value once */
    double *y = doubles(count);
    reference_input(y, &a, step, images);
    a.images = device_bytes(f, images, count);
    a.y = device_output(f, count);
    a.state = device_state(f, step, 0.5f);
    RUN(f, input, &a);
    check_device(f, "y", a.y, y, 1e-6, 1e-6);
    case_end(f);
}

static void input_as_it_is(void **state) {
    static const int batches[] = {1, 2, 5, 9, 17, 128};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
        check_input(f, batches[i], false, 1, i);
}

static void input_augmented(void **state) {
    struct fixture *f = fixture_of(state);
    check_input(f, 1, true, 1, 0);
    check_input(f, 2, true, 1, 1);
    check_input(f, 17, true, UINT64_MAX, 391);
    check_input(f, 5, true, 0x8000000000000001u, 0xFFFFFFFFu);
    check_input(f, 9, true, 0, 0x500000003u); /* a step of more than 32 bits */
    check_input(f, 128, true, 42, 7);         /* nearly every shift and flip */
}

/* ---- SGD ------------------------------------------------------------------------------------- */

/* Three steps with a rate that changes: whatever a recording of the first step froze would show. */
static void check_sgd(struct fixture *f, size_t count, size_t decayed, float momentum, float decay,
                      bool nesterov) {
    static const float rates[] = {0.1f, 0.01f, 1.5f};
    case_begin(f, "sgd of %zu, %zu decayed, momentum %g, decay %g, nesterov %d", count, decayed,
               (double)momentum, (double)decay, nesterov);
    struct sgd_args a = {.count = count,
                         .decayed = decayed,
                         .momentum = momentum,
                         .decay = decay,
                         .nesterov = nesterov};
    double *weight = random_doubles(count, -1, 1), *velocity = random_doubles(count, -1, 1);
    a.weight = device_in_out(f, weight, count);
    a.velocity = device_in_out(f, velocity, count);
    for (uint64_t step = 0; step < 3; step++) {
        double *gradient = random_doubles(count, -1, 1);
        a.gradient = device_floats(f, gradient, count);
        a.state = device_state(f, step, rates[step]);
        RUN(f, sgd, &a);
        reference_sgd(weight, velocity, &a, (double)rates[step], gradient);
        check_device(f, "velocity", a.velocity, velocity, 1e-5, 2e-6);
        check_device(f, "weight", a.weight, weight, 1e-5, 2e-6);
    }
    case_end(f);
}

static void sgd(void **state) {
    static const size_t counts[] = {1, 2, 3, 15, 16, 17, 31, 33, 64, 100, 1000, 4099, 55612};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        size_t count = counts[i];
        check_sgd(f, count, 0, 0.9f, 0, false); /* the reference recipes */
        check_sgd(f, count, count, 0.9f, 5e-4f, true);
        check_sgd(f, count, count / 2, 0.9f, 0.25f, true); /* the tuned ones, with more decay */
        check_sgd(f, count, count / 3, 0.5f, 0.25f, false);
        check_sgd(f, count, count - 1, 0, 0.25f, i % 2 == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_as_it_is),
        cmocka_unit_test(input_augmented),
        cmocka_unit_test(sgd),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
