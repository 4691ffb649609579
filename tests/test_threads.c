/* test_threads.c: results are bit-identical: every operation, forward and backward, on several
 * devices in turn, on the CPU with 1, 2, 3 and 5 threads. */
#include "compare.h"
#include "device_fixture.h"
#include "reference_ops.h"

#include <stdlib.h>
#include <string.h>

enum { LOG_CAPACITY = 1 << 25 };

/* Everything that a run of operations wrote, one output after another. */
struct output_log {
    size_t bytes;
    uint8_t *data;
};

static void record(struct fixture *f, struct output_log *log, const void *payload) {
    size_t bytes = device_size(f, payload);
    assert_true(log->bytes + bytes <= LOG_CAPACITY);
    memcpy(log->data + log->bytes, device_read(f, payload), bytes);
    log->bytes += bytes;
}

static const float *random_floats(struct fixture *f, size_t count) {
    return device_floats(f, random_doubles(count, -1, 1), count);
}

/* ---- the operations, each with a shape of the networks and an awkward one -------------------- */

/* batch, in channels, height, width, out channels, kernel, padding */
static void run_conv(struct fixture *f, struct output_log *log, const int s[7]) {
    struct conv_args a = {.batch = s[0],
                          .in_channels = s[1],
                          .height = s[2],
                          .width = s[3],
                          .out_channels = s[4],
                          .kernel = s[5],
                          .padding = s[6]};
    case_begin(f, "conv batch %d, %d to %d, kernel %d", a.batch, a.in_channels, a.out_channels,
               a.kernel);
    int shrink = a.kernel - 1 - 2 * a.padding;
    size_t pixels = (size_t)(a.height * a.width), batch = (size_t)a.batch;
    size_t x = batch * (size_t)a.in_channels * pixels;
    size_t y = batch * (size_t)(a.out_channels * (a.height - shrink) * (a.width - shrink));
    size_t weights = (size_t)(a.in_channels * a.out_channels * a.kernel * a.kernel);
    a.x = random_floats(f, x);
    a.weight = random_floats(f, weights);
    a.y = device_output(f, y);
    a.workspace = device_workspace(f, f->ops->conv_workspace(f->device, &a));
    RUN(f, conv_forward, &a);
    a.dy = random_floats(f, y);
    a.dx = device_output(f, x);
    a.dweight = device_output(f, weights);
    RUN(f, conv_backward, &a);
    record(f, log, a.y);
    record(f, log, a.dx);
    record(f, log, a.dweight);
    a.accumulate = true;
    RUN(f, conv_backward, &a);
    record(f, log, a.dx);
    case_end(f);
}

static void run_norm(struct fixture *f, struct output_log *log, enum norm_kind kind,
                     struct norm_args a) {
    case_begin(f, "norm %d batch %d, %d x %d", (int)kind, a.batch, a.channels, a.pixels);
    size_t count = (size_t)a.batch * (size_t)(a.channels * a.pixels), weights = norm_weights(&a);
    a.training = true;
    a.epsilon = 1e-5f;
    a.stat_momentum = 0.1f;
    a.dropout = 0.05f;
    a.state = device_state(f, 3, 0.1f);
    a.x = random_floats(f, count);
    a.weight = random_floats(f, weights);
    a.bias = random_floats(f, weights);
    a.y = device_output(f, count);
    a.mean = device_output(f, norm_statistics(kind, &a));
    a.rstd = device_output(f, norm_statistics(kind, &a));
    a.running_mean = device_in_out(f, doubles((size_t)a.channels), (size_t)a.channels);
    a.running_var = device_in_out(f, doubles((size_t)a.channels), (size_t)a.channels);
    a.workspace = device_workspace(f, f->ops->norm[kind].workspace(f->device, &a));
    must(f, "norm forward", f->ops->norm[kind].forward(&f->error, f->device, &a));
    a.dy = random_floats(f, count);
    a.dx = device_output(f, count);
    a.dweight = device_output(f, weights);
    a.dbias = device_output(f, weights);
    must(f, "norm backward", f->ops->norm[kind].backward(&f->error, f->device, &a));
    const float *outputs[] = {a.y,           a.mean, a.rstd,    a.running_mean,
                              a.running_var, a.dx,   a.dweight, a.dbias};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        record(f, log, outputs[i]);
    case_end(f);
}

