/* test_sgd_input.c: the two ends of a step on each backend against the double loops: images to
 * floats with augmentation, and the SGD update. */
#include "compare.h"
#include "device_fixture.h"
#include "offset_buffers.h"
#include "reference_ops.h"

enum { IMAGE = 3 * 32 * 32 };

/* ---- input ----------------------------------------------------------------------------------- */

/* Images and y start `offset` elements after a 256-byte boundary. */
static void check_input_at(struct fixture *f, int batch, bool augment, int crop, uint64_t seed,
                           uint64_t step, size_t offset) {
    case_begin(f, "input batch %d, augment %d, crop %d, seed %llx, step %llx, offset %zu", batch,
               augment, crop, (unsigned long long)seed, (unsigned long long)step, offset);
    size_t count = (size_t)batch * IMAGE;
    struct input_args a = {.batch = batch, .augment = augment, .crop = crop, .seed = seed};
    uint8_t *images = zeroed_bytes(count);
    for (size_t i = 0; i < count; i++)
        images[i] = i < 256 ? (uint8_t)i : (uint8_t)random_below(256); /* every value once */
    double *y = doubles(count);
    reference_input(y, &a, step, images);
    a.images = offset_bytes(f, images, count, offset);
    a.y = offset_output(f, count, offset);
    a.state = device_state(f, step, 0.5f);
    RUN(f, input, &a);
    check_offset(f, "y", a.y, offset, y, 1e-6, 1e-6);
    case_end(f);
}

static void check_input(struct fixture *f, int batch, bool augment, uint64_t seed, uint64_t step) {
    check_input_at(f, batch, augment, 4, seed, step, 0);
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
    check_input(f, 9, true, 0, 0x500000003u);               /* a step of more than 32 bits */
    check_input(f, 128, true, 42, 7);                       /* nearly every shift and flip */
    for (int crop = 0; crop < 32; crop += crop < 3 ? 1 : 7) /* up to all but a pixel */
        check_input_at(f, 9, true, crop, 5, 3, 0);
}

static void input_of_offset_arrays(void **state) {
    struct fixture *f = fixture_of(state);
    for (size_t offset = 1; offset < 4; offset++) {
        check_input_at(f, 3, false, 4, 1, 0, offset);
        check_input_at(f, 3, true, 4, 1, 0, offset);
    }
}

/* ---- SGD ------------------------------------------------------------------------------------- */

/* How many elements after a 256-byte boundary the arrays start. */
struct sgd_offsets {
    size_t weight, velocity, gradient;
};

/* Three steps with a changing rate. The numbers after the arena must stay; they are not NaN, since
 * a changed NaN stays NaN. */
static void check_sgd_at(struct fixture *f, struct sgd_args a, struct sgd_offsets offset) {
    static const float rates[] = {0.1f, 0.01f, 1.5f};
    case_begin(f,
               "sgd of %zu, %zu decayed, momentum %g, decay %g, nesterov %d, offsets %zu %zu %zu",
               a.count, a.decayed, (double)a.momentum, (double)a.decay, a.nesterov, offset.weight,
               offset.velocity, offset.gradient);
    size_t all = a.count + 4;
    double *weight = random_doubles(all, -1, 1), *velocity = random_doubles(all, -1, 1);
    a.weight = offset_in_out(f, weight, all, offset.weight);
    a.velocity = offset_in_out(f, velocity, all, offset.velocity);
    for (uint64_t step = 0; step < 3; step++) {
        double *gradient = random_doubles(all, -1, 1);
        a.gradient = offset_floats(f, gradient, all, offset.gradient);
        a.state = device_state(f, step, rates[step]);
        RUN(f, sgd, &a);
        reference_sgd(weight, velocity, &a, (double)rates[step], gradient);
        check_offset(f, "velocity", a.velocity, offset.velocity, velocity, 1e-5, 2e-6);
        check_offset(f, "weight", a.weight, offset.weight, weight, 1e-5, 2e-6);
    }
    case_end(f);
}

