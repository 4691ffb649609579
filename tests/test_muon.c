/* test_muon.c: Muon on each backend against the double loop, which takes each step on the matrix
 * itself. */
#include "compare.h"
#include "device_fixture.h"
#include "reference_ops.h"

#include <math.h>

enum { MOST = 40 };

/* One matrix of a case, and what the loop says. */
struct expected {
    double *weight, *velocity;
};

static void make(struct muon_matrix *m, struct expected *due, struct fixture *f, int rows,
                 int columns) {
    const size_t count = (size_t)rows * (size_t)columns;
    due->weight = random_doubles(count, -1, 1);
    due->velocity = random_doubles(count, -1, 1);
    m->rows = rows, m->columns = columns;
    m->weight = device_in_out(f, due->weight, count);
    m->velocity = device_in_out(f, due->velocity, count);
}

/* Two steps with different rates and gradients, of one matrix or several at once. */
static void check_muon(struct fixture *f, const int shapes[][2], int count, float momentum) {
    struct muon_matrix matrices[MOST];
    struct expected due[MOST];
    case_begin(f, "muon of %d matrices, the first %d x %d, momentum %g", count, shapes[0][0],
               shapes[0][1], (double)momentum);
    for (int i = 0; i < count; i++)
        make(&matrices[i], &due[i], f, shapes[i][0], shapes[i][1]);
    struct muon_args a = {
        .count = count, .matrices = matrices, .momentum = momentum, .rate_scale = 0.5f};
    a.workspace = device_workspace(f, f->ops->muon_workspace(f->device, &a));
    for (uint64_t step = 0; step < 2; step++) {
        const float rate = step == 0 ? 0.25f : 2;
        a.state = device_state(f, step, rate);
        for (int i = 0; i < count; i++) {
            const size_t elements = (size_t)shapes[i][0] * (size_t)shapes[i][1];
            double *gradient = random_doubles(elements, -1e-3, 1e-3);
            matrices[i].gradient = device_floats(f, gradient, elements);
            reference_muon(due[i].weight, due[i].velocity, &matrices[i], (double)momentum,
                           0.5 * (double)rate, gradient);
        }
        device_poison(f, a.workspace);
        RUN(f, muon, &a);
        for (int i = 0; i < count; i++) {
            check_device(f, "velocity", matrices[i].velocity, due[i].velocity, 1e-6, 1e-7);
            check_device(f, "weight", matrices[i].weight, due[i].weight, 1e-4, 2e-5);
        }
    }
    case_end(f);
}

static void one_matrix(void **state) {
    static const int shapes[][2] = {{24, 27}, {32, 216}, {28, 252}, {1, 9},    {1, 1},
                                    {2, 9},   {32, 27},  {30, 9},   {17, 153}, {33, 34},
                                    {16, 16}, {40, 9},   {70, 1}};
    struct fixture *f = fixture_of(state);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_muon(f, &shapes[i], 1, i % 2 == 0 ? 0.6f : 0);
}

/* Those of a network, with one that is wider than a block of threads and far larger than the
 * others. */
static void several_matrices(void **state) {
    static const int shapes[][2] = {{24, 27}, {100, 300}, {5, 9}, {32, 27}, {28, 216}};
    check_muon(fixture_of(state), shapes, 5, 0.6f);
}

/* Does nothing for no matrix, and does not go beyond the arguments of a kernel for many. */
static void none_and_many(void **state) {
    struct fixture *f = fixture_of(state);
    struct muon_matrix matrices[MOST];
    double *due[MOST];
    case_begin(f, "muon of %d matrices in one arena", MOST);
    double *all = random_doubles((size_t)MOST * 6, -1, 1);
    double *velocity = random_doubles((size_t)MOST * 6, -1, 1);
    double *gradient = random_doubles((size_t)MOST * 6, -1, 1);
    float *weights = device_in_out(f, all, (size_t)MOST * 6);
    float *velocities = device_in_out(f, velocity, (size_t)MOST * 6);
    const float *gradients = device_floats(f, gradient, (size_t)MOST * 6);
    for (int i = 0; i < MOST; i++) {
        matrices[i] =
            (struct muon_matrix){2, 3, weights + i * 6, velocities + i * 6, gradients + i * 6};
        due[i] = all + i * 6;
    }
    struct muon_args a = {.matrices = matrices, .momentum = 0.5f, .rate_scale = 1};
    a.state = device_state(f, 0, 0.5f);
    RUN(f, muon, &a);
    check_device(f, "weight", weights, all, 0, 0);
    a.count = MOST;
    a.workspace = device_workspace(f, f->ops->muon_workspace(f->device, &a));
    RUN(f, muon, &a);
    for (int i = 0; i < MOST; i++)
        reference_muon(due[i], velocity + i * 6, &matrices[i], 0.5, 0.5, gradient + i * 6);
    check_device(f, "velocity", velocities, velocity, 1e-6, 1e-7);
    check_device(f, "weight", weights, all, 1e-4, 2e-5);
    case_end(f);
}

/* A gradient of zero renormalizes the weights; a NaN reaches all of them, so that the loss will
 * show it. */
static void zero_and_nan(void **state) {
    struct fixture *f = fixture_of(state);
    for (int broken = 0; broken < 2; broken++) {
        struct muon_matrix m;
        struct expected due;
        case_begin(f, "muon with a gradient of %s", broken ? "NaN" : "zero");
        make(&m, &due, f, 4, 9);
        double *gradient = doubles(36), *zero = doubles(36);
        gradient[7] = broken ? (double)NAN : 0;
        m.gradient = device_floats(f, gradient, 36);
        upload_now(f, m.velocity, device_read(f, device_floats(f, zero, 36)), 36 * sizeof(float));
        struct muon_args a = {.count = 1, .matrices = &m, .momentum = 0.5f, .rate_scale = 1};
        a.state = device_state(f, 0, 0.5f);
        a.workspace = device_workspace(f, f->ops->muon_workspace(f->device, &a));
        RUN(f, muon, &a);
        reference_muon(due.weight, zero, &m, 0.5, 0.5, gradient);
        const float *weight = device_read(f, m.weight);
        for (int i = 0; i < 36 && broken; i++)
            assert_true(isnan(weight[i]));
        if (!broken)
            check_device(f, "weight", m.weight, due.weight, 1e-6, 1e-7);
        case_end(f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_matrix),
        cmocka_unit_test(several_matrices),
        cmocka_unit_test(none_and_many),
        cmocka_unit_test(zero_and_nan),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