static void run_maps(struct fixture *f, struct output_log *log, int batch) {
    enum { CHANNELS = 7, HEIGHT = 17, WIDTH = 15, PIXELS = HEIGHT * WIDTH };
    case_begin(f, "pool and average, batch %d", batch);
    size_t maps = (size_t)batch * CHANNELS, outputs = maps * (HEIGHT / 2) * (WIDTH / 2);
    struct pool_args a = {.batch = batch, .channels = CHANNELS, .height = HEIGHT, .width = WIDTH};
    a.x = random_floats(f, maps * PIXELS);
    a.skip = random_floats(f, maps * PIXELS);
    a.y = device_output(f, outputs);
    a.code = device_output_bytes(f, outputs);
    RUN(f, pool_forward, &a);
    a.dy = random_floats(f, outputs);
    a.ds = device_output(f, maps * PIXELS);
    RUN(f, pool_backward, &a);
    struct average_args b = {.batch = batch, .channels = CHANNELS, .pixels = PIXELS, .x = a.x};
    b.y = device_output(f, maps);
    RUN(f, average_forward, &b);
    b.dy = b.y;
    b.dx = device_output(f, maps * PIXELS);
    RUN(f, average_backward, &b);
    record(f, log, a.y);
    record(f, log, a.code);
    record(f, log, a.ds);
    record(f, log, b.y);
    record(f, log, b.dx);
    case_end(f);
}

static void run_classifier(struct fixture *f, struct output_log *log, int batch) {
    case_begin(f, "linear and loss, batch %d", batch);
    struct counters zero = {0};
    size_t n = (size_t)batch;
    uint8_t *labels = zeroed_bytes(n);
    for (size_t i = 0; i < n; i++)
        labels[i] = (uint8_t)random_below(10);
    struct linear_args a = {.batch = batch, .inputs = 28, .outputs = 10};
    a.x = random_floats(f, n * 28);
    a.weight = random_floats(f, 280);
    a.y = device_output(f, n * 10);
    RUN(f, linear_forward, &a);
    struct loss_args b = {.batch = batch, .classes = 10, .logits = a.y};
    float *dlogits = b.dlogits = device_output(f, n * 10);
    b.labels = device_bytes(f, labels, n);
    b.counters = device_in_out_bytes(f, &zero, sizeof zero);
    RUN(f, loss, &b);
    a.dy = dlogits;
    a.dx = device_output(f, n * 28);
    a.dweight = device_output(f, 280);
    RUN(f, linear_backward, &a);
    record(f, log, a.y);
    record(f, log, dlogits);
    record(f, log, b.counters);
    record(f, log, a.dx);
    record(f, log, a.dweight);
    case_end(f);
}

static void run_ends(struct fixture *f, struct output_log *log, int batch) {
    case_begin(f, "input, filters and sgd, batch %d", batch);
    size_t bytes = (size_t)batch * 3072;
    uint8_t *images = zeroed_bytes(bytes);
    for (size_t i = 0; i < bytes; i++)
        images[i] = (uint8_t)random_below(256);
    struct input_args a = {.batch = batch, .augment = true, .crop = 4, .seed = 2};
    a.images = device_bytes(f, images, bytes);
    a.y = device_output(f, bytes);
    a.state = device_state(f, 5, 0.1f);
    RUN(f, input, &a);
    struct filter_args b = {.filters = 28, .elements = 216, .gain = 1.4f};
    float *d = b.d = device_in_out(f, random_doubles(28 * 216, -1, 1), 28 * 216);
    b.weight = random_floats(f, 28 * 216);
    b.y = device_output(f, 28 * 216);
    const struct filter_list filters = {1, &b};
    RUN(f, filter_forward, &filters);
    RUN(f, filter_backward, &filters);
    struct sgd_args c = {.count = 45521,
                         .decayed = 30000,
                         .momentum = 0.9f,
                         .decay = 5e-4f,
                         .nesterov = true,
                         .state = a.state};
    c.weight = device_in_out(f, random_doubles(c.count, -1, 1), c.count);
    c.velocity = device_in_out(f, random_doubles(c.count, -1, 1), c.count);
    c.gradient = random_floats(f, c.count);
    RUN(f, sgd, &c);
    record(f, log, a.y);
    record(f, log, b.y);
    record(f, log, d);
    record(f, log, c.weight);
    record(f, log, c.velocity);
    case_end(f);
}