static void check_sgd(struct fixture *f, size_t count, size_t decayed, float momentum, float decay,
                      bool nesterov) {
    struct sgd_args a = {.count = count,
                         .decayed = decayed,
                         .momentum = momentum,
                         .decay = decay,
                         .nesterov = nesterov};
    check_sgd_at(f, a, (struct sgd_offsets){0});
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

/* Weight decay ends at each element of one access. */
static void sgd_of_every_boundary(void **state) {
    struct fixture *f = fixture_of(state);
    for (size_t count = 1; count <= 13; count++)
        for (size_t decayed = 0; decayed <= count; decayed++)
            check_sgd(f, count, decayed, 0.9f, 0.25f, count % 2 == 0);
}

/* Each array alone, and all together, at every offset from a 16-byte boundary. */
static void sgd_of_offset_arrays(void **state) {
    struct fixture *f = fixture_of(state);
    struct sgd_args a = {.count = 1027, .decayed = 515, .momentum = 0.9f, .decay = 0.25f};
    for (size_t by = 1; by < 4; by++) {
        check_sgd_at(f, a, (struct sgd_offsets){by, 0, 0});
        check_sgd_at(f, a, (struct sgd_offsets){0, by, 0});
        check_sgd_at(f, a, (struct sgd_offsets){0, 0, by});
        check_sgd_at(f, a, (struct sgd_offsets){by, by, by});
    }
}

/* ---- recordings ------------------------------------------------------------------------------ */

/* The two ends of a step; `recording` is NULL on a backend that records nothing. */
struct ends {
    struct input_args input;
    struct sgd_args sgd;
    struct recording *recording;
};

static void ends_run(struct fixture *f, const struct ends *ends) {
    RUN(f, input, &ends->input);
    RUN(f, sgd, &ends->sgd);
}

static void ends_record(struct fixture *f, struct ends *ends) {
    const struct backend *b = f->backend;
    if (b->record_begin == NULL)
        return;
    must(f, "record_begin", b->record_begin(&f->error, f->device));
    ends_run(f, ends);
    must(f, "record_end", b->record_end(&f->error, f->device, &ends->recording));
}

static void ends_replay(struct fixture *f, const struct ends *ends) {
    if (ends->recording != NULL)
        must(f, "replay", f->backend->replay(&f->error, f->device, ends->recording));
    else
        ends_run(f, ends);
}

/* Recorded once and replayed with other steps and rates: any value frozen in the recording would
 * show. */
static void replayed(void **state) {
    static const struct step_state steps[] = {{1, 0.1f, 0}, {2, 0.01f, 0}, {0x500000003u, 1.5f, 0}};
    enum { PIXELS = 5 * IMAGE, COUNT = 99 };
    struct fixture *f = fixture_of(state);
    case_begin(f, "input and sgd replayed");
    struct step_state *at = device_in_out_bytes(f, &steps[2], sizeof steps[2]);
    struct ends ends = {
        .input = {.batch = 5, .augment = true, .crop = 4, .seed = 3, .state = at},
        .sgd = {.count = COUNT, .decayed = 50, .momentum = 0.9f, .decay = 0.25f, .state = at}};
    uint8_t *images = zeroed_bytes(PIXELS);
    for (size_t i = 0; i < PIXELS; i++)
        images[i] = (uint8_t)random_below(256);
    double *gradient = random_doubles(COUNT, -1, 1), *weight = random_doubles(COUNT, -1, 1);
    double *velocity = random_doubles(COUNT, -1, 1), *y = doubles(PIXELS);
    ends.input.images = device_bytes(f, images, PIXELS);
    ends.input.y = device_output(f, PIXELS);
    ends.sgd.weight = device_in_out(f, weight, COUNT);
    ends.sgd.velocity = device_in_out(f, velocity, COUNT);
    ends.sgd.gradient = device_floats(f, gradient, COUNT);
    ends_record(f, &ends);
    for (int i = 0; i < 3; i++) {
        upload_now(f, at, &steps[i], sizeof steps[i]);
        ends_replay(f, &ends);
        reference_input(y, &ends.input, steps[i].step, images);
        reference_sgd(weight, velocity, &ends.sgd, (double)steps[i].learning_rate, gradient);
        check_device(f, "y", ends.input.y, y, 1e-6, 1e-6);
        check_device(f, "velocity", ends.sgd.velocity, velocity, 1e-5, 2e-6);
        check_device(f, "weight", ends.sgd.weight, weight, 1e-5, 2e-6);
    }
    if (ends.recording != NULL)
        f->backend->recording_destroy(f->device, ends.recording);
    case_end(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_as_it_is),
        cmocka_unit_test(input_augmented),
        cmocka_unit_test(input_of_offset_arrays),
        cmocka_unit_test(sgd),
        cmocka_unit_test(sgd_of_every_boundary),
        cmocka_unit_test(sgd_of_offset_arrays),
        cmocka_unit_test(replayed),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