static void run_muon(struct fixture *f, struct output_log *log) {
    enum { COUNT = 3 };
    static const int shapes[COUNT][2] = {{24, 27}, {32, 216}, {28, 18}};
    struct muon_matrix matrices[COUNT];
    case_begin(f, "muon");
    for (int i = 0; i < COUNT; i++) {
        struct muon_matrix *m = &matrices[i];
        size_t count = (size_t)(shapes[i][0] * shapes[i][1]);
        m->rows = shapes[i][0], m->columns = shapes[i][1];
        m->weight = device_in_out(f, random_doubles(count, -1, 1), count);
        m->velocity = device_in_out(f, random_doubles(count, -1, 1), count);
        m->gradient = random_floats(f, count);
    }
    struct muon_args a = {.count = COUNT, .matrices = matrices, .momentum = 0.6f, .rate_scale = 1};
    a.state = device_state(f, 0, 0.1f);
    a.workspace = device_workspace(f, f->ops->muon_workspace(f->device, &a));
    RUN(f, muon, &a);
    for (int i = 0; i < COUNT; i++) {
        record(f, log, matrices[i].weight);
        record(f, log, matrices[i].velocity);
    }
    case_end(f);
}

static void run_everything(struct fixture *f, struct output_log *log, int batch) {
    log->bytes = 0;
    run_conv(f, log, (int[]){batch, 3, 18, 17, 8, 3, 0});
    run_conv(f, log, (int[]){batch, 26, 8, 8, 32, 3, 1});
    run_conv(f, log, (int[]){batch, 5, 7, 9, 7, 3, 1});
    run_conv(f, log, (int[]){batch, 14, 14, 14, 8, 1, 0});
    for (int kind = 0; kind < NORM_COUNT; kind++)
        for (int k = 0; k < 3; k++) {
            struct norm_args a = {.batch = batch,
                                  .channels = 20,
                                  .pixels = k == 0 ? 64 : 49,
                                  .groups = kind == NORM_GROUP ? 4 : 1,
                                  .per_element = k == 1 && kind != NORM_BATCH,
                                  .activation = (enum activation)k};
            run_norm(f, log, (enum norm_kind)kind, a);
        }
    run_maps(f, log, batch);
    run_classifier(f, log, batch);
    run_ends(f, log, batch);
    run_muon(f, log);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static struct output_log first_log, next_log;

static int logs_make(void **state) {
    (void)state;
    first_log.data = malloc(LOG_CAPACITY);
    next_log.data = malloc(LOG_CAPACITY);
    return first_log.data == NULL || next_log.data == NULL ? -1 : 0;
}

static int logs_free(void **state) {
    (void)state;
    free(first_log.data);
    free(next_log.data);
    return 0;
}

/* A new device for each number of threads; for devices other than the CPU, two. */
static void check_threads(const struct backend *backend, int batch) {
    static const int threads[] = {1, 2, 3, 5};
    size_t count = backend == &cpu_backend ? sizeof threads / sizeof threads[0] : 2;
    for (size_t i = 0; i < count; i++) {
        struct fixture f;
        struct device_options options = {.threads = threads[i]};
        struct output_log *log = i == 0 ? &first_log : &next_log;
        fixture_open(&f, backend, &options);
        run_everything(&f, log, batch);
        fixture_close(&f);
        case_name("%d threads, batch %d", threads[i], batch);
        assert_int_equal(log->bytes, first_log.bytes);
        if (memcmp(log->data, first_log.data, log->bytes) != 0)
            check_bytes("outputs", log->data, first_log.data, log->bytes);
    }
}

static void same_bits_batch_5(void **state) {
    check_threads(fixture_of(state)->backend, 5);
}

static void same_bits_batch_17(void **state) {
    check_threads(fixture_of(state)->backend, 17);
}

static void same_bits_batch_128(void **state) {
    check_threads(fixture_of(state)->backend, 128);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, logs_make, logs_free)
    const struct CMUnitTest tests[] = {
        TEST(same_bits_batch_5),
        TEST(same_bits_batch_17),
        TEST(same_bits_batch_128),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
